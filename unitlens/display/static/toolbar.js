// @ts-check
/** Toolbar: layers as tabs, and everything that narrows, orders or colours what is shown. */

import { focused, make, roving } from "./dom.js";
import { STYLES } from "./tiles.js";
import { NONE, NUMBER, levelAt, levelWords, plural, rowsOf } from "./units.js";

const ORDER_WORDS = { iou: "highest IoU first", concept: "by concept", unit: "by unit number" };

const shortIou = (/** @type {number} */ value) => String(Number(value.toFixed(3)));

/** @param {string} id @param {any} about @param {any[]} entries @param {import("./browser.js").Memory} memory */
export function toolbar(id, about, entries, memory) {
  const tabs = tabList(id, entries, memory);
  const search = make("input", {
    type: "search", class: "ul-input ul-search", placeholder: "Find a concept or unit", "aria-label": "Find a concept or unit",
    oninput: () => memory.set({ query: search.value }),
  });
  const categories = [...new Set(about.dissections.flatMap((one) => one.categories))];
  const category = choice("Category", { "": "all categories", ...Object.fromEntries(categories.map((c) => [c, c])) }, (value) => memory.set({ category: value }));
  const order = choice("Order", ORDER_WORDS, (value) => memory.set({ order: value }));
  const style = choice("Masks", Object.fromEntries(STYLES.map((s) => [s, s])), (value) => memory.set({ masks: value }));
  const others = Object.fromEntries(entries.map((entry) => [entry.key, entry.key]));
  const compare = choice("Compare with", { "": "nothing else", ...others }, (value) => memory.set({ compare: value }));
  const chance = make("input", { type: "checkbox", onchange: () => memory.set({ beats_chance: chance.checked }) });
  const iou = make("input", {
    type: "number", class: "ul-input ul-narrow", min: 0, max: 1, step: 0.01,
    onchange: () => {
      if (iou.value) memory.set({ min_iou: Math.min(1, Math.max(0, Number(iou.value))) });
      iou.value = shortIou(memory.get("min_iou"));
    },
  });
  const slider = quantileSlider(about, memory);
  const element = make(
    "div",
    { class: "ul-tools" },
    tabs.element,
    make("div", { class: "ul-controls" }, search, category.element, order.element, slider.element,
      make("label", { class: "ul-field", title: "The smallest IoU that is shown" }, "IoU from ", iou),
      make("label", { class: "ul-field", title: "Only units that match better than units match the labels of other images" }, chance, " beats chance"),
      style.labelled, entries.length > 1 && compare.labelled),
  );

  /** @param {Map<string, any>} layers */
  function update(layers) {
    tabs.update(layers);
    if (search.value !== memory.get("query")) search.value = memory.get("query");
    category.show(memory.get("category"));
    order.show(memory.get("order"));
    style.show(memory.get("masks"));
    compare.show(memory.get("compare"));
    chance.checked = memory.get("beats_chance");
    if (!focused(iou)) iou.value = shortIou(memory.get("min_iou"));
    slider.update();
  }
  return { element, update };
}

/** @param {string} words @param {Record<string, string>} options @param {(value: string) => void} chosen */
function choice(words, options, chosen) {
  const element = make("select", { class: "ul-input", "aria-label": words, onchange: () => chosen(element.value) },
    Object.entries(options).map(([value, text]) => make("option", { value }, text)));
  const show = (/** @type {string} */ value) => {
    if (element.value !== value) element.value = value;
  };
  return { element, show, get labelled() { return make("label", { class: "ul-field" }, `${words} `, element); } };
}

/** @param {any} about @param {import("./browser.js").Memory} memory */
function quantileSlider(about, memory) {
  /** The levels at which the layer on view can be read; of several layers, those of the one that has most. */
  const known = () => {
    const on = about.layers.filter((entry) => !memory.get("layer") || entry.key === memory.get("layer"));
    const lists = on.map((entry) => about.dissections[entry.of].levels);
    return lists.reduce((most, list) => (list.length > most.length ? list : most));
  };
  let levels = known();
  const output = make("span", { class: "ul-level", "aria-hidden": "true" }); // the slider says the same
  const input = make("input", {
    type: "range", class: "ul-slider", min: 0, max: levels.length - 1, step: 1, "aria-label": "How much of the pixels a unit fires on",
    oninput: () => memory.set({ quantile: levels[Number(input.value)] }),
  });
  const update = () => {
    levels = known();
    input.max = String(levels.length - 1);
    input.disabled = levels.length < 2;
    const at = levelAt(levels, memory.get("quantile"));
    if (Number(input.value) !== at) input.value = String(at);
    const words = `${levelWords(levels[at])} (quantile ${levels[at]})`;
    input.setAttribute("aria-valuetext", words);
    output.textContent = levelWords(levels[at]);
    output.title = levels.length < 2 ? `${words}; this layer is known at no other` : words;
  };
  return { element: make("label", { class: "ul-field ul-quantile" }, "fires on ", input, output), update };
}

/** @param {string} id @param {any[]} entries @param {import("./browser.js").Memory} memory */
function tabList(id, entries, memory) {
  const keys = [...entries.map((entry) => entry.key), ...(entries.length > 1 ? [""] : [])];
  const tabs = keys.map((key) =>
    make("button", { type: "button", role: "tab", class: "ul-tab", "data-key": key, "aria-controls": `${id}-panel`, onclick: () => memory.set({ layer: key }) },
      make("span", {}, key || "all layers"), make("small")));
  const element = make("div", { class: "ul-tabs", role: "tablist", "aria-label": "Layers" }, tabs);
  roving(element, "[role=tab]");
  /** @param {Map<string, any>} layers */
  function update(layers) {
    const wish = { query: "", category: "", minIou: memory.get("min_iou"), chance: memory.get("beats_chance"), order: "unit" };
    tabs.forEach((tab, i) => {
      const chosen = keys[i] === memory.get("layer");
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen && !tab.dataset.seen) element.scrollLeft = Math.max(0, tab.offsetLeft - element.clientWidth / 2);
      if (chosen) tab.dataset.seen = "1";
      else delete tab.dataset.seen;
      const layer = layers.get(keys[i]);
      if (layer) {
        const count = rowsOf([layer], memory.get("quantile"), wish).filter((row) => row.own !== NONE).length;
        tab.lastElementChild.textContent = NUMBER.format(count);
        tab.title = `${NUMBER.format(count)} of ${plural(layer.units, "unit")} of ${keys[i]} match a concept`;
      }
    });
  }
  return { element, update };
}
