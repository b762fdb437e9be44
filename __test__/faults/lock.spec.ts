/**
 * Holders and waiters of locks are killed, suspended (SIGSTOP), blocked or terminated.
 *
 * `TAKEOVERS=200` makes more takeovers.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { eventually, within } from '../helpers/eventually.ts'
import { problems } from '../helpers/internals.ts'
import { startTaker, startTakerThread } from '../helpers/permit-takers.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { isSuspended } from '../helpers/system.ts'
import type { Granted } from '../children/permit-taker.ts'

test.serial('a waiter succeeds a killed holder, and tokens grow across its death', async (t) => {
  t.timeout(600_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const times: number[] = []
  let last = 0
  for (let i = 0; i < Number(process.env['TAKEOVERS'] ?? 5); i++) {
    const child = await startTaker(t, name)
    const { token = 0 } = await child.ask<Granted>(['lock', 'a'])
    t.true(token > last)
    const waiting = within('the lock', cache.lock('a'))
    await turnOfTheLoop()
    const killed = performance.now()
    child.kill()
    const lock = await waiting
    times.push(performance.now() - killed)
    t.true(lock.token > token)
    last = lock.token
    lock.release()
  }
  times.sort((a, b) => a - b)
  const [median, longest] = [times[times.length >> 1], times.at(-1)].map((time) => time?.toFixed(1))
  t.log(`from ${times.length} kills to the next holder: median ${median} ms, longest ${longest} ms`)
  t.deepEqual(problems(cache), [])
})

test.serial('tryLock takes a lock from a dead holder', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = await startTaker(t, name)
  await child.ask(['lock', 'a'])
  t.is(cache.tryLock('a'), undefined)
  child.kill()
  await child.exit
  t.truthy(cache.tryLock('a'))
})

test.serial('a released lock passes over waiters that were killed', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const lock = await cache.lock('a')
  const children = await Promise.all([startTaker(t, name), startTaker(t, name)])
  for (const child of children) {
    child.send(['lock', 'a'])
    t.false(await child.ask(['held', 'a']))
  }
  const last = within('the lock', cache.lock('a'))
  for (const child of children) {
    child.kill()
    await child.exit
  }
  lock.release()
  t.true((await last).held)
})

test.serial(
  'a waiter that is suspended when it gets the lock keeps it for its ttl, and then the next waiter gets it',
  async (t) => {
    const name = segmentName(t)
    const cache = openCache(t, { name })
    const child = await startTaker(t, name)
    const lock = await cache.lock('a')
    child.send(['lock', 'a', { ttl: 150 }])
    t.false(await child.ask(['held', 'a']))
    child.kill('SIGSTOP')
    await isSuspended(child.process.pid)
    const waiting = within('the lock', cache.lock('a'))
    const released = performance.now()
    lock.release()
    const next = await waiting
    t.true(performance.now() - released >= 150, 'the suspended waiter held it first')
    // When it continues, its lock has expired: it starts over.
    child.kill('SIGCONT')
    t.false(await child.ask(['held', 'a']))
    next.release()
    t.true(((await child.next<Granted>()).token ?? 0) > next.token)
  },
)

test.serial('a lock that was granted and expired while the event loop was blocked is granted again', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = await startTaker(t, name)
  const lock = await cache.lock('a')
  child.send(['lock', 'a', { ttl: 60 }])
  t.false(await child.ask(['held', 'a']), 'it waits')
  child.send(['block', 'go on'])
  await eventually('its event loop is blocked', () => cache.has('blocked'))
  lock.release()
  const next = await within('the lock', cache.lock('a'))
  t.true(next.held)
  cache.set('go on', true)
  t.is(await child.next(), 'awake')
  next.release()
  t.true(((await child.next<Granted>()).token ?? 0) > next.token)
})

test.serial('a terminated worker thread gives up its lock and its ticket', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const [holder, waiter] = await Promise.all([startTakerThread(t, name), startTakerThread(t, name)])
  await holder.ask(['lock', 'a'])
  waiter.worker.postMessage(['lock', 'a'])
  t.false(await waiter.ask(['held', 'a']))
  const waiting = within('the lock', cache.lock('a'))
  await waiter.worker.terminate()
  t.is(cache.tryLock('a'), undefined, 'the holder still has it')
  await holder.worker.terminate()
  const lock = await waiting
  t.true(lock.held)
  lock.release()
  t.truthy(cache.tryLock('a'), 'no ticket is left in the queue')
})
