// @ts-check
/** Class bars: a row for each class with what is left of it, what it was, and what random units would have left. */

import { inPlace, make } from "./dom.js";
import { byFall, classWords, percent, points } from "./benchwords.js";

export class ClassBars {
  /** @param {any} about @param {(name: string) => void} chosen a class was clicked */
  constructor(about, chosen) {
    [this.about, this.painted] = [about, ""];
    this.rows = about.classes.map((name, i) => this.row(name, i, chosen));
    this.order = this.rows.map((_, i) => i);
    this.element = make("div", { class: "ul-classes", role: "group", "aria-label": "Classes" }, this.rows.map((row) => row.element));
  }

  /** @param {string} name @param {number} i @param {(name: string) => void} chosen */
  row(name, i, chosen) {
    const parts = { bar: make("i"), tick: make("b"), interval: make("em"), random: make("u"), value: make("span", { class: "ul-number" }), change: make("span", { class: "ul-number ul-muted" }) };
    const meter = make("span", { class: "ul-meter", "aria-hidden": "true" }, parts.random, parts.bar, parts.interval, parts.tick);
    const element = make("button", { type: "button", class: "ul-class", "data-hold": name, "aria-pressed": "false", onclick: () => chosen(name) },
      make("span", { class: "ul-name" }, name), make("span", { class: "ul-muted ul-small" }, String(this.about.shows[i])), meter, parts.value, parts.change);
    if (!this.about.shows[i]) element.hidden = true; // nothing can be lost of it
    return { element, parts, meter, name };
  }

  /** @param {any} answer @param {any} control @param {string} measure @param {string} shown
   * @param {boolean} resting puts the rows in order; while something is dragged they keep their places */
  update(answer, control, measure, shown, resting) {
    const at = this.about.measures.indexOf(measure);
    const count = this.rows.length;
    const of = (/** @type {any} */ array) => array.data.subarray(at * count, (at + 1) * count);
    const before = this.about.intact[at].map((value) => (value === null ? NaN : value));
    const [after, low, high] = [answer.after, answer.low, answer.high].map(of);
    this.rows.forEach((row, i) => {
      if (row.element.hidden) return;
      const random = control && controlOf(control, at, i, count);
      const known = Number.isFinite(after[i]);
      row.parts.bar.style.setProperty("--v", known ? `${100 * after[i]}%` : "0%");
      row.parts.tick.style.setProperty("--v", `${100 * (before[i] || 0)}%`);
      row.parts.tick.hidden = !Number.isFinite(before[i]);
      span(row.parts.interval, low[i], high[i]);
      span(row.parts.random, random ? random[0] : NaN, random ? random[1] : NaN);
      row.parts.value.textContent = percent(after[i]);
      row.parts.change.textContent = points(after[i] - before[i]);
      row.element.classList.toggle("ul-fell", high[i] < before[i]);
      row.element.setAttribute("aria-pressed", String(row.name === shown));
      row.element.setAttribute("aria-label", classWords({ name: row.name, shows: this.about.shows[i], measure, before: before[i], after: after[i], low: low[i], high: high[i], control: random }));
    });
    if (resting) this.arrange(byFall(before, after));
  }

  /** @param {number[]} order */
  arrange(order) {
    if (order.join() === this.order.join()) return;
    this.order = order;
    let last = null;
    for (const i of order) last = inPlace(this.element, this.rows[i].element, last);
  }
}

/** The least and the most that random units leave of a class. @param {any} control @param {number} measure
 * @param {number} at @param {number} count @returns {[number, number] | null} */
function controlOf(control, measure, at, count) {
  const [draws, measures] = control.control.shape;
  const values = Array.from({ length: draws }, (_, d) => control.control.data[(d * measures + measure) * count + at]).filter(Number.isFinite);
  return values.length ? [Math.min(...values), Math.max(...values)] : null;
}

/** @param {HTMLElement} element @param {number} low @param {number} high */
function span(element, low, high) {
  element.hidden = !Number.isFinite(low);
  element.style.setProperty("--from", `${100 * low}%`);
  element.style.setProperty("--to", `${100 * high}%`);
}
