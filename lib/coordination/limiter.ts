/**
 * Rate limits over all processes of the host: a number of tokens per key and window.
 *
 * A call changes one small record in the segment in one step, so that no token is given out twice, and a process that
 * is killed has either taken its tokens or has not. A call that is refused takes nothing. The state belongs to name,
 * algorithm, window and key together. The limit is not part of it, and may be changed while the old one is in use.
 */
import { createHash } from 'node:crypto'
import { CacheError, invalid, show } from '../errors.ts'
import type { SegmentHandle } from '../segment/handle.ts'
import { Algorithm, Demand, LimitFloat, LimitInt } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { MAX_DURATION, parseDuration } from '../arguments/units.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import type { Key } from '../arguments/keys.ts'
import { accepted, checkObject } from '../arguments/option-names.ts'

/**
 * How a limiter counts. No algorithm allows more than the limit at once; they differ in when tokens come back.
 *
 * - `'sliding-window'`: each token comes back one window after it was taken, or at most a sixteenth of a window later.
 *   In any period of one window at most the limit is allowed.
 * - `'gcra'`: tokens come back evenly, one each `window / limit`, as from a leaky bucket. A refused caller waits the
 *   shortest time. In a period of one window up to twice the limit is allowed: the tokens available at its start, and
 *   those that come back during it.
 * - `'fixed-window'`: the first token begins a window, and all tokens come back at its end. In a period of one window
 *   up to twice the limit is allowed: at the end of one window and at the start of the next.
 *
 * `'gcra'` and `'fixed-window'` are exact to the millisecond; the sliding window is exact to a sixteenth of its length,
 * and never early.
 */
export type LimitAlgorithm = 'sliding-window' | 'gcra' | 'fixed-window'

/** Options of `limiter`. */
export interface LimiterOptions {
  /** Tokens per window and key: a whole number from 1 to `Number.MAX_SAFE_INTEGER`. */
  limit: number
  /** Whole milliseconds, rounded up, or a duration such as `'1m'`. */
  window: Duration
  /** Default: `'sliding-window'`. */
  algorithm?: LimitAlgorithm | undefined
}

/** The answer of a limiter. Its times hold if no other caller takes tokens meanwhile. */
export interface LimitResult {
  /** Whether the tokens were taken. */
  readonly allowed: boolean
  /** The limit of the limiter. */
  readonly limit: number
  /** Tokens that are available now. */
  readonly remaining: number
  /** Time until the tokens asked for are available; 0 if they were, Infinity if they exceed the limit. */
  readonly retryAfter: Milliseconds
  /** Time until all tokens of the limit are available again. */
  readonly resetAfter: Milliseconds
}

/**
 * A limiter, as `SharedCache.limiter` makes it. All processes that use the same name, window and algorithm share its
 * tokens.
 *
 * Every method throws `ERR_INVALID_ARGUMENT` for an invalid key and `ERR_CLOSED` after the cache was closed. All
 * methods except `peek` throw `ERR_BUSY` when a suspended process (SIGSTOP) holds the key's shard for longer than
 * `writeTimeout`. With `eviction: 'none'` and a full segment they throw `ERR_NO_SPACE`. With another eviction, the
 * state of a key that was not used for long may be evicted for room, and the key then has all its tokens: see
 * `stats().limitsEvicted`.
 */
export interface Limiter {
  readonly name: string
  /** Tokens per window and key. */
  readonly limit: number
  readonly window: Milliseconds
  readonly algorithm: LimitAlgorithm

  /**
   * Takes tokens of `key` if all of them are available, else none. Synchronous, and exact over all processes.
   *
   * @param key What is limited: an address, a user, a route; 1 byte to about 8,000.
   * @param cost Number of tokens, a whole number. Default: 1. A cost of 0 is always allowed and takes nothing; a cost
   * above the limit never is.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a cost that is negative or not whole.
   * @example
   * const { allowed, retryAfter } = limiter.consume(request.ip)
   * if (!allowed) response.writeHead(429, { 'Retry-After': Math.ceil(retryAfter / 1000) }).end()
   */
  consume(key: Key, cost?: number): LimitResult

  /**
   * What `consume` would answer now, except that `remaining` does not subtract `cost`. Takes nothing, and never waits.
   *
   * @param cost As for `consume`. Default: 1.
   * @throws {CacheError} As `consume`.
   * @example
   * const { remaining } = limiter.peek(user.id)
   */
  peek(key: Key, cost?: number): LimitResult

  /**
   * Takes tokens even if fewer are available: for a failed login, or for a request that cost more than it asked for.
   * Tokens that are owed have to come back before anything is allowed again; a fixed window forgets them at its end.
   *
   * @param cost As for `consume`. Default: 1.
   * @returns `allowed`, `retryAfter`: whether and when one more token is available.
   * @throws {CacheError} As `consume`.
   * @example
   * if (!passwordIsRight) limiter.penalty(request.ip, 5)
   */
  penalty(key: Key, cost?: number): LimitResult

  /**
   * Gives tokens back, at most as many as were taken: for a request that was not served after all.
   *
   * @param cost As for `consume`. Default: 1.
   * @returns `allowed`, `retryAfter`: whether and when one more token is available.
   * @throws {CacheError} As `consume`.
   * @example
   * if (response.fromCache) limiter.reward(request.ip)
   */
  reward(key: Key, cost?: number): LimitResult

