/**
 * cache-machine/nest-throttler with @nestjs/throttler.
 */
import test from 'ava'
import { nestThrottlerStorage } from '../../../lib/adapters/nest-throttler.ts'
import { createTestCache, createTestClock } from '../../../testing.ts'
import { limitSuite } from '../limits.suite.ts'

await limitSuite('nest-throttler')

test('the hit that exceeds the limit begins a block, and its end begins a window', async (t) => {
  const clock = createTestClock()
  const storage = nestThrottlerStorage(createTestCache({ clock }))
  const hit = () => storage.increment('a', 1500, 1, 10_000, 'default')
  t.deepEqual(await hit(), { totalHits: 1, timeToExpire: 2, isBlocked: false, timeToBlockExpire: 0 })
  clock.advance(1000)
  t.deepEqual(await hit(), { totalHits: 2, timeToExpire: 10, isBlocked: true, timeToBlockExpire: 10 })
  clock.advance(4000)
  t.deepEqual(await hit(), { totalHits: 3, timeToExpire: 6, isBlocked: true, timeToBlockExpire: 6 })
  clock.advance(6000)
  t.deepEqual(await hit(), { totalHits: 1, timeToExpire: 2, isBlocked: false, timeToBlockExpire: 0 })
})
