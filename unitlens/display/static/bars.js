// @ts-check
/** Bars: units per concept as buttons, and the curves of one unit. */

import { draw, focused, inPlace, make, roving } from "./dom.js";
import { nearest } from "./details.js";
import { levelWords, plural, share } from "./units.js";

/** The palette's name for a category; the stylesheet has a class for each. @param {string} category */
export function categoryClass(category) {
  const name = category === "color" ? "colour" : category;
  return `ul-${["object", "part", "material", "texture", "colour"].includes(name) ? name : "other"}`;
}

const SETTLE = 400; // ms after which bars that were held in their places are put in order

/** Units per concept, each a button. Buttons stay while their numbers change: hundreds of new ones take a while. */
export class BarGraph {
  /** @param {(full: string) => void} choose hears a concept's whole name, or "" when it is let go */
  constructor(choose) {
    this.choose = choose;
    /** @type {Map<string, any>} */
    this.buttons = new Map();
    /** @type {any[]} */
    this.bars = []; // as they stand
    this.element = make("div", { class: "ul-bargraph", role: "toolbar", "aria-label": "Units per concept: choose one to see its units" });
    roving(this.element, "button");
  }

  /** @param {any[]} bars @param {string} chosen @param {Map<string, number> | null} other a second layer's counts by full
   * name, hatched beside @param {boolean} moving whether more of the same is coming: bars keep their places until then */
  show(bars, chosen, other, moving = false) {
    clearTimeout(this.settling);
    if (moving) {
      this.settling = setTimeout(() => this.show(bars, chosen, other), SETTLE);
      this.fill(inPlaces(bars, this.bars), chosen, other);
    } else this.fill(bars, chosen, other);
  }

  /** @param {any[]} bars @param {string} chosen @param {Map<string, number> | null} other */
  fill(bars, chosen, other) {
    this.bars = bars;
    const most = Math.max(1, ...bars.map((bar) => bar.units), ...(other ? other.values() : []));
    const held = focused(this.element);
    const names = new Set(bars.map((bar) => bar.full));
    for (const [full, { element }] of this.buttons) {
      if (names.has(full)) continue;
      element.remove();
      this.buttons.delete(full);
    }
    let before = null;
    const several = repeated(bars.map(({ full }) => nameOf(full)));
    for (const bar of bars) {
      const button = this.buttons.get(bar.full) || this.button(bar);
      button.parts.name.textContent = several.has(nameOf(bar.full)) ? bar.full : nameOf(bar.full);
      before = inPlace(this.element, button.element, before);
      fillButton(button, bar, most, chosen === bar.full.toLowerCase(), other ? other.get(bar.full) || 0 : null);
    }
    if (held?.isConnected) held.focus({ preventScroll: true }); // a button that moves loses it
    if (!this.element.querySelector("[tabindex='0']")) this.element.firstElementChild?.setAttribute("tabindex", "0");
  }

  /** @param {any} bar */
  button({ full, category }) {
    const parts = { count: make("b"), first: make("i"), second: make("i", { class: "ul-second" }), name: make("span", { class: "ul-name" }) };
    const element = make(
      "button",
      { type: "button", class: categoryClass(category), tabindex: -1, onclick: () => this.choose(element.getAttribute("aria-pressed") === "true" ? "" : full) },
      make("span", { class: "ul-column" }, parts.count, parts.first),
      parts.name,
    );
    const button = { element, parts, shows: "" };
    this.buttons.set(full, button);
    return button;
  }
}

/** "tree (object)" -> "tree". @param {string} full */
const nameOf = (full) => full.slice(0, full.lastIndexOf(" ("));

/** What is in a list more than once. @param {string[]} names */
const repeated = (names) => new Set(names.filter((name, i) => names.indexOf(name) !== i));

/** Bars in the places they have: those that are gone stay as empty ones, new ones come last.
 * @param {any[]} bars @param {any[]} before */
