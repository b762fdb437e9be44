import { createCache } from 'cache-manager'
import type { SharedCache } from '../../../index.ts'
import { cacheManager } from '../../../lib/adapters/cache-manager.ts'
import { lenient } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = { ...lenient, loads: true }

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const manager = cacheManager(cache, { createCache, namespace })
  return {
    get: (key) => manager.get(key),
    set: (key, value, ttl) => manager.set(key, value, ttl),
    delete: (key) => manager.del(key),
    clear: () => manager.clear(),
    load: (key, load) => manager.wrap(key, load),
    other: () => driver(cache, 'second'),
  }
}
