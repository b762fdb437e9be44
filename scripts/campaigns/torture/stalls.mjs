/**
 * Durations of operations, by the tenth of a second in which they ended, so that those around a kill can be told apart.
 */
import { now } from './ledger.mjs'

/** Milliseconds of a slice. */
export const SLICE = 100

/** Four buckets for each doubling, from a microsecond on. */
const PER_DOUBLING = 4
const BUCKETS = 26 * PER_DOUBLING

/** The durations that one place has measured and not reported yet. */
export class Stalls {
  #slices = new Map()

  add(milliseconds, end = now()) {
    const slice = Math.floor(end / SLICE)
    let counts = this.#slices.get(slice)
    if (counts === undefined) this.#slices.set(slice, (counts = { longest: 0, begun: 0, buckets: {} }))
    const bucket = bucketOf(milliseconds)
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1
    if (milliseconds <= counts.longest) return
    counts.longest = milliseconds
    counts.begun = end - milliseconds
  }

  /** The slices since the last call, as a list that can be sent. */
  take() {
    const slices = [...this.#slices].map(([slice, counts]) => ({ slice, ...counts }))
    this.#slices.clear()
    return slices
  }
}

/** A distribution of many slices. */
export class Distribution {
  #buckets = new Float64Array(BUCKETS)
  #count = 0
  longest = 0

  add({ longest, buckets }) {
    for (const [bucket, count] of Object.entries(buckets)) {
      this.#buckets[bucket] += count
      this.#count += count
    }
    this.longest = Math.max(this.longest, longest)
  }

  merge(other) {
    other.#buckets.forEach((count, bucket) => (this.#buckets[bucket] += count))
    this.#count += other.#count
    this.longest = Math.max(this.longest, other.longest)
  }

  get count() {
    return this.#count
  }

  /** Upper limit of the bucket that the quantile falls into. */
  quantile(share) {
    let left = this.#count * share
    const bucket = this.#buckets.findIndex((count) => (left -= count) <= 0)
    return bucket < 0 ? this.longest : Math.min(2 ** ((bucket + 1) / PER_DOUBLING) / 1000, this.longest)
  }

  toString() {
    if (this.#count === 0) return 'none'
    const [median, high, max] = [this.quantile(0.5), this.quantile(0.999), this.longest].map(formatDuration)
    return `${this.#count} operations, median ${median}, 99.9 % within ${high}, maximum ${max}`
  }
}

function bucketOf(milliseconds) {
  const bucket = Math.floor(Math.log2(Math.max(milliseconds * 1000, 1)) * PER_DOUBLING)
  return Math.min(bucket, BUCKETS - 1)
}

/** Milliseconds as text. */
export function formatDuration(milliseconds) {
  if (milliseconds >= 1) return `${milliseconds.toFixed(1)} ms`
  return `${(milliseconds * 1000).toFixed(0)} µs`
}
