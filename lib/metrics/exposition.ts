/**
 * The text format of Prometheus, version 0.0.4: names, labels, numbers, and the lines of a family.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * The value of a label escapes backslash, quote and line feed; a help text escapes backslash and line feed only. Labels
 * are sorted, so their order in a call does not matter.
 */
import { isPlain } from '../arguments/option-names.ts'
import { invalid } from '../errors.ts'

/** The value of a label. Numbers and booleans are written as by `String`. */
export type LabelValue = string | number | boolean

/** The labels of a series, by name. */
export type Labels = Readonly<Record<string, LabelValue>>

/** The type of a metric. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

/** The `Content-Type` of the text. */
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** One series, with labels as rendered by `renderLabels`. */
export interface Sample {
  readonly labels: string
  /** For a histogram, the sum. */
  readonly value: number
  /** For a histogram: upper bounds without the last one. */
  readonly bounds: Float64Array | undefined
  /** For a histogram: observations by bucket, one more than bounds. */
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

/** Throws `ERR_INVALID_ARGUMENT` unless `name` can be the name of a metric. */
export function checkMetricName(name: unknown): string {
  if (typeof name === 'string' && /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) return name
  throw invalid('the name of a metric must consist of a-z A-Z 0-9 _ : and not begin with a digit', name)
}

/** Labels as text, without braces, sorted by name. Throws `ERR_INVALID_ARGUMENT`. */
export function renderLabels(labels: Labels, reserved?: string): string {
  if (typeof labels !== 'object' || labels === null || !isPlain(labels)) {
    throw invalid('labels must be a plain object', labels)
  }
  const names = Object.keys(labels).sort()
  return names.map((name) => `${checkLabelName(name, reserved)}="${escapeLabel(name, labels[name])}"`).join(',')
}

/**
 * Rendered labels with one more label, which belongs to the cache. As Prometheus does it, an own label of that name
 * becomes `exported_…`, so that no series has a label twice and no two series become the same.
 */
export function withLabel(labels: string, name: string, value?: string): string {
  const pairs = new Map(pairsOf(labels))
  let free = name
  while (pairs.has(free)) free = `exported_${free}`
  for (let old = free; old !== name; old = old.slice('exported_'.length)) {
    pairs.set(old, pairs.get(old.slice('exported_'.length)) ?? '')
  }
  pairs.delete(name)
  if (value !== undefined) pairs.set(name, escapeLabel(name, value))
  const sorted = [...pairs].sort(by(([label]) => label))
  return sorted.map(([label, text]) => `${label}="${text}"`).join(',')
}

/** Rendered labels as they were before. */
export function parseLabels(labels: string): Record<string, string> {
  const pairs = pairsOf(labels)
  const unescaped = (text: string): string => text.replace(/\\(.)/gs, (_, letter) => (letter === 'n' ? '\n' : letter))
  return Object.fromEntries(pairs.map(([label, text]) => [label, unescaped(text)]))
}

/** The names of rendered labels, each with its escaped value. */
function pairsOf(labels: string): [string, string][] {
  return Array.from(labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/gs), ([, label = '', text = '']) => [label, text])
}

/** Families of several sources as one list, with one family for each name. */
export interface Merged {
  readonly families: readonly MetricFamily[]
  /** Names of families that are left out, because a family before them has a line of that name and another type. */
  readonly refused: readonly string[]
}

/** Puts the series of families of the same name together. The first family of a name decides its type. */
export function mergeFamilies(all: readonly MetricFamily[]): Merged {
  const families = new Map<string, MetricFamily>()
  const refused: string[] = []
  for (const family of all) {
    const first = families.get(family.name)
    const fits = first === undefined ? !clashes(family, families) : first.type === family.type
    if (!fits) refused.push(family.name)
    else if (first === undefined) families.set(family.name, family)
    else {
      const help = first.help === '' ? family.help : first.help
      families.set(family.name, { ...first, help, samples: [...first.samples, ...family.samples] })
    }
  }
  return { families: [...families.values()], refused }
}

const HISTOGRAM_LINES = ['_bucket', '_sum', '_count']

/** Whether a line of the family has the name of a line of a family of another name. */
function clashes({ name, type }: MetricFamily, families: ReadonlyMap<string, MetricFamily>): boolean {
  return HISTOGRAM_LINES.some(
    (end) =>
      (name.endsWith(end) && families.get(name.slice(0, -end.length))?.type === 'histogram') ||
      (type === 'histogram' && families.has(`${name}${end}`)),
  )
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

/** A number in the notation of Go. */
function renderNumber(number: number): string {
  if (number === Infinity) return '+Inf'
  return number === -Infinity ? '-Inf' : String(number)
}

function checkLabelName(name: string, reserved: string | undefined): string {
  if (name === reserved) throw invalid(`the label ${name} is reserved for metrics of this type`, name)
  if (/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) && !name.startsWith('__')) return name
  throw invalid('the name of a label must consist of a-z A-Z 0-9 _, and not begin with a digit or __', name)
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
