// @ts-check
/**
 * Browser: all units of one or more dissections. The same view serves a notebook, where a kernel answers (kernel.js),
 * and a page of its own, where everything is embedded (page.js).
 * @typedef {{layer: string, query: string, category: string, order: string, masks: string, quantile: number,
 *   min_iou: number, beats_chance: boolean, compare: string, selected: [string, number][], opened: [string, number] | []}} State
 * @typedef {{get: (name: string) => any, set: (patch: Partial<State>) => void, on: (act: (names: string[]) => void) => () => void}} Memory
 * @typedef {{embedded?: boolean, layer: (key: string) => Promise<any>, units: (key: string, units: number[], images: number) => Promise<any[]>,
 *   pictures: (of: number, ids: number[]) => Promise<Uint8Array[]>, slow?: (act: (waiting: boolean) => void) => void,
 *   failed?: (act: (error: Error) => void) => void}} Source
 */

import { BarGraph } from "./bars.js";
import { Details } from "./details.js";
import { eachFrame, focused, make, refill } from "./dom.js";
import { Grid } from "./grid.js";
import { pins } from "./pins.js";
import { Pictures, Strip } from "./tiles.js";
import { toolbar } from "./toolbar.js";
import { trouble } from "./trouble.js";
import { contrast, levelAt, rowAt, rowsOf, statusWords, tally, whyNone } from "./units.js";
import { zoomed } from "./zoom.js";

const CARD_IMAGES = 4;
const ZOOM_IMAGES = 12;
const BUSY = "Python is busy: what is missing here comes when it answers. (If the kernel is gone, run the cell again.)";

/** Shows a browser in an element. Returns what takes it away.
 * @param {HTMLElement} root @param {any} about display/atlas.py's @param {Memory} memory @param {Source} source */
export function browser(root, about, memory, source) {
  return new Browser(root, about, memory, source).start();
}

class Browser {
  constructor(root, about, memory, source) {
    [this.root, this.about, this.memory, this.source] = [root, about, memory, source];
    this.id = `ul-browser-${Math.random().toString(36).slice(2, 10)}`; // a page may hold several copies of this module
    this.entries = about.layers.map((entry) => ({ ...entry, world: about.dissections[entry.of] }));
    /** @type {Map<string, any>} */
    this.layers = new Map();
    this.details = new Details((key, units, images) => source.units(key, units, images), source.embedded ? Infinity : undefined);
    this.pictures = new Pictures((of, ids) => source.pictures(of, ids));
    this.stale = new Set(["rows", "tools", "zoom", "pins"]);
    this.later = eachFrame(() => this.update());
    this.grid = new Grid(
      {
        open: (row) => this.open(row), pin: (row) => this.pin(row), pinned: (row) => this.pinned(row),
        wanted: (rows) => this.want(rows), detail: (row) => this.detail(row, CARD_IMAGES), pictures: this.pictures,
      },
      this.id,
    );
    this.trouble = trouble(() => this.grid.element.focus({ preventScroll: true }));
    this.graph = new BarGraph((full) => memory.set({ query: full ? `"${full}"` : "" }));
    this.words = make("p", { class: "ul-muted ul-status", role: "status" });
    this.zoom = make("section", { class: "ul-zoom", "aria-label": "One unit", tabindex: -1, hidden: true });
    this.tray = make("section", { class: "ul-tray", "aria-label": "Pinned units", hidden: true });
    this.tools = toolbar(this.id, about, this.entries, memory);
  }

  start() {
    this.root.classList.add("unitlens", "ul-browser");
    this.body = make("div", { class: "ul-body", role: "tabpanel", id: `${this.id}-panel`, "aria-label": "Units of the layer" }, this.grid.outer, this.zoom);
    this.root.append(this.tools.element, this.trouble.element, make("div", { class: "ul-graph" }, this.graph.element), this.words, this.body, this.tray);
    const stop = this.memory.on((names) => this.heard(names));
    const watch = new ResizeObserver(() => {
      this.grid.show();
      if (this.memory.get("opened").length) this.grid.go(this.grid.at); // the cards have moved
      this.stale.add("zoom");
      this.later();
    });
    watch.observe(this.grid.element);
    this.root.addEventListener("keydown", this.key);
    const drop = this.holdStill();
    const paper = this.source.embedded ? { beforeprint: () => this.grid.print(true), afterprint: () => this.grid.print(false) } : {};
    for (const [event, act] of Object.entries(paper)) window.addEventListener(event, act);
    this.source.slow?.((waiting) => (waiting ? this.trouble.say(BUSY) : this.trouble.unsay(BUSY)));
    this.source.failed?.((error) => this.trouble.complain(error));
    this.load();
    return () => {
      stop();
      drop();
      watch.disconnect();
      for (const [event, act] of Object.entries(paper)) window.removeEventListener(event, act);
      this.root.removeEventListener("keydown", this.key);
      this.later.cancel();
      clearTimeout(this.waiting);
      clearTimeout(this.graph.settling);
    };
  }

