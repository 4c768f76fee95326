// @ts-check
/** Bench words: what the bench says, as pure functions of what Python has answered. */

export const BY = { class: "most important for", concept: "that match", numbers: "by number", random: "at random" };

/** @param {number} value a share */
export const percent = (value) => (Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "–");

/** @param {number} change a difference of shares */
export function points(change) {
  if (!Number.isFinite(change)) return "–";
  const text = Math.abs(100 * change).toFixed(1);
  return Number(text) === 0 ? text : `${change > 0 ? "+" : "−"}${text}`;
}

/** @param {number} factor */
export function factorWords(factor) {
  if (factor === 0) return "switched off";
  return factor === 1 ? "left as they are" : `times ${Number(factor.toFixed(2))}`;
}

/** Unit numbers out of what was typed: "3, 7-9" gives [3, 7, 8, 9]; null where it is something else.
 * @param {string} text @param {number} units */
export function unitsTyped(text, units) {
  const found = [];
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    const match = /^(\d+)(?:[-–](\d+))?$/.exec(part);
    if (!match) return null;
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (last < first || last >= units) return null;
    for (let unit = first; unit <= last; unit += 1) if (!found.includes(unit)) found.push(unit);
  }
  return found;
}

/** The sentence about all images. @param {any} about @param {any} answer @param {any} control @param {any} state */
export function summary(about, answer, control, state) {
  const count = answer.units.data.length;
  if (!count || state.factor === 1) return `All ${about.units} units as they are: ${percent(about.top1)} of ${about.images} images are named rightly.`;
  const flips = answer.flips.data[0];
  const what = `${count} of ${about.units} units ${factorWords(state.factor)}`;
  const said = `${percent(answer.top1.data[0])} of ${about.images} images are named rightly, ${percent(about.top1)} before; ${flips} ${flips === 1 ? "answer changes" : "answers change"}.`;
  return `${what}: ${said}${controlWords(control, count)}`;
}

/** @param {any} control @param {number} count */
function controlWords(control, count) {
  if (!control) return "";
  const values = Array.from(control.control_top1.data);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return ` With ${count} random ${count === 1 ? "unit" : "units"} instead: ${percent(mean)} (${percent(Math.min(...values))} to ${percent(Math.max(...values))}, ${values.length} draws).`;
}

/** The classes in the order of their change, largest fall first; those without a number last.
 * @param {ArrayLike<number>} before @param {ArrayLike<number>} after @returns {number[]} */
export function byFall(before, after) {
  const change = Array.from(after, (value, i) => value - before[i]);
  const key = (/** @type {number} */ i) => (Number.isFinite(change[i]) ? change[i] : Infinity);
  return Array.from(change.keys()).sort((a, b) => (key(a) === key(b) ? a - b : key(a) - key(b)));
}

/** One class in words. @param {any} row */
export function classWords({ name, shows, measure, before, after, low, high, control }) {
  if (!Number.isFinite(after) && !Number.isFinite(before)) return `${name}: no image shows it`;
  const random = control ? `, with random units ${percent(control[0])} to ${percent(control[1])}` : "";
  const sure = Number.isFinite(low) ? `, 95 % interval ${percent(low)} to ${percent(high)}` : "";
  return `${name}, ${shows} ${shows === 1 ? "image" : "images"}: ${measure} ${percent(after)}${sure}, ${percent(before)} before${random}`;
}
