import { BentoCache, bentostore } from 'bentocache'
import type { SharedCache } from '../../../index.ts'
import { bentoDriver } from '../../../lib/adapters/bentocache.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { without: 'bentocache checks the lifetime by its own clock as well' },
  null: 'kept',
  undefined: 'rejects',
  binary: { type: 'Buffer', data: [1, 2, 255] },
  clear: 'other namespaces',
  failedWrite: 'resolves',
  closed: 'miss',
  loads: { without: 'bentocache loads once in each process' },
}

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const store = bentostore().useL2Layer(bentoDriver(cache))
  const bento = new BentoCache({ default: 'main', stores: { main: store }, suppressL2Errors: true })
  const host = bento.namespace(namespace)
  return {
    get: (key) => host.get({ key }),
    set: (key, value) => host.setForever({ key, value }),
    delete: (key) => host.delete({ key }),
    clear: () => host.clear(),
    other: () => driver(cache, 'second'),
  }
}
