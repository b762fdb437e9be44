/**
 * Every error code that opening, reading, writing and waiting can raise is provoked, and afterwards the cache still works and
 * has lost nothing.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  openSync,
  closeSync,
  readSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError, open, segments } from '../index.ts'
import type { CacheErrorCode, SharedCache } from '../index.ts'
import { advance, problems } from '../lib/testing.ts'
import { codeOfStatus } from '../lib/errors.ts'
import type { Outcomes } from './children/limited.ts'
import { eventually, within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName, temporaryDirectory } from './helpers/segment.ts'
import { NOBODY, isRoot, isStopped, testIf, works } from './helpers/system.ts'

/** Fills a cache with what must still be there afterwards. */
function fill(cache: SharedCache): void {
  for (let i = 0; i < 100; i++) cache.set(`kept${i}`, { i, text: 'x'.repeat(i * 20) })
}

/** The cache has lost nothing of `fill`, and works. */
function stillFine(t: ExecutionContext, cache: SharedCache): void {
  for (let i = 0; i < 100; i++) t.deepEqual(cache.get(`kept${i}`), { i, text: 'x'.repeat(i * 20) })
  t.true(cache.set('afterwards', 'works'))
  t.is(cache.get('afterwards'), 'works')
  t.true(cache.delete('afterwards'))
  t.deepEqual(problems(cache), [])
}

/** The codes that a test says it provokes, by its declaration: one that is skipped on this machine counts, too. */
const promised = new Set<CacheErrorCode>()
/** The codes that a running test has met. */
const met = new WeakMap<ExecutionContext, Set<unknown>>()

type Provocation = (codes: CacheErrorCode[], sentence: string, run: (t: ExecutionContext) => unknown) => void

/** Declares a test that fails unless it meets each of these codes. */
function provokeIf(condition: boolean): Provocation {
  return (codes, sentence, run) => {
    for (const code of codes) promised.add(code)
    testIf(condition)(`${codes.join(' and ')}: ${sentence}`, async (t) => {
      met.set(t, new Set())
      await run(t)
      for (const code of codes) t.true(met.get(t)?.has(code), `${code} was not met`)
    })
  }
}

const provoke = provokeIf(true)

/** The test has met this code, of an error that was thrown here or told by a child. */
function meet(t: ExecutionContext, code: unknown): void {
  met.get(t)?.add(code)
}

/** Every call throws the code, as a `CacheError` with a hint. */
function allThrow(t: ExecutionContext, code: CacheErrorCode, calls: (() => unknown)[]): void {
  for (const call of calls) {
    const error = t.throws(call, { instanceOf: CacheError, code, name: 'CacheError' }, String(call))
    t.true(error instanceof CacheError && error.hint.length > 10)
    t.true((error?.message.length ?? 0) > 10)
    t.regex(error?.stack ?? '', /^CacheError/)
    meet(t, (error as CacheError | undefined)?.code)
  }
}

/** Overwrites a part of the segment's file; returns what puts it back. */
function patch(path: string, offset: number, bytes: Uint8Array): () => void {
  const before = Buffer.alloc(bytes.length)
  const write = (what: Uint8Array): void => {
    const file = openSync(path, 'r+')
    readSync(file, before, 0, before.length, offset)
    writeSync(file, what, 0, what.length, offset)
    closeSync(file)
  }
  write(bytes)
  const original = Buffer.from(before)
  return () => write(original)
}

