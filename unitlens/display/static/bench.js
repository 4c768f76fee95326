// @ts-check
/** Bench: units switched off by sliders; Python answers each state, and what takes longer once nothing moves. */

import { asking } from "./asking.js";
import { benchTools } from "./benchtools.js";
import { summary } from "./benchwords.js";
import { ClassBars } from "./classbars.js";
import { eachFrame, make } from "./dom.js";
import { files } from "./pack.js";
import { shotFigures } from "./shots.js";
import { trouble } from "./trouble.js";

const REST = 250; // ms without a change, after which control and pictures are asked for
const CHIPS = 24; // units that are named
const TRAITS = ["by", "name", "numbers", "draw", "count", "factor"];
const LOOKS = ["measure", "shown", "can_undo", "can_redo"];
const BUSY = "Python is busy: what is missing here comes when it answers. (If the kernel is gone, run the cell again.)";

/** @param {Record<string, {data: Uint8Array}>} arrays */
const textOf = (arrays) => new TextDecoder().decode(arrays.bytes.data);

class Bench {
  /** @param {any} model @param {HTMLElement} root */
  constructor(model, root) {
    [this.model, this.root, this.about, this.ask] = [model, root, model.get("_about"), asking(model)];
    /** What Python said last, with the state it is of. @type {any} */
    this.answer = null;
    this.control = null;
    this.painted = 0;
    this.later = eachFrame(() => this.paint());
    const memory = { get: (name) => model.get(name), set: (patch) => this.set(patch) };
    const acts = { undo: () => this.tell("undo"), redo: () => this.tell("redo"), reset: () => this.tell("reset"), code: () => this.showCode(), table: () => this.saveTable() };
    this.tools = benchTools(this.about, memory, acts);
    this.trouble = trouble(() => this.tools.element.querySelector("select")?.focus());
    this.words = make("p", { class: "ul-words", role: "status" });
    this.chips = make("div", { class: "ul-legend", "aria-label": "Units that are changed", role: "group" });
    this.bars = new ClassBars(this.about, (name) => this.set({ shown: model.get("shown") === name ? "" : name }));
    this.pairs = make("div", { class: "ul-confused" });
    this.shotsHead = make("h3", { class: "ul-sub" }, "Pictures whose answer changes");
    this.shots = make("div", { class: "ul-shots" });
    this.code = make("div", { class: "ul-code", hidden: true });
  }

  start() {
    const { about } = this;
    const title = `Switch units off: ${about.layer} of ${about.model}`;
    this.root.classList.add("unitlens", "ul-bench");
    this.root.append(
      make("h2", { class: "ul-title" }, title),
      make("p", { class: "ul-muted" }, `${about.units} units, ${about.images.toLocaleString("en")} images${about.skipped ? `, ${about.skipped} left out (no label, or unreadable)` : ""}. Line: with all units. Bar: now, with its 95 % interval. Shaded: random units instead.`),
      this.tools.element, this.trouble.element, this.code, this.words, this.chips,
      make("div", { class: "ul-benchbody" }, this.bars.element, make("div", {}, this.pairs, this.shotsHead, this.shots)));
    const changed = () => this.want();
    const looked = () => { this.later(); };
    const reshown = () => { this.later(); this.restLater(); };
    this.heard = [...TRAITS.map((name) => [`change:${name}`, changed]), ...LOOKS.map((name) => [`change:${name}`, name === "shown" ? reshown : looked])];
    for (const [event, act] of this.heard) this.model.on(event, act);
    this.root.addEventListener("keydown", this.key);
    this.ask.slow = (waiting) => (waiting ? this.trouble.say(BUSY) : this.trouble.unsay(BUSY));
    this.ask.failed = (error) => this.trouble.complain(error);
    this.want();
    return () => this.stop();
  }

  stop() {
    this.stopped = true;
    for (const [event, act] of this.heard) this.model.off(event, act);
    this.root.removeEventListener("keydown", this.key);
    clearTimeout(this.timer);
    this.later.cancel();
    this.ask.stop();
  }

  /** A notebook deletes a cell on "d d" and leaves it on the arrow keys: plain keys stay here. */
  key = (/** @type {KeyboardEvent} */ event) => {
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

  /** The state is another: asks for what it does, one question at a time, always for the newest. */
  async want() {
    this.wanted = true;
    this.root.dataset.rested = "false";
    this.code.hidden = true; // it is of another state
    clearTimeout(this.timer);
    this.later();
    if (this.asked) return;
    this.asked = true;
    let failed = false;
    while (this.wanted && !this.stopped) {
      this.wanted = false;
      const state = this.state();
      try {
        const answer = await this.ask({ kind: "state", ...state });
        failed = false;
        this.answer = { ...answer, state };
        this.control = null;
        this.root.dataset.stale = "false";
        this.later();
      } catch (error) {
        failed = true;
        this.root.dataset.stale = "true"; // what is shown is not of what the sliders say
        this.trouble.complain(error);
      }
    }
    this.asked = false;
    if (!failed) this.restLater();
    else this.rested();
  }

  rested() {
    this.root.dataset.rested = "true";
  }

  restLater() {
    this.root.dataset.rested = "false";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.rest(), REST);
  }

