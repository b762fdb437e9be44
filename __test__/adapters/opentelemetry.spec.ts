/**
 * cache-machine/opentelemetry with the SDK of OpenTelemetry: exporters in memory, and its context manager.
 */
import { setImmediate as turn } from 'node:timers/promises'
import * as api from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { instrumentCache } from '../../lib/adapters/opentelemetry.ts'
import type { InstrumentOptions } from '../../lib/adapters/opentelemetry.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import type { TestCache, TestClock } from '../../testing.ts'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { openCache } from '../helpers/segment.ts'

const INVALID = { code: 'ERR_INVALID_ARGUMENT' }

// The API has one context manager for the process, as an application has.
new NodeTracerProvider().register()

interface Scene {
  readonly cache: TestCache
  readonly clock: TestClock
  readonly tracer: api.Tracer
  /** Ended spans, in the order of their ends. */
  spans(): ReadableSpan[]
  instrument(options?: Partial<InstrumentOptions>): () => void
}

function sceneOf(t: ExecutionContext, cache: TestCache, clock: TestClock): Scene {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  return {
    cache,
    clock,
    tracer: tracerProvider.getTracer('application'),
    spans: () => exporter.getFinishedSpans(),
    instrument(options = {}) {
      const stop = instrumentCache(cache, { api, metrics: false, tracerProvider, ...options })
      t.teardown(stop)
      return stop
    },
  }
}

