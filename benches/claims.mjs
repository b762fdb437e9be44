/**
 * Our claims. Each row compares two figures of one run and has a target; rows that do not reach it stay in the list.
 *
 * The unit gives the direction of a ratio: `times` is our speed as a multiple of the rival's, for calls per second and
 * for times; `part` is our memory as a part of the rival's; `points` are per cent points of hit ratios. For a rival
 * with several clients and placements, the best of its figures counts.
 */
import { bestOf, figuresOf } from './figures.mjs'

const redis = ['ioredis', 'node-redis']
const processSend = ['process-send-json', 'process-send-advanced']
const lmdbDefault = 'lmdb, default encoding'
const lmdbTuned = 'lmdb, best encoding'

/** Calls per second of one process, ours against theirs in the same scene. */
function speed([what, against], [scene, operation], ours, theirs, atLeast) {
  const of = (contender) => ({ workload: 'throughput', scene, operation, contender })
  return { what, against, unit: 'times', ours: of(ours), theirs: of(theirs), atLeast }
}

/** Total calls per second of several processes, against fewer processes with the same contender. */
function scaling(what, operation, contender, [processes, fewer], atLeast) {
  const of = (count) => ({ workload: 'processes', operation, contender, processes: count })
  return {
    what,
    against: fewer === 1 ? '1 process' : `${fewer} processes`,
    unit: 'times',
    ours: of(processes),
    theirs: of(fewer),
    atLeast,
  }
}

function memory(against, theirs, atMost) {
  const of = (contender) => ({ workload: 'memory', operation: 'PSS over an empty app', contender })
  return {
    what: 'memory of 4 workers',
    against,
    unit: 'part',
    ours: of('cache-machine-near-1000'),
    theirs: of(theirs),
    atMost,
  }
}

/** Calls per second against lmdb with its defaults, and against the better of its defaults and its best encoding. */
function againstLmdb(what, where, ours, atLeast) {
  return [
    speed([what, lmdbDefault], where, ours, ['lmdb'], atLeast),
    speed([what, lmdbTuned], where, ours, ['lmdb', 'lmdb-tuned'], atLeast),
  ]
}

const stringGet = ['string-1k', 'get']
const objectGet = ['object-1k', 'get']

/** `atLeast` and `atMost` are the targets. */
export const claims = [
  speed(['near hit, 100-byte string, 1,000 hot keys', 'lru-cache'], stringGet, 'cache-machine-copy', 'lru-cache', 0.8),
  speed(['near hit, 1 KiB object frozen', 'lru-cache'], objectGet, 'cache-machine-frozen', 'lru-cache', 0.8),
  ...againstLmdb('get, 1 KiB object copy, 1,000 keys', objectGet, 'cache-machine-copy', 4),
  ...againstLmdb('get, 100-byte string, near off, 1,000 keys', stringGet, 'cache-machine-off', 5),
  ...againstLmdb('get, 100-byte string, near off, 100,000 keys', ['string-100k', 'get'], 'cache-machine-off', 2.5),
  ...againstLmdb('set, 100-byte string, 1,000 keys', ['string-1k', 'set'], 'cache-machine-off', 12),
  ...againstLmdb('set, 1 KiB object, 1,000 keys', ['object-1k', 'set'], 'cache-machine-off', 3.5),
  ...againstLmdb('get, 16 KiB Buffer, near off', ['buffer-16k', 'get'], 'cache-machine-off', 2),
  ...againstLmdb('get, 1 MiB Buffer, near off', ['buffer-1m', 'get'], 'cache-machine-off', 1.5),
  speed(['get, 100-byte string, near off', 'Redis'], stringGet, 'cache-machine-off', redis, 100),
  speed(['get, 100-byte string, near hit', 'Redis'], stringGet, 'cache-machine-copy', redis, 300),
  speed(['get, 1 KiB object frozen', 'Redis with JSON'], objectGet, 'cache-machine-frozen', redis, 300),
  speed(['get, 1 KiB object copy', 'Redis with JSON'], objectGet, 'cache-machine-copy', redis, 8),
  speed(['get, 100-byte string, near off', 'process.send'], stringGet, 'cache-machine-off', processSend, 100),
  scaling('gets of 2 processes, near off', 'get', 'cache-machine-off', [2, 1], 1.8),
  scaling('gets of 2 processes, near copy', 'get', 'cache-machine-copy', [2, 1], 1.8),
  scaling('95/5 of 4 processes, near off', '95/5', 'cache-machine-off', [4, 2], 0.9),
  scaling('95/5 of 8 processes, near off', '95/5', 'cache-machine-off', [8, 2], 0.9),
  scaling('95/5 of 4 processes, near copy', '95/5', 'cache-machine-copy', [4, 2], 0.9),
  scaling('95/5 of 8 processes, near copy', '95/5', 'cache-machine-copy', [8, 2], 0.9),
  {
    what: 'wake-up by waitFor, p50',
    against: 'Redis pub/sub',
    unit: 'times',
    ours: { workload: 'wake-up', operation: 'p50', contender: 'cache-machine-off' },
    theirs: { workload: 'wake-up', operation: 'p50', contender: redis },
    atLeast: 3,
  },
  ...['sliding-window', 'fixed-window'].map((algorithm) => ({
    what: `limiter.consume, ${algorithm}`,
    against: 'rate-limiter-flexible',
    unit: 'times',
    ours: { workload: 'limiter', operation: 'consume', contender: `cache-machine-limiter-${algorithm}` },
    theirs: { workload: 'limiter', operation: 'consume', contender: 'rate-limiter-flexible' },
    atLeast: 100,
  })),
  ...['lock, release', 'hand-over p50'].map((operation) => ({
    what: operation === 'hand-over p50' ? 'lock, handed over, p50' : 'lock, acquired and released',
    against: 'Redlock',
    unit: 'times',
    ours: { workload: 'lock', operation, contender: 'cache-machine-off' },
    theirs: { workload: 'lock', operation, contender: 'ioredis' },
    atLeast: 1,
  })),
  memory('4 × lru-cache', 'lru-cache', 0.2),
  memory('Redis with its server', 'ioredis', 1.3),
  {
    what: 'hit ratio, mean over all traces',
    against: 'S3-FIFO',
    unit: 'points',
    measure: meanAgainst('S3-FIFO'),
    atLeast: -1,
  },
  {
    what: 'hit ratio, worst trace',
    against: 'LRU',
    unit: 'points',
    measure: worstAgainst('LRU'),
    atLeast: -1.5,
  },
]

