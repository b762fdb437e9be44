/**
 * The loads of one cache: flights in this thread, the callers that wait for them, and how each flight ends.
 *
 * A flight is one load of one key on the host. All callers of a key in this thread share one `Flight`, whether the load
 * runs here or elsewhere. A flight ends for its callers exactly once: with a value, with an error, or with the request
 * to ask again. So a caller waits at most one lease. If a process that loads dies or loses its lease, callers ask
 * again, and the first of them loads.
 *
 * Caution: callers leave (abort, timeout) while their flight continues; a lease ends while its loader continues; and
 * the segment may have been replaced when a loader ends. So the end of a loader depends on its flight, never on its
 * callers, and a token is valid only for the native handle that issued it.
 */
import { CacheError, invalid, showKey } from '../errors.ts'
import type { Load, LoadContext, ResolvedLoad } from '../arguments/load-options.ts'
import { FlightState } from '../native/layout.ts'
import type { NativeFlight } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Outcome } from './outcomes.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { givenKey } from '../arguments/keys.ts'
import type { RecordWatches } from '../waiting/record-watches.ts'
import type { Dependent } from '../segment/calls.ts'
import { KeepAlive, onAbort, startTimer } from '../waiting/timers.ts'

/** An existing value; a result of `once` may be undefined. */
export interface Found<T> {
  readonly value: T
}

/** The previous value; `late` is the time since it became stale. */
export interface Previous<T> extends Found<T> {
  readonly late: Milliseconds
}

/**
 * What flights need of their cache. Every method throws `ERR_CLOSED` after `close`, and nothing else unless it says so.
 */
export interface FlightSource<T> {
  readonly recordWatches: RecordWatches
  /** The number of the open native handle. */
  readonly handleId: number
  /**
   * Joins or begins a flight. Undefined: trouble with the segment, and the load is not coordinated. A `strict` cache
   * throws then.
   */
  begin(key: RawKey, lease: Milliseconds, newerThan: number, background: boolean): NativeFlight | undefined
  isOn(flight: FlightIdentity): boolean
  /** The number of a record watch for the end of this flight. Throws if the segment is lost. */
  watch(flight: FlightIdentity): number
  outcome(flight: FlightIdentity): Outcome | undefined
  /** A copy of a fresh value. */
  read(key: RawKey): Found<T> | undefined
  /** A copy of a value that may be stale. */
  previous(key: RawKey): Previous<T> | undefined
  /** Stores a loaded value and ends the flight. True: it was kept. Throws the error for all callers. */
  keep(flight: FlightIdentity, value: T | undefined, options: ResolvedLoad): boolean
  /** Ends a flight with an outcome for its callers elsewhere; without one, as if it had not begun. */
  end(flight: FlightIdentity, outcome?: Outcome): void
  /** A copy of a value that another caller loaded. Undefined: it cannot be copied. */
  copy(value: T): T | undefined
  report(key: RawKey, kept: boolean, error: unknown): void
}

/** The identity of a flight on the native side. */
export interface FlightIdentity {
  readonly key: RawKey
  /** 0: not coordinated. */
  readonly token: number
  /** The number of the native handle that issued the token. */
  readonly handle: number
}

type FlightOutcome<T> =
  | { readonly kind: 'value'; readonly value: T; readonly kept: boolean }
  | { readonly kind: 'error'; readonly error: unknown }
  /** Its lease ended. */
  | { readonly kind: 'late'; readonly lease: Milliseconds }
  /** It has no result: ask again. */
  | { readonly kind: 'again' }
  /** It has a value that cannot cross to this thread: load without coordination, instead of one after the other. */
  | { readonly kind: 'alone' }

type Interruption = { readonly kind: 'soft' } | { readonly kind: 'hard' }

/** The result of a loader that found its value unchanged. */
const NOT_MODIFIED: unique symbol = Symbol('cache-machine.notModified')

/**
 * A signal that is created when it is first read. Few loaders read it, and creating one costs as much as a small load.
 */
