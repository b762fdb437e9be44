/**
 * `get`, `set`, `delete`, `getEntry`, and what is counted.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('every way of reading finds nothing under a missing key', (t) => {
  const cache = openCache(t)
  t.is(cache.get('a'), undefined)
  t.is(cache.peek('a'), undefined)
  t.false(cache.has('a'))
  t.is(cache.getEntry('a'), undefined)
  t.is(cache.ttl('a'), undefined)
  t.is(cache.take('a'), undefined)
  t.false(cache.delete('a'))
})

test('every way of reading finds a stored value, and set returns true for it', (t) => {
  const cache = openCache<string>(t)
  t.true(cache.set('a', 'x'))
  t.is(cache.get('a'), 'x')
  t.is(cache.peek('a'), 'x')
  t.true(cache.has('a'))
  t.is(cache.getEntry('a')?.value, 'x')
})

test('set replaces a value, also by one of another type and by a longer one', (t) => {
  const cache = openCache(t)
  for (const value of ['x', 5, null, { a: [1] }, Buffer.alloc(100_000, 'y'), 'é'.repeat(50_000), 0, '']) {
    t.true(cache.set('a', value))
    t.true(isDeepStrictEqual(cache.get('a'), value))
    t.is(cache.size, 1)
  }
})

test('delete removes an entry once', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  t.true(cache.delete('a'))
  t.false(cache.delete('a'))
  t.is(cache.get('a'), undefined)
})

test('many keys keep their own values', (t) => {
  const cache = openCache<string>(t)
  for (let i = 0; i < 5000; i++) cache.set(`key ${i}`, `value ${i}`)
  for (let i = 0; i < 5000; i++) t.true(cache.get(`key ${i}`) === `value ${i}`)
  t.is(cache.size, 5000)
})

test('an entry has version, times and size', (t) => {
  const cache = openCache(t)
  const before = Date.now()
  cache.set('a', 'x'.repeat(1000), '1h')
  const entry = cache.getEntry('a')
  t.truthy(entry)
  if (!entry) return
  t.is(entry.value, 'x'.repeat(1000))
  t.true(Number.isSafeInteger(entry.version) && entry.version > 0)
  t.true(Math.abs(entry.createdAt - before) < 1000)
  t.true(Math.abs((entry.expiresAt ?? 0) - before - 3_600_000) < 1000)
  t.true(entry.size >= 1000 && entry.size < 1500)
  t.false(entry.stale)

  cache.set('b', 1)
  t.is(cache.getEntry('b')?.expiresAt, undefined)
})

test('an entry of bytes too large for one native call has the same fields', (t) => {
  const cache = openCache<Buffer>(t)
  const value = Buffer.alloc(700_000, 'abc')
  cache.set('a', value, '1h')
  const entry = cache.getEntry('a')
  t.true(isDeepStrictEqual(entry?.value, value))
  t.true((entry?.size ?? 0) >= 700_000)
  t.true((entry?.version ?? 0) > 0)
  t.true((entry?.expiresAt ?? 0) > Date.now())
})

test('every change of a key gives it a later version', (t) => {
  const cache = openCache(t)
  let last = 0
  const version = (): number => cache.getEntry('a')?.version ?? 0
  const changes = [
    () => cache.set('a', 1),
    () => cache.set('a', 1),
    () => cache.incr('a'),
    () => cache.delete('a') && cache.set('a', 2),
    () => cache.take('a') !== undefined && cache.add('a', 3),
  ]
  for (const change of changes) {
    change()
    t.true(version() > last)
    last = version()
  }
})

test('createdAt is the time of the value, however far the clock has advanced since', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1)
  advance(cache, 5000)
  const age = Date.now() - (cache.getEntry('a')?.createdAt ?? 0)
  t.true(Math.abs(age - 5000) < 1000, `${age}`)
})

test('get and getEntry count as reads, peek and has do not', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const before = cache.stats()
  cache.peek('a')
  cache.peek('none')
  cache.has('a')
  cache.has('none')
  cache.ttl('a')
  t.like(cache.stats(), { hits: before.hits, misses: before.misses })
  cache.get('a')
  cache.getEntry('a')
  cache.get('none')
  t.like(cache.stats(), { hits: before.hits + 2, misses: before.misses + 1 })
})

test('a large value counts as one read', (t) => {
  const cache = openCache(t)
  cache.set('a', Buffer.alloc(500_000))
  const { hits } = cache.stats()
  cache.get('a')
  t.is(cache.stats().hits, hits + 1)
})
