/**
 * The tasks of every measuring process: open its store, load it, verify it, close it.
 */
import { contenderOf } from '../contenders/index.mjs'
import { keyOf, kinds } from '../values.mjs'
import { randomFrom } from '../zipf.mjs'

/** Calls in flight while an asynchronous store is loaded or verified. */
const LOAD_IN_FLIGHT = 100

/** @param {{ contender: string, context: import('../contenders/index.mjs').Context }} args */
export async function open(memory, { contender, context }) {
  memory.contender = contenderOf(contender)
  memory.store = await memory.contender.open({ ...context, serialization: memory.contender.serialization })
}

/** Sets every key to its own value. */
export async function load({ store, contender }, { kind, keys }) {
  await forEachIndex(contender, keys, (i) => store.set(keyOf(i), kinds[kind].make(i)))
}

/** Compares values in full: of all keys, or of `sample` random keys. */
export async function verify({ store, contender }, { kind, keys, sample = keys }) {
  const random = randomFrom(keys)
  const indexOf = sample < keys ? () => Math.floor(random() * keys) : (i) => i
  await forEachIndex(contender, Math.min(sample, keys), async (i) => {
    const index = indexOf(i)
    const value = await store.get(keyOf(index))
    if (!kinds[kind].check(value, index)) throw new Error(`${keyOf(index)} has a wrong value: ${excerpt(value)}`)
  })
}

/** Reads every value, and creates no garbage beside that of the store. */
export async function readAll({ store, contender }, { kind, keys }) {
  let sum = 0
  await forEachIndex(contender, keys, async (i) => {
    // Not `sum += use(await …)`: that reads `sum` before the await, and other lanes change it meanwhile.
    const value = await store.get(keyOf(i))
    sum += kinds[kind].use(value)
  })
  return sum
}

/** Makes every value and keeps none. */
export function makeAll(_memory, { kind, keys }) {
  let sum = 0
  for (let i = 0; i < keys; i++) sum += kinds[kind].use(kinds[kind].make(i))
  return sum
}

/** Collects garbage, which must not count as memory of the store. */
export function collect() {
  for (let i = 0; i < 3; i++) globalThis.gc()
}

export async function close(memory, { destroy }) {
  await memory.store?.close()
  if (destroy) await memory.store?.destroy?.()
  memory.store = undefined
}

async function forEachIndex({ inFlight }, count, visit) {
  let next = 0
  const lane = async () => {
    while (next < count) await visit(next++)
  }
  await Promise.all(Array.from({ length: inFlight === 0 ? 1 : LOAD_IN_FLIGHT }, lane))
}

function excerpt(value) {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
