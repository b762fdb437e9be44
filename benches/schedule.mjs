/**
 * The calls of a run, made before the clock starts: the key, read or write, and the value of a write.
 *
 * A schedule is a cycle of 65,536 calls. `expectedSum` computes the sum that the reads of a range of calls must give.
 * So every read of a timed loop is checked, outside the measured time.
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
 * @property {string[]} keys the key of each call
 * @property {unknown[]} values the value that each call would write
 * @property {Uint8Array} writes 1 for a write, 0 for a read
 * @property {Float64Array} sums the sum of `use` over the reads among the first n calls
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

  const nameOf = memoized(keyOf)
  const valueOf = memoized(make)
  const usesOf = memoized((index) => use(make(index)))
  const sums = new Float64Array(LENGTH + 1)
  for (let i = 0; i < LENGTH; i++) sums[i + 1] = sums[i] + (writes[i] === 1 ? 0 : usesOf(indices[i]))
  return {
    keys: Array.from(indices, nameOf),
    values: share === 0 ? [] : Array.from(indices, valueOf),
    writes,
    sums,
  }
}

/** The sum that the reads among `calls` calls from position `from` on must give. */
export function expectedSum({ sums }, from, calls) {
  const upTo = (position) => Math.floor(position / LENGTH) * sums[LENGTH] + sums[position & MASK]
  return upTo(from + calls) - upTo(from)
}

/**
 * Makes the result of each index once: 65,536 values of 1 MiB would not fit. So a key is the same string in every call.
 */
function memoized(make) {
  const made = new Map()
  return (index) => {
    if (!made.has(index)) made.set(index, make(index))
    return made.get(index)
  }
}