provoke(['ERR_INVALID_ARGUMENT'], 'what can be no key, option or condition', (t) => {
  const cache = openCache(t)
  fill(cache)
  allThrow(t, 'ERR_INVALID_ARGUMENT', [
    () => open({ name: 'not a name' }),
    () => cache.get(''),
    () => cache.set(5 as never, 1),
    () => cache.get('\uD800'),
    () => cache.set('a', 1, { if: 'sometimes' as never }),
    () => cache.incr('a', Number.NaN),
    () => cache.on('gone' as never, () => undefined),
    () => cache.getMany(['kept1', '']),
    () => cache.setMany([['kept1', 1], 'kept2'] as never),
    () => cache.deleteMany('kept1' as never),
    () => cache.swap('kept1', 1, { if: 'absent' } as never),
    () => cache.update('kept1', undefined as never),
    () => cache.append('kept1', 'text'),
    () => cache.incrBigInt('kept1', 1 as never),
    () => cache.set('kept1', 1, { tags: 'x' as never }),
    () => cache.set('kept1', 1, { tags: [''] }),
    () => cache.set('kept1', 1, { tags: Array.from({ length: 129 }, String) }),
    () => cache.delete('kept1', { version: 0 }),
    () => cache.delete('kept1', 5 as never),
    () => cache.getEntry('kept1', true as never),
    () => cache.incr('a', 1, '5m' as never),
    () => cache.incrBigInt('a', 1n, null as never),
    () => cache.update('kept1', () => 1, '5m' as never),
    () => cache.append('log', 'x', '5m' as never),
    () => cache.namespace('never', '5m' as never),
    () => cache.stats('segment' as never),
    () => cache.invalidateTags('x', 'stale' as never),
    () => cache.invalidateTags(5 as never),
    () => cache.invalidateTags('x', { mode: 'forget' as never }),
    () => cache.deletePrefix(''),
    () => cache.keys('kept' as never),
    () => cache.entries({ prefix: 5 as never }),
    () => cache.namespace(''),
    () => cache.namespace('x'.repeat(64)),
    () => cache.stats({ scope: 'all' as never }),
    () => open({ name: 'never', codec: 'msgpack' as never }),
    () => open({ name: 'never', codec: { id: 101, encode: Buffer.from, decode: String } }),
    () => segments.inspect('not a name'),
  ])
  stillFine(t, cache)
})

provoke(['ERR_INVALID_TTL'], 'what is no lifetime', (t) => {
  const cache = openCache(t)
  fill(cache)
  allThrow(t, 'ERR_INVALID_TTL', [
    () => cache.set('kept1', 1, 0),
    () => cache.set('kept1', 1, { ttl: '0s' }),
    () => cache.set('kept1', 1, { expiresAt: Number.NaN }),
    () => cache.touch('kept1', -5),
    () => cache.set('kept1', 1, { stale: 0 }),
    () => cache.swap('kept1', 1, '0s'),
    () => cache.update('kept1', () => 1, { ttl: Infinity }),
    () => cache.append('kept1', 'x', { ttl: -1 }),
    () => cache.incrBigInt('kept1', 1n, { ttl: 0 }),
    () => cache.setMany([['kept1', 1, '5']] as never),
    () => cache.namespace('never', { ttl: 0 }),
    () => open({ name: 'never', ttl: 0 }),
  ])
  t.is(cache.ttl('kept1'), Infinity)
  stillFine(t, cache)
})

provoke(['ERR_KEY_TOO_LONG'], 'more than 8 KiB', (t) => {
  const cache = openCache(t)
  fill(cache)
  const key = 'é'.repeat(4097)
  allThrow(t, 'ERR_KEY_TOO_LONG', [
    () => cache.get(key),
    () => cache.set(key, 1),
    () => cache.delete(Buffer.from(key)),
    () => cache.getMany(['kept1', key]),
    () =>
      cache.setMany([
        ['kept1', 1],
        [key, 1],
      ]),
    () => cache.hasMany([key]),
    () => cache.swap(key, 1),
    () => cache.update(key, () => 1),
    () => cache.append(key, 'x'),
    () => cache.incrBigInt(key),
    () => cache.namespace('inner').get(key),
  ])
  stillFine(t, cache)
})

