/**
 * `swap`, `update`, `append`, `incrBigInt`: a read and a write in one step.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('swap stores a value and returns the previous one', (t) => {
  const cache = openCache(t)
  t.is(cache.swap('a', 1), undefined)
  t.is(cache.swap('a', { x: 1 }), 1)
  t.deepEqual(cache.swap('a', Buffer.alloc(200_000, 5)), { x: 1 })
  t.true(isDeepStrictEqual(cache.swap('a', null), Buffer.alloc(200_000, 5)))
  t.is(cache.swap('a', 'end'), null)
  t.is(cache.get('a'), 'end')
  t.is(cache.size, 1)
})

test('swap takes a lifetime, a deadline, a stale window and tags, as set does', (t) => {
  const cache = openStopped(t, { ttl: '1m' })
  cache.set('a', 0, 5000)
  cache.swap('a', 1)
  t.is(cache.ttl('a'), 60_000)
  cache.swap('a', 2, '2s')
  t.is(cache.ttl('a'), 2000)
  cache.swap('a', 3, { ttl: 1000, stale: 1000, tags: ['t'] })
  advance(cache, 1000)
  t.is(cache.swap('a', 4), undefined, 'a stale value counts as none')
  cache.swap('a', 5, { tags: ['t'] })
  cache.invalidateTags('t')
  t.is(cache.swap('a', 6), undefined)
  t.is(cache.swap('a', 7, { expiresAt: Date.now() - 1 }), 6)
  t.false(cache.has('a'))
})

test('update stores what its function returns, and returns it', (t) => {
  const cache = openCache<{ items: number[] }>(t)
  const add = (item: number) => (cart: { items: number[] } | undefined) => ({ items: [...(cart?.items ?? []), item] })
  t.deepEqual(cache.update('cart', add(1)), { items: [1] })
  t.deepEqual(cache.update('cart', add(2)), { items: [1, 2] })
  t.deepEqual(cache.get('cart'), { items: [1, 2] })
})

test('update starts again when another writer was faster', (t) => {
  const cache = openCache<number>(t)
  cache.set('a', 1)
  const seen: (number | undefined)[] = []
  const result = cache.update('a', (value) => {
    seen.push(value)
    if (seen.length === 1) cache.set('a', 10)
    if (seen.length === 2) cache.delete('a')
    return (value ?? 100) + 1
  })
  t.deepEqual(seen, [1, 10, undefined])
  t.is(result, 101)
  t.is(cache.get('a'), 101)
})

test('update keeps deadline, stale window and tags of an entry, and applies ttl and tags to a new entry', (t) => {
  const cache = openStopped<number>(t)
  cache.update('new', () => 1, { ttl: 1000, tags: ['t'] })
  t.is(cache.ttl('new'), 1000)
  cache.set('old', 1, { ttl: 2000, stale: 500, tags: ['t'] })
  cache.update('old', (value) => (value ?? 0) + 1, { ttl: 9000, tags: ['other'] })
  t.is(cache.ttl('old'), 2000)
  cache.invalidateTags('other')
  t.is(cache.get('old'), 2)
  advance(cache, 2000)
  t.false(cache.has('new'))
  t.like(cache.getEntry('old', { allowStale: true }), { value: 2, stale: true })
  cache.invalidateTags('t')
  t.is(cache.getEntry('old', { allowStale: true }), undefined)
})

test('update changes nothing when its function throws or returns undefined', (t) => {
  const cache = openCache<unknown>(t)
  cache.set('a', 1)
  t.throws(
    () =>
      cache.update('a', () => {
        throw new RangeError('mine')
      }),
    { instanceOf: RangeError, message: 'mine' },
  )
  t.throws(() => cache.update('a', () => undefined), { instanceOf: CacheError, code: 'ERR_UNDEFINED_VALUE' })
  t.is(cache.get('a'), 1)
})

test('append extends text by text and bytes by bytes, and returns the length', (t) => {
  const cache = openCache<string | Uint8Array>(t)
  t.is(cache.append('text', 'é'), 1)
  t.is(cache.append('text', '😀'), 3)
  t.is(cache.get('text'), 'é😀')
  t.is(cache.append('text', ''), 3)
  t.is(cache.append('bytes', new Uint8Array([1, 2])), 2)
  t.is(cache.append('bytes', Buffer.from([3])), 3)
  t.deepEqual(cache.get('bytes'), new Uint8Array([1, 2, 3]))
  cache.set('buffer', Buffer.from('a'))
  t.is(cache.append('buffer', new Uint8Array([98])), 2)
  t.deepEqual(cache.get('buffer'), Buffer.from('ab'))
  t.is(cache.append('large', 'x'.repeat(100_000)), 100_000)
  t.is(cache.append('large', 'y'.repeat(100_000)), 200_000)
  t.is((cache.get('large') as string).length, 200_000)
})

test('append keeps deadline and tags, and applies them to a new entry', (t) => {
  const cache = openStopped<string>(t)
  cache.append('log', 'a', { ttl: 1000, tags: ['t'] })
  advance(cache, 400)
  cache.append('log', 'b', { ttl: 9000 })
  t.is(cache.ttl('log'), 600)
  cache.invalidateTags('t')
  t.is(cache.append('log', 'c'), 1)
})

test('append refuses values that do not fit together, and leaves the entry', (t) => {
  const cache = openCache<unknown>(t)
  const cases: [unknown, string | Uint8Array][] = [
    ['text', Buffer.from('x')],
    [Buffer.from('x'), 'text'],
    [5, '6'],
    [null, 'x'],
    [{ a: 1 }, 'x'],
    [new Float64Array(1), new Uint8Array(1)],
  ]
  for (const [value, addition] of cases) {
    cache.set('a', value)
    t.throws(() => cache.append('a', addition), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.true(isDeepStrictEqual(cache.get('a'), value))
  }
  for (const addition of [5, null, undefined, ['x']]) {
    t.throws(() => cache.append('b', addition as never), { code: 'ERR_INVALID_ARGUMENT' })
  }
  t.false(cache.has('b'))
})

test('incrBigInt counts from 0n or init, by any step, beyond 64 bits', (t) => {
  const cache = openCache<bigint>(t)
  t.is(cache.incrBigInt('a'), 1n)
  t.is(cache.incrBigInt('a', -3n), -2n)
  t.is(cache.incrBigInt('a', 2n ** 70n), 2n ** 70n - 2n)
  t.is(cache.get('a'), 2n ** 70n - 2n)
  t.is(cache.incrBigInt('a', -(2n ** 70n)), -2n)
  t.is(cache.incrBigInt('b', 1n, { init: 2n ** 63n - 1n }), 2n ** 63n)
  t.is(cache.incrBigInt('b', 1n, { init: 5n }), 2n ** 63n + 1n)
})

test('incrBigInt clamps, and applies a lifetime only to a new counter', (t) => {
  const cache = openStopped<bigint>(t, { ttl: '1h' })
  t.is(cache.incrBigInt('a', 10n, { max: 3n, ttl: 1000 }), 3n)
  t.is(cache.incrBigInt('a', -10n, { min: -2n, ttl: 9000 }), -2n)
  t.is(cache.ttl('a'), 1000)
  cache.incrBigInt('for ever')
  t.is(cache.ttl('for ever'), Infinity)
  advance(cache, 1000)
  t.is(cache.incrBigInt('a'), 1n)
})

test('incrBigInt refuses wrong arguments and values that are not bigints, and leaves the entry', (t) => {
  const cache = openCache<unknown>(t)
  for (const value of [5, '5', null, { a: 1n }]) {
    cache.set('a', value)
    t.throws(() => cache.incrBigInt('a'), { instanceOf: CacheError, code: 'ERR_NOT_A_NUMBER' })
    t.deepEqual(cache.get('a'), value)
  }
  const wrong: [unknown, unknown?][] = [[1], ['1'], [null], [1n, { init: 1 }], [1n, { min: 2n, max: 1n }], [1n, '5m']]
  for (const [by, options] of wrong) {
    t.throws(() => cache.incrBigInt('b', by as bigint, options as never), { code: 'ERR_INVALID_ARGUMENT' })
  }
  t.false(cache.has('b'))
})
