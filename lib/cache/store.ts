/**
 * The interfaces of a store, for adapters and tools. `CacheStore` has the methods that every store has; each of the
 * others adds one ability.
 *
 * Adapters and tools take the narrowest of them and never the class, so a test can pass any store that satisfies the
 * store suite of the tests.
 */
import type { Load, LoadOptions } from '../arguments/load-options.ts'
import type { IncrOptions, InvalidateOptions, NamespaceOptions, ScanOptions, SetOptions } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import type { Key } from '../arguments/keys.ts'
import type { Limiter, LimiterOptions } from '../coordination/limiter.ts'
import type { Metrics } from '../metrics/instruments.ts'
import type { ChannelMessage } from '../messaging/messages.ts'
import type { StreamOptions } from '../messaging/streams.ts'

/** A key with its value, and for `setMany` with options. */
export type Item<V> = readonly [key: Key, value: V, options?: Duration | Omit<SetOptions, 'if'>]

/**
 * The results of a walk, with `for` or with `for await`. `for` runs the walk without a pause. `for await` lets the event
 * loop turn about once a millisecond, and keeps the process alive meanwhile.
 */
export interface Walk<T> extends IterableIterator<T> {
  [Symbol.asyncIterator](): AsyncIterableIterator<T>
}

/** A synchronous cache with expiry: `SharedCache`, or any store that behaves like it. */
export interface CacheStore<V = unknown> {
  /** The value, or undefined for a miss. */
  get(key: Key): V | undefined
  /** False if a condition did not hold or there is no room. */
  set(key: Key, value: V, options?: Duration | SetOptions): boolean
  /** Whether there was an entry. */
  delete(key: Key): boolean
  has(key: Key): boolean
  /** Deletes all entries; in a namespace only those of the namespace. */
  clear(): void
  /** Milliseconds until the entry expires, Infinity without an expiry, undefined without an entry. */
  ttl(key: Key): Milliseconds | undefined
  /** Sets a new lifetime; false without an entry. */
  touch(key: Key, ttl: Duration): boolean
  incr(key: Key, by?: number, options?: IncrOptions): number
  /** In the order of the keys. */
  getMany(keys: Iterable<Key>): (V | undefined)[]
  setMany(items: Iterable<Item<V>>, options?: Duration | Omit<SetOptions, 'if'>): boolean[]
  deleteMany(keys: Iterable<Key>): boolean[]
  hasMany(keys: Iterable<Key>): boolean[]
  /**
   * The value of `key`, or the result of `load`: one load for all concurrent calls. A store supports at least the
   * options `ttl`, `force` and `signal`.
   */
  getOrSet(key: Key, load: Load<V, V | undefined>, options?: Duration | LoadOptions<V>): Promise<V | undefined>
  /** The keys. The key of an entry that exists during the whole walk comes exactly once. */
  keys(options?: Omit<ScanOptions, 'tags'>): Walk<Key>
  namespace<W = V>(name: string): CacheStore<W>
  close(): void
}

/**
 * A store that invalidates entries by their tags, which `set`, `setMany` and `getOrSet` take.
 *
 * @example
 * const dropPost = (store: TaggedStore, id: number) => store.invalidateTags(`post:${id}`)
 */
export interface TaggedStore<V = unknown> extends CacheStore<V> {
  /** Invalidates all entries of this namespace that have one of these tags. Values that are set later stay. */
  invalidateTags(tags: string | readonly string[], options?: InvalidateOptions): void
  /** The keys; with `tags` those of entries that have at least one of them. */
  keys(options?: ScanOptions): Walk<Key>
  namespace<W = V>(name: string): TaggedStore<W>
}

/**
 * A store that gives its namespaces options of their own, such as a lifetime or a quota.
 *
 * @example
 * const sessionsOf = (store: NamespacedStore) => store.namespace('sessions', { ttl: '20m', size: '16mb' })
 */
export interface NamespacedStore<V = unknown> extends CacheStore<V> {
  /** A part of the store with its own keys, `clear` and quota. The latest call that sets a quota counts. */
  namespace<W = V>(name: string, options?: NamespaceOptions): NamespacedStore<W>
}

/**
 * Messages between all processes and threads that have the segment open.
 *
 * @example
 * const announce = (bus: MessageBus, version: string) => bus.publish('deployed', version) > 0
 */
export interface MessageBus {
  /** Returns the number of subscriptions that the message was written for. Messages are not kept. */
  publish(channel: string, message: unknown): number
  /** The messages from now on, at most once each, in the order of publishing. Ends by `return()` and by `close`. */
  subscribe<M = unknown>(
    channel: string | { readonly prefix: string },
    options?: StreamOptions,
  ): AsyncIterableIterator<ChannelMessage<M>>
}

/**
 * Rate limits that all processes share.
 *
 * @example
 * const logins = (factory: LimiterFactory) => factory.limiter('logins', { limit: 5, window: '1m' })
 */
export interface LimiterFactory {
  /** The limiter of this name, window and algorithm, the same in every process. */
  limiter(name: string, options: LimiterOptions): Limiter
}

/**
 * Counters, gauges and histograms that all processes share.
 *
 * @example
 * const served = (factory: MetricsFactory) => factory.metrics().counter('pages_served_total').inc()
 */
export interface MetricsFactory {
  /** The metrics of this namespace. */
  metrics(): Metrics
}
