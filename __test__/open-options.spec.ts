import { existsSync, readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError, open, segments } from '../index.ts'
import type { OpenOptions } from '../index.ts'
import { eventually } from './helpers/eventually.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from './helpers/segment.ts'
import { isRoot, testIf } from './helpers/system.ts'

test('open creates the segment, and a second open of the name joins it', (t) => {
  const name = segmentName(t)
  const first = openCache(t, { name })
  const second = openCache(t, { name })
  first.set('a', 1)
  t.is(second.get('a'), 1)
  t.is(first.name, name)
})

test('closing deletes nothing: a later open finds the entries', (t) => {
  const name = segmentName(t)
  const first = openCache(t, { name })
  first.set('a', 1)
  first.close()
  t.true(first.closed)
  t.is(openCache(t, { name }).get('a'), 1)
})

test('close is idempotent, and `using` closes', (t) => {
  const name = segmentName(t)
  let kept
  {
    using cache = open({ name, size: SMALL })
    kept = cache
    t.false(cache.closed)
  }
  t.true(kept.closed)
  kept.close()
  t.pass()
})

test('without a size the segment has 64 MiB', (t) => {
  const name = segmentName(t)
  const cache = open({ name })
  t.teardown(() => cache.close())
  t.is(segments.inspect(name)?.size, 64 * 2 ** 20)
  t.is(segments.inspect(name)?.eviction, 's3-fifo')
})

test('sizes are bytes or strings in powers of 1024', (t) => {
  const name = segmentName(t)
  openCache(t, { name, size: '12mb' })
  t.is(segments.inspect(name)?.size, 12 * 1024 * 1024)

  const other = segmentName(t)
  openCache(t, { name: other, size: 12 * 1024 * 1024 })
  t.is(segments.inspect(other)?.size, 12 * 1024 * 1024)
})

test('the default entry limit of the default segment is about 3.7 MiB', (t) => {
  const name = segmentName(t)
  const cache = open({ name })
  t.teardown(() => cache.close())
  const limit = segments.inspect(name)?.maxEntrySize ?? 0
  t.true(limit > 3.5 * 2 ** 20 && limit < 4 * 2 ** 20, `${limit}`)
})

test('a larger maxEntrySize takes larger entries', (t) => {
  const cache = openCache(t, { size: '64mb', maxEntrySize: '8mb' })
  const value = Buffer.alloc(7 * 2 ** 20, 'x')
  t.true(cache.set('large', value))
  t.true(isDeepStrictEqual(cache.get('large'), value))
})

test('with a directory the segment is a file there, and shared by everyone who names the directory', (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const cache = openCache(t, { name, directory })
  cache.set('a', 1)
  const path = segments.inspect(name, { directory })?.path ?? ''
  t.true(path.startsWith(directory))
  t.true(existsSync(path))
  t.is(openCache(t, { name, directory }).get('a'), 1)
  t.is(segments.inspect(name), undefined, 'another segment than the one in shared memory')
})

test('ttl is the default of set, add and replace, and of nothing else', (t) => {
  const cache = openCache(t, { ttl: '1h' })
  cache.set('set', 1)
  cache.add('add', 1)
  cache.replace('set', 2)
  for (const key of ['set', 'add']) {
    const left = cache.ttl(key) ?? 0
    t.true(left > 3_590_000 && left <= 3_600_000, `${key} ${left}`)
  }
  cache.incr('counter')
  t.is(cache.ttl('counter'), Infinity)
  cache.set('longer', 1, '2h')
  t.true((cache.ttl('longer') ?? 0) > 3_600_000)
})

testIf(isRoot)('lockMemory pins the segment', (t) => {
  const cache = openCache(t, { size: '4mb', lockMemory: true })
  cache.set('a', 1)
  t.is(cache.get('a'), 1)
  const locked = /^VmLck:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  t.true(Number(locked) > 0, `${locked} kB`)
})

