/**
 * Locks within one process: order, lifetimes, ends of waits and of locks.
 */
import { getEventListeners } from 'node:events'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { Lock, SharedCache } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { advance, problems } from '../helpers/internals.ts'
import { openCache, openStopped, segmentName } from '../helpers/segment.ts'

/**
 * Resolves when `wanted` tickets wait for a lock. A semaphore with one permit shows it, because its record looks the
 * same.
 */
async function queued(cache: SharedCache, wanted: number, name = 'a'): Promise<void> {
  await eventually('they wait', () => cache.semaphore(name, 1).counts().waiting === wanted)
}

test('a release passes the lock to the next waiter', async (t) => {
  const cache = openCache(t)
  const first = await cache.lock('a')
  t.true(first.held)
  t.is(first.key, 'a')
  t.is(first.expiresAt, undefined)
  t.is(cache.tryLock('a'), undefined)
  const waiting = within('the lock', cache.lock('a'))
  await turnOfTheLoop()
  t.true(first.held)
  t.true(first.release())
  t.false(first.held)
  const second = await waiting
  t.true(second.held)
  t.true(second.token > first.token)
  t.true(second.release())
  t.truthy(cache.tryLock('a')?.release())
  t.deepEqual(problems(cache), [])
})

test('release returns whether the lock was held, and a second release does nothing', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('a')
  t.true(lock.release())
  const next = await cache.lock('a')
  t.false(lock.release())
  t.true(next.held, 'the second release did not take it from the next holder')
  t.throws(() => lock.extend('1s'), { instanceOf: CacheError, code: 'ERR_LOCK_LOST' })
})

test('using and await using release the lock', async (t) => {
  const cache = openCache(t)
  {
    using lock = await cache.lock('a')
    t.true(lock.held)
  }
  {
    await using lock = await cache.lock('a')
    t.true(lock.held)
  }
  t.truthy(cache.tryLock('a'))
})

test('withLock always releases the lock, and passes on the result or the error', async (t) => {
  const cache = openCache(t)
  t.is(await cache.withLock('a', (lock) => lock.held && 'result'), 'result')
  await t.throwsAsync(
    cache.withLock('a', () => Promise.reject(new RangeError('no'))),
    { instanceOf: RangeError },
  )
  t.truthy(cache.tryLock('a')?.release())
  await t.throwsAsync(cache.withLock('a', 'work' as never), { code: 'ERR_INVALID_ARGUMENT' })
  const held = cache.tryLock('a')
  await t.throwsAsync(
    within(
      'the timeout',
      cache.withLock('a', () => t.fail(), { timeout: 10 }),
    ),
    { code: 'ERR_TIMEOUT' },
  )
  t.true(held?.release())
})

test('waiters get the lock in the order of their calls, and tokens grow', async (t) => {
  const cache = openCache(t)
  const first = await cache.lock('a')
  const order: number[] = []
  let last = first.token
  const all = Array.from({ length: 100 }, async (_, i) => {
    const lock = await cache.lock('a')
    order.push(i)
    t.true(lock.token > last)
    last = lock.token
    if (i % 3 === 0) await turnOfTheLoop()
    lock.release()
  })
  first.release()
  await within('all locks', Promise.all(all))
  t.deepEqual(order, [...Array(100).keys()])
})

test('a lock is independent of other keys, other namespaces, semaphores, elections and values', async (t) => {
  const cache = openCache(t)
  const root = await cache.lock('a')
  t.truthy(cache.tryLock('b'))
  t.truthy(cache.namespace('n').tryLock('a'))
  t.truthy(cache.semaphore('a', 1).tryAcquire())
  t.truthy(await within('the election', cache.elect('a')))
  t.true(cache.set('a', 'value'))
  t.is(cache.size, 1)
  cache.clear()
  t.is(cache.deletePrefix('a'), 0)
  t.true(root.held)
})

