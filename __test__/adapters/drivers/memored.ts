import type { SharedCache } from '../../../index.ts'
import { memoredOver } from '../../../lib/adapters/memored.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { unit: 1, zero: 'kept', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: 'other namespaces',
  failedWrite: 'rejects',
  closed: 'rejects',
  loads: { without: 'memored does not load' },
}

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const memored = memoredOver(cache, { namespace })
  const promised = (call: (callback: (error: Error | null, result?: unknown) => void) => void): Promise<unknown> =>
    new Promise((resolve, reject) => {
      call((error, result) => (error === null ? resolve(result) : reject(error)))
    })
  return {
    get: (key) => promised((done) => memored.read(key, done)),
    set: (key, value, ttl) => promised((done) => memored.store(key, value, ttl, done)),
    delete: (key) => promised((done) => memored.remove(key, done)),
    clear: () => promised((done) => memored.clean(done)),
    other: () => driver(cache, 'second'),
  }
}
