/**
 * Values that can be verified: each contains its key and its number, and its type, length and every byte follow from
 * these. So `numberIn` rejects a torn value, a value of another key, and a mix of an old and a new value.
 */
import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'

/** The maximum of numbers in a journal. */
const MAX_JOURNAL = 50

/** The usual maximum length. Only every fourth value may be longer, since long values take long to write. */
const USUAL_MAX = 1500

/** Every seventh write of a key deletes it. A journal is only appended to. */
export function isDeletion(key, number) {
  return !key.journal && number % 7 === 0
}

/** The value after the nth write of a key. */
export function valueOf(key, number) {
  if (key.journal) return journalOf(number)
  const maxLength = number % 4 === 0 ? key.maxLength : Math.min(key.maxLength, USUAL_MAX)
  const length = (Math.imul(number, 2_654_435_761) >>> 0) % maxLength
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

/** All numbers since the last multiple of 50, so that a missing and a repeated append show. */
function journalOf(number) {
  const first = Math.max(1, number - (number % MAX_JOURNAL))
  let text = ''
  for (let n = first; n <= number; n++) text += `${n};`
  return text
}

/** Whether the nth write of a journal starts it again. */
export function beginsJournal(number) {
  return number === 1 || number % MAX_JOURNAL === 0
}

/** The number of a value of this key; undefined if `valueOf` has not made this value. */
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

/** A value as text for a message. */
export function shorten(value) {
  const text = value instanceof Uint8Array ? `bytes ${Buffer.from(value).toString('latin1')}` : JSON.stringify(value)
  return text.length > 120 ? `${text.slice(0, 120)}… (${text.length} characters)` : text
}
