import type { SharedCache } from '../../../index.ts'
import { fastifyRateLimitStore } from '../../../lib/adapters/fastify-rate-limit.ts'
import type { CurrentHits, FastifyRateLimitStore } from '../../../lib/adapters/fastify-rate-limit.ts'
import { LIMIT, WINDOW } from '../limit-driver.ts'
import type { LimitDriver } from '../limit-driver.ts'

/** Calls the store as the host does. Its applications in `apps/` and its own suite call it through the host. */
export function driver(cache: SharedCache): LimitDriver {
  return driverOf(new (fastifyRateLimitStore(cache))({}))
}

function driverOf(store: FastifyRateLimitStore): LimitDriver {
  return {
    async hit(key) {
      const { current } = await new Promise<CurrentHits>((resolve, reject) => {
        store.incr(key, (error, result) => (error ? reject(error) : resolve(result as CurrentHits)), WINDOW, LIMIT)
      })
      return { allowed: current <= LIMIT, hits: current }
    },
    other: () => driverOf(store.child({ routeInfo: { method: 'GET', url: '/other' } })),
  }
}
