/**
 * Structured values by hand, for bytes that no encoder would write. The numbers repeat those of `lib/codec/format.ts`:
 * a test that imported them would not notice a change of the format.
 */

/** Tags that tests write. */
export const TAGS = {
  ARRAY: 10,
  KEYED: 11,
  OBJECT: 12,
  BARE: 13,
  MAP: 14,
  SET: 15,
  DATE: 16,
  REGEXP: 17,
  ERROR: 18,
  BYTES: 19,
} as const

/** Bytes with a correct header, and a page of text for tokens that ask for text. */
export function withTokens(tokens: Uint8Array | number[], text = '', encoding = 0): Buffer {
  const header = Buffer.of(1, 0, 0, 0, 0)
  header.writeUInt32LE(tokens.length, 1)
  const page = Buffer.of(encoding, 0, 0, 0, 0)
  page.writeUInt32LE(text.length, 1)
  return Buffer.concat([header, Uint8Array.from(tokens), ...(text === '' ? [] : [page, Buffer.from(text, 'latin1')])])
}

/** A number in the encoding of the format. */
export function varint(number: number): number[] {
  return number < 128 ? [number] : [(number & 127) | 128, ...varint(number >>> 7)]
}
