/**
 * How the application caches its items: one store for each contender, opened in each worker.
 *
 * `load(id)` is the item, from the cache or from the database. `write(id)` changes it in the database, and then in the
 * cache. A contender does what its documentation recommends for an item that is loaded from a database.
 */

const TTL_MS = 60_000

/** @typedef {{ load: (id: number) => Promise<object>, write: (id: number) => Promise<object>, close?: () => unknown }} AppStore */

/** @type {{ id: string, label: string, package: string, server?: 'redis', open: (context: object) => Promise<AppStore> }[]} */
export const appStores = [
  { id: 'none', label: 'no cache', package: 'node', open: openNone },
  { id: 'lru-cache', label: 'lru-cache in each worker', package: 'lru-cache', open: openLruCache },
  { id: 'ioredis', label: 'Redis, ioredis', package: 'ioredis', server: 'redis', open: openIoredis },
  { id: 'node-redis', label: 'Redis, node-redis', package: 'redis', server: 'redis', open: openNodeRedis },
  { id: 'cacheable', label: 'cacheable: memory and Redis', package: 'cacheable', server: 'redis', open: openCacheable },
  { id: 'cache-machine', label: 'cache-machine, getOrSet', package: 'cache-machine', open: openCacheMachine },
  { id: 'keyv', label: 'cache-machine through Keyv', package: 'keyv', open: openKeyv },
]

function openNone({ database }) {
  return { load: database.read, write: database.write }
}

async function openLruCache({ database }) {
  const { LRUCache } = await import('lru-cache')
  const cache = new LRUCache({ max: 10_000, ttl: TTL_MS, fetchMethod: (key) => database.read(Number(key)) })
  return {
    load: (id) => cache.fetch(`${id}`),
    async write(id) {
      const item = await database.write(id)
      cache.set(`${id}`, item)
      return item
    },
  }
}

async function openIoredis({ database, socket }) {
  const { Redis } = await import('ioredis')
  const client = new Redis({ path: socket, enableReadyCheck: false, enableAutoPipelining: true })
  return aside(database, {
    get: (key) => client.get(key),
    set: (key, text) => client.set(key, text, 'PX', TTL_MS),
    close: () => client.disconnect(),
  })
}

async function openNodeRedis({ database, socket }) {
  const { createClient } = await import('redis')
  const client = createClient({ socket: { path: socket } })
  client.on('error', () => undefined)
  await client.connect()
  return aside(database, {
    get: (key) => client.get(key),
    set: (key, text) => client.set(key, text, { PX: TTL_MS }),
    close: () => client.destroy(),
  })
}

async function openCacheable({ database, socket }) {
  const [{ Cacheable }, { default: KeyvRedis }] = await Promise.all([import('cacheable'), import('@keyv/redis')])
  const secondary = new KeyvRedis({ socket: { path: socket } })
  const cache = new Cacheable({ secondary, ttl: TTL_MS })
  return {
    load: (id) => cache.getOrSet(`${id}`, () => database.read(id)),
    async write(id) {
      const item = await database.write(id)
      await cache.set(`${id}`, item)
      return item
    },
    close: () => cache.disconnect(),
  }
}

async function openCacheMachine({ database, name }) {
  const { open } = await import('../../dist/index.js')
  const cache = open({ name, size: '16mb', ttl: TTL_MS })
  return {
    load: (id) => cache.getOrSet(`${id}`, () => database.read(id)),
    async write(id) {
      const item = await database.write(id)
      cache.set(`${id}`, item)
      return item
    },
    close: () => cache.close(),
  }
}

async function openKeyv({ database, name }) {
  const [{ open }, { Keyv5Store }, { Keyv }] = await Promise.all([
    import('../../dist/index.js'),
    import('../../dist/lib/adapters/keyv5.js'),
    import('keyv'),
  ])
  const cache = open({ name, size: '16mb' })
  const keyv = new Keyv({ store: new Keyv5Store(cache), ttl: TTL_MS })
  return {
    async load(id) {
      const found = await keyv.get(`${id}`)
      if (found !== undefined) return found
      const item = await database.read(id)
      await keyv.set(`${id}`, item)
      return item
    },
    async write(id) {
      const item = await database.write(id)
      await keyv.set(`${id}`, item)
      return item
    },
    close: () => cache.close(),
  }
}

/** Cache-aside with a client of a server: a miss reads the database and sets the item as JSON. */
function aside(database, { get, set, close }) {
  const store = async (id, item) => {
    await set(`item:${id}`, JSON.stringify(item))
    return item
  }
  return {
    async load(id) {
      const text = await get(`item:${id}`)
      return text ? JSON.parse(text) : store(id, await database.read(id))
    },
    write: async (id) => store(id, await database.write(id)),
    close,
  }
}
