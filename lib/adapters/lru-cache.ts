/**
 * cache-machine/lru-cache: the class `LRUCache` of lru-cache 11, over a cache that all processes share.
 *
 * Lifetimes are milliseconds. Values are copies, there is no order of entries, and the limit is the size of the cache:
 * `max` has no effect. A load of `fetch` serves all callers of the host. Reads of a segment in trouble are misses;
 * writes throw.
 */
import type { CacheStore } from '../cache/store.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { invalid } from '../errors.ts'
import { replaceFor } from './shared/lifetimes.ts'
import { MapReplacement, keyOf, placeOf, refuse } from './shared/replacement.ts'
import type { PlaceOptions } from './shared/replacement.ts'

export type { PlaceOptions } from './shared/replacement.ts'

/** The third argument of a `fetchMethod`. */
export interface FetcherOptions<FC = unknown> {
  /** Aborted when no caller waits for the value any more. */
  readonly signal: AbortSignal
  readonly options: FetchOptions<FC>
  readonly context: FC
}

/** The third argument of a `memoMethod`. */
export interface MemoizerOptions<FC = unknown> {
  readonly options: MemoOptions<FC>
  readonly context: FC
}

/** Options of the constructor. Other options of lru-cache that set a limit, such as `max`, have no effect. */
export interface LRUCacheOptions<K, V, FC = unknown> extends PlaceOptions {
  /** Lifetime. 0: no expiry. Default: the `ttl` of the cache, else no expiry. */
  ttl?: Milliseconds | undefined
  /** Loads the value of a key for `fetch`. A result of undefined is not kept. The second argument is undefined. */
  fetchMethod?: ((key: K, stale: V | undefined, options: FetcherOptions<FC>) => unknown) | undefined
  /** Makes the value of a key for `memo`. The second argument is undefined. */
  memoMethod?: ((key: K, stale: V | undefined, options: MemoizerOptions<FC>) => V) | undefined
  /** Limits of lru-cache, without effect. */
  max?: number | undefined
  maxSize?: number | undefined
  maxEntrySize?: number | undefined
  sizeCalculation?: unknown
  ttlAutopurge?: boolean | undefined
  ttlResolution?: Milliseconds | undefined
}

/** Options of `set`. */
export interface LRUSetOptions {
  /** Lifetime of this entry; 0: no expiry. Default: that of the constructor. */
  ttl?: Milliseconds | undefined
  /** Without effect. */
  size?: number | undefined
}

/** Options of `memo`. */
export interface MemoOptions<FC = unknown> extends LRUSetOptions {
  context?: FC | undefined
  /** Make the value also if there is one. */
  forceRefresh?: boolean | undefined
}

/** Options of `fetch`. */
export interface FetchOptions<FC = unknown> extends MemoOptions<FC> {
  /** Rejects the call when it is aborted. */
  signal?: AbortSignal | undefined
}

const REFUSED = {
  dispose: 'cache.on("evict") reports evictions',
  disposeAfter: 'cache.on("evict") reports evictions',
  onInsert: 'cache.watch() reports changes',
  allowStale: 'getOrSet of a cache takes stale values',
  updateAgeOnGet: 'call cache.touch',
  updateAgeOnHas: 'call cache.touch',
  noUpdateTTL: 'cache.replace has keepTtl',
}

/**
 * `LRUCache` over a cache.
 *
 * @example
 * const users = new LRUCache<string, User>({ cache: open({ name: 'app' }), max: 500, ttl: 60_000 })
 */
export class LRUCache<K, V, FC = unknown> extends MapReplacement<K, V> {
  readonly ttl: Milliseconds | undefined
  readonly max: number
  readonly fetchMethod: LRUCacheOptions<K, V, FC>['fetchMethod']
  readonly memoMethod: LRUCacheOptions<K, V, FC>['memoMethod']
  readonly #space: CacheStore

  /** @throws {CacheError} `ERR_INVALID_ARGUMENT` without a cache, or for an option that cannot be kept. */
  constructor(options: LRUCacheOptions<K, V, FC>) {
    const space = placeOf('LRUCache', 'lru-cache', options ?? {})
    super(space)
    this.#space = space
    refuse('LRUCache', options, REFUSED)
    this.ttl = options.ttl
    this.max = options.max ?? 0
    this.fetchMethod = options.fetchMethod
    this.memoMethod = options.memoMethod
  }

  peek(key: K): V | undefined {
    return this.get(key)
  }

  /** Undefined as the value deletes the key, and so does a negative lifetime. A value without room is not kept. */
  set(key: K, value: V | undefined, options: LRUSetOptions = {}): this {
    replaceFor(this.#space, keyOf(key), value, this.#lifetime(options))
    return this
  }

  /** Milliseconds; Infinity without an expiry, 0 without an entry. */
  getRemainingTTL(key: K): Milliseconds {
    return this.#space.ttl(keyOf(key)) ?? 0
  }

  /** The value, or the result of `fetchMethod`: one load for all concurrent callers of the host. */
  async fetch(key: K, options: FetchOptions<FC> = {}): Promise<V | undefined> {
    const load = this.fetchMethod
    if (load === undefined) return this.get(key)
    const { signal, forceRefresh: force } = options
    const context = options.context as FC
    return this.#space.getOrSet(
      keyOf(key),
      ({ signal: ended }) => load(key, undefined, { signal: ended, options, context }) as V | undefined,
      { ttl: this.#lifetime(options), force, signal },
    ) as Promise<V | undefined>
  }

  /** As `fetch`, and rejects if there is no value. */
  async forceFetch(key: K, options: FetchOptions<FC> = {}): Promise<V> {
    const value = await this.fetch(key, options)
    if (value === undefined) throw new Error('fetch() returned undefined')
    return value
  }

  /** The value, or the result of `memoMethod`. Two processes may both make it. */
  memo(key: K, options: MemoOptions<FC> = {}): V {
    const make = this.memoMethod
    if (make === undefined) throw invalid('memo needs the option memoMethod of the constructor', make)
    const found = options.forceRefresh === true ? undefined : this.get(key)
    if (found !== undefined) return found
    const value = make(key, undefined, { options, context: options.context as FC })
    this.set(key, value, options)
    return value
  }

  /** Does nothing, and returns false: an expired entry is not returned, and is swept. */
  purgeStale(): boolean {
    return false
  }

  find(fn: (value: V, key: K, self: this) => boolean): V | undefined {
    for (const [key, value] of this) if (fn(value, key, this)) return value
    return undefined
  }

  forEach(fn: (value: V, key: K, self: this) => unknown, self: unknown = this): void {
    for (const [key, value] of this) fn.call(self, value, key, this)
  }

  get [Symbol.toStringTag](): string {
    return 'LRUCache'
  }

  #lifetime({ ttl = this.ttl }: LRUSetOptions): Milliseconds | undefined {
    return ttl === 0 ? Infinity : ttl
  }
}
