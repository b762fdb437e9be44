/**
 * Rate limiters that several processes share: cache-machine with each of its algorithms, and rate-limiter-flexible on
 * Redis.
 *
 * No run reaches the limit, so each call takes a token and the figure is the cost of the bookkeeping. The window is so
 * long that hardly a token returns during a run, so the tasks can count the tokens afterwards.
 */

/** Ten years, in milliseconds. */
const WINDOW = 315_360_000_000
const LIMIT = 20_000_000

const algorithms = ['sliding-window', 'gcra', 'fixed-window']

/** @type {import('./index.mjs').Contender[]} */
export const limiters = [
  ...algorithms.map((algorithm) => ({
    id: `cache-machine-limiter-${algorithm}`,
    label: `cache-machine, ${algorithm}`,
    package: 'cache-machine',
    settings: `\`limiter('bench', { limit, window, algorithm: '${algorithm}' })\`; otherwise defaults`,
    only: 'limiter',
    inFlight: 0,
    open: (context) => openOurs(context, algorithm),
  })),
  {
    id: 'rate-limiter-flexible',
    label: 'rate-limiter-flexible on Redis, ioredis',
    package: 'rate-limiter-flexible',
    settings: 'RateLimiterRedis over ioredis and a Unix socket, a fixed window; one call at a time',
    only: 'limiter',
    server: 'redis',
    inFlight: 1,
    open: openFlexible,
  },
]

async function openOurs({ name }, algorithm) {
  const { open, segments } = await import('../../dist/index.js')
  const cache = open({ name, near: false })
  const limiter = cache.limiter('bench', { limit: LIMIT, window: WINDOW, algorithm })
  return {
    consume: (key) => limiter.consume(key).allowed,
    used: (key) => LIMIT - limiter.peek(key).remaining,
    close: () => cache.close(),
    destroy: () => segments.destroy(name),
  }
}

async function openFlexible({ socket, name }) {
  const { Redis } = await import('ioredis')
  const { RateLimiterRedis } = await import('rate-limiter-flexible')
  const storeClient = new Redis({ path: socket, enableReadyCheck: false, enableAutoPipelining: false })
  const limiter = new RateLimiterRedis({ storeClient, points: LIMIT, duration: WINDOW / 1000, keyPrefix: name })
  return {
    consume: async (key) => (await limiter.consume(key)).remainingPoints >= 0,
    used: async (key) => (await limiter.get(key))?.consumedPoints ?? 0,
    close: () => storeClient.disconnect(),
  }
}
