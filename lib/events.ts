/**
 * What a cache tells its listeners.
 *
 * Events arrive in a microtask of their own, never from inside a call: a listener may use the cache, and may throw. What it
 * throws is an uncaught exception, as with any event emitter; other listeners and the call that caused the event go on.
 */
import type { CacheError } from './errors.ts'
import { invalid } from './errors.ts'
import type { Key } from './values.ts'

/** Something in the segment was damaged; reads that touch it are misses. */
export interface DamageEvent {
  /** The shard that lost entries in a repair; undefined if it was a read that found the damage. */
  readonly shard: number | undefined
  /** How many entries the repair had to drop; 0 if it was a read. */
  readonly dropped: number
  /** Why the read became a miss; undefined if it was a repair. */
  readonly error: CacheError | undefined
}

/** A shard whose holder had died was rebuilt. Every acknowledged write is still there, but for `dropped` damaged entries. */
export interface RepairedEvent {
  readonly shard: number
  readonly dropped: number
}

/** The segment was destroyed or lost under this handle; the handle opens it anew with its next call. */
export interface DetachedEvent {
  readonly name: string
  /** The file of the segment that was left. */
  readonly path: string
}

/** An entry that this process had to remove, whoever set it; other processes tell of theirs. */
export interface GoneEvent {
  /** Its key; undefined where only `lost` has something to say. */
  readonly key: Key | undefined
  /** How many more went at the same moment and cannot be named; 0 but for thousands at once. */
  readonly lost: number
}

/** The events of a cache and what their listeners get. */
export interface CacheEvents {
  /** An entry made room for another. */
  evict: GoneEvent
  /** An entry's time was up, which shows when it is swept or replaced, not at its deadline. */
  expire: GoneEvent
  damage: DamageEvent
  repaired: RepairedEvent
  detached: DetachedEvent
}

type Listener = (event: never) => void

/** The listeners of one cache. */
export class Listeners {
  readonly #registered: Record<keyof CacheEvents, { listener: Listener }[]> = {
    evict: [],
    expire: [],
    damage: [],
    repaired: [],
    detached: [],
  }

  /** Calls `listener` at each event until the returned function is called; the same function may listen twice. */
  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    const registered = this.#of(event)
    if (typeof listener !== 'function') throw invalid('a listener must be a function', listener)
    const registration = { listener }
    registered.push(registration)
    return () => remove(registered, registered.indexOf(registration))
  }

  /** Takes back the latest `on` of this function; nothing happens if there is none. */
  off<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): void {
    const registered = this.#of(event)
    remove(registered, registered.map((registration) => registration.listener).lastIndexOf(listener))
  }

  emit<E extends keyof CacheEvents>(event: E, details: CacheEvents[E]): void {
    for (const { listener } of this.#registered[event]) {
      queueMicrotask(() => (listener as (event: CacheEvents[E]) => void)(details))
    }
  }

  /** Whether anybody listens to one of these. */
  has(...events: readonly (keyof CacheEvents)[]): boolean {
    return events.some((event) => this.#registered[event].length > 0)
  }

  #of(event: keyof CacheEvents): { listener: Listener }[] {
    if (typeof event === 'string' && Object.hasOwn(this.#registered, event)) return this.#registered[event]
    throw invalid(`an event is one of ${Object.keys(this.#registered).join(', ')}`, event)
  }
}

function remove(registered: unknown[], index: number): void {
  if (index !== -1) registered.splice(index, 1)
}
