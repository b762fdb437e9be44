/**
 * The near cache: a near copy ends at the deadline of its entry.
 */
import { performance } from 'node:perf_hooks'
import test from 'ava'
import { advance } from '../helpers/internals.ts'
import { near, openCounted } from '../helpers/near-cache.ts'
import { counted } from '../helpers/raw-calls.ts'
import { openStopped, segmentName } from '../helpers/segment.ts'

test('a near copy ends at its deadline to the millisecond, without a turn of the event loop', (t) => {
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

test('the clock is read only for entries with a deadline', (t) => {
  const [cache, counts] = openCounted(t)
  cache.set('a', 1)
  cache.set('b', 1, '1h')
  for (let i = 0; i < 10; i++) near(t, cache, counts, 'a')
  t.is(counts['now'], 0)
  near(t, cache, counts, 'b')
  t.true((counts['now'] ?? 0) > 0)
})

test('the real clock ends a near copy inside a synchronous loop', (t) => {
  const [cache, counts] = openCounted(t)
  cache.set('a', 1, 60)
  const end = performance.now() + 2000
  while (cache.get('a') !== undefined && performance.now() < end);
  t.is(cache.get('a'), undefined)
  t.true((counts['now'] ?? 0) > 100)
})

test('a near copy follows a new lifetime, longer or shorter', (t) => {
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
