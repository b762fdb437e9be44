import type { SharedCache } from '../../../index.ts'
import { cacheHandler } from '../../../lib/adapters/next.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: null,
  ttl: { without: 'Next itself decides by time' },
  null: 'kept',
  undefined: 'kept',
  binary: Buffer.from([1, 2, 255]),
  clear: { without: 'Next has no clear' },
  failedWrite: 'resolves',
  closed: 'miss',
  loads: { without: 'Next renders, not its handler' },
}

/** Pages of the pages router, with any value as their data. The specs have all kinds, and real servers. */
export function driver(cache: SharedCache): Driver {
  const handler = new (cacheHandler(cache))()
  return {
    async get(key) {
      const found = await handler.get(`/${key}`, { kind: 'PAGES' })
      return found === null ? null : found.value.pageData
    },
    set: (key, pageData) => handler.set(`/${key}`, { kind: 'PAGES', html: '', pageData }),
  }
}
