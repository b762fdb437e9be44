/**
 * `segments`: `inspect`, `list` and `destroy`.
 */
import { statSync } from 'node:fs'
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import { packageVersion } from '../../lib/native/addon.ts'
import { onNative } from '../helpers/engine.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'

test('inspect returns name, sizes, options, ages and contents', (t) => {
  const name = segmentName(t)
  const before = Date.now()
  const cache = openCache(t, { name, size: SMALL, eviction: 'lru', maxEntrySize: '256kb' })
  cache.set('a', 'x'.repeat(1000))
  cache.set('b', 1)
  const info = segments.inspect(name)
  t.like(info, { name, size: 8 * 2 ** 20, readable: true, eviction: 'lru', maxEntrySize: 262_144, entries: 2 })
  t.true((info?.usedBytes ?? 0) >= 1000)
  t.true((info?.capacityBytes ?? 0) > 2 ** 20)
  t.true((info?.shards ?? 0) >= 1)
  t.true((info?.createdAt ?? 0) >= before - 1000 && (info?.createdAt ?? Infinity) <= Date.now() + 1000)
  t.is(info?.processes.length, 1)
  t.is(info?.processes[0]?.pid, process.pid)
  t.is(info?.processes[0]?.packageVersion, packageVersion())
  t.true(Math.abs((info?.processes[0]?.attachedAt ?? 0) - before) < 10_000)
})

onNative('a file')('inspect tells the memory that the file system gave the segment', (t) => {
  const { name } = openCache(t, { size: SMALL })
  const info = segments.inspect(name)
  t.is(info?.reservedBytes, statSync(info?.path ?? '').blocks * 512)
})

test('inspect returns undefined for a name that was never opened', (t) => {
  t.is(segments.inspect(segmentName(t)), undefined)
})

test('list returns every segment of its place, attached or not', (t) => {
  const directory = temporaryDirectory(t)
  const names = Array.from({ length: 3 }, () => segmentName(t, { directory }))
  for (const name of names) openCache(t, { name, directory }).close()
  const listed = segments.list({ directory })
  t.deepEqual(listed.map(({ name }) => name).toSorted(), names.toSorted())
  t.true(listed.every(({ processes }) => processes.length === 0))
  t.true(listed.every(({ readable }) => readable))

  const shared = segmentName(t)
  openCache(t, { name: shared })
  t.true(segments.list().some(({ name }) => name === shared))
  t.false(segments.list().some(({ name }) => names.includes(name)))
})

test('an empty directory has no segments', (t) => {
  t.deepEqual(segments.list({ directory: temporaryDirectory(t) }), [])
})

test('several handles of one process count as one process', (t) => {
  const name = segmentName(t)
  const first = openCache(t, { name })
  const second = openCache(t, { name })
  t.is(segments.inspect(name)?.processes.length, 1)
  first.close()
  t.is(segments.inspect(name)?.processes.length, 1)
  second.close()
  t.is(segments.inspect(name)?.processes.length, 0)
})

test('destroy removes the data when no process is attached, and returns whether there was a segment', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('a', 1)
  t.throws(() => segments.destroy(name), { instanceOf: CacheError, code: 'ERR_SEGMENT_IN_USE' })
  t.is(cache.get('a'), 1)
  cache.close()
  t.true(segments.destroy(name))
  t.is(segments.inspect(name), undefined)
  t.false(segments.destroy(name))
  t.is(openCache(t, { name }).get('a'), undefined)
})

test('destroy in one directory leaves a segment of the same name elsewhere alone', (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t)
  openCache(t, { name }).set('a', 'in shared memory')
  openCache(t, { name, directory }).close()
  t.true(segments.destroy(name, { directory }))
  t.is(openCache(t, { name }).get('a'), 'in shared memory')
})

test('wrong names and directories throw', (t) => {
  const wrong = [
    () => segments.inspect(''),
    () => segments.inspect('a/b'),
    () => segments.destroy('../x'),
    () => segments.destroy(5 as never),
    () => segments.list({ directory: '' }),
  ]
  for (const call of wrong) t.throws(call, { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
})