  /** What is pressed stays where it is until it is let go: an answer that comes meanwhile must not take it away. */
  holdStill() {
    const down = (/** @type {PointerEvent} */ event) => {
      this.pressed = Boolean(/** @type {Element} */ (event.target).closest?.(".ul-zoom,.ul-tray"));
    };
    const up = () => setTimeout(() => { // after the click that follows
      this.pressed = false;
      if (this.stale.size) this.later();
    });
    this.root.addEventListener("pointerdown", down);
    for (const event of ["pointerup", "pointercancel"]) window.addEventListener(event, up);
    return () => ["pointerup", "pointercancel"].forEach((event) => window.removeEventListener(event, up));
  }

  /** A notebook deletes a cell on "d d" and leaves it on the arrow keys: plain keys stay here. */
  key = (/** @type {KeyboardEvent} */ event) => {
    const clears = /** @type {Element} */ (event.target).matches("input,select"); // Escape is the field's own there
    if (event.key === "Escape" && !clears && this.memory.get("opened").length) this.close();
    if (!event.ctrlKey && !event.altKey && !event.metaKey) event.stopPropagation();
  };

  /** @param {string[]} names what has changed, here or in Python */
  heard(names) {
    const rows = ["layer", "query", "category", "order", "min_iou", "beats_chance", "quantile", "compare"];
    this.sliding = names.every((name) => name === "quantile"); // more of the same is coming
    if (names.some((name) => rows.includes(name))) this.stale.add("rows").add("zoom").add("pins");
    if (!this.sliding && names.some((name) => rows.includes(name) && name !== "compare")) this.afresh = true;
    if (names.includes("masks") || names.includes("selected")) this.stale.add("paint").add("zoom").add("pins");
    if (names.includes("opened")) this.stale.add("zoom");
    this.stale.add("tools");
    if (names.some((name) => ["layer", "compare", "selected", "opened"].includes(name))) this.load();
    this.later();
  }

  /** Layers that have to be there, then the others while nobody waits. */
  async load() {
    for (const key of this.neededKeys()) await this.fetchLayer(key);
    for (const entry of this.entries) {
      while (this.asked && !this.layers.has(entry.key)) await new Promise((done) => setTimeout(done, 200));
      await this.fetchLayer(entry.key);
    }
  }

  /** The keys of the layers on view and of all units on view. */
  neededKeys() {
    const units = [...this.memory.get("selected"), this.memory.get("opened")].map(([key]) => key);
    return new Set([...this.shownKeys(), this.memory.get("compare"), ...units].filter((key) => key));
  }

  /** The keys of the layers on view: one, or all of them. */
  shownKeys() {
    const key = this.memory.get("layer");
    return key ? [key] : this.entries.map((entry) => entry.key);
  }

  async fetchLayer(key) {
    if (this.layers.has(key)) return;
    const entry = this.entries.find((one) => one.key === key);
    if (!entry) return;
    this.layers.set(key, null);
    try {
      this.layers.set(key, { ...entry, arrays: await this.source.layer(key) });
      if (this.neededKeys().has(key)) this.stale.add("rows").add("zoom").add("pins");
      this.stale.add("tools");
      this.later();
    } catch (error) {
      this.layers.delete(key);
      this.trouble.complain(error);
    }
  }

  ready(keys) {
    return keys.map((key) => this.layers.get(key)).filter((layer) => layer);
  }

  wish(extra = {}) {
    const get = (name) => this.memory.get(name);
    return { query: get("query"), category: get("category"), minIou: get("min_iou"), chance: get("beats_chance"), order: get("order"), ...extra };
  }