provoke(['ERR_VALUE_TOO_LARGE'], 'more than maxEntrySize', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, maxEntrySize: '256kb' })
  fill(cache)
  cache.set('large', 'before')
  allThrow(t, 'ERR_VALUE_TOO_LARGE', [
    () => cache.set('large', Buffer.alloc(256 * 1024)),
    () => cache.set('large', 'x'.repeat(1_000_000)),
    () => cache.add('none', { x: 'x'.repeat(1_000_000) }),
    () => cache.set('large', Buffer.alloc(100_000_000)),
    () =>
      cache.setMany([
        ['none', 1],
        ['large', Buffer.alloc(256 * 1024)],
      ]),
    () =>
      cache.setMany([
        ['none', 1],
        ['large', 'é'.repeat(128 * 1024)],
      ]),
    () => cache.swap('large', new Map([['x', 'x'.repeat(300_000)]])),
    () => cache.update('large', (value) => String(value).repeat(100_000)),
    () => cache.append('large', 'x'.repeat(300_000)),
  ])
  t.is(cache.get('large'), 'before')
  t.false(cache.has('none'))
  t.true(cache.set('large', Buffer.alloc(250 * 1024)), 'just below it fits')
  stillFine(t, cache)
})

provoke(['ERR_UNDEFINED_VALUE', 'ERR_UNSERIALIZABLE'], 'what is no value', (t) => {
  const cache = openCache(t)
  fill(cache)
  allThrow(t, 'ERR_UNDEFINED_VALUE', [
    () => cache.set('kept1', undefined),
    () => cache.add('a', undefined),
    () =>
      cache.setMany([
        ['a', 1],
        ['kept1', undefined],
      ]),
    () => cache.swap('kept1', undefined),
    () => cache.update('kept1', () => undefined),
  ])
  allThrow(t, 'ERR_UNSERIALIZABLE', [
    () => cache.set('kept1', () => 1),
    () => cache.replace('kept1', { a: [new WeakMap()] }),
    () =>
      cache.setMany([
        ['a', 1],
        ['kept1', Symbol('s')],
      ]),
    () =>
      cache.swap(
        'kept1',
        new (class Job {
          readonly id = 1
        })(),
      ),
    () => cache.update('kept1', async () => 1),
  ])
  t.false(cache.has('a'))
  stillFine(t, cache)
})

provoke(['ERR_NOT_A_NUMBER', 'ERR_OVERFLOW'], 'what cannot be counted on', (t) => {
  const cache = openCache(t)
  fill(cache)
  cache.set('max', Number.MAX_SAFE_INTEGER)
  cache.set('bigint', 5n)
  allThrow(t, 'ERR_NOT_A_NUMBER', [
    () => cache.incr('kept1'),
    () => cache.incr('bigint'),
    () => cache.incrBigInt('kept1'),
    () => cache.incrBigInt('max'),
  ])
  allThrow(t, 'ERR_OVERFLOW', [() => cache.incr('max'), () => cache.incr('new', 1e200)])
  t.is(cache.get('max'), Number.MAX_SAFE_INTEGER)
  stillFine(t, cache)
})

provoke(['ERR_CLOSED'], 'every method of a closed handle', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  allThrow(t, 'ERR_CLOSED', [
    () => cache.get('a'),
    () => cache.peek('a'),
    () => cache.has('a'),
    () => cache.getEntry('a'),
    () => cache.set('a', 1),
    () => cache.add('a', 1),
    () => cache.replace('a', 1),
    () => cache.delete('a'),
    () => cache.take('a'),
    () => cache.touch('a', 1),
    () => cache.persist('a'),
    () => cache.ttl('a'),
    () => cache.incr('a'),
    () => cache.incrBigInt('a'),
    () => cache.getMany(['a']),
    () => cache.setMany([['a', 1]]),
    () => cache.deleteMany(['a']),
    () => cache.hasMany(['a']),
    () => cache.swap('a', 1),
    () => cache.update('a', () => 1),
    () => cache.append('a', 'x'),
    () => cache.clear(),
    () => cache.deletePrefix('a'),
    () => cache.invalidateTags('a'),
    () => cache.keys(),
    () => cache.entries(),
    () => [...cache],
    () => cache.namespace('a'),
    () => cache.size,
    () => cache.stats(),
    () => cache.on('damage', () => undefined),
  ])
  await t.throwsAsync(cache.waitFor('a'), { instanceOf: CacheError, code: 'ERR_CLOSED' })
  t.true(cache.closed)
  t.notThrows(() => cache.close())
  stillFine(t, openCache(t, { name }))
})