export function inPlaces(bars, before) {
  const found = new Map(bars.map((bar) => [bar.full, bar]));
  const held = before.map((bar) => found.get(bar.full) || { ...bar, units: 0 });
  const known = new Set(before.map((bar) => bar.full));
  return [...held, ...bars.filter((bar) => !known.has(bar.full))];
}

/** @param {any} button @param {any} bar @param {number} most @param {boolean} pressed @param {number | null} second */
function fillButton(button, bar, most, pressed, second) {
  const { element, parts } = button;
  const shows = `${bar.units} ${second} ${most} ${pressed}`;
  if (button.shows === shows) return;
  button.shows = shows;
  const words = `${bar.full}: ${plural(bar.units, "unit")}${second === null ? "" : `, ${second} in the other`}`;
  for (const name of ["title", "aria-label"]) element.setAttribute(name, words);
  element.setAttribute("aria-pressed", String(pressed));
  parts.count.textContent = second ? `${bar.units}/${second}` : bar.units ? String(bar.units) : "";
  parts.first.style.setProperty("--v", `${((100 * bar.units) / most).toFixed(1)}%`);
  parts.second.style.setProperty("--v", `${((100 * (second || 0)) / most).toFixed(1)}%`);
  if (second === null) parts.second.remove();
  else element.firstElementChild.append(parts.second);
}

const [WIDE, TALL, LEFT, BELOW] = [300, 120, 34, 20];

/** The IoU of a unit's nearest concepts by the share of pixels kept, with the interval of the first; a line marks where
 * one looks. @param {any} layer @param {any} detail @param {number} level */
