// @ts-check
/** Page: the browser in a page of its own, where everything it asks for is embedded. No kernel, no network. */

import { browser } from "./browser.js";
import { unitsOf } from "./details.js";
import { files, fromBase64, unpack } from "./pack.js";
import { NONE } from "./units.js";

/** State without a kernel. @param {Record<string, any>} state */
export function remembered(state) {
  const listeners = new Set();
  return {
    get: (name) => state[name],
    set: (patch) => {
      Object.assign(state, patch);
      listeners.forEach((act) => act(Object.keys(patch)));
    },
    on: (act) => {
      listeners.add(act);
      return () => listeners.delete(act);
    },
  };
}

/** A unit of which the page keeps no pictures. @param {number} levels */
function bare(levels) {
  const [labels, pairs] = [NONE, []].map((nothing) => Array.from({ length: levels }, () => nothing));
  return {
    maps: new Uint8Array(0), mapShape: [0, 1, 1], top: [], value: [], low: 0, high: 1, edges: [], tail: [],
    precision: labels, recall: labels, least: pairs, most: pairs,
  };
}

/** Answers out of the page's script elements. @param {Document} page @param {any} about */
export function embedded(page, about) {
  const read = (id) => {
    const element = page.getElementById(id);
    return element ? unpack(JSON.parse(element.dataset.header), fromBase64(element.textContent)) : null;
  };
  const units = new Map();
  const pictures = new Map();
  const kept = (key) => {
    if (!units.has(key)) {
      const arrays = read(`ul-units-${about.layers.findIndex((entry) => entry.key === key)}`);
      units.set(key, arrays ? new Map(unitsOf(arrays).map((detail, i) => [arrays.units.data[i], detail])) : new Map());
    }
    return units.get(key);
  };
  const shown = (of) => {
    if (!pictures.has(of)) {
      const arrays = read(`ul-pictures-${of}`);
      pictures.set(of, arrays ? new Map(files(arrays).map((bytes, i) => [arrays.index.data[i], bytes])) : new Map());
    }
    return pictures.get(of);
  };
  return {
    embedded: true,
    layer: async (key) => read(`ul-layer-${about.layers.findIndex((entry) => entry.key === key)}`),
    units: async (key, asked) => {
      const { of } = about.layers.find((entry) => entry.key === key);
      return asked.map((unit) => kept(key).get(unit) || bare(about.dissections[of].levels.length));
    },
    pictures: async (of, ids) => ids.map((id) => shown(of).get(id) || new Uint8Array(0)),
  };
}

if (typeof document !== "undefined" && document.getElementById("ul-about")) {
  const { about, state } = JSON.parse(document.getElementById("ul-about").textContent);
  browser(document.getElementById("ul-units"), about, remembered(state), embedded(document, about));
}
