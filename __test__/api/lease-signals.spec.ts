/**
 * Signals that are read late: a signal is aborted from its first read on if what it guards is over by then.
 */
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import type { Lock, SharedCache } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

const options = { ttl: 1000 }

type Grant = (cache: SharedCache, use: (held: Pick<Lock, 'signal'>) => void) => unknown

/** Every way to a permit, with what the caller gets. */
const GRANTS: Record<string, Grant> = {
  lock: async (cache, use) => use(await cache.lock('a', options)),
  tryLock: (cache, use) => use(cache.tryLock('a', options) as Lock),
  withLock: (cache, use) => cache.withLock('a', use, options),
  acquire: async (cache, use) => use(await cache.semaphore('s', 1).acquire(options)),
  tryAcquire: (cache, use) => use(cache.semaphore('s', 1).tryAcquire(options) as Lock),
  use: (cache, use) => cache.semaphore('s', 1).use(use, options),
}

for (const [name, grant] of Object.entries(GRANTS)) {
  test(`${name}: the signal is aborted at its first read if the ttl has passed`, async (t) => {
    const cache = openStopped(t)
    await grant(cache, (held) => {
      advance(cache, 1001)
      const { signal } = held
      t.true(signal.aborted)
      t.true(signal.reason instanceof CacheError)
      t.is((signal.reason as CacheError).code, 'ERR_LOCK_LOST')
    })
    t.plan(3)
  })

  test(`${name}: a signal that was read before shows the loss at its next read`, async (t) => {
    const cache = openStopped(t)
    await grant(cache, (held) => {
      t.false(held.signal.aborted)
      advance(cache, 1001)
      t.true(held.signal.aborted)
    })
    t.plan(2)
  })
}

test('the signal of a lock or a leadership is aborted at its first read after the loss of the segment', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('a')
  const leadership = await cache.elect('e')
  segments.destroy(cache.name, { force: true })
  t.true(lock.signal.aborted)
  t.true(leadership.signal.aborted)
})

test('the signal of a lock is aborted at its first read after close, and not after a release', async (t) => {
  const cache = openCache(t)
  const released = await cache.lock('a')
  const kept = await cache.lock('b')
  released.release()
  cache.close()
  t.false(released.signal.aborted)
  t.true(kept.signal.aborted)
})

test('the signal of a loader is aborted at its first read if the lease has passed while the thread was busy', async (t) => {
  const cache = openCache(t)
  const load = cache.getOrSet(
    'a',
    ({ signal }) => {
      t.false(signal.aborted)
      return 1
    },
    { lease: '1h' },
  )
  t.is(await load, 1)
  const late = cache.getOrSet(
    'b',
    (context) => {
      const until = performance.now() + 5
      while (performance.now() < until);
      t.true(context.signal.aborted)
      return 1
    },
    { lease: 5 },
  )
  await t.throwsAsync(late, { code: 'ERR_TIMEOUT' })
})
