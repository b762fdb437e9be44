/**
 * What a cache counts of itself, as metrics: `cache_machine_…`.
 *
 * The thing to get wrong: where it is from. Everything here is kept in the segment, so any worker tells the same; what only
 * this process knows is left out.
 */
import type { MetricFamily, MetricType } from './exposition.ts'
import type { Stats } from './stats.ts'

type Row = readonly [name: string, type: MetricType, help: string, of: (stats: Stats) => number]

/** Of the cache or the namespace. */
const OWN: readonly Row[] = [
  ['hits_total', 'counter', 'Reads that found an entry.', (stats) => stats.hits],
  ['misses_total', 'counter', 'Reads that found none.', (stats) => stats.misses],
  ['sets_total', 'counter', 'Writes of values.', (stats) => stats.sets],
  ['deletes_total', 'counter', 'Entries deleted by callers.', (stats) => stats.deletes],
  ['evictions_total', 'counter', 'Entries that had to make room.', (stats) => stats.evictions],
  ['expirations_total', 'counter', 'Entries whose time was up.', (stats) => stats.expirations],
  ['entries', 'gauge', 'Entries now.', (stats) => stats.entries],
]

/** Of the segment. */
const COMMON: readonly Row[] = [
  ['used_bytes', 'gauge', 'Bytes that entries occupy.', (stats) => stats.usedBytes],
  ['capacity_bytes', 'gauge', 'Bytes that entries can occupy.', (stats) => stats.capacityBytes],
  ['reserved_bytes', 'gauge', 'Bytes taken from the system so far.', (stats) => stats.reservedBytes],
  ['processes', 'gauge', 'Processes attached now.', (stats) => stats.processes],
  ['repairs_total', 'counter', 'Shards rebuilt because a process died while it wrote.', (stats) => stats.repairs],
  ['damaged_total', 'counter', 'Entries dropped because they were damaged.', (stats) => stats.damaged],
  ['busy_total', 'counter', 'Writes that ended in ERR_BUSY.', (stats) => stats.busy],
  ['retries_total', 'counter', 'Reads that began again because their entry was replaced.', (stats) => stats.retries],
  ['lock_waits_total', 'counter', 'Writes that had to sleep until another one was done.', (stats) => stats.lockWaits],
  [
    'tags_overflowed_total',
    'counter',
    'Tags that died with another, for want of room.',
    (stats) => stats.tagsOverflowed,
  ],
  ['limits_evicted_total', 'counter', 'States of limiters that had to make room.', (stats) => stats.limitsEvicted],
]

/** @param labels As `renderLabels` gives them. */
export function statisticsOf(stats: Stats, labels: string, isNamespace: boolean): MetricFamily[] {
  const rows = isNamespace ? OWN : [...OWN, ...COMMON]
  return rows.map(([name, type, help, of]) => ({
    name: `cache_machine_${name}`,
    type,
    help,
    samples: [{ labels, value: of(stats), bounds: undefined, counts: undefined }],
  }))
}
