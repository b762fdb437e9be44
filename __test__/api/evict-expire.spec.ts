/**
 * The events `evict` and `expire`: each entry that this process had to remove is reported once, with its key.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { Key, SharedCache } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { allTold, listen, overfill } from '../helpers/removals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('evict reports each evicted key once', async (t) => {
  const cache = openCache(t)
  const evicted = listen(cache, 'evict')
  const expired = listen(cache, 'expire')
  const keys = overfill(cache)
  await allTold(t, evicted, () => cache.stats().evictions)
  t.is(evicted.lost, 0)
  t.deepEqual(evicted.keys.toSorted(), keys.filter((key) => !cache.has(key)).toSorted())
  t.deepEqual(expired, { keys: [], lost: 0 })
})

test('expire reports entries that were swept or replaced after their deadline', async (t) => {
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

test('byte keys and keys of any text are reported as they were given', async (t) => {
  const cache = openStopped(t)
  const expired = listen(cache, 'expire')
  const keys: Key[] = ['é€😀', 'x\uFFFDy', Buffer.from([0xff, 0])]
  for (const key of keys) cache.set(key, 1, 10)
  advance(cache, 10)
  await allTold(t, expired, () => 3)
  const texts = expired.keys.map((key) => (typeof key === 'string' ? key : Buffer.from(key).toString('hex')))
  t.deepEqual(texts.toSorted(), ['ff00', 'x\uFFFDy', 'é€😀'].toSorted())
})

test('entries that the caller deletes, clears, invalidates or replaces in time are not reported', async (t) => {
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

test('a namespace reports its own entries, whichever call removed them', async (t) => {
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

test('a listener may use the cache, and gets nothing after it is removed', async (t) => {
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
