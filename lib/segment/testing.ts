/**
 * Test hooks. The package exports none of them.
 *
 * Caution: the manual clock belongs to the segment, not to the handle. The process that creates the segment decides
 * whether it has one, and `advance` moves it for every process.
 */
import { native } from '../engine/engine.ts'
import { nativeHandles } from './handle.ts'

export { manualClock } from '../arguments/options.ts'
export { nativeHandles, rawCallsHook as rawCalls } from './handle.ts'

/** Moves the clock of the segment. Throws if it is not a manual one. */
export function advance(cache: object, milliseconds: number): void {
  native.advanceClock(handleOf(cache), milliseconds)
}

/** The problems in the structures of the segment; empty for a healthy one. */
export function problems(cache: object): string[] {
  return native.validate(handleOf(cache))
}

function handleOf(cache: object): number {
  const handle = nativeHandles.get(cache)
  if (handle === undefined) throw new TypeError('not an open cache')
  return handle.id
}