  update() {
    const stale = this.stale;
    this.stale = new Set(this.pressed ? ["zoom", "pins"].filter((part) => stale.has(part)) : []);
    for (const part of this.stale) stale.delete(part);
    if (stale.has("rows")) this.updateRows();
    else if (stale.has("paint")) {
      this.grid.state = { ...this.grid.state, style: this.memory.get("masks") };
      this.grid.mark();
      this.grid.paint();
    }
    if (stale.has("tools")) this.tools.update(this.layers);
    if (stale.has("zoom")) this.updateZoom();
    if (stale.has("pins")) this.updatePins();
    this.root.dataset.painted = String(Number(this.root.dataset.painted || 0) + 1); // in this very frame
  }

  updateRows() {
    const quantile = this.memory.get("quantile");
    const layers = this.ready(this.shownKeys());
    const rows = rowsOf(layers, quantile, this.wish());
    const whole = this.memory.get("query") ? rowsOf(layers, quantile, this.wish({ query: "" })) : rows;
    this.grid.many = layers.length > 1;
    if (this.afresh) this.grid.top();
    this.afresh = false;
    const best = rows.reduce((most, row) => Math.max(most, row.iou), 0);
    const full = Math.min(1, Math.max(0.2, Math.ceil(best * 10 - 1e-9) / 10));
    this.grid.state = { quantile, style: this.memory.get("masks"), full, minIou: this.memory.get("min_iou") };
    this.grid.fill(rows, rows.length ? "" : this.whyEmpty(layers, quantile));
    this.updateGraph(whole, quantile);
    if (this.source.embedded) this.ahead();
    const total = layers.reduce((sum, layer) => sum + layer.units, 0);
    this.words.textContent = this.status(rows, total);
  }

  whyEmpty(layers, quantile) {
    if (!layers.length) return "Reading the layer ...";
    const found = Math.max(...layers.map((layer) => layer.arrays.found.data[0]));
    return whyNone(this.wish(), rowsOf(layers, quantile, this.wish({ minIou: 0, chance: false })).length, found);
  }

  status(rows, total) {
    if (!rows.length) return "";
    return `${statusWords(rows, total, this.memory.get("quantile"))}${this.contrast || ""}`;
  }

  updateGraph(rows, quantile) {
    const categories = [...new Set(this.about.dissections.flatMap((one) => one.categories))];
    const bars = tally(rows, categories);
    const key = this.memory.get("compare");
    const [other] = key && !this.shownKeys().includes(key) ? this.ready([key]) : [];
    const second = other ? tally(rowsOf([other], quantile, this.wish({ query: "" })), categories) : null;
    this.contrast = second ? contrast(bars, second, key) : "";
    const all = second ? [...bars, ...second.filter((bar) => !bars.some((one) => one.full === bar.full)).map((bar) => ({ ...bar, units: 0 }))] : bars;
    all.sort((a, b) => categories.indexOf(a.category) - categories.indexOf(b.category));
    const chosen = (/^\s*"(.+)"\s*$/.exec(this.memory.get("query")) || ["", ""])[1].toLowerCase();
    this.graph.show(all, chosen, second && new Map(second.map((bar) => [bar.full, bar.units])), this.sliding);
  }

  /** What is known of a unit; with more of its images where that is what there is. */
  detail(row, images) {
    return this.details.get(row, images) || (images === CARD_IMAGES ? this.details.get(row, ZOOM_IMAGES) : null);
  }

  /** Fetches what the cards in sight lack. @param {any[]} rows */
  async want(rows, images = CARD_IMAGES) {
    this.asked = (this.asked || 0) + 1;
    try {
      await this.details.fetch(rows.filter((row) => !this.detail(row, images)), images, () => this.refresh(images));
      await this.fetchPictures(rows, images);
    } catch (error) {
      this.trouble.complain(error);
    } finally {
      this.asked -= 1;
    }
  }

  async fetchPictures(rows, images) {
    const wanted = new Map();
    for (const row of rows) {
      const top = Array.from(this.detail(row, images)?.top || []).slice(0, images);
      if (!wanted.has(row.layer.of)) wanted.set(row.layer.of, new Set());
      for (const id of top) wanted.get(row.layer.of).add(id);
    }
    for (const [of, ids] of wanted) if (await this.pictures.fetch(of, ids)) this.refresh(images);
  }

