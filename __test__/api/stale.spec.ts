/**
 * Stale windows: after its deadline a value is served for a while, only to callers that take stale values.
 */
import test from 'ava'
import type { SetOptions } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('a value is fresh, then stale, then expired', (t) => {
  const cache = openStopped<string>(t)
  cache.set('a', 'value', { ttl: 1000, stale: 500 })
  t.like(cache.getEntry('a', { allowStale: true }), { value: 'value', stale: false })
  advance(cache, 999)
  t.like(cache.getEntry('a'), { value: 'value', stale: false })
  advance(cache, 1)
  t.like(cache.getEntry('a', { allowStale: true }), { value: 'value', stale: true })
  advance(cache, 499)
  t.like(cache.getEntry('a', { allowStale: true }), { value: 'value', stale: true })
  advance(cache, 1)
  t.is(cache.getEntry('a', { allowStale: true }), undefined)
})

test('a stale value does not exist for callers that do not ask for it', (t) => {
  const cache = openStopped<string>(t)
  cache.set('a', 'value', { ttl: 1000, stale: '1h' })
  advance(cache, 1000)
  t.is(cache.get('a'), undefined)
  t.is(cache.peek('a'), undefined)
  t.is(cache.getEntry('a'), undefined)
  t.is(cache.getEntry('a', { allowStale: false }), undefined)
  t.is(cache.ttl('a'), undefined)
  t.is(cache.take('a'), undefined)
  t.false(cache.has('a'))
  t.false(cache.touch('a', 1000))
  t.false(cache.persist('a'))
  t.false(cache.replace('a', 'x'))
  t.deepEqual(cache.getMany(['a']), [undefined])
  t.deepEqual(cache.hasMany(['a']), [false])
  t.deepEqual([...cache.keys()], [])
  t.is(cache.getEntry('a', { allowStale: true })?.value, 'value', 'none of these calls removed it')
  t.true(cache.add('a', 'new'))
  t.like(cache.getEntry('a', { allowStale: true }), { value: 'new', stale: false })
})

test('delete removes a stale value and returns false', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, { ttl: 1000, stale: '1h' })
  advance(cache, 1000)
  t.false(cache.delete('a'))
  t.is(cache.getEntry('a', { allowStale: true }), undefined)
})

test('ttl and expiresAt report the deadline, not the end of the window', (t) => {
  const cache = openStopped(t)
  const before = Date.now()
  cache.set('a', 1, { ttl: 60_000, stale: '1h' })
  t.is(cache.ttl('a'), 60_000)
  t.true(Math.abs((cache.getEntry('a')?.expiresAt ?? 0) - before - 60_000) < 5000)
})

test('a stale time without an expiry has no effect', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, { stale: 1000 })
  advance(cache, 365 * 86_400_000)
  t.like(cache.getEntry('a', { allowStale: true }), { value: 1, stale: false })
})

test('the ttl of open is a deadline for a stale window, and so is expiresAt', (t) => {
  const cache = openStopped(t, { ttl: 1000 })
  cache.set('a', 1, { stale: 500 })
  cache.set('b', 1, { stale: 500, expiresAt: Date.now() + 600_000 })
  advance(cache, 1000)
  t.true(cache.getEntry('a', { allowStale: true })?.stale)
  advance(cache, 599_000)
  t.is(cache.getEntry('a', { allowStale: true }), undefined)
  t.true(cache.getEntry('b', { allowStale: true })?.stale)
})

test('keepTtl keeps the window, any other set has its own, and touch moves the window behind the new deadline', (t) => {
  const cache = openStopped<number>(t)
  cache.set('kept', 1, { ttl: 1000, stale: 500 })
  cache.set('kept', 2, { keepTtl: true })
  cache.set('own', 1, { ttl: 1000, stale: 500 })
  cache.set('own', 2, 1000)
  cache.set('touched', 1, { ttl: 10, stale: 500 })
  cache.touch('touched', 1000)
  advance(cache, 1000)
  t.like(cache.getEntry('kept', { allowStale: true }), { value: 2, stale: true })
  t.is(cache.getEntry('own', { allowStale: true }), undefined)
  t.like(cache.getEntry('touched', { allowStale: true }), { value: 1, stale: true })
})

test('a stale value counts as a hit only for a caller that takes it', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, { ttl: 1000, stale: 1000 })
  advance(cache, 1000)
  cache.get('a')
  cache.getEntry('a', { allowStale: true })
  t.like(cache.stats(), { hits: 1, misses: 1, expirations: 0 })
})

test('a stale value is swept when its window ends, and not before', async (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, { ttl: 1000, stale: 1000 })
  cache.set('b', 1, 1000)
  advance(cache, 1000)
  await eventually('the sweep of what has no window', () => cache.stats().expirations === 1)
  t.is(cache.size, 1)
  advance(cache, 1000)
  await eventually('the sweep of the stale one', () => cache.stats().expirations === 2)
  t.is(cache.size, 0)
})

test('a wrong stale time throws and stores nothing', (t) => {
  const cache = openCache(t)
  for (const stale of [0, -1, Number.NaN, -Infinity, '', '5', null]) {
    const options = { ttl: 1000, stale } as SetOptions
    t.throws(() => cache.set('a', 1, options), { code: 'ERR_INVALID_TTL' }, String(stale))
  }
  t.is(cache.size, 0)
})
