/**
 * cache-machine/nest: a cache for `@nestjs/cache-manager` 3 and 12, which is the cache of Nest 11 and Nest 12.
 *
 * `CacheModule` takes the store in the place of a Keyv, so no version of Keyv stands between, and `CacheInterceptor`
 * answers from it in every worker.
 */
import type { CacheStore } from '../cache/store.ts'
import { managerOver, storeIn } from './shared/host-wide-wrap.ts'
import type { ManagerOptions, ManagerStoreOptions } from './shared/host-wide-wrap.ts'
import type { KeyvLikeStore } from './shared/keyv-like.ts'

export type { ManagerOptions, ManagerStoreOptions } from './shared/host-wide-wrap.ts'
export type { KeyvLikeItem, KeyvLikeStore, RawOptions, RawValue } from './shared/keyv-like.ts'

/** A provider of Nest. */
export interface CacheManagerProvider<M> {
  provide: string
  useValue: M
}

/**
 * The store for `CacheModule.register({ stores: nestStore(cache) })`. Nest closes no cache: close it yourself.
 *
 * `S` is the type that Nest asks for, which is the class of Keyv.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `ManagerStoreOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * imports: [CacheModule.register({ stores: nestStore(open({ name: 'app' })), ttl: 5000, isGlobal: true })]
 */
export function nestStore<S = KeyvLikeStore>(cache: CacheStore, options: ManagerStoreOptions = {}): S {
  return storeIn('nestStore', cache, options, 'nest') as S
}

/**
 * A provider of `CACHE_MANAGER` in the place of `CacheModule`. Its `wrap` loads once on the whole host, over processes
 * and threads.
 *
 * @param cache A cache, or a namespace of one.
 * @param options `createCache` of cache-manager is required; see `ManagerOptions`.
 * @throws {CacheError} As `nestStore`.
 * @example
 * providers: [nestCacheManager(open({ name: 'app' }), { createCache, ttl: 5000 })]
 */
export function nestCacheManager<M>(cache: CacheStore, options: ManagerOptions<M>): CacheManagerProvider<M> {
  return { provide: 'CACHE_MANAGER', useValue: managerOver('nestCacheManager', cache, options, 'nest') }
}
