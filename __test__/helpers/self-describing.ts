/**
 * Values that prove themselves: each contains its key and number, and its type, length and every byte follow from them.
 *
 * A torn value, a value of another key, or a value half old and half new cannot pass `numberIn`. Numbers start at 1.
 */
import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'

/** The value of this key with this number: text, bytes or JSON, of some to some thousand bytes. `key` has no colon. */
export function describing(key: string, number: number, longest = 3000): unknown {
  const length = (Math.imul(number, 2_654_435_761) >>> 0) % longest
  const label = `${key}:${number}:`
  const fill = String.fromCharCode(97 + (number % 26))
  switch (number % 4) {
    case 0:
      return label + fill.repeat(length)
    case 1:
      return Buffer.from(label + fill.repeat(length))
    case 2:
      return { key, number, fill: fill.repeat(length), ascii: false, text: 'é€😀' }
    default:
      return new Uint8Array(Buffer.from(label + fill.repeat(length)))
  }
}

/** The number of a value of this key. Throws for a value that `describing` did not make. */
export function numberIn(key: string, value: unknown, longest = 3000): number {
  const number = claim(value)
  if (!isDeepStrictEqual(value, describing(key, number, longest))) {
    throw new Error(`the value under ${key} is not number ${number} as it was written`)
  }
  return number
}

function claim(value: unknown): number {
  if (typeof value === 'object' && value !== null && 'number' in value) return Number(value.number)
  const text = typeof value === 'string' ? value : Buffer.from(value as Uint8Array).toString('latin1')
  return Number(text.split(':', 2)[1])
}
