// @ts-check
/**
 * Table: sorts and filters the rows of `dissection.table()` in place. The table is whole without it; with it, the
 * column headers are buttons, and rows that were left out are made from the data beside the table (display/table.py).
 * @typedef {{unit: number, concept: string, category: string, iou: number, low: number | null, high: number | null,
 *   beats_chance: number | null, p: string, threshold: number, runner_up: string, runner_up_iou: number,
 *   detector: number}} Unit
 * @typedef {{noun: string, full: number, min_iou: number, limit: number, keys: Record<string, string>,
 *   texts: string[], rows: any[][]}} Data
 */
import { make } from "./dom.js";

const FIELDS = ["unit", "concept", "category", "iou", "low", "high", "beats_chance", "p", "threshold", "runner_up",
  "runner_up_iou", "detector"];
const TEXTS = new Set(["concept", "category", "runner_up"]);
const RISING = new Set(["unit", ...TEXTS]); // where the first click gives the least first

/** The units of the data, in its order.
 * @param {Data} data @returns {Unit[]} */
export const unitsOf = (data) =>
  data.rows.map((row) => /** @type {any} */ (Object.fromEntries(
    FIELDS.map((field, i) => [field, TEXTS.has(field) ? data.texts[row[i]] : row[i]]),
  )));

/** Whether a unit answers a search: every word occurs in its concept or category, or is its number.
 * @param {Unit} unit @param {string} words @param {string} category "" = any */
export function matches(unit, words, category) {
  const text = `${unit.concept} ${unit.category}`.toLowerCase();
  const asked = words.toLowerCase().split(/[\s,]+/).filter((word) => word && word !== "unit");
  const found = asked.every((word) => text.includes(word) || word === String(unit.unit));
  return found && (!category || unit.category === category);
}

/** Units in another order, as a new list. Stable: equal units keep their order; what is not known comes last.
 * @param {Unit[]} units @param {string} field @param {boolean} rising */
export function ordered(units, field, rising) {
  const compare = (one, other) => {
    const [a, b] = [one[field], other[field]];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return (a < b ? -1 : a > b ? 1 : 0) * (rising ? 1 : -1);
  };
  return [...units].sort(compare);
}

/** "12 of 160 units", "160 units, the first 25 shown", "No unit matches".
 * @param {number} found @param {number} whole @param {number} shown @param {string} noun "unit" */
export function countWords(found, whole, shown, noun) {
  if (!found) return `No ${noun} matches`;
  const [some, all, first] = [found, whole, shown].map((number) => number.toLocaleString("en"));
  const rest = found > shown ? `, the first ${first} shown` : "";
  return `${found === whole ? "" : `${some} of `}${all} ${noun}${whole === 1 ? "" : "s"}${rest}`;
}

/** A measured number with three digits, as Python writes it.
 * @param {number | null} value */
export const threeDigits = (value) => (value === null ? "nan" : value.toPrecision(3).replace(/e([+-])(\d)$/, "e$10$2"));

/** A share of a width as CSS.
 * @param {number} value @param {number} full */
export const percent = (value, full) => `${(100 * Math.min(Math.max(value / full, 0), 1)).toFixed(2)}%`;

/** @param {string} words */
const aside = (words) => make("span", { class: "ul-aside" }, words);

/** The bar and number of an IoU. @param {Unit} unit @param {Data} data @param {string} key */
function score(unit, data, key) {
  const known = unit.low !== null && unit.high !== null;
  const meter = make("span", { class: `ul-meter ul-${key}`, "aria-hidden": "true" },
    make("i", { style: `--v:${percent(unit.iou, data.full)}` }),
    data.min_iou > 0 && data.min_iou < data.full && make("b", { style: `--v:${percent(data.min_iou, data.full)}` }),
    known && make("em", {
      class: unit.high > data.full && "ul-open",
      style: `--from:${percent(unit.low, data.full)};--to:${percent(unit.high, data.full)}`,
    }));
  const words = known ? ` (${unit.low.toFixed(2)} to ${unit.high.toFixed(2)})` : "";
  return make("span", { class: "ul-score" }, meter, make("span", {}, unit.iou.toFixed(2)), words && aside(words));
}