export function iouCurves(layer, detail, level) {
  const { levels } = layer.world;
  if (levels.length < 2) return null;
  const kept = nearest(detail, level).slice(0, 3);
  const value = (name, q, k) => share(detail[name][q][k]);
  const first = kept.slice(0, 1).flatMap(({ k }) => levels.map((_, q) => value("most", q, k) || 0));
  const top = topOf(Math.max(...first, ...kept.flatMap(({ k }) => levels.map((_, q) => value("nearIou", q, k)))));
  const logs = levels.map((q) => Math.log(1 - q));
  const x = (q) => LEFT + ((WIDE - LEFT - 6) * (logs[0] - logs[q])) / (logs[0] - logs[logs.length - 1]);
  const y = (v) => 6 + (TALL - BELOW - 6) * (1 - v / top);
  const points = (name, k) => levels.map((_, q) => [x(q), y(value(name, q, k))]).filter(([, v]) => !Number.isNaN(v));
  const path = (list) => list.map(([a, b], i) => `${i ? "L" : "M"}${a.toFixed(1)} ${b.toFixed(1)}`).join("");
  const band = kept.length ? [...points("most", kept[0].k), ...points("least", kept[0].k).reverse()] : [];
  const words = kept.map(({ concept, k }) => `${layer.world.names[concept]} ${value("nearIou", level, k).toFixed(2)}`).join(", ");
  const chart = draw(
    "svg",
    { class: "ul-chart ul-curve", viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "aria-label": `IoU by share of pixels kept. At the ${levelWords(levels[level])}: ${words}` },
    [0, top / 2, top].map((v) => [
      draw("line", { class: "ul-tick", x1: LEFT, x2: WIDE - 6, y1: y(v), y2: y(v) }),
      draw("text", { x: LEFT - 5, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(2)),
    ]),
    shownLevels(levels).map((q) => draw("text", { x: x(q), y: TALL - 4, "text-anchor": "middle" }, percent(levels[q]))),
    band.length > 3 && draw("path", { class: `ul-interval ${categoryClass(layer.world.categories[kept[0].concept])}`, d: `${path(band)}Z` }),
    kept.map(({ concept, k }, i) =>
      draw("path", { class: `ul-line ul-line-${i} ${categoryClass(layer.world.categories[concept])}`, d: path(points("nearIou", k)) })),
    draw("line", { class: "ul-here", x1: x(level), x2: x(level), y1: 4, y2: TALL - BELOW }),
  );
  const names = kept.map(({ concept }, i) =>
    make("span", { class: categoryClass(layer.world.categories[concept]) },
      draw("svg", { class: "ul-key", viewBox: "0 0 22 6" }, draw("path", { class: `ul-line ul-line-${i}`, d: "M0 3H22" })), layer.world.names[concept]));
  return make("div", {}, chart, make("div", { class: "ul-legend", "aria-hidden": "true" }, names));
}

/** Where an axis of IoU ends: a round number with a round half. @param {number} most */
export const topOf = (most) => [0.1, 0.2, 0.3, 0.4, 0.6, 0.8].find((end) => most <= end) ?? 1;

/** @param {number[]} levels */
function shownLevels(levels) {
  const wanted = [0.97, 0.99, 0.995, 0.999].map((q) => levels.indexOf(q)).filter((q) => q >= 0);
  return wanted.length ? wanted : [0, levels.length - 1];
}

/** @param {number} level */
const percent = (level) => `${Number((100 * (1 - level)).toPrecision(2))} %`;

/** How the unit's highest activations are distributed: pixels per bin of equal width, on a logarithmic scale.
 * @param {any} detail @param {number} threshold @param {number} bins */
export function tailBins(detail, threshold, bins = 24) {
  const { edges, tail } = detail;
  if (!edges.length) return null;
  const [low, high] = [edges[0], Math.max(edges[edges.length - 1], detail.value[0] || -Infinity)];
  if (!(high > low)) return null;
  const above = (value) => {
    // The share above a value: exponential between two edges, as the engine reads it; even from the last to the highest.
    let j = 0;
    while (j < edges.length - 1 && edges[j + 1] <= value) j += 1;
    if (j === edges.length - 1) return value >= high ? 0 : (tail[j] * (high - value)) / (high - edges[j]);
    const part = (value - edges[j]) / Math.max(edges[j + 1] - edges[j], 1e-12);
    return tail[j + 1] > 0 ? tail[j] * (tail[j + 1] / tail[j]) ** part : tail[j] * (1 - part);
  };
  const step = (high - low) / bins;
  const counts = Array.from({ length: bins }, (_, i) => Math.max(0, above(low + i * step) - above(low + (i + 1) * step)));
  return { low, high, counts, at: (threshold - low) / (high - low), first: tail[0] };
}

/** @param {any} detail @param {number} threshold */
export function histogram(detail, threshold) {
  const found = tailBins(detail, threshold);
  if (!found) return null;
  const [floor, most] = [1e-6, Math.max(...found.counts, 1e-5)];
  const height = (v) => (v > floor ? Math.log(v / floor) / Math.log(most / floor) : 0) * (TALL - BELOW - 8);
  const step = (WIDE - LEFT - 6) / found.counts.length;
  const place = LEFT + Math.min(Math.max(found.at, 0), 1) * (WIDE - LEFT - 6);
  return draw(
    "svg",
    {
      class: "ul-chart ul-curve", viewBox: `0 0 ${WIDE} ${TALL}`, role: "img",
      "aria-label": `Distribution of the highest ${(100 * found.first).toPrecision(2)} % of activations, from ${found.low.toPrecision(3)} to ${found.high.toPrecision(3)}; the threshold is ${threshold.toPrecision(3)}`,
    },
    found.counts.map((v, i) =>
      draw("rect", { class: (i + 0.5) / found.counts.length > found.at ? "ul-fires" : "ul-rests", x: LEFT + i * step + 0.5, width: Math.max(1, step - 1), y: TALL - BELOW - height(v), height: height(v) })),
    draw("line", { class: "ul-here", x1: place, x2: place, y1: 4, y2: TALL - BELOW }),
    [[0, found.low, "start"], [1, found.high, "end"]].map(([at, v, anchor]) =>
      draw("text", { x: LEFT + at * (WIDE - LEFT - 6), y: TALL - 4, "text-anchor": anchor }, Number(v).toPrecision(3))),
  );
}
