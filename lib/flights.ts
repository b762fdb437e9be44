/**
 * Loads of one cache: who in this thread waits for which, and how each of them ends.
 *
 * All callers of a key share one `Flight`, that is one native call, whether it is loaded here or elsewhere. A flight lands exactly
 * once, and whoever waits for it then has a value or an error, or asks again; so nobody waits longer than a lease. A death or a
 * lost lease elsewhere makes it land without a result, and the first who asks again loads.
 *
 * The thing to get wrong: what outlives what. Callers leave (abort, timeout) while their flight goes on; a lease ends while its
 * loader goes on; and the segment may be another one when a loader is done. So a landing looks at its flight, never at its
 * callers, and a token is good for the native handle only under which it was given.
 */
import { CacheError, invalid } from './errors.ts'
import type { Load, LoadContext, ResolvedLoad } from './load-options.ts'
import { FlightState } from './native.ts'
import type { NativeFlight, RawKey } from './native.ts'
import type { Outcome } from './outcomes.ts'
import type { Milliseconds } from './units.ts'
import { givenKey } from './values.ts'
import type { Vigils } from './vigils.ts'
import { MAX_TIMER, startTimer } from './waits.ts'

/** A value that is there; of `once` it may be undefined. */
export interface Found<T> {
  readonly value: T
}

/** The value before: `late` is for how long it has been stale. */
export interface Previous<T> extends Found<T> {
  readonly late: Milliseconds
}

/** What flights need of their cache. Unless it says so, nothing throws but for a closed cache. */
export interface FlightSource<T> {
  readonly vigils: Vigils
  /** The native handle, which another may follow. */
  handle(): number
  /** Undefined: the segment is unwell, and the load is not coordinated. Throws what is then to be thrown, in strict mode. */
  begin(key: RawKey, lease: Milliseconds, newerThan: number, background: boolean): NativeFlight | undefined
  isOn(flight: FlightTicket): boolean
  /** The number of a vigil for the end of this flight. Throws if there can be none. */
  watch(flight: FlightTicket): number
  unwatch(vigil: number): void
  outcome(flight: FlightTicket): Outcome | undefined
  /** A fresh value, the caller's own. */
  read(key: RawKey): Found<T> | undefined
  /** A value that may be stale, the caller's own. */
  previous(key: RawKey): Previous<T> | undefined
  /** Stores what was loaded, and ends the flight. Throws what all who wait are to be rejected with. True: it was kept. */
  keep(flight: FlightTicket, value: T | undefined, options: ResolvedLoad): boolean
  /** Ends a flight with a word, or as if it had not been. */
  end(flight: FlightTicket, outcome?: Outcome): void
  /** A copy of one's own of what somebody else loaded. */
  copy(value: T): T
  report(key: RawKey, kept: boolean, error: unknown): void
}

/** What the native side knows a flight by. */
export interface FlightTicket {
  readonly key: RawKey
  /** 0: not coordinated. */
  readonly token: number
  readonly handle: number
}

type Landing<T> =
  | { readonly kind: 'value'; readonly value: T; readonly kept: boolean }
  | { readonly kind: 'error'; readonly error: unknown }
  /** It came to nothing: ask again. */
  | { readonly kind: 'again' }

type Interruption = { readonly kind: 'soft' } | { readonly kind: 'hard' }

/** What a loader returns that found its value unchanged. */
const NOT_MODIFIED: unique symbol = Symbol('cache-machine.notModified')

/** A load under way, here or elsewhere, and those who wait for it. */
class Flight<T> implements FlightTicket {
  readonly id: string
  readonly key: RawKey
  readonly token: number
  readonly handle: number
  /** Who called when it began here; undefined: it is loaded elsewhere. */
  readonly captain: object | undefined
  readonly landing: Promise<Landing<T>>
  readonly abort = new AbortController()
  callers = 0
  /** It is to go on without callers. */
  keep = false
  /** Its callers have their landing. */
  landed = false
  /** The native side has no part in it any more. */
  ended = false
  vigil = 0
  stopLease: () => void = () => undefined
  #resolve: (landing: Landing<T>) => void = () => undefined

