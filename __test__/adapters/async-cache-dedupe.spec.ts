/**
 * cache-machine/async-cache-dedupe with async-cache-dedupe 3.
 */
import { createCache } from 'async-cache-dedupe'
import test from 'ava'
import type { TaggedStore } from '../../index.ts'
import { dedupeStorage } from '../../lib/adapters/async-cache-dedupe.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/async-cache-dedupe.ts'

adapterSuite('async-cache-dedupe', driver)

let loads = 0

/** A host with one cached function, and the storage that it has. */
function hostOver(cache: TaggedStore, stale = 0): { user(id: string): Promise<string>; drop(refs: string[]): unknown } {
  const options = { storage: dedupeStorage(cache) }
  const references = (id: string): string[] => [`user:${id}`, 'users']
  const host = createCache({ ttl: 60, stale, storage: { type: 'custom', options } }).define(
    'user',
    { references },
    async (id: string) => `${id} ${++loads}`,
  )
  return { user: host.user, drop: (refs) => host.invalidateAll(refs) }
}

test.serial('two hosts share results until a reference or a pattern is invalidated', async (t) => {
  loads = 0
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  const [one, two] = [hostOver(first), hostOver(second)]
  t.deepEqual([await one.user('a'), await two.user('a'), await two.user('b')], ['a 1', 'a 1', 'b 2'])
  await two.drop(['user:a'])
  t.deepEqual([await one.user('a'), await one.user('b')], ['a 3', 'b 2'])
  await two.drop(['user:*'])
  t.deepEqual([await one.user('a'), await one.user('b')], ['a 4', 'b 5'])
  await two.drop(['u*:b', 'us.rs', '*:c'])
  t.deepEqual([await one.user('a'), await one.user('b')], ['a 4', 'b 6'])
})

test.serial('the seconds that are left decide when a stale result is loaded again', async (t) => {
  loads = 0
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  t.teardown(() => cache.close())
  const host = hostOver(cache, 30)
  t.is(await host.user('a'), 'a 1')
  clock.advance('61s')
  t.is(await host.user('a'), 'a 1')
  while (loads < 2) await new Promise((resolve) => setImmediate(resolve))
  t.is(await host.user('a'), 'a 2')
})

test.serial('a segment in trouble does not fail the function, and its error is reported', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const errors: unknown[] = []
  const options = { storage: dedupeStorage(cache, { onError: (error) => errors.push(error) }) }
  const host = createCache({ ttl: 60, storage: { type: 'custom', options } }).define('five', async (_: number) => 5)
  cache.failNext('ERR_BUSY', { on: 'write' })
  t.is(await host.five(1), 5)
  t.like(errors, [{ code: 'ERR_BUSY' }])
})

test('remove tells whether there was an entry', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const storage = dedupeStorage(cache)
  await storage.set('key', 'value', 60)
  t.deepEqual([await storage.remove('key'), await storage.remove('key')], [true, false])
  cache.failNext('ERR_BUSY', { on: 'write' })
  t.false(await storage.remove('key'))
})
