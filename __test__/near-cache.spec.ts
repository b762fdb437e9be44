/**
 * The near cache: reads that make no native call, and are as new as those that do.
 *
 * `counted` tells how often the segment was asked, so each test knows whether it saw a copy.
 */
import { unlinkSync } from 'node:fs'
import { PerformanceObserver, performance } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { segments } from '../index.ts'
import type { SharedCache } from '../index.ts'
import { advance, problems } from '../lib/testing.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { counted, withRawCalls } from './helpers/raw-calls.ts'
import type { Counts } from './helpers/raw-calls.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'
import type { TestOptions } from './helpers/segment.ts'
import { startThread } from './helpers/thread.ts'

/** Values that are kept. */
const KEPT: Record<string, unknown> = {
  text: 'a text',
  'an empty text': '',
  'text beyond ASCII': 'żółć 日本 😀',
  'a text with U+FFFD': 'a\uFFFDb',
  number: 42.5,
  'minus zero': -0,
  true: true,
  false: false,
  null: null,
  bigint: 2n ** 60n,
  'a large bigint': -(2n ** 100n),
  object: { a: 1, b: 'two', c: [1, { d: null }], e: {} },
  array: [[1, 2], [{ x: 1 }], 'three'],
  'an object with what JSON cannot hold': { a: undefined, b: -0, c: Number.NaN, d: 1n, e: [undefined] },
  'an object with Dates': { at: new Date(0), all: [new Date(1), new Date(Number.NaN)] },
}

/** Values that are read from the segment each time. */
const NOT_KEPT: Record<string, unknown> = {
  Buffer: Buffer.from('bytes'),
  Uint8Array: Uint8Array.of(1, 2, 3),
  Map: new Map([['a', { b: 1 }]]),
  'an object with a Set': { set: new Set([1]) },
  'an object with bytes': { bytes: Uint8Array.of(1) },
  'an Error': new Error('so it is'),
  'a RegExp': /x/g,
}

function openCounted(t: ExecutionContext, options: TestOptions = {}): [SharedCache, Counts] {
  return counted(() => openCache(t, options))
}

/** Values that can be frozen, but would lose something as a copy. */
const NOT_COPIED: Record<string, unknown> = {
  'a sparse array': [1, , 3], // oxlint-disable-line no-sparse-arrays
  'an array with a name': Object.assign([1], { name: 1 }),
  'an object with __proto__': JSON.parse('{"__proto__":{"polluted":true}}'),
}

/** What `get` gives when there is a copy; fails if there is none. */
function near(t: ExecutionContext, cache: SharedCache, counts: Counts, key: string): unknown {
  for (let i = 0; i < 3; i++) cache.get(key)
  const before = counts['getNear']
  const value = cache.get(key)
  t.is(counts['getNear'], before, 'the read went to the segment')
  return value
}

for (const objects of ['copy', 'frozen'] as const) {
  test(`${objects}: immutable values and plain objects come from near, as they were`, (t) => {
    const [cache, counts] = openCounted(t, { near: { objects } })
    for (const [what, value] of Object.entries(KEPT)) {
      cache.set(what, value)
      t.deepEqual(near(t, cache, counts, what), value, what)
      t.true(Object.is(cache.get(what), value) || typeof value === 'object', what)
    }
  })

  test(`${objects}: bytes and what JSON cannot hold are fresh each time`, (t) => {
    const [cache] = openCounted(t, { near: { objects } })
    for (const [what, value] of Object.entries(objects === 'copy' ? { ...NOT_KEPT, ...NOT_COPIED } : NOT_KEPT)) {
      cache.set(what, value)
      const [first, second, third] = [cache.get(what), cache.get(what), cache.get(what)]
      t.deepEqual(third, value, what)
      t.not(first, second, what)
      t.false(Object.isFrozen(second) && Object.isFrozen(third), what)
    }
  })

  test(`${objects}: what an object has twice, and cycles, and a bare prototype come back each time`, (t) => {
    const cache = openCache(t, { near: { objects } })
    const inner = { x: 1 }
    const value: Record<string, unknown> = { twice: [inner, inner], bare: Object.assign(Object.create(null), { y: 1 }) }
    value['self'] = value
    cache.set('o', value)
    for (let i = 0; i < 4; i++) {
      const found = cache.get('o') as { twice: object[]; bare: object; self: object }
      t.is(found.self, found)
      t.is(found.twice[0], found.twice[1])
      t.is(Object.getPrototypeOf(found.bare), null)
      t.is(Object.isFrozen(found.twice[0]), objects === 'frozen')
    }
  })
}