  constructor(id: string, { key, token, handle }: FlightTicket, captain: object | undefined) {
    this.id = id
    this.key = key
    this.token = token
    this.handle = handle
    this.captain = captain
    this.landing = new Promise((resolve) => (this.#resolve = resolve))
  }

  land(landing: Landing<T>): void {
    this.landed = true
    this.stopLease()
    this.#resolve(landing)
  }
}

/** One call: its signal and its two timeouts, which run from its start, whatever it waits for. */
class Caller {
  readonly #signal: AbortSignal | undefined
  readonly #stops: (() => void)[] = []
  /** Timeouts that have passed and were not told of yet. */
  readonly #passed: Interruption[] = []
  #interrupt: () => void = () => undefined

  constructor({ signal, timeout, hardTimeout }: ResolvedLoad) {
    this.#signal = signal
    this.#after(timeout, 'soft')
    this.#after(hardTimeout, 'hard')
    if (signal === undefined) return
    const interrupt = (): void => this.#interrupt()
    signal.addEventListener('abort', interrupt)
    this.#stops.push(() => signal.removeEventListener('abort', interrupt))
  }

  /** The landing, or what comes before it; rejects when the call is aborted. */
  wait<T>(landing: Promise<Landing<T>>): Promise<Landing<T> | Interruption> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => {
        const passed = this.#passed.shift()
        if (this.#signal?.aborted === true) reject(this.#signal.reason as Error)
        else if (passed !== undefined) resolve(passed)
      }
      void landing.then(resolve)
      this.#interrupt() // what happened while nothing was waited for
    })
  }

  end(): void {
    for (const stop of this.#stops) stop()
    this.#interrupt = () => undefined
  }

  #after(timeout: Milliseconds, kind: Interruption['kind']): void {
    if (timeout === Number.POSITIVE_INFINITY) return
    const pass = (): void => {
      this.#passed.push({ kind })
      this.#interrupt()
    }
    this.#stops.push(startTimer({ timeout, signal: undefined, ref: false }, pass))
  }
}

/** The loads of one cache. */
export class Flights<T> {
  readonly #source: FlightSource<T>
  /** By key: what somebody who asks now is to wait for. */
  readonly #flights = new Map<string, Flight<T>>()
  /** Those that are loaded here and not ended; their callers may have left. */
  readonly #own = new Set<Flight<T>>()
  /** Calls that wait, and the timer by which they keep the process alive, as a load of their own would. */
  #waiting = 0
  #keepAlive: NodeJS.Timeout | undefined

  constructor(source: FlightSource<T>) {
    this.#source = source
  }

