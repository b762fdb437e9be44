/**
 * Versions of an application: each has keys and values of its own, and shares all else.
 */
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError } from '../../index.ts'
import type { OpenOptions, SharedCache } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { advance, problems } from '../helpers/internals.ts'
import { openCache, openStopped, segmentName, temporaryDirectory } from '../helpers/segment.ts'

interface Versions {
  readonly none: SharedCache
  readonly v1: SharedCache
  readonly v2: SharedCache
}

/** A segment with an unversioned cache and two versions. */
function versions(t: ExecutionContext, options: Partial<OpenOptions> = {}): Versions {
  const name = segmentName(t)
  const none = openCache(t, { ...options, name })
  const [v1, v2] = ['v1', 'v2'].map((version) => openCache(t, { ...options, name, version })) as [
    SharedCache,
    SharedCache,
  ]
  return { none, v1, v2 }
}

/** The same values in each, but with the name of the version. */
function fill({ none, v1, v2 }: Versions): void {
  for (const [cache, of] of [
    [none, 'none'],
    [v1, 'v1'],
    [v2, 'v2'],
  ] as const) {
    for (const key of ['a:1', 'a:2', 'b:1']) cache.set(key, `${key} of ${of}`, { tags: ['tag'] })
  }
}

test('values of versions do not meet, whatever call reads or changes them', (t) => {
  const all = versions(t)
  const { none, v1, v2 } = all
  fill(all)
  for (const [cache, of] of [
    [none, 'none'],
    [v1, 'v1'],
    [v2, 'v2'],
  ] as const) {
    t.is(cache.get('a:1'), `a:1 of ${of}`)
    t.is(cache.get('a:1'), `a:1 of ${of}`, 'from the near cache')
    t.deepEqual([...cache.keys()].toSorted(), ['a:1', 'a:2', 'b:1'])
    for (const [key, value] of cache.entries()) t.is(value, `${String(key)} of ${of}`)
    t.deepEqual([...cache.keys({ tags: ['tag'] })].length, 3)
  }
  t.is(v1.deletePrefix('a:'), 2)
  t.true(v1.delete('b:1'))
  t.deepEqual([...v1.keys()], [])
  t.is(v2.size, 6, 'all versions count')
  v1.incr('n', 5)
  t.is(v2.incr('n'), 1)
  t.is(v1.take('n'), 5)
  t.is(none.get('n'), undefined)
  t.deepEqual(v2.getMany(['a:1', 'n']), ['a:1 of v2', 1])
  const long = 'k'.repeat(8192)
  v1.set(long, 1)
  t.false(v2.has(long))
  t.true(v1.has(long))
  t.deepEqual(problems(v1), [])
})

test('clear, tags, locks, limiters, messages and work done once span versions', async (t) => {
  const all = versions(t)
  const { none, v1, v2 } = all
  fill(all)
  v2.set('untagged', 1)
  v1.invalidateTags(['tag'])
  for (const cache of [none, v1, v2]) t.is(cache.get('a:1'), undefined)
  t.is(v2.get('untagged'), 1)
  none.set('x', 0)
  v1.set('x', 1)
  v2.clear()
  for (const cache of [none, v1, v2]) t.is(cache.get('x'), undefined)
  t.is(v2.get('untagged'), undefined)
  v1.set('after', 1)
  t.is(v1.get('after'), 1)

  const lock = v1.tryLock('job')
  t.is(v2.tryLock('job'), undefined)
  t.is(none.tryLock('job'), undefined)
  lock?.release()
  t.true(v1.limiter('api', { limit: 1, window: '1h' }).consume('user').allowed)
  t.false(v2.limiter('api', { limit: 1, window: '1h' }).consume('user').allowed)
  t.is(await v1.once('migrate', () => 'done by v1'), 'done by v1')
  t.is(await v2.once('migrate', () => 'done by v2'), 'done by v1')
  const messages = v2.subscribe('channel')
  t.is(v1.publish('channel', 'hello'), 1)
  t.like((await messages.next()).value, { message: 'hello' })
  await messages.return?.()
})

test('getOrSet loads once in each version, also at the same time', async (t) => {
  const { v1, v2 } = versions(t)
  const loads: string[] = []
  const load = (cache: SharedCache, of: string): Promise<unknown> =>
    cache.getOrSet('key', async () => {
      loads.push(of)
      await new Promise(setImmediate)
      return of
    })
  const values = await Promise.all([load(v1, 'v1'), load(v2, 'v2'), load(v1, 'v1'), load(v2, 'v2')])
  t.deepEqual(values, ['v1', 'v2', 'v1', 'v2'])
  t.deepEqual(loads.toSorted(), ['v1', 'v2'])
  t.is(v1.get('key'), 'v1')
})

