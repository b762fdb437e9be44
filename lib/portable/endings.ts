/**
 * The entries with a deadline, by the moment from which they may be swept: a binary heap.
 *
 * A place in the heap is not taken back when its entry changes: it is skipped later. When most places are of no use, the
 * heap is made anew.
 */
import { endOf } from './entry.ts'
import type { Entry } from './entry.ts'

interface Place {
  readonly end: number
  readonly entry: Entry
}

/** Useless places that are kept at least. */
const FEW = 64

export class Endings {
  #heap: Place[] = []
  readonly #all: () => Iterable<Entry>
  /** Entries with a deadline. */
  count = 0

  /** `all`: every entry, for a new heap. */
  constructor(all: () => Iterable<Entry>) {
    this.#all = all
  }

  /** Notes that an entry got this deadline, or kept it in a new write. */
  note(entry: Entry): void {
    if (entry.deadline === 0) return
    if (this.#heap.length > 2 * this.count + FEW) this.#renew()
    this.#push({ end: endOf(entry), entry })
  }

  /** The next moment at which an entry may be swept; Infinity: never. */
  get next(): number {
    this.#skip()
    return this.#heap[0]?.end ?? Number.POSITIVE_INFINITY
  }

  /** Takes an entry that may be swept now. */
  take(now: number): Entry | undefined {
    this.#skip()
    const first = this.#heap[0]
    if (first === undefined || first.end > now) return undefined
    this.#pop()
    return first.entry
  }

  #skip(): void {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined || (first.entry.live && endOf(first.entry) === first.end)) return
      this.#pop()
    }
  }

  #renew(): void {
    this.#heap = []
    for (const entry of this.#all()) if (entry.deadline !== 0) this.#push({ end: endOf(entry), entry })
  }

  #push(place: Place): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(place)
    while (at > 0) {
      const above = (at - 1) >> 1
      const other = heap[above] as Place
      if (other.end <= place.end) break
      heap[at] = other
      at = above
    }
    heap[at] = place
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) break
      const right = left + 1
      const isRight = right < heap.length && (heap[right] as Place).end < (heap[left] as Place).end
      const next = isRight ? right : left
      const other = heap[next] as Place
      if (other.end >= last.end) break
      heap[at] = other
      at = next
    }
    heap[at] = last
  }
}
