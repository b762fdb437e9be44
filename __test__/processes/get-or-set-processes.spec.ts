/**
 * Loads of a whole host: one loader for all processes.
 *
 * The tests run one after the other: they measure, and leases are short.
 */
import ava from 'ava'
import { eventually } from '../helpers/eventually.ts'
import type { Child } from '../helpers/fork.ts'
import { gate } from '../helpers/gate.ts'
import { problems } from '../helpers/internals.ts'
import { CALLS, PROCESSES, SOON, crew, isEach, median, sum } from '../helpers/loader-crew.ts'
import type { LoadOrder, Loaded } from '../children/loader.ts'

const test = ava.serial

test('a missing key is loaded once for 100 calls in each of 8 processes', async (t) => {
  t.timeout(120_000)
  const { cache, children } = await crew(t, PROCESSES)
  const rounds = []
  for (let round = 0; round < 5; round++) {
    const order: LoadOrder = { key: `k${round}`, value: { round }, calls: CALLS, takes: 30, options: { ttl: '1h' } }
    const start = performance.now()
    const results = await Promise.all(children.map((child) => child.ask<Loaded>(order, SOON)))
    rounds.push(performance.now() - start)
    t.is(sum(results), 1)
    for (const { values } of results) t.true(isEach(values, CALLS, { round }))
  }
  t.log(
    `${PROCESSES} × ${CALLS} calls: 1 load of 30 ms each, all answered after ${median(rounds).toFixed(1)} ms at the median`,
  )
  t.deepEqual(problems(cache), [])
})

test('an error of the loader reaches the waiters of all processes, and is not stored', async (t) => {
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

test('a thrown value that cannot be stored reaches the waiters of other processes as an Error', async (t) => {
  const { cache, children } = await crew(t, 2)
  const failed = gate<string>()
  const first = cache.getOrSet('a', () => failed.promise)
  for (const child of children) child.send({ key: 'a', value: 1, told: true } satisfies LoadOrder)
  for (const child of children) t.is(await child.next(SOON), 'asked')
  failed.fail({ status: 404, message: 'gone', toResponse: () => undefined })
  await t.throwsAsync(first as Promise<never>, { any: true })
  for (const child of children) {
    const { loads, error } = await child.next<Loaded>(SOON)
    t.is(loads, 0)
    t.deepEqual(error, { name: 'Error', message: 'gone', status: 404, code: undefined })
  }
})

test('a wait for a load in another process obeys time limits, and can return a stale value', async (t) => {
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
