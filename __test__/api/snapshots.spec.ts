/**
 * Snapshots: what is in the file comes back equal, in another segment and on either engine, and nothing else does.
 */
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError, open, segments } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { isPortable } from '../helpers/engine.ts'
import { advance, problems } from '../helpers/internals.ts'
import { openCache, openStopped, segmentName, temporaryDirectory } from '../helpers/segment.ts'
import type { TestOptions } from '../helpers/segment.ts'
import { firstSnapshot } from '../helpers/first-snapshot.ts'

const DAY = 86_400_000

function fileIn(t: ExecutionContext): string {
  return join(temporaryDirectory(t), 'cache.snapshot')
}

/** Destroys the segment of a cache, and opens an empty one of the same name. */
function reborn(t: ExecutionContext, cache: SharedCache, options: TestOptions = {}): SharedCache {
  const { name } = cache
  cache.close()
  t.true(segments.destroy(name, { force: true }))
  const next = openCache(t, { name, ...options })
  t.is(next.size, 0)
  return next
}

/** Values of every kind that a segment knows. */
const VALUES: Readonly<Record<string, unknown>> = {
  text: 'plain',
  empty: '',
  umlauts: 'äöü € 😀 \uFFFD',
  surrogate: 'half \uD800 of a pair',
  long: 'x'.repeat(300_000),
  number: 1.5,
  negativeZero: -0,
  nan: Number.NaN,
  null: null,
  false: false,
  true: true,
  bigint: 12n,
  hugeBigint: -(2n ** 200n),
  buffer: Buffer.from([0, 1, 255]),
  bytes: new Uint8Array(100_000).fill(7),
  noBytes: new Uint8Array(0),
  array: [1, 'two', [3]],
  flat: { id: 1, name: 'Ada', on: true },
  nested: { a: { b: { c: [null, 1] } } },
  date: new Date(1_700_000_000_000),
  map: new Map<unknown, unknown>([['a', new Set([1, 2])]]),
  error: new RangeError('out of it'),
  typed: new Float64Array([1, 2.5]),
}

test('every kind of value and key comes back equal after the segment was destroyed', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.setMany(Object.entries(VALUES))
  const bytesKey = Uint8Array.of(0, 255, 128)
  cache.set(bytesKey, 'under bytes')
  cache.set('schlüssel €', 'under text')
  cache.set('k'.repeat(8192), 'under a long key')
  const info = await cache.snapshot(path)
  t.like(info, { path, entries: Object.keys(VALUES).length + 3 })
  t.is(statSync(path).size, info.fileBytes)
  t.is(statSync(path).mode & 0o777, 0o600)

  const next = reborn(t, cache)
  const restored = await next.restore(pathToFileURL(path))
  t.like(restored, { entries: info.entries, restored: info.entries, existing: 0, noRoom: 0, ended: 0, deleted: 0 })
  for (const [key, value] of Object.entries(VALUES)) {
    t.true(Object.is(next.get(key), value) || typeof value === 'object' || typeof value === 'number', key)
    t.deepEqual(next.get(key), value, key)
  }
  t.is(next.get(bytesKey), 'under bytes')
  t.is(next.get('schlüssel €'), 'under text')
  t.is(next.get('k'.repeat(8192)), 'under a long key')
  t.true([...next.keys()].some((key) => key instanceof Uint8Array && Buffer.from(key).equals(Buffer.from(bytesKey))))
  t.is(next.size, info.entries)
  t.deepEqual(problems(next), [])
})

test('values of any codec are copied as bytes', async (t) => {
  const path = fileIn(t)
  const codec = {
    id: 7,
    encode: (value: unknown) => Buffer.from(`<${String(value)}>`),
    decode: (bytes: Uint8Array) => Buffer.from(bytes).toString(),
  }
  const cache = openCache(t, { codec })
  cache.set('custom', 'value')
  const name = cache.name
  const plain = open({ name })
  t.teardown(() => plain.close())
  plain.set('structured', new Map([[1, 2]]))
  await plain.snapshot(path)
  plain.close()

  const next = reborn(t, cache, { codec })
  t.like(await next.restore(path), { restored: 2 })
  t.is(next.get('custom'), '<value>')
  const other = open({ name })
  t.teardown(() => other.close())
  t.deepEqual(other.get('structured'), new Map([[1, 2]]))
  t.is(other.get('custom'), undefined)
})