test('copy: what the caller does to a value harms nobody', (t) => {
  const [cache, counts] = openCounted(t, { near: { objects: 'copy' } })
  const original = { a: 1, list: [{ b: 2 }, { c: [3] }], inner: { deep: { x: 1 } } }
  cache.set('o', original)
  for (let i = 0; i < 5; i++) {
    const value = cache.get('o') as typeof original
    t.deepEqual(value, original)
    value.a = 9
    value.list[0] = { b: 9 }
    value.list[1]?.c?.push(9)
    value.list.push({ b: 9 })
    value.inner.deep.x = 9
    Object.assign(value, { added: true })
  }
  t.is(near(t, cache, counts, 'o') === undefined, false)
})

test('frozen: an object with a Date is a fresh copy, and may be changed', (t) => {
  const [cache, counts] = openCounted(t, { near: { objects: 'frozen' } })
  cache.set('o', { at: new Date(5), list: [1] })
  for (let i = 0; i < 4; i++) {
    const found = cache.get('o') as { at: Date; list: number[] }
    t.deepEqual(found, { at: new Date(5), list: [1] })
    found.at.setTime(9)
    found.list.push(9)
  }
  t.deepEqual(near(t, cache, counts, 'o'), { at: new Date(5), list: [1] })
})

test('a value of an own codec is decoded each time', (t) => {
  const kept = { same: true }
  const codec = { id: 1, encode: () => Uint8Array.of(1), decode: () => kept }
  const cache = openCache(t, { codec, near: { objects: 'frozen' } })
  cache.set('o', {})
  for (let i = 0; i < 4; i++) t.is(cache.get('o'), kept)
  t.false(Object.isFrozen(kept))
})

test('frozen: one deeply frozen object for each version', (t) => {
  const [cache, counts] = openCounted(t, { near: { objects: 'frozen' } })
  cache.set('o', { list: [{ b: 2 }], inner: { x: 1 } })
  const first = cache.get('o') as { list: { b: number }[]; inner: object }
  t.is(near(t, cache, counts, 'o'), first)
  for (const part of [first, first.list, first.list[0], first.inner]) t.true(Object.isFrozen(part))
  cache.set('o', { list: [], inner: {} })
  t.not(cache.get('o'), first)
  t.true(Object.isFrozen((cache.getMany(['o'])[0] as { inner: object }).inner))
  cache.set('p', { never: 'read before' })
  t.true(Object.isFrozen(cache.getMany(['p'])[0]))
})

test('__proto__ is data, in both modes', (t) => {
  const value: unknown = JSON.parse('{"a":{"__proto__":{"polluted":true}}}')
  for (const objects of ['copy', 'frozen'] as const) {
    const cache = openCache(t, { near: { objects } })
    cache.set('o', value)
    for (let i = 0; i < 4; i++) {
      const found = cache.get('o') as { a: object }
      t.deepEqual(Object.keys(found.a), ['__proto__'])
      t.is(Object.getPrototypeOf(found.a), Object.prototype)
    }
    t.is(({} as { polluted?: boolean }).polluted, undefined)
  }
})

test('near: false makes no copies, and every namespace may decide for itself', (t) => {
  const [cache, counts] = openCounted(t, { near: false })
  cache.set('a', 1)
  for (let i = 0; i < 5; i++) t.is(cache.get('a'), 1)
  t.is(counts['get'], 5)
  const [inner, innerCounts] = counted(() => cache.namespace('inner', { near: { objects: 'frozen' } }))
  inner.set('a', { b: 1 })
  t.true(Object.isFrozen(near(t, inner, innerCounts, 'a')))

  const [other, otherCounts] = counted(() => openCache(t).namespace('without', { near: false }))
  other.set('a', 1)
  for (let i = 0; i < 5; i++) other.get('a')
  t.is(otherCounts['get'], 5)
})