class LazySignal {
  #controller: AbortController | undefined
  /** The reason of an abort before the signal was created. */
  #reason: { readonly reason: unknown } | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason.reason)
    }
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#reason = { reason }
    this.#controller?.abort(reason)
  }
}

/** A load that is running, here or elsewhere. */
class Flight<T> implements FlightIdentity {
  readonly id: string
  readonly key: RawKey
  readonly token: number
  readonly handle: number
  /** The caller that began it here; undefined: the load runs elsewhere. */
  readonly starter: object | undefined
  readonly result: Promise<FlightOutcome<T>>
  readonly lazy = new LazySignal()
  callers = 0
  /** It continues without callers. */
  keep = false
  /** Its callers have their result. */
  settled = false
  /** It is over on the native side. */
  ended = false
  recordWatch = 0
  stopLease: () => void = () => undefined
  #resolve: (result: FlightOutcome<T>) => void = () => undefined

  constructor(id: string, { key, token, handle }: FlightIdentity, starter: object | undefined) {
    this.id = id
    this.key = key
    this.token = token
    this.handle = handle
    this.starter = starter
    this.result = new Promise((resolve) => (this.#resolve = resolve))
  }

  settle(result: FlightOutcome<T>): void {
    this.settled = true
    this.stopLease()
    this.#resolve(result)
  }
}

/** One call: its signal and its two timeouts. They run from its start, whichever flight it waits for. */
class Caller {
  readonly #signal: AbortSignal | undefined
  readonly #stops: (() => void)[] = []
  /** Timeouts that have passed and were not reported yet. */
  readonly #passed: Interruption[] = []
  #interrupt: () => void = () => undefined
  /** Created by the call, because its stack shows the caller. Undefined: without a `hardTimeout`. */
  readonly timeoutError: CacheError | undefined

  constructor(key: RawKey, { signal, timeout, hardTimeout }: ResolvedLoad) {
    if (hardTimeout !== Number.POSITIVE_INFINITY) this.timeoutError = timedOut(key, hardTimeout)
    this.#signal = signal
    this.#after(timeout, 'soft')
    this.#after(hardTimeout, 'hard')
    if (signal === undefined) return
    this.#stops.push(onAbort(signal, () => this.#interrupt()))
  }

  /** The result of a flight, or a timeout before it; rejects when the call is aborted. */
  wait<T>(result: Promise<FlightOutcome<T>>): Promise<FlightOutcome<T> | Interruption> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => {
        const passed = this.#passed.shift()
        if (this.#signal?.aborted === true) reject(this.#signal.reason as Error)
        else if (passed !== undefined) resolve(passed)
      }
      void result.then(resolve)
      this.#interrupt() // for interruptions between two waits
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
    this.#stops.push(startTimer(timeout, false, pass))
  }
}

/** The loads of one cache. */
export class Flights<T> implements Dependent {
  readonly #source: FlightSource<T>
  /** By key: the flight that a new caller waits for. */
  readonly #flights = new Map<string, Flight<T>>()
  /** By key: flights without coordination, for values that cannot cross. One serves this thread. */
  readonly #alone = new Map<string, Flight<T>>()
  /** Flights with a load here that has not ended. Their callers may have left. */
  readonly #own = new Set<Flight<T>>()
  /** Callers keep the process alive, as a load of their own would. */
  readonly #keepAlive = new KeepAlive()

  constructor(source: FlightSource<T>) {
    this.#source = source
  }

  /** The number of flights with a load elsewhere. */
  get waiting(): number {
    let count = 0
    for (const { starter } of this.#flights.values()) if (starter === undefined) count++
    return count
  }

  /** The value of `key`: the existing one, or that of a running load, or that of a new load. */
  async load(key: RawKey, load: Load<T, T | undefined>, options: ResolvedLoad): Promise<T | undefined> {
    const caller = new Caller(key, options)
    let newerThan = options.force ? Number.POSITIVE_INFINITY : 0
    let flight: Flight<T> | undefined
    let result: FlightOutcome<T> | Interruption | undefined
    this.#keepAlive.ref()
    try {
      for (;;) {
        const next = this.#nextFor(flight, result, key, load, options, newerThan, caller)
        if (!(next instanceof Flight)) return next.value
        if (flight !== next) {
          if (flight !== undefined) this.#leave(flight)
          flight = next
          flight.callers++
        }
        result = await caller.wait(flight.result)
        const found = this.#resultFor(result, flight, options, caller)
        if (found !== undefined) return found.value
        // A value stored after a flight has begun is newer than any value before.
        if (result.kind === 'again' && options.force) newerThan = flight.token
      }
    } finally {
      if (flight !== undefined) this.#leave(flight)
      caller.end()
      this.#keepAlive.unref()
    }
  }

  /**
   * Loads in the background, unless a load is running or has just failed. Its result is kept; its error is only
   * reported.
   */
  refresh(key: RawKey, load: Load<T, T | undefined>, options: ResolvedLoad, newerThan: number): void {
    const id = idOf(key)
    if (this.#flights.has(id)) return
    const begun = this.#source.begin(key, options.lease, newerThan, true)
    if (begun?.state !== FlightState.Begun) return
    this.#run(this.#open(id, key, begun.number, BACKGROUND), load, options).keep = true
  }

  lose(): void {}

  /** Callers of a load elsewhere ask again, on the new native handle. */
  restart(): void {
    this.#settleElsewhere({ kind: 'again' })
  }

  /** Rejects the callers of loads elsewhere. */
  reject(error: unknown): void {
    this.#settleElsewhere({ kind: 'error', error })
  }

  /** Rejects all callers. The close of the native handle ends the flights of this process. */
  close(error: CacheError): void {
    this.reject(error)
    for (const flight of this.#own) {
      flight.ended = true
      this.#settle(flight, { kind: 'error', error })
      flight.lazy.abort(error)
    }
    this.#own.clear()
  }

  #settleElsewhere(result: FlightOutcome<T>): void {
    for (const flight of this.#flights.values()) if (flight.starter === undefined) this.#settle(flight, result)
  }

  /** The existing value, or a flight to wait for, which may begin here. */
  #joinOrBegin(
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
          than = begun.number // removed meanwhile, or unreadable: only a later one will do
          break
        }
        case FlightState.Absent:
          return { value: undefined }
        case FlightState.Joined:
          return local?.token === begun.number && !local.settled ? local : this.#join(id, key, begun.number)
        case FlightState.Begun:
          return this.#run(this.#open(id, key, begun.number, caller), load, options)
        default:
          return this.#run(this.#open(id, key, 0, caller), load, options)
      }
    }
  }

