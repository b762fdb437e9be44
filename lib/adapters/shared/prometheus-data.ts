/**
 * Metrics as `getMetricsAsJSON` of prom-client returns them, and how those of several workers fit together.
 */
import type { CollectedMetric } from '../../metrics/instruments.ts'

/** One line of a metric. */
export interface PromValue {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  /** The name of the line, if it is not that of the metric. */
  readonly metricName?: string
}

/** A metric with its lines. */
export interface PromMetric {
  readonly name: string
  readonly help: string
  readonly type: string
  /** How prom-client combines the values of several workers. */
  readonly aggregator: string
  readonly values: readonly PromValue[]
}

/**
 * What one worker publishes: plain data without exemplars. Quantiles of a summary are left out, since those of several
 * workers cannot be combined. A counter has the name that the content type asks for.
 */
export function snapshotOf(metrics: readonly PromMetric[], isOpenMetrics: boolean): PromMetric[] {
  return metrics
    .filter(({ aggregator }) => aggregator !== 'omit')
    .map(({ name, help, type, aggregator, values }) => ({
      name: isOpenMetrics && type === 'counter' ? name.replace(/_total$/, '') : name,
      help,
      type,
      aggregator,
      values: values
        .filter(({ metricName }) => type !== 'summary' || metricName !== undefined)
        .map(({ value, labels, metricName }) => ({
          value,
          labels: { ...labels },
          ...(metricName !== undefined && { metricName }),
        })),
    }))
}

/** Whether the values of a dead worker still count: of what only increases, as long as it is summed or the maximum. */
export function outlives({ type, aggregator }: PromMetric): boolean {
  return type !== 'gauge' && (aggregator === 'sum' || aggregator === 'max')
}

/** The metrics of several dead workers as those of one. Where they differ in shape, the later ones count. */
export function addUp(earlier: readonly PromMetric[], later: readonly PromMetric[]): PromMetric[] {
  const sums = new Map(earlier.map((metric) => [metric.name, metric]))
  for (const metric of later) {
    const before = sums.get(metric.name)
    const fits = before !== undefined && fit(shapeOf(before), shapeOf(metric))
    sums.set(metric.name, fits ? { ...metric, values: addValues(before, metric) } : metric)
  }
  return [...sums.values()]
}

function addValues({ values }: PromMetric, { aggregator, values: more }: PromMetric): PromValue[] {
  const sums = new Map(values.map((value) => [lineOf(value), value]))
  for (const value of more) {
    const before = sums.get(lineOf(value))?.value
    const sum = aggregator === 'max' ? Math.max(before ?? -Infinity, value.value) : (before ?? 0) + value.value
    sums.set(lineOf(value), { ...value, value: sum })
  }
  return [...sums.values()]
}

/**
 * The metrics that can be combined, in the order of the lists: those with the type and the buckets that the worker
 * declares that started last. During the deploy of another version, workers may differ.
 */
export function agreeing(
  lists: readonly { readonly started: number; readonly metrics: readonly PromMetric[] }[],
): PromMetric[][] {
  const shapes = new Map<string, Shape>()
  for (const { metrics } of lists.toSorted((a, b) => b.started - a.started)) {
    for (const metric of metrics) {
      const first = shapes.get(metric.name)
      if (first === undefined || (first.type === metric.type && first.bounds === '')) {
        shapes.set(metric.name, shapeOf(metric))
      }
    }
  }
  return lists.map(({ metrics }) => metrics.filter((metric) => fit(shapes.get(metric.name), shapeOf(metric))))
}

interface Shape {
  readonly type: string
  /** Empty: no buckets, or no observation yet. */
  readonly bounds: string
}

function shapeOf({ type, values }: PromMetric): Shape {
  if (type !== 'histogram') return { type, bounds: '' }
  const bounds = new Set(values.flatMap(({ labels: { le } }) => (le === undefined ? [] : [String(le)])))
  return { type, bounds: [...bounds].sort().join() }
}

function fit(one: Shape | undefined, other: Shape): boolean {
  if (one === undefined) return false
  const sameBounds = one.bounds === other.bounds || one.bounds === '' || other.bounds === ''
  return one.type === other.type && sameBounds
}

function lineOf({ labels, metricName = '' }: PromValue): string {
  const pairs = Object.entries(labels).map(([label, value]) => [label, String(value)])
  return JSON.stringify([metricName, ...pairs.sort(([a = ''], [b = '']) => (a < b ? -1 : 1))])
}

/** A metric of the cache in the form of prom-client. Every worker has the same values, so the first ones do. */
export function promMetricOf(metric: CollectedMetric): PromMetric {
  const { name, help, type } = metric
  const values: PromValue[] = []
  if (metric.type === 'histogram') {
    for (const { labels, value } of metric.series) {
      for (const { le, count } of value.buckets) {
        const bound = le === Infinity ? '+Inf' : le
        values.push({ labels: { le: bound, ...labels }, value: count, metricName: `${name}_bucket` })
      }
      values.push({ labels, value: value.sum, metricName: `${name}_sum` })
      values.push({ labels, value: value.count, metricName: `${name}_count` })
    }
  } else values.push(...metric.series)
  return { name, help, type, aggregator: 'first', values }
}
