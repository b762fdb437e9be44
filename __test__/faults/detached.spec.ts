/**
 * The segment is destroyed by force, removed or truncated while it is in use: what every call does then.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { truncateSync, unlinkSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import type { Stats } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import type { RawCalls } from '../helpers/internals.ts'
import { withRawCalls } from '../helpers/raw-calls.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'
import type { Answer } from '../children/operations.ts'

test('every handle opens the new segment with its next call after a forced destroy', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const second = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  cache.set('a', 'old')
  t.true(segments.destroy(name, { force: true }))

  t.is(cache.get('a'), undefined)
  t.true(cache.set('a', 'new'))
  t.is(second.get('a'), 'new')
  t.deepEqual(await child.ask(['get', 'a']), { value: 'new' })
  t.deepEqual(await child.ask(['set', 'b', 1]), { value: true })
  t.is(cache.get('b'), 1)
  await eventually('the event', async () =>
    (await child.ask<{ value: string[] }>(['events'])).value.includes('detached'),
  )
  t.is(segments.list().filter((info) => info.name === name).length, 1)
  t.deepEqual(problems(cache), [])
})

test('a subscriber that uses the cache when its segment is lost leaves no handle open', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const use = (): void => void cache.set('from the subscriber', 1)
  subscribe('cache-machine:detached', use)
  t.teardown(() => unsubscribe('cache-machine:detached', use))
  segments.destroy(name, { force: true })

  t.is(cache.get('from the subscriber'), 1)
  cache.close()
  t.deepEqual(segments.inspect(name)?.processes, [])
})

test('every call opens the new segment', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const calls: [call: () => unknown, result: unknown][] = [
    [() => cache.get('a'), undefined],
    [() => cache.peek('a'), undefined],
    [() => cache.has('a'), false],
    [() => cache.getEntry('a'), undefined],
    [() => cache.set('a', 1), true],
    [() => cache.add('a', 1), true],
    [() => cache.replace('a', 1), false],
    [() => cache.delete('a'), false],
    [() => cache.take('a'), undefined],
    [() => cache.touch('a', 1), false],
    [() => cache.persist('a'), false],
    [() => cache.ttl('a'), undefined],
    [() => cache.incr('a'), 1],
    [() => cache.clear(), undefined],
    [() => cache.size, 0],
    [() => cache.stats().entries, 0],
  ]
  for (const [call, result] of calls) {
    cache.set('a', 'old')
    segments.destroy(name, { force: true })
    t.is(call(), result, String(call))
  }
  segments.destroy(name, { force: true })
  const waiting = within('the entry', cache.waitFor('a'))
  cache.set('a', 'new')
  t.is((await waiting).value, 'new')
})

test('size and stats belong to the new segment', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const second = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  for (let i = 0; i < 10; i++) cache.set(`old${i}`, i)
  segments.destroy(name, { force: true })
  for (let i = 0; i < 3; i++) await child.ask(['set', `new${i}`, i])
  t.is(cache.size, 3)
  t.is(second.stats().entries, 3)
})

test('calls with byte keys and with U+FFFD keys open the new segment', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  for (const key of [Buffer.from('a'), '\uFFFD']) {
    segments.destroy(name, { force: true })
    t.true(cache.set(key, Buffer.alloc(300_000, 1)))
    t.true(isDeepStrictEqual(cache.get(key), Buffer.alloc(300_000, 1)))
  }
})

test('many processes that open the new segment at the same time open one segment', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = Array.from({ length: 4 }, () => fork(t, 'operations', { name, size: SMALL }))
  await Promise.all(children.map((child) => child.next()))
  for (let round = 0; round < 10; round++) {
    segments.destroy(name, { force: true })
    const counts = await Promise.all(children.map((child) => child.ask<Answer>(['incr', `round${round}`])))
    t.deepEqual(counts.map(({ value }) => value).toSorted(), [1, 2, 3, 4])
    t.is(cache.get(`round${round}`), 4)
  }
})

test('a segment that is destroyed as soon as it is opened is opened again, several times', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  /** Runs `run` while the next `count` segments are destroyed as soon as they are opened. */
  const beside = <T>(count: number, run: () => T): T => {
    let left = count
    segments.destroy(name, { force: true })
    const destroyed = (calls: RawCalls): RawCalls => {
      if (left-- > 0) segments.destroy(name, { force: true })
      return calls
    }
    return withRawCalls(destroyed, run)
  }
  t.true(beside(3, () => cache.set('a', 1)))
  t.is(cache.get('a'), 1)
  t.is(
    beside(3, () => cache.get('a')),
    undefined,
  )
  t.is(
    beside(3, () => cache.size),
    0,
  )
  // With no end: a read is a miss, and a write throws.
  t.is(
    beside(Infinity, () => cache.getEntry('a')),
    undefined,
  )
  t.throws(() => beside(Infinity, () => cache.set('a', 2)), { instanceOf: CacheError, code: 'ERR_SEGMENT_CORRUPT' })
  t.true(cache.set('a', 3))
  t.is(cache.get('a'), 3)
})

