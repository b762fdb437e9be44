/**
 * `getOrSet`, `wrap` and `once` of one cache: when to serve a stored value, and when to load.
 *
 * `loading/` coordinates the loads; this file connects it to the values of the cache.
 */
import { wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { isDue } from '../arguments/load-options.ts'
import type { Load, ResolvedLoad } from '../arguments/load-options.ts'
import { OnceFlights, ValueFlights } from '../loading/flight-sources.ts'
import type { FlightValues, Stored } from '../loading/flight-sources.ts'
import { Flights } from '../loading/flights.ts'
import type { FlightIdentity, Previous } from '../loading/flights.ts'
import { GetFlag, MetaFloat } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Connection } from '../segment/connection.ts'
import type { RecordWatches } from '../waiting/record-watches.ts'
import type { Reading } from './reading.ts'
import type { Writing } from './writing.ts'

/** The loads of one cache. */
export class Loads<V> implements FlightValues<V> {
  readonly #connection: Connection
  readonly #reading: Reading<V>
  readonly #writing: Writing<V>
  readonly #flights: Flights<unknown>
  readonly #onceFlights: Flights<unknown>

  constructor(connection: Connection, recordWatches: RecordWatches, reading: Reading<V>, writing: Writing<V>) {
    this.#connection = connection
    this.#reading = reading
    this.#writing = writing
    this.#flights = new Flights(
      new ValueFlights<unknown>(connection, recordWatches, this, writing.encoder, writing.defaultTtl),
    )
    this.#onceFlights = new Flights(new OnceFlights(connection, recordWatches, this))
    connection.attach(this.#flights)
    connection.attach(this.#onceFlights)
  }

  /** The fresh value of `getOrSet`, with checked options: a hit costs one promise, that of the call. */
  find(key: Key, load: Load<V, V | undefined>, options: ResolvedLoad): V | undefined {
    options.signal?.throwIfAborted()
    if (options.force) return undefined
    return options.refreshAhead === undefined ? this.#reading.get(key) : this.#getAhead(key, load, options)
  }

  /** The value of `getOrSet` after `find` found none. */
  async load(key: Key, load: Load<V, V | undefined>, options: ResolvedLoad): Promise<V | undefined> {
    const steady = wholeKey(key)
    if (!options.force && options.stale !== undefined && options.timeout === Number.POSITIVE_INFINITY) {
      const previous = this.previous(steady)
      if (previous !== undefined && previous.late <= options.stale) {
        this.#flights.refresh(steady, load as Load<unknown, unknown>, options, 0)
        return previous.value
      }
    }
    // The `await` keeps the caller in the stack of an error that is created after a wait.
    return (await this.#flights.load(steady, load as Load<unknown, unknown>, options)) as V | undefined
  }

  /** As `SharedCache.once`, with a checked name and options. */
  once(name: RawKey, run: () => unknown, options: ResolvedLoad): Promise<unknown> {
    return this.#onceFlights.load(name, () => run(), options)
  }

  peek(key: RawKey): V | undefined {
    return this.#reading.read('read', key, GetFlag.Peek)
  }

  previous(key: RawKey): Previous<V> | undefined {
    return this.#reading.previous(key)
  }

  finish(flight: FlightIdentity, stored: Stored): boolean {
    return this.#writing.finish(flight, stored)
  }

  report(key: RawKey, kept: boolean, error: unknown): void {
    this.#connection.reports.load(key, kept, error)
  }

  unstored(key: RawKey, error: unknown): void {
    this.#connection.unstored(key, error)
  }

  /** A fresh value. If it expires soon, it is reloaded in the background. */
  #getAhead(key: Key, load: Load<V, V | undefined>, options: ResolvedLoad): V | undefined {
    const value = this.#reading.read('read', key, GetFlag.Meta)
    if (value === undefined || options.refreshAhead === undefined) return value
    const { floats } = this.#connection.live()
    const remaining = floats[MetaFloat.Remaining] as number
    const version = floats[MetaFloat.Version] as number
    if (isDue(options.refreshAhead, remaining, (floats[MetaFloat.Age] as number) + remaining)) {
      this.#flights.refresh(wholeKey(key), load as Load<unknown, unknown>, options, version)
    }
    return value
  }
}