  /**
   * Gives `key` all its tokens.
   *
   * @returns Whether tokens were missing.
   * @throws {CacheError} As `consume`.
   * @example
   * limiter.reset(user.id)
   */
  reset(key: Key): boolean
}

/** One attempt of a raw call, on the handle that the cache has now. `undefined`: see `MetaInt.Status`. */
export type Attempt = (handle: SegmentHandle, key: RawKey) => boolean | undefined

/** What a limiter needs of its cache. */
export interface LimitCalls {
  /** Throws `ERR_CLOSED`. */
  live(): SegmentHandle
  /**
   * Goes on after an attempt that returned undefined: does what its status asks for, and calls `attempt` again. User
   * code may run in between. Throws unless an attempt succeeds.
   */
  retry(key: RawKey, attempt: Attempt): boolean
}

const MAX_NAME = 128

const LIMITER = accepted<LimiterOptions>('limiter', { limit: true, window: true, algorithm: true })

/** A limiter over the raw calls of a cache. */
export class KeyLimiter implements Limiter {
  readonly name: string
  readonly limit: number
  readonly window: Milliseconds
  readonly algorithm: LimitAlgorithm
  /** The identity of the limiter, made of its name, algorithm and window. */
  readonly #low: number
  readonly #high: number
  readonly #how: number
  readonly #calls: LimitCalls

  constructor(name: string, options: LimiterOptions, calls: LimitCalls) {
    checkObject(options, LIMITER)
    const { limit, window, algorithm = 'sliding-window' } = options
    if (typeof algorithm !== 'string' || !Object.hasOwn(Algorithm, algorithm)) {
      throw invalid(`algorithm must be one of ${Object.keys(Algorithm).map(show).join(', ')}`, algorithm)
    }
    if (!Number.isSafeInteger(limit) || limit < 1) throw invalid('limit must be a whole number of at least 1', limit)
    this.name = checkName(name)
    this.limit = limit
    this.window = resolveWindow(window)
    this.algorithm = algorithm
    this.#how = Algorithm[algorithm]
    const identity = createHash('sha256').update(`${name}\0${algorithm}\0${this.window}`).digest()
    this.#low = identity.readInt32LE(0)
    this.#high = identity.readInt32LE(4)
    this.#calls = calls
  }

  consume(key: Key, cost = 1): LimitResult {
    return this.#ask(key, Demand.Consume, cost)
  }

  peek(key: Key, cost = 1): LimitResult {
    return this.#ask(key, Demand.Peek, cost)
  }

  penalty(key: Key, cost = 1): LimitResult {
    return this.#ask(key, Demand.Penalty, cost)
  }

  reward(key: Key, cost = 1): LimitResult {
    return this.#ask(key, Demand.Reward, cost)
  }

  reset(key: Key): boolean {
    return this.#call(this.#calls.live(), key, Demand.Reset, 0)
  }

  #ask(key: Key, demand: number, cost: number): LimitResult {
    if (!Number.isSafeInteger(cost) || cost < 0) throw invalid('cost must be a whole number of at least 0', cost)
    const handle = this.#calls.live()
    const allowed = this.#call(handle, key, demand, cost)
    // One memory for all handles of this thread, also if the segment was opened again meanwhile.
    const { floats } = handle
    return {
      allowed,
      limit: this.limit,
      remaining: floats[LimitFloat.Remaining] as number,
      retryAfter: floats[LimitFloat.RetryAfter] as number,
      resetAfter: floats[LimitFloat.ResetAfter] as number,
    }
  }

  #call(handle: SegmentHandle, key: Key, demand: number, cost: number): boolean {
    return this.#attempt(handle, key, demand, cost) ?? this.#retry(key, demand, cost)
  }

  #retry(key: Key, demand: number, cost: number): boolean {
    return this.#calls.retry(key, (handle, again) => this.#attempt(handle, again, demand, cost))
  }

  /** Fills the question and asks. Every attempt goes through here: `meta` is shared by all limiters of a thread. */
  #attempt(handle: SegmentHandle, key: RawKey, demand: number, cost: number): boolean | undefined {
    const { ints, floats } = handle
    ints[LimitInt.How] = this.#how + demand
    ints[LimitInt.Low] = this.#low
    ints[LimitInt.High] = this.#high
    floats[LimitFloat.Tokens] = cost
    floats[LimitFloat.Limit] = this.limit
    floats[LimitFloat.Window] = this.window
    return handle.limit(key)
  }
}

function checkName(name: unknown): string {
  const fine = typeof name === 'string' && name !== '' && name.length <= MAX_NAME
  if (fine && name.isWellFormed() && !name.includes('\0')) return name
  throw invalid(
    `the name of a limiter must be text of 1 to ${MAX_NAME} characters, without NUL or lone surrogates`,
    name,
  )
}

function resolveWindow(window: unknown): Milliseconds {
  const milliseconds = Math.ceil(parseDuration(window))
  if (milliseconds >= 1 && milliseconds <= MAX_DURATION) return milliseconds
  const text = `window must be milliseconds above 0 or a duration such as '1m'; got ${show(window)}`
  throw new CacheError('ERR_INVALID_ARGUMENT', text)
}
