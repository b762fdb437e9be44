/**
 * `keys`, `entries` and `deletePrefix`: which entries they find, and how often the event loop turns meanwhile.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import type { Key, SharedCache } from '../../index.ts'
import { advance, inTurns, native, problems, walkOver } from '../helpers/internals.ts'
import type { Pace } from '../helpers/internals.ts'
import { listen } from '../helpers/channel-messages.ts'
import { openCache, openStopped, segmentName } from '../helpers/segment.ts'

test('keys come back as they were given: text as text, bytes as bytes', (t) => {
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
  for (const key of found) t.true(cache.has(key), 'each can be used as a key')
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

test('entries come with values of every kind', (t) => {
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

test('expired, stale, invalidated and cleared entries are left out', (t) => {
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

test('a walk counts nothing', (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 100; i++) cache.set(`k${i}`, i)
  const before = cache.stats()
  t.is([...cache.keys()].length, 100)
  t.is([...cache].length, 100)
  t.deepEqual(cache.stats(), before)
})

for (const eviction of ['s3-fifo', 'lru'] as const) {
  test(`${eviction}: a walk changes no order of eviction, other than a read`, (t) => {
    // The first of 100 entries is read, walked over, or neither. Then it is known which of them are evicted.
    const evicted = (use: (cache: SharedCache) => unknown): number[] => {
      const cache = openCache(t, { eviction, near: false })
      for (let i = 0; i < 100; i++) cache.set(`k${i}`, 'x'.repeat(4000))
      for (let times = 0; times < 3; times++) use(cache)
      for (let i = 0; cache.has('k99'); i++) {
        cache.set(`new${i}`, 'x'.repeat(4000))
        if (cache.stats().evictions >= 50) break
      }
      return Array.from({ length: 100 }, (_, i) => i).filter((i) => !cache.has(`k${i}`))
    }
    const first50 = Array.from({ length: 50 }, (_, i) => i)
    t.deepEqual(
      evicted(() => undefined),
      first50,
    )
    t.deepEqual(
      evicted((cache) => [...cache.keys(), ...cache.keys({ prefix: 'k1' })]),
      first50,
    )
    t.deepEqual(
      evicted((cache) => [...cache.entries({ prefix: 'k1' }), ...cache]),
      first50,
    )
    t.false(evicted((cache) => cache.get('k0')).includes(0), 'a read does change it')
  })
}

test('a walk can be broken off and started again, and several walks can run at once', (t) => {
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

test('an entry that is set or deleted during a walk may come or not, and an entry that stays comes once', (t) => {
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

test('deletePrefix deletes the keys with that prefix, and returns their number', (t) => {
  const cache = openStopped(t)
  const own = cache.namespace('own')
  for (let i = 0; i < 1000; i++) cache.set(`user:${i}`, i)
  own.set('user:1', 1)
  cache.set('user', 1)
  cache.set(Buffer.from([0xff, 1]), 1)
  cache.set('user:expired', 1, 10)
  advance(cache, 10)
  t.is(cache.deletePrefix('user:9'), 111)
  t.is(cache.deletePrefix('user:'), 889, 'an expired entry is none')
  t.is(cache.deletePrefix('user:'), 0)
  t.deepEqual([cache.has('user'), own.has('user:1')], [true, true])
  t.is(cache.deletePrefix(new Uint8Array([0xff])), 1)
  t.is(cache.stats({ scope: 'namespace' }).deletes, 1001)
  t.is(cache.size, 1)
  t.deepEqual(problems(cache), [])
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

test('a wrong prefix throws at once', (t) => {
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

/** A clock that each look moves by `step` milliseconds, and the number of turns. */
function paceOf(step: number): Pace & { turns: number } {
  let time = 0
  const pace = {
    turns: 0,
    now: () => (time += step),
    turn: () => {
      pace.turns++
      return Promise.resolve()
    },
  }
  return pace
}

test('an awaited walk lets the event loop turn once a millisecond has passed', async (t) => {
  const steps = function* (): Generator<number | undefined, undefined> {
    for (let i = 0; i < 1000; i++) yield i % 2 === 0 ? i : undefined
  }
  for (const [step, turns] of [
    [0, 0],
    [0.25, 199], // three steps pass, and the fourth look finds a millisecond: five looks for each turn
    [1, 1000],
  ] as const) {
    const pace = paceOf(step)
    const found: number[] = []
    for await (const item of walkOver(steps(), undefined, pace)) found.push(item)
    t.is(found.length, 500)
    t.true(Math.abs(pace.turns - turns) <= 51, `${step} ms a step: ${pace.turns} turns`)
    t.is([...walkOver(steps(), undefined, pace)].length, 500)
    let count = 0
    for await (const item of inTurns(steps(), undefined, paceOf(step))) count += item % 2
    t.is(count, 0)
  }
})

/** Counts the turns of the event loop during `run`, and the calls of a native function. */
async function turnsDuring(run: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  await run()
  isOver = true
  return turns
}

