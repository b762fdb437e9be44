/**
 * The quick way for objects: JSON text, if JSON loses nothing.
 *
 * Most values are plain data, and nothing in JavaScript reads it as quickly as V8's own JSON. The walk here only says yes or
 * no; what makes it say no is stored, or refused with its path, by `structured.ts`. The thing to get wrong: JSON loses more than
 * it has no notation for. It writes an object that is there twice two times, a cycle never ends, and a `toJSON` from
 * anywhere replaces what it is called on.
 */
import { CacheError } from '../errors.ts'
import { MAX_DEPTH } from './format.ts'
import { isDense, kindOfObject } from './kinds.ts'

/** So many objects are searched one after the other before a Set is made of them. */
const FEW = 16

/**
 * The JSON text of `value`, or undefined if that would lose something.
 *
 * Properties are read twice, first by the walk. So a getter that answers differently the second time has nobody to blame.
 *
 * @throws {CacheError} `ERR_VALUE_TOO_LARGE` if there is no string of that length. What a getter throws passes through.
 */
export function plainText(value: unknown): string | undefined {
  if (!isPlain(value, 0, new Seen())) return undefined
  try {
    return JSON.stringify(value)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new CacheError('ERR_VALUE_TOO_LARGE', 'the value is too large for one string of JSON', { cause: error })
  }
}

function isPlain(value: unknown, depth: number, seen: Seen): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      // -0 is the one zero whose inverse is negative; infinities and NaN make NaN.
      return value - value === 0 && (value !== 0 || 1 / value > 0)
    case 'object':
      return value === null || isPlainObject(value, depth, seen)
    default:
      return false
  }
}

function isPlainObject(value: object, depth: number, seen: Seen): boolean {
  if (depth === MAX_DEPTH || !seen.isNew(value)) return false
  switch (kindOfObject(value)) {
    case 'object':
      // `in` for the names: what it adds from a prototype that somebody extended can only make the answer no.
      for (const name in value) if (!isPlain((value as Record<string, unknown>)[name], depth + 1, seen)) return false
      return isTold(value)
    case 'array':
      return isPlainArray(value as unknown[], depth, seen)
    default:
      return false
  }
}

function isPlainArray(array: readonly unknown[], depth: number, seen: Seen): boolean {
  const { length } = array
  for (let i = 0; i < length; i++) if (!isPlain(array[i], depth + 1, seen)) return false
  return isDense(array) && isTold(array)
}

/** Whether JSON.stringify tells all that there is, and not something else. */
function isTold(object: object): boolean {
  return (
    typeof (object as { toJSON?: unknown }).toJSON !== 'function' && Object.getOwnPropertySymbols(object).length === 0
  )
}

/** The objects that were there. */
class Seen {
  readonly #few: object[] = []
  #many: Set<object> | undefined

  isNew(object: object): boolean {
    if (this.#many !== undefined) return this.#many.size !== this.#many.add(object).size
    if (this.#few.includes(object)) return false
    if (this.#few.push(object) > FEW) this.#many = new Set(this.#few)
    return true
  }
}
