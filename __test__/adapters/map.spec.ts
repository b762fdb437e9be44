/**
 * cache-machine/map, the same calls of a Map, and p-memoize, which keeps its results in one.
 */
import test from 'ava'
import pMemoize from 'p-memoize'
import { cacheMap } from '../../lib/adapters/map.ts'
import type { PrimitiveKey } from '../../lib/adapters/map.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/map.ts'

adapterSuite('map', driver)

function session(map: Map<PrimitiveKey, unknown>): unknown[] {
  const keys: PrimitiveKey[] = [
    '',
    '1',
    1,
    -0,
    1.5,
    NaN,
    -Infinity,
    10n,
    true,
    false,
    null,
    undefined,
    '"',
    '!null',
    '#1',
  ]
  const seen: unknown[] = keys.map((key, i) => map.set(key, { i }) === map)
  seen.push(map.size, map.get(0), map.get('nothing'), map.has(null), map.has('null'), String(map))
  const byIndex = ([, a]: [PrimitiveKey, unknown], [, b]: [PrimitiveKey, unknown]): number =>
    (a as { i: number }).i - (b as { i: number }).i
  seen.push([...map].toSorted(byIndex), [...map.keys()].length, [...map.values()].length)
  const called: [PrimitiveKey, unknown][] = []
  map.forEach((value, key) => called.push([key, value]))
  seen.push(called.toSorted(byIndex), map.delete(NaN), map.delete(NaN), map.size)
  map.clear()
  seen.push(map.size, [...map.entries()])
  return seen
}

test('a program sees the same as with a Map', (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  t.deepEqual(session(cacheMap<PrimitiveKey>(cache)), session(new Map()))
})

test('p-memoize: one call serves two processes until the lifetime has passed', async (t) => {
  const clock = createTestClock()
  const first = createTestCache({ clock })
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  let calls = 0
  const load = async (id: string): Promise<{ id: string; call: number }> => ({ id, call: ++calls })
  const [one, two] = [first, second].map((cache) =>
    pMemoize(load, { cache: cacheMap(cache, { namespace: 'users', ttl: '5m' }) }),
  )
  t.deepEqual(await one?.('ada'), { id: 'ada', call: 1 })
  t.deepEqual(await two?.('ada'), { id: 'ada', call: 1 })
  clock.advance('5m')
  t.deepEqual(await two?.('ada'), { id: 'ada', call: 2 })
})

test('a second Map of a cache needs a namespace, and an object is no key', (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const map = cacheMap(cache)
  t.throws(() => cacheMap(cache), { code: 'ERR_INVALID_ARGUMENT', message: /namespace/ })
  t.throws(() => map.set({} as never, 1), { code: 'ERR_INVALID_ARGUMENT' })
})