test.serial('a lifetime ends when it would have ended, and the time in between counts', async (t) => {
  const path = fileIn(t)
  const cache = openStopped(t)
  cache.set('short', 1, { ttl: '1h' })
  cache.set('long', 2, { ttl: '2d' })
  cache.set('stale', 3, { ttl: '1h', stale: '2d' })
  cache.set('ever', 4)
  cache.set('over', 5, { ttl: '1s' })
  advance(cache, 1000)
  const before = cache.getEntry('long')
  t.like(await cache.snapshot(path), { entries: 4 })

  const next = reborn(t, cache)
  const real = Date.now
  t.teardown(() => (Date.now = real))
  Date.now = () => real() + DAY
  const info = await next.restore(path)
  t.like(info, { restored: 3, expired: 1 })
  t.is(next.get('short'), undefined)
  t.is(next.get('ever'), 4)
  t.is(next.ttl('ever'), Infinity)
  const left = next.ttl('long') as number
  t.true(left > DAY - 60_000 && left <= DAY - 1000, `${left}`)
  const after = next.getEntry('long')
  t.true(Math.abs((after?.expiresAt ?? 0) - (before?.expiresAt ?? 0)) < 100)
  t.is(next.get('stale'), undefined)
  t.like(next.getEntry('stale', { allowStale: true }), { value: 3, stale: true })
})

test('the time of a write stays', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.set('a', 1)
  const { createdAt } = cache.getEntry('a') as { createdAt: number }
  await cache.snapshot(path)
  const other = openCache(t)
  await eventually('a second has passed', () => Date.now() > createdAt + 1000)
  await other.restore(path)
  t.true(Math.abs((other.getEntry('a')?.createdAt ?? 0) - createdAt) < 500)
})

test('tags are those of the entries, in each namespace for itself', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.set('a', 1, { tags: ['red', 'a tag of more than thirty-two bytes, so of two stripes at least and some more'] })
  cache.set('b', 2, { tags: ['blue'] })
  cache.namespace('x').set('a', 3, { tags: ['red'] })
  cache.namespace('y').set('a', 4, { tags: ['red'] })
  cache.set('outdated', 5, { tags: ['old'], ttl: '1h', stale: '1h' })
  cache.invalidateTags('old', { mode: 'stale' })
  cache.set('gone', 6, { tags: ['dead'] })
  cache.invalidateTags('dead')
  await cache.snapshot(path)

  // The namespaces get other numbers.
  const next = reborn(t, cache)
  next.namespace('first').set('a', 0)
  t.like(await next.restore(path), { entries: 5, restored: 5 })
  t.is(next.get('gone'), undefined)
  t.is(next.get('outdated'), undefined)
  t.like(next.getEntry('outdated', { allowStale: true }), { value: 5, stale: true })
  next.namespace('x').invalidateTags('red')
  t.deepEqual(
    [next.get('a'), next.get('b'), next.namespace('x').get('a'), next.namespace('y').get('a')],
    [1, 2, undefined, 4],
  )
  next.invalidateTags(['a tag of more than thirty-two bytes, so of two stripes at least and some more'])
  t.deepEqual([next.get('a'), next.get('b')], [undefined, 2])
  next.invalidateTags('blue', { mode: 'stale' })
  t.is(next.get('b'), undefined)
})

test('a watch of a tag hears of the change of a restored entry', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.set('a', 1, { tags: ['red'] })
  await cache.snapshot(path)
  const next = reborn(t, cache)
  const changes = next.watch({ tags: ['red'] })
  await next.restore(path)
  t.like(await within('the change', changes.next()), { value: { type: 'set', key: 'a' } })
})

