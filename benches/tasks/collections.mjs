/**
 * Calls of collections of one size, one call after the other, each on another element.
 */
import { now } from '../measure.mjs'

/** A step between the elements of two calls: prime, so that all of them have their turn. */
const STEP = 7919

/** @param {{ size: number }} args Returns the operations that the store has. */
export async function loadCollections(memory, { size, operations }) {
  memory.collections = { size, next: 0 }
  await memory.store.load(size)
  return operations.filter((operation) => memory.store[operation] !== undefined)
}

/** @returns {Promise<{ calls: number, elapsed: number }>} */
export async function callCollection({ store, contender, collections }, { operation, duration }) {
  const call = store[operation]
  const { size } = collections
  const isSync = contender.inFlight === 0
  const start = now()
  let calls = 0
  do {
    const n = (collections.next = (collections.next + STEP) % size)
    const result = isSync ? call(n) : await call(n)
    if (result === undefined || result === null) throw new Error(`${operation} of element ${n} returned nothing`)
    calls++
  } while (now() - start < duration)
  return { calls, elapsed: now() - start }
}
