/**
 * The adapters, each with the calls of its host and the same calls on the cache itself.
 *
 * The hosts are development dependencies of the package, not contenders: benches/package.json has other versions of some
 * of them.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(new URL('../../package.json', import.meta.url))
const WINDOW = 600_000
/** Above the number of calls of any run, so that nothing is refused. */
const LIMIT = 2 ** 31
const TTL = 3_600_000

/** A module of the adapter. */
const adapter = (name) => import(`../../dist/lib/adapters/${name}.js`)
/** A host, at the version of package.json of the package. */
const host = async (name) => {
  const { default: all, ...named } = await import(pathToFileURL(require.resolve(name)).href)
  return { ...(typeof all === 'object' || typeof all === 'function' ? all : {}), ...named, default: all }
}

/**
 * @typedef {object} Calls
 * @property {(key: string, value: unknown) => unknown} [set]
 * @property {(key: string) => unknown} [get] a hit; a promise unless `isSync`
 * @property {(value: unknown) => unknown} [unwrap] the value in the result of `get`
 * @property {(key: string) => unknown} [count] one more hit of a limiter, or increment of a counter
 * @property {{ set?: Calls['set'], get?: Calls['get'], count?: Calls['count'] }} [bare] calls on the cache in the place of
 *   `get`, `set` and `incr` without options
 * @property {boolean} [isSync] whether the calls return no promises
 *
 * @type {{ id: string, label: string, open: (cache: import('../../index.js').SharedCache) => Promise<Calls> }[]}
 */
