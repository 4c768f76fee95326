// @ts-check
/** Pins: units side by side, whichever layers and models they are of. */

import { make } from "./dom.js";
import { categoryClass } from "./bars.js";
import { nearest } from "./details.js";
import { NONE, fullName, shortName } from "./units.js";

/** @param {any[]} rows @param {any} host */
export function pins(rows, host) {
  if (!rows.length) return [];
  return [
    make("div", { class: "ul-trayhead" }, make("h3", { class: "ul-sub" }, `Pinned: ${rows.length}`),
      make("button", { type: "button", class: "ul-button", "data-hold": "clear", onclick: host.clear }, "Unpin all")),
    make("div", { class: "ul-pins", tabindex: 0, "data-hold": "pins", role: "group", "aria-label": "Pinned units side by side" }, rows.map((row) => pin(row, host))),
  ];
}

/** @param {any} row @param {any} host */
function pin(row, host) {
  const level = host.level(row);
  const detail = host.detail(row);
  const strip = new host.Strip(4, 64, row.layer.world.picture);
  if (detail) {
    strip.paintPictures(host.pictures, row.layer, detail);
    strip.paintMasks(row.layer, detail, row.layer.arrays.threshold.data[level * row.layer.units + row.unit], host.style);
  }
  const name = `unit ${row.unit} of ${row.layer.key}`;
  const near = detail ? nearest(detail, level) : [];
  const category = row.own === NONE ? "other" : row.layer.world.categories[row.own];
  return make(
    "article",
    { class: "ul-held", "aria-label": `${name}: ${fullName(row.layer.world, row.own)}, IoU ${row.ownIou.toFixed(2)}` },
    make("div", { class: "ul-head" }, make("strong", {}, shortName(row.layer.world, row.own)),
      make("span", { class: `ul-chip ${categoryClass(category)}` }, row.own === NONE ? "-" : category),
      make("span", { class: "ul-muted ul-small" }, name)),
    strip.element,
    make("div", { class: "ul-small ul-muted" }, near.slice(0, 3).map(({ concept, iou }) => `${row.layer.world.names[concept]} ${iou.toFixed(2)}`).join(" · ")),
    make("div", { class: "ul-buttons" },
      make("button", { type: "button", class: "ul-button", "data-hold": `open ${name}`, "aria-label": `Open ${name}`, onclick: () => host.open(row) }, "Open"),
      make("button", { type: "button", class: "ul-button", "data-hold": `unpin ${name}`, "aria-label": `Unpin ${name}`, onclick: () => host.drop(row) }, "Unpin")),
  );
}
