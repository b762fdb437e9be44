/**
 * cache-machine/undici with undici 7.
 */
import test from 'ava'
import * as undici from 'undici7'
import { undiciStore } from '../../lib/adapters/undici.ts'
import { createTestCache } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/undici.ts'
import { undiciSuite } from './undici.suite.ts'

adapterSuite('undici', driver)
undiciSuite(undici)

test('a body above maxEntrySize, and one above the room of the cache, is not kept', (t) => {
  const cache = createTestCache({ size: '8mb' })
  t.teardown(() => cache.close())
  const key = { origin: 'http://localhost', method: 'GET', path: '/' }
  const now = Date.now()
  const head = { statusCode: 200, statusMessage: '', headers: {}, cachedAt: now, staleAt: now, deleteAt: now + 60_000 }
  const small = undiciStore(cache, { maxEntrySize: 4 })
  small.createWriteStream(key, head)?.end('12345')
  t.is(small.get(key), undefined)
  small.createWriteStream(key, head)?.end('1234')
  t.is(String(small.get(key)?.body[0]), '1234')
  const large = undiciStore(cache, { namespace: 'large' })
  large.createWriteStream(key, head)?.end(Buffer.alloc(16_000_000))
  t.is(large.get(key), undefined)
  t.throws(() => undiciStore(cache, { maxEntrySize: -1 }), { code: 'ERR_INVALID_ARGUMENT' })
})