test.serial('other callbacks run during a walk over a cache that is awaited, and none during another', async (t) => {
  const cache = openCache(t, { size: '64mb' })
  const COUNT = 30_000
  cache.setMany(Array.from({ length: COUNT }, (_, i) => [`k${i}`, i]))
  const { now } = performance
  let time = 0
  t.teardown(() => (performance.now = now))
  // Each look at the clock takes a tenth of a millisecond, so ten steps make a turn.
  performance.now = () => (time += 0.1)
  const walks: Record<string, () => Promise<number>> = {
    keys: async () => {
      let count = 0
      for await (const key of cache.keys()) count += Number(typeof key === 'string')
      return count
    },
    entries: async () => {
      let count = 0
      for await (const [, value] of cache) count += Number(typeof value === 'number')
      return count
    },
  }
  for (const [name, walk] of Object.entries(walks)) {
    let count = 0
    const turns = await turnsDuring(async () => (count = await walk()))
    t.is(count, COUNT, name)
    t.true(turns > COUNT / 20, `${name}: ${turns} turns`)
  }
  const without = await turnsDuring(() => Promise.resolve([...cache.keys()]))
  t.true(without <= 2, `${without} turns`)
})

test.serial('a native call of a walk has a bounded part of the index, also if nothing is found', async (t) => {
  const cache = openCache(t, { size: '64mb' })
  cache.setMany(Array.from({ length: 30_000 }, (_, i) => [`k${i}`, i]))
  const spy = native as { keys: unknown; deletePrefix: unknown }
  const { keys, deletePrefix } = native
  let calls = 0
  t.teardown(() => Object.assign(spy, { keys, deletePrefix }))
  spy.keys = (...args: Parameters<typeof keys>) => (calls++, keys(...args))
  spy.deletePrefix = (...args: Parameters<typeof deletePrefix>) => (calls++, deletePrefix(...args))
  // 30,000 entries are in at least 4,286 lines of 7, and a call reads at most 1,024 of them.
  t.deepEqual([...cache.keys({ prefix: 'none' })], [])
  t.true(calls >= 5, `${calls} calls`)
  calls = 0
  t.is(await cache.deletePrefixAsync('none'), 0)
  t.true(calls >= 5, `${calls} calls`)
  calls = 0
  t.is(await cache.deletePrefixAsync('k'), 30_000)
  t.true(calls >= 25, `${calls} calls`)
  t.is(cache.size, 0)
  t.deepEqual(problems(cache), [])
})

test('deletePrefixAsync deletes what deletePrefix does', async (t) => {
  const cache = openCache(t)
  const other = cache.namespace('other')
  for (const store of [cache, other]) {
    store.setMany(Array.from({ length: 5000 }, (_, i) => [`a:${i}`, i]))
    store.set('b', 1)
  }
  const told = listen(t, cache.name, 'delete')
  t.is(await cache.deletePrefixAsync('a:'), 5000)
  t.is(await other.deletePrefixAsync('a:4'), 1111)
  t.deepEqual(
    told.map(([, message]) => message.count),
    [5000, 1111],
  )
  t.deepEqual([...cache.keys()], ['b'])
  t.is([...other.keys()].length, 3890)
})

test('a signal ends deletePrefixAsync', async (t) => {
  const cache = openCache(t, { size: '64mb' })
  // So many that no machine deletes them before the first turn of the event loop, which comes after a millisecond.
  const count = 100_000
  cache.setMany(Array.from({ length: count }, (_, i) => [`a:${i}`, i]))
  cache.set('b', 1)
  const controller = new AbortController()
  const deletion = cache.deletePrefixAsync('a:', { signal: controller.signal })
  controller.abort(new Error('enough'))
  await t.throwsAsync(deletion, { message: 'enough' })
  const left = [...cache.keys()].length
  t.true(left > 1 && left < count + 1, `${left} keys are left`)
  await t.throwsAsync(cache.deletePrefixAsync('a:', { signal: controller.signal }), { message: 'enough' })
  t.is([...cache.keys()].length, left)
  await t.throwsAsync(cache.deletePrefixAsync(''), { code: 'ERR_INVALID_ARGUMENT' })
  await t.throwsAsync(cache.deletePrefixAsync('a', { signal: {} as never }), { code: 'ERR_INVALID_ARGUMENT' })
})

test('an awaited walk meets each entry that stays exactly once, whatever happens in between', async (t) => {
  const cache = openCache(t, { size: '64mb' })
  const names = Array.from({ length: 5000 }, (_, i) => `stays ${i}`)
  cache.setMany(names.map((name) => [name, 0]))
  const met: Key[] = []
  let number = 0
  for await (const key of cache.keys()) {
    if (String(key).startsWith('stays')) met.push(key)
    // Other entries come, so that the index is divided; these are replaced and touched.
    for (let i = 0; i < 5; i++) cache.set(`new ${number++ % 20_000}`, number)
    cache.set(names[number % names.length] as string, number)
    cache.touch(names[(number * 7) % names.length] as string, '1h')
    if (number % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  t.deepEqual(met.toSorted(), names.toSorted())
})

test('an awaited walk ends with its segment, and rejects after close', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const fill = (): boolean[] => cache.setMany(Array.from({ length: 5000 }, (_, i) => [`a:${i}`, i]))
  fill()
  const walk = cache.keys()[Symbol.asyncIterator]()
  t.false((await walk.next()).done)
  segments.destroy(name, { force: true })
  let more = 0
  while (!(await walk.next()).done) more++
  t.true(more < 4999, `${more} keys of the destroyed segment`)
  fill()
  const closed = cache.entries()[Symbol.asyncIterator]()
  t.false((await closed.next()).done)
  const deletion = cache.deletePrefixAsync('a:')
  cache.close()
  await t.throwsAsync(
    (async () => {
      while (!(await closed.next()).done);
    })(),
    { code: 'ERR_CLOSED' },
  )
  await t.throwsAsync(deletion, { code: 'ERR_CLOSED' })
})
