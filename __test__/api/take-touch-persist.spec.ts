/**
 * `take`, `touch` and `persist`.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { advance } from '../helpers/internals.ts'
import { SMALL, openCache, openStopped } from '../helpers/segment.ts'

test('take returns the value and deletes the entry', (t) => {
  const cache = openCache(t)
  cache.set('a', { x: 1 })
  t.deepEqual(cache.take('a'), { x: 1 })
  t.is(cache.take('a'), undefined)
  t.false(cache.has('a'))
  t.is(cache.size, 0)
})

test('take also deletes bytes that are too large for one native call', (t) => {
  const cache = openCache(t)
  const value = Buffer.alloc(1_000_000, 'abc')
  cache.set('a', value)
  t.true(isDeepStrictEqual(cache.take('a'), value))
  t.false(cache.has('a'))
  t.is(cache.take('a'), undefined)
})

test('touch sets a new lifetime from now on', (t) => {
  const cache = openStopped(t)
  cache.set('a', 'x', 1000)
  advance(cache, 900)
  t.true(cache.touch('a', '2s'))
  t.is(cache.ttl('a'), 2000)
  advance(cache, 1999)
  t.is(cache.get('a'), 'x')
  t.true(cache.touch('a', 500), 'a shorter one works as well')
  t.is(cache.ttl('a'), 500)
  advance(cache, 500)
  t.false(cache.touch('a', 1000))
})

test('touch sets a deadline for an entry without one', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1)
  t.true(cache.touch('a', 10))
  advance(cache, 10)
  t.false(cache.has('a'))
})

test('touch and persist keep value, version and creation time', (t) => {
  const cache = openStopped(t)
  const value = Buffer.alloc(200_000, 'abc')
  cache.set('a', value, 1000)
  const before = cache.getEntry('a')
  advance(cache, 500)
  cache.touch('a', 9000)
  cache.persist('a')
  const after = cache.getEntry('a')
  t.true(isDeepStrictEqual(after?.value, value))
  t.is(after?.version, before?.version)
  t.true(Math.abs(Date.now() - 500 - (after?.createdAt ?? 0)) < 1000)
  t.is(after?.expiresAt, undefined)
})

test('a version from before touch is still valid for a write', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const version = cache.getEntry('a')?.version ?? 0
  cache.touch('a', '1h')
  t.true(cache.set('a', 2, { if: { version } }))
})

test('persist removes the deadline', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 1000)
  t.true(cache.persist('a'))
  t.is(cache.ttl('a'), Infinity)
  advance(cache, 100_000)
  t.is(cache.get('a'), 1)
  t.true(cache.persist('a'), 'true only means that there is an entry')
})

test('touch and persist of a missing key return false and create nothing', (t) => {
  const cache = openCache(t)
  t.false(cache.touch('a', 1000))
  t.false(cache.persist('a'))
  t.is(cache.size, 0)
})

test('touch and persist work thousands of times', (t) => {
  const cache = openCache(t, { size: SMALL })
  cache.set('a', 'x'.repeat(10_000))
  const { usedBytes } = cache.stats()
  for (let i = 0; i < 20_000; i++) {
    if (!cache.touch('a', 1000 + i) || !cache.persist('a')) t.fail(`at ${i}`)
  }
  t.is(cache.get('a'), 'x'.repeat(10_000))
  t.is(cache.stats().usedBytes, usedBytes)
})
