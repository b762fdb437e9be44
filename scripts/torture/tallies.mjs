/**
 * Counts that all keep together, in every way there is to count. At the end of a round each must be exact, but for one per
 * death: of a call that was under way nobody knows whether it was done.
 *
 * By place and way the ledger has: done, perhaps done by the dead, under way.
 */
import { limit, limitWindow, tallies } from './plan.mjs'

const ATTEMPTS = 3

export class Tallies {
  #scene
  /** The handles of this generation. */
  #handles

  constructor(scene) {
    this.#scene = scene
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
    this.#handles ??= openTallies(this.#scene.main, this.#scene.namespaceOf('tallies'))
    countOne(this.#scene, kind, () =>
      this.#scene.run('tally', undefined, tallies.indexOf(kind), () => ways[kind](this.#handles)),
    )
  }

  /** What our predecessor was counting may be counted or not. */
  #resolve(kind) {
    const { ledger, layout, slot } = this.#scene
    const [done, perhaps, pending] = ledger.read(layout.tallyRow(slot, kind))
    if (pending) ledger.write(layout.tallyRow(slot, kind), [done, perhaps + 1, 0])
  }
}

/** Counts one in the ledger, around what counts one in the cache. `count` returns false if nothing was counted. */
export function countOne({ ledger, layout, slot }, kind, count) {
  const row = layout.tallyRow(slot, kind)
  const [done, perhaps] = ledger.read(row)
  ledger.write(row, [done, perhaps, 1])
  let isCounted = false
  try {
    isCounted = count() !== false
  } finally {
    // What threw was not done: that is the promise.
    ledger.write(row, [done + Number(isCounted), perhaps, 0])
  }
}

/** What is counted with. */
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

/** What they count now; a region tells its own. */
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