test('a segment of another size is attached with one warning by default', async (t) => {
  const name = segmentName(t)
  openCache(t, { name, size: '8mb' }).set('a', 1)
  const warnings: (Error & { code?: string })[] = []
  const onWarning = (warning: Error): number => warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))

  for (let i = 0; i < 3; i++) t.is(openCache(t, { name, size: '16mb', eviction: 'lru' }).get('a'), 1)
  await eventually('a warning', () => warnings.length > 0)
  t.is(warnings.length, 1)
  t.is(warnings[0]?.code, 'CACHE_MACHINE_MISMATCH')
  t.regex(warnings[0]?.message ?? '', /size 8388608 instead of 16777216, eviction s3-fifo instead of lru/)
})

test('onMismatch: throw names both values and attaches nothing', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '8mb', maxEntrySize: '512kb' })
  cache.set('a', 1)
  const wrong: [Partial<OpenOptions>, RegExp][] = [
    [{ size: '16mb' }, /size 8388608 instead of 16777216/],
    [{ maxEntrySize: '1mb' }, /maxEntrySize 524288 instead of 1048576/],
    [{ eviction: 'none' }, /eviction s3-fifo instead of none/],
  ]
  for (const [options, message] of wrong) {
    t.throws(() => open({ name, onMismatch: 'throw', ...options }), {
      instanceOf: CacheError,
      code: 'ERR_SEGMENT_MISMATCH',
      message,
    })
  }
  t.is(cache.get('a'), 1)
})

test('only what is given is compared, and a size after rounding up to pages', (t) => {
  const name = segmentName(t)
  openCache(t, { name, size: 8 * 2 ** 20 - 100, eviction: 'lru', maxEntrySize: '512kb' })
  for (const options of [{}, { size: 8 * 2 ** 20 - 100 }, { size: SMALL }, { eviction: 'lru' }] as const) {
    using cache = open({ name, onMismatch: 'throw', ...options })
    t.true(cache.set('a', 1))
  }
})

test('wrong options throw at once and create nothing', (t) => {
  const name = segmentName(t)
  const wrong: [unknown, string][] = [
    [undefined, 'ERR_INVALID_ARGUMENT'],
    [{}, 'ERR_INVALID_ARGUMENT'],
    [{ name: '' }, 'ERR_INVALID_ARGUMENT'],
    [{ name: 'a/b' }, 'ERR_INVALID_ARGUMENT'],
    [{ name: 'a b' }, 'ERR_INVALID_ARGUMENT'],
    [{ name: 'ä' }, 'ERR_INVALID_ARGUMENT'],
    [{ name: 'x'.repeat(65) }, 'ERR_INVALID_ARGUMENT'],
    [{ name, size: 0 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, size: 1 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, size: -1 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, size: Number.NaN }, 'ERR_INVALID_ARGUMENT'],
    [{ name, size: '64 mb' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, size: '64m' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, size: SMALL, maxEntrySize: '1gb' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, directory: '' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, directory: 5 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, eviction: 'arc' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, onMismatch: 'ignore' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, strict: 'yes' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, lockMemory: 1 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, writeTimeout: -1 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, writeTimeout: 'soon' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, ttl: 0 }, 'ERR_INVALID_TTL'],
    [{ name, ttl: '5 m' }, 'ERR_INVALID_TTL'],
    [{ name, ttl: null }, 'ERR_INVALID_TTL'],
  ]
  for (const [options, code] of wrong) {
    const error = t.throws(
      () => open(options as OpenOptions),
      { instanceOf: CacheError, code },
      JSON.stringify(options),
    )
    t.truthy(error?.hint)
  }
  t.is(segments.inspect(name), undefined)
})

test('names of 64 characters and with dots are fine', (t) => {
  const name = `${segmentName(t)}.${'x'.repeat(64)}`.slice(0, 64)
  t.teardown(() => segments.destroy(name, { force: true }))
  const cache = openCache(t, { name })
  cache.set('a', 1)
  t.is(openCache(t, { name }).get('a'), 1)
})
