// @ts-check
/** Trouble: what went wrong, said where it happened. */

import { make } from "./dom.js";

/** A box for one message at a time. @param {() => void} left where the focus goes when it is dismissed */
export function trouble(left) {
  const element = make("div", { class: "ul-trouble", role: "alert", hidden: true });
  let said = "";
  const hide = () => {
    element.hidden = true;
    left();
  };
  /** Says a message; the same again does not disturb who reads it. @param {string} words @param {string} trace */
  function say(words, trace = "") {
    if (said === `${words} ${trace}` && !element.hidden) return;
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
