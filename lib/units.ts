/**
 * Time and size as users write them, and as numbers.
 *
 * Everything inside the package is whole milliseconds and bytes; strings are read once, at the edge. The thing to get
 * wrong: both parsers answer NaN for whatever they do not understand, so that each caller can throw its own error.
 */

/** A hundred years. Nothing lives longer; it also keeps nanoseconds within 64 bits. */
export const MAX_DURATION: Milliseconds = 100 * 365.25 * 86_400_000

/** A span of time in milliseconds. */
export type Milliseconds = number

/**
 * A span of time: milliseconds, or a number with its unit.
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

/** Milliseconds, not rounded and not checked for sign or size; NaN for anything that is no duration. */
export function parseDuration(duration: unknown): Milliseconds {
  return parse(duration, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/, MILLISECONDS)
}

/** Whole bytes, not checked for size; NaN for anything that is no size. */
export function parseBytes(bytes: unknown): number {
  return Math.ceil(parse(bytes, /^(\d+(?:\.\d+)?)(kb|mb|gb)$/, BYTES))
}

function parse(text: unknown, form: RegExp, units: Readonly<Record<string, number>>): number {
  if (typeof text === 'number') return text
  if (typeof text !== 'string') return Number.NaN
  const [, amount, unit] = form.exec(text) ?? []
  return amount === undefined || unit === undefined ? Number.NaN : Number(amount) * (units[unit] ?? Number.NaN)
}
