// @ts-check
/** Grid: thousands of units as cards, of which only those in sight exist. One tab stop; arrow keys move in it. */

import { inPlace, make } from "./dom.js";
import { categoryClass } from "./bars.js";
import { Strip, stripWidth } from "./tiles.js";
import { NONE, levelAt, rowWords, shortName } from "./units.js";

const [IMAGES, LEAST, MOST, APART, HEAD] = [4, 76, 150, 16, 30]; // images of a card; the rest in CSS pixels
const BEYOND = 1; // rows above and below what is in sight
const REST = 60; // ms without scrolling until what is in sight is asked for
const PRINTED = 400; // cards on paper at most

/** How cards lie: columns, the width of each, the height of its images and of a row. The images fill the card.
 * @param {number} width @param {number[]} picture */
export function layout(width, picture) {
  const least = stripWidth(IMAGES, LEAST, picture) + 8;
  const columns = Math.max(1, Math.floor((width + APART) / (least + APART)));
  const card = Math.max(120, (width - APART * (columns - 1)) / columns);
  const wide = (card - 8 - stripWidth(IMAGES, 0, [1, 1])) / IMAGES;
  const tile = Math.floor(Math.min(MOST, picture[1] ? (wide * picture[0]) / picture[1] : wide));
  return { columns, card, tile, row: HEAD + tile + APART };
}

/** Which places are in sight. @param {number} top @param {number} height @param {{columns: number, row: number}} lay
 * @param {number} count */
export function inSight(top, height, lay, count) {
  const first = Math.max(0, Math.floor(top / lay.row) - BEYOND) * lay.columns;
  return { first, last: Math.min(count, (Math.ceil((top + height) / lay.row) + BEYOND) * lay.columns) };
}

/** Where an arrow key leads from a place, or null. @param {string} key @param {number} at @param {number} columns
 * @param {number} count @param {number} page rows in sight */
export function moved(key, at, columns, count, page) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: columns * page, PageUp: -columns * page };
  const to = key === "Home" ? 0 : key === "End" ? count - 1 : key in steps ? at + steps[key] : null;
  return to === null || !count ? null : Math.min(Math.max(to, 0), count - 1);
}

/** A card for another unit: the same elements, nothing drawn yet. @param {any} card */
function renewed(card) {
  card?.strip.clear();
  return card && Object.assign(card, { whole: false, painted: "" });
}

/** What a card can show: pictures of one size and form. @param {any} row @param {number} tile */
const kindOf = (row, tile) => `${tile}:${row.layer.world.picture}`;

/** The form [H, W] of the widest pictures among rows. @param {any[]} rows */
function widest(rows) {
  const forms = [...new Set(rows.map((row) => row.layer.world))].map((world) => world.picture);
  return forms.reduce((most, form) => (form[1] * most[0] > most[1] * form[0] ? form : most), forms[0] || [1, 1]);
}

export class Grid {
  /** @param {{open: (row: any) => void, pin: (row: any) => void, pinned: (row: any) => boolean, wanted: (rows: any[]) => void,
   *   detail: (row: any) => any, pictures: import("./tiles.js").Pictures}} host @param {string} id */
  constructor(host, id) {
    [this.host, this.id] = [host, id];
    /** @type {any[]} */
    this.rows = [];
    /** @type {Map<string, any>} */
    this.cards = new Map();
    [this.at, this.picture] = [0, [1, 1]];
    this.state = { quantile: 0.99, style: "outline", full: 0.3, minIou: 0.04 };
    this.space = make("div", { class: "ul-space", role: "presentation" });
    this.element = make(
      "div",
      {
        class: "ul-grid", role: "listbox", tabindex: 0, "aria-label": "Units", "aria-multiselectable": "true",
        onscroll: () => this.scrolled(), onkeydown: (event) => this.key(event), onclick: (event) => this.click(event),
        onfocus: () => this.focused(),
      },
      this.space,
    );
    this.empty = make("p", { class: "ul-empty", role: "status", hidden: true });
    this.cut = make("p", { class: "ul-cut ul-muted", hidden: true });
    this.outer = make("div", { class: "ul-place" }, this.empty, this.element, this.cut); // a list has nothing but options in it
  }

