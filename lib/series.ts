/**
 * One series of a metric: its record in the segment, and the handles of each type over it.
 *
 * The thing to get wrong: a series that is not there any more. Somebody deleted it, or the segment is a new one; it is
 * declared again, and the measurement is taken then.
 */
import { CacheError, invalid } from './errors.ts'
import type { Labels, MetricType } from './exposition.ts'
import type { Handle } from './handle.ts'
import type { Counter, Gauge, Histogram, HistogramValue } from './metrics.ts'
import { Measure, MetricKind, native } from './native.ts'
import type { NativeMetric, RawKey } from './native.ts'
import type { Stats } from './stats.ts'

/** What metrics need of their cache. */
export interface MetricCalls {
  /** Labels for the cache's own statistics. */
  readonly labels: Labels
  /** Throws `ERR_CLOSED`. */
  live(): Handle
  /** Goes on after a raw call that gave nothing; undefined if there is no such series. */
  again(key: RawKey, how: number, value: number): boolean | undefined
  /** An ordinary native call, on the segment opened again if need be. Throws `CacheError`s. */
  native<T>(run: (id: number) => T): T
  stats(): Stats
}

/** So often a series may be deleted while it is counted. */
const MOST_TRIES = 100

/** Of a metric without buckets. */
export const NO_BOUNDS: Float64Array = new Float64Array()

export const KINDS: Readonly<Record<MetricType, number>> = {
  counter: MetricKind.Counter,
  gauge: MetricKind.Gauge,
  histogram: MetricKind.Histogram,
}

/** What a handle was made with. */
export interface Definition {
  readonly type: MetricType
  readonly name: string
  readonly labels: string
  readonly help: string
  readonly bounds: Float64Array
}

/** One series in the segment, made if it is not there. */
export class Series {
  readonly #calls: MetricCalls
  readonly #definition: Definition
  readonly #key: string
  /** The key in the form that needs no second look. */
  readonly #rawKey: RawKey

  constructor(calls: MetricCalls, definition: Definition) {
    this.#calls = calls
    this.#definition = definition
    this.#key = keyOf(definition.name, definition.labels)
    this.#rawKey = this.#key.includes('\uFFFD') ? Buffer.from(this.#key) : this.#key
    this.#declare()
  }

  measure(how: number, value: number): void {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const handle = this.#calls.live()
      const done = handle.measure(this.#rawKey, how, value) ?? this.#calls.again(this.#rawKey, how, value)
      if (done === true) return
      if (done === false) throw invalid(`the metric ${this.#definition.name} was made anew as another kind`, this.#key)
      this.#declare()
    }
    throw new CacheError('ERR_BUSY', `the series ${this.#key} is deleted again and again`)
  }

  read(): NativeMetric | null {
    return this.#calls.native((id) => native.metricGet(id, this.#key))
  }

  #declare(): void {
    const { name, type, bounds, help } = this.#definition
    this.#calls.native((id) => native.metricDeclare(id, name, KINDS[type], bounds, help, this.#key))
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
    if (!Number.isFinite(by)) throw invalid('a gauge takes away a finite number', by)
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
    let count = 0
    const buckets = Array.from(counts, (own, i) => ({ le: bounds[i] ?? Infinity, count: (count += own) }))
    return { count, sum, buckets }
  }

  reset(): void {
    this.#series.measure(Measure.Reset, 0)
  }
}

/** The key of a series' record; braces are in no name, so it is none of a family's. */
export function keyOf(name: string, labels: string): string {
  return `${name}{${labels}}`
}
