/**
 * `Map`: the lower bound of any cost. It has no limit, no expiry and no second process.
 */

/** @type {import('./index.mjs').Contender[]} */
export const map = [
  {
    id: 'map',
    label: 'Map (in process)',
    package: 'node',
    settings: 'defaults; unbounded; each process has its own data',
    inProcess: true,
    inFlight: 0,
    open: async () => {
      const values = new Map()
      return {
        get: (key) => values.get(key),
        set: (key, value) => values.set(key, value),
        close: () => values.clear(),
      }
    },
  },
]
