/**
 * Elections over all processes and threads that have the segment open: one caller leads, and when it ends the next one
 * does.
 *
 * A leadership is a permit of the keyspace `Elections` without a time limit.
 *
 * Caution: a suspended leader, or one with a blocked event loop, keeps leading. Its `token` fences work that must not
 * be done twice.
 */
import { givenKey, wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { Keyspace } from '../native/layout.ts'
import { ELECT, resolveAcquire } from './locks.ts'
import type { AcquireOptions } from './locks.ts'
import type { Permits } from './permits.ts'

/** The leadership of this handle of the cache. `using` and `await using` resign at the end of their block. */
export interface Leadership extends Disposable, AsyncDisposable {
  readonly name: Key
  /** The fencing token: larger than that of every earlier leader. Tokens start again when the segment is destroyed. */
  readonly token: number
  /** Whether it leads at this moment. Reads the segment, and takes no lock. */
  readonly leads: boolean
  /**
   * Aborted when the leadership is lost: the segment was destroyed, or the cache was closed. The reason is a
   * `CacheError`. `resign` does not abort it. A read of this property after the loss returns an aborted signal.
   */
  readonly signal: AbortSignal
  /**
   * Ends the leadership; the waiter that asked first leads. Returns whether it still led; a second call returns false.
   */
  resign(): boolean
}

/** The leadership of `name`, as soon as it is granted. */
export async function waitForLeadership(
  permits: Permits,
  name: Key,
  options: AcquireOptions | undefined,
): Promise<Leadership> {
  const { limits } = resolveAcquire(options, ELECT)
  const key = wholeKey(name)
  const permit = await permits.wait({ keyspace: Keyspace.Elections, key, permits: 1, ttl: 0 }, limits)
  return {
    name: givenKey(key),
    token: permit.token,
    get leads() {
      return permit.held
    },
    get signal() {
      return permit.signal
    },
    resign: () => permit.release(),
    [Symbol.dispose]: () => permit[Symbol.dispose](),
    [Symbol.asyncDispose]: () => permit[Symbol.asyncDispose](),
  }
}
