/**
 * The pace of long work in slices: the event loop turns as soon as a millisecond has passed since its last turn.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Milliseconds } from '../arguments/units.ts'

const MAX_RUN: Milliseconds = 1

export class Pace {
  readonly #signal: AbortSignal | undefined
  #since = performance.now()

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
    signal?.throwIfAborted()
  }

  /** To be called between two slices. Rejects when the signal is aborted. */
  async next(): Promise<void> {
    if (performance.now() - this.#since >= MAX_RUN) {
      await nextTurn()
      this.#since = performance.now()
    }
    this.#signal?.throwIfAborted()
  }
}
