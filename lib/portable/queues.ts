/**
 * Queues of work: items that are taken and acknowledged. `crates/core/src/records/queues.rs` is the original.
 *
 * All takers are in this thread and alive: a handle that is closed gives back what it has.
 */
import type { Space } from './entry.ts'
import { Purpose } from './entry.ts'
import { noSpace } from './failure.ts'
import { bytesOf, readKey } from './keys.ts'
import type { StoredKey } from './keys.ts'
import { deadlineIn } from './permits.ts'
import { KEEP, REMOVE, readRecord, storeRecord } from './records.ts'
import type { Store } from './store.ts'
import { Kind } from '../native/layout.ts'

interface Ready {
  readonly item: number
  readonly times: number
}

interface Hand extends Ready {
  readonly token: number
  /** 0: none. */
  readonly deadline: number
  /** The ticket that it was handed to; 0: none. */
  readonly ticket: number
}

interface Waiter {
  readonly ticket: number
  readonly visibility: number
}

/** The record of a queue. It is never changed in place. */
interface Table {
  readonly ready: readonly Ready[]
  readonly hand: readonly Hand[]
  readonly waiters: readonly Waiter[]
  readonly dead: readonly Ready[]
}

/** An item in hand. */
export type Taken = Omit<Hand, 'ticket'>

/** A number is a ticket. */
export type Turn = Taken | number | undefined

const EMPTY: Table = { ready: [], hand: [], waiters: [], dead: [] }
/** Maximum size of a record, in words. */
const MAX_WORDS = 8192
const MAX_ITEMS = 1000

/** One queue. */
export class Queue {
  readonly #store: Store
  readonly #space: Space
  readonly #items: Space
  readonly #key: StoredKey
  readonly #bytes: Uint8Array

  constructor(store: Store, namespace: number, key: StoredKey) {
    this.#store = store
    this.#space = store.space(namespace, Purpose.Queues)
    this.#items = store.space(namespace, Purpose.QueueItems)
    this.#key = key
    this.#bytes = bytesOf(key.text)
  }

  /** Adds an item, and returns its number; 0: the queue is full. */
  push(value: Uint8Array, capacity: number, attempts: number): number {
    const { ready, hand, dead } = this.#read()
    if (ready.length + hand.length + dead.length >= Math.min(capacity, MAX_ITEMS)) return 0
    const item = this.#store.nextVersion
    const bytes = new Uint8Array(value)
    const write = { value: bytes, length: bytes.length, kind: Kind.Uint8Array, ttl: 0, stale: 0, tags: [] }
    this.#store.checkSize(this.#keyOf(item), write)
    const stored = this.#store.write(this.#items, this.#keyOf(item), { ...write, keepTtl: false, keepTags: false })
    if (stored === undefined) throw noSpace("the shard is full and eviction is 'none'")
    try {
      this.#change(attempts, (table) => [{ ...table, ready: [...table.ready, { item, times: 0 }] }, undefined])
    } catch (error) {
      this.#end(item)
      throw error
    }
    return item
  }

