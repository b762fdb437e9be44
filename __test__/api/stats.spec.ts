/**
 * `size` and `stats`: what counts and what does not.
 */
import { statSync } from 'node:fs'
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped, segmentName } from '../helpers/segment.ts'

test('size counts entries, not writes', (t) => {
  const cache = openCache(t)
  t.is(cache.size, 0)
  cache.set('a', 1)
  cache.set('a', 2)
  cache.set('b', 1)
  cache.incr('c')
  t.is(cache.size, 3)
  cache.delete('a')
  cache.take('b')
  t.is(cache.size, 1)
})

test('stats cover the calls of all handles', (t) => {
  const name = segmentName(t)
  const cache = openStopped(t, { name })
  const other = openCache(t, { name })
  cache.set('a', 1)
  other.set('b', 1, 1000)
  cache.get('a')
  other.get('a')
  other.get('none')
  cache.delete('a')
  advance(cache, 1000)
  t.is(cache.get('b'), undefined)
  const stats = cache.stats()
  t.like(stats, { sets: 2, hits: 2, misses: 2, deletes: 1, evictions: 0, damaged: 0, repairs: 0, busy: 0 })
  t.like(stats, { processes: 1, degradedReads: 0 })
  t.deepEqual({ ...other.stats() }, { ...stats })
})

test('an expired entry is swept, counted and gives back its room, also without a read', async (t) => {
  const cache = openStopped(t)
  const empty = cache.stats()
  cache.set('a', 'x'.repeat(1000), 1000)
  cache.set('b', 1)
  const { usedBytes } = cache.stats()
  advance(cache, 1000)
  await eventually('the sweep', () => cache.stats().expirations === 1)
  t.is(cache.size, 1)
  t.true(cache.stats().usedBytes < usedBytes && cache.stats().usedBytes > empty.usedBytes)
})

test('usedBytes follows the entries and never exceeds the capacity', (t) => {
  const cache = openCache(t)
  const empty = cache.stats()
  cache.set('a', Buffer.alloc(100_000))
  const full = cache.stats()
  t.true(full.usedBytes - empty.usedBytes >= 100_000)
  t.true(full.usedBytes - empty.usedBytes < 110_000)
  t.true(full.usedBytes <= full.capacityBytes)
  t.true(full.reservedBytes >= full.usedBytes)
  cache.delete('a')
  t.is(cache.stats().usedBytes, empty.usedBytes)
})

onNative('a file')('memory is reserved as the cache fills', (t) => {
  const cache = openCache(t, { size: '256mb' })
  const { path } = segments.inspect(cache.name) ?? { path: '' }
  const allocated = (): number => statSync(path).blocks * 512
  const empty = cache.stats()
  t.true(empty.reservedBytes < 18 * 2 ** 20, `${empty.reservedBytes}`)
  t.is(empty.reservedBytes, allocated())
  const value = Buffer.alloc(2 ** 20)
  let before = empty.reservedBytes
  for (let step = 0; step < 5; step++) {
    for (let i = 0; i < 20; i++) cache.set(`${step} ${i}`, value)
    const { reservedBytes, usedBytes } = cache.stats()
    t.true(reservedBytes > before, 'more values take more memory')
    t.true(reservedBytes >= usedBytes)
    t.is(reservedBytes, allocated())
    t.true(reservedBytes - empty.reservedBytes < 2 * (usedBytes - empty.usedBytes), `${reservedBytes} for ${usedBytes}`)
    before = reservedBytes
  }
  cache.clear()
  t.is(cache.stats().reservedBytes, before, 'it is not given back')
})

test('reads, walks and invalidations of an empty segment allocate nothing', (t) => {
  const cache = openCache(t, { size: '64mb' })
  const { reservedBytes } = cache.stats()
  t.true(reservedBytes < 6 * 2 ** 20, `${reservedBytes}`)
  for (let i = 0; i < 2000; i++) cache.get(`none ${i}`)
  t.deepEqual([...cache.keys()], [])
  cache.deletePrefix('none')
  cache.clear()
  cache.invalidateTags(['none'])
  t.is(cache.stats().reservedBytes, reservedBytes)
})

test('the bytes of cleared entries are in use until a sweep, which leaves exactly none', async (t) => {
  const cache = openCache(t)
  const empty = cache.stats().usedBytes
  const part = cache.namespace('part')
  for (let i = 0; i < 1000; i++) cache.set(`key ${i}`, 'x'.repeat(i))
  const alone = cache.stats().usedBytes
  for (let i = 0; i < 1000; i++) part.set(`key ${i}`, 'x'.repeat(i))
  part.clear()
  t.is(part.size, 0)
  await eventually('the sweep of the namespace', () => cache.stats().usedBytes === alone)
  cache.clear()
  t.is(cache.size, 0)
  await eventually('the sweep', () => cache.stats().usedBytes === empty)
})

test('reads without a trace are not counted', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 1000)
  cache.peek('a')
  cache.peek('none')
  cache.has('a')
  cache.hasMany(['a', 'none'])
  cache.ttl('a')
  cache.touch('a', 2000)
  void [...cache]
  t.like(cache.stats(), { hits: 0, misses: 0, sets: 1 })
  cache.get('a')
  cache.getEntry('a')
  cache.take('a')
  cache.take('a')
  t.like(cache.stats(), { hits: 3, misses: 1, deletes: 1 })
})

test('lock waits are in buckets that double from 1 µs on, and the last bucket has no limit', (t) => {
  const { lockWaitTimes } = openCache(t).stats()
  t.is(lockWaitTimes.length, 24)
  t.deepEqual(
    lockWaitTimes.slice(0, -1).map(({ below }) => below),
    Array.from({ length: 23 }, (_, i) => 0.001 * 2 ** i),
  )
  t.is(lockWaitTimes.at(-1)?.below, Infinity)
  t.true(
    lockWaitTimes.every(({ count }) => count === 0),
    'no write has waited',
  )
})

test('stats refuses a wrong scope', (t) => {
  const cache = openCache(t)
  for (const options of [null, 'segment', 5, { scope: 'all' }, { scope: null }]) {
    t.throws(() => cache.stats(options as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
})
