/**
 * The error for a part of a value that cannot be stored: its path, and its description.
 *
 * The path starts at the value, `$`, in the notation of a program: `$.a[2].b`, `$.map.values()[0]`. The encoder keeps
 * the steps of its present path; the text is made only for an error.
 */
import { CacheError } from '../errors.ts'

/**
 * One step: a name, an index, or the number of `keyStep` or `valueStep` for a position in a Map or Set. Those numbers
 * are negative, so a step needs no allocation.
 */
export type Step = string | symbol | number

/** The step to a key of a Map. */
export function keyStep(position: number): Step {
  return -1 - 2 * position
}

/** The step to a value of a Map, or to an element of a Set. */
export function valueStep(position: number): Step {
  return -2 - 2 * position
}

/** The error of `set` for `what` at the end of these steps. */
export function refusal(what: string, steps: readonly Step[]): CacheError {
  return new CacheError('ERR_UNSERIALIZABLE', `$${steps.map(write).join('')} is ${what}, which cannot be stored`)
}

/** The description of a property that is refused because of its name. */
export function propertyNamed(name: string | symbol): string {
  return typeof name === 'symbol' ? 'a property named by a symbol' : 'a named property of an object that is not plain'
}

function write(step: Step): string {
  if (typeof step === 'symbol') return `[${String(step)}]`
  if (typeof step === 'string') return isIdentifier(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  if (step >= 0) return `[${step}]`
  const position = -1 - step
  return `.${position % 2 === 0 ? 'keys' : 'values'}()[${position >> 1}]`
}

function isIdentifier(name: string): boolean {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)
}
