/**
 * The application's own counters, gauges and histograms, kept in the segment: one number for all workers, which no worker's
 * end takes away, and which any worker can render for all.
 *
 * A measurement is one change of one small record, so none is lost or counted twice, whoever is killed when. The thing to
 * get wrong: whose a metric is. It belongs to the segment, not to a process: a gauge has the value that was set last, by whichever
 * worker, and a handle may find its series deleted, or the segment new; then the series is made again.
 */
import { invalid } from './errors.ts'
import { CONTENT_TYPE, checkMetricName, renderFamilies, renderLabels } from './exposition.ts'
import type { Labels, MetricFamily, MetricType, Sample } from './exposition.ts'
import { MetricKind, native } from './native.ts'
import type { NativeMetric } from './native.ts'
import { CounterSeries, GaugeSeries, HistogramSeries, KINDS, NO_BOUNDS, Series, keyOf } from './series.ts'
import type { MetricCalls } from './series.ts'
import { statisticsOf } from './statistics.ts'

/** Options of `counter` and `gauge`. */
export interface MetricOptions {
  /** What the metric says, for the `# HELP` line, 4 KiB at most. Default: what was given before, else none. */
  help?: string | undefined
}

/** Options of `histogram`. */
export interface HistogramOptions extends MetricOptions {
  /**
   * Upper bounds of the buckets, finite and growing, 256 at most; one more counts what is larger than all. Default: those that the
   * histogram was declared with before, else 0.005 to 10, for seconds of a request.
   */
  buckets?: readonly number[] | undefined
}

/** Options of `prometheus`. */
export interface PrometheusOptions {
  /** Also render what the cache counts of itself, as `cache_machine_…`. Default: true. */
  statistics?: boolean | undefined
}

/** What a histogram has counted. */
export interface HistogramValue {
  /** Observations. */
  readonly count: number
  /** Their sum. */
  readonly sum: number
  /** How many were at most `le`; the last one, of Infinity, counts all. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[]
}

/** A series that only grows. Exact up to `Number.MAX_SAFE_INTEGER`. */
export interface Counter {
  /**
   * Adds, in one step: no increment of any process is lost.
   *
   * @param by A finite number of at least 0, whole or not. Default: 1.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_OVERFLOW` where the sum would not be finite; `ERR_BUSY`; `ERR_CLOSED`;
   * `ERR_NO_SPACE` with `eviction: 'none'` and a full segment.
   * @example
   * requests.inc()
   */
  inc(by?: number): void

  /** The count of all processes; 0 if the series was deleted. */
  readonly value: number

  /**
   * Back to 0, in one step.
   *
   * @example
   * requests.reset()
   */
  reset(): void
}

/** A series that goes up and down. */
export interface Gauge {
  /**
   * Sets the value for all processes: the last one counts.
   *
   * @param value Any number, also NaN and infinite ones.
   * @throws {CacheError} As `inc`.
   * @example
   * temperature.set(21.5)
   */
  set(value: number): void

  /**
   * Adds, in one step.
   *
   * @param by A finite number. Default: 1.
   * @throws {CacheError} As `Counter.inc`.
   * @example
   * connections.inc()
   */
  inc(by?: number): void

  /**
   * Takes away, in one step.
   *
   * @param by A finite number. Default: 1.
   * @throws {CacheError} As `Counter.inc`.
   * @example
   * connections.dec()
   */
  dec(by?: number): void

  /** The value of all processes; 0 if the series was deleted. */
  readonly value: number

  /**
   * Back to 0, in one step.
   *
   * @example
   * connections.reset()
   */
  reset(): void
}

/** A series that counts observations by their size. */
export interface Histogram {
  /**
   * Counts an observation: in its bucket and in the sum, in one step.
   *
   * @param value A finite number.
   * @throws {CacheError} As `Counter.inc`.
   * @example
   * seconds.observe((performance.now() - start) / 1000)
   */
  observe(value: number): void

  /** What all processes have observed, as it was at one moment. */
  readonly value: HistogramValue

