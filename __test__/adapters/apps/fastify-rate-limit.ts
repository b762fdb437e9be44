/**
 * Fastify with @fastify/rate-limit.
 */
import rateLimit from '@fastify/rate-limit'
import fastify from 'fastify'
import type { SharedCache } from '../../../index.ts'
import { fastifyRateLimitStore } from '../../../lib/adapters/fastify-rate-limit.ts'
import { APP_LIMIT, APP_WINDOW, WORKER } from './app.ts'

export async function serve(cache: SharedCache): Promise<void> {
  const app = fastify()
  app.addHook('onRequest', async (_request, reply) => {
    reply.header(WORKER, process.pid)
  })
  await app.register(rateLimit, { max: APP_LIMIT, timeWindow: APP_WINDOW, store: fastifyRateLimitStore(cache) })
  app.get('/', () => ({}))
  await app.listen({ port: 0, host: '127.0.0.1' })
}
