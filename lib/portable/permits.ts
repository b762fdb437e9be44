/**
 * Permits of locks, semaphores and elections: holders, and a queue of waiters. A release grants the permit to the first
 * waiter in the same step. `crates/core/src/records/permits.rs` is the original.
 *
 * All owners are in this thread and alive: a handle that is closed gives back what it holds.
 */
import { noSpace } from './failure.ts'
import { Purpose } from './entry.ts'
import type { Space } from './entry.ts'
import type { StoredKey } from './keys.ts'
import { KEEP, REMOVE, readRecord, storeRecord } from './records.ts'
import type { Store } from './store.ts'

interface Holder {
  readonly token: number
  /** 0: none. */
  readonly deadline: number
  /** The ticket that it waited with; 0: none. */
  readonly ticket: number
}

interface Waiter {
  readonly ticket: number
  readonly ttl: number
}

/** A record of permits. It is never changed in place. */
interface Table {
  readonly holders: readonly Holder[]
  readonly waiters: readonly Waiter[]
  /** Of an event. */
  readonly isSet: boolean
}

/** A granted permit. */
export interface Grant {
  readonly token: number
  readonly deadline: number
}

/** What opens a gate for those that come. */
export type Gate =
  { readonly kind: 'event' } | { readonly kind: 'barrier'; readonly parties: number } | { readonly kind: 'condition' }

export type TicketState = { readonly grant: Grant } | 'waiting' | 'lost'

/** Maximum size of a record, in words. */
const MAX_WORDS = 8192
const EMPTY: Table = { holders: [], waiters: [], isSet: false }

/** The permits of one key. */
export class PermitRecord {
  readonly #store: Store
  readonly #space: Space
  readonly #key: StoredKey

  constructor(store: Store, space: Space, key: StoredKey) {
    this.#store = store
    this.#space = space
    this.#key = key
  }

