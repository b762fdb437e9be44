/**
 * The metrics of a segment for PM2, from two readings of its counts.
 */
import type { Metric } from './messages.ts'
import type { Reading } from './keeper.ts'

/** Counts of a segment at a moment, in milliseconds of a clock that never goes back. */
export interface Sample {
  readonly at: number
  readonly reading: Reading
}

/**
 * The metrics of one segment, by name. Rates are those since the sample before; without one, or after the segment was
 * made anew, they are 0. The hit ratio is that of the reads since then, or `-` if there were none.
 */
export function metricsOf(now: Sample, before: Sample | undefined): Record<string, Metric> {
  const { info, stats } = now.reading
  const last = before !== undefined && before.reading.stats.hits <= stats.hits ? before : undefined
  const seconds = last === undefined ? 1 : (now.at - last.at) / 1000
  const since = (name: 'hits' | 'misses' | 'sets' | 'evictions' | 'expirations'): number =>
    last === undefined ? 0 : Math.max(0, stats[name] - last.reading.stats[name])
  const rate = (count: number): Metric => ({ value: Math.round(count / seconds), unit: '/s' })
  const reads = since('hits') + since('misses')
  return named(info.name, {
    'hit ratio': reads === 0 ? { value: '-' } : { value: ((100 * since('hits')) / reads).toFixed(1), unit: '%' },
    reads: rate(reads),
    writes: rate(since('sets')),
    evictions: rate(since('evictions')),
    expirations: rate(since('expirations')),
    entries: { value: stats.entries },
    memory: { value: mebibytes(stats.usedBytes), unit: `MiB of ${mebibytes(stats.capacityBytes)}` },
    processes: { value: stats.processes },
  })
}

/** The metrics of a segment that is gone. */
export function metricsOfGone(name: string, shown: readonly string[]): Record<string, Metric> {
  return Object.fromEntries(shown.filter((metric) => metric.startsWith(`${name}: `)).map((metric) => [metric, GONE]))
}

const GONE: Metric = { value: 'gone' }

function named(name: string, metrics: Readonly<Record<string, Metric>>): Record<string, Metric> {
  return Object.fromEntries(Object.entries(metrics).map(([metric, value]) => [`${name}: ${metric}`, value]))
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}
