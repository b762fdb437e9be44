/**
 * Semaphores within one process.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { Lock } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('a semaphore has at most its number of holders, and the next holders come in the order of their calls', async (t) => {
  const cache = openCache(t)
  const semaphore = cache.semaphore('renders', 3)
  t.is(semaphore.name, 'renders')
  t.is(semaphore.permits, 3)
  const permits = await Promise.all([semaphore.acquire(), semaphore.acquire(), semaphore.acquire()])
  t.deepEqual(
    permits.map(({ token }) => token),
    permits.map(({ token }) => token).toSorted((a, b) => a - b),
  )
  t.is(semaphore.tryAcquire(), undefined)
  const order: number[] = []
  const waiting = [0, 1, 2, 3].map(async (i) => {
    const permit = await semaphore.acquire()
    order.push(i)
    return permit
  })
  await turnOfTheLoop()
  t.deepEqual(semaphore.counts(), { held: 3, waiting: 1 })
  for (const permit of permits) t.true(permit.release())
  const next = await within('three permits', Promise.all(waiting.slice(0, 3)))
  t.deepEqual(order, [0, 1, 2])
  next[1]?.release()
  t.true((await within('the last permit', waiting[3] as Promise<Lock>)).held)
  t.deepEqual(semaphore.counts(), { held: 3, waiting: 0 })
})

test('a permit has a token, a ttl, a signal and disposal, like a lock', async (t) => {
  const cache = openStopped(t)
  const semaphore = cache.semaphore('s', 2)
  const permit = semaphore.tryAcquire({ ttl: 30 })
  const { signal, token } = permit as Lock
  const lost = within('the signal', new Promise((resolve) => signal.addEventListener('abort', resolve)))
  advance(cache, 29)
  permit?.extend(40)
  advance(cache, 39)
  t.true(permit?.held)
  advance(cache, 1)
  await lost
  t.throws(() => permit?.extend(5), { instanceOf: CacheError, code: 'ERR_LOCK_LOST' })
  {
    using other = await semaphore.acquire()
    t.true(other.token > token)
    t.is(semaphore.counts().held, 1)
  }
  t.is(semaphore.counts().held, 0)
})

test('use always releases the permit, and passes on the result or the error', async (t) => {
  const semaphore = openCache(t).semaphore('s', 1)
  t.is(await semaphore.use((permit) => permit.held && 'result'), 'result')
  await t.throwsAsync(
    semaphore.use(() => {
      throw new RangeError('no')
    }),
    { instanceOf: RangeError },
  )
  await t.throwsAsync(semaphore.use('work' as never), { code: 'ERR_INVALID_ARGUMENT' })
  const permit = semaphore.tryAcquire()
  await t.throwsAsync(
    within(
      'the timeout',
      semaphore.use(() => t.fail(), { timeout: 5 }),
    ),
    { code: 'ERR_TIMEOUT' },
  )
  t.true(permit?.release())
})

test('timeout, abort and close end a wait', async (t) => {
  const cache = openCache(t)
  const semaphore = cache.semaphore('s', 1)
  const permit = await semaphore.acquire()
  const reason = new RangeError('changed my mind')
  await t.throwsAsync(semaphore.acquire({ signal: AbortSignal.abort(reason) }), { is: reason })
  await t.throwsAsync(within('the timeout', semaphore.acquire({ timeout: 0 })), { code: 'ERR_TIMEOUT' })
  const closed = t.throwsAsync(semaphore.acquire(), { instanceOf: CacheError, code: 'ERR_CLOSED' })
  cache.close()
  await closed
  t.false(permit.held)
  t.throws(() => semaphore.tryAcquire(), { code: 'ERR_CLOSED' })
  t.throws(() => semaphore.counts(), { code: 'ERR_CLOSED' })
})

test('the number of permits belongs to the caller, and each caller is admitted by its own number', async (t) => {
  const cache = openCache(t)
  const wide = cache.semaphore('s', 3)
  t.truthy(wide.tryAcquire())
  t.is(cache.semaphore('s', 1).tryAcquire(), undefined)
  t.truthy(wide.tryAcquire())
})

test('wrong names, numbers and options throw', async (t) => {
  const cache = openCache(t)
  for (const permits of [0, -1, 1.5, 1001, NaN, Infinity, '2', undefined]) {
    t.throws(() => cache.semaphore('s', permits as number), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  for (const name of ['', '\uD800', 5]) {
    t.throws(() => cache.semaphore(name as string, 1), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  const semaphore = cache.semaphore('s', 1)
  t.throws(() => semaphore.tryAcquire({ ttl: -1 }), { instanceOf: CacheError, code: 'ERR_INVALID_TTL' })
  await t.throwsAsync(semaphore.acquire({ timeout: -1 }), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
})

test('a semaphore works with a thousand permits', async (t) => {
  const cache = openCache(t)
  const semaphore = cache.semaphore('s', 1000)
  const permits = await Promise.all(Array.from({ length: 1000 }, () => semaphore.acquire()))
  t.is(semaphore.tryAcquire(), undefined)
  t.deepEqual(semaphore.counts(), { held: 1000, waiting: 0 })
  t.true(permits.every((permit) => permit.held))
  const waiting = within('the permit', semaphore.acquire())
  permits[500]?.release()
  t.true((await waiting).held)
  cache.close()
})
