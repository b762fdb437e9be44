/**
 * The near cache: how many near copies there are, which entries get one, and what a hit costs.
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { SharedCache } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { near, openCounted } from '../helpers/near-cache.ts'
import type { Counts } from '../helpers/raw-calls.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

test('an evicted entry has no near copy any more', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name, size: '4mb' })
  const writer = openCache(t, { name, size: '4mb', near: false })
  const value = 'x'.repeat(4000)
  for (let i = 0; i < 100; i++) writer.set(`k${i}`, value)
  for (let i = 0; i < 100; i++) t.is(near(t, cache, counts, `k${i}`), value)
  for (let i = 0; i < 5000; i++) {
    writer.set(`new${i}`, value)
    for (let read = 0; read < 4; read++) writer.get(`new${i}`)
  }
  let gone = 0
  for (let i = 0; i < 100; i++) {
    const there = writer.has(`k${i}`)
    t.is(cache.get(`k${i}`) !== undefined, there)
    if (!there) gone++
  }
  t.true(gone > 0, 'no entry was evicted')
})

test('an entry that is read only from its near copy stays in the segment while others are evicted', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name, size: '4mb' })
  const writer = openCache(t, { name, size: '4mb', near: false })
  const value = 'x'.repeat(4000)
  writer.set('hot', value)
  writer.set('cold', value)
  near(t, cache, counts, 'hot')
  const before = counts['getNear']
  for (let i = 0; i < 5000; i++) {
    writer.set(`new${i}`, value)
    if (i % 50 === 0) cache.get('hot')
  }
  // Once more each time the index is divided, because its index words move.
  t.true((counts['getNear'] ?? 0) - (before ?? 0) <= 8)
  t.true(writer.has('hot'))
  t.false(writer.has('cold'))
})

/** How many of these keys have near copies. */
function countNear(cache: SharedCache, counts: Counts, keys: string[]): number {
  const before = readsFar(counts)
  for (const key of keys) cache.get(key)
  return keys.length - (readsFar(counts) - before)
}

/** Reads of the segment, also those of a near cache that pauses. */
function readsFar(counts: Counts): number {
  return (counts['getNear'] ?? 0) + (counts['get'] ?? 0)
}

test('there are never more near copies than maxEntries, and hot keys keep theirs', (t) => {
  const [cache, counts] = openCounted(t, { near: { maxEntries: 50 } })
  const keys = Array.from({ length: 500 }, (_, i) => `k${i}`)
  const hot = keys.slice(0, 20)
  for (const key of keys) cache.set(key, key)
  // Some of the other keys get near copies, and soon lose them again.
  let missed = 0
  for (let round = 0; round < 5; round++) {
    for (const [i, key] of keys.entries()) {
      for (let read = 0; read < 2; read++) t.is(cache.get(key), key)
      const warm = hot[i % hot.length] as string
      // Often enough to make up for the other keys; otherwise the near cache would pause.
      missed += 4 - countNear(cache, counts, [warm, warm, warm, warm])
    }
  }
  t.true(missed < 100, `${missed} of 10,000 reads of hot keys went to the segment`)
  t.is(countNear(cache, counts, hot), hot.length)
  t.true(countNear(cache, counts, keys) <= 50)
  const [one, oneCounts] = openCounted(t, { near: { maxEntries: 1 } })
  for (let i = 0; i < 100; i++) {
    one.set(`k${i % 3}`, i)
    t.is(one.get(`k${i % 3}`), i)
  }
  t.true(countNear(one, oneCounts, ['k0', 'k1', 'k2']) <= 1)
})

