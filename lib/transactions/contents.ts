/**
 * Values as a transaction keeps them: what a raw read returns, with the kind. Bytes are copies of their own.
 */
import { escapedText, fromBytes, fromText, isBytes } from '../codec/codec.ts'
import type { ResolvedCodec, ValueEncoder } from '../codec/codec.ts'
import { isCollection } from '../native/elements.ts'
import { Kind } from '../native/layout.ts'

/** A value, and its `Kind`. */
export interface Content {
  readonly kind: number
  /** Text, a number, a boolean, null or a bigint; or bytes, of which the owner is the transaction. */
  readonly found: unknown
}

const SIMPLE = [null, false, true] as const

/** The content of a value. Throws as `set`. */
export function encoded(encoder: ValueEncoder, value: unknown): Content {
  const payload = encoder.encode(value)
  const { kind } = encoder
  if (kind === Kind.Simple) return { kind, found: SIMPLE[payload as 0 | 1 | 2] }
  if (kind === Kind.String && !(payload as string).isWellFormed()) {
    return { kind: Kind.Json, found: escapedText(payload as string) }
  }
  // The caller may change the bytes, and those of a structured value belong to the encoder.
  return { kind, found: isBytes(kind) ? Buffer.from(payload as Uint8Array) : payload }
}

/** The value of a content that is no collection. Bytes of another codec throw `ERR_CODEC_MISMATCH`, damaged ones any error. */
export function decoded({ kind, found }: Content, codec: ResolvedCodec): unknown {
  if (kind < Kind.BigIntHex) return found
  if (!isBytes(kind)) return fromText(found as string, kind)
  return fromBytes(found as Buffer, kind, codec, false)
}

/** The bytes of a content in the form of the segment. */
export function bytesOf({ kind, found }: Content): Buffer {
  switch (kind) {
    case Kind.Number: {
      const bytes = Buffer.allocUnsafe(8)
      bytes.writeDoubleLE(found as number)
      return bytes
    }
    case Kind.BigInt64: {
      const bytes = Buffer.allocUnsafe(8)
      bytes.writeBigInt64LE(found as bigint)
      return bytes
    }
    case Kind.Simple:
      return Buffer.of(SIMPLE.indexOf(found as null))
    default:
      return isBytes(kind) ? (found as Buffer) : Buffer.from(found as string)
  }
}

export { isCollection }
