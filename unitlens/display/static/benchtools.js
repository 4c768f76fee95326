// @ts-check
/** Bench tools: what chooses units, how many of them, and what is done to them. */

import { focused, make } from "./dom.js";
import { BY, factorWords, unitsTyped } from "./benchwords.js";

const HIGHEST = 3; // times as loud

/** @param {string} words @param {[string, string][]} options value and text @param {(value: string) => void} chosen */
export function picker(words, options, chosen) {
  const element = make("select", { class: "ul-input", "aria-label": words, onchange: () => chosen(element.value) });
  const fill = (/** @type {[string, string][]} */ list) => element.replaceChildren(...list.map(([value, text]) => make("option", { value }, text)));
  fill(options);
  return { element, fill };
}

/** @param {any} about @param {{get: (name: string) => any, set: (patch: Record<string, any>) => void}} memory
 * @param {Record<string, () => void>} acts undo, redo, reset, code, table */
export function benchTools(about, memory, acts) {
  const ways = Object.entries(BY).filter(([by]) => (by === "class" ? about.ranked.length : by === "concept" ? about.concepts.length : true));
  const by = picker("Which units", ways, (value) => memory.set({ by: value }));
  const name = picker("Class or concept", [], (value) => memory.set({ name: value }));
  const typed = make("input", { type: "text", class: "ul-input ul-search", "aria-label": "Unit numbers", placeholder: "3, 7-9", onchange: () => take() });
  const wrong = make("span", { class: "ul-muted ul-small", role: "alert", hidden: true }, `Expected unit numbers 0 to ${about.units - 1}, such as 3, 7-9.`);
  const lot = make("button", { type: "button", class: "ul-button", onclick: () => memory.set({ draw: memory.get("draw") + 1 }) }, "Another lot");
  const count = dragged("How many units", { min: 0, max: about.units, step: 1 }, (value) => memory.set({ count: value }));
  const factor = dragged("Factor of their activation", { min: 0, max: HIGHEST, step: 0.1 }, (value) => memory.set({ factor: value }));
  const measure = picker("Measure", about.measures.map((one) => [one, one]), (value) => memory.set({ measure: value }));
  const buttons = Object.fromEntries(Object.entries({ undo: "Undo", redo: "Redo", reset: "Reset", code: "Python", table: "CSV" })
    .map(([key, text]) => [key, make("button", { type: "button", class: "ul-button", onclick: acts[key] }, text)]));
  let shownFor = "";

  function take() {
    const numbers = unitsTyped(typed.value, about.units);
    wrong.hidden = numbers !== null;
    typed.setAttribute("aria-invalid", String(numbers === null));
    if (numbers) memory.set({ numbers, count: numbers.length });
  }

  /** @param {number} most units that can be taken */
  function update(most) {
    const way = memory.get("by");
    by.element.value = way;
    const list = way === "class" ? about.ranked : way === "concept" ? about.concepts : [];
    if (shownFor !== way) name.fill(list.map((one) => [one, one]));
    shownFor = way;
    name.element.hidden = !list.length;
    if (list.length) name.element.value = memory.get("name");
    typed.hidden = way !== "numbers";
    if (way !== "numbers") wrong.hidden = true;
    if (!focused(typed)) typed.value = memory.get("numbers").join(", ");
    lot.hidden = way !== "random";
    const units = Math.min(memory.get("count"), most);
    count.show(units, `${units} of ${about.units} units`, most);
    factor.show(memory.get("factor"), factorWords(memory.get("factor")));
    measure.element.value = memory.get("measure");
    buttons.undo.disabled = !memory.get("can_undo");
    buttons.redo.disabled = !memory.get("can_redo");
  }
  const element = make("div", { class: "ul-tools" },
    make("div", { class: "ul-controls" }, make("label", { class: "ul-field" }, "Units ", by.element), name.element, typed, lot, wrong,
      make("span", { class: "ul-buttons" }, Object.values(buttons))),
    make("div", { class: "ul-controls" }, count.element, factor.element, make("label", { class: "ul-field" }, "Measure ", measure.element)));
  return { element, update };
}

/** A slider with its value in words. @param {string} label @param {Record<string, number>} range @param {(value: number) => void} moved */
export function dragged(label, range, moved) {
  const input = make("input", { type: "range", class: "ul-slider", ...range, "aria-label": label, oninput: () => moved(Number(input.value)) });
  const words = make("span", { class: "ul-level", "aria-hidden": "true" }); // the slider says the same
  /** @param {number} value @param {string} text @param {number} [most] */
  const show = (value, text, most) => {
    if (most !== undefined) input.max = String(Math.max(1, most));
    if (Number(input.value) !== value) input.value = String(value);
    input.setAttribute("aria-valuetext", text);
    words.textContent = text;
  };
  return { element: make("label", { class: "ul-field" }, input, words), show };
}
