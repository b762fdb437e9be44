import type { SharedCache } from '../../../index.ts'
import { NodeCache } from '../../../lib/adapters/node-cache.ts'
import { strict } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  ...strict,
  ttl: { unit: 1000, zero: 'kept', negative: 'miss' },
  loads: { without: 'node-cache does not load' },
}

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const host = new NodeCache({ cache, namespace })
  return {
    get: async (key) => host.get(key),
    set: async (key, value, ttl) => host.set(key, value, ttl),
    delete: async (key) => host.del(key),
    clear: async () => host.flushAll(),
    other: () => driver(cache, 'second'),
  }
}
