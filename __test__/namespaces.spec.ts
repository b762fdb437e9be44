/**
 * Namespaces beyond what every `CacheStore` has: statistics, defaults, limits, other processes.
 */
import test from 'ava'
import { CacheError, segments } from '../index.ts'
import { advance } from '../lib/testing.ts'
import { within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'

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

test('clear of a namespace is its own, clear of the root is everybody’s, in every process', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'namespaced', { name, size: SMALL, namespace: 'one' })
  await child.next()
  const one = cache.namespace('one')
  const inner = one.namespace('inner')
  const fill = (): void => [cache, one, inner].forEach((where) => where.set('key', where.namespaceName))
  fill()
  t.deepEqual(await child.ask(['get', 'key']), { value: 'one' })
  one.clear()
  t.deepEqual(await child.ask(['get', 'key']), { value: undefined })
  t.deepEqual([cache.get('key'), inner.get('key')], ['', 'one:inner'])
  t.deepEqual([cache.size, one.size, inner.size], [1, 0, 1])
  fill()
  await child.ask(['clear'])
  t.deepEqual([cache.get('key'), one.get('key'), inner.get('key')], ['', undefined, 'one:inner'])
  fill()
  cache.clear()
  t.deepEqual(await child.ask(['get', 'key']), { value: undefined })
  t.deepEqual([cache.get('key'), one.get('key'), inner.get('key')], [undefined, undefined, undefined])
})

test('the same name is the same namespace, also nested: both names with a colon between them', (t) => {
  const cache = openCache(t)
  cache.namespace('a').namespace('b').set('key', 1)
  t.is(cache.namespace('a:b').get('key'), 1)
  t.is(cache.namespace('a').namespace('b').namespaceName, 'a:b')
  t.is(cache.namespace('b').get('key'), undefined)
  t.deepEqual(cache.stats().namespaces, ['a', 'a:b', 'b'])
})

test('a namespace has defaults of its own, or those of the cache it is made from', (t) => {
  const cache = openStopped(t, { ttl: '1h', codec: 'json', strict: true })
  const same = cache.namespace('same')
  same.set('a', { at: new Date(0) })
  t.is(same.ttl('a'), 3_600_000)
  t.deepEqual(same.get('a'), { at: '1970-01-01T00:00:00.000Z' }, 'the codec is json, too')
  const own = cache.namespace('own', { ttl: '5s', codec: 'auto' })
  own.set('a', { at: new Date(0) })
  t.is(own.ttl('a'), 5000)
  t.deepEqual(own.get('a'), { at: new Date(0) })
  own.set('a', 1, '10s')
  t.is(own.ttl('a'), 10_000)
  const inner = own.namespace('inner')
  inner.set('a', 1)
  t.is(inner.ttl('a'), 5000, 'from the one it is made from')
  cache.set('a', 1)
  t.is(cache.ttl('a'), 3_600_000)
  advance(cache, 5000)
  t.false(inner.has('a'))
})

test('statistics are of the namespace, or of the segment if asked', (t) => {
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
  t.is(one.stats().usedBytes, cache.stats().usedBytes, 'the space is everybody’s')
})

test('statistics of a namespace are summed over processes, and stay when it is closed', async (t) => {
  const name = segmentName(t)
  const one = openCache(t, { name }).namespace('one')
  const children = [0, 1].map(() => fork(t, 'namespaced', { name, size: SMALL, namespace: 'one' }))
  await Promise.all(children.map((child) => child.next()))
  for (const [i, child] of children.entries()) {
    await child.ask(['set', `k${i}`, 1])
    await child.ask(['get', `k${i}`])
    await child.ask(['get', 'none'])
  }
  for (const child of children) {
    child.kill()
    await child.exit
  }
  t.like(one.stats(), { sets: 2, hits: 2, misses: 2, entries: 2 })
  one.close()
  t.like(openCache(t, { name }).namespace('one').stats(), { sets: 2, hits: 2, misses: 2, entries: 2 })
})

test('waits and tags are of the namespace', async (t) => {
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

test('names have 1 to 63 bytes of any text, nested names together', (t) => {
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

test('a namespace ends with the cache it was made from, and alone if it is closed itself', (t) => {
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

test('a namespace opens the new segment when the old one is destroyed', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.namespace('other')
  const one = cache.namespace('one')
  one.set('a', 1)
  segments.destroy(name, { force: true })
  t.is(one.get('a'), undefined)
  one.set('a', 2)
  t.is(cache.namespace('one').get('a'), 2)
  t.is(cache.get('a'), undefined)
  t.deepEqual(cache.stats().namespaces, ['one'])
})
