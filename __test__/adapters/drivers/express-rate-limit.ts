import { rateLimit } from 'express-rate-limit'
import type { SharedCache } from '../../../index.ts'
import { expressRateLimitStore } from '../../../lib/adapters/express-rate-limit.ts'
import { LIMIT, WINDOW } from '../limit-driver.ts'
import type { Hit, LimitDriver } from '../limit-driver.ts'

type Call = Parameters<ReturnType<typeof rateLimit>>

export function driver(cache: SharedCache, prefix = 'first'): LimitDriver {
  const middleware = rateLimit({
    windowMs: WINDOW,
    limit: LIMIT,
    store: expressRateLimitStore(cache, { prefix }),
    keyGenerator: (request) => String(request.headers['key']),
    legacyHeaders: false,
    validate: false,
  })
  return {
    hit: (key) =>
      new Promise<Hit>((resolve, reject) => {
        // As much of a request and a response as the host uses.
        const request = { headers: { key } } as unknown as Call[0] & { rateLimit: { used: number } }
        const answered = (allowed: boolean) => resolve({ allowed, hits: request.rateLimit.used })
        const response = { status: () => response, send: () => answered(false), writableEnded: false }
        const next = (error?: unknown) => (error === undefined ? answered(true) : reject(error))
        Promise.resolve(middleware(request, response as unknown as Call[1], next)).catch(reject)
      }),
    reset: async (key) => middleware.resetKey(key),
    other: () => driver(cache, 'second'),
  }
}
