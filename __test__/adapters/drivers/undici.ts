import { once } from 'node:events'
import type { SharedCache } from '../../../index.ts'
import { undiciStore } from '../../../lib/adapters/undici.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { unit: 1, zero: 'miss', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: { type: 'Buffer', data: [1, 2, 255] },
  clear: { without: 'a store of undici has no clear' },
  failedWrite: 'resolves',
  closed: 'miss',
  loads: { without: 'undici loads, not its store' },
}

const keyOf = (path: string): { origin: string; method: string; path: string; headers: {} } => ({
  origin: 'http://localhost',
  method: 'GET',
  path: `/${path}`,
  headers: {},
})

/** The calls of the interceptor, with bodies as JSON. The specs make real requests. */
export function driver(cache: SharedCache): Driver {
  const store = undiciStore(cache)
  return {
    async get(key) {
      const body = store.get(keyOf(key))?.body
      const text = Buffer.concat(body ?? []).toString()
      return text === '' ? undefined : JSON.parse(text)
    },
    async set(key, value, ttl = 60_000) {
      const cachedAt = Date.now()
      const head = { statusCode: 200, statusMessage: 'OK', headers: {}, cacheControlDirectives: {}, cachedAt }
      const stream = store.createWriteStream(keyOf(key), { ...head, staleAt: cachedAt, deleteAt: cachedAt + ttl })
      if (stream === undefined) return
      stream.end(JSON.stringify(value) ?? '')
      await once(stream, 'finish')
    },
    delete: async (key) => store.delete(keyOf(key)),
  }
}