  /** Takes a permit; otherwise enters the queue if `wait`. A number is a ticket. */
  acquire(permits: number, ttl: number, wait: boolean): Grant | number | undefined {
    return this.#change<Grant | number | undefined>(permits, (table, version, now) => {
      if (table.holders.length < permits && table.waiters.length === 0) {
        const grant = { token: version, deadline: deadlineIn(now, ttl) }
        return [grow(table, { holders: [...table.holders, { ...grant, ticket: 0 }] }), grant]
      }
      if (!wait) return [table, undefined]
      return [grow(table, { waiters: [...table.waiters, { ticket: version, ttl }] }), version]
    })
  }

  /** Releases a permit. False: it was no longer held. */
  release(token: number, permits: number): boolean {
    return this.#change(permits, (table, version, now) => {
      const holders = table.holders.filter((holder) => holder.token !== token)
      if (holders.length === table.holders.length) return [table, false]
      return [grantFirst({ ...table, holders }, permits, version, now), true]
    })
  }

  /** Gives a permit a new lifetime; returns its deadline. Undefined: it is no longer held. */
  extend(token: number, ttl: number): number | undefined {
    const now = this.#store.now()
    const table = this.#read()
    const at = table.holders.findIndex((holder) => holder.token === token && !isOver(holder, now))
    if (at === -1) return undefined
    const deadline = deadlineIn(now, ttl)
    const holders = table.holders.with(at, { ...(table.holders[at] as Holder), deadline })
    this.#write({ ...table, holders })
    return deadline
  }

  holds(token: number): boolean {
    const now = this.#store.now()
    return this.#read().holders.some((holder) => holder.token === token && !isOver(holder, now))
  }

  ticketState(ticket: number): TicketState {
    const now = this.#store.now()
    const { holders, waiters } = this.#read()
    const granted = holders.find((holder) => holder.ticket === ticket && !isOver(holder, now))
    if (granted !== undefined) return { grant: { token: granted.token, deadline: granted.deadline } }
    return waiters.some((waiter) => waiter.ticket === ticket) ? 'waiting' : 'lost'
  }

  /** Leaves the queue. A permit that was granted meanwhile goes to the next waiter. */
  cancel(ticket: number, permits: number): void {
    this.#change(permits, (table, version, now) => {
      const holders = table.holders.filter((holder) => holder.ticket !== ticket)
      if (holders.length < table.holders.length) {
        // A caller that was notified and gives up lets the next one pass.
        const without =
          this.#space.purpose === Purpose.Conditions ? letPass({ ...table, holders }, 1) : { ...table, holders }
        return [grantFirst(without, permits, version, now), undefined]
      }
      const waiters = table.waiters.filter((waiter) => waiter.ticket !== ticket)
      return [waiters.length < table.waiters.length ? { ...table, waiters } : table, undefined]
    })
  }

  /** The deadlines of the holders, 0: none, and the number of waiters. */
  parties(): { deadlines: number[]; waiters: number } {
    const { holders, waiters } = purge(this.#read(), this.#store.now())
    return { deadlines: holders.map(({ deadline }) => deadline), waiters: waiters.length }
  }

  counts(): [held: number, waiting: number] {
    const { holders, waiters } = purge(this.#read(), this.#store.now())
    return [holders.length, waiters.length]
  }

  /** Passes the gate of an event, a barrier or a condition, or enters its queue; then the result is a ticket. */
  enter(gate: Gate): Grant | number {
    return this.#change<Grant | number>(0, (table, version) => {
      const passed = { token: version, deadline: 0 }
      if (gate.kind === 'event' && table.isSet) return [table, passed]
      if (gate.kind === 'barrier' && table.waiters.length + 1 >= gate.parties) {
        return [letPass(table, table.waiters.length), passed]
      }
      return [grow(table, { waiters: [...table.waiters, { ticket: version, ttl: 0 }] }), version]
    })
  }

  /** Lets the first waiters pass, up to `count`, and returns their number. */
  notify(count: number): number {
    return this.#change(0, (table) => {
      const passed = Math.min(count, table.waiters.length)
      return [letPass(table, passed), passed]
    })
  }

  /** Sets the event, and lets all waiters pass; or clears it. Returns whether that changed it. */
  setEvent(isSet: boolean): boolean {
    return this.#change(0, (table) => {
      if (table.isSet === isSet) return [table, false]
      return [{ ...(isSet ? letPass(table, table.waiters.length) : table), isSet }, true]
    })
  }

  /** Whether the event is set, and the number of waiters. */
  gateState(): [isSet: boolean, waiting: number] {
    const { isSet, waiters } = this.#read()
    return [isSet, waiters.length]
  }

  /** Removes the holders past their deadline, and grants free permits. */
  grantNext(permits: number): void {
    this.#change(permits, (table) => [table, undefined])
  }

  /** The next moment at which a holder is over; Infinity: never. */
  nextEnd(): number {
    const deadlines = this.#read().holders.map(({ deadline }) => deadline || Number.POSITIVE_INFINITY)
    return Math.min(Number.POSITIVE_INFINITY, ...deadlines)
  }

  #change<R>(permits: number, change: (table: Table, version: number, now: number) => readonly [Table, R]): R {
    const now = this.#store.now()
    const before = this.#read()
    const [after, result] = change(purge(before, now), this.#store.nextVersion, now)
    this.#write(after, before)
    for (;;) {
      const table = this.#read()
      const granted = grantFirst(table, permits, this.#store.nextVersion, now)
      if (granted === table) return result
      try {
        this.#write(granted)
      } catch {
        // The change that was asked for is done. Waiters look for their permits themselves.
        return result
      }
    }
  }

  #read(): Table {
    return readRecord<Table>(this.#store, this.#space, this.#key.text) ?? EMPTY
  }

  #write(table: Table, before?: Table): void {
    const { holders, waiters, isSet } = table
    const isEmpty = holders.length === 0 && waiters.length === 0 && !isSet
    const becomes = table === before ? KEEP : isEmpty ? REMOVE : { record: table, words: wordsOf(table), ttl: 0 }
    storeRecord(this.#store, this.#space, this.#key, becomes)
  }
}

/** The table without the holders past their deadline. */
function purge(table: Table, now: number): Table {
  const holders = table.holders.filter((holder) => !isOver(holder, now))
  return holders.length === table.holders.length ? table : { ...table, holders }
}

/** Grants a free permit to the first waiter. */
function grantFirst(table: Table, permits: number, version: number, now: number): Table {
  // mutant: portable-passes-over-waiters
  const [first, ...waiters] = table.waiters
  if (first === undefined || table.holders.length >= permits) return table
  const holder = { token: version, deadline: deadlineIn(now, first.ttl), ticket: first.ticket }
  return { ...table, holders: [...table.holders, holder], waiters }
}

/** The table after its first waiters became holders, each under its ticket. */
function letPass(table: Table, count: number): Table {
  const passing = table.waiters.slice(0, count).map(({ ticket }) => ({ token: ticket, deadline: 0, ticket }))
  if (passing.length === 0) return table
  return { ...table, holders: [...table.holders, ...passing], waiters: table.waiters.slice(count) }
}

function grow(table: Table, change: Partial<Table>): Table {
  const grown = { ...table, ...change }
  if (wordsOf(grown) > MAX_WORDS) throw noSpace('too many hold it or wait for it at once')
  return grown
}

function wordsOf({ holders, waiters }: Table): number {
  return 1 + 4 * (holders.length + waiters.length)
}

function isOver({ deadline }: Holder, now: number): boolean {
  return deadline !== 0 && now >= deadline
}

export function deadlineIn(now: number, ttl: number): number {
  return ttl === 0 ? 0 : now + ttl
}
