/**
 * A watchdog by private memory, in the place of PM2's `max_memory_restart`. That one compares resident memory, in which
 * every page of a segment counts that a worker has touched, although all workers share these pages.
 *
 * Private memory is anonymous memory, resident or swapped out: the heap with the near cache, buffers, stacks. A worker
 * above the limit in two readings in a row gets SIGINT, as from `pm2 restart`, and PM2 starts it again. One worker is
 * restarted at a time. A worker that does not end within the time limit is killed.
 */
import { textOf } from '../segment/system-files.ts'

/** A worker of PM2, as `/proc` shows it. */
export interface Worker {
  readonly pid: number
  /** Bytes. */
  readonly privateMemory: number
}

/** A signal to send. */
export interface Restart {
  readonly pid: number
  readonly signal: 'SIGINT' | 'SIGKILL'
  readonly privateMemory: number
}

/** Decides which worker is restarted. It sends no signal and reads no clock itself. */
export class Watchdog {
  readonly #limit: number
  readonly #killTimeout: number
  /** The workers that were above the limit in the last reading. */
  #above: ReadonlySet<number> = new Set()
  /** The worker that is ending. */
  #ending: { readonly pid: number; readonly since: number; isKilled: boolean } | undefined

  /** @param limit bytes. @param killTimeout milliseconds. */
  constructor(limit: number, killTimeout: number) {
    this.#limit = limit
    this.#killTimeout = killTimeout
  }

  /** The signal to send after a reading at `now`, in milliseconds of a clock that never goes back. */
  next(workers: readonly Worker[], now: number): Restart | undefined {
    const above = workers.filter(({ privateMemory }) => privateMemory > this.#limit)
    const before = this.#above
    this.#above = new Set(above.map(({ pid }) => pid))
    if (this.#ending !== undefined) {
      const ending = workers.find(({ pid }) => pid === this.#ending?.pid)
      if (ending !== undefined) return this.#hurry(ending, now)
      this.#ending = undefined
    }
    const chosen = above
      .filter(({ pid }) => before.has(pid))
      .toSorted((a, b) => b.privateMemory - a.privateMemory)
      .at(0)
    if (chosen === undefined) return undefined
    this.#ending = { pid: chosen.pid, since: now, isKilled: false }
    return { ...chosen, signal: 'SIGINT' }
  }

  #hurry(worker: Worker, now: number): Restart | undefined {
    const ending = this.#ending
    if (ending === undefined || ending.isKilled || now - ending.since < this.#killTimeout) return undefined
    ending.isKilled = true
    return { ...worker, signal: 'SIGKILL' }
  }
}

/** The child of `parent` with this process number, or undefined: it has ended, or belongs to another program. */
export function readWorker(pid: number, parent: number): Worker | undefined {
  const status = textOf(`/proc/${pid}/status`)
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? 0)
  if (status === '' || field('PPid') !== parent) return undefined
  return { pid, privateMemory: (field('RssAnon') + field('VmSwap')) * 1024 }
}
