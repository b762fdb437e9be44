/**
 * cache-machine/keyv5 with Keyv 5.
 */
import test from 'ava'
import { Keyv } from 'keyv5'
import { keyv5Store } from '../../lib/adapters/keyv5.ts'
import { createTestCache } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/keyv5.ts'
import { keyvSuite } from './keyv.suite.ts'

adapterSuite('keyv5', driver)
keyvSuite({
  adapter: 'keyv5',
  factory: 'keyv5Store',
  make: (options) => new Keyv(options as never) as never,
  storeOf: keyv5Store,
  iterate: (keyv) => (keyv as unknown as { iterator(): AsyncIterable<[string, unknown]> }).iterator(),
  keyOf: (namespace, key) => `${namespace}:${key}`,
})

test('Keyv 5 accepts the type of the store', async (t) => {
  const keyv = new Keyv({ store: keyv5Store(createTestCache()) })
  t.true(await keyv.set('a', 1))
})

test('without a prefix of Keyv, keys are as they are', async (t) => {
  const cache = createTestCache()
  const keyv = new Keyv({ store: keyv5Store(cache), namespace: 'users', useKeyPrefix: false })
  await keyv.set('1', 'Ada')
  t.true(cache.namespace('keyv5').namespace('users').has('1'))
  t.is(await keyv.get('1'), 'Ada')
})
