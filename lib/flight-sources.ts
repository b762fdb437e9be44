/**
 * What `Flights` stand on: the values of a cache, and what was done once.
 *
 * The thing to get wrong: a token that outlives its segment. A cache that opened its segment anew has another native handle,
 * where the same number may be another flight's; so a flight that began under an earlier handle is neither asked after nor
 * ended there.
 */
import { encode, encoded } from './codec/codec.ts'
import type { ResolvedCodec } from './codec/codec.ts'
import { decodeStructured, encodeStructured } from './codec/structured.ts'
import { CacheError, fromNative } from './errors.ts'
import type { CacheErrorCode } from './errors.ts'
import type { FlightSource, FlightTicket, Previous } from './flights.ts'
import { lifetimeOf, tagsOf, withJitter } from './load-options.ts'
import type { ResolvedLoad } from './load-options.ts'
import { Kind, Landing, native } from './native.ts'
import type { RawKey } from './native.ts'
import { packOutcome, unpackOutcome } from './outcomes.ts'
import type { Milliseconds } from './units.ts'
import type { Vigils } from './vigils.ts'

/** What a cache lends to its flights. */
export interface FlightCache<V> {
  readonly vigils: Vigils
  readonly codec: ResolvedCodec
  /** 0: none. */
  readonly ttl: Milliseconds
  /** The present native handle. Throws once the cache is closed. */
  handle(): number
  /** Makes the native side call back. */
  listen(): void
  /** A native call; undefined where the segment is unwell and that may pass for a miss. */
  run<T>(call: (id: number) => T): T | undefined
  /** A native call that throws whatever is wrong. */
  insist<T>(call: (id: number) => T): T
  /** Counts that the segment is unwell, or throws in strict mode. */
  refuse(error: unknown): void
  peek(key: RawKey): V | undefined
  previous(key: RawKey): Previous<V> | undefined
  /** Stores a value and ends its flight; whether it was kept. Throws `CacheError`s. */
  finish(flight: FlightTicket, stored: Stored): boolean
  report(key: RawKey, kept: boolean, error: unknown): void
}

/** A value that is ready to be stored. */
export interface Stored {
  readonly payload: unknown
  readonly kind: number
  readonly ttl: Milliseconds
  readonly stale: Milliseconds
  readonly tags: readonly string[]
}

/** Where the segment is unwell, what was loaded goes to its callers all the same. */
const UNWELL: ReadonlySet<CacheErrorCode> = new Set([
  'ERR_BUSY',
  'ERR_NO_SPACE',
  'ERR_SEGMENT_CORRUPT',
  'ERR_SEGMENT_VERSION',
  'ERR_PERMISSION',
])

const NO_BYTES = new Uint8Array()
const NO_TAGS: readonly string[] = []

/** The values of a cache. */
export function valueSource<V>(cache: FlightCache<V>): FlightSource<V> {
  const common = commonSource(cache, false)
  return {
    ...common,
    begin: (key, lease, newerThan, background) =>
      cache.run((id) => native.flightBegin(id, false, key, lease, newerThan, background)),
    read: (key) => found(cache.peek(key)),
    previous: (key) => cache.previous(key),
    keep: (flight, value, options) => {
      const stored = value === undefined ? absent(options) : prepare(value, options, cache)
      if (stored === undefined) {
        common.end(flight, { value })
        return false
      }
      try {
        return cache.finish(flight, stored)
      } catch (error) {
        if (!(error instanceof CacheError) || !UNWELL.has(error.code)) throw error
        cache.refuse(error)
        common.end(flight, { value })
        return false
      }
    },
  }
}

/** What was done once: kept apart from the values, so that no `clear` reaches it, and with undefined among the results. */
export function onceSource(cache: FlightCache<unknown>): FlightSource<unknown> {
  return {
    ...commonSource(cache, true),
    // Rather an error than to run it twice.
    begin: (key, lease, newerThan) => cache.insist((id) => native.flightBegin(id, true, key, lease, newerThan, false)),
    read: (key) => {
      const bytes = cache.run((id) => native.onceLook(id, key))
      try {
        return bytes == null ? undefined : { value: (decodeStructured(bytes) as [unknown])[0] }
      } catch (error) {
        cache.refuse(error)
        return undefined
      }
    },
    previous: () => undefined,
    keep: ({ key, token, handle }, value, options) => {
      const bytes = Uint8Array.from(encodeStructured([value]))
      if (cache.handle() !== handle) return false
      const ttl = lifetimeOf(value, options, 0) ?? 0
      try {
        return native.onceFinish(handle, key, token, bytes, ttl) === Landing.Kept
      } catch (error) {
        throw fromNative(error)
      }
    },
  }
}

function commonSource<V>(
  cache: FlightCache<V>,
  once: boolean,
): Omit<FlightSource<V>, 'begin' | 'read' | 'previous' | 'keep'> {
  const isKnown = ({ token, handle }: FlightTicket): boolean => token !== 0 && cache.handle() === handle
  return {
    vigils: cache.vigils,
    handle: () => cache.handle(),
    isOn: (flight) =>
      isKnown(flight) && quietly(() => native.flightIsOn(flight.handle, once, flight.key, flight.token)) === true,
    watch: ({ handle, key, token }) => {
      cache.listen()
      return native.flightAwait(handle, once, key, token)
    },
    unwatch: (vigil) => {
      quietly(() => native.vigilCancel(cache.handle(), vigil))
    },
    outcome: (flight) => {
      if (!isKnown(flight)) return undefined
      const bytes = quietly(() => native.flightOutcome(flight.handle, once, flight.key, flight.token))
      return bytes == null ? undefined : unpackOutcome(bytes)
    },
    end: (flight, outcome) => {
      const { handle, key, token } = flight
      quietly(() => {
        if (!isKnown(flight)) return
        if (outcome === undefined) native.flightAbandon(handle, once, key, token)
        else native.flightFail(handle, once, key, token, packOutcome(outcome), 'error' in outcome)
      })
    },
    copy: (value) => quietly(() => decodeStructured(encodeStructured(value as object)) as V) ?? value,
    report: (key, kept, error) => cache.report(key, kept, error),
  }
}

/** That there is no value. Undefined: not to be remembered. */
function absent({ negativeTtl, jitter, tags }: ResolvedLoad): Stored | undefined {
  if (negativeTtl === 0) return undefined
  const known = typeof tags === 'function' ? NO_TAGS : tags
  return { payload: NO_BYTES, kind: Kind.Absent, ttl: withJitter(negativeTtl, jitter), stale: 0, tags: known }
}

/** Undefined: not to be kept. */
function prepare<V>(value: V, options: ResolvedLoad, { codec, ttl }: FlightCache<V>): Stored | undefined {
  const lifetime = lifetimeOf(value, options, ttl)
  if (lifetime === undefined) return undefined
  const tags = tagsOf(value, options)
  // Last: the user's functions may have stored something themselves.
  const payload = encode(value, codec)
  return { payload, kind: encoded.kind, ttl: lifetime, stale: options.staleIfError, tags }
}

function found<V>(value: V | undefined): { value: V } | undefined {
  return value === undefined ? undefined : { value }
}

/** What the segment took with it is nobody's any more. */
function quietly<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}
