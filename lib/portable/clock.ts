/**
 * Clocks of segments, and the one timer of a segment: an alarm for the next moment at which something ends by itself.
 *
 * Caution: a clock never goes back, and its first moment is not 0, which stands for "never" in deadlines.
 */
import type { Milliseconds } from '../arguments/units.ts'

/** A clock of milliseconds. */
export interface Clock {
  now(): Milliseconds
  /**
   * Calls `ring` after this time, unless the returned function is called first. Undefined: time moves only by `advance`,
   * which rings all alarms itself.
   */
  after?(delay: Milliseconds, ring: () => void): () => void
}

const FIRST: Milliseconds = 1_000_000
const MAX_DELAY: Milliseconds = 2 ** 31 - 1

// Taken before a test replaces them.
const realNow = performance.now.bind(performance)
const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = globalThis

/** The time since this module was loaded, however a test fakes time. */
export const realClock: Clock = {
  now: () => FIRST + Math.floor(realNow()),
  after: (delay, ring) => later(realSetTimeout, realClearTimeout, delay, ring),
}

/**
 * The `Date` and the `setTimeout` of the moment, which the fake timers of test runners replace. A step back of the date
 * counts as no time.
 */
export function dateClock(): Clock {
  let time = FIRST
  let seen = Date.now()
  return {
    now() {
      const date = Date.now()
      time += Math.max(0, date - seen)
      seen = date
      return time
    },
    after: (delay, ring) => later(globalThis.setTimeout, globalThis.clearTimeout, delay, ring),
  }
}

/** A clock that stands still until `advance`. */
export class ManualClock implements Clock {
  #now = FIRST

  now(): Milliseconds {
    return this.#now
  }

  advance(by: Milliseconds): void {
    this.#now += by
  }
}

function later(set: typeof setTimeout, clear: typeof clearTimeout, delay: Milliseconds, ring: () => void): () => void {
  const timer: unknown = set(ring, Math.min(Math.max(delay, 1), MAX_DELAY))
  // The timers of a browser, and those of some test runners, are numbers.
  if (typeof timer === 'object' && timer !== null && 'unref' in timer) (timer as NodeJS.Timeout).unref()
  return () => clear(timer as NodeJS.Timeout)
}

/** The alarm of a segment: at most one timer, for the earliest moment that was asked for. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #at = Number.POSITIVE_INFINITY
  #timers: unknown
  #stop: (() => void) | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Rings at this moment, or earlier. */
  set(at: Milliseconds): void {
    // An alarm that was set before a test faked the timers would not ring.
    const isSet = at >= this.#at && this.#timers === globalThis.setTimeout
    if (isSet || at === Number.POSITIVE_INFINITY || this.#clock.after === undefined) return
    this.stop()
    this.#at = at
    this.#timers = globalThis.setTimeout
    this.#stop = this.#clock.after(at - this.#clock.now(), () => {
      this.#at = Number.POSITIVE_INFINITY
      this.#stop = undefined
      this.#ring()
    })
  }

  stop(): void {
    this.#stop?.()
    this.#stop = undefined
    this.#at = Number.POSITIVE_INFINITY
  }
}
