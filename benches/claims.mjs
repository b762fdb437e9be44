/**
 * What we claim: each row compares two figures of one run, and says whether the target is reached. Rows that we lose stay.
 *
 * A ratio is told in the direction of its sentence: `times` as many calls per second (or as quick) for speed, `part` of the
 * other's bytes for memory, `points` of per cent for hit ratios. Of a rival with several clients and placements it is the best
 * one that counts.
 */
import { bestOf, figuresOf } from './figures.mjs'

const redis = ['ioredis', 'node-redis']
const processSend = ['process-send-json', 'process-send-advanced']

/** Calls per second of one process: ours against theirs, in the same scene. */
function speed(name, scene, operation, ours, theirs, atLeast) {
  const of = (contender) => ({ workload: 'throughput', scene, operation, contender })
  return { name, unit: 'times', ours: of(ours), theirs: of(theirs), atLeast }
}

/** Calls per second of so many processes together, against fewer of the same. */
function scaling(name, operation, contender, processes, against, atLeast) {
  const of = (count) => ({ workload: 'processes', operation, contender, processes: count })
  return { name, unit: 'times', ours: of(processes), theirs: of(against), atLeast }
}

function memory(name, theirs, atMost) {
  const of = (contender) => ({ workload: 'memory', operation: 'PSS over an empty app', contender })
  return { name, unit: 'part', ours: of('cache-machine-near-1000'), theirs: of(theirs), atMost }
}

/** Bytes and strings from shared memory; lmdb as it comes, and at its best. */
function againstLmdb(what, scene, operation, ours, atLeast) {
  return [
    speed(`${what}, against lmdb as it comes`, scene, operation, ours, ['lmdb'], atLeast),
    speed(`${what}, against lmdb with its best encoding`, scene, operation, ours, ['lmdb', 'lmdb-tuned'], atLeast),
  ]
}

/** In the order of the table in the issue; `atLeast` and `atMost` are its targets. */
export const claims = [
  speed(
    'near hit, 100-byte string, 1,000 hot keys, against lru-cache',
    'string-1k',
    'get',
    'cache-machine-copy',
    'lru-cache',
    0.8,
  ),
  speed(
    'near hit, 1 KiB object frozen, against lru-cache',
    'object-1k',
    'get',
    'cache-machine-frozen',
    'lru-cache',
    0.8,
  ),
  ...againstLmdb('get, 1 KiB object copy, 1,000 keys', 'object-1k', 'get', 'cache-machine-copy', 4),
  ...againstLmdb('get, 100-byte string, near off, 1,000 keys', 'string-1k', 'get', 'cache-machine-off', 5),
  ...againstLmdb('get, 100-byte string, near off, 100,000 keys', 'string-100k', 'get', 'cache-machine-off', 2.5),
  ...againstLmdb('set, 100-byte string, 1,000 keys', 'string-1k', 'set', 'cache-machine-off', 12),
  ...againstLmdb('set, 1 KiB object, 1,000 keys', 'object-1k', 'set', 'cache-machine-off', 3.5),
  ...againstLmdb('get, 16 KiB Buffer, near off', 'buffer-16k', 'get', 'cache-machine-off', 2),
  ...againstLmdb('get, 1 MiB Buffer, near off', 'buffer-1m', 'get', 'cache-machine-off', 1.5),
  speed('get, 100-byte string, near off, against Redis', 'string-1k', 'get', 'cache-machine-off', redis, 100),
  speed('get, 100-byte string, near hit, against Redis', 'string-1k', 'get', 'cache-machine-copy', redis, 300),
  speed('get, 1 KiB object frozen, against Redis with JSON', 'object-1k', 'get', 'cache-machine-frozen', redis, 300),
  speed('get, 1 KiB object copy, against Redis with JSON', 'object-1k', 'get', 'cache-machine-copy', redis, 8),
  speed(
    'get, 100-byte string, near off, against process.send',
    'string-1k',
    'get',
    'cache-machine-off',
    processSend,
    100,
  ),
  scaling('gets of 2 processes, near off, against 1', 'get', 'cache-machine-off', 2, 1, 1.8),
  scaling('gets of 2 processes, near copy, against 1', 'get', 'cache-machine-copy', 2, 1, 1.8),
  scaling('95/5 of 4 processes, near off, against 2', '95/5', 'cache-machine-off', 4, 2, 0.9),
  scaling('95/5 of 8 processes, near off, against 2', '95/5', 'cache-machine-off', 8, 2, 0.9),
  scaling('95/5 of 4 processes, near copy, against 2', '95/5', 'cache-machine-copy', 4, 2, 0.9),
  scaling('95/5 of 8 processes, near copy, against 2', '95/5', 'cache-machine-copy', 8, 2, 0.9),
  {
    name: 'wake-up by waitFor, p50, against Redis pub/sub',
    unit: 'times',
    ours: { workload: 'wake-up', operation: 'p50', contender: 'cache-machine-off' },
    theirs: { workload: 'wake-up', operation: 'p50', contender: redis },
    atLeast: 3,
  },
  ...['sliding-window', 'fixed-window'].map((algorithm) => ({
    name: `limiter.consume, ${algorithm}, against rate-limiter-flexible on Redis`,
    unit: 'times',
    ours: { workload: 'limiter', operation: 'consume', contender: `cache-machine-limiter-${algorithm}` },
    theirs: { workload: 'limiter', operation: 'consume', contender: 'rate-limiter-flexible' },
    atLeast: 100,
  })),
  ...['lock, release', 'hand-over p50'].map((operation) => ({
    name: `lock, ${operation === 'hand-over p50' ? 'handed over, p50' : 'taken and released'}, against Redlock`,
    unit: 'times',
    ours: { workload: 'lock', operation, contender: 'cache-machine-off' },
    theirs: { workload: 'lock', operation, contender: 'ioredis' },
    atLeast: 1,
  })),
  memory('memory of 4 workers, against 4 × lru-cache', 'lru-cache', 0.2),
  memory('memory of 4 workers, against Redis with its server', 'ioredis', 1.3),
  {
    name: 'hit ratio, mean over all traces, against S3-FIFO',
    unit: 'points',
    measure: meanAgainst('S3-FIFO'),
    atLeast: -1,
  },
  { name: 'hit ratio, worst trace, against LRU', unit: 'points', measure: worstAgainst('LRU'), atLeast: -1.5 },
]

