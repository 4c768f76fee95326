// @ts-check
/** Trouble: what went wrong, said where it happened. */

import { make } from "./dom.js";

const CALM = 2000; // ms: a message that has just been dismissed is not said again at once, as when the page then asks anew

/** A box for one message at a time. @param {() => void} left where the focus goes when it is dismissed */
export function trouble(left) {
  const element = make("div", { class: "ul-trouble", role: "alert", hidden: true });
  let said = "";
  let dismissed = -Infinity;
  const hide = () => {
    element.hidden = true;
    dismissed = performance.now();
    left();
  };
  /** Says a message; the same again does not disturb who reads or has just read it. @param {string} words @param {string} trace */
  function say(words, trace = "") {
    if (said === `${words} ${trace}` && (!element.hidden || performance.now() - dismissed < CALM)) return;
    said = `${words} ${trace}`;
    element.hidden = false;
    element.replaceChildren(
      make("strong", {}, words),
      trace ? make("details", {}, make("summary", {}, "Traceback"), make("pre", {}, trace)) : "",
      make("button", { type: "button", class: "ul-button", onclick: hide }, "Dismiss"),
    );
  }
  return {
    element,
    say,
    /** @param {any} error */
    complain: (error) => say(String(error.message || error), error.trace),
    /** Takes a message away once it is not true any more. @param {string} words */
    unsay: (words) => {
      if (said === `${words} `) element.hidden = true;
    },
  };
}
