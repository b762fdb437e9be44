/**
 * Rate limits over all processes of the host: so many tokens per key and window.
 *
 * A call is one change of one small record in the segment, so no token is given out twice, whoever asks at the same moment,
 * and a process that is killed has taken its tokens or has not. What is refused takes nothing. The thing to get wrong: the
 * state belongs to name, algorithm, window and key together; the limit does not, and may be changed while the old one is in use.
 */
import { createHash } from 'node:crypto'
import { CacheError, invalid, show } from './errors.ts'
import type { Handle } from './handle.ts'
import { Algorithm, Demand, LimitFloat, LimitInt } from './native.ts'
import type { RawKey } from './native.ts'
import { MAX_DURATION, parseDuration } from './units.ts'
import type { Duration, Milliseconds } from './units.ts'
import type { Key } from './values.ts'

/**
 * How a limiter counts. None ever allows more than the limit at once; they differ in when tokens come back.
 *
 * - `'sliding-window'`: each token comes back one window after it was taken, at most a sixteenth of a window later. In no
 *   stretch of time of one window's length more than the limit is allowed, wherever it begins.
 * - `'gcra'`: tokens come back evenly, one each `window / limit`, as from a leaky bucket. Whoever is refused waits the
 *   shortest time. In a stretch of one window up to twice the limit is allowed: what was there at its start, and what came back.
 * - `'fixed-window'`: the first token begins a window, at whose end all come back. In a stretch of one window up to twice
 *   the limit is allowed: at the end of one and at the start of the next.
 *
 * The first two are right to the millisecond, the sliding window to a sixteenth of its length, never too early.
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

/** What a limiter answers. Times are for the case that nobody else takes tokens meanwhile. */
export interface LimitResult {
  /** Whether the tokens were taken. */
  readonly allowed: boolean
  /** The limit, as it was given. */
  readonly limit: number
  /** Tokens that are left now. */
  readonly remaining: number
  /** Until as many as were asked for are there; 0 if they were, Infinity if the limit is less than that. */
  readonly retryAfter: Milliseconds
  /** Until all tokens of the limit are there again. */
  readonly resetAfter: Milliseconds
}

/**
 * A limiter, as `SharedCache.limiter` makes it. All processes that use the same name, window and algorithm share its tokens.
 *
 * Every method throws `ERR_INVALID_ARGUMENT` for a key that cannot be one, `ERR_CLOSED` after the cache was closed, and, but
 * for `peek`, `ERR_BUSY` when a stopped process holds the key's shard for longer than `writeTimeout`. With `eviction: 'none'`
 * and a full segment they throw `ERR_NO_SPACE`; else the state of a key may be evicted for room when it was not asked for for
 * long, and the key then has all its tokens: see `stats().limitsEvicted`.
 */
export interface Limiter {
  readonly name: string
  /** Tokens per window and key. */
  readonly limit: number
  readonly window: Milliseconds
  readonly algorithm: LimitAlgorithm

  /**
   * Takes tokens of `key` if all of them are there, else none. Synchronous, and exact over all processes.
   *
   * @param key Whom the limit is for: an address, a user, a route; 1 byte to about 8,000.
   * @param cost How many: a whole number. Default: 1. 0 is always allowed and takes nothing; more than the limit never is.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a cost that is negative or not whole.
   * @example
   * const { allowed, retryAfter } = limiter.consume(request.ip)
   * if (!allowed) response.writeHead(429, { 'Retry-After': Math.ceil(retryAfter / 1000) }).end()
   */
  consume(key: Key, cost?: number): LimitResult

  /**
   * What `consume` would answer now, but with the tokens that are left without it. Takes nothing, waits for nobody.
   *
   * @param cost As for `consume`. Default: 1.
   * @throws {CacheError} As `consume`.
   * @example
   * const { remaining } = limiter.peek(user.id)
   */
  peek(key: Key, cost?: number): LimitResult

  /**
   * Takes tokens whether they are there or not: for whoever failed to log in, or turned out to cost more than was asked for. What
   * is owed has to come back before anything is allowed again; in a fixed window it is forgotten at its end.
   *
   * @param cost As for `consume`. Default: 1.
   * @returns `allowed`, `retryAfter`: whether and when one more token is there.
   * @throws {CacheError} As `consume`.
   * @example
   * if (!passwordIsRight) limiter.penalty(request.ip, 5)
   */
  penalty(key: Key, cost?: number): LimitResult

  /**
   * Gives tokens back, as many as were taken at most: for a request that was not served after all.
   *
   * @param cost As for `consume`. Default: 1.
   * @returns `allowed`, `retryAfter`: whether and when one more token is there.
   * @throws {CacheError} As `consume`.
   * @example
   * if (response.fromCache) limiter.reward(request.ip)
   */
  reward(key: Key, cost?: number): LimitResult

  /**
   * Gives `key` all its tokens.
   *
   * @returns Whether some were missing.
   * @throws {CacheError} As `consume`.
   * @example
   * limiter.reset(user.id)
   */
  reset(key: Key): boolean
}

/** What a limiter needs of its cache. */
export interface LimitCalls {
  /** Throws `ERR_CLOSED`. */
  live(): Handle
  /** Goes on after a raw call that gave nothing; throws unless it works out. */
  again(key: RawKey): boolean
}

const LONGEST_NAME = 128

/** A limiter over the raw calls of a cache. */
export class KeyLimiter implements Limiter {
  readonly name: string
  readonly limit: number
  readonly window: Milliseconds
  readonly algorithm: LimitAlgorithm
  /** Which limiter it is: others, by name, algorithm or window, have other numbers. */
  readonly #low: number
  readonly #high: number
  readonly #how: number
  readonly #calls: LimitCalls

  constructor(name: string, options: LimiterOptions, calls: LimitCalls) {
    if (typeof options !== 'object' || options === null) throw invalid('limiter takes { limit, window }', options)
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
    return this.#ask(key, Demand.Look, cost)
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

  #call(handle: Handle, key: Key, demand: number, cost: number): boolean {
    const { ints, floats } = handle
    ints[LimitInt.How] = this.#how + demand
    floats[LimitFloat.Tokens] = cost
    floats[LimitFloat.Limit] = this.limit
    floats[LimitFloat.Window] = this.window
    ints[LimitInt.Low] = this.#low
    ints[LimitInt.High] = this.#high
    return handle.limit(key) ?? this.#calls.again(key)
  }
}

function checkName(name: unknown): string {
  const fine = typeof name === 'string' && name !== '' && name.length <= LONGEST_NAME
  if (fine && name.isWellFormed() && !name.includes('\0')) return name
  throw invalid(`the name of a limiter must be a string of 1 to ${LONGEST_NAME} characters`, name)
}

function resolveWindow(window: unknown): Milliseconds {
  const milliseconds = Math.ceil(parseDuration(window))
  if (milliseconds >= 1 && milliseconds <= MAX_DURATION) return milliseconds
  const text = `window must be milliseconds above 0 or a duration such as '1m'; got ${show(window)}`
  throw new CacheError('ERR_INVALID_ARGUMENT', text)
}
