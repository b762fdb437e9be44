/**
 * The counts of a cache, over all processes since its segment was created.
 *
 * `hits` to `evictedForOthers` are those of the requested scope; all other counts are those of the whole segment.
 */
import type { NativeStats } from '../native/addon.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { limitBytes } from './limits.ts'

/** The number of lock waits of a certain length. */
export interface LockWaitBucket {
  /** Exclusive upper limit; Infinity in the last bucket. */
  readonly below: Milliseconds
  readonly count: number
}

/** The counts of one cache object, in its process. */
export interface OwnCounts {
  /** Reads through this object that became a miss because of trouble with the segment. */
  readonly degradedReads: number
  /** Reads through this object that became a miss because another codec or a newer version wrote the entry. */
  readonly mismatchedReads: number
  /** Values that `getOrSet` and `wrap` of this object loaded, and that could not be stored or were too large. */
  readonly unstored: number
}

/** See `SharedCache.stats`. Sizes are bytes. */
export interface Stats extends OwnCounts {
  /** Reads that found an entry. */
  readonly hits: number
  /** Reads that found none. */
  readonly misses: number
  /** Writes of values, `incr` included. */
  readonly sets: number
  /** Entries deleted by callers. */
  readonly deletes: number
  /** Entries that were evicted. */
  readonly evictions: number
  /** Entries that expired. */
  readonly expirations: number
  /** Entries now. Entries that expired or were invalidated by a tag count until they are swept. */
  readonly entries: number
  /** Bytes of these entries, in units of 64 with their heads. Entries that a `clear` deleted do not count. */
  readonly bytes: number
  /** Bytes that others cannot take: the `reserve` of the namespace; of a segment, of all its namespaces. */
  readonly guaranteedBytes: number
  /** Maximum bytes: the `size` of the namespace, else `capacityBytes`. */
  readonly maximumBytes: number
  /** Those of the `evictions` that happened because the namespace had reached its `size`. */
  readonly evictedForSize: number
  /** Those of the `evictions` that made room for others than the namespace. */
  readonly evictedForOthers: number
  /**
   * Bytes that entries occupy. Those of entries that expired, or that `clear` or `invalidateTags` removed, count until
   * they are swept in the background or by writes; a set that needs room takes them first.
   */
  readonly usedBytes: number
  /** Bytes that entries can occupy. */
  readonly capacityBytes: number
  /** Bytes of the segment taken from the system so far, as `du` shows them: header, indexes and entries. */
  readonly reservedBytes: number
  /**
   * Bytes that the segment can really have: its size, or less if its file system or the memory limit of the cgroup of
   * this process is smaller.
   */
  readonly limitBytes: number
  /** Writes that a process died in, and that the next writer undid or finished. */
  readonly repairs: number
  /** Entries dropped because they were damaged. */
  readonly damaged: number
  /** Writes that ended in `ERR_BUSY`. */
  readonly busy: number
  /** Reads that started again because their entry was replaced meanwhile. */
  readonly retries: number
  /** Writes that slept until another write was done. */
  readonly lockWaits: number
  /** How long writes waited for other writes, sleeping or not. The limit doubles from bucket to bucket. */
  readonly lockWaitTimes: readonly LockWaitBucket[]
  /** The sum of these waits, in milliseconds. */
  readonly lockWaitTotal: number
  /**
   * Tagged entries that ended, or were not kept, because the record of an invalidation was gone before they were compared
   * with it. Expected: 0. See the guide to tags for the bound.
   */
  readonly tagsUnjudged: number
  /** Limiter states that were evicted early: their keys started with all tokens again. */
  readonly limitsEvicted: number
  /** Processes attached now. */
  readonly processes: number
  /** The names of the namespaces of the segment, in the order of their creation. */
  readonly namespaces: readonly string[]
  /** The versions of the application (`version` of `open`) that have users or entries. */
  readonly versions: readonly VersionStats[]
}

/** A version of the application. */
export interface VersionStats {
  readonly name: string
  /** Processes that have it open now. 0: its entries will be removed. */
  readonly processes: number
}

/** What the stats say beside the counts in the segment. */
export interface Own {
  readonly path: string
  readonly size: number
}

const NO_TALLIES = {
  hits: 0,
  misses: 0,
  sets: 0,
  deletes: 0,
  evictions: 0,
  expirations: 0,
  entries: 0,
  bytes: 0,
  guaranteedBytes: 0,
  maximumBytes: 0,
  evictedForSize: 0,
  evictedForOthers: 0,
}

/** The counts for a segment that cannot be read. */
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
  lockWaitTotal: 0,
  tagsUnjudged: 0,
  limitsEvicted: 0,
  processes: 0,
  namespaces: [],
  versions: [],
}

/** The limit of the first bucket. */
const FIRST_LIMIT: Milliseconds = 0.001

/** The counts, and those that the connection knows. */
export function toStats(
  counts: NativeStats,
  scope: 'segment' | 'namespace',
  { path, size }: Own,
  ofObject: OwnCounts,
): Stats {
  const { total, own, lockWaitTimes, ...segment } = counts
  const last = lockWaitTimes.length - 1
  const times = lockWaitTimes.map((count, i) => ({ below: i === last ? Infinity : FIRST_LIMIT * 2 ** i, count }))
  return {
    ...(scope === 'segment' ? total : own),
    ...segment,
    limitBytes: limitBytes(path, size),
    lockWaitTimes: times,
    ...ofObject,
  }
}