  refresh(images) {
    if (images === CARD_IMAGES) this.grid.paint();
    this.stale.add("zoom").add("pins");
    this.later();
  }

  pinned(row) {
    return this.memory.get("selected").some(([key, unit]) => key === row.layer.key && unit === row.unit);
  }

  pin(row) {
    const selected = this.memory.get("selected");
    const rest = selected.filter(([key, unit]) => key !== row.layer.key || unit !== row.unit);
    this.memory.set({ selected: rest.length < selected.length ? rest : [...selected, [row.layer.key, row.unit]] });
  }

  open(row) {
    this.moves = true;
    this.memory.set({ opened: [row.layer.key, row.unit] });
  }

  close() {
    this.moves = true;
    this.memory.set({ opened: [] });
  }

  /** A unit as a row, whatever the search. */
  rowFor([key, unit]) {
    const layer = this.layers.get(key);
    return layer && unit >= 0 && unit < layer.units ? rowAt(layer, this.memory.get("quantile"), unit) : null;
  }

  updateZoom() {
    const opened = this.memory.get("opened");
    const row = opened.length ? this.rowFor(opened) : null;
    this.zoom.hidden = !row;
    this.root.classList.toggle("ul-zoomed", Boolean(row));
    this.moveFocus(Boolean(row));
    if (!row) return this.zoom.replaceChildren();
    const detail = this.detail(row, ZOOM_IMAGES);
    if (!detail) this.want([row], ZOOM_IMAGES);
    const scrolled = this.zoom.scrollTop;
    const room = Math.max(60, Math.min(132, (this.zoom.clientWidth - 56) / 4));
    const tall = Math.floor(row.layer.world.picture[1] ? (room * row.layer.world.picture[0]) / row.layer.world.picture[1] : room);
    refill(this.zoom, zoomed(row, detail, {
      pictures: this.pictures, quantile: this.memory.get("quantile"), style: this.memory.get("masks"), pinned: this.pinned(row),
      pin: () => this.pin(row), close: () => this.close(), step: (by) => this.step(by), tall,
    }).filter(Boolean));
    this.zoom.scrollTop = scrolled;
    if (detail) this.fetchPictures([row], ZOOM_IMAGES).catch((error) => this.trouble.complain(error));
    return undefined;
  }

  /** Who opens or closes a unit by hand is led there: to the unit where it hides the others, back to these in the end. */
  moveFocus(opened) {
    if (this.moves && opened && !this.grid.element.clientWidth) this.zoom.focus({ preventScroll: true });
    if (!opened && (this.moves || focused(this.zoom))) this.grid.element.focus({ preventScroll: true });
    this.moves = false;
  }

  /** The next unit from the one that is open, or the one before. @param {number} by */
  step(by) {
    const [key, unit] = this.memory.get("opened");
    const at = this.grid.rows.findIndex((one) => one.layer.key === key && one.unit === unit);
    const next = this.grid.rows[at < 0 ? 0 : Math.min(Math.max(at + by, 0), this.grid.rows.length - 1)];
    if (!next) return;
    this.grid.go(this.grid.rows.indexOf(next));
    this.memory.set({ opened: [next.layer.key, next.unit] });
  }

  updatePins() {
    const rows = this.memory.get("selected").map((one) => this.rowFor(one)).filter((row) => row);
    this.tray.hidden = !rows.length;
    this.grid.mark();
    this.want(rows.filter((row) => !this.detail(row, CARD_IMAGES)));
    const [held, left] = [focused(this.tray), this.tray.querySelector(".ul-pins")?.scrollLeft || 0];
    refill(this.tray, pins(rows, {
      detail: (row) => this.detail(row, CARD_IMAGES), pictures: this.pictures, Strip,
      level: (row) => levelAt(row.layer.world.levels, this.memory.get("quantile")), style: this.memory.get("masks"),
      open: (row) => this.open(row), drop: (row) => this.pin(row), clear: () => this.memory.set({ selected: [] }),
    }));
    if (rows.length) this.tray.querySelector(".ul-pins").scrollLeft = left;
    if (held && !focused(this.tray)) (this.tray.querySelector("button") || this.grid.element).focus({ preventScroll: true });
  }

  /** Takes out all that a page holds while nobody waits: paper does not wait for pictures either. */
  ahead() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.want(this.grid.rows), 400);
  }
}
