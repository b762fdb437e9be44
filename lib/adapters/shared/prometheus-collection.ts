/**
 * Metrics of a cache in a registry of prom-client, read when it is scraped.
 */
import type { CollectedMetric, Metrics } from '../../metrics/instruments.ts'
import { invalid } from '../../errors.ts'
import { promMetricOf } from './prometheus-data.ts'
import type { PromMetric, PromValue } from './prometheus-data.ts'
import { survive } from './reports.ts'
import type { OnError } from './reports.ts'

/** What the adapter needs of a registry of prom-client. */
export interface PromRegistry {
  readonly contentType: string
  registerMetric(metric: never): void
  getSingleMetric(name: string): unknown
  getMetricsAsJSON(): Promise<object[]>
}

/** Throws `ERR_INVALID_ARGUMENT` unless `register` is a registry. */
export function checkRegistry(adapter: string, register: unknown): asserts register is PromRegistry {
  const given = register as Partial<PromRegistry> | null | undefined
  if (typeof given?.registerMetric === 'function' && typeof given.getMetricsAsJSON === 'function') return
  throw invalid(`${adapter} takes the option register, a Registry such as client.register`, register)
}

/**
 * The metrics of a cache for one scrape: prom-client asks each metric by itself, in one turn of the event loop. Metrics
 * that are asked again belong to another scrape.
 */
export class ScrapedMetrics {
  readonly #read: () => CollectedMetric[]
  readonly #asked = new Set<string>()
  #found: Map<string, PromMetric> | undefined

  constructor(read: () => CollectedMetric[]) {
    this.#read = read
  }

  /** The lines of a metric. */
  valuesOf(name: string): readonly PromValue[] {
    if (this.#asked.has(name)) this.forget()
    if (this.#found === undefined) {
      this.#found = new Map(this.#read().map((metric) => [metric.name, promMetricOf(metric)]))
      queueMicrotask(() => this.forget())
    }
    this.#asked.add(name)
    return this.#found.get(name)?.values ?? []
  }

  /** The metrics have changed. */
  forget(): void {
    if (this.#found === undefined) return
    this.#found = undefined
    this.#asked.clear()
  }
}

/** The stats of one cache. */
export class Collection {
  readonly #read: () => CollectedMetric[]
  readonly #scraped: ScrapedMetrics

  constructor(metrics: Metrics, namespaces: boolean, report: OnError) {
    const read = (): CollectedMetric[] => survive(report, () => metrics.collect({ namespaces })) ?? []
    this.#read = () => read().filter(({ name }) => name.startsWith('cache_machine_'))
    this.#scraped = new ScrapedMetrics(this.#read)
  }

  /** Adds the metrics to a registry. They join those of other caches. */
  register(register: PromRegistry): void {
    for (const metric of this.#read()) {
      const known = register.getSingleMetric(metric.name)
      if (known instanceof StatMetric) known.add(this)
      else register.registerMetric(new StatMetric(metric, this) as never)
    }
  }

  /** The lines of one metric. */
  valuesOf(name: string): readonly PromValue[] {
    return this.#scraped.valuesOf(name)
  }
}

/** One metric of the stats, as prom-client reads it. */
class StatMetric {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly aggregator = 'first'
  readonly #collections: Collection[]

  constructor({ name, help, type }: CollectedMetric, collection: Collection) {
    this.name = name
    this.help = help
    this.type = type
    this.#collections = [collection]
  }

  add(collection: Collection): void {
    this.#collections.push(collection)
  }

  async get(): Promise<PromMetric> {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: this.#collections.flatMap((each) => each.valuesOf(name)) }
  }

  /** Does nothing: the stats belong to the cache. */
  reset(): void {}
}
