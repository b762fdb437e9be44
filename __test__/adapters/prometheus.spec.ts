/**
 * cache-machine/prometheus with prom-client 15: registries of several workers in one process, the instruments in shared
 * memory, and the stats of a cache. `prometheus-workers.spec.ts` has real workers.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import * as client from 'prom-client'
import { collectCacheMetrics, sharedMetrics, sharedRegistry } from '../../lib/adapters/prometheus.ts'
import type { SharedRegistry, SharedRegistryOptions } from '../../lib/adapters/prometheus.ts'
import { createTestCache } from '../../testing.ts'
import type { TestCache } from '../../testing.ts'
import { readScrape } from '../helpers/exposition.ts'
import type { ReadMetric } from '../helpers/exposition.ts'

const { AggregatorRegistry, Registry } = client
const INVALID = { code: 'ERR_INVALID_ARGUMENT' }

type Engine = 'portable' | 'native'

function cacheFor(t: ExecutionContext, engine: Engine): TestCache {
  const cache = createTestCache({ engine, size: '8mb' })
  t.teardown(() => cache.close())
  return cache
}

interface Worker {
  readonly registry: client.Registry
  readonly shared: SharedRegistry
}

/** A registry of its own, as another worker has it. It publishes when it is asked, not by its interval. */
function workerOf(t: ExecutionContext, cache: TestCache, options: Partial<SharedRegistryOptions> = {}): Worker {
  const registry = new Registry()
  const patient = { interval: '1d', timeout: '30s' } as const
  const shared = sharedRegistry(cache, { register: registry, AggregatorRegistry, ...patient, ...options })
  t.teardown(() => shared.close())
  return { registry, shared }
}

async function scrape({ shared }: Worker): Promise<Map<string, ReadMetric>> {
  return readScrape(await shared.metrics())
}

async function valueOf(worker: Worker, name: string, series = name): Promise<number | undefined> {
  return (await scrape(worker)).get(name)?.samples.get(series)
}

function counterIn({ registry }: Worker, name = 'requests_total'): client.Counter {
  return new client.Counter({ name, help: 'Requests.', labelNames: ['method'], registers: [registry] })
}

