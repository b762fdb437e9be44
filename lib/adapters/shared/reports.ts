/**
 * Reports of trouble, for adapters that have no caller to throw at.
 */
import type { Milliseconds } from '../../arguments/units.ts'
import { isTrouble } from './trouble.ts'

/** Called with trouble that the adapter survives. */
export type OnError = (error: unknown) => void

/**
 * Passes each kind of error on once a minute, so that a host under load is not flooded. Errors with one code are of one
 * kind, and without a code, errors with messages that differ only in numbers.
 *
 * @param onError Default: a process warning.
 * @param clock Milliseconds that never go back. Default: the clock of the process.
 */
export function reporter(onError: OnError = warn, clock: () => Milliseconds = () => performance.now()): OnError {
  const last = new Map<unknown, number>()
  return (error) => {
    const kind = (error as { code?: unknown } | null)?.code ?? String(error).replaceAll(/\d+/g, '#')
    const now = clock()
    if (now - (last.get(kind) ?? -Infinity) < 60_000) return
    last.set(kind, now)
    onError(error)
  }
}

/** Runs `work`. Trouble with the segment is reported, and the result is undefined; other errors are thrown. */
export function survive<T>(report: OnError, work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (!isTrouble(error)) throw error
    report(error)
    return undefined
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}
