import { createCache } from 'cache-manager'
import type { SharedCache } from '../../../index.ts'
import { cacheManager } from '../../../lib/adapters/cache-manager.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { unit: 1, zero: 'kept', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: 'other namespaces',
  // As with a Keyv, which reports the error as an event.
  failedWrite: 'resolves',
  closed: 'miss',
  loads: true,
}

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
