/**
 * One series of a metric: its record in the segment, and the counter, gauge or histogram over it.
 *
 * A series may be missing: it was deleted, or the segment is new. It is then declared again before the measurement.
 */
import { CacheError, invalid } from '../errors.ts'
import type { MetricType } from './exposition.ts'
import type { NativeCalls, RawAccess } from '../segment/calls.ts'
import type { Counter, Gauge, Histogram, HistogramValue } from './instruments.ts'
import { partKey, readMetrics } from './living.ts'
import { native } from '../engine/engine.ts'
import { Measure, MetricKind } from '../native/layout.ts'
import type { NativeMetric } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'

/** The native calls of metrics. */
export type MetricCalls = RawAccess & Pick<NativeCalls, 'write'>

/** How often one measurement declares its series again, in case other processes keep deleting it. */
const MAX_TRIES = 100

/** The bounds of a metric without buckets. */
export const NO_BOUNDS: Float64Array = new Float64Array()

export const KINDS: Readonly<Record<MetricType, number>> = {
  counter: MetricKind.Counter,
  gauge: MetricKind.Gauge,
  histogram: MetricKind.Histogram,
}

/** The definition of a series. */
export interface Definition {
  readonly type: MetricType
  readonly name: string
  readonly labels: string
  readonly help: string
  readonly bounds: Float64Array
  /** Whether each open cache has a part of its own; see `living.ts`. */
  readonly isLiving: boolean
}

/** One series in the segment, created if it is missing. */
export class Series {
  readonly #calls: MetricCalls
  readonly #definition: Definition
  readonly #key: string
  /** The key of the record in a form that the native side does not question. `#declare` sets it. */
  #rawKey: RawKey = ''

  constructor(calls: MetricCalls, definition: Definition) {
    this.#calls = calls
    this.#definition = definition
    this.#key = keyOf(definition.name, definition.labels)
    this.#declare()
  }

  measure(how: number, value: number): void {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const handle = this.#calls.live()
      const done =
        handle.measure(this.#rawKey, how, value) ?? this.#calls.again('write', 'measure', this.#rawKey, how, value)
      if (done === true) return
      if (done === false)
        throw invalid(`the metric ${this.#definition.name} was created again as another kind`, this.#key)
      this.#declare()
    }
    throw new CacheError('ERR_BUSY', `other processes keep deleting the series ${this.#key}`)
  }

  read(): NativeMetric | null {
    if (!this.#definition.isLiving) return this.#calls.write((id) => native.metricGet(id, this.#key))
    return this.#calls.write(readMetrics).find(({ key }) => key === this.#key) ?? null
  }

  #declare(): void {
    const { name, type, bounds, help, isLiving } = this.#definition
    const key = isLiving ? partKey(this.#calls, this.#key) : this.#key
    this.#rawKey = key.includes('\uFFFD') ? Buffer.from(key) : key
    this.#calls.write((id) => native.metricDeclare(id, name, KINDS[type], bounds, help, key))
  }
}

export class CounterSeries implements Counter {
  readonly #series: Series

  constructor(series: Series) {
    this.#series = series
  }

  inc(by = 1): void {
    if (!Number.isFinite(by) || by < 0) throw invalid('a counter adds a finite number of at least 0', by)
    this.#series.measure(Measure.Count, by)
  }

  get value(): number {
    return this.#series.read()?.value ?? 0
  }

  reset(): void {
    this.#series.measure(Measure.Reset, 0)
  }
}

export class GaugeSeries implements Gauge {
  readonly #series: Series

  constructor(series: Series) {
    this.#series = series
  }

  set(value: number): void {
    if (typeof value !== 'number') throw invalid('a gauge is set to a number', value)
    this.#series.measure(Measure.Set, value)
  }

  inc(by = 1): void {
    if (!Number.isFinite(by)) throw invalid('a gauge adds a finite number', by)
    this.#series.measure(Measure.Add, by)
  }

  dec(by = 1): void {
    if (!Number.isFinite(by)) throw invalid('a gauge subtracts a finite number', by)
    this.#series.measure(Measure.Add, -by)
  }

  get value(): number {
    return this.#series.read()?.value ?? 0
  }

  reset(): void {
    this.#series.measure(Measure.Reset, 0)
  }
}

export class HistogramSeries implements Histogram {
  readonly #series: Series

  constructor(series: Series) {
    this.#series = series
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) throw invalid('a histogram observes a finite number', value)
    this.#series.measure(Measure.Observe, value)
  }

  get value(): HistogramValue {
    const { bounds, counts, value: sum } = this.#series.read() ?? { bounds: NO_BOUNDS, counts: NO_BOUNDS, value: 0 }
    return histogramValue(bounds, counts, sum)
  }

  reset(): void {
    this.#series.measure(Measure.Reset, 0)
  }
}

/** Counts of buckets as sums up to each bound. */
export function histogramValue(bounds: Float64Array, counts: Float64Array, sum: number): HistogramValue {
  let count = 0
  const buckets = Array.from(counts, (own, i) => ({ le: bounds[i] ?? Infinity, count: (count += own) }))
  return { count, sum, buckets }
}

/** The key of the record of a series. Names have no braces, so it never equals the key of a family. */
export function keyOf(name: string, labels: string): string {
  return `${name}{${labels}}`
}
