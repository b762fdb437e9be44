import { PrefixingKeyValueCache } from '@apollo/utils.keyvaluecache'
import type { KeyValueCache } from '@apollo/utils.keyvaluecache'
import type { SharedCache } from '../../../index.ts'
import { apolloCache } from '../../../lib/adapters/apollo.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { unit: 1000, zero: 'miss', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: { without: 'a KeyValueCache has no clear' },
  failedWrite: 'rejects',
  closed: 'rejects',
  loads: { without: 'a KeyValueCache does not load' },
}

export function driver(cache: SharedCache): Driver {
  const host: KeyValueCache<unknown> = new PrefixingKeyValueCache(apolloCache<unknown>(cache), 'prefix:')
  return {
    get: (key) => host.get(key),
    set: (key, value, ttl) => host.set(key, value, ttl === undefined ? {} : { ttl }),
    delete: (key) => host.delete(key),
  }
}
