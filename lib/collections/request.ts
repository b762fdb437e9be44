/**
 * Requests to a collection as bytes. `crates/core/src/collections/request.rs` describes the form.
 *
 * One buffer serves all requests of a thread. A request is written after all values are encoded, since an encoder may
 * run code of the user, and that may make requests of its own.
 */
import { DEADLINE_BYTES, ElementFlag } from '../native/elements.ts'
import { payloadLength, writePayload } from './items.ts'
import type { Item } from './items.ts'

/** Flags, two kinds, two lengths, score and deadline. */
const MAX_HEAD = 3 + 2 * 5 + 8 + DEADLINE_BYTES
/** A larger buffer is given back. */
const MAX_KEPT = 2 ** 20

/** An element of a request. */
export interface Element {
  readonly key: Item
  readonly value?: Item
  readonly score?: number
  /** Milliseconds; 0 or absent: for ever. */
  readonly ttl?: number
}

class RequestWriter {
  bytes: Buffer = Buffer.allocUnsafeSlow(1024)
  length = 0

  begin(operation: number): this {
    if (this.bytes.length > MAX_KEPT) this.bytes = Buffer.allocUnsafeSlow(1024)
    this.length = 0
    return this.byte(operation)
  }

  byte(value: number): this {
    this.#reserve(1)
    this.bytes[this.length++] = value
    return this
  }

  flag(value: boolean): this {
    return this.byte(value ? 1 : 0)
  }

  /** A whole number from 0 to 2^32 - 1; a larger one is the maximum. */
  count(value: number): this {
    this.#reserve(5)
    this.#varint(Math.min(value, 2 ** 32 - 1))
    return this
  }

  number(value: number): this {
    this.#reserve(8)
    this.length = this.bytes.writeDoubleLE(value, this.length)
    return this
  }

  element({ key, value, score, ttl = 0 }: Element): this {
    const keyLength = payloadLength(key)
    const valueLength = value === undefined ? 0 : payloadLength(value)
    this.#reserve(MAX_HEAD + keyLength + valueLength)
    const hasValue = value === undefined ? 0 : ElementFlag.Value
    const hasScore = score === undefined ? 0 : ElementFlag.Score
    this.bytes[this.length++] = hasValue | hasScore | (ttl === 0 ? 0 : ElementFlag.Deadline)
    this.bytes[this.length++] = key.kind
    if (value !== undefined) this.bytes[this.length++] = value.kind
    this.#varint(keyLength)
    if (value !== undefined) this.#varint(valueLength)
    if (score !== undefined) this.length = this.bytes.writeDoubleLE(score, this.length)
    if (ttl !== 0) this.length = this.bytes.writeUIntLE(ttl, this.length, DEADLINE_BYTES)
    this.#payload(key, keyLength)
    if (value !== undefined) this.#payload(value, valueLength)
    return this
  }

  elements(elements: readonly Element[]): this {
    for (const element of elements) this.element(element)
    return this
  }

  keys(keys: readonly Item[]): this {
    for (const key of keys) this.element({ key })
    return this
  }

  #payload(item: Item, length: number): void {
    writePayload(this.bytes, this.length, item, length)
    this.length += length
  }

  #varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest % 0x80) + 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.length++] = rest
  }

  #reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.bytes.length, this.length + more))
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
  }
}

const writer = new RequestWriter()

export type { RequestWriter }

/** Begins a request, a `CollectionRequest`. It is valid until the next one begins. */
export function request(operation: number): RequestWriter {
  return writer.begin(operation)
}
