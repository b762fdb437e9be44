import type { SharedCache } from '../../../index.ts'
import { nestThrottlerStorage } from '../../../lib/adapters/nest-throttler.ts'
import { LIMIT, WINDOW } from '../limit-driver.ts'
import type { LimitDriver } from '../limit-driver.ts'

/** Calls the storage as the host does. Its application in `apps/` calls it through the host. */
export function driver(cache: SharedCache, name = 'first'): LimitDriver {
  const storage = nestThrottlerStorage(cache)
  return {
    async hit(key) {
      const { totalHits, isBlocked } = await storage.increment(key, WINDOW, LIMIT, 0, name)
      return { allowed: !isBlocked, hits: totalHits }
    },
    other: () => driver(cache, 'second'),
  }
}