test('the root has all namespaces with their quotas; a namespace has itself alone', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  const limited = cache.namespace('limited', { reserve: '64kb', size: '128kb', eviction: 'none' })
  limited.set('a', 1)
  cache.set('a', 2)
  cache.namespace('other').set('a', 3)
  await cache.snapshot(path)
  const alone = `${path}.alone`
  t.like(await limited.snapshot(alone), { entries: 1 })

  const next = reborn(t, cache)
  t.like(await next.restore(path), { restored: 3, quotasLeft: [] })
  t.deepEqual([next.namespace('limited').get('a'), next.get('a'), next.namespace('other').get('a')], [1, 2, 3])
  const stats = next.namespace('limited').stats()
  t.like(stats, { guaranteedBytes: 64 << 10, maximumBytes: 128 << 10 })
  const filled = Array.from({ length: 2000 }, (_, i) => next.namespace('limited').set(`k${i}`, 'x'.repeat(200)))
  t.true(filled.includes(false), 'the eviction is none')

  next.clear()
  t.like(await next.namespace('other').restore(alone), { restored: 1 })
  t.deepEqual(
    [next.namespace('limited').get('a'), next.get('a'), next.namespace('other').get('a')],
    [undefined, undefined, 1],
  )
  await t.throwsAsync(next.restore(alone), { instanceOf: CacheError, code: 'ERR_SNAPSHOT_SCOPE' })
  await t.throwsAsync(next.namespace('other').restore(path), { code: 'ERR_SNAPSHOT_SCOPE' })
})

test('results of once are kept; locks, limits and metrics are not', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  await cache.once('migrated', () => ({ to: 7 }))
  const lock = await cache.lock('held')
  cache.limiter('api', { limit: 1, window: '1h' }).consume('key')
  cache.metrics().counter('requests_total').inc(5)
  t.like(await cache.snapshot(path), { entries: 1 })
  lock.release()

  const next = reborn(t, cache)
  t.like(await next.restore(path), { restored: 1 })
  t.deepEqual(await next.once('migrated', () => t.fail('it ran again') as never), { to: 7 })
  const free = await next.lock('held', { timeout: 1000 })
  free.release()
  t.true(next.limiter('api', { limit: 1, window: '1h' }).consume('key').allowed)
  t.is(next.metrics().counter('requests_total').value, 0)
})

test('a load that found no value is remembered', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  let loads = 0
  const load = (): undefined => void loads++
  await cache.getOrSet('nothing', load, { negativeTtl: '1h' })
  await cache.snapshot(path)
  const next = reborn(t, cache)
  await next.restore(path)
  t.is(await next.getOrSet('nothing', load, { negativeTtl: '1h' }), undefined)
  t.is(loads, 1)
})

test('merge keeps what is there, overwrite replaces it, and versions only grow', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.set('both', 'old')
  cache.set('deleted', 'old')
  await cache.snapshot(path)
  const { version } = cache.getEntry('deleted') as { version: number }
  cache.set('both', 'new')
  cache.set('only here', 'new')
  cache.delete('deleted')

  t.like(await cache.restore(path), { restored: 1, existing: 1 })
  t.deepEqual([cache.get('both'), cache.get('only here'), cache.get('deleted')], ['new', 'new', 'old'])
  t.true((cache.getEntry('deleted')?.version ?? 0) > version)
  t.false(cache.set('deleted', 'x', { if: { version } }))

  t.like(await cache.restore(path, { overwrite: true }), { restored: 2, existing: 0 })
  t.deepEqual([cache.get('both'), cache.get('only here')], ['old', 'new'])
})

test('a condition on a version from before the restart does not hold by chance', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  for (let i = 0; i < 50; i++) cache.set('a', i)
  await cache.snapshot(path)
  const versions = Array.from({ length: 200 }, (_, i) => {
    cache.set('a', i)
    return cache.getEntry('a')?.version as number
  })
  const next = reborn(t, cache)
  await next.restore(path)
  for (let i = 0; i < 200; i++) next.set('b', i)
  for (const version of versions) t.false(next.set('a', 'x', { if: { version } }))
  t.is(next.get('a'), 49)
})