  /** How many calls wait for a load elsewhere. */
  get waiting(): number {
    return [...this.#flights.values()].filter((flight) => flight.captain === undefined).length
  }

  /** The value of `key`: one that is there, or is being loaded, or is loaded now. */
  async load(key: RawKey, load: Load<T, T | undefined>, options: ResolvedLoad): Promise<T | undefined> {
    const caller = new Caller(options)
    let newerThan = options.force ? Number.POSITIVE_INFINITY : 0
    let flight: Flight<T> | undefined
    this.#ref()
    try {
      for (;;) {
        const next = this.#board(key, load, options, newerThan, caller)
        if (!(next instanceof Flight)) return next.value
        if (flight !== next) {
          if (flight !== undefined) this.#leave(flight)
          flight = next
          flight.callers++
        }
        const result = await caller.wait(flight.landing)
        const found = this.#resultFor(result, flight, options, caller)
        if (found !== undefined) return found.value
        // What is stored after a flight has begun is newer than anything that was there before.
        if (result.kind === 'again' && options.force) newerThan = flight.token
      }
    } finally {
      if (flight !== undefined) this.#leave(flight)
      caller.end()
      this.#unref()
    }
  }

  /** Loads in the background, unless somebody does, or it has just failed. What comes of it is kept, and nobody is told. */
  refresh(key: RawKey, load: Load<T, T | undefined>, options: ResolvedLoad, newerThan: number): void {
    const id = idOf(key)
    if (this.#flights.has(id)) return
    const begun = this.#source.begin(key, options.lease, newerThan, true)
    if (begun?.state !== FlightState.Begun) return
    this.#depart(this.#open(id, key, begun.number, NOBODY), load, options).keep = true
  }

  /** Those who wait for a load elsewhere ask again, on a new native handle. */
  restart(): void {
    for (const flight of this.#flights.values()) if (flight.captain === undefined) this.#land(flight, { kind: 'again' })
  }

  /** Rejects those who wait for a load elsewhere. */
  reject(error: unknown): void {
    for (const flight of this.#flights.values()) {
      if (flight.captain === undefined) this.#land(flight, { kind: 'error', error })
    }
  }

  /** Rejects all; the native handle goes, and gives up what it holds. */
  close(error: unknown): void {
    this.reject(error)
    for (const flight of this.#own) {
      flight.ended = true
      this.#land(flight, { kind: 'error', error })
      flight.abort.abort(error)
    }
    this.#own.clear()
  }

  /** What is there, or a flight to wait for, which may begin here. */
  #board(
    key: RawKey,
    load: Load<T, T | undefined>,
    options: ResolvedLoad,
    newerThan: number,
    caller: Caller,
  ): Flight<T> | Found<T | undefined> {
    const id = idOf(key)
    const local = this.#flights.get(id)
    if (local !== undefined && (local.token === 0 || this.#source.isOn(local))) return local
    for (let than = newerThan; ;) {
      const begun = this.#source.begin(key, options.lease, than, false)
      switch (begun?.state) {
        case FlightState.Fresh: {
          const found = this.#source.read(key)
          if (found !== undefined) return found
          than = begun.number // gone again, or not to be read: then only a later one will do
          break
        }
        case FlightState.Absent:
          return { value: undefined }
        case FlightState.Joined:
          return local?.token === begun.number && !local.landed ? local : this.#join(id, key, begun.number)
        case FlightState.Begun:
          return this.#depart(this.#open(id, key, begun.number, caller), load, options)
        default:
          return this.#depart(this.#open(id, key, 0, caller), load, options)
      }
    }
  }

  #open(id: string, key: RawKey, token: number, captain: object | undefined): Flight<T> {
    const flight = new Flight<T>(id, { key, token, handle: this.#source.handle() }, captain)
    this.#flights.set(id, flight)
    return flight
  }

  /** Waits for what is loaded elsewhere. */
  #join(id: string, key: RawKey, token: number): Flight<T> {
    const flight = this.#open(id, key, token, undefined)
    try {
      flight.vigil = this.#source.watch(flight)
      this.#source.vigils.add(flight.vigil, () => this.#landedElsewhere(flight))
    } catch {
      // The segment has just gone: those who wait ask again, on the next one.
      this.#land(flight, { kind: 'again' })
    }
    return flight
  }

  #landedElsewhere(flight: Flight<T>): void {
    flight.vigil = 0
    const outcome = this.#source.outcome(flight)
    if (outcome === undefined) this.#land(flight, { kind: 'again' })
    else if ('error' in outcome) this.#land(flight, { kind: 'error', error: outcome.error })
    else this.#land(flight, { kind: 'value', value: outcome.value as T, kept: false })
  }

  /** Runs the loader. */
  #depart(flight: Flight<T>, load: Load<T, T | undefined>, options: ResolvedLoad): Flight<T> {
    this.#own.add(flight)
    const previous = this.#source.previous(flight.key)
    const context: LoadContext<T> = {
      key: givenKey(flight.key),
      signal: flight.abort.signal,
      stale: previous?.value,
      token: flight.token,
      notModified: () => {
        if (previous === undefined) throw invalid('notModified needs a value before, and there is', undefined)
        return NOT_MODIFIED as never
      },
    }
    if (options.lease > 0) {
      const end = (): void => this.#endLease(flight, options.lease)
      flight.stopLease = startTimer({ timeout: options.lease, signal: undefined, ref: false }, end)
    }
    const arrive = (result: unknown): void =>
      this.#arrive(flight, (result === NOT_MODIFIED ? previous?.value : result) as T | undefined, options)
    try {
      const result = load(context)
      if (isPromise(result)) result.then(arrive, (error: unknown) => this.#crash(flight, error))
      else arrive(result)
    } catch (error) {
      this.#crash(flight, error)
    }
    return flight
  }

  #arrive(flight: Flight<T>, value: T | undefined, options: ResolvedLoad): void {
    if (flight.ended) return
    let kept: boolean
    try {
      kept = this.#source.keep(flight, value, options)
    } catch (error) {
      return this.#crash(flight, error)
    }
    this.#end(flight)
    this.#land(flight, { kind: 'value', value: value as T, kept })
    this.#source.report(flight.key, kept, undefined)
  }

  #crash(flight: Flight<T>, error: unknown): void {
    if (flight.ended) return
    // After its lease it was told to stop, and what it says to that concerns nobody.
    this.#source.end(flight, flight.landed ? undefined : { error })
    this.#end(flight)
    this.#land(flight, { kind: 'error', error })
    this.#source.report(flight.key, false, error)
  }

  #end(flight: Flight<T>): void {
    flight.ended = true
    this.#own.delete(flight)
  }