test('a string and its bytes are the same key, and keys may be any text', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('ключ')
  t.is(cache.tryLock(Buffer.from('ключ')), undefined)
  const waiting = within('the lock', cache.lock(Buffer.from('ключ')))
  lock.release()
  t.true((await waiting).held)
  t.is((await cache.lock('\uFFFD')).key, '\uFFFD')
  t.deepEqual((await cache.lock(Buffer.from([255, 1]))).key, Uint8Array.of(255, 1))
})

test('two handles of one process exclude each other', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const lock = await cache.lock('a')
  t.is(other.tryLock('a'), undefined)
  const waiting = within('the lock', other.lock('a'))
  await turnOfTheLoop()
  lock.release()
  const second = await waiting
  t.is(cache.tryLock('a'), undefined)
  other.close()
  t.false(second.held)
  t.truthy(cache.tryLock('a'), 'close released it')
})

test('a wait for a lock of the same thread ends at its timeout', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('a')
  await t.throwsAsync(within('the timeout', cache.lock('a', { timeout: 30 })), {
    instanceOf: CacheError,
    code: 'ERR_TIMEOUT',
  })
  t.true(lock.release())
})

test('a lock ends with its ttl, and extend counts from now', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 1000 })
  t.true(Math.abs((lock.expiresAt ?? 0) - Date.now() - 1000) < 500)
  advance(cache, 900)
  lock.extend('1s')
  advance(cache, 999)
  t.true(lock.held)
  t.is(cache.tryLock('a'), undefined)
  advance(cache, 1)
  t.false(lock.held)
  t.throws(() => lock.extend(1000), { instanceOf: CacheError, code: 'ERR_LOCK_LOST' })
  const next = cache.tryLock('a', { ttl: '1h' })
  t.true((next?.token ?? 0) > lock.token)
  t.false(lock.release())
  t.true(next?.held)

  const unlimited = await cache.lock('b')
  unlimited.extend(500)
  advance(cache, 500)
  t.false(unlimited.held)
})

test('release of an expired lock returns false, also if no call has noticed the expiry', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 100 })
  advance(cache, 100)
  t.false(lock.release())
})

test('a waiter gets the lock when the ttl of the holder ends', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 1000 })
  const waiting = within('the lock', cache.lock('a', { ttl: 1000 }))
  await turnOfTheLoop()
  advance(cache, 1000)
  const next = await waiting
  t.false(lock.held)
  t.true(next.held)
})

test('the signal is aborted when the ttl ends, and not by release', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 20 })
  const lost = within('the signal', new Promise((resolve) => lock.signal.addEventListener('abort', resolve)))
  t.false(lock.signal.aborted)
  lock.extend(40)
  advance(cache, 39)
  t.true(lock.held)
  advance(cache, 1)
  await lost
  t.is((lock.signal.reason as CacheError).code, 'ERR_LOCK_LOST')

  const released = await cache.lock('a', { ttl: 5 })
  const { signal } = released
  released.release()
  advance(cache, 5)
  t.false(signal.aborted)

  const unseen = await cache.lock('b', { ttl: 5 })
  advance(cache, 5)
  t.false(unseen.held)
  t.true(unseen.signal.aborted, 'the signal was read after the loss')
})

test('timeout and abort end a wait, and the next waiter still gets the lock', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('a')
  const controller = new AbortController()
  const reason = new RangeError('changed my mind')
  const given = [
    cache.lock('a', { timeout: 20 }),
    cache.lock('a', { signal: controller.signal }),
    cache.lock('a', { timeout: 0 }),
    cache.lock('a', { ttl: '1h', timeout: 30 }), // another ttl: its place is not the next one's
  ] as const
  const last = within('the lock', cache.lock('a'))
  const aborted = t.throwsAsync(given[1], { is: reason })
  controller.abort(reason)
  await aborted
  for (const i of [0, 2, 3] as const) {
    await t.throwsAsync(within('the timeout', given[i]), { instanceOf: CacheError, code: 'ERR_TIMEOUT' })
  }
  t.true(lock.release())
  t.true((await last).held)
  controller.abort()
  await t.throwsAsync(cache.lock('b', { signal: AbortSignal.abort(reason) }), { is: reason })
  t.truthy(cache.tryLock('b'), 'a call with an aborted signal takes nothing')
})

