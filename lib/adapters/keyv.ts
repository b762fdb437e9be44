/**
 * cache-machine/keyv: a cache as the storage adapter of Keyv 6.
 *
 * Lifetimes are the absolute times that Keyv 6 passes, and the cache itself ends them. Reads of a segment in trouble are
 * misses; writes throw, and Keyv emits `error` and returns false.
 */
import type { CacheStore } from '../cache/store.ts'
import { KeyvBase, keyvSpace, storeOver } from './shared/keyv.ts'
import type { KeyvStoreOptions } from './shared/keyv.ts'

export type { KeyvStoreOptions } from './shared/keyv.ts'

/** An entry as Keyv 6 passes it to `setMany`. */
export interface KeyvItem {
  key: string
  value: unknown
  /** Epoch milliseconds. Default: the `ttl` of the cache, else no expiry. */
  expires?: number | undefined
}

/** The storage adapter that `keyvStore` returns. Keyv calls its methods. */
export class KeyvStore extends KeyvBase {
  /** Tells Keyv 6 that `set` takes an absolute time, and that expired entries are never returned. */
  readonly capabilities = Object.freeze({ expires: true })

  /** @param expires Epoch milliseconds. A time that has passed deletes the entry. Default: the `ttl` of the cache. */
  async set(key: string, value: unknown, expires?: number): Promise<boolean> {
    return setUntil(this.space, key, value, expires)
  }

  async setMany(items: KeyvItem[]): Promise<boolean[]> {
    const { space } = this
    return items.map(({ key, value, expires }) => setUntil(space, key, value, expires))
  }

  async deleteMany(keys: string[]): Promise<boolean[]> {
    return this.space.deleteMany(keys)
  }

  /** The entries of the present namespace. */
  iterator(): AsyncGenerator<[string, unknown], void> {
    return this.walk(this.space)
  }
}

/**
 * A storage adapter for Keyv 6.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `KeyvStoreOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const keyv = new Keyv({ store: keyvStore(open({ name: 'app' })) })
 */
export function keyvStore(cache: CacheStore, options: KeyvStoreOptions = {}): KeyvStore {
  return new KeyvStore(keyvSpace('keyvStore', cache, options, 'keyv'))
}

function setUntil(space: CacheStore, key: string, value: unknown, expires: number | undefined): boolean {
  if (expires === undefined) return space.set(key, value)
  return expires <= Date.now() ? storeOver(space, key) : space.set(key, value, { expiresAt: expires })
}
