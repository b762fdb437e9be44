/**
 * cache-machine/cache-manager with cache-manager 7, with its own object and through Keyv 5.
 */
import test from 'ava'
import { createCache } from 'cache-manager'
import { Keyv } from 'keyv5'
import { cacheManager, cacheManagerStore } from '../../lib/adapters/cache-manager.ts'
import { keyv5Store } from '../../lib/adapters/keyv5.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { openCache } from '../helpers/segment.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as overKeyv from './drivers/cache-manager-over-keyv.ts'
import * as driver from './drivers/cache-manager.ts'

adapterSuite('cache-manager', driver)
adapterSuite('cache-manager-over-keyv', overKeyv)

test('wrap serves a value that ends soon, and loads it again in the background', async (t) => {
  const clock = createTestClock()
  const manager = cacheManager(createTestCache({ clock }), { createCache, ttl: 1000, refreshThreshold: 300 })
  let loads = 0
  const refreshed = new Promise((resolve) => manager.on('refresh', resolve))
  t.is(await manager.wrap('a', () => ++loads), 1)
  clock.advance(600)
  t.is(await manager.wrap('a', () => ++loads), 1)
  t.is(loads, 1)
  clock.advance(200)
  t.is(await manager.wrap('a', async () => ++loads), 1)
  t.like(await refreshed, { key: 'a', value: 2 })
  t.is(await manager.wrap('a', () => ++loads), 2)
})

test('wrap computes lifetime and threshold from the value', async (t) => {
  const clock = createTestClock()
  const manager = cacheManager(createTestCache({ clock }), { createCache })
  let loads = 0
  const wrap = async (): Promise<number> =>
    manager.wrap(
      'a',
      () => ++loads,
      (value) => value * 1000,
      (value) => value * 100,
    )
  t.is(await wrap(), 1)
  clock.advance(899)
  t.is(await wrap(), 1)
  clock.advance(2)
  t.is(await wrap(), 1, 'the refresh does not delay its caller')
  t.is(await wrap(), 2)
  clock.advance(2001)
  t.is(await wrap(), 3)
})

test('wrap with raw returns the moment of expiry, and keeps nothing with a negative lifetime', async (t) => {
  const manager = cacheManager(createTestCache(), { createCache })
  const before = Date.now()
  const raw: unknown = await manager.wrap('a', () => 'value', { ttl: 5000, raw: true })
  const { value, expires } = raw as { value: string; expires: number }
  t.is(value, 'value')
  t.true(expires >= before + 4999 && expires <= Date.now() + 5000)
  t.true(Math.abs(((await manager.ttl('a')) ?? 0) - expires) <= 1)
  t.is(await manager.wrap('b', () => 'value', -1), 'value')
  t.is(await manager.get('b'), undefined)
  t.deepEqual(await manager.wrap('c', () => 'value', { raw: true }), { value: 'value', expires: undefined })
})

test('wrap goes on without a cache when the cache is closed', async (t) => {
  const cache = createTestCache()
  const manager = cacheManager(cache, { createCache })
  cache.close()
  t.is(await manager.wrap('a', () => 'loaded'), 'loaded')
})

test('values come back as they were: dates, Maps, bytes, also with many keys at once', async (t) => {
  const manager = cacheManager(openCache(t), { createCache })
  const [seen, when] = [new Map([['a', new Set([1])]]), new Date(0)]
  await manager.mset<unknown>([
    { key: 'seen', value: seen, ttl: 3_600_000 },
    { key: 'when', value: when },
  ])
  t.deepEqual(await manager.mget(['seen', 'nothing', 'when']), [seen, undefined, when])
  t.is(await manager.ttl('when'), undefined)
  t.true(await manager.mdel(['seen', 'when']))
  t.deepEqual(await manager.mget(['seen', 'when']), [undefined, undefined])
})

test('the store reports trouble as an event, and refuses what cannot be stored', async (t) => {
  const cache = createTestCache()
  const store = cacheManagerStore(cache)
  const errors: unknown[] = []
  store.on('error', (error) => errors.push(error))
  cache.failNext('ERR_BUSY', { on: 'write', times: 3 })
  t.deepEqual([await store.set('a', 1), await store.delete('a')], [false, false])
  await store.clear()
  t.is(errors.length, 3)
  t.like(errors[0], { code: 'ERR_BUSY' })
  await t.throwsAsync(
    store.set('a', () => undefined),
    { code: 'ERR_UNSERIALIZABLE' },
  )
})

test('the store is a second level behind one in the process', async (t) => {
  const cache = openCache(t)
  const first = new Keyv()
  const manager = createCache({ stores: [first, cacheManagerStore(cache)] })
  await manager.set('a', { n: 1 })
  await first.clear()
  t.deepEqual(await manager.get('a'), { n: 1 })
  t.deepEqual(await manager.wrap('a', () => ({ n: 2 })), { n: 1 })
  t.deepEqual(await first.get('a'), { n: 1 })
})

test('two managers of a host share values through Keyv', async (t) => {
  const cache = openCache(t)
  const [one, other] = [0, 0].map(() => createCache({ stores: [new Keyv({ store: keyv5Store(cache) })] }))
  await one?.set('a', 'shared', 3_600_000)
  t.is(await other?.get('a'), 'shared')
  t.true(((await other?.ttl('a')) ?? 0) > Date.now())
})

test('wrong arguments are errors that say what to pass', (t) => {
  const cache = createTestCache()
  const wrong = [
    () => cacheManager(cache, {} as never),
    () => cacheManager({} as never, { createCache }),
    () => cacheManager(cache, { createCache, stores: [] } as never),
    () => cacheManagerStore(cache, { max: 5 } as never),
    () => cacheManagerStore(new Map() as never),
  ]
  for (const call of wrong) t.throws(call, { code: 'ERR_INVALID_ARGUMENT' })
})
