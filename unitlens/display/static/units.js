// @ts-check
/**
 * Units: which of them match a search, in which order, and what is said of them. Pure functions of the arrays that
 * display/atlas.py describes.
 * @typedef {{model: string, images: number, names: string[], categories: string[], shows: number[] | null,
 *   levels: number[], here: number, min_iou: number, picture: number[]}} World
 * @typedef {{key: string, name: string, of: number, units: number, geometry: number[] | null, world: World,
 *   arrays: Record<string, {data: any, shape: number[]}>}} Layer
 * @typedef {{layer: Layer, unit: number, concept: number, iou: number, own: number, ownIou: number, beats: number}} Row
 * @typedef {{query: string, category: string, minIou: number, chance: boolean, order: string}} Wish
 */

export const NONE = 65535;
const SCALE = 65534;

export const NUMBER = new Intl.NumberFormat("en");

/** "3 units". @param {number} count @param {string} noun */
export const plural = (count, noun) => `${NUMBER.format(count)} ${noun}${count === 1 ? "" : "s"}`;

/** A share that was stored as a whole number; NaN where it is not known.
 * @param {number} whole */
export const share = (whole) => (whole === NONE ? NaN : whole / SCALE);

/** One of many numbers 0 to 3 that lie four to a byte, as atlas.py's `quarters` puts them.
 * @param {{data: Uint8Array, shape: number[]}} packed rows of bytes @param {number} row @param {number} at */
export const quarter = ({ data, shape }, row, at) => (data[row * shape[1] + (at >> 2)] >> (2 * (at & 3))) & 3;

/** The nearest level to a quantile: its place.
 * @param {number[]} levels @param {number} quantile */
export function levelAt(levels, quantile) {
  const far = levels.map((level) => Math.abs(Math.log((1 - level) / (1 - quantile))));
  return far.indexOf(Math.min(...far));
}

/** A level in words: "top 1 % of pixels".
 * @param {number} level */
export const levelWords = (level) => `top ${Number((100 * (1 - level)).toPrecision(3))} % of pixels`;

/** "tree (object)", or "no concept".
 * @param {World} world @param {number} concept */
export const fullName = (world, concept) =>
  concept === NONE ? "no concept" : `${world.names[concept]} (${world.categories[concept]})`;

/** The name alone.
 * @param {World} world @param {number} concept */
export const shortName = (world, concept) => (concept === NONE ? "no concept" : world.names[concept]);

/** What a screen reader says of a unit: "unit 150 of conv5_3: airplane (object), IoU 0.09".
 * @param {Row} row */
export function rowWords(row) {
  const other = row.own !== row.concept ? `; own label ${fullName(row.layer.world, row.own)}, ${row.ownIou.toFixed(2)}` : "";
  const chance = row.beats === 0 ? "; does not beat chance" : "";
  return `unit ${row.unit} of ${row.layer.key}: ${fullName(row.layer.world, row.concept)}, IoU ${row.iou.toFixed(2)}${other}${chance}`;
}

/** A search as words, a unit's number, and whether a concept's whole name is asked for (in quotes).
 * @param {string} query */
export function parsed(query) {
  const exact = /^\s*"(.+)"\s*$/.exec(query);
  if (exact) return { exact: exact[1].toLowerCase(), words: [], unit: null };
  const words = query.toLowerCase().split(/[\s,]+/).filter((word) => word && word !== "unit");
  const numbers = words.filter((word) => /^\d+$/.test(word));
  return { exact: "", words: words.filter((word) => !/^\d+$/.test(word)), unit: numbers.length ? Number(numbers[0]) : null };
}

/** Which concepts a search names: one byte for each.
 * @param {Layer} layer @param {{exact: string, words: string[]}} asked @param {string} category */
function conceptsAsked(layer, asked, category) {
  const { names, categories } = layer.world;
  return Uint8Array.from(names, (name, i) => {
    const full = `${name} (${categories[i]})`.toLowerCase();
    if (category && categories[i] !== category) return 0;
    if (asked.exact) return Number(asked.exact === full || asked.exact === name.toLowerCase());
    const text = `${full} ${layer.key.toLowerCase()}`;
    return Number(asked.words.every((word) => text.includes(word)));
  });
}

/** One unit as it answers a search at a level, or null: with its own label, or with a near concept that was asked for.
 * @param {Layer} layer @param {number} level @param {number} unit @param {Uint8Array} asked @param {boolean} named */
function rowOf(layer, level, unit, asked, named) {
  const { label, iou, beats, starts, near, near_iou: nearIou } = layer.arrays;
  const at = level * layer.units + unit;
  const [own, ownIou] = [label.data[at], share(iou.data[at])];
  const row = { layer, unit, concept: own, iou: ownIou, own, ownIou, beats: quarter(beats, level, unit) };
  if (!named || (own !== NONE && asked[own])) return row;
  for (let k = starts.data[unit], best = -1; k < starts.data[unit + 1]; k += 1) {
    const concept = near.data[k];
    const found = share(nearIou.data[level * near.data.length + k]);
    if (asked[concept] && found > best) [best, row.concept, row.iou] = [found, concept, found];
  }
  return row.concept === own ? null : row;
}

/** One unit at a quantile, whatever the search. @param {Layer} layer @param {number} quantile @param {number} unit */
export const rowAt = (layer, quantile, unit) => rowOf(layer, levelAt(layer.world.levels, quantile), unit, new Uint8Array(0), false);

