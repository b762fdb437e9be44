import session from 'express-session'
import type { SharedCache } from '../../../index.ts'
import { sessionStore } from '../../../lib/adapters/session.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { unit: 1, zero: 'miss', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: { type: 'Buffer', data: [1, 2, 255] },
  clear: 'other namespaces',
  failedWrite: 'rejects',
  closed: 'rejects',
  loads: { without: 'a session store does not load' },
}

/** A session as the host makes it. */
type HostSession = session.SessionData & { value?: unknown }

const { Cookie, Session } = session as unknown as {
  Cookie: new (options: { maxAge?: number | undefined }) => session.Cookie
  Session: new (request: object, data: object) => HostSession
}

export function driver(cache: SharedCache, namespace = 'first'): Driver {
  const store = sessionStore(cache, { Store: session.Store, namespace })
  return {
    // `load` is a method of the host, which calls `get` and makes a session of the answer.
    get: (sid) =>
      new Promise((resolve, reject) => {
        store.load(sid, (error, found) => (error ? reject(error) : resolve((found as HostSession | undefined)?.value)))
      }),
    set: async (sid, value, maxAge) => {
      const request = { sessionID: sid, sessionStore: store }
      return store.set(sid, new Session(request, { cookie: new Cookie({ maxAge }), value }))
    },
    delete: async (sid) => store.destroy(sid),
    clear: async () => store.clear(),
    other: () => driver(cache, 'second'),
  }
}
