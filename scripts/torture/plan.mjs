/**
 * What a round is: how many processes and threads, which keys and operations, which faults. It follows from the seed alone, is
 * plain data, and is what a failure is made smaller by: whatever stands in a list can be left out.
 */
import { Random } from './random.mjs'

/** Kinds of operations; a round has all of them, unless it is a smaller one. */
export const groups = ['keys', 'scans', 'wipes', 'tallies', 'turns', 'feeds', 'loads', 'region', 'reopen', 'statistics']

export const faults = ['kills', 'stops', 'terminations', 'jumps', 'fills']

/**
 * Where keys live. `lossy`: an entry may go at any time, for room. `wiped`: how all of them end at once. `mortal`: with a
 * lifetime.
 */
export const spaces = [
  { name: 'kept', segment: 'main' },
  { name: 'cleared', segment: 'main', wiped: 'clear' },
  { name: 'tagged', segment: 'main', wiped: 'tag' },
  { name: 'prefixed', segment: 'main', wiped: 'prefix' },
  { name: 'mortal', segment: 'main', mortal: true },
  { name: 'scarce', segment: 'scarce', lossy: true },
  { name: 'tiny', segment: 'tiny', lossy: true },
  { name: 'side', segment: 'side', lossy: true },
]

/** Counted exactly by all, within one per death. */
export const tallies = [
  'incr',
  'incrBigInt',
  'compare-and-set',
  'sliding-window',
  'gcra',
  'fixed-window',
  'counter',
  'histogram',
  'region',
  'lock',
]

/** Held by so many at most at any moment. */
export const holdings = { lock: 1, semaphore: 2, leader: 1, once: Infinity, load: 1 }

export const limit = 1_000_000
/** A century, so that hardly a token comes back meanwhile. */
export const limitWindow = 36_500 * 86_400_000

const kindsOfNear = [
  false,
  { objects: 'copy' },
  { objects: 'frozen' },
  { objects: 'copy', maxEntries: 3 },
  { objects: 'frozen', maxSize: '64kb' },
]

/** The round of a seed. `overrides` are what the command line says. */
export function planRound(seed, overrides = {}) {
  const random = new Random(seed)
  const processes = 2 + random.below(3)
  const threads = random.below(3)
  const plan = {
    seed,
    processes,
    threads,
    groups,
    spaces: spaces.map(({ name }) => name),
    faults: random.chance(0.3) ? ['kills', 'terminations', 'jumps'] : faults,
    near: Array.from({ length: processes * (threads + 1) }, () => random.pick(kindsOfNear)),
    eviction: random.pick(['s3-fifo', 'lru']),
    manualClock: random.chance(0.4),
    writeTimeout: random.pick(['100ms', '1s']),
    keysPerSlot: random.pick([5, 16, 48]),
    killsPerSecond: random.pick([1, 2, 4]),
    stopsPerSecond: random.pick([0.3, 1]),
    longestStop: random.pick([300, 3000]),
    seconds: 12,
  }
  return { ...plan, ...overrides }
}

/** What is in a plan, with the places of its rows in the ledger. */
export class Layout {
  constructor(plan) {
    this.plan = plan
    this.slots = plan.processes * (plan.threads + 1)
    this.spaces = spaces.filter(({ name }) => plan.spaces.includes(name))
    this.keys = this.spaces.flatMap((space) => this.#keysOf(space)).map((key, index) => ({ ...key, index }))
    let rows = 2 * this.keys.length
    this.wipeRow = (space) => this.#wipes + spaces.indexOf(space)
    this.#wipes = rows
    rows += spaces.length
    this.#tallies = rows
    rows += this.slots * tallies.length
    this.clockRow = rows++
    this.#beats = rows
  }

  #wipes
  #tallies
  #beats

  #keysOf(space) {
    const { keysPerSlot } = this.plan
    return Array.from({ length: this.slots * keysPerSlot }, (_, i) => {
      const [slot, number] = [Math.floor(i / keysPerSlot), i % keysPerSlot]
      return {
        name: `${space.name}-${slot}-${number}`,
        space,
        slot,
        journal: space.name === 'kept' && number % 8 === 1,
        longest: this.#longestOf(space, number),
      }
    })
  }

  /** Whoever writes a large value is in the lock for long, and likely to be killed there. */
  #longestOf(space, number) {
    if (number === 3 && space.segment === 'main' && !space.mortal) return 700_000
    return number % 16 === 2 ? 60_000 : 1000
  }

  begunRow(key) {
    return 2 * key.index
  }

  acknowledgedRow(key) {
    return 2 * key.index + 1
  }

  tallyRow(slot, kind) {
    return this.#tallies + slot * tallies.length + tallies.indexOf(kind)
  }

  beatRow(slot) {
    return this.#beats + slot
  }

  /** Who wipes a space; one at a time, so that its wipes can be counted. */
  wiperOf(space) {
    return spaces.indexOf(space) % this.slots
  }
}
