/**
 * Loads of a whole host: one loader for all processes, and what becomes of its waiters when it dies, stops or fails.
 *
 * One after the other, since they measure and since leases are short.
 */
import { setTimeout as delay } from 'node:timers/promises'
import ava from 'ava'
import type { ExecutionContext } from 'ava'
import { problems } from '../lib/testing.ts'
import type { LoadOrder, Loaded } from './children/loader.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import type { Child } from './helpers/fork.ts'
import { openCache, segmentName } from './helpers/segment.ts'
import { isStopped } from './helpers/system.ts'
import { startThread } from './helpers/thread.ts'

const test = ava.serial

const PROCESSES = 8
const CALLS = 100
/** Generous: reached only by what hangs. */
const SOON = 30_000

/** A kill is noticed within a few probes, of 25 ms each, also on a machine that is busy. */
const WAIT_AFTER_KILL = 1000

test('8 processes ask for a missing key, 100 times each: it is loaded once', async (t) => {
  t.timeout(120_000)
  const { cache, children } = await crew(t, PROCESSES)
  const rounds = []
  for (let round = 0; round < 5; round++) {
    const order: LoadOrder = { key: `k${round}`, value: { round }, calls: CALLS, takes: 30, options: { ttl: '1h' } }
    const start = performance.now()
    const results = await Promise.all(children.map((child) => child.ask<Loaded>(order, SOON)))
    rounds.push(performance.now() - start)
    t.is(sum(results), 1)
    for (const { values } of results) t.deepEqual(values, Array(CALLS).fill({ round }))
  }
  t.log(
    `${PROCESSES} × ${CALLS} calls: 1 load of 30 ms each, all answered after ${median(rounds).toFixed(1)} ms at the median`,
  )
  t.deepEqual(problems(cache), [])
})

test('the loader is killed half-way: the next one loads at once, so there are two loads', async (t) => {
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
    t.is(sum(results), 1, 'and one of the dead')
    for (const { values } of results) t.deepEqual(values, Array(CALLS).fill('of the next'))
    waits.push(Math.max(...results.map(({ at = 0 }) => at)) - killed)
  }
  t.log(`from the kill to the last answer: ${median(waits)} ms at the median, ${Math.max(...waits)} ms at most`)
  t.true(median(waits) < WAIT_AFTER_KILL)
  t.deepEqual(problems(cache), [])
})

test('a loader that is stopped past its lease stores nothing when it goes on', async (t) => {
  const { cache, children } = await crew(t, 2)
  const [zombie, other] = children as [Child, Child]
  zombie.send({ key: 'a', value: 'of the zombie', takes: 200, tell: true, options: { lease: 400 } } satisfies LoadOrder)
  t.is(await zombie.next(), 'loading')
  zombie.kill('SIGSTOP')
  await isStopped(zombie.process.pid)
  const next = await other.ask<Loaded>({ key: 'a', value: 'of the next' } satisfies LoadOrder, SOON)
  t.deepEqual(next.values, ['of the next'])
  t.is(next.loads, 1)
  zombie.kill('SIGCONT')
  const late = await zombie.next<Loaded>(SOON)
  // Its lease and its loader end in the same turn: it gets its own value, or ERR_TIMEOUT. Nobody else gets either.
  t.true(late.values?.[0] === 'of the zombie' || late.error?.code === 'ERR_TIMEOUT', JSON.stringify(late))
  t.is(cache.get('a'), 'of the next')
  t.deepEqual(problems(cache), [])
})

test('an error of the loader reaches those who wait in all processes, and is not kept', async (t) => {
  const { cache, children } = await crew(t, 4)
  const fails = { name: 'Refusal', message: 'not now', status: 503 }
  const [first, ...others] = children as [Child, ...Child[]]
  first.send({ key: 'a', value: 0, takes: 300, tell: true, fails, calls: 10 } satisfies LoadOrder)
  t.is(await first.next(), 'loading')
  const asked = others.map((child) => child.ask<Loaded>({ key: 'a', value: 1, calls: 10 } satisfies LoadOrder, SOON))
  for (const result of [first.next<Loaded>(SOON), ...asked]) {
    t.deepEqual((await result).error, { ...fails, code: undefined })
  }
  t.is((await asked[0])?.loads, 0)
  t.is(await cache.getOrSet('a', () => 2), 2)
})

test('a worker thread is terminated during its load: the next one loads at once', async (t) => {
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

test('a load in another process can be waited for with a limit, and with a stale value', async (t) => {
  const { cache, children } = await crew(t, 1)
  const [loader] = children as [Child]
  await cache.getOrSet('a', () => 'old', { ttl: 1, stale: '1h' })
  await eventually('it is stale', () => !cache.has('a'))
  const slow: LoadOrder = { key: 'a', value: 'new', takes: 500, tell: true }
  t.is(await loader.ask(slow, SOON), 'loading')
  const never = (): string => t.fail() as unknown as string
  t.is(await cache.getOrSet('a', never, { stale: '1h' }), 'old')
  t.is(await cache.getOrSet('a', never, { stale: '1h', timeout: 5 }), 'old')
  await t.throwsAsync(cache.getOrSet('a', never, { hardTimeout: 5 }), { code: 'ERR_TIMEOUT' })
  await t.throwsAsync(cache.getOrSet('a', never, { signal: AbortSignal.timeout(5) }) as Promise<never>, { any: true })
  t.is(await cache.getOrSet('a', never), 'new')
})

test('once: 8 processes, one run; a run that is killed does not count; clear and restarts forget nothing', async (t) => {
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
  for (const { values } of results) t.deepEqual(values, Array(10).fill({ done: true }))
  cache.clear()
  for (const child of children) {
    child.kill()
    await child.exit
  }
  t.deepEqual(await cache.once('job', () => t.fail()), { done: true } as never)
  t.deepEqual(problems(cache), [])
})

test('waiting for a load elsewhere keeps the process alive', async (t) => {
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

async function crew(t: ExecutionContext, count: number): Promise<Crew> {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = Array.from({ length: count }, () => fork(t, 'loader', { name }))
  for (const child of children) await child.next(SOON)
  return { name, cache, children }
}

interface Crew {
  readonly name: string
  readonly cache: ReturnType<typeof openCache>
  readonly children: Child[]
}

function sum(results: readonly Loaded[]): number {
  return results.reduce((loads, result) => loads + result.loads, 0)
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}
