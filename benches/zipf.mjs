/**
 * The key of each call, by a Zipf distribution: the same in every run, for every contender and on every machine.
 *
 * Rank r is drawn with a probability proportional to 1 / r^exponent. A seeded shuffle scatters the ranks over the keys;
 * otherwise the hot keys would be neighbours, which favours sorted stores.
 */

/** The exponent of YCSB. */
export const EXPONENT = 0.99

/**
 * A generator of numbers in [0, 1) that depends only on its seed (mulberry32).
 *
 * @param {number} seed
 * @returns {() => number}
 */
export function randomFrom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * `length` indices below `count`, drawn by Zipf's law.
 *
 * @param {{ count: number, length: number, seed: number, exponent?: number }} options
 * @returns {Uint32Array}
 */
export function zipfIndices({ count, length, seed, exponent = EXPONENT }) {
  const random = randomFrom(seed)
  const indexOfRank = shuffled(count, random)
  const cumulative = cumulativeWeights(count, exponent)
  const total = cumulative[count - 1]
  return Uint32Array.from({ length }, () => indexOfRank[firstAbove(cumulative, random() * total)])
}

function cumulativeWeights(count, exponent) {
  const sums = new Float64Array(count)
  let sum = 0
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** exponent
    sums[rank] = sum
  }
  return sums
}

/** The index of the first sum above `target`, by binary search. */
function firstAbove(sums, target) {
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sums[middle] > target) high = middle
    else low = middle + 1
  }
  return low
}

function shuffled(count, random) {
  const indices = Uint32Array.from({ length: count }, (_, i) => i)
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    ;[indices[last], indices[other]] = [indices[other], indices[last]]
  }
  return indices
}