for (const engine of ['portable', 'native'] as const) {
  const check = (title: string, run: (t: ExecutionContext, scene: Scene) => Promise<unknown>): void => {
    test(`opentelemetry, ${engine}: ${title}`, async (t) => {
      const clock = createTestClock()
      const cache = createTestCache({ engine, clock, size: '8mb' })
      t.teardown(() => cache.close())
      await run(t, sceneOf(t, cache, clock))
    })
  }

  check(
    'a load has a span with the attributes of databases; a hit has none',
    async (t, { cache, spans, instrument }) => {
      instrument()
      t.is(await cache.getOrSet('user:1', async () => 'Ada'), 'Ada')
      t.is(await cache.getOrSet('user:1', async () => 'Grace'), 'Ada')
      const [span, ...others] = spans()
      t.deepEqual(others, [])
      t.is(span?.name, `load ${cache.name}`)
      t.is(span?.kind, api.SpanKind.INTERNAL)
      t.deepEqual(span?.attributes, {
        'db.system.name': 'cache-machine',
        'db.namespace': cache.name,
        'db.operation.name': 'load',
      })
      t.is(span?.status.code, api.SpanStatusCode.UNSET)
      t.is(span?.instrumentationScope.name, 'cache-machine')
    },
  )

  check('the spans of a loader are children of the load, and the load is one of its caller', async (t, scene) => {
    const { cache, spans, tracer } = scene
    scene.instrument()
    const query = async (): Promise<string> => {
      await turn()
      return tracer.startActiveSpan('query', async (span) => {
        await turn()
        span.end()
        return 'row'
      })
    }
    const get = cache.wrap(query, { key: () => 'wrapped' })
    await tracer.startActiveSpan('request', async (request) => {
      await Promise.all([cache.getOrSet('a', query), cache.getOrSet('a', query)])
      await get()
      await cache.once('b', query)
      request.end()
    })
    const all = spans()
    t.deepEqual(
      all.map(({ name }) => name.split(' ')[0]),
      ['query', 'load', 'query', 'load', 'query', 'load', 'request'],
    )
    const request = all.at(-1)
    for (const [i, span] of all.entries()) {
      t.is(span.spanContext().traceId, request?.spanContext().traceId ?? '')
      const parent = span.name === 'query' ? all[i + 1] : span === request ? undefined : request
      t.is(span.parentSpanContext?.spanId, parent?.spanContext().spanId)
    }
  })

  check('a load in the background is a child of the call that began it', async (t, scene) => {
    const { cache, clock, spans, tracer } = scene
    scene.instrument()
    cache.set('a', 1, { ttl: '1m', stale: '1h' })
    clock.advance('2m')
    await tracer.startActiveSpan('request', async (request) => {
      t.is(await cache.getOrSet('a', async () => turn(2), { ttl: '1m', stale: '1h' }), 1)
      request.end()
    })
    await eventually('the load ends', () => spans().length === 2)
    const [request, load] = spans()
    t.is(request?.name, 'request')
    t.is(load?.parentSpanContext?.spanId, request?.spanContext().spanId)
  })

  check('an error of a loader is that of its span', async (t, { cache, spans, instrument }) => {
    instrument({ keys: true })
    const failing = (error: unknown) => async (): Promise<never> => {
      throw error
    }
    const coded = Object.assign(new Error('no connection'), { code: 'ECONNREFUSED' })
    await t.throwsAsync(cache.getOrSet('a', failing(coded)), { is: coded })
    await t.throwsAsync(cache.getOrSet('b', failing(new TypeError('wrong'))))
    await cache.getOrSet('c', failing('a text')).catch(() => undefined)
    t.throws(() => cache.wrap(undefined as never, { key: () => 'a' }), INVALID)
    await t.throwsAsync(cache.getOrSet('d', undefined as never), INVALID)
    const seen = spans().map(({ attributes, status, events }) => [
      attributes['error.type'],
      status.code,
      status.message,
      events[0]?.name,
      attributes['cache.key'],
    ])
    t.deepEqual(seen, [
      ['ECONNREFUSED', api.SpanStatusCode.ERROR, 'no connection', 'exception', 'a'],
      ['TypeError', api.SpanStatusCode.ERROR, 'wrong', 'exception', 'b'],
      ['_OTHER', api.SpanStatusCode.ERROR, 'a text', 'exception', 'c'],
    ])
  })

  check('a value that was not modified is no error', async (t, { cache, clock, spans, instrument }) => {
    instrument()
    cache.set('a', 'old', { ttl: '1m', stale: '1h' })
    clock.advance('2m')
    t.is(
      await cache.getOrSet<unknown>('a', ({ notModified }) => notModified(), { ttl: '1m', staleIfError: '1h' }),
      'old',
    )
    t.is(spans().length, 1)
    t.is(spans()[0]?.status.code, api.SpanStatusCode.UNSET)
  })

  check('wrap keeps this, arguments and results', async (t, { cache, instrument }) => {
    instrument({ spans: ['load', 'get'] })
    const object = {
      factor: 3,
      times: cache.wrap(
        function (this: { factor: number }, n: number, m: number) {
          return { product: n * m * this.factor }
        },
        { key: (n, m) => `${n}:${m}`, ttl: '1m' },
      ),
    }
    t.deepEqual(await object.times(2, 5), { product: 30 })
    t.deepEqual(cache.get('2:5'), { product: 30 })
    t.true((cache.ttl('2:5') ?? 0) <= 60_000)
  })

  check('calls, waits and locks have spans if they are asked for', async (t, { cache, spans, instrument }) => {
    instrument({ spans: ['get', 'wait', 'lock'], keys: true })
    await cache.getOrSet('a', async () => 1)
    await cache.getOrSet('a', async () => 1)
    await cache.wrap(async () => 1, { key: () => 'a' })()
    await cache.once(Buffer.from([1, 255]), async () => 1)
    await cache.waitFor('a')
    const lock = await cache.lock('b')
    await t.throwsAsync(cache.lock('b', { timeout: 0 }), { code: 'ERR_TIMEOUT' })
    lock.release()
    t.is(await cache.withLock('b', async () => 7), 7)
    ;(await cache.elect('c')).resign()
    const semaphore = cache.semaphore('d', 1)
    ;(await semaphore.acquire()).release()
    t.is(await semaphore.use(async () => 8), 8)
    t.is(semaphore.permits, 1)
    const seen = spans().map(({ attributes }) => [
      attributes['db.operation.name'],
      attributes['cache.key'],
      attributes['error.type'],
    ])
    t.deepEqual(seen, [
      ['getOrSet', 'a', undefined],
      ['getOrSet', 'a', undefined],
      ['wrap', 'a', undefined],
      ['once', '01ff', undefined],
      ['waitFor', 'a', undefined],
      ['lock', 'b', undefined],
      ['lock', 'b', 'ERR_TIMEOUT'],
      ['withLock', 'b', undefined],
      ['elect', 'c', undefined],
      ['semaphore.acquire', 'd', undefined],
      ['semaphore.use', 'd', undefined],
    ])
  })

  check('a load is a child of the span of its call', async (t, { cache, spans, instrument }) => {
    instrument({ spans: ['load', 'get'] })
    await cache.getOrSet('a', async () => 1)
    const [load, call] = spans()
    t.is(load?.parentSpanContext?.spanId, call?.spanContext().spanId)
  })

  check('namespaces have spans of their own names', async (t, { cache, spans, instrument }) => {
    instrument()
    const sessions = cache.namespace('sessions')
    t.is(cache.namespace('sessions'), sessions)
    await sessions.getOrSet('a', async () => 1)
    await sessions.namespace('eu').getOrSet('a', async () => 1)
    t.deepEqual(
      spans().map(({ name, attributes }) => [name, attributes['db.namespace'], attributes['db.collection.name']]),
      [
        ['load sessions', cache.name, 'sessions'],
        ['load sessions:eu', cache.name, 'sessions:eu'],
      ],
    )
  })

  check('reads and writes are the methods of the class, and the end leaves nothing', async (t, scene) => {
    const { cache, spans } = scene
    const before = Object.getOwnPropertyNames(cache)
    const stop = scene.instrument({ spans: ['load', 'get', 'wait', 'lock'], metrics: true })
    const child = cache.namespace('child')
    for (const name of ['get', 'set', 'has', 'delete', 'getMany', 'incr'] as const) {
      t.false(Object.hasOwn(cache, name))
      t.false(Object.hasOwn(child, name))
    }
    t.deepEqual(
      Object.keys(cache).filter((name) => name === 'getOrSet'),
      [],
    )
    stop()
    t.deepEqual(Object.getOwnPropertyNames(cache), before)
    await cache.getOrSet('a', async () => 1)
    await child.getOrSet('a', async () => 1)
    t.deepEqual(spans(), [])
    // It can be instrumented again, and its namespaces with it.
    scene.instrument()
    await cache.getOrSet('b', async () => 1)
    t.is(spans().length, 1)
  })

  check('metrics are the stats, read when they are collected', async (t, { cache }) => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 86_400_000 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    t.teardown(() => meterProvider.shutdown())
    const sessions = cache.namespace('sessions')
    const stops = [cache, sessions].map((each) => instrumentCache(each, { api, meterProvider, spans: false }))
    cache.set('a', 1)
    cache.get('a')
    cache.get('a')
    cache.get('missing')
    sessions.set('b', 2)
    const collect = async (): Promise<Map<string, [Record<string, unknown>, number][]>> => {
      exporter.reset()
      await reader.forceFlush()
      const metrics = exporter
        .getMetrics()
        .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      return new Map(
        metrics.map(({ descriptor, dataPoints }) => [
          descriptor.name,
          dataPoints.map(({ attributes, value }) => [attributes, value as number]),
        ]),
      )
    }
    const found = await collect()
    const root = { 'cache.name': cache.name }
    const own = { ...root, 'cache_machine.namespace': 'sessions' }
    t.deepEqual(found.get('cache.requests'), [
      [{ ...root, 'cache.request.type': 'hit' }, 2],
      [{ ...root, 'cache.request.type': 'miss' }, 1],
      [{ ...own, 'cache.request.type': 'hit' }, 0],
      [{ ...own, 'cache.request.type': 'miss' }, 0],
    ])
    t.deepEqual(found.get('cache.entries'), [
      [root, 2],
      [own, 1],
    ])
    t.deepEqual(found.get('cache_machine.sets'), [
      [root, 2],
      [own, 1],
    ])
    t.deepEqual(found.get('cache_machine.processes'), [[root, 1]])
    t.is(found.get('cache_machine.memory.capacity')?.[0]?.[1], cache.stats().capacityBytes)
    sessions.close()
    cache.get('a')
    const later = await collect()
    t.deepEqual(later.get('cache.requests')?.[0], [{ ...root, 'cache.request.type': 'hit' }, 3])
    // The SDK repeats the last value of a series that nothing reports any more.
    t.deepEqual(later.get('cache.entries'), found.get('cache.entries'))
    for (const stop of stops) stop()
    cache.get('a')
    t.deepEqual((await collect()).get('cache.requests'), later.get('cache.requests'))
  })

  check('one of several handles reports metrics as the leader, and another one after it', async (t, { cache }) => {
    const other = createTestCache({ engine, name: cache.name })
    t.teardown(() => other.close())
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 86_400_000 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    t.teardown(() => meterProvider.shutdown())
    let calls: string[] = []
    for (const each of [cache, other]) {
      const stats = each.stats.bind(each)
      Object.defineProperty(each, 'stats', {
        value: () => {
          calls.push(each === cache ? 'first' : 'second')
          return stats()
        },
      })
    }
    const stop = instrumentCache(cache, { api, meterProvider, metrics: 'leader' })
    const collect = async (): Promise<string[]> => {
      calls = []
      await reader.forceFlush()
      return calls
    }
    await eventually('the first one leads', async () => (await collect()).length > 0)
    t.teardown(instrumentCache(other, { api, meterProvider, metrics: 'leader' }))
    await turn()
    t.deepEqual(await collect(), ['first'])
    stop()
    await eventually('the second one leads', async () => (await collect()).includes('second'))
    t.deepEqual(await collect(), ['second'])
  })
}

