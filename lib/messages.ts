/**
 * Messages of channels as bytes: every value that can be stored, in the same kinds.
 *
 * The thing to get wrong: numbers. What `set` hands to the native side as a JavaScript value crosses here as its bytes, in
 * little-endian order as the native side stores them.
 */
import { encode, encoded, fromBytes, fromText, isBytes } from './codec/codec.ts'
import type { ResolvedCodec } from './codec/codec.ts'
import { Kind } from './native.ts'
import type { RawKey } from './native.ts'

/** A message as it crosses; bytes of a structured one are valid until the next value is encoded. */
export interface PackedMessage {
  readonly kind: number
  readonly bytes: RawKey
}

/** Throws what `set` throws for values that cannot be stored. */
export function packMessage(message: unknown, codec: ResolvedCodec): PackedMessage {
  const payload = encode(message, codec)
  const { kind } = encoded
  switch (kind) {
    case Kind.String:
      // A lone surrogate has no UTF-8; JSON has an escape for it.
      if (!(payload as string).isWellFormed()) return { kind: Kind.Json, bytes: JSON.stringify(payload) }
      return { kind, bytes: payload as string }
    case Kind.Number:
      return { kind, bytes: new Uint8Array(Float64Array.of(payload as number).buffer) }
    case Kind.Simple:
      return { kind, bytes: Uint8Array.of(payload as number) }
    case Kind.BigInt64:
      return { kind, bytes: new Uint8Array(BigInt64Array.of(payload as bigint).buffer) }
    default:
      return { kind, bytes: payload as RawKey }
  }
}

/** The message of bytes that are the caller's own. Throws `ERR_CODEC_MISMATCH`, and whatever damage made of it. */
export function unpackMessage(kind: number, bytes: Uint8Array, codec: ResolvedCodec): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  switch (kind) {
    case Kind.String:
      return textOf(bytes)
    case Kind.Number:
      return view.getFloat64(0, true)
    case Kind.Simple:
      return SIMPLE[view.getUint8(0)]
    case Kind.BigInt64:
      return view.getBigInt64(0, true)
    case Kind.Buffer:
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    default:
      return isBytes(kind) ? fromBytes(bytes, kind, codec, true) : fromText(textOf(bytes), kind)
  }
}

const SIMPLE: readonly (boolean | null)[] = [null, false, true]

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}