test('near copies never take more than maxSize, and a value that would take too large a part of it gets none', (t) => {
  const [cache, counts] = openCounted(t, { near: { maxSize: 100_000 } })
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`)
  for (const key of keys) cache.set(key, key.padEnd(5000, '.'))
  for (let round = 0; round < 4; round++) for (const key of keys) cache.get(key)
  // From the last key back; otherwise each miss would evict the near copy of the next key.
  const kept = countNear(cache, counts, keys.toReversed())
  t.true(kept > 5 && kept <= 20, `${kept} of 5,000 bytes each`)
  cache.set('large', 'x'.repeat(50_000))
  for (let i = 0; i < 4; i++) cache.get('large')
  t.is(countNear(cache, counts, ['large']), 0)
  // A kept value that grows takes its room from others.
  const [key = ''] = keys
  for (let i = 0; i < 4; i++) cache.get(key)
  cache.set(key, 'y'.repeat(12_000))
  t.is(near(t, cache, counts, key), 'y'.repeat(12_000))
  t.true(countNear(cache, counts, keys) <= 18)
})

test('a full near cache considers every eighth read of other keys, and copies a key at its second such read', (t) => {
  const [cache, counts] = openCounted(t, { near: { maxEntries: 10 } })
  for (let i = 0; i < 200; i++) cache.set(`k${i}`, i)
  // The eleventh key has to make room.
  for (let i = 0; i < 11; i++) t.is(cache.get(`k${i}`), i)
  t.is(counts['getNear'], 11)
  for (let i = 20; i < 180; i++) t.is(cache.get(`k${i}`), i)
  t.is(counts['getNear'], 11 + 20)
  for (let i = 0; i < 16; i++) t.is(countNear(cache, counts, ['k199']), 0)
  t.is(countNear(cache, counts, ['k199']), 1)
  t.is(counts['getNear'], 11 + 20 + 2)
  const { hits, misses } = cache.stats()
  t.deepEqual({ hits, misses }, { hits: 11 + 160 + 17, misses: 0 })
})

test('after a near copy without a hit, the next one of its key is made at the second read', (t) => {
  const [cache, counts] = openCounted(t)
  const readsOf = (value: object, reads: number): number => {
    cache.set('o', value)
    const before = counts['getNear'] ?? 0
    for (let i = 0; i < reads; i++) t.deepEqual(cache.get('o'), value)
    return (counts['getNear'] ?? 0) - before
  }
  t.is(readsOf({ a: 0 }, 1), 1)
  for (let a = 1; a < 5; a++) t.is(readsOf({ a }, 1), 1)
  t.is(readsOf({ a: 6 }, 5), 2)
  t.is(readsOf({ a: 7 }, 5), 1)
})

test('a near cache pauses when its copies are outdated before they are read, and tries again later', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name, near: { objects: 'frozen' } })
  const writer = openCache(t, { name, near: false })
  const isFrozen = (value: unknown): boolean => Object.isFrozen(value)
  for (let i = 0; i < 3000; i++) {
    writer.set('busy', { i })
    const value = cache.get('busy')
    t.deepEqual(value, { i })
    t.true(isFrozen(value))
    t.deepEqual(cache.getMany(['busy']), [{ i }])
  }
  const looks = counts['getNear'] ?? 0
  t.true(looks >= 1000 && looks < 2000, `${looks} of 3,000 reads looked for a copy`)
  // No writer writes any more, and the pause ends.
  for (let i = 0; i < 150_000; i++) cache.get('busy')
  t.is(near(t, cache, counts, 'busy'), near(t, cache, counts, 'busy'))
  t.is(countNear(cache, counts, ['busy', 'busy']), 2)
  const { hits, misses } = cache.stats()
  t.deepEqual({ hits, misses }, { hits: 3000 * 2 + 150_000 + 2 * 4 + 2, misses: 0 })
})

test('values that cannot be kept make the near cache pause, first reads of many keys do not', (t) => {
  const [cache, counts] = openCounted(t)
  for (let i = 0; i < 3000; i++) cache.set(`k${i}`, i)
  for (let i = 0; i < 3000; i++) t.is(cache.get(`k${i}`), i)
  t.is(counts['getNear'], 3000)
  t.is(countNear(cache, counts, ['k0', 'k2999']), 2)
  cache.set('bytes', Buffer.from('bytes'))
  for (let i = 0; i < 3000; i++) t.deepEqual(cache.get('bytes'), Buffer.from('bytes'))
  t.true((counts['getNear'] ?? 0) < 5000)
})

onNative('a clock that allocates nothing', test.serial)(
  'a million hits allocate nothing, for scalars and frozen objects, with and without a deadline',
  async (t) => {
    const cache = openCache(t, { near: { objects: 'frozen' } })
    const values = { text: 'some text', number: 1.5, object: { a: { b: [1, 2] } }, true: true }
    for (const [key, value] of Object.entries(values)) {
      cache.set(key, value)
      cache.set(`${key} for a while`, value, '1h')
    }
    const keys = Object.keys(values).flatMap((key) => [key, `${key} for a while`])
    const read = (times: number): void => {
      for (let i = 0; i < times; i++) for (const key of keys) if (cache.get(key) === undefined) throw new Error(key)
    }
    let collections = 0
    const observer = new PerformanceObserver((list) => (collections += list.getEntries().length))
    observer.observe({ entryTypes: ['gc'] })
    t.teardown(() => observer.disconnect())
    read(20_000)
    // Other code may allocate meanwhile, so the best of several tries counts. An allocation in each hit fails all of
    // them.
    let best = Infinity
    for (let tries = 0; tries < 10 && best > 200_000; tries++) {
      await turn()
      collections = 0
      const before = process.memoryUsage().heapUsed
      read(1_000_000 / keys.length)
      const grown = process.memoryUsage().heapUsed - before
      await turn()
      await turn()
      if (collections === 0) best = Math.min(best, Math.abs(grown))
    }
    t.true(best <= 200_000, `${best} bytes for a million hits`)
  },
)
