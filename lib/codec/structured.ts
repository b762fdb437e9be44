/**
 * Values that JSON would lose something of, as bytes and back.
 *
 * What goes in comes out equal, with its cycles and with each object as often as it was there; or `encodeStructured` throws and
 * names the culprit. Decoding takes any bytes whatever: it gives data or throws, in a time and a memory that follow from their
 * length, and runs nobody's code. What each kind of value becomes is in `docs/values.md`, the bytes are in `format.ts`. The
 * thing to get wrong: the bytes lie in a buffer that is used again.
 */
import { Decoder } from './decoder.ts'
import { Encoder } from './encoder.ts'

/** One that is not in use. A getter may encode something while its own value is encoded, and then takes another. */
let spare: Encoder | undefined

/**
 * The bytes of `value`. Valid until the next call in this thread: store or copy them at once.
 *
 * @throws {CacheError} `ERR_UNSERIALIZABLE` with the path to what cannot be stored; `ERR_VALUE_TOO_LARGE` if there is no buffer
 * or string of that length. What a getter or a Proxy throws passes through.
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
 * The value of bytes that `encodeStructured` made, in this process or another. Shares no memory with them.
 *
 * @throws {CacheError} `ERR_SEGMENT_CORRUPT` for any other bytes, as far as they make no value; `ERR_CODEC_MISMATCH` for those of a
 * later version of this package, or of Node.js, with a kind that is missing here.
 * @example
 * const value = decodeStructured(bytes)
 */
export function decodeStructured(bytes: Uint8Array): unknown {
  return new Decoder(bytes).decode()
}
