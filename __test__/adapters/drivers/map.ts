import type { SharedCache } from '../../../index.ts'
import { cacheMap } from '../../../lib/adapters/map.ts'
import { strict } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  ...strict,
  ttl: { without: 'a Map has no lifetimes' },
  loads: { without: 'a Map does not load' },
}

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const map = cacheMap<string>(cache, { namespace })
  return {
    get: async (key) => map.get(key),
    set: async (key, value) => map.set(key, value),
    delete: async (key) => map.delete(key),
    clear: async () => map.clear(),
    other: () => driver(cache, 'second'),
  }
}
