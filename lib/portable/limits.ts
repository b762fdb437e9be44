/**
 * Limiters: how many tokens of a limit a key has used. The state of a key is one record, which expires as soon as all
 * tokens are back. `crates/core/src/records/limits.rs` is the original.
 */
import { Demand } from '../native/layout.ts'
import type { Space } from './entry.ts'
import { markUsed } from './eviction.ts'
import { invalid } from './failure.ts'
import type { StoredKey } from './keys.ts'
import { MAX_TOKENS, meterOf } from './meters.ts'
import type { Limit, Meter, Words } from './meters.ts'
import { readRecord, storeRecord } from './records.ts'
import type { Store } from './store.ts'

/** The question to a limiter. */
export interface Question {
  /** By `Algorithm`. */
  readonly algorithm: number
  /** By `Demand`. */
  readonly demand: number
  readonly tokens: number
  readonly limit: number
  /** Milliseconds. */
  readonly window: number
}

export interface Verdict {
  readonly allowed: boolean
  readonly remaining: number
  /** Milliseconds; Infinity: never. */
  readonly retryAfter: number
  readonly resetAfter: number
}

/** Meets a demand in one step. Undefined for `Demand.Reset`, where `allowed` is whether tokens were missing. */
export function askLimiter(store: Store, space: Space, key: StoredKey, question: Question): Verdict {
  const { algorithm, demand } = question
  if (algorithm > 2 || !DEMANDS.has(demand)) throw invalid('there is no such demand of a limiter')
  if (demand === Demand.Reset) {
    const entry = space.entries.get(key.text)
    return { allowed: entry !== undefined && store.delete(entry), remaining: 0, retryAfter: 0, resetAfter: 0 }
  }
  const limit = sound(question)
  const words = readRecord<Words>(store, space, key.text) ?? []
  const meter = meterOf(algorithm, limit, BigInt(store.now()), words)
  const tokens = wholeOf(question.tokens)
  if (demand === Demand.Peek) return verdictOf(meter, limit, tokens)
  const state = space.entries.get(key.text)
  if (state !== undefined) markUsed(state)
  if (demand === Demand.Consume) {
    if (tokens > meter.remaining() || tokens === 0n) return verdictOf(meter, limit, tokens)
    meter.take(tokens)
  } else if (demand === Demand.Penalty) meter.take(tokens)
  else meter.giveBack(tokens)
  const verdict = demand === Demand.Consume ? taken(meter) : verdictOf(meter, limit, 1n)
  const after = meter.words()
  const becomes =
    verdict.resetAfter === 0
      ? ({ remove: true } as const)
      : { record: after, words: after.length + (algorithm === 0 ? 1 : 0), ttl: verdict.resetAfter }
  storeRecord(store, space, key, becomes)
  return verdict
}

const DEMANDS: ReadonlySet<number> = new Set(Object.values(Demand))

function sound({ limit, window }: Question): Limit {
  const tokens = wholeOf(limit)
  const length = wholeOf(window)
  return { tokens: tokens < 1n ? 1n : tokens > MAX_TOKENS ? MAX_TOKENS : tokens, window: length < 1n ? 1n : length }
}

/** As Rust makes a whole number of a double. */
function wholeOf(number: number): bigint {
  if (!(number > 0)) return 0n
  return number >= 2 ** 64 ? 2n ** 64n - 1n : BigInt(Math.floor(number))
}

/** The tokens were available, and are taken now. */
function taken(meter: Meter): Verdict {
  return { allowed: true, remaining: Number(meter.remaining()), retryAfter: 0, resetAfter: Number(meter.resetAfter()) }
}

function verdictOf(meter: Meter, limit: Limit, tokens: bigint): Verdict {
  const remaining = meter.remaining()
  const allowed = tokens <= remaining
  const never = tokens > limit.tokens
  return {
    allowed,
    remaining: Number(remaining),
    retryAfter: allowed ? 0 : never ? Number.POSITIVE_INFINITY : Number(meter.waitFor(tokens)),
    resetAfter: Number(meter.resetAfter()),
  }
}
