import { Client } from '@hapi/catbox'
import type { SharedCache } from '../../../index.ts'
import { catboxEngine } from '../../../lib/adapters/catbox.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: null,
  ttl: { unit: 1, zero: 'miss', negative: 'miss' },
  null: 'miss',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: { without: 'an engine of catbox has no clear' },
  failedWrite: 'rejects',
  closed: 'rejects',
  loads: { without: 'a policy of catbox loads once in each process' },
}

export async function driver(cache: SharedCache): Promise<Driver> {
  const client = new Client<unknown>(catboxEngine(cache))
  await client.start()
  return {
    get: async (id) => (await client.get({ segment: 'first', id }))?.item ?? null,
    // A year, which is far above the clock of a test: catbox has no default.
    set: (id, value, ttl = 31_536_000_000) => client.set({ segment: 'first', id }, value, ttl),
    delete: (id) => client.drop({ segment: 'first', id }),
  }
}
