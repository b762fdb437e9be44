/**
 * Values to payloads, which are what the native side stores, and back.
 *
 * Numbers, booleans, null and bigints are stored as such by every codec, so counters work for every process. Strings
 * and bytes are stored as such unless the cache has a custom `Codec`. For objects the codec decides. `auto` writes a
 * flat object of a known shape in the flat format, other objects as JSON if JSON preserves them, and all else in the
 * structured format. `json` writes the text of `JSON.stringify`. The entry records the kind of its payload.
 *
 * Caution: the next `encode` overwrites `ValueEncoder.kind`, and the bytes of a structured value.
 */
import { types } from 'node:util'
import { CacheError, invalid } from '../errors.ts'
import { Kind } from '../native/layout.ts'
import { isDeepText, isDeepValue } from './depth.ts'
import { flatText, fromFlat } from './flat.ts'
import { MAX_DEPTH, corrupt } from './format.ts'
import { describe, isLost, kindOfObject } from './kinds.ts'
import { plainText } from './plain.ts'
import { refusal } from './refusal.ts'
import { decodeStructured, encodeStructured } from './structured.ts'

/**
 * A custom encoding, for compression, encryption or a schema. It gets every value except numbers, booleans, null and
 * bigints.
 *
 * @example
 * const packed: Codec = { id: 1, encode: (value) => pack(value), decode: (bytes) => unpack(bytes) }
 * const cache = open({ name: 'app', codec: packed })
 */
export interface Codec {
  /**
   * 1 to 100. It is stored with every entry: for a reader without this codec the entry is a miss, or with `strict` the
   * error `ERR_CODEC_MISMATCH`. Give a new format a new id.
   */
  readonly id: number
  /** The bytes of a value. `set` passes its errors on. */
  encode(value: unknown): Uint8Array
  /** The value of bytes, which the codec may keep. An error makes the read a miss, as damage does. */
  decode(bytes: Uint8Array): unknown
}

export type ResolvedCodec = 'auto' | 'json' | Codec

const MAX_CODEC_ID = 100

/** Throws `ERR_INVALID_ARGUMENT` unless `codec` is a codec or undefined. */
export function resolveCodec(codec: unknown): ResolvedCodec {
  if (codec === undefined || codec === 'auto') return 'auto'
  if (codec === 'json') return 'json'
  if (typeof codec !== 'object' || codec === null) throw invalid("codec must be 'auto', 'json' or a Codec", codec)
  const { id, encode, decode } = codec as Partial<Codec>
  if (!Number.isInteger(id) || (id as number) < 1 || (id as number) > MAX_CODEC_ID) {
    throw invalid(`a codec's id must be a whole number from 1 to ${MAX_CODEC_ID}`, id)
  }
  if (typeof encode !== 'function' || typeof decode !== 'function') {
    throw invalid('a codec must have the functions encode and decode', codec)
  }
  return codec as Codec
}

/** Encodes the values of one cache. A payload and its kind are two results without an allocation for a pair of them. */
export class ValueEncoder {
  readonly codec: ResolvedCodec
  /** The `Kind` of the last payload. Valid until the next `encode`. */
  kind = 0

  constructor(codec: ResolvedCodec) {
    this.codec = codec
  }

  /**
   * The payload of `value`; sets `kind`. Bytes of a structured value are valid until the next call in this thread.
   * Small, so that V8 inlines it.
   */
  encode(value: unknown): unknown {
    if (typeof value === 'string' && typeof this.codec !== 'object') {
      this.kind = Kind.String
      return value
    }
    return encodeOther(this, value)
  }
}

/** `encode` for all values but strings without a custom codec. */
function encodeOther(encoder: ValueEncoder, value: unknown): unknown {
  const { codec } = encoder
  switch (typeof value) {
    case 'number':
      return as(encoder, Kind.Number, value)
    case 'boolean':
      return as(encoder, Kind.Simple, value ? 2 : 1)
    case 'bigint':
      return BigInt.asIntN(64, value) === value
        ? as(encoder, Kind.BigInt64, value)
        : as(encoder, Kind.BigIntHex, value.toString(16))
    case 'undefined':
      throw new CacheError('ERR_UNDEFINED_VALUE', 'undefined cannot be stored')
    default:
      if (value === null) return as(encoder, Kind.Simple, 0)
      return typeof codec === 'object'
        ? encodeWith(encoder, codec, value)
        : encodeObject(encoder, codec, value as object)
  }
}

