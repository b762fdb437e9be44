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
import { problems } from '../lib/testing.ts'
import { codeOfStatus } from '../lib/errors.ts'
import { eventually, within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from './helpers/segment.ts'
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

/** Every call throws the code, as a `CacheError` with a hint. */
function allThrow(t: ExecutionContext, code: CacheErrorCode, calls: (() => unknown)[]): void {
  for (const call of calls) {
    const error = t.throws(call, { instanceOf: CacheError, code, name: 'CacheError' }, String(call))
    t.true(error instanceof CacheError && error.hint.length > 10)
    t.true((error?.message.length ?? 0) > 10)
    t.regex(error?.stack ?? '', /^CacheError/)
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

test('ERR_INVALID_ARGUMENT: what can be no key, option or condition', (t) => {
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
    () => segments.inspect('not a name'),
  ])
  stillFine(t, cache)
})

test('ERR_INVALID_TTL: what is no lifetime', (t) => {
  const cache = openCache(t)
  fill(cache)
  allThrow(t, 'ERR_INVALID_TTL', [
    () => cache.set('kept1', 1, 0),
    () => cache.set('kept1', 1, { ttl: '0s' }),
    () => cache.set('kept1', 1, { expiresAt: Number.NaN }),
    () => cache.touch('kept1', -5),
    () => open({ name: 'never', ttl: 0 }),
  ])
  t.is(cache.ttl('kept1'), Infinity)
  stillFine(t, cache)
})

test('ERR_KEY_TOO_LONG: more than 8 KiB', (t) => {
  const cache = openCache(t)
  fill(cache)
  const key = 'é'.repeat(4097)
  allThrow(t, 'ERR_KEY_TOO_LONG', [() => cache.get(key), () => cache.set(key, 1), () => cache.delete(Buffer.from(key))])
  stillFine(t, cache)
})

test('ERR_VALUE_TOO_LARGE: more than maxEntrySize', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, maxEntrySize: '256kb' })
  fill(cache)
  cache.set('large', 'before')
  allThrow(t, 'ERR_VALUE_TOO_LARGE', [
    () => cache.set('large', Buffer.alloc(256 * 1024)),
    () => cache.set('large', 'x'.repeat(1_000_000)),
    () => cache.add('none', { x: 'x'.repeat(1_000_000) }),
    () => cache.set('large', Buffer.alloc(100_000_000)),
  ])
  t.is(cache.get('large'), 'before')
  t.false(cache.has('none'))
  t.true(cache.set('large', Buffer.alloc(250 * 1024)), 'just below it fits')
  stillFine(t, cache)
})

test('ERR_UNDEFINED_VALUE and ERR_UNSERIALIZABLE: what is no value', (t) => {
  const cache = openCache(t)
  fill(cache)
  allThrow(t, 'ERR_UNDEFINED_VALUE', [() => cache.set('kept1', undefined), () => cache.add('a', undefined)])
  allThrow(t, 'ERR_UNSERIALIZABLE', [
    () => cache.set('kept1', () => 1),
    () => cache.replace('kept1', { a: [new Map()] }),
  ])
  stillFine(t, cache)
})

test('ERR_NOT_A_NUMBER and ERR_OVERFLOW: what cannot be counted on', (t) => {
  const cache = openCache(t)
  fill(cache)
  cache.set('max', Number.MAX_SAFE_INTEGER)
  allThrow(t, 'ERR_NOT_A_NUMBER', [() => cache.incr('kept1')])
  allThrow(t, 'ERR_OVERFLOW', [() => cache.incr('max'), () => cache.incr('new', 1e200)])
  t.is(cache.get('max'), Number.MAX_SAFE_INTEGER)
  stillFine(t, cache)
})

test('ERR_CLOSED: every method of a closed handle', async (t) => {
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
    () => cache.clear(),
    () => cache.size,
    () => cache.stats(),
    () => cache.on('damage', () => undefined),
  ])
  await t.throwsAsync(cache.waitFor('a'), { instanceOf: CacheError, code: 'ERR_CLOSED' })
  t.notThrows(() => cache.close())
  stillFine(t, openCache(t, { name }))
})

test('ERR_TIMEOUT: nothing came', async (t) => {
  const cache = openCache(t)
  fill(cache)
  const error = await t.throwsAsync(within('the timeout', cache.waitFor('a', { timeout: 10 })), {
    instanceOf: CacheError,
    code: 'ERR_TIMEOUT',
  })
  t.regex(error?.message ?? '', /10 ms/)
  stillFine(t, cache)
})

test('ERR_SEGMENT_MISMATCH: other options found', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '8mb' })
  fill(cache)
  allThrow(t, 'ERR_SEGMENT_MISMATCH', [() => open({ name, size: '16mb', onMismatch: 'throw' })])
  stillFine(t, cache)
})

test('ERR_SEGMENT_IN_USE: somebody is attached', async (t) => {
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

test('ERR_SEGMENT_VERSION: a segment of another layout', (t) => {
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

test('ERR_SEGMENT_CORRUPT: no segment at all under the name', (t) => {
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

test('ERR_SEGMENT_CORRUPT: a file that was cut off, until it is destroyed', (t) => {
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

test('ERR_SEGMENT_CORRUPT: strict reads throw where others miss', (t) => {
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
  t.is(lenient.size, 0)
  t.like(lenient.stats(), { entries: 0, degradedReads: before + 6 })
  allThrow(t, 'ERR_SEGMENT_CORRUPT', [
    () => strict.get('kept1'),
    () => strict.has('kept1'),
    () => strict.size,
    () => lenient.set('a', 1),
    () => lenient.delete('a'),
    () => lenient.take('a'),
    () => lenient.clear(),
  ])

  segments.destroy(name, { directory, force: true })
  fill(lenient)
  stillFine(t, lenient)
  stillFine(t, strict)
})

testIf(isRoot && works('mount', '--version'))('ERR_NO_SPACE: a file system that is full', (t) => {
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

test('ERR_PERMISSION: a file that others may read is not ours', (t) => {
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

testIf(isRoot)('ERR_PERMISSION: a file of another user is not ours', (t) => {
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

test('ERR_PERMISSION: a directory that we may not write', (t) => {
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

testIf(works('prlimit', '--version'))('ERR_PERMISSION: memory that may not be pinned', async (t) => {
  const wrapper = ['prlimit', '--memlock=65536:65536']
  const options = isRoot ? { wrapper, uid: NOBODY } : { wrapper }
  const child = fork(t, 'locked-memory', `test-${process.pid}-locked`, options)
  t.deepEqual(await child.next(), { locked: 'ERR_PERMISSION', ordinary: 'works: 1' })
})

test('ERR_BUSY: a stopped process holds the shard', async (t) => {
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

test('ERR_NATIVE_UNAVAILABLE: an addon that cannot be loaded', async (t) => {
  const child = fork(t, 'broken-addon')
  const error = await child.next<{ name: string; code: string; message: string; hint: string; caused: boolean }>()
  t.like(error, { name: 'CacheError', code: 'ERR_NATIVE_UNAVAILABLE', caused: true })
  t.regex(error.message, new RegExp(`${process.platform} ${process.arch}`))
  t.true(error.hint.length > 10)
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

test('the numbers of the codes are part of the contract with the native side', (t) => {
  t.is(codeOfStatus.length, 21)
  t.is(codeOfStatus[1], 'ERR_INVALID_ARGUMENT')
  t.is(codeOfStatus[14], 'ERR_BUSY')
  t.is(codeOfStatus[20], 'ERR_LOCK_LOST')
})
