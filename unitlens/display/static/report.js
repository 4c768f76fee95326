// @ts-check
/**
 * Search, filter and order of a report's units. The page is whole without it; the data is the JSON in #ul-data.
 * @typedef {{id: string, unit: number, layer: string, concept: string, category: string, iou: number, detector: boolean}} Unit
 */

/** Whether a unit matches the words typed (each must occur) and the category chosen ("" = any).
 * @param {Unit} unit @param {string} words @param {string} category */
function matches(unit, words, category) {
  const text = `unit ${unit.unit} ${unit.layer} ${unit.concept} ${unit.category}`.toLowerCase();
  const found = words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  return found && (!category || unit.category === category);
}

/** Units in another order, as a new list: "iou" falls, "unit" rises, "concept" by name, then IoU.
 * @param {Unit[]} units @param {string} order */
function ordered(units, order) {
  const by = {
    iou: (a, b) => b.iou - a.iou || a.unit - b.unit,
    unit: (a, b) => a.unit - b.unit,
    concept: (a, b) => a.concept.localeCompare(b.concept) || b.iou - a.iou,
  };
  return [...units].sort(by[order] || by.iou);
}

/** @param {Document} page */
function start(page) {
  /** @type {Unit[]} */
  const units = JSON.parse(page.getElementById("ul-data").textContent);
  const [search, category, order] = ["ul-search", "ul-category", "ul-order"].map((id) => page.getElementById(id));
  const count = page.getElementById("ul-count");

  function show() {
    const [words, kind] = [search.value.trim(), category.value];
    const hits = units.filter((unit) => matches(unit, words, kind));
    const shown = new Set(hits.map((unit) => unit.id));
    for (const unit of units) {
      const hit = shown.has(unit.id);
      for (const view of ["c", "r"]) {
        const element = page.getElementById(view + unit.id);
        if (element) element.hidden = !hit;
      }
    }
    const detectors = (list) => list.filter((unit) => unit.detector).length;
    count.textContent = `${detectors(hits)} of ${detectors(units)} detectors, ${hits.length} of ${units.length} units`;
    for (const section of page.querySelectorAll("section[data-layer]")) {
      const any = hits.some((unit) => unit.id.startsWith(section.dataset.layer));
      section.hidden = (words !== "" || kind !== "") && !any;
    }
  }

  function sort() {
    for (const unit of ordered(units, order.value)) {
      for (const kind of ["c", "r"]) {
        const element = page.getElementById(kind + unit.id);
        if (element) element.parentElement.append(element);
      }
    }
  }

  search.addEventListener("input", show);
  category.addEventListener("change", show);
  order.addEventListener("change", sort);
  page.querySelector(".ul-tools").hidden = false;
  show();
}

if (typeof document !== "undefined") start(document);
