/**
 * What a cache counts, over all processes since its segment was created.
 *
 * The thing to get wrong: the scope. Hits to entries are of the scope asked for; all else is of the whole segment.
 */
import type { NativeStats } from './native.ts'
import type { Milliseconds } from './units.ts'

/** How many lock waits took how long. */
export interface LockWaitBucket {
  /** Upper limit, which is not reached; Infinity in the last one. */
  readonly below: Milliseconds
  readonly count: number
}

/** See `SharedCache.stats`. Sizes are bytes. */
export interface Stats {
  /** Reads that found an entry. */
  readonly hits: number
  /** Reads that found none. */
  readonly misses: number
  /** Writes of values, `incr` included. */
  readonly sets: number
  /** Entries deleted by callers. */
  readonly deletes: number
  /** Entries that had to make room. */
  readonly evictions: number
  /** Entries whose time was up. */
  readonly expirations: number
  /** Entries now; some may have expired, or be dead by a tag, and not be swept yet. */
  readonly entries: number
  /** Bytes that entries occupy. */
  readonly usedBytes: number
  /** Bytes that entries can occupy. */
  readonly capacityBytes: number
  /** Bytes of the segment taken from the system so far. */
  readonly reservedBytes: number
  /** Shards rebuilt because a process died while it wrote. */
  readonly repairs: number
  /** Entries dropped because they were damaged. */
  readonly damaged: number
  /** Writes that ended in `ERR_BUSY`. */
  readonly busy: number
  /** Reads that began again because their entry was replaced meanwhile. */
  readonly retries: number
  /** How often a write had to sleep until another one was done. */
  readonly lockWaits: number
  /** How long writes waited for others, sleeping or not: each bucket ends at double the time of the one before. */
  readonly lockWaitTimes: readonly LockWaitBucket[]
  /** How often the table of invalidated tags was full, so that older entries of other tags died as well. */
  readonly tagsOverflowed: number
  /** States of limiters that had to make room before their time: their keys began anew. */
  readonly limitsEvicted: number
  /** Processes attached now. */
  readonly processes: number
  /** Names of the segment's namespaces, in the order in which they were made. */
  readonly namespaces: readonly string[]
  /** Reads through this object that became a miss because the segment was unwell. */
  readonly degradedReads: number
}

const NO_TALLIES = { hits: 0, misses: 0, sets: 0, deletes: 0, evictions: 0, expirations: 0, entries: 0 }

/** The counts of a segment that cannot be read. */
export const NO_STATS: NativeStats = {
  total: NO_TALLIES,
  own: NO_TALLIES,
  usedBytes: 0,
  capacityBytes: 0,
  reservedBytes: 0,
  repairs: 0,
  damaged: 0,
  busy: 0,
  retries: 0,
  lockWaits: 0,
  lockWaitTimes: [],
  tagsOverflowed: 0,
  limitsEvicted: 0,
  processes: 0,
  namespaces: [],
}

/** Upper limit of the first bucket. */
const SHORTEST: Milliseconds = 0.001

export function toStats(counts: NativeStats, scope: 'segment' | 'namespace', degradedReads: number): Stats {
  const { total, own, lockWaitTimes, ...segment } = counts
  const last = lockWaitTimes.length - 1
  const times = lockWaitTimes.map((count, i) => ({ below: i === last ? Infinity : SHORTEST * 2 ** i, count }))
  return { ...(scope === 'segment' ? total : own), ...segment, lockWaitTimes: times, degradedReads }
}
