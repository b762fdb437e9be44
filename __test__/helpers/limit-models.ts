/**
 * Models of the algorithms of a limiter, computed in another way than in the product: GCRA by theoretical arrival
 * times, the sliding window from a list of everything that was taken, all in bigints.
 */
import type { LimitAlgorithm, LimitResult } from '../../index.ts'

/** A limiter of one key. */
export interface LimitModel {
  consume(now: number, cost: number): LimitResult
  peek(now: number, cost: number): LimitResult
  penalty(now: number, cost: number): LimitResult
  reward(now: number, cost: number): LimitResult
  reset(): void
}

/** How the tokens of one algorithm return. Times are milliseconds. */
interface Tokens {
  /**
   * How many tokens of the limit are taken at this moment, perhaps more than exist; fractions count as whole tokens.
   */
  taken(now: bigint): bigint
  take(now: bigint, cost: bigint): void
  giveBack(now: bigint, cost: bigint): void
}

export function modelOf(algorithm: LimitAlgorithm, limit: number, window: number): LimitModel {
  const make = { gcra: arrivalTimes, 'sliding-window': listOfTakes, 'fixed-window': windows }[algorithm]
  let tokens = make(BigInt(limit), BigInt(window))

  /**
   * The first moment at which a condition holds. No state lasts longer than two windows for each limit that is owed.
   */
  const firstMoment = (now: number, holds: (at: bigint) => boolean): number => {
    let [low, high] = [BigInt(now), BigInt(now) + 1n]
    while (!holds(high)) high = low + (high - low) * 2n
    if (holds(low)) return 0
    while (high - low > 1n) {
      const middle = (low + high) / 2n
      if (holds(middle)) high = middle
      else low = middle
    }
    return Number(high) - now
  }
  const answer = (now: number, cost: number, allowed?: boolean): LimitResult => {
    const fits = (at: bigint): boolean => cost === 0 || tokens.taken(at) + BigInt(cost) <= BigInt(limit)
    const isThere = allowed ?? fits(BigInt(now))
    const left = BigInt(limit) - tokens.taken(BigInt(now))
    return {
      allowed: isThere,
      limit,
      remaining: left < 0n ? 0 : Number(left),
      retryAfter: isThere ? 0 : cost > limit ? Infinity : firstMoment(now, fits),
      resetAfter: firstMoment(now, (at) => tokens.taken(at) === 0n),
    }
  }
  return {
    peek: (now, cost) => answer(now, cost),
    consume(now, cost) {
      const { allowed } = answer(now, cost)
      if (allowed) tokens.take(BigInt(now), BigInt(cost))
      return answer(now, cost, allowed)
    },
    penalty(now, cost) {
      tokens.take(BigInt(now), BigInt(cost))
      return answer(now, 1)
    },
    reward(now, cost) {
      tokens.giveBack(BigInt(now), BigInt(cost))
      return answer(now, 1)
    },
    reset() {
      tokens = make(BigInt(limit), BigInt(window))
    },
  }
}

/** GCRA as virtual scheduling. Times are multiples of 1/limit milliseconds, so that they are whole numbers. */
function arrivalTimes(limit: bigint, window: bigint): Tokens {
  let arrival = 0n
  const late = (now: bigint): bigint => (arrival > now * limit ? arrival - now * limit : 0n)
  return {
    taken: (now) => (late(now) + window - 1n) / window,
    take: (now, cost) => (arrival = now * limit + late(now) + cost * window),
    giveBack: (now, cost) => (arrival = now * limit + (late(now) > cost * window ? late(now) - cost * window : 0n)),
  }
}

/** Everything that was taken, with the sixteenth of a window in which it was taken; it counts for sixteen more. */
function listOfTakes(_limit: bigint, window: bigint): Tokens {
  const taken: { at: bigint; count: bigint }[] = []
  const sixteenth = (now: bigint): bigint => (now * 16n) / window
  const counts = (now: bigint, at: bigint): boolean => sixteenth(now) - at <= 16n
  return {
    taken: (now) => taken.reduce((sum, { at, count }) => (counts(now, at) ? sum + count : sum), 0n),
    take: (now, cost) => void taken.push({ at: sixteenth(now), count: cost }),
    giveBack(now, cost) {
      let left = cost
      for (const take of taken.toReversed()) {
        if (!counts(now, take.at)) continue
        const given = left < take.count ? left : take.count
        take.count -= given
        left -= given
      }
    },
  }
}

/** Windows that begin with the first token. A window ends when all its tokens were returned. */
function windows(_limit: bigint, window: bigint): Tokens {
  let [count, end] = [0n, 0n]
  return {
    taken: (now) => (now < end ? count : 0n),
    take(now, cost) {
      if (cost === 0n) return
      if (now >= end || count === 0n) [count, end] = [0n, now + window]
      count += cost
    },
    giveBack(now, cost) {
      count = now < end && count > cost ? count - cost : 0n
    },
  }
}
