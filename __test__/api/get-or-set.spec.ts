/**
 * `getOrSet`: one load of a missing value.
 *
 * The tests run one after the other: leases are short here, and a test that keeps the event loop busy would end the
 * lease of another test.
 */
import { setImmediate as turn } from 'node:timers/promises'
import ava from 'ava'
import { onNative } from '../helpers/engine.ts'
import { within } from '../helpers/eventually.ts'
import { gate } from '../helpers/gate.ts'
import { problems } from '../helpers/internals.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { startThread } from '../helpers/thread.ts'
import type { Loaded } from '../children/loader.ts'

const test = ava.serial

test('getOrSet returns a stored value without a load', async (t) => {
  const cache = openCache(t)
  cache.set('a', { x: 1 })
  t.deepEqual(await cache.getOrSet('a', () => t.fail() as unknown), { x: 1 })
  for (const value of [null, 0, '', false]) {
    cache.set('b', value)
    t.is(await cache.getOrSet('b', () => t.fail() as unknown), value)
  }
})

test('getOrSet loads a missing value once for all concurrent callers, and stores it', async (t) => {
  const cache = openCache(t)
  const loaded = gate<{ x: number }>()
  let loads = 0
  const load = (): Promise<{ x: number }> => {
    loads++
    return loaded.promise
  }
  const calls = Array.from({ length: 100 }, () => cache.getOrSet('a', load, { ttl: '1h' }))
  calls.push(cache.getOrSet(Buffer.from('a'), load))
  loaded.open({ x: 1 })
  const values = await Promise.all(calls)
  t.is(loads, 1)
  for (const value of values) t.deepEqual(value, { x: 1 })
  t.is(new Set(values).size, values.length, 'no two callers share an object')
  t.deepEqual(cache.get('a'), { x: 1 })
  t.true((cache.ttl('a') ?? 0) > 3_500_000)
  t.deepEqual(problems(cache), [])
})

test('a loaded value of any kind reaches all callers', async (t) => {
  const cache = openCache(t)
  const values = [
    'text',
    'x\uFFFDy',
    5,
    -0,
    null,
    true,
    10n,
    2n ** 90n,
    [1],
    new Date(5),
    new Map([[1, 2]]),
    Buffer.from('x'),
  ]
  for (const [index, value] of values.entries()) {
    const calls = [0, 1].map(() => cache.getOrSet(`k${index}`, async () => value))
    for (const found of [...(await Promise.all(calls)), cache.get(`k${index}`)]) t.deepEqual(found, value)
  }
  t.is(await cache.getOrSet('x\uFFFD', () => 1), 1)
  t.is(cache.get('x\uFFFD'), 1)
  const large = Buffer.alloc(300_000, 'abc')
  t.deepEqual(await cache.getOrSet('large', () => large), large)
  t.deepEqual(await cache.getOrSet('large', () => t.fail() as unknown), large)
})

test('a loader may be synchronous, and may use the cache', async (t) => {
  const cache = openCache(t)
  const value = await cache.getOrSet('a', async () => {
    cache.set('b', [1, 2])
    return { inner: await cache.getOrSet('c', () => 'of c') }
  })
  t.deepEqual(value, { inner: 'of c' })
  t.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [{ inner: 'of c' }, [1, 2], 'of c'])
})

onNative('a second thread')('two handles of one process, and its threads, share one load', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const thread = startThread(t, 'loader', { name })
  t.is(await thread.next(), 'ready')
  const loaded = gate<string>()
  const first = cache.getOrSet('a', () => loaded.promise)
  const second = other.getOrSet('a', () => t.fail() as unknown)
  thread.worker.postMessage({ key: 'a', value: 'of the thread', calls: 5 })
  await turn()
  loaded.open('once')
  t.is(await within('the first', first), 'once')
  t.is(await within('the second', second), 'once')
  const { values, loads } = await thread.next<Loaded>()
  t.deepEqual({ values, loads }, { values: Array(5).fill('once'), loads: 0 })
})

test('a namespace has loads of its own', async (t) => {
  const cache = openCache(t)
  const loaded = gate<number>()
  const first = cache.getOrSet('a', () => loaded.promise)
  t.is(await cache.namespace('n').getOrSet('a', () => 2), 2)
  loaded.open(1)
  t.is(await first, 1)
})

test('force loads although a value is stored, and joins a load that is under way', async (t) => {
  const cache = openCache(t)
  cache.set('a', 'old')
  const loaded = gate<string>()
  let stale: string | undefined
  const first = cache.getOrSet(
    'a',
    (context) => {
      stale = context.stale as string
      return loaded.promise
    },
    { force: true },
  )
  const second = cache.getOrSet('a', () => t.fail() as unknown, { force: true })
  t.is(await cache.getOrSet('a', () => t.fail() as unknown), 'old')
  loaded.open('new')
  t.deepEqual([await first, await second, stale], ['new', 'new', 'old'])
  t.is(cache.get('a'), 'new')
})

test('force over several handles waits for the newer value, and loads itself where the running load is aborted', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  cache.set('a', 'old')
  const loaded = gate<string>()
  const first = cache.getOrSet('a', () => loaded.promise, { force: true })
  const second = other.getOrSet('a', () => t.fail() as unknown, { force: true })
  loaded.open('new')
  t.deepEqual([await first, await within('the second', second)], ['new', 'new'])

  const controller = new AbortController()
  const aborted = cache.getOrSet('a', () => new Promise<string>(() => undefined), {
    force: true,
    signal: controller.signal,
  })
  const next = other.getOrSet('a', () => 'of the other', { force: true })
  await turn()
  const reason = new Error('enough')
  controller.abort(reason)
  await t.throwsAsync(aborted, { is: reason })
  t.is(await within('the next', next), 'of the other')
})

test('the context of a load has key, token and signal', async (t) => {
  const cache = openCache(t)
  const tokens: number[] = []
  for (const key of ['a', 'x\uFFFD', Buffer.from([255, 1])]) {
    for (let i = 0; i < 2; i++) {
      await cache.getOrSet(
        key,
        (context) => {
          t.deepEqual(context.key, typeof key === 'string' ? key : Uint8Array.from(key))
          t.false(context.signal.aborted)
          tokens.push(context.token)
          return 1
        },
        { force: true },
      )
    }
  }
  for (const token of tokens) t.true(Number.isSafeInteger(token) && token > 0)
  t.true((tokens[1] as number) > (tokens[0] as number))
})
