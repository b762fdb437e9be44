import type { SharedCache } from '../../../index.ts'
import { LRUCache } from '../../../lib/adapters/lru-cache.ts'
import { strict } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = { ...strict, loads: true }

type Load = () => Promise<unknown>

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const lru = new LRUCache<string, unknown, Load>({
    cache,
    namespace,
    max: 500,
    fetchMethod: (_key, _stale, { context }) => context(),
  })
  return {
    get: async (key) => lru.get(key),
    set: async (key, value, ttl) => lru.set(key, value, { ttl }),
    delete: async (key) => lru.delete(key),
    clear: async () => lru.clear(),
    load: (key, context) => lru.fetch(key, { context }),
    other: () => driver(cache, 'second'),
  }
}
