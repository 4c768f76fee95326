// @ts-check
/** Lens: takes a picture from the reader (dropped, pasted, chosen, or one of the samples) and hands it to Python. */

import { make } from "./dom.js";

const LARGEST = 1024; // pixels of the longer side that are sent; a model sees fewer
const QUALITY = 0.92;

/** Width and height of a picture that is made to fit. @param {number} width @param {number} height @param {number} largest */
export function fitting(width, height, largest = LARGEST) {
  const scale = Math.min(1, largest / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** The first picture among files or clipboard items. @param {Iterable<any> | null} things */
export function firstPicture(things) {
  for (const thing of things || []) {
    if (!thing.type?.startsWith("image/")) continue;
    return thing.getAsFile ? thing.getAsFile() : thing;
  }
  return null;
}

/** A picture file as a data URI of a JPEG. @param {Blob} file */
async function asDataUri(file) {
  const picture = await createImageBitmap(file);
  const [width, height] = fitting(picture.width, picture.height);
  const canvas = make("canvas", { width, height });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // where the picture is transparent
  pen.fillRect(0, 0, width, height);
  pen.drawImage(picture, 0, 0, width, height);
  picture.close();
  return canvas.toDataURL("image/jpeg", QUALITY);
}

/** @param {{model: any, el: HTMLElement}} widget */
function render({ model, el }) {
  const words = make("span", { role: "status" });
  const choose = make("input", { type: "file", accept: "image/*", class: "ul-aside", tabindex: -1, "aria-label": "Choose a picture", onchange: () => take(firstPicture(choose.files)) });
  const button = make("button", { type: "button", class: "ul-button", onclick: () => choose.click() }, "Choose a picture");
  const samples = make("div", { class: "ul-samples" },
    model.get("_samples").map((uri, i) =>
      make("button", { type: "button", "aria-label": `Sample picture ${i + 1}`, onclick: () => send({ sample: i, name: `sample ${i + 1}` }) }, make("img", { src: uri, alt: "", width: 56, height: 56 }))));
  const zone = make("div", { class: "ul-drop", tabindex: 0, role: "group", "aria-label": "Drop or paste a picture here" },
    make("div", {}, make("strong", {}, "Drop a picture here"), ", paste one (Ctrl+V), or ", button, choose), words, samples);

  /** @param {Record<string, any>} picture */
  function send(picture) {
    model.set("status", `Looking at ${picture.name} …`); // so that what Python says next is another, and comes
    model.set("picture", { ...picture, number: Date.now() });
    model.save_changes();
  }

  /** @param {Blob & {name?: string} | null} file */
  async function take(file) {
    if (!file) {
      words.textContent = "That is no picture.";
      return;
    }
    try {
      send({ data: await asDataUri(file), name: file.name || "the pasted picture" });
    } catch {
      words.textContent = `${file.name || "The picture"} cannot be read here. Save it as JPEG or PNG.`;
    }
  }

  const over = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    event.stopPropagation(); // JupyterLab takes dropped files as its own
    zone.classList.toggle("ul-over", event.type !== "dragleave" && event.type !== "drop");
  };
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) zone.addEventListener(type, over);
  zone.addEventListener("drop", (event) => take(firstPicture(event.dataTransfer.files)));
  zone.addEventListener("paste", (event) => {
    event.preventDefault();
    event.stopPropagation();
    take(firstPicture(event.clipboardData.items));
  });
  const told = () => { words.textContent = model.get("status"); };
  model.on("change:status", told);
  told();
  el.classList.add("unitlens", "ul-lens");
  el.append(zone);
  return () => model.off("change:status", told);
}

export default { render };
