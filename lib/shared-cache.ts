/// <reference lib="es2024.string" />
/**
 * The cache that users hold: checks what they pass, calls the native side, and turns its answers into values and errors.
 *
 * Every read and write here is synchronous and goes straight to shared memory; when a write has returned, every later
 * read in any process sees it. Reads of an unwell segment are misses, counted and emitted; writes throw. The thing to get
 * wrong: raw calls answer in memory that the next raw call overwrites, so `#decode` comes directly after the call; and a
 * closure in a hot method makes every call of it allocate, so the slow ways are methods of their own.
 */
import { CacheError, Status, fromNative, fromStatus, isDetached } from './errors.ts'
import type { CacheErrorCode } from './errors.ts'
import { Listeners } from './events.ts'
import type { CacheEvents } from './events.ts'
import { closeHandle, openHandle } from './handle.ts'
import type { Handle } from './handle.ts'
import { GetFlag, Kind, MetaFloat, MetaInt, Notice, SetFlag, native } from './native.ts'
import type { RawKey } from './native.ts'
import {
  checkNumber,
  checkVersion,
  invalid,
  resolveExpiresAt,
  resolveOptions,
  resolveTimeout,
  resolveTtl,
} from './options.ts'
import type {
  DeleteOptions,
  ExpiryOptions,
  IncrOptions,
  OpenOptions,
  ReplaceOptions,
  ResolvedOptions,
  SetOptions,
  WaitOptions,
} from './options.ts'
import { NO_STATS } from './stats.ts'
import type { Stats } from './stats.ts'
import { nativeHandles } from './testing.ts'
import type { Duration, Milliseconds } from './units.ts'
import { copyBytes, fromText, kindOf, payloadOf } from './values.ts'
import type { Entry, Key, ValueKind } from './values.ts'
import { Waits } from './waits.ts'

/**
 * What a call may do about trouble with the segment: a `read` makes it a miss, everything else throws. A `look` reads on
 * behalf of a wait, a `take` reads and deletes.
 */
type Mode = 'read' | 'look' | 'take' | 'write'

type Operation = 'get' | 'getInto' | 'has' | 'set' | 'delete' | 'take' | 'takeInto' | 'incr' | 'touch' | 'ttl'
type Rest<O extends Operation> = Parameters<Handle[O]> extends [RawKey, ...infer R] ? R : never
type Result<O extends Operation> = ReturnType<Handle[O]> | undefined

/** What the caller did wrong is thrown also by reads. */
const MISTAKES: ReadonlySet<CacheErrorCode> = new Set(['ERR_INVALID_ARGUMENT', 'ERR_KEY_TOO_LONG', 'ERR_CLOSED'])

const NO_OPTIONS: SetOptions = Object.freeze({})

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
export class SharedCache<V = unknown> implements Disposable {
  /** The name that it was opened with. */
  readonly name: string
  readonly #options: ResolvedOptions
  /** 0: none. */
  readonly #ttl: Milliseconds
  readonly #listeners = new Listeners()
  readonly #waits: Waits<Entry<V>>
  /** Undefined once closed. */
  #handle: Handle | undefined
  /** Whether the native side calls back; it does so from the first listener or wait on. */
  #notified = false
  /** The handle whose loss was emitted last. */
  #announced: Handle | undefined
  #degradedReads = 0
  /** Why the segment could not be opened again, and from when on reads try once more. */
  #failure: { readonly error: unknown; readonly until: Milliseconds } | undefined

