/**
 * Counter, gauge and histogram in the interface of prom-client, over the metrics of a cache.
 */
import type { CollectedMetric, Counter, Gauge, Histogram, Metrics } from '../../metrics/instruments.ts'
import { invalid } from '../../errors.ts'
import { ScrapedMetrics } from './prometheus-collection.ts'
import type { PromRegistry } from './prometheus-collection.ts'
import { Instrument, argumentsOf, timer } from './prometheus-instrument.ts'
import type { InstrumentOptions, LabelValues, Labels, Place } from './prometheus-instrument.ts'
import { survive } from './reports.ts'
import type { OnError } from './reports.ts'

export type { InstrumentOptions, LabelValues } from './prometheus-instrument.ts'

/** The classes that `sharedMetrics` returns. */
export interface Instruments {
  Counter: new <T extends string = string>(options: InstrumentOptions<T>) => SharedCounter<T>
  Gauge: new <T extends string = string>(options: InstrumentOptions<T>) => SharedGauge<T>
  Histogram: new <T extends string = string>(options: InstrumentOptions<T>) => SharedHistogram<T>
}

/** The classes over the metrics of a cache. */
export function instrumentsOf(metrics: Metrics, register: PromRegistry, report: OnError): Instruments {
  const collect = (): CollectedMetric[] => survive(report, () => metrics.collect({ statistics: false })) ?? []
  const place: Place = { metrics, register, report, scraped: new ScrapedMetrics(collect) }
  return {
    Counter: class<T extends string> extends SharedCounter<T> {
      constructor(options: InstrumentOptions<T>) {
        super(place, options)
      }
    },
    Gauge: class<T extends string> extends SharedGauge<T> {
      constructor(options: InstrumentOptions<T>) {
        super(place, options)
      }
    },
    Histogram: class<T extends string> extends SharedHistogram<T> {
      constructor(options: InstrumentOptions<T>) {
        super(place, options)
      }
    },
  }
}

/** A counter of all workers. */
export class SharedCounter<T extends string = string> extends Instrument<T, Counter> {
  /** Use the class that `sharedMetrics` returns. */
  constructor(place: Place, options: InstrumentOptions<T>) {
    super(place, 'counter', options, (metrics, labels) => metrics.counter(options.name, labels, { help: options.help }))
  }

  /** @throws {CacheError} `ERR_INVALID_ARGUMENT` for a negative or infinite number, or another label. */
  inc(labels: LabelValues<T>, value?: number): void
  inc(value?: number): void
  inc(labels?: LabelValues<T> | number, value?: number): void {
    const [own, by] = argumentsOf(labels, value)
    this.measure(own, (counter) => counter.inc(by ?? 1))
  }

  labels(...labels: [LabelValues<T>] | (string | number)[]): { inc(value?: number): void } {
    const own = this.labelsOf(labels) as LabelValues<T>
    return { inc: (value) => this.inc(own, value) }
  }
}

/** A gauge of all workers: the sum of the living ones, or with the aggregator `first` one value. */
export class SharedGauge<T extends string = string> extends Instrument<T, Gauge> {
  /** Use the class that `sharedMetrics` returns. */
  constructor(place: Place, options: InstrumentOptions<T>) {
    const { name, help, aggregator = 'sum' } = options ?? {}
    if (aggregator !== 'sum' && aggregator !== 'first') {
      throw invalid("the aggregator of a gauge in shared memory must be 'sum' or 'first'", aggregator)
    }
    const aggregate = aggregator === 'sum' ? 'living' : 'shared'
    super(place, 'gauge', options, (metrics, labels) => metrics.gauge(name, labels, { help, aggregate }))
  }

  set(labels: LabelValues<T>, value: number): void
  set(value: number): void
  set(labels: LabelValues<T> | number, value?: number): void {
    const [own, to] = argumentsOf(labels, value)
    this.measure(own, (gauge) => gauge.set(to as number))
  }

  inc(labels: LabelValues<T>, value?: number): void
  inc(value?: number): void
  inc(labels?: LabelValues<T> | number, value?: number): void {
    const [own, by] = argumentsOf(labels, value)
    this.measure(own, (gauge) => gauge.inc(by ?? 1))
  }

  dec(labels: LabelValues<T>, value?: number): void
  dec(value?: number): void
  dec(labels?: LabelValues<T> | number, value?: number): void {
    const [own, by] = argumentsOf(labels, value)
    this.measure(own, (gauge) => gauge.dec(by ?? 1))
  }

  /** Sets it to the epoch time in seconds. */
  setToCurrentTime(labels: LabelValues<T> = {}): void {
    this.set(labels, Date.now() / 1000)
  }

  /** The returned function sets the seconds since this call, and returns them. */
  startTimer(labels: LabelValues<T> = {}): (end?: LabelValues<T>) => number {
    return timer((seconds, end: LabelValues<T> | undefined) => this.set({ ...labels, ...end }, seconds))
  }

  labels(...labels: [LabelValues<T>] | (string | number)[]): {
    set(value: number): void
    inc(value?: number): void
    dec(value?: number): void
    setToCurrentTime(): void
    startTimer(): (end?: LabelValues<T>) => number
  } {
    const own = this.labelsOf(labels) as LabelValues<T>
    return {
      set: (value) => this.set(own, value),
      inc: (value) => this.inc(own, value),
      dec: (value) => this.dec(own, value),
      setToCurrentTime: () => this.setToCurrentTime(own),
      startTimer: () => this.startTimer(own),
    }
  }
}

/** A histogram of all workers. */
export class SharedHistogram<T extends string = string> extends Instrument<T, Histogram> {
  /**
   * Use the class that `sharedMetrics` returns.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` also if the metric was declared with other buckets.
   */
  constructor(place: Place, options: InstrumentOptions<T>) {
    const { name, help, buckets } = options ?? {}
    super(place, 'histogram', options, (metrics, labels) => metrics.histogram(name, labels, { help, buckets }))
  }

  observe(labels: LabelValues<T>, value: number): void
  observe(value: number): void
  observe(labels: LabelValues<T> | number, value?: number): void {
    const [own, observed] = argumentsOf(labels, value)
    this.measure(own, (histogram) => histogram.observe(observed as number))
  }

  /** Makes the series with these labels, without an observation. */
  zero(labels: LabelValues<T>): void {
    this.measure(labels as Labels, () => undefined)
  }

  /** The returned function observes the seconds since this call, and returns them. */
  startTimer(labels: LabelValues<T> = {}): (end?: LabelValues<T>) => number {
    return timer((seconds, end: LabelValues<T> | undefined) => this.observe({ ...labels, ...end }, seconds))
  }

  labels(...labels: [LabelValues<T>] | (string | number)[]): {
    observe(value: number): void
    startTimer(): (end?: LabelValues<T>) => number
  } {
    const own = this.labelsOf(labels) as LabelValues<T>
    return { observe: (value) => this.observe(own, value), startTimer: () => this.startTimer(own) }
  }
}
