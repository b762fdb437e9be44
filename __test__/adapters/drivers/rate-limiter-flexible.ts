import * as host from 'rate-limiter-flexible'
import type { SharedCache } from '../../../index.ts'
import { flexibleLimiter } from '../../../lib/adapters/rate-limiter-flexible.ts'
import { LIMIT, WINDOW } from '../limit-driver.ts'
import type { LimitDriver } from '../limit-driver.ts'

export function driver(cache: SharedCache, keyPrefix = 'first'): LimitDriver {
  const limiter = flexibleLimiter(cache, { host, keyPrefix, points: LIMIT, duration: WINDOW / 1000 })
  return {
    async hit(key) {
      const [allowed, result] = await limiter.consume(key).then(
        (accepted) => [true, accepted] as const,
        (refused: unknown) => [false, refused] as const,
      )
      if (!(result instanceof host.RateLimiterRes)) throw result
      return { allowed, hits: result.consumedPoints }
    },
    reset: (key) => limiter.delete(key),
    other: () => driver(cache, 'second'),
  }
}
