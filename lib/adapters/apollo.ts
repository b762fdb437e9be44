/**
 * cache-machine/apollo: a cache as the `KeyValueCache` of Apollo Server.
 *
 * Lifetimes are seconds. Reads of a segment in trouble are misses; writes reject, and Apollo Server logs that.
 */
import type { CacheStore } from '../cache/store.ts'
import { replaceFor, secondsToMs } from './shared/lifetimes.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `apolloCache`. */
export interface ApolloCacheOptions {
  /** The namespace of the cache that has all entries. Default: `apollo`. */
  namespace?: string | undefined
}

/** The `KeyValueCache` that `apolloCache` returns. Apollo Server calls its methods. */
export class ApolloCache<V = string> {
  readonly #space: CacheStore

  constructor(space: CacheStore) {
    this.#space = space
  }

  async get(key: string): Promise<V | undefined> {
    return this.#space.get(key) as V | undefined
  }

  /**
   * @param options `ttl`: seconds; 0 and less delete the entry. Default, and null: the `ttl` of the cache, else no
   * expiry.
   */
  async set(key: string, value: V, options: { ttl?: number | null } = {}): Promise<void> {
    replaceFor(this.#space, key, value, secondsToMs(options.ttl))
  }

  async delete(key: string): Promise<boolean> {
    return this.#space.delete(key)
  }
}

/**
 * A `KeyValueCache` for Apollo Server.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `ApolloCacheOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const server = new ApolloServer({ typeDefs, resolvers, cache: apolloCache(open({ name: 'app' })) })
 */
export function apolloCache<V = string>(
  cache: CacheStore,
  { namespace = 'apollo' }: ApolloCacheOptions = {},
): ApolloCache<V> {
  return new ApolloCache<V>(adapterSpace('apolloCache', cache, namespace))
}
