/**
 * `open` and its options.
 */
import { existsSync, readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError, open, segments } from '../../index.ts'
import type { OpenOptions } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { SMALL, openCache, openStopped, segmentName, temporaryDirectory } from '../helpers/segment.ts'
import { isRoot, testIf } from '../helpers/system.ts'

test('open creates a segment, and a second open of its name attaches to it', (t) => {
  const name = segmentName(t)
  const first = openCache(t, { name })
  const second = openCache(t, { name })
  first.set('a', 1)
  t.is(second.get('a'), 1)
  t.is(first.name, name)
})

test('close deletes nothing, and a later open finds the entries', (t) => {
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
  t.notThrows(() => kept.close())
  t.true(kept.closed)
  t.deepEqual(segments.inspect(name)?.processes, [])
})

test('a segment without a size has 64 MiB', (t) => {
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

test('the default entry limit of the default segment is 3,633,792 bytes', (t) => {
  const name = segmentName(t)
  const cache = open({ name })
  t.teardown(() => cache.close())
  t.is(segments.inspect(name)?.maxEntrySize, 3_633_792)
})

test('a larger maxEntrySize allows larger entries', (t) => {
  const cache = openCache(t, { size: '64mb', maxEntrySize: '8mb' })
  const value = Buffer.alloc(7 * 2 ** 20, 'x')
  t.true(cache.set('large', value))
  t.true(isDeepStrictEqual(cache.get('large'), value))
})

onNative('a file')('a segment with a directory is a file there, and all caches with that directory share it', (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const cache = openCache(t, { name, directory })
  cache.set('a', 1)
  const path = segments.inspect(name, { directory })?.path ?? ''
  t.true(path.startsWith(directory))
  t.true(existsSync(path))
  t.is(openCache(t, { name, directory }).get('a'), 1)
  t.is(segments.inspect(name), undefined, 'this is another segment than the one in shared memory')
})

test('ttl is the default of every call that stores a value, and not of incr, incrBigInt, persist and once', async (t) => {
  const cache = openStopped(t, { ttl: '1h' })
  const load = cache.wrap(() => 'loaded', { key: () => 'wrap' })
  cache.set('replace', 1, '2h')
  cache.set('swap over', 1, '2h')
  const stores: Record<string, () => unknown> = {
    set: () => cache.set('set', 1),
    add: () => cache.add('add', 1),
    replace: () => cache.replace('replace', 2),
    swap: () => cache.swap('swap', 1),
    'swap over': () => cache.swap('swap over', 2),
    update: () => cache.update('update', () => 1),
    append: () => cache.append('append', 'text'),
    setMany: () => cache.setMany([['setMany', 1]]),
    getOrSet: () => cache.getOrSet('getOrSet', () => 1),
    wrap: () => load(),
  }
  for (const [key, store] of Object.entries(stores)) {
    await store()
    t.is(cache.ttl(key), 3_600_000, key)
  }
  cache.incr('incr')
  cache.incrBigInt('incrBigInt')
  cache.set('persist', 1, '2h')
  cache.persist('persist')
  for (const key of ['incr', 'incrBigInt', 'persist']) t.is(cache.ttl(key), Infinity, key)
  cache.set('touch', 1)
  cache.touch('touch', '2h')
  cache.set('longer', 1, '2h')
  for (const key of ['touch', 'longer']) t.is(cache.ttl(key), 7_200_000, key)
  let runs = 0
  for (let i = 0; i < 2; i++) {
    await cache.once('once', () => ++runs)
    advance(cache, 10 * 3_600_000)
  }
  t.is(runs, 1)
})

onNative('shared memory', testIf(isRoot))('lockMemory pins the segment', (t) => {
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

test('onMismatch: throw reports both values and attaches nothing', (t) => {
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

test('open compares only the given options, and a size after rounding up to pages', (t) => {
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
    [{ name, group: '' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, group: 'a\0b' }, 'ERR_INVALID_ARGUMENT'],
    [{ name, group: -1 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, group: 1.5 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, group: 2 ** 32 - 1 }, 'ERR_INVALID_ARGUMENT'],
    [{ name, group: true }, 'ERR_INVALID_ARGUMENT'],
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

test('names of 64 characters and names with dots are valid', (t) => {
  const name = `${segmentName(t)}.${'x'.repeat(64)}`.slice(0, 64)
  t.teardown(() => segments.destroy(name, { force: true }))
  const cache = openCache(t, { name })
  cache.set('a', 1)
  t.is(openCache(t, { name }).get('a'), 1)
})

onNative('a database of groups')('a group that there is not is refused with a hint', (t) => {
  const name = segmentName(t)
  for (const run of [
    () => open({ name, group: 'no-such-group' }),
    () => segments.list({ group: 'no-such-group' }),
    () => segments.destroy(name, { group: 'no-such-group' }),
  ]) {
    const error = t.throws(run, { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.is(error?.message, 'there is no group "no-such-group"')
    t.regex(error?.hint ?? '', /^Create the group \(groupadd\)/)
  }
})

test.serial('a segment of a group is another one than that of the user with the same name', async (t) => {
  const group = process.getegid?.() ?? 0
  const name = segmentName(t)
  t.teardown(() => segments.destroy(name, { group, force: true }))
  const [own, shared] = [openCache(t, { name }), openCache(t, { name, group })]
  own.set('key', 'own')
  shared.set('key', 'shared')
  t.is(own.get('key'), 'own')
  t.is(openCache(t, { name, group }).get('key'), 'shared')
  t.is(shared.namespace('a').health().status, 'ok')
  shared.namespace('a').set('key', 1)
  t.is(segments.inspect(name, { group })?.entries, 2)
  t.true(segments.list({ group }).some((info) => info.name === name))
  t.is(segments.inspect(name)?.entries, 1)
  // The warnings about segments of one name are emitted before the next test looks at its own.
  await new Promise((resolve) => void setImmediate(resolve))
})
