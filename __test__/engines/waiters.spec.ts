/**
 * The queue of a lock on both engines. The callers of one cache share a place in it, so each waiter here has a cache of
 * its own.
 */
import test from 'ava'
import { openCache, segmentName } from '../helpers/segment.ts'

for (const engine of ['native', 'portable'] as const) {
  test(`${engine}: a lock goes to the cache that has waited for it longest`, async (t) => {
    const name = segmentName(t)
    const [holder, ...others] = Array.from({ length: 5 }, () => openCache(t, { name, engine }))
    const held = holder?.tryLock('order')
    const order: number[] = []
    const waiting = others.map(async (cache, index) => {
      const lock = await cache.lock('order', { timeout: '20s' })
      order.push(index)
      lock.release()
    })
    held?.release()
    await Promise.all(waiting)
    t.deepEqual(order, [0, 1, 2, 3])
  })
}
