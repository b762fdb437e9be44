/**
 * cache-machine/cluster-shared-memory: the controller of cluster-shared-memory 1 over a cache, without a primary.
 *
 * A lock ends with its process. Reads of a segment in trouble are misses. A write that fails rejects; with a callback,
 * which has no error, the error goes to `logger`.
 */
import { randomUUID } from 'node:crypto'
import type { CacheStore, MessageBus } from '../cache/store.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { invalid } from '../errors.ts'
import { answer } from './shared/callbacks.ts'
import { replaceFor } from './shared/lifetimes.ts'
import { adapterSpace } from './shared/space.ts'

/** Locks that all processes share: the part of a cache that the controller needs beside values and messages. */
export interface LockFactory {
  lock(key: string): Promise<{ release(): boolean }>
}

/** Options of `sharedMemory`. */
export interface SharedMemoryOptions {
  /** The namespace of the cache that has all objects. Default: `cluster-shared-memory`. */
  namespace?: string | undefined
  /** Lifetime of the objects of `setLRU` in milliseconds. Default: five minutes. */
  maxAge?: Milliseconds | undefined
  /** Gets errors of calls with a callback. Default: `console.error`. */
  logger?: ((error: unknown) => void) | undefined
}

/** A callback of a call. Without one, the call returns a promise. */
export type SharedMemoryCallback<T> = (result: T) => void

type Result<T> = Promise<T> | void

/** The controller that `sharedMemory` returns. It works in every process and thread, in a primary as well. */
export class SharedMemory {
  logger: (error: unknown) => void
  readonly #cache: CacheStore & MessageBus & LockFactory
  readonly #space: CacheStore
  readonly #recent: CacheStore
  readonly #place: string
  readonly #locks = new Map<string, { readonly key: string; release(): boolean }>()
  #maxAge: Milliseconds

  constructor(cache: CacheStore & MessageBus & LockFactory, options: SharedMemoryOptions) {
    const { namespace = 'cluster-shared-memory', maxAge = 300_000, logger = console.error } = options
    this.#cache = cache
    this.#space = adapterSpace('sharedMemory', cache, namespace)
    this.#recent = cache.namespace(`${namespace}.lru`)
    this.#place = namespace
    this.#maxAge = maxAge
    this.logger = logger
  }

  /** Undefined as the value removes the object. */
  set(key: string, value: unknown): Promise<string>
  set(key: string, value: unknown, callback?: SharedMemoryCallback<string>): void
  set(key: string, value: unknown, callback?: SharedMemoryCallback<string>): Result<string> {
    return this.#answer(callback, async () => this.#change(key, () => put(this.#space, key, value)))
  }

  get(key: string): Promise<unknown>
  get(key: string, callback?: SharedMemoryCallback<unknown>): void
  get(key: string, callback?: SharedMemoryCallback<unknown>): Result<unknown> {
    return this.#answer(callback, async () => this.#space.get(key))
  }

  remove(key: string): Promise<string>
  remove(key: string, callback?: SharedMemoryCallback<string>): void
  remove(key: string, callback?: SharedMemoryCallback<string>): Result<string> {
    return this.#answer(callback, async () => this.#change(key, () => this.#space.delete(key)))
  }

  /** Waits for the lock. The result names it for `releaseLock`, in this process. The lock ends with the process. */
  getLock(key: string): Promise<string>
  getLock(key: string, callback?: SharedMemoryCallback<string>): void
  getLock(key: string, callback?: SharedMemoryCallback<string>): Result<string> {
    return this.#answer(callback, async () => {
      const lock = await this.#cache.lock(this.#name(key))
      const id = randomUUID()
      this.#locks.set(id, { key, release: () => lock.release() })
      return id
    })
  }

  /** `'OK'`, or a text that says why not. */
  releaseLock(key: string, lockId: string): Promise<string>
  releaseLock(key: string, lockId: string, callback?: SharedMemoryCallback<string>): void
  releaseLock(key: string, lockId: string, callback?: SharedMemoryCallback<string>): Result<string> {
    return this.#answer(callback, async () => {
      const lock = this.#locks.get(lockId)
      if (lock?.key !== key) return `Failed. LockId:${lockId} does not match ${key}'s lockId.`
      this.#locks.delete(lockId)
      lock.release()
      return 'OK'
    })
  }

  /** Runs `work` under the lock, which is released in any case: the original keeps it after an error. */
  async mutex<T>(key: string, work: () => T | PromiseLike<T>): Promise<T> {
    const id = await this.getLock(key)
    try {
      return await work()
    } finally {
      await this.releaseLock(key, id)
    }
  }

  /**
   * Calls back after each `set` and `remove` of this key by any process, with the value at that time, or undefined. Does
   * not keep the process alive, and ends when the cache is closed.
   */
  listen(key: string, callback: (value: unknown) => void): void {
    if (typeof callback !== 'function') throw invalid('listen takes a callback', callback)
    const changes = this.#cache.subscribe(this.#name(key), { ref: false })
    void this.#follow(changes, key, callback)
  }

  /** Sets the lifetime of later calls of `setLRU` in this process. The limit is the size of the cache. */
  setLRUOptions({ maxAge }: { max?: number; maxAge?: Milliseconds } = {}): void {
    if (maxAge !== undefined) this.#maxAge = maxAge
  }

  setLRU(key: string, value: unknown): Promise<string>
  setLRU(key: string, value: unknown, callback?: SharedMemoryCallback<string>): void
  setLRU(key: string, value: unknown, callback?: SharedMemoryCallback<string>): Result<string> {
    return this.#answer(callback, async () => put(this.#recent, key, value, this.#maxAge))
  }

  getLRU(key: string): Promise<unknown>
  getLRU(key: string, callback?: SharedMemoryCallback<unknown>): void
  getLRU(key: string, callback?: SharedMemoryCallback<unknown>): Result<unknown> {
    return this.#answer(callback, async () => this.#recent.get(key))
  }

  removeLRU(key: string): Promise<string>
  removeLRU(key: string, callback?: SharedMemoryCallback<string>): void
  removeLRU(key: string, callback?: SharedMemoryCallback<string>): Result<string> {
    return this.#answer(callback, async () => put(this.#recent, key, undefined))
  }

  #name(key: string): string {
    return `${this.#place}:${key}`
  }

  #change(key: string, change: () => unknown): string {
    change()
    this.#cache.publish(this.#name(key), null)
    return 'OK'
  }

  async #follow(changes: AsyncIterable<unknown>, key: string, callback: (value: unknown) => void): Promise<void> {
    try {
      for await (const _ of changes) {
        const value = this.#space.get(key)
        // An error of the callback is that of the application, as in a listener of an event.
        setImmediate(() => callback(value))
      }
    } catch (error) {
      this.logger(error)
    }
  }

  #answer<T>(callback: SharedMemoryCallback<T> | undefined, work: () => Promise<T>): Result<T> {
    if (typeof callback !== 'function') return answer(undefined, 'later', work)
    void answer<T>((error, result) => (error === null ? callback(result as T) : this.logger(error)), 'later', work)
  }
}

/**
 * The controller of cluster-shared-memory over a cache.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `SharedMemoryOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const controller = sharedMemory(open({ name: 'app' }))
 */
export function sharedMemory(
  cache: CacheStore & MessageBus & LockFactory,
  options: SharedMemoryOptions = {},
): SharedMemory {
  return new SharedMemory(cache, options)
}

function put(space: CacheStore, key: string, value: unknown, ttl?: Milliseconds): string {
  replaceFor(space, key, value, ttl)
  return 'OK'
}
