/**
 * Semaphores over all processes and threads that have the segment open: up to `permits` holders; otherwise they behave
 * like locks.
 *
 * The number of permits belongs to the caller, not to the segment. All callers should pass the same number: a caller
 * with a lower one is granted a permit later, a caller with a higher one earlier.
 */
import { givenKey, wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import type { AcceptedOptions } from '../arguments/option-names.ts'
import { invalid } from '../errors.ts'
import { Keyspace } from '../native/layout.ts'
import { ACQUIRE, TRY_ACQUIRE, USE, checkWork, resolveAcquire, resolveHold, whileHeld } from './locks.ts'
import type { Lock, LockOptions, TryLockOptions } from './locks.ts'
import type { Permits } from './permits.ts'

/** A permit takes 32 bytes of a record that is rewritten with each change. */
const MAX_PERMITS = 1000

/** The present use of a semaphore, over all processes. */
export interface SemaphoreCounts {
  /** Held permits. Those of a dead process count until the next caller asks for one. */
  readonly held: number
  /** Cache handles with waiting callers. Several callers in one thread count as one. */
  readonly waiting: number
}

/**
 * Admits at most `permits` holders. A permit is a `Lock`: it ends with its process, has a fencing token, and may have a
 * `ttl`. Permits are granted in the order of asking, and no caller overtakes a waiter.
 */
export interface Semaphore {
  readonly name: Key
  readonly permits: number
  /**
   * A permit, as soon as it is granted.
   *
   * @param options As for `lock`.
   * @throws {CacheError} Rejects as `lock`.
   * @example
   * await using permit = await semaphore.acquire({ timeout: '5s' })
   */
  acquire(options?: LockOptions): Promise<Lock>
  /**
   * A permit if one is free and no caller waits for it, otherwise undefined.
   *
   * @throws {CacheError} As `tryLock`.
   * @example
   * const permit = semaphore.tryAcquire()
   */
  tryAcquire(options?: TryLockOptions): Lock | undefined
  /**
   * Acquires a permit, runs `work`, and always releases it. Resolves with the result of `work`.
   *
   * @throws {CacheError} Rejects as `acquire`, and with the errors of `work`.
   * @example
   * const pdf = await semaphore.use(() => render(report))
   */
  use<T>(work: (permit: Lock) => T | PromiseLike<T>, options?: LockOptions): Promise<T>
  /** How many permits are held and how many callers wait. Takes no lock. */
  counts(): SemaphoreCounts
}

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`. */
export function semaphoreOf(source: Permits, name: Key, permits: number): Semaphore {
  const key = wholeKey(name)
  if (!Number.isInteger(permits) || permits < 1 || permits > MAX_PERMITS) {
    throw invalid(`permits must be a whole number from 1 to ${MAX_PERMITS}`, permits)
  }
  const request = { keyspace: Keyspace.Semaphores, key, permits }
  const acquire = async (options: LockOptions | undefined, expected: AcceptedOptions): Promise<Lock> => {
    const { ttl, limits } = resolveAcquire(options, expected)
    return source.wait({ ...request, ttl }, limits)
  }
  return {
    name: givenKey(key),
    permits,
    acquire: (options) => acquire(options, ACQUIRE),
    tryAcquire: (options) => source.take({ ...request, ttl: resolveHold(options, TRY_ACQUIRE) }),
    use: async (work, options) => {
      checkWork(work)
      return whileHeld(acquire(options, USE), work)
    },
    counts: () => {
      const [held = 0, waiting = 0] = source.counts(Keyspace.Semaphores, key)
      return { held, waiting }
    },
  }
}
