/**
 * cache-machine/fastify-rate-limit with @fastify/rate-limit.
 */
import rateLimit from '@fastify/rate-limit'
import type { RateLimitPluginOptions } from '@fastify/rate-limit'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import fastify from 'fastify'
import { fastifyRateLimitStore } from '../../../lib/adapters/fastify-rate-limit.ts'
import { createTestCache, createTestClock } from '../../../testing.ts'
import { limitSuite } from '../limits.suite.ts'

await limitSuite('fastify-rate-limit')

/** A real application; requests are injected. */
async function scene(t: ExecutionContext, options: RateLimitPluginOptions) {
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  const app = fastify()
  t.teardown(async () => {
    await app.close()
    cache.close()
  })
  await app.register(rateLimit, { max: 1, timeWindow: 1500, store: fastifyRateLimitStore(cache), ...options })
  app.get('/', () => ({}))
  app.get('/own', { config: { rateLimit: { max: 2 } } }, () => ({}))
  const status = async (url: string): Promise<number> => (await app.inject(url)).statusCode
  return { cache, clock, app, status }
}

test('a route with its own options counts apart', async (t) => {
  const { status } = await scene(t, {})
  const answers = []
  for (const url of ['/', '/', '/own', '/own', '/own']) answers.push(await status(url))
  t.deepEqual(answers, [200, 429, 200, 200, 429])
})

test('continueExceeding begins the window again with each refused hit', async (t) => {
  const { status, clock } = await scene(t, { continueExceeding: true })
  await status('/')
  clock.advance(1000)
  t.is(await status('/'), 429)
  clock.advance(1000)
  t.is(await status('/'), 429)
  clock.advance(1500)
  t.is(await status('/'), 200)
})

test('exponentialBackoff doubles the window with each refused hit', async (t) => {
  const { status, clock } = await scene(t, { exponentialBackoff: true })
  await status('/')
  for (let i = 0; i < 3; i++) t.is(await status('/'), 429)
  clock.advance(4 * 1500 - 1)
  t.is(await status('/'), 429)
  clock.advance(8 * 1500)
  t.is(await status('/'), 200)
})

test('a failing segment fails the request, or lets it through with skipOnError', async (t) => {
  const strict = await scene(t, {})
  strict.cache.failNext('ERR_BUSY', { on: 'write' })
  t.is(await strict.status('/'), 500)
  t.is(await strict.status('/'), 200)
  const lenient = await scene(t, { skipOnError: true })
  lenient.cache.failNext('ERR_BUSY', { on: 'write' })
  t.is(await lenient.status('/'), 200)
})

test('a look without a hit, and a window of 0', async (t) => {
  const { app } = await scene(t, { max: 5 })
  const look = app.createRateLimit()
  // oxlint-disable-next-line oxc/no-async-endpoint-handlers -- Fastify handles promises.
  app.get('/look', { config: { rateLimit: false } }, async (request) => look(request, { increment: false }))
  t.like((await app.inject('/look')).json(), { remaining: 5, ttl: 0 })
  await app.inject('/')
  t.like((await app.inject('/look')).json(), { remaining: 4, ttl: 1500 })
  t.like((await app.inject('/look')).json(), { remaining: 4, ttl: 1500 })
  const { status } = await scene(t, { timeWindow: 0 })
  t.deepEqual([await status('/'), await status('/')], [200, 200])
})
