/**
 * Text for people, and JSON for programs.
 *
 * Text is plain ASCII but for keys and values, and has colours on a terminal only, and not with NO_COLOR. Keys are shown
 * with escapes for characters that could change the terminal. JSON is indented on a terminal, and otherwise one line for
 * each document, so that a stream of documents is one document a line.
 */
import type { Milliseconds } from '../arguments/units.ts'
import type { Key } from '../arguments/keys.ts'
import type { HealthStatus } from '../segment/health.ts'

/** Where output goes: `process.stdout`, or what a test collects. */
export interface Sink {
  write(text: string | Uint8Array): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Colour = keyof typeof CODES

/** The colours of findings. */
export const STATUS_COLOURS: Readonly<Record<HealthStatus, Colour>> = {
  ok: 'green',
  warning: 'yellow',
  problem: 'red',
}

/** A cell of a table; numbers are aligned to the right. */
export type Cell = string | number

export class Output {
  readonly isTerminal: boolean
  readonly #sink: Sink
  readonly #hasColours: boolean

  constructor(sink: Sink, env: NodeJS.ProcessEnv) {
    this.#sink = sink
    this.isTerminal = sink.isTTY === true
    const forbidden = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb'
    this.#hasColours = this.isTerminal && !forbidden
  }

  get columns(): number {
    return this.#sink.columns ?? 80
  }

  write(text: string | Uint8Array): void {
    this.#sink.write(text)
  }

  line(text = ''): void {
    this.write(`${text}\n`)
  }

  json(document: unknown): void {
    this.line(JSON.stringify(document, undefined, this.isTerminal ? 2 : undefined))
  }

  colour(colour: Colour, text: string): string {
    return this.#hasColours ? `\u001B[${CODES[colour]}m${text}\u001B[0m` : text
  }

  /** Aligned columns, with a head. */
  table(head: readonly string[], rows: readonly (readonly Cell[])[]): void {
    const texts = rows.map((row) => row.map(String))
    const widths = head.map((title, i) => Math.max(title.length, ...texts.map((row) => (row[i] ?? '').length)))
    const isNumber = head.map((_, i) => rows.some((row) => typeof row[i] === 'number'))
    const show = (row: readonly string[]): string =>
      row
        .map((text, i) => (isNumber[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd()
    this.line(this.colour('bold', show(head)))
    for (const row of texts) this.line(show(row))
  }

  /** Names and values, one a line. */
  pairs(pairs: readonly (readonly [name: string, value: Cell])[]): void {
    const width = Math.max(...pairs.map(([name]) => name.length))
    for (const [name, value] of pairs) this.line(`${this.colour('bold', name.padEnd(width))}  ${value}`)
  }
}

/** `1234567` as `1,234,567`. */
export function count(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

/** A noun with its number: `1 key`, `2 keys`. */
export function some(number: number, noun: string, plural = `${noun}s`): string {
  return `${count(number)} ${number === 1 ? noun : plural}`
}

/** Bytes in the largest fitting unit: `3.5 MiB`. */
export function size(bytes: number): string {
  if (!Number.isFinite(bytes)) return 'unlimited'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [amount, unit] = [bytes, 0]
  while (amount >= 1024 && unit < units.length - 1) [amount, unit] = [amount / 1024, unit + 1]
  const text = unit === 0 || amount >= 100 ? String(Math.round(amount)) : amount.toFixed(1).replace(/\.0$/, '')
  return `${text} ${units[unit]}`
}

/** A span of time in its two largest units: `2h 5m`; below a second in milliseconds. */
export function duration(milliseconds: Milliseconds): string {
  if (milliseconds === Infinity) return 'never'
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  const seconds = Math.floor(milliseconds / 1000)
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ]
  const first = parts.findIndex(([amount]) => amount > 0)
  return parts
    .slice(first, first + 2)
    .filter(([amount], i) => i === 0 || amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(' ')
}

/** A share as a percentage: `98.5 %`; `-` of nothing. */
export function share(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((part / whole) * 100).toFixed(1)} %`
}

/** A key in one line, with escapes for characters that could change the terminal; bytes as `\xff`. */
export function shownKey(key: Key): string {
  return typeof key === 'string' ? shownText(key) : [...key].map((byte) => `\\x${hex(byte, 2)}`).join('')
}

export function shownText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\\]/gu, (character) => {
    if (character === '\\') return '\\\\'
    if (character === '\n') return '\\n'
    if (character === '\t') return '\\t'
    return `\\u{${character.codePointAt(0)?.toString(16)}}`
  })
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, '0')
}

/** Text that is cut at a number of characters. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 3))}...`
}
