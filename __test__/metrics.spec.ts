import test from 'ava'
import * as fc from 'fast-check'
import * as prom from 'prom-client'
import { CacheError, segments } from '../index.ts'
import type { HistogramOptions, Labels, MetricOptions, SharedCache } from '../index.ts'
import { problems } from '../lib/testing.ts'
import { readExposition } from './helpers/exposition.ts'
import type { ReadMetric } from './helpers/exposition.ts'
import { fork } from './helpers/fork.ts'
import { openCache, segmentName } from './helpers/segment.ts'
import { startThread } from './helpers/thread.ts'

const INVALID = { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' }

/** The application's own. */
function rendered(cache: SharedCache): string {
  return cache.metrics().prometheus({ statistics: false })
}

/** Metrics and their series by name: in which order they come says nothing. */
function inOrder(metrics: ReadonlyMap<string, ReadMetric>): unknown {
  const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  return sorted(metrics).map(([name, metric]) => ({ name, ...metric, samples: sorted(metric.samples) }))
}

test('a counter counts up', (t) => {
  const cache = openCache(t)
  const counter = cache.metrics().counter('requests_total', { method: 'GET' }, { help: 'Requests.' })
  t.is(counter.value, 0)
  counter.inc()
  counter.inc(2.5)
  counter.inc(0)
  t.is(counter.value, 3.5)
  t.is(cache.metrics().counter('requests_total', { method: 'GET' }).value, 3.5)
  t.is(cache.metrics().counter('requests_total', { method: 'PUT' }).value, 0)
  counter.reset()
  t.is(counter.value, 0)
})

test('a gauge goes up and down, and can be any number', (t) => {
  const gauge = openCache(t).metrics().gauge('temperature')
  gauge.inc(5)
  gauge.dec(7.5)
  t.is(gauge.value, -2.5)
  gauge.inc()
  gauge.dec()
  for (const value of [20.25, -0, Infinity, -Infinity, Number.NaN]) {
    gauge.set(value)
    t.is(gauge.value, value)
  }
  gauge.reset()
  t.is(gauge.value, 0)
})

test('a histogram counts observations by their size', (t) => {
  const histogram = openCache(t)
    .metrics()
    .histogram('seconds', {}, { buckets: [0.1, 1] })
  for (const value of [0.05, 0.1, 0.5, 3, -1]) histogram.observe(value)
  const buckets = [
    { le: 0.1, count: 3 },
    { le: 1, count: 4 },
    { le: Infinity, count: 5 },
  ]
  t.deepEqual(histogram.value, { count: 5, sum: 0.05 + 0.1 + 0.5 + 3 - 1, buckets })
  histogram.reset()
  t.like(histogram.value, { count: 0, sum: 0 })
})

test('the order of labels says nothing', (t) => {
  const metrics = openCache(t).metrics()
  metrics.counter('c', { a: 1, b: 'x' }).inc()
  t.is(metrics.counter('c', { b: 'x', a: '1' }).value, 1)
})

test('a histogram that is asked for without buckets has those that it was declared with', (t) => {
  const metrics = openCache(t).metrics()
  metrics.histogram('mine', { a: 1 }, { buckets: [1, 2] })
  t.is(metrics.histogram('mine', { a: 2 }).value.buckets.length, 3)
  const usual = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, Infinity]
  t.deepEqual(
    metrics.histogram('usual').value.buckets.map(({ le }) => le),
    usual,
  )
})