provoke(['ERR_TIMEOUT'], 'nothing came', async (t) => {
  const cache = openCache(t)
  fill(cache)
  const error = await t.throwsAsync(within('the timeout', cache.waitFor('a', { timeout: 10 })), {
    instanceOf: CacheError,
    code: 'ERR_TIMEOUT',
  })
  t.regex(error?.message ?? '', /10 ms/)
  meet(t, error?.code)
  stillFine(t, cache)
})

provoke(['ERR_LOCK_LOST'], 'a lock that was released, and one whose time is up', async (t) => {
  const cache = openStopped(t)
  fill(cache)
  const released = await cache.lock('a')
  released.release()
  const over = await cache.lock('b', { ttl: 1000 })
  advance(cache, 1000)
  allThrow(t, 'ERR_LOCK_LOST', [() => released.extend('1s'), () => over.extend('1s')])
  stillFine(t, cache)
})

provoke(['ERR_SEGMENT_MISMATCH'], 'other options found', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '8mb' })
  fill(cache)
  allThrow(t, 'ERR_SEGMENT_MISMATCH', [() => open({ name, size: '16mb', onMismatch: 'throw' })])
  stillFine(t, cache)
})

provoke(['ERR_SEGMENT_IN_USE'], 'somebody is attached', async (t) => {
  const name = segmentName(t)
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  allThrow(t, 'ERR_SEGMENT_IN_USE', [() => segments.destroy(name)])
  const cache = openCache(t, { name })
  fill(cache)
  child.kill()
  await child.exit
  allThrow(t, 'ERR_SEGMENT_IN_USE', [() => segments.destroy(name)])
  stillFine(t, cache)
  cache.close()
  await eventually('the killed process does not count', () => segments.destroy(name))
})

provoke(['ERR_SEGMENT_VERSION'], 'a segment of another layout', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const { path, layoutVersion } = segments.inspect(name) ?? { path: '', layoutVersion: 0 }
  const newer = Buffer.alloc(4)
  newer.writeUInt32LE(layoutVersion + 1)
  const restore = patch(path, 8, newer)
  allThrow(t, 'ERR_SEGMENT_VERSION', [() => open({ name, size: SMALL })])
  t.like(segments.inspect(name), { name, readable: false })
  restore()
  stillFine(t, openCache(t, { name }))
})

provoke(['ERR_SEGMENT_CORRUPT'], 'no segment at all under the name', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  const restore = patch(path, 0, Buffer.from('nonsense'))
  allThrow(t, 'ERR_SEGMENT_CORRUPT', [() => open({ name, size: SMALL })])
  t.like(segments.inspect(name), { name, readable: false })
  restore()
  stillFine(t, openCache(t, { name }))
})

provoke(['ERR_SEGMENT_CORRUPT'], 'a file that was cut off, until it is destroyed', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  for (const length of [4 * 2 ** 20, 4096, 100, 0]) {
    truncateSync(path, length)
    allThrow(t, 'ERR_SEGMENT_CORRUPT', [() => open({ name, size: SMALL })])
  }
  t.true(segments.destroy(name, { force: true }))
  const anew = openCache(t, { name })
  fill(anew)
  stillFine(t, anew)
})