  /** Other units, or the same in another order; `none` says why there are none. @param {any[]} rows @param {string} none */
  fill(rows, none) {
    const active = this.rows[this.at];
    this.rows = rows;
    this.picture = widest(rows);
    this.at = Math.max(0, active ? rows.findIndex((row) => row.layer === active.layer && row.unit === active.unit) : 0);
    this.empty.hidden = rows.length > 0;
    this.empty.textContent = rows.length ? "" : none;
    this.show();
  }

  /** The next rows begin at the first one. */
  top() {
    [this.at, this.rows] = [0, []];
    this.element.scrollTop = 0;
  }

  /** All cards at once, for paper, which does not wait; the first few hundred. @param {boolean} on */
  print(on) {
    for (const card of this.cards.values()) card.element.remove();
    this.cards.clear();
    this.whole = on;
    this.cut.hidden = !on || this.rows.length <= PRINTED;
    this.cut.textContent = `The first ${PRINTED} of ${this.rows.length} units.`;
    this.show();
  }

  /** Cards move at once; what they show is asked for when the scrolling rests. */
  scrolled() {
    clearTimeout(this.resting);
    this.show(false);
    this.resting = setTimeout(() => this.host.wanted(this.sighted()), REST);
  }

  /** Who comes by Tab finds the active unit in sight; what a pointer is pressed on stays under it. */
  focused() {
    if (!this.element.matches(":focus-visible")) return;
    if (this.lay && !this.cards.has(this.nameAt(this.at))) this.go(this.at);
  }

  /** @param {number} i */
  nameAt(i) {
    return this.rows[i] ? `${this.rows[i].layer.key}:${this.rows[i].unit}` : "";
  }

  sighted() {
    return [...this.cards.values()].map((card) => card.row);
  }

  /** Puts the cards in sight in their places. @param {boolean} wants whether what they lack is asked for now */
  show(wants = true) {
    const width = this.element.clientWidth - 24;
    if (width <= 0 && !this.whole) return;
    const lay = this.whole && this.lay ? this.lay : layout(Math.max(width, 1), this.picture);
    this.lay = lay;
    this.space.style.height = `${Math.ceil(this.rows.length / lay.columns) * lay.row}px`;
    const sight = this.whole ? { first: 0, last: Math.min(PRINTED, this.rows.length) } : inSight(this.element.scrollTop, this.element.clientHeight, lay, this.rows.length);
    const places = new Map();
    for (let i = sight.first; i < sight.last; i += 1) places.set(this.nameAt(i), i);
    const spare = this.leaving(places, lay.tile);
    let before = null;
    for (const [key, i] of places) {
      const row = this.rows[i];
      const kind = kindOf(row, lay.tile);
      const card = this.cards.get(key) || renewed(spare.get(kind)?.pop()) || this.card(row, lay.tile);
      this.cards.set(key, card);
      before = inPlace(this.space, card.element, before); // paper and screen readers follow the elements' order
      this.place(card, row, i, lay);
    }
    for (const card of [...spare.values()].flat()) card.element.remove();
    this.mark();
    this.paint();
    if (wants) this.host.wanted(this.sighted());
  }

  /** Takes out the cards that are not shown any more. Returns those whose canvases can show another unit, by the kind of
   * pictures that fit on them. @param {Map<string, number>} places @param {number} tile */
  leaving(places, tile) {
    /** @type {Map<string, any[]>} */
    const spare = new Map();
    for (const [key, card] of this.cards) {
      const fits = card.kind === kindOf(card.row, tile);
      if (places.has(key) && fits) continue;
      this.cards.delete(key);
      if (fits) spare.set(card.kind, [...(spare.get(card.kind) || []), card]);
      else card.element.remove();
    }
    return spare;
  }

  /** @param {any} row @param {number} tile */
  card(row, tile) {
    const strip = new Strip(IMAGES, tile, row.layer.world.picture, this.whole);
    const parts = { name: make("strong"), chip: make("span", { class: "ul-chip" }), unit: make("span", { class: "ul-muted ul-small" }), own: make("span", { class: "ul-muted ul-small ul-own" }), bar: make("i"), tick: make("b"), iou: make("span") };
    const meter = make("span", { class: "ul-meter" }, parts.bar, parts.tick);
    const head = make("div", { class: "ul-head" }, parts.name, parts.chip, parts.unit, parts.own, make("span", { class: "ul-score" }, meter, parts.iou));
    const element = make("div", { class: "ul-option", role: "option" }, head, strip.element);
    return { element, strip, parts, meter, kind: kindOf(row, tile), painted: "" };
  }

