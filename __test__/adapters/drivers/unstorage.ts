import { createStorage } from 'unstorage'
import type { SharedCache } from '../../../index.ts'
import { unstorageDriver } from '../../../lib/adapters/unstorage.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: null,
  ttl: { unit: 1000, zero: 'kept', negative: 'miss' },
  null: 'miss',
  undefined: 'miss',
  binary: { type: 'Buffer', data: [1, 2, 255] },
  clear: 'other namespaces',
  failedWrite: 'rejects',
  closed: 'rejects',
  loads: { without: 'unstorage does not load' },
}

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const storage = createStorage({ driver: unstorageDriver(cache, { namespace }) })
  return {
    get: (key) => storage.getItem(key),
    set: (key, value, ttl) => storage.setItem(key, value as string, ttl === undefined ? {} : { ttl }),
    delete: (key) => storage.removeItem(key),
    clear: () => storage.clear(),
    other: () => driver(cache, 'second'),
  }
}
