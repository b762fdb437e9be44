/**
 * The calls of a run, made before the clock starts: which key, read or write, and what a write writes.
 *
 * It is a ring of 65,536 calls. `expectedSum` tells what the values that a stretch of it reads must add up to: so every read of a
 * timed loop is checked, and none of it is in the time.
 */
import { randomFrom, zipfIndices } from './zipf.mjs'
import { keyOf, kinds } from './values.mjs'

export const LENGTH = 1 << 16
export const MASK = LENGTH - 1

/** The share of writes of each operation. */
export const operations = {
  get: 0,
  set: 1,
  '95/5': 0.05,
  '50/50': 0.5,
}

/**
 * @typedef {object} Schedule
 * @property {string[]} keys of each call
 * @property {unknown[]} values what each call would write
 * @property {Uint8Array} writes 1 for a write
 * @property {Float64Array} sums of what the first n calls read
 */

/**
 * @param {{ kind: string, keys: number, operation: string, seed: number }} options
 * @returns {Schedule}
 */
export function makeSchedule({ kind, keys, operation, seed }) {
  const { make, use } = kinds[kind]
  const share = operations[operation]
  const indices = zipfIndices({ count: keys, length: LENGTH, seed })
  const random = randomFrom(seed + 1)
  const writes = Uint8Array.from({ length: LENGTH }, () => (random() < share ? 1 : 0))

  const nameOf = remembering(keyOf)
  const valueOf = remembering(make)
  const usesOf = remembering((index) => use(make(index)))
  const sums = new Float64Array(LENGTH + 1)
  for (let i = 0; i < LENGTH; i++) sums[i + 1] = sums[i] + (writes[i] === 1 ? 0 : usesOf(indices[i]))
  return {
    keys: Array.from(indices, nameOf),
    values: share === 0 ? [] : Array.from(indices, valueOf),
    writes,
    sums,
  }
}

/** What the reads among `calls` calls from position `from` on must add up to. */
export function expectedSum({ sums }, from, calls) {
  const upTo = (position) => Math.floor(position / LENGTH) * sums[LENGTH] + sums[position & MASK]
  return upTo(from + calls) - upTo(from)
}

/** Made once for each index: 65,536 values of 1 MiB would not fit. In consequence a key is the same string in every call. */
function remembering(make) {
  const made = new Map()
  return (index) => {
    if (!made.has(index)) made.set(index, make(index))
    return made.get(index)
  }
}
