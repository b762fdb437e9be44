/**
 * cache-machine/keyv5: a cache as the storage adapter of Keyv 5.
 *
 * Lifetimes are the milliseconds that Keyv 5 passes, and the cache itself ends them. Reads of a segment in trouble are
 * misses; writes throw, and Keyv emits `error` and returns false.
 */
import type { CacheStore } from '../cache/store.ts'
import { KeyvBase, keyvSpace, storeOver } from './shared/keyv.ts'
import type { KeyvStoreOptions } from './shared/keyv.ts'
import { spaceOf } from './shared/space.ts'

export type { KeyvStoreOptions } from './shared/keyv.ts'

/** An entry as Keyv 5 passes it to `setMany`. */
export interface Keyv5Item {
  key: string
  value: unknown
  /** Milliseconds. Default: the `ttl` of the cache, else no expiry. */
  ttl?: number | undefined
}

/** The storage adapter that `keyv5Store` returns. Keyv calls its methods. */
export class Keyv5Store extends KeyvBase {
  /**
   * Keyv 5 offers `iterator` only for stores with a dialect from its own list. This one has the same iterator: keys with
   * their prefix, and encoded values.
   */
  readonly opts: { dialect: string; url: string } = { dialect: 'redis', url: 'cache-machine' }
  readonly #root: CacheStore

  constructor(root: CacheStore) {
    super(root)
    this.#root = root
  }

  /** @param ttl Milliseconds. 0 and less delete the entry. Default: the `ttl` of the cache. */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    return setFor(this.space, key, value, ttl)
  }

  async setMany(items: Keyv5Item[]): Promise<boolean[]> {
    const { space } = this
    return items.map(({ key, value, ttl }) => setFor(space, key, value, ttl))
  }

  /** Whether there was an entry for each key. */
  async deleteMany(keys: string[]): Promise<boolean> {
    return this.space.deleteMany(keys).every(Boolean)
  }

  /** The entries of a namespace of Keyv. */
  iterator(namespace?: string): AsyncGenerator<[string, unknown], void> {
    return this.walk(spaceOf(this.#root, namespace))
  }
}

/**
 * A storage adapter for Keyv 5, which cache-manager 7 uses as well.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `KeyvStoreOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const keyv = new Keyv({ store: keyv5Store(open({ name: 'app' })) })
 */
export function keyv5Store(cache: CacheStore, options: KeyvStoreOptions = {}): Keyv5Store {
  return new Keyv5Store(keyvSpace('keyv5Store', cache, options, 'keyv5'))
}

function setFor(space: CacheStore, key: string, value: unknown, ttl: number | undefined): boolean {
  if (ttl === undefined || ttl === null) return space.set(key, value)
  return ttl <= 0 ? storeOver(space, key) : space.set(key, value, ttl)
}
