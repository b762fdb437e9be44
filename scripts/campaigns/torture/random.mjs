/**
 * Random numbers from a seed, and choices made with them.
 */

/** The generator mulberry32: small, and good enough to choose operations. */
export class Random {
  #state

  constructor(...seeds) {
    this.#state = seeds.reduce((state, seed) => mix(state ^ seed), 0x9e37_79b9)
  }

  /** From 0 to below 1. */
  next() {
    this.#state = (this.#state + 0x6d2b_79f5) | 0
    return mix(this.#state) / 2 ** 32
  }

  /** A whole number from 0 to below `limit`. */
  below(limit) {
    return Math.floor(this.next() * limit)
  }

  between(min, max) {
    return min + this.next() * (max - min)
  }

  chance(probability) {
    return this.next() < probability
  }

  pick(list) {
    return list[this.below(list.length)]
  }

  /** One of `{ weight, … }`. */
  pickWeighted(list) {
    let left = this.next() * list.reduce((sum, { weight }) => sum + weight, 0)
    return list.find(({ weight }) => (left -= weight) < 0) ?? list.at(-1)
  }
}

function mix(number) {
  let mixed = Math.imul(number ^ (number >>> 15), number | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return (mixed ^ (mixed >>> 14)) >>> 0
}
