/**
 * What counter, gauge and histogram of shared memory have in common: options, labels, series, and what prom-client reads.
 */
import type { MetricType } from '../../metrics/exposition.ts'
import type { Metrics } from '../../metrics/instruments.ts'
import { invalid } from '../../errors.ts'
import type { PromRegistry, ScrapedMetrics } from './prometheus-collection.ts'
import type { PromMetric } from './prometheus-data.ts'
import { survive } from './reports.ts'
import type { OnError } from './reports.ts'

/** The labels of a series. */
export type LabelValues<T extends string> = Partial<Record<T, string | number>>

/** Options of an instrument, as in prom-client. `collect` and `enableExemplars` are refused. */
export interface InstrumentOptions<T extends string = string> {
  name: string
  help: string
  labelNames?: readonly T[] | undefined
  /** Registries in the place of the one that `sharedMetrics` was given. */
  registers?: readonly PromRegistry[] | undefined
  /** Of a gauge. `sum`: each worker has its own value, and those of living workers are added. `first`: one value. */
  aggregator?: 'sum' | 'first' | undefined
  /** Of a histogram: upper bounds, ascending. Default: those of prom-client. */
  buckets?: readonly number[] | undefined
}

/** Where the instruments of one call of `sharedMetrics` are. */
export interface Place {
  readonly metrics: Metrics
  readonly register: PromRegistry
  readonly report: OnError
  readonly scraped: ScrapedMetrics
}

/** Labels by name. */
export type Labels = Record<string, string | number>

const REFUSED: Record<string, string> = {
  collect: 'it would run in the scraped worker alone; make this metric with prom-client, and use sharedRegistry',
  enableExemplars: 'exemplars are not kept in shared memory; make this metric with prom-client',
}

/** What the three have. */
export abstract class Instrument<T extends string, Series> {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  /** Every worker reads the same values. */
  readonly aggregator = 'first'
  readonly labelNames: readonly T[]
  readonly #place: Place
  readonly #make: (metrics: Metrics, labels: Labels) => Series
  /** Series by their labels, since making one takes longer than a measurement. */
  readonly #series = new Map<string, Series>()

  constructor(
    place: Place,
    type: MetricType,
    options: InstrumentOptions<T>,
    make: (metrics: Metrics, labels: Labels) => Series,
  ) {
    const { name, help, labelNames = [], registers = [place.register] } = options ?? {}
    for (const [option, reason] of Object.entries(REFUSED)) {
      const given = (options as unknown as Record<string, unknown> | undefined)?.[option]
      if (given) throw invalid(`a ${type} in shared memory has no option ${option}: ${reason}`, given)
    }
    if (typeof help !== 'string' || help === '') throw invalid(`a ${type} takes the option help, a text`, help)
    this.#place = place
    this.#make = make
    this.name = name as string
    this.help = help
    this.type = type
    this.labelNames = labelNames
    // A metric without labels is there from the start, as in prom-client. The name is checked in any case.
    if (labelNames.length === 0) this.measure({}, () => undefined)
    for (const register of registers) register.registerMetric(this as never)
  }

  /** The values of all workers, as prom-client asks for them. */
  async get(): Promise<PromMetric> {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: this.#place.scraped.valuesOf(name) }
  }

  /** Sets all series to 0, for all workers. Series with labels are deleted. */
  reset(): void {
    this.#series.clear()
    this.#place.scraped.forget()
    survive(this.#place.report, () => this.#place.metrics.delete(this.name))
    if (this.labelNames.length === 0) this.measure({}, () => undefined)
  }

  /** Deletes the series with these labels, for all workers. */
  remove(...labels: [LabelValues<T>] | (string | number)[]): void {
    const given = this.labelsOf(labels)
    this.#series.delete(this.#keyOf(given))
    this.#place.scraped.forget()
    survive(this.#place.report, () => this.#place.metrics.delete(this.name, given))
  }

  /** Labels by name, or all of them in the order of `labelNames`. */
  protected labelsOf(labels: unknown[]): Record<string, string | number> {
    if (typeof labels[0] === 'object' && labels[0] !== null) return labels[0] as Labels
    if (labels.length !== this.labelNames.length) {
      throw invalid(`${this.name} takes ${this.labelNames.length} labels: ${this.labelNames.join(', ')}`, labels)
    }
    return Object.fromEntries(this.labelNames.map((name, i) => [name, labels[i] as string]))
  }

  /** Runs `work` with the series of the labels. Trouble with the segment is reported. */
  protected measure(labels: Record<string, string | number>, work: (series: Series) => void): void {
    this.#place.scraped.forget()
    survive(this.#place.report, () => {
      const key = this.#keyOf(labels)
      let series = this.#series.get(key)
      if (series === undefined) {
        series = this.#make(this.#place.metrics, defined(labels))
        this.#series.set(key, series)
      }
      work(series)
    })
  }

  #keyOf(labels: Labels): string {
    for (const name of Object.keys(labels)) {
      if (this.labelNames.includes(name as T)) continue
      throw invalid(`a label of ${this.name} must be one of: ${this.labelNames.join(', ')}`, name)
    }
    return JSON.stringify(this.labelNames.map((name) => labels[name]))
  }
}

/** Labels are left out by giving the number first. */
export function argumentsOf(
  labels: object | number | undefined | null,
  value: number | undefined,
): [Labels, number | undefined] {
  return typeof labels === 'object' && labels !== null ? [labels as Labels, value] : [{}, labels ?? undefined]
}

function defined(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== undefined))
}

/** A function that passes on the seconds since this call, and returns them. */
export function timer<E>(end: (seconds: number, labels: E | undefined) => void): (labels?: E) => number {
  const start = performance.now()
  return (labels) => {
    const seconds = (performance.now() - start) / 1000
    end(seconds, labels)
    return seconds
  }
}
