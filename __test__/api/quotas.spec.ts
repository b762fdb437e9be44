/**
 * Quotas of namespaces: reserve, size, eviction, their stats, and the settings that are refused.
 */
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import type { NamespaceOptions, SharedCache } from '../../index.ts'
import { advance, problems } from '../helpers/internals.ts'
import { SMALL, openCache, openStopped } from '../helpers/segment.ts'

const MIB = 2 ** 20
const SESSION = 'x'.repeat(6000)
const PAGE = 'x'.repeat(2000)

/** Sets sessions, then pages that are read twice. Returns the number of sessions that are left. */
function sessionsBesidePages(cache: SharedCache, options: NamespaceOptions, pages: number): number {
  const sessions = cache.namespace('sessions', { ...options, near: false })
  for (let i = 0; i < 500; i++) if (!sessions.set(`s${i}`, SESSION)) throw new Error(`session ${i} was refused`)
  const others = cache.namespace('pages', { near: false })
  for (let i = 0; i < pages; i++) {
    others.set(`p${i}`, PAGE)
    others.get(`p${i}`)
    others.get(`p${i}`)
  }
  return Array.from({ length: 500 }, (_, i) => sessions.has(`s${i}`)).filter(Boolean).length
}

for (const eviction of ['s3-fifo', 'lru', 'none'] as const) {
  const pages = eviction === 's3-fifo' ? 100_000 : 20_000
  test(`${eviction}: 500 sessions with a reserve outlive ${pages} pages in one segment`, (t) => {
    const cache = openCache(t, { size: '16mb', eviction })
    t.is(sessionsBesidePages(cache, { reserve: '4mb' }, pages), 500)
    t.like(cache.namespace('sessions').stats(), { guaranteedBytes: 4 * MIB, evictions: 0, evictedForOthers: 0 })
    t.deepEqual(problems(cache), [])
  })
}

test('without a reserve no session is left', (t) => {
  const cache = openCache(t, { size: '16mb' })
  t.is(sessionsBesidePages(cache, {}, 30_000), 0)
  t.like(cache.namespace('sessions').stats(), { guaranteedBytes: 0, evictions: 500, evictedForOthers: 500 })
})

for (const eviction of ['s3-fifo', 'lru'] as const) {
  test(`size with ${eviction}: the namespace evicts its own entries and never exceeds it`, (t) => {
    const cache = openCache(t, { size: SMALL })
    cache.set('other', PAGE)
    const pages = cache.namespace('pages', { size: '1mb', eviction, near: false })
    for (let i = 0; i < 2000; i++) {
      if (!pages.set(`p${i}`, PAGE) || pages.get(`p${i}`) !== PAGE) t.fail(`${i} was not stored`)
      const { bytes } = pages.stats()
      if (bytes > MIB) t.fail(`${bytes} bytes at ${i}`)
    }
    const { bytes, maximumBytes, evictions, evictedForSize, evictedForOthers } = pages.stats()
    t.deepEqual([maximumBytes, evictedForSize, evictedForOthers], [MIB, evictions, 0])
    t.true(evictions > 1000 && bytes > 0.9 * MIB)
    t.is(cache.get('other'), PAGE)
    t.like(cache.stats(), { evictions, evictedForSize })
    t.deepEqual(problems(cache), [])
  })
}

test("eviction 'none': nothing is evicted, not even for others, and a write beyond the room is refused", async (t) => {
  const cache = openCache(t, { size: SMALL })
  const jobs = cache.namespace('jobs', { size: '1mb', eviction: 'none' })
  let stored = 0
  while (jobs.set(`j${stored}`, PAGE)) stored++
  t.true(stored > 450)
  for (let i = 0; i < 5000; i++) cache.set(`p${i}`, PAGE)
  t.true(cache.stats().evictions > 0)
  t.is(jobs.size, stored)
  t.like(jobs.stats(), { evictions: 0, maximumBytes: MIB })
  t.false(jobs.set('j0', SESSION))
  t.is(jobs.get('j0'), PAGE, 'a refused write leaves the entry')
  t.false(jobs.add('one more', PAGE))
  const fill = (): void => {
    for (let i = 0; i < 10_000; i++) jobs.incr(`n${i}`)
  }
  const error = t.throws(fill, { instanceOf: CacheError, code: 'ERR_NO_SPACE' })
  t.regex(error?.hint ?? '', /namespace with a quota, raise its size/)
  t.throws(() => jobs.update('j0', () => SESSION), { code: 'ERR_NO_SPACE' })
  t.is(await jobs.getOrSet('loaded', () => PAGE), PAGE, 'callers get a value that has no room')
  t.false(jobs.has('loaded'))
  t.true(jobs.delete('j0'))
  t.true(jobs.set('again', 'x'.repeat(1000)))
  t.deepEqual(problems(cache), [])
})

test('an entry that is larger than the namespace is refused, others are as before', (t) => {
  const cache = openCache(t, { size: '64mb' })
  const large = cache.namespace('large', { size: '2mb' })
  t.false(large.set('a', Buffer.alloc(2 * MIB)))
  for (let i = 0; i < 50; i++) {
    if (!large.set(`l${i}`, Buffer.alloc(700_000)) || !large.has(`l${i}`)) t.fail(`${i} was refused`)
  }
  t.true(large.stats().bytes <= 2 * MIB)
})