test('waits, timeouts and aborts continue in the new segment', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const controller = new AbortController()
  const set = within('the entry', cache.waitFor('a'))
  const late = within('the timeout', cache.waitFor('b', { timeout: 200 }))
  const aborted = cache.waitFor('c', { signal: controller.signal })
  segments.destroy(name, { force: true })
  const other = openCache(t, { name })
  other.set('a', 'new')
  t.is((await set).value, 'new')
  controller.abort(new Error('enough'))
  await t.throwsAsync(aborted, { message: 'enough' })
  await t.throwsAsync(late, { instanceOf: CacheError, code: 'ERR_TIMEOUT' })
})

test('close of a handle raises nothing when its segment is destroyed', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  segments.destroy(name, { force: true })
  cache.close()
  t.throws(() => cache.get('a'), { code: 'ERR_CLOSED' })
  t.is(segments.inspect(name), undefined)
})

test('a file that is truncated in use crashes no process', async (t) => {
  t.timeout(60_000)
  const directory = temporaryDirectory(t)
  for (const length of [0, 4096, 1_000_000]) {
    const name = segmentName(t, { directory })
    const child = fork(t, 'operations', { name, directory, size: SMALL })
    await child.next()
    for (let i = 0; i < 50; i++) await child.ask(['set', `k${i}`, 'x'.repeat(50_000)])
    truncateSync(segments.inspect(name, { directory })?.path ?? '', length)

    for (let i = 0; i < 50; i++) {
      const { value } = await child.ask<Answer>(['get', `k${i}`])
      t.true(value === undefined || value === 'x'.repeat(50_000))
    }
    for (const call of [['set', 'a', 1], ['delete', 'k1'], ['take', 'k2'], ['incr', 'n'], ['clear']]) {
      const { code } = await child.ask<Answer>(call)
      t.true(code === undefined || code === 'ERR_SEGMENT_CORRUPT', `${call.join(' ')}: ${code}`)
    }
    const { degradedReads } = (await child.ask<Answer>(['stats'])).value as Stats
    t.true(degradedReads > 0, 'reads became misses')

    // The operator destroys the segment, and everything works again.
    segments.destroy(name, { directory, force: true })
    t.deepEqual(await child.ask(['set', 'a', 'new']), { value: true })
    t.deepEqual(await child.ask(['get', 'a']), { value: 'new' })
    child.kill()
    await child.exit
  }
})

test('a file that is removed by hand leads all processes to the new segment of its name', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const cache = openCache(t, { name, directory })
  const child = fork(t, 'operations', { name, directory, size: SMALL })
  await child.next()
  cache.set('a', 'old')
  unlinkSync(segments.inspect(name, { directory })?.path ?? '')
  t.deepEqual(await child.ask(['set', 'before they notice', 1]), { value: true })
  await eventually('they meet', async () => {
    cache.set('meeting', 'new')
    return (await child.ask<Answer>(['get', 'meeting'])).value === 'new' && segments.inspect(name, { directory })
  })
  t.is(cache.get('meeting'), 'new')
})