/** Also gets functions and symbols; both formats refuse them. */
function encodeObject(encoder: ValueEncoder, codec: 'auto' | 'json', value: object): unknown {
  if (types.isUint8Array(value)) {
    return as(encoder, kindOfBytes(value), settled(value))
  }
  if (codec === 'json') return as(encoder, Kind.Json, stringify(value))
  const flat = flatText(value)
  if (flat !== undefined) return as(encoder, Kind.Flat, flat)
  const text = plainText(value)
  return text === undefined ? as(encoder, Kind.Structured, encodeStructured(value)) : as(encoder, Kind.Json, text)
}

/** The kind of bytes. Throws `ERR_UNSERIALIZABLE` for bytes that would come back as others. */
function kindOfBytes(bytes: Uint8Array): number {
  const prototype: unknown = Object.getPrototypeOf(bytes)
  const isBuffer = prototype === Buffer.prototype
  // Bytes of another realm have another prototype.
  if (!isBuffer && prototype !== Uint8Array.prototype && kindOfObject(bytes) !== 'bytes') {
    throw refusal(describe(bytes), [])
  }
  if (isLost(bytes)) throw refusal('a detached Uint8Array', [])
  // Named properties are not searched here: V8 lists them only behind all elements, which takes longer than the write.
  return isBuffer ? Kind.Buffer : Kind.Uint8Array
}

function encodeWith(encoder: ValueEncoder, codec: Codec, value: unknown): Uint8Array {
  const bytes = codec.encode(value)
  if (!types.isUint8Array(bytes)) throw invalid("a codec's encode must return a Uint8Array", bytes)
  return as(encoder, Kind.Codec + codec.id, settled(bytes))
}

function as<T>(encoder: ValueEncoder, kind: number, payload: T): T {
  encoder.kind = kind
  return payload
}

/**
 * A string as JSON text, a payload of `Kind.Json`. It preserves what UTF-8 may not: lone surrogates, and U+FFFD beside
 * them.
 */
export function escapedText(text: string): string {
  try {
    return JSON.stringify(text)
  } catch (cause) {
    throw tooLong(cause)
  }
}

/** Bytes that another thread could change during the native call are copied first. */
function settled(bytes: Uint8Array): Uint8Array {
  return types.isSharedArrayBuffer(bytes.buffer) ? Uint8Array.from(bytes) : bytes
}

function stringify(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw withoutJson(cause)
  }
  if (text === undefined) throw new CacheError('ERR_UNSERIALIZABLE', `$ is a ${typeof value}, which has no JSON`)
  if (isDeepText(text)) throw refusal(`nested in more than ${MAX_DEPTH} levels`, [])
  return text
}

/** The error for what `JSON.stringify` threw. */
function withoutJson(cause: unknown): CacheError {
  const message = types.isNativeError(cause) ? cause.message : describe(cause)
  if (cause instanceof RangeError && message === 'Invalid string length') return tooLong(cause)
  return new CacheError('ERR_UNSERIALIZABLE', `$ cannot be written as JSON: ${message}`, { cause })
}

function tooLong(cause: unknown): CacheError {
  return new CacheError('ERR_VALUE_TOO_LARGE', 'the value is too large for one string of JSON', { cause })
}

/** Whether payloads of a kind are bytes. */
export function isBytes(kind: number): boolean {
  return kind === Kind.Buffer || kind === Kind.Uint8Array || (kind >= Kind.Structured && kind !== Kind.Flat)
}

/** The value of a text payload. A damaged text throws any error. */
export function fromText(text: string, kind: number): unknown {
  if (kind === Kind.Json) return fromJson(text)
  if (kind === Kind.Flat) return fromFlat(text)
  return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`)
}

function fromJson(text: string): unknown {
  const value: unknown = JSON.parse(text)
  if (isDeepValue(value, text)) throw corrupt(`nested in more than ${MAX_DEPTH} levels`)
  return value
}

/**
 * The value of a byte payload. Throws `ERR_CODEC_MISMATCH` for bytes of another codec; damaged bytes throw any error.
 *
 * @param owned Whether the value may keep the bytes; otherwise it gets a copy where it needs them.
 */
export function fromBytes(bytes: Uint8Array, kind: number, codec: ResolvedCodec, owned: boolean): unknown {
  switch (kind) {
    case Kind.Buffer:
      return owned && Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)
    case Kind.Uint8Array:
      return owned ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : Uint8Array.from(bytes)
    case Kind.Structured:
      return decodeStructured(bytes)
    default:
      if (typeof codec === 'object' && kind === Kind.Codec + codec.id) {
        return codec.decode(owned ? bytes : Uint8Array.from(bytes))
      }
      throw new CacheError('ERR_CODEC_MISMATCH', `the entry was written by ${nameOf(kind)}`)
  }
}

function nameOf(kind: number): string {
  const id = kind - Kind.Codec
  return id >= 1 && id <= MAX_CODEC_ID ? `the codec ${id}, which this cache does not use` : `an unknown kind, ${kind}`
}
