/**
 * Counters that all players share, one for each way to count. At the end of a round each must be exact, except for
 * one per killed process: the call that was pending at the kill may have been done or not.
 *
 * For each place and way, the ledger has three counts: done, perhaps done before a kill, pending.
 */
import { limit, limitWindow, tallies } from './plan.mjs'
import { Part } from './part.mjs'

const ATTEMPTS = 3

export class Tallies extends Part {
  /** The handles since the caches were opened last. */
  #handles

  constructor(scene) {
    super(scene)
    for (const kind of tallies) this.#resolve(kind)
  }

  get steps() {
    const kinds = tallies.filter((kind) => ways[kind] !== undefined)
    return kinds.map((kind) => ({ group: 'tallies', weight: 0.5, run: () => this.#count(kind) }))
  }

  opened() {
    this.#handles = undefined
  }

  #count(kind) {
    this.#handles ??= openTallies(this.scene.main, this.scene.namespaceOf('tallies'))
    countOne(this.scene, kind, () =>
      this.scene.run('tally', undefined, tallies.indexOf(kind), () => ways[kind](this.#handles)),
    )
  }

  /** The pending call of this player's predecessor may have counted or not. */
  #resolve(kind) {
    const { ledger, layout, slot } = this.scene
    const [done, perhaps, pending] = ledger.read(layout.tallyRow(slot, kind))
    if (pending) ledger.write(layout.tallyRow(slot, kind), [done, perhaps + 1, 0])
  }
}

/**
 * Calls `count`, which counts one in the cache, and counts one in the ledger. `count` returns false if it did not
 * count.
 */
export function countOne({ ledger, layout, slot }, kind, count) {
  const row = layout.tallyRow(slot, kind)
  const [done, perhaps] = ledger.read(row)
  ledger.write(row, [done, perhaps, 1])
  let isCounted = false
  try {
    isCounted = count() !== false
  } finally {
    // A call that throws has not counted: the cache promises this.
    ledger.write(row, [done + Number(isCounted), perhaps, 0])
  }
}

/** The handles for all ways to count. */
export function openTallies(root, cache) {
  const limiterOf = (algorithm) => root.limiter('torture', { limit, window: limitWindow, algorithm })
  const metrics = root.metrics()
  return {
    cache,
    limiters: new Map(['sliding-window', 'gcra', 'fixed-window'].map((algorithm) => [algorithm, limiterOf(algorithm)])),
    counter: metrics.counter('torture_total', { kind: 'all' }),
    histogram: metrics.histogram('torture_sizes', {}, { buckets: [1, 2, 3] }),
  }
}

/** The present counts, without that of the region. */
export function readTallies({ cache, limiters, counter, histogram }) {
  const taken = [...limiters].map(([algorithm, limiter]) => [algorithm, limit - limiter.peek('key', 0).remaining])
  return {
    incr: cache.get('incr') ?? 0,
    incrBigInt: Number(cache.get('incrBigInt') ?? 0n),
    'compare-and-set': cache.get('compare-and-set') ?? 0,
    lock: cache.get('lock') ?? 0,
    counter: counter.value,
    histogram: histogram.value.count,
    ...Object.fromEntries(taken),
  }
}

const consume =
  (algorithm) =>
  ({ limiters }) =>
    limiters.get(algorithm).consume('key').allowed

const ways = {
  incr: ({ cache }) => void cache.incr('incr'),
  incrBigInt: ({ cache }) => void cache.incrBigInt('incrBigInt'),
  'compare-and-set': ({ cache }) => {
    for (let i = 0; i < ATTEMPTS; i++) {
      const entry = cache.getEntry('compare-and-set')
      const condition = entry === undefined ? 'absent' : { version: entry.version }
      if (cache.set('compare-and-set', (entry?.value ?? 0) + 1, { if: condition })) return true
    }
    return false
  },
  'sliding-window': consume('sliding-window'),
  gcra: consume('gcra'),
  'fixed-window': consume('fixed-window'),
  counter: ({ counter }) => counter.inc(),
  histogram: ({ histogram }) => histogram.observe(2),
}
