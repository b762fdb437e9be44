/**
 * Where flights store their results: the values of a cache, or the results of `once`.
 *
 * Caution: a flight token is valid for one native handle only. After the segment was opened again, the same number may
 * belong to another flight, so a flight that began under an earlier handle is neither queried nor ended there.
 */
import { lifetimeOf, tagsOf, withJitter } from '../arguments/load-options.ts'
import type { ResolvedLoad } from '../arguments/load-options.ts'
import type { Milliseconds } from '../arguments/units.ts'
import type { ValueEncoder } from '../codec/codec.ts'
import { decodeStructured, encodeStructured } from '../codec/structured.ts'
import { CacheError, fromNative } from '../errors.ts'
import type { CacheErrorCode } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { FinishResult, Kind } from '../native/layout.ts'
import type { NativeFlight } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Degrading, NativeCalls } from '../segment/calls.ts'
import type { RecordWatches } from '../waiting/record-watches.ts'
import type { FlightSource, FlightIdentity, Found, Previous } from './flights.ts'
import { packOutcome, unpackOutcome } from './outcomes.ts'
import type { Outcome } from './outcomes.ts'

/** The values of a cache, as flights need them. */
export interface FlightValues<V> {
  /** A fresh value, a copy. Not counted, and not marked as used. */
  peek(key: RawKey): V | undefined
  /** A value that may be stale, a copy. Not counted, and not marked as used. */
  previous(key: RawKey): Previous<V> | undefined
  /** Stores a value and ends its flight; true: it was kept. Throws `CacheError`s. */
  finish(flight: FlightIdentity, stored: Stored): boolean
  /** A load ended. */
  report(key: RawKey, kept: boolean, error: unknown): void
  /** A load brought a value that cannot be stored, or is too large; `error` says why. */
  unstored(key: RawKey, error: unknown): void
}

/** A value that is ready to be stored. */
export interface Stored {
  readonly payload: unknown
  readonly kind: number
  readonly ttl: Milliseconds
  readonly stale: Milliseconds
  readonly tags: readonly string[]
}

/** Trouble with the segment. The callers of a load get its value all the same. */
const TROUBLE: ReadonlySet<CacheErrorCode> = new Set([
  'ERR_BUSY',
  'ERR_NO_SPACE',
  'ERR_SEGMENT_CORRUPT',
  'ERR_SEGMENT_VERSION',
  'ERR_PERMISSION',
])

const NO_BYTES = new Uint8Array()
const NO_TAGS: readonly string[] = []

/** The calls about flights that values and results of `once` have in common. */
abstract class NativeFlights<T> implements FlightSource<T> {
  readonly recordWatches: RecordWatches
  protected readonly calls: NativeCalls & Degrading
  readonly #isOnce: boolean

  constructor(calls: NativeCalls & Degrading, recordWatches: RecordWatches, isOnce: boolean) {
    this.calls = calls
    this.recordWatches = recordWatches
    this.#isOnce = isOnce
  }

  abstract begin(key: RawKey, lease: Milliseconds, newerThan: number, background: boolean): NativeFlight | undefined
  abstract read(key: RawKey): Found<T> | undefined
  abstract previous(key: RawKey): Previous<T> | undefined
  abstract keep(flight: FlightIdentity, value: T | undefined, options: ResolvedLoad): boolean
  abstract report(key: RawKey, kept: boolean, error: unknown): void

  get handleId(): number {
    return this.calls.handleId
  }

  isOn(flight: FlightIdentity): boolean {
    const { handle, key, token } = flight
    return this.#isKnown(flight) && quietly(() => native.flightIsOn(handle, this.#isOnce, key, token)) === true
  }

