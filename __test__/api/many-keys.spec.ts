/**
 * `getMany`, `setMany`, `deleteMany`, `hasMany` beyond the contract of a `CacheStore`: crossings, large numbers, kinds
 * of values.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import type { Key } from '../../index.ts'
import { advance, nativeHandles } from '../helpers/internals.ts'
import { countRawCalls } from '../helpers/raw-calls.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

const MAX_KEYS = 16_384

test('a call for many keys crosses once for each 16,384 keys', (t) => {
  const cache = openCache(t, { size: '64mb' })
  const calls = countRawCalls(cache)
  const keys = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`)
  for (const [count, crossings] of [
    [1, 1],
    [1000, 1],
    [MAX_KEYS, 1],
    [MAX_KEYS + 1, 2],
    [2 * MAX_KEYS, 2],
  ] as const) {
    calls.clear()
    t.true(cache.setMany(keys(count).map((key) => [key, key])).every(Boolean))
    t.true(isDeepStrictEqual(cache.getMany(keys(count)), keys(count)))
    t.true(cache.hasMany(keys(count)).every(Boolean))
    t.true(cache.deleteMany(keys(count)).every(Boolean))
    const expected = ['setMany', 'getMany', 'hasMany', 'deleteMany'].map((name) => [name, crossings])
    t.deepEqual([...calls], expected, `${count} keys`)
  }
})

test('an item that needs more than a lifetime is set by a call of its own, and all other items cross together', (t) => {
  const cache = openCache(t)
  cache.set('there', 0)
  const calls = countRawCalls(cache)
  cache.setMany([
    ['a', 1, 1000],
    ['b', { x: 1 }],
  ])
  t.deepEqual([...calls], [['setMany', 1]])
  calls.clear()
  cache.setMany([
    ['a', 1],
    ['b', 2, { tags: ['x'] }],
    ['there', 3, { keepTtl: true }],
  ])
  t.deepEqual(
    [...calls],
    [
      ['set', 2],
      ['setWith', 1],
    ],
  )
})

test('results for 40,000 keys are in the order of the keys, misses included', (t) => {
  const cache = openCache<number>(t, { size: '64mb' })
  const keys = Array.from({ length: 40_000 }, (_, i) => `k${i}`)
  const even = keys.filter((_, i) => i % 2 === 0)
  t.true(cache.setMany(even.map((key, i) => [key, 2 * i])).every(Boolean))
  t.true(cache.getMany(keys).every((value, i) => value === (i % 2 === 0 ? i : undefined)))
  t.true(cache.hasMany(keys).every((there, i) => there === (i % 2 === 0)))
  t.true(cache.deleteMany(keys).every((deleted, i) => deleted === (i % 2 === 0)))
  t.is(cache.size, 0)
})

test('values of every kind and size can be set and read together', (t) => {
  const cache = openCache<unknown>(t)
  const values: unknown[] = [
    'text',
    'é€😀 \uFFFD',
    '\uD800 alone',
    5,
    -0,
    null,
    true,
    5n,
    -(2n ** 200n),
    { a: [1] },
    new Map([['x', new Date(5)]]),
    Buffer.alloc(0),
    Buffer.alloc(200_000, 7),
    new Uint8Array(200_000).fill(8),
    new Float64Array([0.5]),
    { large: 'x'.repeat(200_000), at: new Date(1) },
    'x'.repeat(200_000),
  ]
  const keys = values.map((_, i) => `k${i}`)
  t.true(cache.setMany(values.map((value, i) => [`k${i}`, value])).every(Boolean))
  const found = cache.getMany(keys)
  values.forEach((value, i) => t.true(isDeepStrictEqual(found[i], value), `value ${i}`))
  values.forEach((value, i) => t.true(isDeepStrictEqual(cache.get(`k${i}`), value), `value ${i}`))
})

test('byte keys, keys with U+FFFD and repeated keys work like any other key', (t) => {
  const cache = openCache<number>(t)
  const keys: Key[] = ['a', Buffer.from([0xff, 0]), 'x\uFFFDy', Buffer.from('é'), 'a']
  t.deepEqual(cache.setMany(keys.map((key, i) => [key, i])), [true, true, true, true, true])
  t.deepEqual(cache.getMany([...keys, 'é', 'none']), [4, 1, 2, 3, 4, 3, undefined])
  t.deepEqual(cache.hasMany([...keys, 'none']), [true, true, true, true, true, false])
  t.deepEqual(cache.deleteMany([...keys, 'none']), [true, true, true, true, false, false])
})

test('each key counts as one read, write or deletion', (t) => {
  const cache = openCache(t)
  cache.setMany([
    ['a', 1],
    ['b', { x: 1 }],
    ['c', 'x\uFFFDy'],
  ])
  cache.getMany(['a', 'none', 'b', 'c', 'a'])
  cache.hasMany(['a', 'none'])
  cache.deleteMany(['a', 'none'])
  t.like(cache.stats(), { sets: 3, hits: 4, misses: 1, deletes: 1 })
})

test('setMany takes the options of set, for all items and for each item', (t) => {
  const cache = openStopped(t, { ttl: '1m' })
  cache.set('kept', 0, 5000)
  const stored = cache.setMany([
    ['default', 1],
    ['own', 2, '2s'],
    ['stale', 3, { ttl: 1000, stale: 1000 }],
    ['tagged', 4, { tags: ['t'] }],
    ['kept', 5, { keepTtl: true }],
    ['over', 6, { expiresAt: Date.now() - 1 }],
  ])
  t.deepEqual(stored, [true, true, true, true, true, false])
  t.deepEqual(
    ['default', 'own', 'stale', 'tagged', 'kept', 'over'].map((key) => cache.ttl(key)),
    [60_000, 2000, 1000, 60_000, 5000, undefined],
  )
  cache.invalidateTags('t')
  advance(cache, 1000)
  t.deepEqual(cache.getMany(['default', 'own', 'stale', 'tagged', 'kept']), [1, 2, undefined, undefined, 5])
  t.is(cache.getEntry('stale', { allowStale: true })?.value, 3)

  cache.setMany([['all', 1]], { ttl: 500, tags: ['t'] })
  t.is(cache.ttl('all'), 500)
  cache.invalidateTags('t')
  t.false(cache.has('all'))
})

test('the last value of a repeated key is kept, also when the first item has to be tried again', (t) => {
  const cache = openCache<number>(t)
  const handle = nativeHandles.get(cache) as { setMany: (...args: unknown[]) => (boolean | undefined)[] } | undefined
  if (handle === undefined) return t.fail()
  const { setMany } = handle
  // As after a shard that was busy for a moment.
  handle.setMany = (...args) => setMany(...args).map((done, i) => (i === 0 ? undefined : done))
  const items: [Key, number][] = [
    ['a', 1],
    ['b', 2],
    [Buffer.from('a'), 3],
    ['c', 4],
  ]
  t.deepEqual(cache.setMany(items), [true, true, true, true])
  t.deepEqual(cache.getMany(['a', 'b', 'c']), [3, 2, 4])
})

test('a hole in an array is refused as a key and as an item', (t) => {
  const cache = openCache(t)
  // oxlint-disable-next-line no-sparse-arrays
  const keys = ['a', , 'b'] as string[]
  for (const call of [() => cache.getMany(keys), () => cache.hasMany(keys), () => cache.deleteMany(keys)]) {
    t.throws(call, { code: 'ERR_INVALID_ARGUMENT' })
  }
  // oxlint-disable-next-line no-sparse-arrays
  t.throws(() => cache.setMany([['a', 1], ,] as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(cache.size, 0)
})

test('code that runs while a list is read does not mix up the results', (t) => {
  const cache = openCache<number>(t)
  cache.set('a', 1)
  cache.set('b', 2)
  const list = ['a', 'b', 'c']
  const proxy = new Proxy(list, {
    get: (target, name) => {
      if (name === '1') cache.get('none')
      return Reflect.get(target, name)
    },
  })
  t.deepEqual(cache.getMany(proxy), [1, 2, undefined])
  t.throws(
    () =>
      cache.getMany(
        (function* (): Generator<string> {
          yield 'a'
          throw new RangeError('mine')
        })(),
      ),
    { instanceOf: RangeError, message: 'mine' },
  )
})
