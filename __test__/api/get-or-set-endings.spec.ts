/**
 * `getOrSet`: aborts, leases and `close` end a load; every call ends.
 */
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import ava from 'ava'
import { CacheError } from '../../index.ts'
import type { LoadContext, LoadOptions } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { gate } from '../helpers/gate.ts'
import { problems } from '../helpers/internals.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

const test = ava.serial

test('signal ends the wait of its own call, and the load goes on for the other callers', async (t) => {
  const cache = openCache(t)
  const loaded = gate<string>()
  const reason = new RangeError('changed my mind')
  let signal: AbortSignal | undefined
  const controller = new AbortController()
  const load = (context: LoadContext): Promise<string> => {
    signal = context.signal
    return loaded.promise
  }
  const first = cache.getOrSet('a', load, { signal: controller.signal })
  const second = cache.getOrSet('a', load)
  controller.abort(reason)
  await t.throwsAsync(first, { is: reason })
  t.false(signal?.aborted)
  loaded.open('v')
  t.is(await second, 'v')
  await t.throwsAsync(
    cache.getOrSet('a', load, { signal: controller.signal }),
    { is: reason },
    'the signal was aborted before the call',
  )
})

test('a load is given up when all its callers have aborted, and a later call loads anew', async (t) => {
  const cache = openCache(t)
  const late = gate<string>()
  let signal: AbortSignal | undefined
  const controller = new AbortController()
  const calls = [0, 1].map(() =>
    cache.getOrSet(
      'a',
      (context) => {
        signal = context.signal
        return late.promise
      },
      { signal: controller.signal },
    ),
  )
  const reason = new Error('enough')
  controller.abort(reason)
  for (const call of calls) await t.throwsAsync(call, { is: reason })
  t.true(signal?.aborted)
  const next = cache.getOrSet('a', () => 'anew')
  late.open('late')
  t.is(await next, 'anew')
  t.is(cache.get('a'), 'anew')
})

test('a loader that never settles loses its flight after its lease, and no caller hangs', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  let signal: AbortSignal | undefined
  const late = gate<string>()
  const stuck = (context: LoadContext): Promise<string> => {
    signal = context.signal
    return late.promise
  }
  const calls = [0, 1].map(() => cache.getOrSet('a', stuck, { lease: 100 }))
  const next = other.getOrSet('a', () => 'of the other')
  for (const call of calls) {
    await t.throwsAsync(within('the lease', call), { instanceOf: CacheError, code: 'ERR_TIMEOUT' })
  }
  t.is((signal?.reason as CacheError | undefined)?.code, 'ERR_TIMEOUT')
  t.is(await within('the next', next), 'of the other')
  late.open('late')
  await turn()
  t.is(cache.get('a'), 'of the other', 'the late result is not stored')
})

test('a result that comes after the lease is stored if no other caller took over', async (t) => {
  const cache = openCache(t)
  const late = gate<string>()
  await t.throwsAsync(
    cache.getOrSet('a', () => late.promise, { lease: 20 }),
    { code: 'ERR_TIMEOUT' },
  )
  late.open('late')
  await eventually('the late result', () => cache.get('a') === 'late')
})

test('a loader that asks for its own key gets ERR_TIMEOUT after the lease', async (t) => {
  const cache = openCache(t)
  const load = (): Promise<unknown> => cache.getOrSet('a', () => 1)
  await t.throwsAsync(within('the lease', cache.getOrSet('a', load, { lease: 50 })), { code: 'ERR_TIMEOUT' })
})

test('close rejects all waiting calls, and another handle takes over at once', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  let signal: AbortSignal | undefined
  const late = gate<string>()
  const first = cache.getOrSet('a', (context) => {
    signal = context.signal
    return late.promise
  })
  const second = other.getOrSet('a', () => 'of the other')
  const third = other.namespace('n').getOrSet('a', () => 'in a namespace')
  await turn()
  cache.close()
  await t.throwsAsync(first, { instanceOf: CacheError, code: 'ERR_CLOSED' })
  t.true(signal?.aborted)
  t.is(await within('the second', second), 'of the other')
  t.is(await third, 'in a namespace')
  late.open('late')
  await turn()
  t.is(other.get('a'), 'of the other')
  await t.throwsAsync(
    cache.getOrSet('a', () => 1),
    { code: 'ERR_CLOSED' },
  )
  await t.throwsAsync(
    cache.once('a', () => 1),
    { code: 'ERR_CLOSED' },
  )

  // The same holds for a caller that only waits.
  const loaded = gate<number>()
  const loading = other.getOrSet('b', () => loaded.promise)
  const waiting = openCache(t, { name })
  const waits = waiting.getOrSet('b', () => 2)
  await turn()
  waiting.close()
  await t.throwsAsync(waits, { code: 'ERR_CLOSED' })
  loaded.open(1)
  t.is(await loading, 1)
})

/**
 * Loaders that return, fail, hang, or are aborted, with options of every kind: each call ends, and the structures are
 * consistent.
 */
test('every call ends, whatever its loader does', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const caches = [0, 1, 2].map(() => openCache<number>(t, { name }))
  let seed = 12_345
  const random = (limit: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * limit)
  }
  const outcomes = new Map<string, number>()
  const calls: Promise<void>[] = []
  for (let i = 0; i < 3000; i++) {
    const cache = caches[random(3)] as (typeof caches)[0]
    const key = `k${random(20)}`
    const kind = random(10)
    const load = async (): Promise<number> => {
      if (kind < 4) await delay(random(10))
      if (kind === 4) throw new Error('failed')
      if (kind === 5) await new Promise(() => undefined)
      return i
    }
    const options: LoadOptions<number> = {
      lease: 50,
      ttl: 1 + random(20),
      ...(random(3) === 0 && { stale: random(50) }),
      ...(random(3) === 0 && { staleIfError: random(50) }),
      ...(random(4) === 0 && { timeout: random(20) }),
      ...(random(4) === 0 && { hardTimeout: random(30) }),
      ...(random(4) === 0 && { force: true }),
      ...(random(4) === 0 && { signal: AbortSignal.timeout(random(30)) }),
      ...(random(4) === 0 && { refreshAhead: 0.5 }),
    }
    const call = cache.getOrSet(key, load, options).then(
      () => 'value',
      (error: Error & { code?: string }) => String(error.code ?? error.name),
    )
    calls.push(call.then((outcome) => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)))
    if (random(50) === 0) cache.clear()
    if (random(20) === 0) cache.delete(key)
    if (random(10) === 0) await delay(random(5))
  }
  await within('every call ends', Promise.all(calls), 50_000)
  t.log(Object.fromEntries(outcomes))
  t.is(
    [...outcomes.values()].reduce((a, b) => a + b),
    3000,
  )
  t.true((outcomes.get('value') ?? 0) > 1000)
  t.deepEqual(problems(caches[0] as object), [])
})
