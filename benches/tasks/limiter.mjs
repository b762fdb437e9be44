/**
 * Tokens taken one call after the other, by keys drawn as in all other workloads; and whether all of them were counted.
 */
import { now } from '../measure.mjs'
import { keyOf } from '../values.mjs'
import { zipfIndices } from '../zipf.mjs'

const LENGTH = 1 << 14
const MASK = LENGTH - 1
/** The clock is read once for so many calls: a few microseconds of ours, half a millisecond of a round trip. */
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

/** Throws unless each key has used as many tokens as were taken. */
export async function checkTokens({ store, tokens }) {
  for (const [index, taken] of tokens.taken.entries()) {
    const used = await store.used(keyOf(index))
    // A bucket that drains has given some back since.
    if (used > taken || used < taken * 0.5) throw new Error(`${keyOf(index)} used ${used} tokens, and took ${taken}`)
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
