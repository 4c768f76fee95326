// @ts-check
/** Details: what is known of single units, taken out of the arrays of an answer. */

/** Units of an answer one by one, as the browser keeps them. @param {Record<string, {data: any, shape: number[]}>} arrays */
export function unitsOf(arrays) {
  const [count, images, h, w] = arrays.maps.shape;
  const part = (name, i) => {
    const size = arrays[name].data.length / Math.max(1, count);
    return arrays[name].data.subarray(i * size, (i + 1) * size);
  };
  const byLevel = (name, i) => {
    const [levels, , near] = arrays[name].shape;
    return Array.from({ length: levels }, (_, q) => arrays[name].data.subarray((q * count + i) * near, (q * count + i + 1) * near));
  };
  return Array.from({ length: count }, (_, i) => ({
    maps: part("maps", i), mapShape: [images, h, w], top: part("top", i), value: part("value", i),
    low: arrays.low.data[i], high: arrays.high.data[i], edges: part("edges", i), tail: part("tail", i),
    ...Object.fromEntries(["precision", "recall", "least", "most"].map((name) => [name, byLevel(name, i)])),
  }));
}

/** A unit's detail with its nearest concepts and their IoU at every level, which the layer knows. */
export function withNear(layer, unit, detail) {
  const { near, near_iou: iou } = layer.arrays;
  const [count, levels] = [near.shape[1], layer.world.levels.length];
  return {
    ...detail,
    near: Array.from(near.data.subarray(unit * count, (unit + 1) * count)),
    nearIou: Array.from({ length: levels }, (_, q) => iou.data.subarray((q * layer.units + unit) * count, (q * layer.units + unit + 1) * count)),
  };
}
