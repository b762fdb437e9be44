/**
 * Keys, and entries as users see them. How values are stored is in `codec/`.
 *
 * The thing to get wrong: keys cross as UTF-8, which has no lone surrogates. The native side notices U+FFFD, and only
 * JavaScript can tell whether it was the caller's own.
 */
import { isUtf8 } from 'node:buffer'
import { CacheError, invalid } from './errors.ts'
import type { RawKey } from './native.ts'

/** A key: a string of any Unicode text without lone surrogates, or bytes; 1 byte to 8 KiB as UTF-8. A string and its UTF-8 bytes are the same key. */
export type Key = string | Uint8Array

/** Bytes as UTF-8. */
const MAX_KEY = 8192

/** A value with what the cache knows of it. */
export interface Entry<V = unknown> {
  readonly value: V
  /** Grows with every change of the key, over all processes; what `if: { version }` and `waitFor`'s `after` take. */
  readonly version: number
  /** When the value was set, in epoch milliseconds. */
  readonly createdAt: number
  /** When it expires, in epoch milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** Bytes of the segment that it occupies, overhead included. */
  readonly size: number
  /** Whether it has expired, or was outdated by a tag, and was served nevertheless. Always false without `allowStale`. */
  readonly stale: boolean
}

/** A key that nobody changes while we wait, in the form that needs no second look. */
export function steadyKey(key: Key): RawKey {
  if (typeof key !== 'string') return key instanceof Uint8Array ? Uint8Array.from(key) : key
  if (!key.isWellFormed()) throw invalid('a key may not contain lone surrogates', key)
  return key.includes('\uFFFD') ? Buffer.from(key) : key
}

/**
 * A key with everything about it checked, in the form that needs no second look. Throws `ERR_INVALID_ARGUMENT` or
 * `ERR_KEY_TOO_LONG`.
 */
export function wholeKey(key: Key): RawKey {
  if ((typeof key !== 'string' && !(key instanceof Uint8Array)) || key.length === 0) {
    throw invalid('a key must be a string or a Uint8Array of at least 1 byte', key)
  }
  if (key.length * 3 > MAX_KEY && Buffer.byteLength(key) > MAX_KEY) {
    throw new CacheError('ERR_KEY_TOO_LONG', 'a key may have 8,192 bytes as UTF-8')
  }
  return steadyKey(key)
}

/** A key as it was given: a text with U+FFFD crossed as bytes. */
export function givenKey(key: RawKey): Key {
  if (typeof key === 'string' || !isUtf8(key)) return key
  const text = Buffer.from(key.buffer, key.byteOffset, key.length).toString()
  return text.includes('\uFFFD') ? text : key
}

/** A prefix of keys in the form that needs no second look; the empty one is every key's. */
export function steadyPrefix(prefix: Key): RawKey {
  if (typeof prefix === 'string' || prefix instanceof Uint8Array) return steadyKey(prefix)
  throw invalid('prefix must be a string or a Uint8Array', prefix)
}
