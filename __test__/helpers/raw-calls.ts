/**
 * The raw calls of a cache, counted or replaced: the calls that cross to the native side show which reads came from a
 * near copy.
 *
 * Caution: a handle takes its calls when it is opened, so only caches that `open` makes are affected.
 */
import { nativeHandles, rawCalls } from './internals.ts'
import type { RawCalls } from './internals.ts'

/** How often each raw call was made. */
export type Counts = Record<string, number>

/** Runs `open`. The handles that it opens get the raw calls that `change` returns for theirs. */
export function withRawCalls<T>(change: (calls: RawCalls) => RawCalls, open: () => T): T {
  const before = rawCalls.change
  rawCalls.change = change
  try {
    return open()
  } finally {
    rawCalls.change = before
  }
}

/** Runs `open`. The calls of the handles that it opens are counted from then on. */
export function counted<T>(open: () => T): [opened: T, counts: Counts] {
  const counts: Counts = {}
  const opened = withRawCalls((calls) => {
    const counting = Object.entries(calls).map(([name, call]: [string, unknown]) => {
      if (typeof call !== 'function') return [name, call]
      counts[name] ??= 0
      const count = (...args: unknown[]): unknown => {
        counts[name] = (counts[name] ?? 0) + 1
        return Reflect.apply(call, undefined, args)
      }
      return [name, count]
    })
    return Object.fromEntries(counting) as RawCalls
  }, open)
  return [opened, counts]
}

/** Counts the raw calls of a cache since the last `clear`, by name. */
export function countRawCalls(cache: object): Map<string, number> {
  const counts = new Map<string, number>()
  const handle = nativeHandles.get(cache) as unknown as Record<string, unknown>
  for (const [name, call] of Object.entries(handle)) {
    // `dimensions` is the handle's own.
    if (typeof call !== 'function' || name === 'dimensions') continue
    handle[name] = (...args: unknown[]): unknown => {
      counts.set(name, (counts.get(name) ?? 0) + 1)
      return Reflect.apply(call, undefined, args)
    }
  }
  return counts
}
