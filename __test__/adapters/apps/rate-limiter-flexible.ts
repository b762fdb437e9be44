/**
 * Express with rate-limiter-flexible in a middleware.
 */
import express from 'express'
import * as host from 'rate-limiter-flexible'
import type { SharedCache } from '../../../index.ts'
import { flexibleLimiter } from '../../../lib/adapters/rate-limiter-flexible.ts'
import { APP_LIMIT, APP_WINDOW, WORKER } from './app.ts'

export async function serve(cache: SharedCache): Promise<void> {
  const limiter = flexibleLimiter(cache, { host, points: APP_LIMIT, duration: APP_WINDOW / 1000 })
  const app = express()
  app.get('/', (request, response) => {
    response.setHeader(WORKER, process.pid)
    const refuse = (reason: unknown) => {
      response.status(reason instanceof host.RateLimiterRes ? 429 : 500).json({})
    }
    limiter.consume(request.ip ?? '').then((result) => response.json(result), refuse)
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', () => resolve()))
}