  /** Takes the first ready item; otherwise enters the queue if `wait`. */
  take(visibility: number, attempts: number, wait: boolean): Turn {
    return this.#change<Turn>(attempts, (table, version, now) => {
      const [first, ...ready] = table.ready
      if (first !== undefined && table.waiters.length === 0) {
        const deadline = deadlineIn(now, visibility)
        const taken = { item: first.item, times: first.times + 1, token: version, deadline }
        return [grow({ ...table, ready, hand: [...table.hand, { ...taken, ticket: 0 }] }), taken]
      }
      if (!wait) return [table, undefined]
      return [grow({ ...table, waiters: [...table.waiters, { ticket: version, visibility }] }), version]
    })
  }

  turn(ticket: number): Turn {
    const now = this.#store.now()
    const { hand, waiters } = this.#read()
    const handed = hand.find((item) => item.ticket === ticket && !isOver(item, now))
    if (handed !== undefined) return handed
    return waiters.some((waiter) => waiter.ticket === ticket) ? ticket : undefined
  }

  /** Leaves with a ticket. An item that was handed to it was not taken. */
  leave(ticket: number, attempts: number): void {
    this.#change(attempts, (table) => {
      const handed = table.hand.find((item) => item.ticket === ticket)
      if (handed !== undefined) return [putBack(table, handed, handed.times - 1, attempts), undefined]
      const waiters = table.waiters.filter((waiter) => waiter.ticket !== ticket)
      return [waiters.length < table.waiters.length ? { ...table, waiters } : table, undefined]
    })
  }

  /** The value of an item; undefined: it has ended. */
  value(item: number): Uint8Array | undefined {
    return this.#store.fresh(this.#items, this.#keyOf(item).text)?.value as Uint8Array | undefined
  }

  acknowledge(item: number, token: number, attempts: number): boolean {
    const now = this.#store.now()
    const held = this.#read().hand.some((hand) => isIt(hand, item, token) && !isOver(hand, now))
    return held && this.discard(item, attempts)
  }

  /** Ends an item, wherever it is. False: it had ended. */
  discard(item: number, attempts: number): boolean {
    const ended = this.#end(item)
    const isOther = (one: Ready): boolean => one.item !== item
    this.#change(attempts, (table) => {
      const { ready, hand, dead } = table
      if ([...ready, ...hand, ...dead].every(isOther)) return [table, undefined]
      return [
        { ...table, ready: ready.filter(isOther), hand: hand.filter(isOther), dead: dead.filter(isOther) },
        undefined,
      ]
    })
    return ended
  }

  release(item: number, token: number, attempts: number): boolean {
    return this.#change(attempts, (table) => {
      const held = table.hand.find((hand) => isIt(hand, item, token))
      return held === undefined ? [table, false] : [putBack(table, held, held.times, attempts), true]
    })
  }

  /** The new deadline; undefined: it is no longer in hand. */
  extend(item: number, token: number, visibility: number, attempts: number): number | undefined {
    return this.#change<number | undefined>(attempts, (table, _, now) => {
      const at = table.hand.findIndex((hand) => isIt(hand, item, token))
      if (at === -1) return [table, undefined]
      const deadline = deadlineIn(now, visibility)
      return [{ ...table, hand: table.hand.with(at, { ...(table.hand[at] as Hand), deadline }) }, deadline]
    })
  }

  /** Makes the items that were put aside ready again, and returns their number. */
  revive(): number {
    return this.#change(0, (table) => {
      if (table.dead.length === 0) return [table, 0]
      const revived = table.dead.map(({ item }) => ({ item, times: 0 }))
      return [{ ...table, ready: [...table.ready, ...revived], dead: [] }, revived.length]
    })
  }

  dead(): number[] {
    return this.#read().dead.map(({ item }) => item)
  }

  counts(attempts: number): [ready: number, taken: number, dead: number, waiting: number] {
    const { ready, hand, dead, waiters } = settle(this.#read(), 0, this.#store.now(), attempts)
    return [ready.length, hand.length, dead.length, waiters.length]
  }

  /** Takes back what is past its deadline. */
  settle(attempts: number): void {
    this.#change(attempts, (table) => [table, undefined])
  }

  /** The next moment at which an item in hand is taken back; Infinity: never. */
  nextEnd(): number {
    return Math.min(Infinity, ...this.#read().hand.map(({ deadline }) => deadline || Infinity))
  }

  #end(item: number): boolean {
    const entry = this.#store.fresh(this.#items, this.#keyOf(item).text)
    if (entry !== undefined) this.#store.delete(entry)
    return entry !== undefined
  }

  #keyOf(item: number): StoredKey {
    const number = Buffer.alloc(8)
    number.writeBigUInt64LE(BigInt(item))
    return readKey(Buffer.concat([this.#bytes, number]))
  }

  #change<R>(attempts: number, change: (table: Table, version: number, now: number) => readonly [Table, R]): R {
    const [now, version, before] = [this.#store.now(), this.#store.nextVersion, this.#read()]
    const [changed, result] = change(settle(before, version, now, attempts), version, now)
    this.#write(settle(changed, version, now, attempts), before)
    return result
  }

  #read(): Table {
    return readRecord<Table>(this.#store, this.#space, this.#key.text) ?? EMPTY
  }

  #write(table: Table, before: Table): void {
    const { ready, hand, waiters, dead } = table
    const isEmpty = ready.length + hand.length + waiters.length + dead.length === 0
    const becomes = table === before ? KEEP : isEmpty ? REMOVE : { record: table, words: wordsOf(table), ttl: 0 }
    storeRecord(this.#store, this.#space, this.#key, becomes)
  }
}

/** The table after what is past its deadline went back, and waiters got what is ready. */
function settle(table: Table, version: number, now: number, attempts: number): Table {
  let settled = table
  for (const hand of table.hand) if (isOver(hand, now)) settled = putBack(settled, hand, hand.times, attempts)
  while (settled.ready.length > 0 && settled.waiters.length > 0) {
    const [[first, ...ready], [waiter, ...waiters]] = [settled.ready, settled.waiters] as [
      [Ready, ...Ready[]],
      Waiter[],
    ]
    const { ticket = 0, visibility = 0 } = waiter ?? {}
    const deadline = deadlineIn(now, visibility)
    const handed = { item: first.item, times: first.times + 1, token: version, deadline, ticket }
    settled = { ...settled, ready, waiters, hand: [...settled.hand, handed] }
  }
  return settled
}

/** Puts an item in hand to its place in the order, or aside if it was taken as often as it may be. */
function putBack(table: Table, { item }: Hand, times: number, attempts: number): Table {
  const hand = table.hand.filter((other) => other.item !== item)
  if (attempts !== 0 && times >= attempts) return { ...table, hand, dead: [...table.dead, { item, times }] }
  const after = table.ready.findIndex((ready) => ready.item > item)
  const place = after === -1 ? table.ready.length : after
  return { ...table, hand, ready: table.ready.toSpliced(place, 0, { item, times }) }
}

function isIt(hand: Hand, item: number, token: number): boolean {
  return hand.item === item && hand.token === token
}

function isOver({ deadline }: Hand, now: number): boolean {
  return deadline !== 0 && now >= deadline
}

function grow(table: Table): Table {
  if (wordsOf(table) > MAX_WORDS) throw noSpace('too many have an item of the queue or wait for one at once')
  return table
}

function wordsOf({ ready, hand, waiters, dead }: Table): number {
  return 5 + 2 * (ready.length + dead.length) + 6 * hand.length + 3 * waiters.length
}
