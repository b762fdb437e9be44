/**
 * Limiters and metrics that processes and threads share. One test at a time: each starts several of both.
 */
import test from 'ava'
import { segments } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { WINDOW } from '../helpers/consuming.ts'
import { readExposition, rendered } from '../helpers/exposition.ts'
import { fork } from '../helpers/fork.ts'
import { native, nativeHandles, problems } from '../helpers/internals.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { testIf, works } from '../helpers/system.ts'
import { startThread } from '../helpers/thread.ts'

test.serial('processes and threads share the tokens', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '8mb' })
  const input = { name, size: '8mb', limit: 5000, calls: 1000 }
  const workers = [1, 2, 3, 4].map((n) =>
    n % 2 === 0 ? fork(t, 'consumer', input) : startThread(t, 'consumer', input),
  )
  await Promise.all(workers.map((worker) => worker.next()))
  await Promise.all(workers.map((worker) => worker.ask<number[]>('go', 30_000)))
  t.is(cache.limiter('api', { limit: 5000, window: WINDOW }).peek('key').remaining, 1000)
})

test.serial('any process or thread renders the metrics of all, also of workers that have ended', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const start = (worker: number) => {
    const input = { name, size: '8mb', worker }
    return worker % 2 === 0 ? fork(t, 'measurer', input) : startThread(t, 'measurer', input)
  }
  const workers = [0, 1, 2, 3].map(start)
  await Promise.all(workers.map((worker) => worker.next()))
  await Promise.all(workers.map((worker) => worker.ask<string>(2000, 30_000)))
  for (const worker of workers.slice(0, 2))
    await ('kill' in worker ? (worker.kill(), worker.exit) : worker.worker.terminate())
  const late = start(4)
  await late.next()
  const text = await late.ask<string>(1, 30_000)
  const read = readExposition(text)
  t.is(read.get('common_total')?.samples.get('common_total'), 8001)
  t.is(read.get('common_total')?.help, 'Of all workers.')
  t.is(read.get('connections')?.samples.get('connections'), 8001)
  t.is(read.get('seconds')?.samples.get('seconds_sum{route="/"}'), 4000.5)
  for (let worker = 0; worker < 4; worker++) {
    t.is(read.get('own_total')?.samples.get(`own_total{worker="${worker}"}`), 4000)
  }
  t.is(text.replace(/^.*cache_machine.*\n/gm, ''), rendered(cache))
  t.deepEqual(problems(cache), [])
})

/** The keys of all records of metrics. */
function metricKeys(cache: SharedCache): string[] {
  return native.metricsAll(nativeHandles.get(cache)?.id ?? 0).map(({ key }) => key)
}

test.serial('a living gauge forgets killed processes, ended threads and closed caches, and no other', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const gauge = cache.metrics().gauge('open_requests', {}, { aggregate: 'living' })
  const shared = cache.metrics().gauge('connections')
  const input = { name, size: '8mb', worker: 0 }
  const [killed, living] = [fork(t, 'measurer', input), fork(t, 'measurer', input)]
  const thread = startThread(t, 'measurer', input)
  await Promise.all([killed, living, thread].map((worker) => worker.next()))
  await Promise.all([killed.ask(1, 30_000), living.ask(20, 30_000), thread.ask(300, 30_000)])
  const other = openCache(t, { name })
  other.metrics().gauge('open_requests', {}, { aggregate: 'living' }).set(4000)
  gauge.set(50_000)
  t.is(gauge.value, 54_321)
  const samples = () => readExposition(rendered(cache)).get('open_requests')?.samples
  t.deepEqual([...(samples() ?? [])], [['open_requests', 54_321]])

  killed.kill()
  await killed.exit
  t.is(gauge.value, 54_320)
  await thread.worker.terminate()
  t.is(gauge.value, 54_020)
  other.close()
  t.is(samples()?.get('open_requests'), 50_020)
  t.is(shared.value, 321)
  gauge.dec(50_000)
  t.is(gauge.value, 20)
  gauge.reset()
  t.is(gauge.value, 20)
  t.is(metricKeys(cache).filter((key) => key.startsWith('open_requests{')).length, 2)
  t.is(
    readExposition(await living.ask<string>(1))
      .get('open_requests')
      ?.samples.get('open_requests'),
    21,
  )
  t.deepEqual(problems(cache), [])
})

testIf(works('unshare', '-pf', '--kill-child', 'true'))(
  'a living gauge tells processes apart that have the same number in their PID namespaces',
  async (t) => {
    const name = segmentName(t)
    const cache = openCache(t, { name })
    const wrapper = ['unshare', '-pf', '--kill-child']
    const input = { name, size: '8mb', worker: 0 }
    const [first, second] = [fork(t, 'measurer', input, { wrapper }), fork(t, 'measurer', input, { wrapper })]
    await Promise.all([first.next(), second.next()])
    await Promise.all([first.ask(3), second.ask(5)])
    const { value } = cache.metrics().gauge('open_requests', {}, { aggregate: 'living' })
    t.is(value, 8)
    first.kill()
    await first.exit
    await eventually('the namespace has ended', () => cache.stats().processes === 2)
    t.is(readExposition(rendered(cache)).get('open_requests')?.samples.get('open_requests'), 5)
    t.is(cache.metrics().gauge('open_requests', {}, { aggregate: 'living' }).value, 5)
  },
)

test.serial('a living gauge starts anew in a segment that was made anew, and delete removes all its parts', (t) => {
  const name = segmentName(t)
  const [cache, other] = [openCache(t, { name }), openCache(t, { name })]
  const living = { aggregate: 'living' } as const
  const gauge = cache.metrics().gauge('g', { a: '}@x' }, living)
  const second = other.metrics().gauge('g', { a: '}@x' }, living)
  gauge.inc(2)
  second.inc(3)
  segments.destroy(name, { force: true })
  gauge.inc(4)
  t.is(gauge.value, 4)
  second.inc(5)
  t.is(gauge.value, 9)
  t.is(rendered(cache), '# TYPE g gauge\ng{a="}@x"} 9\n')

  t.true(cache.metrics().delete('g', { a: '}@x' }))
  t.false(cache.metrics().delete('g', { a: '}@x' }))
  t.is(gauge.value, 0)
  gauge.inc()
  second.inc()
  t.is(second.value, 2)
  t.true(other.metrics().delete('g'))
  t.deepEqual(metricKeys(cache), [])
  t.throws(() => cache.metrics().gauge('g', {}, { aggregate: 'sum' as 'living' }), { code: 'ERR_INVALID_ARGUMENT' })
})
