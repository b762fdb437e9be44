/**
 * Calls of one adapter and the same calls on the cache, in turns of some milliseconds in one process.
 */
import { isDeepStrictEqual } from 'node:util'
import { adapterRows } from '../adapters/rows.mjs'
import { now } from '../measure.mjs'
import { keyOf, kinds } from '../values.mjs'
import { zipfIndices } from '../zipf.mjs'

const LENGTH = 1 << 12
const MASK = LENGTH - 1
const SEED = 99
const KIND = kinds.object
/** Calls between two readings of the clock. */
const BATCH = 32
/** Turns of each side in a run. */
const TURNS = 8

/** @param {{ adapter: string, name: string, keys: number }} args Returns the operations that the adapter has. */
export async function openAdapter(memory, { adapter, name, keys }) {
  const { open, segments } = await import('../../dist/index.js')
  const cache = open({ name, size: '64mb' })
  memory.store = {
    close: () => cache.close(),
    destroy: () => segments.destroy(name, { force: true }),
  }
  const { open: openRow } = adapterRows.find(({ id }) => id === adapter)
  const { isSync = false, unwrap = (value) => value, bare = {}, ...calls } = await openRow(cache)
  const sides = {
    adapter: { isSync, ...calls },
    bare: {
      isSync: true,
      get: (key) => cache.get(key),
      set: (key, value) => cache.set(key, value),
      count: (key) => cache.incr(key),
      ...bare,
    },
  }
  // An awaited call is compared with an awaited call.
  if (adapter === 'opentelemetry') sides.bare.isSync = false
  const indices = zipfIndices({ count: keys, length: LENGTH, seed: SEED })
  const values = Array.from(indices, (index) => KIND.make(index))
  memory.adapter = { sides, unwrap, keys, names: Array.from(indices, keyOf), values, next: 0 }
  const operations = ['get', 'set', 'count'].filter((operation) => calls[operation] !== undefined)
  if (calls.set !== undefined) await loadAdapter(memory)
  return operations.filter((operation) => adapter !== 'opentelemetry' || operation === 'get')
}

async function loadAdapter({ adapter: { sides, keys } }) {
  for (let i = 0; i < keys; i++) {
    for (const { set } of Object.values(sides)) await set(keyOf(i), KIND.make(i))
  }
}

/** Throws unless the adapter has the value of each key. */
export async function verifyAdapter({ adapter: { sides, unwrap, keys } }) {
  if (sides.adapter.get === undefined) return
  for (let i = 0; i < keys; i++) {
    const found = unwrap(await sides.adapter.get(keyOf(i)))
    // Some hosts return objects of their own class.
    if (!isDeepStrictEqual(JSON.parse(JSON.stringify(found)), KIND.make(i))) {
      throw new Error(`${keyOf(i)} has a wrong value`)
    }
  }
}

/** @returns {Promise<{ adapter: number, bare: number }>} nanoseconds of a call */
export async function compareAdapter({ adapter }, { operation, duration }) {
  const totals = { adapter: { calls: 0, elapsed: 0 }, bare: { calls: 0, elapsed: 0 } }
  const order = ['adapter', 'bare']
  for (let turn = 0; turn < TURNS; turn++) {
    for (const side of turn % 2 === 0 ? order : order.toReversed()) {
      const { calls, elapsed } = await run(adapter, side, operation, duration / TURNS / 2)
      totals[side].calls += calls
      totals[side].elapsed += elapsed
    }
  }
  const nanoseconds = ({ calls, elapsed }) => (elapsed * 1e6) / calls
  return { adapter: nanoseconds(totals.adapter), bare: nanoseconds(totals.bare) }
}

async function run(state, side, operation, duration) {
  const { names, values } = state
  const { isSync, [operation]: call } = state.sides[side]
  const loop = isSync ? syncLoop : asyncLoop
  const start = now()
  let calls = 0
  let elapsed = 0
  do {
    const found = isSync ? loop(call, names, values, state.next) : await loop(call, names, values, state.next)
    if (operation === 'get' && found !== BATCH) throw new Error('a hit was a miss')
    state.next += BATCH
    calls += BATCH
    elapsed = now() - start
  } while (elapsed < duration)
  return { calls, elapsed }
}

/** Returns the number of results that are neither null nor undefined. */
function syncLoop(call, names, values, from) {
  let found = 0
  for (let i = from; i < from + BATCH; i++) {
    const result = call(names[i & MASK], values[i & MASK])
    if (result !== undefined && result !== null) found++
  }
  return found
}

async function asyncLoop(call, names, values, from) {
  let found = 0
  for (let i = from; i < from + BATCH; i++) {
    const result = await call(names[i & MASK], values[i & MASK])
    if (result !== undefined && result !== null) found++
  }
  return found
}
