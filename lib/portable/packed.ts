/**
 * Collections as bytes, as in `crates/core/src/collections/`: the elements of a value, of a request and of an answer.
 */
import { COLLECTION_HEADER, DEADLINE_BYTES, ElementFlag } from '../native/elements.ts'

const FORMAT = 1
const COUNT_AT = 4
const EARLIEST_AT = 8
const LATEST = 2 ** 48 - 1

/** Bytes with their kind. */
export interface Item {
  readonly kind: number
  readonly bytes: Buffer
}

export interface Element {
  readonly key: Item
  readonly value: Item | undefined
  readonly score: number | undefined
  /** Milliseconds on the clock of the segment; 0: never. In a request a lifetime, in an answer what is left of it. */
  readonly deadline: number
}

/** Thrown for bytes that are not what they should be. */
export class Malformed extends Error {}

/** Reads bytes from the front to the end. */
export class Reader {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = at
  }

  get isOver(): boolean {
    return this.at === this.#bytes.length
  }

  take(length: number): Buffer {
    const start = this.at
    this.at += length
    if (this.at > this.#bytes.length) throw new Malformed()
    return this.#bytes.subarray(start, this.at)
  }

  byte(): number {
    return this.take(1)[0] as number
  }

  number(): number {
    return this.take(8).readDoubleLE(0)
  }

  count(): number {
    let value = 0
    for (let scale = 1; scale <= 2 ** 28; scale *= 0x80) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value >= 2 ** 32) throw new Malformed()
        return value
      }
    }
    throw new Malformed()
  }

  element(): Element {
    const flags = this.byte()
    if ((flags & ~(ElementFlag.Value | ElementFlag.Deadline | ElementFlag.Score)) !== 0) throw new Malformed()
    const has = (flag: number): boolean => (flags & flag) !== 0
    const keyKind = this.byte()
    const valueKind = has(ElementFlag.Value) ? this.byte() : 0
    const keyLength = this.count()
    const valueLength = has(ElementFlag.Value) ? this.count() : 0
    const score = has(ElementFlag.Score) ? this.number() : undefined
    const deadline = has(ElementFlag.Deadline) ? this.take(DEADLINE_BYTES).readUIntLE(0, DEADLINE_BYTES) : 0
    const key = { kind: keyKind, bytes: this.take(keyLength) }
    const value = has(ElementFlag.Value) ? { kind: valueKind, bytes: this.take(valueLength) } : undefined
    return { key, value, score, deadline }
  }

  elements(): Element[] {
    const all: Element[] = []
    while (!this.isOver) all.push(this.element())
    return all
  }
}

/** Writes bytes. */
export class Writer {
  readonly #parts: Uint8Array[] = []

  byte(value: number): this {
    this.#parts.push(Uint8Array.of(value))
    return this
  }

  number(value: number): this {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    this.#parts.push(bytes)
    return this
  }

  count(value: number): this {
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) + 0x80)
    return this.byte(rest)
  }

  element({ key, value, score, deadline }: Element): this {
    const flags =
      (value === undefined ? 0 : ElementFlag.Value) |
      (deadline === 0 ? 0 : ElementFlag.Deadline) |
      (score === undefined ? 0 : ElementFlag.Score)
    this.byte(flags).byte(key.kind)
    if (value !== undefined) this.byte(value.kind)
    this.count(key.bytes.length)
    if (value !== undefined) this.count(value.bytes.length)
    if (score !== undefined) this.number(score)
    if (deadline !== 0) {
      const bytes = Buffer.alloc(DEADLINE_BYTES)
      bytes.writeUIntLE(deadline, 0, DEADLINE_BYTES)
      this.#parts.push(bytes)
    }
    this.#parts.push(key.bytes)
    if (value !== undefined) this.#parts.push(value.bytes)
    return this
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** The elements of a value; none if it is no collection. */
export function unpack(value: Uint8Array): Element[] {
  try {
    const [format, ...zeros] = value.subarray(0, COUNT_AT)
    const reader = new Reader(value, COLLECTION_HEADER)
    const elements = reader.elements()
    const count = Buffer.from(value.buffer, value.byteOffset, value.length).readUInt32LE(COUNT_AT)
    return format === FORMAT && zeros.every((zero) => zero === 0) && count === elements.length ? elements : []
  } catch {
    return []
  }
}

/** The value of a collection. */
export function pack(elements: readonly Element[]): Buffer {
  const writer = new Writer()
  let earliest = 0
  for (const element of elements) {
    writer.element(element)
    if (element.deadline !== 0 && (earliest === 0 || element.deadline < earliest)) earliest = element.deadline
  }
  const header = Buffer.alloc(COLLECTION_HEADER)
  header[0] = FORMAT
  header.writeUInt32LE(elements.length, COUNT_AT)
  header.writeUIntLE(earliest, EARLIEST_AT, DEADLINE_BYTES)
  return Buffer.concat([header, writer.bytes()])
}

/** The value with the deadlines of all elements moved by `by` milliseconds. */
export function shifted(value: Uint8Array, by: number): Uint8Array {
  const elements = unpack(value)
  if (!elements.some(({ deadline }) => deadline !== 0)) return value
  const move = (deadline: number): number => Math.min(Math.max(Math.round(deadline + by), 1), LATEST)
  return pack(
    elements.map((element) => (element.deadline === 0 ? element : { ...element, deadline: move(element.deadline) })),
  )
}