  /** Use `open`, which does the same. */
  constructor(options: OpenOptions) {
    this.#options = resolveOptions(options)
    this.#ttl = this.#options.ttl
    this.name = this.#options.native.name
    this.#waits = new Waits({
      look: (key, after) => this.#look(key, after),
      start: (key, after) => this.#native('write', (id) => native.waitStart(id, key, after)) as number,
      cancel: (id) => this.#cancelWait(id),
    })
    this.#handle = openHandle(this.#options)
    nativeHandles.set(this, this.#handle.id)
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#handle === undefined
  }

  /**
   * The value of `key`, or undefined. Objects, arrays and bytes are fresh copies with every call.
   *
   * Counts as a hit or a miss, and as a use of the entry.
   *
   * @example
   * const user = cache.get('user:1') ?? (await loadUser(1))
   */
  get(key: Key): V | undefined {
    const handle = this.#live()
    const found = handle.get(key)
    if (found === undefined) {
      return handle.ints[MetaInt.Status] === Status.None ? undefined : this.#readAgain('read', key, 0)
    }
    const immediate = (handle.ints[MetaInt.Kind] as number) < Kind.BigIntHex
    return immediate ? (found as V) : this.#decode('read', handle, key, found, 0)
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
   * @example
   * const entry = cache.getEntry('config')
   * if (entry) cache.set('config', changed(entry.value), { if: { version: entry.version } })
   */
  getEntry(key: Key): Entry<V> | undefined {
    return this.#entry('read', key, GetFlag.Meta)
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
    const kind = kindOf(value)
    const payload = payloadOf(value, kind)
    if (options === undefined) return this.#store(key, payload, kind, this.#ttl, 0, 0)
    return this.#storeWith(key, payload, kind, options, 0)
  }

  /**
   * Stores `value` if `key` has no entry. Short for `set` with `if: 'absent'`; of many processes exactly one gets true.
   *
   * @param options A lifetime, or `ttl` or `expiresAt`. Default: the `ttl` of `open`, else no expiry.
   * @throws {CacheError} As `set`.
   * @example
   * if (cache.add('daily-mail', process.pid, '1d')) await sendMail()
   */
  add(key: Key, value: V, options: Duration | ExpiryOptions = NO_OPTIONS): boolean {
    const kind = kindOf(value)
    return this.#storeWith(key, payloadOf(value, kind), kind, options, SetFlag.IfAbsent)
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
    const kind = kindOf(value)
    return this.#storeWith(key, payloadOf(value, kind), kind, options, SetFlag.IfPresent)
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
    const version = options?.version === undefined ? 0 : checkVersion(options.version, 'version', 1)
    return this.#live().delete(key, version) ?? this.#again('write', 'delete', key, version) ?? false
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
   * Deletes all entries, at once and for every process, however many there are.
   *
   * @throws {CacheError} `ERR_BUSY`.
   * @example
   * cache.clear()
   */
  clear(): void {
    this.#native('write', (id) => native.clear(id))
  }

  /**
   * The number of entries. Exact only for an instant; entries that expired and were not swept yet may count.
   *
   * @example
   * console.log(`${cache.size} entries`)
   */
  get size(): number {
    return this.#native('read', (id) => native.size(id)) ?? 0
  }

  /**
   * What the segment counts, over all processes since it was created; and `degradedReads` of this object. Sizes are bytes.
   *
   * @example
   * const { hits, misses } = cache.stats()
   * console.log(`hit ratio ${hits / (hits + misses)}`)
   */
  stats(): Stats {
    const counts = this.#native('read', (id) => native.stats(id)) ?? NO_STATS
    return { ...counts, degradedReads: this.#degradedReads }
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
   * Calls `listener` at every such event; see `CacheEvents`. What a listener throws becomes an uncaught exception.
   *
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
    return stop
  }

  /**
   * Takes back an `on` of the same function; nothing happens if there was none.
   *
   * @example
   * cache.off('damage', report)
   */
  off<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): void {
    this.#listeners.off(event, listener)
  }

  /**
   * Gives up this handle: pending waits reject with `ERR_CLOSED`, and so does every later call. Deletes nothing; other
   * handles, threads and processes are not affected. A second call does nothing.
   *
   * @example
   * process.on('SIGTERM', () => cache.close())
   */
  close(): void {
    const handle = this.#handle
    if (handle === undefined) return
    this.#handle = undefined
    nativeHandles.delete(this)
    this.#waits.close(closedError(this.name))
    closeHandle(handle)
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

  #live(): Handle {
    if (this.#handle === undefined) throw closedError(this.name)
    return this.#handle
  }

  // ---- reading

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
    const kind = handle.ints[MetaInt.Kind]
    switch (kind) {
      case Kind.String:
      case Kind.Number:
      case Kind.Simple:
      case Kind.BigInt64:
        return found as V
      case Kind.Json:
      case Kind.BigIntHex:
        return this.#parse(mode, found as string, kind)
      case Kind.Buffer:
      case Kind.Uint8Array:
        if (handle.ints[MetaInt.Large] !== 0) return this.#largeBytes(mode, key, flags)
        return copyBytes(handle.scratch.subarray(0, found as number), kind) as V
      default:
        return this.#refuse(mode, new CacheError('ERR_CODEC_MISMATCH', `the entry has the unknown kind ${kind}`))
    }
  }

  #parse(mode: Mode, text: string, kind: typeof Kind.Json | typeof Kind.BigIntHex): V | undefined {
    try {
      return fromText(text, kind) as V
    } catch (cause) {
      return this.#refuse(
        mode,
        new CacheError('ERR_SEGMENT_CORRUPT', 'the value was damaged in the segment', { cause }),
      )
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
      const kind = handle.ints[MetaInt.Kind]
      if (kind !== Kind.Buffer && kind !== Kind.Uint8Array) {
        return mode === 'take' ? this.take(key) : this.#read(mode, key, flags)
      }
      if (found < target.length) return copyBytes(target.subarray(0, found), kind) as V
      if (found === target.length) return (kind === Kind.Buffer ? target : new Uint8Array(target.buffer)) as V
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
      stale: false,
    }
  }

  // ---- writing

  #store(key: RawKey, payload: unknown, kind: ValueKind, ttl: Milliseconds, flags: number, version: number): boolean {
    const stored = this.#live().set(key, payload, kind, ttl, flags, version)
    return stored ?? this.#storeAgain(key, payload, kind, ttl, flags, version)
  }

  #storeAgain(
    key: RawKey,
    payload: unknown,
    kind: ValueKind,
    ttl: Milliseconds,
    flags: number,
    version: number,
  ): boolean {
    const stored = this.#again('write', 'set', key, payload, kind, ttl, flags, version)
    if (stored !== undefined) return stored
    // The text has U+FFFD, or a lone surrogate that has no UTF-8; JSON has an escape for both.
    const suspect = this.#live().ints[MetaInt.Status] === Status.SuspectText && kind === Kind.String
    return suspect && this.#store(key, JSON.stringify(payload), Kind.Json, ttl, flags, version)
  }

  #storeWith(key: RawKey, payload: unknown, kind: ValueKind, given: Duration | SetOptions, condition: number): boolean {
    if (typeof given !== 'object' || given === null) {
      return this.#store(key, payload, kind, resolveTtl(given), condition, 0)
    }
    if (given.if !== undefined && condition !== 0) throw invalid('add and replace take no condition', given.if)
    const version = typeof given.if === 'object' ? checkVersion(given.if?.version, 'if.version', 1) : 0
    const flags = (given.if === undefined ? condition : flagOf(given.if)) | (given.keepTtl ? SetFlag.KeepTtl : 0)
    if (given.expiresAt === undefined) {
      return this.#store(
        key,
        payload,
        kind,
        given.ttl === undefined ? this.#ttl : resolveTtl(given.ttl),
        flags,
        version,
      )
    }
    if (given.ttl !== undefined) throw invalid('only one of ttl and expiresAt can be given', given.ttl)
    const ttl = resolveExpiresAt(given.expiresAt)
    if (ttl > 0) return this.#store(key, payload, kind, ttl, flags, version)
    // Already over: as if it had been stored and had expired at once.
    if ((flags & SetFlag.IfAbsent) === 0) this.delete(key, version === 0 ? {} : { version })
    else this.has(key) // there is nothing to delete, but the key may be wrong
    return false
  }

  #add(key: RawKey, by: number, init: number, ttl: Milliseconds, min: number, max: number): number {
    const sum = this.#live().incr(key, by, init, ttl, min, max)
    return sum ?? (this.#again('write', 'incr', key, by, init, ttl, min, max) as number)
  }

  #addWith(key: RawKey, by: number, { init = 0, ttl, min = -Infinity, max = Infinity }: IncrOptions): number {
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
    let reopened = false
    for (;;) {
      const status = handle.ints[MetaInt.Status] as number
      if (status === Status.None || status === Status.SuspectText) return undefined
      if (status === Status.SuspectKey && typeof rawKey === 'string' && rawKey.isWellFormed()) {
        rawKey = Buffer.from(rawKey)
      } else if (status === Status.Detached && !reopened) {
        const next = this.#reopen(handle, mode)
        if (next === undefined) return undefined
        handle = next
        reopened = true
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
    const handle = this.#live()
    try {
      return run(handle.id)
    } catch (error) {
      if (!isDetached(error)) return this.#refuse(mode, fromNative(error))
    }
    const next = this.#reopen(handle, mode)
    if (next === undefined) return undefined
    try {
      return run(next.id)
    } catch (error) {
      return this.#refuse(mode, fromNative(error))
    }
  }

  /** Throws the error, or counts it and lets the read be a miss. */
  #refuse(mode: Mode, error: unknown): undefined {
    const fatal = mode !== 'read' || this.#options.strict
    if (fatal || !(error instanceof CacheError) || MISTAKES.has(error.code)) throw error
    this.#degradedReads++
    this.#listeners.emit('damage', { shard: undefined, dropped: 0, error })
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
    this.#handle = handle
    nativeHandles.set(this, handle.id)
    closeHandle(lost)
    this.#waits.restart()
    return this.#live()
  }

  #announce(lost: Handle): void {
    if (this.#announced === lost) return
    this.#announced = lost
    this.#listeners.emit('detached', { name: this.name, path: lost.path })
  }

  // ---- notices and waits

  #listen(): void {
    if (this.#notified) return
    this.#notified = true // and of every handle that follows this one
    this.#setNotifier(this.#live().id)
  }

  #setNotifier(id: number): void {
    native.setNotifier(id, (notice, ids) => {
      // A notice of a handle that we have left may still be under way.
      if (this.#handle?.id === id) this.#notice(this.#handle, notice, ids)
    })
  }

  #notice(handle: Handle, notice: number, ids: readonly number[]): void {
    switch (notice) {
      case Notice.Waits:
        return this.#waits.notify(ids)
      case Notice.Repaired:
        return this.#listeners.emit('repaired', { shard: ids[0] ?? 0, dropped: ids[1] ?? 0 })
      case Notice.Damage:
        return this.#listeners.emit('damage', { shard: ids[0] ?? 0, dropped: ids[1] ?? 0, error: undefined })
      case Notice.Detached:
        return this.#detached(handle)
    }
  }

  /** Nobody called, so the segment is not made anew, unless someone waits for what others may put into it. */
  #detached(handle: Handle): void {
    this.#announce(handle)
    if (this.#waits.size === 0) return
    try {
      this.#reopen(handle, 'look')
    } catch (error) {
      this.#waits.close(error)
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

function flagOf(condition: NonNullable<SetOptions['if']>): number {
  if (condition === 'absent') return SetFlag.IfAbsent
  if (condition === 'present') return SetFlag.IfPresent
  if (typeof condition === 'object') return SetFlag.IfVersion
  throw invalid("if must be 'absent', 'present' or { version }", condition)
}

/** A key that nobody changes while we wait, in the form that needs no second look. */
function steadyKey(key: Key): RawKey {
  if (typeof key !== 'string') return key instanceof Uint8Array ? Uint8Array.from(key) : key
  if (!key.isWellFormed()) throw invalid('a key may not contain lone surrogates', key)
  return key.includes('\uFFFD') ? Buffer.from(key) : key
}

function closedError(name: string): CacheError {
  return new CacheError('ERR_CLOSED', `the cache "${name}" is closed`)
}