test('replace leaves the entries of the snapshot alone', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.set('both', 'old')
  cache.namespace('x').set('a', 'old')
  await cache.snapshot(path)
  cache.set('both', 'new')
  for (let i = 0; i < 1000; i++) cache.set(`only here ${i}`, i)
  cache.namespace('y').set('b', 'new')
  t.like(await cache.restore(path, { mode: 'replace' }), { restored: 2, deleted: 1001 })
  t.deepEqual([...cache.keys()], ['both'])
  t.is(cache.get('both'), 'old')
  t.is(cache.namespace('x').get('a'), 'old')
  t.is(cache.namespace('y').size, 0)
  t.deepEqual(problems(cache), [])
})

test('replace in a namespace leaves other namespaces as they are', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  const space = cache.namespace('x')
  space.set('a', 1)
  await space.snapshot(path)
  space.set('b', 2)
  cache.set('root', 3)
  t.like(await space.restore(path, { mode: 'replace' }), { restored: 1, deleted: 1 })
  t.is(cache.get('root'), 3)
})

test('replace makes room for what it restores, also where nothing is evicted', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t, { eviction: 'none' })
  const value = Buffer.alloc(20_000, 1)
  const fill = (prefix: string): number => {
    let count = 0
    while (cache.set(`${prefix}${count}`, value)) count++
    return count
  }
  const count = fill('a')
  await cache.snapshot(path)
  cache.clear()
  fill('b')
  const info = await cache.restore(path, { mode: 'replace' })
  t.is(info.restored + info.noRoom, count)
  t.true(info.noRoom < count / 50, `${info.noRoom} of ${count}`)
  t.false([...cache.keys()].some((key) => String(key).startsWith('b')))
})

test('what has no room is counted: a smaller segment, a smaller maxEntrySize', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t, { size: '16mb' })
  for (let i = 0; i < 500; i++) cache.set(`k${i}`, Buffer.alloc(20_000, i))
  cache.set('large', Buffer.alloc(2_000_000))
  const { entries } = await cache.snapshot(path)
  t.is(entries, 501)

  const full = openCache(t, { size: '4mb', eviction: 'none' })
  const info = await full.restore(path)
  t.is(info.tooLarge, 1)
  t.true(info.noRoom > 100)
  t.is(info.restored + info.noRoom + info.tooLarge, entries)
  t.is(full.size, info.restored)
  t.is(info.evicted, 0)

  const evicting = openCache(t, { size: '4mb' })
  const second = await evicting.restore(path)
  t.is(second.restored - evicting.size, second.evicted)
  t.true(second.evicted > 100)
})

test('a record larger than a frame, and many small ones, cross the borders of frames', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t, { size: '64mb' })
  const large = Buffer.alloc(3_500_000, 'abc')
  cache.set('large', large)
  for (let i = 0; i < 20_000; i++) cache.set(`k${i}`, `value ${i}`.repeat(i % 20))
  for (const compression of ['brotli', 'none'] as const) {
    const { entries, bytes, fileBytes } = await cache.snapshot(path, { compression })
    t.is(entries, 20_001)
    t.true(compression === 'none' ? fileBytes > bytes : fileBytes < bytes / 4)
    const next = openCache(t, { size: '64mb' })
    t.like(await next.restore(path), { restored: 20_001 })
    t.deepEqual(next.get('large'), large)
    for (let i = 0; i < 20_000; i += 7) t.is(next.get(`k${i}`), `value ${i}`.repeat(i % 20))
  }
})

