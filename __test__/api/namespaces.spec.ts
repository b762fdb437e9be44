/**
 * Namespaces beyond the contract of a `CacheStore`: stats, defaults, limits of names.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('a namespace has keys, size and iteration of its own', (t) => {
  const cache = openCache(t)
  const [one, two] = [cache.namespace('one'), cache.namespace('two')]
  for (const [i, where] of [cache, one, two].entries()) where.set('key', i)
  one.set('more', 1)
  t.deepEqual([cache.size, one.size, two.size], [1, 2, 1])
  t.deepEqual([cache.get('key'), one.get('key'), two.get('key')], [0, 1, 2])
  t.deepEqual(Object.fromEntries(one), { key: 1, more: 1 })
  t.is(one.deletePrefix('k'), 1)
  t.deepEqual([cache.has('key'), one.has('key'), two.has('key')], [true, false, true])
  t.is(one.take('more'), 1)
  t.is(one.incr('key'), 1)
  t.is(cache.get('key'), 0)
  t.deepEqual([cache.namespaceName, one.namespaceName], ['', 'one'])
})

test('equal names are one namespace; a nested name is both names with a colon between them', (t) => {
  const cache = openCache(t)
  cache.namespace('a').namespace('b').set('key', 1)
  t.is(cache.namespace('a:b').get('key'), 1)
  t.is(cache.namespace('a').namespace('b').namespaceName, 'a:b')
  t.is(cache.namespace('b').get('key'), undefined)
  t.deepEqual(cache.stats().namespaces, ['a', 'a:b', 'b'])
})

test('a namespace has its own defaults, or those of the cache that it was made from', (t) => {
  const cache = openStopped(t, { ttl: '1h', codec: 'json', strict: true })
  const same = cache.namespace('same')
  same.set('a', { at: new Date(0) })
  t.is(same.ttl('a'), 3_600_000)
  t.deepEqual(same.get('a'), { at: '1970-01-01T00:00:00.000Z' }, 'the codec is json as well')
  const own = cache.namespace('own', { ttl: '5s', codec: 'auto' })
  own.set('a', { at: new Date(0) })
  t.is(own.ttl('a'), 5000)
  t.deepEqual(own.get('a'), { at: new Date(0) })
  own.set('a', 1, '10s')
  t.is(own.ttl('a'), 10_000)
  const inner = own.namespace('inner')
  inner.set('a', 1)
  t.is(inner.ttl('a'), 5000, 'inherited from the namespace that it was made from')
  cache.set('a', 1)
  t.is(cache.ttl('a'), 3_600_000)
  advance(cache, 5000)
  t.false(inner.has('a'))
})

test('stats cover the namespace, or the segment on request', (t) => {
  const cache = openStopped(t)
  const [one, two] = [cache.namespace('one'), cache.namespace('two')]
  cache.set('a', 1)
  cache.get('a')
  one.set('a', 1)
  one.set('b', 1, 10)
  one.get('a')
  one.get('none')
  one.delete('a')
  two.getMany(['x', 'y'])
  advance(cache, 10)
  one.set('b', 2)
  t.like(one.stats(), { hits: 1, misses: 1, sets: 3, deletes: 1, expirations: 1, evictions: 0, entries: 1 })
  t.like(two.stats(), { hits: 0, misses: 2, sets: 0, deletes: 0, entries: 0 })
  t.like(cache.stats({ scope: 'namespace' }), { hits: 1, misses: 0, sets: 1, deletes: 0, entries: 1 })
  const all = { hits: 2, misses: 3, sets: 4, deletes: 1, expirations: 1, entries: 2 }
  t.like(cache.stats(), all)
  t.like(one.stats({ scope: 'segment' }), all)
  t.is(one.stats().usedBytes, cache.stats().usedBytes, 'all namespaces share the space')
})

test('waits and tags belong to their namespace', async (t) => {
  const cache = openCache(t)
  const [one, two] = [cache.namespace('one'), cache.namespace('two')]
  const waiting = within('the entry', one.waitFor('key'))
  cache.set('key', 'of the root')
  two.set('key', 'of two')
  one.set('key', 'of one')
  t.is((await waiting).value, 'of one')
  one.set('a', 1, { tags: ['t'] })
  two.set('a', 2, { tags: ['t'] })
  one.invalidateTags('t')
  t.deepEqual([one.get('a'), two.get('a')], [undefined, 2])
})

test('names have 1 to 63 bytes of any text, nested names included', (t) => {
  const cache = openCache(t)
  for (const name of ['x', 'x'.repeat(63), 'é'.repeat(31), '😀', ' ', 'a\0b', '__proto__']) {
    const own = cache.namespace(name)
    own.set('key', name)
    t.is(cache.namespace(name).get('key'), name)
    t.is(own.namespaceName, name)
  }
  t.deepEqual(cache.stats().namespaces.length, 7)
  for (const name of ['', 'x'.repeat(64), 'é'.repeat(32), '\uD800', undefined, null, 5, {}]) {
    t.throws(() => cache.namespace(name as string), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  t.throws(() => cache.namespace('x'.repeat(40)).namespace('y'.repeat(23)), { code: 'ERR_INVALID_ARGUMENT' })
  for (const options of [null, '5m', 5]) {
    t.throws(() => cache.namespace('a', options as never), { code: 'ERR_INVALID_ARGUMENT' })
  }
})

test('a namespace ends with the cache that it was made from, or alone when it is closed itself', (t) => {
  const cache = openCache(t)
  const one = cache.namespace('one')
  const inner = one.namespace('inner')
  const other = cache.namespace('other')
  one.close()
  t.deepEqual([cache.closed, one.closed, inner.closed, other.closed], [false, true, true, false])
  t.throws(() => inner.get('a'), { code: 'ERR_CLOSED' })
  t.true(other.set('a', 1))
  cache.close()
  t.true(other.closed)
  t.throws(() => cache.namespace('one'), { code: 'ERR_CLOSED' })
})
