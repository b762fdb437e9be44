/**
 * A segment is destroyed by force: what becomes of locks, leaderships, loads, waits, streams, limiters, metrics,
 * namespaces and near copies.
 */
import { unlinkSync } from 'node:fs'
import { setImmediate as turn, setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { segments } from '../../index.ts'
import type { CacheError, Change } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { rendered } from '../helpers/exposition.ts'
import { fork } from '../helpers/fork.ts'
import { gate } from '../helpers/gate.ts'
import { native, problems } from '../helpers/internals.ts'
import { near, openCounted } from '../helpers/near-cache.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { take, told } from '../helpers/streams.ts'

test('locks of a destroyed segment are lost, and their waiters start over in the new segment', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  for (let i = 0; i < 5; i++) cache.tryLock('a')?.release()
  const [lock] = [await cache.lock('a'), await cache.lock('b')]
  const told = within('the signal', new Promise((resolve) => lock.signal.addEventListener('abort', resolve)))
  const waiting = [cache.lock('a'), cache.lock('a'), other.lock('a'), other.lock('b')].map((turn) =>
    within('the lock', turn),
  )
  t.true(lock.held)
  segments.destroy(name, { force: true })
  t.false(lock.held)
  t.throws(() => lock.extend('1s'), { code: 'ERR_LOCK_LOST' })
  t.false(lock.release())
  await told
  const turns = waiting.map(async (turn) => {
    const { token, release } = await turn.then((held) => ({ token: held.token, release: () => held.release() }))
    t.true(release())
    return token
  })
  t.is(new Set(await Promise.all(turns)).size >= 3, true)
  t.truthy(cache.tryLock('a'))
  t.deepEqual(problems(cache), [])
})

test('a call that finds the segment destroyed opens it anew, also while a lock is awaited', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const lock = await cache.lock('a')
  const waiting = within('the lock', cache.lock('a'))
  segments.destroy(name, { force: true })
  t.truthy(cache.tryLock('b'))
  t.false(lock.held)
  t.true((await waiting).held)
})

test.serial('a write waits for the thread that opens the segment, although a read has just found it busy', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const strict = openCache(t, { name, strict: true })
  segments.destroy(name, { force: true })
  const { open } = native
  let refused = 0
  native.open = (options) => {
    if (options.openTimeout !== 0) return open(options)
    refused++
    throw Object.assign(new Error('another thread of this process is opening the segment'), { code: 'ERR_BUSY' })
  }
  t.teardown(() => (native.open = open))
  t.is(cache.get('key'), undefined)
  t.is(cache.get('key'), undefined)
  t.is(refused, 1)
  cache.set('key', 1)
  t.is(cache.get('key'), 1)
  t.is(strict.get('key'), 1)
})

test('a destroyed segment ends a leadership, and a new leader is elected', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const leader = await cache.elect('cron')
  const told = within('the signal', new Promise((resolve) => leader.signal.addEventListener('abort', resolve)))
  const waiting = within('the election', other.elect('cron'))
  await turnOfTheLoop()
  segments.destroy(name, { force: true })
  t.true((await waiting).leads)
  await told
  t.is((leader.signal.reason as CacheError).code, 'ERR_LOCK_LOST')
  t.false(leader.leads)
})

test.serial(
  'a load continues when the segment is destroyed: its callers get the value, and other callers load anew',
  async (t) => {
    const name = segmentName(t)
    const cache = openCache(t, { name })
    const other = openCache(t, { name })
    const loaded = gate<string>()
    const first = cache.getOrSet('a', () => loaded.promise)
    const second = other.getOrSet('a', () => 'in the new segment')
    await turn()
    segments.destroy(name, { force: true })
    t.is(await within('the second', second), 'in the new segment')
    loaded.open('of the old segment')
    t.is(await within('the first', first), 'of the old segment')
    t.is(cache.get('a'), 'in the new segment')
    t.is(await cache.getOrSet('b', () => 1), 1)
  },
)

test('a wait continues when the segment is destroyed', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  const waiting = within('the entry', cache.waitFor('a'))
  segments.destroy(name, { force: true })
  await child.ask(['set', 'a', 'in the new segment'])
  t.is((await waiting).value, 'in the new segment')
})

test('a watch continues when the segment is destroyed, and reports that changes may be lost', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  const changes = cache.watch({ prefix: 'k' })
  cache.set('k1', 1)
  t.deepEqual(await told(changes, 1), ['set k1'])
  segments.destroy(name, { force: true })
  const seen: Change[] = []
  while (!seen.some(({ lost }) => lost > 0)) seen.push(...(await take(changes, 1)))
  cache.set('k2', 1) // from here on the entry is in the new segment for certain
  await child.ask(['set', 'k3', 1])
  while (seen.at(-1)?.type !== 'set') seen.push(...(await take(changes, 1)))
  t.is(seen.pop()?.key, 'k2')
  t.deepEqual(await told(changes, 1), ['set k3'])
  // The last changes of the old segment are a clear and the repairs of its locks; the first change of the new segment
  // is the move.
  t.true(
    seen.every(
      ({ type, key, lost }) => key === undefined && (type === 'clear' || (type === 'invalidate' && lost === 1)),
    ),
  )
})

test('a subscription continues when the segment is destroyed', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const messages = cache.subscribe('news')
  cache.publish('news', 1)
  t.like((await take(messages, 1))[0], { message: 1, lost: 0 })
  segments.destroy(name, { force: true })
  await eventually('the new segment', () => cache.publish('news', 'in the new one') === 1)
  t.like((await take(messages, 1))[0], { message: 'in the new one', lost: 1 })
})

test('limiters of a destroyed segment begin anew', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const limiter = cache.limiter('api', { limit: 2, window: '1m' })
  limiter.consume('a', 2)
  segments.destroy(name, { force: true })
  t.like(limiter.consume('a'), { allowed: true, remaining: 1 })
})

test('metrics of a destroyed segment begin anew', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const counter = cache.metrics().counter('c', { text: 'ü \uFFFD' })
  counter.inc(5)
  segments.destroy(name, { force: true })
  counter.inc(2)
  t.is(counter.value, 2)
  t.is(rendered(cache), '# TYPE c counter\nc{text="ü \uFFFD"} 2\n')
})

test('a namespace opens the new segment when the old one is destroyed', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.namespace('other')
  const one = cache.namespace('one')
  one.set('a', 1)
  segments.destroy(name, { force: true })
  t.is(one.get('a'), undefined)
  one.set('a', 2)
  t.is(cache.namespace('one').get('a'), 2)
  t.is(cache.get('a'), undefined)
  t.deepEqual(cache.stats().namespaces, ['one'])
})

test('the next read leaves a destroyed segment, and the new segment has near copies again', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  cache.set('a', 'old')
  t.is(near(t, cache, counts, 'a'), 'old')
  segments.destroy(name, { force: true })
  t.is(cache.get('a'), undefined)
  cache.set('a', 'new')
  const [again, againCounts] = openCounted(t, { name })
  t.is(near(t, again, againCounts, 'a'), 'new')
  for (let i = 0; i < 5; i++) t.is(cache.get('a'), 'new')
  t.deepEqual(problems(cache), [])
})

test('every handle leaves a segment without its file, also a handle that reads only near copies', async (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  cache.set('a', 'old')
  t.is(near(t, cache, counts, 'a'), 'old')
  unlinkSync(segments.inspect(name)?.path as string)
  await eventually('the near copy is given up', () => cache.get('a') === undefined)
  cache.set('a', 'new')
  t.is(cache.get('a'), 'new')
})
