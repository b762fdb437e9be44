import type { OpenOptions } from 'cache-machine'
import type { Duration, Milliseconds } from 'cache-machine'
import type { SharedCache } from 'cache-machine'
import type { CacheErrorCode } from 'cache-machine'
/** A clock that stands still until a test moves it. Several caches can have it. */
export interface TestClock {
  /** The time by which it was moved so far. */
  readonly elapsed: Milliseconds
  /**
   * Moves the clock. What has ended by then, such as entries, locks and limits, ends at once.
   *
   * @param by Milliseconds of at least 0, or a duration.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
   * @example
   * clock.advance('5m')
   */
  advance(by: Duration): void
}
/** Options of `createTestCache`: those of `open`, and a clock. */
export interface TestCacheOptions extends Omit<OpenOptions, 'name'> {
  /**
   * Default: a new name. Test caches of one name share a segment and a clock, as the caches of two processes do. The
   * segment is destroyed with the last of them.
   */
  name?: string | undefined
  /**
   * The clock of lifetimes, locks and limits. Default: `Date`, which the fake timers of Vitest, Jest and Node.js move.
   */
  clock?: TestClock | undefined
  /** `'native'`: a real segment in shared memory, with the same clock. Default: `'portable'`. */
  engine?: 'native' | 'portable' | undefined
}
/** Options of `failNext`. */
export interface FailOptions {
  /** `'read'`: the next call that reads. `'write'`: the next one that changes something. Default: the next call. */
  on?: 'read' | 'write' | undefined
  /** How many calls are to fail. Default: 1. */
  times?: number | undefined
}
/** A cache for tests. Its namespaces have the same clock and the same failures. */
export interface TestCache<V = unknown> extends SharedCache<V> {
  /** The number of failures that no call has met yet. */
  readonly pendingFailures: number
  /**
   * Lets the next call fail with this code, as trouble with the segment would: writes throw, reads are misses unless the
   * cache is `strict`. `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG` and `ERR_CLOSED` throw in reads as well. The failed
   * call changes nothing.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
   * @example
   * cache.failNext('ERR_BUSY', { on: 'write' })
   * cache.set('a', 1) // throws ERR_BUSY
   */
  failNext(code: CacheErrorCode, options?: FailOptions): void
}
/**
 * A clock for `createTestCache`.
 *
 * @example
 * const clock = createTestClock()
 * const cache = createTestCache({ clock })
 * cache.set('token', 'abc', '5m')
 * clock.advance('5m')
 * cache.get('token') // undefined
 */
export declare function createTestClock(): TestClock
/**
 * A cache for a test, empty and apart from all others. By default it runs on the portable engine and makes no near
 * copies, so each call reaches its segment. `close` destroys its segment.
 *
 * @param options See `TestCacheOptions`. All of them are optional.
 * @throws {CacheError} As `open`.
 * @example
 * const cache = createTestCache()
 * const service = new UserService(cache)
 */
export declare function createTestCache<V = unknown>(options?: TestCacheOptions): TestCache<V>
/**
 * Closes all test caches of this thread, for `afterEach`.
 *
 * @example
 * afterEach(closeTestCaches)
 */
export declare function closeTestCaches(): void
