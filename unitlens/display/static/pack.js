// @ts-check
/** Pack: named arrays in one run of bytes, as display/pack.py writes them. */

const TYPES = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array };
const STEP = 8;

/** The arrays of a header [[name, type, shape], ...], each as {data, shape}.
 * @param {[string, string, number[]][]} header @param {DataView | ArrayBuffer | Uint8Array} bytes
 * @returns {Record<string, {data: any, shape: number[]}>} */
export function unpack(header, bytes) {
  const view = ArrayBuffer.isView(bytes) ? bytes : new Uint8Array(bytes);
  // Typed arrays begin at multiples of their own size: a view that does not is moved.
  const moved = view.byteOffset % STEP ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice() : view;
  let from = moved.byteOffset;
  return Object.fromEntries(
    header.map(([name, type, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const data = new TYPES[type](moved.buffer, from, count);
      from += Math.ceil((count * data.BYTES_PER_ELEMENT) / STEP) * STEP;
      return [name, { data, shape }];
    }),
  );
}

/** The files that pack.py's `joined` put one after another.
 * @param {Record<string, {data: any}>} arrays @returns {Uint8Array[]} */
export function files(arrays) {
  let from = 0;
  return Array.from(arrays.sizes.data, (size) => arrays.bytes.data.subarray(from, (from += size)));
}

/** Bytes of a base64 text.
 * @param {string} text */
export function fromBase64(text) {
  const plain = atob(text.trim());
  const bytes = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i += 1) bytes[i] = plain.charCodeAt(i);
  return bytes;
}
