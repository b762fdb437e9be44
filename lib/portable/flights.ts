/**
 * Flights: the load of a key, or what is done once. `crates/core/src/records/flights.rs` is the original.
 *
 * A set, delete, take or clear during a flight is newer than its result: the callers get the result, but it is not kept.
 */
import { Kind, MAX_OUTCOME } from '../native/layout.ts'
import { Purpose } from './entry.ts'
import type { Space } from './entry.ts'
import { Failure, statusOf } from './failure.ts'
import type { StoredKey } from './keys.ts'
import { REMOVE, readRecord, storeRecord } from './records.ts'
import type { Becomes } from './records.ts'
import type { Store, Write } from './store.ts'
import type { Tags } from './tags.ts'

interface Flight {
  readonly token: number
  /** 0: never. */
  readonly leaseEnd: number
  readonly life: number
  readonly clock: number
}

interface Outcome {
  readonly token: number
  readonly until: number
  readonly bytes: Uint8Array
  readonly failed: boolean
}

interface Board {
  readonly flight: Flight | undefined
  readonly outcomes: readonly Outcome[]
}

/** The answer to a caller that asks for a load. */
export type FlightStart =
  { readonly state: 'fresh' | 'joined' | 'begun'; readonly number: number } | { readonly state: 'absent' | 'resting' }

export type Finish = { readonly kept: number } | 'refused' | 'dropped'

const OUTCOME_MS = 10_000
const REST_MS = 1000
const MAX_OUTCOMES = 4
const GRACE_MS = 60_000
const NONE: Board = { flight: undefined, outcomes: [] }

/** What flights need of their segment. */
export interface FlightSource {
  readonly store: Store
  /** The clock of invalidations. */
  readonly tagClock: number
  tags(namespace: number): Tags
}

/** The flights of one key. */
export class Flights {
  readonly #source: FlightSource
  readonly #values: Space
  readonly #flights: Space
  readonly #key: StoredKey

  constructor(source: FlightSource, namespace: number, once: boolean, key: StoredKey, version = 0) {
    this.#source = source
    const { store } = source
    this.#values = once ? store.space(namespace, Purpose.Once) : store.space(namespace, Purpose.Values, version)
    this.#flights = once
      ? store.space(namespace, Purpose.OnceFlights)
      : store.space(namespace, Purpose.Flights, version)
    this.#key = key
  }

