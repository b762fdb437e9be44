/**
 * `ttl: Infinity`: no expiry, in every call that takes a lifetime, also where another default applies.
 */
import test from 'ava'
import type { SharedCache } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { openStopped } from '../helpers/segment.ts'

const YEAR = 365 * 86_400_000
const never = { ttl: Infinity }

const WRITES: Record<string, (cache: SharedCache) => unknown> = {
  'set with a lifetime': (cache) => cache.set('a', 1, Infinity),
  'set with options': (cache) => cache.set('a', 1, never),
  'set with a moment': (cache) => cache.set('a', 1, { expiresAt: Infinity }),
  'set over an entry that expires': (cache) => cache.set('a', 0, 1000) && cache.set('a', 1, never),
  'set under a condition': (cache) => cache.set('a', 1, { ttl: Infinity, if: 'absent' }),
  'set with tags': (cache) => cache.set('a', 1, { ttl: Infinity, tags: ['t'], stale: Infinity }),
  add: (cache) => cache.add('a', 1, Infinity),
  replace: (cache) => cache.set('a', 0, 1000) && cache.replace('a', 1, Infinity),
  swap: (cache) => cache.swap('a', 1, Infinity),
  'swap over an entry that expires': (cache) => cache.set('a', 0, 1000) && cache.swap('a', 1, never),
  update: (cache) => cache.update('a', () => 1, never),
  append: (cache) => cache.append('a', 'text', never),
  setMany: (cache) => cache.setMany([['a', 1]], Infinity),
  'an item of setMany': (cache) => cache.setMany([['a', 1, never]], 1000),
  touch: (cache) => cache.set('a', 1, 1000) && cache.touch('a', Infinity),
  incr: (cache) => cache.incr('a', 1, never),
  incrBigInt: (cache) => cache.incrBigInt('a', 1n, never),
  getOrSet: (cache) => cache.getOrSet('a', () => 1, never),
  'getOrSet with a lifetime': (cache) => cache.getOrSet('a', () => 1, Infinity),
  'getOrSet with a computed lifetime': (cache) => cache.getOrSet('a', () => 1, { ttl: () => Infinity, jitter: 0.5 }),
  wrap: (cache) => cache.wrap(() => 1, { key: () => 'a', ttl: Infinity })(),
}

for (const [name, write] of Object.entries(WRITES)) {
  test(`${name} with Infinity stores an entry that does not expire, under a default ttl`, async (t) => {
    const cache = openStopped(t, { ttl: 1000 })
    await write(cache)
    t.is(cache.ttl('a'), Infinity)
    advance(cache, YEAR)
    t.true(cache.has('a'))
  })
}

test('a default ttl of Infinity is none, in open and in a namespace of a cache with a ttl', (t) => {
  const cache = openStopped(t, { ttl: Infinity })
  cache.set('a', 1)
  t.is(cache.ttl('a'), Infinity)
  const brief = openStopped(t, { ttl: 1000 })
  const lasting = brief.namespace('n', { ttl: Infinity })
  lasting.set('a', 1)
  t.is(lasting.ttl('a'), Infinity)
  const inner = lasting.namespace('inner')
  inner.set('a', 1)
  t.is(inner.ttl('a'), Infinity)
})

test('an absence is remembered for ever with a negativeTtl of Infinity', async (t) => {
  const cache = openStopped(t, { ttl: 1000 })
  let loads = 0
  const load = (): undefined => void loads++
  await cache.getOrSet('a', load, { negativeTtl: Infinity })
  advance(cache, YEAR)
  await cache.getOrSet('a', load, { negativeTtl: Infinity })
  t.is(loads, 1)
})

test('a stale time of Infinity serves an expired value for as long as there is room', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, { ttl: 1000, stale: Infinity })
  advance(cache, YEAR)
  t.is(cache.get('a'), undefined)
  t.is(cache.getEntry('a', { allowStale: true })?.value, 1)
})

test('the result of once is remembered for ever with a ttl of Infinity', async (t) => {
  const cache = openStopped(t)
  t.is(await cache.once('work', () => 1, never), 1)
  advance(cache, YEAR)
  t.is(await cache.once('work', () => 2, Infinity), 1)
})

test('a lock with a ttl of Infinity has no deadline, and extend(Infinity) removes one', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', never)
  const tried = cache.tryLock('b', { ttl: 1000 })
  const permit = await cache.semaphore('s', 1).acquire(never)
  tried?.extend(Infinity)
  advance(cache, YEAR)
  for (const held of [lock, tried, permit]) {
    t.true(held?.held)
    t.is(held?.expiresAt, undefined)
  }
})

test('a value without an expiry is never reloaded ahead of time', async (t) => {
  const cache = openStopped(t)
  let loads = 0
  const options = { ttl: Infinity, refreshAhead: 0.5 }
  for (let i = 0; i < 3; i++) {
    await cache.getOrSet('a', () => ++loads, options)
    advance(cache, YEAR)
  }
  t.is(loads, 1)
})

test('the lifetime that ttl() returns for an entry without an expiry can be passed on', (t) => {
  const cache = openStopped(t, { ttl: 1000 })
  cache.set('a', 1, Infinity)
  cache.set('copy', 1, cache.ttl('a'))
  t.is(cache.ttl('copy'), Infinity)
})
