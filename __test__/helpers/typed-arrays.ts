/**
 * The constructors of all typed arrays. `Float16Array` exists only in newer versions of Node.js.
 */
export const TYPED_ARRAYS = [
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  (globalThis as { Float16Array?: Uint16ArrayConstructor }).Float16Array,
].filter((View) => View !== undefined)
