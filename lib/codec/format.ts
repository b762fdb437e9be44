/**
 * The structured format: the bytes that the encoder writes, and that the decoder verifies.
 *
 * ```text
 * version u8 · length of the tokens u32 · tokens · pages of text
 * page:  encoding u8 · length in bytes u32 · bytes
 * ```
 *
 * A token is a tag with its operands; the token of a container is followed by the tokens of its contents. All text is
 * in the pages, in the order in which the tokens use it, so one native call decodes many strings. Objects are numbered
 * as they begin, and a `Reference` has such a number, which preserves cycles and shared objects. Integers of the format
 * are varints of at most 32 bits, or little-endian `u32` where stated.
 *
 * Caution: the size of a token bounds memory. An object takes at most about 70 times as much memory as its tokens take
 * bytes; otherwise a few megabytes of hostile bytes could fill the heap; see `docs/values.md`. So the heavy kinds, Map,
 * Set, bytes and Error, have wider fields than they need.
 */
import { CacheError } from '../errors.ts'

/** The first byte. Another number is another format. */
export const VERSION = 1

/** Where the tokens begin: after the version and their length. */
export const HEADER_LENGTH = 5

/** Maximum nesting. Both directions recurse, and a stack overflow would depend on the depth of the caller. */
export const MAX_DEPTH = 1000

/** The first byte of a token. From `ShortString` on, the tag has a number in its low bits. */
export const Tag = {
  Null: 0,
  Undefined: 1,
  False: 2,
  True: 3,
  /** Zigzag varint: an integer of 32 bits, never -0. */
  Int: 4,
  /** IEEE 754 double, 8 bytes. */
  Double: 5,
  /** Length in UTF-16 units. */
  String: 6,
  /** 8 bytes, signed. */
  BigInt64: 7,
  /** Length of its text: optional minus, hexadecimal digits. */
  BigIntText: 8,
  /** Number of an earlier object. */
  Reference: 9,
  /** Length; then the elements. */
  Array: 10,
  /** An array with holes or names: length, number of properties; then name and value of each. Indices are integers. */
  KeyedArray: 11,
  /** 0 and a new shape (length of its text), or 1 + the number of an earlier shape; then the values. */
  Object: 12,
  /** Followed by the token of an object, which gets no prototype. */
  NullPrototype: 13,
  /** Number of entries u32; then key and value of each. */
  Map: 14,
  /** Number of elements u32; then these. */
  Set: 15,
  /** Time value as a double. */
  Date: 16,
  /** Length of the source, length of the flags. */
  RegExp: 17,
  /** Position in `ERRORS` u8, bits of `ERROR_FIELDS` u8; then one value per field, and an object's shape and values. */
  Error: 18,
  /** Position in `BYTES` u8, length u32, bytes. */
  Bytes: 19,
  /** 0x40 + length, up to 63. */
  ShortString: 0x40,
  /** 0x80 + integer, up to 127. */
  SmallInt: 0x80,
} as const

/** The encodings of a page of text. */
export const TextEncoding = { Latin1: 0, Utf8: 1, Utf16: 2 } as const

/** Their names in Node.js, indexed by the numbers above. */
export const NODE_ENCODINGS: readonly BufferEncoding[] = ['latin1', 'utf8', 'utf16le']

/**
 * Maximum length of a page in UTF-16 units; a longer string has its own page. A decoded string keeps its page in
 * memory, so this bounds the memory that one short string of a large value keeps.
 */
export const PAGE_LENGTH = 16_384

/** The errors of the language. Their position in this list is part of the format. */
export const ERRORS = [
  'Error',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
  'URIError',
  'AggregateError',
] as const

/**
 * Own, non-enumerable properties of an error. Bit `1 << i` marks that it has the property; otherwise the value is
 * undefined.
 */
export const ERROR_FIELDS = ['message', 'stack', 'cause', 'errors'] as const

/** Kinds of bytes. Their position in this list is part of the format; not every version of Node.js has all of them. */
export const BYTES = [
  'Buffer',
  'ArrayBuffer',
  'DataView',
  'Uint8Array',
  'Int8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'Float16Array',
] as const

/**
 * Maximum cost of the regular expressions of one value; see `regExpCost`. The worst case of this cost is half a second,
 * on the machine of ADR 0004.
 */
export const MAX_REGEXP_COST = 1000

/**
 * Property escapes and nested classes are expanded when an expression is created, not when it is used: `\p{RGI_Emoji}`
 * takes 14 ms with the flags `iv`, and 100,000 of them exhaust the memory.
 */
export function regExpCost(source: string, flags: string): number {
  if (!flags.includes('u') && !flags.includes('v')) return 0
  const properties = source.match(/\\p/gi)?.length ?? 0
  return flags.includes('u') ? properties : 32 * properties + source.split('[').length - 1
}

/** The error for bytes that no encoder wrote. */
export function corrupt(what: string, cause?: unknown): CacheError {
  const hint = 'Delete the key, or set it again: a foreign write damaged its value.'
  const options = cause === undefined ? { hint } : { hint, cause }
  return new CacheError('ERR_SEGMENT_CORRUPT', `the stored value is damaged: ${what}`, options)
}
