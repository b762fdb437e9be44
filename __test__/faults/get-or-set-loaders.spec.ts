/**
 * Loads of a whole host: the loader is killed, suspended (SIGSTOP) or terminated.
 *
 * The tests run one after the other: they measure, and leases are short.
 */
import { setTimeout as delay } from 'node:timers/promises'
import ava from 'ava'
import { fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { CALLS, PROCESSES, SOON, crew, isEach, median, sum } from '../helpers/loader-crew.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { isSuspended } from '../helpers/system.ts'
import { startThread } from '../helpers/thread.ts'
import type { LoadOrder, Loaded } from '../children/loader.ts'

const test = ava.serial

/** A kill is noticed within a few probes of 25 ms each, also on a busy machine. */
const WAIT_AFTER_KILL = 1000

test('the next process loads at once when the loading process is killed, so there are two loads', async (t) => {
  t.timeout(120_000)
  const { cache, children, name } = await crew(t, PROCESSES - 1)
  const waits: number[] = []
  for (let round = 0; round < 11; round++) {
    const key = `k${round}`
    const victim = fork(t, 'loader', { name })
    await victim.next(SOON)
    victim.send({ key, value: 'of the dead', takes: Infinity, tell: true } satisfies LoadOrder)
    t.is(await victim.next(SOON), 'loading')
    const order: LoadOrder = { key, value: 'of the next', calls: CALLS, options: { ttl: '1h' } }
    const asked = children.map((child) => child.ask<Loaded>(order, SOON))
    await delay(50)
    victim.kill()
    const killed = Date.now()
    const results = await Promise.all(asked)
    t.is(sum(results), 1, 'besides the load of the dead process')
    for (const { values } of results) t.deepEqual(values, Array(CALLS).fill('of the next'))
    waits.push(Math.max(...results.map(({ at = 0 }) => at)) - killed)
  }
  t.log(`from the kill to the last answer: ${median(waits)} ms at the median, ${Math.max(...waits)} ms at most`)
  t.true(median(waits) < WAIT_AFTER_KILL)
  t.deepEqual(problems(cache), [])
})

test('a loader that is suspended past its lease stores nothing when it continues', async (t) => {
  const { cache, children } = await crew(t, 2)
  const [zombie, other] = children as [Child, Child]
  zombie.send({
    key: 'a',
    value: 'of the suspended',
    takes: 200,
    tell: true,
    options: { lease: 400 },
  } satisfies LoadOrder)
  t.is(await zombie.next(), 'loading')
  zombie.kill('SIGSTOP')
  await isSuspended(zombie.process.pid)
  const next = await other.ask<Loaded>({ key: 'a', value: 'of the next' } satisfies LoadOrder, SOON)
  t.deepEqual(next.values, ['of the next'])
  t.is(next.loads, 1)
  zombie.kill('SIGCONT')
  const late = await zombie.next<Loaded>(SOON)
  // Its lease and its loader end in the same turn: its caller gets its own value or ERR_TIMEOUT. No other caller gets
  // either.
  t.true(late.values?.[0] === 'of the suspended' || late.error?.code === 'ERR_TIMEOUT', JSON.stringify(late))
  t.is(cache.get('a'), 'of the next')
  t.deepEqual(problems(cache), [])
})

test('the next caller loads at once when a loading worker thread is terminated', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const waits: number[] = []
  for (let round = 0; round < 5; round++) {
    const thread = startThread(t, 'loader', { name })
    await thread.next(SOON)
    const order: LoadOrder = { key: `k${round}`, value: 0, takes: Infinity, tell: true }
    t.is(await thread.ask(order, SOON), 'loading')
    const next = cache.getOrSet(`k${round}`, () => 'of the next')
    const start = performance.now()
    await thread.worker.terminate()
    t.is(await next, 'of the next')
    waits.push(performance.now() - start)
  }
  t.log(`from terminate to the answer: ${median(waits).toFixed(1)} ms at the median`)
  t.deepEqual(problems(cache), [])
})

test('once runs once for all processes; a killed run does not count, and clear and restarts forget nothing', async (t) => {
  t.timeout(60_000)
  const { cache, children, name } = await crew(t, 4)
  const victim = fork(t, 'loader', { name })
  await victim.next(SOON)
  victim.send({ key: 'job', value: 0, takes: Infinity, tell: true, once: true } satisfies LoadOrder)
  t.is(await victim.next(SOON), 'loading')
  const order: LoadOrder = { key: 'job', value: { done: true }, calls: 10, takes: 20, once: true }
  const asked = children.map((child) => child.ask<Loaded>(order, SOON))
  await delay(50)
  victim.kill()
  const results = await Promise.all(asked)
  t.is(sum(results), 1)
  for (const { values } of results) t.true(isEach(values, 10, { done: true }))
  cache.clear()
  for (const child of children) {
    child.kill()
    await child.exit
  }
  t.deepEqual(await cache.once('job', () => t.fail()), { done: true } as never)
  t.deepEqual(problems(cache), [])
})
