/**
 * The algorithms of limiters, on whole numbers as in the native engine: `crates/core/src/records/meters.rs`.
 *
 * The numbers are bigints, since levels have up to 128 bits. A meter clamps each state to its valid range.
 */

/** Maximum number of tokens. */
export const MAX_TOKENS = 2n ** 53n - 1n
const MAX_TIME = 2n ** 64n - 1n
const BUCKETS = 16n

/** A limit, checked. */
export interface Limit {
  readonly tokens: bigint
  /** Milliseconds. */
  readonly window: bigint
}

/** The words of a state; none: the key has taken no token. */
export type Words = readonly bigint[]

/** The state of a key at a moment. */
export interface Meter {
  words(): Words
  remaining(): bigint
  take(tokens: bigint): void
  giveBack(tokens: bigint): void
  /** Milliseconds until these tokens, at most the limit, are available. */
  waitFor(tokens: bigint): bigint
  /** Milliseconds until all tokens are available; 0: as for a new key. */
  resetAfter(): bigint
}

/** The meter of an `Algorithm`. */
export function meterOf(algorithm: number, limit: Limit, now: bigint, words: Words): Meter {
  if (algorithm === 0) return new Gcra(limit, now, words)
  return algorithm === 1 ? new SlidingWindow(limit, now, words) : new FixedWindow(limit, now, words)
}

/** Tokens come back one by one, evenly over the window. */
class Gcra implements Meter {
  readonly #limit: Limit
  readonly #now: bigint
  /** The level at `since`, in tokens × window. */
  #level = 0n
  #since: bigint

  constructor(limit: Limit, now: bigint, words: Words) {
    this.#limit = limit
    this.#now = now
    this.#since = now
    const [level, tokens, since] = words
    if (level === undefined || tokens === undefined || since === undefined) return
    if (tokens === limit.tokens && since <= now) {
      this.#since = since
      this.#level = min(level, this.#weight(MAX_TOKENS) + this.#drained())
      return
    }
    // The limit has changed: up to now the level drained by the old one.
    this.#putLevel(minus(level, minus(now, since) * tokens))
  }

  words(): Words {
    return [this.#level, this.#limit.tokens, this.#since]
  }

  remaining(): bigint {
    return minus(this.#weight(this.#limit.tokens), this.#levelNow()) / this.#limit.window
  }

  take(tokens: bigint): void {
    this.#putLevel(this.#levelNow() + this.#weight(tokens))
  }

  giveBack(tokens: bigint): void {
    this.#putLevel(minus(this.#levelNow(), this.#weight(tokens)))
  }

  waitFor(tokens: bigint): bigint {
    return this.#timeToDrain(minus(this.#levelNow() + this.#weight(tokens), this.#weight(this.#limit.tokens)))
  }

  resetAfter(): bigint {
    return this.#timeToDrain(this.#levelNow())
  }

  #weight(tokens: bigint): bigint {
    return tokens * this.#limit.window
  }

  #drained(): bigint {
    return (this.#now - this.#since) * this.#limit.tokens
  }

  #levelNow(): bigint {
    return minus(this.#level, this.#drained())
  }

  #putLevel(now: bigint): void {
    this.#level = this.#drained() + min(now, this.#weight(MAX_TOKENS))
  }

  #timeToDrain(level: bigint): bigint {
    return min(divideUp(level, this.#limit.tokens), MAX_TIME)
  }
}

/** A token comes back one window after it was taken, at most a sixteenth of the window later. */
class SlidingWindow implements Meter {
  readonly #limit: Limit
  readonly #now: bigint
  readonly #newest: bigint
  /** Tokens per bucket, newest first. */
  readonly #taken: bigint[] = Array.from({ length: Number(BUCKETS) + 1 }, () => 0n)
  #count = 1
  #used = 0n

  constructor(limit: Limit, now: bigint, words: Words) {
    this.#limit = limit
    this.#now = now
    this.#newest = (now * BUCKETS) / limit.window
    const [newest, ...stored] = words
    if (newest === undefined) return
    const passed = Number(min(minus(this.#newest, newest), BUCKETS + 1n))
    stored.slice(0, this.#taken.length - passed).forEach((tokens, index) => {
      const kept = min(tokens, MAX_TOKENS)
      this.#taken[passed + index] = kept
      this.#used += kept
    })
    this.#count = Math.min(Math.max(passed + stored.length, 1), this.#taken.length)
  }

  words(): Words {
    const oldest = Math.max(
      this.#buckets().findLastIndex((tokens) => tokens !== 0n),
      0,
    )
    return [this.#newest, ...this.#taken.slice(0, oldest + 1)]
  }

  remaining(): bigint {
    return minus(this.#limit.tokens, this.#used)
  }

  take(tokens: bigint): void {
    const first = this.#taken[0] as bigint
    const taken = min(tokens, MAX_TOKENS - first)
    this.#taken[0] = first + taken
    this.#used += taken
  }

  giveBack(tokens: bigint): void {
    let left = tokens
    this.#taken.forEach((taken, index) => {
      const given = min(left, taken)
      this.#taken[index] = taken - given
      this.#used -= given
      left -= given
    })
  }

  waitFor(tokens: bigint): bigint {
    let missing = minus(this.#used + tokens, this.#limit.tokens)
    if (missing === 0n) return 0n
    const buckets = this.#buckets()
    for (let index = buckets.length - 1; index >= 0; index--) {
      missing = minus(missing, buckets[index] as bigint)
      if (missing === 0n) return this.#timeToForget(index)
    }
    return this.#timeToForget(0)
  }

  resetAfter(): bigint {
    const newest = this.#buckets().findIndex((tokens) => tokens !== 0n)
    return newest === -1 ? 0n : this.#timeToForget(newest)
  }

  #buckets(): bigint[] {
    return this.#taken.slice(0, this.#count)
  }

  /** Milliseconds until the bucket of this index is out of the window. */
  #timeToForget(index: number): bigint {
    const firstWithout = minus(this.#newest, BigInt(index)) + BUCKETS + 1n
    return minus(min(divideUp(firstWithout * this.#limit.window, BUCKETS), MAX_TIME), this.#now)
  }
}

/** All tokens come back at the end of the window, which the first token began. */
class FixedWindow implements Meter {
  readonly #limit: Limit
  readonly #now: bigint
  #used = 0n
  #left: bigint

  constructor(limit: Limit, now: bigint, words: Words) {
    this.#limit = limit
    this.#now = now
    this.#left = limit.window
    const [used, end] = words
    if (used === undefined || end === undefined || end <= now) return
    this.#used = min(used, MAX_TOKENS)
    this.#left = min(end - now, limit.window)
  }

  words(): Words {
    return [this.#used, min(this.#now + this.#left, MAX_TIME)]
  }

  remaining(): bigint {
    return minus(this.#limit.tokens, this.#used)
  }

  take(tokens: bigint): void {
    this.#used = min(this.#used + tokens, MAX_TOKENS)
  }

  giveBack(tokens: bigint): void {
    this.#used = minus(this.#used, tokens)
  }

  waitFor(tokens: bigint): bigint {
    return tokens <= this.remaining() ? 0n : this.#left
  }

  resetAfter(): bigint {
    return this.#used === 0n ? 0n : this.#left
  }
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

/** The difference, at least 0. */
function minus(a: bigint, b: bigint): bigint {
  return a > b ? a - b : 0n
}

function divideUp(number: bigint, by: bigint): bigint {
  return (number + by - 1n) / by
}
