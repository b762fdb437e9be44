/**
 * The error for what cannot be stored: where it stands in the value, and what it is.
 *
 * Where is a path from the value, `$`, as a program would write it: `$.a[2].b`, `$.map.values()[0]`. The encoder keeps the steps
 * of the way that it is on; the text is made only when something is refused.
 */
import { CacheError } from '../errors.ts'

/**
 * One step: a name, an index, or what `keyStep` and `valueStep` made of the position in a Map or Set. Those are negative,
 * so that a step costs nothing while all goes well.
 */
export type Step = string | symbol | number

/** The step to the key of an entry. */
export function keyStep(position: number): Step {
  return -1 - 2 * position
}

/** The step to the value of an entry, or to an element of a Set. */
export function valueStep(position: number): Step {
  return -2 - 2 * position
}

/** What `set` throws for `what` at the end of these steps. */
export function refusal(what: string, steps: readonly Step[]): CacheError {
  return new CacheError('ERR_UNSERIALIZABLE', `$${steps.map(write).join('')} is ${what}, which cannot be stored`)
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
