/**
 * The application's counters, gauges and histograms. Each family and each series is one record. The key of a series
 * has a brace. `crates/core/src/records/metrics.rs` is the original.
 */
import { Measure, MetricKind } from '../native/layout.ts'
import type { NativeMetric } from '../native/addon.ts'
import type { Space } from './entry.ts'
import { failure, invalid } from './failure.ts'
import { readName } from './keys.ts'
import type { StoredKey } from './keys.ts'
import { readRecord, storeRecord } from './records.ts'
import type { Store } from './store.ts'

const MAX_BOUNDS = 256
const MAX_HELP = 4096
/** The lines of a histogram, which no other metric may be named like. */
const LINES = ['_bucket', '_sum', '_count']
const KINDS: readonly (string | undefined)[] = [undefined, 'a counter', 'a gauge', 'a histogram']

/** A family, or a series. It is never changed in place. */
interface Metric {
  readonly kind: number
  readonly bounds: readonly number[]
  readonly help: string
  readonly value: number
  readonly counts: readonly number[]
}

/** The metrics of one namespace. */
export class Metrics {
  readonly #store: Store
  readonly #space: Space

  constructor(store: Store, space: Space) {
    this.#store = store
    this.#space = space
  }

  /** Declares a family and one of its series. */
  declare(name: string, kind: number, bounds: readonly number[], help: string, series: string): void {
    if (KINDS[kind] === undefined) throw invalid(`there is no kind ${kind} of metrics`)
    if (bounds.length > MAX_BOUNDS || Buffer.byteLength(help) > MAX_HELP) {
      throw invalid(`a metric has at most ${MAX_BOUNDS} buckets, and ${MAX_HELP} bytes of help`)
    }
    const key = readName(name)
    this.#declareFamily(key, kind, bounds, help)
    const seriesKey = readName(series)
    const known = this.#read(series)
    if (known !== undefined && isSeries(series)) {
      if (known.kind !== kind) throw disagreement('a series of this name', kind)
      return
    }
    const isHistogram = kind === MetricKind.Histogram
    const counts = isHistogram ? bounds.map(() => 0).concat(0) : []
    this.#write(seriesKey, { kind, bounds: isHistogram ? bounds : [], help: '', value: 0, counts })
  }

  /** 0: it is of another kind, 1: done. Undefined: there is no such series. */
  measure(key: StoredKey, how: number, value: number): boolean | undefined {
    const metric = this.#read(key.text)
    if (!MEASURES.has(how)) throw invalid('there is no such measure')
    if (metric === undefined || !isSeries(key.text)) return undefined
    const { kind, bounds, counts } = metric
    if (how !== Measure.Reset && kind !== kindFor(how)) return false
    const after = how === Measure.Reset ? 0 : how === Measure.Set ? value : metric.value + value
    if (how !== Measure.Set && Number.isFinite(metric.value) && !Number.isFinite(after)) {
      throw failure('ERR_OVERFLOW', 'the sum is not finite')
    }
    let next: readonly number[] = counts
    if (how === Measure.Reset) next = counts.map(() => 0)
    if (how === Measure.Observe) {
      const found = bounds.findIndex((bound) => !(value > bound))
      const bucket = found === -1 ? bounds.length : found
      next = counts.with(bucket, (counts[bucket] as number) + 1)
    }
    this.#write(key, { ...metric, value: after, counts: next })
    return true
  }

  get(key: string): NativeMetric | undefined {
    const { text } = readName(key)
    const metric = this.#read(text)
    return metric === undefined ? undefined : shown(text, metric)
  }

  /** All families and series, in the order of their keys' bytes. */
  all(): NativeMetric[] {
    const found = [...this.#space.entries.values()].filter((entry) => this.#store.isFresh(entry))
    return found
      .map((entry) => shown(entry.text, entry.value as Metric))
      .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
  }

  /** Deletes a series, or a family with all of its series. */
  delete(key: string): boolean {
    const { text } = readName(key)
    let isDeleted = false
    if (!isSeries(text)) {
      for (const entry of this.#space.entries.values()) {
        if (entry.text.startsWith(`${text}{`)) isDeleted = this.#store.delete(entry) || isDeleted
      }
    }
    const own = this.#space.entries.get(text)
    return (own !== undefined && this.#store.delete(own)) || isDeleted
  }

  #declareFamily(key: StoredKey, kind: number, bounds: readonly number[], help: string): void {
    const known = this.#read(key.text)
    const agrees =
      known !== undefined &&
      known.kind === kind &&
      known.bounds.length === bounds.length &&
      known.bounds.every((bound, index) => Object.is(bound, bounds[index]))
    if (agrees && (help === '' || known.help === help)) return
    this.#checkLines(key.text, kind)
    if (known !== undefined && !agrees) throw disagreement(key.text, kind)
    this.#write(key, { kind, bounds, help, value: 0, counts: [] })
  }

  #checkLines(name: string, kind: number): void {
    for (const line of LINES) {
      const base = name.endsWith(line) ? name.slice(0, -line.length) : ''
      const isOfHistogram = base !== '' && this.#read(base)?.kind === MetricKind.Histogram
      const longer = name + line
      const other = isOfHistogram
        ? base
        : kind === MetricKind.Histogram && this.#read(longer) !== undefined
          ? longer
          : undefined
      if (other !== undefined) {
        throw invalid(`the metric ${name} would have a line of the same name as the metric ${other}`)
      }
    }
  }

  #read(key: string): Metric | undefined {
    return readRecord<Metric>(this.#store, this.#space, key)
  }

  #write(key: StoredKey, metric: Metric): void {
    const { bounds, counts, help } = metric
    const words = isSeries(key.text)
      ? 2 + (counts.length > 0 ? 1 + bounds.length + counts.length : 0)
      : 3 + bounds.length + Math.ceil(Buffer.byteLength(help) / 8)
    storeRecord(this.#store, this.#space, key, { record: metric, words, ttl: 0 })
  }
}

const MEASURES: ReadonlySet<number> = new Set(Object.values(Measure))

function kindFor(measure: number): number {
  if (measure === Measure.Count) return MetricKind.Counter
  return measure === Measure.Observe ? MetricKind.Histogram : MetricKind.Gauge
}

function isSeries(key: string): boolean {
  return key.includes('{')
}

function shown(key: string, { kind, bounds, help, value, counts }: Metric): NativeMetric {
  return { key, kind, help, bounds: Float64Array.from(bounds), value, counts: Float64Array.from(counts) }
}

function disagreement(name: string, kind: number): Error {
  return invalid(`the metric ${name} is declared elsewhere, not as ${KINDS[kind]} with these buckets`)
}
