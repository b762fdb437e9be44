/**
 * cache-machine/cache-manager: a cache as a store of cache-manager 7, and a manager with a host-wide `wrap`.
 *
 * Values are stored as the cache stores them. Reads of a segment in trouble are misses. A write that meets trouble
 * resolves, and the store emits `error` if it has a listener; `wrap` then returns what it loads.
 */
import type { CacheStore } from '../cache/store.ts'
import { managerOver, storeIn } from './shared/host-wide-wrap.ts'
import type { ManagerOptions, ManagerStoreOptions } from './shared/host-wide-wrap.ts'
import type { KeyvLikeStore } from './shared/keyv-like.ts'

export type { ManagerOptions, ManagerStoreOptions } from './shared/host-wide-wrap.ts'
export type { KeyvLikeItem, KeyvLikeStore, RawOptions, RawValue } from './shared/keyv-like.ts'

/**
 * A manager of cache-manager 7 over a cache. `wrap` loads once on the whole host, over processes and threads, and if the
 * process that loads dies, another one loads at once. All other methods are those of cache-manager.
 *
 * @param cache A cache, or a namespace of one.
 * @param options `createCache` of cache-manager is required; see `ManagerOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const manager = cacheManager(open({ name: 'app' }), { createCache, ttl: 60_000 })
 * const user = await manager.wrap(`user:${id}`, () => loadUser(id))
 */
export function cacheManager<M>(cache: CacheStore, options: ManagerOptions<M>): M {
  return managerOver('cacheManager', cache, options, 'cache-manager')
}

/**
 * A store for `createCache({ stores: [store] })`, in the place of a Keyv. `wrap` of such a manager loads once in each
 * process: `cacheManager` loads once on the host. `S` is the type that the host asks for, which is the class of Keyv.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `ManagerStoreOptions`.
 * @throws {CacheError} As `cacheManager`.
 * @example
 * const manager = createCache({ stores: [new Keyv(), cacheManagerStore(open({ name: 'app' }))] })
 */
export function cacheManagerStore<S = KeyvLikeStore>(cache: CacheStore, options: ManagerStoreOptions = {}): S {
  return storeIn('cacheManagerStore', cache, options, 'cache-manager') as S
}
