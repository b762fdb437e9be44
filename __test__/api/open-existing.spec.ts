/**
 * `open` with `create: false`: it opens what exists, creates nothing, neither at first nor later, and changes nothing by
 * its presence.
 */
import { existsSync, renameSync } from 'node:fs'
import test from 'ava'
import { CacheError, open, segments } from '../../index.ts'
import type { OpenOptions, SharedCache } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { advance } from '../helpers/internals.ts'
import { allThrow, fill, meet, provoke, stillFine } from '../helpers/provocations.ts'
import { SMALL, openCache, openStopped, segmentName, temporaryDirectory } from '../helpers/segment.ts'

/** A visitor that is closed when the test ends. */
function visit(t: Parameters<typeof openCache>[0], options: OpenOptions): SharedCache {
  const cache = open({ create: false, ...options })
  t.teardown(() => cache.close())
  return cache
}

provoke(['ERR_NO_SEGMENT'], 'a segment that is not there is not created, and the hint names similar ones', (t) => {
  const cache = openCache(t)
  fill(cache)
  const missing = `${cache.name}x`
  allThrow(t, 'ERR_NO_SEGMENT', [() => open({ name: missing, create: false })])
  const error = t.throws(() => open({ name: missing, create: false }), { instanceOf: CacheError })
  t.true(error?.hint.includes(cache.name), error?.hint)
  t.true(error?.message.includes(missing))
  t.is(segments.inspect(missing), undefined)
  meet(t, (error as CacheError).code)
  stillFine(t, cache)
})

test('where there is no segment at all, the hint names the place', (t) => {
  const directory = temporaryDirectory(t)
  const error = t.throws(() => open({ name: 'app', directory, create: false }), { code: 'ERR_NO_SEGMENT' })
  t.true((error as CacheError).hint.includes(directory))
  t.deepEqual(segments.list({ directory }), [])
})

test('it reads and writes what others have, and they see what it wrote', (t) => {
  const cache = openCache(t)
  cache.set('a', { x: 1 })
  const visitor = visit(t, { name: cache.name })
  t.deepEqual(visitor.get('a'), { x: 1 })
  t.true(visitor.set('b', 2))
  t.is(cache.get('b'), 2)
  t.is(segments.inspect(cache.name)?.processes.length, 1, 'the same process')
})

test('a namespace that is not there is not created', (t) => {
  const cache = openCache(t)
  cache.namespace('known').set('a', 1)
  const visitor = visit(t, { name: cache.name })
  t.is(visitor.namespace('known').get('a'), 1)
  const error = t.throws(() => visitor.namespace('unknown'), { code: 'ERR_NO_SEGMENT' })
  t.regex((error as CacheError).hint, /stats\(\)\.namespaces/)
  t.deepEqual(cache.stats().namespaces, ['known'])
  t.throws(() => visitor.namespace(''), { code: 'ERR_INVALID_ARGUMENT' })
})

test('after a destruction it creates none: reads are misses, writes throw, and it finds a new one', (t) => {
  const name = segmentName(t)
  const first = open({ name, size: SMALL })
  first.set('a', 1)
  const visitor = visit(t, { name })
  const strict = visit(t, { name, strict: true })
  t.is(visitor.get('a'), 1)
  first.close()
  t.true(segments.destroy(name, { force: true }))
  t.is(visitor.get('a'), undefined)
  t.throws(() => visitor.set('a', 2), { code: 'ERR_NO_SEGMENT' })
  t.throws(() => strict.get('a'), { code: 'ERR_NO_SEGMENT' })
  t.is(segments.inspect(name), undefined)
  const second = openCache(t, { name })
  second.set('a', 3)
  t.is(strict.get('a'), 3)
  t.true(visitor.set('b', 4))
  t.is(second.get('b'), 4)
})

test('a waiting call ends when the segment is destroyed', async (t) => {
  const name = segmentName(t)
  const owner = open({ name, size: SMALL })
  const visitor = visit(t, { name })
  const waiting = visitor.waitFor('never', { timeout: '20s' })
  const watching = visitor.watch()
  owner.close()
  segments.destroy(name, { force: true })
  await t.throwsAsync(waiting, { code: 'ERR_NO_SEGMENT' })
  // The end of the segment may come as a change first.
  const watchToTheEnd = async (): Promise<void> => {
    for await (const change of watching) t.is(change.key, undefined)
  }
  await t.throwsAsync(watchToTheEnd, { code: 'ERR_NO_SEGMENT' })
  t.is(segments.inspect(name), undefined)
})

