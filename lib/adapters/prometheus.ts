/**
 * cache-machine/prometheus: metrics of prom-client 15 over all workers, without messages to a primary.
 *
 * - `sharedRegistry` combines the registries of all workers, in the place of `AggregatorRegistry`: any worker answers.
 * - `sharedMetrics` has counters, gauges and histograms with values in shared memory, which lose nothing by `kill -9`.
 * - `collectCacheMetrics` adds the stats of a cache to a registry.
 *
 * Trouble with the segment goes to `onError` and never to the code that measures.
 */
import type { CacheStore, MetricsFactory } from '../cache/store.ts'
import type { Duration } from '../arguments/units.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { invalid } from '../errors.ts'
import { positive } from './shared/durations.ts'
import { Collection, checkRegistry } from './shared/prometheus-collection.ts'
import type { PromRegistry } from './shared/prometheus-collection.ts'
import { instrumentsOf } from './shared/prometheus-instruments.ts'
import type { Instruments } from './shared/prometheus-instruments.ts'
import { SharedRegistry } from './shared/prometheus-registry.ts'
import type { AggregatorClass } from './shared/prometheus-registry.ts'
import type { PrometheusCache } from './shared/prometheus-workers.ts'
import { reporter } from './shared/reports.ts'
import type { OnError } from './shared/reports.ts'
import { checkStore } from './shared/space.ts'

export { SharedRegistry } from './shared/prometheus-registry.ts'
export type { AggregatedRegistry, AggregatorClass, SharedRegistrySettings } from './shared/prometheus-registry.ts'
export type { PromRegistry } from './shared/prometheus-collection.ts'
export type { PromMetric, PromValue } from './shared/prometheus-data.ts'
export type { PrometheusCache, PrometheusSpace } from './shared/prometheus-workers.ts'
export type {
  Instruments,
  InstrumentOptions,
  LabelValues,
  SharedCounter,
  SharedGauge,
  SharedHistogram,
} from './shared/prometheus-instruments.ts'
export type { OnError } from './shared/reports.ts'

/** Options of `sharedRegistry`. */
export interface SharedRegistryOptions {
  /** The registry of this worker, or several. For the default one: `client.register`. */
  register: PromRegistry | readonly PromRegistry[]
  /** The class of prom-client, for its rules: sum, min, max, average, first, omit. */
  AggregatorRegistry: AggregatorClass
  /** The namespace of the cache. Workers with the same one are combined. Default: `prometheus`. */
  namespace?: string | undefined
  /**
   * How often a worker publishes its metrics between scrapes. A worker that is killed loses at most what it counted
   * since then. Default: `'1s'`.
   */
  interval?: Duration | undefined
  /**
   * How long a scrape waits for the other workers. The last published metrics stand for a worker with a busy event loop.
   * Default: `'1s'`.
   */
  timeout?: Duration | undefined
  /** Called when this worker cannot publish, at most once a minute for each code. Default: a process warning. */
  onError?: OnError | undefined
}

/** Options of `sharedMetrics`. */
export interface SharedMetricsOptions {
  /** The registry in which the metrics are registered. */
  register: PromRegistry
  /** Called when a measurement is lost, at most once a minute for each code. Default: a process warning. */
  onError?: OnError | undefined
}

/** Options of `collectCacheMetrics`. */
export interface CollectCacheMetricsOptions {
  /** The registry that gets the metrics `cache_machine_…`. */
  register: PromRegistry
  /** Also the stats of each namespace, with the label `namespace`. Default: false. */
  namespaces?: boolean | undefined
  /** Called when the stats cannot be read, at most once a minute for each code. Default: a process warning. */
  onError?: OnError | undefined
}

const SHARED = accepted<SharedRegistryOptions>('sharedRegistry', {
  register: true,
  AggregatorRegistry: true,
  namespace: true,
  interval: true,
  timeout: true,
  onError: true,
})
const METRICS = accepted<SharedMetricsOptions>('sharedMetrics', { register: true, onError: true })
const COLLECT = accepted<CollectCacheMetricsOptions>('collectCacheMetrics', {
  register: true,
  namespaces: true,
  onError: true,
})

/**
 * A registry with the metrics of all workers, from which any worker answers a scrape. Call it once in each worker.
 *
 * Counters, histograms and summaries of dead workers keep counting. Gauges are those of living workers.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `SharedRegistryOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`; as `namespace` and `subscribe` of a cache.
 * @example
 * const shared = sharedRegistry(open({ name: 'app' }), { register, AggregatorRegistry })
 * response.setHeader('Content-Type', shared.contentType).end(await shared.metrics())
 */
export function sharedRegistry(cache: PrometheusCache, options: SharedRegistryOptions): SharedRegistry {
  checkStore('sharedRegistry', cache)
  checkOptions(options, SHARED)
  const { register, AggregatorRegistry, namespace = 'prometheus', interval = '1s', timeout = '1s' } = options
  const registers = Array.isArray(register) ? (register as readonly PromRegistry[]) : [register as PromRegistry]
  if (registers.length === 0) throw invalid('sharedRegistry takes the option register, a registry or several', register)
  for (const each of registers) checkRegistry('sharedRegistry', each)
  if (typeof AggregatorRegistry?.aggregate !== 'function') {
    throw invalid('sharedRegistry takes the option AggregatorRegistry, the class of prom-client', AggregatorRegistry)
  }
  // Nothing evicts a snapshot: the counters of a dead worker would go down.
  const space = cache.namespace(namespace, { near: false, ttl: Infinity, codec: 'auto', eviction: 'none' })
  return new SharedRegistry(space, {
    registers,
    AggregatorRegistry,
    interval: positive('interval', interval),
    timeout: positive('timeout', timeout),
    report: reporter(options.onError),
  })
}

/**
 * Counters, gauges and histograms in the interface of prom-client, with one value for all workers in shared memory.
 * Nothing is lost when a worker is killed. They are registered in a registry of prom-client, and are as well among
 * `cache.metrics()`.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `SharedMetricsOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
 * @example
 * const { Counter } = sharedMetrics(open({ name: 'app' }), { register: client.register })
 * const requests = new Counter({ name: 'http_requests_total', help: 'Requests.', labelNames: ['method'] })
 * requests.inc({ method: 'GET' })
 */
export function sharedMetrics(cache: MetricsFactory, options: SharedMetricsOptions): Instruments {
  checkFactory('sharedMetrics', cache)
  checkOptions(options, METRICS)
  checkRegistry('sharedMetrics', options.register)
  return instrumentsOf(cache.metrics(), options.register, reporter(options.onError))
}

/**
 * Registers the stats of a cache, `cache_machine_hits_total` and so on, in a registry of prom-client. Several caches may
 * be in one registry: the label `cache` has their names. Every worker reports the same values, those of the whole host.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `CollectCacheMetricsOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_CLOSED`.
 * @example
 * collectCacheMetrics(open({ name: 'app' }), { register: client.register })
 */
export function collectCacheMetrics(cache: MetricsFactory, options: CollectCacheMetricsOptions): void {
  checkFactory('collectCacheMetrics', cache)
  checkOptions(options, COLLECT)
  checkRegistry('collectCacheMetrics', options.register)
  const collection = new Collection(cache.metrics(), options.namespaces ?? false, reporter(options.onError))
  collection.register(options.register)
}

function checkFactory(adapter: string, cache: unknown): void {
  checkStore(adapter, cache)
  if (typeof (cache as Partial<MetricsFactory & CacheStore>).metrics === 'function') return
  throw invalid(`${adapter} takes a cache with metrics, as open({ name: 'app' }) returns it`, cache)
}
