/**
 * Options that a method does not have: each throws, names the option, and has no effect.
 */
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { CacheError, open, openRegion, regions, segments } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { openCache, openStopped, segmentName } from '../helpers/segment.ts'

type AnyCall = (cache: SharedCache, options: never) => unknown

const load = (): number => 1
const limits = { limit: 5, window: '1m' }
const region = { name: 'r', size: 64 }

/** Every call that takes options, with the options in the place that is tested. */
const CALLS: Record<string, AnyCall> = {
  set: (cache, options) => cache.set('a', 2, options),
  add: (cache, options) => cache.add('new', 2, options),
  replace: (cache, options) => cache.replace('a', 2, options),
  swap: (cache, options) => cache.swap('a', 2, options),
  update: (cache, options) => cache.update('a', () => 2, options),
  append: (cache, options) => cache.append('new', 'text', options),
  setMany: (cache, options) => cache.setMany([['a', 2]], options),
  'an item of setMany': (cache, options) => cache.setMany([['a', 2, options]]),
  getEntry: (cache, options) => cache.getEntry('a', options),
  delete: (cache, options) => cache.delete('a', options),
  incr: (cache, options) => cache.incr('new', 1, options),
  incrBigInt: (cache, options) => cache.incrBigInt('new', 1n, options),
  invalidateTags: (cache, options) => cache.invalidateTags('tag', options),
  deletePrefixAsync: (cache, options) => cache.deletePrefixAsync('b', options),
  keys: (cache, options) => cache.keys(options),
  snapshot: (cache, options) => cache.snapshot('/nowhere/file', options),
  restore: (cache, options) => cache.restore('/nowhere/file', options),
  keepSnapshots: (cache, options) => cache.keepSnapshots('/nowhere/file', options),
  entries: (cache, options) => cache.entries(options),
  stats: (cache, options) => cache.stats(options),
  namespace: (cache, options) => cache.namespace('n', options),
  limiter: (cache, options) => cache.limiter('l', { ...limits, ...(options as object) } as never),
  counter: (cache, options) => cache.metrics().counter('c', {}, options),
  gauge: (cache, options) => cache.metrics().gauge('g', {}, options),
  histogram: (cache, options) => cache.metrics().histogram('h', {}, options),
  prometheus: (cache, options) => cache.metrics().prometheus(options),
  waitFor: (cache, options) => cache.waitFor('a', options),
  lock: (cache, options) => cache.lock('l', options),
  tryLock: (cache, options) => cache.tryLock('l', options),
  withLock: (cache, options) => cache.withLock('l', load, options),
  acquire: (cache, options) => cache.semaphore('s', 1).acquire(options),
  tryAcquire: (cache, options) => cache.semaphore('s', 1).tryAcquire(options),
  use: (cache, options) => cache.semaphore('s', 1).use(load, options),
  elect: (cache, options) => cache.elect('e', options),
  queue: (cache, options) => cache.queue('q', options),
  'take of a queue': (cache, options) => {
    const queue = cache.queue('q')
    queue.tryPush(1)
    return queue.take(options)
  },
  'wait of an event': (cache, options) => cache.event('e').wait(options),
  'wait of a barrier': (cache, options) => cache.barrier('b', 1).wait(options),
  'wait of a condition': async (cache, options) =>
    cache.condition('c').wait(await cache.semaphore('of c', 1000).acquire(), options),
  'the filter of watch': (cache, options) => cache.watch(options),
  watch: (cache, options) => cache.watch({}, options),
  subscribe: (cache, options) => cache.subscribe('c', options),
  getOrSet: (cache, options) => cache.getOrSet('new', load, options),
  wrap: (cache, options) => cache.wrap(load, { key: () => 'new', ...(options as object) }),
  once: (cache, options) => cache.once('o', load, options),
  open: (_cache, options) => open({ name: 'never', ...(options as object) }),
  near: (_cache, options) => open({ name: 'never', near: options }),
  openRegion: (cache, options) => openRegion({ cache: cache.name, ...region, ...(options as object) } as never),
  'segments.list': (_cache, options) => segments.list(options),
  'segments.inspect': (cache, options) => segments.inspect(cache.name, options),
  'segments.destroy': (_cache, options) => segments.destroy('never', options),
  'regions.list': (_cache, options) => regions.list(options),
  'regions.inspect': (cache, options) => regions.inspect(cache.name, 'r', options),
  'regions.destroy': (cache, options) => regions.destroy(cache.name, 'r', options),
}

/** Calls above that spread the options into an object, which keeps nothing of a date. */
const SPREADING = new Set(['limiter', 'wrap', 'open', 'openRegion'])

async function refusal(call: () => unknown): Promise<CacheError | undefined> {
  try {
    await call()
  } catch (error) {
    if (error instanceof CacheError) return error
    throw error
  }
  return undefined
}

