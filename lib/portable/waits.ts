/**
 * Waits for an entry of a key, and record watches: waits for a permit, or for the end of a flight. Each ends once, and
 * its listener gets its number once.
 */
import { Notice } from '../native/layout.ts'
import { Purpose } from './entry.ts'
import type { Entry, Space } from './entry.ts'
import { Flights } from './flights.ts'
import type { FlightSource } from './flights.ts'
import type { StoredKey } from './keys.ts'
import { Batch, post } from './notices.ts'
import type { Listener } from './notices.ts'
import { PermitRecord } from './permits.ts'
import { Queue } from './queues.ts'
import type { Store } from './store.ts'

/** Something that waits for a key. */
interface Item<T> {
  readonly id: number
  readonly listener: Listener
  readonly place: string
  readonly awaits: T
}

/** A table of items by what they wait for. */
class Items<T> {
  readonly #byId = new Map<number, Item<T>>()
  readonly #byPlace = new Map<string, Set<Item<T>>>()
  #lastId = 0

  get size(): number {
    return this.#byId.size
  }

  add(listener: Listener, place: string, awaits: T): Item<T> {
    const item = { id: ++this.#lastId, listener, place, awaits }
    this.#byId.set(item.id, item)
    const others = this.#byPlace.get(place)
    if (others === undefined) this.#byPlace.set(place, new Set([item]))
    else others.add(item)
    return item
  }

  remove(id: number): void {
    const item = this.#byId.get(id)
    if (item === undefined) return
    this.#byId.delete(id)
    const others = this.#byPlace.get(item.place)
    others?.delete(item)
    if (others?.size === 0) this.#byPlace.delete(item.place)
  }

  removeOf(listener: Listener): void {
    for (const item of this.#byId.values()) if (item.listener === listener) this.remove(item.id)
  }

  at(place: string): Item<T>[] {
    return [...(this.#byPlace.get(place) ?? [])]
  }

  all(): Item<T>[] {
    return [...this.#byId.values()]
  }
}

/** Waits for entries. */
export class Waits {
  readonly #store: Store
  /** `awaits`: the version that the entry must be above. */
  readonly #items = new Items<number>()

  constructor(store: Store) {
    this.#store = store
  }

  start(listener: Listener, space: Space, key: StoredKey, after: number): number {
    const { id } = this.#items.add(listener, placeOf(space, key.text), after)
    const entry = this.#store.fresh(space, key.text)
    if (entry !== undefined && entry.version > after) {
      this.#items.remove(id)
      post(listener, Notice.Waits, [id])
    }
    return id
  }

  cancel(id: number): void {
    this.#items.remove(id)
  }

  endOf(listener: Listener): void {
    this.#items.removeOf(listener)
  }

  written(entry: Entry): void {
    if (this.#items.size === 0 || !this.#store.isFresh(entry)) return
    const ready = new Batch(Notice.Waits)
    for (const { id, listener, awaits } of this.#items.at(placeOf(entry.space, entry.text))) {
      if (entry.version <= awaits) continue
      this.#items.remove(id)
      ready.add(listener, id)
    }
    ready.post()
  }
}

/** The awaited change of a record. */
export type Awaited =
  | { readonly ticket: number; readonly permits: number }
  | { readonly turn: number; readonly attempts: number }
  | { readonly token: number; readonly once: boolean }

interface RecordWatch {
  readonly space: Space
  readonly key: StoredKey
  readonly awaited: Awaited
}

/** Waits for changes of records. */
export class RecordWatches {
  readonly #source: FlightSource
  readonly #items = new Items<RecordWatch>()
  readonly #due: (at: number) => void

  /** `due`: asks for `check` at a moment. */
  constructor(source: FlightSource, due: (at: number) => void) {
    this.#source = source
    this.#due = due
  }

  start(listener: Listener, space: Space, key: StoredKey, awaited: Awaited): number {
    const watch = { space, key, awaited }
    const { id } = this.#items.add(listener, placeOf(space, key.text), watch)
    if (this.#isOver(watch)) {
      this.#items.remove(id)
      post(listener, Notice.RecordWatches, [id])
    } else {
      this.#due(this.#nextEnd(watch))
    }
    return id
  }

  cancel(id: number): void {
    this.#items.remove(id)
  }

  endOf(listener: Listener): void {
    this.#items.removeOf(listener)
  }

  /** A record has changed. */
  changed({ space, text }: Entry): void {
    if (this.#items.size > 0) this.#report(this.#items.at(placeOf(space, text)))
  }

  /** Time has passed: holders or leases may be over. */
  check(): void {
    if (this.#items.size === 0) return
    const probed = new Set<string>()
    for (const { place, awaits } of this.#items.all()) {
      if (probed.has(place)) continue
      probed.add(place)
      const { awaited } = awaits
      if ('ticket' in awaited) this.#permits(awaits).grantNext(awaited.permits)
      else if ('turn' in awaited) this.#queue(awaits).settle(awaited.attempts)
    }
    this.#report(this.#items.all())
  }

  #report(items: readonly Item<RecordWatch>[]): void {
    const ready = new Batch(Notice.RecordWatches)
    for (const { id, listener, awaits } of items) {
      if (this.#isOver(awaits)) {
        this.#items.remove(id)
        ready.add(listener, id)
      } else {
        this.#due(this.#nextEnd(awaits))
      }
    }
    ready.post()
  }

  #isOver({ space, key, awaited }: RecordWatch): boolean {
    if ('token' in awaited) return this.#flights({ space, key, awaited }).isOver(awaited.token)
    if ('turn' in awaited) return typeof this.#queue({ space, key, awaited }).turn(awaited.turn) !== 'number'
    return this.#permits({ space, key, awaited }).ticketState(awaited.ticket) !== 'waiting'
  }

  #nextEnd(watch: RecordWatch): number {
    if ('turn' in watch.awaited) return this.#queue(watch).nextEnd()
    return 'token' in watch.awaited ? this.#flights(watch).nextEnd() : this.#permits(watch).nextEnd()
  }

  #flights({ space, key }: RecordWatch): Flights {
    return new Flights(this.#source, space.namespace, space.purpose === Purpose.OnceFlights, key, space.version)
  }

  #queue({ space, key }: RecordWatch): Queue {
    return new Queue(this.#source.store, space.namespace, key)
  }

  #permits({ space, key }: RecordWatch): PermitRecord {
    return new PermitRecord(this.#source.store, space, key)
  }
}

function placeOf({ namespace, purpose, version }: Space, text: string): string {
  return `${namespace}.${purpose}.${version}.${text}`
}
