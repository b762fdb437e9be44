/**
 * Values on their way in and out: what a raw call passes, and what the store keeps.
 *
 * Text stays text, and bytes are copied both ways. Their lengths are those of the native engine's form.
 */
import { Kind, SCRATCH_BYTES, Status } from '../native/layout.ts'
import { Failure, failure, invalid } from './failure.ts'
import { isBytes, isSuspect } from './keys.ts'

/** A value as the store keeps it. */
export interface Stored {
  readonly value: unknown
  /** Bytes. */
  readonly length: number
}

export function isText(kind: number): boolean {
  return kind === Kind.String || kind === Kind.BigIntHex || kind === Kind.Json || kind === Kind.Flat
}

export function isByteKind(kind: number): boolean {
  return !isText(kind) && kind !== Kind.Number && kind !== Kind.Simple && kind !== Kind.BigInt64
}

/** Reads the value of a write. */
export function encode(value: unknown, kind: number): Stored {
  if (isText(kind)) {
    if (typeof value !== 'string') throw invalid('the value is no text')
    const length = Buffer.byteLength(value)
    if (length === value.length) return { value, length }
    if (kind === Kind.String && isSuspect(value)) throw new Failure(Status.SuspectText, 'a lone surrogate')
    return { value: value.toWellFormed(), length }
  }
  switch (kind) {
    case Kind.Number:
      if (typeof value !== 'number') throw invalid('the value is no number')
      return { value, length: 8 }
    case Kind.Simple:
      if (typeof value !== 'number') throw invalid('the value is no number')
      return { value: value & 0xff, length: 1 }
    case Kind.BigInt64:
      if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value)
        throw invalid('the value is no bigint of 64 bits')
      return { value, length: 8 }
  }
  if (!isBytes(value)) throw invalid('the value is no bytes')
  return { value: new Uint8Array(value), length: value.length }
}

/** A value from its bytes in the form of the native engine. */
export function storedOf(bytes: Buffer, kind: number): Stored {
  const { length } = bytes
  if (isText(kind)) return { value: bytes.toString('utf8'), length }
  if (kind === Kind.Simple) return { value: bytes[0], length }
  if (kind === Kind.Number) return { value: bytes.readDoubleLE(), length }
  if (kind === Kind.BigInt64) return { value: bytes.readBigInt64LE(), length }
  return { value: new Uint8Array(bytes), length }
}

/** The value of a read that is not bytes. */
export function decode(value: unknown, kind: number): unknown {
  if (kind !== Kind.Simple) return value
  if (value === 0) return null
  if (value === 1 || value === 2) return value === 2
  throw failure('ERR_SEGMENT_CORRUPT', 'the value is none of null, false and true')
}

/** Copies bytes to the start of `target`. False: they do not fit. */
export function copyTo(target: Uint8Array, value: unknown): boolean {
  const bytes = value as Uint8Array
  if (bytes.length > target.length) return false
  target.set(bytes)
  return true
}

/** The memory in which the raw calls of this thread answer. */
export function newMemory(metaBytes: number): { readonly meta: ArrayBuffer; readonly scratch: ArrayBuffer } {
  return { meta: new ArrayBuffer(metaBytes), scratch: new ArrayBuffer(SCRATCH_BYTES) }
}
