/**
 * Express with express-rate-limit.
 */
import express from 'express'
import { rateLimit } from 'express-rate-limit'
import type { SharedCache } from '../../../index.ts'
import { expressRateLimitStore } from '../../../lib/adapters/express-rate-limit.ts'
import { APP_LIMIT, APP_WINDOW, WORKER } from './app.ts'

export async function serve(cache: SharedCache): Promise<void> {
  const app = express()
  app.use((_request, response, next) => {
    response.setHeader(WORKER, process.pid)
    next()
  })
  app.use(
    rateLimit({
      windowMs: APP_WINDOW,
      limit: APP_LIMIT,
      store: expressRateLimitStore(cache),
      message: { refused: true },
    }),
  )
  app.get('/', (_request, response) => {
    response.json({})
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', () => resolve()))
}