test('the text is as Prometheus has it, in the order of the names', (t) => {
  const cache = openCache(t)
  const metrics = cache.metrics()
  metrics.histogram('b_seconds', { route: '/' }, { buckets: [0.1, 1], help: 'How long.' }).observe(0.5)
  metrics.gauge('c').set(Infinity)
  metrics.counter('a_total', { text: 'a "b"\\\n' }, { help: 'Back\\slash\nand line' }).inc(1e21)
  metrics.counter('a_total').inc()
  t.is(
    rendered(cache),
    [
      '# HELP a_total Back\\\\slash\\nand line',
      '# TYPE a_total counter',
      'a_total 1',
      'a_total{text="a \\"b\\"\\\\\\n"} 1e+21',
      '# HELP b_seconds How long.',
      '# TYPE b_seconds histogram',
      'b_seconds_bucket{route="/",le="0.1"} 0',
      'b_seconds_bucket{route="/",le="1"} 1',
      'b_seconds_bucket{route="/",le="+Inf"} 1',
      'b_seconds_sum{route="/"} 0.5',
      'b_seconds_count{route="/"} 1',
      '# TYPE c gauge',
      'c +Inf',
      '',
    ].join('\n'),
  )
  t.is(metrics.contentType, 'text/plain; version=0.0.4; charset=utf-8')
  t.is(rendered(openCache(t)), '')
})

test('names that begin alike are metrics of their own', (t) => {
  const cache = openCache(t)
  for (const name of ['x', 'x_y', 'x0', 'X', 'x:y']) cache.metrics().counter(name, { a: 1 }).inc()
  t.deepEqual([...readExposition(rendered(cache)).keys()], ['X', 'x', 'x0', 'x:y', 'x_y'])
  t.true(cache.metrics().delete('x'))
  t.deepEqual([...readExposition(rendered(cache)).keys()], ['X', 'x0', 'x:y', 'x_y'])
})

test('what prom-client renders of the same measurements reads the same', async (t) => {
  const name = fc.constantFrom('a', 'b_total', 'c:d', '_e')
  const labels = fc.dictionary(fc.constantFrom('x', 'y', 'z1'), fc.string({ unit: 'grapheme', maxLength: 6 }), {
    maxKeys: 3,
  })
  const value = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e100, max: 1e100 })
  const step = fc.record({ type: fc.constantFrom('counter', 'gauge', 'histogram'), name, labels, value })
  const anyHelp = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  // What ends a line elsewhere does not end one of this text.
  const odd = { type: 'gauge', name: 'a', labels: { x: '\u2028\r' }, value: 1 } as const
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), anyHelp, async (steps, help) => {
      const registry = new prom.Registry()
      // Its own: what a failure leaves would fail all smaller cases.
      const cache = openCache(t)
      const metrics = cache.metrics()
      const theirs = new Map<string, prom.Metric>()
      for (const { type, name: given, labels: own, value: number } of steps) {
        const metricName = `${given}_${type}`
        const labelNames = ['x', 'y', 'z1']
        const options = { name: metricName, help, labelNames, registers: [registry] }
        const series: Record<string, string> = { x: '', y: '', z1: '', ...own }
        if (type === 'counter') {
          const made = theirs.get(metricName) ?? new prom.Counter(options)
          theirs.set(metricName, made)
          ;(made as prom.Counter).inc(series, Math.abs(number))
          metrics.counter(metricName, series, { help }).inc(Math.abs(number))
        } else if (type === 'gauge') {
          const made = theirs.get(metricName) ?? new prom.Gauge(options)
          theirs.set(metricName, made)
          ;(made as prom.Gauge).set(series, number)
          metrics.gauge(metricName, series, { help }).set(number)
        } else {
          const made = theirs.get(metricName) ?? new prom.Histogram({ ...options, buckets: [-5, 0, 0.1, 1e10] })
          theirs.set(metricName, made)
          ;(made as prom.Histogram).observe(series, number)
          metrics.histogram(metricName, series, { help, buckets: [-5, 0, 0.1, 1e10] }).observe(number)
        }
      }
      const ours = readExposition(rendered(cache))
      const expected = readExposition(
        `${(await registry.metrics()).replace(/\n\n+/g, '\n').trimEnd()}\n`.replace(/^\n/, ''),
      )
      t.deepEqual(inOrder(ours), inOrder(expected))
    }),
    { numRuns: 100, examples: [[[odd], 'a\u2028b\u2029c\rd']] },
  )
})

