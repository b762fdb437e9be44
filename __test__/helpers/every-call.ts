/**
 * Every call of a cache, by name, for tests that end a thread inside a call. Each call may be made any number of times,
 * by several threads at once, and gives back what it takes.
 */
import type { SharedCache } from '../../index.ts'
import { open, openRegion, regions, segments } from '../../index.ts'

type Call = (cache: SharedCache, i: number) => unknown

const limit = { limit: 1_000_000, window: '1m' } as const
const large = Buffer.alloc(300_000, 7)

/**
 * The names of the regions that these calls make, and the name of the additional segment: the test must remove them.
 */
export const regionsOfCalls = ['opened', 'locked', 'destroyed'] as const
export const segmentOfCalls = (cache: string): string => `${cache}-destroyed`

/** Calls that are complete when they return. */
export const synchronous: Record<string, Call> = {
  'open and close': (cache) => open({ name: cache.name, size: '8mb' }).close(),
  get: (cache, i) => cache.get(`k${i % 50}`),
  peek: (cache, i) => cache.peek(`k${i % 50}`),
  has: (cache, i) => cache.has(`k${i % 50}`),
  ttl: (cache, i) => cache.ttl(`k${i % 50}`),
  getEntry: (cache, i) => cache.getEntry(`k${i % 50}`),
  set: (cache, i) => cache.set(`k${i % 50}`, { i, text: 'x'.repeat(i % 500) }),
  'set of many bytes': (cache, i) => cache.set(`large${i % 3}`, large),
  'get of many bytes': (cache, i) => cache.set(`large${i % 3}`, large) && cache.get(`large${i % 3}`),
  'take of many bytes': (cache, i) => cache.set(`taken${i % 3}`, large) && cache.take(`taken${i % 3}`),
  add: (cache, i) => cache.add(`k${i % 50}`, i),
  replace: (cache, i) => cache.replace(`k${i % 50}`, i),
  swap: (cache, i) => cache.swap(`k${i % 50}`, i),
  update: (cache) => cache.update('updated', (n) => ((n as number | undefined) ?? 0) + 1),
  append: (cache, i) => cache.append(`text${i % 500}`, 'more'),
  incr: (cache) => cache.incr('counter'),
  incrBigInt: (cache) => cache.incrBigInt('bigint'),
  'hash of fields': (cache, i) => cache.hash('hash').set(`f${i % 50}`, i) && cache.hash('hash').toObject(),
  'list of items': (cache, i) => cache.list('list').pushMany([i, 'text'], { max: 100 }) && cache.list('list').pop(),
  'set of members': (cache, i) => cache.setOf('set').add(i % 50) + cache.setOf('set').delete((i + 7) % 50),
  'set of members with scores': (cache, i) =>
    cache.sortedSet('sorted').add(i % 50, i) || cache.sortedSet('sorted').range(),
  delete: (cache, i) => cache.set(`d${i % 50}`, i) && cache.delete(`d${i % 50}`),
  take: (cache, i) => cache.set(`t${i % 50}`, i) && cache.take(`t${i % 50}`),
  touch: (cache, i) => cache.touch(`k${i % 50}`, '1h'),
  persist: (cache, i) => cache.persist(`k${i % 50}`),
  transaction: (cache, i) =>
    cache.transaction((tx) => {
      tx.set(`k${i % 50}`, tx.get(`k${(i + 1) % 50}`) ?? 0)
      tx.list('list').pushMany([i], { max: 100 })
      tx.namespace(`n${i % 5}`).delete('a')
    }),
  getMany: (cache) => cache.getMany(['k1', 'k2', 'k3']),
  setMany: (cache, i) => cache.setMany(Array.from({ length: 30 }, (_, n) => [`k${n}`, i] as const)),
  hasMany: (cache) => cache.hasMany(['k1', 'k2', 'none']),
  deleteMany: (cache) => cache.deleteMany(['k1', 'k2', 'none']),
  clear: (cache) => cache.clear(),
  deletePrefix: (cache) => cache.deletePrefix('d'),
  invalidateTags: (cache, i) => cache.set('tagged', i, { tags: ['red'] }) && cache.invalidateTags('red'),
  'a near copy beside an invalidation of another tag': (cache) => {
    cache.set('copied', 'value', { tags: ['blue'] })
    for (let i = 0; i < 20; i++) cache.get('copied')
    cache.invalidateTags('red')
    cache.get('copied')
  },
  keys: (cache) => [...cache.keys()],
  entries: (cache) => [...cache.entries()],
  namespace: (cache, i) => cache.namespace(`n${i % 5}`).set('a', i),
  size: (cache) => cache.size,
  stats: (cache) => cache.stats(),
  consume: (cache, i) => cache.limiter('limit', limit).consume(`k${i % 5}`),
  penalty: (cache, i) => cache.limiter('limit', limit).penalty(`k${i % 5}`),
  reward: (cache, i) => cache.limiter('limit', limit).reward(`k${i % 5}`),
  'state of a limit': (cache, i) => cache.limiter('limit', limit).peek(`k${i % 5}`),
  'reset of a limit': (cache, i) => cache.limiter('limit', limit).reset(`k${i % 5}`),
  counter: (cache) => cache.metrics().counter('calls').inc(),
  gauge: (cache, i) => cache.metrics().gauge('temperature').set(i),
  histogram: (cache, i) => cache.metrics().histogram('seconds').observe(i),
  'value of a metric': (cache) => cache.metrics().counter('calls').value,
  'reset of a metric': (cache) => cache.metrics().gauge('temperature').reset(),
  'deletion of a metric': (cache, i) => {
    cache
      .metrics()
      .counter(`c${i % 5}`)
      .inc()
    cache.metrics().delete(`c${i % 5}`)
  },
  prometheus: (cache) => cache.metrics().prometheus(),
  collect: (cache) => cache.metrics().collect(),
  'permits of a semaphore': (cache) => cache.semaphore('permits', 2).counts(),
  tryLock: (cache) => cache.tryLock('tried')?.release(),
  'set and clear of an event': (cache) => [cache.event('event').set(), cache.event('event').clear()],
  'state of an event': (cache) => cache.event('event').isSet,
  'push, take, release and ack of an item': (cache, i) => {
    const queue = cache.queue('items', { capacity: 20 })
    queue.tryPush(i)
    queue.tryTake()?.release()
    queue.tryTake()?.ack()
  },
  'counts and dead letters of a queue': (cache) => [cache.queue('items').counts(), cache.queue('items').deadLetters()],
  'revival of dead letters': (cache) => cache.queue('items').revive(),
  notify: (cache) => cache.condition('condition').notifyAll(),
  publish: (cache, i) => cache.publish('news', i),
  'list and inspection of segments': (cache) => [segments.list(), segments.inspect(cache.name)],
  'destruction of a segment': (cache) => {
    const name = segmentOfCalls(cache.name)
    open({ name, size: '2mb' }).close()
    segments.destroy(name, { force: true })
  },
  'open and close a region': (cache) => openRegion({ cache: cache.name, name: 'opened', size: 4096 }).close(),
  'destruction of a region': (cache) => {
    openRegion({ cache: cache.name, name: 'destroyed', size: 4096 }).close()
    regions.destroy(cache.name, 'destroyed', { force: true })
  },
  'inspection of a region': (cache) => regions.inspect(cache.name, 'opened'),
  'a region': (cache) => {
    const region = openRegion({ cache: cache.name, name: 'locked', size: 4096 })
    region.withLock(() => undefined, { timeout: '10s' })
    region.close()
  },
}

