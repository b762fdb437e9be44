/**
 * `Transaction`, what the function of a transaction works with: the methods of a cache, over what the transaction has
 * read and changed so far.
 */
import { wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { ADD, REPLACE, UPDATE, resolveIncr, resolveSet, resolveTtl } from '../arguments/options.ts'
import type {
  IncrOptions,
  NamespaceOptions,
  ReplaceOptions,
  ResolvedSet,
  SetOptions,
  StoreOptions,
  UpdateOptions,
} from '../arguments/options.ts'
import type { Duration } from '../arguments/units.ts'
import { resolveCollection } from '../collections/collection.ts'
import type { CollectionAccess, CollectionOptions, NewCollection } from '../collections/collection.ts'
import { SharedHash } from '../collections/hash.ts'
import { SharedList } from '../collections/list.ts'
import { SharedSet } from '../collections/set.ts'
import { SharedSortedSet } from '../collections/sorted-set.ts'
import { CacheError, about, fromStatus, showKey } from '../errors.ts'
import { Kind, STATUS_CODES, SetFlag } from '../native/layout.ts'
import type { Attempt, KeyState, Storing, TransactionAccess } from './attempt.ts'
import { collectionAccess, wrongType } from './collections.ts'
import { decoded, encoded, isCollection } from './contents.ts'
import type { Content } from './contents.ts'

/** Gives a transaction the cache of another namespace. */
export type NamespaceAccess = (name: string, options: NamespaceOptions | undefined) => TransactionParts

/** A namespace, and the way to those below it. */
export interface TransactionParts {
  readonly access: TransactionAccess
  readonly namespace: NamespaceAccess
}

const KEPT = SetFlag.KeepTtl | SetFlag.KeepTags
const NO_TAGS: readonly string[] = []
const GONE: Storing = { ttl: 0, stale: 0, tags: NO_TAGS, flags: 0 }

/**
 * A transaction under way; see `SharedCache.transaction`. Its methods are those of a cache. Reads see what the
 * transaction itself has changed. Nothing is stored before the function has returned.
 *
 * After the function has returned, each method throws `ERR_CLOSED`.
 */
export class Transaction<V = unknown> {
  readonly #attempt: Attempt
  readonly #parts: TransactionParts

  /** @internal */
  constructor(attempt: Attempt, parts: TransactionParts) {
    this.#attempt = attempt
    this.#parts = parts
  }

  /**
   * The value of `key`, or undefined. Objects and bytes are new copies.
   *
   * @throws {CacheError} `ERR_WRONG_TYPE` for a collection.
   * @example
   * const balance = tx.get('account:1') ?? 0
   */
  get(key: Key): V | undefined {
    const content = this.#attempt.content(this.#state(key))
    return content === undefined ? undefined : (this.#decode(key, content) as V | undefined)
  }

  /** Whether the key has an entry. */
  has(key: Key): boolean {
    return this.#attempt.content(this.#state(key)) !== undefined
  }

  /** The values of many keys, in their order, undefined for each miss. */
  getMany(keys: Iterable<Key>): (V | undefined)[] {
    return Array.from(keys, (key) => this.get(key))
  }

  /**
   * Stores a value. As `SharedCache.set`, with all of its options.
   *
   * @returns False if the condition `if` does not hold; then nothing is changed.
   * @throws {CacheError} As `SharedCache.set`. What has no room throws from `transaction`.
   * @example
   * tx.set('order:7', order, { ttl: '1h', tags: ['orders'] })
   */
  set(key: Key, value: V, options?: Duration | SetOptions): boolean {
    const content = this.#encode(key, value)
    const { defaultTtl } = this.#parts.access
    return this.#put(key, content, resolveSet(options === undefined ? {} : options, defaultTtl, 0))
  }

  /** Stores a value if there is no entry. As `SharedCache.add`. */
  add(key: Key, value: V, options: Duration | StoreOptions = {}): boolean {
    const content = this.#encode(key, value)
    return this.#put(key, content, resolveSet(options, this.#parts.access.defaultTtl, SetFlag.IfAbsent, ADD))
  }

  /** Stores a value if there is an entry. As `SharedCache.replace`. */
  replace(key: Key, value: V, options: Duration | ReplaceOptions = {}): boolean {
    const content = this.#encode(key, value)
    return this.#put(key, content, resolveSet(options, this.#parts.access.defaultTtl, SetFlag.IfPresent, REPLACE))
  }

  /** Stores many values, each as by `set`. Returns the result for each. */
  setMany(items: Iterable<readonly [key: Key, value: V, options?: Duration | SetOptions]>): boolean[] {
    return Array.from(items, ([key, value, options]) => this.set(key, value, options))
  }

  /** Stores what `change` returns for the value; the entry keeps its lifetime and tags. Returns the new value. */
  update(key: Key, change: (value: V | undefined) => V, options: UpdateOptions = {}): V {
    const set = resolveSet(options, this.#parts.access.defaultTtl, 0, UPDATE)
    const value = change(this.get(key))
    this.#change(this.#state(key), this.#encode(key, value), set.ttl, set.tags)
    return value
  }

  /** Deletes an entry. Returns whether there was one. */
  delete(key: Key): boolean {
    const state = this.#state(key)
    const isThere = this.#attempt.content(state) !== undefined
    if (isThere || state.change !== undefined) state.change = { content: undefined, storing: GONE }
    return isThere
  }

  /** Deletes many entries. Returns for each key whether there was one. */
  deleteMany(keys: Iterable<Key>): boolean[] {
    return Array.from(keys, (key) => this.delete(key))
  }

  /** Reads and deletes an entry. */
  take(key: Key): V | undefined {
    const value = this.get(key)
    if (value !== undefined) this.delete(key)
    return value
  }

  /**
   * Adds to a number, and returns the sum. As `SharedCache.incr`.
   *
   * @throws {CacheError} `ERR_NOT_A_NUMBER`, `ERR_OVERFLOW`, `ERR_INVALID_ARGUMENT`.
   * @example
   * tx.incr('account:1', -amount, { min: 0 })
   */
  incr(key: Key, by = 1, options?: IncrOptions): number {
    const { init, ttl, min, max } = resolveIncr(by, options)
    const state = this.#state(key)
    const content = this.#attempt.content(state)
    if (content !== undefined && content.kind !== Kind.Number) throw failed('ERR_NOT_A_NUMBER', key)
    const sum = Math.min(Math.max(((content?.found as number | undefined) ?? init) + by, min), max)
    if (!Number.isFinite(sum) || Math.abs(sum) > Number.MAX_SAFE_INTEGER) throw failed('ERR_OVERFLOW', key)
    this.#change(state, { kind: Kind.Number, found: sum }, ttl, NO_TAGS)
    return sum
  }

  /**
   * Gives an entry a new lifetime; Infinity: none. Returns whether there is an entry. A time for stale values is not kept.
   *
   * @throws {CacheError} `ERR_INVALID_TTL`.
   */
  touch(key: Key, ttl: Duration): boolean {
    const milliseconds = resolveTtl(ttl)
    const state = this.#state(key)
    const content = this.#attempt.content(state)
    if (content === undefined) return false
    const { tags, flags } = state.change?.storing ?? { tags: NO_TAGS, flags: SetFlag.KeepTags }
    const storing = { ttl: milliseconds, stale: 0, tags, flags: flags & SetFlag.KeepTags }
    state.change = { content, storing }
    return true
  }

  /**
   * The same transaction in a namespace of this cache.
   *
   * @example
   * tx.namespace('users').set('ada', user)
   */
  namespace<W = V>(name: string, options?: NamespaceOptions): Transaction<W> {
    return new Transaction<W>(this.#attempt, this.#parts.namespace(name, options))
  }

  /** The hash under `key`, as part of the transaction. */
  hash<T = V>(key: Key, options?: CollectionOptions): SharedHash<T> {
    return new SharedHash<T>(this.#collection(key), key, wholeKey(key), Kind.Hash, this.#newCollection(options))
  }

  /** The list under `key`, as part of the transaction. */
  list<T = V>(key: Key, options?: CollectionOptions): SharedList<T> {
    return new SharedList<T>(this.#collection(key), key, wholeKey(key), Kind.List, this.#newCollection(options))
  }

  /** The set under `key`, as part of the transaction. */
  setOf<T = V>(key: Key, options?: CollectionOptions): SharedSet<T> {
    return new SharedSet<T>(this.#collection(key), key, wholeKey(key), Kind.Set, this.#newCollection(options))
  }

  /** The sorted set under `key`, as part of the transaction. */
  sortedSet<T = V>(key: Key, options?: CollectionOptions): SharedSortedSet<T> {
    const rawKey = wholeKey(key)
    return new SharedSortedSet<T>(this.#collection(key), key, rawKey, Kind.SortedSet, this.#newCollection(options))
  }

  #collection(key: Key): CollectionAccess {
    const { access } = this.#parts
    return collectionAccess(access, key, (rawKey) => {
      const state = this.#attempt.state(access, key, rawKey)
      return {
        content: () => this.#attempt.content(state),
        store: (content, ttl, tags) => {
          if (content === undefined) state.change = { content, storing: GONE }
          else this.#change(state, content, ttl, tags)
        },
      }
    })
  }

  #newCollection(options: CollectionOptions | undefined): NewCollection {
    return resolveCollection(options, this.#parts.access.defaultTtl)
  }

  #state(key: Key): KeyState {
    return this.#attempt.state(this.#parts.access, key, wholeKey(key))
  }

  #encode(key: Key, value: V): Content {
    try {
      return encoded(this.#parts.access.encoder, value)
    } catch (error) {
      throw about(`the value for ${showKey(key)}`, error)
    }
  }

  #decode(key: Key, content: Content): unknown {
    if (isCollection(content.kind)) throw wrongType(key)
    const { access } = this.#parts
    try {
      return decoded(content, access.encoder.codec)
    } catch (cause) {
      const isKnown = cause instanceof CacheError && cause.code === 'ERR_CODEC_MISMATCH'
      const message = `the value of ${showKey(key)} cannot be decoded`
      return access.unreadable(key, isKnown ? cause : new CacheError('ERR_SEGMENT_CORRUPT', message, { cause }))
    }
  }

  /** Stores a content if its condition holds. */
  #put(key: Key, content: Content, set: ResolvedSet): boolean {
    const state = this.#state(key)
    if (!this.#mayStore(state, set)) return false
    if (set.isOver) {
      state.change = { content: undefined, storing: GONE }
      return false
    }
    const { ttl, stale, tags } = set
    const before = state.change
    const keepsTtl = (set.flags & SetFlag.KeepTtl) !== 0
    // What the transaction itself has stored gives its lifetime; what it has deleted gives none.
    const kept = keepsTtl && before?.content !== undefined ? before.storing : undefined
    const flags = keepsTtl && before === undefined ? SetFlag.KeepTtl : (kept?.flags ?? 0) & SetFlag.KeepTtl
    state.change = { content, storing: { ttl: kept?.ttl ?? ttl, stale: kept?.stale ?? stale, tags, flags } }
    return true
  }

  #mayStore(state: KeyState, { flags, version }: ResolvedSet): boolean {
    if ((flags & SetFlag.IfAbsent) !== 0) return this.#attempt.content(state) === undefined
    if ((flags & SetFlag.IfPresent) !== 0) return this.#attempt.content(state) !== undefined
    if ((flags & SetFlag.IfVersion) === 0) return true
    // A value of this transaction has no version yet.
    return state.change === undefined && this.#attempt.read(state).version === version
  }

  /** Stores a content over an entry, which keeps its lifetime and tags. `ttl` and `tags` are those of a new entry. */
  #change(state: KeyState, content: Content, ttl: number, tags: readonly string[]): void {
    const before = this.#attempt.content(state)
    const fresh = { ttl, stale: 0, tags, flags: 0 }
    const over = state.change?.storing ?? { ...fresh, flags: KEPT }
    state.change = { content, storing: before === undefined ? fresh : over }
  }
}

function failed(code: 'ERR_NOT_A_NUMBER' | 'ERR_OVERFLOW', key: Key): unknown {
  return fromStatus(STATUS_CODES.indexOf(code), { name: '', writeTimeout: 0, maxEntrySize: 0 }, key)
}
