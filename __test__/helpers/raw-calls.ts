/**
 * The raw calls of a cache, seen or replaced: what crosses to the native side tells which reads came from a near copy.
 *
 * The thing to get wrong: a handle takes its calls when it is opened, so only caches that `open` makes are concerned.
 */
import type { RawCalls } from '../../lib/native.ts'
import { rawCalls } from '../../lib/testing.ts'

/** How often each raw call was made. */
export type Counts = Record<string, number>

/** Runs `open`, whose handles get the raw calls that `change` makes of theirs. */
export function withRawCalls<T>(change: (calls: RawCalls) => RawCalls, open: () => T): T {
  const before = rawCalls.change
  rawCalls.change = change
  try {
    return open()
  } finally {
    rawCalls.change = before
  }
}

/** Runs `open`; the calls of its handles are counted from then on. */
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
