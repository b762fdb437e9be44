import { Keyv } from 'keyv5'
import type { SharedCache } from '../../../index.ts'
import { keyv5Store } from '../../../lib/adapters/keyv5.ts'
import { strict } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = { ...strict, loads: { without: 'Keyv does not load' } }

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const keyv = new Keyv({ store: keyv5Store(cache), namespace, throwOnErrors: true })
  keyv.on('error', () => undefined)
  return {
    get: (key) => keyv.get(key),
    set: (key, value, ttl) => keyv.set(key, value, ttl),
    delete: (key) => keyv.delete(key),
    clear: () => keyv.clear(),
    other: () => driver(cache, 'second'),
  }
}
