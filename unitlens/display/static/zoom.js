// @ts-check
/** Zoom: one unit as large as it deserves: all its top images, its concepts, its curves. */

import { make } from "./dom.js";
import { categoryClass, histogram, iouCurves } from "./bars.js";
import { nearest } from "./details.js";
import { NONE, NUMBER, levelAt, levelWords, plural, share, shortName } from "./units.js";
import { Strip } from "./tiles.js";

const PER_ROW = 4;
const [NEAREST, LISTED] = [5, 12]; // concepts of a unit that are shown, and at most where it matches so many

/** The sentence that says what a label means. @param {any} row @param {any} detail @param {number} level */
export function sentence(row, detail, level) {
  if (row.own === NONE) return "Where this unit fires, none of the concepts of the vocabulary is seen.";
  const { world } = row.layer;
  const name = shortName(world, row.own);
  const percent = (/** @type {number} */ value) => `${Math.round(100 * value)} %`;
  const [right, found] = [share(detail.precision[level]), share(detail.recall[level])];
  const parts = Number.isNaN(right) ? "" : `Of the pixels where this unit fires, ${percent(right)} show ${name}; it fires on ${percent(found)} of all ${name} pixels. `;
  const seen = world.shows ? `${NUMBER.format(world.shows[row.own])} of ${plural(world.images, "image")} show ${name}. ` : "";
  const chance = { 0: " It does not beat chance: units match the labels of other images as well.", 1: " It beats chance.", 2: "" }[row.beats] || "";
  return `${parts}${seen}IoU ${row.ownIou.toFixed(2)}: ${verdict(row, share(detail.least[level][detail.near.indexOf(row.own)]))}.${chance}`;
}

/** Whether a unit is a detector, and how sure that is. @param {any} row @param {number} least the IoU's lower end */
function verdict(row, least) {
  const limit = row.layer.world.min_iou;
  if (row.ownIou < limit) return `below the minimum IoU of ${limit}, so no detector`;
  return least < limit ? `a detector, but the interval reaches below the minimum IoU of ${limit}` : "a detector";
}

/** A unit's concepts as a table with their intervals. @param {any} row @param {any} detail @param {number} level */
function conceptTable(row, detail, level) {
  const { world } = row.layer;
  const value = (name, k) => share(detail[name][level][k]);
  const kept = nearest(detail, level).filter(({ iou }, i) => i < (iou >= world.min_iou ? LISTED : NEAREST));
  const full = Math.max(0.1, ...kept.flatMap(({ k }) => [value("nearIou", k), value("most", k) || 0]));
  const percent = (v) => `${Math.min(100, (100 * v) / full).toFixed(2)}%`;
  const rows = kept.map(({ concept, k }) => {
    const [iou, least, most] = ["nearIou", "least", "most"].map((name) => value(name, k));
    const known = !Number.isNaN(least);
    const kind = categoryClass(world.categories[concept]);
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, world.names[concept]),
      make("td", {}, make("span", { class: `ul-chip ${kind}` }, world.categories[concept])),
      make("td", { class: "ul-wide" },
        make("span", { class: `ul-meter ${kind}`, "aria-hidden": "true" }, make("i", { style: `--v:${percent(iou)}` }), make("b", { style: `--v:${percent(world.min_iou)}` }),
          known && make("em", { style: `--from:${percent(least)};--to:${percent(most)}` }))),
      make("td", { class: "ul-number" }, iou.toFixed(3)),
      make("td", { class: "ul-number ul-muted" }, known ? `${least.toFixed(2)}–${most.toFixed(2)}` : ""),
    );
  });
  const head = ["concept", "category", "", "IoU", "90 % interval"].map((word) => make("th", { scope: "col" }, make("span", { class: "ul-aside" }, word)));
  return make("table", { class: "ul-bars" }, make("caption", { class: "ul-aside" }, "Concepts that come nearest"),
    make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows));
}

/** The top images of a unit, `tall` pixels high, in rows. @param {any} row @param {any} detail @param {any} pictures
 * @param {number} threshold @param {string} style @param {number} tall @param {number} most */
export function pictureRows(row, detail, pictures, threshold, style, tall, most) {
  const count = Math.min(most, Array.from(detail.top).filter((id) => id >= 0).length);
  const strips = [];
  for (let first = 0; first < count; first += PER_ROW) {
    const strip = new Strip(Math.min(PER_ROW, count - first), tall, row.layer.world.picture);
    strip.paintPictures(pictures, row.layer, detail, first);
    strip.paintMasks(row.layer, detail, threshold, style, first);
    strips.push(strip.element);
  }
  const words = `unit ${row.unit} of ${row.layer.key}: ${count} top images, outlined where it fires`;
  return make("div", { class: "ul-pictures", role: "img", "aria-label": words }, strips);
}

/** Everything about one unit; its name and buttons while the rest is still to come.
 * @param {any} row @param {any | null} detail with all its images
 * @param {{pictures: any, quantile: number, style: string, pinned: boolean, pin: () => void, close: () => void,
 *   step: (by: number) => void, tall: number}} host */
export function zoomed(row, detail, host) {
  const level = levelAt(row.layer.world.levels, host.quantile);
  const threshold = row.layer.arrays.threshold.data[level * row.layer.units + row.unit];
  const category = row.own === NONE ? null : row.layer.world.categories[row.own];
  const button = (name, words, sign, act, more = {}) => make("button", { type: "button", class: "ul-button", "data-hold": name, "aria-label": words, title: words, onclick: act, ...more }, sign);
  const head = make("div", { class: "ul-zoomhead" },
      make("div", {},
        make("div", { class: "ul-muted" }, `unit ${row.unit} of ${row.layer.key}`),
        make("h3", { class: "ul-title" }, shortName(row.layer.world, row.own), " ", category && make("span", { class: `ul-chip ${categoryClass(category)}` }, category))),
      make("div", { class: "ul-buttons" },
        button("previous", "Previous unit", "‹", () => host.step(-1)), button("next", "Next unit", "›", () => host.step(1)),
        button("pin", host.pinned ? "Unpin this unit" : "Pin this unit for comparison", host.pinned ? "Pinned" : "Pin", host.pin, { "aria-pressed": String(host.pinned) }),
        button("close", "Close", "×", host.close)));
  if (!detail) return [head, make("p", { class: "ul-words ul-muted", role: "status" }, "Reading the unit ...")];
  const curve = iouCurves(row.layer, detail, level);
  const tail = histogram(detail, threshold);
  const bare = !Array.from(detail.top).some((id) => id >= 0);
  const peak = Number(detail.value[0] ?? row.layer.arrays.peak?.data[row.unit] ?? NaN);
  return [
    head,
    bare ? make("p", { class: "ul-words ul-muted" }, "No pictures of this unit are kept here.") : pictureRows(row, detail, host.pictures, threshold, host.style, host.tall, 12),
    make("p", { class: "ul-words" }, sentence(row, detail, level)),
    make("p", { class: "ul-facts" },
      make("span", {}, "fires above", make("strong", {}, threshold.toPrecision(3))),
      Number.isNaN(peak) ? null : make("span", {}, "highest activation", make("strong", {}, peak.toPrecision(3))),
      make("span", {}, levelWords(row.layer.world.levels[level]))),
    make("h4", { class: "ul-sub" }, "Concepts that come nearest"), conceptTable(row, detail, level),
    curve && make("h4", { class: "ul-sub" }, "IoU by share of pixels kept"), curve,
    tail && make("h4", { class: "ul-sub" }, `Its highest activations (pixels, logarithmic)`), tail,
  ];
}