for (const [name, call] of Object.entries(CALLS)) {
  test(`${name} refuses an option that it does not have, and names it`, async (t) => {
    const cache = openCache(t)
    cache.set('a', 1)
    const error = await refusal(() => call(cache, { notAnOption: 1 } as never))
    t.is(error?.code, 'ERR_INVALID_ARGUMENT')
    t.regex(error?.message ?? '', /has no option 'notAnOption'/)
    t.true((error?.hint.length ?? 0) > 10)
    t.deepEqual([...cache.keys()], ['a'])
    t.is(cache.get('a'), 1)
  })

  if (SPREADING.has(name)) continue
  test(`${name} refuses options that are no plain object`, async (t) => {
    const cache = openCache(t)
    cache.set('a', 1)
    class Options {
      readonly ttl = 1
    }
    for (const options of [new Date(), [], ['5m'], new Map(), new Options(), Buffer.from('x'), null, true]) {
      // `null` stands for a lifetime in these calls.
      const error = await refusal(() => call(cache, options as never))
      t.regex(error?.code ?? 'no error', /^ERR_INVALID_(ARGUMENT|TTL)$/, String(options))
    }
    t.deepEqual([...cache.keys()], ['a'])
    t.is(cache.get('a'), 1)
  })
}

test('a region refuses unknown options of its lock', (t) => {
  const cache = openCache(t)
  using area = cache.region('r', 64)
  t.teardown(() => regions.destroy(cache.name, 'r', { force: true }))
  t.throws(() => area.lock({ timeoutMs: 5 } as never), { code: 'ERR_INVALID_ARGUMENT', message: /use timeout$/ })
  t.throws(() => area.withLock(load, new Date() as never), { code: 'ERR_INVALID_ARGUMENT' })
})

test('the words of other libraries are answered with the option of this one', async (t) => {
  const cache = openCache(t)
  const words: [string, string, string][] = [
    ['set', 'EX', 'ttl'],
    ['set', 'PX', 'ttl'],
    ['set', 'maxAge', 'ttl'],
    ['set', 'max_age', 'ttl'],
    ['set', 'expiry', 'ttl'],
    ['set', 'expire', 'ttl'],
    ['set', 'expires', 'ttl'],
    ['set', 'ttlMs', 'ttl'],
    ['set', 'TTL', 'ttl'],
    ['set', 'EXAT', 'expiresAt'],
    ['set', 'KEEPTTL', 'keepTtl'],
    ['set', 'NX', 'if'],
    ['set', 'tag', 'tags'],
    ['getOrSet', 'maxAge', 'ttl'],
    ['getOrSet', 'swr', 'stale'],
    ['getOrSet', 'forceFresh', 'force'],
    ['getOrSet', 'timeoutMs', 'timeout'],
    ['waitFor', 'timeoutMs', 'timeout'],
    ['lock', 'expiry', 'ttl'],
    ['tryLock', 'PX', 'ttl'],
    ['open', 'maxSize', 'size'],
    ['open', 'max', 'size'],
    ['open', 'maxAge', 'ttl'],
    ['open', 'stdTTL', 'ttl'],
    ['near', 'max', 'maxEntries'],
    ['near', 'size', 'maxSize'],
    ['limiter', 'points', 'limit'],
    ['limiter', 'windowMs', 'window'],
  ]
  for (const [name, word, ours] of words) {
    const error = await refusal(() => CALLS[name]?.(cache, { [word]: 60 } as never))
    t.true(error?.message.endsWith(`has no option '${word}'; use ${ours}`), `${name} ${word}: ${error?.message}`)
    t.true(error?.hint.startsWith(`Pass ${ours}`), error?.hint)
  }
  const moment = await refusal(() => cache.set('a', 1, new Date() as never))
  t.regex(moment?.message ?? '', /got a Date$/)
  t.is(moment?.hint, 'Pass { expiresAt: date.getTime() }.')
})

test('a word that means nothing to a method is not answered with an option that the method lacks', async (t) => {
  const cache = openCache(t)
  const error = await refusal(() => cache.stats({ EX: 60 } as never))
  t.is(error?.message, "stats has no option 'EX'")
  t.is(error?.hint, 'Remove it, or pass one of these options: scope.')
})

test('plain objects of another realm, without a prototype, and with a symbol are options', (t) => {
  const cache = openStopped(t)
  t.true(cache.set('a', 1, runInNewContext('({ ttl: 1000 })') as { ttl: number }))
  t.is(cache.ttl('a'), 1000)
  t.true(cache.set('a', 1, Object.assign(Object.create(null) as { ttl: number }, { ttl: 2000 })))
  t.is(cache.ttl('a'), 2000)
  t.true(cache.set('a', 1, { ttl: 3000, [Symbol('mine')]: 1 }))
  t.is(cache.ttl('a'), 3000)
})

test.serial('a name that a program added to Object.prototype is no option of a call', (t) => {
  const cache = openStopped(t)
  const shared = Object.getPrototypeOf({}) as object
  Object.defineProperty(shared, 'polluted', { value: 1, enumerable: true, configurable: true })
  t.teardown(() => Reflect.deleteProperty(shared, 'polluted'))
  t.true(cache.set('a', 1, { ttl: 1000 }))
  t.is(cache.ttl('a'), 1000)
})

test('getOrSet and once take a lifetime in place of options, as set does', async (t) => {
  const name = segmentName(t)
  const cache = openStopped(t, { name })
  t.is(await cache.getOrSet('a', load, '5m'), 1)
  t.is(cache.ttl('a'), 300_000)
  t.is(await cache.getOrSet('b', load, 1500), 1)
  t.is(cache.ttl('b'), 1500)
  t.is(await cache.once('o', load, '5m'), 1)
  await t.throwsAsync(cache.getOrSet('c', load, '5 minutes' as never), { code: 'ERR_INVALID_TTL' })
  await t.throwsAsync(cache.once('p', load, 0), { code: 'ERR_INVALID_TTL' })
})
