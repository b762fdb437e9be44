/**
 * What happened between two looks at a segment, as rates: for `top`, `monitor` and the dashboard.
 */
import type { Stats } from '../segment/stats.ts'

const COUNTED = [
  'hits',
  'misses',
  'sets',
  'deletes',
  'evictions',
  'expirations',
  'busy',
  'repairs',
  'lockWaits',
  'retries',
] as const

export type Rates = Readonly<Record<(typeof COUNTED)[number], number>>

/** Events for each second. A segment that was destroyed and made anew counts from 0. */
export function ratesOf(before: Stats, now: Stats, seconds: number): Rates {
  const rate = (name: keyof Rates): number => {
    const difference = now[name] - before[name]
    return (difference < 0 ? now[name] : difference) / seconds
  }
  return Object.fromEntries(COUNTED.map((name) => [name, rate(name)])) as Rates
}

/** Counts of keys, with a bound: when it is full, all counts are halved and the smallest are dropped. */
export class KeyCounts {
  readonly #counts = new Map<string, number>()
  readonly #max: number

  constructor(max = 10_000) {
    this.#max = max
  }

  add(key: string): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    if (this.#counts.size <= this.#max) return
    for (const [name, number] of this.#counts) {
      if (number < 2) this.#counts.delete(name)
      else this.#counts.set(name, number / 2)
    }
  }

  /** The keys with the highest counts. */
  top(number: number): [key: string, count: number][] {
    return [...this.#counts].toSorted(([, a], [, b]) => b - a).slice(0, number)
  }

  clear(): void {
    this.#counts.clear()
  }
}

/** A sample of fixed size in which each item has the same chance (reservoir sampling). */
export class Reservoir<T> {
  readonly #size: number
  readonly #random: () => number
  #items: T[] = []
  #seen = 0

  constructor(size: number, random: () => number = Math.random) {
    this.#size = size
    this.#random = random
  }

  get seen(): number {
    return this.#seen
  }

  add(item: T): void {
    this.#seen++
    if (this.#items.length < this.#size) this.#items.push(item)
    else {
      const place = Math.floor(this.#random() * this.#seen)
      if (place < this.#size) this.#items[place] = item
    }
  }

  /** The sample; a new one begins. */
  take(): T[] {
    const taken = this.#items
    this.#items = []
    this.#seen = 0
    return taken
  }
}