export const adapterRows = [
  {
    id: 'keyv',
    label: 'Keyv 6',
    async open(cache) {
      const [{ Keyv }, { keyvStore }] = [await host('keyv'), await adapter('keyv')]
      return callsOfKeyv(new Keyv({ store: keyvStore(cache) }))
    },
  },
  {
    id: 'keyv5',
    label: 'Keyv 5',
    async open(cache) {
      const [{ Keyv }, { keyv5Store }] = [await host('keyv5'), await adapter('keyv5')]
      return callsOfKeyv(new Keyv({ store: keyv5Store(cache) }))
    },
  },
  {
    id: 'cache-manager',
    label: 'cache-manager 7',
    async open(cache) {
      const [{ createCache }, { cacheManager }] = [await host('cache-manager'), await adapter('cache-manager')]
      return callsOfKeyv(cacheManager(cache, { createCache }))
    },
  },
  {
    id: 'session',
    label: 'express-session',
    async open(cache) {
      const [{ default: session }, { sessionStore }] = [await host('express-session'), await adapter('session')]
      const store = sessionStore(cache, { Store: session.Store })
      // As much of a session as a store reads.
      const cookie = { originalMaxAge: TTL, expires: new Date(Date.now() + TTL) }
      return {
        get: (sid) => store.get(sid),
        set: (sid, value) => store.set(sid, { cookie, value }),
        unwrap: ({ value }) => value,
        bare: { set: (sid, value) => cache.set(sid, { cookie, value }, TTL), get: (sid) => cache.get(sid).value },
      }
    },
  },
  {
    id: 'unstorage',
    label: 'unstorage',
    async open(cache) {
      const [{ createStorage }, { unstorageDriver }] = [await host('unstorage'), await adapter('unstorage')]
      const storage = createStorage({ driver: unstorageDriver(cache) })
      return { get: (key) => storage.getItem(key), set: (key, value) => storage.setItem(key, value) }
    },
  },
  {
    id: 'undici',
    label: 'undici, its store',
    async open(cache) {
      const { undiciStore } = await adapter('undici')
      const store = undiciStore(cache)
      const keyOf = (path) => ({ origin: 'http://localhost', method: 'GET', path: `/${path}`, headers: {} })
      const cachedAt = Date.now()
      const life = { cachedAt, staleAt: cachedAt + TTL, deleteAt: cachedAt + TTL }
      const head = { statusCode: 200, statusMessage: 'OK', headers: {}, cacheControlDirectives: {}, ...life }
      return {
        get: async (key) => (await store.get(keyOf(key))).body,
        async set(key, value) {
          const stream = store.createWriteStream(keyOf(key), head)
          stream.end(JSON.stringify(value))
          await once(stream, 'finish')
        },
        unwrap: (body) => JSON.parse(Buffer.concat(body).toString()),
        // The same body, which is what the adapter stores.
        bare: { set: (key, value) => cache.set(key, Buffer.from(JSON.stringify(value)), TTL) },
      }
    },
  },
  {
    id: 'lru-cache',
    label: 'lru-cache 11, its class',
    async open(cache) {
      const { LRUCache } = await adapter('lru-cache')
      const lru = new LRUCache({ cache, max: 1_000_000 })
      return { isSync: true, get: (key) => lru.get(key), set: (key, value) => lru.set(key, value) }
    },
  },
  {
    id: 'map',
    label: 'Map',
    async open(cache) {
      const { cacheMap } = await adapter('map')
      const map = cacheMap(cache)
      return { isSync: true, get: (key) => map.get(key), set: (key, value) => map.set(key, value) }
    },
  },
  {
    id: 'node-cache',
    label: 'node-cache 5, its class',
    async open(cache) {
      const { NodeCache } = await adapter('node-cache')
      const host5 = new NodeCache({ cache })
      return { isSync: true, get: (key) => host5.get(key), set: (key, value) => host5.set(key, value) }
    },
  },
  {
    id: 'memored',
    label: 'memored, its functions',
    async open(cache) {
      const { memoredOver } = await adapter('memored')
      const memored = memoredOver(cache)
      const promised = (call) =>
        new Promise((resolve, reject) => {
          call((error, result) => (error === null ? resolve(result) : reject(error)))
        })
      return {
        get: (key) => promised((done) => memored.read(key, done)),
        set: (key, value) => promised((done) => memored.store(key, value, done)),
      }
    },
  },
  {
    id: 'cluster-shared-memory',
    label: 'cluster-shared-memory, its controller',
    async open(cache) {
      const { sharedMemory } = await adapter('cluster-shared-memory')
      const controller = sharedMemory(cache)
      return { get: (key) => controller.get(key), set: (key, value) => controller.set(key, value) }
    },
  },
  {
    id: 'async-cache-dedupe',
    label: 'async-cache-dedupe',
    async open(cache) {
      const [{ createCache }, { dedupeStorage }] = [
        await host('async-cache-dedupe'),
        await adapter('async-cache-dedupe'),
      ]
      const storage = { type: 'custom', options: { storage: dedupeStorage(cache) } }
      const dedupe = createCache({ ttl: TTL / 1000, storage }).define('item', () => {
        throw new Error('a hit was a miss')
      })
      return {
        get: (key) => dedupe.get('item', `item~${key}`),
        set: (key, value) => dedupe.set('item', `item~${key}`, value, TTL / 1000),
        bare: { set: (key, value) => cache.set(key, value, TTL) },
      }
    },
  },
  {
    id: 'catbox',
    label: 'catbox 12',
    async open(cache) {
      const [{ Client }, { catboxEngine }] = [await host('@hapi/catbox'), await adapter('catbox')]
      const client = new Client(catboxEngine(cache))
      await client.start()
      return {
        get: (id) => client.get({ segment: 'items', id }),
        set: (id, value) => client.set({ segment: 'items', id }, value, TTL),
        unwrap: ({ item }) => item,
        bare: { set: (key, value) => cache.set(key, value, TTL) },
      }
    },
  },
  {
    id: 'bentocache',
    label: 'bentocache 1, second layer',
    async open(cache) {
      const [{ BentoCache, bentostore }, { bentoDriver }] = [await host('bentocache'), await adapter('bentocache')]
      const store = bentostore().useL2Layer(bentoDriver(cache))
      const bento = new BentoCache({ default: 'main', stores: { main: store } })
      return { get: (key) => bento.get({ key }), set: (key, value) => bento.setForever({ key, value }) }
    },
  },
  {
    id: 'apollo',
    label: 'Apollo, KeyValueCache',
    async open(cache) {
      const { apolloCache } = await adapter('apollo')
      const values = apolloCache(cache)
      return { get: (key) => values.get(key), set: (key, value) => values.set(key, value) }
    },
  },
  {
    id: 'rate-limiter-flexible',
    label: 'rate-limiter-flexible 11',
    async open(cache) {
      const [flexible, { flexibleLimiter }] = [
        await host('rate-limiter-flexible'),
        await adapter('rate-limiter-flexible'),
      ]
      const limiter = flexibleLimiter(cache, { host: flexible, points: LIMIT, duration: WINDOW / 1000 })
      return { count: (key) => limiter.consume(key), bare: { count: counted(cache) } }
    },
  },
  {
    id: 'express-rate-limit',
    label: 'express-rate-limit, its store',
    async open(cache) {
      const { expressRateLimitStore } = await adapter('express-rate-limit')
      const store = expressRateLimitStore(cache)
      store.init({ windowMs: WINDOW })
      return { count: (key) => store.increment(key), bare: { count: counted(cache) } }
    },
  },
  {
    id: 'fastify-rate-limit',
    label: '@fastify/rate-limit, its store',
    async open(cache) {
      const { fastifyRateLimitStore } = await adapter('fastify-rate-limit')
      const store = new (fastifyRateLimitStore(cache))({})
      const count = (key) =>
        new Promise((resolve, reject) => {
          store.incr(key, (error, result) => (error ? reject(error) : resolve(result)), WINDOW, LIMIT)
        })
      return { count, bare: { count: counted(cache) } }
    },
  },
  {
    id: 'nest-throttler',
    label: '@nestjs/throttler, its storage',
    async open(cache) {
      const { nestThrottlerStorage } = await adapter('nest-throttler')
      const storage = nestThrottlerStorage(cache)
      return {
        count: (key) => storage.increment(key, WINDOW, LIMIT, 0, 'default'),
        bare: { count: counted(cache) },
      }
    },
  },
  {
    id: 'next',
    label: 'Next, its cacheHandler',
    async open(cache) {
      const { cacheHandler } = await adapter('next')
      const handler = new (cacheHandler(cache))()
      const page = (pageData) => ({ kind: 'PAGES', html: '', pageData })
      return {
        get: (key) => handler.get(`/${key}`, { kind: 'PAGES' }),
        set: (key, value) => handler.set(`/${key}`, page(value)),
        unwrap: ({ value }) => value.pageData,
        bare: { set: (key, value) => cache.set(key, page(value)), get: (key) => cache.get(key).pageData },
      }
    },
  },
  {
    id: 'prometheus',
    label: 'prom-client, a counter in shared memory',
    async open(cache) {
      const [{ Registry }, { sharedMetrics }] = [await host('prom-client'), await adapter('prometheus')]
      const { Counter } = sharedMetrics(cache, { register: new Registry() })
      const counter = new Counter({ name: 'adapter_total', help: 'Calls.', labelNames: ['method'] })
      const bare = cache.metrics().counter('bare_total', { method: 'GET' })
      const labels = { method: 'GET' }
      return { isSync: true, count: () => counter.inc(labels), bare: { count: () => bare.inc() } }
    },
  },
  {
    id: 'opentelemetry',
    label: 'OpenTelemetry, hits of getOrSet',
    async open(cache) {
      const [api, { instrumentCache }] = [await host('@opentelemetry/api'), await adapter('opentelemetry')]
      const measured = cache.namespace('measured')
      instrumentCache(measured, { api })
      const load = () => {
        throw new Error('a hit was a miss')
      }
      return {
        get: (key) => measured.getOrSet(key, load),
        set: (key, value) => measured.set(key, value),
        bare: { get: (key) => cache.getOrSet(key, load) },
      }
    },
  },
]

function callsOfKeyv(keyv) {
  return { get: (key) => keyv.get(key), set: (key, value) => keyv.set(key, value) }
}

/** A count as the adapters of limiters make it. */
function counted(cache) {
  return (key) => cache.incr(key, 1, { ttl: WINDOW })
}
