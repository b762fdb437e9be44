/**
 * Reads the text format of Prometheus 0.0.4 and refuses text that its grammar does not allow.
 *
 * The reader is stricter than Prometheus: all lines of a metric are together, after their one TYPE line; no series
 * comes twice; the buckets of a histogram are in order and grow up to +Inf, and the count of +Inf is `_count`.
 */
// @ts-expect-error -- It has no types.
import parsePrometheusTextFormat from 'parse-prometheus-text-format'
import type { SharedCache } from '../../index.ts'

/** A metric as it was read. */
export interface ReadMetric {
  readonly type: string
  help: string | undefined
  /** By name and sorted labels, as in `x_bucket{le="1",method="GET"}`. */
  readonly samples: Map<string, number>
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\})/
const NUMBER = /^(?:[+-]?Inf|NaN|[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)$/

/** The ends of the names of lines, for types that have several. */
const LINES: Record<string, string[]> = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] }

/** The text of prom-client, which has empty lines between metrics and writes NaN as Nan. Two parsers read it. */
export function readScrape(text: string): Map<string, ReadMetric> {
  const lines = text.trim().replaceAll('\n\n', '\n').replaceAll(/ Nan$/gm, ' NaN')
  const read = readExposition(lines === '' ? '' : `${lines}\n`)
  const names = (parsePrometheusTextFormat(text) as { name: string }[]).map(({ name }) => name)
  // The other parser may leave out metrics without lines.
  const withLines = [...read].flatMap(([name, { samples }]) => (samples.size > 0 ? [name] : []))
  const differ = [...withLines.filter((name) => !names.includes(name)), ...names.filter((name) => !read.has(name))]
  if (differ.length > 0) throw new Error(`only one of two parsers reads ${differ.join()}`)
  return read
}

/** Throws an Error with the wrong line. */
export function readExposition(text: string): Map<string, ReadMetric> {
  const metrics = new Map<string, ReadMetric>()
  let [current, help]: [string | undefined, [string, string] | undefined] = [undefined, undefined]
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end')
  for (const line of text.split('\n').slice(0, -1)) {
    const wrong = (why: string): Error => new Error(`${why}: ${line}`)
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+)(?: (.*))?$/s.exec(line) ?? []
    if (word === 'HELP') {
      if (/(?<!\\)(?:\\\\)*\\(?![\\n])/.test(rest) || metrics.has(name) || help !== undefined)
        throw wrong('a wrong help')
      help = [name, rest.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter))]
    } else if (word === 'TYPE') {
      if (!/^(counter|gauge|histogram|summary|untyped)$/.test(rest) || metrics.has(name)) throw wrong('a wrong type')
      if (help !== undefined && help[0] !== name) throw wrong('help of another metric')
      if (NAME.exec(name)?.[0] !== name) throw wrong('a wrong name')
      metrics.set(name, { type: rest, help: help?.[1], samples: new Map() })
      ;[current, help] = [name, undefined]
    } else {
      const sample = readSample(line)
      const metric = current === undefined ? undefined : metrics.get(current)
      const names = (LINES[metric?.type ?? ''] ?? ['']).map((end) => current + end)
      if (!names.includes(sample.name) || metric === undefined) throw wrong('a line of no metric')
      if (metric.samples.has(sample.key)) throw wrong('a series that comes twice')
      metric.samples.set(sample.key, sample.value)
    }
  }
  if (help !== undefined) throw new Error(`help of nothing: ${help[0]}`)
  for (const [name, metric] of metrics) if (metric.type === 'histogram') checkHistogram(name, metric.samples)
  return metrics
}

function readSample(line: string): { name: string; key: string; value: number } {
  const name = NAME.exec(line)?.[0] ?? ''
  let rest = line.slice(name.length)
  const labels: string[] = []
  if (rest.startsWith('{')) {
    rest = rest.slice(1)
    for (let end = ','; end === ',';) {
      const label = LABEL.exec(rest)
      if (label === null) throw new Error(`a wrong label: ${line}`)
      labels.push(`${label[1]}="${label[2]}"`)
      end = label[3] ?? '}'
      rest = rest.slice(label[0].length)
    }
  }
  const number = rest.slice(1)
  if (name === '' || !rest.startsWith(' ') || !NUMBER.test(number)) throw new Error(`a wrong line: ${line}`)
  const names = labels.map((label) => label.slice(0, label.indexOf('=')))
  if (new Set(names).size !== names.length) throw new Error(`a label that comes twice: ${line}`)
  const key = labels.length === 0 ? name : `${name}{${labels.sort().join(',')}}`
  return { name, key, value: Number(number.replace('Inf', 'Infinity')) }
}

function checkHistogram(name: string, samples: ReadonlyMap<string, number>): void {
  const buckets = new Map<string, [bound: number, count: number][]>()
  for (const [key, count] of samples) {
    if (!key.startsWith(`${name}_bucket`)) continue
    const bound = /le="([^"]+)"/.exec(key)?.[1]
    if (bound === undefined) throw new Error(`a bucket without a bound: ${key}`)
    const others = key
      .slice(`${name}_bucket`.length)
      .replace(/,?le="[^"]+"/, '')
      .replace(/^\{,?\}$/, '')
      .replace('{,', '{')
    buckets.set(others, [...(buckets.get(others) ?? []), [Number(bound.replace('Inf', 'Infinity')), count]])
  }
  for (const [labels, list] of buckets) {
    let [last, count] = [-Infinity, 0]
    let grows = true
    for (const [bound, upTo] of list) {
      grows &&= bound > last && upTo >= count
      ;[last, count] = [bound, upTo]
    }
    if (!grows || last !== Infinity) throw new Error(`the buckets of ${name}${labels} do not grow to +Inf`)
    if (samples.get(`${name}_count${labels}`) !== count || !samples.has(`${name}_sum${labels}`)) {
      throw new Error(`the histogram ${name}${labels} does not add up`)
    }
  }
}

/** The text of the application's own metrics. */
export function rendered(cache: SharedCache): string {
  return cache.metrics().prometheus({ statistics: false })
}
