/**
 * Error codes of calls: each code is provoked, and the cache still works afterwards and has lost nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { CacheError, open, segments } from '../../index.ts'
import type { CacheErrorCode } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { advance, STATUS_CODES } from '../helpers/internals.ts'
import { allThrow, fill, meet, promisedCodes, provoke, stillFine } from '../helpers/provocations.ts'
import { openCache, openStopped, segmentName, temporaryDirectory } from '../helpers/segment.ts'

provoke(['ERR_INVALID_ARGUMENT'], 'a key, option or condition that is not one is refused', (t) => {
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

provoke(['ERR_INVALID_TTL'], 'a wrong lifetime is refused', (t) => {
  const cache = openCache(t)
  fill(cache)
  allThrow(t, 'ERR_INVALID_TTL', [
    () => cache.set('kept1', 1, 0),
    () => cache.set('kept1', 1, { ttl: '0s' }),
    () => cache.set('kept1', 1, { expiresAt: Number.NaN }),
    () => cache.touch('kept1', -5),
    () => cache.set('kept1', 1, { stale: 0 }),
    () => cache.swap('kept1', 1, '0s'),
    () => cache.update('kept1', () => 1, { ttl: -Infinity }),
    () => cache.append('kept1', 'x', { ttl: -1 }),
    () => cache.incrBigInt('kept1', 1n, { ttl: 0 }),
    () => cache.setMany([['kept1', 1, '5']] as never),
    () => cache.namespace('never', { ttl: 0 }),
    () => open({ name: 'never', ttl: 0 }),
  ])
  t.is(cache.ttl('kept1'), Infinity)
  stillFine(t, cache)
})

provoke(['ERR_KEY_TOO_LONG'], 'a key of more than 8 KiB is refused', (t) => {
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

provoke(['ERR_VALUE_TOO_LARGE'], 'an entry larger than maxEntrySize is refused', (t) => {
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

provoke(
  ['ERR_UNDEFINED_VALUE', 'ERR_UNSERIALIZABLE'],
  'undefined and values that cannot be encoded are refused',
  (t) => {
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
  },
)

provoke(['ERR_NOT_A_NUMBER', 'ERR_OVERFLOW'], 'a counter over a wrong value or beyond its range is refused', (t) => {
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

provoke(['ERR_WRONG_TYPE'], 'a call for another kind of entry is refused, and changes nothing', async (t) => {
  const cache = openCache(t)
  fill(cache)
  cache.set('value', 1)
  cache.list('list').push(1)
  allThrow(t, 'ERR_WRONG_TYPE', [
    () => cache.get('list'),
    () => cache.peek('list'),
    () => cache.take('list'),
    () => cache.getEntry('list'),
    () => cache.update('list', () => 2),
    () => cache.list('value').push(2),
    () => cache.list('value').toArray(),
    () => cache.hash('list').get('field'),
    () => cache.setOf('list').add(1),
    () => cache.sortedSet('list').size,
  ])
  await t.throwsAsync(
    cache.getOrSet('list', () => 1),
    { code: 'ERR_WRONG_TYPE' },
  )
  t.deepEqual(cache.getMany(['list', 'value']), [undefined, 1])
  t.deepEqual(cache.list('list').toArray(), [1])
  t.is(cache.get('value'), 1)
  stillFine(t, cache)
})

provoke(['ERR_CLOSED'], 'every method of a closed handle throws', async (t) => {
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

provoke(['ERR_TIMEOUT'], 'a wait without an entry ends at its timeout', async (t) => {
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

provoke(['ERR_LOCK_LOST'], 'a lock that was released or has expired cannot be extended', async (t) => {
  const cache = openStopped(t)
  fill(cache)
  const released = await cache.lock('a')
  released.release()
  const over = await cache.lock('b', { ttl: 1000 })
  advance(cache, 1000)
  allThrow(t, 'ERR_LOCK_LOST', [() => released.extend('1s'), () => over.extend('1s')])
  stillFine(t, cache)
})

provoke(
  [
    'ERR_SNAPSHOT_FILE',
    'ERR_SNAPSHOT_CORRUPT',
    'ERR_SNAPSHOT_VERSION',
    'ERR_SNAPSHOT_SCOPE',
    'ERR_SNAPSHOT_INTERRUPTED',
  ],
  'a snapshot that cannot be read or written changes nothing',
  async (t) => {
    const path = join(temporaryDirectory(t), 'cache.snapshot')
    const cache = openCache(t)
    fill(cache)
    const fails = async (code: CacheErrorCode, call: () => Promise<unknown>): Promise<void> => {
      const error = await t.throwsAsync(call, { instanceOf: CacheError, code, name: 'CacheError' })
      t.true(error instanceof CacheError && error.hint.length > 10)
      meet(t, (error as CacheError | undefined)?.code)
    }
    await fails('ERR_SNAPSHOT_FILE', () => cache.restore(path))
    writeFileSync(path, 'no snapshot at all')
    await fails('ERR_SNAPSHOT_CORRUPT', () => cache.restore(path))
    await cache.snapshot(path)
    await fails('ERR_SNAPSHOT_SCOPE', () => cache.namespace('x').restore(path))
    const bytes = readFileSync(path)
    bytes.writeUInt16LE(999, 'cache-machine'.length + 1)
    writeFileSync(path, bytes)
    await fails('ERR_SNAPSHOT_VERSION', () => cache.restore(path, { mode: 'replace' }))
    await cache.snapshot(path)
    await fails('ERR_SNAPSHOT_INTERRUPTED', async () => {
      const writing = cache.snapshot(path)
      segments.destroy(cache.name, { force: true })
      await writing
    })
    await cache.restore(path)
    stillFine(t, cache)
  },
)

provoke(['ERR_SEGMENT_MISMATCH'], 'a segment with other options is not opened', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '8mb' })
  fill(cache)
  allThrow(t, 'ERR_SEGMENT_MISMATCH', [() => open({ name, size: '16mb', onMismatch: 'throw' })])
  stillFine(t, cache)
})

provoke(['ERR_CODEC_MISMATCH'], 'a value of a codec that this cache lacks is not read', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, strict: true })
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
    () => cache.take('packed'),
  ])
  t.is(packing.get('packed'), 'text')
  stillFine(t, cache)
})

provoke(['ERR_NO_SPACE'], 'a full cache without eviction refuses writes', (t) => {
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

provoke(['ERR_NO_SPACE'], 'the 1,024th namespace is refused', (t) => {
  const cache = openCache(t)
  fill(cache)
  for (let i = 0; i < 1023; i++) cache.namespace(`n${i}`).close()
  allThrow(t, 'ERR_NO_SPACE', [() => cache.namespace('one more')])
  cache.namespace('n1022').set('a', 1)
  t.is(cache.stats().namespaces.length, 1023)
  stillFine(t, cache)
})

test('a CacheError has a code and a hint, and shows them', (t) => {
  const cause = new Error('why')
  const error = new CacheError('ERR_BUSY', 'it is busy', { cause })
  t.is(error.name, 'CacheError')
  t.is(error.code, 'ERR_BUSY')
  t.is(error.cause, cause)
  t.true(error.hint.length > 10)
  t.false('cause' in new CacheError('ERR_BUSY', 'it is busy'))
})

test('a test provokes each error code', (t) => {
  const promised = promisedCodes()
  for (const code of [...Object.keys(CODES), ...STATUS_CODES] as (CacheErrorCode | undefined)[]) {
    if (code !== undefined) t.true(promised.has(code), `no test provokes ${code}`)
  }
  t.deepEqual(Object.keys(CODES).toSorted(), STATUS_CODES.filter((code) => code !== undefined).toSorted())
})

test('waitFor rejects options that are not an object', async (t) => {
  const cache = openCache(t)
  for (const options of [null, '5m', 5]) {
    await t.throwsAsync(cache.waitFor('a', options as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
})

test('the numbers of the codes are part of the contract with the native side', (t) => {
  t.is(STATUS_CODES.length, 28)
  t.is(STATUS_CODES[1], 'ERR_INVALID_ARGUMENT')
  t.is(STATUS_CODES[14], 'ERR_BUSY')
  t.is(STATUS_CODES[20], 'ERR_LOCK_LOST')
  t.is(STATUS_CODES[21], 'ERR_NO_SEGMENT')
  t.is(STATUS_CODES[26], 'ERR_SNAPSHOT_INTERRUPTED')
  t.is(STATUS_CODES[27], 'ERR_WRONG_TYPE')
})

/** All of `CacheErrorCode`: the compiler refuses this table when a code is missing. */
const CODES: Record<CacheErrorCode, true> = {
  ERR_NATIVE_UNAVAILABLE: true,
  ERR_INVALID_ARGUMENT: true,
  ERR_INVALID_TTL: true,
  ERR_KEY_TOO_LONG: true,
  ERR_VALUE_TOO_LARGE: true,
  ERR_UNDEFINED_VALUE: true,
  ERR_UNSERIALIZABLE: true,
  ERR_NOT_A_NUMBER: true,
  ERR_WRONG_TYPE: true,
  ERR_OVERFLOW: true,
  ERR_CLOSED: true,
  ERR_NO_SPACE: true,
  ERR_PERMISSION: true,
  ERR_NO_SEGMENT: true,
  ERR_SEGMENT_MISMATCH: true,
  ERR_SEGMENT_VERSION: true,
  ERR_SEGMENT_CORRUPT: true,
  ERR_SEGMENT_IN_USE: true,
  ERR_CODEC_MISMATCH: true,
  ERR_TIMEOUT: true,
  ERR_BUSY: true,
  ERR_LOCK_LOST: true,
  ERR_SNAPSHOT_FILE: true,
  ERR_SNAPSHOT_CORRUPT: true,
  ERR_SNAPSHOT_VERSION: true,
  ERR_SNAPSHOT_SCOPE: true,
  ERR_SNAPSHOT_INTERRUPTED: true,
}
