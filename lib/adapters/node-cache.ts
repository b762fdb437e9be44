/**
 * cache-machine/node-cache: the class of node-cache 5, over a cache that all processes share.
 *
 * Lifetimes are seconds. Values are copies, as with `useClones`. The limit is the size of the cache: `maxKeys` has no
 * effect. Hits, misses and events are those of this object. Reads of a segment in trouble are misses; writes throw.
 */
import { EventEmitter } from 'node:events'
import type { CacheStore } from '../cache/store.ts'
import { secondsToMs, storeFor } from './shared/lifetimes.ts'
import { placeOf, refuse } from './shared/replacement.ts'
import type { PlaceOptions } from './shared/replacement.ts'

export type { PlaceOptions } from './shared/replacement.ts'

/** A key. 1 and '1' are the same. */
export type NodeCacheKey = string | number

/** Options of the constructor. The limits and sizes of node-cache, such as `maxKeys`, have no effect. */
export interface NodeCacheOptions extends PlaceOptions {
  /** Lifetime in seconds of entries that are set without one. Default: 0, the `ttl` of the cache. */
  stdTTL?: number | undefined
  /** Without effect: the cache sweeps by itself, and values are always copies. */
  checkperiod?: number | undefined
  useClones?: boolean | undefined
  maxKeys?: number | undefined
}

/** An entry for `mset`. */
export interface NodeCacheItem<T = unknown> {
  key: NodeCacheKey
  val: T
  /** Seconds. */
  ttl?: number | undefined
}

/** The counts of `getStats`. */
export interface NodeCacheStats {
  /** Of this object. */
  hits: number
  misses: number
  /** Of all processes, by a walk over all entries. */
  keys: number
  /** The length of all keys. */
  ksize: number
  /** Always 0: `cache.stats()` has bytes. */
  vsize: number
}

const MESSAGES = {
  EKEYTYPE: 'The key argument has to be of type `string` or `number`. Found: ',
  EKEYSTYPE: 'The keys argument has to be an array.',
  ETTLTYPE: 'The ttl argument has to be a number.',
  ECACHEFULL: 'There is no room in the cache for this entry.',
}

const REFUSED = { enableLegacyCallbacks: 'the calls return their results', forceString: 'encode the values yourself' }

/**
 * `NodeCache` over a cache. Emits `set`, `del`, `flush` and `flush_stats` for the calls of this object.
 *
 * @example
 * const users = new NodeCache({ cache: open({ name: 'app' }), stdTTL: 300 })
 */
export class NodeCache extends EventEmitter {
  readonly options: NodeCacheOptions
  readonly #space: CacheStore
  #hits = 0
  #misses = 0

  /** @throws {CacheError} `ERR_INVALID_ARGUMENT` without a cache, or for an option that cannot be kept. */
  constructor(options: NodeCacheOptions) {
    super()
    this.#space = placeOf('NodeCache', 'node-cache', options ?? {})
    refuse('NodeCache', options, REFUSED)
    this.options = options
  }

  get<T>(key: NodeCacheKey): T | undefined {
    const value = this.#space.get(nameOf(key))
    if (value === undefined) this.#misses++
    else this.#hits++
    return value as T | undefined
  }

  /** The values that were found, by their keys. */
  mget<T>(keys: NodeCacheKey[]): Record<string, T> {
    if (!Array.isArray(keys)) throw problem('EKEYSTYPE')
    const found: Record<string, T> = {}
    for (const key of keys) {
      const value = this.get<T>(key)
      if (value !== undefined) found[key] = value
    }
    return found
  }

  /**
   * @param ttl Seconds; 0: no expiry. A negative number deletes the entry. Default: `stdTTL`.
   * @returns True.
   * @throws An error with the name `ECACHEFULL` if there is no room, which evicts what can be evicted first.
   */
  set(key: NodeCacheKey, value: unknown, ttl?: number | string): true {
    const name = nameOf(key)
    if (value === undefined) this.#space.delete(name)
    else if (!storeFor(this.#space, name, value, this.#lifetime(ttl))) throw problem('ECACHEFULL')
    this.emit('set', key, value)
    return true
  }

  mset(items: NodeCacheItem[]): true {
    for (const { key, ttl } of items) {
      if (ttl && typeof ttl !== 'number') throw problem('ETTLTYPE')
      nameOf(key)
    }
    for (const { key, val, ttl } of items) this.set(key, val, ttl)
    return true
  }

  /** The number of entries that were deleted. */
  del(keys: NodeCacheKey | NodeCacheKey[]): number {
    let count = 0
    for (const key of Array.isArray(keys) ? keys : [keys]) {
      const name = nameOf(key)
      const value = this.listenerCount('del') === 0 ? undefined : this.#space.get(name)
      if (!this.#space.delete(name)) continue
      count++
      this.emit('del', key, value)
    }
    return count
  }

  /** The value, which is deleted. Of several callers in all processes, one gets it. */
  take<T>(key: NodeCacheKey): T | undefined {
    const value = this.get<T>(key)
    return value !== undefined && this.del(key) === 1 ? value : undefined
  }

  /** Sets a new lifetime in seconds; 0: `stdTTL`. A negative one deletes the entry. False without an entry. */
  ttl(key: NodeCacheKey, ttl?: number): boolean {
    const name = nameOf(key)
    const ms = this.#lifetime(ttl || this.options.stdTTL || 0)
    return ms !== undefined && ms < 0 ? this.del(key) === 1 : this.#space.touch(name, ms ?? Infinity)
  }

  /** The moment of expiry in epoch milliseconds, 0 without one, undefined without an entry. */
  getTtl(key: NodeCacheKey): number | undefined {
    const left = this.#space.ttl(nameOf(key))
    if (left === undefined) return undefined
    return left === Infinity ? 0 : Date.now() + left
  }

  /** In no order. Walks over all entries, and blocks the event loop meanwhile. */
  keys(): string[] {
    return Array.from(this.#space.keys(), (key) => String(key).slice(1))
  }

  has(key: NodeCacheKey): boolean {
    return this.#space.has(nameOf(key))
  }

  /** Walks as `keys` does. */
  getStats(): NodeCacheStats {
    const keys = this.keys()
    const ksize = keys.reduce((sum, key) => sum + key.length, 0)
    return { hits: this.#hits, misses: this.#misses, keys: keys.length, ksize, vsize: 0 }
  }

  /** Deletes the entries of this object in all processes. */
  flushAll(): void {
    this.#space.clear()
    this.#forget()
    this.emit('flush')
  }

  flushStats(): void {
    this.#forget()
    this.emit('flush_stats')
  }

  /** Does nothing: the cache belongs to the application, which closes it. */
  close(): void {}

  #forget(): void {
    this.#hits = 0
    this.#misses = 0
  }

  #lifetime(ttl: number | string | undefined): number | undefined {
    if (ttl === 0) return Infinity
    return secondsToMs(Number(ttl ?? this.options.stdTTL ?? 0) || undefined)
  }
}

/** The first character allows an empty key, as node-cache does. */
function nameOf(key: unknown): string {
  if (typeof key === 'string' || typeof key === 'number') return `:${key}`
  throw problem('EKEYTYPE', `\`${typeof key}\``)
}

function problem(name: keyof typeof MESSAGES, detail = ''): Error {
  return Object.assign(new Error(MESSAGES[name] + detail), { name, errorcode: name })
}
