/**
 * Locks between processes and threads.
 */
import test from 'ava'
import { within } from '../helpers/eventually.ts'
import { startTaker, startTakerThread } from '../helpers/permit-takers.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import type { Granted } from '../children/permit-taker.ts'

test.serial('processes and threads exclude each other, and pass the lock to each other', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const [child, thread] = await Promise.all([startTaker(t, name), startTakerThread(t, name)])
  let { token: last = 0 } = await cache.lock('a').then((lock) => {
    setImmediate(() => lock.release())
    return lock
  })
  for (let i = 0; i < 20; i++) {
    for (const other of [child, thread]) {
      const { token = 0 } = await other.ask<Granted>(['lock', 'a'])
      t.true(token > last)
      t.is(cache.tryLock('a'), undefined)
      const waiting = within('the lock', cache.lock('a'))
      t.true(await other.ask(['release', 'a']))
      const lock = await waiting
      t.true(lock.token > token)
      t.deepEqual(await other.ask(['tryLock', 'a']), {})
      lock.release()
      last = lock.token
    }
  }
})

test.serial('a waiter that moves up inherits the ticket of an aborted wait of its process', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = await startTaker(t, name)
  const lock = await cache.lock('a')
  const controller = new AbortController()
  const first = t.throwsAsync(cache.lock('a', { signal: controller.signal }), { any: true })
  const second = within('the lock', cache.lock('a'))
  child.send(['lock', 'a'])
  t.false(await child.ask(['held', 'a']), 'the child waits, and does not hold the lock')
  controller.abort()
  await first
  lock.release()
  const moved = await second
  t.true(moved.held)
  moved.release()
  t.true(((await child.next<Granted>()).token ?? 0) > moved.token)
})