  /** @param {any} card @param {any} row @param {number} i @param {any} lay */
  place(card, row, i, lay) {
    const { element, parts } = card;
    const [column, line] = [i % lay.columns, Math.floor(i / lay.columns)];
    card.row = row;
    element.id = `${this.id}-${i}`;
    element.style.cssText = `width:${lay.card}px;transform:translate(${column * (lay.card + APART)}px,${line * lay.row}px)`;
    element.setAttribute("aria-label", rowWords(row));
    element.setAttribute("aria-setsize", String(this.rows.length));
    element.setAttribute("aria-posinset", String(i + 1));
    const category = row.concept === NONE ? "other" : row.layer.world.categories[row.concept];
    parts.name.textContent = shortName(row.layer.world, row.concept);
    parts.chip.textContent = row.concept === NONE ? "" : category;
    parts.chip.hidden = row.concept === NONE;
    parts.chip.className = `ul-chip ${categoryClass(category)}`;
    parts.unit.textContent = `${this.many ? `${row.layer.key} · ` : ""}unit ${row.unit}`;
    parts.own.textContent = row.own === row.concept ? "" : `its label: ${shortName(row.layer.world, row.own)} ${row.ownIou.toFixed(2)}`;
    card.meter.className = `ul-meter ${categoryClass(category)}`;
    parts.bar.style.setProperty("--v", `${Math.min(100, (100 * row.iou) / this.state.full)}%`);
    parts.tick.style.setProperty("--v", `${Math.min(100, (100 * this.state.minIou) / this.state.full)}%`);
    parts.iou.textContent = row.iou.toFixed(2);
    element.classList.toggle("ul-weak", row.beats === 0);
  }

  /** Draws what has changed: pictures that have come, masks at another threshold or in another style. */
  paint() {
    for (const card of this.cards.values()) {
      const { row } = card;
      const detail = this.host.detail(row);
      if (!detail) continue;
      card.element.classList.toggle("ul-bare", !detail.mapShape[0]);
      if (!card.whole && card.strip.flat) card.painted = ""; // its masks lie on the same canvas
      if (!card.whole) card.whole = card.strip.paintPictures(this.host.pictures, row.layer, detail);
      const level = levelAt(row.layer.world.levels, this.state.quantile);
      const threshold = row.layer.arrays.threshold.data[level * row.layer.units + row.unit];
      const painted = `${threshold} ${this.state.style}`;
      if (card.painted === painted) continue;
      card.strip.paintMasks(row.layer, detail, threshold, this.state.style);
      card.painted = painted;
    }
  }

  /** Which card is active, and which are pinned. */
  mark() {
    for (const card of this.cards.values()) {
      const pinned = this.host.pinned(card.row);
      card.element.setAttribute("aria-selected", String(pinned));
      card.element.classList.toggle("ul-active", card.element.id === `${this.id}-${this.at}`);
    }
    if (this.cards.has(this.nameAt(this.at))) this.element.setAttribute("aria-activedescendant", `${this.id}-${this.at}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const row = this.rows[this.at];
    const page = Math.max(1, Math.floor(this.element.clientHeight / (this.lay?.row || 1)) - 1);
    const to = moved(event.key, this.at, this.lay?.columns || 1, this.rows.length, page);
    if (to !== null) this.go(to);
    else if (event.key === "Enter" && row) this.host.open(row);
    else if (event.key === " " && row) this.host.pin(row);
    else return;
    event.preventDefault();
  }

  /** Makes a place the active one and brings it into sight. @param {number} place */
  go(place) {
    this.at = place;
    if (!this.lay) return; // nothing has been laid out yet
    const line = Math.floor(place / this.lay.columns) * this.lay.row;
    const { scrollTop, clientHeight } = this.element;
    if (line < scrollTop) this.element.scrollTop = line;
    else if (line + this.lay.row > scrollTop + clientHeight) this.element.scrollTop = line + this.lay.row - clientHeight;
    this.show();
  }

  /** @param {MouseEvent} event */
  click(event) {
    const element = /** @type {HTMLElement} */ (event.target).closest(".ul-option");
    if (!element) return;
    this.at = Number(element.id.slice(this.id.length + 1));
    this.mark();
    const row = this.rows[this.at];
    if (event.shiftKey || event.ctrlKey || event.metaKey) this.host.pin(row);
    else this.host.open(row);
  }
}