// ---- invalidation

/** Every way in which an entry can change or go, and what is read afterwards. */
const CHANGES: Record<string, [calls: [method: string, ...args: unknown[]][], after: unknown]> = {
  'a set': [[['set', 'k', 'new']], 'new'],
  'an equal set': [[['set', 'k', 'old']], 'old'],
  'a set of another kind': [[['set', 'k', { new: true }]], { new: true }],
  'a delete': [[['delete', 'k']], undefined],
  'a take': [[['take', 'k']], undefined],
  'a clear': [[['clear']], undefined],
  'an invalidated tag': [[['invalidateTags', 'tag']], undefined],
  'an outdated tag': [[['invalidateTags', 'tag', { mode: 'stale' }]], undefined],
  'a tag of somebody else': [[['invalidateTags', 'other']], 'old'],
  'a delete of the prefix': [[['deletePrefix', 'k']], undefined],
  'many deletes': [[['deleteMany', ['k', 'l']]], undefined],
  'many sets': [[['setMany', [['k', 'new']]]], 'new'],
  'a delete and a set': [
    [
      ['delete', 'k'],
      ['set', 'k', 'old again'],
    ],
    'old again',
  ],
  'an append': [[['append', 'k', '!']], 'old!'],
  'a new lifetime': [[['touch', 'k', '1h']], 'old'],
  'a swap': [[['swap', 'k', 'new']], 'new'],
}

for (const where of ['', 'namespace'] as const) {
  test(`${where || 'root'}: a change by another process is seen by the very next read`, async (t) => {
    const name = segmentName(t)
    const child = fork(t, 'operations', { name, size: SMALL, near: false, namespace: where })
    t.is(await child.next(30_000), 'ready')
    const [cache, counts] = counted(() => inner(openCache(t, { name }), where))
    for (const [what, [calls, after]] of Object.entries(CHANGES)) {
      cache.set('k', 'old', { tags: ['tag'] })
      t.is(near(t, cache, counts, 'k'), 'old', what)
      for (const call of calls) t.false('code' in (await child.ask<object>(call)), what)
      t.deepEqual(cache.get('k'), after, what)
    }
  })

  test(`${where || 'root'}: so is one by another handle of this thread, and by this one`, (t) => {
    const name = segmentName(t)
    const other = inner(openCache(t, { name }), where)
    const [cache, counts] = counted(() => inner(openCache(t, { name }), where))
    for (const by of [other, cache]) {
      for (const [what, [calls, after]] of Object.entries(CHANGES)) {
        cache.set('k', 'old', { tags: ['tag'] })
        t.is(near(t, cache, counts, 'k'), 'old', what)
        for (const [method, ...args] of calls)
          (Reflect.get(by, method) as (...all: unknown[]) => unknown).apply(by, args)
        t.deepEqual(cache.get('k'), after, what)
      }
    }
  })
}

function inner(root: SharedCache, name: string): SharedCache {
  return name === '' ? root : root.namespace(name)
}

test('clear of the root is seen in a namespace, and clear of a namespace nowhere else', (t) => {
  const name = segmentName(t)
  const [root, counts] = openCounted(t, { name })
  const [space, spaceCounts] = counted(() => openCache(t, { name }).namespace('a'))
  const other = openCache(t, { name })
  root.set('k', 1)
  space.set('k', 2)
  t.is(near(t, root, counts, 'k'), 1)
  t.is(near(t, space, spaceCounts, 'k'), 2)
  other.namespace('a').clear()
  t.is(space.get('k'), undefined)
  const before = counts['getNear']
  t.is(root.get('k'), 1)
  t.is(counts['getNear'], before)
  space.set('k', 3)
  t.is(near(t, space, spaceCounts, 'k'), 3)
  other.clear()
  t.is(space.get('k'), undefined)
  t.is(root.get('k'), undefined)
})

