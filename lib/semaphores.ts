/**
 * Semaphores over all processes and threads that have the segment open: so many at once, the others in their turn.
 *
 * The thing to get wrong: the number of permits is the caller's, not the segment's. All should pass the same; whoever passes
 * less lets in less, and whoever passes more lets in more.
 */
import { invalid } from './errors.ts'
import { checkWork, resolveHold, resolveTurn, whileHeld } from './locks.ts'
import type { Lock, LockOptions, TryLockOptions } from './locks.ts'
import { Space } from './native.ts'
import type { RawKey } from './native.ts'
import type { Turns } from './turns.ts'
import { givenKey, wholeKey } from './values.ts'
import type { Key } from './values.ts'

/** A permit takes 32 bytes of a record that is written anew with each change, so they are limited. */
const MAX_PERMITS = 1000

/** How a semaphore is used at the moment, over all processes. */
export interface SemaphoreCounts {
  /** Permits that are held. Those of a dead process count until somebody asks for one. */
  readonly held: number
  /** Handles of the cache in which somebody waits; many who wait in one thread count as one. */
  readonly waiting: number
}

/**
 * Lets at most `permits` in at once. A permit is a `Lock`: it ends with its process, has a fencing token, and can have a `ttl`.
 * Turns come in the order of asking, and nobody overtakes one who waits.
 */
export interface Semaphore {
  readonly name: Key
  readonly permits: number
  /**
   * A permit, as soon as it is this one's turn.
   *
   * @param options As for `lock`.
   * @throws {CacheError} Rejects as `lock`.
   * @example
   * await using permit = await semaphore.acquire({ timeout: '5s' })
   */
  acquire(options?: LockOptions): Promise<Lock>
  /**
   * A permit if one is free and nobody waits for it, else undefined.
   *
   * @throws {CacheError} As `tryLock`.
   * @example
   * const permit = semaphore.tryAcquire()
   */
  tryAcquire(options?: TryLockOptions): Lock | undefined
  /**
   * Acquires a permit, runs `work` and releases, whatever happens. Resolves with what `work` returns.
   *
   * @throws {CacheError} Rejects as `acquire`, and with what `work` throws.
   * @example
   * const pdf = await semaphore.use(() => render(report))
   */
  use<T>(work: (permit: Lock) => T | PromiseLike<T>, options?: LockOptions): Promise<T>
  /** How many permits are held and how many wait; takes no lock. */
  counts(): SemaphoreCounts
}

/** What a semaphore needs beside its turns: how many hold it and how many wait. */
export type ReadPlaces = (space: number, key: RawKey) => readonly number[]

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`. */
export function semaphoreOf(turns: Turns, readPlaces: ReadPlaces, name: Key, permits: number): Semaphore {
  const key = wholeKey(name)
  if (!Number.isInteger(permits) || permits < 1 || permits > MAX_PERMITS) {
    throw invalid(`permits must be a whole number from 1 to ${MAX_PERMITS}`, permits)
  }
  const claim = { space: Space.Semaphores, key, permits }
  const acquire = async (options?: LockOptions): Promise<Lock> => {
    const { ttl, limits } = resolveTurn(options)
    return turns.wait({ ...claim, ttl }, limits)
  }
  return {
    name: givenKey(key),
    permits,
    acquire,
    tryAcquire: (options) => turns.take({ ...claim, ttl: resolveHold(options) }),
    use: async (work, options) => {
      checkWork(work)
      return whileHeld(acquire(options), work)
    },
    counts: () => {
      const [held = 0, waiting = 0] = readPlaces(Space.Semaphores, key)
      return { held, waiting }
    },
  }
}
