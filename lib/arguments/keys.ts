/**
 * Keys, and entries as users see them. `codec/` has the formats of values.
 *
 * Keys cross as UTF-8, which has no lone surrogates: they become U+FFFD. The native side reports a string key with
 * U+FFFD as suspect, and only JavaScript can tell whether the caller wrote it. A key in *steady* form is never suspect:
 * it is a string without U+FFFD, or bytes.
 */
import { isUtf8 } from 'node:buffer'
import { types } from 'node:util'
import { invalid, keyTooLong, loneSurrogates, notAKey } from '../errors.ts'
import type { RawKey } from '../native/raw-calls.ts'

/**
 * A key: a string of any Unicode text without lone surrogates, or bytes; 1 byte to 8 KiB as UTF-8. A string and its
 * UTF-8 bytes are the same key.
 */
export type Key = string | Uint8Array

/** In bytes, as UTF-8. */
const MAX_KEY = 8192

/** A value with its metadata. */
export interface Entry<V = unknown> {
  readonly value: V
  /** Grows with every change of the key, over all processes. For `if: { version }`, and `after` of `waitFor`. */
  readonly version: number
  /** The moment of the write, in epoch milliseconds. */
  readonly createdAt: number
  /** The moment of its expiry, in epoch milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** The bytes that the entry occupies in the segment, with overhead. */
  readonly size: number
  /** Whether it has expired, or a tag made it stale, and it was served as stale. Always false without `allowStale`. */
  readonly stale: boolean
}

/** A key in steady form. Bytes are copied, because the caller may change them. */
export function steadyKey(key: Key): RawKey {
  if (typeof key !== 'string') return types.isUint8Array(key) ? Uint8Array.from(key) : key
  if (!key.isWellFormed()) throw loneSurrogates(key)
  return key.includes('\uFFFD') ? Buffer.from(key) : key
}

/** A checked key in steady form. Throws `ERR_INVALID_ARGUMENT` or `ERR_KEY_TOO_LONG`. */
export function wholeKey(key: Key): RawKey {
  if ((typeof key !== 'string' && !types.isUint8Array(key)) || key.length === 0) {
    throw notAKey(key)
  }
  if (key.length * 3 > MAX_KEY && Buffer.byteLength(key) > MAX_KEY) {
    throw keyTooLong(key)
  }
  return steadyKey(key)
}

/** A key as the caller gave it: a string with U+FFFD crosses as bytes. */
export function givenKey(key: RawKey): Key {
  if (typeof key === 'string' || !isUtf8(key)) return key
  const text = Buffer.from(key.buffer, key.byteOffset, key.length).toString()
  return text.includes('\uFFFD') ? text : key
}

/** A prefix of keys in steady form. The empty prefix selects every key. */
export function steadyPrefix(prefix: Key): RawKey {
  if (typeof prefix === 'string' || types.isUint8Array(prefix)) return steadyKey(prefix)
  throw invalid('prefix must be a string or a Uint8Array', prefix)
}
