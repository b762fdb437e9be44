/**
 * The option `log` of `open`: where a cache writes its event log, and what an entry of it is.
 */
import { invalid } from '../errors.ts'

/** An entry of the event log. All fields are plain JSON, so a logger can write it as it is. */
export interface LogEntry {
  /** `info`: the life of a cache object and repairs without a loss. `warn`: something to look at. `error`: damage. */
  readonly level: 'info' | 'warn' | 'error'
  readonly event: 'open' | 'close' | 'detached' | 'repaired' | 'resized' | 'damage' | 'mismatch' | 'unstored'
  /** The moment, as ISO 8601 in UTC with milliseconds. */
  readonly time: string
  readonly pid: number
  /** The name of the segment. */
  readonly cache: string
  /** The namespace; an empty string for the cache itself. */
  readonly namespace: string
  /** One sentence for people. */
  readonly message: string
  /** The key, if there is one; bytes as `hex:` and digits. */
  readonly key?: string
  /** The code of the error, if there is one. */
  readonly code?: string
  /** The shard of a repair. */
  readonly shard?: number
  /** The entries that a repair dropped. */
  readonly dropped?: number
  /** The sizes before and after a resize, in bytes. */
  readonly from?: number
  readonly to?: number
  /** How many entries of this event were left out since the last one: at most one a second is written for each event. */
  readonly suppressed: number
}

/** `'stderr'`: one line of JSON for each entry. A function: it is called with each entry, outside of calls of the cache. */
export type LogOption = 'stderr' | ((entry: LogEntry) => void)

/** The function that takes the entries, or undefined for none. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveLog(log: unknown): ((entry: LogEntry) => void) | undefined {
  if (log === undefined) return undefined
  if (log === 'stderr') return (entry) => void process.stderr.write(`${JSON.stringify(entry)}\n`)
  if (typeof log === 'function') return log as (entry: LogEntry) => void
  throw invalid("log must be a function or 'stderr'", log)
}
