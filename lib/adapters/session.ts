/**
 * cache-machine/session: a cache as the session store of express-session, and of @fastify/session.
 *
 * A session is text, so that a reader gets a copy. It lives as long as its cookie, to the millisecond. Callbacks come in
 * a later turn for express-session, and at once for @fastify/session, as from the stores that these hosts bring. Without
 * a callback the methods return promises. A read of a segment in trouble is a miss; a write that fails is an error of its
 * request.
 *
 * An ended session stays ended. `destroy` leaves a mark in the place of the session, and a save is conditional on the
 * version that was there without the mark. express-session tells which sessions were loaded, so a save of one of those
 * also needs the session to be there still: after it expired, was cleared, or was evicted, a late save writes nothing.
 */
import { EventEmitter } from 'node:events'
import type { Eviction } from '../arguments/options.ts'
import type { Bytes } from '../arguments/units.ts'
import { invalid } from '../errors.ts'
import { answer } from './shared/callbacks.ts'
import type { Callback, Turn } from './shared/callbacks.ts'
import { Sessions } from './shared/sessions.ts'
import type { SessionCache, SessionOfHost, SessionRules, SessionWithId, StoredSession } from './shared/sessions.ts'
import { checkStore } from './shared/space.ts'

export type { Callback } from './shared/callbacks.ts'

export type { SessionCache, SessionOfHost, SessionRules, SessionWithId, StoredSession } from './shared/sessions.ts'

/** Options of `sessionStore`. */
export interface SessionStoreOptions<Base = StoreClass> extends SessionRules {
  /** `session.Store` of express-session. @fastify/session needs none. */
  Store?: Base | undefined
  /** The namespace of the cache that has the sessions. Default: `'session'`. */
  namespace?: string | undefined
  /** Room that other data cannot take; see `NamespaceOptions`. Default: none. */
  reserve?: Bytes | undefined
  /** Maximum size of all sessions; see `NamespaceOptions`. Default: that of the segment. */
  size?: Bytes | undefined
  /** What goes when `size` is reached. `'none'`: new sessions are refused instead. Default: as in `open`. */
  eviction?: Eviction | undefined
}

/** The methods of a session store. Without a callback they return a promise. */
export interface SessionStore {
  get(sid: string, callback?: Callback<SessionOfHost>): Promise<SessionOfHost>
  set(sid: string, session: object, callback?: Callback<void>): Promise<void>
  touch(sid: string, session: object, callback?: Callback<void>): Promise<void>
  destroy(sid: string, callback?: Callback<void>): Promise<void>
  /** All sessions, each with its `id`. */
  all(callback?: Callback<SessionWithId[]>): Promise<SessionWithId[]>
  ids(callback?: Callback<string[]>): Promise<string[]>
  length(callback?: Callback<number>): Promise<number>
  clear(callback?: Callback<void>): Promise<void>
}

export type StoreClass = abstract new (...args: never[]) => object

/**
 * A session store.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `SessionStoreOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`; as `namespace` of a cache.
 * @example
 * app.use(session({ store: sessionStore(cache, { Store: session.Store }), secret, resave: false }))
 */
export function sessionStore<Base extends StoreClass = typeof EventEmitter>(
  cache: SessionCache,
  options: SessionStoreOptions<Base> = {},
): InstanceType<Base> & SessionStore {
  checkStore('sessionStore', cache)
  const { Store, namespace = 'session', reserve, size, eviction } = options
  if (Store !== undefined && typeof Store !== 'function') {
    throw invalid('Store must be the class session.Store of express-session', Store)
  }
  const space = cache.namespace<unknown>(namespace, { near: false, reserve, size, eviction })
  const sessions = new Sessions(space, options)
  const Class = Store === undefined ? storeClass(Bare, 'now') : storeClass(Store as unknown as StoreOfHost, 'later')
  return new Class(sessions) as unknown as InstanceType<Base> & SessionStore
}

type StoreOfHost = new () => { createSession?(request: object, session: object): object }

/** For hosts that need no base class. express-session needs its own, and says so here instead of on its first request. */
class Bare extends EventEmitter {
  createSession(): never {
    throw invalid('express-session needs its own class: sessionStore(cache, { Store: session.Store })', undefined)
  }
}

/** The store as a class over the one of the host. */
function storeClass(Base: StoreOfHost, turn: Turn): new (sessions: Sessions) => SessionStore {
  return class CacheSessionStore extends Base implements SessionStore {
    readonly #sessions: Sessions

    constructor(sessions: Sessions) {
      super()
      this.#sessions = sessions
    }

    get(sid: string, callback?: Callback<SessionOfHost>): Promise<SessionOfHost> {
      return answer(callback, turn, () => this.#sessions.get(sid))
    }

    set(sid: string, session: StoredSession, callback?: Callback<void>): Promise<void> {
      return answer(callback, turn, () => this.#sessions.set(sid, session))
    }

    touch(sid: string, session: StoredSession, callback?: Callback<void>): Promise<void> {
      return answer(callback, turn, () => this.#sessions.touch(sid, session))
    }

    destroy(sid: string, callback?: Callback<void>): Promise<void> {
      return answer(callback, turn, () => this.#sessions.destroy(sid))
    }

    all(callback?: Callback<SessionWithId[]>): Promise<SessionWithId[]> {
      return answer(callback, turn, () => this.#sessions.all())
    }

    ids(callback?: Callback<string[]>): Promise<string[]> {
      return answer(callback, turn, () => this.#sessions.ids())
    }

    length(callback?: Callback<number>): Promise<number> {
      return answer(callback, turn, async () => (await this.#sessions.ids()).length)
    }

    clear(callback?: Callback<void>): Promise<void> {
      return answer(callback, turn, () => this.#sessions.clear())
    }

    /** express-session makes the session of a request here, from what `get` returned. */
    override createSession(request: object, data: object): object {
      const session = super.createSession?.(request, data) as object
      this.#sessions.stored.add(session)
      return session
    }
  } as unknown as new (sessions: Sessions) => SessionStore
}
