/**
 * Durations and sizes: the strings of users, and their numbers.
 *
 * Inside the package, times are milliseconds and sizes are bytes; strings are parsed once, when a call arrives. Both
 * parsers return NaN for invalid input, so that each caller can throw its own error.
 */

/** A hundred years, the maximum of all times. It keeps nanoseconds within 64 bits. */
export const MAX_DURATION: Milliseconds = 100 * 365.25 * 86_400_000

/** A span of time in milliseconds. */
export type Milliseconds = number

/**
 * A span of time: milliseconds, or a number with its unit. A lifetime of Infinity means no expiry.
 *
 * @example
 * 1500    // a second and a half
 * '250ms' // also '30s', '5m', '2h', '1d', '1.5h'
 */
export type Duration = Milliseconds | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/**
 * An amount of memory: bytes, or a number with its unit, in powers of 1024.
 *
 * @example
 * 65536  // the same as
 * '64kb' // also '256mb', '2gb', '1.5gb'
 */
export type Bytes = number | `${number}${'kb' | 'mb' | 'gb'}`

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES = { kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 }

/**
 * Durations that were parsed already. A program writes few, and passes them with each call: a lookup takes a fifth of a
 * match.
 */
const parsed = new Map<string, Milliseconds>()
const MAX_PARSED = 256

/** Milliseconds, not rounded and not checked for sign or size; NaN for invalid input. */
export function parseDuration(duration: unknown): Milliseconds {
  if (typeof duration === 'number') return duration
  if (typeof duration !== 'string') return Number.NaN
  const known = parsed.get(duration)
  if (known !== undefined) return known
  const milliseconds = parse(duration, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/, MILLISECONDS)
  if (parsed.size >= MAX_PARSED) parsed.clear()
  // A program that builds long texts by mistake must not fill the memory with them.
  if (duration.length <= 16) parsed.set(duration, milliseconds)
  return milliseconds
}

/** Whole bytes, not checked for size; NaN for invalid input. */
export function parseBytes(bytes: unknown): number {
  return Math.ceil(parse(bytes, /^(\d+(?:\.\d+)?)(kb|mb|gb)$/, BYTES))
}

function parse(text: unknown, form: RegExp, units: Readonly<Record<string, number>>): number {
  if (typeof text === 'number') return text
  if (typeof text !== 'string') return Number.NaN
  const [, amount, unit] = form.exec(text) ?? []
  return amount === undefined || unit === undefined ? Number.NaN : Number(amount) * (units[unit] ?? Number.NaN)
}