provoke(['ERR_SEGMENT_CORRUPT'], 'strict reads throw where others miss', (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const lenient = openCache(t, { name, directory })
  const strict = openCache(t, { name, directory, strict: true })
  fill(lenient)
  truncateSync(segments.inspect(name, { directory })?.path ?? '', 100)

  // The read that touches the missing pages first may be a plain miss.
  t.is(lenient.get('kept1'), undefined)
  const before = lenient.stats().degradedReads
  t.is(lenient.get('kept1'), undefined)
  t.false(lenient.has('kept1'))
  t.is(lenient.getEntry('kept1'), undefined)
  t.is(lenient.ttl('kept1'), undefined)
  t.deepEqual(lenient.getMany(['kept1', 'kept2']), [undefined, undefined])
  t.deepEqual(lenient.hasMany(['kept1']), [false])
  t.deepEqual([...lenient], [])
  t.is(lenient.size, 0)
  t.like(lenient.stats(), { entries: 0, degradedReads: before + 10 })
  allThrow(t, 'ERR_SEGMENT_CORRUPT', [
    () => strict.get('kept1'),
    () => strict.has('kept1'),
    () => strict.getMany(['kept1']),
    () => strict.hasMany(['kept1']),
    () => [...strict.keys()],
    () => strict.size,
    () => lenient.set('a', 1),
    () => lenient.delete('a'),
    () => lenient.take('a'),
    () => lenient.setMany([['a', 1]]),
    () => lenient.deleteMany(['a']),
    () => lenient.swap('a', 1),
    () => lenient.update('a', () => 1),
    () => lenient.deletePrefix('a'),
    () => lenient.invalidateTags('a'),
    () => lenient.namespace('a'),
    () => lenient.clear(),
  ])

  segments.destroy(name, { directory, force: true })
  fill(lenient)
  stillFine(t, lenient)
  stillFine(t, strict)
})

provokeIf(isRoot && works('mount', '--version'))(['ERR_NO_SPACE'], 'a file system that is full', (t) => {
  const directory = temporaryDirectory(t)
  t.is(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', directory]).status, 0)
  t.teardown(() => spawnSync('umount', ['-l', directory]))
  const name = segmentName(t, { directory })
  const cache = openCache(t, { name, directory, size: SMALL })
  fill(cache)
  const other = segmentName(t, { directory })
  allThrow(t, 'ERR_NO_SPACE', [() => open({ name: other, directory, size: '4gb' })])
  t.is(segments.inspect(other, { directory }), undefined)
  t.deepEqual(
    segments.list({ directory }).map((info) => info.name),
    [name],
  )
  stillFine(t, cache)
})

testIf(isRoot && works('mount', '--version'))(
  'a file system that fills up later costs evictions, never a crash',
  (t) => {
    const directory = temporaryDirectory(t)
    t.is(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', directory]).status, 0)
    t.teardown(() => spawnSync('umount', ['-l', directory]))
    const cache = openCache(t, { name: segmentName(t, { directory }), directory, size: '64mb' })
    let stored = 0
    for (let i = 0; i < 1000; i++) {
      try {
        if (cache.set(`k${i}`, Buffer.alloc(50_000, i))) stored++
        t.true(isDeepStrictEqual(cache.get(`k${i}`), Buffer.alloc(50_000, i)))
      } catch (error) {
        t.is((error as CacheError).code, 'ERR_NO_SPACE')
      }
    }
    t.true(stored > 20, `${stored} of 1000 stored`)
    t.deepEqual(problems(cache), [])
  },
)

provoke(['ERR_PERMISSION'], 'a file that others may read is not ours', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  t.is(statSync(path).mode & 0o777, 0o600)
  chmodSync(path, 0o666)
  allThrow(t, 'ERR_PERMISSION', [() => open({ name, size: SMALL })])
  chmodSync(path, 0o600)
  stillFine(t, openCache(t, { name }))
})

provokeIf(isRoot)(['ERR_PERMISSION'], 'a file of another user is not ours', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  chownSync(path, NOBODY, NOBODY)
  allThrow(t, 'ERR_PERMISSION', [() => open({ name, size: SMALL })])
  chownSync(path, 0, 0)
  stillFine(t, openCache(t, { name }))
})

