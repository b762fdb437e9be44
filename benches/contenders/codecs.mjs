/**
 * How a client of a byte store encodes values: strings and Buffers unchanged, objects as JSON.
 */

/** @param {string} kind */
export function codecOf(kind) {
  if (kind === 'object') {
    return {
      binary: false,
      encode: JSON.stringify,
      decode: (text) => (text === null || text === undefined ? undefined : JSON.parse(text)),
    }
  }
  return { binary: kind?.startsWith('buffer') ?? false, encode: (value) => value, decode: (text) => text }
}
