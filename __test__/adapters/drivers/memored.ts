import type { SharedCache } from '../../../index.ts'
import { memoredOver } from '../../../lib/adapters/memored.ts'
import { strict } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = { ...strict, loads: { without: 'memored does not load' } }

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