/** A unit's row, the same as display/table.py writes. @param {Unit} unit @param {Data} data @param {boolean} chance */
function rowOf(unit, data, chance) {
  const key = data.keys[unit.category] || "other";
  const ends = unit.low === null ? "" : `${unit.low.toFixed(2)} to ${unit.high.toFixed(2)}`;
  const beats = { 0: "no", 1: "yes" }[unit.beats_chance] || "";
  return make("tr", { class: !unit.detector && "ul-weak" },
    make("th", { scope: "row", class: "ul-number" }, String(unit.unit)),
    make("td", {}, unit.concept),
    make("td", {}, unit.category !== "-" && make("span", { class: `ul-chip ul-${key}` }, unit.category)),
    make("td", { title: ends ? `90 % interval of the IoU: ${ends}` : null }, score(unit, data, key)),
    chance && make("td", { title: unit.p && `p = ${unit.p}` || null }, beats),
    make("td", { class: "ul-number" }, threeDigits(unit.threshold)),
    make("td", {}, unit.runner_up),
    make("td", { class: "ul-number" }, unit.runner_up_iou > 0 ? unit.runner_up_iou.toFixed(2) : ""));
}

/** Makes one table live. @param {any} root */
export function enliven(root) {
  if (root.unitlensTable) return; // a mark that is not saved with the page
  root.unitlensTable = true;
  const written = root.querySelector('script[type="application/json"]');
  if (!written) return; // a page that takes scripts out has taken the data, too: the table stays as it is
  /** @type {Data} */
  const data = JSON.parse(written.textContent);
  const [table, heads] = [root.querySelector("table"), [...root.querySelectorAll("thead th")]];
  const body = table.tBodies[0];
  const rows = new Map([...body.rows].map((row) => [Number(row.cells[0].textContent), row]));
  const chance = heads.some((head) => head.dataset.key === "beats_chance");
  let [units, limit] = [unitsOf(data), data.limit];

  const prompt = "Find a concept or unit";
  const words = { placeholder: prompt, "aria-label": prompt };
  const search = make("input", { type: "search", class: "ul-input", ...words, oninput: show });
  const kinds = Object.keys(data.keys).map((kind) => make("option", { value: kind }, kind));
  const every = make("option", { value: "" }, "all categories");
  const category = make("select", { class: "ul-input", "aria-label": "Category", onchange: show }, every, kinds);
  const count = make("output", { class: "ul-muted", "aria-live": "polite" });
  const more = make("button", { type: "button", class: "ul-button", onclick: showAll });

  function show() {
    const found = units.filter((unit) => matches(unit, search.value, category.value));
    const shown = found.slice(0, limit);
    body.replaceChildren(...shown.map((unit) => {
      if (!rows.has(unit.unit)) rows.set(unit.unit, rowOf(unit, data, chance));
      return rows.get(unit.unit);
    }));
    count.textContent = countWords(found.length, units.length, shown.length, data.noun);
    more.textContent = `Show all ${found.length.toLocaleString("en")}`;
    more.hidden = found.length === shown.length;
  }

  function showAll() {
    limit = Infinity;
    show();
    search.focus(); // the button is gone now
  }

  /** @param {any} head */
  function sort(head) {
    const field = head.dataset.key;
    const rising = head.hasAttribute("aria-sort") ? head.getAttribute("aria-sort") !== "ascending" : RISING.has(field);
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    units = ordered(units, field, rising);
    show();
  }

  for (const head of heads) {
    head.replaceChildren(make("button", { type: "button", onclick: () => sort(head) }, head.textContent));
  }
  root.querySelectorAll(".ul-find,.ul-rest").forEach((old) => old.remove());
  root.prepend(make("div", { class: "ul-find" }, search, category, count));
  root.append(make("div", { class: "ul-rest" }, more));
  // JupyterLab has commands on single keys (d, d deletes the cell); it looks for this mark on what has the focus.
  for (const one of root.querySelectorAll("input,select,button,.ul-scroll")) one.dataset.lmSuppressShortcuts = "true";
  show();
}

if (typeof document !== "undefined") document.querySelectorAll(".ul-live").forEach(enliven);