provoke(['ERR_PERMISSION'], 'a directory that we may not write', (t) => {
  const directory = join(temporaryDirectory(t), 'closed')
  mkdirSync(directory, { mode: 0o500 })
  const attempt = (): unknown => open({ name: 'never', directory, size: SMALL })
  if (!isRoot) return allThrow(t, 'ERR_PERMISSION', [attempt])
  // Root may write everywhere; as somebody else, for the length of one call.
  allThrow(t, 'ERR_PERMISSION', [
    () => {
      process.seteuid?.(NOBODY)
      try {
        return attempt()
      } finally {
        process.seteuid?.(0)
      }
    },
  ])
})

provokeIf(works('prlimit', '--version'))(['ERR_PERMISSION'], 'memory that may not be pinned', async (t) => {
  const wrapper = ['prlimit', '--memlock=65536:65536']
  const options = isRoot ? { wrapper, uid: NOBODY } : { wrapper }
  const child = fork(t, 'locked-memory', `test-${process.pid}-locked`, options)
  const answer = await child.next<{ locked: string }>()
  t.deepEqual(answer, { locked: 'ERR_PERMISSION', ordinary: 'works: 1' })
  meet(t, answer.locked)
})

provokeIf(works('prlimit', '--version'))(['ERR_NO_SPACE'], 'a process at one of its limits', async (t) => {
  const name = segmentName(t)
  t.teardown(() => segments.destroy(`${name}-other`, { force: true }))
  const child = fork(t, 'limited', name)
  const outcomes = await child.next<Outcomes>()
  const refused = { under: 'ERR_NO_SPACE', after: 'works' }
  t.deepEqual(outcomes, { descriptors: refused, 'file size': refused, 'address space': refused })
  t.is(openCache(t, { name }).get('kept'), 4)
  meet(t, outcomes.descriptors.under)
})

provoke(['ERR_BUSY'], 'a stopped process holds the shard', async (t) => {
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: '50ms' })
  fill(cache)
  const child = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] })
  await child.next()
  const error = await eventually(
    'a write meets a stopped holder',
    async () => {
      child.kill('SIGSTOP')
      await isStopped(child.process.pid)
      try {
        for (let i = 0; i < 20; i++) cache.set(`probe${i}`, i)
        child.kill('SIGCONT')
        return undefined
      } catch (error) {
        return error
      }
    },
    20_000,
  )
  t.true(error instanceof CacheError)
  t.is((error as CacheError).code, 'ERR_BUSY')
  meet(t, 'ERR_BUSY')
  for (let i = 0; i < 100; i++) t.is(typeof cache.get(`kept${i}`), 'object', 'reads go on')
  t.true(cache.stats().busy > 0)
  child.kill('SIGCONT')
  await eventually('the shard is free', () => {
    try {
      return cache.set('probe', 1)
    } catch {
      return false
    }
  })
  child.kill()
  await child.exit
  stillFine(t, cache)
})

provoke(['ERR_NATIVE_UNAVAILABLE'], 'an addon that cannot be loaded', async (t) => {
  const child = fork(t, 'broken-addon')
  const error = await child.next<{ name: string; code: string; message: string; hint: string; caused: boolean }>()
  t.like(error, { name: 'CacheError', code: 'ERR_NATIVE_UNAVAILABLE', caused: true })
  meet(t, error.code)
  t.regex(error.message, new RegExp(`${process.platform} ${process.arch}`))
  t.true(error.hint.length > 10)
})

provoke(['ERR_CODEC_MISMATCH'], 'a value of a codec that this cache does not have', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  const packing = openCache(t, {
    name,
    codec: { id: 7, encode: (value) => Buffer.from(String(value)), decode: (bytes) => Buffer.from(bytes).toString() },
  })
  packing.set('packed', 'text')
  allThrow(t, 'ERR_CODEC_MISMATCH', [
    () => cache.get('packed'),
    () => cache.peek('packed'),
    () => cache.getEntry('packed'),
    () => cache.getMany(['kept1', 'packed']),
    () => [...cache],
    () => cache.swap('packed', 1),
    () => cache.update('packed', () => 1),
  ])
  t.is(packing.get('packed'), 'text')
  stillFine(t, cache)
})

