/**
 * The pending `waitFor` calls of one cache.
 *
 * A wait ends exactly once: with an entry, a timeout, an abort, or the close of its cache. The native side only reports
 * that a newer entry existed. If it has been removed before this thread reads it, the wait starts again.
 *
 * Caution: the number of a wait is valid for one native handle only, so all waits start again when the segment is
 * opened again.
 */
import { showKey } from '../errors.ts'
import type { CacheError } from '../errors.ts'
import { native } from '../engine/engine.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Dependent, NativeCalls, Notified } from '../segment/calls.ts'
import { KeepAlive, limitWait } from './timers.ts'
import type { WaitLimits } from './timers.ts'

/** Reads entries for waits. */
export interface EntryProbe<E> {
  /** The entry of `key` if its version is above `after`. Throws what the wait is to be rejected with. */
  newerThan(key: RawKey, after: number): E | undefined
}

interface Wait<E> {
  readonly key: RawKey
  readonly after: number
  /** The number of the wait on the native handle. */
  id: number
  succeed(entry: E): void
  fail(reason: unknown): void
}

/** The pending waits of one cache. */
export class Waits<E> implements Dependent, Notified {
  readonly #calls: NativeCalls
  readonly #probe: EntryProbe<E>
  readonly #pending = new Map<number, Wait<E>>()
  readonly #keepAlive = new KeepAlive()

  constructor(calls: NativeCalls, probe: EntryProbe<E>) {
    this.#calls = calls
    this.#probe = probe
  }

  /** Resolves with the first entry of the key with a version above `after`. */
  async wait(key: RawKey, after: number, limits: WaitLimits): Promise<E> {
    limits.signal?.throwIfAborted()
    const found = this.#probe.newerThan(key, after)
    if (found !== undefined) return found
    return new Promise<E>((resolve, reject) => {
      const end = (): void => {
        this.#forget(wait)
        removeLimits()
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
      // First: if it throws, the promise rejects and nothing has to be undone.
      this.#start(wait)
      const removeLimits = limitWait(limits, this.#keepAlive, () => `${showKey(key)} was not set`, wait.fail)
    })
  }

  /** The native side found newer entries for these waits and has dropped them. */
  notify(ids: readonly number[]): void {
    for (const id of ids) {
      const wait = this.#pending.get(id)
      if (wait === undefined) continue // it ended while the notice was on its way
      this.#pending.delete(id)
      this.#continue(wait)
    }
  }

  get waiting(): number {
    return this.#pending.size
  }

  lose(): void {}

  restart(): void {
    const waits = [...this.#pending.values()]
    this.#pending.clear()
    for (const wait of waits) this.#continue(wait)
  }

  reject(error: unknown): void {
    for (const wait of this.#pending.values()) wait.fail(error)
  }

  close(error: CacheError): void {
    this.reject(error)
  }

  #continue(wait: Wait<E>): void {
    try {
      const entry = this.#probe.newerThan(wait.key, wait.after)
      if (entry === undefined) this.#start(wait)
      else wait.succeed(entry)
    } catch (error) {
      wait.fail(error)
    }
  }

  #start(wait: Wait<E>): void {
    wait.id = this.#calls.write((id) => native.waitStart(id, wait.key, wait.after))
    this.#pending.set(wait.id, wait)
  }

  #forget(wait: Wait<E>): void {
    if (this.#pending.get(wait.id) !== wait) return
    this.#pending.delete(wait.id)
    this.#calls.cleanUp((id) => native.waitCancel(id, wait.id))
  }
}