test('opentelemetry: without a registered SDK, nothing is measured and everything works', async (t) => {
  const cache = createTestCache({ engine: 'portable' })
  t.teardown(() => cache.close())
  const noop = new api.ProxyTracerProvider() as unknown as typeof api.trace
  t.teardown(instrumentCache(cache, { api, tracerProvider: noop, spans: ['load', 'get', 'wait', 'lock'] }))
  t.is(await cache.getOrSet('a', async () => 1), 1)
  t.is(await cache.withLock('a', () => 2), 2)
})

test('opentelemetry: wrong arguments are named', (t) => {
  const cache = createTestCache({ engine: 'portable' })
  t.teardown(() => cache.close())
  const instrument = (options: object): unknown => instrumentCache(cache, options as InstrumentOptions)
  t.throws(() => instrument({}), { ...INVALID, message: /@opentelemetry\/api/ })
  t.throws(() => instrument({ api, spans: ['loads'] }), { ...INVALID, message: /'load', 'get'/ })
  t.throws(() => instrument({ api, spans: true }), INVALID)
  t.throws(() => instrument({ api, metrics: 'all' }), { ...INVALID, message: /leader/ })
  t.throws(() => instrument({ api, span: [] }), { ...INVALID, message: /span/ })
  t.throws(() => instrumentCache({} as SharedCache, { api }), INVALID)
  const stop = instrumentCache(cache, { api })
  t.throws(() => instrument({ api }), { ...INVALID, message: /already/ })
  stop()
  instrumentCache(cache, { api })()
})

onNative('another process')(
  'opentelemetry: a load that takes over from a dead process is a child of its caller',
  async (t) => {
    const cache = openCache(t)
    const exporter = new InMemorySpanExporter()
    const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    t.teardown(instrumentCache(cache, { api, tracerProvider, metrics: false }))
    const loader = fork(t, 'adapter-caller', { adapter: 'cache-manager', name: cache.name, call: 'load' })
    t.is(await loader.next(), 'loading')
    const loaded = tracerProvider.getTracer('application').startActiveSpan('request', async (request) => {
      const value = await cache.namespace('cache-manager').getOrSet('a', async () => 'loaded here')
      request.end()
      return value
    })
    t.deepEqual(exporter.getFinishedSpans(), [])
    loader.kill()
    t.is(await loaded, 'loaded here')
    const [load, request] = exporter.getFinishedSpans()
    t.is(load?.parentSpanContext?.spanId, request?.spanContext().spanId)
  },
)