for (const engine of ['portable', 'native'] as const) {
  const check = (title: string, run: (t: ExecutionContext, cache: TestCache) => Promise<unknown>): void => {
    test(`prometheus, ${engine}: ${title}`, (t) => run(t, cacheFor(t, engine)).then(() => undefined))
  }

  check('any worker answers for all, with the values of this moment', async (t, cache) => {
    const [one, two] = [workerOf(t, cache), workerOf(t, cache)]
    const counters = [counterIn(one), counterIn(two)]
    for (let i = 1; i <= 3; i++) {
      for (const counter of counters) counter.inc({ method: 'GET' })
      for (const worker of [one, two]) {
        t.is(await valueOf(worker, 'requests_total', 'requests_total{method="GET"}'), 2 * i)
      }
    }
    t.is(await one.shared.metrics(), await one.shared.clusterMetrics())
    t.is(one.shared.contentType, Registry.PROMETHEUS_CONTENT_TYPE)
    t.regex(await one.shared.getSingleMetricAsString('requests_total'), /requests_total\{method="GET"\} 6/)
    t.like(await one.shared.getMetricsAsJSON(), [{ name: 'requests_total', values: [{ value: 6 }] }])
  })

  check('the rules of prom-client combine the values', async (t, cache) => {
    const workers = [workerOf(t, cache), workerOf(t, cache), workerOf(t, cache)]
    const aggregators = ['sum', 'first', 'min', 'max', 'average', 'omit'] as const
    for (const [i, { registry }] of workers.entries()) {
      for (const aggregator of aggregators) {
        const help = 'A gauge.'
        new client.Gauge({ name: `by_${aggregator}`, help, aggregator, registers: [registry] }).set(10 ** i)
      }
      const seconds = new client.Histogram({ name: 's', help: 'Time.', buckets: [1, 2], registers: [registry] })
      for (let n = 0; n <= i; n++) seconds.observe(n + 0.5)
      registry.setDefaultLabels({ host: 'a"b' })
    }
    const theirs = AggregatorRegistry.aggregate(
      await Promise.all(workers.map(({ registry }) => registry.getMetricsAsJSON())),
    )
    const expected = readScrape(await theirs.metrics())
    for (const [i, worker] of workers.entries()) {
      const found = await scrape(worker)
      // The first one is the worker that is asked.
      t.is(found.get('by_first')?.samples.get('by_first{host="a\\"b"}'), 10 ** i)
      t.false(found.has('by_omit'))
      for (const name of ['by_sum', 'by_min', 'by_max', 'by_average', 's']) {
        t.deepEqual(found.get(name), expected.get(name))
      }
    }
  })

  check('what a worker counted stays when it is gone, and its gauges go', async (t, cache) => {
    const staying = workerOf(t, cache)
    counterIn(staying).inc({ method: 'GET' })
    for (let round = 1; round <= 4; round++) {
      const going = workerOf(t, cache)
      counterIn(going).inc({ method: 'GET' }, 10)
      new client.Gauge({ name: 'open', help: 'Open.', registers: [going.registry] }).set(5)
      new client.Counter({ name: 'max', help: 'Max.', aggregator: 'max', registers: [going.registry] }).inc(round)
      new client.Histogram({ name: 's', help: 'Time.', buckets: [1], registers: [going.registry] }).observe(0.5)
      t.is(await valueOf(staying, 'open'), 5)
      await going.shared.close()
      const after = await scrape(staying)
      t.is(after.get('requests_total')?.samples.get('requests_total{method="GET"}'), 1 + 10 * round)
      t.is(after.get('open'), undefined)
      t.is(after.get('max')?.samples.get('max'), round)
      t.deepEqual(
        after.get('s')?.samples,
        new Map([
          ['s_bucket{le="1"}', round],
          ['s_bucket{le="+Inf"}', round],
          ['s_sum', round / 2],
          ['s_count', round],
        ]),
      )
      // A worker that has left still answers, for all.
      t.is(await valueOf(going, 'requests_total', 'requests_total{method="GET"}'), 1 + 10 * round)
    }
    // Of dead workers, only the sums are left.
    const space = cache.namespace('prometheus')
    t.is([...space.keys({ prefix: 'worker:' })].length, 1)
  })

  check('a dead worker counts once, however many workers find it', async (t, cache) => {
    const workers = [workerOf(t, cache), workerOf(t, cache), workerOf(t, cache)]
    for (let round = 1; round <= 5; round++) {
      const going = workerOf(t, cache)
      counterIn(going).inc({ method: 'GET' })
      await going.shared.close()
      const series = 'requests_total{method="GET"}'
      const found = await Promise.all(workers.map((worker) => valueOf(worker, 'requests_total', series)))
      t.deepEqual(found, [round, round, round])
    }
  })

  check('the counters of the dead survive a clear of the cache', async (t, cache) => {
    const [one, going] = [workerOf(t, cache), workerOf(t, cache)]
    counterIn(one).inc({ method: 'GET' })
    counterIn(going).inc({ method: 'GET' }, 10)
    await going.shared.close()
    t.is(await valueOf(one, 'requests_total', 'requests_total{method="GET"}'), 11)
    cache.clear()
    t.is(await valueOf(one, 'requests_total', 'requests_total{method="GET"}'), 11)
    const late = workerOf(t, cache)
    t.is(await valueOf(late, 'requests_total', 'requests_total{method="GET"}'), 11)
  })

  check('a full cache evicts no snapshot and no sum', async (t, cache) => {
    const [one, going] = [workerOf(t, cache), workerOf(t, cache)]
    counterIn(going).inc({ method: 'GET' }, 10)
    await going.shared.close()
    t.is(await valueOf(one, 'requests_total', 'requests_total{method="GET"}'), 10)
    for (let i = 0; i < 3000; i++) cache.set(`filler:${i}`, 'x'.repeat(10_000))
    t.true(cache.stats().evictions > 0)
    const late = workerOf(t, cache)
    t.is(await valueOf(late, 'requests_total', 'requests_total{method="GET"}'), 10)
  })

  check('quantiles of summaries are left out, their sums and counts are not', async (t, cache) => {
    const workers = [workerOf(t, cache), workerOf(t, cache)]
    for (const { registry } of workers) {
      new client.Summary({ name: 'sizes', help: 'Sizes.', registers: [registry] }).observe(4)
    }
    const text = await workers[0]?.shared.metrics()
    t.is(text, '# HELP sizes Sizes.\n# TYPE sizes summary\nsizes_sum 8\nsizes_count 2\n')
    readScrape(text ?? '')
  })

  check(
    'workers of two versions with different buckets make a valid histogram, that of the later one',
    async (t, cache) => {
      const old = workerOf(t, cache)
      new client.Histogram({ name: 's', help: 'Old.', buckets: [1, 2], registers: [old.registry] }).observe(1.5)
      await turn()
      const started = Date.now()
      while (Date.now() === started) await turn()
      const current = workerOf(t, cache)
      new client.Histogram({ name: 's', help: 'New.', buckets: [1, 3], registers: [current.registry] }).observe(2.5)
      for (const worker of [old, current]) {
        t.deepEqual([...((await scrape(worker)).get('s')?.samples ?? [])].slice(0, 3), [
          ['s_bucket{le="1"}', 0],
          ['s_bucket{le="3"}', 1],
          ['s_bucket{le="+Inf"}', 1],
        ])
      }
      await old.shared.close()
      t.is(await valueOf(current, 's', 's_count'), 1)
      await current.shared.close()
      t.is(await valueOf(workerOf(t, cache), 's', 's_count'), 1)
    },
  )

  check('a slow collection never brings a counter down', async (t, cache) => {
    const [one, two] = [workerOf(t, cache), workerOf(t, cache)]
    const counter = counterIn(one)
    const releases: (() => void)[] = []
    let isSlow = true
    const collect = async (): Promise<void> => {
      if (isSlow) await new Promise<void>((resolve) => releases.push(resolve))
    }
    counter.inc({ method: 'GET' })
    one.registry.registerMetric(new client.Gauge({ name: 'slow', help: 'Slow.', registers: [], collect }))
    const slow = one.shared.publish()
    isSlow = false
    counter.inc({ method: 'GET' })
    await one.shared.publish()
    for (const release of releases) release()
    await slow
    const stored = [...cache.namespace('prometheus').entries({ prefix: 'worker:' })].map(([, value]) => value)
    t.true(JSON.stringify(stored).includes('"value":2,"labels":{"method":"GET"}'))
    t.is(await valueOf(two, 'requests_total', 'requests_total{method="GET"}'), 2)
  })

  check('the format of OpenMetrics has the names that it asks for', async (t, cache) => {
    const registers = [1, 2].map(() => {
      const registry = new Registry<client.OpenMetricsContentType>()
      registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
      new client.Counter({ name: 'jobs_total', help: 'Jobs.', registers: [registry] }).inc()
      return registry
    })
    // A local answer changes the names of the metrics of prom-client.
    await registers[0]?.metrics()
    const workers = registers.map((register) => workerOf(t, cache, { register }))
    for (const { shared } of workers) {
      t.is(await shared.metrics(), '# HELP jobs Jobs.\n# TYPE jobs counter\njobs_total 2\n# EOF\n')
      t.is(shared.contentType, Registry.OPENMETRICS_CONTENT_TYPE)
    }
  })

  check('several registries of one worker, and namespaces apart', async (t, cache) => {
    const more = new Registry()
    new client.Counter({ name: 'b', help: 'B.', registers: [more] }).inc()
    const registry = new Registry()
    new client.Counter({ name: 'a', help: 'A.', registers: [registry] }).inc()
    const both = workerOf(t, cache, { register: [registry, more] })
    const other = workerOf(t, cache, { namespace: 'other' })
    t.deepEqual([...(await scrape(both)).keys()], ['a', 'b'])
    t.deepEqual([...(await scrape(other)).keys()], [])
  })

  check('trouble with the segment leaves a scrape with the metrics of its worker', async (t, cache) => {
    const errors: unknown[] = []
    const worker = workerOf(t, cache, { onError: (error) => errors.push(error) })
    counterIn(worker).inc({ method: 'GET' })
    await worker.shared.publish()
    cache.failNext('ERR_BUSY', { on: 'write' })
    t.is(await valueOf(worker, 'requests_total', 'requests_total{method="GET"}'), 1)
    t.like(errors, [{ code: 'ERR_BUSY' }])
    cache.close()
    t.is(await valueOf(worker, 'requests_total', 'requests_total{method="GET"}'), 1)
    t.like(errors, [{ code: 'ERR_BUSY' }, { code: 'ERR_CLOSED' }])
  })

  check('an error of a collect function fails the scrape of its worker alone', async (t, cache) => {
    const errors: unknown[] = []
    const onError = (error: unknown): void => void errors.push(error)
    const [one, two] = [workerOf(t, cache, { onError }), workerOf(t, cache)]
    const collect = (): never => {
      throw new Error('no sensor')
    }
    one.registry.registerMetric(new client.Gauge({ name: 'broken', help: 'Broken.', registers: [], collect }))
    counterIn(two).inc({ method: 'GET' })
    await t.throwsAsync(one.shared.metrics(), { message: 'no sensor' })
    t.is(await valueOf(two, 'requests_total', 'requests_total{method="GET"}'), 1)
    t.like(errors, [{ message: 'no sensor' }])
  })

  check('instruments in shared memory give the same text as those of prom-client', async (t, cache) => {
    const [ours, theirs] = [new Registry(), new Registry()]
    const shared = sharedMetrics(cache, { register: ours })
    const texts = [shared, client].map(async (source, i) => {
      const registers = [i === 0 ? ours : theirs]
      // The types of prom-client and of ours differ in their unions only.
      const { Counter, Gauge, Histogram } = source as unknown as typeof client
      const plain = new Counter({ name: 'plain_total', help: 'Plain.', registers })
      const counter = new Counter({ name: 'c_total', help: 'C\\c\n.', labelNames: ['b', 'a'] as const, registers })
      const gauge = new Gauge({ name: 'g', help: 'G.', labelNames: ['a'] as const, registers })
      const histogram = new Histogram({ name: 'h', help: 'H.', labelNames: ['a'], buckets: [1, 2.5], registers })
      const usual = new Histogram({ name: 'usual', help: 'Usual.', registers })
      usual.observe(0.3)
      plain.inc()
      plain.inc(2.5)
      counter.inc({ a: 'x"\\\n', b: 1 })
      counter.inc({ a: 'only a' }, 4)
      counter.labels('first', 'second').inc(2)
      counter.labels({ b: 'first', a: 'second' }).inc()
      counter.inc({ a: 'gone' })
      counter.remove({ a: 'gone' })
      counter.inc({ b: 'gone', a: 'too' })
      counter.remove('gone', 'too')
      gauge.set({ a: '1' }, 7)
      gauge.inc({ a: '1' }, 2)
      gauge.dec({ a: '1' })
      gauge.labels('2').set(Infinity)
      gauge.labels('3').dec(2)
      histogram.observe({ a: 'x' }, 2)
      histogram.labels('x').observe(9)
      histogram.zero({ a: 'y' })
      t.is(
        await (i === 0 ? ours : theirs).getSingleMetricAsString('plain_total'),
        ['# HELP plain_total Plain.', '# TYPE plain_total counter', 'plain_total 3.5'].join('\n'),
      )
      return readScrape(await (i === 0 ? ours : theirs).metrics())
    })
    const [found, expected] = await Promise.all(texts)
    const sorted = (all?: ReadonlyMap<string, ReadMetric>): unknown =>
      [...(all ?? [])].map(([name, { samples, ...rest }]) => [name, rest, [...samples].toSorted()])
    t.deepEqual(sorted(found), sorted(expected))
    ours.resetMetrics()
    t.is((await ours.getSingleMetricAsString('plain_total')).split('\n').at(-1), 'plain_total 0')
    t.is((await ours.getSingleMetricAsString('h')).split('\n').length, 2)
  })

  check('timers of instruments measure seconds', async (t, cache) => {
    const register = new Registry()
    const { Gauge, Histogram } = sharedMetrics(cache, { register })
    const gauge = new Gauge({ name: 'g', help: 'G.', labelNames: ['a'] })
    const histogram = new Histogram({ name: 'h', help: 'H.', labelNames: ['a'], buckets: [100] })
    const ends = [gauge.startTimer(), gauge.labels('x').startTimer(), histogram.startTimer({ a: 'x' })]
    const seconds = ends.map((end) => end({ a: 'x' }))
    t.true(seconds.every((each) => each >= 0 && each < 100))
    gauge.setToCurrentTime({ a: 'now' })
    const text = readScrape(await register.metrics())
    t.is(text.get('h')?.samples.get('h_count{a="x"}'), 1)
    t.is(text.get('g')?.samples.get('g{a="x"}'), seconds[1])
    t.true((text.get('g')?.samples.get('g{a="now"}') ?? 0) > 1_600_000_000)
  })

  check('a registry of shared instruments may be combined as well: each counts once', async (t, cache) => {
    const workers = [workerOf(t, cache), workerOf(t, cache)]
    for (const { registry } of workers) {
      const { Counter, Gauge } = sharedMetrics(cache, { register: registry })
      new Counter({ name: 'shared_total', help: 'Shared.' }).inc()
      new Gauge({ name: 'last', help: 'Last.', aggregator: 'first' }).set(3)
      counterIn({ registry } as Worker).inc({ method: 'GET' })
      collectCacheMetrics(cache, { register: registry })
    }
    for (const worker of workers) {
      const found = await scrape(worker)
      t.is(found.get('shared_total')?.samples.get('shared_total'), 2)
      t.is(found.get('last')?.samples.get('last'), 3)
      t.is(found.get('requests_total')?.samples.get('requests_total{method="GET"}'), 2)
      t.is(found.get('cache_machine_processes')?.samples.get(`cache_machine_processes{cache="${cache.name}"}`), 1)
    }
  })

  check('a measurement on a segment in trouble does not throw', async (t, cache) => {
    const errors: unknown[] = []
    const register = new Registry()
    const { Counter } = sharedMetrics(cache, { register, onError: (error) => errors.push(error) })
    const counter = new Counter({ name: 'c', help: 'C.' })
    counter.inc()
    cache.failNext('ERR_BUSY', { on: 'write', times: 2 })
    counter.inc()
    t.like(errors, [{ code: 'ERR_BUSY' }])
    cache.close()
    counter.inc()
    counter.reset()
    t.is(await register.metrics(), '# HELP c C.\n# TYPE c counter\n')
    t.like(errors, [{ code: 'ERR_BUSY' }, { code: 'ERR_CLOSED' }])
  })

  check('the stats of caches and namespaces join a registry', async (t, cache) => {
    const other = cacheFor(t, engine)
    const register = new Registry()
    for (const each of [cache, other]) {
      each.namespace('sessions').set('a', 1)
      collectCacheMetrics(each, { register, namespaces: true, onError: () => undefined })
    }
    cache.get('missing')
    other.set('b', 2)
    const found = readScrape(await register.metrics())
    const sets = found.get('cache_machine_sets_total')
    t.is(sets?.type, 'counter')
    t.deepEqual(
      [...(sets?.samples ?? [])].toSorted(),
      [cache, other]
        .flatMap(({ name }, i) => [
          [`cache_machine_sets_total{cache="${name}"}`, 1 + i],
          [`cache_machine_sets_total{cache="${name}",namespace="sessions"}`, 1],
        ])
        .toSorted() as [string, number][],
    )
    t.is(found.get('cache_machine_misses_total')?.samples.get(`cache_machine_misses_total{cache="${cache.name}"}`), 1)
    t.is(found.get('cache_machine_lock_wait_seconds')?.type, 'histogram')
    register.resetMetrics()
    t.deepEqual(readScrape(await register.metrics()).get('cache_machine_sets_total'), sets)
    other.close()
    const left = readScrape(await register.metrics()).get('cache_machine_sets_total')
    t.is(left?.samples.size, 2)
  })
}

