/// <reference lib="es2024.string" />
/**
 * `SharedCache`, the public class: documentation, argument checks and delegation.
 *
 * Every read and write is synchronous and goes straight to shared memory: after a write has returned, every later read
 * in any process sees it. The work is done by `reading.ts`, `writing.ts` and their neighbours, over the connection of
 * the cache.
 *
 * Size: the public reference of some forty methods is here, next to their signatures; the code between is small.
 */
import { types } from 'node:util'
import { steadyKey, steadyPrefix, wholeKey } from '../arguments/keys.ts'
import type { Entry, Key } from '../arguments/keys.ts'
import { checkLoad, resolveLoad, resolveOnce, resolveWrap } from '../arguments/load-options.ts'
import type { Load, LoadOptions, OnceOptions, WrapOptions } from '../arguments/load-options.ts'
import { checkOptions } from '../arguments/option-names.ts'
import {
  ADD,
  APPEND,
  DELETE,
  DELETE_PREFIX,
  ENTRIES,
  GET_ENTRY,
  INCR_BIGINT,
  INVALIDATE_TAGS,
  KEYS,
  NAMESPACE,
  REPLACE,
  STATS,
  SWAP,
  UPDATE,
  WAIT_FOR,
  checkScope,
  checkSignal,
  checkTag,
  checkTags,
  checkVersion,
  inNamespace,
  resolveIncr,
  resolveQuota,
  withQuota,
  resolveMode,
  resolveOptions,
  resolveSet,
  resolveTtl,
  resolveWait,
} from '../arguments/options.ts'
import type {
  DeleteOptions,
  DeletePrefixOptions,
  GetEntryOptions,
  IncrBigIntOptions,
  IncrOptions,
  InvalidateOptions,
  NamespaceOptions,
  OpenOptions,
  ReplaceOptions,
  ResolvedOptions,
  ScanOptions,
  SetOptions,
  StatsOptions,
  StoreOptions,
  UpdateOptions,
  WaitOptions,
} from '../arguments/options.ts'
import type { Bytes, Duration, Milliseconds } from '../arguments/units.ts'
import { ValueEncoder } from '../codec/codec.ts'
import { resolveCollection } from '../collections/collection.ts'
import type { CollectionAccess, CollectionOptions, NewCollection } from '../collections/collection.ts'
import { SharedHash } from '../collections/hash.ts'
import { SharedList } from '../collections/list.ts'
import { SharedSet } from '../collections/set.ts'
import { SharedSortedSet } from '../collections/sorted-set.ts'
import { waitForLeadership } from '../coordination/elections.ts'
import type { Leadership } from '../coordination/elections.ts'
import { KeyLimiter } from '../coordination/limiter.ts'
import type { Limiter, LimiterOptions } from '../coordination/limiter.ts'
import { takeLock, waitForLock, workLocked } from '../coordination/locks.ts'
import type { AcquireOptions, Lock, LockOptions, TryLockOptions, WithLockOptions } from '../coordination/locks.ts'
import { barrierOf } from '../coordination/barriers.ts'
import type { Barrier } from '../coordination/barriers.ts'
import { conditionOf } from '../coordination/conditions.ts'
import type { Condition } from '../coordination/conditions.ts'
import { eventOf } from '../coordination/events.ts'
import type { SharedEvent } from '../coordination/events.ts'
import { Gates } from '../coordination/gates.ts'
import { Permits } from '../coordination/permits.ts'
import { Queues, queueOf } from '../coordination/queues.ts'
import type { Queue, QueueOptions } from '../coordination/queues.ts'
import { semaphoreOf } from '../coordination/semaphores.ts'
import type { Semaphore } from '../coordination/semaphores.ts'
import { invalid } from '../errors.ts'
import { WATCH_FILTER, Watch, resolveWatchedTags } from '../messaging/changes.ts'
import type { Change, WatchFilter } from '../messaging/changes.ts'
import { Subscription, checkChannel, publish, resolveChannel } from '../messaging/messages.ts'
import type { ChannelMessage } from '../messaging/messages.ts'
import { SUBSCRIBE, Streams, WATCH, resolveStreamOptions } from '../messaging/streams.ts'
import type { StreamOptions } from '../messaging/streams.ts'
import type { Metrics } from '../metrics/instruments.ts'
import { CacheMetrics } from '../metrics/metrics.ts'
import { isPortable, native } from '../engine/engine.ts'
import { GetFlag, Kind, Notice, SetFlag } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { countNearHits } from '../near/near-cache.ts'
import type { NearCache } from '../near/near-cache.ts'
import { Sampler } from '../sampling/sampler.ts'
import { Connection } from '../segment/connection.ts'
import { givenOptions } from '../segment/handle.ts'
import { channels } from '../segment/diagnostics.ts'
import type { CacheEvents } from '../segment/events.ts'
import { healthOf } from '../segment/health.ts'
import type { Health } from '../segment/health.ts'
import { openRegion } from '../segment/region.ts'
import type { Region } from '../segment/region.ts'
import { segments } from '../segment/segments.ts'
import { NO_STATS, toStats } from '../segment/stats.ts'
import type { Stats } from '../segment/stats.ts'
import { keep } from '../snapshots/keeper.ts'
import type { SnapshotKeeper } from '../snapshots/keeper.ts'
import { resolveKeep, resolveRestore, resolveSnapshot } from '../snapshots/options.ts'
import type {
  KeepSnapshotsOptions,
  RestoreInfo,
  RestoreOptions,
  SnapshotInfo,
  SnapshotOptions,
} from '../snapshots/options.ts'
import { restoreSnapshot } from '../snapshots/restore.ts'
import { writeSnapshot } from '../snapshots/write.ts'
import type { TransactionAccess } from '../transactions/attempt.ts'
import { runTransaction } from '../transactions/run.ts'
import type { TransactionOptions } from '../transactions/run.ts'
import type { Transaction, TransactionParts } from '../transactions/transaction.ts'
import { RecordWatches } from '../waiting/record-watches.ts'
import { Waits } from '../waiting/waits.ts'
import { Batches } from './batches.ts'
import { Changing } from './changing.ts'
import { Loads } from './loads.ts'
import { Reading } from './reading.ts'
import { noErrorEvent, refuseKeyv } from './mistaken.ts'
import type { Item, LimiterFactory, MessageBus, MetricsFactory, NamespacedStore, TaggedStore, Walk } from './store.ts'
import { deletionSteps, entrySteps, inTurns, keySteps, walkOver } from './walking.ts'
import { Writing } from './writing.ts'

const NO_OPTIONS: SetOptions = Object.freeze({})
/** An option of the caches of namespaces. */
const withSampler: unique symbol = Symbol('cache-machine.sampler')
/** The lock that a health check takes. */
const HEALTH_LOCK = 'cache-machine:health'

/**
 * Opens the segment of this name, or creates it, unless `create` is false. Synchronous; works in any process and any thread, in any order.
 *
 * @param options Only `name` is required; see `OpenOptions` for units and defaults.
 * @returns A separate handle for each call. All handles of a name share one segment, and users share one only by
 * `group`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL` for wrong options; `ERR_NO_SPACE` if the system
 * refuses the memory, or 24 other versions have entries; `ERR_PERMISSION` if the file belongs to another user or must not
 * be pinned, or this process is not in `group`; `ERR_SEGMENT_MISMATCH` with `onMismatch: 'throw'`; `ERR_SEGMENT_VERSION`,
 * `ERR_SEGMENT_CORRUPT` for a segment that cannot be used; `ERR_NO_SEGMENT` with `create: false`; `ERR_BUSY` while it is
 * being destroyed; `ERR_NATIVE_UNAVAILABLE` if the addon could not be loaded.
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
 * Keys are strings or bytes of 1 byte to 8 KiB; every method throws `ERR_INVALID_ARGUMENT` or `ERR_KEY_TOO_LONG` for
 * other keys, and `ERR_CLOSED` after `close`. A suspended process (SIGSTOP) blocks writers to its shard until
 * `writeTimeout`; then they throw `ERR_BUSY`. A running process is waited for. Reads never wait.
 */
