import type { SharedCache } from '../../../index.ts'
import { sharedMemory } from '../../../lib/adapters/cluster-shared-memory.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = {
  miss: undefined,
  ttl: { without: 'its objects have no lifetimes' },
  null: 'kept',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: { without: 'the controller has no clear' },
  failedWrite: 'rejects',
  closed: 'rejects',
  loads: { without: 'the controller does not load' },
}

export function driver(cache: SharedCache): Driver {
  const controller = sharedMemory(cache)
  return {
    get: (key) => controller.get(key),
    set: (key, value) => controller.set(key, value),
    delete: (key) => controller.remove(key),
  }
}
