/**
 * The events `evict` and `expire`: what this process had to remove, told with its key, and nothing else.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { GoneEvent, Key, SharedCache } from '../index.ts'
import { advance } from '../lib/testing.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'

interface Told {
  readonly keys: Key[]
  lost: number
}

function listen(cache: SharedCache, event: 'evict' | 'expire'): Told {
  const told: Told = { keys: [], lost: 0 }
  cache.on(event, ({ key, lost }: GoneEvent) => {
    if (key !== undefined) told.keys.push(key)
    told.lost += lost
  })
  return told
}

const VALUE = 'x'.repeat(4000)

/** Writes more than there is room for. */
function overfill(cache: SharedCache, count = 4000): string[] {
  const keys = Array.from({ length: count }, (_, i) => `k${i}`)
  for (const key of keys) cache.set(key, VALUE)
  return keys
}

/** Every removal was told of: by name, or in a number. */
async function allTold(t: ExecutionContext, told: Told, count: () => number): Promise<void> {
  await eventually('all was told', () => told.keys.length + told.lost >= count())
  t.is(told.keys.length + told.lost, count())
}

test('evict tells each key that made room, once', async (t) => {
  const cache = openCache(t)
  const evicted = listen(cache, 'evict')
  const expired = listen(cache, 'expire')
  const keys = overfill(cache)
  await allTold(t, evicted, () => cache.stats().evictions)
  t.is(evicted.lost, 0)
  t.deepEqual(evicted.keys.toSorted(), keys.filter((key) => !cache.has(key)).toSorted())
  t.deepEqual(expired, { keys: [], lost: 0 })
})

test('expire tells what was swept or replaced after its time', async (t) => {
  const cache = openStopped(t)
  const evicted = listen(cache, 'evict')
  const expired = listen(cache, 'expire')
  cache.set('swept', 1, 1000)
  cache.set('replaced', 1, 1000)
  cache.set('lives', 1, 5000)
  advance(cache, 1000)
  cache.set('replaced', 2)
  await allTold(t, expired, () => 2)
  t.deepEqual(expired.keys.toSorted(), ['replaced', 'swept'])
  await turn()
  t.deepEqual(evicted.keys, [])
  t.is(cache.stats().expirations, 2)
})

test('keys of bytes and of any text are told as they were given', async (t) => {
  const cache = openStopped(t)
  const expired = listen(cache, 'expire')
  const keys: Key[] = ['é€😀', 'x\uFFFDy', Buffer.from([0xff, 0])]
  for (const key of keys) cache.set(key, 1, 10)
  advance(cache, 10)
  await allTold(t, expired, () => 3)
  const texts = expired.keys.map((key) => (typeof key === 'string' ? key : Buffer.from(key).toString('hex')))
  t.deepEqual(texts.toSorted(), ['ff00', 'x\uFFFDy', 'é€😀'].toSorted())
})

test('what the caller deletes, clears, invalidates or replaces in time is neither', async (t) => {
  const cache = openStopped(t)
  const evicted = listen(cache, 'evict')
  const expired = listen(cache, 'expire')
  for (const key of ['deleted', 'taken', 'replaced', 'tagged', 'by prefix', 'cleared']) {
    cache.set(key, 1, { ttl: 1000, tags: ['t'] })
  }
  cache.delete('deleted')
  cache.take('taken')
  cache.set('replaced', 2)
  cache.deletePrefix('by')
  cache.invalidateTags('t')
  cache.clear()
  advance(cache, 1000)
  cache.set('last', 1, 10)
  advance(cache, 10)
  await allTold(t, expired, () => 1)
  t.deepEqual(expired.keys, ['last'])
  t.deepEqual(evicted.keys, [])
})

test('only the process that removed an entry is told', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const evicted = listen(cache, 'evict')
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  for (let i = 0; i < 8; i++) {
    await child.ask(['setMany', Array.from({ length: 500 }, (_, n) => [`${i}:${n}`, VALUE])])
  }
  const byOther = cache.stats().evictions
  t.true(byOther > 100)
  overfill(cache, 500)
  await allTold(t, evicted, () => cache.stats().evictions - byOther)
  t.true(evicted.keys.length > 100)
})

test('a namespace tells of its own entries, whoever made them go', async (t) => {
  const cache = openStopped(t)
  const own = cache.namespace('own')
  const [ofRoot, ofOwn] = [listen(cache, 'expire'), listen(own as SharedCache, 'expire')]
  cache.set('root', 1, 10)
  own.set('own', 1, 10)
  advance(cache, 10)
  await allTold(t, ofRoot, () => 1)
  await allTold(t, ofOwn, () => 1)
  t.deepEqual([ofRoot.keys, ofOwn.keys], [['root'], ['own']])
})

test('a listener may use the cache, and nothing is told any more when it has gone', async (t) => {
  const cache = openStopped(t)
  const seen: unknown[] = []
  const stop = cache.on('expire', ({ key }) => {
    seen.push(key)
    cache.set('from the listener', key)
  })
  cache.set('a', 1, 10)
  advance(cache, 10)
  await eventually('the event', () => seen.length === 1)
  t.is(cache.get('from the listener'), 'a')
  stop()
  cache.set('b', 1, 10)
  advance(cache, 10)
  await eventually('the sweep', () => cache.stats().expirations === 2)
  await turn()
  t.deepEqual(seen, ['a'])
})