/** Calls that continue after they have returned. */
export const asynchronous: Record<string, Call> = {
  lock: (cache) => cache.withLock('locked', () => undefined),
  semaphore: (cache) => cache.semaphore('permits', 2).use(() => undefined),
  elect: async (cache) => (await cache.elect('leader')).resign(),
  event: (cache) => Promise.all([cache.event('gate').wait(), cache.event('gate').set(), cache.event('gate').clear()]),
  barrier: (cache) => Promise.all([cache.barrier('barrier', 2).wait(), cache.barrier('barrier', 2).wait()]),
  queue: async (cache, i) => {
    const queue = cache.queue('awaited', { capacity: 20 })
    const taking = queue.take()
    queue.tryPush(i)
    const item = await taking
    item.extend('1m')
    item.ack()
  },
  condition: async (cache) => {
    const waiting = cache.condition('condition').wait(await cache.lock('of the condition'))
    cache.condition('condition').notify()
    ;(await waiting).release()
  },
  waitFor: (cache, i) => Promise.allSettled([cache.waitFor(`w${i}`), cache.set(`w${i}`, i)]),
  subscribe: async (cache, i) => {
    const messages = cache.subscribe('news')
    cache.publish('news', i)
    await messages.next()
    await messages.return?.()
  },
  wrap: (cache, i) => cache.wrap((n: number) => n, { ttl: 1, key: (n) => `wrapped${n}` })(i % 10),
  getOrSet: (cache, i) => cache.getOrSet(`loaded${i % 10}`, () => i, { ttl: 1 }),
  deletePrefixAsync: (cache) => cache.deletePrefixAsync('d'),
  'keys in turns': async (cache) => {
    for await (const key of cache.keys()) void key
  },
  'entries in turns': async (cache) => {
    for await (const entry of cache) void entry
  },
  once: (cache, i) => cache.once(`once${i % 100}`, () => i),
  watch: async (cache) => {
    const changes = cache.watch()
    cache.set('watched', 1)
    await changes.next()
    await changes.return?.()
  },
}
