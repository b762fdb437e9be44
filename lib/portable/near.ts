/**
 * The memory that near copies are validated against. It has the form of a native segment's: an epoch for each
 * namespace, the tag clock, and a word for each entry. The upper half of the word changes with the entry.
 *
 * Only entries that a near copy was made of have a word.
 */
import type { Entry } from './entry.ts'
import type { Geometry } from './geometry.ts'
import { UNIT } from './geometry.ts'

const ROOT_EPOCH = 8
const TAG_CLOCK = 16
const EPOCHS = 64
const MAX_NAMESPACES = 1024
const LINES = EPOCHS + MAX_NAMESPACES * 4
const LINE = 64
const WORDS_PER_LINE = 7
const USE_MARKS = 56
const MAX_USES = 3
/** An entry has at least this many units. */
const LEAST_UNITS = 2

export const ROOT_EPOCH_OFFSET = ROOT_EPOCH
export const TAG_CLOCK_OFFSET = TAG_CLOCK

/** Offset of the epoch of a namespace. */
export function epochOffset(namespace: number): number {
  return namespace === 0 ? ROOT_EPOCH : EPOCHS + namespace * 4
}

/** The words of one segment. */
export class NearWords {
  readonly #geometry: Geometry
  readonly #epochs = new Map<number, number>()
  #tagClock = 0
  /** Undefined while no handle has a view. */
  #view: { readonly buffer: ArrayBuffer; readonly ints: Int32Array; readonly marks: Uint8Array } | undefined
  #places = new Map<Entry, number>()
  /** The entries of the words; a word may be free. */
  #entries: Entry[] = []
  #free: number[] = []
  #used = 0
  #generation = 0

  constructor(geometry: Geometry) {
    this.#geometry = geometry
  }

  get tagClock(): number {
    return this.#tagClock
  }

  /** The same memory for all handles, until `close`. */
  open(): ArrayBuffer {
    if (this.#view === undefined) {
      const lines = Math.ceil(this.#geometry.capacity / (UNIT * LEAST_UNITS) / WORDS_PER_LINE)
      const buffer = new ArrayBuffer(LINES + lines * LINE)
      this.#view = { buffer, ints: new Int32Array(buffer), marks: new Uint8Array(buffer) }
      for (const [namespace, epoch] of this.#epochs) this.#put(epochOffset(namespace), epoch)
      this.#put(TAG_CLOCK, this.#tagClock)
    }
    return this.#view.buffer
  }

  /** Takes the memory away: it has no bytes from here on. */
  close(): void {
    const buffer = this.#view?.buffer
    this.#view = undefined
    this.#places = new Map()
    this.#entries = []
    this.#free = []
    this.#used = 0
    if (buffer !== undefined) structuredClone(buffer, { transfer: [buffer] })
  }

  epoch(namespace: number): number {
    return this.#epochs.get(namespace) ?? 0
  }

  cleared(namespace: number): void {
    const epoch = (this.epoch(namespace) + 1) | 0
    this.#epochs.set(namespace, epoch)
    this.#put(epochOffset(namespace), epoch)
  }

  /** A tag was invalidated. The clock stays even. */
  invalidated(): void {
    this.#tagClock += 2
    this.#put(TAG_CLOCK, this.#tagClock)
  }

  /** The offset of an entry's word; 0: it must have no near copy. */
  place(entry: Entry): number {
    const view = this.#view
    if (view === undefined) return 0
    let index = this.#places.get(entry)
    if (index === undefined) {
      index = this.#free.pop() ?? this.#used++
      const at = offsetOf(index)
      if (at + 8 > view.buffer.byteLength) {
        this.#used--
        return 0
      }
      this.#places.set(entry, index)
      this.#entries[index] = entry
      this.#put(at + 4, ++this.#generation | 0)
    }
    return offsetOf(index)
  }

  /**
   * Whether a word is still that of a tagged entry with this generation, which is as it was then. `word`: its number, in
   * words of 8 bytes.
   */
  isUnchanged(word: number, generation: number): boolean {
    const line = Math.floor((word * 8 - LINES) / LINE)
    const index = line * WORDS_PER_LINE + (word - (LINES + line * LINE) / 8)
    const entry = this.#entries[index]
    if (entry === undefined || this.#places.get(entry) !== index) return false
    return entry.tags.length > 0 && offsetOf(index) === word * 8 && this.generation(word * 8) === generation
  }

  generation(place: number): number {
    return this.#view?.ints[place / 4 + 1] ?? 0
  }

  /** The entry has changed: its copies are no longer valid. */
  changed(entry: Entry): void {
    const index = this.#places.get(entry)
    if (index === undefined) return
    this.#put(offsetOf(index) + 4, ++this.#generation | 0)
    if (entry.live) return
    this.#places.delete(entry)
    this.#free.push(index)
  }

  /** Hits of a near copy, as noted in its use mark, count as uses of the entry. */
  adoptUses(entry: Entry): void {
    const index = this.#places.get(entry)
    if (index === undefined || this.#view === undefined) return
    const mark = markOf(index)
    entry.uses = Math.min(entry.uses + (this.#view.marks[mark] ?? 0), MAX_USES)
    this.#view.marks[mark] = 0
  }

  #put(offset: number, value: number): void {
    if (this.#view !== undefined) Atomics.store(this.#view.ints, offset / 4, value)
  }
}

function offsetOf(index: number): number {
  return LINES + Math.floor(index / WORDS_PER_LINE) * LINE + (index % WORDS_PER_LINE) * 8
}

function markOf(index: number): number {
  return LINES + Math.floor(index / WORDS_PER_LINE) * LINE + USE_MARKS + (index % WORDS_PER_LINE)
}