test('the latest setting counts, for all objects and processes, and what a call leaves out stays', (t) => {
  const cache = openCache(t, { size: SMALL })
  const limits = (): number[] => {
    const { guaranteedBytes, maximumBytes } = cache.namespace('n').stats()
    return [guaranteedBytes, maximumBytes]
  }
  const { capacityBytes } = cache.stats()
  cache.namespace('n')
  t.deepEqual(limits(), [0, capacityBytes])
  cache.namespace('n', { reserve: '100kb' })
  t.deepEqual(limits(), [102_400, capacityBytes])
  cache.namespace('n', { size: '200kb' })
  t.deepEqual(limits(), [102_400, 204_800])
  cache.namespace('n', { eviction: 'lru' })
  openCache(t, { name: cache.name }).namespace('n')
  t.deepEqual(limits(), [102_400, 204_800])
  openCache(t, { name: cache.name }).namespace('n', { reserve: 1, size: 300 })
  t.deepEqual(limits(), [64, 256], 'whole units of 64 bytes: a reserve is rounded up, a size down')
  cache.namespace('n', { reserve: 0, size: Infinity })
  t.deepEqual(limits(), [0, capacityBytes])
  t.is(cache.stats().guaranteedBytes, 0)
})

test('equal quotas mean the same object, and a call without one accepts it', (t) => {
  const cache = openCache(t, { size: SMALL })
  const first = cache.namespace('n', { reserve: '64kb', size: '1mb', eviction: 'lru' })
  t.is(cache.namespace('n', { reserve: 65_536, size: MIB, eviction: 'lru' }), first)
  t.is(cache.namespace('n'), first)
  t.not(cache.namespace('n', { reserve: '64kb' }), first)
  t.like(first.namespace('inner').stats(), { guaranteedBytes: 0 }, 'a namespace of it has no quota')
})

test('settings that cannot hold throw, with a hint, and change nothing', (t) => {
  const cache = openCache(t, { size: SMALL })
  const refused = (options: unknown, code: string): CacheError => {
    const error = t.throws(() => cache.namespace('n', options as NamespaceOptions), { instanceOf: CacheError, code })
    return error as CacheError
  }
  for (const reserve of [-1, Number.NaN, '4', '4 mb', '1tb', true, null, Infinity]) {
    refused({ reserve }, 'ERR_INVALID_ARGUMENT')
  }
  for (const size of [0, -1, Number.NaN, '8', '1tb', {}, null]) refused({ size }, 'ERR_INVALID_ARGUMENT')
  for (const eviction of ['fifo', 'LRU', '', 1, null]) refused({ eviction }, 'ERR_INVALID_ARGUMENT')
  t.regex(refused({ reserve: '2mb', size: '1mb' }, 'ERR_INVALID_ARGUMENT').hint, /reserve is a part of the size/)
  t.regex(refused({ guarantee: '2mb' }, 'ERR_INVALID_ARGUMENT').message, /use reserve/)
  t.regex(refused({ maxMemory: '2mb' }, 'ERR_INVALID_ARGUMENT').message, /use size/)
  t.regex(refused({ reserve: '1gb' }, 'ERR_NO_SPACE').hint, /smaller reserve/)
  cache.namespace('a', { reserve: cache.stats().capacityBytes / 2 })
  t.regex(refused({ reserve: cache.stats().capacityBytes / 2 }, 'ERR_NO_SPACE').message, /three quarters/)
  t.is(cache.namespace('n').stats().guaranteedBytes, 0)
  cache.namespace('n', { size: '1mb' })
  refused({ reserve: '2mb' }, 'ERR_INVALID_ARGUMENT')
  for (let i = 2; i < 63; i++) cache.namespace(`n${i}`, { size: '1mb' })
  const many = t.throws(() => cache.namespace('many', { size: '1mb' }), { code: 'ERR_NO_SPACE' })
  t.regex((many as CacheError).hint, /Give fewer namespaces/)
  t.true(cache.namespace('many').set('a', 1))
})

test('what a clear or a lifetime ended does not count against the namespace', (t) => {
  const cache = openStopped(t, { size: SMALL })
  const own = cache.namespace('own', { size: '1mb', eviction: 'none' })
  const fill = (ttl?: number): number => {
    let stored = 0
    while (own.set(`k${stored}`, PAGE, ttl)) stored++
    return stored
  }
  const first = fill()
  own.clear()
  t.is(own.stats().bytes, 0)
  const second = fill(1000)
  advance(cache, 1000)
  let third = 0
  for (let i = 0; i < 20_000 && third < first; i++) third += own.set(`m${third}`, PAGE) ? 1 : 0
  t.deepEqual([second, third], [first, first])
  t.deepEqual(problems(cache), [])
})

test('prometheus renders the bytes of each namespace', (t) => {
  const cache = openCache(t, { size: SMALL })
  cache.namespace('own', { reserve: '64kb', size: '1mb' }).set('a', 1)
  const text = cache.metrics().prometheus({ namespaces: true })
  const labels = `{cache="${cache.name}",namespace="own"}`
  t.true(text.includes(`cache_machine_guaranteed_bytes${labels} 65536`))
  t.true(text.includes(`cache_machine_maximum_bytes${labels} 1048576`))
  t.true(text.includes(`cache_machine_bytes${labels} 128`))
  t.true(text.includes(`cache_machine_evicted_for_size_total${labels} 0`))
  t.true(text.includes(`cache_machine_evicted_for_others_total${labels} 0`))
})

test('a segment that is made anew gets the quota again', (t) => {
  const cache = openCache(t, { size: SMALL })
  const own = cache.namespace('own', { reserve: '64kb', size: '1mb', eviction: 'none' })
  t.true(own.set('a', 1))
  t.true(segments.destroy(cache.name, { force: true }))
  t.is(own.get('a'), undefined)
  t.like(own.stats(), { guaranteedBytes: 65_536, maximumBytes: MIB })
})
