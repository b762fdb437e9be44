/**
 * Takes tokens one call after the other, with keys by Zipf's law as in the other workloads; then checks that the
 * limiter counted all of them.
 */
import { now } from '../measure.mjs'
import { keyOf } from '../values.mjs'
import { zipfIndices } from '../zipf.mjs'

const LENGTH = 1 << 14
const MASK = LENGTH - 1
/**
 * Calls between two readings of the clock: some microseconds without a round trip, half a millisecond with round trips.
 */
const BATCH = { sync: 512, async: 16 }

/** @param {{ keys: number, seed: number }} args */
export function prepareTokens(memory, { keys, seed }) {
  const indices = zipfIndices({ count: keys, length: LENGTH, seed })
  memory.tokens = { indices, keys: Array.from(indices, keyOf), taken: new Float64Array(keys), next: 0 }
}

/** @returns {Promise<{ calls: number, elapsed: number }>} */
export async function takeTokens({ store, contender, tokens }, { duration }) {
  const take = contender.inFlight === 0 ? takeSync : takeAsync
  const first = tokens.next
  const start = now()
  while (now() - start < duration) tokens.next = await take(store, tokens, tokens.next)
  const elapsed = now() - start
  for (let i = first; i < tokens.next; i++) tokens.taken[tokens.indices[i & MASK]]++
  return { calls: tokens.next - first, elapsed }
}

/** The maximum of tokens that return to a bucket during a run; a bucket needs ten years to refill. */
const MAX_RETURNED = 20

/** Throws unless each key has used as many tokens as were taken. */
export async function checkTokens({ store, tokens }) {
  for (const [index, taken] of tokens.taken.entries()) {
    const used = await store.used(keyOf(index))
    if (used > taken || used < taken - MAX_RETURNED)
      throw new Error(`${keyOf(index)} has used ${used} tokens, but ${taken} were taken`)
  }
}

function takeSync({ consume }, { keys }, from) {
  for (let i = from; i < from + BATCH.sync; i++) if (!consume(keys[i & MASK])) throw new Error('a token was refused')
  return from + BATCH.sync
}

async function takeAsync({ consume }, { keys }, from) {
  for (let i = from; i < from + BATCH.async; i++) {
    if (!(await consume(keys[i & MASK]))) throw new Error('a token was refused')
  }
  return from + BATCH.async
}
