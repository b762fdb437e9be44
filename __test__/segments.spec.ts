import test from 'ava'
import { CacheError, segments } from '../index.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from './helpers/segment.ts'

test('inspect tells name, sizes, options, ages and contents', (t) => {
  const name = segmentName(t)
  const before = Date.now()
  const cache = openCache(t, { name, size: SMALL, eviction: 'lru', maxEntrySize: '256kb' })
  cache.set('a', 'x'.repeat(1000))
  cache.set('b', 1)
  const info = segments.inspect(name)
  t.like(info, { name, size: 8 * 2 ** 20, readable: true, eviction: 'lru', maxEntrySize: 262_144, entries: 2 })
  t.true((info?.usedBytes ?? 0) >= 1000)
  t.true((info?.capacityBytes ?? 0) > 2 ** 20)
  t.true((info?.reservedBytes ?? Infinity) <= 8 * 2 ** 20)
  t.true((info?.shards ?? 0) >= 1)
  t.true((info?.createdAt ?? 0) >= before - 1000 && (info?.createdAt ?? Infinity) <= Date.now() + 1000)
  t.is(info?.processes.length, 1)
  t.is(info?.processes[0]?.pid, process.pid)
  t.true(Math.abs((info?.processes[0]?.attachedAt ?? 0) - before) < 10_000)
})

test('inspect of a name that nobody opened is undefined', (t) => {
  t.is(segments.inspect(segmentName(t)), undefined)
})

test('list has every segment of its place, attached or not', (t) => {
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

test('the processes are those that are alive and have it open', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  const pids = (): (number | undefined)[] => segments.inspect(name)?.processes.map(({ pid }) => pid) ?? []
  t.deepEqual(pids().toSorted(), [process.pid, child.process.pid].toSorted())
  t.is(cache.stats().processes, 2)

  child.kill()
  await child.exit
  await eventually('the killed process is gone', () => pids().length === 1)
  cache.close()
  t.deepEqual(pids(), [])
})

test('a handle more in one process is no process more', (t) => {
  const name = segmentName(t)
  const first = openCache(t, { name })
  const second = openCache(t, { name })
  t.is(segments.inspect(name)?.processes.length, 1)
  first.close()
  t.is(segments.inspect(name)?.processes.length, 1)
  second.close()
  t.is(segments.inspect(name)?.processes.length, 0)
})

test('destroy takes the data away once nobody is attached, and says whether there was a segment', (t) => {
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

test('destroy in one directory leaves the same name elsewhere alone', (t) => {
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