test('an entry that had to make room is no longer near', (t) => {
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
  t.true(gone > 0, 'nobody had to go')
})

test('what is read near only stays in the segment when others have to make room', (t) => {
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
  // Once more each time the index is divided, and its words move.
  t.true((counts['getNear'] ?? 0) - (before ?? 0) <= 8)
  t.true(writer.has('hot'))
  t.false(writer.has('cold'))
})

// ---- time

test('a deadline is kept to the millisecond without a turn of the event loop', (t) => {
  const name = segmentName(t)
  const [cache, counts] = counted(() => openStopped(t, { name }))
  cache.set('a', 'text', 100)
  cache.set('o', { a: 1 }, 101)
  cache.set('for ever', 1)
  for (let now = 0; now < 110; now++) {
    t.is(cache.get('a'), now < 100 ? 'text' : undefined, `${now} ms`)
    t.deepEqual(cache.get('o'), now < 101 ? { a: 1 } : undefined, `${now} ms`)
    t.is(cache.get('for ever'), 1)
    advance(cache, 1)
  }
  t.true((counts['getNear'] ?? 0) < 40)
  t.true((counts['now'] ?? 0) > 150)
})

test('the clock is asked only where there is a deadline', (t) => {
  const [cache, counts] = openCounted(t)
  cache.set('a', 1)
  cache.set('b', 1, '1h')
  for (let i = 0; i < 10; i++) near(t, cache, counts, 'a')
  t.is(counts['now'], 0)
  near(t, cache, counts, 'b')
  t.true((counts['now'] ?? 0) > 0)
})

test('the real clock ends a copy inside a synchronous loop', (t) => {
  const [cache, counts] = openCounted(t)
  cache.set('a', 1, 60)
  const end = performance.now() + 2000
  while (cache.get('a') !== undefined && performance.now() < end);
  t.is(cache.get('a'), undefined)
  t.true((counts['now'] ?? 0) > 100)
})

test('a new lifetime counts, longer or shorter', (t) => {
  const [cache] = counted(() => openStopped(t))
  cache.set('a', 1, 100)
  for (let i = 0; i < 3; i++) cache.get('a')
  cache.touch('a', 200)
  advance(cache, 150)
  t.is(cache.get('a'), 1)
  cache.touch('a', 10)
  advance(cache, 10)
  t.is(cache.get('a'), undefined)
})

// ---- limits

/** How many of these keys are near. */
function countNear(cache: SharedCache, counts: Counts, keys: string[]): number {
  const before = readsFar(counts)
  for (const key of keys) cache.get(key)
  return keys.length - (readsFar(counts) - before)
}

/** Reads of the segment, also those of a near cache that rests. */
function readsFar(counts: Counts): number {
  return (counts['getNear'] ?? 0) + (counts['get'] ?? 0)
}

