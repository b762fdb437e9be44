/**
 * The clock of test caches that a test moves. Without one they follow `Date`, which fake timers move.
 */
import { invalid } from '../errors.ts'
import { parseDuration } from '../arguments/units.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import type { Clock } from '../portable/clock.ts'

const FIRST: Milliseconds = 1_000_000

/** See `TestClock`. */
export class MovedClock implements Clock {
  #elapsed: Milliseconds = 0
  readonly #moved = new Set<() => void>()

  get elapsed(): Milliseconds {
    return this.#elapsed
  }

  now(): Milliseconds {
    return FIRST + this.#elapsed
  }

  advance(by: Duration): void {
    const milliseconds = parseDuration(by)
    if (!(milliseconds >= 0 && milliseconds < Number.POSITIVE_INFINITY)) {
      throw invalid("advance takes milliseconds of at least 0 or a duration such as '30s'", by)
    }
    this.#elapsed += Math.ceil(milliseconds)
    for (const call of this.#moved) call()
  }

  /** Calls `call` after each move, until the returned function is called. */
  onMove(call: () => void): () => void {
    this.#moved.add(call)
    return () => this.#moved.delete(call)
  }
}
