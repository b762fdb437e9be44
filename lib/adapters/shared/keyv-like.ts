/**
 * A store in the shape of a Keyv 5, for hosts that take a Keyv: cache-manager and Nest. It keeps values as the cache
 * keeps them, without an envelope and without an encoding as text, so dates, Maps and bytes come back as they are.
 *
 * The hosts tell a Keyv by its properties `opts`, `hooks` and `stats`. They use `get` with `{ raw: true }`, `getMany`,
 * `set`, `setMany`, `delete`, `clear` and `disconnect`.
 */
import { EventEmitter } from 'node:events'
import type { CacheStore } from '../../cache/store.ts'
import { momentOf } from './lifetimes.ts'
import { isTrouble } from './trouble.ts'

/** A value with its moment of expiry, as Keyv 5 returns it for `{ raw: true }`. */
export interface RawValue {
  value: unknown
  /** Epoch milliseconds; undefined: never. */
  expires: number | undefined
}

/** Options of `get`. */
export interface RawOptions {
  raw?: boolean
}

/** An entry for `setMany`. */
export interface KeyvLikeItem {
  key: string
  value: unknown
  /** Milliseconds. */
  ttl?: number | undefined
}

/** What `cacheManagerStore` and `nestStore` return. Emits `error` for a write that met trouble with the segment. */
export class KeyvLikeStore extends EventEmitter {
  /** The caches of Nest before 3.1.3 put a Keyv around the store, which reads both. */
  readonly opts: { dialect: string; url: string } = { dialect: 'cache-machine', url: '' }
  readonly hooks: Record<string, unknown> = {}
  readonly stats: Record<string, unknown> = {}
  /** Lifetime of a value without one, in milliseconds. Undefined: the `ttl` of the cache. */
  ttl: number | undefined
  /** The entries. */
  readonly space: CacheStore

  constructor(space: CacheStore, ttl: number | undefined) {
    super()
    this.space = space
    this.ttl = ttl
  }

  async get(key: string | string[], options?: RawOptions): Promise<unknown> {
    return Array.isArray(key) ? this.getMany(key, options) : this.#read(key, options)
  }

  async getMany(keys: string[], options?: RawOptions): Promise<unknown[]> {
    return options?.raw === true ? keys.map((key) => this.#read(key, options)) : this.space.getMany(keys)
  }

  /**
   * @param ttl Milliseconds; 0: none, less: the value is deleted.
   * @returns False for trouble with the segment, after the event `error`. An argument that cannot be stored rejects.
   */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    return this.#try(() => this.#write(key, value, ttl)) ?? false
  }

  async setMany(items: KeyvLikeItem[]): Promise<boolean[]> {
    return items.map(({ key, value, ttl }) => this.#try(() => this.#write(key, value, ttl)) ?? false)
  }

  async delete(key: string | string[]): Promise<boolean> {
    return Array.isArray(key) ? this.deleteMany(key) : (this.#try(() => this.space.delete(key)) ?? false)
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    return this.#try(() => this.space.deleteMany(keys).every(Boolean)) ?? false
  }

  async has(key: string): Promise<boolean> {
    return this.space.has(key)
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return this.space.hasMany(keys)
  }

  async clear(): Promise<void> {
    this.#try(() => this.space.clear())
  }

  /** Keys and values, with turns of the event loop. An entry that is removed meanwhile may be left out. */
  async *iterator(): AsyncGenerator<[string, unknown], void> {
    for await (const key of this.space.keys()) {
      const value = this.space.get(key)
      if (typeof key === 'string' && value !== undefined) yield [key, value]
    }
  }

  /** Does nothing: the cache belongs to the application, which closes it. */
  async disconnect(): Promise<void> {}

  #read(key: string, options: RawOptions | undefined): unknown {
    const value = this.space.get(key)
    return value === undefined || options?.raw !== true ? value : rawOf(this.space, key, value)
  }

  #write(key: string, value: unknown, given: number | undefined): boolean {
    const ttl = given ?? this.ttl
    // undefined is no value for the hosts, and a lifetime that is over leaves none.
    if (value === undefined || (ttl !== undefined && ttl < 0)) {
      this.space.delete(key)
      return true
    }
    return this.space.set(key, value, ttl === undefined ? {} : { ttl: keptFor(ttl) })
  }

  /** Undefined after trouble. */
  #try<T>(call: () => T): T | undefined {
    try {
      return call()
    } catch (error) {
      if (!isTrouble(error)) throw error
      if (this.listenerCount('error') > 0) this.emit('error', error)
      return undefined
    }
  }
}

/** A lifetime of the hosts, where 0 stands for none, as one of the cache. */
export function keptFor(ttl: number): number {
  return ttl === 0 ? Number.POSITIVE_INFINITY : ttl
}

/** A value with the moment at which its entry expires. */
export function rawOf(space: CacheStore, key: string, value: unknown): RawValue {
  return { value, expires: momentOf(space, key) }
}
