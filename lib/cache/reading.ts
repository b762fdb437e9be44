/**
 * Reads of one cache: from the near cache, from the segment, and the decoding of what the segment returned.
 *
 * Caution: a raw call answers in memory that the next raw call overwrites, so `#decode` directly follows the call. A
 * closure in a hot method makes every call of it allocate, so slow paths are separate methods.
 */
import type { Entry, Key } from '../arguments/keys.ts'
import { fromBytes, fromText, isBytes } from '../codec/codec.ts'
import { contentOf } from '../collections/content.ts'
import { CacheError } from '../errors.ts'
import type { Previous } from '../loading/flights.ts'
import { isCollection } from '../native/elements.ts'
import { ASK_ALONE, GetFlag, Kind, MetaFloat, MetaInt, Status } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { openNearCache } from '../near/near-cache.ts'
import type { NearCache } from '../near/near-cache.ts'
import type { Dependent, Mode } from '../segment/calls.ts'
import { callsToSample } from '../sampling/samples.ts'
import type { Sampler } from '../sampling/sampler.ts'
import type { Connection } from '../segment/connection.ts'
import type { SegmentHandle } from '../segment/handle.ts'
import type { EntryProbe } from '../waiting/waits.ts'

/** A value may grow while a buffer is allocated for it. After so many tries the buffer has the maximum size. */
const FITTING_TRIES = 3

/** An entry that a change depends on. */
export interface Before<V> {
  /** Undefined: it cannot be read, for example because it is that of another codec. */
  readonly value: V | undefined
  readonly version: number
}

/** The reads of one cache. */
export class Reading<V> implements Dependent, EntryProbe<Entry<V>> {
  readonly waiting = 0
  readonly #connection: Connection
  /** Gets the near cache that is in use, or undefined, whenever that changes. */
  readonly #onNear: (near: NearCache | undefined) => void
  /** Undefined if there is none or it rests, and after `close`. */
  #near: NearCache | undefined
  /** The near cache while it rests, and the number of reads until it is used again. */
  #resting: NearCache | undefined
  #rest = 0
  readonly #sampler: Sampler
  /** Reads until the next one that looks whether a viewer wants samples. */
  #unsampled = callsToSample()
  /** `#unsampled` behind a sample that is due. */
  #unsampledAfter = callsToSample()
  /** The near cache while the next read is to be a sample: that read must come here, where it can be measured. */
  #aside: NearCache | undefined
  /** The last value could not be decoded. */
  #isUnreadable = false

  constructor(connection: Connection, sampler: Sampler, onNear: (near: NearCache | undefined) => void) {
    this.#connection = connection
    this.#sampler = sampler
    this.#onNear = onNear
    this.#use(this.#openNear())
    connection.attach(this)
  }

  /** As `SharedCache.get`. */
  get(key: Key): V | undefined {
    const near = this.#near
    if (near === undefined) return this.getWithoutNear(key)
    const value = near.get(key)
    return value === undefined ? this.getNear(near, key) : (value as V)
  }

  /** `get` while no near cache is in use. */
  getWithoutNear(key: Key): V | undefined {
    if (--this.#unsampled <= 0) return this.#getSampled(key)
    return this.#resting === undefined ? this.#getFar(key) : this.#getResting(this.#resting, key)
  }

  #getUnsampled(key: Key): V | undefined {
    return this.#resting === undefined ? this.#getFar(key) : this.#getResting(this.#resting, key)
  }

  /** The value, from the segment. `flags`: bits of `GetFlag`. */
  read(mode: Mode, key: RawKey, flags: number): V | undefined {
    const handle = this.#connection.live()
    const found = handle.get(key, flags)
    return found === undefined ? this.#readAgain(mode, key, flags) : this.#decode(mode, handle, key, found, flags)
  }

  /** As `SharedCache.has`. */
  has(key: Key): boolean {
    return this.#connection.live().has(key) ?? this.#connection.again('read', 'has', key) ?? false
  }