test('the statistics of the cache are in the text, too', (t) => {
  const cache = openCache(t)
  const sessions = cache.namespace('sessions')
  cache.set('a', 1)
  cache.get('a')
  cache.get('missing')
  sessions.set('b', 2)
  cache.limiter('api', { limit: 1, window: '1m' }).consume('a')
  cache.metrics().counter('zero_total')
  const read = readExposition(cache.metrics().prometheus())
  const label = `{cache="${cache.name}"}`
  const valueOf = (name: string): number | undefined => read.get(name)?.samples.get(`${name}${label}`)
  t.is(valueOf('cache_machine_hits_total'), 1)
  t.is(valueOf('cache_machine_misses_total'), 1)
  t.is(valueOf('cache_machine_sets_total'), 2)
  t.is(valueOf('cache_machine_entries'), 2)
  t.is(valueOf('cache_machine_processes'), 1)
  t.is(valueOf('cache_machine_limits_evicted_total'), 0)
  t.true((valueOf('cache_machine_used_bytes') as number) > 0)
  t.true([...read.values()].every(({ help }, i) => help !== undefined || i === 0))
  t.is(read.get('zero_total')?.samples.get('zero_total'), 0)

  const own = readExposition(sessions.metrics().prometheus())
  t.false(own.has('zero_total'))
  t.is(
    own
      .get('cache_machine_sets_total')
      ?.samples.get(`cache_machine_sets_total{cache="${cache.name}",namespace="sessions"}`),
    1,
  )
  t.false(own.has('cache_machine_used_bytes'))
})

