/**
 * The segment goes away under those who use it: destroyed by force, or its file cut off.
 */
import { truncateSync, unlinkSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError, segments } from '../index.ts'
import type { RawCalls } from '../lib/native.ts'
import { problems } from '../lib/testing.ts'
import type { Answer } from './children/operations.ts'
import { eventually, within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { withRawCalls } from './helpers/raw-calls.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from './helpers/segment.ts'

test('destroyed by force: every handle opens the new segment with its next call', async (t) => {
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

test('every call finds its way to the new segment', async (t) => {
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

test('size and stats are those of the new segment, too', async (t) => {
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

test('a key of bytes and one with U+FFFD find their way, too', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  for (const key of [Buffer.from('a'), '\uFFFD']) {
    segments.destroy(name, { force: true })
    t.true(cache.set(key, Buffer.alloc(300_000, 1)))
    t.true(isDeepStrictEqual(cache.get(key), Buffer.alloc(300_000, 1)))
  }
})

test('many processes open the new segment at the same time, and it is one', async (t) => {
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

test('a segment that is destroyed again as soon as it is opened is opened again, some times', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  /** Runs it while the next segments that are opened are destroyed at once. */
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
  // Always: a read is a miss, and a write says so.
  t.is(
    beside(Infinity, () => cache.getEntry('a')),
    undefined,
  )
  t.throws(() => beside(Infinity, () => cache.set('a', 2)), { instanceOf: CacheError, code: 'ERR_SEGMENT_CORRUPT' })
  t.true(cache.set('a', 3))
  t.is(cache.get('a'), 3)
})

test('waits go on in the new segment, timeouts and aborts included', async (t) => {
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

test('close of a handle whose segment is gone is quiet', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  segments.destroy(name, { force: true })
  cache.close()
  t.throws(() => cache.get('a'), { code: 'ERR_CLOSED' })
  t.is(segments.inspect(name), undefined)
})

test('a file that is cut off under use crashes nobody', async (t) => {
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
    t.true(((await child.ask<Answer>(['stats'])).value as { degradedReads: number }).degradedReads >= 0)

    // The operator's way out, and everything works again.
    segments.destroy(name, { directory, force: true })
    t.deepEqual(await child.ask(['set', 'a', 'new']), { value: true })
    t.deepEqual(await child.ask(['get', 'a']), { value: 'new' })
    child.kill()
    await child.exit
  }
})

test('a file that is removed by hand: all meet again in the segment that now has the name', async (t) => {
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
