import test from 'ava'
import { advance } from '../lib/testing.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'

test('clear empties the cache at once', (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 1000; i++) cache.set(`k${i}`, i)
  t.is(cache.size, 1000)
  cache.clear()
  t.is(cache.size, 0)
  for (let i = 0; i < 1000; i++) t.true(cache.get(`k${i}`) === undefined)
  t.false(cache.delete('k1'))
  t.true(cache.add('k1', 'new'))
  t.is(cache.size, 1)
})

test('clear is seen by other processes when it has returned', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  cache.set('a', 1)
  t.deepEqual(await child.ask(['get', 'a']), { value: 1 })
  cache.clear()
  t.deepEqual(await child.ask(['get', 'a']), { value: undefined })
  t.deepEqual(await child.ask(['size']), { value: 0 })
  await child.ask(['set', 'a', 2])
  t.is(cache.get('a'), 2)
})

test('what was cleared makes room', (t) => {
  const cache = openCache(t, { eviction: 'none' })
  const value = Buffer.alloc(100_000)
  const fill = (): number => {
    for (let i = 0; ; i++) if (!cache.set(`k${i}`, value)) return i
  }
  const first = fill()
  t.true(first > 10)
  cache.clear()
  t.is(cache.size, 0)
  const second = fill()
  t.true(second >= first - 1, `${first} entries fit, and ${second} after clear`)
})

test('clear can be called very often', (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 5000; i++) {
    cache.set('a', i)
    cache.clear()
    if (cache.get('a') !== undefined) t.fail(`at ${i}`)
  }
  cache.set('a', 'last')
  t.is(cache.get('a'), 'last')
})

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

test('stats count what happened, in all handles together', (t) => {
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

test('an expired entry is swept, counted and gives back its room, also when nobody asks for it', async (t) => {
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

test('used bytes follow the entries and never exceed the capacity', (t) => {
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

test('memory is taken as the cache fills', (t) => {
  const cache = openCache(t, { size: '256mb' })
  t.true(cache.stats().reservedBytes < 64 * 2 ** 20)
})
