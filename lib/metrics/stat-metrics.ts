/**
 * The stats of a cache as metrics: `cache_machine_…`.
 *
 * All of them are kept in the segment, so every worker renders the same values. Counts of one process are left out.
 */
import type { MetricFamily, MetricType, Sample } from './exposition.ts'
import type { Stats } from '../segment/stats.ts'

type Row = readonly [name: string, type: MetricType, help: string, of: (stats: Stats) => number]

/** Counts of the cache or the namespace. */
const OWN: readonly Row[] = [
  ['hits_total', 'counter', 'Reads that found an entry.', (stats) => stats.hits],
  ['misses_total', 'counter', 'Reads that found none.', (stats) => stats.misses],
  ['sets_total', 'counter', 'Writes of values.', (stats) => stats.sets],
  ['deletes_total', 'counter', 'Entries deleted by callers.', (stats) => stats.deletes],
  ['evictions_total', 'counter', 'Entries that were evicted.', (stats) => stats.evictions],
  ['expirations_total', 'counter', 'Entries that expired.', (stats) => stats.expirations],
  ['entries', 'gauge', 'Entries now.', (stats) => stats.entries],
  ['bytes', 'gauge', 'Bytes of these entries.', (stats) => stats.bytes],
  ['guaranteed_bytes', 'gauge', 'Bytes that others cannot take.', (stats) => stats.guaranteedBytes],
  ['maximum_bytes', 'gauge', 'Maximum bytes of entries.', (stats) => stats.maximumBytes],
  [
    'evicted_for_size_total',
    'counter',
    'Entries evicted because their namespace had reached its size.',
    (stats) => stats.evictedForSize,
  ],
  [
    'evicted_for_others_total',
    'counter',
    'Entries evicted to make room for others.',
    (stats) => stats.evictedForOthers,
  ],
]

/** Counts of the segment. */
const COMMON: readonly Row[] = [
  ['used_bytes', 'gauge', 'Bytes that entries occupy.', (stats) => stats.usedBytes],
  ['capacity_bytes', 'gauge', 'Bytes that entries can occupy.', (stats) => stats.capacityBytes],
  ['reserved_bytes', 'gauge', 'Bytes taken from the system so far.', (stats) => stats.reservedBytes],
  ['limit_bytes', 'gauge', 'Bytes that the segment can really have.', (stats) => stats.limitBytes],
  ['processes', 'gauge', 'Processes attached now.', (stats) => stats.processes],
  ['repairs_total', 'counter', 'Shards repaired because a process died during a write.', (stats) => stats.repairs],
  ['damaged_total', 'counter', 'Entries dropped because they were damaged.', (stats) => stats.damaged],
  ['busy_total', 'counter', 'Writes that ended in ERR_BUSY.', (stats) => stats.busy],
  ['retries_total', 'counter', 'Reads that started again because their entry was replaced.', (stats) => stats.retries],
  ['lock_waits_total', 'counter', 'Writes that slept until another write was done.', (stats) => stats.lockWaits],
  [
    'tags_unjudged_total',
    'counter',
    'Tagged entries that ended because the record of an invalidation was gone.',
    (stats) => stats.tagsUnjudged,
  ],
  ['limits_evicted_total', 'counter', 'Limiter states that were evicted.', (stats) => stats.limitsEvicted],
]

/** @param labels As rendered by `renderLabels`. */
export function statMetrics(stats: Stats, labels: string, isNamespace: boolean): MetricFamily[] {
  const rows = isNamespace ? OWN : [...OWN, ...COMMON]
  const families: MetricFamily[] = rows.map(([name, type, help, of]) => ({
    name: `cache_machine_${name}`,
    type,
    help,
    samples: [{ labels, value: of(stats), bounds: undefined, counts: undefined }],
  }))
  if (!isNamespace) families.push({ ...LOCK_WAITS, samples: [lockWaits(stats, labels)] })
  return families
}

const LOCK_WAITS = {
  name: 'cache_machine_lock_wait_seconds',
  type: 'histogram',
  help: 'How long writes waited for other writes.',
} as const

function lockWaits({ lockWaitTimes, lockWaitTotal }: Stats, labels: string): Sample {
  return {
    labels,
    value: lockWaitTotal / 1000,
    bounds: Float64Array.from(lockWaitTimes.slice(0, -1), ({ below }) => below / 1000),
    counts: Float64Array.from(lockWaitTimes, ({ count }) => count),
  }
}
