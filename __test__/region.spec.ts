import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError, openRegion, regions, segments } from '../index.ts'
import type { CacheErrorCode, Region, RegionOptions } from '../index.ts'
import { present } from '../lib/region.ts'
import type { Answer } from './children/region-user.ts'
import { within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import type { Child } from './helpers/fork.ts'
import { openTestRegion, regionName } from './helpers/region.ts'
import { openCache, temporaryDirectory } from './helpers/segment.ts'
import { NOBODY, isRoot, isStopped, testIf, works } from './helpers/system.ts'
import { startThread } from './helpers/thread.ts'

/** Others may be off their core for long. */
const PATIENT = { timeout: '30s' } as const

test('a new region has exactly the bytes asked for, all zeros', (t) => {
  for (const size of [1, 7, 64, 4096, 4097, '1mb'] as const) {
    const region = openTestRegion(t, { size })
    t.true(region.created)
    t.is(region.size, size === '1mb' ? 2 ** 20 : size)
    t.is(region.buffer.byteLength, region.size)
    t.true(new Uint8Array(region.buffer).every((byte) => byte === 0))
    t.true(region.attached)
  }
})

test('the bytes outlive every handle, and each handle has the same', (t) => {
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

test('cache.region is a region of the same name, and independent of the cache', (t) => {
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

test('regions of other names, caches and folders are others', (t) => {
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

test('regions are listed, inspected and destroyed by themselves, and are no segments', (t) => {
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

test('close empties the buffer and all its views, and nothing crashes', async (t) => {
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

test('two thousand handles, opened and closed', (t) => {
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

test.serial('bytes that a program has moved to a buffer of its own stay usable after close', async (t) => {
  const names = regionName(t)
  const child = fork(t, 'region-user', { ...names, size: 4096 })
  t.is(await child.next(30_000), 'ready')
  t.deepEqual(await child.ask(['moveAway']), { value: [0, 42, 43] })
  t.deepEqual(regions.inspect(names.cache, names.name)?.processes, [])
  t.is((await child.ask<Answer>(['attached'])).code, 'ERR_CLOSED')
})

// ---- the lock

test('withLock returns what the function returned, and passes on what it threw', (t) => {
  const region = openTestRegion(t)
  t.is(
    region.withLock(({ recovered }) => `recovered: ${recovered}`),
    'recovered: false',
  )
  const error = new RangeError('half-way')
  t.is(
    t.throws(() => region.withLock(() => fail(error))),
    error,
  )
})

test('the next holder is told that the last one threw, until one has finished', (t) => {
  const region = openTestRegion(t)
  const recovered = (): boolean => region.withLock((lock) => lock.recovered)
  for (let i = 0; i < 3; i++) {
    t.throws(() => region.withLock((lock) => fail(new Error(`recovered: ${lock.recovered}`))), {
      message: `recovered: ${i > 0}`,
    })
  }
  t.true(recovered())
  t.false(recovered())
  region.lock().abandon()
  t.true(recovered())
  t.false(recovered())
})

test('a lock is released once, and then belongs to the next', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const other = openTestRegion(t, names)
  const lock = region.lock()
  t.false(lock.recovered)
  t.is(other.tryLock(), undefined)
  lock.release()
  const next = other.tryLock()
  t.false(next?.recovered)
  lock.release()
  lock.abandon()
  lock[Symbol.dispose]()
  t.is(region.tryLock(), undefined)
  next?.[Symbol.dispose]()
  region.lock().release()
})

test('a thread that holds the lock is told at once that it would wait for itself', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const other = openTestRegion(t, names)
  region.withLock(() => {
    for (const again of [region, other]) {
      const before = performance.now()
      const error = t.throws<CacheError>(() => again.withLock(() => 1, PATIENT), { code: 'ERR_BUSY' })
      t.regex(error?.message ?? '', /this thread holds/)
      t.true(performance.now() - before < 5000)
    }
  })
  t.is(
    other.withLock(() => 'free again'),
    'free again',
  )
})

test('a handle that is closed inside its lock abandons it', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  t.is(
    region.withLock(() => {
      region.close()
      return 'done'
    }),
    'done',
  )
  t.true(openTestRegion(t, names).withLock(({ recovered }) => recovered))
})

test('a function that returns a promise is refused, since it would work on without the lock', (t) => {
  const region = openTestRegion(t)
  t.throws(() => region.withLock(async () => 1), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  t.true(region.withLock(({ recovered }) => recovered))
})

test('wrong options of the lock throw', (t) => {
  const region = openTestRegion(t)
  for (const timeout of [-1, 'soon', null, Number.NaN, Infinity, '61s', '1h']) {
    t.throws(() => region.lock({ timeout } as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  t.throws(() => region.withLock(undefined as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  t.is(
    region.withLock(() => 'free', { timeout: 0 }),
    'free',
  )
})

test.serial('a living holder is never robbed, also when it is stopped: others get ERR_BUSY in time', async (t) => {
  const { region, child } = await shared(t)
  t.deepEqual(await child.ask(['take', 1000]), { value: false })
  child.kill('SIGSTOP')
  await isStopped(child.process.pid)
  for (const timeout of [0, 60, undefined]) {
    const limit = timeout ?? 100
    const before = performance.now()
    t.throws(() => region.withLock(() => 1, { timeout }), { instanceOf: CacheError, code: 'ERR_BUSY' })
    const took = performance.now() - before
    t.true(took >= limit * 0.9, `gave up after ${took} ms`)
    t.true(took < limit + 2000, `only after ${took} ms`)
  }
  t.is(region.tryLock(), undefined)
  child.kill('SIGCONT')
  await child.ask(['release'])
  t.false(region.withLock(({ recovered }) => recovered))
})

test.serial('the lock of a killed holder is there at once, with word of it', async (t) => {
  const { region, child } = await shared(t)
  await child.ask(['take', 1000])
  t.is(region.tryLock(), undefined)
  child.kill()
  await child.exit
  const lock = region.tryLock()
  t.true(lock?.recovered)
  lock?.release()
  t.false(region.withLock(({ recovered }) => recovered))
})

test.serial('a waiter gets the lock of a holder that is killed meanwhile', async (t) => {
  const { names, child } = await shared(t)
  const waiter = await user(t, names)
  await child.ask(['take', 1000])
  const waiting = waiter.ask<Answer>(['take', 20_000])
  t.is((await user(t, names).then((other) => other.ask<Answer>(['take', 0]))).code, 'ERR_BUSY')
  const before = performance.now()
  child.kill()
  t.deepEqual(await waiting, { value: true })
  t.log(`${(performance.now() - before).toFixed(1)} ms from the signal to the waiter's answer`)
})

test.serial('a process that exits while it holds the lock has not finished', async (t) => {
  const { region, child } = await shared(t)
  child.send(['exitInside'])
  t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })
  t.true(region.tryLock()?.recovered)
})

test.serial('a thread that is terminated while it holds the lock has not finished', async (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const thread = startThread(t, 'region-user', { ...names, size: 4096 })
  t.is(await thread.next(30_000), 'ready')
  t.deepEqual(await thread.ask(['take', 1000]), { value: false })
  t.is(region.tryLock(), undefined)
  t.is(regions.inspect(names.cache, names.name)?.processes.length, 1, 'threads share a process slot')
  await thread.worker.terminate()
  const lock = region.tryLock()
  t.true(lock?.recovered)
  lock?.release()
  t.false(region.withLock(({ recovered }) => recovered))
})

test.serial('4 processes count to 40,000 by plain reads and writes under the lock', async (t) => {
  t.timeout(120_000)
  const { region, names, child } = await shared(t)
  const children = [child, ...(await Promise.all([1, 2, 3].map(() => user(t, names))))]
  const repairs = await Promise.all(children.map((one) => one.ask<Answer>(['count', 10_000], 60_000)))
  t.deepEqual(
    repairs.map(({ value }) => value),
    [0, 0, 0, 0],
  )
  t.deepEqual([...new Float64Array(region.buffer, 0, 2)], [40_000, 40_000])
})

test.serial('4 threads and this one count to 50,000 by plain reads and writes under the lock', async (t) => {
  t.timeout(120_000)
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const numbers = new Float64Array(region.buffer, 0, 2)
  const threads = Array.from({ length: 4 }, () => startThread(t, 'region-user', { ...names, size: 4096 }))
  for (const thread of threads) t.is(await thread.next(30_000), 'ready')
  const counting = threads.map((thread) => thread.ask<Answer>(['count', 10_000], 60_000))
  for (let i = 0; i < 10_000; i++) {
    if (i % 100 === 0) await turn()
    region.withLock(() => {
      numbers[0] = (numbers[0] as number) + 1
      numbers[1] = (numbers[1] as number) + 1
    }, PATIENT)
  }
  for (const { value } of await Promise.all(counting)) t.is(value, 0)
  t.deepEqual([...numbers], [50_000, 50_000])
})

test.serial('holders are killed between two writes: the count is exact, and each death is told once', async (t) => {
  t.timeout(180_000)
  const DEATHS = 8
  const { region, names, child } = await shared(t)
  const children = [child, ...(await Promise.all([1, 2, 3].map(() => user(t, names))))]
  const victims = await Promise.all(Array.from({ length: DEATHS }, () => user(t, names)))
  const counting = children.map((one) => one.ask<Answer>(['count', 10_000], 120_000))
  let told = 0
  for (const victim of victims) {
    victim.send(['dieInside'])
    t.is((await within('the death', victim.exit, 60_000)).signal, 'SIGKILL')
    // Its own last words: it may have come after another victim.
    told += await victim.next<Answer>().then(
      ({ value }) => value as number,
      () => 0,
    )
  }
  for (const answer of await Promise.all(counting)) told += answer.value as number
  told += region.withLock(({ recovered }) => {
    const numbers = new Float64Array(region.buffer, 0, 2)
    if (recovered) numbers[1] = numbers[0] as number
    return Number(recovered)
  }, PATIENT)
  t.is(told, DEATHS)
  t.deepEqual([...new Float64Array(region.buffer, 0, 2)], [40_000 + DEATHS, 40_000 + DEATHS])
})

test.serial('Atomics on the buffer are exact between processes and threads, but cannot wait', async (t) => {
  t.timeout(60_000)
  const { region, names, child } = await shared(t)
  const other = await user(t, names)
  const thread = startThread(t, 'region-user', { ...names, size: 4096 })
  t.is(await thread.next(30_000), 'ready')
  const counting = [child, other, thread].map((one) => one.ask(['countAtomically', 200_000], 30_000))
  await Promise.all(counting)
  const integers = new Int32Array(region.buffer, 16, 2)
  t.is(Atomics.load(integers, 0), 600_000)
  t.is(Atomics.compareExchange(new BigInt64Array(region.buffer, 24, 1), 0, 0n, -1n), 0n)
  t.throws(() => Atomics.wait(integers, 0, 0, 0), { instanceOf: TypeError })
})

// ---- what is in the way

test.serial('another size is a mismatch, and harms nothing', async (t) => {
  const { region, names, child } = await shared(t)
  new Uint8Array(region.buffer)[0] = 7
  for (const size of [1, 4095, 4097, '1mb'] as const) {
    throwsCode(t, 'ERR_SEGMENT_MISMATCH', () => openRegion({ ...names, size }), /regions\.destroy/)
  }
  region.close()
  throwsCode(t, 'ERR_SEGMENT_MISMATCH', () => openRegion({ ...names, size: 8 }))
  t.is(
    (await child.ask<Answer>(['read', 0])).value,
    new Float64Array(new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]).buffer)[0],
  )
  t.deepEqual(
    regions.inspect(names.cache, names.name)?.processes.map(({ pid }) => pid),
    [child.process.pid],
  )
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

test('a file that others may use, or that has other names, is refused and left alone', (t) => {
  const { names, path, reopens, refuses } = closedRegion(t)
  t.is(statSync(path).mode & 0o777, 0o600)
  const elsewhere = path.replace('cache-machine', 'kept-by-a-test')
  t.teardown(() => rmSync(elsewhere, { force: true }))
  for (const mode of [0o640, 0o604, 0o666]) {
    chmodSync(path, mode)
    refuses('ERR_PERMISSION')
    throwsCode(t, 'ERR_PERMISSION', () => regions.destroy(names.cache, names.name, { force: true }))
  }
  chmodSync(path, 0o600)
  reopens()
  linkSync(path, elsewhere)
  refuses('ERR_PERMISSION')
  unlinkSync(elsewhere)
  reopens()
  renameSync(path, elsewhere)
  symlinkSync(elsewhere, path)
  refuses('ERR_PERMISSION')
  unlinkSync(path)
  mkdirSync(path)
  refuses('ERR_PERMISSION')
  rmdirSync(path)
  renameSync(elsewhere, path)
  reopens()
})

testIf(isRoot)('a file of another user is refused, and another user has a region of his own', async (t) => {
  const { names, path, reopens, refuses } = closedRegion(t)
  chownSync(path, NOBODY, NOBODY)
  refuses('ERR_PERMISSION')
  chownSync(path, 0, 0)
  reopens()

  // As somebody else, for the length of one call.
  process.seteuid?.(NOBODY)
  try {
    const region = openRegion({ ...names, size: 4096 })
    const found = [region.created, new Uint8Array(region.buffer)[0]]
    region.close()
    regions.destroy(names.cache, names.name)
    t.deepEqual(found, [true, 0])
  } finally {
    process.seteuid?.(0)
  }
  reopens()
})

test('a file that is no region is refused, and destroyed on demand', (t) => {
  const { names, path, refuses } = closedRegion(t)
  const rubbish: [content: Uint8Array, length: number][] = [
    [Buffer.from('no region at all'), 16],
    [Buffer.alloc(400_000, 'rubbish'), 400_000],
    [readFileSync(path), 8192],
    [readFileSync(path).fill(0xff, 192, 208), statSync(path).size],
    [readFileSync(path).fill(0, 12, 16), statSync(path).size],
  ]
  for (const [content, length] of rubbish) {
    writeFileSync(path, content, { mode: 0o600 })
    truncateSync(path, length)
    refuses('ERR_SEGMENT_CORRUPT', /regions\.destroy/)
    const listed = regions.list().find(({ cache }) => cache === names.cache)
    t.true(listed === undefined || !listed.readable || length === content.length)
    t.true(regions.destroy(names.cache, names.name))
    const region = openTestRegion(t, names)
    t.true(region.created)
    t.true(new Uint8Array(region.buffer).every((byte) => byte === 0))
    region.close()
  }
})

test('a cache renamed to a region is no region, and a region no cache', (t) => {
  const { names, path, refuses } = closedRegion(t)
  const cache = openCache(t)
  const cachePath = segments.inspect(cache.name)?.path ?? ''
  cache.close()
  const bytes = [readFileSync(path), readFileSync(cachePath)] as const
  writeFileSync(path, bytes[1])
  writeFileSync(cachePath, bytes[0])
  refuses('ERR_SEGMENT_CORRUPT')
  throwsCode(t, 'ERR_SEGMENT_CORRUPT', () => openCache(t, { name: cache.name }))
  t.true(regions.destroy(names.cache, names.name))
  t.true(segments.destroy(cache.name))
})

test('a region that is truncated under use reads as zeros, and says so', (t) => {
  for (const length of [0, 100, 5000]) {
    const region = openTestRegion(t, { size: '1mb' })
    const bytes = new Uint8Array(region.buffer).fill(7)
    t.true(region.attached)
    truncateSync(region.path, length)
    t.is(bytes[bytes.length - 1], 0)
    t.is(bytes.fill(9)[1000], 9)
    t.false(region.attached)
    throwsCode(t, 'ERR_CLOSED', () => region.withLock(() => 1), /open it again/)
    region.close()
    t.is(bytes.length, 0)
  }
})

test('truncated while it is locked, the holder is told that its work is lost', (t) => {
  const region = openTestRegion(t, { size: '1mb' })
  const bytes = new Uint8Array(region.buffer)
  const cut = (): void => {
    truncateSync(region.path, 0)
    bytes[0] = 1
  }
  throwsCode(t, 'ERR_LOCK_LOST', () => region.withLock(cut))
})

test.serial(
  'a region destroyed under its handles: they keep the bytes, get the lock no more, and open the next one',
  async (t) => {
    const { region, names, child } = await shared(t)
    const bytes = new Float64Array(region.buffer)
    bytes[0] = 7
    t.true(regions.destroy(names.cache, names.name, { force: true }))
    t.is(bytes[0], 7)
    t.false(region.attached)
    throwsCode(t, 'ERR_CLOSED', () => region.lock(), /open it again/)
    throwsCode(t, 'ERR_CLOSED', () => region.tryLock())
    t.is((await child.ask<Answer>(['take', 0])).code, 'ERR_CLOSED')
    t.deepEqual(await child.ask(['attached']), { value: false })

    const next = openTestRegion(t, { ...names, size: 64 })
    t.true(next.created)
    t.is(new Float64Array(next.buffer)[0], 0)
    t.is(
      next.withLock(() => 1),
      1,
    )
  },
)

test('a region whose file was removed by hand is attached no more, and the next open makes another', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  unlinkSync(region.path)
  t.false(region.attached)
  t.true(openTestRegion(t, names).created)
})

test.serial('destroy waits for the holder of the lock, who then learns that its work is lost', async (t) => {
  const { names, child } = await shared(t)
  await child.ask(['take', 1000])
  throwsCode(t, 'ERR_BUSY', () => regions.destroy(names.cache, names.name, { force: true }))
  t.is((await child.ask<Answer>(['release'])).code, 'ERR_LOCK_LOST')
  t.true(regions.destroy(names.cache, names.name, { force: true }))
  t.is(regions.inspect(names.cache, names.name), undefined)
})

testIf(isRoot && works('mount', '--version'))('a region that does not fit is ERR_NO_SPACE, and leaves nothing', (t) => {
  const directory = temporaryDirectory(t)
  t.is(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', directory]).status, 0)
  t.teardown(() => spawnSync('umount', ['-l', directory]))
  for (const size of ['16mb', '1gb', '4gb'] as const) {
    throwsCode(t, 'ERR_NO_SPACE', () => openRegion({ cache: 'app', name: 'large', size, directory }))
  }
  t.deepEqual(readdirSync(directory), [])

  // All of it is taken at once: a folder that fills up later cannot hurt.
  const region = openTestRegion(t, { cache: 'app', name: 'fits', size: '10mb', directory })
  throwsCode(t, 'ERR_NO_SPACE', () => openRegion({ cache: 'app', name: 'more', size: '10mb', directory }))
  t.true(new Uint8Array(region.buffer).fill(1).every((byte) => byte === 1))
  t.true(region.attached)
})

test.serial('creators that race get one region', async (t) => {
  const names = regionName(t)
  const children = await Promise.all([1, 2, 3, 4].map(() => user(t, names)))
  await children[0]?.ask(['write', 0, 3])
  for (const child of children) t.deepEqual(await child.ask(['read', 0]), { value: 3 })
  t.is(regions.inspect(names.cache, names.name)?.processes.length, 4)
})

test('a host that forbids buffers over foreign memory is told about', (t) => {
  const { buffer } = openTestRegion(t)
  t.is(present(buffer), buffer)
  throwsCode(t, 'ERR_PERMISSION', () => present(null), /Node\.js itself/)
})

// ---- the scene

/** A region with one user in another process. */
async function shared(t: ExecutionContext): Promise<{ region: Region; names: Names; child: Child }> {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  return { region, names, child: await user(t, names) }
}

interface Names {
  readonly cache: string
  readonly name: string
}

async function user(t: ExecutionContext, names: Names): Promise<Child> {
  const child = fork(t, 'region-user', { ...names, size: 4096 })
  t.is(await child.next(30_000), 'ready')
  return child
}

/** A region that nobody has open, with something in it, and what must become of the next try to open it. */
function closedRegion(t: ExecutionContext): {
  names: Names
  path: string
  reopens: () => void
  refuses: (code: CacheErrorCode, hint?: RegExp) => void
} {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  new Uint8Array(region.buffer)[0] = 5
  region.close()
  const reopens = (): void => {
    const again = openTestRegion(t, names)
    t.false(again.created)
    t.is(new Uint8Array(again.buffer)[0], 5)
    again.close()
  }
  const refuses = (code: CacheErrorCode, hint?: RegExp): void => {
    throwsCode(t, code, () => openRegion({ ...names, size: 4096 }), hint)
  }
  return { names, path: region.path, reopens, refuses }
}

function throwsCode(t: ExecutionContext, code: CacheErrorCode, run: () => unknown, hint = /./): void {
  const error = t.throws<CacheError>(run, { instanceOf: CacheError, code })
  t.regex(error?.hint ?? '', hint)
  t.true((error?.message.length ?? 0) > 10)
}

function fail(error: Error): never {
  throw error
}
