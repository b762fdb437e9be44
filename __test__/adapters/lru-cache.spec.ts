/**
 * cache-machine/lru-cache, and the same calls of lru-cache 11.
 */
import test from 'ava'
import { LRUCache as Original } from 'lru-cache'
import { LRUCache } from '../../lib/adapters/lru-cache.ts'
import { createTestCache } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/lru-cache.ts'

adapterSuite('lru-cache', driver)

/** What a program sees of either class. */
async function session(
  lru: LRUCache<string | number, unknown> | Original<string | number, object>,
): Promise<unknown[]> {
  const cache = lru as LRUCache<string | number, unknown>
  const seen: unknown[] = []
  seen.push(cache.set('a', { n: 1 }) === cache, cache.get('a'), cache.peek('a'), cache.get('b'), cache.has('b'))
  seen.push(cache.set(1, { n: 2 }).get('1'), cache.get(1), cache.size, [...cache.keys()].map(String).toSorted())
  seen.push(cache.getRemainingTTL('a'), cache.getRemainingTTL('nothing'), cache.delete('a'), cache.delete('a'))
  seen.push(cache.set('', { n: 3 }).get(''), cache.set('', undefined).has(''), cache.purgeStale())
  seen.push(await cache.fetch('f'), await cache.fetch('f'), await cache.fetch('f', { forceRefresh: true }))
  seen.push(await cache.forceFetch('f'), await cache.fetch('none'), cache.has('none'))
  await cache.forceFetch('none').catch((error: Error) => seen.push(error.message))
  await cache.fetch('bad').catch((error: Error) => seen.push(error.message, cache.has('bad')))
  seen.push(cache.memo('m'), cache.memo('m'), cache.memo('m', { forceRefresh: true }))
  seen.push(cache.find((value) => (value as { load?: number }).load === 2))
  const all: unknown[] = []
  cache.forEach((value, key, self) => all.push([String(key), value, self === cache]))
  seen.push(all.toSorted(), [...cache].length, [...cache.values()].length, String(cache))
  cache.clear()
  seen.push(cache.size, [...cache.entries()])
  return seen
}

function options(): object {
  let loads = 0
  let made = 0
  return {
    max: 100,
    fetchMethod: async (key: string) => {
      if (key === 'bad') throw new Error('no database')
      return key === 'none' ? undefined : { load: ++loads }
    },
    memoMethod: () => ({ made: ++made }),
  }
}

test('a program sees the same as with lru-cache', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const original = new Original<string | number, object>(options() as { max: number })
  t.deepEqual(await session(new LRUCache({ cache, ...options() })), await session(original))
})

test('two objects share their entries, and one fetch serves both', async (t) => {
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  let loads = 0
  const [one, two] = [first, second].map(
    (cache) => new LRUCache<string, number>({ cache, fetchMethod: async () => ++loads }),
  )
  t.deepEqual(await Promise.all([one?.fetch('a'), two?.fetch('a')]), [1, 1])
  one?.set('b', 5)
  t.is(two?.get('b'), 5)
})

test('an option that cannot be kept, a missing cache and a second object without a name are errors', (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const wrong = { code: 'ERR_INVALID_ARGUMENT' }
  t.throws(() => new LRUCache({ max: 1 } as never), { ...wrong, message: /LRUCache\(\{ cache \}\)/ })
  t.throws(() => new LRUCache({ cache, namespace: 'a', dispose: () => undefined } as never), wrong)
  t.notThrows(() => new LRUCache({ cache }))
  t.throws(() => new LRUCache({ cache }), { ...wrong, message: /needs the option namespace/ })
  const objects = new LRUCache<object, number>({ cache, namespace: 'a' })
  t.throws(() => objects.set({}, 1), wrong)
  t.throws(() => new LRUCache({ cache, namespace: 'b' }).memo('a'), wrong)
})

test('a quota bounds the entries of one object', (t) => {
  const cache = createTestCache({ size: '8mb' })
  t.teardown(() => cache.close())
  const lru = new LRUCache<number, string>({ cache, namespace: 'bounded', size: '1mb' })
  for (let i = 0; i < 3000; i++) lru.set(i, 'x'.repeat(1000))
  t.true(lru.size > 100 && lru.size < 1100, `${lru.size} entries`)
})
