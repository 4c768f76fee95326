// @ts-check
/** Kernel: the browser as a widget: state in synced traits, questions as messages that Python answers. */

import { asking } from "./asking.js";
import { browser } from "./browser.js";
import { unitsOf } from "./details.js";
import { files } from "./pack.js";

const NAMES = ["layer", "query", "category", "order", "masks", "quantile", "min_iou", "beats_chance", "compare", "selected", "opened"];

/** @param {{model: any, el: HTMLElement}} widget */
function render({ model, el }) {
  const ask = asking(model);
  const listeners = new Set();
  const memory = {
    get: (name) => model.get(name),
    set: (patch) => {
      for (const [name, value] of Object.entries(patch)) model.set(name, value);
      model.save_changes();
    },
    on: (act) => {
      listeners.add(act);
      return () => listeners.delete(act);
    },
  };
  const changes = NAMES.map((name) => [`change:${name}`, () => listeners.forEach((act) => act([name]))]);
  const source = {
    layer: (key) => ask({ kind: "layer", key }),
    units: async (key, units, images) => unitsOf(await ask({ kind: "units", key, units, images })),
    pictures: async (of, ids) => files(await ask({ kind: "pictures", of, ids })),
    slow: (act) => { ask.slow = act; },
    failed: (act) => { ask.failed = act; },
  };
  const resize = () => el.style.setProperty("--ul-height", `${model.get("height")}px`);
  changes.push(["change:height", resize]);
  resize();
  for (const [event, act] of changes) model.on(event, act);
  const stop = browser(el, model.get("_about"), memory, source);
  return () => {
    stop();
    ask.stop();
    for (const [event, act] of changes) model.off(event, act);
  };
}

export default { render };
