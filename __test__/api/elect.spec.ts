/**
 * Elections within one process.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { CacheError } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

test('the first caller leads, and the next one when it resigns', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const first = await within('the election', cache.elect('cron'))
  t.true(first.leads)
  t.is(first.name, 'cron')
  const waiting = within('the election', other.elect('cron'))
  await turnOfTheLoop()
  t.true(first.resign())
  t.false(first.resign())
  t.false(first.leads)
  const second = await waiting
  t.true(second.leads)
  t.true(second.token > first.token)
  t.false(first.signal.aborted, 'a resignation is no loss')
  other.close()
  t.is((second.signal.reason as CacheError).code, 'ERR_CLOSED')
  const { leads } = await within('the election', cache.elect('cron'))
  t.true(leads)
})

test('using and await using resign', async (t) => {
  const cache = openCache(t)
  {
    using leadership = await within('the election', cache.elect('cron'))
    t.true(leadership.leads)
  }
  {
    await using leadership = await within('the election', cache.elect('cron'))
    t.true(leadership.leads)
  }
  t.true((await within('the election', cache.elect('cron', { timeout: 0 }))).leads)
})

test('timeout, abort and close end the wait for a leadership', async (t) => {
  const cache = openCache(t)
  await cache.elect('cron')
  await t.throwsAsync(within('the timeout', cache.elect('cron', { timeout: 5 })), {
    instanceOf: CacheError,
    code: 'ERR_TIMEOUT',
  })
  const reason = new RangeError('changed my mind')
  await t.throwsAsync(cache.elect('cron', { signal: AbortSignal.abort(reason) }), { is: reason })
  await t.throwsAsync(cache.elect('', {}), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  await t.throwsAsync(cache.elect('cron', 5 as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  const closed = t.throwsAsync(cache.elect('cron'), { instanceOf: CacheError, code: 'ERR_CLOSED' })
  cache.close()
  await closed
})
