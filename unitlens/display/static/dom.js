// @ts-check
/** Elements: the small vocabulary in which the views are written. Text always goes in as text, never as HTML. */

const SVG = "http://www.w3.org/2000/svg";
const CONTROLS = ["button", "input", "select", "summary"];

/** What tells JupyterLab and Notebook 7 that the keys pressed on an element are its own. They look at the element that
 * has the focus, not around it, and would go to another cell at an arrow key, or delete this one at d d. */
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

/** An element. attributes: "on..." are listeners, `null` and `false` are left out, "style" may hold CSS variables.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children */
export function make(tag, attributes = {}, ...children) {
  const takesKeys = CONTROLS.includes(tag) || "tabindex" in attributes;
  return filled(document.createElement(tag), takesKeys ? { ...OWN_KEYS, ...attributes } : attributes, children);
}

/** An SVG element.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children */
export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** @param {any} element @param {Record<string, any>} attributes @param {any[]} children */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Whether the focus is in an element. @param {HTMLElement} box */
export function focused(box) {
  const root = /** @type {Document | ShadowRoot} */ (box.getRootNode());
  return box.contains(root.activeElement) ? /** @type {HTMLElement} */ (root.activeElement) : null;
}

/** Other children for an element. The focus stays on the child of the same name ("data-hold"), where there is one.
 * @param {HTMLElement} box @param {any[]} children */
export function refill(box, children) {
  const held = focused(box)?.dataset.hold;
  box.replaceChildren(...children);
  if (held) /** @type {HTMLElement} */ (box.querySelector(`[data-hold="${CSS.escape(held)}"]`))?.focus({ preventScroll: true });
}

/** Puts a child after another one (`null`: first) unless it stands there already. Returns the child.
 * @param {Element} box @param {Element} child @param {Element | null} before */
export function inPlace(box, child, before) {
  const next = before ? before.nextSibling : box.firstChild;
  if (next !== child) box.insertBefore(child, next);
  return child;
}

/** Calls `act` once in the next frame, however often it is asked for until then.
 * @param {() => void} act */
export function eachFrame(act) {
  let waiting = 0;
  const ask = () => {
    waiting = waiting || requestAnimationFrame(() => {
      waiting = 0;
      act();
    });
  };
  ask.cancel = () => cancelAnimationFrame(waiting);
  return ask;
}

/** One of several elements takes the focus by Tab; the arrow keys, Home and End move it among them.
 * @param {HTMLElement} box @param {string} selector */
export function roving(box, selector) {
  const all = () => /** @type {HTMLElement[]} */ ([...box.querySelectorAll(selector)]);
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  box.addEventListener("keydown", (event) => {
    const at = all().indexOf(/** @type {HTMLElement} */ (event.target));
    const ends = { Home: 0, End: all().length - 1 };
    const to = event.key in ends ? ends[event.key] : event.key in steps ? at + steps[event.key] : -1;
    if (at < 0 || to < 0 || to >= all().length) return;
    event.preventDefault();
    all()[to].focus();
  });
  box.addEventListener("focusin", (event) => all().forEach((one) => one.setAttribute("tabindex", one === event.target ? "0" : "-1")));
}
