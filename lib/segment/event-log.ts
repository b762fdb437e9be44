/**
 * The event log of a cache: its life and its troubles as structured entries, by the option `log`.
 *
 * A trouble may come with every read, so each event has at most one entry a second; the next entry tells how many were
 * left out. Removals and hits have no entries: `on` and the diagnostics channels tell them.
 */
import type { Key } from '../arguments/keys.ts'
import type { LogEntry } from '../arguments/log-option.ts'
import type { Milliseconds } from '../arguments/units.ts'

const ONE_ENTRY_IN: Milliseconds = 1000

const LEVELS: Readonly<Record<LogEntry['event'], LogEntry['level']>> = {
  open: 'info',
  close: 'info',
  repaired: 'info',
  resized: 'info',
  detached: 'warn',
  mismatch: 'warn',
  unstored: 'warn',
  damage: 'error',
}

/** What an entry has beside the fields of all entries. */
export interface LogDetails extends Pick<LogEntry, 'code' | 'shard' | 'dropped' | 'from' | 'to'> {
  readonly message: string
  readonly key?: Key | undefined
}

/** The event log of one cache object. */
export class EventLog {
  readonly #take: (entry: LogEntry) => void
  readonly #place: { readonly cache: string; readonly namespace: string }
  readonly #now: () => Milliseconds
  readonly #last = new Map<LogEntry['event'], { at: Milliseconds; suppressed: number }>()

  /** @param now a clock that never goes back. */
  constructor(
    take: (entry: LogEntry) => void,
    place: { readonly cache: string; readonly namespace: string },
    now: () => Milliseconds = () => performance.now(),
  ) {
    this.#take = take
    this.#place = place
    this.#now = now
  }

  /** Writes an entry in a microtask, or counts it if there was one of this event within the last second. */
  write(event: LogEntry['event'], { key, ...details }: LogDetails): void {
    const at = this.#now()
    const last = this.#last.get(event)
    if (last !== undefined && at - last.at < ONE_ENTRY_IN) {
      last.suppressed++
      return
    }
    this.#last.set(event, { at, suppressed: 0 })
    const entry: LogEntry = {
      level: LEVELS[event],
      event,
      time: new Date().toISOString(),
      pid: process.pid,
      ...this.#place,
      ...details,
      ...(key !== undefined && { key: textOf(key) }),
      suppressed: last?.suppressed ?? 0,
    }
    queueMicrotask(() => this.#take(entry))
  }
}

function textOf(key: Key): string {
  return typeof key === 'string' ? key : `hex:${Buffer.from(key).toString('hex')}`
}
