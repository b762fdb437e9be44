import { createCache } from 'cache-manager'
import { Keyv } from 'keyv5'
import type { SharedCache } from '../../../index.ts'
import { keyv5Store } from '../../../lib/adapters/keyv5.ts'
import { lenient } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  ...lenient,
  loads: { without: 'wrap of cache-manager itself loads once in each process, and not once on the host' },
}

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const keyv = new Keyv({ store: keyv5Store(cache), namespace })
  const manager = createCache({ stores: [keyv] })
  return {
    get: (key) => manager.get(key),
    set: (key, value, ttl) => manager.set(key, value, ttl),
    delete: (key) => manager.del(key),
    clear: () => manager.clear(),
    other: () => driver(cache, 'second'),
  }
}
