/**
 * Where timers are numbers, as in a browser, in jsdom and under some mocks, no call asks a timer for `unref`.
 */
import test from 'ava'
import { within } from '../helpers/eventually.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

test('every call that starts a timer works where a timer is a number', async (t) => {
  const name = segmentName(t)
  const before = { setTimeout, setInterval, clearTimeout, clearInterval }
  const timers = new Map<number, NodeJS.Timeout>()
  const numbered = (start: (...args: never[]) => NodeJS.Timeout) =>
    ((...args: never[]) => {
      const number = timers.size + 1
      timers.set(number, start(...args))
      return number
    }) as unknown as typeof setTimeout
  const stop = (timer: unknown): void => before.clearTimeout(timers.get(timer as number))
  const numeric = { setTimeout: numbered(setTimeout), setInterval: numbered(setInterval) }
  Object.assign(globalThis, numeric, { clearTimeout: stop, clearInterval: stop })
  t.teardown(() => Object.assign(globalThis, before))

  const cache = openCache(t, { name })
  cache.set('near', { a: 1 })
  for (let i = 0; i < 3; i++) t.deepEqual(cache.get('near'), { a: 1 }) // a hit counts later
  t.is(await cache.getOrSet('load', () => 1, { timeout: '5s', hardTimeout: '9s', stale: '1m', ttl: '5m' }), 1)
  await t.throwsAsync(cache.waitFor('never', { timeout: 1, ref: false }), { code: 'ERR_TIMEOUT' })
  const lock = await cache.lock('lock', { ttl: '5s', timeout: '5s' })
  t.false(lock.signal.aborted) // watched until the deadline
  lock.release()
  const other = openCache(t, { name })
  const waiting = within('the entry', other.waitFor('later', { timeout: '9s' }))
  cache.set('later', 2)
  t.is((await waiting).value, 2)
  t.true(timers.size > 4)
})
