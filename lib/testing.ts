/**
 * Doors for our own tests. Nothing here is exported from the package.
 *
 * The thing to get wrong: the manual clock belongs to the segment, not to the handle. Whoever creates the segment decides
 * on it, and one `advance` moves it for every process.
 */
import type { Handle } from './handle.ts'
import { native } from './native.ts'
import type { RawCalls } from './native.ts'

/** An open option, `true`: the segment's clock stands still until `advance`. */
export const manualClock: unique symbol = Symbol('cache-machine.manualClock')

/** The handle of each open cache; a cache that opened its segment again has a new one. */
export const nativeHandles: WeakMap<object, Handle> = new WeakMap()

/** What is done to the raw calls of each handle that is opened from now on: to count them, or to play a host that forbids one. */
export const rawCalls: { change: (calls: RawCalls) => RawCalls } = { change: (calls) => calls }

/** Moves the segment's clock. Throws if it is not a manual one. */
export function advance(cache: object, milliseconds: number): void {
  native.advanceClock(handleOf(cache), milliseconds)
}

/** What is wrong with the structures of the segment; empty when all is well. */
export function problems(cache: object): string[] {
  return native.validate(handleOf(cache))
}

function handleOf(cache: object): number {
  const handle = nativeHandles.get(cache)
  if (handle === undefined) throw new TypeError('not an open cache')
  return handle.id
}
