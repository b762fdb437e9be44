/**
 * Objects as JSON text, if JSON preserves them.
 *
 * Most values are plain data, which the JSON of V8 reads faster than any other code in JavaScript. The walk here only
 * decides; `structured.ts` stores, or refuses with a path, what JSON would not preserve.
 *
 * Caution: JSON also loses things that it has a notation for. It writes a shared object twice, never ends at a cycle,
 * and calls any `toJSON` that it finds.
 */
import { CacheError } from '../errors.ts'
import { MAX_DEPTH } from './format.ts'
import { isDense, kindOfObject } from './kinds.ts'

/** Maximum number of objects that are searched linearly; more are kept in a Set. */
const MAX_FEW = 16

/**
 * The JSON text of `value`, or undefined if JSON does not preserve it.
 *
 * Properties are read twice, by the walk and by JSON. A getter must return the same value both times.
 *
 * @throws {CacheError} `ERR_VALUE_TOO_LARGE` if a string cannot be that long. Errors of getters pass through.
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
      // -0 is the zero with a negative inverse; infinities and NaN make NaN.
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
      // `in` also visits names of an extended `Object.prototype`. They can only make the result false.
      for (const name in value) if (!isPlain((value as Record<string, unknown>)[name], depth + 1, seen)) return false
      return isComplete(value)
    case 'array':
      return isPlainArray(value as unknown[], depth, seen)
    default:
      return false
  }
}

function isPlainArray(array: readonly unknown[], depth: number, seen: Seen): boolean {
  const { length } = array
  for (let i = 0; i < length; i++) if (!isPlain(array[i], depth + 1, seen)) return false
  return isDense(array) && isComplete(array)
}

/** Whether JSON.stringify writes the properties of an object, and nothing is lost. */
function isComplete(object: object): boolean {
  return (
    typeof (object as { toJSON?: unknown }).toJSON !== 'function' && Object.getOwnPropertySymbols(object).length === 0
  )
}

/** The objects of the walk so far. */
class Seen {
  readonly #few: object[] = []
  #many: Set<object> | undefined

  isNew(object: object): boolean {
    if (this.#many !== undefined) return this.#many.size !== this.#many.add(object).size
    if (this.#few.includes(object)) return false
    if (this.#few.push(object) > MAX_FEW) this.#many = new Set(this.#few)
    return true
  }
}