/** The units that answer a wish, in its order: "iou" falls, "unit" rises, "concept" by name.
 * @param {Layer[]} layers @param {number} quantile @param {Wish} wish @returns {Row[]} */
export function rowsOf(layers, quantile, wish) {
  const asked = parsed(wish.query);
  const named = Boolean(asked.exact || asked.words.length || wish.category);
  const rows = [];
  for (const layer of layers) {
    const level = levelAt(layer.world.levels, quantile);
    const concepts = conceptsAsked(layer, asked, wish.category);
    for (let unit = 0; unit < layer.units; unit += 1) {
      if (asked.unit !== null && unit !== asked.unit) continue;
      const row = rowOf(layer, level, unit, concepts, named);
      // A unit that is asked for by its number is shown, however weak.
      if (row && (row.iou >= wish.minIou || asked.unit !== null) && !(wish.chance && row.beats === 0)) rows.push(row);
    }
  }
  return rows.sort(ORDERS[wish.order] || ORDERS.iou);
}

/** @type {Record<string, (a: Row, b: Row) => number>} */
const ORDERS = {
  iou: (a, b) => b.iou - a.iou || a.unit - b.unit,
  unit: (a, b) => a.unit - b.unit,
  concept: (a, b) => name(a).localeCompare(name(b)) || b.iou - a.iou,
};
/** @param {Row} row */
const name = (row) => shortName(row.layer.world, row.concept);

/** Why no unit answers a wish, and what would help: `weak` units answer it but for the least IoU and for chance.
 * @param {Wish} wish @param {number} weak @param {number} found the IoU from which on every concept of a unit is known */
export function whyNone({ query, category, minIou, chance }, weak, found) {
  const text = query.replaceAll('"', "").trim();
  const asked = [text && `"${text}"`, category && `the category ${category}`].filter(Boolean).join(" in ");
  if (!weak) return asked ? `No unit matches ${asked}. Units are found by number, label and every concept from IoU ${Number(found.toFixed(3))} on.` : "No unit matches.";
  const limits = [minIou > 0 && `reaches an IoU of ${minIou}`, chance && "beats chance"].filter(Boolean).join(" and ");
  const help = [minIou > 0 && "lower the least IoU", chance && "let in units that do not beat chance"].filter(Boolean).join(" or ");
  return `No unit${asked && ` for ${asked}`} ${limits}. To see ${weak === 1 ? "the one" : `the ${NUMBER.format(weak)}`} that ${weak === 1 ? "does" : "do"} not, ${help}.`;
}

/** What is on view, in words. @param {Row[]} rows at least one @param {number} total units of the layers on view
 * @param {number} quantile */
export function statusWords(rows, total, quantile) {
  const [own, beaten] = [rows.filter((row) => row.own === row.concept), rows.filter((row) => row.beats === 0)].map((some) => some.length);
  const named = own < rows.length ? `, ${own} by their own label` : "";
  const chance = beaten ? `, ${beaten} ${beaten === 1 ? "does" : "do"} not beat chance (faded)` : "";
  const { levels, here } = rows[0].layer.world;
  const level = levelAt(levels, quantile);
  const other = level === here ? "" : ` The result was made at the ${levelWords(levels[here])}: the ${level > here ? "fewer" : "more"} pixels, the ${level > here ? "lower" : "higher"} an IoU can be.`;
  return `${NUMBER.format(rows.length)} of ${plural(total, "unit")}${named}, ${plural(tally(rows, []).length, "concept")}${chance}.${other}`;
}

/** Units per concept: [{world, concept, full, category, units, best}], by category, then by falling number.
 * @param {Row[]} rows @param {string[]} categories */
export function tally(rows, categories) {
  const found = new Map();
  for (const row of rows) {
    if (row.concept === NONE) continue;
    const full = fullName(row.layer.world, row.concept);
    const bar = found.get(full) || {
      world: row.layer.world, concept: row.concept, full, category: row.layer.world.categories[row.concept], units: 0, best: 0,
    };
    found.set(full, { ...bar, units: bar.units + 1, best: Math.max(bar.best, row.iou) });
  }
  return [...found.values()].sort(
    (a, b) => categories.indexOf(a.category) - categories.indexOf(b.category) || b.units - a.units || a.full.localeCompare(b.full),
  );
}

/** Concepts of two tallies: how many both have, and the names that only one has.
 * @param {{full: string}[]} first @param {{full: string}[]} second */
export function compared(first, second) {
  const [mine, theirs] = [first, second].map((bars) => new Set(bars.map((bar) => bar.full)));
  return {
    both: [...mine].filter((full) => theirs.has(full)),
    first: [...mine].filter((full) => !theirs.has(full)),
    second: [...theirs].filter((full) => !mine.has(full)),
  };
}

/** How many concepts two tallies share, and what only one has, in words.
 * @param {{full: string}[]} first @param {{full: string}[]} second @param {string} key the second layer's */
export function contrast(first, second, key) {
  const found = compared(first, second);
  const short = (/** @type {string} */ full) => full.slice(0, full.lastIndexOf(" ("));
  const list = (/** @type {string[]} */ names) => (names.length ? `${names.length} (${names.slice(0, 6).map(short).join(", ")}${names.length > 6 ? ", ..." : ""})` : "none");
  return ` Concepts in both: ${found.both.length}; only here: ${list(found.first)}; only in ${key}: ${list(found.second)}.`;
}
