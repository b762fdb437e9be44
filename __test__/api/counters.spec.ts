/**
 * `incr`.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { IncrOptions } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('incr counts from 0 in steps of 1', (t) => {
  const cache = openCache<number>(t)
  t.is(cache.incr('a'), 1)
  t.is(cache.incr('a'), 2)
  t.is(cache.get('a'), 2)
})

test('incr takes any finite step', (t) => {
  const cache = openCache(t)
  t.is(cache.incr('a', 10), 10)
  t.is(cache.incr('a', -15), -5)
  t.is(cache.incr('a', 0.5), -4.5)
  t.is(cache.incr('a', 0), -4.5)
})

test('incr continues from a number that was set', (t) => {
  const cache = openCache(t)
  cache.set('a', 41)
  t.is(cache.incr('a'), 42)
})

test('init is the start of a missing key, and only of that', (t) => {
  const cache = openCache(t)
  t.is(cache.incr('a', -1, { init: 100 }), 99)
  t.is(cache.incr('a', -1, { init: 100 }), 98)
})

test('ttl applies only to a new counter', (t) => {
  const cache = openStopped(t)
  cache.incr('a', 1, { ttl: '10s' })
  advance(cache, 4000)
  cache.incr('a', 1, { ttl: '10s' })
  t.is(cache.ttl('a'), 6000)
  cache.incr('a')
  t.is(cache.ttl('a'), 6000)
  advance(cache, 6000)
  t.is(cache.incr('a', 1, { ttl: '10s' }), 1)
  t.is(cache.ttl('a'), 10_000)
})

test('min and max clamp the result', (t) => {
  const cache = openCache(t)
  t.is(cache.incr('a', 5, { max: 3 }), 3)
  t.is(cache.incr('a', -10, { min: -2 }), -2)
  t.is(cache.incr('a', 1, { min: 0, max: 10 }), 0)
  t.is(cache.incr('b', 1, { init: 100, max: 50 }), 50)
})

test('incr throws ERR_OVERFLOW beyond the safe integers, unless it clamps', (t) => {
  const cache = openCache(t)
  const { MAX_SAFE_INTEGER } = Number
  cache.set('a', MAX_SAFE_INTEGER)
  t.throws(() => cache.incr('a'), { instanceOf: CacheError, code: 'ERR_OVERFLOW' })
  t.is(cache.get('a'), MAX_SAFE_INTEGER)
  t.is(cache.incr('a', 1, { max: MAX_SAFE_INTEGER }), MAX_SAFE_INTEGER)
  cache.set('b', -MAX_SAFE_INTEGER)
  t.throws(() => cache.incr('b', -1), { code: 'ERR_OVERFLOW' })
  t.throws(() => cache.incr('c', 1e300), { code: 'ERR_OVERFLOW' })
  t.false(cache.has('c'))
})

test('incr refuses NaN and infinities that were set', (t) => {
  const cache = openCache(t)
  for (const value of [Number.NaN, Infinity, -Infinity]) {
    cache.set('a', value)
    t.throws(() => cache.incr('a'), { code: 'ERR_OVERFLOW' })
    t.is(cache.get('a'), value)
  }
})

test('incr refuses values that are not numbers, and leaves them', (t) => {
  const cache = openCache(t)
  for (const value of ['5', '', null, true, 5n, { a: 1 }, Buffer.from('5')]) {
    cache.set('a', value)
    t.throws(() => cache.incr('a'), { instanceOf: CacheError, code: 'ERR_NOT_A_NUMBER' })
    t.deepEqual(cache.get('a'), value)
  }
})

test('wrong arguments throw', (t) => {
  const cache = openCache(t)
  for (const by of [Number.NaN, Infinity, '1', null, 1n]) {
    t.throws(() => cache.incr('a', by as number), { code: 'ERR_INVALID_ARGUMENT' })
  }
  const wrong: unknown[] = [{ init: Number.NaN }, { init: '1' }, { min: Number.NaN }, { max: '5' }, { min: 5, max: 4 }]
  for (const options of wrong) {
    t.throws(() => cache.incr('a', 1, options as IncrOptions), { code: 'ERR_INVALID_ARGUMENT' })
  }
  t.false(cache.has('a'))
})
