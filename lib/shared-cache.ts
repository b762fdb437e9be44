/// <reference lib="es2024.string" />
/**
 * The cache that users hold: checks what they pass, calls the native side, and turns its answers into values and errors.
 *
 * Every read and write here is synchronous and goes straight to shared memory; when a write has returned, every later
 * read in any process sees it. Reads of an unwell segment are misses, counted and emitted; writes throw. The thing to get
 * wrong: raw calls answer in memory that the next raw call overwrites, so `#decode` comes directly after the call; and a
 * closure in a hot method makes every call of it allocate, so the slow ways are methods of their own.
 */
import { encode, encoded, fromBytes, fromText, isBytes } from './codec/codec.ts'
import { channels, hearsOfGone, hearsOfNotices } from './diagnostics.ts'
import type { CacheMessage } from './diagnostics.ts'
import { CacheError, Status, fromNative, fromStatus, invalid, isDetached } from './errors.ts'
import type { CacheErrorCode } from './errors.ts'
import { waitForLeadership } from './elections.ts'
import type { Leadership } from './elections.ts'
import { Listeners } from './events.ts'
import type { CacheEvents } from './events.ts'
import {
  ANYTHING,
  Feeds,
  checkChannel,
  resolveChannel,
  resolveFeedOptions,
  resolveWatchedTags,
  toChange,
} from './feeds.ts'
import type { Change, ChannelMessage, FeedOptions, WatchFilter } from './feeds.ts'
import { onceSource, valueSource } from './flight-sources.ts'
import type { FlightCache, Stored } from './flight-sources.ts'
import { Flights } from './flights.ts'
import type { FlightSource, FlightTicket, Previous } from './flights.ts'
import { MOST_REOPENS, closeHandle, openHandle } from './handle.ts'
import type { Handle } from './handle.ts'
import { KeyLimiter } from './limiter.ts'
import type { Limiter, LimiterOptions } from './limiter.ts'
import { checkLoad, isDue, resolveLoad, resolveOnce, resolveWrap } from './load-options.ts'
import type { Load, LoadOptions, OnceOptions, ResolvedLoad, WrapOptions } from './load-options.ts'
import { checkWork, takeLock, waitForLock, whileHeld } from './locks.ts'
import type { Lock, LockOptions, TryLockOptions, TurnOptions } from './locks.ts'
import { packMessage, unpackMessage } from './messages.ts'
import { CacheMetrics } from './metrics.ts'
import type { Metrics } from './metrics.ts'
import {
  ASK_ALONE,
  GetFlag,
  Kind,
  Landing,
  MOST_AT_ONCE,
  MetaFloat,
  MetaInt,
  Notice,
  SetFlag,
  native,
} from './native.ts'
import type { NativeFeedItem, NativePage, RawKey } from './native.ts'
import { countNearHits, openNearCache } from './near-cache.ts'
import type { NearCache } from './near-cache.ts'
import {
  checkNumber,
  checkOptions,
  checkScope,
  checkTag,
  checkTags,
  checkVersion,
  inNamespace,
  resolveMode,
  resolveOptions,
  resolveSet,
  resolveTimeout,
  resolveTtl,
} from './options.ts'
import type {
  DeleteOptions,
  GetEntryOptions,
  IncrBigIntOptions,
  IncrOptions,
  InvalidateOptions,
  NamespaceOptions,
  OpenOptions,
  ReplaceOptions,
  ResolvedOptions,
  ResolvedSet,
  ScanOptions,
  SetOptions,
  StatsOptions,
  StoreOptions,
  UpdateOptions,
  WaitOptions,
} from './options.ts'
import { openRegion } from './region.ts'
import type { Region } from './region.ts'
import { semaphoreOf } from './semaphores.ts'
import type { Semaphore } from './semaphores.ts'
import { NO_STATS, toStats } from './stats.ts'
import type { Stats } from './stats.ts'
import type { CacheStore, Item } from './store.ts'
import { nativeHandles } from './testing.ts'
import { Turns, segmentLost } from './turns.ts'
import type { Bytes, Duration, Milliseconds } from './units.ts'
import { givenKey, steadyKey, steadyPrefix, wholeKey } from './values.ts'
import type { Entry, Key } from './values.ts'
import { Vigils } from './vigils.ts'
import { Waits } from './waits.ts'

/**
 * What a call may do about trouble with the segment: a `read` makes it a miss, everything else throws. A `look` reads on
 * behalf of a wait, a `take` reads and deletes.
 */
type Mode = 'read' | 'look' | 'take' | 'write'

type Operation =
  | 'get'
  | 'getInto'
  | 'has'
  | 'set'
  | 'setWith'
  | 'delete'
  | 'take'
  | 'takeInto'
  | 'incr'
  | 'touch'
  | 'ttl'
  | 'limit'
  | 'measure'
type Rest<O extends Operation> = Parameters<Handle[O]> extends [RawKey, ...infer R] ? R : never
type Result<O extends Operation> = ReturnType<Handle[O]> | undefined

/** What the caller did wrong is thrown also by reads. */
const MISTAKES: ReadonlySet<CacheErrorCode> = new Set([
  'ERR_INVALID_ARGUMENT',
  'ERR_KEY_TOO_LONG',
  'ERR_CLOSED',
  'ERR_CODEC_MISMATCH',
])

const NO_OPTIONS: SetOptions = Object.freeze({})

/** Keys of one page of an iteration. */
const PAGE = 256

/** An `eviction: 'none'` cache says no for two reasons; so many times in a row it is for want of room. */
const REFUSALS = 100

/** After a segment could not be opened again, reads are misses for so long before the next try. */
const REOPEN_PAUSE: Milliseconds = 100

/** A value that grows in between is fetched with a buffer of its new length; after so many tries, with the largest there is. */
const FITTING_TRIES = 3

/**
 * Opens the segment of this name, or creates it. Synchronous; works in any process and any thread, in any order.
 *
 * @param options Only `name` is required; see `OpenOptions` for units and defaults.
 * @returns A handle of its own for each call. All handles of a name share one segment, and none is shared with other users.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL` for the options; `ERR_NO_SPACE` if the memory cannot be had;
 * `ERR_PERMISSION` if the file is not ours or must not be pinned; `ERR_SEGMENT_MISMATCH` with `onMismatch: 'throw'`;
 * `ERR_SEGMENT_VERSION`, `ERR_SEGMENT_CORRUPT` for a segment that cannot be used; `ERR_BUSY` while it is being destroyed;
 * `ERR_NATIVE_UNAVAILABLE` if the addon could not be loaded.
 * @example
 * const cache = open({ name: 'app', size: '256mb', ttl: '5m' })
 * cache.set('greeting', 'hello')
 */
export function open<V = unknown>(options: OpenOptions): SharedCache<V> {
  return new SharedCache<V>(options)
}

/**
 * A cache in shared memory. `undefined` is a miss; every other value is a value.
 *
 * Keys are strings or bytes of 1 byte to 8 KiB; every method throws `ERR_INVALID_ARGUMENT` or `ERR_KEY_TOO_LONG` for others,
 * and `ERR_CLOSED` after `close`. Writes throw `ERR_BUSY` when a stopped process holds their shard for longer than
 * `writeTimeout`; reads never wait.
 */
export class SharedCache<V = unknown> implements CacheStore<V>, Iterable<[Key, V]>, Disposable {
  /** The name that the segment was opened with. */
  readonly name: string
  /** The namespace that its keys are in; empty for the root. */
  readonly namespaceName: string
  readonly #given: OpenOptions
  readonly #options: ResolvedOptions
  /** 0: none. */
  readonly #ttl: Milliseconds
  readonly #listeners = new Listeners()
  readonly #waits: Waits<Entry<V>>
  readonly #feeds: Feeds
  readonly #vigils = new Vigils()
  readonly #flights: Flights<unknown>
  readonly #onceFlights: Flights<unknown>
  readonly #turns: Turns
  /** Undefined once closed. */
  #handle: Handle | undefined
  /** Undefined if there is none or it rests, and once closed. */
  #near: NearCache | undefined
  /** The same while it rests, and how many reads that still is. */
  #resting: NearCache | undefined
  #rest = 0
  /** Whether the native side calls back; it does so from the first listener or wait on. */
  #notified = false
  /** Whether it tells of entries that were evicted or expired. */
  #watchesGone = false
  /** Namespaces made from this cache, which end with it. */
  readonly #children = new Set<SharedCache<unknown>>()
  #parent: SharedCache<unknown> | undefined
  /** The handle whose loss was emitted last. */
  #announced: Handle | undefined
  #degradedReads = 0
  /** Why the segment could not be opened again, and from when on reads try once more. */
  #failure: { readonly error: unknown; readonly until: Milliseconds } | undefined