test('prometheus: wrong arguments are named', (t) => {
  const cache = cacheFor(t, 'portable')
  const register = new Registry()
  const shared = (options: object): unknown => sharedRegistry(cache, options as SharedRegistryOptions)
  t.throws(() => shared({ register }), { ...INVALID, message: /AggregatorRegistry/ })
  t.throws(() => shared({ AggregatorRegistry }), { ...INVALID, message: /register/ })
  t.throws(() => shared({ register: [], AggregatorRegistry }), { ...INVALID, message: /register/ })
  t.throws(() => shared({ register, AggregatorRegistry, interval: 0 }), { code: 'ERR_INVALID_TTL' })
  t.throws(() => shared({ register, AggregatorRegistry, timeout: -1 }), { code: 'ERR_INVALID_TTL' })
  t.throws(() => shared({ register, AggregatorRegistry, intervall: 1 }), { ...INVALID, message: /intervall/ })
  t.throws(() => sharedRegistry({} as never, { register, AggregatorRegistry }), INVALID)
  t.throws(() => sharedMetrics({} as never, { register }), INVALID)
  t.throws(() => sharedMetrics(cache, {} as never), { ...INVALID, message: /register/ })
  t.throws(() => collectCacheMetrics(cache, {} as never), { ...INVALID, message: /register/ })
  const { Counter, Gauge, Histogram } = sharedMetrics(cache, { register })
  t.throws(() => new Counter({ name: 'no help' } as never), { ...INVALID, message: /help/ })
  t.throws(() => new Counter({ name: 'a b', help: 'A.' }), INVALID)
  t.throws(() => new Counter({ name: 'c', help: 'C.', collect: () => 1 } as never), { ...INVALID, message: /collect/ })
  t.throws(() => new Counter({ name: 'c', help: 'C.', enableExemplars: true } as never), INVALID)
  t.throws(() => new Gauge({ name: 'g', help: 'G.', aggregator: 'max' as never }), {
    ...INVALID,
    message: /aggregator/,
  })
  new Histogram({ name: 'h', help: 'H.', buckets: [1] }).observe(1)
  t.throws(() => new Histogram({ name: 'h', help: 'H.', buckets: [2] }), INVALID)
  const counter = new Counter({ name: 'c', help: 'C.', labelNames: ['a'] })
  t.throws(() => counter.inc({ b: 1 } as never), { ...INVALID, message: /must be one of: a/ })
  t.throws(() => counter.labels('a', 'b'), { ...INVALID, message: /takes 1 labels/ })
  t.throws(() => counter.inc({ a: 1 }, -1), INVALID)
})
