// @ts-check
/** Shots: pictures whose answer has changed, with the places where the unit fires whose change did most for it. */

import { make } from "./dom.js";
import { HEAT } from "./tiles.js";

const WIDE = 132; // CSS pixels

/** @param {any} about @param {any} answer what Python says of 'shots' @param {Uint8Array[]} pictures JPEGs */
export async function shotFigures(about, answer, pictures) {
  const drawn = await Promise.all(pictures.map((bytes) => createImageBitmap(new Blob([/** @type {any} */ (bytes)], { type: "image/jpeg" }))));
  return drawn.map((picture, i) => {
    const [truth, before, after, unit] = answer.shot.data.subarray(4 * i, 4 * i + 4);
    const words = shotWords(about, truth, before, after, unit);
    const figure = make("figure", {}, canvasOf(picture, mapOf(answer, i), words.alt),
      make("figcaption", {}, make("span", {}, words.before, " → ", make("strong", {}, words.after)),
        make("span", { class: "ul-muted ul-small" }, words.cause)));
    picture.close();
    return figure;
  });
}

/** @param {any} about @param {number} truth @param {number} before @param {number} after @param {number} unit */
export function shotWords(about, truth, before, after, unit) {
  const name = (/** @type {number} */ i) => about.classes[i];
  const label = about.labels[unit];
  const cause = unit < 0 ? "" : `unit ${unit}${label ? ` · ${label}` : ""}`;
  const right = truth === after ? ", which it is" : truth === before ? "" : `; it is ${name(truth)}`;
  return {
    before: name(before), after: name(after), cause,
    alt: `A picture said to be ${name(before)} before and ${name(after)} now${right}.${cause ? ` Coloured where ${cause} fires.` : ""}`,
  };
}

/** @param {any} answer @param {number} i */
function mapOf(answer, i) {
  const [, h, w] = answer.map.shape;
  return h && w ? { h, w, values: answer.map.data.subarray(i * h * w, (i + 1) * h * w) } : null;
}

/** @param {ImageBitmap} picture @param {{h: number, w: number, values: Uint8Array} | null} map @param {string} alt */
function canvasOf(picture, map, alt) {
  const tall = Math.round((WIDE * picture.height) / picture.width);
  const density = Math.min(3, Math.max(1, globalThis.devicePixelRatio || 1));
  const canvas = make("canvas", { width: WIDE * density, height: tall * density, role: "img", "aria-label": alt, title: alt });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (!map) return canvas;
  const small = make("canvas", { width: map.w, height: map.h });
  const brush = small.getContext("2d");
  const image = brush.createImageData(map.w, map.h);
  map.values.forEach((value, k) => {
    const at = (value / 255) * (HEAT.length - 1);
    const low = Math.min(Math.floor(at), HEAT.length - 2);
    for (let c = 0; c < 3; c += 1) image.data[4 * k + c] = HEAT[low][c] + (at - low) * (HEAT[low + 1][c] - HEAT[low][c]);
    image.data[4 * k + 3] = Math.min(175, value); // where the unit is silent the picture stays as it is
  });
  brush.putImageData(image, 0, 0);
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  return canvas;
}