test('an invalidation and a clear during a snapshot hold for what was written before them', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t, { size: '64mb' })
  const cleared = cache.namespace('cleared')
  const value = 'x'.repeat(1000)
  for (let i = 0; i < 4000; i++) {
    cache.set(`a${i}`, value, { tags: ['red'] })
    cache.set(`b${i}`, value, { tags: ['blue'], ttl: '1h', stale: '1h' })
    cleared.set(`c${i}`, value)
    cache.set(`d${i}`, value, { tags: ['green'] })
  }
  const folder = join(path, '..')
  const isUnderWay = (): boolean => readdirSync(folder).some((file) => statSync(join(folder, file)).size > 1 << 20)
  const writing = cache.snapshot(path, { compression: 'none' })
  // In each turn of the event loop: the snapshot takes one for each slice. The time limit of the test ends it.
  while (!isUnderWay()) await nextTurn()
  cache.invalidateTags('red')
  cache.invalidateTags('blue', { mode: 'stale' })
  cleared.clear()
  cache.set('after', 'new', { tags: ['red'] })
  cleared.set('after', 'new')
  const { entries } = await writing
  t.true(entries > 4000)
  const next = openCache(t, { size: '64mb' })
  const info = await next.restore(path)
  t.is(info.restored + info.ended, entries)
  t.true(info.ended > 0, 'the invalidation came after the first records')
  const keys = [...next.keys()].map(String)
  t.is(keys.filter((key) => key.startsWith('a') && key !== 'after').length, 0)
  t.is(keys.filter((key) => key.startsWith('b')).length, 0)
  t.is(keys.filter((key) => key.startsWith('d')).length, 4000)
  t.deepEqual(
    [...next.namespace('cleared').keys()].filter((key) => key !== 'after'),
    [],
  )
  t.like(next.getEntry('b0', { allowStale: true }), { value, stale: true })
})

test('what is written, cleared or invalidated during a restore stays so', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t, { size: '64mb' })
  const value = 'x'.repeat(2000)
  for (let i = 0; i < 5000; i++) {
    cache.set(`a${i}`, value, { tags: ['red'] })
    cache.namespace('cleared').set(`c${i}`, value)
    cache.set(`d${i}`, value)
  }
  await cache.snapshot(path)
  for (const mode of ['merge', 'replace'] as const) {
    const next = openCache(t, { size: '64mb' })
    next.set('before', 1)
    let happened = false
    const restoring = next.restore(path, { mode })
    const until = setInterval(() => {
      if (next.size < 100) return
      clearInterval(until)
      happened = true
      next.invalidateTags('red')
      next.namespace('cleared').clear()
      for (let i = 0; i < 5000; i++) next.set(`d${i}`, 'new')
    }, 0)
    const info = await restoring
    clearInterval(until)
    t.true(happened && info.existing > 0 && info.ended > 0)
    t.is(info.restored + info.existing + info.ended, 15_000)
    t.is([...next.keys({ prefix: 'a' })].length, 0)
    t.is(next.namespace('cleared').size, 0)
    for (let i = 0; i < 5000; i++) t.is(next.get(`d${i}`), 'new')
    t.is(next.has('before'), mode === 'merge')
  }
})

test('neither a snapshot nor a restore keeps the event loop for long', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t, { size: '64mb' })
  for (let i = 0; i < 30_000; i++) cache.set(`k${i}`, 'x'.repeat(500))
  let turns = 0
  const count = setInterval(() => turns++, 0)
  await cache.snapshot(path)
  t.true(turns > 5, `${turns} turns`)
  turns = 0
  const next = openCache(t, { size: '64mb' })
  await next.restore(path)
  t.true(turns > 5, `${turns} turns`)
  clearInterval(count)
})

test('a signal ends a snapshot and a restore, and the old file stays', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.set('a', 1)
  await cache.snapshot(path)
  const old = readFileSync(path)
  for (let i = 0; i < 5000; i++) cache.set(`k${i}`, 'x'.repeat(500))
  const reason = new Error('enough')
  const aborted = AbortSignal.abort(reason)
  await t.throwsAsync(cache.snapshot(path, { signal: aborted }), { is: reason })
  await t.throwsAsync(cache.restore(path, { signal: aborted }), { is: reason })
  const controller = new AbortController()
  const writing = cache.snapshot(path, { signal: controller.signal })
  setImmediate(() => controller.abort(reason))
  await t.throwsAsync(writing, { is: reason })
  t.deepEqual(readFileSync(path), old)
  t.deepEqual(readdirSync(join(path, '..')), ['cache.snapshot'])
})

