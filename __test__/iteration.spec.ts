/**
 * keys, entries and deletePrefix: what they find, and what others may do meanwhile.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError, segments } from '../index.ts'
import type { Key } from '../index.ts'
import { advance, problems } from '../lib/testing.ts'
import type { Rewriter } from './children/rewriter.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'

test('keys come as they were given: text as text, bytes as bytes', (t) => {
  const cache = openCache(t)
  const keys: Key[] = ['a', 'é€😀', '\uFEFF', '__proto__', 'x\uFFFDy', new Uint8Array([0xff, 0]), Buffer.from('bytes')]
  for (const key of keys) cache.set(key, 1)
  const found = [...cache.keys()]
  t.is(found.length, keys.length)
  for (const key of keys) {
    const as = typeof key === 'string' ? key : Uint8Array.from(key)
    t.true(
      found.some((other) => isDeepStrictEqual(typeof other === 'string' ? other : Uint8Array.from(other), as)),
      String(key),
    )
  }
  for (const key of found) t.true(cache.has(key), 'and each is a key to be asked for')
})

test('a prefix is text or bytes, and may be a key itself', (t) => {
  const cache = openCache(t)
  for (const key of ['user', 'user:1', 'user:é', 'use', 'User:1', Buffer.from([0xff, 1]), Buffer.from([0xff])]) {
    cache.set(key, 1)
  }
  const byPrefix = (prefix: Key): number => [...cache.keys({ prefix })].length
  t.deepEqual([...cache.keys({ prefix: 'user' })].toSorted(), ['user', 'user:1', 'user:é'])
  t.deepEqual([...cache.keys({ prefix: 'user:é' })], ['user:é'])
  t.is(byPrefix(Buffer.from('user:').subarray(0, 5)), 2)
  t.is(byPrefix(Buffer.from('user:\xC3', 'latin1')), 1, 'half a character of UTF-8')
  t.is(byPrefix(new Uint8Array([0xff])), 2)
  t.is(byPrefix(''), 7)
  t.is(byPrefix('none'), 0)
  t.is(byPrefix('x'.repeat(10_000)), 0)
})

test('entries have their values, of every kind', (t) => {
  const cache = openCache(t)
  const values = new Map<Key, unknown>([
    ['text', 'x'],
    ['null', null],
    ['map', new Map([['a', new Date(1)]])],
    ['large', Buffer.alloc(200_000, 3)],
    ['user:1', { name: 'Ada' }],
  ])
  for (const [key, value] of values) cache.set(key, value)
  t.true(isDeepStrictEqual(new Map(cache.entries()), values))
  t.true(isDeepStrictEqual(new Map(cache), values))
  t.deepEqual([...cache.entries({ prefix: 'user:' })], [['user:1', { name: 'Ada' }]])
})

test('what is dead is left out', (t) => {
  const cache = openStopped(t)
  cache.set('expired', 1, 10)
  cache.set('stale', 1, { ttl: 10, stale: 1000 })
  cache.set('tagged', 1, { tags: ['t'] })
  cache.set('lives', 1)
  advance(cache, 10)
  cache.invalidateTags('t')
  t.deepEqual([...cache.keys()], ['lives'])
  t.deepEqual([...cache], [['lives', 1]])
  cache.clear()
  t.deepEqual([...cache.keys()], [])
})

test('walking counts nothing and keeps nothing from being evicted', (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 100; i++) cache.set(`k${i}`, i)
  const before = cache.stats()
  t.is([...cache.keys()].length, 100)
  t.is([...cache].length, 100)
  t.deepEqual(cache.stats(), before)
})

test('a walk may be broken off, begun again, and several at once', (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 2000; i++) cache.set(`k${i}`, i)
  for (const key of cache.keys()) {
    t.truthy(key)
    break
  }
  const walks = [cache.keys(), cache.keys({ prefix: 'k1' }), cache.entries()] as IterableIterator<unknown>[]
  const seen = walks.map(() => new Set<string>())
  let open = true
  while (open) {
    open = false
    walks.forEach((walk, i) => {
      const { value, done } = walk.next()
      if (done) return
      open = true
      seen[i]?.add(String(value))
    })
  }
  t.deepEqual(
    seen.map((each) => each.size),
    [2000, 1111, 2000],
  )
})

test('while a walk pauses, nobody is held up: other processes write, clear and invalidate', async (t) => {
  const name = segmentName(t)
  const cache = openCache<number>(t, { name })
  for (let i = 0; i < 3000; i++) cache.set(`k${i}`, i, { tags: ['t'] })
  const child = fork(t, 'operations', { name, size: SMALL, writeTimeout: 1 })
  await child.next()
  const walk = cache.entries()
  t.false(walk.next().done)
  const { lockWaits } = cache.stats()
  const items = Array.from({ length: 3000 }, (_, i) => [`k${i}`, -i])
  t.deepEqual(await child.ask(['setMany', items]), { value: items.map(() => true) })
  t.deepEqual(await child.ask(['deletePrefix', 'k2']), { value: 1111 })
  t.deepEqual(await child.ask(['invalidateTags', 't']), { value: undefined })
  t.is(cache.stats().lockWaits, lockWaits, 'nobody waited for a lock')
  t.false(walk.next().done)
  t.deepEqual(await child.ask(['clear']), { value: undefined })
  t.deepEqual([...walk], [], 'what was cleared is not met any more')
})

test('entries that are set or deleted meanwhile may come or not; those that stay come once', (t) => {
  const cache = openCache<number>(t)
  for (let i = 0; i < 1000; i++) cache.set(`stays ${i}`, i)
  const met = new Map<Key, number>()
  let i = 0
  for (const key of cache.keys()) {
    met.set(key, (met.get(key) ?? 0) + 1)
    cache.set(`new ${i}`, i)
    cache.delete(`new ${i - 2}`)
    cache.set(`stays ${i % 1000}`, -i)
    i++
  }
  for (let n = 0; n < 1000; n++) t.is(met.get(`stays ${n}`), 1)
  t.true([...met.values()].every((times) => times === 1))
})

test.serial('what stays put comes exactly once in each walk while four processes write', async (t) => {
  t.timeout(60_000)
  const KEPT = 2000
  const name = segmentName(t)
  const cache = openCache<string>(t, { name })
  cache.setMany(Array.from({ length: KEPT }, (_, i) => [`kept:${i}`, 'x']))
  const writers = [0, 1, 2, 3].map((me) =>
    fork(t, 'rewriter', { name, size: SMALL, me, kept: KEPT } satisfies Rewriter),
  )
  await Promise.all(writers.map((child) => child.next()))
  const before = cache.stats().sets
  let others = 0
  for (let walk = 0; walk < 30; walk++) {
    const met = new Map<Key, number>()
    for (const [key, value] of walk % 2 === 0 ? cache.entries() : cache.entries({ prefix: 'kept:' })) {
      met.set(key, (met.get(key) ?? 0) + 1)
      if (!/^x*$/.test(value)) t.fail(`${String(key)} has another's value`)
    }
    for (let i = 0; i < KEPT; i++) {
      if (met.get(`kept:${i}`) !== 1) t.fail(`walk ${walk}: kept:${i} came ${met.get(`kept:${i}`) ?? 0} times`)
    }
    others += met.size - KEPT
    // The writers need the processor, too.
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.true(others > 1000, `${others} others met`)
  t.true(cache.stats().sets > before + 1000, 'they wrote meanwhile')
  t.is(cache.stats().evictions, 0)
  for (const child of writers) {
    child.kill()
    await child.exit
  }
  t.deepEqual(problems(cache), [])
})

test('deletePrefix deletes what starts with it, and tells how many there were', (t) => {
  const cache = openStopped(t)
  const own = cache.namespace('own')
  for (let i = 0; i < 1000; i++) cache.set(`user:${i}`, i)
  own.set('user:1', 1)
  cache.set('user', 1)
  cache.set(Buffer.from([0xff, 1]), 1)
  cache.set('user:expired', 1, 10)
  advance(cache, 10)
  t.is(cache.deletePrefix('user:9'), 111)
  t.is(cache.deletePrefix('user:'), 889, 'one that has expired was no entry')
  t.is(cache.deletePrefix('user:'), 0)
  t.deepEqual([cache.has('user'), own.has('user:1')], [true, true])
  t.is(cache.deletePrefix(new Uint8Array([0xff])), 1)
  t.is(cache.stats({ scope: 'namespace' }).deletes, 1001)
  t.is(cache.size, 1)
  t.deepEqual(problems(cache), [])
})

test('another process sees what a prefix has deleted when the call has returned', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  await child.ask(['setMany', Array.from({ length: 500 }, (_, i) => [`k${i}`, i])])
  t.is(cache.deletePrefix('k'), 500)
  t.deepEqual(await child.ask(['size']), { value: 0 })
  t.deepEqual(await child.ask(['get', 'k1']), { value: undefined })
})

test('a walk ends with the segment in which it began, and throws once the cache is closed', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const fill = (): void => {
    for (let i = 0; i < 2000; i++) cache.set(`k${i}`, i)
  }
  fill()
  const walk = cache.keys()
  walk.next()
  segments.destroy(name, { force: true })
  fill()
  const rest = [...walk]
  t.true(rest.length < 600, `${rest.length} more of the page that was there`)
  t.is([...cache.keys()].length, 2000)
  const other = cache.keys()
  other.next()
  cache.close()
  t.throws(() => [...other], { instanceOf: CacheError, code: 'ERR_CLOSED' })
})

test('what can be no prefix throws at once', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  for (const prefix of [5, null, {}, ['a'], '\uD800', Symbol('a')]) {
    t.throws(() => cache.keys({ prefix: prefix as Key }), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.entries({ prefix: prefix as Key }), { code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.deletePrefix(prefix as Key), { code: 'ERR_INVALID_ARGUMENT' })
  }
  for (const prefix of ['', Buffer.alloc(0), undefined]) {
    t.throws(() => cache.deletePrefix(prefix as Key), { code: 'ERR_INVALID_ARGUMENT' })
  }
  for (const options of [null, 'a', 5]) {
    t.throws(() => cache.keys(options as never), { code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.entries(options as never), { code: 'ERR_INVALID_ARGUMENT' })
  }
  t.true(cache.has('a'))
})
