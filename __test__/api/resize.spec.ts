/**
 * `segments.resize` and `onMismatch: 'resize'`: what stays, what goes on, and what is refused.
 */
import test from 'ava'
import { open, segments } from '../../index.ts'
import type { CacheError, LogEntry, ResizedEvent, SharedCache } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { near, openCounted } from '../helpers/near-cache.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

const MB = 2 ** 20

function fill(cache: SharedCache, count: number): void {
  for (let i = 0; i < count; i++) cache.set(`key ${i}`, { i, text: 'x'.repeat(i % 700) })
}

function isWhole(cache: SharedCache, count: number): boolean {
  return Array.from({ length: count }, (_, i) => cache.get(`key ${i}`)).every(
    (value, i) => JSON.stringify(value) === JSON.stringify({ i, text: 'x'.repeat(i % 700) }),
  )
}

test('a segment grows and shrinks while a cache uses it, and everything stays', (t) => {
  const cache = openCache(t, { size: '4mb' })
  const space = cache.namespace('space')
  fill(cache, 1000)
  cache.set('mortal', 1, { ttl: '1h', stale: '1h' })
  cache.set('tagged', 1, { tags: ['news'] })
  space.set('inside', new Map([[1, 'one']]))
  const version = cache.getEntry('tagged')?.version
  const { sets, hits } = cache.stats()
  for (const [from, to] of [
    ['4mb', '40mb'],
    ['40mb', '8mb'],
    ['8mb', '64mb'],
  ] as const) {
    const resized = segments.resize(cache.name, to)
    t.like(resized, { from: Number.parseInt(from) * MB, to: Number.parseInt(to) * MB, entries: 1003, evicted: 0 }, to)
    t.true(resized.pausedMs >= 0 && resized.pausedMs < 60_000)
    t.is(segments.inspect(cache.name)?.size, Number.parseInt(to) * MB)
    t.true(isWhole(cache, 1000), to)
    t.deepEqual(space.get('inside'), new Map([[1, 'one']]))
    t.true(Math.abs((cache.ttl('mortal') ?? 0) - 3_600_000) < 60_000)
    t.is(cache.getEntry('tagged')?.version, version)
  }
  t.like(cache.stats(), { sets, limitBytes: segments.inspect(cache.name)?.limitBytes })
  t.true(cache.stats().hits > hits)
  cache.invalidateTags('news')
  t.is(cache.get('tagged'), undefined)
  cache.clear()
  t.is(cache.size, 0)
})

test('the same size changes nothing', (t) => {
  const cache = openCache(t, { size: '4mb' })
  cache.set('a', 1)
  const seen: ResizedEvent[] = []
  cache.on('resized', (event) => seen.push(event))
  t.deepEqual(segments.resize(cache.name, '4mb'), {
    from: 4 * MB,
    to: 4 * MB,
    entries: 1,
    evicted: 0,
    pausedMs: 0,
  })
  t.deepEqual(seen, [])
})

test('a smaller size evicts as the policy says, and refuses where nothing may be evicted', (t) => {
  const cache = openCache(t, { size: '16mb' })
  for (let i = 0; i < 9000; i++) cache.set(`key ${i}`, 'x'.repeat(1000))
  const before = cache.size
  const { evicted, entries } = segments.resize(cache.name, '4mb')
  t.true(evicted > 0 && entries === cache.size && entries + evicted === before, `${evicted} of ${before}, ${entries}`)

  const full = openCache(t, { size: '16mb', eviction: 'none' })
  for (let i = 0; i < 9000; i++) full.set(`key ${i}`, 'x'.repeat(1000))
  const stored = full.size
  const error = t.throws<CacheError>(() => segments.resize(full.name, '4mb'), { code: 'ERR_NO_SPACE' })
  t.regex(error?.message ?? '', /the new size is too small/)
  t.like(segments.inspect(full.name), { size: 16 * MB, entries: stored })
  t.is(full.get('key 0'), 'x'.repeat(1000))
})

test('wrong sizes and names are refused', (t) => {
  const cache = openCache(t, { size: '4mb' })
  for (const size of [0, -1, '64', '1tbb', Number.NaN, undefined, 1, '2000gb'] as never[]) {
    t.throws(() => segments.resize(cache.name, size), { code: 'ERR_INVALID_ARGUMENT' }, String(size))
  }
  t.throws(() => segments.resize(segmentName(t), '4mb'), { code: 'ERR_NO_SEGMENT' })
  t.throws(() => segments.resize('a/b', '4mb'), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => segments.resize(cache.name, '4mb', { folder: '/tmp' } as never), { code: 'ERR_INVALID_ARGUMENT' })
})

test('every handle emits resized, and logs it', async (t) => {
  const name = segmentName(t)
  const log: LogEntry[] = []
  const first = openCache(t, { name, size: '4mb' })
  const second = openCache(t, { name, size: '4mb', log: (entry) => log.push(entry) })
  const seen: ResizedEvent[] = []
  let detached = 0
  for (const cache of [first, second, second.namespace('space')]) {
    cache.on('resized', (event) => seen.push(event))
    cache.on('detached', () => detached++)
  }
  segments.resize(name, '8mb')
  await eventually('the events', () => seen.length === 3)
  t.deepEqual(seen[0], { from: 4 * MB, to: 8 * MB })
  t.like(
    log.find(({ event }) => event === 'resized'),
    { level: 'info', from: 4 * MB, to: 8 * MB },
  )
  t.is(detached, 0)
})

