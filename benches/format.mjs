/**
 * Numbers and tables for readers. Numbers have three significant digits, the precision of a measurement.
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

/** Three significant digits; large numbers keep all digits before the point. */
export function digits(value) {
  if (value === 0) return '0'
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en', { minimumFractionDigits: 0, maximumFractionDigits: Math.min(places, 4) })
}

/** `3.77 M (3.45 M – 3.94 M)`; a single sample has no spread. */
export function withSpread({ median, min, max, samples }) {
  if (samples?.length === 1) return short(median)
  return `${short(median)} (${short(min)} – ${short(max)})`
}

/** A ratio in the unit of its claim. */
export function ratio(value, unit) {
  if (value === undefined) return 'not measured'
  if (unit === 'points') return `${value >= 0 ? '+' : ''}${value.toFixed(2)} points`
  return unit === 'part' ? `${digits(value)} of it` : `${digits(value)} ×`
}

export function target({ atLeast, atMost }, unit) {
  return atMost === undefined ? `≥ ${ratio(atLeast, unit)}` : `≤ ${ratio(atMost, unit)}`
}

export function verdict({ reached }) {
  if (reached === undefined) return '–'
  return reached ? 'yes' : 'no'
}

/** The two figures of a claim. */
export function sides({ ours, theirs }) {
  if (ours === undefined) return ''
  return `${side(ours)} against ${side(theirs)}`
}

function side({ contender, placement, processes, median, unit }) {
  const where = placement === 'one' ? ', one CPU' : ''
  const count = unit === 'calls/s' && processes > 1 ? ` × ${processes}` : ''
  return `${labelOf(contender)}${count}${where}: ${short(median)} ${unit}`
}

/** The maximum share of the processors' time that other processes may take without a caution in the reports. */
const MAX_BUSY = 0.1

/** Reasons to distrust the figures of a run. */
export function cautionsOf({ machine, quick }) {
  const { busyBefore } = machine
  return [
    ...(quick ? ['This was a quick run: it has fewer contenders and is too short to judge a claim.'] : []),
    ...(busyBefore > MAX_BUSY
      ? [
          `Other processes took ${Math.round(busyBefore * 100)} % of the processors when the run began: the figures are only rough.`,
        ]
      : []),
  ]
}

/** The name of a contender in reports. */
export function labelOf(id) {
  return contenders.find((contender) => contender.id === id)?.label ?? id
}

/** The name of a row: with the placement if the contender ran in both. */
export function rowLabel({ contender, placement }, hasBoth) {
  return hasBoth ? `${labelOf(contender)} [${placements[placement].short}]` : labelOf(contender)
}

/**
 * Pads each column to its widest cell; the first column is aligned left, the others right.
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

/**
 * @param {string[][]} rows The first is the head.
 * @param {number} [textColumns] The number of columns that are aligned left; the others are aligned right.
 */
export function markdownTable(rows, textColumns = 1) {
  const [head, ...body] = rows
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const rule = head.map((_, column) => (column < textColumns ? '---' : '---:'))
  return [line(head), line(rule), ...body.map(line)].join('\n')
}

/** The maximum width of a line of Markdown. */
export const MAX_COLUMNS = 120

/** Breaks a paragraph into lines of at most `MAX_COLUMNS` characters. */
export function wrap(text) {
  const lines = ['']
  for (const word of text.split(' ')) {
    const longer = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`
    if (longer.length <= MAX_COLUMNS) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.join('\n')
}
