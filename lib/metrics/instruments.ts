/**
 * Metrics as users see them: counters, gauges, histograms, and their options.
 */
import type { Labels, MetricType } from './exposition.ts'

/** Options of `counter`. */
export interface MetricOptions {
  /** Help text for the `# HELP` line, at most 4 KiB. Default: the text given before, else none. */
  help?: string | undefined
}

/** Options of `gauge`. */
export interface GaugeOptions extends MetricOptions {
  /**
   * The meaning of the value. `'shared'`: one value, which outlives the processes that changed it. `'living'`: each
   * open cache has a part of its own, which `set`, `inc`, `dec` and `reset` change, and the value is the sum of the
   * parts of the caches that are open in living threads. So a killed process no longer counts, and what it did not `dec` is
   * gone. All processes should use the same. Default: `'shared'`.
   *
   * A living gauge takes a record of about 128 bytes for each series and open cache, and a lock for each open cache.
   * `value` reads all metrics of the namespace, as `prometheus` does, with a request for the lock of each open cache:
   * some microseconds for each. The next read after an end deletes the parts that it left.
   */
  aggregate?: 'shared' | 'living' | undefined
}

/** Options of `histogram`. */
export interface HistogramOptions extends MetricOptions {
  /**
   * Upper bounds of the buckets, finite and ascending, at most 256. A further bucket counts larger observations.
   * Default: the bounds that the histogram was declared with before, else 0.005 to 10, for the seconds of a request.
   */
  buckets?: readonly number[] | undefined
}

/** Options of `prometheus` and `collect`. */
export interface PrometheusOptions {
  /** Also render the stats of the cache, as `cache_machine_…`. Default: true. */
  statistics?: boolean | undefined
  /**
   * Also render the metrics and stats of all namespaces of this cache, or of this namespace, in the same text. Their
   * series get the label `namespace`; a label of this name that a series has itself becomes `exported_namespace`. A
   * metric that is of another type in a namespace is left out there, with a process warning
   * (`CACHE_MACHINE_METRICS`). Default: false.
   */
  namespaces?: boolean | undefined
}

/** The counts of a histogram. */
export interface HistogramValue {
  /** The number of observations. */
  readonly count: number
  /** Their sum. */
  readonly sum: number
  /** The number of observations of at most `le`; the last bucket, with Infinity, counts all. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[]
}

/** One series of a metric that `collect` returns. */
export interface CollectedSeries<Value = number | HistogramValue> {
  readonly labels: Readonly<Record<string, string>>
  readonly value: Value
}

/** A metric with all its series, as `collect` returns it. */
export type CollectedMetric =
  CollectedFamily<'counter' | 'gauge', number> | CollectedFamily<'histogram', HistogramValue>

/** A metric of one type. */
export interface CollectedFamily<Type extends MetricType, Value> {
  readonly name: string
  readonly type: Type
  /** Empty: none. */
  readonly help: string
  readonly series: readonly CollectedSeries<Value>[]
}

/** A series that only increases. Exact up to `Number.MAX_SAFE_INTEGER`. */
export interface Counter {
  /**
   * Adds to the count atomically: no increment of any process is lost.
   *
   * @param by A finite number of at least 0; it need not be whole. Default: 1.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_OVERFLOW` if the sum would not be finite; `ERR_BUSY`;
   * `ERR_CLOSED`; `ERR_NO_SPACE` with `eviction: 'none'` and a full segment.
   * @example
   * requests.inc()
   */
  inc(by?: number): void

  /** The count over all processes; 0 if the series was deleted. */
  readonly value: number

  /**
   * Sets the count to 0, atomically.
   *
   * @example
   * requests.reset()
   */
  reset(): void
}

/** A series that increases and decreases. */
export interface Gauge {
  /**
   * Sets the value for all processes; the last call wins. Of a gauge with `aggregate: 'living'`, as in `reset`, only
   * the part of this cache.
   *
   * @param value Any number, including NaN and the infinities.
   * @throws {CacheError} As `inc`.
   * @example
   * temperature.set(21.5)
   */
  set(value: number): void

  /**
   * Adds to the value atomically.
   *
   * @param by A finite number. Default: 1.
   * @throws {CacheError} As `Counter.inc`.
   * @example
   * connections.inc()
   */
  inc(by?: number): void

  /**
   * Subtracts from the value atomically.
   *
   * @param by A finite number. Default: 1.
   * @throws {CacheError} As `Counter.inc`.
   * @example
   * connections.dec()
   */
  dec(by?: number): void

  /** The value for all processes, with `aggregate: 'living'` for the living ones; 0 if the series was deleted. */
  readonly value: number

