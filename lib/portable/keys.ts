/**
 * Keys: text and bytes of the same UTF-8 are one key, as in a segment of the native engine.
 *
 * A key is kept as one string: its text, or for bytes that are no UTF-8 a lone surrogate and a character for each byte.
 * No text has a lone surrogate, so the two never meet.
 */
import { isUtf8 } from 'node:buffer'
import { isUint8Array, isUint8ClampedArray } from 'node:util/types'
import { MAX_KEY, Status } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { Failure, failure, invalid } from './failure.ts'

const NO_TEXT = '\uD800'

/** A key as the engine keeps it. */
export interface StoredKey {
  readonly text: string
  /** Bytes as UTF-8. */
  readonly length: number
  /** It was given as bytes. */
  readonly binary: boolean
}

/** Reads a key. Throws what the native engine reports. */
export function readKey(key: RawKey, most = MAX_KEY): StoredKey {
  if (typeof key === 'string') {
    const length = key.length * 3 <= most ? (isShortAscii(key) ? key.length : Buffer.byteLength(key)) : lengthOf(key)
    if (length === 0) throw invalid('the key is empty')
    if (length !== key.length && isSuspect(key)) throw new Failure(Status.SuspectKey, 'a lone surrogate')
    if (length > most) throw tooLong(length)
    return { text: key, length, binary: false }
  }
  if (!isBytes(key)) throw invalid('a key is text or bytes')
  if (key.length === 0) throw invalid('the key is empty')
  if (key.length > most) throw tooLong(key.length)
  return { text: textOf(key), length: key.length, binary: true }
}

/** Reads a name, which the native engine takes as UTF-8 of any text: U+FFFD is a character like others. */
export function readName(name: string): StoredKey {
  return isSuspect(name) ? { ...readKey(Buffer.from(name)), binary: false } : readKey(name)
}

/** The text by which bytes are kept. */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString('utf8') : NO_TEXT + buffer.toString('latin1')
}

/** The bytes of a key. */
export function bytesOf(text: string): Uint8Array {
  return text.startsWith(NO_TEXT) ? Buffer.from(text.slice(1), 'latin1') : Buffer.from(text, 'utf8')
}

/** A key as it was given. */
export function givenForm({ text, binary }: { readonly text: string; readonly binary: boolean }): RawKey {
  return binary || text.startsWith(NO_TEXT) ? new Uint8Array(bytesOf(text)) : text
}

/** A test of keys for a prefix, which may end inside a character. */
export function prefixTest(prefix: RawKey): (text: string) => boolean {
  if (prefix.length === 0) return () => true
  if (typeof prefix === 'string') {
    const wellFormed = prefix.toWellFormed()
    return (text) => text.startsWith(wellFormed)
  }
  const bytes = Buffer.from(prefix)
  if (isUtf8(bytes)) {
    const text = bytes.toString('utf8')
    return (key) => (key.startsWith(NO_TEXT) ? startsWith(key, bytes) : key.startsWith(text))
  }
  return (key) => startsWith(key, bytes)
}

function startsWith(key: string, prefix: Buffer): boolean {
  const bytes = bytesOf(key)
  return bytes.length >= prefix.length && prefix.equals(bytes.subarray(0, prefix.length))
}

/** Whether a value is bytes, as Node-API counts them: also those of another realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return isUint8Array(value) || isUint8ClampedArray(value)
}

/** Text that is not ASCII and has U+FFFD, or would get it as UTF-8. */
export function isSuspect(text: string): boolean {
  return text.includes('\uFFFD') || !text.isWellFormed()
}

/** A number of 32 bits for a text (FNV-1a). */
export function hashOf(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}

/** A long key may be far too long: then its length is not counted exactly. */
function lengthOf(key: string): number {
  return key.length > MAX_KEY ? key.length : Buffer.byteLength(key)
}

function isShortAscii(text: string): boolean {
  if (text.length > 32) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

function tooLong(length: number): Failure {
  return failure('ERR_KEY_TOO_LONG', `the key has ${length} bytes, at most ${MAX_KEY} are allowed`)
}