export class SharedCache<V = unknown>
  implements
    TaggedStore<V>,
    NamespacedStore<V>,
    MessageBus,
    LimiterFactory,
    MetricsFactory,
    Iterable<[Key, V]>,
    AsyncIterable<[Key, V]>,
    Disposable
{
  /** The name that the segment was opened with. */
  readonly name: string
  /** The namespace of its keys; empty for the root. */
  readonly namespaceName: string
  readonly #given: OpenOptions
  readonly #connection: Connection
  /**
   * The near cache in use. Kept here as well, because one more object between `get` and a near hit costs 2 % of the
   * hit.
   */
  #near: NearCache | undefined
  readonly #sampler: Sampler
  readonly #reading: Reading<V>
  readonly #writing: Writing<V>
  readonly #changing: Changing<V>
  readonly #batches: Batches<V>
  readonly #loads: Loads<V>
  readonly #waits: Waits<Entry<V>>
  readonly #streams: Streams
  readonly #permits: Permits
  readonly #gates: Gates
  readonly #queues: Queues
  /** Namespaces made from this cache. They close with it. */
  readonly #children = new Set<SharedCache<unknown>>()
  #parent: SharedCache<unknown> | undefined
  /** One object, by which a transaction knows the cache. */
  #transactionAccess: TransactionAccess | undefined

  static {
    refuseKeyv(this.prototype)
  }

  /** Use `open`, which does the same. */
  constructor(options: OpenOptions) {
    const resolved = resolveOptions(options)
    this.#given = { ...options }
    givenOptions.set(this, { ...options, directory: resolved.native.directory })
    this.name = resolved.native.name
    this.namespaceName = resolved.native.namespace ?? ''
    const connection = new Connection(this, resolved)
    const recordWatches = new RecordWatches()
    this.#connection = connection
    // Namespaces share that of the root: viewers listen on its channel.
    const sampler = samplerOf(options) ?? new Sampler(connection, resolved.native.hooks === undefined)
    this.#sampler = sampler
    this.#reading = new Reading<V>(connection, sampler, (near) => (this.#near = near))
    this.#writing = new Writing(connection, new ValueEncoder(resolved.codec), sampler)
    this.#changing = new Changing(connection, this.#reading, this.#writing)
    this.#batches = new Batches(connection, this.#reading, this.#writing)
    this.#waits = new Waits(connection, this.#reading)
    this.#streams = new Streams(connection)
    connection.attach(recordWatches, Notice.RecordWatches)
    connection.attach(this.#waits, Notice.Waits)
    connection.attach(this.#streams, Notice.Streams)
    this.#loads = new Loads(connection, recordWatches, this.#reading, this.#writing)
    this.#permits = new Permits(connection, recordWatches)
    this.#gates = new Gates(connection, recordWatches)
    connection.attach(this.#permits)
    connection.attach(this.#gates)
    this.#queues = new Queues(connection, recordWatches)
    connection.attach(this.#queues)
    if (this.namespaceName === '') connection.attach(sampler)
    connection.opened()
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#connection.closed
  }

  /**
   * The value of `key`, or undefined. Objects, arrays and bytes are new copies for every call. With
   * `near: { objects: 'frozen' }`, plain objects and arrays are frozen, and the same as long as they are kept.
   *
   * Counts as a hit or a miss, and marks the entry as used.
   *
   * @example
   * const user = cache.get('user:1') ?? (await loadUser(1))
   */
  get(key: Key): V | undefined {
    const near = this.#near
    if (near === undefined) return this.#reading.getWithoutNear(key)
    const value = near.get(key)
    return value === undefined ? this.#reading.getNear(near, key) : (value as V)
  }

  /**
   * Like `get`, but leaves no trace: not counted, and the entry is not marked as used.
   *
   * @example
   * console.log(cache.peek('session:1'))
   */
  peek(key: Key): V | undefined {
    return this.#reading.read('read', key, GetFlag.Peek)
  }

  /**
   * Whether `key` has an entry that has not expired. Not counted, and the entry is not marked as used. A later `get`
   * may still miss.
   *
   * @example
   * if (!cache.has('greeting')) cache.set('greeting', 'hello')
   */
  has(key: Key): boolean {
    return this.#reading.has(key)
  }

  /**
   * The value of `key` with its version, times (epoch milliseconds) and size, or undefined. Counts like `get`.
   *
   * @param options `allowStale`: accept an entry that has expired within its `stale` time, or that a tag made stale.
   * `peek`: not counted, and not marked as used. `collections`: a collection comes as a plain copy, instead of
   * `ERR_WRONG_TYPE`. Default of all: false.
   * @example
   * const entry = cache.getEntry('config')
   * if (entry) cache.set('config', changed(entry.value), { if: { version: entry.version } })
   */
  getEntry(key: Key, options?: GetEntryOptions): Entry<V> | undefined {
    checkOptions(options, GET_ENTRY)
    const flags =
      (options?.allowStale ? GetFlag.Stale : 0) |
      (options?.peek ? GetFlag.Peek : 0) |
      (options?.collections ? GetFlag.Collections : 0)
    return this.#reading.entry('read', key, flags)
  }

  /**
   * Stores `value` under `key`, for every process that has the segment open.
   *
   * @param options A lifetime, or `SetOptions`. Default: the `ttl` of `open`, else no expiry.
   * @returns True if the value was stored. False if the condition `if` did not hold; if `expiresAt` has passed, which
   * deletes the entry; or with `eviction: 'none'` if there is no room.
   * @throws {CacheError} `ERR_UNDEFINED_VALUE`; `ERR_UNSERIALIZABLE` with the path to the part that cannot be stored;
   * `ERR_VALUE_TOO_LARGE` above `maxEntrySize`; `ERR_INVALID_TTL` for 0, negative numbers and invalid durations;
   * `ERR_NO_SPACE`; `ERR_BUSY`.
   * @example
   * cache.set('user:1', { name: 'Ada' }, '30s')
   * cache.set('job', 'mine', { ttl: '1m', if: 'absent' })
   */
  set(key: Key, value: V, options?: Duration | SetOptions): boolean {
    return this.#writing.set(key, value, options)
  }

  /**
   * Stores `value` if `key` has no entry. Short for `set` with `if: 'absent'`: exactly one of many concurrent calls
   * returns true.
   *
   * @param options A lifetime, or `StoreOptions`. Default: the `ttl` of `open`, else no expiry.
   * @throws {CacheError} As `set`.
   * @example
   * if (cache.add('daily-mail', process.pid, '1d')) await sendMail()
   */
  add(key: Key, value: V, options: Duration | StoreOptions = NO_OPTIONS): boolean {
    return this.#writing.setIf(SetFlag.IfAbsent, key, value, options, ADD)
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
    return this.#writing.setIf(SetFlag.IfPresent, key, value, options, REPLACE)
  }

  /**
   * Stores `value` and returns the previous one, atomically: two concurrent swaps never return the same value.
   *
   * @param options A lifetime, or `StoreOptions`. Default: the `ttl` of `open`, else no expiry. If `expiresAt` has
   * passed, `swap` behaves like `take`.
   * @returns The previous value; undefined if there was no entry.
   * @throws {CacheError} As `set`, and `ERR_NO_SPACE` where `set` would return false because there is no room.
   * @example
   * const before = cache.swap('leader', process.pid, '10s')
   */
  swap(key: Key, value: V, options: Duration | StoreOptions = NO_OPTIONS): V | undefined {
    const resolved = resolveSet(options, this.#writing.defaultTtl, SetFlag.IfVersion, SWAP)
    return resolved.isOver ? this.#reading.take(key) : this.#changing.swap(key, value, resolved)
  }

  /**
   * Replaces a value by the result of `change`. If another process writes first, `change` is called again with the
   * newer value; so it may be called more than once and should have no other effects. An entry keeps its deadline and
   * tags.
   *
   * @param change Gets the value, or undefined if there is none. Must return a value: `undefined` throws and changes
   * nothing.
   * @param options `ttl` and `tags` for a key without an entry. Default: the `ttl` of `open`, no tags.
   * @returns The new value.
   * @throws {CacheError} As `set`, and `ERR_NO_SPACE` where `set` would return false. Errors of `change` pass through.
   * @example
   * cache.update('cart:7', (cart) => ({ items: [...(cart?.items ?? []), item] }))
   */
  update(key: Key, change: (value: V | undefined) => V, options: UpdateOptions = NO_OPTIONS): V {
    if (typeof change !== 'function') throw invalid('update takes a function', change)
    checkOptions(options, UPDATE)
    return this.#changing.update(key, change, options)
  }

  /**
   * Appends text to a string, or bytes to bytes, atomically. An entry keeps its deadline and tags. The cost grows with
   * the length of the whole value.
   *
   * @param options `ttl` and `tags` for a key without an entry. Default: the `ttl` of `open`, no tags.
   * @returns The new length: of a string in UTF-16 units, as `length`; of bytes in bytes.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` unless entry and addition are both text or both bytes; as `update`.
   * @example
   * cache.append('log', `${new Date().toISOString()} started\n`, { ttl: '1h' })
   */
  append(key: Key, addition: string | Uint8Array, options: UpdateOptions = NO_OPTIONS): number {
    if (typeof addition !== 'string' && !types.isUint8Array(addition)) {
      throw invalid('append takes a string or a Uint8Array', addition)
    }
    checkOptions(options, APPEND)
    return this.#changing.append(key, addition, options)
  }

  /**
   * Deletes the entry of `key`.
   *
   * @param options.version Delete only this version of the entry. Default: any version.
   * @returns Whether an entry was deleted; an expired one does not count.
   * @throws {CacheError} `ERR_BUSY`; `ERR_INVALID_ARGUMENT` for an invalid version.
   * @example
   * cache.delete('user:1')
   */
  delete(key: Key, options?: DeleteOptions): boolean {
    checkOptions(options, DELETE)
    const version = options?.version === undefined ? 0 : checkVersion(options.version, 'version', 1)
    return this.#writing.delete(key, version)
  }

  /**
   * Returns the value of `key` and deletes its entry, atomically: exactly one of many concurrent calls gets it.
   *
   * @throws {CacheError} `ERR_BUSY`; `ERR_SEGMENT_CORRUPT` if the value was damaged.
   * @example
   * const job = cache.take(`job:${id}`)
   */
  take(key: Key): V | undefined {
    return this.#reading.take(key)
  }

  /**
   * Gives the entry of `key` a new lifetime from now on. Value, version and creation time stay.
   *
   * @param ttl Required: the `ttl` of `open` does not apply. Infinity removes the expiry.
   * @returns Whether there is such an entry.
   * @throws {CacheError} `ERR_INVALID_TTL`; `ERR_BUSY`.
   * @example
   * cache.touch('session:1', '20m')
   */
  touch(key: Key, ttl: Duration): boolean {
    return this.#writing.touch(key, resolveTtl(ttl))
  }

  /**
   * Removes the expiry of the entry of `key`.
   *
   * @returns Whether there is such an entry, with or without an expiry before.
   * @throws {CacheError} `ERR_BUSY`.
   * @example
   * cache.persist('session:1')
   */
  persist(key: Key): boolean {
    return this.#writing.touch(key, 0)
  }

  /**
   * Milliseconds until the entry of `key` expires: Infinity without an expiry, undefined without an entry. Not counted.
   *
   * @example
   * if ((cache.ttl('token') ?? 0) < 5000) refreshToken()
   */
  ttl(key: Key): Milliseconds | undefined {
    return this.#connection.live().ttl(key) ?? this.#connection.again('read', 'ttl', key)
  }

  /**
   * Adds to a number, atomically: no increment of any process is lost. The entry keeps its deadline.
   *
   * @param by The number to add; it may be negative and need not be whole. Default: 1.
   * @param options `init`: start value of a missing key, to which `by` is added (default 0); `ttl`: lifetime of a
   * missing key (default none); `min`, `max`: bounds of the result.
   * @returns The new number.
   * @throws {CacheError} `ERR_NOT_A_NUMBER` if the entry is not a number; `ERR_OVERFLOW` if the result is not finite or
   * above `Number.MAX_SAFE_INTEGER`, which leaves the entry unchanged; `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`;
   * `ERR_NO_SPACE` with `eviction: 'none'` and no room for a missing key; `ERR_BUSY`.
   * @example
   * const visits = cache.incr('visits')
   * const left = cache.incr('tokens', -1, { init: 100, min: 0, ttl: '1m' })
   */
  incr(key: Key, by = 1, options?: IncrOptions): number {
    const { init, ttl, min, max } = resolveIncr(by, options)
    return this.#writing.incr(key, by, init, ttl, min, max)
  }

  /**
   * Adds to a bigint of any size, atomically: no increment of any process is lost. The entry keeps its deadline and
   * tags.
   *
   * @param by The bigint to add; it may be negative. Default: 1n.
   * @param options As `incr`, with bigints.
   * @returns The new number.
   * @throws {CacheError} `ERR_NOT_A_NUMBER` if the entry is not a bigint; `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`;
   * `ERR_NO_SPACE` with `eviction: 'none'` and no room; `ERR_BUSY`.
   * @example
   * const id = cache.incrBigInt('last-id')
   */
  incrBigInt(key: Key, by = 1n, options: IncrBigIntOptions = {}): bigint {
    checkOptions(options, INCR_BIGINT)
    const { init = 0n, ttl, min, max } = options
    for (const [name, number] of Object.entries({ by, init, min, max })) {
      if (typeof number !== 'bigint' && number !== undefined) throw invalid(`${name} must be a bigint`, number)
    }
    if (min !== undefined && max !== undefined && min > max) throw invalid('min must not be above max', min)
    return this.#changing.incrBigInt(key, { by, init, min, max, ttl: ttl === undefined ? 0 : resolveTtl(ttl) })
  }

  /**
   * The values of many keys, in their order, undefined for each miss. One native call for each 16,384 keys; each key is
   * read as by `get`.
   *
   * @throws {CacheError} As `get`, for any of the keys.
   * @example
   * const users = cache.getMany(ids.map((id) => `user:${id}`))
   */
  getMany(keys: Iterable<Key>): (V | undefined)[] {
    return this.#batches.getMany(keys)
  }

  /**
   * Stores many values, each as by `set`. One native call for each 16,384 items, if they have no options other than a
   * lifetime. A wrong key, value or option throws before anything is stored.
   *
   * @param items `[key, value]` or `[key, value, options]`.
   * @param options For items without their own. Default: the `ttl` of `open`, else no expiry.
   * @returns The result of `set` for each item, in their order.
   * @throws {CacheError} As `set`. After `ERR_BUSY` or `ERR_NO_SPACE` some values may have been stored.
   * @example
   * cache.setMany(users.map((user) => [`user:${user.id}`, user]), '5m')
   */
  setMany(items: Iterable<Item<V>>, options: Duration | Omit<SetOptions, 'if'> = NO_OPTIONS): boolean[] {
    return this.#batches.setMany(items, options)
  }

  /**
   * Deletes many entries. Returns for each key whether there was an entry. One native call for each 16,384 keys.
   *
   * @throws {CacheError} As `delete`; some entries may have been deleted then.
   * @example
   * cache.deleteMany(['user:1', 'user:2'])
   */
  deleteMany(keys: Iterable<Key>): boolean[] {
    return this.#batches.deleteMany(keys)
  }

  /**
   * Whether each of many keys has an entry. One native call for each 16,384 keys.
   *
   * @throws {CacheError} As `has`.
   * @example
   * const missing = keys.filter((_, i) => !found[i]) // found = cache.hasMany(keys)
   */
  hasMany(keys: Iterable<Key>): boolean[] {
    return this.#batches.hasMany(keys)
  }

  /**
   * Deletes all entries at once, for every process, in a time that does not depend on their number. On the root it also
   * clears all namespaces; on a namespace it clears that namespace only.
   *
   * @throws {CacheError} `ERR_BUSY`.
   * @example
   * cache.clear()
   */
  clear(): void {
    this.#connection.write((id) => native.clear(id))
    this.#connection.reports.cleared()
  }

  /**
   * Deletes all entries with keys that start with `prefix`, without a pause: use `deletePrefixAsync` where that is too
   * long. Reads the whole index, so its time depends on the number of all entries, not of those that are deleted: about
   * 0.2 s for a million. It locks only a small part at a time. Entries that are set meanwhile may stay. A namespace with
   * `clear`, or tags, take no such time.
   *
   * @param prefix At least one character or byte.
   * @returns The number of deleted entries.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_BUSY`, after which some entries may have been deleted.
   * @example
   * cache.deletePrefix('user:')
   */
  deletePrefix(prefix: Key): number {
    let count = 0
    try {
      for (const deleted of deletionSteps(this.#connection, prefixToDelete(prefix))) count += deleted
      return count
    } finally {
      if (count > 0) this.#reportDeletion(prefix, count)
    }
  }

  /**
   * `deletePrefix` in steps of at most about a millisecond, with a turn of the event loop after each. Keeps the process
   * alive until it is done. If the segment is destroyed meanwhile, the new one is walked from its beginning.
   *
   * @param prefix At least one character or byte.
   * @param options `signal`: ends the deletion between two steps.
   * @returns The number of deleted entries.
   * @throws {CacheError} Rejects as `deletePrefix`; with the reason of the signal; with `ERR_CLOSED` when this object is
   * closed. Some entries may have been deleted then.
   * @example
   * await cache.deletePrefixAsync('user:')
   */
  async deletePrefixAsync(prefix: Key, options: DeletePrefixOptions = {}): Promise<number> {
    checkOptions(options, DELETE_PREFIX)
    const signal = checkSignal(options.signal)
    const steps = deletionSteps(this.#connection, prefixToDelete(prefix))
    signal?.throwIfAborted()
    let count = 0
    try {
      for await (const deleted of inTurns(steps, signal)) count += deleted
      return count
    } finally {
      if (count > 0) this.#reportDeletion(prefix, count)
    }
  }

  #reportDeletion(prefix: Key, count: number): void {
    if (channels.delete.hasSubscribers) this.#connection.reports.deleted({ prefix, count })
  }

  /**
   * Invalidates all entries of this namespace that have one of these tags, at once and for every process, in a time
   * that does not depend on their number. Values that are set later are not affected.
   *
   * Entries without one of these tags are not affected, however many tags are invalidated. The guide to tags has the
   * one exception: loads during which tens of thousands of tags are invalidated.
   *
   * @param tags One tag or any number of them.
   * @param options `mode`: with `'stale'`, calls that accept stale values still get the entries. Default: `'remove'`.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_BUSY`.
   * @example
   * cache.set('page:/news', html, { tags: ['news', 'front'] })
   * cache.invalidateTags('news')
   */
  invalidateTags(tags: string | readonly string[], options: InvalidateOptions = {}): void {
    const list = typeof tags === 'string' ? [checkTag(tags)] : checkTags(tags)
    checkOptions(options, INVALIDATE_TAGS)
    const isStale = resolveMode(options.mode)
    this.#connection.write((id) => native.invalidateTags(id, list, isStale))
    this.#connection.reports.invalidated(list)
  }

  /**
   * The keys of this namespace, in no order. Nothing is locked during the walk: an entry that exists all the time comes
   * exactly once; one that is set or deleted meanwhile may come or not. Not counted, and entries are not marked as used.
   * The walk ends with the segment in which it began, and throws `ERR_CLOSED` when this object is closed.
   *
   * The walk reads the whole index once, so its time depends on the number of all entries, for any prefix. `for` runs it
   * without a pause: about a second for a million keys. `for await` lets the event loop turn after at most about a
   * millisecond, and keeps the process alive meanwhile.
   *
   * @param options `prefix`: only keys that start with it, default all; `tags`: only entries with one of them; `signal`:
   * ends the walk with its reason.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a wrong option.
   * @example
   * for await (const key of cache.keys({ prefix: 'user:' })) console.log(key)
   */
  keys(options: ScanOptions = {}): Walk<Key> {
    checkOptions(options, KEYS)
    return walkOver(this.#keySteps(options), checkSignal(options.signal))
  }

  #keySteps({ prefix = '', tags }: ScanOptions): Generator<Key | undefined, undefined> {
    return keySteps(this.#connection, this.#connection.handleId, steadyPrefix(prefix), resolveWatchedTags(tags))
  }

  /**
   * Keys and values, as `keys`. An entry that is removed between the read of its key and of its value is left out.
   *
   * @param options As `keys`.
   * @throws {CacheError} As `keys` and `get`.
   * @example
   * const users = new Map(cache.entries({ prefix: 'user:' }))
   * for await (const [key, user] of cache.entries({ prefix: 'user:' })) await save(key, user)
   */
  entries(options: ScanOptions = {}): Walk<[Key, V]> {
    checkOptions(options, ENTRIES)
    return walkOver(entrySteps(this.#reading, this.#keySteps(options)), checkSignal(options.signal))
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
   * The same as `entries()` with `for await`.
   *
   * @example
   * for await (const [key, value] of cache) console.log(key, value)
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<[Key, V]> {
    return this.entries()[Symbol.asyncIterator]()
  }

  /**
   * The hash under `key`: fields with values, each of which can be read and changed alone. The object is small and keeps
   * nothing, so it may be made for each use. Nothing is stored before the first change.
   *
   * @param options Lifetime and tags of a hash that a call makes. Default: the `ttl` of `open`, no tags.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`, `ERR_KEY_TOO_LONG`; `ERR_WRONG_TYPE` from its methods
   * if the key has another kind of entry.
   * @example
   * cache.hash('user:1').set('name', 'Ada')
   */
  hash<T = V>(key: Key, options?: CollectionOptions): SharedHash<T> {
    return new SharedHash<T>(this.#collections(), key, wholeKey(key), Kind.Hash, this.#newCollection(options))
  }

  /**
   * The list under `key`: values in an order, with both ends to push and pop. As `hash` else.
   *
   * @example
   * cache.list('jobs').push('first', 'second')
   */
  list<T = V>(key: Key, options?: CollectionOptions): SharedList<T> {
    return new SharedList<T>(this.#collections(), key, wholeKey(key), Kind.List, this.#newCollection(options))
  }

  /**
   * The set under `key`: different values. As `hash` else.
   *
   * @example
   * cache.setOf('online').add('ada')
   */
  setOf<T = V>(key: Key, options?: CollectionOptions): SharedSet<T> {
    return new SharedSet<T>(this.#collections(), key, wholeKey(key), Kind.Set, this.#newCollection(options))
  }

  /**
   * The sorted set under `key`: different values, each with a score, in the order of their scores. As `hash` else.
   *
   * @example
   * cache.sortedSet('scores').incr('ada', 10)
   */
  sortedSet<T = V>(key: Key, options?: CollectionOptions): SharedSortedSet<T> {
    return new SharedSortedSet<T>(this.#collections(), key, wholeKey(key), Kind.SortedSet, this.#newCollection(options))
  }

  #collections(): CollectionAccess {
    return { raw: this.#open(), encoder: this.#writing.encoder }
  }

  #newCollection(options: CollectionOptions | undefined): NewCollection {
    return resolveCollection(options, this.#writing.defaultTtl)
  }

  /**
   * Runs a function that reads and changes several keys as one step: every process sees all of its changes or none of
   * them, also if this process dies meanwhile, and nothing that it has read is changed by others in between.
   *
   * The function gets a transaction, with the methods of a cache. Its reads are of one state, and its writes are kept
   * back until it has returned. If another caller changes a key that it has read, it runs again, so it must be
   * synchronous and do nothing outside of the transaction that must not happen twice. If it throws, nothing is changed.
   * `clear` and `invalidateTags` of other callers are not ordered beside a commit, and limiters, locks, queues and
   * metrics are no part of it.
   *
   * @param fn Gets the transaction; what it returns is returned. At most 1,024 keys.
   * @param options `attempts`: how often `fn` may run. Default: 16.
   * @throws {CacheError} `ERR_BUSY` after so many conflicts, or beside a suspended process; `ERR_NO_SPACE` if not all new
   * entries have room; `ERR_VALUE_TOO_LARGE`, `ERR_INVALID_ARGUMENT`; and what `fn` throws.
   * @example
   * cache.transaction((tx) => {
   *   tx.incr('account:1', -10)
   *   tx.incr('account:2', 10)
   * })
   */
  transaction<T>(fn: (tx: Transaction<V>) => T, options?: TransactionOptions): T {
    this.#open()
    return runTransaction(this.#transactionParts(), fn, options)
  }

  #transactionParts(): TransactionParts {
    return {
      access: (this.#transactionAccess ??= {
        raw: this.#connection,
        encoder: this.#writing.encoder,
        defaultTtl: this.#writing.defaultTtl,
        unreadable: (key, error) => this.#connection.refuse('read', error, key),
        changed: (key, isDeleted) => this.#writing.reportChange(key, isDeleted),
      }),
      namespace: (name, options) => this.namespace<unknown>(name, options).#transactionParts(),
    }
  }

  /**
   * A part of this cache in the same segment, with its own keys, tags, `clear` and stats. A name always stands for the
   * same namespace, in every process and for the life of the segment; there are at most 1,023 namespaces. A namespace
   * of a namespace has both names, joined by `:`. It closes with this object.
   *
   * With `reserve`, `size` and `eviction` it has a quota, in whole units of 64 bytes with the heads of its entries. It is
   * set when the object is made, for all processes; the latest call that sets a value counts, and a call without one
   * leaves it. At most 63 namespaces of a segment have a quota.
   *
   * A repeated call with the same name and equal options returns the same object, so it may be called for each request.
   * `close` then ends it for all of its users, and the next call opens it again. Other options, or another codec
   * object, make another object with a near cache of its own. A call without a quota accepts an object with one.
   *
   * @param name 1 to 63 bytes as UTF-8.
   * @param options Its own defaults; see `NamespaceOptions`.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`; `ERR_NO_SEGMENT` for a new name in a cache that was
   * opened with `create: false`; `ERR_NO_SPACE` for the 1,024th, for the 64th with a quota,
   * and for more reserves than three quarters of the space for entries; `ERR_BUSY`.
   * @example
   * const sessions = cache.namespace<Session>('sessions', { ttl: '20m', reserve: '4mb' })
   */
  namespace<W = V>(name: string, options: NamespaceOptions = {}): SharedCache<W> {
    const connection = this.#open()
    if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
      throw invalid('the name of a namespace must be a string of at least one character', name)
    }
    checkOptions(options, NAMESPACE)
    const full = this.namespaceName === '' ? name : `${this.namespaceName}:${name}`
    const { ttl = this.#given.ttl, codec = this.#given.codec, strict = this.#given.strict } = options
    const { near = this.#given.near } = options
    // The resolved folder: the process may have changed its working directory since `open`.
    const { directory, group } = connection.options.native
    const places = { [inNamespace]: full, [withQuota]: resolveQuota(options), [withSampler]: this.#sampler }
    const own = { ...this.#given, directory, group, ttl, codec, strict, near, ...places } as OpenOptions
    // A handle takes some 20 KiB, and a call for each request is usual.
    const wanted = resolveOptions(own)
    for (const child of this.#children) {
      if (child.namespaceName === full && child.#isLike(own, wanted))
        return child as SharedCache<unknown> as SharedCache<W>
    }
    const child = new SharedCache<W>(own)
    child.#parent = this
    this.#children.add(child)
    return child
  }

  /**
   * The number of entries of this namespace. A snapshot; entries that expired or were invalidated by a tag may count
   * until they are swept.
   *
   * @example
   * console.log(`${cache.size} entries`)
   */
  get size(): number {
    return this.#connection.read((id) => native.size(id)) ?? 0
  }

  /**
   * The counts over all processes since the segment was created, and `degradedReads`, `mismatchedReads` and
   * `unstored` of this object. Sizes are bytes.
   *
   * @param options `scope` of hits, misses, sets, deletes, evictions, expirations, entries and bytes: `'segment'` or
   * `'namespace'`. Default: `'segment'`; in a namespace `'namespace'`.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
   * @example
   * const { hits, misses } = cache.stats()
   * console.log(`hit ratio ${hits / (hits + misses)}`)
   */
  stats(options: StatsOptions = {}): Stats {
    checkOptions(options, STATS)
    checkScope(options.scope)
    const scope = options.scope ?? (this.namespaceName === '' ? 'segment' : 'namespace')
    countNearHits()
    const counts = this.#connection.read((id) => native.stats(id)) ?? NO_STATS
    const { path, dimensions } = this.#connection.live()
    return toStats(counts, scope, { path, size: dimensions().size }, this.#connection.counts)
  }

  /**
   * A rate limit that all processes share: a number of tokens per key and window. Its states are not entries: `get`,
   * `keys`, `size` and `clear` ignore them, and a state is deleted as soon as its key has all tokens back. Each
   * namespace has its own limiters.
   *
   * @param name 1 to 128 characters other than NUL. The same name, window and algorithm are the same limiter in every
   * process and thread. The limit may differ, for example while a new version is deployed: each caller applies its own
   * limit to the taken tokens.
   * @param options See `LimiterOptions` and `LimitAlgorithm`.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_CLOSED`.
   * @example
   * const limiter = cache.limiter('api', { limit: 100, window: '1m' })
   * if (!limiter.consume(request.ip).allowed) response.writeHead(429).end()
   */
  limiter(name: string, options: LimiterOptions): Limiter {
    return new KeyLimiter(name, options, this.#open())
  }

  /**
   * The counters, gauges and histograms of the application, kept in this segment for all workers. Each namespace has
   * its own.
   *
   * @throws {CacheError} `ERR_CLOSED`.
   * @example
   * const metrics = cache.metrics()
   * const requests = metrics.counter('http_requests_total')
   * requests.inc()
   * response.setHeader('Content-Type', metrics.contentType).end(metrics.prometheus())
   */
  metrics(): Metrics {
    const connection = this.#open()
    const namespace = this.namespaceName === '' ? {} : { namespace: this.namespaceName }
    return new CacheMetrics(connection, { cache: this.name, ...namespace }, this)
  }

  /**
   * Resolves with the entry of `key` as soon as there is one, set by any process. Not counted, and the entry is not
   * marked as used.
   *
   * @param options `after`: only an entry with a later version (default 0: any); `timeout`: default none; `signal`;
   * `ref`: keep the process alive meanwhile (default true).
   * @throws {CacheError} Rejects with `ERR_TIMEOUT`; with the reason of the signal; with `ERR_CLOSED` when this object
   * is closed; with `ERR_INVALID_ARGUMENT` for wrong options.
   * @example
   * const { value } = await cache.waitFor(`job:${id}`, { timeout: '10m' })
   */
  async waitFor(key: Key, options: WaitOptions = {}): Promise<Entry<V>> {
    const connection = this.#open()
    checkOptions(options, WAIT_FOR)
    const after = checkVersion(options.after ?? 0, 'after', 0)
    const limits = resolveWait(options)
    connection.listen()
    return this.#waits.wait(steadyKey(key), after, limits)
  }

  /**
   * The lock of `key`, as soon as it is granted: one holder over all processes and threads, in this namespace. Callers
   * of one thread get it in the order of asking, and alternate with other threads and processes. The lock of a key is
   * independent of its entry: `clear`, expiry and eviction do not affect it.
   *
   * A lock is not reentrant: a holder that asks for it again waits until its `timeout`. `withLock` has an option.
   *
   * @param options `ttl`: when it is lost at the latest (default: never, while its process lives); `timeout`: default
   * none; `signal`; `ref`: keep the process alive while waiting (default true). A held lock never keeps it alive.
   * @throws {CacheError} Rejects with `ERR_TIMEOUT`; with the reason of the signal; with `ERR_CLOSED` when this object
   * is closed; with `ERR_NO_SPACE` if too many processes wait; with `ERR_BUSY`; with `ERR_INVALID_ARGUMENT`,
   * `ERR_INVALID_TTL`.
   * @example
   * await using lock = await cache.lock(`invoice:${id}`, { timeout: '5s' })
   * await invoices.save(invoice, { fence: lock.token })
   */
  async lock(key: Key, options?: LockOptions): Promise<Lock> {
    this.#open()
    return waitForLock(this.#permits, key, options)
  }

  /**
   * The lock of `key` if it is free and no caller waits for it, otherwise undefined. Synchronous.
   *
   * @param options `ttl`: when it is lost at the latest. Default: never, while its process lives.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`, `ERR_NO_SPACE`, `ERR_BUSY`.
   * @example
   * const lock = cache.tryLock('nightly-report', { ttl: '1h' })
   * if (lock === undefined) return // another process makes it
   */
  tryLock(key: Key, options?: TryLockOptions): Lock | undefined {
    this.#open()
    return takeLock(this.#permits, key, options)
  }

  /**
   * Acquires the lock of `key`, runs `work`, and always releases the lock. If a `ttl` may end before `work` does,
   * `work` should check `lock.signal`: its result is returned even if the lock was lost.
   *
   * @param options As `lock`. `reentrant`: inside the work of another reentrant `withLock` of the same key, run `work` at
   * once under the lock that is held there (default false).
   * @returns The result of `work`.
   * @throws {CacheError} Rejects as `lock`, and with the errors of `work`.
   * @example
   * const balance = await cache.withLock(`account:${id}`, () => withdraw(id, 100), { timeout: '5s' })
   */
  async withLock<T>(key: Key, work: (lock: Lock) => T | PromiseLike<T>, options?: WithLockOptions): Promise<T> {
    this.#open()
    return workLocked(this.#permits, key, work, options)
  }

  /**
   * The event of this name: a flag that all processes and threads can set, clear and wait for, in this namespace.
   * Creating the object costs nothing and changes nothing.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`.
   * @example
   * const warm = cache.event('warm')
   * if (leads) await fill().then(() => warm.set())
   * else await warm.wait({ timeout: '1m' })
   */
  event(name: Key): SharedEvent {
    this.#open()
    return eventOf(this.#gates, name)
  }

  /**
   * The barrier of this name: its callers wait until `parties` of them have come, over all processes and threads, in
   * this namespace. Creating the object costs nothing and changes nothing.
   *
   * @param parties 1 to 1,000. All callers should pass the same number.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`.
   * @example
   * await cache.barrier('loaded', 4).wait({ timeout: '1m' })
   */
  barrier(name: Key, parties: number): Barrier {
    this.#open()
    return barrierOf(this.#gates, name, parties)
  }

  /**
   * The condition of this name: holders of a lock wait for what other holders of this lock announce, in this namespace.
   * Creating the object costs nothing and changes nothing.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`.
   * @example
   * const condition = cache.condition('stock')
   * let lock = await cache.lock('stock')
   * while ((cache.get('stock') ?? 0) === 0) lock = await condition.wait(lock)
   */
  condition(name: Key): Condition {
    this.#open()
    return conditionOf(this.#gates, this.#permits, name)
  }

  /**
   * The semaphore of this name: up to `permits` holders over all processes and threads, in this namespace. Creating the
   * object costs nothing and holds nothing.
   *
   * @param permits 1 to 1,000. All callers should pass the same number: each caller is admitted by its own.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`.
   * @example
   * const renders = cache.semaphore('renders', 4)
   * const pdf = await renders.use(() => render(report), { timeout: '1m' })
   */
  semaphore(name: Key, permits: number): Semaphore {
    this.#open()
    return semaphoreOf(this.#permits, name, permits)
  }

  /**
   * The queue of work of this name: first in, first out, over all processes and threads, in this namespace. Each item is
   * in the hand of one taker at a time, and is delivered at least once. Creating the object costs nothing.
   *
   * @param options `capacity`: maximum number of items, up to 1,000 (default); `visibility`: an item that is not
   * acknowledged within this time returns (default 5 minutes); `attempts`: after so many it becomes a dead letter
   * (default 5). All callers should pass the same.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`, `ERR_KEY_TOO_LONG`.
   * @example
   * const mails = cache.queue<Mail>('mails')
   * mails.push({ to: 'ada@example.com', template: 'welcome' })
   * for await (const item of mails) {
   *   await send(item.value)
   *   item.ack()
   * }
   */
  queue<T = unknown>(name: Key, options?: QueueOptions): Queue<T> {
    this.#open()
    return queueOf<T>(this.#queues, name, options)
  }

  /**
   * Resolves when this handle leads: at once for the first caller, for later ones in the order of asking, when the
   * leader resigns, closes its cache or dies. A death is noticed within 100 ms.
   *
   * @param options `timeout`: default none; `signal`; `ref`: keep the process alive while waiting (default true).
   * @throws {CacheError} Rejects as `lock`.
   * @example
   * const leadership = await cache.elect('cron')
   * const timer = setInterval(runDueJobs, 1000)
   * leadership.signal.addEventListener('abort', () => clearInterval(timer))
   */
  async elect(name: Key, options?: AcquireOptions): Promise<Leadership> {
    this.#open()
    return waitForLeadership(this.#permits, name, options)
  }

  /**
   * Named raw bytes in their own segment, initially zero, as an ArrayBuffer with a lock: creates or attaches. Short for
   * `openRegion` with the name, folder and group of this cache, so a namespace has no regions of its own. A region stays open
   * when this object is closed, and survives the clearing and the destruction of the cache.
   *
   * @param bytes Its size, 1 byte to `'4gb'`, the same in all processes.
   * @throws {CacheError} `ERR_CLOSED`; as `openRegion`.
   * @example
   * using region = cache.region('positions', 1000 * 8)
   * const positions = new Float64Array(region.buffer)
   * region.withLock(() => (positions[7] = 0.5))
   */
  region(name: string, bytes: Bytes): Region {
    const { directory, group } = this.#open().options.native
    return openRegion({ cache: this.name, name, size: bytes, directory, group })
  }

  /**
   * The changes of this namespace from now on, made by any process. The watch begins with this call, not with the first
   * `next`. Changes of one key come in their order.
   *
   * The iterator ends by `break` or `return()`, and by `close` of this object; an abort of `signal` makes `next` reject
   * with its reason. Items in the queue are dropped then. The watch survives the destruction of the segment and
   * continues with the new one.
   *
   * If a consumer is too slow, so that more than `buffer` changes are queued, the oldest are lost, and the next change
   * has their number in `lost`. A loss that no change follows is reported as an `invalidate` without tags, and so is
   * the move to a new segment: then read everything again. `clear` and `invalidate` reach every watch with entries that
   * may be affected, for any watched key or prefix.
   *
   * @param filter `key`, `prefix`, `tags`: what to watch. Default: everything in this namespace.
   * @param options `signal`; `buffer`: maximum number of queued changes (default 1,000); `ref`: keep the process alive
   * while a `next` is pending (default true).
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`. The reason of a signal that is aborted already.
   * @example
   * for await (const { type, key, lost } of cache.watch({ prefix: 'config:' })) {
   *   if (lost > 0 || key === undefined) reloadAll()
   *   else reload(key)
   * }
   */
  watch(filter: WatchFilter = {}, options: StreamOptions = {}): AsyncIterableIterator<Change> {
    const connection = this.#open()
    checkOptions(filter, WATCH_FILTER)
    const key = filter.key === undefined ? undefined : wholeKey(filter.key)
    const prefix = steadyPrefix(filter.prefix ?? '')
    const tags = resolveWatchedTags(filter.tags)
    const resolved = resolveStreamOptions(options, WATCH)
    connection.listen()
    return this.#streams.begin(new Watch(connection, key, prefix, tags), resolved)
  }

  /**
   * Sends a message to all subscriptions to a channel of this namespace, in any process. Messages are not kept: a later
   * subscription does not get it, and without subscriptions nothing is written.
   *
   * @param message Any value that can be stored. Message and channel may have about 32 KiB in a segment of the default
   * size, and a quarter of that in the smallest one. For more, `set` the value and publish its key.
   * @returns The number of subscriptions that it was written for: those by this channel and by its prefixes, of this
   * process and of every other process that was alive at that moment.
   * @throws {CacheError} As `set`; `ERR_INVALID_ARGUMENT` for an invalid channel.
   * @example
   * const heard = cache.publish('jobs', { id: 42, done: true })
   */
  publish(channel: string, message: unknown): number {
    const connection = this.#open()
    return publish(connection, checkChannel(channel), message, this.#writing.encoder)
  }

  /**
   * The messages of a channel of this namespace from now on, or of all channels that start with a prefix. Each message
   * comes at most once; messages of one channel come in the order of publishing; a consumer that is fast enough misses
   * none. Otherwise it behaves like `watch`.
   *
   * @param channel Its name, 1 byte to 8 KiB as UTF-8, or `{ prefix }`.
   * @param options As `watch`. The next message has the number of lost ones in `lost`; one that cannot be decoded
   * counts as lost.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`; `ERR_NO_SPACE` if 4,096 channels are subscribed
   * to, each counted once per process; `ERR_BUSY`. The reason of a signal that is aborted already.
   * @example
   * for await (const { message } of cache.subscribe<Job>('jobs')) handle(message)
   */
  subscribe<M = unknown>(
    channel: string | { readonly prefix: string },
    options: StreamOptions = {},
  ): AsyncIterableIterator<ChannelMessage<M>> {
    const connection = this.#open()
    const selected = resolveChannel(channel)
    const resolved = resolveStreamOptions(options, SUBSCRIBE)
    connection.listen()
    return this.#streams.begin(new Subscription<M>(connection, selected, connection.options.codec), resolved)
  }

  /**
   * The value of `key`. If there is none, `load` is called for it once on the whole host, over processes and threads,
   * and all concurrent calls get its result. If the process that loads dies, another caller loads at once.
   *
   * A key that is cleared, invalidated, deleted or set during a load is newer than the load: the result then goes to
   * its callers and is not kept, and a call after the `delete` or `clear` gets a load that began after it. Tags are
   * known only when the load ends: a call after `invalidateTags` may join a load that began before, and that value is
   * not served again.
   *
   * An error of `load` rejects every call that waits for it, in other processes with an equal error, and is not
   * remembered. A thrown value that cannot be stored, such as a `Response`, arrives there as an `Error` with its message,
   * name, `code`, `status` and own fields. The caller that ran `load` gets the value itself; all others get copies, as from `get`. A waiting call
   * keeps the process alive. A `load` that asks for its own key waits for itself until its `lease` ends.
   *
   * @param load Gets a `LoadContext`. Its result is stored as by `set`; undefined means that there is no value, see
   * `negativeTtl`.
   * @param options A lifetime, or `LoadOptions`. A load has the options of the call that began it.
   * @throws {CacheError} Rejects with the error of `load`; with the reason of the signal; with `ERR_TIMEOUT` after
   * `hardTimeout` or the `lease`; with `ERR_CLOSED`; with `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL` for the options. A
   * value that cannot be stored is returned and not kept: if the segment has no room or is damaged, or if `set` would
   * refuse it, as `ERR_UNSERIALIZABLE` or `ERR_VALUE_TOO_LARGE` (event `unstored`). Callers that can get no copy of such
   * a value call their own `load`.
   * @example
   * const user = await cache.getOrSet(`user:${id}`, () => db.users.find(id), { ttl: '5m', stale: '1h' })
   */
  async getOrSet<T extends V | undefined = V>(
    key: Key,
    load: Load<V, T>,
    options?: Duration | LoadOptions<T>,
  ): Promise<T> {
    this.#open()
    checkLoad(load, 'getOrSet')
    const resolved = resolveLoad(options as Duration | LoadOptions<never>)
    const found = this.#loads.find(key, load, resolved)
    // The `await` keeps the caller in the stack of an error that is created after a wait.
    return (found === undefined ? await this.#loads.load(key, load, resolved) : found) as T
  }

  /**
   * A function that behaves like `fn`, through `getOrSet`: with the same key, one run of it serves the whole host.
   * `this` and all arguments are passed on.
   *
   * @param options As `getOrSet`, and `key`, a function of the arguments. Arguments that it ignores must not affect the
   * result.
   * @throws {CacheError} At once for wrong options. The returned function rejects as `getOrSet`.
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
      this.#open()
      const whole = keyOf()
      const found = this.#loads.find(whole, load, resolved)
      return (found === undefined ? await this.#loads.load(whole, load, resolved) : found) as T
    }
    return function (this: This, ...args: A): Promise<T> {
      return getOrLoad(
        () => key(...args),
        () => Reflect.apply(fn, this, args),
      )
    }
  }

  /**
   * Runs `fn` once on the whole host under this name, and returns its result to every call, also later and after
   * restarts of every process, until the segment is destroyed or `ttl` passes. `clear` and `delete` do not affect it. A
   * run that throws, or that ends with its process, does not count: the next caller runs its own `fn`. While the
   * process of a run lives, no other process runs it, however long it takes.
   *
   * A waiting call keeps the process alive.
   *
   * @param name The name of the work, in this namespace; 1 byte to 8 KiB.
   * @param fn Its result must be a value that can be stored, or undefined.
   * @param options How long the result is remembered, or `OnceOptions`. Default: as long as the segment exists.
   * @throws {CacheError} Rejects with the error of `fn`, also if another process ran it; with the reason of the signal;
   * with `ERR_CLOSED`; with `ERR_UNSERIALIZABLE`, `ERR_VALUE_TOO_LARGE`, `ERR_NO_SPACE`, `ERR_BUSY` if the result
   * cannot be remembered: then the run does not count.
   * @example
   * await cache.once('migrate-to-v7', () => migrate(), { ttl: '1d' })
   */
  async once<T>(name: Key, fn: () => T | PromiseLike<T>, options?: Duration | OnceOptions): Promise<T> {
    this.#open()
    checkLoad(fn, 'once')
    const resolved = resolveOnce(options)
    resolved.signal?.throwIfAborted()
    return (await this.#loads.once(wholeKey(name), fn, resolved)) as T
  }

  /**
   * Checks whether the cache can be used now: for the probes of Kubernetes, a load balancer, or a dashboard. It
   * counts as no read and no write. It asks the system about each attached process: call it once a second, not for each
   * request.
   *
   * Each check has a status, what was found, and the fix. `problem`: the segment is gone or cannot be read, no write is
   * possible, or an attached process is suspended. `warning`: less memory is allowed than the size, or something was
   * damaged. A problem is not thrown.
   *
   * @returns The worst status, and all checks.
   * @throws {CacheError} `ERR_CLOSED`.
   * @example
   * response.writeHead(cache.health().status === 'problem' ? 503 : 200).end()
   */
  health(): Health {
    const { options, handleId } = this.#open()
    const { name, directory, group } = options.native
    const engine = isPortable(handleId) ? 'portable' : 'native'
    return healthOf({
      info: () => segments.inspect(name, { directory, group, engine }),
      stats: () => this.stats({ scope: 'segment' }),
      write: () => this.tryLock(HEALTH_LOCK, { ttl: 1000 })?.release(),
    })
  }

  /**
   * Writes all entries of this namespace to a file; of the root, those of all namespaces. The cache stays in use
   * meanwhile: the work runs in slices of about a millisecond, and compression and file in the background.
   *
   * Each entry is in the file as it was at one moment of the call, whole, with its tags, its lifetime and its stale time;
   * its bytes are copied, in whatever format. An entry that existed at the begin and did not change is in it. What has
   * expired, or was cleared or invalidated by the end of the call, is not restored. Results of `once` are kept as
   * well; locks, limits, loads, metrics and messages are not. See the guide to snapshots.
   *
   * The file is written aside and renamed, so the path has the old file or the new one, whole, whatever happens. Only
   * this user can read it. Keeps the process alive until it is done.
   *
   * @param path Of the file; an existing one is replaced. A link stays, and the file that it names is replaced.
   * @param options `compression`: `'brotli'` (default) or `'none'`; `signal`; `onProgress`.
   * @throws {CacheError} Rejects with `ERR_SNAPSHOT_FILE`, `ERR_PERMISSION`, `ERR_NO_SPACE` for the file;
   * `ERR_SNAPSHOT_INTERRUPTED` if the segment was destroyed meanwhile; `ERR_INVALID_ARGUMENT`; `ERR_CLOSED`; with the
   * reason of the signal.
   * @example
   * const { entries, fileBytes } = await cache.snapshot('/var/lib/app/cache.snapshot')
   */
  async snapshot(path: string | URL, options?: SnapshotOptions): Promise<SnapshotInfo> {
    return writeSnapshot(this.#open(), path, resolveSnapshot(options))
  }

  /**
   * Reads the entries of a snapshot into this namespace; one of the root into the root and all its namespaces. Reads the
   * snapshots of this and of all earlier versions of the package, of any size of segment and of either engine.
   *
   * The whole file is checked first: nothing changes unless all of it is sound. A lifetime ends at the moment at which
   * it would have ended without the restore, so the time in between counts. Restored entries have new versions, higher
   * than all before: a condition on an old version fails.
   *
   * With `mode: 'merge'`, an entry that is there wins; with `overwrite: true`, that of the snapshot. With
   * `mode: 'replace'`, the entries of the snapshot take the place of all entries: older ones are deleted at the end,
   * so no entry is missing on the way. In any mode, entries that are written, cleared or invalidated after the begin of
   * the call stay so; only a key that is deleted meanwhile may come back. Keeps the process alive until it is done.
   *
   * @param options `mode`: default `'merge'`; `overwrite`: default false; `signal`; `onProgress`.
   * @returns The numbers of entries by what became of them. An entry without room is counted, not an error.
   * @throws {CacheError} Rejects with `ERR_SNAPSHOT_CORRUPT`, `ERR_SNAPSHOT_VERSION`, `ERR_SNAPSHOT_SCOPE`,
   * `ERR_SNAPSHOT_FILE`, `ERR_PERMISSION`: nothing has changed then. With `ERR_BUSY`, `ERR_SNAPSHOT_INTERRUPTED`, or the
   * reason of the signal: some entries may have been stored, and none was deleted. With `ERR_INVALID_ARGUMENT`,
   * `ERR_CLOSED`.
   * @example
   * const { restored, noRoom } = await cache.restore('/var/lib/app/cache.snapshot')
   */
  async restore(path: string | URL, options?: RestoreOptions): Promise<RestoreInfo> {
    return restoreSnapshot(this.#open(), path, resolveRestore(options))
  }

  /**
   * Restores the file into a new segment, and then writes a snapshot every now and then: one process of all that call
   * this with the same path, and when it ends, another. Each process waits for the restore, which happens once for each
   * segment. A missing file is none.
   *
   * At SIGTERM, the process that writes makes a last snapshot. Listeners of the application run as always; where there
   * are none, the process ends by the signal when the snapshot is done. Nothing of this keeps a process alive
   * between two snapshots. It ends with `close` of this object.
   *
   * A file that `restore` refuses is renamed to `….refused`, so that no snapshot replaces it, and reported.
   *
   * @param options `every`: default `'5m'`; `onSigterm`, `restore`: default true; `compression`; `onSnapshot`,
   * `onError`: default a warning of the process.
   * @throws {CacheError} Rejects with `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`.
   * @example
   * await cache.keepSnapshots('/var/lib/app/cache.snapshot', { every: '1m' })
   */
  async keepSnapshots(path: string | URL, options?: KeepSnapshotsOptions): Promise<SnapshotKeeper> {
    this.#open()
    return keep(this as unknown as SharedCache<unknown>, path, resolveKeep(options))
  }

  /**
   * Calls `listener` at every such event; see `CacheEvents`. An error of a listener becomes an uncaught exception.
   *
   * - `evict`, `expire`: this process removed an entry of this namespace, to make room or because it expired.
   * - `damage`: a read met trouble with the segment and became a miss, or a repair dropped entries.
   * - `repaired`: this process repaired a shard after another process had died.
   * - `detached`: the segment was destroyed or lost. The next call opens it again, and waits continue there.
   * - `mismatch`: a read met an entry of another codec and became a miss.
   * - `unstored`: a load of `getOrSet` brought a value that cannot be stored or is too large; its callers got it.
   *
   * @returns A function that removes the listener. Listeners do not keep the process alive.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for an unknown event.
   * @example
   * const stop = cache.on('damage', ({ error }) => log.warn(error))
   */
  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    if ((event as string) === 'error') throw noErrorEvent()
    return this.#open().on(event, listener)
  }

  /**
   * Removes a listener that was added by `on`; does nothing if there is none.
   *
   * @example
   * cache.off('damage', report)
   */
  off<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): void {
    this.#connection.off(event, listener)
  }

  /**
   * Closes this handle: watches and subscriptions end, pending waits reject with `ERR_CLOSED`, and every later call
   * throws it. Locks, permits and leaderships acquired through it are released. Deletes nothing; other handles, threads
   * and processes are not affected. A second call does nothing.
   *
   * @example
   * process.on('SIGTERM', () => cache.close())
   */
  close(): void {
    for (const child of this.#children) child.close()
    if (this.#parent !== undefined) this.#parent.#children.delete(this)
    this.#connection.close()
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

  /** Whether a namespace with these options behaves like this one. */
  #isLike({ codec = 'auto' }: OpenOptions, { native: { quota }, ttl, strict, near }: ResolvedOptions): boolean {
    const mine = this.#connection.options
    const set = mine.native.quota
    return (
      (quota === undefined ||
        (set?.reserve === quota.reserve && set?.size === quota.size && set?.eviction === quota.eviction)) &&
      (this.#given.codec ?? 'auto') === codec &&
      mine.ttl === ttl &&
      mine.strict === strict &&
      mine.near?.maxEntries === near?.maxEntries &&
      mine.near?.maxSize === near?.maxSize &&
      mine.near?.frozen === near?.frozen
    )
  }

  /** The connection of an open cache. Throws `ERR_CLOSED` after `close`. */
  #open(): Connection {
    this.#connection.live()
    return this.#connection
  }
}

function samplerOf(options: OpenOptions): Sampler | undefined {
  return (options as { [withSampler]?: Sampler })[withSampler]
}

function prefixToDelete(prefix: Key): RawKey {
  const raw = steadyPrefix(prefix)
  if (raw.length === 0) throw invalid('prefix must not be empty; use clear for all keys', prefix)
  return raw
}
