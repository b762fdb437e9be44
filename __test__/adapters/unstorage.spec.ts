/**
 * cache-machine/unstorage with unstorage 1.
 */
import test from 'ava'
import { createStorage } from 'unstorage'
import type { Storage } from 'unstorage'
import type { CacheStore } from '../../index.ts'
import { unstorageDriver } from '../../lib/adapters/unstorage.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/unstorage.ts'

adapterSuite('unstorage', driver)

test('two storages of two caches see the same items, and mounts have their own', async (t) => {
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  const storageOf = (cache: CacheStore): Storage =>
    createStorage({ driver: unstorageDriver(cache) }).mount('assets', unstorageDriver(cache, { namespace: 'assets' }))
  const [one, two] = [storageOf(first), storageOf(second)]
  await one.setItem('users:1', { name: 'Ada' })
  await one.setItem('assets:logo', 'svg')
  t.deepEqual(await two.getItem('users:1'), { name: 'Ada' })
  t.deepEqual((await two.getKeys()).toSorted(), ['assets:logo', 'users:1'])
  await two.clear('assets')
  t.deepEqual(await one.getKeys(), ['users:1'])
})

test('a raw value keeps what the cache can store', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const storage = createStorage({ driver: unstorageDriver(cache) })
  await storage.setItemRaw('map', new Map([[1, new Date(0)]]))
  t.deepEqual(await storage.getItemRaw('map'), new Map([[1, new Date(0)]]))
  await storage.setItemRaw('bytes', Buffer.from([0, 255]))
  t.deepEqual(Buffer.from((await storage.getItemRaw('bytes')) as Uint8Array), Buffer.from([0, 255]))
})

test('many items at once have lifetimes of their own, and the meta data say how long they live', async (t) => {
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  t.teardown(() => cache.close())
  const storage = createStorage({ driver: unstorageDriver(cache, { ttl: 60 }) })
  await storage.setItems([
    { key: 'a', value: 'short', options: { ttl: 10 } },
    { key: 'b', value: 'usual' },
    { key: 'c', value: 'forever', options: { ttl: 0 } },
  ])
  const ttlOf = async (key: string): Promise<number | undefined> => (await storage.getMeta(key)).ttl
  t.deepEqual([await ttlOf('a'), await ttlOf('b'), await ttlOf('c')], [10, 60, undefined])
  clock.advance('10s')
  t.deepEqual(await storage.getItems(['a', 'b']), [
    { key: 'a', value: null },
    { key: 'b', value: 'usual' },
  ])
  t.deepEqual(await storage.getMeta('a'), {})
})

// unstorage 1 itself passes no base: its `clear` selects whole mounts.
test('clear of a base deletes what begins with it', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const driver = unstorageDriver(cache)
  for (const key of ['posts:1', 'posts:2:comments', 'postscript']) driver.setItem(key, 'text')
  await driver.clear('posts:')
  t.deepEqual(await driver.getKeys(), ['postscript'])
  t.deepEqual(await driver.getKeys('other:'), [])
})
