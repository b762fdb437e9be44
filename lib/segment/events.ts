/**
 * The events of a cache and its listeners.
 *
 * Each event arrives in its own microtask, never inside a call, so a listener may use the cache. An error of a listener
 * is an uncaught exception, as for any event emitter; it affects neither other listeners nor the call that caused the
 * event.
 */
import type { CacheError } from '../errors.ts'
import { invalid } from '../errors.ts'
import type { Key } from '../arguments/keys.ts'

/** A part of the segment was damaged; reads of it are misses. */
export interface DamageEvent {
  /** The shard that lost entries in a repair; undefined if a read found the damage. */
  readonly shard: number | undefined
  /** The number of entries that the repair dropped; 0 if a read found the damage. */
  readonly dropped: number
  /** The reason why the read became a miss; undefined for a repair. */
  readonly error: CacheError | undefined
}

/**
 * A process died in a write, and this one undid or finished it. Nothing is lost but `dropped` damaged entries.
 */
export interface RepairedEvent {
  readonly shard: number
  readonly dropped: number
}

/** The segment was resized by this or another process. Everything goes on: entries, locks, waits and streams. */
export interface ResizedEvent {
  /** The size before, in bytes. */
  readonly from: number
  /** The size now, in bytes. */
  readonly to: number
}

/** The segment was destroyed or lost under this handle. The next call opens it again. */
export interface DetachedEvent {
  readonly name: string
  /** The file of the lost segment. */
  readonly path: string
}

/** This process removed an entry, set by any process. Other processes report their own removals. */
export interface RemovalEvent {
  /** The key of the entry; undefined for an event that only reports `lost`. */
  readonly key: Key | undefined
  /** The number of further entries removed at the same time, without their keys; 0 except for thousands at once. */
  readonly lost: number
}

/** @deprecated Use `RemovalEvent`. */
export type GoneEvent = RemovalEvent

/** `getOrSet` or `wrap` loaded a value that cannot be stored or is too large. Its callers got it; it was not kept. */
export interface UnstoredEvent {
  readonly key: Key
  /** What `set` would have thrown, such as `ERR_UNSERIALIZABLE` or `ERR_VALUE_TOO_LARGE`. */
  readonly error: CacheError
}

/** A read met an entry that was written by another codec, or by a newer version of this package, and became a miss. */
export interface MismatchEvent {
  /** The key of the entry; undefined if the read did not know it. */
  readonly key: Key | undefined
  /** `ERR_CODEC_MISMATCH`; the message names the codec of the entry. */
  readonly error: CacheError
}

/** The events of a cache, with the argument of their listeners. */
export interface CacheEvents {
  /** An entry was evicted to make room. */
  evict: RemovalEvent
  /** An entry expired. Reported when it is swept or replaced, not at its deadline. */
  expire: RemovalEvent
  damage: DamageEvent
  repaired: RepairedEvent
  resized: ResizedEvent
  detached: DetachedEvent
  unstored: UnstoredEvent
  mismatch: MismatchEvent
}

type Listener = (event: never) => void

/** The listeners of one cache. */
export class EventListeners {
  readonly #registered: Record<keyof CacheEvents, { listener: Listener }[]> = {
    evict: [],
    expire: [],
    damage: [],
    repaired: [],
    resized: [],
    detached: [],
    unstored: [],
    mismatch: [],
  }

  /** Calls `listener` at each event until the returned function is called. The same function may be added twice. */
  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    const registered = this.#of(event)
    if (typeof listener !== 'function') throw invalid('a listener must be a function', listener)
    const registration = { listener }
    registered.push(registration)
    return () => remove(registered, registered.indexOf(registration))
  }

  /** Removes the latest registration of this function, if there is one. */
  off<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): void {
    const registered = this.#of(event)
    remove(registered, registered.map((registration) => registration.listener).lastIndexOf(listener))
  }

  emit<E extends keyof CacheEvents>(event: E, details: CacheEvents[E]): void {
    for (const { listener } of this.#registered[event]) {
      queueMicrotask(() => (listener as (event: CacheEvents[E]) => void)(details))
    }
  }

  /** Whether one of these events has a listener. */
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
