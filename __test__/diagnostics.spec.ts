/**
 * Diagnostics channels: each is told what it should be, and without a subscriber nothing is published and nothing built.
 */
import { Channel, channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { truncateSync } from 'node:fs'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError, segments } from '../index.ts'
import type { SharedCache } from '../index.ts'
import type { CacheMessage } from '../lib/diagnostics.ts'
import { channels } from '../lib/diagnostics.ts'
import { advance } from '../lib/testing.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName, temporaryDirectory } from './helpers/segment.ts'

type Told = [channel: string, message: CacheMessage][]

/** What is published of one segment, until the test ends or `stop` is called. */
function listen(t: ExecutionContext, name: string, ...names: (keyof typeof channels)[]): Told & { stop(): void } {
  const told: Told = []
  const hear = (message: unknown, channelName: string | symbol): void => {
    // Other tests of this file publish, too.
    if ((message as CacheMessage).name !== name) return
    told.push([String(channelName).replace('cache-machine:', ''), message as CacheMessage])
  }
  const all = names.map((each) => `cache-machine:${each}`)
  for (const each of all) subscribe(each, hear)
  const stop = (): void => all.forEach((each) => unsubscribe(each, hear))
  t.teardown(stop)
  return Object.assign(told, { stop })
}

/** A cache with every method that publishes called once. */
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

test.serial('each call is told with what it did', (t) => {
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

test.serial('without a subscriber nothing is published, and no message is built', (t) => {
  const cache = openCache(t)
  // A channel that nobody subscribed to publishes nothing; a call would be the message built in vain.
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

test.serial('a hit is told to nobody', (t) => {
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

test.serial('evict and expire are told to whoever subscribed before the cache was opened', async (t) => {
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

test.serial('who subscribes to evict and expire later hears of it from the next set on', async (t) => {
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

test.serial('damage and detached are told', async (t) => {
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

test.serial('detached is told of a cache that does nothing', async (t) => {
  const name = segmentName(t)
  const told = listen(t, name, 'detached')
  openCache(t, { name })
  segments.destroy(name, { force: true })
  await eventually('the message', () => told.length === 1)
  t.deepEqual([...told], [['detached', { name, namespace: '' }]])
})

test.serial('repaired is told by whoever mended what a killed process left', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const told = listen(t, name, 'repaired')
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  // Until one was killed inside a write.
  await eventually(
    'a repair',
    async () => {
      const child = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] })
      await child.next()
      child.kill()
      await child.exit
      for (let i = 0; i < 20; i++) cache.set(`probe${i}`, i)
      return cache.stats().repairs > 0
    },
    40_000,
  )
  await eventually('the message', () => told.length > 0)
  t.deepEqual(told[0], ['repaired', { name, namespace: '', count: 0 }])
})

test('the channels have documented names', (t) => {
  const names = 'open close miss set load delete clear invalidate evict expire damage repaired detached'.split(' ')
  t.deepEqual(Object.keys(channels), names)
  for (const each of names) t.is(channel(`cache-machine:${each}`), channels[each as keyof typeof channels])
})
