// @ts-check
/** Asking: questions put to Python as messages, and their answers. */

import { fromBase64, unpack } from "./pack.js";

const PATIENCE = 30_000; // ms

/** Asks Python; each answer carries the number of its question. `ask.slow(waiting)` is called when one is late, and when
 * none is any more: a busy kernel answers in the end. Where a host loses the bytes that go with a message (as
 * Colab has done, and others), the question is put again and from then on answers come as base64 text.
 * @param {any} model */
export function asking(model) {
  let last = 0;
  let text = false;
  const name = Math.random().toString(36).slice(2); // views of one model hear each other's answers
  const open = new Map();
  const late = new Set();
  const heard = (/** @type {any} */ message, /** @type {DataView[] | undefined} */ buffers) => {
    if (message.trouble) ask.failed(Object.assign(new Error(message.trouble), { trace: message.trace }));
    const waiting = open.get(message.id);
    if (!waiting) return;
    const bytes = typeof message.text === "string" ? fromBase64(message.text) : buffers?.[0];
    if (!bytes && !message.error && !waiting.question.text) {
      text = waiting.question.text = true;
      model.send(waiting.question);
      return;
    }
    open.delete(message.id);
    clearTimeout(waiting.timer);
    if (late.delete(message.id) && !late.size) ask.slow(false);
    if (message.error) waiting.fail(Object.assign(new Error(message.error), { trace: message.trace }));
    else waiting.done(unpack(message.header, bytes || new ArrayBuffer(0)));
  };
  model.on("msg:custom", heard);
  /** @param {Record<string, any>} question */
  const ask = (question) =>
    new Promise((done, fail) => {
      const id = `${name}-${(last += 1)}`;
      const timer = setTimeout(() => {
        late.add(id);
        ask.slow(true);
      }, PATIENCE);
      const whole = { ...question, id, text };
      open.set(id, { done, fail, timer, question: whole });
      model.send(whole);
    });
  ask.slow = (/** @type {boolean} */ _waiting) => {};
  ask.failed = (/** @type {Error} */ _error) => {}; // of what Python does when something is chosen here
  ask.stop = () => {
    model.off("msg:custom", heard);
    for (const { timer } of open.values()) clearTimeout(timer);
  };
  return ask;
}
