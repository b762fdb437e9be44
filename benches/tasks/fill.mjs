/**
 * Sets of new keys in a store with a limit: first a fixed number to fill the store, then for a fixed time.
 *
 * Each key contains its number, so `survivors` can count the keys that are still there.
 */
import { now } from '../measure.mjs'
import { kinds } from '../values.mjs'

const BATCH = 64
const POOL = 1024

/** Sets `count` new keys. */
export async function fillUp(memory, { kind, count }) {
  memory.written ??= 0
  memory.pool ??= Array.from({ length: POOL }, (_, i) => kinds[kind].make(i))
  const end = memory.written + count
  await insertWhile(memory, () => memory.written < end)
}

/** @returns {Promise<{ calls: number, elapsed: number }>} */
export async function insert(memory, { duration }) {
  const before = memory.written
  const start = now()
  await insertWhile(memory, () => now() - start < duration)
  return { calls: memory.written - before, elapsed: now() - start }
}

/** Counts the keys that are still there of the newest `count`. @throws if one has a wrong value. */
export async function survivors({ store, written }, { kind, count }) {
  let found = 0
  for (let number = written - count; number < written; number++) {
    const value = await store.get(keyOf(number))
    if (value === undefined || value === null) continue
    if (!kinds[kind].check(value, number % POOL)) throw new Error(`${keyOf(number)} has a wrong value`)
    found++
  }
  return found
}

async function insertWhile(memory, shouldContinue) {
  const { inFlight } = memory.contender
  if (inFlight === 0) {
    while (shouldContinue()) for (let i = 0; i < BATCH; i++) insertNext(memory)
    return
  }
  const lane = async () => {
    while (shouldContinue()) await insertNext(memory)
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
}

function insertNext(memory) {
  const number = memory.written++
  return memory.store.set(keyOf(number), memory.pool[number % POOL])
}

function keyOf(number) {
  return `stream:item:${number}`
}
