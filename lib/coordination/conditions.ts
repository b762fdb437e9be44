/** Conditions over all processes and threads that have the segment open: holders of a lock wait for each other. */
import { givenKey, wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { accepted } from '../arguments/option-names.ts'
import { CacheError, invalid } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { Keyspace } from '../native/layout.ts'
import type { WaitLimits } from '../waiting/timers.ts'
import type { Gates } from './gates.ts'
import { WAIT_NAMES, resolveAcquire } from './locks.ts'
import type { AcquireOptions, Lock } from './locks.ts'
import { HeldPermit } from './permits.ts'
import type { Permits } from './permits.ts'

/** `notify` takes any number up to this. */
const MAX_COUNT = 2 ** 32 - 1

/**
 * Holders of a lock wait for a change that other holders of this lock announce, such as with Python's `Condition`.
 *
 * The lock protects what is waited for. A waiter looks again after each `wait`, since another caller may have been
 * faster.
 */
export interface Condition {
  readonly name: Key
  /** Living callers that wait. Takes no lock. */
  readonly waiting: number
  /**
   * Releases the lock, waits for `notify`, and acquires the lock again, for the same `ttl`. The release and the
   * beginning of the wait are one step for every other holder, so no `notify` of theirs is missed.
   *
   * `notify` reaches the caller that waits longest. If that caller dies or gives up before it goes on, the next one is
   * notified in its place, so a waiter may be notified once too often.
   *
   * @param lock A held lock of this cache, or a held permit. It is over afterwards, unless an argument is wrong.
   * @param options `timeout`: of the wait and the lock together, default none; `signal`; `ref`: keep the process alive
   * while waiting (default true).
   * @returns The new lock.
   * @throws {CacheError} Rejects as `lock`, and then the caller holds no lock; with `ERR_LOCK_LOST` if the lock is not
   * held.
   * @example
   * const condition = cache.condition('stock')
   * let lock = await cache.lock('stock')
   * while ((cache.get('stock') ?? 0) === 0) lock = await condition.wait(lock)
   * cache.incr('stock', -1)
   * lock.release()
   */
  wait(lock: Lock, options?: AcquireOptions): Promise<Lock>
  /**
   * Lets the callers go on that wait longest, `count` at most (default 1). Returns their number.
   *
   * @throws {CacheError} `ERR_BUSY`, `ERR_INVALID_ARGUMENT`.
   * @example
   * await cache.withLock('stock', () => {
   *   cache.incr('stock', 1)
   *   cache.condition('stock').notify()
   * })
   */
  notify(count?: number): number
  /** Lets all waiting callers go on. Returns their number. Throws as `notify`. */
  notifyAll(): number
}

const WAIT = accepted<AcquireOptions>('wait', WAIT_NAMES)

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`. */
export function conditionOf(gates: Gates, permits: Permits, name: Key): Condition {
  const gate = { keyspace: Keyspace.Conditions, key: wholeKey(name), parties: 0 }
  const notify = (count: number): number => gates.write(gate, (id) => native.conditionNotify(id, gate.key, count))
  return {
    name: givenKey(gate.key),
    get waiting() {
      return gates.state(gate).waiting
    },
    wait: async (lock, options) => {
      if (!(lock instanceof HeldPermit)) throw invalid('wait takes a held lock', lock)
      const { limits } = resolveAcquire(options, WAIT)
      const end = performance.now() + limits.timeout
      try {
        await gates.wait(gate, limits, () => {
          if (!lock.release()) throw new CacheError('ERR_LOCK_LOST', 'the lock of the condition was not held any more')
        })
      } catch (error) {
        // A wait that did not begin, as under an aborted signal, has released nothing.
        lock.release()
        throw error
      }
      return permits.wait(lock.request, remaining(limits, end))
    },
    notify: (count = 1) => {
      if (!Number.isInteger(count) || count < 0 || count > MAX_COUNT) {
        throw invalid(`the number of callers must be a whole number from 0 to ${MAX_COUNT}`, count)
      }
      return notify(count)
    },
    notifyAll: () => notify(MAX_COUNT),
  }
}

/** The limits for what is left to do. */
function remaining(limits: WaitLimits, end: number): WaitLimits {
  if (end === Number.POSITIVE_INFINITY) return limits
  return { ...limits, timeout: Math.max(0, Math.ceil(end - performance.now())) }
}