  begin(lease: number, newerThan: number, background: boolean): FlightStart {
    const { store, tagClock } = this.#source
    const value = this.#values.entries.get(this.#key.text)
    if (value !== undefined && value.version > newerThan && store.isCurrent(value)) {
      return value.kind === Kind.Absent ? { state: 'absent' } : { state: 'fresh', number: value.version }
    }
    const now = store.now()
    const board = this.#read()
    const { flight } = board
    if (flight !== undefined && this.#canBeJoined(flight, now)) return { state: 'joined', number: flight.token }
    if (background && rests(board, now)) return { state: 'resting' }
    const token = store.nextVersion
    const leaseEnd = lease === 0 ? 0 : now + lease
    const next = { flight: { token, leaseEnd, life: this.#values.life, clock: tagClock }, outcomes: purged(board, now) }
    const ttl = lease === 0 ? 0 : lease + Math.max(lease, GRACE_MS)
    storeRecord(store, this.#flights, this.#key, { record: next, words: wordsOf(next), ttl })
    return { state: 'begun', number: token }
  }

  /** Stores the result and ends the flight. After an error it is still on. */
  finish(token: number, write: Write): Finish {
    const { store } = this.#source
    store.checkSize(this.#key, write)
    const { flight } = this.#read()
    if (flight?.token !== token) return 'refused'
    let version: number | undefined
    // mutant: portable-load-outlives-clear
    if (flight.life === this.#values.life) {
      const fate = this.#source.tags(this.#values.namespace).fate(write.tags, flight.clock)
      version = store.write(this.#values, this.#key, write)
      const entry = this.#values.entries.get(this.#key.text)
      if (version !== undefined && entry?.version === version) {
        // mutant: portable-load-outlives-tags
        if (fate === 'dead') store.remove(entry, 'cleared')
        if (fate === 'stale') store.outdate(entry)
      }
    }
    this.outdate()
    return version === undefined ? 'dropped' : { kept: version }
  }

  /** Ends a flight; `outcome` is for its waiters. False: it was over. */
  end(token: number, outcome?: Uint8Array, failed = false): boolean {
    const { store } = this.#source
    const now = store.now()
    const board = this.#read()
    if (board.flight?.token !== token) return false
    let outcomes = purged(board, now)
    const isKept = outcome !== undefined && outcome.length <= MAX_OUTCOME
    if (isKept) outcomes = [...outcomes, { token, until: now + OUTCOME_MS, bytes: new Uint8Array(outcome), failed }]
    const next: Board = { flight: undefined, outcomes }
    const becomes: Becomes<Board> =
      outcomes.length === 0 ? REMOVE : { record: next, words: wordsOf(next), ttl: OUTCOME_MS }
    try {
      storeRecord(store, this.#flights, this.#key, becomes)
    } catch (error) {
      if (!isKept || !(error instanceof Failure) || error.status !== statusOf('ERR_NO_SPACE')) throw error
      return this.end(token)
    }
    return true
  }

  /** The outcome with which a flight ended. */
  outcome(token: number): Uint8Array | undefined {
    return this.#read().outcomes.find((outcome) => outcome.token === token)?.bytes
  }

  /** Whether a new caller may wait for this flight. */
  isOn(token: number): boolean {
    const { flight } = this.#read()
    return flight?.token === token && this.#canBeJoined(flight, this.#source.store.now())
  }

  /** Whether the flight has ended, or its lease. */
  isOver(token: number): boolean {
    const { flight } = this.#read()
    return flight?.token !== token || isLate(flight, this.#source.store.now())
  }

  /** The end of the lease; Infinity: none. */
  nextEnd(): number {
    return this.#read().flight?.leaseEnd || Number.POSITIVE_INFINITY
  }

  /** Ends the flight of a key that changes: its load is older than the change. */
  outdate(): void {
    if (this.#flights.entries.size === 0) return
    const entry = this.#flights.entries.get(this.#key.text)
    if (entry !== undefined) this.#source.store.delete(entry)
  }

  /** The result of what was done once. */
  result(): Uint8Array | undefined {
    const entry = this.#source.store.fresh(this.#values, this.#key.text)
    return entry?.value as Uint8Array | undefined
  }

  #read(): Board {
    if (this.#flights.entries.size === 0) return NONE
    return readRecord<Board>(this.#source.store, this.#flights, this.#key.text) ?? NONE
  }

  #canBeJoined(flight: Flight, now: number): boolean {
    return !isLate(flight, now) && flight.life === this.#values.life
  }
}

/** The token of the load that a record of flights holds. */
export function tokenOf(board: unknown): number | undefined {
  return (board as Board | undefined)?.flight?.token
}

function isLate({ leaseEnd }: Flight, now: number): boolean {
  return leaseEnd !== 0 && now >= leaseEnd
}

function rests({ outcomes }: Board, now: number): boolean {
  return outcomes.some(({ failed, until }) => failed && now + OUTCOME_MS < until + REST_MS)
}

/** The outcomes that are kept beside a new one: none past its lifetime, and not the oldest of too many. */
function purged({ outcomes }: Board, now: number): readonly Outcome[] {
  const current = outcomes.filter(({ until }) => now < until)
  return current.length < MAX_OUTCOMES ? current : current.slice(1 - MAX_OUTCOMES)
}

function wordsOf({ outcomes }: Board): number {
  return 5 + outcomes.reduce((sum, { bytes }) => sum + 3 + Math.ceil(bytes.length / 8), 0)
}
