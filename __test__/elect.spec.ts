import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { CacheError, segments } from '../index.ts'
import { problems } from '../lib/testing.ts'
import type { Turn } from './children/turn-taker.ts'
import { within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import type { Child } from './helpers/fork.ts'
import { SMALL, openCache, segmentName } from './helpers/segment.ts'
import { isStopped } from './helpers/system.ts'
import { startThread } from './helpers/thread.ts'

/** A busy machine takes its time to start a process. */
const STARTED = 40_000

test('the first who asks leads, the next one when it resigns', async (t) => {
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
  t.false(first.signal.aborted, 'resigning is no loss')
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

test('timeout, abort and close end the wait for it', async (t) => {
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

test('a destroyed segment takes the leadership, and elects anew', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const leader = await cache.elect('cron')
  const told = within('the signal', new Promise((resolve) => leader.signal.addEventListener('abort', resolve)))
  const waiting = within('the election', other.elect('cron'))
  await turnOfTheLoop()
  segments.destroy(name, { force: true })
  t.true((await waiting).leads)
  await told
  t.is((leader.signal.reason as CacheError).code, 'ERR_LOCK_LOST')
  t.false(leader.leads)
})

test.serial('when the leader is killed another takes over, again and again', async (t) => {
  t.timeout(120_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const candidate = async (): Promise<{ child: Child; turn: Promise<Turn> }> => {
    const child = fork(t, 'turn-taker', { name, size: SMALL })
    await child.next(STARTED)
    const turn = child.ask<Turn>(['elect', 'cron'], 100_000)
    turn.catch(() => undefined)
    return { child, turn }
  }
  const candidates = [await candidate(), await candidate(), await candidate()]
  let last = 0
  const times: number[] = []
  let died = 0
  for (let i = 0; i < 8; i++) {
    // Leaders come in the order of asking.
    const [leader] = candidates.splice(0, 1)
    const { token = 0, at = 0 } = await within('the election', leader?.turn ?? Promise.reject(new Error('nobody')))
    t.true(token > last)
    last = token
    if (died > 0) times.push(at - died)
    candidates.push(await candidate())
    died = Number(process.hrtime.bigint()) / 1e6
    leader?.child.kill()
  }
  times.sort((a, b) => a - b)
  t.log(`from the kill to the next leader: ${times.map((time) => time.toFixed(1)).join(', ')} ms`)
  t.true((times[3] ?? Infinity) < 100, `the median is ${times[3]} ms`)
  t.deepEqual(problems(cache), [])
})

test.serial('a leader that is only stopped leads on; a terminated worker thread does not', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'turn-taker', { name, size: SMALL })
  await child.next(STARTED)
  await child.ask(['elect', 'cron'])
  child.kill('SIGSTOP')
  await isStopped(child.process.pid)
  await t.throwsAsync(within('the timeout', cache.elect('cron', { timeout: 200 })), { code: 'ERR_TIMEOUT' })
  child.kill('SIGCONT')
  t.true(await child.ask(['held', 'cron']))
  t.true(await child.ask(['release', 'cron']))

  const thread = startThread(t, 'turn-taker', { name, size: SMALL })
  await thread.next(STARTED)
  await thread.ask(['elect', 'cron'])
  const waiting = within('the election', cache.elect('cron'))
  await thread.worker.terminate()
  t.true((await waiting).leads)
})
