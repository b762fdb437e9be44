/**
 * Metrics: counters, gauges, histograms, and the text for Prometheus.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import test from 'ava'
import * as fc from 'fast-check'
import * as prom from 'prom-client'
import { CacheError, segments } from '../../index.ts'
import type { HistogramOptions, Labels, MetricOptions } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { readExposition, rendered } from '../helpers/exposition.ts'
import type { ReadMetric } from '../helpers/exposition.ts'
import { openCache } from '../helpers/segment.ts'

/** The offset of the counts of lock waits in a segment; see docs/segment-format.md. */
const LOCK_WAITS = 448

const INVALID = { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' }

/** Metrics and their series sorted by name: their order carries no meaning. */
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

test('a histogram counts observations by size', (t) => {
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

test('the order of labels carries no meaning', (t) => {
  const metrics = openCache(t).metrics()
  metrics.counter('c', { a: 1, b: 'x' }).inc()
  t.is(metrics.counter('c', { b: 'x', a: '1' }).value, 1)
})

test('a histogram that is requested without buckets has the buckets of its declaration', (t) => {
  const metrics = openCache(t).metrics()
  metrics.histogram('mine', { a: 1 }, { buckets: [1, 2] })
  t.is(metrics.histogram('mine', { a: 2 }).value.buckets.length, 3)
  const usual = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, Infinity]
  t.deepEqual(
    metrics.histogram('usual').value.buckets.map(({ le }) => le),
    usual,
  )
})

test('the text has the format of Prometheus, in the order of the names', (t) => {
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

test('names with a common beginning are separate metrics', (t) => {
  const cache = openCache(t)
  for (const name of ['x', 'x_y', 'x0', 'X', 'x:y']) cache.metrics().counter(name, { a: 1 }).inc()
  t.deepEqual([...readExposition(rendered(cache)).keys()], ['X', 'x', 'x0', 'x:y', 'x_y'])
  t.true(cache.metrics().delete('x'))
  t.deepEqual([...readExposition(rendered(cache)).keys()], ['X', 'x0', 'x:y', 'x_y'])
})

test('the text means the same as the text of prom-client for the same measurements', async (t) => {
  const name = fc.constantFrom('a', 'b_total', 'c:d', '_e')
  const labels = fc.dictionary(fc.constantFrom('x', 'y', 'z1'), fc.string({ unit: 'grapheme', maxLength: 6 }), {
    maxKeys: 3,
  })
  const value = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e100, max: 1e100 })
  const step = fc.record({ type: fc.constantFrom('counter', 'gauge', 'histogram'), name, labels, value })
  const anyHelp = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  // Characters that end a line elsewhere do not end one of this text, and U+FFFD is no sign of damage.
  const odd = { type: 'gauge', name: 'a', labels: { x: '\u2028\r', y: '\uFFFD' }, value: 1 } as const
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), anyHelp, async (steps, help) => {
      const registry = new prom.Registry()
      // A registry of its own: what a failure leaves behind would fail all smaller cases.
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
    { numRuns: 100, examples: [[[odd], 'a\u2028b\u2029c\rd\uFFFD']] },
  )
})

test('collect returns the metrics of the text as data', (t) => {
  const cache = openCache(t)
  const metrics = cache.metrics()
  metrics.counter('a_total', { text: 'a "b"\\\n' }, { help: 'Help.' }).inc(2)
  metrics.counter('a_total').inc()
  metrics.gauge('b').set(Infinity)
  metrics.histogram('c', { z: 1, a: 'x' }, { buckets: [1, 2] }).observe(1.5)
  const buckets = [
    { le: 1, count: 0 },
    { le: 2, count: 1 },
    { le: Infinity, count: 1 },
  ]
  const own = new Map(metrics.collect({ statistics: false }).map((metric) => [metric.name, metric]))
  const text = 'a "b"\\\n'
  t.like(own.get('a_total'), { type: 'counter', help: 'Help.' })
  const byValue = own.get('a_total')?.series.map(({ labels, value }) => [value, labels])
  t.deepEqual(Object.fromEntries(byValue ?? []), { 1: {}, 2: { text } })
  t.deepEqual(own.get('b'), { name: 'b', type: 'gauge', help: '', series: [{ labels: {}, value: Infinity }] })
  const series = [{ labels: { a: 'x', z: '1' }, value: { count: 1, sum: 1.5, buckets } }]
  t.deepEqual(own.get('c'), { name: 'c', type: 'histogram', help: '', series })
  t.is(own.size, 3)
  cache.namespace('sessions').set('a', 1)
  const all = metrics.collect({ namespaces: true })
  t.deepEqual(
    all.map(({ name }) => name).toSorted(),
    [...readExposition(metrics.prometheus({ namespaces: true })).keys()].toSorted(),
  )
  t.deepEqual(all.find(({ name }) => name === 'cache_machine_sets_total')?.series, [
    { labels: { cache: cache.name }, value: 1 },
    { labels: { cache: cache.name, namespace: 'sessions' }, value: 1 },
  ])
  t.throws(() => metrics.collect({ statistic: false } as never), INVALID)
})

test('the text has the stats of the cache as well', (t) => {
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

test('a root and its namespaces are one valid text, in which their label tells them apart', (t) => {
  const cache = openCache(t)
  const [shop, users] = [cache.namespace('shop'), cache.namespace('users')]
  const cart = shop.namespace('cart')
  for (const [part, by] of [
    [cache, 1],
    [shop, 2],
    [users, 3],
    [cart, 4],
  ] as const) {
    part.set('a', 1)
    part.metrics().counter('requests_total', { method: 'GET' }, { help: 'Requests.' }).inc(by)
    part
      .metrics()
      .histogram('seconds', {}, { buckets: [by] })
      .observe(0.5)
  }
  const read = readExposition(cache.metrics().prometheus({ namespaces: true }))
  t.deepEqual(Object.fromEntries(read.get('requests_total')?.samples ?? []), {
    'requests_total{method="GET"}': 1,
    'requests_total{method="GET",namespace="shop"}': 2,
    'requests_total{method="GET",namespace="shop:cart"}': 4,
    'requests_total{method="GET",namespace="users"}': 3,
  })
  t.is(read.get('requests_total')?.help, 'Requests.')
  t.is(read.get('seconds')?.samples.get('seconds_bucket{le="3",namespace="users"}'), 1)
  const sets = read.get('cache_machine_sets_total')?.samples
  t.is(sets?.get(`cache_machine_sets_total{cache="${cache.name}"}`), 4)
  t.is(sets?.get(`cache_machine_sets_total{cache="${cache.name}",namespace="shop:cart"}`), 1)

  const part = readExposition(shop.metrics().prometheus({ namespaces: true, statistics: false }))
  t.deepEqual([...part.keys()], ['requests_total', 'seconds'])
  t.deepEqual([...(part.get('requests_total')?.samples.values() ?? [])], [2, 4])
  t.is(rendered(shop), shop.metrics().prometheus({ statistics: false }))
})

test('a label that a series calls namespace itself stays apart from that of the cache', (t) => {
  const cache = openCache(t)
  const shop = cache.namespace('shop')
  const odd = 'x,namespace="y"\\'
  cache.metrics().counter('c', { namespace: 'shop', a: odd }).inc(1)
  cache.metrics().counter('c', { a: odd }).inc(2)
  shop.metrics().counter('c', { a: odd }).inc(3)
  shop.metrics().counter('c', { namespace: 'own', exported_namespace: 'other', a: odd }).inc(4)
  const samples = readExposition(cache.metrics().prometheus({ namespaces: true, statistics: false })).get('c')?.samples
  const a = 'a="x,namespace=\\"y\\"\\\\"'
  t.deepEqual(Object.fromEntries(samples ?? []), {
    [`c{${a},exported_namespace="shop"}`]: 1,
    [`c{${a}}`]: 2,
    [`c{${a},namespace="shop"}`]: 3,
    [`c{${a},exported_exported_namespace="other",exported_namespace="own",namespace="shop"}`]: 4,
  })
})

test('a metric of another type in a namespace is left out with a warning, and the text stays valid', async (t) => {
  const cache = openCache(t)
  const warnings: NodeJS.ErrnoException[] = []
  const collect = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', collect)
  t.teardown(() => process.off('warning', collect))
  const [other, lines] = [cache.namespace('other'), cache.namespace('lines')]
  cache.metrics().counter('clashing').inc()
  other.metrics().gauge('clashing').set(7)
  other.metrics().gauge('fine').set(8)
  cache.metrics().histogram('wide').observe(1)
  lines.metrics().counter('wide_sum').inc()
  const metrics = cache.metrics()
  const read = readExposition(metrics.prometheus({ namespaces: true }))
  t.deepEqual([...(read.get('clashing')?.samples ?? [])], [['clashing', 1]])
  t.deepEqual([...(read.get('fine')?.samples ?? [])], [['fine{namespace="other"}', 8]])
  t.false(read.has('wide_sum'))
  metrics.prometheus({ namespaces: true })
  await new Promise((resolve) => setImmediate(resolve))
  const ours = warnings.filter(({ code }) => code === 'CACHE_MACHINE_METRICS')
  t.deepEqual(ours.map(({ message }) => /the metric (\w+)/.exec(message)?.[1]).sort(), ['clashing', 'wide_sum'])
})

onNative('the words of a file')('lock waits are a histogram in seconds', (t) => {
  const cache = openCache(t)
  const name = 'cache_machine_lock_wait_seconds'
  const label = `cache="${cache.name}"`
  const waits = new DataView(new ArrayBuffer(25 * 8))
  waits.setBigUint64(0, 3n, true) // below 1 µs
  waits.setBigUint64(8, 2n, true) // below 2 µs
  waits.setBigUint64(16, 1n, true) // below 4 µs
  const file = openSync(segments.inspect(cache.name)?.path ?? '', 'r+')
  waits.setBigUint64(24 * 8, 6250n, true) // nanoseconds of all six
  writeSync(file, waits, 0, 25 * 8, LOCK_WAITS)
  closeSync(file)
  const metric = readExposition(cache.metrics().prometheus()).get(name)
  t.is(metric?.type, 'histogram')
  t.deepEqual(
    cache
      .stats()
      .lockWaitTimes.slice(0, 3)
      .map(({ count }) => count),
    [3, 2, 1],
  )
  t.is(metric?.samples.get(`${name}_bucket{${label},le="0.000001"}`), 3)
  t.is(metric?.samples.get(`${name}_bucket{${label},le="0.000002"}`), 5)
  t.is(metric?.samples.get(`${name}_bucket{${label},le="0.000004"}`), 6)
  t.is(metric?.samples.get(`${name}_bucket{${label},le="+Inf"}`), 6)
  t.is(metric?.samples.get(`${name}_count{${label}}`), 6)
  t.is(cache.stats().lockWaitTotal, 0.00625)
  t.is(metric?.samples.get(`${name}_sum{${label}}`), 6.25e-6)
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

test('clear and eviction leave metrics alone, delete removes them', (t) => {
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
  counter.inc() // a handle creates its series again
  t.is(counter.value, 1)
  t.true(metrics.delete('c'))
  t.false(metrics.delete('c'))
  t.is(rendered(cache), '')
  counter.inc()
  t.is(rendered(cache), '# TYPE c counter\nc{a="1"} 1\n')
})

test('a handle throws when its name has become another metric', (t) => {
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

test('series beyond a quarter of the segment are refused, and existing series go on', (t) => {
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