test('a segment that is destroyed ends a snapshot and a restore', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  for (let i = 0; i < 5000; i++) cache.set(`k${i}`, 'x'.repeat(500))
  await cache.snapshot(path)
  const old = readFileSync(path)
  for (const work of [() => cache.snapshot(path), () => cache.restore(path)]) {
    cache.set('a', 1)
    const working = work()
    segments.destroy(cache.name, { force: true })
    await t.throwsAsync(working, { instanceOf: CacheError, code: 'ERR_SNAPSHOT_INTERRUPTED' })
  }
  t.deepEqual(readFileSync(path), old)
  t.like(await cache.restore(path), { restored: 5000 })
})

test('a closed cache makes and restores no snapshot', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.close()
  for (const work of [cache.snapshot(path), cache.restore(path), cache.keepSnapshots(path)]) {
    await t.throwsAsync(work, { code: 'ERR_CLOSED' })
  }
})

test('wrong arguments are refused', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  const wrong: Promise<unknown>[] = [
    cache.snapshot(''),
    cache.snapshot(5 as never),
    cache.snapshot('a\0b'),
    cache.snapshot(new URL('https://example.com/x')),
    cache.snapshot(path, { compress: true } as never),
    cache.snapshot(path, { compression: 'gzip' as never }),
    cache.restore(path, { mode: 'clear' as never }),
    cache.restore(path, { overwrite: 1 as never }),
    cache.keepSnapshots(path, { every: 10 }),
    cache.keepSnapshots(path, { every: 'often' as never }),
    cache.keepSnapshots(path, { onSigterm: 'yes' as never }),
    cache.keepSnapshots(path, { onError: 5 as never }),
    cache.keepSnapshots(path, { interval: '5m' } as never),
  ]
  for (const call of wrong) await t.throwsAsync(call, { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
})

test('an empty cache has a snapshot as well', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  t.like(await cache.snapshot(path), { entries: 0, bytes: 0 })
  cache.set('a', 1)
  t.like(await cache.restore(path, { mode: 'replace' }), { entries: 0, restored: 0, deleted: 1 })
  t.is(cache.size, 0)
})

test('a snapshot of either engine is restored by the other', async (t) => {
  const path = fileIn(t)
  const cache = openCache(t)
  cache.setMany(Object.entries(VALUES))
  cache.namespace('x').set('tagged', 1, { tags: ['red', 'ä'] })
  await cache.snapshot(path)
  const engine = isPortable ? 'native' : 'portable'
  const name = segmentName(t, { engine })
  const other = open({ name, engine, size: '8mb' })
  t.teardown(() => other.close())
  t.like(await other.restore(path), { restored: Object.keys(VALUES).length + 1 })
  for (const [key, value] of Object.entries(VALUES)) t.deepEqual(other.get(key), value, key)
  const back = `${path}.back`
  await other.snapshot(back)
  const next = reborn(t, cache)
  await next.restore(back)
  for (const [key, value] of Object.entries(VALUES)) t.deepEqual(next.get(key), value, key)
  for (const each of [other, next]) {
    t.is(each.namespace('x').get('tagged'), 1)
    each.namespace('x').invalidateTags('ä')
    t.is(each.namespace('x').get('tagged'), undefined)
  }
})

test.serial('a snapshot of the first version of the format is restored', async (t) => {
  const path = fileIn(t)
  writeFileSync(path, Buffer.from(firstSnapshot, 'base64'))
  const cache = openCache(t)
  t.like(await cache.restore(path), { entries: 6, restored: 6, packageVersion: '0.1.0' })
  t.is(cache.get('text'), 'value')
  t.deepEqual(cache.get('object'), { id: 1, name: 'Ada' })
  t.deepEqual(cache.get(Uint8Array.of(0, 255)), Buffer.from([1, 2, 3]))
  t.is(cache.namespace('users').get('number'), 1.5)
  t.is(await cache.once('migrated', () => 0), 7)
  t.is(cache.get('tagged'), 'red')
  cache.invalidateTags('color')
  t.is(cache.get('tagged'), undefined)
  t.is(cache.namespace('users').stats().maximumBytes, 1 << 20)
})