/**
 * @typedef {object} Verdict
 * @property {string} name
 * @property {string} unit
 * @property {{ atLeast?: number, atMost?: number }} target
 * @property {number} [measured] missing if one of its figures is
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
    const { name, unit, atLeast, atMost } = row
    const target = atMost === undefined ? { atLeast } : { atMost }
    const found = row.measure === undefined ? compare(results, row) : row.measure(results)
    if (found === undefined) return { name, unit, target }
    const reached = atMost === undefined ? found.measured >= atLeast : found.measured <= atMost
    return { name, unit, target, reached, ...found }
  })
}

function compare(results, { ours: wantedOurs, theirs: wantedTheirs, unit }) {
  const ours = bestOf(results, wantedOurs)
  const theirs = bestOf(results, wantedTheirs)
  if (ours === undefined || theirs === undefined) return undefined
  // `times` of something that is better when lower: as many times quicker.
  const isInverse = unit === 'times' && ours.better === 'lower'
  const measured = isInverse ? theirs.median / ours.median : ours.median / theirs.median
  return { measured, ours: sideOf(ours), theirs: sideOf(theirs) }
}

function sideOf({ contender, placement, processes, median, unit }) {
  return { contender, placement, processes, median, unit }
}

/** Our mean over all traces and sizes, less that of the reference. */
function meanAgainst(policy) {
  return (results) => {
    const differences = differencesTo(results, policy)
    if (differences.length === 0) return undefined
    return { measured: differences.reduce((sum, difference) => sum + difference, 0) / differences.length }
  }
}

function worstAgainst(policy) {
  return (results) => {
    const differences = differencesTo(results, policy)
    return differences.length === 0 ? undefined : { measured: Math.min(...differences) }
  }
}

/** None at all if a cell is missing: a mean of some would be another claim. */
function differencesTo(results, policy) {
  const references = figuresOf(results, { workload: 'hit-ratio', contender: `reference ${policy}` })
  const differences = references.map(({ scene, operation, median }) => {
    const [ours] = figuresOf(results, { workload: 'hit-ratio', scene, operation, contender: 'cache-machine-off' })
    return ours && ours.median - median
  })
  return differences.includes(undefined) ? [] : differences
}
