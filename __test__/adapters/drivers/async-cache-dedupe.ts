import { createCache } from 'async-cache-dedupe'
import type { SharedCache } from '../../../index.ts'
import { dedupeStorage } from '../../../lib/adapters/async-cache-dedupe.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { unit: 1000, zero: 'miss', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: 'other namespaces',
  failedWrite: 'resolves',
  closed: 'miss',
  loads: { without: 'async-cache-dedupe loads once in each process' },
}

export function driver(cache: SharedCache, name = 'first'): Driver {
  const options = { storage: dedupeStorage(cache) }
  const host = createCache({ ttl: 60, storage: { type: 'custom', options } }).define(name, async () => 'loaded')
  return {
    get: (key) => host.get(name, `${name}~${key}`),
    set: (key, value, ttl = 60) => host.set(name, `${name}~${key}`, value, ttl),
    delete: async (key) => options.storage.remove(`${name}~${key}`),
    clear: () => host.clear(name),
    other: () => driver(cache, 'second'),
  }
}
