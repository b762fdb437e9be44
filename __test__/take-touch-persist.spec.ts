import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { advance } from '../lib/testing.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'

test('take returns the value and deletes the entry', (t) => {
  const cache = openCache(t)
  cache.set('a', { x: 1 })
  t.deepEqual(cache.take('a'), { x: 1 })
  t.is(cache.take('a'), undefined)
  t.false(cache.has('a'))
  t.is(cache.size, 0)
})

test('take of bytes too large for one call deletes them, too', (t) => {
  const cache = openCache(t)
  const value = Buffer.alloc(1_000_000, 'abc')
  cache.set('a', value)
  t.true(isDeepStrictEqual(cache.take('a'), value))
  t.false(cache.has('a'))
  t.is(cache.take('a'), undefined)
})

test('of four processes that take the same keys each entry is had once', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '64mb' })
  // Every tenth does not fit one call, so that it is taken in two steps.
  const keys = Array.from({ length: 1000 }, (_, index) => `key${index}`)
  for (const [index, key] of keys.entries()) cache.set(key, index % 10 === 0 ? Buffer.alloc(100_000) : index)
  const children = Array.from({ length: 4 }, () => fork(t, 'taker', { name, size: '64mb', keys: keys.length }))
  await Promise.all(children.map((child) => child.next()))
  const taken = await Promise.all(children.map((child) => child.ask<string[]>('go', 30_000)))
  t.deepEqual(taken.flat().toSorted(), keys.toSorted())
  t.is(cache.size, 0)
})

test('what comes between the two steps of taking large bytes is not lost', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const takers = Array.from({ length: 3 }, () => fork(t, 'relay-taker', { name, size: SMALL }))
  await Promise.all(takers.map((taker) => taker.next()))
  const bytes = Buffer.alloc(100_000)
  const relay = async (value: unknown): Promise<void> => {
    while (!cache.add('relay', value)) await turn()
  }
  // Large bytes and numbers take turns: whoever was told "large" may find a number in its place, and must not eat it.
  for (let i = 1; i <= 1500; i++) {
    bytes.writeUInt32LE(i)
    await relay(i % 2 === 0 ? i : bytes)
  }
  const ends = takers.map((taker) => taker.next<number[]>(20_000))
  for (let i = 0; i < takers.length; i++) await relay('end')
  const numbers = await Promise.all(ends)
  t.is(numbers.flat().length, 1500)
  t.is(new Set(numbers.flat()).size, 1500)
})

test('touch gives a new lifetime from now on', (t) => {
  const cache = openStopped(t)
  cache.set('a', 'x', 1000)
  advance(cache, 900)
  t.true(cache.touch('a', '2s'))
  t.is(cache.ttl('a'), 2000)
  advance(cache, 1999)
  t.is(cache.get('a'), 'x')
  t.true(cache.touch('a', 500), 'shorter works as well')
  t.is(cache.ttl('a'), 500)
  advance(cache, 500)
  t.false(cache.touch('a', 1000))
})

test('touch gives an entry without a deadline one', (t) => {
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

test('a version read before touch is still good for a write', (t) => {
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
  t.true(cache.persist('a'), 'there is an entry, that is all it says')
})

test('touch and persist of a missing key are false and create nothing', (t) => {
  const cache = openCache(t)
  t.false(cache.touch('a', 1000))
  t.false(cache.persist('a'))
  t.is(cache.size, 0)
})

test('touch and persist work many times over', (t) => {
  const cache = openCache(t, { size: SMALL })
  cache.set('a', 'x'.repeat(10_000))
  const { usedBytes } = cache.stats()
  for (let i = 0; i < 20_000; i++) {
    if (!cache.touch('a', 1000 + i) || !cache.persist('a')) t.fail(`at ${i}`)
  }
  t.is(cache.get('a'), 'x'.repeat(10_000))
  t.is(cache.stats().usedBytes, usedBytes)
})