  /** The value or flight of a call that begins, or that goes on after this result of its last flight. */
  #nextFor(
    last: Flight<T> | undefined,
    result: FlightOutcome<T> | Interruption | undefined,
    key: RawKey,
    load: Load<T, T | undefined>,
    options: ResolvedLoad,
    newerThan: number,
    caller: Caller,
  ): Flight<T> | Found<T | undefined> {
    if (last !== undefined) {
      if (result?.kind === 'alone') return this.#loadAlone(key, load, options, caller, true)
      if (result?.kind === 'value') return this.#loadAlone(key, load, options, caller, false)
      // Another flight would begin beside this one, and the result of this one may be on its way.
      if (result?.kind === 'soft') return last
    }
    return this.#joinOrBegin(key, load, options, newerThan, caller)
  }

  /**
   * A load without coordination. `shared`: this thread has one for all its callers. Otherwise it is for this caller
   * alone, because callers never share an object that cannot be copied.
   */
  #loadAlone(
    key: RawKey,
    load: Load<T, T | undefined>,
    options: ResolvedLoad,
    caller: Caller,
    shared: boolean,
  ): Flight<T> {
    const id = idOf(key)
    const local = shared ? this.#alone.get(id) : undefined
    if (local !== undefined) return local
    const flight = new Flight<T>(id, { key, token: 0, handle: this.#source.handleId }, caller)
    if (shared) this.#alone.set(id, flight)
    return this.#run(flight, load, options)
  }

  #open(id: string, key: RawKey, token: number, starter: object | undefined): Flight<T> {
    const flight = new Flight<T>(id, { key, token, handle: this.#source.handleId }, starter)
    this.#flights.set(id, flight)
    return flight
  }

  /** A flight with a load elsewhere. */
  #join(id: string, key: RawKey, token: number): Flight<T> {
    const flight = this.#open(id, key, token, undefined)
    try {
      flight.recordWatch = this.#source.watch(flight)
      this.#source.recordWatches.add(flight.recordWatch, () => this.#endedElsewhere(flight))
    } catch {
      // The segment has just been lost: callers ask again, on the next one.
      this.#settle(flight, { kind: 'again' })
    }
    return flight
  }

  #endedElsewhere(flight: Flight<T>): void {
    flight.recordWatch = 0
    const outcome = this.#source.outcome(flight)
    if (outcome === undefined) this.#settle(flight, { kind: 'again' })
    else if ('alone' in outcome) this.#settle(flight, { kind: 'alone' })
    else if ('error' in outcome) this.#settle(flight, { kind: 'error', error: outcome.error })
    else this.#settle(flight, { kind: 'value', value: outcome.value as T, kept: false })
  }

  /** Runs the loader. */
  #run(flight: Flight<T>, load: Load<T, T | undefined>, options: ResolvedLoad): Flight<T> {
    this.#own.add(flight)
    const previous = this.#source.previous(flight.key)
    const over = options.lease > 0 ? performance.now() + options.lease : Number.POSITIVE_INFINITY
    const checkLease = (): void => {
      // A busy thread gets its timers late, so a read looks for itself.
      if (!flight.settled && performance.now() >= over) this.#endLease(flight, options.lease)
    }
    const context: LoadContext<T> = {
      key: givenKey(flight.key),
      get signal() {
        checkLease()
        return flight.lazy.signal
      },
      stale: previous?.value,
      token: flight.token,
      notModified: () => {
        if (previous === undefined) throw invalid('notModified needs a previous value', undefined)
        return NOT_MODIFIED as never
      },
    }
    if (options.lease > 0) {
      const end = (): void => this.#endLease(flight, options.lease)
      flight.stopLease = startTimer(options.lease, false, end)
    }
    const succeed = (result: unknown): void =>
      this.#succeed(flight, (result === NOT_MODIFIED ? previous?.value : result) as T | undefined, options)
    try {
      const result = load(context)
      if (isPromise(result)) result.then(succeed, (error: unknown) => this.#fail(flight, error))
      else succeed(result)
    } catch (error) {
      this.#fail(flight, error)
    }
    return flight
  }

  #succeed(flight: Flight<T>, value: T | undefined, options: ResolvedLoad): void {
    if (flight.ended) return
    let kept: boolean
    try {
      kept = this.#source.keep(flight, value, options)
    } catch (error) {
      return this.#fail(flight, error)
    }
    this.#end(flight)
    this.#settle(flight, { kind: 'value', value: value as T, kept })
    this.#source.report(flight.key, kept, undefined)
  }

  #fail(flight: Flight<T>, error: unknown): void {
    if (flight.ended) return
    // After its lease the loader was aborted; its error is of no use to callers.
    this.#source.end(flight, flight.settled ? undefined : { error })
    this.#end(flight)
    this.#settle(flight, { kind: 'error', error })
    this.#source.report(flight.key, false, error)
  }

  #end(flight: Flight<T>): void {
    flight.ended = true
    this.#own.delete(flight)
  }

  #endLease(flight: Flight<T>, lease: Milliseconds): void {
    this.#settle(flight, { kind: 'late', lease })
    flight.lazy.abort(leaseEnded(flight.key, lease))
  }

  #settle(flight: Flight<T>, result: FlightOutcome<T>): void {
    if (flight.settled) return
    if (this.#flights.get(flight.id) === flight) this.#flights.delete(flight.id)
    if (this.#alone.get(flight.id) === flight) this.#alone.delete(flight.id)
    if (flight.recordWatch !== 0) this.#source.recordWatches.cancel(flight.handle, flight.recordWatch)
    flight.settle(result)
  }

  /** What a call returns or throws for this result. Undefined: it asks again, waits on, or loads alone. */
  #resultFor(
    result: FlightOutcome<T> | Interruption,
    flight: Flight<T>,
    options: ResolvedLoad,
    caller: Caller,
  ): Found<T> | undefined {
    switch (result.kind) {
      case 'value':
        return flight.starter === caller ? result : this.#copyOf(flight.key, result)
      case 'error':
        return this.#staleFor(flight.key, options.staleIfError) ?? raise(result.error)
      case 'late':
        // Created for each caller: its stack then shows that caller.
        return this.#staleFor(flight.key, options.staleIfError) ?? raise(leaseEnded(flight.key, result.lease))
      case 'again':
      case 'alone':
        return undefined
      case 'soft':
        // The flight continues without callers: its late result is kept.
        flight.keep = true
        return options.staleAfterTimeout === undefined
          ? undefined
          : this.#staleFor(flight.key, options.staleAfterTimeout)
      case 'hard':
        flight.keep = true
        return this.#staleFor(flight.key, options.staleIfError) ?? raise(caller.timeoutError)
    }
  }

  /** Callers never share an object: each other caller gets a copy. Undefined: the value cannot be copied. */
  #copyOf(key: RawKey, { value, kept }: { value: T; kept: boolean }): Found<T> | undefined {
    if (typeof value !== 'object' || value === null) return { value }
    const copy = (kept ? this.#source.read(key)?.value : undefined) ?? this.#source.copy(value)
    return copy === undefined ? undefined : { value: copy }
  }

  #staleFor(key: RawKey, maxLate: Milliseconds): Found<T> | undefined {
    if (maxLate === 0) return undefined
    const previous = this.#source.previous(key)
    return previous !== undefined && previous.late <= maxLate ? previous : undefined
  }

  /** The last caller to leave abandons the flight, unless it is to continue without callers. */
  #leave(flight: Flight<T>): void {
    flight.callers--
    if (flight.callers > 0 || flight.settled) return
    if (flight.starter === undefined) return this.#settle(flight, { kind: 'again' })
    if (flight.keep) return
    this.#source.end(flight)
    this.#end(flight)
    this.#settle(flight, { kind: 'again' })
    flight.lazy.abort(new DOMException('no call waits for this load any more', 'AbortError'))
  }
}

/** The starter of background loads. */
const BACKGROUND = {}

/** A string and its UTF-8 bytes are the same key. */
function idOf(key: RawKey): string {
  if (typeof key === 'string' && /^[\0-\x7F]*$/.test(key)) return key
  return Buffer.from(key as string).toString('latin1')
}

function isPromise<T>(result: T | PromiseLike<T>): result is PromiseLike<T> {
  return typeof result === 'object' && result !== null && typeof (result as PromiseLike<T>).then === 'function'
}

function raise(error: unknown): never {
  throw error
}

function leaseEnded(key: RawKey, lease: Milliseconds): CacheError {
  const hint = 'Pass a longer lease for slow loads, and a hardTimeout for calls that must end sooner.'
  return new CacheError('ERR_TIMEOUT', `the load of ${showKey(key)} did not end within its lease, ${lease} ms`, {
    hint,
  })
}

function timedOut(key: RawKey, timeout: Milliseconds): CacheError {
  const hint = 'Call again later: the load continues, and its result is kept. Or pass a longer hardTimeout.'
  return new CacheError('ERR_TIMEOUT', `no value of ${showKey(key)} was loaded within ${timeout} ms`, { hint })
}