test('any worker, process or thread, renders for all, and a worker that is gone still counts', async (t) => {
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

test('a name is one kind of metric, with one set of buckets', (t) => {
  const metrics = openCache(t).metrics()
  metrics.counter('c')
  metrics.histogram('h', {}, { buckets: [1, 2] })
  t.throws(() => metrics.gauge('c'), INVALID)
  t.throws(() => metrics.histogram('c'), INVALID)
  t.throws(() => metrics.histogram('h', {}, { buckets: [1, 3] }), INVALID)
  t.throws(() => metrics.counter('h_sum'), INVALID)
  t.throws(() => metrics.gauge('h_bucket'), INVALID)
  metrics.counter('g_count')
  t.throws(() => metrics.histogram('g'), INVALID)
})

test('clear and eviction leave metrics alone; delete does not', (t) => {
  const cache = openCache(t, { size: '4mb' })
  const metrics = cache.metrics()
  const counter = metrics.counter('c', { a: 1 })
  counter.inc(5)
  metrics.counter('c', { a: 2 }).inc()
  cache.clear()
  for (let i = 0; i < 40_000; i++) cache.set(`key${i}`, 'x'.repeat(100))
  t.true(cache.stats().evictions > 0)
  t.is(counter.value, 5)
  t.is(cache.namespace('own').metrics().counter('c', { a: 1 }).value, 0)

  t.true(metrics.delete('c', { a: 1 }))
  t.false(metrics.delete('c', { a: 1 }))
  t.is(rendered(cache), '# TYPE c counter\nc{a="2"} 1\n')
  counter.inc() // a handle makes its series again
  t.is(counter.value, 1)
  t.true(metrics.delete('c'))
  t.false(metrics.delete('c'))
  t.is(rendered(cache), '')
  counter.inc()
  t.is(rendered(cache), '# TYPE c counter\nc{a="1"} 1\n')
})

test('a handle whose name is another metric by now throws', (t) => {
  const metrics = openCache(t).metrics()
  const counter = metrics.counter('c')
  metrics.delete('c')
  metrics.gauge('c').set(7)
  t.throws(() => counter.inc(), INVALID)
  t.is(metrics.gauge('c').value, 7)
  metrics.delete('c')
  metrics.gauge('c', { a: 1 })
  t.throws(() => counter.inc(), INVALID)
})

test('when the segment is destroyed, handles begin anew', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const counter = cache.metrics().counter('c', { text: 'ü \uFFFD' })
  counter.inc(5)
  segments.destroy(name, { force: true })
  counter.inc(2)
  t.is(counter.value, 2)
  t.is(rendered(cache), '# TYPE c counter\nc{text="ü \uFFFD"} 2\n')
})

test('more series than a quarter of the segment are refused, and those that are there go on', (t) => {
  const cache = openCache(t, { size: '2mb' })
  const metrics = cache.metrics()
  const first = metrics.counter('c', { i: 0 })
  const error = t.throws(() => {
    for (let i = 0; i < 1e6; i++) metrics.counter('c', { i }).inc()
  })
  t.like(error, { code: 'ERR_NO_SPACE' })
  first.inc()
  t.is(first.value, 2)
  cache.set('a', 1)
  t.is(cache.get('a'), 1)
  const { size = 0 } = readExposition(rendered(cache)).get('c')?.samples ?? {}
  t.true(size > 1000)
})

test('wrong arguments throw, and count nothing', (t) => {
  const cache = openCache(t)
  const metrics = cache.metrics()
  for (const name of ['', '1a', 'a-b', 'a b', 'ä', 'cache_machine_hits_total', 5, undefined]) {
    t.throws(() => metrics.counter(name as string), INVALID)
    t.throws(() => metrics.histogram(name as string), INVALID)
    if (name !== 'cache_machine_hits_total') t.throws(() => metrics.delete(name as string), INVALID)
  }
  const wrongLabels: unknown[] = [
    null,
    'a',
    { 'a-b': 1 },
    { '1': 1 },
    { __a: 1 },
    { '': 1 },
    { a: undefined },
    { a: {} },
  ]
  for (const labels of [...wrongLabels, { a: null }, { a: '\uD800' }, { a: 1n }]) {
    t.throws(() => metrics.counter('c', labels as Labels), INVALID)
  }
  t.throws(() => metrics.histogram('h', { le: '1' }), INVALID)
  for (const options of [null, 'help', { help: 5 }, { help: '\uD800' }, { help: 'x'.repeat(4097) }]) {
    t.throws(() => metrics.gauge('g', {}, options as MetricOptions), INVALID)
  }
  for (const buckets of [
    null,
    [],
    [1, 1],
    [2, 1],
    [Number.NaN],
    [1, Infinity],
    ['1'],
    Array.from({ length: 257 }, (_, i) => i),
  ]) {
    t.throws(() => metrics.histogram('h', {}, { buckets } as HistogramOptions), INVALID)
  }
  t.throws(() => metrics.counter('c', { a: 'x'.repeat(8192) }), { instanceOf: CacheError, code: 'ERR_KEY_TOO_LONG' })
  t.throws(() => metrics.prometheus(null as never), INVALID)

  const [counter, gauge, histogram] = [metrics.counter('c'), metrics.gauge('g'), metrics.histogram('h')]
  for (const by of [Number.NaN, Infinity, '1', null, 1n]) {
    t.throws(() => counter.inc(by as number), INVALID)
    t.throws(() => gauge.inc(by as number), INVALID)
    t.throws(() => gauge.dec(by as number), INVALID)
    t.throws(() => histogram.observe(by as number), INVALID)
    if (typeof by !== 'number') t.throws(() => gauge.set(by as unknown as number), INVALID)
  }
  t.throws(() => counter.inc(-1), INVALID)
  counter.inc(1e308)
  t.throws(() => counter.inc(1e308), { instanceOf: CacheError, code: 'ERR_OVERFLOW' })
  t.is(counter.value, 1e308)
  t.is(gauge.value, 0)
  t.is(histogram.value.count, 0)
})

test('a closed cache has no metrics', (t) => {
  const cache = openCache(t)
  const metrics = cache.metrics()
  const counter = metrics.counter('c')
  cache.close()
  const closed = { instanceOf: CacheError, code: 'ERR_CLOSED' }
  t.throws(() => cache.metrics(), closed)
  t.throws(() => counter.inc(), closed)
  t.throws(() => counter.value, closed)
  t.throws(() => metrics.prometheus(), closed)
  t.throws(() => metrics.gauge('g'), closed)
})
