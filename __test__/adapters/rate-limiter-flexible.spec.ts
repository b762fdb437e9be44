/**
 * cache-machine/rate-limiter-flexible with rate-limiter-flexible.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import * as host from 'rate-limiter-flexible'
import { flexibleLimiter } from '../../lib/adapters/rate-limiter-flexible.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { limitSuite } from './limits.suite.ts'

await limitSuite('rate-limiter-flexible')

function scene(t: ExecutionContext, options: object = {}) {
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  t.teardown(() => cache.close())
  return { cache, clock, limiter: flexibleLimiter(cache, { host, points: 2, duration: 10, ...options }) }
}

test('milliseconds are kept', async (t) => {
  const { limiter, clock } = scene(t, { duration: 1.234 })
  t.is((await limiter.consume('a')).msBeforeNext, 1234)
  clock.advance(34)
  t.like(await limiter.get('a'), { msBeforeNext: 1200, consumedPoints: 1, remainingPoints: 1 })
  clock.advance(1200)
  t.is(await limiter.get('a'), null)
})

test('a duration of 0 counts for ever', async (t) => {
  const { limiter, clock } = scene(t, { duration: 0 })
  t.is((await limiter.consume('a')).msBeforeNext, -1)
  clock.advance('90d')
  t.is((await limiter.consume('a')).consumedPoints, 2)
  await limiter.block('b', 0)
  clock.advance('90d')
  t.like(await limiter.get('b'), { consumedPoints: 3, msBeforeNext: -1 })
})

test('blocks, penalties, rewards and set', async (t) => {
  const { limiter, clock } = scene(t, { blockDuration: 100 })
  await limiter.consume('a', 2)
  t.is(((await t.throwsAsync(limiter.consume('a'), { any: true })) as host.RateLimiterRes).msBeforeNext, 100_000)
  clock.advance(11_000)
  t.is((await limiter.get('a'))?.msBeforeNext, 89_000)
  t.is((await limiter.penalty('b', 2)).consumedPoints, 2)
  t.is((await limiter.reward('b')).consumedPoints, 1)
  await limiter.set('b', 7, 0.5)
  t.like(await limiter.get('b'), { consumedPoints: 7, msBeforeNext: 500 })
  t.true(await limiter.delete('b'))
  t.false(await limiter.delete('b'))
})

test('an insurance takes over when the cache fails', async (t) => {
  const insuranceLimiter = new host.RateLimiterMemory({ points: 2, duration: 10 })
  const { limiter, cache } = scene(t, { insuranceLimiter })
  cache.close()
  t.is((await limiter.consume('a')).consumedPoints, 1)
})

test('it is a store limiter, and has its place in a union', async (t) => {
  const { limiter, cache } = scene(t)
  const other = flexibleLimiter(cache, { host, keyPrefix: 'other', points: 1, duration: 10 })
  const union = new host.RateLimiterUnion(limiter, other)
  await union.consume('a')
  t.like(await t.throwsAsync(union.consume('a'), { any: true }), { other: { consumedPoints: 2 } })
})

test('bad input gets an error that names the fix', (t) => {
  const { cache } = scene(t)
  const options = { points: 1, duration: 1 }
  t.throws(() => flexibleLimiter({} as never, { host, ...options }), { message: /flexibleLimiter takes a cache/ })
  const error = t.throws(() => flexibleLimiter(cache, { host: {} as typeof host, ...options }))
  t.like(error, { code: 'ERR_INVALID_ARGUMENT' })
  t.regex(error.message, /host must be the package rate-limiter-flexible/)
  t.throws(() => flexibleLimiter(cache, { host, points: NaN, duration: 1 }), { message: /points/ })
})
