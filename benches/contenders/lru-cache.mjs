/**
 * lru-cache: what one uses inside one process.
 *
 * It returns the object that was set, not a copy; each process has its own.
 */

/** @type {import('./index.mjs').Contender[]} */
export const lruCache = [
  {
    id: 'lru-cache',
    label: 'lru-cache (in process)',
    package: 'lru-cache',
    settings:
      '`max` only: neither `ttl` nor sizes, which cost time; returns the stored object itself, each process has its own',
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
