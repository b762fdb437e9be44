/**
 * cache-machine/express-rate-limit with express-rate-limit.
 */
import test from 'ava'
import { expressRateLimitStore } from '../../lib/adapters/express-rate-limit.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { limitSuite } from './limits.suite.ts'

await limitSuite('express-rate-limit')

function scene(prefix?: string) {
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  const store = expressRateLimitStore(cache, { prefix })
  store.init({ windowMs: 1500 })
  return { cache, clock, store }
}

test('counts are shared, and the store says so', (t) => {
  const { store } = scene('login')
  t.is(store.localKeys, false)
  t.is(store.prefix, 'login')
})

test('get answers without a hit', async (t) => {
  const { store } = scene()
  t.is(await store.get('a'), undefined)
  await store.increment('a')
  t.is((await store.get('a'))?.totalHits, 1)
  t.is((await store.get('a'))?.totalHits, 1)
  t.true((await store.get('a'))?.resetTime instanceof Date)
})

test('decrement takes a hit back, never below 0 and never outside a window', async (t) => {
  const { store, clock, cache } = scene()
  await store.increment('a')
  await store.decrement('a')
  await store.decrement('a')
  t.is((await store.get('a'))?.totalHits, 0)
  clock.advance(1500)
  await store.decrement('a')
  t.is(await store.get('a'), undefined)
  t.is(cache.size, 0)
})

test('a hit that is taken back does not move the end of the window', async (t) => {
  const { store, clock } = scene()
  await store.increment('a')
  clock.advance(1000)
  await store.decrement('a')
  clock.advance(500)
  t.is((await store.increment('a')).totalHits, 1)
})

test('resetAll ends the windows of its prefix only', async (t) => {
  const { store, cache } = scene()
  const other = expressRateLimitStore(cache, { prefix: 'other' })
  await store.increment('a')
  await other.increment('a')
  await store.resetAll()
  t.is(await store.get('a'), undefined)
  t.is((await other.get('a'))?.totalHits, 1)
})