  /** The value with its metadata. */
  entry(mode: Mode, key: RawKey, flags: number): Entry<V> | undefined {
    const value = this.read(mode, key, flags | GetFlag.Meta)
    if (value === undefined) return undefined
    const { floats } = this.#connection.live()
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

  /** The entry before a change. */
  before(key: RawKey, flags: number): Before<V> | undefined {
    this.#isUnreadable = false
    const value = this.read('write', key, flags | GetFlag.Meta)
    if (value === undefined && !this.#isUnreadable) return undefined
    return { value, version: this.#connection.live().floats[MetaFloat.Version] as number }
  }

  /** A wait continues while the value cannot be read. */
  newerThan(key: RawKey, after: number): Entry<V> | undefined {
    const entry = this.entry('write', key, GetFlag.Peek)
    return entry !== undefined && entry.version > after ? entry : undefined
  }

  /** A value that may be stale. Not counted, and not marked as used. */
  previous(key: RawKey): Previous<V> | undefined {
    const value = this.read('read', key, GetFlag.Meta | GetFlag.Peek | GetFlag.Stale)
    if (value === undefined) return undefined
    return { value, late: this.#connection.live().floats[MetaFloat.Late] as number }
  }

  /** As `SharedCache.take`. */
  take(key: RawKey): V | undefined {
    if (this.#connection.options.strict) return this.#takeReadable(key)
    const handle = this.#connection.live()
    const found = handle.take(key)
    return found === undefined ? this.#takeAgain(key) : this.#decode('take', handle, key, found, 0)
  }

  /** Deletes the entry only after its value was read, so that a value that cannot be read is not lost. */
  #takeReadable(key: RawKey): V | undefined {
    for (;;) {
      const entry = this.before(key, 0)
      if (entry === undefined) return undefined
      const isDeleted =
        this.#connection.live().delete(key, entry.version) ??
        this.#connection.again('write', 'delete', key, entry.version)
      // Another writer was faster otherwise.
      if (isDeleted) return entry.value
    }
  }

  /** As `SharedCache.getMany`, for the keys of one native call. */
  getMany(keys: readonly Key[]): (V | undefined)[] {
    const values = this.#near === undefined ? this.#manyFar(keys) : this.#manyNear(this.#near, keys)
    if ((this.#unsampled -= keys.length) <= 0) this.#sampleMany(keys, values)
    return values
  }

  // ---- the near cache over the life of the connection

  lose(): void {}

  restart(): void {
    this.#anyNear()?.count()
    this.#use(this.#openNear())
  }

  reject(): void {}

  close(): void {
    this.#anyNear()?.count()
    this.#use(undefined)
  }

  #openNear(): NearCache | undefined {
    const { near } = this.#connection.options
    return openNearCache(this.#connection.live(), near, () => this.#sampleNext(this.#unsampled))
  }

  /** Puts a near cache in use, or none; `resting`: until it is used again. */
  #use(near: NearCache | undefined, resting?: NearCache): void {
    this.#near = near
    this.#resting = resting
    this.#aside = undefined
    this.#onNear(near)
  }

  #anyNear(): NearCache | undefined {
    return this.#near ?? this.#resting ?? this.#aside
  }

  // ---- samples

  /**
   * Makes the next read a sample, if a viewer wants samples. So a hit of the near cache costs nothing for samples: the
   * near cache is put aside for one read. `after`: the value of `#unsampled` behind it.
   */
  #sampleNext(after: number): void {
    this.#unsampled = after
    const near = this.#near
    if (near === undefined || !this.#sampler.isWatched()) return
    this.#use(undefined)
    this.#aside = near
    this.#unsampled = 1
    this.#unsampledAfter = after
  }

  /** A read that is a sample, if a viewer wants samples. */
  #getSampled(key: Key): V | undefined {
    if (this.#aside !== undefined) {
      this.#unsampled = this.#unsampledAfter
      this.#use(this.#aside)
    } else {
      this.#unsampled = callsToSample()
      if (!this.#sampler.isWatched()) return this.#getUnsampled(key)
    }
    const near = this.#near
    const start = performance.now()
    let value = near?.get(key) as V | undefined
    const isNear = value !== undefined
    if (!isNear) value = near === undefined ? this.#getUnsampled(key) : this.getNear(near, key)
    const time = performance.now() - start
    const kind = isNear ? 'near' : value === undefined ? 'miss' : 'hit'
    this.#sampler.note(kind, this.#namespace, key, time)
    return value
  }

  /** One of the keys of a call for many as a sample, without a time. */
  #sampleMany(keys: readonly Key[], values: readonly (V | undefined)[]): void {
    if (this.#aside !== undefined) this.#use(this.#aside)
    const isWatched = this.#sampler.isWatched()
    for (; this.#unsampled <= 0; this.#unsampled += callsToSample()) {
      if (!isWatched) continue
      const at = Math.floor(Math.random() * keys.length)
      const kind = values[at] === undefined ? 'miss' : 'hit'
      this.#sampler.note(kind, this.#namespace, keys[at] as Key, undefined)
    }
  }

  get #namespace(): string {
    return this.#connection.options.native.namespace ?? ''
  }

  // ---- one value

  #getFar(key: Key): V | undefined {
    const handle = this.#connection.live()
    const found = handle.get(key)
    if (found === undefined) {
      return handle.ints[MetaInt.Status] === Status.None ? this.#miss(key) : this.#readAgain('read', key, 0)
    }
    const isFinal = (handle.ints[MetaInt.Kind] as number) < Kind.BigIntHex
    return isFinal ? (found as V) : this.#decode('read', handle, key, found, 0)
  }

  /** `get` without a valid copy: reads the segment, and offers the value to the near cache if it wants it. */
  getNear(near: NearCache, key: Key): V | undefined {
    const handle = this.#connection.live()
    this.#rest = near.restsFor()
    if (this.#rest > 0) this.#use(undefined, near)
    else if (--this.#unsampled <= 0) this.#sampleNext(callsToSample())
    if (!near.isWanted) return this.#getShown(key)
    const found = handle.getNear(key)
    if (found === undefined) {
      return handle.ints[MetaInt.Status] === Status.None ? this.#miss(key) : this.#getNearAgain(key)
    }
    const kind = handle.ints[MetaInt.Kind] as number
    if (kind < Kind.BigIntHex) return near.offer(key, found, kind) as V
    // Bytes are not kept, nor are the values of a custom codec. Large bytes need another raw call.
    const canBeKept = !isBytes(kind) || (kind === Kind.Structured && handle.ints[MetaInt.Large] === 0)
    const value = this.#decode('read', handle, key, found, 0)
    if (!canBeKept) return near.pass(value)
    return value === undefined ? undefined : (near.offer(key, value, kind) as V)
  }

  #getNearAgain(key: Key): V | undefined {
    return this.#shown(this.#readAgain('read', key, 0))
  }

  /** Reads the segment while the near cache rests. */
  #getResting(near: NearCache, key: Key): V | undefined {
    if (--this.#rest <= 0) this.#use(near)
    return this.#getShown(key)
  }

  #getShown(key: Key): V | undefined {
    const value = this.#getFar(key)
    return typeof value === 'object' ? this.#shown(value) : value
  }

  /** The value of the last raw call, frozen if the near cache returns frozen objects. */
  #shown(value: V | undefined): V | undefined {
    const near = this.#anyNear()
    if (value === undefined || near === undefined) return value
    return near.shown(value, this.#connection.live().ints[MetaInt.Kind] as number) as V
  }

  #miss(key: Key): undefined {
    return this.#connection.reports.miss(key)
  }

  #readAgain(mode: Mode, key: RawKey, flags: number): V | undefined {
    const found = this.#connection.again(mode, 'get', key, flags)
    return found === undefined ? undefined : this.#decode(mode, this.#connection.live(), key, found, flags)
  }

