/**
 * cache-machine/opentelemetry: spans and metrics of a cache by the API of OpenTelemetry. Nothing is measured before
 * `instrumentCache` is called.
 *
 * Semantic conventions 1.45 have none for caches. Spans have the stable attributes of databases, with the kind that they
 * allow for a database in memory, INTERNAL. The names of metrics are those of the built-in cache metrics of .NET.
 *
 * A load runs in the context of its span, so spans of the loader are its children. The parent of a load is the span in
 * which its caller asked, also if the load runs later: in the background, or after the death of another loader. Reads
 * and writes have no spans, and their code is not touched: the counts are read when metrics are collected.
 */
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { invalid } from '../errors.ts'
import { checkApi } from './shared/telemetry-api.ts'
import type { TelemetryApi } from './shared/telemetry-api.ts'
import { instrumentCalls, spanKinds } from './shared/telemetry-calls.ts'
import type { ObservedCache, SpanKind } from './shared/telemetry-calls.ts'
import { observeStats } from './shared/telemetry-metrics.ts'
import { checkStore } from './shared/space.ts'

export type {
  MetricDescription,
  TelemetryApi,
  TelemetryAttributes,
  TelemetryContext,
  TelemetryMeter,
  TelemetryResult,
  TelemetrySpan,
  TelemetryTracer,
} from './shared/telemetry-api.ts'
export type { ObservedCache, SpanKind } from './shared/telemetry-calls.ts'

/** Options of `instrumentCache`. */
export interface InstrumentOptions {
  /** The module `@opentelemetry/api` of the application: `import * as api from '@opentelemetry/api'`. */
  api: TelemetryApi
  /**
   * The calls that get spans. `load`: each run of a loader in this process. `get`: each call of `getOrSet`, of functions
   * made by `wrap`, and of `once`, hits included. `wait`: `waitFor`. `lock`: locks, semaphores and elections, with the
   * time of waiting. `[]` or false: none. Default: `['load']`.
   */
  spans?: false | readonly SpanKind[] | undefined
  /**
   * Observable metrics. true: this process reports them, and its values are those of the whole host, as those of every
   * other worker. `'leader'`: one process of the host reports them. Default: true.
   */
  metrics?: boolean | 'leader' | undefined
  /** The attribute `cache.key` for spans. Keys may have personal data. Default: false. */
  keys?: boolean | undefined
  /** Default: the one that is registered with the API. */
  tracerProvider?: TelemetryApi['trace'] | undefined
  /** Default: the one that is registered with the API. */
  meterProvider?: Pick<TelemetryApi['metrics'], 'getMeter'> | undefined
}

const OPTIONS = accepted<InstrumentOptions>('instrumentCache', {
  api: true,
  spans: true,
  metrics: true,
  keys: true,
  tracerProvider: true,
  meterProvider: true,
})

/** Caches that are instrumented now. */
const instrumented = new WeakSet<object>()

const SCOPE = 'cache-machine'

/**
 * Adds spans and metrics to a cache, and to the namespaces that it makes from now on. Register the SDK before.
 *
 * @param cache A cache, or a namespace of one. Metrics are those of this object alone.
 * @param options See `InstrumentOptions`.
 * @returns A function that ends it.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`, also for a cache that is instrumented already.
 * @example
 * import * as api from '@opentelemetry/api'
 * const stop = instrumentCache(cache, { api, spans: ['load', 'lock'] })
 */
export function instrumentCache(cache: ObservedCache, options: InstrumentOptions): () => void {
  checkStore('instrumentCache', cache)
  checkOptions(options, OPTIONS)
  const { api, spans = ['load'], metrics = true, keys = false } = options
  checkApi('instrumentCache', api)
  const kinds = spans === false ? [] : spans
  if (!Array.isArray(kinds) || !kinds.every((kind) => spanKinds.includes(kind as SpanKind))) {
    throw invalid(`spans must be false or a list of ${spanKinds.map((kind) => `'${kind}'`).join(', ')}`, spans)
  }
  if (typeof metrics !== 'boolean' && metrics !== 'leader') {
    throw invalid("metrics must be a boolean or 'leader'", metrics)
  }
  if (instrumented.has(cache)) {
    throw invalid('the cache is instrumented already; call the function that the first call has returned', cache.name)
  }
  instrumented.add(cache)
  const { tracerProvider = api.trace, meterProvider = api.metrics } = options
  const ends = [
    metrics === false ? undefined : observeStats(cache, meterProvider.getMeter(SCOPE), metrics === 'leader'),
    instrumentCalls(cache, { api, tracer: tracerProvider.getTracer(SCOPE), kinds: new Set(kinds), keys }),
  ]
  return () => {
    for (const end of ends) end?.()
    instrumented.delete(cache)
  }
}
