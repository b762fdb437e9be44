/**
 * Values as items of a collection: a kind and bytes, as entries have them, many in one request.
 */
import type { ResolvedCodec, ValueEncoder } from '../codec/codec.ts'
import { escapedText, fromBytes, fromText, isBytes } from '../codec/codec.ts'
import { Kind } from '../native/layout.ts'

/** A value on its way into a collection. */
export interface Item {
  readonly kind: number
  readonly payload: string | number | bigint | Uint8Array
}

/** The item of a value. It stays valid, whatever is encoded next. Throws as `set`. */
export function itemOf(encoder: ValueEncoder, value: unknown): Item {
  const payload = encoder.encode(value) as Item['payload']
  const { kind } = encoder
  if (kind === Kind.String && !(payload as string).isWellFormed()) {
    return { kind: Kind.Json, payload: escapedText(payload as string) }
  }
  // The bytes of a structured value belong to the encoder.
  return { kind, payload: kind === Kind.Structured ? Uint8Array.from(payload as Uint8Array) : payload }
}

/** A field of a hash. */
export function fieldItem(field: string): Item {
  return { kind: Kind.String, payload: field }
}

/** Bytes that a payload takes. */
export function payloadLength({ kind, payload }: Item): number {
  if (typeof payload === 'string') return Buffer.byteLength(payload)
  if (typeof payload === 'number') return kind === Kind.Number ? 8 : 1
  return typeof payload === 'bigint' ? 8 : payload.length
}

/** Writes a payload of `length` bytes. */
export function writePayload(target: Buffer, at: number, { kind, payload }: Item, length: number): void {
  if (typeof payload === 'string') target.write(payload, at, length)
  else if (typeof payload === 'bigint') target.writeBigInt64LE(payload, at)
  else if (typeof payload !== 'number') target.set(payload, at)
  else if (kind === Kind.Number) target.writeDoubleLE(payload, at)
  else target[at] = payload
}

/** The value of an item. Damaged bytes throw any error. */
export function valueOf(bytes: Buffer, start: number, end: number, kind: number, codec: ResolvedCodec): unknown {
  switch (kind) {
    case Kind.String:
      return bytes.toString('utf8', start, end)
    case Kind.Number:
      return bytes.readDoubleLE(start)
    case Kind.Simple:
      return [null, false, true][bytes[start] as number]
    case Kind.BigInt64:
      return bytes.readBigInt64LE(start)
    default:
      if (isBytes(kind)) return fromBytes(bytes.subarray(start, end), kind, codec, false)
      return fromText(bytes.toString('utf8', start, end), kind)
  }
}