  /** What takes longer, as long as nothing has changed: the order of the classes, random units, pictures. */
  async rest() {
    const { answer } = this;
    const shown = this.model.get("shown");
    const still = () => this.answer === answer && !this.asked && !this.stopped && this.model.get("shown") === shown;
    if (!answer || !still()) return;
    try {
      const acts = answer.units.data.length > 0 && answer.state.factor !== 1;
      if (acts && !this.control) {
        const control = await this.ask({ kind: "control", ...answer.state });
        if (!still()) return;
        this.control = control;
      }
      this.resting = true;
      this.later();
      const shots = acts ? await this.ask({ kind: "shots", ...answer.state, shown }) : null;
      const figures = shots ? await shotFigures(this.about, shots, files(shots)) : [];
      if (!still()) return;
      this.shots.replaceChildren(...figures);
      this.shotsHead.textContent = shotsTitle(shots ? shots.count.data[0] : 0, figures.length, shown);
      this.later();
      this.rested();
    } catch (error) {
      if (!this.stopped) this.trouble.complain(error);
      this.rested();
    }
  }

  paint() {
    const { answer, about, model } = this;
    this.tools.update(answer ? answer.most.data[0] : about.units);
    if (answer) {
      const words = summary(about, answer, this.control, answer.state);
      if (this.words.textContent !== words) this.words.textContent = words;
      this.bars.update(answer, this.control, model.get("measure"), model.get("shown"), Boolean(this.resting));
      this.paintChips(Array.from(answer.units.data));
      this.paintPairs(answer);
    }
    this.resting = false;
    this.painted += 1;
    this.root.dataset.painted = String(this.painted);
  }

  /** @param {number[]} units */
  paintChips(units) {
    const key = units.join();
    if (this.chipsOf === key) return;
    this.chipsOf = key;
    const out = (/** @type {number} */ unit) => {
      const numbers = units.filter((one) => one !== unit);
      this.set({ by: "numbers", numbers, count: numbers.length });
    };
    const some = units.slice(0, CHIPS).map((unit) =>
      make("button", { type: "button", class: "ul-chip ul-out", title: "Leave this unit as it is", "aria-label": `unit ${unit}${this.about.labels[unit] ? `, ${this.about.labels[unit]}` : ""}: leave it as it is`, onclick: () => out(unit) },
        make("b", {}, String(unit)), this.about.labels[unit] ? ` ${this.about.labels[unit]}` : ""));
    this.chips.replaceChildren(...some, units.length > CHIPS ? make("span", {}, `and ${units.length - CHIPS} more`) : "");
  }

  paintPairs(answer) {
    const { data, shape } = answer.pairs;
    const { classes } = this.about;
    const rows = Array.from({ length: shape[0] }, (_, i) => make("li", {}, `${classes[data[3 * i]]} → ${classes[data[3 * i + 1]]}`, make("b", {}, String(data[3 * i + 2]))));
    this.pairs.replaceChildren(...(rows.length ? [make("h3", { class: "ul-sub" }, "Newly taken for another class"), make("ul", {}, rows)] : []));
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
      const text = textOf(await this.ask({ kind: "code", ...this.state() }));
      const said = make("span", { role: "status", class: "ul-muted ul-small" });
      const copy = async () => {
        try {
          await navigator.clipboard.writeText(text);
          said.textContent = "copied";
        } catch {
          said.textContent = "select the text and copy it";
        }
      };
      this.code.replaceChildren(make("pre", { tabindex: 0, "aria-label": "Python that repeats this" }, text), make("button", { type: "button", class: "ul-button", onclick: copy }, "Copy"), said);
    } catch (error) {
      this.trouble.complain(error);
    }
  }

  async saveTable() {
    try {
      const { data } = (await this.ask({ kind: "table", ...this.state() })).bytes;
      const link = make("a", { href: URL.createObjectURL(new Blob([data], { type: "text/csv" })), download: `${this.about.layer}_without_units.csv` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    } catch (error) {
      this.trouble.complain(error);
    }
  }
}

/** @param {number} count @param {number} drawn @param {string} shown */
export function shotsTitle(count, drawn, shown) {
  const of = shown ? ` (${shown})` : "";
  if (!count) return `No picture${of} changes its answer`;
  return `Pictures whose answer changes${of}${count > drawn ? `: ${drawn} of ${count}` : ""}`;
}

/** @param {{model: any, el: HTMLElement}} widget */
function render({ model, el }) {
  return new Bench(model, el).start();
}

export default { render };