test('locks stay held, waits and streams go on', async (t) => {
  const cache = openCache(t, { size: '4mb' })
  const lock = await cache.lock('l')
  const waiting = cache.lock('l')
  const awaited = cache.waitFor('awaited')
  const limiter = cache.limiter('api', { limit: 10, window: '1h' })
  limiter.consume('k', 6)
  const changes = cache.watch({ prefix: 'w' })[Symbol.asyncIterator]()
  const first = changes.next()
  const counter = cache.metrics().counter('jobs')
  counter.inc(2)
  const loaded = cache.getOrSet('loaded', async () => {
    segments.resize(cache.name, '40mb')
    return 'value'
  })
  t.is(await loaded, 'value')
  t.is(cache.get('loaded'), 'value', 'the load was kept')
  t.false(lock.signal.aborted)
  counter.inc(3)
  t.is(counter.value, 5)
  t.false(limiter.consume('k', 5).allowed)
  t.true(limiter.consume('k', 4).allowed)
  cache.set('w1', 1)
  t.like((await first).value, { key: 'w1' })
  segments.resize(cache.name, '8mb')
  lock.release()
  const next = await waiting
  t.false(next.signal.aborted)
  next.release()
  cache.set('awaited', 'here')
  t.is((await awaited).value, 'here')
  const second = changes.next()
  cache.set('w2', 2)
  t.like((await second).value, { key: 'w2' })
  await changes.return?.()
})

onNative('the memory of a segment')('near copies are read again, and kept again', (t) => {
  const [cache, counts] = openCounted(t, { size: '4mb' })
  cache.set('k', 'value')
  t.is(near(t, cache, counts, 'k'), 'value')
  for (const size of ['40mb', '4mb', '120mb'] as const) {
    segments.resize(cache.name, size)
    const before = counts['getNear'] ?? 0
    t.is(cache.get('k'), 'value')
    t.is(counts['getNear'], before + 1, 'the segment was read')
    cache.get('k')
    t.is(near(t, cache, counts, 'k'), 'value', size)
    cache.set('k', 'new')
    t.is(cache.get('k'), 'new')
    cache.set('k', 'value')
  }
})

test('a larger value fits after a resize, and the limit is that of the new size', (t) => {
  const cache = openCache(t, { size: '4mb' })
  const large = 'x'.repeat(3 * MB)
  t.throws(() => cache.set('large', large), { code: 'ERR_VALUE_TOO_LARGE' })
  segments.resize(cache.name, '64mb')
  cache.set('large', large)
  t.is(cache.get('large'), large)
  const error = t.throws(() => cache.set('larger', 'x'.repeat(5 * MB)), { code: 'ERR_VALUE_TOO_LARGE' })
  t.regex(error?.message ?? '', new RegExp(String(segments.inspect(cache.name)?.maxEntrySize)))
})

test("open with onMismatch: 'resize' gives an existing segment its size", (t) => {
  const name = segmentName(t)
  const first = openCache(t, { name, size: '4mb' })
  fill(first, 200)
  const second = openCache(t, { name, size: '16mb', onMismatch: 'resize' })
  t.is(segments.inspect(name)?.size, 16 * MB)
  t.true(isWhole(first, 200) && isWhole(second, 200))
  // Nothing to do, and no size that could be asked for.
  openCache(t, { name, size: '16mb', onMismatch: 'resize' })
  open({ name, onMismatch: 'resize' }).close()
  open({ name, size: '4mb', create: false, onMismatch: 'resize' }).close()
  t.is(segments.inspect(name)?.size, 16 * MB, 'a visitor changes nothing')
  t.throws(() => open({ name, size: 1, onMismatch: 'resize' }), { code: 'ERR_INVALID_ARGUMENT' })
})

test('a mismatch of the size tells how to resize', (t) => {
  const name = segmentName(t)
  openCache(t, { name, size: '4mb' })
  const error = t.throws<CacheError>(() => open({ name, size: '8mb', onMismatch: 'throw' }), {
    code: 'ERR_SEGMENT_MISMATCH',
  })
  t.regex(error?.hint ?? '', /onMismatch: 'resize'/)
  t.regex(error?.hint ?? '', new RegExp(`segments\\.resize\\('${name}', 8388608\\)`))
  t.regex(error?.hint ?? '', new RegExp(`cache-machine resize ${name} 8388608`))
  const both = t.throws<CacheError>(() => open({ name, size: '8mb', eviction: 'lru', onMismatch: 'throw' }))
  t.notRegex(both?.hint ?? '', /cache-machine resize/)
})

test('collections, versions and their users stay', (t) => {
  const cache = openCache(t, { size: '4mb' })
  const next = openCache(t, { name: cache.name, size: '4mb', version: 'v2' })
  cache.set('key', 'plain')
  next.set('key', 'of v2')
  cache.hash('hash').set('field', { a: 1 }, '1h')
  cache.list('list').push(...Array.from({ length: 500 }, (_, n) => n))
  next.sortedSet('sorted').add('member', 1.5)
  segments.resize(cache.name, '16mb')
  t.deepEqual([cache.get('key'), next.get('key')], ['plain', 'of v2'])
  t.deepEqual(cache.hash('hash').get('field'), { a: 1 })
  t.true((cache.hash('hash').ttl('field') ?? 0) > 3_590_000)
  t.is(cache.list('list').push(500), 501)
  t.deepEqual(next.sortedSet('sorted').toArray(), [['member', 1.5]])
  t.is(cache.sortedSet('sorted').size, 0)
  t.deepEqual(
    next.stats().versions.map(({ name }) => name),
    ['v2'],
  )
})
