/**
 * Numbers and tables for people: three digits are what a measurement is worth.
 */
import { contenders } from './contenders/index.mjs'
import { placements } from './placement.mjs'

/** 18,234,567 → `18.2 M`; 38,120 → `38.1 k`; 64 → `64`. */
export function short(value) {
  if (value >= 1e6) return `${digits(value / 1e6)} M`
  if (value >= 1e4) return `${digits(value / 1e3)} k`
  if (value >= 1e3) return Math.round(value).toLocaleString('en')
  return digits(value)
}

/** At least three digits that mean something, and no more after the point. */
export function digits(value) {
  if (value === 0) return '0'
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en', { minimumFractionDigits: 0, maximumFractionDigits: Math.min(places, 4) })
}

/** `3.77 M (3.45 M – 3.94 M)` */
export function withSpread({ median, min, max }) {
  return `${short(median)} (${short(min)} – ${short(max)})`
}

/** What a claim measured and wants, in its unit. */
export function ratio(value, unit) {
  if (value === undefined) return 'not measured'
  if (unit === 'points') return `${value >= 0 ? '+' : ''}${value.toFixed(2)} points`
  return unit === 'part' ? `${digits(value)} of it` : `${digits(value)} ×`
}

export function target({ atLeast, atMost }, unit) {
  return atMost === undefined ? `at least ${ratio(atLeast, unit)}` : `at most ${ratio(atMost, unit)}`
}

export function verdict({ reached }) {
  if (reached === undefined) return '–'
  return reached ? 'yes' : 'no'
}

/** The two sides of a claim: what was divided by what. */
export function sides({ ours, theirs }) {
  if (ours === undefined) return ''
  return `${side(ours)} against ${side(theirs)}`
}

function side({ contender, placement, processes, median, unit }) {
  const where = placement === 'one' ? ', one CPU' : ''
  const count = unit === 'calls/s' && processes > 1 ? ` × ${processes}` : ''
  return `${labelOf(contender)}${count}${where}: ${short(median)} ${unit}`
}

/** A share of the processors' time that others may take before it has to be said. */
const QUIET = 0.1

/** What a reader must know before he believes a figure. */
export function cautionsOf({ machine, quick }) {
  const { busyBefore } = machine
  return [
    ...(quick ? ['A quick run: fewer contenders, and too short to claim anything from.'] : []),
    ...(busyBefore > QUIET
      ? [
          `The machine was ${Math.round(busyBefore * 100)} % busy with other things when the run began: take no figure for more than a hint.`,
        ]
      : []),
  ]
}

/** How a contender is called in reports. */
export function labelOf(id) {
  return contenders.find((contender) => contender.id === id)?.label ?? id
}

/** With its placement, if it has two. */
export function rowLabel({ contender, placement }, hasBoth) {
  return hasBoth ? `${labelOf(contender)} [${placements[placement].short}]` : labelOf(contender)
}

/**
 * Columns as wide as their widest cell; the first to the left, the others to the right.
 *
 * @param {string[][]} rows The first is the head.
 */
export function textTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join('   ')
        .trimEnd(),
    )
    .join('\n')
}

/** @param {string[][]} rows The first is the head. */
export function markdownTable(rows) {
  const [head, ...body] = rows
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'))
  return [line(head), line(rule), ...body.map(line)].join('\n')
}
