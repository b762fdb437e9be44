/**
 * What a client of a byte store does to the values: text as it is, objects as JSON, Buffers as they are.
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
