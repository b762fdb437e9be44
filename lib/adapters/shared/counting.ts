/**
 * Counts of hits in windows of time, for the hosts that limit rates.
 *
 * A hit is one atomic `incr`, so that no hit of any process is lost or counted twice. The first hit of a key begins its
 * window, and the count expires at its end. These hosts ask for counts beyond their limit as well, which a limiter of the
 * cache does not keep: it refuses, and takes nothing.
 */
import type { Key } from '../../arguments/keys.ts'
import { MAX_DURATION } from '../../arguments/units.ts'
import type { Milliseconds } from '../../arguments/units.ts'
import type { CacheStore } from '../../cache/store.ts'

export interface Count {
  readonly hits: number
  /** Until the window ends; Infinity if it does not. */
  readonly left: Milliseconds
}

/** Adds to the count of a key. `window`: the length of a window that begins now; Infinity for one without an end. */
export function addHits(space: CacheStore, key: Key, hits: number, window: Milliseconds): Count {
  const sum = space.incr(key, hits, window === Infinity ? {} : { ttl: window })
  // Undefined if the window has ended since.
  return { hits: sum, left: space.ttl(key) ?? 0 }
}

/** The count of a key; undefined outside a window. */
export function hitsOf(space: CacheStore, key: Key): Count | undefined {
  const hits = space.get(key)
  return typeof hits === 'number' ? { hits, left: space.ttl(key) ?? 0 } : undefined
}

/** The length of a window as the cache takes it: from 1 millisecond to the longest lifetime. */
export function windowOf(milliseconds: Milliseconds): Milliseconds {
  return Math.min(Math.max(milliseconds, 1), MAX_DURATION)
}
