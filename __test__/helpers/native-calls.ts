/**
 * Counts how often a cache crosses the boundary by a raw call.
 */
import { nativeHandles } from '../../lib/testing.ts'

/** How often each raw call was made since the last `clear`, by its name. */
export function countRawCalls(cache: object): Map<string, number> {
  const counts = new Map<string, number>()
  const handle = nativeHandles.get(cache) as unknown as Record<string, unknown>
  for (const [name, call] of Object.entries(handle)) {
    if (typeof call !== 'function') continue
    handle[name] = (...args: unknown[]): unknown => {
      counts.set(name, (counts.get(name) ?? 0) + 1)
      return Reflect.apply(call, undefined, args)
    }
  }
  return counts
}
