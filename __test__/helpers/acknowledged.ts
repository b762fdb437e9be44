/**
 * The writes of `children/acknowledged-writes.ts`, so that a test knows which entries must exist.
 */
import { describing } from './self-describing.ts'

/** The maximum length of a value: some values take many units of the allocator. */
export const MAX_LENGTH = 20_000

/** The key of the nth own entry of a slot. */
export function ownKey(slot: number, index: number): string {
  return `own${slot}-${index}`
}

/** The state after the nth write of a key: every seventh write deletes. */
export function stateAfter(key: string, number: number): unknown {
  return number % 7 === 0 ? undefined : describing(key, number, MAX_LENGTH)
}
