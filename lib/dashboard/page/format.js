/** Numbers, sizes, times and keys as people read them. */

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const SHORT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 })

/** `12,345`, and from a million on `1.23M`. */
export function count(number) {
  return Math.abs(number) < 1e6 ? WHOLE.format(number) : SHORT.format(number)
}

export function rate(number) {
  if (number > 0 && number < 10) return `${number.toFixed(1)}/s`
  return `${count(number)}/s`
}

/** The same for the axis of a chart: `500K/s`. */
export function shortRate(number) {
  return `${SHORT.format(number)}/s`
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function size(bytes) {
  if (bytes === null || !Number.isFinite(bytes)) return 'unlimited'
  let [amount, unit] = [bytes, 0]
  while (Math.abs(amount) >= 1024 && unit < UNITS.length - 1) [amount, unit] = [amount / 1024, unit + 1]
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : Number(amount.toFixed(1))} ${UNITS[unit]}`
}

/** A part of a whole as a percentage. */
export function share(part, whole) {
  return whole > 0 ? `${((part / whole) * 100).toFixed(1)} %` : '–'
}

/** Milliseconds as a time of a call: `45 ns`, `1.2 µs`. */
export function shortTime(milliseconds) {
  if (milliseconds === undefined || milliseconds === null) return '–'
  if (milliseconds >= 1000) return `${digits(milliseconds / 1000)} s`
  if (milliseconds >= 1) return `${digits(milliseconds)} ms`
  if (milliseconds >= 1e-3) return `${digits(milliseconds * 1e3)} µs`
  return `${Math.round(milliseconds * 1e6)} ns`
}

function digits(number) {
  return number >= 100 ? String(Math.round(number)) : String(Number(number.toPrecision(2)))
}

/** A span of time in its two largest units. */
export function span(milliseconds) {
  if (milliseconds === null || milliseconds === undefined || milliseconds === Infinity) return 'never'
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`
  const seconds = Math.floor(milliseconds / 1000)
  const parts = [
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

/** A moment, in the time of this computer. */
export function moment(time) {
  return new Date(time).toLocaleString('sv-SE')
}

/** A key with visible escapes; bytes as `\xff`. */
export function keyText({ text, hex }) {
  if (text === undefined) return (hex ?? '').replaceAll(/../g, (byte) => `\\x${byte}`)
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    if (character === '\n') return '\\n'
    if (character === '\t') return '\\t'
    return `\\u{${character.codePointAt(0).toString(16)}}`
  })
}

export function plural(number, noun, nouns = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : nouns}`
}
