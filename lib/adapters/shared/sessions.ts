/**
 * The sessions in the namespace of a session store: text by the identifier of the session, or a mark that it has ended.
 */
import type { Entry, Key } from '../../arguments/keys.ts'
import type { NamespaceOptions } from '../../arguments/options.ts'
import { MAX_DURATION } from '../../arguments/units.ts'
import type { Duration, Milliseconds } from '../../arguments/units.ts'
import type { NamespacedStore } from '../../cache/store.ts'
import { CacheError } from '../../errors.ts'
import { positive } from './durations.ts'

/** What a session store needs of a cache: namespaces with a quota, and entries with versions. */
export interface SessionCache<V = unknown> extends NamespacedStore<V> {
  getEntry(key: Key): Entry<V> | undefined
  namespace<W = V>(name: string, options?: NamespaceOptions): SessionCache<W>
}

/** A session as the store sees it. */
export interface StoredSession {
  cookie?: { expires?: Date | string | null | undefined } | undefined
}

/** A session in the type of a host: each host has another. */
// oxlint-disable-next-line typescript/no-explicit-any -- the parameters of callbacks must fit every host.
export type SessionOfHost = any

/** A session of `all`. */
export interface SessionWithId extends StoredSession {
  id: string
}

/** How sessions live, and how they become text. */
export interface SessionRules {
  /**
   * Lifetime of a session, if its cookie has no expiry, or a function that decides for every session. 0 and less end the
   * session. Default: one day.
   */
  ttl?: Duration | ((session: StoredSession) => Milliseconds) | undefined
  /** Default: `JSON`. */
  serializer?: { stringify(session: object): string; parse(text: string): object } | undefined
  /**
   * How long `destroy` is remembered: longer than a request takes, so that one that began earlier cannot save the
   * session again. Default: 10 minutes.
   */
  endedFor?: Duration | undefined
}

/** The value of an ended session: no serializer returns it. */
const ENDED = false
const DAY = 86_400_000

type Life = { ttl: Milliseconds; expiresAt?: never } | { ttl?: never; expiresAt: number }

/** What is in the namespace. */
export class Sessions {
  readonly #space: SessionCache
  readonly #serializer: NonNullable<SessionRules['serializer']>
  readonly #ttl: Milliseconds | ((session: StoredSession) => Milliseconds)
  readonly #endedFor: Milliseconds
  /** Sessions that were in the store: a save of one needs the entry to be there still. */
  readonly stored = new WeakSet<object>()

  constructor(space: SessionCache, { ttl = DAY, serializer = JSON, endedFor = '10m' }: SessionRules) {
    this.#space = space
    this.#serializer = serializer
    this.#ttl = typeof ttl === 'function' ? ttl : positive('ttl', ttl)
    this.#endedFor = positive('endedFor', endedFor)
  }

  get(sid: string): StoredSession | undefined {
    const entry = this.#space.getEntry(sid)
    if (entry === undefined || entry.value === ENDED) return undefined
    const session = this.#serializer.parse(entry.value as string) as StoredSession
    // `touch` leaves the text as it is, and the cookie follows the entry.
    if (session.cookie?.expires && typeof this.#ttl === 'number' && entry.expiresAt !== undefined) {
      session.cookie.expires = new Date(entry.expiresAt).toISOString()
    }
    return session
  }

  set(sid: string, session: StoredSession): void {
    const life = this.#lifeOf(session)
    if (life === undefined) return this.destroy(sid)
    const text = this.#serializer.stringify(session)
    for (;;) {
      const before = this.#space.getEntry(sid)
      if (before === undefined ? this.stored.has(session) : before.value === ENDED) return
      const condition = before === undefined ? 'absent' : { version: before.version }
      if (this.#space.set(sid, text, { ...life, if: condition })) break
      if (this.#space.getEntry(sid)?.version === before?.version) throw noRoom(sid)
    }
    this.stored.add(session)
  }

  touch(sid: string, session: StoredSession): void {
    const life = this.#lifeOf(session)
    if (life === undefined) return this.destroy(sid)
    if (this.#isLive(sid)) this.#space.touch(sid, life.ttl ?? life.expiresAt - Date.now())
  }

  /** Ends a session, also one that a request has not saved yet. */
  destroy(sid: string): void {
    if (!this.#space.set(sid, ENDED, this.#endedFor)) this.#space.delete(sid)
  }

  async all(): Promise<SessionWithId[]> {
    const found = await this.ids()
    return found.flatMap((id) => {
      const session = this.get(id)
      return session === undefined ? [] : [{ ...session, id }]
    })
  }

  async ids(): Promise<string[]> {
    const found: string[] = []
    for await (const key of this.#space.keys()) {
      if (typeof key === 'string' && this.#isLive(key)) found.push(key)
    }
    return found
  }

  clear(): void {
    this.#space.clear()
  }

  #isLive(sid: string): boolean {
    const entry = this.#space.getEntry(sid)
    return entry !== undefined && entry.value !== ENDED
  }

  /** Undefined if it is over. */
  #lifeOf(session: StoredSession): Life | undefined {
    const now = Date.now()
    const expires = session.cookie?.expires
    const expiresAt = expires && typeof this.#ttl === 'number' ? new Date(expires).getTime() : Number.NaN
    const ttl = typeof this.#ttl === 'function' ? this.#ttl(session) : this.#ttl
    const life = Number.isNaN(expiresAt)
      ? { ttl: Math.min(ttl, MAX_DURATION) }
      : { expiresAt: Math.min(expiresAt, now + MAX_DURATION) }
    return (life.ttl ?? life.expiresAt - now) > 0 ? life : undefined
  }
}

function noRoom(sid: string): CacheError {
  const hint = 'Raise the size of the sessions, or choose an eviction other than none.'
  return new CacheError('ERR_NO_SPACE', `there is no room for the session ${sid.slice(0, 8)}…`, { hint })
}
