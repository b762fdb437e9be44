/**
 * node-shared-cache-x: a hash table in shared memory, locked by flock().
 *
 * `fastGet` takes a shared lock and does not change the LRU order; a plain property read takes an exclusive lock.
 */
import { rmSync } from 'node:fs'

/** @type {import('./index.mjs').Contender[]} */
export const nodeSharedCache = [
  {
    id: 'node-shared-cache-x',
    label: 'node-shared-cache-x',
    package: 'node-shared-cache-x',
    settings: 'fastGet; blocks of 256 bytes (16 KiB for larger values); the cache is three times as large as the data',
    inFlight: 0,
    open: openStore,
  },
]

async function openStore({ name, kind, bytes, limit }) {
  const { default: library } = await import('node-shared-cache-x')
  const block = kind === 'string' || kind === 'object' ? library.SIZE_256 : library.SIZE_16K
  const cache = new library.Cache(name, limit ?? Math.max(64 * 2 ** 20, bytes * 3), block)
  return {
    get: (key) => library.fastGet(cache, key),
    set: (key, value) => (cache[key] = value),
    close: () => undefined,
    destroy: () => {
      library.release(name)
      // `release` does not remove the lock file.
      rmSync(`/dev/shm/${name}.lock`, { force: true })
    },
  }
}
