/**
 * cache-machine/node-cache, and the same calls of node-cache 5.
 */
import test from 'ava'
import Original from 'node-cache'
import { NodeCache } from '../../lib/adapters/node-cache.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/node-cache.ts'

adapterSuite('node-cache', driver)

/** What a program sees of either class. Moments are compared in steps of ten seconds. */
function session(given: NodeCache | Original): unknown[] {
  const cache = given as NodeCache
  const seen: unknown[] = []
  for (const event of ['set', 'del', 'flush', 'flush_stats']) {
    cache.on(event, (...values: unknown[]) => seen.push(event, values))
  }
  const errorOf = (run: () => unknown): void => {
    try {
      seen.push(run())
    } catch (error) {
      const { name, message, errorcode } = error as Error & { errorcode: string }
      seen.push([name, message, errorcode])
    }
  }
  const momentOf = (key: string): number => Math.round(((cache.getTtl(key) ?? NaN) - Date.now()) / 10_000)
  seen.push(cache.set('a', { n: 1 }), cache.get('a'), cache.get('b'), cache.has('a'), cache.has('b'))
  seen.push(cache.set(1, 'one', 100), cache.get('1'), momentOf('1'), cache.getTtl('a'), cache.getTtl('b'))
  seen.push(cache.set('', 0), cache.get(''), cache.set('t', 'text', '50'), momentOf('t'))
  seen.push(
    cache.mset([
      { key: 'x', val: 1 },
      { key: 'y', val: 2, ttl: 1000 },
    ]),
    momentOf('y'),
  )
  seen.push(cache.mget(['x', 'y', 'z']), cache.keys().toSorted(), cache.del(['x', 'z']), cache.del('x'))
  seen.push(cache.take('y'), cache.take('y'), cache.ttl('a', 200), momentOf('a'), cache.ttl('nothing', 5))
  seen.push(
    cache.ttl('a', 0),
    cache.getTtl('a'),
    cache.ttl('a', -1),
    cache.has('a'),
    cache.set('n', null),
    cache.get('n'),
  )
  seen.push({ ...cache.getStats(), vsize: 0 })
  errorOf(() => cache.get({} as never))
  errorOf(() => cache.mget('a' as never))
  errorOf(() => cache.set(undefined as never, 1))
  errorOf(() => cache.mset([{ key: 'a', val: 1, ttl: 'x' as never }]))
  errorOf(() => cache.del([true as never]))
  cache.flushStats()
  cache.flushAll()
  seen.push({ ...cache.getStats() }, cache.keys())
  cache.close()
  return seen
}

test('a program sees the same as with node-cache', (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  t.deepEqual(session(new NodeCache({ cache })), session(new Original({ checkperiod: 0 })))
})

test('stdTTL is in seconds, and 0 in a call means no expiry', (t) => {
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  t.teardown(() => cache.close())
  const host = new NodeCache({ cache, stdTTL: 10 })
  host.set('usual', 1)
  host.set('forever', 1, 0)
  host.set('other', 1, 20)
  clock.advance('10s')
  t.deepEqual(host.keys().toSorted(), ['forever', 'other'])
  t.true(host.ttl('other'))
  clock.advance('10s')
  t.deepEqual(host.keys(), ['forever'])
})

test('one of two processes takes a value', (t) => {
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  const [one, two] = [new NodeCache({ cache: first }), new NodeCache({ cache: second })]
  one.set('code', '123')
  t.deepEqual([two.take('code'), one.take('code')], ['123', undefined])
})

test('an option that cannot be kept is an error', (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const wrong = { code: 'ERR_INVALID_ARGUMENT' }
  t.throws(() => new NodeCache({ cache, enableLegacyCallbacks: true } as never), { ...wrong, message: /enableLegacy/ })
  t.throws(() => new NodeCache({ stdTTL: 1 } as never), wrong)
})
