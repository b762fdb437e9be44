/**
 * Writes of one cache: `set` and similar methods, `delete`, `touch`, `incr`, and the results of loads.
 *
 * Caution: `encoder.kind` and the bytes of a structured value are valid until the next value is encoded. A closure in a
 * hot method makes every call of it allocate, so slow paths are separate methods.
 */
import { givenKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import type { AcceptedOptions } from '../arguments/option-names.ts'
import { resolveSet } from '../arguments/options.ts'
import type { ResolvedSet, SetOptions } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import type { ValueEncoder } from '../codec/codec.ts'
import type { Stored } from '../loading/flight-sources.ts'
import type { FlightIdentity } from '../loading/flights.ts'
import { about, showKey } from '../errors.ts'
import { FinishResult, SetFlag } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { callsToSample } from '../sampling/samples.ts'
import type { Sampler } from '../sampling/sampler.ts'
import type { Connection } from '../segment/connection.ts'
import { channels, hasRemovalSubscribers } from '../segment/diagnostics.ts'

/** The writes of one cache. */
export class Writing<V> {
  readonly encoder: ValueEncoder
  /** The `ttl` of `open`; 0: none. */
  readonly defaultTtl: Milliseconds
  readonly #connection: Connection
  readonly #sampler: Sampler
  /** Writes until the next one that looks whether a viewer wants samples. */
  #unsampled = callsToSample()

  constructor(connection: Connection, encoder: ValueEncoder, sampler: Sampler) {
    this.#connection = connection
    this.#sampler = sampler
    this.encoder = encoder
    this.defaultTtl = connection.options.ttl
  }

  /** As `SharedCache.set`. */
  set(key: Key, value: V, options: Duration | SetOptions | undefined): boolean {
    return --this.#unsampled <= 0 ? this.#setSampled(key, value, options) : this.#set(key, value, options)
  }

  /** A write that is a sample, if a viewer wants samples. */
  #setSampled(key: Key, value: V, options: Duration | SetOptions | undefined): boolean {
    this.#unsampled = callsToSample()
    if (!this.#sampler.isWatched()) return this.#set(key, value, options)
    const start = performance.now()
    const done = this.#set(key, value, options)
    this.#sampler.note('set', this.#connection.options.native.namespace ?? '', key, performance.now() - start)
    return done
  }

  #set(key: Key, value: V, options: Duration | SetOptions | undefined): boolean {
    const { encoder, defaultTtl } = this
    const payload = this.encodeFor(key, value)
    if (options === undefined) return this.#store(key, payload, encoder.kind, defaultTtl, 0, 0)
    return this.store(key, payload, encoder.kind, resolveSet(options, defaultTtl, 0))
  }

  /** The payload of a value, as `encoder.encode`. Its errors name the key. */
  encodeFor(key: Key, value: V): unknown {
    try {
      return this.encoder.encode(value)
    } catch (error) {
      throw about(`the value for ${showKey(key)}`, error)
    }
  }

  /** Stores under a condition, a bit of `SetFlag`. */
  setIf(condition: number, key: Key, value: V, options: Duration | SetOptions, expected: AcceptedOptions): boolean {
    const payload = this.encodeFor(key, value)
    return this.store(key, payload, this.encoder.kind, resolveSet(options, this.defaultTtl, condition, expected))
  }

  /** Stores a payload with any options; true: it was stored. */
  store(key: RawKey, payload: unknown, kind: number, set: ResolvedSet): boolean {
    const { ttl, stale, tags, flags, version } = set
    if (set.isOver) return this.#storeExpired(key, flags, version)
    if (stale === 0 && tags.length === 0) return this.#store(key, payload, kind, ttl, flags, version)
    const connection = this.#connection
    if (hasRemovalSubscribers()) connection.watchRemovals()
    const done =
      connection.live().setWith(key, payload, kind, ttl, flags, version, stale, tags) ??
      connection.again('write', 'setWith', key, payload, kind, ttl, flags, version, stale, tags) ??
      false
    if (channels.set.hasSubscribers) connection.reports.set(key, done)
    return done
  }

  #store(key: RawKey, payload: unknown, kind: number, ttl: Milliseconds, flags: number, version: number): boolean {
    const connection = this.#connection
    if (hasRemovalSubscribers()) connection.watchRemovals()
    const handle = connection.live()
    const isPlain = flags === 0 && version === 0
    const stored = isPlain
      ? ttl === 0
        ? handle.set(key, payload, kind)
        : handle.set(key, payload, kind, ttl)
      : handle.set(key, payload, kind, ttl, flags, version)
    const done = stored ?? this.#storeAgain(key, payload, kind, ttl, flags, version)
    if (channels.set.hasSubscribers) connection.reports.set(key, done)
    return done
  }

  #storeAgain(key: RawKey, payload: unknown, kind: number, ttl: Milliseconds, flags: number, version: number): boolean {
    return this.#connection.again('write', 'set', key, payload, kind, ttl, flags, version) ?? false
  }

  /** Acts as if a value had been stored and had expired at once. */
  #storeExpired(key: RawKey, flags: number, version: number): boolean {
    // No entry has that version, so an entry stays. A running load of an absent key is older than this call.
    this.delete(key, (flags & SetFlag.IfAbsent) === 0 ? version : Number.MAX_SAFE_INTEGER)
    return false
  }

  /** As `SharedCache.delete`. `version` 0: any. */
  delete(key: Key, version: number): boolean {
    const connection = this.#connection
    const done = connection.live().delete(key, version) ?? connection.again('write', 'delete', key, version) ?? false
    if (channels.delete.hasSubscribers) connection.reports.deleted({ key, done })
    return done
  }

  /** Tells the subscribers of the diagnostics channels about a change that a transaction has made. */
  reportChange(key: Key, isDeleted: boolean): void {
    const { reports } = this.#connection
    if (isDeleted && channels.delete.hasSubscribers) reports.deleted({ key, done: true })
    if (!isDeleted && channels.set.hasSubscribers) reports.set(key, true)
  }

  /** Sets a new lifetime; 0: none. */
  touch(key: Key, ttl: Milliseconds): boolean {
    return this.#connection.live().touch(key, ttl) ?? this.#connection.again('write', 'touch', key, ttl) ?? false
  }

  /** As `SharedCache.incr`, with checked numbers. */
  incr(key: RawKey, by: number, init: number, ttl: Milliseconds, min: number, max: number): number {
    const sum = this.#connection.live().incr(key, by, init, ttl, min, max)
    return sum ?? (this.#connection.again('write', 'incr', key, by, init, ttl, min, max) as number)
  }

  /** Stores the result of a load and ends its flight; true: it was kept. */
  finish(flight: FlightIdentity, { payload, kind, ttl, stale, tags }: Stored): boolean {
    const { key, token } = flight
    if (token === 0) return this.store(key, payload, kind, { ttl, stale, tags, isOver: false, flags: 0, version: 0 })
    const connection = this.#connection
    const handle = connection.live()
    // The flight began in a segment that was lost.
    if (flight.handle !== handle.id) return false
    const result =
      handle.flightFinish(key, payload, kind, ttl, stale, tags, token) ??
      connection.again('write', 'flightFinish', key, payload, kind, ttl, stale, tags, token)
    // The segment was lost just now, and the flight with it.
    if (result === undefined) return false
    const done = result === FinishResult.Kept
    if (channels.set.hasSubscribers) connection.reports.set(givenKey(key), done)
    return done
  }
}
