/**
 * The answers of a collection. `crates/core/src/collections/request.rs` describes the form.
 */
import type { ResolvedCodec } from '../codec/codec.ts'
import { DEADLINE_BYTES, ElementFlag } from '../native/elements.ts'
import { valueOf } from './items.ts'

/** An element of an answer. */
export interface Found {
  readonly key: unknown
  readonly value: unknown
  readonly score: number
  /** Milliseconds; Infinity: for ever. */
  readonly ttl: number
}

/** Reads an answer from the front to the end. */
export class Reply {
  readonly #bytes: Buffer
  readonly #end: number
  readonly #codec: ResolvedCodec
  #at = 0

  constructor(bytes: Buffer, end: number, codec: ResolvedCodec) {
    this.#bytes = bytes
    this.#end = end
    this.#codec = codec
  }

  get isOver(): boolean {
    return this.#at >= this.#end
  }

  byte(): number {
    return this.#bytes[this.#at++] as number
  }

  count(): number {
    let value = 0
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }

  number(): number {
    const value = this.#bytes.readDoubleLE(this.#at)
    this.#at += 8
    return value
  }

  element(): Found {
    const flags = this.byte()
    const keyKind = this.byte()
    const valueKind = (flags & ElementFlag.Value) === 0 ? 0 : this.byte()
    const keyLength = this.count()
    const valueLength = (flags & ElementFlag.Value) === 0 ? 0 : this.count()
    const score = (flags & ElementFlag.Score) === 0 ? 0 : this.number()
    let ttl = Infinity
    if ((flags & ElementFlag.Deadline) !== 0) {
      ttl = this.#bytes.readUIntLE(this.#at, DEADLINE_BYTES)
      this.#at += DEADLINE_BYTES
    }
    const key = this.#value(keyKind, keyLength)
    return { key, value: valueKind === 0 ? undefined : this.#value(valueKind, valueLength), score, ttl }
  }

  /** All elements up to the end. */
  rest(): Found[] {
    const found: Found[] = []
    while (!this.isOver) found.push(this.element())
    return found
  }

  /** For each of `keys` its element, or undefined. */
  each(keys: readonly unknown[]): (Found | undefined)[] {
    return keys.map(() => (this.byte() === 1 ? this.element() : undefined))
  }

  #value(kind: number, length: number): unknown {
    const start = this.#at
    this.#at += length
    return valueOf(this.#bytes, start, this.#at, kind, this.#codec)
  }
}
