/**
 * cache-machine/keyv with Keyv 6.
 */
import test from 'ava'
import { Keyv } from 'keyv'
import { keyvStore } from '../../../lib/adapters/keyv.ts'
import { createTestCache, createTestClock } from '../../../testing.ts'
import { adapterSuite } from '../adapters.suite.ts'
import * as driver from '../drivers/keyv.ts'
import { keyvSuite } from '../keyv.suite.ts'

adapterSuite('keyv', driver)
keyvSuite({
  adapter: 'keyv',
  factory: 'keyvStore',
  make: (options) => new Keyv(options) as never,
  storeOf: keyvStore,
  iterate: (keyv) => (keyv as unknown as Keyv).iterator(),
  keyOf: (_namespace, key) => key,
})

test('Keyv 6 uses the store itself, without a bridge', (t) => {
  const store = keyvStore(createTestCache())
  t.true((new Keyv({ store }).store as unknown) === store)
})

test('a lifetime is a moment, and one that has passed leaves no value', async (t) => {
  const clock = createTestClock()
  const store = keyvStore(createTestCache({ clock }))
  t.true(await store.set('a', 'value', Date.now() + 60_000))
  clock.advance(50_000)
  t.is(await store.get('a'), 'value')
  clock.advance(11_000)
  t.is(await store.get('a'), undefined)
  await store.set('a', 'value')
  t.true(await store.set('a', 'late', Date.now() - 1))
  t.is(await store.get('a'), undefined)
  t.deepEqual(
    await store.setMany([
      { key: 'b', value: 1, expires: Date.now() - 1 },
      { key: 'c', value: 2 },
    ]),
    [true, true],
  )
  t.deepEqual(await store.getMany(['b', 'c']), [undefined, 2])
})

test('without the encoding of Keyv, values come back as the cache keeps them', async (t) => {
  const keyv = new Keyv({ store: keyvStore(createTestCache()), serialization: false })
  const value = new Map([['when', new Date(0)]])
  await keyv.set('a', value, 60_000)
  t.deepEqual(await keyv.get('a'), value)
  t.deepEqual(await keyv.get(['a', 'b']), [value, undefined])
})
