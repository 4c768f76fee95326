// @ts-check
/** Details: what is known of single units, taken out of the arrays of an answer. */

import { share } from "./units.js";

const AT_ONCE = 48; // units asked for together

/** Units of an answer one by one, as the browser keeps them. @param {Record<string, {data: any, shape: number[]}>} arrays */
export function unitsOf(arrays) {
  const [count, images, h, w] = arrays.maps.shape;
  const part = (name, i) => {
    const size = arrays[name].data.length / Math.max(1, count);
    return arrays[name].data.subarray(i * size, (i + 1) * size);
  };
  const levels = arrays.precision.shape[0];
  const starts = [0];
  for (const pairs of arrays.pairs.data) starts.push(starts[starts.length - 1] + pairs);
  const byLevel = (name, i) => rowsOfPairs(arrays[name].data, levels, starts[i], starts[i + 1]);
  const ofLabel = (name, i) => Array.from({ length: levels }, (_, q) => arrays[name].data[q * count + i]);
  return Array.from({ length: count }, (_, i) => ({
    maps: part("maps", i), mapShape: [images, h, w], top: part("top", i), value: part("value", i),
    low: arrays.low.data[i], high: arrays.high.data[i], edges: part("edges", i), tail: part("tail", i),
    ...Object.fromEntries(["precision", "recall"].map((name) => [name, ofLabel(name, i)])),
    ...Object.fromEntries(["least", "most"].map((name) => [name, byLevel(name, i)])),
  }));
}

/** Some of the pairs, level by level. @param {Uint16Array} data (levels, pairs) @param {number} levels
 * @param {number} first @param {number} last */
function rowsOfPairs(data, levels, first, last) {
  const all = data.length / Math.max(1, levels);
  return Array.from({ length: levels }, (_, q) => data.subarray(q * all + first, q * all + last));
}

/** A unit's detail with its nearest concepts and their IoU at every level, which the layer knows. */
export function withNear(layer, unit, detail) {
  const { starts, near, near_iou: iou } = layer.arrays;
  const [first, last] = [starts.data[unit], starts.data[unit + 1]];
  return { ...detail, near: Array.from(near.data.subarray(first, last)), nearIou: rowsOfPairs(iou.data, layer.world.levels.length, first, last) };
}

/** A unit's near concepts at a level, highest IoU first: [{concept, k, iou}], k their place among its pairs.
 * @param {any} detail @param {number} level */
export function nearest(detail, level) {
  const found = detail.near.map((/** @type {number} */ concept, /** @type {number} */ k) => ({ concept, k, iou: share(detail.nearIou[level][k]) }));
  return found.sort((a, b) => b.iou - a.iou || a.k - b.k);
}

/** What is known of units, the last few hundred of them, so that a page does not grow with everything it has shown. */
export class Details {
  /** @param {(key: string, units: number[], images: number) => Promise<any[]>} ask @param {number} room */
  constructor(ask, room = 700) {
    [this.ask, this.room] = [ask, room];
    /** @type {Map<string, any>} */
    this.known = new Map(); // "key:unit:images" -> detail, or null while it is asked for
  }

  /** What is known of a unit with so many of its images, or null. @param {any} row @param {number} images */
  get(row, images) {
    const detail = this.known.get(placeOf(row, images));
    if (!detail) return null;
    this.known.delete(placeOf(row, images)); // the last used stands last
    this.known.set(placeOf(row, images), detail);
    return detail;
  }

  /** Asks for what is missing; `came` is called whenever some have come.
   * @param {any[]} rows @param {number} images @param {() => void} came */
  async fetch(rows, images, came) {
    const missing = rows.filter((row) => !this.known.has(placeOf(row, images)));
    for (const [layer, some] of byLayer(missing)) {
      for (let first = 0; first < some.length; first += AT_ONCE) {
        await this.fetchSome(layer, some.slice(first, first + AT_ONCE), images);
        came();
      }
    }
  }

  /** @param {any} layer @param {any[]} rows @param {number} images */
  async fetchSome(layer, rows, images) {
    for (const row of rows) this.known.set(placeOf(row, images), null);
    try {
      const found = await this.ask(layer.key, rows.map((row) => row.unit), images);
      rows.forEach((row, i) => this.known.set(placeOf(row, images), withNear(layer, row.unit, found[i])));
    } catch (error) {
      for (const row of rows) this.known.delete(placeOf(row, images)); // another question may be answered
      throw error;
    }
    for (const [key, detail] of this.known) {
      if (this.known.size <= this.room) break;
      if (detail) this.known.delete(key);
    }
  }
}

/** @param {any} row @param {number} images */
const placeOf = (row, images) => `${row.layer.key}:${row.unit}:${images}`;

/** @param {any[]} rows */
function byLayer(rows) {
  const found = new Map();
  for (const row of rows) {
    if (!found.has(row.layer)) found.set(row.layer, []);
    found.get(row.layer).push(row);
  }
  return found;
}
