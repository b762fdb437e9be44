/**
 * cache-manager 7: its suite, in which each Keyv is the store of our adapter, and a manager of one such store is ours.
 *
 * Some of its tests use Redis on port 6379.
 */
import { filesBelow } from './shared/checkout.mjs'
import { command, countsOf, vitest } from './shared/vitest.mjs'

/** In the place of Keyv: a store in a namespace of its own. */
const keyv = `import { randomUUID } from 'node:crypto'
import { open } from 'cache-machine'
import { cacheManagerStore } from 'cache-machine/cache-manager'

const name = process.env.SEGMENTS + randomUUID()
export const cache = open({ name, size: '16mb' })
let stores = 0

export class Keyv {
  static [Symbol.hasInstance](store) {
    return store?.opts !== undefined
  }
  constructor(options = {}) {
    const { ttl, store } = options
    if (store !== undefined) return new RealKeyv(options)
    return Object.assign(cacheManagerStore(cache, { ttl, namespace: \`store \${++stores}\` }), { number: stores })
  }
}
export default Keyv
import { Keyv as RealKeyv } from 'real-keyv'
`

/** In the place of createCache: ours for one store, that of the host over our stores for several. */
const index = `import { createCache as create } from './host.js'
import { cacheManager } from 'cache-machine/cache-manager'
import { Keyv, cache } from 'keyv'

export { KeyvAdapter } from './keyv-adapter.js'
export const createCache = (options = {}) => {
  const { stores = [new Keyv()], nonBlocking, refreshAllStores, ...rest } = options
  const [store] = stores
  if (stores.length !== 1 || nonBlocking || refreshAllStores || store.number === undefined) return create({ ...options, stores })
  // The store of the test in the place of the equal one that the adapter makes, so that the test can replace its methods.
  const createCache = (given) => create({ ...given, stores: [store] })
  const ttl = rest.ttl ?? store.ttl
  return cacheManager(cache, { ...rest, ...(ttl !== undefined && { ttl }), namespace: \`store \${store.number}\`, createCache })
}
`

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'jaredwray/cacheable',
  node: 22,
  dependencies: {
    '@cacheable/utils': '2.5.0',
    '@faker-js/faker': '10.5.0',
    '@keyv/redis': '5.1.6',
    'cache-manager-redis-yet': '5.1.5',
    cacheable: '2.5.0',
    'real-keyv': 'npm:keyv@5.6.0',
    vitest,
  },
  files(checkout) {
    const found = Object.entries(filesBelow(checkout, 'packages/cache-manager'))
    const files = Object.fromEntries(found.map(([path, text]) => [path.replace('packages/cache-manager/', ''), text]))
    const { 'src/index.ts': host, 'package.json': _, 'vitest.config.ts': __, ...rest } = files
    const alias = `import { defineConfig } from 'vitest/config'
const keyv = new URL('keyv.js', import.meta.url).pathname
export default defineConfig({ resolve: { alias: { keyv } } })
`
    return { ...rest, 'src/host.ts': host, 'src/index.ts': index, 'keyv.js': keyv, 'vitest.config.js': alias }
  },
  command,
  countsOf,
}
