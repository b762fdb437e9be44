/**
 * The structured format: values that JSON would not preserve, as bytes and back.
 *
 * A decoded value equals the encoded one, with its cycles and shared objects; otherwise `encodeStructured` throws with
 * the path of the part that cannot be stored. Decoding accepts any bytes: it returns data or throws, in a time and
 * memory bounded by their length, and runs no code. `docs/values.md` describes each kind of value, `format.ts` the
 * bytes.
 *
 * Caution: the encoded bytes are in a buffer that is reused.
 */
import { Decoder } from './decoder.ts'
import { Encoder } from './encoder.ts'

/**
 * An encoder that is not in use. A getter may encode a value while its own value is being encoded; that needs another
 * one.
 */
let spare: Encoder | undefined

/**
 * The bytes of `value`. Valid until the next call in this thread: store or copy them at once.
 *
 * @throws {CacheError} `ERR_UNSERIALIZABLE` with the path to the part that cannot be stored; `ERR_VALUE_TOO_LARGE` if
 * no buffer or string can be that long. Errors of getters and Proxies pass through.
 * @example
 * encodeStructured({ at: new Date(), tags: new Set(['a']) })
 */
export function encodeStructured(value: object): Uint8Array {
  const encoder = spare ?? new Encoder()
  spare = undefined
  try {
    return encoder.encode(value)
  } finally {
    spare = encoder
  }
}

/**
 * The value of bytes of `encodeStructured`, from any process. Shares no memory with them.
 *
 * @throws {CacheError} `ERR_SEGMENT_CORRUPT` for other bytes that are not a value; `ERR_CODEC_MISMATCH` for bytes of a
 * later version of this package or of Node.js, with a kind that this version does not support.
 * @example
 * const value = decodeStructured(bytes)
 */
export function decodeStructured(bytes: Uint8Array): unknown {
  return new Decoder(bytes).decode()
}
