/**
 * What a cache counts. All numbers but the last are of the whole segment, over all processes since it was created.
 */

/** The counts of a segment that cannot be read. */
export const NO_STATS: Omit<Stats, 'degradedReads'> = {
  hits: 0,
  misses: 0,
  sets: 0,
  deletes: 0,
  evictions: 0,
  expirations: 0,
  entries: 0,
  usedBytes: 0,
  capacityBytes: 0,
  reservedBytes: 0,
  repairs: 0,
  damaged: 0,
  busy: 0,
  lockWaits: 0,
  processes: 0,
}

/** See `SharedCache.stats`. */
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
  /** Entries now; some may have expired and not been swept yet. */
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
  /** Writes that had to wait for another one. */
  readonly lockWaits: number
  /** Processes attached now. */
  readonly processes: number
  /** Reads through this object that became a miss because the segment was unwell. */
  readonly degradedReads: number
}