  /**
   * Forgets all observations, in one step.
   *
   * @example
   * seconds.reset()
   */
  reset(): void
}

/**
 * The metrics of a cache, or of one of its namespaces, as `SharedCache.metrics` gives them.
 *
 * `clear`, eviction and the end of processes leave them alone; `segments.destroy` does not. Metrics, locks and flights
 * together may take a quarter of each shard: then a new series is refused with `ERR_NO_SPACE`, and those that are there go on. A
 * series takes 128 bytes and more, by the length of its labels; a histogram with 11 buckets about 320.
 *
 * A handle is one series. Making one takes some ten microseconds and a measurement a third of one, so keep it where it is
 * used often.
 */
export interface Metrics {
  /** The `Content-Type` to serve `prometheus()` with. */
  readonly contentType: string

  /**
   * A series of a counter, which starts at 0 unless it is there.
   *
   * @param name As Prometheus allows, but not `cache_machine_…`; by custom it ends with `_total`.
   * @param labels Default: none.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a name, label or option that cannot be, and where the name is another kind
   * of metric; `ERR_KEY_TOO_LONG` where name and labels have more than 8 KiB; `ERR_NO_SPACE`; `ERR_BUSY`; `ERR_CLOSED`.
   * @example
   * const requests = cache.metrics().counter('http_requests_total', { method: 'GET' }, { help: 'Requests served.' })
   * requests.inc()
   */
  counter(name: string, labels?: Labels, options?: MetricOptions): Counter

  /**
   * A series of a gauge, which starts at 0 unless it is there. All workers share its one value.
   *
   * @param name As for `counter`.
   * @param labels Default: none. For a value of each worker's own, give it a label of its own.
   * @throws {CacheError} As `counter`.
   * @example
   * const connections = cache.metrics().gauge('open_connections')
   * server.on('connection', (socket) => {
   *   connections.inc()
   *   socket.on('close', () => connections.dec())
   * })
   */
  gauge(name: string, labels?: Labels, options?: MetricOptions): Gauge

  /**
   * A series of a histogram, which starts empty unless it is there.
   *
   * @param name As for `counter`. It has lines named `name_bucket`, `name_sum` and `name_count`, which no other metric may be.
   * @param labels Default: none. `le` is the histogram's own.
   * @throws {CacheError} As `counter`; `ERR_INVALID_ARGUMENT` also where it was declared with other buckets.
   * @example
   * const seconds = cache.metrics().histogram('query_seconds', { table: 'users' }, { buckets: [0.001, 0.01, 0.1, 1] })
   * seconds.observe(0.004)
   */
  histogram(name: string, labels?: Labels, options?: HistogramOptions): Histogram

  /**
   * Deletes one series, or without `labels` the metric with all its series. A handle that is used again makes its series
   * again, from 0.
   *
   * @param labels `{}`: the series without labels.
   * @returns Whether there was any.
   * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_BUSY`: some series may be gone then.
   * @example
   * metrics.delete('open_connections', { worker: 3 })
   */
  delete(name: string, labels?: Labels): boolean

  /**
   * All metrics of all workers as Prometheus reads them (text format 0.0.4), and after them what the cache counts of itself, in
   * all processes since the segment was made: `cache_machine_hits_total` and so on, with the label `cache`, in a namespace also
   * `namespace`. Each series is as it was at one moment.
   *
   * @param options `statistics: false`: without what the cache counts of itself, for instance where the metrics of several
   * namespaces are served as one text.
   * @throws {CacheError} `ERR_CLOSED`, `ERR_SEGMENT_CORRUPT`.
   * @example
   * response.setHeader('Content-Type', metrics.contentType).end(metrics.prometheus())
   */
  prometheus(options?: PrometheusOptions): string
}

/** What is refused for the application's metrics: the cache's own are named so. */
const OWN = 'cache_machine_'

const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const MAX_BUCKETS = 256

/** Metrics over the native calls of a cache. */
export class CacheMetrics implements Metrics {
  readonly contentType: string = CONTENT_TYPE
  readonly #calls: MetricCalls