  #takeAgain(key: RawKey): V | undefined {
    const found = this.#connection.again('take', 'take', key)
    return found === undefined ? undefined : this.#decode('take', this.#connection.live(), key, found, 0)
  }

  // ---- many values

  #manyFar(keys: readonly Key[]): (V | undefined)[] {
    const handle = this.#connection.live()
    const found = handle.getMany(keys, 0)
    if (found === undefined) return keys.map((key) => this.get(key))
    const kinds = handle.scratch.slice(0, keys.length)
    return keys.map((key, i) => this.#decodeOfMany(key, found[i], kinds[i] as number))
  }

  /** Takes valid copies, and reads the other values from the segment. */
  #manyNear(near: NearCache, keys: readonly Key[]): (V | undefined)[] {
    const values = keys.map((key) => near.get(key) as V | undefined)
    const missing = keys.filter((_, i) => values[i] === undefined)
    if (missing.length === 0) return values
    const found = this.#manyFar(missing)
    let next = 0
    return values.map((value) => (value === undefined ? found[next++] : value))
  }

  #decodeOfMany(key: Key, found: unknown, kind: number): V | undefined {
    if (kind === 0) return this.#miss(key)
    if (kind === ASK_ALONE) return this.get(key)
    if (kind < Kind.BigIntHex) return found as V
    const value = isBytes(kind)
      ? this.#fromBytes(key, found as Buffer, kind, true)
      : this.#fromText(found as string, kind)
    return (this.#anyNear()?.shown(value, kind) as V | undefined) ?? value
  }

  // ---- decoding

  /** The value of the last raw call. Afterwards `meta` still describes its entry. */
  #decode(mode: Mode, handle: SegmentHandle, key: RawKey, found: unknown, flags: number): V | undefined {
    const kind = handle.ints[MetaInt.Kind] as number
    if (kind < Kind.BigIntHex) return found as V
    if (!isBytes(kind)) return this.#fromText(found as string, kind)
    if (handle.ints[MetaInt.Large] !== 0) return this.#largeBytes(mode, key, flags)
    return this.#fromBytes(key, handle.scratch.subarray(0, found as number), kind, false)
  }

  #fromText(text: string, kind: number): V | undefined {
    try {
      return fromText(text, kind) as V
    } catch (cause) {
      return this.#unreadable(damagedValue(cause))
    }
  }

  #fromBytes(key: RawKey, bytes: Uint8Array, kind: number, owned: boolean): V | undefined {
    // A custom codec may use a cache, which would overwrite `meta`.
    const meta = kind > Kind.Codec ? this.#floats()?.slice() : undefined
    try {
      const { codec } = this.#connection.options
      const value = (isCollection(kind) ? contentOf(bytes, kind, codec) : fromBytes(bytes, kind, codec, owned)) as V
      if (meta !== undefined) this.#floats()?.set(meta)
      return value
    } catch (cause) {
      if (meta !== undefined) this.#floats()?.set(meta)
      const error = isMismatch(cause) ? cause : kind > Kind.Codec ? codecFailed(cause) : damagedValue(cause)
      return this.#unreadable(error, key)
    }
  }

  /** Whatever the call, a value that cannot be read is a miss, unless the cache is strict. */
  #unreadable(error: unknown, key?: RawKey): undefined {
    // A subscriber of a diagnostics channel may use the cache.
    const meta = this.#floats()?.slice()
    this.#connection.refuse('read', error, key)
    if (meta !== undefined) this.#floats()?.set(meta)
    this.#isUnreadable = true
  }

  #floats(): Float64Array | undefined {
    return this.#connection.closed ? undefined : this.#connection.live().floats
  }

  /**
   * Bytes that did not fit the scratch memory: the raw call left their length. The entry may change until it is read
   * again.
   */
  #largeBytes(mode: Mode, key: RawKey, flags: number): V | undefined {
    const connection = this.#connection
    let handle = connection.live()
    let length = handle.ints[MetaInt.Length] as number
    for (let tries = 0; ; tries++) {
      const target = Buffer.allocUnsafeSlow(
        tries < FITTING_TRIES ? length : Math.max(length, handle.dimensions().maxEntrySize),
      )
      // Peek: the first raw call has counted this read.
      const found =
        mode === 'take'
          ? (handle.takeInto(key, target) ?? connection.again(mode, 'takeInto', key, target))
          : (handle.getInto(key, target, flags | GetFlag.Peek) ??
            connection.again(mode, 'getInto', key, target, flags | GetFlag.Peek))
      if (found === undefined) return undefined
      handle = connection.live()
      const kind = handle.ints[MetaInt.Kind] as number
      if (!isBytes(kind)) return mode === 'take' ? this.take(key) : this.read(mode, key, flags)
      // A value shorter than the buffer is copied, so that it does not keep the rest of the buffer in memory.
      if (found <= target.length) return this.#fromBytes(key, target.subarray(0, found), kind, found === target.length)
      length = found
    }
  }
}

function isMismatch(error: unknown): boolean {
  return error instanceof CacheError && error.code === 'ERR_CODEC_MISMATCH'
}

function damagedValue(cause: unknown): CacheError {
  const hint = 'Delete the key or set it again: its value in the segment is damaged.'
  return new CacheError('ERR_SEGMENT_CORRUPT', 'the value was damaged in the segment', { cause, hint })
}

function codecFailed(cause: unknown): CacheError {
  const hint = 'Correct the codec of this cache, which threw; see the cause. Only this value is affected.'
  return new CacheError('ERR_SEGMENT_CORRUPT', "the codec's decode refused the value", { cause, hint })
}
