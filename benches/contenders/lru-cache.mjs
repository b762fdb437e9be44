/**
 * lru-cache: the usual cache inside one process. It returns the stored object itself, not a copy; each process has its
 * own data.
 */

/** @type {import('./index.mjs').Contender[]} */
export const lruCache = [
  {
    id: 'lru-cache',
    label: 'lru-cache (in process)',
    package: 'lru-cache',
    settings:
      '`max` only: no `ttl` and no sizes, which cost time; returns the stored object itself; each process has its own data',
    inProcess: true,
    inFlight: 0,
    open: async ({ entries }) => {
      const { LRUCache } = await import('lru-cache')
      const cache = new LRUCache({ max: entries ?? 200_000 })
      return {
        get: (key) => cache.get(key),
        set: (key, value) => cache.set(key, value),
        close: () => cache.clear(),
      }
    },
  },
]
