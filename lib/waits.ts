/**
 * The waits of one handle: who waits for which key, until when, and how each of them ends.
 *
 * A wait ends exactly once: with an entry, a timeout, an abort, or the close of its cache. The native side only says that
 * a key *had* a newer entry; when it is gone again before we look, the wait starts over. The thing to get wrong: a wait's
 * number belongs to one native handle, so all waits are started again when the cache opens its segment anew.
 */
import { CacheError } from './errors.ts'
import type { RawKey } from './native.ts'
import type { Milliseconds } from './units.ts'

/** What waits need from their cache. All throw what the wait is to be rejected with. */
export interface WaitSource<E> {
  /** The key's entry if its version is above `after`. */
  look(key: RawKey, after: number): E | undefined
  start(key: RawKey, after: number): number
  /** Never throws. */
  cancel(id: number): void
}

/** How long a wait may take and what else ends it. */
export interface WaitLimits {
  /** Infinity: no limit. */
  readonly timeout: Milliseconds
  readonly signal: AbortSignal | undefined
  /** Whether the wait keeps the process alive. */
  readonly ref: boolean
}

interface Wait<E> {
  readonly key: RawKey
  readonly after: number
  /** The native side's number of this wait. */
  id: number
  succeed(entry: E): void
  fail(reason: unknown): void
}

/** The longest delay that a timer takes; a longer one would fire at once. */
export const MAX_TIMER: Milliseconds = 2 ** 31 - 1

/** The pending waits of one cache. */
export class Waits<E> {
  readonly #source: WaitSource<E>
  readonly #pending = new Map<number, Wait<E>>()
  /** Waits that keep the process alive, and the timer by which they do: the notifier itself never does. */
  #referenced = 0
  #keepAlive: NodeJS.Timeout | undefined

  constructor(source: WaitSource<E>) {
    this.#source = source
  }

  /** Resolves with the key's first entry of a version above `after`. */
  async wait(key: RawKey, after: number, limits: WaitLimits): Promise<E> {
    limits.signal?.throwIfAborted()
    const found = this.#source.look(key, after)
    if (found !== undefined) return found
    return new Promise<E>((resolve, reject) => {
      const end = (): void => {
        this.#forget(wait)
        stopTimer()
        limits.signal?.removeEventListener('abort', abort)
        if (limits.ref) this.#unref()
      }
      const wait: Wait<E> = {
        key,
        after,
        id: 0,
        succeed: (entry) => {
          end()
          resolve(entry)
        },
        fail: (reason) => {
          end()
          reject(reason)
        },
      }
      const abort = (): void => wait.fail(limits.signal?.reason)
      this.#start(wait) // throws before anything else is set up: the promise rejects, and nothing is left behind
      const stopTimer = startTimer(limits, () => wait.fail(timedOut(limits.timeout)))
      limits.signal?.addEventListener('abort', abort)
      if (limits.ref) this.#ref()
    })
  }

  /** The native side found newer entries for these waits and has forgotten them. */
  notify(ids: readonly number[]): void {
    for (const id of ids) {
      const wait = this.#pending.get(id)
      if (wait === undefined) continue // it ended while the notice was under way
      this.#pending.delete(id)
      this.#continue(wait)
    }
  }

  /** All waits start over, on a new native handle. */
  restart(): void {
    const waits = [...this.#pending.values()]
    this.#pending.clear()
    for (const wait of waits) this.#continue(wait)
  }

  /** Rejects all waits; call it when the native handle is gone. */
  close(reason: unknown): void {
    for (const wait of this.#pending.values()) wait.fail(reason)
  }

  get size(): number {
    return this.#pending.size
  }

  #continue(wait: Wait<E>): void {
    try {
      const entry = this.#source.look(wait.key, wait.after)
      if (entry === undefined) this.#start(wait)
      else wait.succeed(entry)
    } catch (error) {
      wait.fail(error)
    }
  }

  #start(wait: Wait<E>): void {
    wait.id = this.#source.start(wait.key, wait.after)
    this.#pending.set(wait.id, wait)
  }

  #forget(wait: Wait<E>): void {
    if (this.#pending.get(wait.id) !== wait) return
    this.#pending.delete(wait.id)
    this.#source.cancel(wait.id)
  }

  #ref(): void {
    if (this.#referenced++ === 0) this.#keepAlive = setInterval(() => undefined, MAX_TIMER)
  }

  #unref(): void {
    if (--this.#referenced === 0) clearInterval(this.#keepAlive)
  }
}

/** Calls `expire` after the timeout, however long it is. Returns what stops it. */
export function startTimer({ timeout, ref }: WaitLimits, expire: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const arm = (left: Milliseconds): void => {
    timer = setTimeout(() => (left > MAX_TIMER ? arm(left - MAX_TIMER) : expire()), Math.min(left, MAX_TIMER))
    if (!ref) timer.unref()
  }
  if (timeout !== Number.POSITIVE_INFINITY) arm(timeout)
  return () => clearTimeout(timer)
}

function timedOut(timeout: Milliseconds): CacheError {
  return new CacheError('ERR_TIMEOUT', `no entry came within ${timeout} ms`)
}
