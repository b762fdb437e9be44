/**
 * How values become what is stored, and back.
 *
 * Numbers, booleans, null and bigints are stored as they are, whatever the codec, so that counters work for everyone.
 * Strings and bytes are too, unless the cache has a codec of its own. For objects the codec decides: `auto` writes flat ones of
 * a known shape as such, others as JSON where it loses nothing, else the structured form; `json` writes what `JSON.stringify` makes of them. The entry says how
 * its value was stored, so a reader never guesses.
 *
 * The thing to get wrong: `encoded.kind` is overwritten by the next `encode`, and so are the bytes of a structured value.
 */
import { types } from 'node:util'
import { CacheError, invalid } from '../errors.ts'
import { Kind } from '../native.ts'
import { flatText, fromFlat } from './flat.ts'
import { plainText } from './plain.ts'
import { decodeStructured, encodeStructured } from './structured.ts'

/**
 * An encoding of one's own: for compression, encryption, a schema. It gets every value but numbers, booleans, null and
 * bigints.
 *
 * @example
 * const packed: Codec = { id: 1, encode: (value) => pack(value), decode: (bytes) => unpack(bytes) }
 * const cache = open({ name: 'app', codec: packed })
 */
export interface Codec {
  /**
   * 1 to 100; stored with every entry, so that a reader without this codec gets `ERR_CODEC_MISMATCH` instead of nonsense.
   * Give a new format a new one.
   */
  readonly id: number
  /** The bytes of a value. What it throws is thrown by `set`. */
  encode(value: unknown): Uint8Array
  /** The value of bytes that nobody else will touch. What it throws makes the read a miss, as damage does. */
  decode(bytes: Uint8Array): unknown
}

export type ResolvedCodec = 'auto' | 'json' | Codec

const MAX_CODEC_ID = 100

/** The `Kind` of what `encode` returned last. */
export const encoded: { kind: number } = { kind: 0 }

/** Throws `ERR_INVALID_ARGUMENT` for what is no codec. */
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

/**
 * What crosses to the native side for `value`; `encoded.kind` says as what. Bytes of a structured value are valid until the
 * next call.
 */
export function encode(value: unknown, codec: ResolvedCodec): unknown {
  switch (typeof value) {
    case 'string':
      return typeof codec === 'object' ? encodeWith(codec, value) : as(Kind.String, value)
    case 'number':
      return as(Kind.Number, value)
    case 'boolean':
      return as(Kind.Simple, value ? 2 : 1)
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? as(Kind.BigInt64, value) : as(Kind.BigIntHex, value.toString(16))
    case 'undefined':
      throw new CacheError('ERR_UNDEFINED_VALUE', 'undefined cannot be stored')
    default:
      if (value === null) return as(Kind.Simple, 0)
      return typeof codec === 'object' ? encodeWith(codec, value) : encodeObject(value as object, codec)
  }
}

/** Also for functions and symbols, which both refuse. */
function encodeObject(value: object, codec: 'auto' | 'json'): unknown {
  if (types.isUint8Array(value)) return as(Buffer.isBuffer(value) ? Kind.Buffer : Kind.Uint8Array, settled(value))
  if (codec === 'json') return as(Kind.Json, stringify(value))
  const flat = flatText(value)
  if (flat !== undefined) return as(Kind.Flat, flat)
  const text = plainText(value)
  return text === undefined ? as(Kind.Structured, encodeStructured(value)) : as(Kind.Json, text)
}

function encodeWith(codec: Codec, value: unknown): Uint8Array {
  const bytes = codec.encode(value)
  if (!types.isUint8Array(bytes)) throw invalid("a codec's encode must return a Uint8Array", bytes)
  return as(Kind.Codec + codec.id, settled(bytes))
}

function as<T>(kind: number, payload: T): T {
  encoded.kind = kind
  return payload
}

/** Bytes that another thread could change under the native side's hands are copied first. */
function settled(bytes: Uint8Array): Uint8Array {
  return types.isSharedArrayBuffer(bytes.buffer) ? Uint8Array.from(bytes) : bytes
}

function stringify(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new CacheError('ERR_UNSERIALIZABLE', `$ cannot be written as JSON: ${(cause as Error).message}`, { cause })
  }
  if (text === undefined) throw new CacheError('ERR_UNSERIALIZABLE', `$ is a ${typeof value}, which has no JSON`)
  return text
}

/** Whether a kind crosses as bytes. */
export function isBytes(kind: number): boolean {
  return kind === Kind.Buffer || kind === Kind.Uint8Array || (kind >= Kind.Structured && kind !== Kind.Flat)
}

/** The value of a text kind. Throws whatever the damage of its text made of it. */
export function fromText(text: string, kind: number): unknown {
  if (kind === Kind.Json) return JSON.parse(text)
  if (kind === Kind.Flat) return fromFlat(text)
  return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`)
}

/**
 * The value of a kind of bytes. Throws `ERR_CODEC_MISMATCH` for another codec's, and whatever damage made of it.
 *
 * @param owned Whether the bytes are the caller's to give away; else they are copied where the value keeps them.
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
  return id >= 1 && id <= MAX_CODEC_ID ? `the codec ${id}, which this cache does not have` : `an unknown kind, ${kind}`
}
