/**
 * Regions: bytes, names, handles and options.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import { CacheError, openRegion, regions, segments } from '../../index.ts'
import type { RegionOptions } from '../../index.ts'
import { present } from '../helpers/internals.ts'
import { throwsCode } from '../helpers/region-scene.ts'
import { openTestRegion, regionName } from '../helpers/region.ts'
import { openCache, temporaryDirectory } from '../helpers/segment.ts'

test('a new region has exactly the requested bytes, all zeros', (t) => {
  for (const size of [1, 7, 64, 4096, 4097, '1mb'] as const) {
    const region = openTestRegion(t, { size })
    t.true(region.created)
    t.is(region.size, size === '1mb' ? 2 ** 20 : size)
    t.is(region.buffer.byteLength, region.size)
    t.true(new Uint8Array(region.buffer).every((byte) => byte === 0))
    t.true(region.attached)
  }
})

test('the bytes outlive every handle, and all handles have the same bytes', (t) => {
  const names = regionName(t)
  const first = openTestRegion(t, names)
  const second = openTestRegion(t, names)
  t.false(second.created)
  new DataView(first.buffer).setFloat64(8, 0.5)
  t.is(new DataView(second.buffer).getFloat64(8), 0.5)
  first.close()
  new Uint8Array(second.buffer).set([1, 2, 3], 4093)
  second.close()

  const third = openTestRegion(t, names)
  t.false(third.created)
  t.is(new DataView(third.buffer).getFloat64(8), 0.5)
  t.deepEqual([...new Uint8Array(third.buffer, 4093)], [1, 2, 3])
})

test('cache.region opens the region of that name, which is independent of the cache', (t) => {
  const { cache: name, name: own } = regionName(t)
  const cache = openCache(t, { name })
  const region = cache.region(own, '4kb')
  t.teardown(() => region.close())
  t.is(region.cache, name)
  new Uint8Array(region.buffer)[0] = 1
  t.is(new Uint8Array(cache.namespace('ns').region(own, 4096).buffer)[0], 1)
  cache.clear()
  cache.close()
  t.throws(() => cache.region(own, 4096), { instanceOf: CacheError, code: 'ERR_CLOSED' })
  t.true(segments.destroy(name))
  t.true(region.attached)
  t.is(new Uint8Array(openTestRegion(t, { cache: name, name: own }).buffer)[0], 1)
})

test('regions of other names, caches and folders are different regions', (t) => {
  const directory = temporaryDirectory(t)
  const { cache } = regionName(t)
  const other = regionName(t)
  t.teardown(() => regions.destroy(cache, 'other', { force: true }))
  const all = [
    openTestRegion(t, { cache, name: 'bytes' }),
    openTestRegion(t, { cache, name: 'other' }),
    openTestRegion(t, { cache: other.cache, name: 'bytes' }),
    openTestRegion(t, { cache, name: 'bytes', directory }),
  ]
  for (const [index, region] of all.entries()) new Uint8Array(region.buffer)[0] = index + 1
  t.deepEqual(
    all.map(({ buffer }) => new Uint8Array(buffer)[0]),
    [1, 2, 3, 4],
  )
})

test('regions are listed, inspected and destroyed separately, and are no segments', (t) => {
  const directory = temporaryDirectory(t)
  const where = { directory }
  const before = Date.now()
  const region = openTestRegion(t, { cache: 'app', name: 'bytes', size: 100, directory })
  openTestRegion(t, { cache: 'app', name: 'bits', directory }).close()
  openCache(t, { name: 'app', directory }).close()

  t.deepEqual(
    segments.list(where).map(({ name }) => name),
    ['app'],
  )
  t.deepEqual(
    regions.list(where).map(({ cache, name, size }) => [cache, name, size]),
    [
      ['app', 'bits', 4096],
      ['app', 'bytes', 100],
    ],
  )
  const info = regions.inspect('app', 'bytes', where)
  t.like(info, { cache: 'app', name: 'bytes', size: 100, readable: true, path: region.path })
  t.true((info?.createdAt ?? 0) >= before - 1000 && (info?.createdAt ?? Infinity) <= Date.now() + 1000)
  t.deepEqual(
    info?.processes.map(({ pid }) => pid),
    [process.pid],
  )
  t.is(regions.inspect('app', 'none', where), undefined)

  t.throws(() => regions.destroy('app', 'bytes', where), { instanceOf: CacheError, code: 'ERR_SEGMENT_IN_USE' })
  region.close()
  t.true(regions.destroy('app', 'bytes', where))
  t.false(regions.destroy('app', 'bytes', where))
  t.true(regions.destroy('app', 'bits', where))
  t.deepEqual(regions.list(where), [])
  t.deepEqual(
    segments.list(where).map(({ name }) => name),
    ['app'],
  )
})

test('close empties the buffer and all its views without a crash', async (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const views = [
    new Uint8Array(region.buffer),
    new Int32Array(region.buffer, 8, 2),
    Buffer.from(region.buffer),
  ] as const
  region.close()
  region.close()
  t.true(region.closed)
  t.is(region.buffer.byteLength, 0)
  for (const view of views) {
    t.is(view.length, 0)
    t.is(view[0], undefined)
    view[0] = 1
  }
  t.throws(() => Atomics.load(views[1], 0))
  t.throws(() => new Uint8Array(region.buffer), { instanceOf: TypeError })
  await turn()
  for (const use of [
    () => region.lock(),
    () => region.tryLock(),
    () => region.withLock(() => 1),
    () => region.attached,
  ]) {
    t.throws(use, { instanceOf: CacheError, code: 'ERR_CLOSED' })
  }
  t.deepEqual(regions.inspect(names.cache, names.name)?.processes, [])
})

test('a handle disposes of itself', (t) => {
  const region = openTestRegion(t)
  region[Symbol.dispose]()
  t.true(region.closed)
})

test('two thousand handles can be opened and closed one after the other', (t) => {
  const names = regionName(t)
  for (let i = 0; i < 2000; i++) {
    const region = openRegion({ ...names, size: '1mb' })
    const bytes = new Int32Array(region.buffer)
    bytes[i] = i
    t.is(bytes[0], 0)
    region.close()
  }
  const bytes = new Int32Array(openTestRegion(t, { ...names, size: '1mb' }).buffer)
  t.true(bytes.subarray(0, 2000).every((value, index) => value === index))
})

test('wrong options throw', (t) => {
  const { cache: never } = regionName(t)
  const good: RegionOptions = { cache: never, name: 'bytes', size: 8 }
  const wrong: unknown[] = [
    undefined,
    'app',
    { ...good, cache: undefined },
    { ...good, cache: 'a@b' },
    { ...good, name: '' },
    { ...good, name: '../x' },
    { ...good, name: 'x'.repeat(65) },
    { ...good, size: undefined },
    ...[0, -1, Number.NaN, Infinity, '0kb', '1tb', '5gb', 2 ** 32 + 1, 2 ** 53].map((size) => ({ ...good, size })),
    { ...good, directory: '' },
    { ...good, directory: '/nonexistent/folder' },
  ]
  for (const options of wrong) throwsCode(t, 'ERR_INVALID_ARGUMENT', () => openRegion(options as RegionOptions))
  throwsCode(t, 'ERR_INVALID_ARGUMENT', () => regions.inspect('a/b', 'x'))
  throwsCode(t, 'ERR_INVALID_ARGUMENT', () => regions.destroy('a', '*'))
  throwsCode(t, 'ERR_INVALID_ARGUMENT', () => regions.list({ directory: '' }))
  t.false(regions.list().some(({ cache }) => cache === never))
})

test('a host that forbids buffers over foreign memory is reported', (t) => {
  const { buffer } = openTestRegion(t)
  t.is(present(buffer), buffer)
  throwsCode(t, 'ERR_PERMISSION', () => present(null), /Node\.js itself/)
})