provoke(['ERR_NO_SPACE'], 'a cache that is full and may not evict', (t) => {
  const cache = openCache(t, { eviction: 'none' })
  fill(cache)
  const large = 'x'.repeat(100_000)
  for (let i = 0; cache.set(`large${i}`, large); i++);
  const before = cache.size
  t.deepEqual(
    cache.setMany([
      ['no', large],
      ['kept1', cache.get('kept1')],
    ]),
    [false, true],
  )
  allThrow(t, 'ERR_NO_SPACE', [
    () => cache.swap('kept1', large),
    () => cache.update('kept1', () => large),
    () => cache.append('log', large),
  ])
  t.is(cache.size, before)
  for (let i = 0; cache.delete(`large${i}`); i++);
  stillFine(t, cache)
})

provoke(['ERR_NO_SPACE'], 'the 1,024th namespace', (t) => {
  const cache = openCache(t)
  fill(cache)
  for (let i = 0; i < 1023; i++) cache.namespace(`n${i}`).close()
  allThrow(t, 'ERR_NO_SPACE', [() => cache.namespace('one more')])
  cache.namespace('n1022').set('a', 1)
  t.is(cache.stats().namespaces.length, 1023)
  stillFine(t, cache)
})

test('an error has code and hint, and shows them', (t) => {
  const cause = new Error('why')
  const error = new CacheError('ERR_BUSY', 'it is busy', { cause })
  t.is(error.name, 'CacheError')
  t.is(error.code, 'ERR_BUSY')
  t.is(error.cause, cause)
  t.true(error.hint.length > 10)
  t.false('cause' in new CacheError('ERR_BUSY', 'it is busy'))
})

test('every code there is, is provoked by a test', (t) => {
  for (const code of [...Object.keys(CODES), ...codeOfStatus] as (CacheErrorCode | undefined)[]) {
    if (code !== undefined) t.true(promised.has(code), `${code} is provoked by no test`)
  }
  t.deepEqual(Object.keys(CODES).toSorted(), codeOfStatus.filter((code) => code !== undefined).toSorted())
})

test('waitFor rejects what is no object of options', async (t) => {
  const cache = openCache(t)
  for (const options of [null, '5m', 5]) {
    await t.throwsAsync(cache.waitFor('a', options as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
})

test('the numbers of the codes are part of the contract with the native side', (t) => {
  t.is(codeOfStatus.length, 21)
  t.is(codeOfStatus[1], 'ERR_INVALID_ARGUMENT')
  t.is(codeOfStatus[14], 'ERR_BUSY')
  t.is(codeOfStatus[20], 'ERR_LOCK_LOST')
})

/** All of `CacheErrorCode`: the compiler refuses this table when one is missing. */
const CODES: Record<CacheErrorCode, true> = {
  ERR_NATIVE_UNAVAILABLE: true,
  ERR_INVALID_ARGUMENT: true,
  ERR_INVALID_TTL: true,
  ERR_KEY_TOO_LONG: true,
  ERR_VALUE_TOO_LARGE: true,
  ERR_UNDEFINED_VALUE: true,
  ERR_UNSERIALIZABLE: true,
  ERR_NOT_A_NUMBER: true,
  ERR_OVERFLOW: true,
  ERR_CLOSED: true,
  ERR_NO_SPACE: true,
  ERR_PERMISSION: true,
  ERR_SEGMENT_MISMATCH: true,
  ERR_SEGMENT_VERSION: true,
  ERR_SEGMENT_CORRUPT: true,
  ERR_SEGMENT_IN_USE: true,
  ERR_CODEC_MISMATCH: true,
  ERR_TIMEOUT: true,
  ERR_BUSY: true,
  ERR_LOCK_LOST: true,
}