/**
 * @typedef {object} Verdict
 * @property {string} what
 * @property {string} against
 * @property {string} name both as one text
 * @property {string} unit
 * @property {{ atLeast?: number, atMost?: number }} target
 * @property {number} [measured] missing if one of its figures is missing
 * @property {boolean} [reached]
 * @property {Side} [ours]
 * @property {Side} [theirs]
 *
 * @typedef {{ contender: string, placement: string, median: number, unit: string }} Side
 */

/**
 * @param {{ figures: import('./suite.mjs').Figure[] }} results
 * @returns {Verdict[]}
 */
export function judge(results, rows = claims) {
  return rows.map((row) => {
    const { what, against, unit, atLeast, atMost } = row
    const claim = { name: `${what}, against ${against}`, what, against, unit }
    const target = atMost === undefined ? { atLeast } : { atMost }
    const found = row.measure === undefined ? compare(results, row) : row.measure(results)
    if (found === undefined) return { ...claim, target }
    const reached = atMost === undefined ? found.measured >= atLeast : found.measured <= atMost
    return { ...claim, target, reached, ...found }
  })
}

function compare(results, { ours: wantedOurs, theirs: wantedTheirs, unit }) {
  const ours = bestOf(results, wantedOurs)
  const theirs = bestOf(results, wantedTheirs)
  if (ours === undefined || theirs === undefined) return undefined
  // `times` of a figure that is better when lower, such as a time: the inverse ratio says how many times faster we are.
  const isInverse = unit === 'times' && ours.better === 'lower'
  const measured = isInverse ? theirs.median / ours.median : ours.median / theirs.median
  return { measured, ours: sideOf(ours), theirs: sideOf(theirs) }
}

function sideOf({ contender, placement, processes, median, unit }) {
  return { contender, placement, processes, median, unit }
}

/** The mean over all traces and sizes of our hit ratio minus that of the policy. */
function meanAgainst(policy) {
  return (results) => {
    const differences = differencesTo(results, policy)
    if (differences.length === 0) return undefined
    return { measured: differences.reduce((sum, difference) => sum + difference, 0) / differences.length }
  }
}

/** The minimum over all traces and sizes of our hit ratio minus that of the policy. */
function worstAgainst(policy) {
  return (results) => {
    const differences = differencesTo(results, policy)
    return differences.length === 0 ? undefined : { measured: Math.min(...differences) }
  }
}

/**
 * Our hit ratio minus that of the policy, for each trace and size; empty if one is missing, since a part proves no
 * claim.
 */
function differencesTo(results, policy) {
  const references = figuresOf(results, { workload: 'hit-ratio', contender: `reference ${policy}` })
  const differences = references.map(({ scene, operation, median }) => {
    const [ours] = figuresOf(results, { workload: 'hit-ratio', scene, operation, contender: 'cache-machine-off' })
    return ours && ours.median - median
  })
  return differences.includes(undefined) ? [] : differences
}
