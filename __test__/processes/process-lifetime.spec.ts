/**
 * Open operations and the life of a process: which waits, watches, subscriptions and locks keep a process alive.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { within } from '../helpers/eventually.ts'
import { STARTED, fork } from '../helpers/fork.ts'
import { SOON } from '../helpers/loader-crew.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'

test.serial('a wait with ref: false does not keep the process alive', async (t) => {
  const name = segmentName(t)
  const child = fork(t, 'waiter', { options: { name, size: SMALL }, key: 'a', wait: { timeout: '1h', ref: false } })
  t.is(await child.next(), 'waiting')
  t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })
})

test.serial('a wait keeps the process alive until it ends', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'waiter', { options: { name, size: SMALL }, key: 'a' })
  t.is(await child.next(), 'waiting')
  cache.set('a', 'what it waited for')
  t.is(await child.next(), 'what it waited for')
  t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })

  const late = fork(t, 'waiter', { options: { name, size: SMALL }, key: 'b', wait: { timeout: 100 } })
  t.is(await late.next(), 'waiting')
  t.is(await late.next(), 'ERR_TIMEOUT')
  t.deepEqual(await within('the exit', late.exit), { code: 0, signal: null })
})

test.serial('a watch keeps the process alive unless ref is false', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const idle = fork(t, 'streamer', { options, watch: {}, stream: { ref: false } })
  t.is(await idle.next(), 'ready')
  // Exit code 13: the program still awaited something that could not happen.
  t.like(await within('the exit', idle.exit), { code: 13 })

  const held = fork(t, 'streamer', { options, watch: {} })
  t.is(await held.next(), 'ready')
  cache.set('a', 1)
  t.like(await held.next(), { type: 'set', key: 'a' })
  cache.set('b', 1)
  t.like(await held.next(), { type: 'set', key: 'b' })
})

test.serial('a watch lets the process end when its cache is closed', async (t) => {
  const name = segmentName(t)
  const child = fork(t, 'streamer', { options: { name, size: SMALL }, watch: {}, listen: true })
  t.is(await child.next(), 'ready')
  child.send(['close'])
  t.is(await child.next(), 'ended')
  t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })
})

test.serial('a subscription keeps the process alive unless ref is false', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const idle = fork(t, 'streamer', { options, subscribe: 'news', stream: { ref: false } })
  t.is(await idle.next(), 'ready')
  t.like(await within('the exit', idle.exit), { code: 13 })
  const held = fork(t, 'streamer', { options, subscribe: 'news' })
  t.is(await held.next(), 'ready')
  cache.publish('news', 'still there')
  t.like(await held.next(), { message: 'still there' })
})

test.serial('neither a wait with ref: false nor a held lock keeps the process alive; another wait does', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const lock = await cache.lock('a')
  const options = { name, size: SMALL }
  const waiter = fork(t, 'waiter', { options, key: 'a', lock: { timeout: '1h', ref: false } })
  t.is(await waiter.next(STARTED), 'waiting')
  t.deepEqual(await within('the exit', waiter.exit), { code: 0, signal: null })

  const holder = fork(t, 'waiter', { options, key: 'b', lock: { ttl: '1h' } })
  t.is(await holder.next(STARTED), 'waiting')
  t.is(typeof (await holder.next()), 'number')
  t.deepEqual(await within('the exit', holder.exit), { code: 0, signal: null })
  t.truthy(cache.tryLock('b'))

  const patient = fork(t, 'waiter', { options, key: 'a', lock: {} })
  t.is(await patient.next(STARTED), 'waiting')
  lock.release()
  t.is(typeof (await patient.next()), 'number')
  t.deepEqual(await within('the exit', patient.exit), { code: 0, signal: null })
})

test.serial('a wait for a load in another process keeps the process alive', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  let finish: (value: string) => void = () => undefined
  const loading = cache.getOrSet('a', () => new Promise<string>((resolve) => (finish = resolve)))
  const child = fork(t, 'load-and-exit', { name })
  t.is(await child.next(SOON), 'asking')
  await delay(200)
  finish('for both')
  t.is(await loading, 'for both')
  t.is(await child.next(SOON), 'for both')
  t.deepEqual(await child.exit, { code: 0, signal: null })
})

test.serial('listeners do not keep the process alive', async (t) => {
  const name = segmentName(t)
  const child = fork(t, 'listener', { name, size: SMALL })
  t.is(await child.next(), 'listening')
  t.deepEqual(await child.exit, { code: 0, signal: null })
})
