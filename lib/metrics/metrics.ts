/**
 * The counters, gauges and histograms of an application, kept in the segment: one value for all workers, which survives
 * the end of each worker and which any worker can render.
 *
 * A measurement changes one small record atomically, so none is lost or counted twice, even if a process is killed. A
 * metric belongs to the segment, not to a process: a gauge has the value that any worker set last, unless it sums living
 * workers only (`living.ts`). If a series was deleted, or the segment is new, the next measurement creates the series again.
 */
import { invalid } from '../errors.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import {
  CONTENT_TYPE,
  checkMetricName,
  mergeFamilies,
  parseLabels,
  renderFamilies,
  renderLabels,
  withLabel,
} from './exposition.ts'
import type { Labels, MetricFamily, MetricType, Sample } from './exposition.ts'
import type {
  CollectedMetric,
  Counter,
  Gauge,
  GaugeOptions,
  Histogram,
  HistogramOptions,
  MetricOptions,
  Metrics,
  PrometheusOptions,
} from './instruments.ts'
import { deleteParts, readMetrics } from './living.ts'
import { native } from '../engine/engine.ts'
import { MetricKind } from '../native/layout.ts'
import type { NativeMetric } from '../native/addon.ts'
import {
  CounterSeries,
  GaugeSeries,
  HistogramSeries,
  KINDS,
  NO_BOUNDS,
  Series,
  histogramValue,
  keyOf,
} from './series.ts'
import type { MetricCalls } from './series.ts'
import type { Stats } from '../segment/stats.ts'
import { statMetrics } from './stat-metrics.ts'

/** The source of the cache's own metrics. */
export interface StatsSource {
  stats(): Stats
}

/** The native calls on the handle of this cache, and on handles of its namespaces. */
export interface MetricsCalls extends MetricCalls {
  /** Calls `run` with a handle of another namespace of the segment, which is closed afterwards. */
  inNamespace<T>(namespace: string, run: (id: number) => T): T
}

/** The label of the series of a namespace in a text of several namespaces. */
const NAMESPACE = 'namespace'

/** Names of metrics for which this thread has emitted a warning. */
const warned = new Set<string>()

/** The prefix of the cache's own metrics, which applications must not use. */
const OWN_PREFIX = 'cache_machine_'

const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const MAX_BUCKETS = 256

const COUNTER = accepted<MetricOptions>('counter', { help: true })
const GAUGE = accepted<GaugeOptions>('gauge', { help: true, aggregate: true })
const HISTOGRAM = accepted<HistogramOptions>('histogram', { help: true, buckets: true })
const PROMETHEUS = accepted<PrometheusOptions>('prometheus', { statistics: true, namespaces: true })
const COLLECT = accepted<PrometheusOptions>('collect', { statistics: true, namespaces: true })

/** The metrics of one cache. */
export class CacheMetrics implements Metrics {
  readonly contentType: string = CONTENT_TYPE
  readonly #calls: MetricsCalls
  /** Labels of the cache's own metrics. */
  readonly #labels: Labels
  readonly #source: StatsSource

  constructor(calls: MetricsCalls, labels: Labels, source: StatsSource) {
    this.#calls = calls
    this.#labels = labels
    this.#source = source
  }

