/**
 * Events, barriers and conditions within one process.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { segments } from '../../index.ts'
import type { CacheError, SharedCache } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { heldIn } from '../helpers/internals.ts'
import { openCache } from '../helpers/segment.ts'

/** The results in the order of their end. */
function inOrder(promises: readonly Promise<unknown>[]): number[] {
  const order: number[] = []
  promises.forEach((promise, i) => void promise.then(() => order.push(i)))
  return order
}

test('an event holds every caller back until it is set, and none while it is', async (t) => {
  const cache = openCache(t)
  const event = cache.event('warm')
  t.is(event.name, 'warm')
  t.false(event.isSet)
  const waits = [event.wait(), cache.event('warm').wait(), event.wait({ timeout: '1h' })]
  const order = inOrder(waits)
  await turnOfTheLoop()
  t.is(event.waiting, 3)
  t.deepEqual(order, [])
  t.true(event.set())
  t.false(event.set())
  await within('all waits', Promise.all(waits))
  t.true(event.isSet)
  t.is(event.waiting, 0)
  await within('a wait for a set event', event.wait())
  t.true(event.clear())
  t.false(event.clear())
  t.false(event.isSet)
  await t.throwsAsync(event.wait({ timeout: 1 }), { code: 'ERR_TIMEOUT', message: /the event 'warm' was not set/ })
  t.is(event.waiting, 0)
})

test('a caller that waits at set goes on, even if clear follows at once', async (t) => {
  const event = openCache(t).event('pulse')
  const waits = Array.from({ length: 50 }, async () => event.wait())
  event.set()
  event.clear()
  await within('all waits', Promise.all(waits))
  t.false(event.isSet)
})

test('an event survives clear, and belongs to its namespace', (t) => {
  const cache = openCache(t)
  cache.event('e').set()
  cache.clear()
  cache.delete('e')
  t.true(cache.event('e').isSet)
  t.false(cache.namespace('other').event('e').isSet)
  t.is(cache.size, 0)
})

test('a barrier holds its callers until all have come, tells one of them that it is the last, and begins again', async (t) => {
  const cache = openCache(t)
  const barrier = cache.barrier('loaded', 3)
  t.is(barrier.parties, 3)
  for (let round = 0; round < 3; round++) {
    const waits = [barrier.wait(), cache.barrier('loaded', 3).wait()]
    const order = inOrder(waits)
    await turnOfTheLoop()
    t.is(barrier.waiting, 2)
    t.deepEqual(order, [])
    t.true(await within('the last', barrier.wait()))
    t.deepEqual(await within('the others', Promise.all(waits)), [false, false])
    t.is(barrier.waiting, 0)
  }
  t.true(await cache.barrier('alone', 1).wait())
})

test('a caller that gives up leaves the barrier', async (t) => {
  const cache = openCache(t)
  const barrier = cache.barrier('b', 3)
  const reason = new Error('enough')
  const controller = new AbortController()
  const aborted = barrier.wait({ signal: controller.signal })
  const late = barrier.wait({ timeout: 1 })
  controller.abort(reason)
  t.is(await t.throwsAsync(aborted), reason)
  await t.throwsAsync(late, { code: 'ERR_TIMEOUT', message: /too few callers came to the barrier 'b'/ })
  t.is(barrier.waiting, 0)
  const waits = [barrier.wait(), barrier.wait()]
  const order = inOrder(waits)
  await turnOfTheLoop()
  t.deepEqual(order, [])
  t.true(await barrier.wait())
  await within('the others', Promise.all(waits))
})

test('a condition lets the callers go on that wait longest, each under the lock', async (t) => {
  const cache = openCache(t)
  const condition = cache.condition('stock')
  const order: number[] = []
  const waits = Array.from({ length: 4 }, async (_, i) => {
    const lock = await condition.wait(await cache.lock('stock'))
    t.true(lock.held)
    t.is(cache.tryLock('stock'), undefined)
    order.push(i)
    await turnOfTheLoop()
    lock.release()
  })
  await within('the waits', allWait(cache, 4))
  t.is(condition.notify(), 1)
  await within('the first', waits[0] as Promise<void>)
  t.is(condition.notify(2), 2)
  await within('two more', Promise.all(waits.slice(1, 3)))
  t.deepEqual(order, [0, 1, 2])
  t.is(condition.notifyAll(), 1)
  await within('the last', waits[3] as Promise<void>)
  t.is(condition.notifyAll(), 0)
  t.is(condition.notify(0), 0)
})

async function allWait(cache: SharedCache, count: number): Promise<void> {
  while (cache.condition('stock').waiting < count) await turnOfTheLoop()
}

test('a consumer that waits for stock misses no announcement', async (t) => {
  const cache = openCache(t)
  const condition = cache.condition('stock')
  const takes = Array.from({ length: 20 }, async () => {
    let lock = await cache.lock('stock')
    while (((cache.get('stock') as number | undefined) ?? 0) === 0) lock = await condition.wait(lock)
    cache.incr('stock', -1)
    lock.release()
  })
  for (let i = 0; i < 20; i++) {
    await cache.withLock('stock', () => {
      cache.incr('stock')
      condition.notify()
    })
  }
  await within('all takes', Promise.all(takes))
  t.is(cache.get('stock'), 0)
})

