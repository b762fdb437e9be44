/**
 * What an adapter needs of a cache: the methods that every store has, with their semantics.
 *
 * Adapters take this interface and never the class, so that a test can hand them anything that passes
 * `__test__/store.suite.ts`.
 */
import type { Load, LoadOptions } from './load-options.ts'
import type { IncrOptions, ScanOptions, SetOptions } from './options.ts'
import type { Duration, Milliseconds } from './units.ts'
import type { Key } from './values.ts'

/** A key and its value, and for `setMany` how it is to be set. */
export type Item<V> = readonly [key: Key, value: V, options?: Duration | Omit<SetOptions, 'if'>]

/** A synchronous cache with expiry: `SharedCache`, or whatever behaves like it. */
export interface CacheStore<V = unknown> {
  /** The value, or undefined for a miss. */
  get(key: Key): V | undefined
  /** False if a condition did not hold or there is no room. */
  set(key: Key, value: V, options?: Duration | SetOptions): boolean
  /** Whether there was an entry. */
  delete(key: Key): boolean
  has(key: Key): boolean
  /** Removes everything; in a namespace only that. */
  clear(): void
  /** Milliseconds left, Infinity without a deadline, undefined without an entry. */
  ttl(key: Key): Milliseconds | undefined
  /** Whether there is an entry to give a new lifetime. */
  touch(key: Key, ttl: Duration): boolean
  incr(key: Key, by?: number, options?: IncrOptions): number
  /** Aligned with the keys. */
  getMany(keys: Iterable<Key>): (V | undefined)[]
  setMany(items: Iterable<Item<V>>, options?: Duration | Omit<SetOptions, 'if'>): boolean[]
  deleteMany(keys: Iterable<Key>): boolean[]
  hasMany(keys: Iterable<Key>): boolean[]
  /**
   * The value of `key`, or what `load` returns for it: one load for all who ask meanwhile. Of the options a store knows at least
   * `ttl`, `force` and `signal`.
   */
  getOrSet(key: Key, load: Load<V, V | undefined>, options?: LoadOptions<V>): Promise<V | undefined>
  /** Each key of an entry that stays while the iteration goes on, once. */
  keys(options?: ScanOptions): IterableIterator<Key>
  namespace<W = V>(name: string): CacheStore<W>
  close(): void
}
