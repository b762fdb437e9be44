/**
 * cache-machine/map: a cache in the interface of a Map, for libraries that keep their results in one.
 *
 * All processes see the entries. Values are copies, and there is no order. Reads of a segment in trouble are misses;
 * writes throw.
 */
import type { CacheStore } from '../cache/store.ts'
import type { Duration } from '../arguments/units.ts'
import { MapReplacement, keyOf, placeOf } from './shared/replacement.ts'
import type { PlaceOptions, PrimitiveKey } from './shared/replacement.ts'

export type { PrimitiveKey } from './shared/replacement.ts'

/** Options of `cacheMap`. */
export interface CacheMapOptions extends Omit<PlaceOptions, 'cache'> {
  /** Lifetime of the entries. Default: the `ttl` of the cache, else no expiry. */
  ttl?: Duration | undefined
}

/** The Map that `cacheMap` returns. */
export class CacheMap<K extends PrimitiveKey = string, V = unknown> extends MapReplacement<K, V> implements Map<K, V> {
  readonly #space: CacheStore
  readonly #ttl: Duration | undefined

  constructor(space: CacheStore, ttl?: Duration) {
    super(space)
    this.#space = space
    this.#ttl = ttl
  }

  /** Undefined as the value deletes the key. So does a value for which there is no room. */
  set(key: K, value: V): this {
    const name = keyOf(key)
    const isKept = value !== undefined && this.#space.set(name, value, { ttl: this.#ttl })
    if (!isKept) this.#space.delete(name)
    return this
  }

  forEach(fn: (value: V, key: K, map: Map<K, V>) => void, self?: unknown): void {
    for (const [key, value] of this) fn.call(self, value, key, this)
  }

  get [Symbol.toStringTag](): string {
    return 'Map'
  }
}

/**
 * A Map over a cache.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `CacheMapOptions`. A second Map of a cache needs the option `namespace`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const memoized = pMemoize(fetchUser, { cache: cacheMap(open({ name: 'app' }), { namespace: 'users', ttl: '5m' }) })
 */
export function cacheMap<K extends PrimitiveKey = string, V = unknown>(
  cache: CacheStore,
  { ttl, ...place }: CacheMapOptions = {},
): CacheMap<K, V> {
  return new CacheMap<K, V>(placeOf('cacheMap', 'map', { cache, ...place }), ttl)
}