  /**
   * Sets the value to 0, atomically.
   *
   * @example
   * connections.reset()
   */
  reset(): void
}

/** A series that counts observations by their size. */
export interface Histogram {
  /**
   * Adds an observation to its bucket and to the sum, atomically.
   *
   * @param value A finite number.
   * @throws {CacheError} As `Counter.inc`.
   * @example
   * seconds.observe((performance.now() - start) / 1000)
   */
  observe(value: number): void

  /** The observations of all processes, as a consistent snapshot. */
  readonly value: HistogramValue

  /**
   * Deletes all observations, atomically.
   *
   * @example
   * seconds.reset()
   */
  reset(): void
}

/**
 * The metrics of a cache, or of one of its namespaces, as returned by `SharedCache.metrics`.
 *
 * Metrics survive `clear`, eviction and the end of processes, but not `segments.destroy`. Metrics, locks and flights
 * together may take a quarter of each shard. Beyond that a new series is refused with `ERR_NO_SPACE`, and existing ones
 * keep working. A series takes at least 128 bytes, depending on the length of its labels; a histogram with 11 buckets
 * takes about 320.
 *
 * An object such as `Counter` is one series. Creating it takes some ten microseconds, a measurement a third of one, so
 * keep the object for frequent use.
 */
export interface Metrics {
  /** The `Content-Type` for the text of `prometheus()`. */
  readonly contentType: string

  /**
   * A series of a counter. A new one starts at 0.
   *
   * @param name A metric name as Prometheus allows it, but not `cache_machine_…`. By convention it ends with `_total`.
   * @param labels Default: none.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for an invalid name, label or option, and if the name is that of
   * another kind of metric; `ERR_KEY_TOO_LONG` if name and labels have more than 8 KiB; `ERR_NO_SPACE`; `ERR_BUSY`;
   * `ERR_CLOSED`.
   * @example
   * const requests = cache.metrics().counter('http_requests_total', { method: 'GET' }, { help: 'Requests served.' })
   * requests.inc()
   */
  counter(name: string, labels?: Labels, options?: MetricOptions): Counter

  /**
   * A series of a gauge, with one value for all workers. A new one starts at 0.
   *
   * @param name As for `counter`.
   * @param labels Default: none. For one value per worker, add a label that names the worker.
   * @param options `aggregate: 'living'`: the value is the sum over living workers, for what is counted by `inc` and
   * `dec`.
   * @throws {CacheError} As `counter`.
   * @example
   * const connections = cache.metrics().gauge('open_connections', {}, { aggregate: 'living' })
   * server.on('connection', (socket) => {
   *   connections.inc()
   *   socket.on('close', () => connections.dec())
   * })
   */
  gauge(name: string, labels?: Labels, options?: GaugeOptions): Gauge

  /**
   * A series of a histogram. A new one is empty.
   *
   * @param name As for `counter`. Its lines are named `name_bucket`, `name_sum` and `name_count`; no other metric may
   * have these names.
   * @param labels Default: none. `le` is reserved.
   * @throws {CacheError} As `counter`; also `ERR_INVALID_ARGUMENT` if it was declared with other buckets.
   * @example
   * const seconds = cache.metrics().histogram('query_seconds', { table: 'users' }, { buckets: [0.001, 0.01, 0.1, 1] })
   * seconds.observe(0.004)
   */
  histogram(name: string, labels?: Labels, options?: HistogramOptions): Histogram

  /**
   * Deletes one series, or without `labels` the metric with all its series. The next use of an object of a deleted
   * series creates the series again, from 0.
   *
   * @param labels `{}`: the series without labels.
   * @returns Whether a series was deleted.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_BUSY`, after which some series may have been deleted.
   * @example
   * metrics.delete('open_connections', { worker: 3 })
   */
  delete(name: string, labels?: Labels): boolean

  /**
   * All metrics of all workers in the text format of Prometheus (0.0.4), followed by the stats of the cache, over all
   * processes since the segment was created: `cache_machine_hits_total` and so on, with the label `cache`, in a
   * namespace also `namespace`. Each series is a consistent snapshot.
   *
   * `cache_machine_lock_wait_seconds` is a histogram; its sum is estimated from its buckets. The counts of the whole
   * cache include those of its namespaces.
   *
   * @param options `statistics: false`: without the stats of the cache. `namespaces: true`: with the metrics of its
   * namespaces, in one valid text. Two texts of one cache must not be joined: both may have a line for the same metric.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_SEGMENT_CORRUPT`.
   * @example
   * response.setHeader('Content-Type', metrics.contentType).end(metrics.prometheus({ namespaces: true }))
   */
  prometheus(options?: PrometheusOptions): string

  /**
   * The same metrics as data, for libraries that export them in a format of their own.
   *
   * @param options As `prometheus`.
   * @returns First the metrics of the application, then those of the cache.
   * @throws {CacheError} As `prometheus`.
   * @example
   * for (const { name, series } of metrics.collect()) console.log(name, series.length)
   */
  collect(options?: PrometheusOptions): CollectedMetric[]
}
