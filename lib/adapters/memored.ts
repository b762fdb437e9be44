/**
 * cache-machine/memored: the functions of memored 1 over a cache, without a primary and without messages.
 *
 * Lifetimes are milliseconds. A callback is called later, as that of memored. Reads of a segment in trouble are misses;
 * a write that fails passes its error to the callback, or without one does nothing.
 */
import type { CacheStore } from '../cache/store.ts'
import { answer } from './shared/callbacks.ts'
import { momentOf, replaceFor } from './shared/lifetimes.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `memoredOver`. */
export interface MemoredOptions {
  /** The namespace of the cache that has all entries. Default: `memored`. */
  namespace?: string | undefined
}

/** A callback. `error` is null unless the cache could not be written or was closed. */
export type MemoredCallback<R extends unknown[] = []> = (error: Error | null, ...results: Partial<R>) => void

/** What `multiRead` answers for a key. */
export interface MemoredEntry {
  value: unknown
  /** Epoch milliseconds; undefined: never. */
  expirationTime: number | undefined
}

/** The functions of memored. They work in every process and thread, in a primary as well. */
export interface Memored {
  /** Does nothing: the cache sweeps by itself. */
  setup(options?: object): void
  read(key: string, callback: MemoredCallback<[value: unknown, expirationTime: number]>): void
  multiRead(keys: string[], callback: MemoredCallback<[values: Record<string, MemoredEntry>]>): void
  /** `ttl`: milliseconds; 0: the `ttl` of the cache. The callback gets the moment of expiry, if there is one. */
  store(key: string, value: unknown, callback?: MemoredCallback<[expirationTime: number]>): void
  store(key: string, value: unknown, ttl?: number, callback?: MemoredCallback<[expirationTime: number]>): void
  multiStore(map: Record<string, unknown>, callback?: MemoredCallback<[expirationTime: number]>): void
  multiStore(map: Record<string, unknown>, ttl?: number, callback?: MemoredCallback<[expirationTime: number]>): void
  remove(key: string, callback?: MemoredCallback): void
  multiRemove(keys: string[], callback?: MemoredCallback): void
  /** Deletes all entries. */
  clean(callback?: MemoredCallback): void
  /** The number of entries. Walks over all of them, and blocks the event loop meanwhile. */
  size(callback: MemoredCallback<[size: number]>): void
  /** In no order. Walks as `size` does. */
  keys(callback: MemoredCallback<[keys: string[]]>): void
}

/**
 * The functions of memored over a cache.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `MemoredOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const memored = memoredOver(open({ name: 'app' }))
 */
export function memoredOver(cache: CacheStore, { namespace = 'memored' }: MemoredOptions = {}): Memored {
  const space = adapterSpace('memoredOver', cache, namespace)
  const readOne = (key: string): MemoredEntry | undefined => {
    const value = space.get(key)
    return value === undefined ? undefined : { value, expirationTime: momentOf(space, key) }
  }
  const storeAll = (map: Record<string, unknown>, ttl?: unknown, callback?: unknown): void => {
    const done = typeof ttl === 'function' ? ttl : callback
    // memored takes 0 for no lifetime.
    const ms = typeof ttl === 'number' && ttl !== 0 ? ttl : undefined
    answerAll(done, () => {
      for (const [key, value] of Object.entries(map)) replaceFor(space, key, value, ms)
      const [first] = Object.keys(map)
      const moment = first === undefined ? undefined : momentOf(space, first)
      return moment === undefined ? [] : [moment]
    })
  }
  const removeAll = (keys: string[], callback: unknown): void => {
    answerAll(callback, () => {
      space.deleteMany(keys)
      return []
    })
  }
  return {
    setup: () => undefined,
    read(key, callback) {
      answerAll(callback, () => {
        const found = readOne(key)
        if (found === undefined) return []
        return found.expirationTime === undefined ? [found.value] : [found.value, found.expirationTime]
      })
    },
    multiRead(keys, callback) {
      answerAll(callback, () => {
        const found = keys.map((key) => [key, readOne(key)] as const).filter(([, entry]) => entry !== undefined)
        return [Object.fromEntries(found)]
      })
    },
    store: (key: string, value: unknown, ttl?: unknown, callback?: unknown) =>
      storeAll({ [key]: value }, ttl, callback),
    multiStore: storeAll,
    remove: (key, callback) => removeAll([key], callback),
    multiRemove: removeAll,
    clean(callback) {
      answerAll(callback, () => {
        space.clear()
        return []
      })
    },
    size: (callback) => answerAll(callback, () => [Array.from(space.keys()).length]),
    keys: (callback) => answerAll(callback, () => [Array.from(space.keys(), String)]),
  }
}

/** Runs `work` at once, and passes its results to the callback later, or its error. */
function answerAll(callback: unknown, work: () => unknown[]): void {
  if (typeof callback !== 'function') return void answer(undefined, 'later', work)
  void answer<unknown[]>((error, results = []) => callback(error, ...results), 'later', work)
}
