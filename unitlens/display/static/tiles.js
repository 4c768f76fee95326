// @ts-check
/** Tiles: a unit's top images on canvases, with the places where it fires. */

import { make } from "./dom.js";
import { axis, contours, refined } from "./contour.js";

const GAP = 4; // CSS pixels between the images of a strip
const FINE = 48; // points of the grid along the longer side of a picture on which lines are found
const DIM = 0.58; // darkness outside
export const HEAT = [
  [0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10], [249, 201, 50], [252, 255, 164],
];

export const STYLES = ["outline", "heat", "dim", "plain"];

/** The width of a strip of `count` images whose height is `tall`.
 * @param {number} count @param {number} tall @param {number[]} picture [H, W] */
export function stripWidth(count, tall, picture) {
  return count * (tileWidth(tall, picture) + GAP) - GAP;
}

/** @param {number} tall @param {number[]} picture */
const tileWidth = (tall, picture) => (picture[0] ? Math.round((tall * picture[1]) / picture[0]) : tall);

/** Decoded pictures, the last few hundred of them; `ask(of, ids)` gives JPEG bytes. */
export class Pictures {
  /** @param {(of: number, ids: number[]) => Promise<Uint8Array[]>} ask @param {number} room */
  constructor(ask, room = 1500) {
    [this.ask, this.room] = [ask, room];
    /** @type {Map<string, ImageBitmap | null>} */
    this.known = new Map(); // null: asked for, or there is none
  }

  /** @param {number} of @param {number} id */
  get(of, id) {
    const key = `${of}:${id}`;
    const picture = this.known.get(key);
    if (picture) {
      this.known.delete(key); // the last used stands last
      this.known.set(key, picture);
    }
    return picture || null;
  }

  /** Fetches those that are missing; resolves to whether any is new. @param {number} of @param {Iterable<number>} ids */
  async fetch(of, ids) {
    const missing = [...new Set(ids)].filter((id) => id >= 0 && !this.known.has(`${of}:${id}`));
    if (!missing.length) return false;
    for (const id of missing) this.known.set(`${of}:${id}`, null);
    try {
      const found = await this.ask(of, missing);
      await Promise.all(found.map((bytes, i) => this.decode(`${of}:${missing[i]}`, bytes)));
    } catch (error) {
      for (const id of missing) this.known.delete(`${of}:${id}`); // another question may be answered
      throw error;
    }
    for (const [key, picture] of this.known) {
      if (this.known.size <= this.room) break;
      this.known.delete(key);
      picture?.close();
    }
    return true;
  }

  /** @param {string} key @param {Uint8Array} bytes */
  async decode(key, bytes) {
    if (bytes.length) this.known.set(key, await createImageBitmap(new Blob([bytes], { type: "image/jpeg" })));
  }
}

/** The fine fields of a unit's maps, computed once: what the quantile moves through.
 * @param {any} layer @param {any} detail one unit of the answer of `units` @param {number} image */
function fieldOf(layer, detail, image) {
  detail.fields = detail.fields || [];
  if (detail.fields[image]) return detail.fields[image];
  const [, h, w] = detail.mapShape;
  const [tall, wide] = layer.world.picture[0] ? layer.world.picture : [h, w];
  const rows = Math.max(2, Math.round((FINE * tall) / Math.max(tall, wide)));
  const columns = Math.max(2, Math.round((FINE * wide) / Math.max(tall, wide)));
  const [sy, oy, sx, ox] = layer.geometry || [];
  const down = axis(h, rows, tall, layer.geometry && [sy, oy]);
  const across = axis(w, columns, wide, layer.geometry && [sx, ox]);
  const field = { rows, columns, values: refined(detail.maps, image * h * w, [h, w], down, across) };
  detail.fields[image] = field;
  return field;
}

/** Two canvases on top of each other: the pictures, and the places where the unit fires. Drawn at the screen's density.
 * On paper (`flat`) one canvas at the density of the page: there may be thousands, and cleared ones print white. */
export class Strip {
  /** @param {number} count @param {number} tall @param {number[]} picture @param {boolean} flat */
  constructor(count, tall, picture, flat = false) {
    [this.count, this.tall, this.wide, this.flat] = [count, tall, tileWidth(tall, picture), flat];
    this.density = flat ? 1 : Math.min(3, Math.max(1, globalThis.devicePixelRatio || 1));
    const width = stripWidth(count, tall, picture);
    const size = { width: Math.round(width * this.density), height: Math.round(tall * this.density) };
    this.base = make("canvas", { ...size, "aria-hidden": "true" });
    this.over = flat ? this.base : make("canvas", { ...size, "aria-hidden": "true" });
    this.element = make("div", { class: "ul-film", style: `width:${width}px;height:${tall}px;aspect-ratio:${width}/${tall}` }, this.base, flat ? null : this.over);
  }