test('namespaces have versions as well, and a watch has the changes of its version', async (t) => {
  const { none, v1, v2 } = versions(t)
  const [a1, a2] = [v1.namespace('a'), v2.namespace('a')]
  a1.set('key', 1)
  a2.set('key', 2)
  t.deepEqual([a1.get('key'), a2.get('key'), none.namespace('a').get('key')], [1, 2, undefined])
  a2.clear()
  t.deepEqual([a1.get('key'), a2.get('key')], [undefined, undefined])

  const changes = v1.watch()
  const [waiting, other] = [v1.waitFor('key'), v2.waitFor('key', { timeout: '30s' })]
  v2.set('other', 2, { tags: ['tag'] })
  v1.set('key', 1)
  t.like((await changes.next()).value, { type: 'set', key: 'key' })
  t.like(await waiting, { value: 1 })
  v2.invalidateTags(['tag'])
  t.like((await changes.next()).value, { type: 'invalidate' })
  v2.clear()
  t.like((await changes.next()).value, { type: 'clear' })
  v2.set('key', 2)
  t.like(await other, { value: 2 })
  await changes.return?.()
})

test('the names of versions are checked, and a visitor makes none', (t) => {
  const name = segmentName(t)
  openCache(t, { name })
  for (const version of ['', 'a b', 'x'.repeat(33), 5, null, 'ä']) {
    t.throws(() => openCache(t, { name, version: version as string }), {
      instanceOf: CacheError,
      code: 'ERR_INVALID_ARGUMENT',
      message: /^version must be 1 to 32 characters/,
    })
  }
  t.throws(() => openCache(t, { name, version: 'v1', create: false }), { code: 'ERR_NO_SEGMENT' })
  const longest = openCache(t, { name, version: 'x'.repeat(32) })
  t.deepEqual(longest.stats().versions, [{ name: 'x'.repeat(32), processes: 1 }])
  t.is(openCache(t, { name, version: 'x'.repeat(32), create: false }).stats().versions.length, 1)
})

test('24 versions have entries at once', (t) => {
  const name = segmentName(t)
  const open = (n: number): SharedCache => openCache(t, { name, version: `v${n}` })
  const caches = Array.from({ length: 24 }, (_, n) => open(n))
  t.throws(() => open(24), { code: 'ERR_NO_SPACE', message: /24 versions have users or entries/ })
  for (const [n, cache] of caches.entries()) for (let i = 0; i < 20; i++) cache.set(`key${i}`, n)
  for (const [n, cache] of caches.entries()) for (let i = 0; i < 20; i++) t.is(cache.get(`key${i}`), n)
  t.is(caches[0]?.stats().versions.length, 24)
  t.deepEqual(problems(caches[0] as SharedCache), [])
})

test('the entries of a version go a minute after its last use, while those of others stay', async (t) => {
  const name = segmentName(t)
  const none = openStopped(t, { name })
  const open = (version: string): SharedCache => openStopped(t, { name, version })
  const [v1, v2, v3] = [open('v1'), open('v2'), open('v3')]
  none.set('key', 'none')
  for (let i = 0; i < 100; i++) for (const cache of [v1, v2, v3]) cache.set(`key${i}`, cache.stats().versions.length)
  const used = (): string[] => none.stats().versions.map((version) => `${version.name} ${version.processes}`)
  t.deepEqual(used().toSorted(), ['v1 1', 'v2 1', 'v3 1'])
  v3.close()
  v1.close()
  t.deepEqual(used().toSorted(), ['v1 0', 'v2 1', 'v3 0'])
  const again = open('v1')
  // The sweep looks every second, and first notes that a version is unused.
  await eventually('v3 is gone', () => {
    advance(none, 20_000)
    return used().length === 2
  })
  t.deepEqual(used().toSorted(), ['v1 1', 'v2 1'])
  t.is(again.get('key7'), 3)
  t.is(v2.get('key7'), 3)
  t.is(none.get('key'), 'none')
  t.is(none.size, 201)
  t.deepEqual([...open('v3').keys()], [])
  t.deepEqual(problems(none), [])
})

test('a snapshot has the versions, also into a segment where they have other numbers', async (t) => {
  const all = versions(t)
  const { none, v1, v2 } = all
  fill(all)
  v1.namespace('a').set('key', 1)
  v2.namespace('a').set('key', 2)
  const path = join(temporaryDirectory(t), 'snapshot')
  const { entries } = await v2.snapshot(path)
  t.is(entries, 11)
  const name = segmentName(t)
  for (let i = 0; i < 5; i++) openCache(t, { name, version: `other${i}` }).set('a:1', i)
  const warm = openCache(t, { name })
  t.like(await warm.restore(path), { restored: 11, existing: 0 })
  const [w1, w2] = ['v1', 'v2'].map((version) => openCache(t, { name, version })) as [SharedCache, SharedCache]
  t.deepEqual([warm.get('a:1'), w1.get('a:1'), w2.get('a:1')], ['a:1 of none', 'a:1 of v1', 'a:1 of v2'])
  t.deepEqual([w1.namespace('a').get('key'), w2.namespace('a').get('key')], [1, 2])
  w1.set('a:1', 'newer')
  t.like(await w1.restore(path), { restored: 0, existing: 11 })
  t.like(await w1.restore(path, { mode: 'replace' }), { restored: 11, deleted: 5 })
  t.is(w1.get('a:1'), 'a:1 of v1')
  w1.invalidateTags(['tag'])
  t.is(w2.get('a:1'), undefined)
  t.deepEqual(problems(none), [])
})