  /** Use `open`, which does the same. */
  constructor(options: OpenOptions) {
    this.#options = resolveOptions(options)
    this.#given = { ...options }
    this.#ttl = this.#options.ttl
    this.name = this.#options.native.name
    this.namespaceName = this.#options.native.namespace ?? ''
    this.#waits = new Waits({
      look: (key, after) => this.#look(key, after),
      start: (key, after) => this.#native('write', (id) => native.waitStart(id, key, after)) as number,
      cancel: (id) => this.#cancelWait(id),
    })
    this.#feeds = new Feeds({
      // Of this handle or of none: its number means nothing in another segment.
      take: (feed, most) => native.feedTake(this.#live().id, feed, most),
      end: (feed) => this.#endFeed(feed),
    })
    this.#flights = new Flights(valueSource(this.#flightCache()) as FlightSource<unknown>)
    this.#onceFlights = new Flights(onceSource(this.#flightCache() as FlightCache<unknown>))
    this.#turns = new Turns({
      run: <T>(call: (id: number) => T) => this.#native('write', call) as T,
      listen: () => this.#listen(),
      vigils: this.#vigils,
    })
    this.#handle = openHandle(this.#options)
    this.#near = openNearCache(this.#handle, this.#options.near)
    nativeHandles.set(this, this.#handle)
    if (channels.open.hasSubscribers) channels.open.publish(this.#message())
    if (hearsOfNotices()) this.#listen()
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#handle === undefined
  }

  /**
   * The value of `key`, or undefined. Objects, arrays and bytes are fresh copies with every call; with
   * `near: { objects: 'frozen' }` those of plain objects and arrays are frozen, and the same as long as they are kept.
   *
   * Counts as a hit or a miss, and as a use of the entry.
   *
   * @example
   * const user = cache.get('user:1') ?? (await loadUser(1))
   */
  get(key: Key): V | undefined {
    const near = this.#near
    if (near === undefined)
      return this.#resting === undefined ? this.#getFar(key) : this.#getResting(this.#resting, key)
    const value = near.get(key)
    return value === undefined ? this.#getNear(near, key) : (value as V)
  }

  /**
   * Like `get`, but leaves no trace: not counted, and no use that would keep the entry from being evicted.
   *
   * @example
   * console.log(cache.peek('session:1'))
   */
  peek(key: Key): V | undefined {
    return this.#read('read', key, GetFlag.Peek)
  }

  /**
   * Whether `key` has an entry that has not expired. Not counted and no use. A `get` after it may still miss.
   *
   * @example
   * if (!cache.has('greeting')) cache.set('greeting', 'hello')
   */
  has(key: Key): boolean {
    return this.#live().has(key) ?? this.#again('read', 'has', key) ?? false
  }

  /**
   * The value of `key` with its version, times (epoch milliseconds) and size, or undefined. Counts like `get`.
   *
   * @param options `allowStale`: also an entry that has expired within its `stale` time, or that was outdated by a tag.
   * Default: false.
   * @example
   * const entry = cache.getEntry('config')
   * if (entry) cache.set('config', changed(entry.value), { if: { version: entry.version } })
   */
  getEntry(key: Key, options?: GetEntryOptions): Entry<V> | undefined {
    checkOptions(options, 'getEntry')
    return this.#entry('read', key, options?.allowStale ? GetFlag.Meta | GetFlag.Stale : GetFlag.Meta)
  }

  /**
   * Stores `value` under `key`, for every process that has the segment open.
   *
   * @param options A lifetime, or `SetOptions`. Default: the `ttl` of `open`, else no expiry.
   * @returns True if it was stored. False if the condition of `if` did not hold, if `expiresAt` has passed (which deletes the
   * entry), or with `eviction: 'none'` if there is no room.
   * @throws {CacheError} `ERR_UNDEFINED_VALUE`; `ERR_UNSERIALIZABLE` with the path to what cannot be stored; `ERR_VALUE_TOO_LARGE`
   * above `maxEntrySize`; `ERR_INVALID_TTL` for 0, negative numbers and what is no duration; `ERR_NO_SPACE`; `ERR_BUSY`.
   * @example
   * cache.set('user:1', { name: 'Ada' }, '30s')
   * cache.set('job', 'mine', { ttl: '1m', if: 'absent' })
   */
  set(key: Key, value: V, options?: Duration | SetOptions): boolean {
    const payload = encode(value, this.#options.codec)
    if (options === undefined) return this.#store(key, payload, encoded.kind, this.#ttl, 0, 0)
    return this.#storeWith(key, payload, encoded.kind, options, 0)
  }

  /**
   * Stores `value` if `key` has no entry. Short for `set` with `if: 'absent'`; of many processes exactly one gets true.
   *
   * @param options A lifetime, or `StoreOptions`. Default: the `ttl` of `open`, else no expiry.
   * @throws {CacheError} As `set`.
   * @example
   * if (cache.add('daily-mail', process.pid, '1d')) await sendMail()
   */
  add(key: Key, value: V, options: Duration | StoreOptions = NO_OPTIONS): boolean {
    const payload = encode(value, this.#options.codec)
    return this.#storeWith(key, payload, encoded.kind, options, SetFlag.IfAbsent)
  }

  /**
   * Stores `value` if `key` has an entry. Short for `set` with `if: 'present'`.
   *
   * @param options A lifetime, or `ttl`, `expiresAt` or `keepTtl`. Default: the `ttl` of `open`, else no expiry.
   * @throws {CacheError} As `set`.
   * @example
   * cache.replace('session:1', session, { keepTtl: true })
   */
  replace(key: Key, value: V, options: Duration | ReplaceOptions = NO_OPTIONS): boolean {
    const payload = encode(value, this.#options.codec)
    return this.#storeWith(key, payload, encoded.kind, options, SetFlag.IfPresent)
  }

  /**
   * Stores `value` and returns the one that it replaces, in one step: of two swaps at once each gets another value.
   *
   * @param options A lifetime, or `StoreOptions`. Default: the `ttl` of `open`, else no expiry. With an `expiresAt` that has
   * passed it is `take`.
   * @returns The value before; undefined if there was no entry.
   * @throws {CacheError} As `set`, and `ERR_NO_SPACE` where `set` would return false for want of room.
   * @example
   * const before = cache.swap('leader', process.pid, '10s')
   */
  swap(key: Key, value: V, options: Duration | StoreOptions = NO_OPTIONS): V | undefined {
    const resolved = resolveSet(options, this.#ttl, SetFlag.IfVersion)
    if (resolved.isOver) return this.take(key)
    return this.#change(key, () => value, resolved, resolved)
  }

  /**
   * Replaces a value by what `change` makes of it, and begins again with the newer value if another process was quicker; so
   * `change` may be called more than once and should do nothing else. Deadline and tags of an entry stay.
   *
   * @param change Gets the value, or undefined if there is none. Must return a value: `undefined` throws and changes nothing.
   * @param options `ttl` and `tags` for a key that had no entry. Default: the `ttl` of `open`, no tags.
   * @returns The new value.
   * @throws {CacheError} As `set`, and `ERR_NO_SPACE` where `set` would return false. What `change` throws.
   * @example
   * cache.update('cart:7', (cart) => ({ items: [...(cart?.items ?? []), item] }))
   */
  update(key: Key, change: (value: V | undefined) => V, options: UpdateOptions = NO_OPTIONS): V {
    if (typeof change !== 'function') throw invalid('update takes a function', change)
    checkOptions(options, 'update')
    let result: V | undefined
    this.#changeKept(key, options, (value) => (result = change(value)))
    return result as V
  }

  /**
   * Adds text to a string or bytes to bytes, in one step. Deadline and tags of an entry stay. Costs as much as the whole
   * value is long.
   *
   * @param options `ttl` and `tags` for a key that had no entry. Default: the `ttl` of `open`, no tags.
   * @returns The new length: of a string in UTF-16 units as `length` has it, of bytes in bytes.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` if entry and addition are not both text or both bytes; as `update`.
   * @example
   * cache.append('log', `${new Date().toISOString()} started\n`, { ttl: '1h' })
   */
  append(key: Key, addition: string | Uint8Array, options: UpdateOptions = NO_OPTIONS): number {
    if (typeof addition !== 'string' && !(addition instanceof Uint8Array)) {
      throw invalid('append takes a string or a Uint8Array', addition)
    }
    checkOptions(options, 'append')
    let length = 0
    this.#changeKept(key, options, (value) => {
      const whole = joined(value, addition)
      length = whole.length
      return whole as V
    })
    return length
  }

  /**
   * Deletes the entry of `key`.
   *
   * @param options.version Delete only this version of the entry. Default: whichever there is.
   * @returns Whether there was an entry to delete; one that has expired does not count.
   * @throws {CacheError} `ERR_BUSY`; `ERR_INVALID_ARGUMENT` for what can be no version.
   * @example
   * cache.delete('user:1')
   */
  delete(key: Key, options?: DeleteOptions): boolean {
    checkOptions(options, 'delete')
    const version = options?.version === undefined ? 0 : checkVersion(options.version, 'version', 1)
    const done = this.#live().delete(key, version) ?? this.#again('write', 'delete', key, version) ?? false
    if (channels.delete.hasSubscribers) channels.delete.publish(this.#message({ key, done }))
    return done
  }

  /**
   * Returns the value of `key` and deletes its entry, in one step: of many processes exactly one gets it.
   *
   * @throws {CacheError} `ERR_BUSY`; `ERR_SEGMENT_CORRUPT` if the value was damaged.
   * @example
   * const job = cache.take(`job:${id}`)
   */
  take(key: Key): V | undefined {
    const handle = this.#live()
    const found = handle.take(key)
    return found === undefined ? this.#takeAgain(key) : this.#decode('take', handle, key, found, 0)
  }

  /**
   * Gives the entry of `key` a new lifetime from now on; its value, version and creation time stay.
   *
   * @param ttl Required: the `ttl` of `open` does not apply.
   * @returns Whether there is such an entry.
   * @throws {CacheError} `ERR_INVALID_TTL`; `ERR_BUSY`.
   * @example
   * cache.touch('session:1', '20m')
   */
  touch(key: Key, ttl: Duration): boolean {
    const lifetime = resolveTtl(ttl)
    return this.#live().touch(key, lifetime) ?? this.#again('write', 'touch', key, lifetime) ?? false
  }

  /**
   * Lets the entry of `key` live without expiry.
   *
   * @returns Whether there is such an entry, with or without a deadline before.
   * @throws {CacheError} `ERR_BUSY`.
   * @example
   * cache.persist('session:1')
   */
  persist(key: Key): boolean {
    return this.#live().touch(key, 0) ?? this.#again('write', 'touch', key, 0) ?? false
  }

  /**
   * Milliseconds until the entry of `key` expires: Infinity if it does not, undefined if there is none. Not counted.
   *
   * @example
   * if ((cache.ttl('token') ?? 0) < 5000) refreshToken()
   */
  ttl(key: Key): Milliseconds | undefined {
    return this.#live().ttl(key) ?? this.#again('read', 'ttl', key)
  }

  /**
   * Adds to a number, in one step: no increment of any process is lost. The entry keeps its deadline.
   *
   * @param by What to add; may be negative and need not be whole. Default: 1.
   * @param options `init`: where a missing key starts (default 0, then `by` is added); `ttl`: its lifetime if it was missing
   * (default none); `min`, `max`: the result is clamped to them.
   * @returns The new number.
   * @throws {CacheError} `ERR_NOT_A_NUMBER` if the entry is none; `ERR_OVERFLOW` if the result is not finite or beyond
   * `Number.MAX_SAFE_INTEGER`, which leaves the entry as it was; `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`; `ERR_BUSY`.
   * @example
   * const visits = cache.incr('visits')
   * const left = cache.incr('tokens', -1, { init: 100, min: 0, ttl: '1m' })
   */
  incr(key: Key, by = 1, options?: IncrOptions): number {
    if (!Number.isFinite(by)) throw invalid('the increment must be a finite number', by)
    return options === undefined ? this.#add(key, by, 0, 0, -Infinity, Infinity) : this.#addWith(key, by, options)
  }

  /**
   * Adds to a bigint of any size, in one step: no increment of any process is lost. The entry keeps its deadline and tags.
   *
   * @param by What to add; may be negative. Default: 1n.
   * @param options As `incr`, with bigints.
   * @returns The new number.
   * @throws {CacheError} `ERR_NOT_A_NUMBER` if the entry is no bigint; `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`; `ERR_BUSY`.
   * @example
   * const id = cache.incrBigInt('last-id')
   */
  incrBigInt(key: Key, by = 1n, options: IncrBigIntOptions = {}): bigint {
    checkOptions(options, 'incrBigInt')
    const { init = 0n, ttl, min, max } = options
    for (const [name, number] of Object.entries({ by, init, min, max })) {
      if (typeof number !== 'bigint' && number !== undefined) throw invalid(`${name} must be a bigint`, number)
    }
    if (min !== undefined && max !== undefined && min > max) throw invalid('min must not be above max', min)
    let sum = 0n
    const add = (value: unknown): bigint => {
      if (value !== undefined && typeof value !== 'bigint') {
        throw new CacheError('ERR_NOT_A_NUMBER', 'the entry is not a bigint')
      }
      sum = (value ?? init) + by
      if (min !== undefined && sum < min) sum = min
      if (max !== undefined && sum > max) sum = max
      return sum
    }
    const fresh = resolveSet(ttl === undefined ? NO_OPTIONS : { ttl }, 0, SetFlag.IfVersion)
    this.#change(key, (value) => add(value) as V, fresh, KEPT)
    return sum
  }

  /**
   * The values of many keys, in their order, undefined for each miss. One native call for each 16,384 keys; each key by itself
   * is as with `get`.
   *
   * @throws {CacheError} As `get`, for any of the keys.
   * @example
   * const users = cache.getMany(ids.map((id) => `user:${id}`))
   */
  getMany(keys: Iterable<Key>): (V | undefined)[] {
    return inChunks(keys, (chunk) =>
      this.#near === undefined ? this.#manyFar(chunk) : this.#manyNear(this.#near, chunk),
    )
  }

  /**
   * Stores many values. One native call for each 16,384 of those that have at most a lifetime; each key by itself is as with
   * `set`. What is wrong with a key, a value or an option throws before anything is stored.
   *
   * @param items `[key, value]` or `[key, value, options]`.
   * @param options For those without their own. Default: the `ttl` of `open`, else no expiry.
   * @returns What `set` would have returned, in the order of the items.
   * @throws {CacheError} As `set`. After `ERR_BUSY` or `ERR_NO_SPACE` some may have been stored.
   * @example
   * cache.setMany(users.map((user) => [`user:${user.id}`, user]), '5m')
   */
  setMany(items: Iterable<Item<V>>, options: Duration | Omit<SetOptions, 'if'> = NO_OPTIONS): boolean[] {
    const common = resolveSet(options, this.#ttl, 0)
    const prepared = Array.from(listed(items), (item) => this.#prepare(item, common))
    return inChunks(prepared, (chunk) => this.#storeMany(chunk))
  }

  /**
   * Deletes many entries; whether there was one, for each key. One native call for each 16,384 keys.
   *
   * @throws {CacheError} As `delete`; some may have been deleted then.
   * @example
   * cache.deleteMany(['user:1', 'user:2'])
   */
  deleteMany(keys: Iterable<Key>): boolean[] {
    return inChunks(keys, (chunk) => {
      const deleted = this.#live().deleteMany(chunk)
      return chunk.map((key, i) => deleted?.[i] ?? this.delete(key))
    })
  }

  /**
   * Whether each of many keys has an entry. One native call for each 16,384 keys.
   *
   * @throws {CacheError} As `has`.
   * @example
   * const missing = keys.filter((_, i) => !found[i]) // found = cache.hasMany(keys)
   */
  hasMany(keys: Iterable<Key>): boolean[] {
    return inChunks(keys, (chunk) => {
      const found = this.#live().hasMany(chunk)
      return chunk.map((key, i) => found?.[i] ?? this.has(key))
    })
  }

  /**
   * Deletes all entries, at once and for every process, however many there are. On the root it clears all namespaces too, on a
   * namespace only that.
   *
   * @throws {CacheError} `ERR_BUSY`.
   * @example
   * cache.clear()
   */
  clear(): void {
    this.#native('write', (id) => native.clear(id))
    if (channels.clear.hasSubscribers) channels.clear.publish(this.#message())
  }

  /**
   * Deletes all entries whose keys start with `prefix`. Looks at the whole index, some milliseconds for 100,000 entries; nobody
   * else waits for more than a few of these. For what must be quick, use a namespace or tags.
   *
   * @param prefix At least one character or byte.
   * @returns How many there were.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_BUSY`: some may have been deleted then.
   * @example
   * cache.deletePrefix('user:')
   */
  deletePrefix(prefix: Key): number {
    const raw = steadyPrefix(prefix)
    if (raw.length === 0) throw invalid('prefix must not be empty: that would be clear', prefix)
    const count = this.#native('write', (id) => native.deletePrefix(id, raw)) as number
    if (channels.delete.hasSubscribers) channels.delete.publish(this.#message({ prefix, count }))
    return count
  }

  /**
   * Ends all entries of this namespace that carry one of these tags, at once and for every process, however many there are. A
   * value that is set afterwards lives.
   *
   * The segment has 2,048 places for tags that were ever invalidated, 8 of them for each; from some 500 tags on one may find
   * its places taken. Then the oldest invalidation is forgotten, and every tagged entry that is older than it goes as well: too
   * many, never too few. After many hundred tags in one call these may be all tagged entries.
   *
   * @param tags One tag or any number of them.
   * @param options `mode`: `'stale'` leaves the entries to those who take stale values. Default: `'remove'`.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_BUSY`.
   * @example
   * cache.set('page:/news', html, { tags: ['news', 'front'] })
   * cache.invalidateTags('news')
   */
  invalidateTags(tags: string | readonly string[], options: InvalidateOptions = {}): void {
    const list = typeof tags === 'string' ? [checkTag(tags)] : checkTags(tags)
    checkOptions(options, 'invalidateTags')
    const outdate = resolveMode(options.mode)
    this.#native('write', (id) => native.invalidateTags(id, list, outdate))
    if (channels.invalidate.hasSubscribers) channels.invalidate.publish(this.#message({ tags: list }))
  }

  /**
   * The keys of this namespace, one after the other, in no order. Nothing is locked in between: an entry that stays where it
   * is comes exactly once, one that is set or deleted meanwhile may come or not. Not counted, and no use of the entries. A walk
   * looks at the whole index once, so its time goes with the size of the segment, whatever the prefix.
   *
   * @param options `prefix`: only keys that start with it. Default: all.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a wrong prefix.
   * @example
   * for (const key of cache.keys({ prefix: 'user:' })) console.log(key)
   */
  keys(options: ScanOptions = {}): IterableIterator<Key> {
    checkOptions(options, 'keys')
    const { prefix = '' } = options
    return this.#scan(this.#live(), steadyPrefix(prefix))
  }

  /**
   * Keys and values, as `keys`. An entry that goes between its key and its value is left out.
   *
   * @param options `prefix`: only keys that start with it. Default: all.
   * @throws {CacheError} As `keys` and `get`.
   * @example
   * const users = new Map(cache.entries({ prefix: 'user:' }))
   */
  entries(options: ScanOptions = {}): IterableIterator<[Key, V]> {
    return this.#withValues(this.keys(options))
  }

  /**
   * The same as `entries()`.
   *
   * @example
   * for (const [key, value] of cache) console.log(key, value)
   */
  [Symbol.iterator](): IterableIterator<[Key, V]> {
    return this.entries()
  }

  /**
   * A part of this cache with keys, tags, `clear` and statistics of its own, in the same segment. The same name is the same
   * namespace in every process, for ever; there are at most 1,023. Of a namespace, it is the one of both names with `:`
   * between them. It ends with this object's `close`.
   *
   * @param name 1 to 63 bytes as UTF-8.
   * @param options Its own defaults; see `NamespaceOptions`.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`; `ERR_NO_SPACE` for the 1,024th; `ERR_BUSY`.
   * @example
   * const sessions = cache.namespace<Session>('sessions', { ttl: '20m' })
   */
  namespace<W = V>(name: string, options: NamespaceOptions = {}): SharedCache<W> {
    this.#live()
    if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
      throw invalid('the name of a namespace must be a string of at least one character', name)
    }
    checkOptions(options, 'namespace')
    const full = this.namespaceName === '' ? name : `${this.namespaceName}:${name}`
    const { ttl = this.#given.ttl, codec = this.#given.codec, strict = this.#given.strict } = options
    const { near = this.#given.near } = options
    // The folder as it was found: a relative path may lead elsewhere by now.
    const { directory } = this.#options.native
    const own = { ...this.#given, directory, ttl, codec, strict, near, [inNamespace]: full }
    const child = new SharedCache<W>(own as OpenOptions)
    child.#parent = this
    this.#children.add(child)
    return child
  }

  /**
   * The number of entries, of this namespace alone. Exact only for an instant; entries that expired or are dead by a tag and
   * were not swept yet may count.
   *
   * @example
   * console.log(`${cache.size} entries`)
   */
  get size(): number {
    return this.#native('read', (id) => native.size(id)) ?? 0
  }

  /**
   * What was counted over all processes since the segment was created; and `degradedReads` of this object. Sizes are bytes.
   *
   * @param options `scope`: what hits, misses, sets, deletes, evictions, expirations and entries are of. Default:
   * `'segment'`, and in a namespace `'namespace'`, which is that alone.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
   * @example
   * const { hits, misses } = cache.stats()
   * console.log(`hit ratio ${hits / (hits + misses)}`)
   */
  stats(options: StatsOptions = {}): Stats {
    checkOptions(options, 'stats')
    checkScope(options.scope)
    const scope = options.scope ?? (this.namespaceName === '' ? 'segment' : 'namespace')
    countNearHits()
    const counts = this.#native('read', (id) => native.stats(id)) ?? NO_STATS
    return toStats(counts, scope, this.#degradedReads)
  }

  /**
   * A rate limit that all processes share: so many tokens per key and window. Its states are no entries: `get`, `keys`, `size`
   * and `clear` know nothing of them, and each is gone as soon as its key has all tokens back. A namespace has limiters of its own.
   *
   * @param name 1 to 128 characters. The same name, window and algorithm are the same limiter in every process and thread; the
   * limit may differ, as it does while a new version is rolled out: each applies its own to the tokens that were taken.
   * @param options See `LimiterOptions` and `LimitAlgorithm`.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_CLOSED`.
   * @example
   * const limiter = cache.limiter('api', { limit: 100, window: '1m' })
   * if (!limiter.consume(request.ip).allowed) response.writeHead(429).end()
   */
  limiter(name: string, options: LimiterOptions): Limiter {
    this.#live()
    return new KeyLimiter(name, options, {
      live: () => this.#live(),
      again: (key) => this.#again('write', 'limit', key) as boolean,
    })
  }

  /**
   * The application's own counters, gauges and histograms, kept in this segment for all workers. A namespace has its own.
   *
   * @throws {CacheError} `ERR_CLOSED`.
   * @example
   * const metrics = cache.metrics()
   * const requests = metrics.counter('http_requests_total')
   * requests.inc()
   * response.setHeader('Content-Type', metrics.contentType).end(metrics.prometheus())
   */
  metrics(): Metrics {
    this.#live()
    const namespace = this.namespaceName === '' ? {} : { namespace: this.namespaceName }
    return new CacheMetrics({
      labels: { cache: this.name, ...namespace },
      live: () => this.#live(),
      again: (key, ...rest) => this.#again('write', 'measure', key, ...rest),
      native: (run) => this.#native('write', run) as ReturnType<typeof run>,
      stats: () => this.stats(),
    })
  }

  /**
   * Resolves with the entry of `key` as soon as there is one, whoever sets it. Not counted, and no use of the entry.
   *
   * @param options `after`: only an entry of a later version (default 0: any); `timeout`: default none; `signal`; `ref`: keep
   * the process alive meanwhile (default false).
   * @throws {CacheError} Rejects with `ERR_TIMEOUT`; with the signal's reason; with `ERR_CLOSED` when this object is closed;
   * with `ERR_INVALID_ARGUMENT` for wrong options.
   * @example
   * const { value } = await cache.waitFor(`job:${id}`, { timeout: '10m' })
   */
  async waitFor(key: Key, options: WaitOptions = {}): Promise<Entry<V>> {
    this.#live()
    checkOptions(options, 'waitFor')
    const { after = 0, timeout, signal, ref = false } = options
    checkVersion(after, 'after', 0)
    if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
      throw invalid('signal must be an AbortSignal', signal)
    }
    const limit = timeout === undefined ? Number.POSITIVE_INFINITY : resolveTimeout(timeout, 'timeout')
    this.#listen()
    return this.#waits.wait(steadyKey(key), after, { timeout: limit, signal, ref })
  }

  /**
   * The lock of `key`, as soon as it is this caller's turn: one holder over all processes and threads, in this namespace. Turns
   * come in the order of asking; those who ask in one thread stand in line behind each other, and take turns with other
   * threads and processes. A key's lock has nothing to do with its entry: `clear`, expiry and eviction leave it alone.
   *
   * Nobody can hold it twice, not even the one who has it: who waits for a lock that it holds waits until its `timeout`.
   *
   * @param options `ttl`: when it is lost at the latest (default: never, while its process lives); `timeout`: default none;
   * `signal`; `ref`: keep the process alive while waiting (default false). A lock that is held never does.
   * @throws {CacheError} Rejects with `ERR_TIMEOUT`; with the signal's reason; with `ERR_CLOSED` when this object is closed; with
   * `ERR_NO_SPACE` where too many processes wait; with `ERR_BUSY`; with `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`.
   * @example
   * await using lock = await cache.lock(`invoice:${id}`, { timeout: '5s' })
   * await invoices.save(invoice, { fence: lock.token })
   */
  async lock(key: Key, options?: LockOptions): Promise<Lock> {
    this.#live()
    return waitForLock(this.#turns, key, options)
  }

  /**
   * The lock of `key` if it is free and nobody waits for it, else undefined. Synchronous.
   *
   * @param options `ttl`: when it is lost at the latest. Default: never, while its process lives.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`, `ERR_NO_SPACE`, `ERR_BUSY`.
   * @example
   * const lock = cache.tryLock('nightly-report', { ttl: '1h' })
   * if (lock === undefined) return // somebody else makes it
   */
  tryLock(key: Key, options?: TryLockOptions): Lock | undefined {
    this.#live()
    return takeLock(this.#turns, key, options)
  }

  /**
   * Gets the lock of `key`, runs `work` and releases, whatever happens. Where a `ttl` may run out before `work` is done, let it
   * look at `lock.signal`: its result is handed on even if the lock was lost.
   *
   * @param options As `lock`.
   * @returns What `work` returns.
   * @throws {CacheError} Rejects as `lock`, and with what `work` throws.
   * @example
   * const balance = await cache.withLock(`account:${id}`, () => withdraw(id, 100), { timeout: '5s' })
   */
  async withLock<T>(key: Key, work: (lock: Lock) => T | PromiseLike<T>, options?: LockOptions): Promise<T> {
    checkWork(work)
    return whileHeld(this.lock(key, options), work)
  }

  /**
   * The semaphore of this name: at most `permits` hold it at once, over all processes and threads, in this namespace. Making
   * one costs nothing and holds nothing.
   *
   * @param permits 1 to 1,000. All should pass the same number: each caller is let in by its own.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`.
   * @example
   * const renders = cache.semaphore('renders', 4)
   * const pdf = await renders.use(() => render(report), { timeout: '1m' })
   */
  semaphore(name: Key, permits: number): Semaphore {
    this.#live()
    const readPlaces = (space: number, key: RawKey): readonly number[] =>
      this.#native('read', (id) => native.turnPlaces(id, space, key)) ?? []
    return semaphoreOf(this.#turns, readPlaces, name, permits)
  }

  /**
   * Resolves when this handle leads: the first who asks does at once, the others in turn, when the leader resigns, closes its
   * cache or dies. A death is noticed within 100 ms at most.
   *
   * @param options `timeout`: default none; `signal`; `ref`: keep the process alive while waiting (default false).
   * @throws {CacheError} Rejects as `lock`.
   * @example
   * const leadership = await cache.elect('cron')
   * const timer = setInterval(runDueJobs, 1000)
   * leadership.signal.addEventListener('abort', () => clearInterval(timer))
   */
  async elect(name: Key, options?: TurnOptions): Promise<Leadership> {
    this.#live()
    return waitForLeadership(this.#turns, name, options)
  }

  /**
   * Named raw bytes in a segment of their own, zeros at first, as an ArrayBuffer with a lock: creates or attaches. Short for
   * `openRegion` with this cache's name and folder, so a namespace has no regions of its own. It stays open when this object
   * is closed, and there when the cache is cleared or destroyed.
   *
   * @param bytes Its size, 1 byte to `'4gb'`, the same in all processes.
   * @throws {CacheError} `ERR_CLOSED`; as `openRegion`.
   * @example
   * using region = cache.region('positions', 1000 * 8)
   * const positions = new Float64Array(region.buffer)
   * region.withLock(() => (positions[7] = 0.5))
   */
  region(name: string, bytes: Bytes): Region {
    this.#live()
    const { directory } = this.#options.native
    return openRegion({ cache: this.name, name, size: bytes, directory })
  }

  /**
   * The changes of this namespace from now on, whoever makes them, in any process. Watching begins with this call, not with
   * the first `next`. Changes of one key come in their order.
   *
   * The iterator ends by `break` or `return()`, and by `close` of this object; an abort of `signal` makes `next` reject with its
   * reason. What waits in the buffer then is dropped. It survives the destruction of the segment and goes on with the new one.
   *
   * A consumer that is too slow, for longer than `buffer` changes, is told with the next one how many it lost. A loss that
   * no change follows comes as an `invalidate` without tags, and so does the move to a new segment: look at everything again.
   * `clear` and `invalidate` reach everybody whose entries may be concerned, whatever key or prefix is watched.
   *
   * @param filter `key`, `prefix`, `tags`: what to watch. Default: everything in this namespace.
   * @param options `signal`; `buffer`: most changes that wait (default 1,000); `ref`: keep the process alive (default false).
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`. The reason of a signal that is aborted already.
   * @example
   * for await (const { type, key, lost } of cache.watch({ prefix: 'config:' })) {
   *   if (lost > 0 || key === undefined) reloadAll()
   *   else reload(key)
   * }
   */
  watch(filter: WatchFilter = {}, options: FeedOptions = {}): AsyncIterableIterator<Change> {
    this.#live()
    if (typeof filter !== 'object' || filter === null) throw invalid('watch takes { key, prefix, tags }', filter)
    const key = filter.key === undefined ? undefined : wholeKey(filter.key)
    const prefix = steadyPrefix(filter.prefix ?? '')
    const tags = resolveWatchedTags(filter.tags)
    const resolved = resolveFeedOptions(options)
    this.#listen()
    const kind = {
      start: () => this.#native('write', (id) => native.watchStart(id, key, prefix, tags, resolved.buffer)) as number,
      read: (item: NativeFeedItem) => toChange(item, tags),
      afterLoss: ANYTHING,
    }
    return this.#feeds.begin(kind, resolved)
  }

  /**
   * Sends a message to all who subscribe to a channel of this namespace, in any process. Nothing is kept: who subscribes later
   * does not get it, and with no subscription nothing is written.
   *
   * @param message Anything that can be stored. With its channel it may have about 32 KiB in a segment of the default size,
   * a quarter of that in the smallest; for more, `set` it and publish its key.
   * @returns How many subscriptions it was written for: those noted when it was published, of this process and of every
   * other that was alive at that moment, by the channel and by prefixes of it.
   * @throws {CacheError} As `set`; `ERR_INVALID_ARGUMENT` for what can be no channel.
   * @example
   * const heard = cache.publish('jobs', { id: 42, done: true })
   */
  publish(channel: string, message: unknown): number {
    this.#live()
    checkChannel(channel)
    const { kind, bytes } = packMessage(message, this.#options.codec)
    try {
      return this.#native('write', (id) => native.publish(id, channel, kind, bytes)) as number
    } catch (error) {
      if (!(error instanceof CacheError) || error.code !== 'ERR_VALUE_TOO_LARGE') throw error
      const hint = 'Store it with set, and publish its key.'
      throw new CacheError(error.code, error.message, { hint, cause: error })
    }
  }

  /**
   * The messages of a channel of this namespace from now on, or of all channels that start with a prefix. Each comes at most
   * once, those of one channel in the order in which they were published; who keeps up misses none. Else as `watch`.
   *
   * @param channel Its name, 1 byte to 8 KiB as UTF-8, or `{ prefix }`.
   * @param options As `watch`. A loss shows in `lost` of the next message; one that cannot be decoded counts as lost.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`; `ERR_NO_SPACE` where 4,096 channels are subscribed to, each
   * counted once per process; `ERR_BUSY`. The reason of a signal that is aborted already.
   * @example
   * for await (const { message } of cache.subscribe<Job>('jobs')) handle(message)
   */
  subscribe<M = unknown>(
    channel: string | { readonly prefix: string },
    options: FeedOptions = {},
  ): AsyncIterableIterator<ChannelMessage<M>> {
    this.#live()
    const { name, isPrefix } = resolveChannel(channel)
    const resolved = resolveFeedOptions(options)
    this.#listen()
    const kind = {
      start: () => this.#native('write', (id) => native.subscribeStart(id, name, isPrefix, resolved.buffer)) as number,
      read: (item: NativeFeedItem) => this.#toMessage<M>(item),
      afterLoss: undefined,
    }
    return this.#feeds.begin(kind, resolved)
  }

  /**
   * The value of `key`; where there is none, `load` is called for it on the whole host once, over processes and threads, and
   * all who ask meanwhile get what it brings. If the process that loads dies, another caller takes over at once.
   *
   * What was cleared, invalidated, deleted or set during a load is newer than what it brings: that then goes to its callers
   * and is not kept, and who asks after a `delete` or `clear` gets a load that began after it. (What a tag ends is known only
   * when the load is done: who asks after `invalidateTags` may join a load that began before, whose value is not served again.)
   *
   * An error of `load` rejects all who wait for it, in other processes with an equal one, and is not remembered. The caller whose
   * `load` ran gets what it returned; all others get copies, as from `get`. A wait keeps the process alive. A `load` that asks for
   * its own key waits for itself, until its `lease` ends.
   *
   * @param load Gets a `LoadContext`. What it returns is stored as by `set`; undefined means that there is no value, see
   * `negativeTtl`.
   * @param options See `LoadOptions`. A load has those of the call that began it.
   * @throws {CacheError} Rejects with what `load` throws; with the signal's reason; with `ERR_TIMEOUT` after `hardTimeout` or
   * the `lease`; with `ERR_CLOSED`; for the value as `set` does, but where the segment has no room or is unwell the value is
   * returned and not kept; with `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL` for the options.
   * @example
   * const user = await cache.getOrSet(`user:${id}`, () => db.users.find(id), { ttl: '5m', stale: '1h' })
   */
  async getOrSet<T extends V | undefined = V>(key: Key, load: Load<V, T>, options?: LoadOptions<T>): Promise<T> {
    this.#live()
    checkLoad(load, 'getOrSet')
    return (await this.#getOrLoad(key, load, resolveLoad(options as LoadOptions<never>))) as T
  }

  /**
   * A function that does what `fn` does, through `getOrSet`: with the same key, one run of it serves the whole host. `this` and
   * all arguments are passed on.
   *
   * @param options As `getOrSet`, and `key`, a function of the arguments. What it leaves out of them must not matter.
   * @throws {CacheError} At once for wrong options. What it returns rejects as `getOrSet`.
   * @example
   * const getUser = cache.wrap((id: number) => db.users.find(id), { key: (id) => `user:${id}`, ttl: '5m' })
   * await getUser(42)
   */
  wrap<This, A extends unknown[], T extends V | undefined>(
    fn: (this: This, ...args: A) => T | PromiseLike<T>,
    options: NoInfer<WrapOptions<A, T>>,
  ): (this: This, ...args: A) => Promise<T> {
    checkLoad(fn, 'wrap')
    const { key } = options ?? {}
    const resolved = resolveWrap(options as unknown as WrapOptions<never, never>)
    const getOrLoad = async (keyOf: () => Key, load: Load<V, T>): Promise<T> => {
      this.#live()
      return (await this.#getOrLoad(keyOf(), load, resolved)) as T
    }
    return function (this: This, ...args: A): Promise<T> {
      return getOrLoad(
        () => key(...args),
        () => Reflect.apply(fn, this, args),
      )
    }
  }

  /**
   * Runs `fn` once on the whole host under this name, and gives its result to all who ask, also later and after restarts of
   * every process; until the segment is destroyed, or for `ttl`. No `clear` and no `delete` forgets it. A run that throws, or whose
   * process dies, does not count: the next caller runs its own `fn`. While its process lives, nobody else runs it, however long it
   * takes.
   *
   * @param name Of what is done, in this namespace; 1 byte to 8 KiB.
   * @param fn Its result must be something that can be stored, or undefined.
   * @throws {CacheError} Rejects with what `fn` throws, also if another process ran it; with the signal's reason; with
   * `ERR_CLOSED`; with `ERR_UNSERIALIZABLE`, `ERR_VALUE_TOO_LARGE`, `ERR_NO_SPACE`, `ERR_BUSY` where the result cannot be
   * remembered: then it counts as not done.
   * @example
   * await cache.once('migrate-to-v7', () => migrate(), { ttl: '1d' })
   */
  async once<T>(name: Key, fn: () => T | PromiseLike<T>, options?: OnceOptions): Promise<T> {
    this.#live()
    checkLoad(fn, 'once')
    const resolved = resolveOnce(options)
    resolved.signal?.throwIfAborted()
    return (await this.#onceFlights.load(wholeKey(name), () => fn(), resolved)) as T
  }

  /**
   * Calls `listener` at every such event; see `CacheEvents`. What a listener throws becomes an uncaught exception.
   *
   * - `evict`, `expire`: this process removed an entry of this namespace, for room or for time.
   * - `damage`: a read found the segment unwell and became a miss, or a repair had to drop entries.
   * - `repaired`: this process rebuilt what a killed one had left.
   * - `detached`: the segment was destroyed or lost; the next call opens it anew, and waits go on there.
   *
   * @returns A function that ends it. Listeners do not keep the process alive.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for an unknown event.
   * @example
   * const stop = cache.on('damage', ({ error }) => log.warn(error))
   */
  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    this.#live()
    const stop = this.#listeners.on(event, listener)
    this.#listen()
    this.#watchGone()
    return () => {
      stop()
      this.#watchGone()
    }
  }

  /**
   * Takes back an `on` of the same function; nothing happens if there was none.
   *
   * @example
   * cache.off('damage', report)
   */
  off<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): void {
    this.#listeners.off(event, listener)
    this.#watchGone()
  }

  /**
   * Gives up this handle: watches and subscriptions end, pending waits reject with `ERR_CLOSED`, and so does every later call.
   * Locks, permits and leaderships that were got through it are released. Deletes nothing; other handles, threads and
   * processes are not affected. A second call does nothing.
   *
   * @example
   * process.on('SIGTERM', () => cache.close())
   */
  close(): void {
    const handle = this.#handle
    if (handle === undefined) return
    for (const child of this.#children) child.close()
    if (this.#parent !== undefined) this.#parent.#children.delete(this)
    this.#anyNear()?.count()
    this.#near = undefined
    this.#resting = undefined
    this.#handle = undefined
    nativeHandles.delete(this)
    this.#waits.close(closedError(this.name))
    this.#feeds.close()
    this.#flights.close(closedError(this.name))
    this.#onceFlights.close(closedError(this.name))
    this.#turns.reject(closedError(this.name))
    this.#turns.lose(closedError(this.name))
    closeHandle(handle)
    if (channels.close.hasSubscribers) channels.close.publish(this.#message())
  }

  /**
   * The same as `close`, for `using`.
   *
   * @example
   * using cache = open({ name: 'app' })
   */
  [Symbol.dispose](): void {
    this.close()
  }

  #message(about?: Partial<CacheMessage>): CacheMessage {
    return { name: this.name, namespace: this.namespaceName, ...about }
  }

  #miss(key: Key): undefined {
    if (channels.miss.hasSubscribers) channels.miss.publish(this.#message({ key }))
  }

  #live(): Handle {
    if (this.#handle === undefined) throw closedError(this.name)
    return this.#handle
  }

  // ---- reading

  #getFar(key: Key): V | undefined {
    const handle = this.#live()
    const found = handle.get(key)
    if (found === undefined) {
      return handle.ints[MetaInt.Status] === Status.None ? this.#miss(key) : this.#readAgain('read', key, 0)
    }
    const immediate = (handle.ints[MetaInt.Kind] as number) < Kind.BigIntHex
    return immediate ? (found as V) : this.#decode('read', handle, key, found, 0)
  }

  /** There was no valid copy: reads the segment, and offers what was found where it is wanted. */
  #getNear(near: NearCache, key: Key): V | undefined {
    const handle = this.#live()
    this.#rest = near.restsFor()
    if (this.#rest > 0) {
      this.#near = undefined
      this.#resting = near
    }
    if (!near.isWanted) return this.#getShown(key)
    const found = handle.getNear(key)
    if (found === undefined) {
      return handle.ints[MetaInt.Status] === Status.None ? this.#miss(key) : this.#getNearAgain(key)
    }
    const kind = handle.ints[MetaInt.Kind] as number
    if (kind < Kind.BigIntHex) return near.offer(key, found, kind) as V
    // Bytes are not kept; large ones need another call, and what a codec of the user made is its own.
    const isOurs = !isBytes(kind) || (kind === Kind.Structured && handle.ints[MetaInt.Large] === 0)
    const value = this.#decode('read', handle, key, found, 0)
    if (!isOurs) return near.pass(value)
    return value === undefined ? undefined : (near.offer(key, value, kind) as V)
  }

  #getNearAgain(key: Key): V | undefined {
    return this.#shown(this.#readAgain('read', key, 0))
  }

  /** Reads the segment while the near cache rests. */
  #getResting(near: NearCache, key: Key): V | undefined {
    if (--this.#rest <= 0) {
      this.#near = near
      this.#resting = undefined
    }
    return this.#getShown(key)
  }

  #getShown(key: Key): V | undefined {
    const value = this.#getFar(key)
    return typeof value === 'object' ? this.#shown(value) : value
  }

  /** The value that was just read, frozen where that is wanted. */
  #shown(value: V | undefined): V | undefined {
    const near = this.#anyNear()
    if (value === undefined || near === undefined) return value
    return near.shown(value, this.#live().ints[MetaInt.Kind] as number) as V
  }

  #anyNear(): NearCache | undefined {
    return this.#near ?? this.#resting
  }

  #manyFar(keys: readonly Key[]): (V | undefined)[] {
    const handle = this.#live()
    const found = handle.getMany(keys, 0)
    if (found === undefined) return keys.map((key) => this.get(key))
    const kinds = handle.scratch.slice(0, keys.length)
    return keys.map((key, i) => this.#decodeOne(key, found[i], kinds[i] as number))
  }

  /** Those of which there are copies, and the others from the segment. */
  #manyNear(near: NearCache, keys: readonly Key[]): (V | undefined)[] {
    const values = keys.map((key) => near.get(key) as V | undefined)
    const missing = keys.filter((_, i) => values[i] === undefined)
    if (missing.length === 0) return values
    const found = this.#manyFar(missing)
    let next = 0
    return values.map((value) => (value === undefined ? found[next++] : value))
  }

  #read(mode: Mode, key: RawKey, flags: number): V | undefined {
    const handle = this.#live()
    const found = handle.get(key, flags)
    return found === undefined ? this.#readAgain(mode, key, flags) : this.#decode(mode, handle, key, found, flags)
  }

  #readAgain(mode: Mode, key: RawKey, flags: number): V | undefined {
    const found = this.#again(mode, 'get', key, flags)
    return found === undefined ? undefined : this.#decode(mode, this.#live(), key, found, flags)
  }

  #takeAgain(key: RawKey): V | undefined {
    const found = this.#again('take', 'take', key)
    return found === undefined ? undefined : this.#decode('take', this.#live(), key, found, 0)
  }

  /** The value that a raw read has just returned. `meta` still tells about it. */
  #decode(mode: Mode, handle: Handle, key: RawKey, found: unknown, flags: number): V | undefined {
    const kind = handle.ints[MetaInt.Kind] as number
    if (kind < Kind.BigIntHex) return found as V
    if (!isBytes(kind)) return this.#fromText(mode, found as string, kind)
    if (handle.ints[MetaInt.Large] !== 0) return this.#largeBytes(mode, key, flags)
    return this.#fromBytes(mode, handle.scratch.subarray(0, found as number), kind, false)
  }

  /** One of the values that came together. */
  #decodeOne(key: Key, found: unknown, kind: number): V | undefined {
    if (kind === 0) return this.#miss(key)
    if (kind === ASK_ALONE) return this.get(key)
    if (kind < Kind.BigIntHex) return found as V
    const value = isBytes(kind)
      ? this.#fromBytes('read', found as Buffer, kind, true)
      : this.#fromText('read', found as string, kind)
    return (this.#anyNear()?.shown(value, kind) as V | undefined) ?? value
  }

  #fromText(mode: Mode, text: string, kind: number): V | undefined {
    try {
      return fromText(text, kind) as V
    } catch (cause) {
      return this.#refuse(mode, damagedValue(cause))
    }
  }

  #fromBytes(mode: Mode, bytes: Uint8Array, kind: number, owned: boolean): V | undefined {
    // A codec of the user's may use a cache, and `meta` still has to tell of this entry afterwards.
    const floats = kind > Kind.Codec ? this.#handle?.floats : undefined
    const meta = floats?.slice()
    try {
      const value = fromBytes(bytes, kind, this.#options.codec, owned) as V
      if (meta !== undefined) floats?.set(meta)
      return value
    } catch (cause) {
      const mismatch = cause instanceof CacheError && cause.code === 'ERR_CODEC_MISMATCH'
      return this.#refuse(mode, mismatch ? cause : kind > Kind.Codec ? undecoded(cause) : damagedValue(cause))
    }
  }

  /** Bytes that did not fit the scratch memory: the raw call left their length, and the entry may change until we fetch it. */
  #largeBytes(mode: Mode, key: RawKey, flags: number): V | undefined {
    let handle = this.#live()
    let length = handle.ints[MetaInt.Length] as number
    for (let tries = 0; ; tries++) {
      const target = Buffer.allocUnsafeSlow(tries < FITTING_TRIES ? length : Math.max(length, handle.maxEntrySize))
      // Peek: the raw call before has counted this read already.
      const found =
        mode === 'take'
          ? (handle.takeInto(key, target) ?? this.#again(mode, 'takeInto', key, target))
          : (handle.getInto(key, target, flags | GetFlag.Peek) ??
            this.#again(mode, 'getInto', key, target, flags | GetFlag.Peek))
      if (found === undefined) return undefined
      handle = this.#live()
      const kind = handle.ints[MetaInt.Kind] as number
      if (!isBytes(kind)) return mode === 'take' ? this.take(key) : this.#read(mode, key, flags)
      // A shorter value than was allocated for does not hold on to the rest.
      if (found <= target.length) return this.#fromBytes(mode, target.subarray(0, found), kind, found === target.length)
      length = found
    }
  }

  #entry(mode: Mode, key: RawKey, flags: number): Entry<V> | undefined {
    const value = this.#read(mode, key, flags)
    if (value === undefined) return undefined
    const { floats } = this.#live()
    const now = Date.now()
    const remaining = floats[MetaFloat.Remaining] as number
    return {
      value,
      version: floats[MetaFloat.Version] as number,
      createdAt: Math.round(now - (floats[MetaFloat.Age] as number)),
      expiresAt: remaining === Number.POSITIVE_INFINITY ? undefined : Math.round(now + remaining),
      size: floats[MetaFloat.Size] as number,
      stale: floats[MetaFloat.Stale] === 1,
    }
  }

  // ---- loading

  #flightCache(): FlightCache<V> {
    return {
      vigils: this.#vigils,
      codec: this.#options.codec,
      ttl: this.#ttl,
      handle: () => this.#live().id,
      listen: () => this.#listen(),
      run: (call) => this.#native('read', call),
      insist: <T>(call: (id: number) => T) => this.#native('write', call) as T,
      refuse: (error) => this.#refuse('read', error),
      peek: (key) => this.#read('read', key, GetFlag.Peek),
      previous: (key) => this.#previous(key),
      finish: (flight, stored) => this.#finishFlight(flight, stored),
      report: (key, done, error) => {
        if (!channels.load.hasSubscribers) return
        channels.load.publish(this.#message({ key: givenKey(key), done, ...(error !== undefined && { error }) }))
      },
    }
  }

  async #getOrLoad(key: Key, load: Load<V, V | undefined>, options: ResolvedLoad): Promise<V | undefined> {
    options.signal?.throwIfAborted()
    if (!options.force) {
      const found = options.refreshAhead === undefined ? this.get(key) : this.#getAndRefresh(key, load, options)
      if (found !== undefined) return found
    }
    const steady = wholeKey(key)
    if (!options.force && options.stale !== undefined && options.timeout === Number.POSITIVE_INFINITY) {
      const previous = this.#previous(steady)
      if (previous !== undefined && previous.late <= options.stale) {
        this.#flights.refresh(steady, load as Load<unknown, unknown>, options, 0)
        return previous.value
      }
    }
    return this.#flights.load(steady, load as Load<unknown, unknown>, options) as Promise<V | undefined>
  }

  /** A fresh value; one that expires soon is reloaded in the background. */
  #getAndRefresh(key: Key, load: Load<V, V | undefined>, options: ResolvedLoad): V | undefined {
    const value = this.#read('read', key, GetFlag.Meta)
    if (value === undefined || options.refreshAhead === undefined) return value
    const { floats } = this.#live()
    const remaining = floats[MetaFloat.Remaining] as number
    const version = floats[MetaFloat.Version] as number
    if (isDue(options.refreshAhead, remaining, (floats[MetaFloat.Age] as number) + remaining)) {
      this.#flights.refresh(wholeKey(key), load as Load<unknown, unknown>, options, version)
    }
    return value
  }

  /** Also a value that is stale. Not counted, and no use of it. */
  #previous(key: RawKey): Previous<V> | undefined {
    const value = this.#read('read', key, GetFlag.Meta | GetFlag.Peek | GetFlag.Stale)
    return value === undefined ? undefined : { value, late: this.#live().floats[MetaFloat.Late] as number }
  }

  #finishFlight(flight: FlightTicket, stored: Stored): boolean {
    const { payload, kind, ttl, stale, tags } = stored
    const handle = this.#live()
    if (flight.token === 0) {
      return this.#storeResolved(flight.key, payload, kind, { ttl, stale, tags, isOver: false, flags: 0, version: 0 })
    }
    // Begun in a segment that is gone.
    if (flight.handle !== handle.id) return false
    const landing = handle.flightFinish(flight.key, payload, kind, ttl, stale, tags, flight.token)
    if (landing === undefined) return this.#finishAgain(flight, stored)
    const done = landing === Landing.Kept
    if (channels.set.hasSubscribers) channels.set.publish(this.#message({ key: givenKey(flight.key), done }))
    return done
  }

  #finishAgain(flight: FlightTicket, stored: Stored): boolean {
    const { ints, maxEntrySize } = this.#live()
    const status = ints[MetaInt.Status] as number
    if (status === Status.SuspectText && stored.kind === Kind.String) {
      return this.#finishFlight(flight, { ...stored, payload: JSON.stringify(stored.payload), kind: Kind.Json })
    }
    if (status === Status.Detached) return false
    const { name, writeTimeout } = this.#options.native
    throw fromStatus(status, { name, writeTimeout, maxEntrySize })
  }

  // ---- writing

  #store(key: RawKey, payload: unknown, kind: number, ttl: Milliseconds, flags: number, version: number): boolean {
    if (hearsOfGone()) this.#watchGone()
    const handle = this.#live()
    const isPlain = flags === 0 && version === 0
    const stored = isPlain
      ? ttl === 0
        ? handle.set(key, payload, kind)
        : handle.set(key, payload, kind, ttl)
      : handle.set(key, payload, kind, ttl, flags, version)
    const done = stored ?? this.#storeAgain(key, payload, kind, ttl, flags, version)
    if (channels.set.hasSubscribers) channels.set.publish(this.#message({ key, done }))
    return done
  }

  #storeAgain(key: RawKey, payload: unknown, kind: number, ttl: Milliseconds, flags: number, version: number): boolean {
    const stored = this.#again('write', 'set', key, payload, kind, ttl, flags, version)
    if (stored !== undefined) return stored
    // The text has U+FFFD, or a lone surrogate that has no UTF-8; JSON has an escape for both.
    const suspect = this.#live().ints[MetaInt.Status] === Status.SuspectText && kind === Kind.String
    return suspect && this.#store(key, JSON.stringify(payload), Kind.Json, ttl, flags, version)
  }

  #storeWith(key: RawKey, payload: unknown, kind: number, given: Duration | SetOptions, condition: number): boolean {
    return this.#storeResolved(key, payload, kind, resolveSet(given, this.#ttl, condition))
  }

  #storeResolved(key: RawKey, payload: unknown, kind: number, set: ResolvedSet): boolean {
    const { ttl, stale, tags, flags, version } = set
    if (set.isOver) {
      // As if it had been stored and had expired at once.
      if ((flags & SetFlag.IfAbsent) === 0) this.delete(key, version === 0 ? {} : { version })
      else this.has(key) // there is nothing to delete, but the key may be wrong
      return false
    }
    if (stale === 0 && tags.length === 0) return this.#store(key, payload, kind, ttl, flags, version)
    if (hearsOfGone()) this.#watchGone()
    const done =
      this.#live().setWith(key, payload, kind, ttl, flags, version, stale, tags) ??
      this.#storeWithAgain(key, payload, kind, set)
    if (channels.set.hasSubscribers) channels.set.publish(this.#message({ key, done }))
    return done
  }

  #storeWithAgain(key: RawKey, payload: unknown, kind: number, set: ResolvedSet): boolean {
    const { ttl, stale, tags, flags, version } = set
    const stored = this.#again('write', 'setWith', key, payload, kind, ttl, flags, version, stale, tags)
    if (stored !== undefined) return stored
    const suspect = this.#live().ints[MetaInt.Status] === Status.SuspectText && kind === Kind.String
    return suspect && this.#storeResolved(key, JSON.stringify(payload), Kind.Json, set)
  }

  /**
   * Compare and swap: stores what `change` makes of the value, until nobody else was quicker. Returns the value before.
   *
   * @param fresh How to set a key that had no entry; its condition is not used.
   * @param over How to set one that had.
   */
  #change(key: Key, change: (value: V | undefined) => V, fresh: ResolvedSet, over: ResolvedSet): V | undefined {
    const steady = steadyKey(key)
    for (let refusals = 0; ;) {
      const entry = this.#entry('write', steady, GetFlag.Meta)
      const payload = encode(change(entry?.value), this.#options.codec)
      const set =
        entry === undefined
          ? { ...fresh, flags: SetFlag.IfAbsent, version: 0 }
          : { ...over, flags: over.flags | SetFlag.IfVersion, version: entry.version }
      if (this.#storeResolved(steady, payload, encoded.kind, set)) return entry?.value
      const now = this.#entry('write', steady, GetFlag.Meta | GetFlag.Peek)
      // The same as before, and yet refused: no room. Or it went and came in between, but not so often.
      if (now?.version !== entry?.version) refusals = 0
      else if (++refusals === REFUSALS) {
        throw new CacheError(
          'ERR_NO_SPACE',
          `the segment "${this.name}" has no room, and nothing that could be evicted`,
        )
      }
    }
  }

  #changeKept(key: Key, { ttl, tags }: UpdateOptions, change: (value: V | undefined) => V): void {
    this.#change(key, change, resolveSet({ ttl, tags }, this.#ttl, SetFlag.IfVersion), KEPT)
  }

  #prepare(item: Item<V>, common: ResolvedSet): Prepared {
    if (!Array.isArray(item)) throw invalid('an item is [key, value] or [key, value, options]', item)
    const [given, value, own] = item as Item<V>
    const set = own === undefined ? common : resolveSet(own, this.#ttl, 0)
    const key = wholeKey(given)
    let payload = encode(value, this.#options.codec)
    let { kind } = encoded
    if (kind === Kind.String && isSuspect(payload as string)) {
      // The native side would leave it to us, and store others of the same key before.
      payload = JSON.stringify(payload)
      kind = Kind.Json
    }
    // The next value is encoded into the same bytes; a codec may do so, too.
    if (kind >= Kind.Structured && isBytes(kind)) payload = Uint8Array.from(payload as Uint8Array)
    const { maxEntrySize } = this.#live()
    if (!fits(maxEntrySize, key, payload, set.tags.length)) {
      throw new CacheError('ERR_VALUE_TOO_LARGE', `the entry is larger than maxEntrySize, ${maxEntrySize} bytes`)
    }
    return { key, payload, kind, set }
  }

  #storeMany(chunk: readonly Prepared[]): boolean[] {
    if (hearsOfGone()) this.#watchGone()
    const quick = chunk.every(({ set }) => !set.isOver && set.stale === 0 && set.tags.length === 0 && set.flags === 0)
    const stored = quick
      ? this.#live().setMany(
          chunk.map((item) => item.key),
          chunk.map((item) => item.payload),
          Uint8Array.from(chunk, (item) => item.kind),
          Float64Array.from(chunk, (item) => item.set.ttl),
        )
      : undefined
    // Of a key that comes twice the last value stays: where one is tried again, those behind it are, too.
    const again = new Set<string>()
    return chunk.map((item, i) => {
      const done = stored?.[i]
      if (stored !== undefined && done === undefined) again.add(textOf(item.key))
      if (done === undefined || (again.size > 0 && again.has(textOf(item.key)))) {
        return this.#storeResolved(item.key, item.payload, item.kind, item.set)
      }
      if (channels.set.hasSubscribers) channels.set.publish(this.#message({ key: item.key, done }))
      return done
    })
  }

  // ---- walking

  *#scan(handle: Handle, prefix: RawKey): IterableIterator<Key> {
    let next: number | undefined = 0
    while (next !== undefined) {
      const cursor: number = next
      const page: NativePage | undefined = this.#native('read', (id) =>
        // A cursor means nothing in another segment: the walk ends with the one in which it began.
        id === handle.id ? native.keys(id, cursor, prefix, PAGE) : undefined,
      )
      if (page === undefined) return
      for (const key of page.keys) yield givenKey(key)
      next = page.next
    }
  }

  *#withValues(keys: IterableIterator<Key>): IterableIterator<[Key, V]> {
    for (const key of keys) {
      const value = this.#read('read', key, GetFlag.Peek)
      if (value !== undefined) yield [key, value]
    }
  }

  // ---- counting

  #add(key: RawKey, by: number, init: number, ttl: Milliseconds, min: number, max: number): number {
    const sum = this.#live().incr(key, by, init, ttl, min, max)
    return sum ?? (this.#again('write', 'incr', key, by, init, ttl, min, max) as number)
  }

  #addWith(key: RawKey, by: number, options: IncrOptions): number {
    checkOptions(options, 'incr')
    const { init = 0, ttl, min = -Infinity, max = Infinity } = options
    if (!Number.isFinite(init)) throw invalid('init must be a finite number', init)
    if (checkNumber(min, 'min') > checkNumber(max, 'max')) throw invalid('min must not be above max', min)
    return this.#add(key, by, init, ttl === undefined ? 0 : resolveTtl(ttl), min, max)
  }

  // ---- when a call did not work out

  /**
   * Goes on after a raw call that returned undefined: undefined for a miss (or a text that `#storeAgain` looks after), else
   * whatever its status asks for. Opens the segment again at most once.
   */
  #again<O extends Operation>(mode: Mode, operation: O, key: RawKey, ...rest: Rest<O>): Result<O> {
    let handle = this.#live()
    let rawKey = key
    let reopens = 0
    for (;;) {
      const status = handle.ints[MetaInt.Status] as number
      if (status === Status.None || status === Status.SuspectText) return undefined
      if (status === Status.SuspectKey && typeof rawKey === 'string' && rawKey.isWellFormed()) {
        rawKey = Buffer.from(rawKey)
      } else if (status === Status.Detached && reopens < MOST_REOPENS) {
        const next = this.#reopen(handle, mode)
        if (next === undefined) return undefined
        handle = next
        reopens++
      } else {
        const { name, writeTimeout } = this.#options.native
        return this.#refuse(mode, fromStatus(status, { name, writeTimeout, maxEntrySize: handle.maxEntrySize }))
      }
      const result = (handle[operation] as unknown as (key: RawKey, ...rest: Rest<O>) => Result<O>)(rawKey, ...rest)
      if (result !== undefined) return result
    }
  }

  /** The same for the calls that throw. */
  #native<T>(mode: Mode, run: (id: number) => T): T | undefined {
    let handle = this.#live()
    for (let reopens = 0; ; reopens++) {
      try {
        return run(handle.id)
      } catch (error) {
        if (!isDetached(error) || reopens >= MOST_REOPENS) return this.#refuse(mode, fromNative(error))
      }
      const next = this.#reopen(handle, mode)
      if (next === undefined) return undefined
      handle = next
    }
  }

  /** Throws the error, or counts it and lets the read be a miss. */
  #refuse(mode: Mode, error: unknown): undefined {
    const fatal = mode !== 'read' || this.#options.strict
    if (fatal || !(error instanceof CacheError) || MISTAKES.has(error.code)) throw error
    this.#degradedReads++
    this.#listeners.emit('damage', { shard: undefined, dropped: 0, error })
    if (channels.damage.hasSubscribers) channels.damage.publish(this.#message({ error }))
  }

  /**
   * Leaves a segment that is gone for the one that now has its name, made anew if there is none. Undefined: it cannot be
   * opened, and this read is a miss.
   */
  #reopen(lost: Handle, mode: Mode): Handle | undefined {
    this.#announce(lost)
    const { strict } = this.#options
    if (mode === 'read' && !strict && this.#failure !== undefined && performance.now() < this.#failure.until) {
      return this.#refuse(mode, this.#failure.error)
    }
    let handle: Handle | undefined
    try {
      handle = openHandle(this.#options)
      if (this.#notified) this.#setNotifier(handle.id)
    } catch (error) {
      if (handle !== undefined) closeHandle(handle)
      const reason = fromNative(error)
      this.#failure = { error: reason, until: performance.now() + REOPEN_PAUSE }
      return this.#refuse(mode, reason)
    }
    this.#failure = undefined
    this.#anyNear()?.count()
    this.#handle = handle
    this.#near = openNearCache(handle, this.#options.near)
    this.#resting = undefined
    nativeHandles.set(this, handle)
    closeHandle(lost)
    this.#vigils.clear()
    this.#waits.restart()
    this.#feeds.restart()
    this.#flights.restart()
    this.#onceFlights.restart()
    this.#turns.restart()
    return this.#live()
  }

  #announce(lost: Handle): void {
    if (this.#announced === lost) return
    this.#announced = lost
    this.#turns.lose(segmentLost())
    this.#listeners.emit('detached', { name: this.name, path: lost.path })
    if (channels.detached.hasSubscribers) channels.detached.publish(this.#message())
  }

  // ---- notices and waits

  #listen(): void {
    if (this.#notified) return
    this.#notified = true // and of every handle that follows this one
    this.#setNotifier(this.#live().id)
  }

  #setNotifier(id: number): void {
    native.setNotifier(id, (notice, ids, keys) => {
      // A notice of a handle that we have left may still be under way.
      if (this.#handle?.id === id) this.#notice(this.#handle, notice, ids, keys)
    })
    this.#watchGone(id)
  }

  /** Asks for notices of evicted and expired entries while anybody wants them; `id` is a handle that asks for the first time. */
  #watchGone(id?: number): void {
    const handle = id ?? this.#handle?.id
    const wanted = this.#listeners.has('evict', 'expire') || hearsOfGone()
    if (handle === undefined || (id === undefined && wanted === this.#watchesGone)) return
    if (!this.#notified) {
      if (wanted) this.#listen()
      return
    }
    this.#watchesGone = wanted
    native.wantGone(handle, wanted)
  }

  #notice(handle: Handle, notice: number, ids: readonly number[], keys: readonly Key[]): void {
    switch (notice) {
      case Notice.Waits:
        return this.#waits.notify(ids)
      case Notice.Fed:
        return this.#feeds.notify(ids)
      case Notice.Vigils:
        return this.#vigils.notify(ids)
      case Notice.Repaired:
        return this.#repaired(ids[0] ?? 0, ids[1] ?? 0)
      case Notice.Damage:
        return this.#damaged(ids[0] ?? 0, ids[1] ?? 0)
      case Notice.Detached:
        return this.#detached(handle)
      case Notice.Gone:
        return this.#gone(ids, keys)
    }
  }

  #repaired(shard: number, dropped: number): void {
    this.#listeners.emit('repaired', { shard, dropped })
    if (channels.repaired.hasSubscribers) channels.repaired.publish(this.#message({ count: dropped }))
  }

  #damaged(shard: number, dropped: number): void {
    this.#listeners.emit('damage', { shard, dropped, error: undefined })
    if (channels.damage.hasSubscribers) channels.damage.publish(this.#message({ count: dropped }))
  }

  #gone([lost = 0, ...reasons]: readonly number[], keys: readonly Key[]): void {
    keys.forEach((key, i) => {
      const event = reasons[i] === 1 ? 'expire' : 'evict'
      const given = givenKey(key)
      this.#listeners.emit(event, { key: given, lost: 0 })
      if (channels[event].hasSubscribers) channels[event].publish(this.#message({ key: given }))
    })
    if (lost === 0) return
    // Thousands under one lock: that is for room.
    this.#listeners.emit('evict', { key: undefined, lost })
    if (channels.evict.hasSubscribers) channels.evict.publish(this.#message({ count: lost }))
  }

  /** Nobody called, so the segment is not made anew, unless someone waits for what others may put into it. */
  #detached(handle: Handle): void {
    this.#announce(handle)
    const waiting = this.#waits.size + this.#turns.waiting + this.#flights.waiting + this.#onceFlights.waiting
    if (waiting + this.#feeds.size === 0) return
    try {
      this.#reopen(handle, 'look')
    } catch (error) {
      this.#waits.close(error)
      this.#turns.reject(error)
      this.#flights.reject(error)
      this.#onceFlights.reject(error)
      this.#feeds.fail(error)
    }
  }

  #toMessage<M>({ key, kind, value, lost }: NativeFeedItem): ChannelMessage<M> | undefined {
    try {
      const message = unpackMessage(kind, value as Uint8Array, this.#options.codec) as M
      return { channel: String(givenKey(key as RawKey)), message, lost }
    } catch {
      return undefined // it counts as lost
    }
  }

  #endFeed(feed: number): void {
    if (this.#handle === undefined) return
    try {
      native.feedEnd(this.#handle.id, feed)
    } catch {
      // The segment was lost, and the feed with it.
    }
  }

  #look(key: RawKey, after: number): Entry<V> | undefined {
    const entry = this.#entry('look', key, GetFlag.Meta | GetFlag.Peek)
    return entry !== undefined && entry.version > after ? entry : undefined
  }

  #cancelWait(wait: number): void {
    if (this.#handle === undefined) return
    try {
      native.waitCancel(this.#handle.id, wait)
    } catch {
      // The segment was lost, and the wait with it.
    }
  }
}

/** A value that is ready to be stored with others. */
interface Prepared {
  readonly key: Key
  readonly payload: unknown
  readonly kind: number
  readonly set: ResolvedSet
}

/** Deadline and tags stay as they are. */
const KEPT: ResolvedSet = {
  ttl: 0,
  isOver: false,
  stale: 0,
  tags: [],
  flags: SetFlag.KeepTtl | SetFlag.KeepTags,
  version: 0,
}

/** The results of `run` on parts of what may be too much for one call. */
function inChunks<T, R>(items: Iterable<T>, run: (chunk: readonly T[]) => R[]): R[] {
  const all = listed(items)
  if (all.length <= MOST_AT_ONCE) return run(all)
  const results: R[] = []
  for (let start = 0; start < all.length; start += MOST_AT_ONCE) {
    for (const result of run(all.slice(start, start + MOST_AT_ONCE))) results.push(result)
  }
  return results
}

/** As an array without holes. Throws for what is no iterable, and for a text: its letters are nobody's keys. */
function listed<T>(items: Iterable<T>): readonly T[] {
  if (typeof items === 'object' && items !== null && Symbol.iterator in items) return [...items]
  throw invalid('a call for many takes an array or another iterable', items)
}

/** A text that tells keys apart. */
function textOf(key: RawKey): string {
  return Buffer.from(key as string).toString('latin1')
}

/** Whether its UTF-8 has U+FFFD, its own or that of a lone surrogate. */
function isSuspect(text: string): boolean {
  return text.includes('\uFFFD') || !text.isWellFormed()
}

/** Whether an entry is small enough. Counts exactly only where it may be too large. */
function fits(limit: number, key: RawKey, payload: unknown, tags: number): boolean {
  const value = typeof payload === 'string' || payload instanceof Uint8Array ? payload : ''
  const others = tags * 8 + 8
  if ((key.length + value.length) * 3 + others <= limit) return true
  return Buffer.byteLength(key) + Buffer.byteLength(value) + tags * 8 <= limit
}

/** A value with something behind it. */
function joined(value: unknown, addition: string | Uint8Array): string | Uint8Array {
  if (value === undefined) return addition
  if (typeof value === 'string' && typeof addition === 'string') return value + addition
  if (!(value instanceof Uint8Array) || typeof addition === 'string') {
    throw invalid('append needs text for text and bytes for bytes; the entry is', value)
  }
  const whole = Buffer.concat([value, addition])
  return Buffer.isBuffer(value) ? whole : new Uint8Array(whole.buffer, whole.byteOffset, whole.length)
}

function damagedValue(cause: unknown): CacheError {
  return new CacheError('ERR_SEGMENT_CORRUPT', 'the value was damaged in the segment', { cause })
}

function undecoded(cause: unknown): CacheError {
  const hint = 'The codec of this cache threw; see the cause. Nothing else in the segment is concerned.'
  return new CacheError('ERR_SEGMENT_CORRUPT', "the codec's decode refused the value", { cause, hint })
}

function closedError(name: string): CacheError {
  return new CacheError('ERR_CLOSED', `the cache "${name}" is closed`)
}