test('an abort after the lock was granted changes nothing', async (t) => {
  const cache = openCache(t)
  const controller = new AbortController()
  const lock = await cache.lock('a', { signal: controller.signal })
  t.is(getEventListeners(controller.signal, 'abort').length, 0, 'the call has left the signal')
  controller.abort()
  await turnOfTheLoop()
  t.true(lock.held)
  t.false(lock.signal.aborted)
})

test('close rejects waiting calls and releases held locks', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const lock = await cache.lock('a')
  const own = await cache.namespace('n').lock('a')
  const { signal } = lock
  const theirs = await other.lock('b')
  const pending = [cache.lock('b'), cache.lock('b', { ref: true }), cache.namespace('n').lock('a')]
  const rejected = Promise.all(
    pending.map((turn) => t.throwsAsync(turn, { instanceOf: CacheError, code: 'ERR_CLOSED' })),
  )
  cache.close()
  await rejected
  t.false(lock.held)
  t.false(own.held)
  t.false(lock.release())
  t.is((signal.reason as CacheError).code, 'ERR_CLOSED')
  t.throws(() => lock.extend('1s'), { code: 'ERR_CLOSED' })
  await t.throwsAsync(cache.lock('a'), { code: 'ERR_CLOSED' })
  t.throws(() => cache.tryLock('a'), { code: 'ERR_CLOSED' })
  t.throws(() => cache.semaphore('a', 1), { code: 'ERR_CLOSED' })

  t.truthy(other.tryLock('a'))
  t.truthy(other.namespace('n').tryLock('a'))
  theirs.release()
  t.truthy(other.tryLock('b'), 'no ticket waits for it any more')
})

test('wrong options and keys reject', async (t) => {
  const cache = openCache(t)
  const wrong: [options: unknown, code: string][] = [
    [null, 'ERR_INVALID_ARGUMENT'],
    ['5s', 'ERR_INVALID_ARGUMENT'],
    [{ ttl: 0 }, 'ERR_INVALID_TTL'],
    [{ ttl: -1 }, 'ERR_INVALID_TTL'],
    [{ ttl: -Infinity }, 'ERR_INVALID_TTL'],
    [{ ttl: 'soon' }, 'ERR_INVALID_TTL'],
    [{ timeout: -1 }, 'ERR_INVALID_ARGUMENT'],
    [{ timeout: null }, 'ERR_INVALID_ARGUMENT'],
    [{ signal: {} }, 'ERR_INVALID_ARGUMENT'],
    [{ ref: 1 }, 'ERR_INVALID_ARGUMENT'],
  ]
  for (const [options, code] of wrong) {
    await t.throwsAsync(cache.lock('a', options as never), { instanceOf: CacheError, code }, JSON.stringify(options))
  }
  for (const key of ['', '\uD800', 5, undefined, new Uint8Array()]) {
    await t.throwsAsync(cache.lock(key as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.tryLock(key as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  await t.throwsAsync(cache.lock('x'.repeat(8193)), { instanceOf: CacheError, code: 'ERR_KEY_TOO_LONG' })
  t.throws(() => cache.tryLock('a', { ttl: 0 }), { instanceOf: CacheError, code: 'ERR_INVALID_TTL' })
  const lock = cache.tryLock('a')
  t.throws(() => lock?.extend(0), { instanceOf: CacheError, code: 'ERR_INVALID_TTL' })
  t.true(lock?.release(), 'a wrong ttl does not lose the lock')
})

test('a thousand waits of one thread have one ticket in the segment', async (t) => {
  const cache = openCache(t)
  const semaphore = cache.semaphore('a', 1)
  const first = await semaphore.acquire()
  const waiting = Array.from({ length: 1000 }, () => semaphore.acquire())
  await queued(cache, 1)
  first.release()
  let last = first.token
  for (const turn of waiting) {
    const permit: Lock = await within('the lock', turn)
    t.true(permit.token > last)
    last = permit.token
    permit.release()
  }
  t.deepEqual(semaphore.counts(), { held: 0, waiting: 0 })
})
