/**
 * What the writers of `children/acknowledged-writes.ts` do, so that the test can tell what must be there.
 */
import { describing } from './self-describing.ts'

/** Now and then a value takes many units of space. */
export const LONGEST = 20_000

/** The key of a slot's nth own entry. */
export function ownKey(slot: number, index: number): string {
  return `own${slot}-${index}`
}

/** What the nth write of a key leaves: every seventh deletes. */
export function stateAfter(key: string, number: number): unknown {
  return number % 7 === 0 ? undefined : describing(key, number, LONGEST)
}
