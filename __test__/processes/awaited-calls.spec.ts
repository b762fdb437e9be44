/**
 * A script that awaits a call continues after it, although nothing else keeps its process alive.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { within } from '../helpers/eventually.ts'
import { STARTED, fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import type { Awaiting } from '../children/awaiting.ts'

const CALLS = [
  'waitFor',
  'waitFor with a timeout',
  'lock',
  'withLock',
  'acquire',
  'use',
  'elect',
  'take of a queue',
  'event',
  'barrier',
  'condition',
  'once',
  'next of watch',
  'next of subscribe',
] as const

/** A process that is not kept alive has ended long before. */
const LONG_ENOUGH = 400

for (const call of CALLS) {
  test.serial(`a script that awaits ${call} lives until it ends, and then continues`, async (t) => {
    const name = segmentName(t)
    const cache = openCache(t, { name })
    const lock = await cache.lock('held')
    const permit = await cache.semaphore('held', 1).acquire()
    const leadership = await cache.elect('held')
    let finish: () => void = () => undefined
    const running = cache.once('held', () => new Promise<void>((resolve) => (finish = resolve)))

    const child = fork(t, 'awaiting', { options: { name, size: SMALL }, call } satisfies Awaiting)
    t.is(await child.next(STARTED), 'waiting')
    t.is(await Promise.race([child.exit, delay(LONG_ENOUGH, 'alive')]), 'alive')
    lock.release()
    permit.release()
    leadership.resign()
    finish()
    await running
    cache.event('held').set()
    cache.queue('held').push(1)
    cache.condition('held').notify()
    if (call === 'barrier') await cache.barrier('held', 2).wait()
    cache.set('key', 1)
    cache.publish('channel', 1)
    t.is(await child.next(), 'done')
    t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })
  })

  if (call === 'once') continue
  test.serial(`with ref: false a process ends while it awaits ${call}`, async (t) => {
    const name = segmentName(t)
    const cache = openCache(t, { name })
    await cache.lock('held')
    await cache.semaphore('held', 1).acquire()
    await cache.elect('held')
    const child = fork(t, 'awaiting', { options: { name, size: SMALL }, call, ref: false } satisfies Awaiting)
    t.is(await child.next(STARTED), 'waiting')
    // Exit code 13: the program still awaited something.
    t.deepEqual(await within('the exit', child.exit), { code: 13, signal: null })
  })
}

test.serial('four scripts that add 100 times under a lock lose no addition', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const order = { options: { name, size: SMALL }, call: 'withLock', adds: 100 } satisfies Awaiting
  const children = [1, 2, 3, 4].map(() => fork(t, 'awaiting', order))
  for (const child of children) t.is(await child.next(STARTED), 'done')
  for (const child of children) t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })
  t.is(cache.get('sum'), 400)
})