test('a wait at a condition releases the lock, and its timeout leaves no lock behind', async (t) => {
  const cache = openCache(t)
  const condition = cache.condition('c')
  const lock = await cache.lock('k', { ttl: '1m' })
  const waiting = condition.wait(lock, { timeout: 30 })
  t.false(lock.held)
  const other = cache.tryLock('k')
  t.truthy(other)
  await t.throwsAsync(waiting, { code: 'ERR_TIMEOUT', message: /the condition 'c' was not notified/ })
  t.is(condition.waiting, 0)
  other?.release()
  // The time for the lock counts as well.
  const again = await cache.lock('k')
  const stuck = condition.wait(again, { timeout: 50 })
  const keeper = cache.tryLock('k')
  condition.notify()
  await t.throwsAsync(stuck, { code: 'ERR_TIMEOUT' })
  keeper?.release()
  const renewed = condition.wait(await cache.lock('k', { ttl: '1m' }))
  condition.notify()
  const { expiresAt = 0 } = await renewed
  t.true(expiresAt > Date.now())
})

test('a wait at a condition that does not begin releases the lock as well', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('k')
  const reason = new Error('enough')
  t.is(await t.throwsAsync(cache.condition('c').wait(lock, { signal: AbortSignal.abort(reason) })), reason)
  t.false(lock.held)
  t.truthy(cache.tryLock('k'))
})

test('a condition refuses a lock that is lost, and what is no lock', async (t) => {
  const cache = openCache(t)
  const condition = cache.condition('c')
  const lock = await cache.lock('k')
  lock.release()
  await t.throwsAsync(condition.wait(lock), { code: 'ERR_LOCK_LOST' })
  t.is(condition.waiting, 0)
  await t.throwsAsync(condition.wait({} as never), { code: 'ERR_INVALID_ARGUMENT' })
  const permit = await cache.semaphore('s', 2).acquire()
  const waiting = condition.wait(permit)
  condition.notifyAll()
  t.true((await within('the permit', waiting)).held)
  t.is(cache.semaphore('s', 2).counts().held, 1)
})

test('close rejects every wait and removes it from the segment', async (t) => {
  const cache = openCache(t)
  const other = openCache(t, { name: cache.name })
  const lock = await other.lock('k')
  const waits = [other.event('e').wait(), other.barrier('b', 2).wait(), other.condition('c').wait(lock)]
  await turnOfTheLoop()
  t.is(cache.event('e').waiting + cache.barrier('b', 2).waiting + cache.condition('c').waiting, 3)
  t.deepEqual(
    heldIn(cache).map(({ kind, waiters }) => [kind, waiters]),
    [
      ['event', [process.pid]],
      ['barrier', [process.pid]],
      ['condition', [process.pid]],
    ],
  )
  other.close()
  for (const wait of waits) await t.throwsAsync(wait, { code: 'ERR_CLOSED' })
  t.is(cache.event('e').waiting + cache.barrier('b', 2).waiting + cache.condition('c').waiting, 0)
  t.deepEqual(heldIn(cache), [])
})

test('waits go on in the segment that takes the place of a destroyed one', async (t) => {
  const cache = openCache(t)
  const other = openCache(t, { name: cache.name })
  const wait = other.event('e').wait()
  await turnOfTheLoop()
  segments.destroy(cache.name, { force: true })
  other.set('key', 1) // opens the segment again
  t.is(other.event('e').waiting, 1)
  t.true(other.event('e').set())
  await within('the wait', wait)
})

test('a wait that finds the segment destroyed has one place in the new one', async (t) => {
  const cache = openCache(t)
  const other = openCache(t, { name: cache.name })
  segments.destroy(cache.name, { force: true })
  const waiting = other.barrier('b', 3).wait()
  t.is(other.barrier('b', 3).waiting, 1)
  const second = other.barrier('b', 3).wait()
  await turnOfTheLoop()
  t.is(other.barrier('b', 3).waiting, 2)
  t.true(await other.barrier('b', 3).wait())
  await within('the others', Promise.all([waiting, second]))
})

test('bad arguments', async (t) => {
  const cache = openCache(t)
  const code = (call: () => unknown): string => (t.throws(call) as CacheError).code
  for (const parties of [0, -1, 1.5, 1001, NaN, '2', undefined]) {
    t.is(
      code(() => cache.barrier('b', parties as never)),
      'ERR_INVALID_ARGUMENT',
    )
  }
  for (const count of [-1, 0.5, NaN, 2 ** 32, '1']) {
    t.is(
      code(() => cache.condition('c').notify(count as never)),
      'ERR_INVALID_ARGUMENT',
    )
  }
  for (const call of [cache.event, cache.condition] as const) {
    t.is(
      code(() => Reflect.apply(call, cache, [{}])),
      'ERR_INVALID_ARGUMENT',
    )
    t.is(
      code(() => Reflect.apply(call, cache, ['x'.repeat(10_000)])),
      'ERR_KEY_TOO_LONG',
    )
  }
  await t.throwsAsync(cache.event('e').wait({ ttl: 1 } as never), { code: 'ERR_INVALID_ARGUMENT' })
  cache.close()
  for (const call of [() => cache.event('e'), () => cache.barrier('b', 2), () => cache.condition('c')]) {
    t.is(code(call), 'ERR_CLOSED')
  }
})
