/**
 * Every call of a cache, by name, for tests that end whoever is inside one. Each may be made any number of times, by several
 * threads at once; what it gets it gives back.
 */
import type { SharedCache } from '../../index.ts'
import { openRegion } from '../../index.ts'

type Call = (cache: SharedCache, i: number) => unknown

const limit = { limit: 1_000_000, window: '1m' } as const
const large = Buffer.alloc(300_000, 7)

/** Calls that are over when they return. */
export const synchronous: Record<string, Call> = {
  get: (cache, i) => cache.get(`k${i % 50}`),
  getEntry: (cache, i) => cache.getEntry(`k${i % 50}`),
  set: (cache, i) => cache.set(`k${i % 50}`, { i, text: 'x'.repeat(i % 500) }),
  'set of many bytes': (cache, i) => cache.set(`large${i % 3}`, large),
  add: (cache, i) => cache.add(`k${i % 50}`, i),
  swap: (cache, i) => cache.swap(`k${i % 50}`, i),
  update: (cache) => cache.update('updated', (n) => ((n as number | undefined) ?? 0) + 1),
  append: (cache, i) => cache.append(`text${i % 500}`, 'more'),
  incr: (cache) => cache.incr('counter'),
  incrBigInt: (cache) => cache.incrBigInt('bigint'),
  delete: (cache, i) => cache.set(`d${i % 50}`, i) && cache.delete(`d${i % 50}`),
  take: (cache, i) => cache.set(`t${i % 50}`, i) && cache.take(`t${i % 50}`),
  touch: (cache, i) => cache.touch(`k${i % 50}`, '1h'),
  persist: (cache, i) => cache.persist(`k${i % 50}`),
  getMany: (cache) => cache.getMany(['k1', 'k2', 'k3']),
  setMany: (cache, i) => cache.setMany(Array.from({ length: 30 }, (_, n) => [`k${n}`, i] as const)),
  deleteMany: (cache) => cache.deleteMany(['k1', 'k2', 'none']),
  clear: (cache) => cache.clear(),
  deletePrefix: (cache) => cache.deletePrefix('d'),
  invalidateTags: (cache, i) => cache.set('tagged', i, { tags: ['red'] }) && cache.invalidateTags('red'),
  keys: (cache) => [...cache.keys()],
  entries: (cache) => [...cache.entries()],
  namespace: (cache, i) => cache.namespace(`n${i % 5}`).set('a', i),
  stats: (cache) => cache.stats(),
  consume: (cache, i) => cache.limiter('limit', limit).consume(`k${i % 5}`),
  metrics: (cache) => cache.metrics().counter('calls').inc(),
  tryLock: (cache) => cache.tryLock('tried')?.release(),
  publish: (cache, i) => cache.publish('news', i),
  'open and close': (cache) => openRegion({ cache: cache.name, name: 'opened', size: 4096 }).close(),
  'a region': (cache) => {
    const region = openRegion({ cache: cache.name, name: 'locked', size: 4096 })
    region.withLock(() => undefined, { timeout: '10s' })
    region.close()
  },
}

/** Calls that go on when they have returned. */
export const asynchronous: Record<string, Call> = {
  lock: (cache) => cache.withLock('locked', () => undefined),
  semaphore: (cache) => cache.semaphore('permits', 2).use(() => undefined),
  elect: async (cache) => (await cache.elect('leader')).resign(),
  waitFor: (cache, i) => Promise.allSettled([cache.waitFor(`w${i}`), cache.set(`w${i}`, i)]),
  getOrSet: (cache, i) => cache.getOrSet(`loaded${i % 10}`, () => i, { ttl: 1 }),
  once: (cache, i) => cache.once(`once${i % 100}`, () => i),
  watch: async (cache) => {
    const changes = cache.watch()
    cache.set('watched', 1)
    await changes.next()
    await changes.return?.()
  },
}
