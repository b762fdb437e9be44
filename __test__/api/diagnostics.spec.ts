/**
 * Diagnostics channels: each event is published with its data; without a subscriber nothing is published and no message
 * is built.
 */
import { Channel, channel } from 'node:diagnostics_channel'
import { truncateSync } from 'node:fs'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError, segments } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { listen } from '../helpers/channel-messages.ts'
import { eventually } from '../helpers/eventually.ts'
import { advance, channels } from '../helpers/internals.ts'
import { openCache, openStopped, segmentName, temporaryDirectory } from '../helpers/segment.ts'

/** Calls every method that publishes once. */
function useAll(t: ExecutionContext, cache: SharedCache): void {
  t.is(cache.get('none'), undefined)
  t.deepEqual(cache.getMany(['none', 'none too']), [undefined, undefined])
  cache.set('a', 1)
  cache.set('a', 2, { if: 'absent' })
  cache.set('b', 1, { tags: ['t'] })
  cache.setMany([['c', 1]])
  cache.delete('a')
  cache.delete('a')
  cache.deletePrefix('c')
  cache.invalidateTags(['t'])
  cache.clear()
  cache.namespace('own').set('d', 1)
  cache.close()
}

test.serial('every call publishes a message with what it did', (t) => {
  const name = segmentName(t)
  const told = listen(t, name, 'open', 'close', 'miss', 'set', 'delete', 'clear', 'invalidate')
  useAll(t, openCache(t, { name }))
  const root = { name, namespace: '' }
  const own = { name, namespace: 'own' }
  t.deepEqual(
    [...told],
    [
      ['open', root],
      ['miss', { ...root, key: 'none' }],
      ['miss', { ...root, key: 'none' }],
      ['miss', { ...root, key: 'none too' }],
      ['set', { ...root, key: 'a', done: true }],
      ['set', { ...root, key: 'a', done: false }],
      ['set', { ...root, key: 'b', done: true }],
      ['set', { ...root, key: 'c', done: true }],
      ['delete', { ...root, key: 'a', done: true }],
      ['delete', { ...root, key: 'a', done: false }],
      ['delete', { ...root, prefix: 'c', count: 1 }],
      ['invalidate', { ...root, tags: ['t'] }],
      ['clear', root],
      ['open', own],
      ['set', { ...own, key: 'd', done: true }],
      ['close', own],
      ['close', root],
    ],
  )
})

test.serial('without a subscriber no message is published or built', (t) => {
  const cache = openCache(t)
  // A channel without a subscriber publishes nothing, so a call of `publish` would mean a message that was built in
  // vain.
  t.true(Object.values(channels).every((each) => !each.hasSubscribers))
  const { publish } = Channel.prototype
  let published = 0
  Channel.prototype.publish = () => published++
  try {
    useAll(t, cache)
  } finally {
    Channel.prototype.publish = publish
  }
  t.is(published, 0)
})

test.serial('a hit publishes no message', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('a', { x: 1 })
  const told = listen(t, name, ...(Object.keys(channels) as (keyof typeof channels)[]))
  cache.get('a')
  cache.getMany(['a'])
  cache.getEntry('a')
  cache.has('a')
  t.deepEqual([...told], [])
})

test.serial('a subscriber from before the cache was opened gets evict and expire', async (t) => {
  const name = segmentName(t)
  const told = listen(t, name, 'evict', 'expire')
  const cache = openStopped(t, { name })
  const own = cache.namespace('own')
  own.set('expires', 1, 10)
  cache.set('expires', 1, 10)
  advance(cache, 10)
  await eventually('both expiries', () => told.length === 2)
  t.deepEqual(
    told.toSorted(([, a], [, b]) => a.namespace.localeCompare(b.namespace)),
    [
      ['expire', { name, namespace: '', key: 'expires' }],
      ['expire', { name, namespace: 'own', key: 'expires' }],
    ],
  )
  told.length = 0
  for (let i = 0; i < 4000; i++) cache.set(`k${i}`, 'x'.repeat(4000))
  await eventually('all evictions', () => told.length >= cache.stats().evictions)
  t.true(told.length > 100)
  t.true(told.every(([what, { key, namespace }]) => what === 'evict' && namespace === '' && /^k\d+$/.test(String(key))))
})

test.serial('a later subscriber to evict and expire gets them from the next set on', async (t) => {
  for (const set of [
    (cache: SharedCache) => cache.set('new', 1),
    (cache: SharedCache) => cache.set('new', 1, { tags: ['t'] }),
    (cache: SharedCache) => cache.setMany([['new', 1]]),
  ]) {
    const name = segmentName(t)
    const cache = openStopped(t, { name })
    cache.set('expires', 1, 10)
    const told = listen(t, name, 'expire')
    set(cache)
    advance(cache, 10)
    await eventually('the expiry', () => told.length === 1)
    t.deepEqual([...told], [['expire', { name, namespace: '', key: 'expires' }]])
    told.stop()
  }
})

onNative('a damaged file', test.serial)('damage and detached are published', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const told = listen(t, name, 'damage', 'detached')
  const cache = openCache(t, { name, directory })
  cache.set('a', 1)
  truncateSync(segments.inspect(name, { directory })?.path ?? '', 100)
  cache.get('a')
  cache.get('a')
  await eventually('both', () => told.some(([what]) => what === 'damage') && told.some(([what]) => what === 'detached'))
  const [, damage] = told.find(([what, { error }]) => what === 'damage' && error !== undefined) ?? []
  t.true(damage?.error instanceof CacheError)
  t.is(told.filter(([what]) => what === 'detached').length, 1)
})

test.serial('detached is published for a cache that makes no calls', async (t) => {
  const name = segmentName(t)
  const told = listen(t, name, 'detached')
  openCache(t, { name })
  segments.destroy(name, { force: true })
  await eventually('the message', () => told.length === 1)
  t.deepEqual([...told], [['detached', { name, namespace: '' }]])
})

test('the channels have documented names', (t) => {
  const names =
    'open close miss set load unstored delete clear invalidate evict expire mismatch damage repaired detached resized'.split(
      ' ',
    )
  t.deepEqual(Object.keys(channels), names)
  for (const each of names) t.is(channel(`cache-machine:${each}`), channels[each as keyof typeof channels])
})