test('its options are compared with the segment', (t) => {
  const cache = openCache(t)
  const options = { name: cache.name, create: false, onMismatch: 'throw' } as const
  t.throws(() => open({ ...options, size: '32mb' }), { code: 'ERR_SEGMENT_MISMATCH' })
  t.throws(() => open({ ...options, create: 'no' as never }), { code: 'ERR_INVALID_ARGUMENT' })
  visit(t, { ...options, size: SMALL })
})

test('a peeking getEntry counts nothing and keeps the lifetime', (t) => {
  const cache = openStopped(t)
  cache.set('a', 'x', { ttl: '10s', stale: '1m' })
  const before = cache.stats()
  t.like(cache.getEntry('a', { peek: true }), { value: 'x', stale: false })
  t.is(cache.getEntry('missing', { peek: true }), undefined)
  t.is(cache.ttl('a'), 10_000)
  advance(cache, 20_000)
  t.is(cache.getEntry('a', { peek: true }), undefined)
  t.like(cache.getEntry('a', { peek: true, allowStale: true }), { value: 'x', stale: true })
  const { hits, misses } = cache.stats()
  t.deepEqual([hits, misses], [before.hits, before.misses])
  cache.getEntry('missing')
  t.is(cache.stats().misses, before.misses + 1, 'without peek it counts')
})

test('keys of entries with one of some tags', async (t) => {
  const cache = openStopped(t)
  cache.set('plain', 1)
  cache.set('a:1', 1, { tags: ['news'] })
  cache.set('a:2', 1, { tags: ['front', 'news'], stale: '1m', ttl: '10s' })
  cache.set('b:1', 1, { tags: ['front'], ttl: '1s' })
  cache.namespace('other').set('a:9', 1, { tags: ['news'] })
  const keysOf = (options: object): unknown[] => [...cache.keys(options)].toSorted()
  t.deepEqual(keysOf({ tags: ['news'] }), ['a:1', 'a:2'])
  t.deepEqual(keysOf({ tags: ['front'] }), ['a:2', 'b:1'])
  t.deepEqual(keysOf({ tags: ['front', 'news'], prefix: 'a:' }), ['a:1', 'a:2'])
  t.deepEqual(keysOf({ tags: ['never'] }), [])
  t.deepEqual([...cache.entries({ tags: ['news'] })].toSorted(), [
    ['a:1', 1],
    ['a:2', 1],
  ])
  advance(cache, 2000)
  t.deepEqual(keysOf({ tags: ['front'] }), ['a:2'], 'an expired entry has no key')
  cache.invalidateTags('front')
  t.deepEqual(keysOf({ tags: ['news'] }), ['a:1'])
  const found: unknown[] = []
  for await (const key of cache.keys({ tags: ['news'] })) found.push(key)
  t.deepEqual(found, ['a:1'])
  t.throws(() => cache.keys({ tags: [] }), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.keys({ tags: 'news' as never }), { code: 'ERR_INVALID_ARGUMENT' })
})

onNative('files')('a segment of an older version is not opened, and not removed', (t) => {
  const directory = temporaryDirectory(t)
  const cache = openCache(t, { directory })
  const { path, layoutVersion } = segments.inspect(cache.name, { directory }) ?? { path: '', layoutVersion: 0 }
  cache.close()
  const older = path.replace(`.${layoutVersion}.`, `.${layoutVersion - 1}.`)
  renameSync(path, older)
  const error = t.throws(() => open({ name: cache.name, directory, create: false }), { code: 'ERR_SEGMENT_VERSION' })
  t.regex((error as CacheError).hint, /Use the version of this package/)
  t.true(existsSync(older))
  t.false(existsSync(path))
  // A usual open removes the file that no process uses.
  open({ name: cache.name, directory, size: SMALL }).close()
  t.false(existsSync(older))
})