  counter(name: string, labels: Labels = {}, options: MetricOptions = {}): Counter {
    checkOptions(options, COUNTER)
    return new CounterSeries(this.#series('counter', name, labels, options.help, NO_BOUNDS))
  }

  gauge(name: string, labels: Labels = {}, options: GaugeOptions = {}): Gauge {
    checkOptions(options, GAUGE)
    const { aggregate = 'shared' } = options
    if (aggregate !== 'shared' && aggregate !== 'living') {
      throw invalid("aggregate must be 'shared' or 'living'", aggregate)
    }
    return new GaugeSeries(this.#series('gauge', name, labels, options.help, NO_BOUNDS, aggregate === 'living'))
  }

  histogram(name: string, labels: Labels = {}, options: HistogramOptions = {}): Histogram {
    checkOptions(options, HISTOGRAM)
    const { buckets, help } = options
    const bounds = buckets === undefined ? this.#boundsOf(checkName(name)) : checkBuckets(buckets)
    return new HistogramSeries(this.#series('histogram', name, labels, help, bounds))
  }

  delete(name: string, labels?: Labels): boolean {
    checkMetricName(name)
    if (labels === undefined) return this.#calls.write((id) => native.metricDelete(id, name))
    const key = keyOf(name, renderLabels(labels))
    return this.#calls.write((id) => {
      const hasParts = native.metricGet(id, name)?.kind === MetricKind.Gauge && deleteParts(id, key)
      return native.metricDelete(id, key) || hasParts
    })
  }

  prometheus(options: PrometheusOptions = {}): string {
    checkOptions(options, PROMETHEUS)
    return this.#families(options).map(renderFamilies).join('')
  }

  collect(options: PrometheusOptions = {}): CollectedMetric[] {
    checkOptions(options, COLLECT)
    return this.#families(options).flatMap((families) => families.map(collected))
  }

  /** The families of the application, and those of the cache. */
  #families(options: PrometheusOptions): (readonly MetricFamily[])[] {
    const families = familiesOf(this.#calls.write(readMetrics))
    const stats = options.statistics === false && options.namespaces !== true ? undefined : this.#source.stats()
    const isNamespace = NAMESPACE in this.#labels
    const own = stats === undefined ? [] : statMetrics(stats, renderLabels(this.#labels), isNamespace)
    if (options.namespaces !== true || stats === undefined) return [families, own]

    const before = isNamespace ? `${this.#labels[NAMESPACE]}:` : ''
    const all = families.map((family) => labelled(family, this.#labels[NAMESPACE]))
    const owns = [...own]
    for (const namespace of stats.namespaces.filter((name) => name.startsWith(before))) {
      const labels = renderLabels({ ...this.#labels, [NAMESPACE]: namespace })
      this.#calls.inNamespace(namespace, (id) => {
        all.push(...familiesOf(readMetrics(id)).map((family) => labelled(family, namespace)))
        owns.push(...statMetrics({ ...stats, ...native.stats(id).own }, labels, true))
      })
    }
    return [merged(all), options.statistics === false ? [] : merged(owns)]
  }

  #series(
    type: MetricType,
    name: string,
    labels: Labels,
    help: unknown = '',
    bounds: Float64Array,
    isLiving = false,
  ): Series {
    if (typeof help !== 'string' || !help.isWellFormed()) throw invalid('help must be a string', help)
    const rendered = renderLabels(labels, type === 'histogram' ? 'le' : undefined)
    return new Series(this.#calls, { type, name: checkName(name), labels: rendered, help, bounds, isLiving })
  }

  /** The bounds that the histogram was declared with, or the default. */
  #boundsOf(name: string): Float64Array {
    const family = this.#calls.write((id) => native.metricGet(id, name))
    return family?.kind === MetricKind.Histogram ? family.bounds : Float64Array.from(DEFAULT_BUCKETS)
  }
}

/** The family with the label of its namespace; of the root, without it. */
function labelled(family: MetricFamily, namespace: Labels[string] | undefined): MetricFamily {
  const own = namespace === undefined ? undefined : String(namespace)
  const samples = family.samples.map((sample) => ({ ...sample, labels: withLabel(sample.labels, NAMESPACE, own) }))
  return { ...family, samples }
}

function merged(all: readonly MetricFamily[]): readonly MetricFamily[] {
  const { families, refused } = mergeFamilies(all)
  for (const name of refused) {
    if (warned.has(name)) continue
    warned.add(name)
    process.emitWarning(`the metric ${name} is of different types in different namespaces; some are left out`, {
      type: 'CacheMachineWarning',
      code: 'CACHE_MACHINE_METRICS',
      detail: 'Use one type for a name in all namespaces, or different names.',
    })
  }
  return families
}

function collected({ name, type, help, samples }: MetricFamily): CollectedMetric {
  if (type !== 'histogram') {
    return { name, type, help, series: samples.map(({ labels, value }) => ({ labels: parseLabels(labels), value })) }
  }
  const series = samples.map(({ labels, value, bounds = NO_BOUNDS, counts = NO_BOUNDS }) => {
    return { labels: parseLabels(labels), value: histogramValue(bounds, counts, value) }
  })
  return { name, type, help, series }
}

/** Groups series by family. A series without a family is just being deleted; its own record has the type. */
function familiesOf(found: readonly NativeMetric[]): MetricFamily[] {
  const families = new Map<string, { name: string; type: MetricType; help: string; samples: Sample[] }>()
  const familyOf = (name: string, kind: number) => {
    const type = kind === MetricKind.Counter ? 'counter' : kind === MetricKind.Gauge ? 'gauge' : 'histogram'
    const family = families.get(name) ?? { name, type, help: '', samples: [] }
    families.set(name, family)
    return family
  }
  // The key of a family is a prefix of the keys of its series, so it comes first.
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
  if (checked.startsWith(OWN_PREFIX)) throw invalid(`the names ${OWN_PREFIX}… are reserved for the cache`, name)
  return checked
}

function checkBuckets(buckets: unknown): Float64Array {
  const isList = Array.isArray(buckets) && buckets.length > 0 && buckets.length <= MAX_BUCKETS
  if (!isList) throw invalid(`buckets must be an array of 1 to ${MAX_BUCKETS} numbers`, buckets)
  const fine = buckets.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > buckets[i - 1]))
  if (!fine) throw invalid('buckets must be finite numbers in ascending order', buckets)
  // Plus 0 turns -0 into 0, the same bound.
  return Float64Array.from(buckets as number[], (bound) => bound + 0)
}
