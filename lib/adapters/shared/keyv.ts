/**
 * What the adapters of Keyv 5 and Keyv 6 share: everything but the lifetimes and the shape of some results.
 *
 * Keyv hands over a text that it has encoded. The cache stores a text as it is, so nothing is encoded twice. Keyv sets
 * `namespace` when it takes a store, and later through `keyv.namespace`.
 */
import type { Key } from '../../arguments/keys.ts'
import { accepted, checkOptions } from '../../arguments/option-names.ts'
import type { CacheStore } from '../../cache/store.ts'
import { adapterSpace, spaceOf } from './space.ts'

/** Options of a Keyv store. */
export interface KeyvStoreOptions {
  /**
   * The namespace of the cache that has all entries of this store. A namespace of Keyv is a namespace inside it.
   * Default: the name of the adapter.
   */
  namespace?: string | undefined
}

const OPTIONS = accepted<KeyvStoreOptions>('the store', { namespace: true })

/** The place of a store, from its checked arguments. `adapter`: the function that was called. */
export function keyvSpace(adapter: string, cache: CacheStore, options: KeyvStoreOptions, name: string): CacheStore {
  checkOptions(options, OPTIONS)
  return adapterSpace(adapter, cache, options.namespace ?? name)
}

export abstract class KeyvBase {
  /** The namespace that Keyv has set. */
  namespace: string | undefined = undefined
  readonly #root: CacheStore
  /** The namespace of the last call, since `namespace` of a cache takes ten times as long as a `get`. */
  #space: CacheStore
  #spaceName: string | undefined = undefined

  constructor(root: CacheStore) {
    this.#root = root
    this.#space = root
  }

  // The methods are native async functions: Keyv 6 looks at that.
  async get<T>(key: string): Promise<T | undefined> {
    return this.space.get(key) as T | undefined
  }

  async getMany<T>(keys: string[]): Promise<(T | undefined)[]> {
    return this.space.getMany(keys) as (T | undefined)[]
  }

  async has(key: string): Promise<boolean> {
    return this.space.has(key)
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return this.space.hasMany(keys)
  }

  async delete(key: string): Promise<boolean> {
    return this.space.delete(key)
  }

  /** Deletes the entries of the namespace that Keyv has set. Without one, those outside all namespaces of Keyv. */
  async clear(): Promise<void> {
    this.space.clear()
  }

  /** Does nothing: the cache belongs to the application, which closes it. */
  async disconnect(): Promise<void> {}

  /** The entries of the present namespace. */
  protected get space(): CacheStore {
    if (this.namespace !== this.#spaceName) {
      this.#space = spaceOf(this.#root, this.namespace)
      this.#spaceName = this.namespace
    }
    return this.#space
  }

  /** Keys and stored values, with turns of the event loop. An entry that is removed meanwhile may be left out. */
  protected async *walk(space: CacheStore): AsyncGenerator<[string, unknown], void> {
    for await (const key of space.keys()) {
      if (typeof key !== 'string') continue
      const value = space.get(key)
      if (value !== undefined) yield [key, value]
    }
  }
}

/** Stores under a lifetime that is over, as Keyv means it: the write succeeds, and there is no value afterwards. */
export function storeOver(space: CacheStore, key: Key): boolean {
  space.delete(key)
  return true
}