test('there are never more copies than maxEntries, and what is hot stays', (t) => {
  const [cache, counts] = openCounted(t, { near: { maxEntries: 50 } })
  const keys = Array.from({ length: 500 }, (_, i) => `k${i}`)
  const hot = keys.slice(0, 20)
  for (const key of keys) cache.set(key, key)
  // Some of the other keys come in, and soon have to go again.
  let missed = 0
  for (let round = 0; round < 5; round++) {
    for (const [i, key] of keys.entries()) {
      for (let read = 0; read < 2; read++) t.is(cache.get(key), key)
      const warm = hot[i % hot.length] as string
      // Often enough to make up for the others, or the near cache would rest.
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

test('there are never more bytes than maxSize, and a value that would take most of them is not kept', (t) => {
  const [cache, counts] = openCounted(t, { near: { maxSize: 100_000 } })
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`)
  for (const key of keys) cache.set(key, key.padEnd(5000, '.'))
  for (let round = 0; round < 4; round++) for (const key of keys) cache.get(key)
  // From the last one back, or each miss would drive out the next hit.
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

test('once there is no room, each eighth read of others asks for a copy, and gets one if its key asked before', (t) => {
  const [cache, counts] = openCounted(t, { near: { maxEntries: 10 } })
  for (let i = 0; i < 200; i++) cache.set(`k${i}`, i)
  // The eleventh has to make room.
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

test('after a copy that was of no use, the next one is made with the second read', (t) => {
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

test('where copies are outdated before they are read the near cache rests, and is tried again', (t) => {
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
  // Nobody writes any more, and the rest comes to its end.
  for (let i = 0; i < 150_000; i++) cache.get('busy')
  t.is(near(t, cache, counts, 'busy'), near(t, cache, counts, 'busy'))
  t.is(countNear(cache, counts, ['busy', 'busy']), 2)
  const { hits, misses } = cache.stats()
  t.deepEqual({ hits, misses }, { hits: 3000 * 2 + 150_000 + 2 * 4 + 2, misses: 0 })
})

test('values that cannot be kept make the near cache rest, those of many first reads do not', (t) => {
  const [cache, counts] = openCounted(t)
  for (let i = 0; i < 3000; i++) cache.set(`k${i}`, i)
  for (let i = 0; i < 3000; i++) t.is(cache.get(`k${i}`), i)
  t.is(counts['getNear'], 3000)
  t.is(countNear(cache, counts, ['k0', 'k2999']), 2)
  cache.set('bytes', Buffer.from('bytes'))
  for (let i = 0; i < 3000; i++) t.deepEqual(cache.get('bytes'), Buffer.from('bytes'))
  t.true((counts['getNear'] ?? 0) < 5000)
})

// ---- counting

test('stats count every near hit, of this thread at once', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  const space = cache.namespace('space')
  cache.set('a', 1)
  space.set('a', 1)
  for (let i = 0; i < 5000; i++) cache.get('a')
  for (let i = 0; i < 300; i++) space.get('a')
  cache.get('b')
  t.true((counts['getNear'] ?? 0) < 10)
  const { hits, misses } = cache.stats()
  t.deepEqual({ hits, misses }, { hits: 5300, misses: 1 })
  t.is(space.stats().hits, 300)

  for (let i = 0; i < 77; i++) space.get('a')
  space.close()
  t.is(openCache(t, { name, near: false }).stats().hits, 5377)
})

test('the hits of a process that ends by itself are all counted', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('a', 1)
  const child = fork(t, 'operations', { name, size: SMALL })
  t.is(await child.next(30_000), 'ready')
  for (let i = 0; i < 10; i++) t.deepEqual(await child.ask(['get', 'a']), { value: 1 })
  child.send(['exit'])
  await child.exit
  t.is(cache.stats().hits, 10)
})

test('the hits of another process are counted within seconds', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('a', 1)
  const child = fork(t, 'operations', { name, size: SMALL })
  t.is(await child.next(30_000), 'ready')
  for (let i = 0; i < 10; i++) await child.ask(['get', 'a'])
  await eventually('all are counted', () => cache.stats().hits === 10)
})

// ---- the view

test('handles of one thread share a view, and closing one takes it from nobody else', (t) => {
  const name = segmentName(t)
  const [first] = openCounted(t, { name })
  const [second, counts] = openCounted(t, { name })
  second.set('a', 1)
  t.is(near(t, second, counts, 'a'), 1)
  t.is(first.get('a'), 1)
  first.close()
  t.throws(() => first.get('a'), { code: 'ERR_CLOSED' })
  t.is(near(t, second, counts, 'a'), 1)
  second.close()
  t.throws(() => second.get('a'), { code: 'ERR_CLOSED' })
  const [third, thirdCounts] = openCounted(t, { name })
  t.is(near(t, third, thirdCounts, 'a'), 1)
})

test('close detaches the view: what is left of it has no elements', (t) => {
  const views: ArrayBuffer[] = []
  const open = (): SharedCache =>
    withRawCalls(
      (calls) => ({
        ...calls,
        view: () => {
          const view = calls.view()
          if (view !== undefined) views.push(view)
          return view
        },
      }),
      () => openCache(t),
    )
  const cache = open()
  const [view] = views
  t.true((view?.byteLength ?? 0) > 100_000)
  const words = new Int32Array(view as ArrayBuffer)
  cache.close()
  t.is(view?.byteLength, 0)
  t.is(words[0], undefined)
})

test('where the host forbids such buffers there are no copies, and all else is the same', (t) => {
  const cache = withRawCalls(
    (calls) => ({ ...calls, view: () => undefined }),
    () => openCache(t, { near: { objects: 'frozen' } }),
  )
  for (const [what, value] of Object.entries({ ...KEPT, ...NOT_KEPT })) {
    cache.set(what, value)
    for (let i = 0; i < 3; i++) t.deepEqual(cache.get(what), value, what)
  }
  t.deepEqual(cache.getMany(Object.keys(KEPT)), Object.values(KEPT))
  t.is(cache.stats().hits, Object.keys({ ...KEPT, ...NOT_KEPT }).length * 3 + Object.keys(KEPT).length)
})

test('a segment that was destroyed is left by the very next read, and the new one has copies again', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  cache.set('a', 'old')
  t.is(near(t, cache, counts, 'a'), 'old')
  segments.destroy(name, { force: true })
  t.is(cache.get('a'), undefined)
  cache.set('a', 'new')
  const [again, againCounts] = openCounted(t, { name })
  t.is(near(t, again, againCounts, 'a'), 'new')
  for (let i = 0; i < 5; i++) t.is(cache.get('a'), 'new')
  t.deepEqual(problems(cache), [])
})

test('a segment whose file was removed is left, also by those who read near copies only', async (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  cache.set('a', 'old')
  t.is(near(t, cache, counts, 'a'), 'old')
  unlinkSync(segments.inspect(name)?.path as string)
  await eventually('the copy is given up', () => cache.get('a') === undefined)
  cache.set('a', 'new')
  t.is(cache.get('a'), 'new')
})

test('threads have copies of their own, and see each other at once', async (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  const thread = startThread(t, 'operations', { name, size: SMALL })
  t.is(await thread.next(30_000), 'ready')
  for (let i = 0; i < 50; i++) {
    cache.set('a', { i })
    t.deepEqual(near(t, cache, counts, 'a'), { i })
    for (let read = 0; read < 3; read++) t.deepEqual(await thread.ask(['get', 'a']), { value: { i } })
    await thread.ask(['set', 'b', i])
    t.is(near(t, cache, counts, 'b'), i)
  }
  await thread.worker.terminate()
  t.is(near(t, cache, counts, 'b'), 49)
})

// ---- many, and keys of all kinds

test('getMany takes what is near, and asks the segment once for the rest', (t) => {
  const [cache, counts] = openCounted(t)
  const values: unknown[] = ['text', null, { a: 1 }, 0, Buffer.from('b'), undefined, false]
  const keys = values.map((_, i) => `k${i}`)
  for (const [i, value] of values.entries()) if (value !== undefined) cache.set(`k${i}`, value)
  for (let round = 0; round < 4; round++) {
    for (const key of keys) cache.get(key)
    t.deepEqual(cache.getMany(keys), values)
  }
  t.is(counts['getMany'], 4)
  cache.delete('k4')
  t.deepEqual(cache.getMany(['k0', 'k1', 'k2']), ['text', null, { a: 1 }])
  t.is(counts['getMany'], 4)
})

test('a text and its UTF-8 bytes are one key', (t) => {
  const cache = openCache(t)
  for (const key of ['plain', 'żółć', 'a\uFFFDb', 'x'.repeat(300), 'ü'.repeat(300)]) {
    for (let i = 0; i < 4; i++) {
      cache.set(i % 2 === 0 ? key : Buffer.from(key), i)
      for (let read = 0; read < 3; read++) {
        t.is(cache.get(key), i)
        t.is(cache.get(Buffer.from(key)), i)
      }
    }
  }
  t.throws(() => cache.get('\uD800'), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.get(7 as unknown as string), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.get(''), { code: 'ERR_INVALID_ARGUMENT' })
})

// ---- memory

test.serial('a million hits allocate nothing: scalars, frozen objects, with and without a deadline', async (t) => {
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
  // Somebody else may allocate meanwhile, so the best of some tries counts; what allocates in each hit fails all of them.
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
})
