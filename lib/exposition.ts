/**
 * The text format of Prometheus, version 0.0.4: names, labels, numbers, and the lines of a family.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * The thing to get wrong: escaping. A label's value escapes backslash, quote and line feed; a help text has no quotes to
 * escape. Labels are sorted, so that the same labels are the same series whoever writes them in which order.
 */
import { invalid } from './errors.ts'

/** A label's value; numbers and booleans as `String` writes them. */
export type LabelValue = string | number | boolean

/** Labels of a series by their names. */
export type Labels = Readonly<Record<string, LabelValue>>

/** What a metric is, in the words of the format. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

/** The `Content-Type` of the text. */
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** One series, with its labels as `renderLabels` gives them. */
export interface Sample {
  readonly labels: string
  /** Of a histogram the sum. */
  readonly value: number
  /** Of a histogram: upper bounds without the last one. */
  readonly bounds: Float64Array | undefined
  /** Of a histogram: observations by bucket, one more than bounds. */
  readonly counts: Float64Array | undefined
}

/** A metric with all its series. */
export interface MetricFamily {
  readonly name: string
  readonly type: MetricType
  /** Empty: none. */
  readonly help: string
  readonly samples: readonly Sample[]
}

/** Throws `ERR_INVALID_ARGUMENT` unless it can name a metric. */
export function checkMetricName(name: unknown): string {
  if (typeof name === 'string' && /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) return name
  throw invalid('the name of a metric must be of a-z A-Z 0-9 _ : and not begin with a digit', name)
}

/** Labels as they stand in a line, without braces, sorted by name. Throws `ERR_INVALID_ARGUMENT`. */
export function renderLabels(labels: Labels, reserved?: string): string {
  if (typeof labels !== 'object' || labels === null) throw invalid('labels must be an object', labels)
  const names = Object.keys(labels).sort()
  return names.map((name) => `${checkLabelName(name, reserved)}="${escapeLabel(name, labels[name])}"`).join(',')
}

/** The lines of families, in the order of their names; each ends with a line feed. */
export function renderFamilies(families: readonly MetricFamily[]): string {
  return [...families]
    .sort(by(({ name }) => name))
    .map(renderFamily)
    .join('')
}

function renderFamily({ name, type, help, samples }: MetricFamily): string {
  const lines = help === '' ? [] : [`# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`]
  lines.push(`# TYPE ${name} ${type}`)
  for (const sample of [...samples].sort(by(({ labels }) => labels))) {
    if (type === 'histogram') pushHistogram(lines, name, sample)
    else lines.push(`${name}${inBraces(sample.labels)} ${renderNumber(sample.value)}`)
  }
  return `${lines.join('\n')}\n`
}

function pushHistogram(lines: string[], name: string, { labels, value, bounds = NONE, counts = NONE }: Sample): void {
  let below = 0
  counts.forEach((count, i) => {
    below += count
    const bound = `le="${renderNumber(bounds[i] ?? Infinity)}"`
    lines.push(`${name}_bucket{${labels === '' ? bound : `${labels},${bound}`}} ${renderNumber(below)}`)
  })
  lines.push(`${name}_sum${inBraces(labels)} ${renderNumber(value)}`)
  lines.push(`${name}_count${inBraces(labels)} ${renderNumber(below)}`)
}

const NONE = new Float64Array()

function inBraces(labels: string): string {
  return labels === '' ? '' : `{${labels}}`
}

/** A number as Go reads it. */
function renderNumber(number: number): string {
  if (number === Infinity) return '+Inf'
  return number === -Infinity ? '-Inf' : String(number)
}

function checkLabelName(name: string, reserved: string | undefined): string {
  if (name === reserved) throw invalid(`a metric of this type has a label of its own named ${name}`, name)
  if (/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) && !name.startsWith('__')) return name
  throw invalid('the name of a label must be of a-z A-Z 0-9 _, not begin with a digit, nor with __', name)
}

function escapeLabel(name: string, value: unknown): string {
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  const text = isPlain ? String(value) : ''
  if (!isPlain || !text.isWellFormed()) throw invalid(`the label ${name} must be text, a number or a boolean`, value)
  return text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')
}

function by<T>(keyOf: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0)
}
