/**
 * Many calls with one AbortSignal: no warning about listeners, each call is aborted, and none leaves a listener.
 */
import { getEventListeners } from 'node:events'
import test from 'ava'
import type { SharedCache } from '../../index.ts'
import { openCache } from '../helpers/segment.ts'

const CALLS = 40

type Wait = (cache: SharedCache, signal: AbortSignal, i: number) => Promise<unknown>

/** Every call that waits under a signal. None of them ends by itself. */
const WAITS: Record<string, Wait> = {
  waitFor: (cache, signal, i) => cache.waitFor(`w${i}`, { signal }),
  lock: (cache, signal) => cache.lock('held', { signal }),
  withLock: (cache, signal) => cache.withLock('held', () => undefined, { signal }),
  acquire: (cache, signal) => cache.semaphore('held', 1).acquire({ signal }),
  use: (cache, signal) => cache.semaphore('held', 1).use(() => undefined, { signal }),
  elect: (cache, signal) => cache.elect('held', { signal }),
  'take of a queue': (cache, signal) => cache.queue('q').take({ signal }),
  event: (cache, signal) => cache.event('e').wait({ signal }),
  barrier: (cache, signal) => cache.barrier('b', 1000).wait({ signal }),
  watch: (cache, signal) => cache.watch({}, { signal }).next(),
  subscribe: (cache, signal) => cache.subscribe('c', { signal }).next(),
  'getOrSet of many keys': (cache, signal, i) =>
    cache.getOrSet(`g${i}`, () => new Promise(() => undefined), { signal }),
  'getOrSet of one key': (cache, signal) => cache.getOrSet('g', () => new Promise(() => undefined), { signal }),
  wrap: (cache, signal, i) =>
    cache.wrap(() => new Promise<number>(() => undefined), { key: () => `wrapped${i}`, signal })(),
  once: (cache, signal, i) => cache.once(`o${i}`, () => new Promise(() => undefined), { signal }),
}

for (const [name, wait] of Object.entries(WAITS)) {
  test.serial(
    `${CALLS} concurrent calls of ${name} with one signal print no warning and are all aborted`,
    async (t) => {
      const warnings: Error[] = []
      const collect = (warning: Error): void => void warnings.push(warning)
      process.on('warning', collect)
      t.teardown(() => process.off('warning', collect))
      const cache = openCache(t)
      await cache.lock('held')
      await cache.semaphore('held', 1).acquire()
      await cache.elect('held')

      const controller = new AbortController()
      const { signal } = controller
      const waiting = Array.from({ length: CALLS }, (_, i) => wait(cache, signal, i))
      t.true(getEventListeners(signal, 'abort').length <= 1)
      // A process warning is emitted in the next tick.
      await new Promise((resolve) => setImmediate(resolve))
      t.deepEqual(warnings, [])

      const reason = new Error('enough')
      controller.abort(reason)
      const results = await Promise.allSettled(waiting)
      t.true(results.every((result) => result.status === 'rejected' && result.reason === reason))
      t.deepEqual(getEventListeners(signal, 'abort'), [])
    },
  )
}

test('calls that ended leave no listener on their signal, and a later call works with it', async (t) => {
  const cache = openCache(t)
  const controller = new AbortController()
  const { signal } = controller
  cache.set('a', 1)
  for (let i = 0; i < 20; i++) {
    await cache.waitFor('a', { signal })
    await cache.withLock('l', () => i, { signal })
    await cache.getOrSet(`g${i}`, () => i, { signal })
    const changes = cache.watch({}, { signal })
    await changes.return?.()
  }
  t.deepEqual(getEventListeners(signal, 'abort'), [])
  const waiting = cache.waitFor('b', { signal })
  controller.abort(new Error('enough'))
  await t.throwsAsync(waiting, { message: 'enough' })
})
