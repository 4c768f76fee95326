// @ts-check
/** Stage bench: units of a generator removed and inserted by sliders; Python makes the pictures anew. */

import { asking } from "./asking.js";
import { dragged, picker } from "./benchtools.js";
import { eachFrame, make } from "./dom.js";
import { files } from "./pack.js";
import { trouble } from "./trouble.js";

const REST = 250; // ms without a change, after which the pictures are segmented
const TRAITS = ["concept", "count", "action", "strength", "cell"];
const LOOKS = ["look", "can_undo", "can_redo"];
const BUSY = "Python is busy: what is missing here comes when it answers. (If the kernel is gone, run the cell again.)";
const ACTIONS = { remove: "removed", insert: "inserted" };

/** What the strength of an action means, in words. @param {string} action @param {number} strength */
export function strengthWords(action, strength) {
  if (action === "insert") return `set to ${strength.toFixed(1)} × threshold`;
  const share = Math.min(1, strength);
  return share === 1 ? "removed altogether" : share === 0 ? "left as they are" : `${Math.round(100 * share)} % removed`;
}

/** The change of a concept in words. @param {string} name @param {number} before @param {number} after */
export function changeWords(name, before, after) {
  const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)} %`;
  return `${name} ${percent(before)} → ${percent(after)}`;
}

/** What is done, in one sentence. @param {any} state @param {number} units @param {boolean} [learnt] by learnt share */
export function deedWords(state, units, learnt = false) {
  const verb = learnt ? ["makes", "make"] : ["matches", "match"];
  const who = units === 1 ? `The unit that ${verb[0]} ${state.concept}` : `The ${units} units that ${verb[1]} ${state.concept}`;
  const where = state.cell.length ? `at row ${state.cell[0]}, column ${state.cell[1]}` : "everywhere";
  if (!units || (state.action === "remove" && state.strength === 0)) return "All units are as they are.";
  return `${who} ${learnt ? "most" : "best"}: ${strengthWords(state.action, state.strength)}, ${where}.`;
}

class StageBench {
  /** @param {any} model @param {HTMLElement} root */
  constructor(model, root) {
    [this.model, this.root, this.about, this.ask] = [model, root, model.get("_about"), asking(model)];
    this.later = eachFrame(() => this.paint());
    this.painted = 0;
    /** Addresses of pictures: as they were, as they are, and what is seen in both. @type {Record<string, string[]>} */
    this.addresses = { before: [], after: [], seenBefore: [], seenAfter: [] };
    this.tools = this.makeTools();
    this.trouble = trouble(() => this.tools.querySelector("select")?.focus());
    this.words = make("p", { class: "ul-words", role: "status" });
    this.told = make("ul", { class: "ul-told" });
    this.sheet = make("div", { class: "ul-stage" });
    this.key = make("div", { class: "ul-legend ul-key" });
    this.code = make("div", { class: "ul-code", hidden: true });
  }

  makeTools() {
    const { about } = this;
    const set = (/** @type {any} */ patch) => this.set(patch);
    this.concept = picker("Concept", about.concepts.map((one) => [one, one]), (value) => set({ concept: value }));
    this.action = picker("What is done", Object.entries(ACTIONS), (value) => set({ action: value, strength: 1 }));
    const [rows, columns] = about.grid;
    const cells = Array.from({ length: rows * columns }, (_, i) => [`${Math.floor(i / columns)},${i % columns}`, `row ${Math.floor(i / columns)}, column ${i % columns}`]);
    this.where = picker("Where", [["", "everywhere"], ...(cells.length > 400 ? [] : cells)], (value) => set({ cell: value ? value.split(",").map(Number) : [] }));
    this.count = dragged("How many units", { min: 0, max: about.units, step: 1 }, (value) => set({ count: value }));
    this.strength = dragged("How strongly", { min: 0, max: 1, step: 0.05 }, (value) => set({ strength: value }));
    this.buttons = Object.fromEntries(Object.entries({ undo: "Undo", redo: "Redo", reset: "Reset", code: "Python" }).map(([kind, text]) =>
      [kind, make("button", { type: "button", class: "ul-button", onclick: () => (kind === "code" ? this.showCode() : this.tell(kind)) }, text)]));
    const hold = (/** @type {boolean} */ on) => () => { this.held = on; this.later(); };
    this.compare = make("button", {
      type: "button", class: "ul-button", title: "Hold to see the pictures as they were", "aria-pressed": "false", onpointerdown: hold(true), onpointerup: hold(false), onpointerleave: hold(false), onblur: hold(false),
      onkeydown: (/** @type {KeyboardEvent} */ event) => { if ([" ", "Enter"].includes(event.key)) hold(true)(); }, onkeyup: hold(false),
    }, "Hold: before");
    this.look = make("button", { type: "button", class: "ul-button", "aria-pressed": "false", onclick: () => set({ look: this.model.get("look") === "seen" ? "pictures" : "seen" }) }, "What is seen");
    return make("div", { class: "ul-tools" },
      make("div", { class: "ul-controls" }, make("label", { class: "ul-field" }, "Units of ", this.concept.element), make("label", { class: "ul-field" }, "are ", this.action.element), make("label", { class: "ul-field" }, this.where.element),
        make("span", { class: "ul-buttons" }, Object.values(this.buttons))),
      make("div", { class: "ul-controls" }, this.count.element, this.strength.element, make("span", { class: "ul-buttons" }, this.compare, this.look)));
  }

  start() {
    const { about } = this;
    this.root.classList.add("unitlens", "ul-bench");
    const tiles = Array.from({ length: about.pictures }, (_, i) => make("figure", { class: "ul-scene", onclick: (/** @type {any} */ event) => this.pick(event) },
      make("img", { alt: `Generated picture ${i}`, draggable: "false" }), make("i", { hidden: true })));
    this.sheet.append(...tiles);
    this.root.append(
      make("h2", { class: "ul-title" }, `Change units: ${about.layer} of ${about.model}`),
      make("p", { class: "ul-muted" }, `${about.units} units, ${about.pictures} generated pictures. Click on a picture to change its cell alone, in all pictures; click there again for everywhere.`),
      this.tools, this.trouble.element, this.code, this.words, this.sheet, this.key, this.told);
    const changed = () => this.want();
    const looked = () => this.later();
    this.heard = [...TRAITS.map((name) => [`change:${name}`, changed]), ...LOOKS.map((name) => [`change:${name}`, looked])];
    for (const [event, act] of this.heard) this.model.on(event, act);
    this.root.addEventListener("keydown", this.keep);
    this.ask.slow = (waiting) => (waiting ? this.trouble.say(BUSY) : this.trouble.unsay(BUSY));
    this.ask.failed = (error) => this.trouble.complain(error);
    this.first();
    this.want();
    return () => this.stop();
  }

  stop() {
    this.stopped = true;
    for (const [event, act] of this.heard) this.model.off(event, act);
    this.root.removeEventListener("keydown", this.keep);
    clearTimeout(this.timer);
    this.later.cancel();
    this.ask.stop();
    Object.values(this.addresses).flat().forEach((address) => URL.revokeObjectURL(address));
  }

  /** A notebook deletes a cell on "d d" and leaves it on the arrow keys: plain keys stay here. */
  keep = (/** @type {KeyboardEvent} */ event) => {
    if (!event.ctrlKey && !event.altKey && !event.metaKey) event.stopPropagation();
  };

  /** @param {Record<string, any>} patch */
  set(patch) {
    for (const [name, value] of Object.entries(patch)) this.model.set(name, value);
    this.model.save_changes();
  }

  state() {
    return Object.fromEntries(TRAITS.map((name) => [name, this.model.get(name)]));
  }

  /** @param {MouseEvent} event */
  pick(event) {
    const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    const [rows, columns] = this.about.grid;
    const at = (/** @type {number} */ from, /** @type {number} */ wide, /** @type {number} */ n) => Math.min(n - 1, Math.max(0, Math.floor((n * from) / wide)));
    const cell = [at(event.clientY - box.top, box.height, rows), at(event.clientX - box.left, box.width, columns)];
    this.set({ cell: cell.join() === this.model.get("cell").join() ? [] : cell });
  }

  async first() {
    try {
      this.keepAs("before", files(await this.ask({ kind: "before" })), "image/jpeg");
    } catch (error) {
      this.trouble.complain(error);
    }
  }

  /** @param {string} name @param {Uint8Array[]} some @param {string} type */
  keepAs(name, some, type) {
    const old = this.addresses[name];
    this.addresses[name] = some.map((bytes) => URL.createObjectURL(new Blob([/** @type {any} */ (bytes)], { type })));
    this.later();
    setTimeout(() => old.forEach((address) => URL.revokeObjectURL(address)), 1000);
  }

  /** The state is another: asks for its pictures, one question at a time, always for the newest. */
  async want() {
    this.wanted = true;
    this.root.dataset.rested = "false";
    this.code.hidden = true;
    clearTimeout(this.timer);
    this.later();
    if (this.asked) return;
    this.asked = true;
    while (this.wanted && !this.stopped) {
      this.wanted = false;
      const state = this.state();
      try {
        const answer = await this.ask({ kind: "state", ...state });
        if (this.stopped) break;
        this.answer = { units: answer.units.data.length, state };
        this.keepAs("after", files(answer), "image/jpeg");
        this.root.dataset.stale = "false";
      } catch (error) {
        this.root.dataset.stale = "true";
        this.trouble.complain(error);
      }
    }
    this.asked = false;
    this.timer = setTimeout(() => this.rest(), REST);
  }

  /** What takes longer, once nothing moves: what the segmenter sees. */
  async rest() {
    const { answer } = this;
    try {
      const seen = await this.ask({ kind: "seen", ...this.state() });
      if (this.stopped || this.answer !== answer || this.asked) return;
      const pictures = files(seen);
      this.keepAs("seenBefore", pictures.slice(0, pictures.length / 2), "image/png");
      this.keepAs("seenAfter", pictures.slice(pictures.length / 2), "image/png");
      const [names, colours] = new TextDecoder().decode(seen.words.data).split("\0").map((part) => part.split("\n"));
      const { data } = seen.shares;
      const items = names.map((name, i) => make("li", { class: i ? "" : "ul-asked" }, changeWords(name, data[i], data[names.length + i])));
      this.told.replaceChildren(...items);
      this.key.replaceChildren(...colours.map((line) => line.split("\t")).map(([name, colour]) => make("span", {}, make("i", { style: `background:${colour}` }), name)));
    } catch (error) {
      if (!this.stopped) this.trouble.complain(error);
    }
    this.root.dataset.rested = "true";
  }

  paint() {
    const { about, model } = this;
    const state = this.state();
    this.concept.element.value = state.concept;
    this.action.element.value = state.action;
    this.where.element.value = state.cell.join();
    const most = about.most[state.concept] ?? about.units;
    const units = Math.min(state.count, most);
    this.count.show(units, `${units} of ${about.units} units`, most);
    const input = /** @type {HTMLInputElement} */ (this.strength.element.querySelector("input"));
    input.max = state.action === "insert" ? "3" : "1";
    this.strength.show(state.strength, strengthWords(state.action, state.strength));
    this.buttons.undo.disabled = !model.get("can_undo");
    this.buttons.redo.disabled = !model.get("can_redo");
    const seen = model.get("look") === "seen" && this.addresses.seenAfter.length > 0;
    this.look.setAttribute("aria-pressed", String(model.get("look") === "seen"));
    this.compare.setAttribute("aria-pressed", String(Boolean(this.held)));
    const kind = this.held ? (seen ? "seenBefore" : "before") : seen ? "seenAfter" : "after";
    this.key.hidden = !seen;
    const [rows, columns] = about.grid;
    [...this.sheet.children].forEach((figure, i) => {
      const [image, mark] = /** @type {any} */ (figure.children);
      const address = this.addresses[kind][i] || this.addresses.after[i] || "";
      if (address && image.src !== address) image.src = address;
      mark.hidden = !state.cell.length;
      if (state.cell.length) Object.assign(mark.style, { top: `${(100 * state.cell[0]) / rows}%`, left: `${(100 * state.cell[1]) / columns}%`, height: `${100 / rows}%`, width: `${100 / columns}%` });
    });
    const words = deedWords(state, this.answer ? this.answer.units : units, about.learnt.includes(state.concept));
    if (this.words.textContent !== words) this.words.textContent = words;
    this.painted += 1;
    this.root.dataset.painted = String(this.painted);
    this.root.dataset.of = this.answer ? JSON.stringify(this.answer.state) : "";
  }

  /** @param {string} kind */
  async tell(kind) {
    try {
      await this.ask({ kind });
    } catch (error) {
      this.trouble.complain(error);
    }
  }

  async showCode() {
    this.code.hidden = !this.code.hidden;
    if (this.code.hidden) return;
    try {
      const text = new TextDecoder().decode((await this.ask({ kind: "code", ...this.state() })).bytes.data);
      this.code.replaceChildren(make("pre", { tabindex: 0, "aria-label": "Python that repeats this" }, text));
    } catch (error) {
      this.trouble.complain(error);
    }
  }
}

/** @param {{model: any, el: HTMLElement}} widget */
function render({ model, el }) {
  return new StageBench(model, el).start();
}

export default { render };