  /** Takes everything off. */
  clear() {
    for (const canvas of [this.base, this.over]) {
      const pen = canvas.getContext("2d");
      pen.resetTransform();
      pen.clearRect(0, 0, canvas.width, canvas.height);
    }
  }

  /** Draws the pictures that are there already. Returns whether all are.
   * @param {Pictures} pictures @param {any} layer @param {any} detail @param {number} first */
  paintPictures(pictures, layer, detail, first = 0) {
    const pen = this.base.getContext("2d");
    pen.setTransform(this.density, 0, 0, this.density, 0, 0);
    if (!this.flat) pen.clearRect(0, 0, this.base.width, this.base.height);
    pen.imageSmoothingQuality = "high";
    let whole = true;
    for (let i = 0; i < this.count; i += 1) {
      const id = detail.top[first + i] ?? -1;
      const picture = id >= 0 ? pictures.get(layer.of, id) : null;
      if (picture) pen.drawImage(picture, this.left(i), 0, this.wide, this.tall);
      whole = whole && (id < 0 || picture !== null);
    }
    return whole;
  }

  /** @param {number} i */
  left(i) {
    return i * (this.wide + GAP);
  }

  /** Draws where the unit exceeds a threshold. @param {any} layer @param {any} detail @param {number} threshold
   * @param {string} style @param {number} first */
  paintMasks(layer, detail, threshold, style, first = 0) {
    const pen = this.over.getContext("2d");
    pen.setTransform(this.density, 0, 0, this.density, 0, 0);
    if (!this.flat) pen.clearRect(0, 0, this.over.width, this.over.height);
    if (style === "plain") return;
    for (let i = 0; i < this.count && first + i < detail.mapShape[0]; i += 1) {
      if ((detail.top[first + i] ?? -1) < 0) continue;
      const field = fieldOf(layer, detail, first + i);
      const level = (255 * (threshold - detail.low)) / Math.max(detail.high - detail.low, 1e-12);
      pen.save();
      pen.beginPath();
      pen.rect(this.left(i), 0, this.wide, this.tall);
      pen.clip();
      pen.translate(this.left(i), 0);
      if (style === "heat") this.heat(pen, field, level);
      else this.mask(pen, field, level, style);
      pen.restore();
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} field @param {number} level @param {string} style */
  mask(pen, field, level, style) {
    const lines = contours(field.values, field.rows, field.columns, level);
    const [x, y] = [this.wide / (field.columns - 1), this.tall / (field.rows - 1)];
    const path = new Path2D();
    for (const line of lines) {
      path.moveTo(line[0] * x, line[1] * y);
      for (let i = 2; i < line.length; i += 2) path.lineTo(line[i] * x, line[i + 1] * y);
      path.closePath();
    }
    const outside = new Path2D(path);
    outside.rect(0, 0, this.wide, this.tall);
    pen.fillStyle = `rgba(0,0,0,${DIM})`;
    pen.fill(outside, "evenodd");
    if (style !== "outline") return;
    const unit = Math.max(1, this.tall / 90);
    pen.lineJoin = "round";
    pen.strokeStyle = "rgba(20,16,0,.55)";
    pen.lineWidth = 3.6 * unit;
    pen.stroke(path);
    pen.strokeStyle = "rgb(255,222,60)";
    pen.lineWidth = 1.7 * unit;
    pen.stroke(path);
  }

  /** Colour by activation, from nothing (or the least value, where the threshold is below it) to the peak shown.
   * @param {CanvasRenderingContext2D} pen @param {any} field @param {number} level */
  heat(pen, field, level) {
    const small = make("canvas", { width: field.columns, height: field.rows });
    const brush = small.getContext("2d");
    const picture = brush.createImageData(field.columns, field.rows);
    field.values.forEach((value, i) => {
      const at = Math.min(Math.max(value / 255, 0), 1) * (HEAT.length - 1);
      const [k, part] = [Math.min(Math.floor(at), HEAT.length - 2), at - Math.min(Math.floor(at), HEAT.length - 2)];
      for (let c = 0; c < 3; c += 1) picture.data[4 * i + c] = HEAT[k][c] + part * (HEAT[k + 1][c] - HEAT[k][c]);
      const inside = Math.min(Math.max((value - level) / 24 + 0.5, 0), 1); // a soft edge: the grid is coarse
      picture.data[4 * i + 3] = 255 * (0.3 + (0.3 * at) / (HEAT.length - 1) + 0.2 * inside);
    });
    brush.putImageData(picture, 0, 0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(small, 0, 0, this.wide, this.tall);
  }
}