  constructor(calls: MetricCalls) {
    this.#calls = calls
  }

  counter(name: string, labels: Labels = {}, options: MetricOptions = {}): Counter {
    return new CounterSeries(this.#series('counter', name, labels, options, NO_BOUNDS))
  }

  gauge(name: string, labels: Labels = {}, options: MetricOptions = {}): Gauge {
    return new GaugeSeries(this.#series('gauge', name, labels, options, NO_BOUNDS))
  }

  histogram(name: string, labels: Labels = {}, options: HistogramOptions = {}): Histogram {
    checkOptions(options)
    const { buckets } = options
    const bounds = buckets === undefined ? this.#boundsOf(checkName(name)) : checkBuckets(buckets)
    return new HistogramSeries(this.#series('histogram', name, labels, options, bounds))
  }

  delete(name: string, labels?: Labels): boolean {
    const key = labels === undefined ? checkMetricName(name) : keyOf(checkMetricName(name), renderLabels(labels))
    return this.#calls.native((id) => native.metricDelete(id, key))
  }

  prometheus(options: PrometheusOptions = {}): string {
    checkOptions(options)
    const found = this.#calls.native((id) => native.metricsAll(id))
    const text = renderFamilies(familiesOf(found))
    if (options.statistics === false) return text
    const { labels } = this.#calls
    return text + renderFamilies(statisticsOf(this.#calls.stats(), renderLabels(labels), 'namespace' in labels))
  }

  #series(type: MetricType, name: string, labels: Labels, options: MetricOptions, bounds: Float64Array): Series {
    checkOptions(options)
    const { help = '' } = options
    if (typeof help !== 'string' || !help.isWellFormed()) throw invalid('help must be a string', help)
    const rendered = renderLabels(labels, type === 'histogram' ? 'le' : undefined)
    return new Series(this.#calls, { type, name: checkName(name), labels: rendered, help, bounds })
  }

  /** As it was declared before, or the default. */
  #boundsOf(name: string): Float64Array {
    const family = this.#calls.native((id) => native.metricGet(id, name))
    return family?.kind === MetricKind.Histogram ? family.bounds : Float64Array.from(DEFAULT_BUCKETS)
  }
}

/** Series by their families; one without a family was just being deleted, and says by itself what it is. */
function familiesOf(found: readonly NativeMetric[]): MetricFamily[] {
  const families = new Map<string, { name: string; type: MetricType; help: string; samples: Sample[] }>()
  const familyOf = (name: string, kind: number) => {
    const type = kind === MetricKind.Counter ? 'counter' : kind === MetricKind.Gauge ? 'gauge' : 'histogram'
    const family = families.get(name) ?? { name, type, help: '', samples: [] }
    families.set(name, family)
    return family
  }
  // A family's key is the start of its series', so it comes before them.
  for (const { key, kind, help, value, bounds, counts } of found) {
    const brace = key.indexOf('{')
    if (brace === -1) {
      familyOf(key, kind).help = help
      continue
    }
    const family = familyOf(key.slice(0, brace), kind)
    if (KINDS[family.type] === kind) family.samples.push({ labels: key.slice(brace + 1, -1), value, bounds, counts })
  }
  return [...families.values()]
}

function checkName(name: unknown): string {
  const checked = checkMetricName(name)
  if (checked.startsWith(OWN)) throw invalid(`metrics named ${OWN}… are those of the cache itself`, name)
  return checked
}

function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) throw invalid('options must be an object', options)
}

function checkBuckets(buckets: unknown): Float64Array {
  const isList = Array.isArray(buckets) && buckets.length > 0 && buckets.length <= MAX_BUCKETS
  if (!isList) throw invalid(`buckets must be an array of 1 to ${MAX_BUCKETS} numbers`, buckets)
  const fine = buckets.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > buckets[i - 1]))
  if (!fine) throw invalid('buckets must be finite numbers, each larger than the one before', buckets)
  // Plus 0: -0 and 0 are the same bound.
  return Float64Array.from(buckets as number[], (bound) => bound + 0)
}
