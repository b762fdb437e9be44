/**
 * Values that prove themselves: each names its key and number, and its type, length and every byte follow from them. So a torn
 * value, one of another key, or one half old and half new cannot pass `numberIn`.
 */
import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'

/** So many numbers stand in a journal at most. */
const JOURNAL = 50

/** Also where values may be long most are not, since long ones take their time. */
const SHORT = 1500

/** Every seventh write of a key deletes it. A journal is only added to. */
export function isDeletion(key, number) {
  return !key.journal && number % 7 === 0
}

/** What the nth write of a key leaves. */
export function valueOf(key, number) {
  if (key.journal) return journalOf(number)
  const longest = number % 4 === 0 ? key.longest : Math.min(key.longest, SHORT)
  const length = (Math.imul(number, 2_654_435_761) >>> 0) % longest
  const fill = String.fromCharCode(97 + (number % 26)).repeat(length)
  const text = `${key.name}:${number}:${fill}`
  switch (number % 5) {
    case 0:
      return text
    case 1:
      return Buffer.from(text)
    case 2:
      return { key: key.name, number, fill, list: [number, 'é€😀', null], at: new Date(number) }
    case 3:
      return new Uint8Array(Buffer.from(text))
    default:
      return { key: key.name, number, parts: [fill, { fill }] }
  }
}

/** The numbers since the last that could be divided by 50: what was appended twice or not at all shows. */
function journalOf(number) {
  const first = Math.max(1, number - (number % JOURNAL))
  let text = ''
  for (let n = first; n <= number; n++) text += `${n};`
  return text
}

/** Whether the nth write of a journal begins it anew. */
export function beginsJournal(number) {
  return number === 1 || number % JOURNAL === 0
}

/** The number of a value of this key, or undefined if it is none that `valueOf` made. */
export function numberIn(key, value) {
  const number = claim(key, value)
  return Number.isSafeInteger(number) && number > 0 && isDeepStrictEqual(value, valueOf(key, number))
    ? number
    : undefined
}

function claim(key, value) {
  if (key.journal) return typeof value === 'string' ? Number(value.slice(0, -1).split(';').at(-1)) : undefined
  if (value instanceof Uint8Array) return Number(Buffer.from(value).toString('latin1').split(':', 2)[1])
  if (typeof value === 'string') return Number(value.split(':', 2)[1])
  return value?.number
}

/** A value for a message. */
export function shorten(value) {
  const text = value instanceof Uint8Array ? `bytes ${Buffer.from(value).toString('latin1')}` : JSON.stringify(value)
  return text.length > 120 ? `${text.slice(0, 120)}… (${text.length} characters)` : text
}
