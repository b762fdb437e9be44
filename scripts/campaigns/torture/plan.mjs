/**
 * The plan of a round: the number of processes and threads, the keys, the operations and the faults. It is plain data
 * and follows from the seed alone. A smaller plan leaves out elements of its lists.
 */
import { Random } from './random.mjs'

/** Groups of operations. A round has all of them, unless its plan was made smaller. */
export const groups = ['keys', 'scans', 'wipes', 'tallies', 'permits', 'streams', 'loads', 'region', 'reopen', 'stats']

export const faults = ['kills', 'stops', 'terminations', 'jumps', 'fills']

/**
 * The namespaces of the keys, and their segments. `lossy`: entries may be evicted. `wiped`: the call that deletes all
 * of them. `mortal`: entries have a lifetime.
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

/** Counters that all players share. They must be exact, except for one per killed process. */
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

/** The maximum number of holders at any moment. */
export const holdings = { lock: 1, semaphore: 2, leader: 1, once: Infinity, load: 1 }

export const limit = 1_000_000
/** A century, so that almost no token returns during a round. */
export const limitWindow = 36_500 * 86_400_000

const kindsOfNear = [
  false,
  { objects: 'copy' },
  { objects: 'frozen' },
  { objects: 'copy', maxEntries: 3 },
  { objects: 'frozen', maxSize: '64kb' },
]

/** The plan of a seed. `overrides` are the parts that the command line sets. */
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
    maxStop: random.pick([300, 3000]),
    seconds: 12,
  }
  return { ...plan, ...overrides }
}

/** The keys of a plan, and the places of its rows in the ledger. */
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
        maxLength: this.#maxLengthOf(space, number),
      }
    })
  }

  /** A writer of a large value holds the lock for a long time, so a kill is likely to hit it there. */
  #maxLengthOf(space, number) {
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

  /** The one player that wipes a space, so that its wipes can be counted. */
  wiperOf(space) {
    return spaces.indexOf(space) % this.slots
  }
}
