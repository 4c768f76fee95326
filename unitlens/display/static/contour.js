// @ts-check
/** Contours: where an activation map exceeds a value, as closed lines. Pure geometry, tested by node. */

/** Weights of bilinear interpolation along one axis, as display/pixels.py has them: for each of `points` evenly spaced
 * places of a picture axis, the lower cell and the share of the next one.
 * @param {number} cells @param {number} points @param {number} pixels @param {number[] | null} line scale and offset */
export function axis(cells, points, pixels, line) {
  const [scale, offset] = line || [pixels / cells, (0.5 * pixels) / cells - 0.5];
  const low = new Int32Array(points);
  const part = new Float32Array(points);
  for (let i = 0; i < points; i += 1) {
    const place = (i / (points - 1)) * pixels - 0.5; // from edge to edge of the picture, in its pixels
    const source = Math.min(Math.max((place - offset) / scale, 0), cells - 1);
    low[i] = Math.min(Math.floor(source), Math.max(cells - 2, 0));
    part[i] = source - low[i];
  }
  return { low, part };
}

/** A map on a finer grid that reaches from edge to edge of its picture: Float32Array (rows x columns).
 * @param {ArrayLike<number>} map @param {number} from first place in `map` @param {number[]} cells [h, w]
 * @param {{low: Int32Array, part: Float32Array}} down @param {{low: Int32Array, part: Float32Array}} across */
export function refined(map, from, cells, down, across) {
  const [h, w] = cells;
  const [rows, columns] = [down.low.length, across.low.length];
  const wide = new Float32Array(h * columns);
  for (let y = 0; y < h; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      const at = from + y * w + across.low[x];
      const next = w > 1 ? map[at + 1] : map[at];
      wide[y * columns + x] = map[at] + across.part[x] * (next - map[at]);
    }
  }
  const fine = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y += 1) {
    const [here, below] = [down.low[y] * columns, (h > 1 ? down.low[y] + 1 : down.low[y]) * columns];
    for (let x = 0; x < columns; x += 1) {
      fine[y * columns + x] = wide[here + x] + down.part[y] * (wide[below + x] - wide[here + x]);
    }
  }
  return fine;
}

/** Closed lines around all that exceeds `level`: arrays [x0, y0, x1, y1, ...] in cells of the grid, 0..columns - 1.
 * What lies outside the grid counts as below, so a line closes along the border.
 * @param {Float32Array} field @param {number} rows @param {number} columns @param {number} level */
export function contours(field, rows, columns, level) {
  const inside = (y, x) => y >= 0 && x >= 0 && y < rows && x < columns && field[y * columns + x] > level;
  const value = (y, x) => field[y * columns + x];
  // Where the line crosses an edge between two neighbouring points; on the border it runs along the outermost points.
  const cross = (ya, xa, yb, xb) => {
    const known = Math.min(ya, yb) >= 0 && Math.min(xa, xb) >= 0 && Math.max(ya, yb) < rows && Math.max(xa, xb) < columns;
    if (!known) return inside(ya, xa) ? [xa, ya] : [xb, yb];
    const t = (level - value(ya, xa)) / (value(yb, xb) - value(ya, xa));
    return [xa + t * (xb - xa), ya + t * (yb - ya)];
  };
  const next = new Map(); // directed segments, the inside on their right: name of the edge they start at -> segment
  const name = (y, x, upright) => ((y + 1) * (columns + 2) + x + 1) * 2 + upright;
  for (let y = -1; y < rows; y += 1) {
    for (let x = -1; x < columns; x += 1) {
      const corners = Number(inside(y, x)) + 2 * Number(inside(y, x + 1)) + 4 * Number(inside(y + 1, x + 1)) + 8 * Number(inside(y + 1, x));
      if (corners === 0 || corners === 15) continue;
      const sides = [
        { name: name(y, x, 0), at: () => cross(y, x, y, x + 1) }, // top
        { name: name(y, x + 1, 1), at: () => cross(y, x + 1, y + 1, x + 1) }, // right
        { name: name(y + 1, x, 0), at: () => cross(y + 1, x, y + 1, x + 1) }, // bottom
        { name: name(y, x, 1), at: () => cross(y, x, y + 1, x) }, // left
      ];
      for (const [from, to] of SEGMENTS[corners]) next.set(sides[from].name, { to: sides[to].name, point: sides[from].at() });
    }
  }
  const lines = [];
  for (const start of next.keys()) {
    if (!next.has(start)) continue;
    const line = [];
    for (let edge = start; next.has(edge); ) {
      const segment = next.get(edge);
      next.delete(edge);
      line.push(segment.point[0], segment.point[1]);
      edge = segment.to;
    }
    lines.push(line);
  }
  return lines;
}

/** Segments of a cell by its corners above the level (1 top left, 2 top right, 4 bottom right, 8 bottom left). Two
 * corners that face each other are kept apart. Sides: 0 top, 1 right, 2 bottom, 3 left. */
const SEGMENTS = [
  [], [[0, 3]], [[1, 0]], [[1, 3]], [[2, 1]], [[0, 3], [2, 1]], [[2, 0]], [[2, 3]],
  [[3, 2]], [[0, 2]], [[1, 0], [3, 2]], [[1, 2]], [[3, 1]], [[0, 1]], [[3, 0]], [],
];