  #endLease(flight: Flight<T>, lease: Milliseconds): void {
    const hint = 'Pass a longer lease for slow loads, and a hardTimeout for callers who are in a hurry.'
    const error = new CacheError('ERR_TIMEOUT', `the load did not end within its lease, ${lease} ms`, { hint })
    this.#land(flight, { kind: 'error', error })
    flight.abort.abort(error)
  }

  #land(flight: Flight<T>, landing: Landing<T>): void {
    if (flight.landed) return
    if (this.#flights.get(flight.id) === flight) this.#flights.delete(flight.id)
    if (flight.vigil !== 0) {
      this.#source.vigils.remove(flight.vigil)
      this.#source.unwatch(flight.vigil)
    }
    flight.land(landing)
  }

  /** What a call returns or throws for what it got; undefined: it is to ask again. */
  #resultFor(
    result: Landing<T> | Interruption,
    flight: Flight<T>,
    options: ResolvedLoad,
    caller: Caller,
  ): Found<T> | undefined {
    switch (result.kind) {
      case 'value':
        return flight.captain === caller ? result : { value: this.#copyOf(flight.key, result) }
      case 'error':
        return this.#staleFor(flight.key, options.staleIfError) ?? raise(result.error)
      case 'again':
        return undefined
      case 'soft':
        // Once it was waited for in vain, it is not given up: its result is wanted.
        flight.keep = true
        return options.staleAfterTimeout === undefined
          ? undefined
          : this.#staleFor(flight.key, options.staleAfterTimeout)
      case 'hard':
        flight.keep = true
        return this.#staleFor(flight.key, options.staleIfError) ?? raise(timedOut(options.hardTimeout))
    }
  }

  /** Of what another call loaded, nobody gets the very same object. */
  #copyOf(key: RawKey, { value, kept }: { value: T; kept: boolean }): T {
    if (typeof value !== 'object' || value === null) return value
    return (kept ? this.#source.read(key)?.value : undefined) ?? this.#source.copy(value)
  }

  #staleFor(key: RawKey, longest: Milliseconds): Found<T> | undefined {
    if (longest === 0) return undefined
    const previous = this.#source.previous(key)
    return previous !== undefined && previous.late <= longest ? previous : undefined
  }

  /** The last one to leave gives up a flight that nobody else wants. */
  #leave(flight: Flight<T>): void {
    flight.callers--
    if (flight.callers > 0 || flight.landed) return
    if (flight.captain === undefined) return this.#land(flight, { kind: 'again' })
    if (flight.keep) return
    this.#source.end(flight)
    this.#end(flight)
    this.#land(flight, { kind: 'again' })
    flight.abort.abort(new DOMException('nobody waits for this load any more', 'AbortError'))
  }

  #ref(): void {
    if (this.#waiting++ === 0) this.#keepAlive = setInterval(() => undefined, MAX_TIMER)
  }

  #unref(): void {
    if (--this.#waiting === 0) clearInterval(this.#keepAlive)
  }
}

/** Who has a load run in the background. */
const NOBODY = {}

/** A text and its UTF-8 bytes are one key. */
function idOf(key: RawKey): string {
  // eslint-disable-next-line no-control-regex
  if (typeof key === 'string' && /^[\0-\x7F]*$/.test(key)) return key
  return Buffer.from(key as string).toString('latin1')
}

function isPromise<T>(result: T | PromiseLike<T>): result is PromiseLike<T> {
  return typeof result === 'object' && result !== null && typeof (result as PromiseLike<T>).then === 'function'
}

function raise(error: unknown): never {
  throw error
}

function timedOut(timeout: Milliseconds): CacheError {
  const hint = 'The load goes on, and its result is kept.'
  return new CacheError('ERR_TIMEOUT', `no value was loaded within ${timeout} ms`, { hint })
}
