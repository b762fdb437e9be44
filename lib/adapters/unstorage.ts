/**
 * cache-machine/unstorage: a cache as a driver of unstorage 1, so of Nitro, Nuxt and Astro.
 *
 * The texts that unstorage makes of values are stored as they are, and raw values in the format of the cache, which has
 * bytes, Maps and dates. Reads of a segment in trouble are misses; writes reject.
 */
import type { CacheStore } from '../cache/store.ts'
import { secondsToMs, storeFor } from './shared/lifetimes.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of an unstorage driver. */
export interface UnstorageDriverOptions {
  /** The namespace of the cache that has all items of this driver. Default: `unstorage`. */
  namespace?: string | undefined
  /** Lifetime in seconds of items that are set without one. Default: the `ttl` of the cache, else no expiry. */
  ttl?: number | undefined
}

/** The options of one call that the driver knows. */
export interface UnstorageCallOptions {
  /** Seconds. 0: no expiry. A negative number deletes the item. Default: the option of the driver. */
  ttl?: number | undefined
}

/** An item as unstorage passes it to `setItems`. */
export interface UnstorageItem {
  key: string
  value: string
  options?: UnstorageCallOptions | undefined
}

/* `any` is what unstorage has there as well: its caller knows what was stored. */
/* oxlint-disable typescript/no-explicit-any */

/** The driver that `unstorageDriver` returns. unstorage calls its methods, which are synchronous where it allows that. */
export interface UnstorageDriver {
  readonly name: string
  readonly options: UnstorageDriverOptions
  /** The namespace of the cache that has the items. */
  getInstance(): CacheStore
  hasItem(key: string): boolean
  getItem(key: string): any
  getItems(items: { key: string }[]): { key: string; value: any }[]
  getItemRaw(key: string): any
  setItem(key: string, value: string, options?: UnstorageCallOptions): void
  setItems(items: UnstorageItem[], common?: UnstorageCallOptions): void
  /** Stores any value that the cache can store. */
  setItemRaw(key: string, value: unknown, options?: UnstorageCallOptions): void
  removeItem(key: string): void
  /** `ttl`: the seconds until the item expires, rounded up. */
  getMeta(key: string): { ttl?: number } | null
  /** The keys that begin with `base`, with turns of the event loop. */
  getKeys(base?: string): Promise<string[]>
  /** Deletes the items with keys that begin with `base`; without one all items of the driver, in one step. */
  clear(base?: string): Promise<void>
  /** Does nothing: the cache belongs to the application, which closes it. */
  dispose(): void
}

/**
 * A driver for unstorage.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `UnstorageDriverOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const storage = createStorage({ driver: unstorageDriver(open({ name: 'app' })) })
 */
export function unstorageDriver(cache: CacheStore, options: UnstorageDriverOptions = {}): UnstorageDriver {
  const space = adapterSpace('unstorageDriver', cache, options.namespace ?? 'unstorage')
  const get = (key: string): any => space.get(key) ?? null
  const set = (key: string, value: unknown, call: UnstorageCallOptions | undefined): void => {
    const seconds = call?.ttl ?? options.ttl
    storeFor(space, key, value, seconds === 0 ? Infinity : secondsToMs(seconds))
  }
  // unstorage calls the methods without `this`.
  return {
    name: 'cache-machine',
    options,
    getInstance: () => space,
    hasItem: (key) => space.has(key),
    getItem: get,
    getItemRaw: get,
    getItems(items) {
      const values = space.getMany(items.map(({ key }) => key))
      return items.map(({ key }, i) => ({ key, value: values[i] ?? null }))
    },
    setItem: set,
    setItemRaw: set,
    setItems(items, common) {
      for (const { key, value, options: own } of items) set(key, value, { ...common, ...own })
    },
    removeItem: (key) => void space.delete(key),
    getMeta(key) {
      const left = space.ttl(key)
      if (left === undefined) return null
      return left === Infinity ? {} : { ttl: Math.ceil(left / 1000) }
    },
    async getKeys(base) {
      const found: string[] = []
      for await (const key of space.keys(prefixOf(base))) if (typeof key === 'string') found.push(key)
      return found
    },
    async clear(base) {
      const prefix = prefixOf(base)
      if (prefix === undefined) space.clear()
      else for await (const key of space.keys(prefix)) space.delete(key)
    },
    dispose: () => undefined,
  }
}

function prefixOf(base: string | undefined): { prefix: string } | undefined {
  return base === undefined || base === '' ? undefined : { prefix: base }
}
