import type { SharedCache } from '../../../index.ts'
import { NodeCache } from '../../../lib/adapters/node-cache.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { unit: 1000, zero: 'kept', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: 'other namespaces',
  failedWrite: 'rejects',
  closed: 'rejects',
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