  watch({ handle, key, token }: FlightIdentity): number {
    this.calls.listen()
    return native.flightWatch(handle, this.#isOnce, key, token)
  }

  outcome(flight: FlightIdentity): Outcome | undefined {
    if (!this.#isKnown(flight)) return undefined
    const { handle, key, token } = flight
    const bytes = quietly(() => native.flightOutcome(handle, this.#isOnce, key, token))
    return bytes === undefined || bytes === null ? undefined : unpackOutcome(bytes)
  }

  end(flight: FlightIdentity, outcome?: Outcome): void {
    const { handle, key, token } = flight
    quietly(() => {
      if (!this.#isKnown(flight)) return
      if (outcome === undefined) native.flightAbandon(handle, this.#isOnce, key, token)
      else native.flightFail(handle, this.#isOnce, key, token, packOutcome(outcome), 'error' in outcome)
    })
  }

  copy(value: T): T | undefined {
    return quietly(() => decodeStructured(encodeStructured(value as object)) as T)
  }

  /** Whether the flight is coordinated, and began under the open handle. Throws `ERR_CLOSED`. */
  #isKnown({ handle, token }: FlightIdentity): boolean {
    return token !== 0 && this.calls.handleId === handle
  }
}

/** Loads of values. */
export class ValueFlights<V> extends NativeFlights<V> {
  readonly #values: FlightValues<V>
  readonly #encoder: ValueEncoder
  /** 0: none. */
  readonly #defaultTtl: Milliseconds

  constructor(
    calls: NativeCalls & Degrading,
    recordWatches: RecordWatches,
    values: FlightValues<V>,
    encoder: ValueEncoder,
    defaultTtl: Milliseconds,
  ) {
    super(calls, recordWatches, false)
    this.#values = values
    this.#encoder = encoder
    this.#defaultTtl = defaultTtl
  }

  override begin(key: RawKey, lease: Milliseconds, newerThan: number, background: boolean): NativeFlight | undefined {
    return this.calls.read((id) => native.flightBegin(id, false, key, lease, newerThan, background))
  }

  override read(key: RawKey): Found<V> | undefined {
    const value = this.#values.peek(key)
    return value === undefined ? undefined : { value }
  }

  override previous(key: RawKey): Previous<V> | undefined {
    return this.#values.previous(key)
  }

  override keep(flight: FlightIdentity, value: V | undefined, options: ResolvedLoad): boolean {
    const stored = value === undefined ? absent(options) : this.#prepare(flight.key, value, options)
    if (stored === undefined) {
      this.end(flight, { value })
      return false
    }
    try {
      return this.#values.finish(flight, stored)
    } catch (error) {
      if (!(error instanceof CacheError)) throw error
      if (error.code === 'ERR_VALUE_TOO_LARGE') this.#values.unstored(flight.key, error)
      else if (TROUBLE.has(error.code)) this.calls.refuse('read', error)
      else throw error
      this.end(flight, { value })
      return false
    }
  }

  override report(key: RawKey, kept: boolean, error: unknown): void {
    this.#values.report(key, kept, error)
  }

  /** Undefined: the value is not to be kept. */
  #prepare(key: RawKey, value: V, options: ResolvedLoad): Stored | undefined {
    const ttl = lifetimeOf(value, options, this.#defaultTtl)
    if (ttl === undefined) return undefined
    const tags = tagsOf(value, options)
    // Last: the functions of the user may use the encoder as well.
    let payload: unknown
    try {
      payload = this.#encoder.encode(value)
    } catch (error) {
      this.#values.unstored(key, error)
      return undefined
    }
    return { payload, kind: this.#encoder.kind, ttl, stale: options.staleIfError, tags }
  }
}

/**
 * The runs of `once`. Their results are kept apart from the values: no `clear` deletes them, and undefined is a result.
 */
export class OnceFlights extends NativeFlights<unknown> {
  readonly #reports: Pick<FlightValues<unknown>, 'report'>

  constructor(
    calls: NativeCalls & Degrading,
    recordWatches: RecordWatches,
    reports: Pick<FlightValues<unknown>, 'report'>,
  ) {
    super(calls, recordWatches, true)
    this.#reports = reports
  }

  /** Throws on trouble with the segment: without coordination, `fn` could run twice. */
  override begin(key: RawKey, lease: Milliseconds, newerThan: number): NativeFlight {
    return this.calls.write((id) => native.flightBegin(id, true, key, lease, newerThan, false))
  }

  override read(key: RawKey): Found<unknown> | undefined {
    const bytes = this.calls.read((id) => native.onceResult(id, key))
    try {
      return bytes === undefined || bytes === null ? undefined : { value: (decodeStructured(bytes) as [unknown])[0] }
    } catch (error) {
      // A result that this process cannot read is a result: `fn` must not run again.
      const isMismatch = error instanceof CacheError && error.code === 'ERR_CODEC_MISMATCH'
      return this.calls.refuse(isMismatch ? 'write' : 'read', error)
    }
  }

  override previous(): undefined {}

  override keep({ key, token, handle }: FlightIdentity, value: unknown, options: ResolvedLoad): boolean {
    const bytes = Uint8Array.from(encodeStructured([value]))
    if (this.calls.handleId !== handle) return false
    const ttl = lifetimeOf(value, options, 0) ?? 0
    try {
      return native.onceFinish(handle, key, token, bytes, ttl) === FinishResult.Kept
    } catch (error) {
      throw fromNative(error)
    }
  }

  override report(key: RawKey, kept: boolean, error: unknown): void {
    this.#reports.report(key, kept, error)
  }
}

/** The absence of a value. Undefined: it is not to be remembered. */
function absent({ negativeTtl, jitter, tags }: ResolvedLoad): Stored | undefined {
  if (negativeTtl === undefined) return undefined
  const known = typeof tags === 'function' ? NO_TAGS : tags
  return { payload: NO_BYTES, kind: Kind.Absent, ttl: withJitter(negativeTtl, jitter), stale: 0, tags: known }
}

/** Undefined for a call that fails because its segment was lost. */
function quietly<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}
