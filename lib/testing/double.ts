/**
 * The hooks of test caches of one name: their clock, the failures that a test asked for, and the native segment that
 * follows the clock.
 */
import type { CacheErrorCode } from '../errors.ts'
import type { Hooks } from '../engine/hooks.ts'
import { native } from '../engine/engine.ts'
import type { Clock } from '../portable/clock.ts'
import { MovedClock } from './clock.ts'

/** A failure that a test asked for. */
interface Failing {
  readonly code: CacheErrorCode
  /** Undefined: of any call. */
  readonly on: 'read' | 'write' | undefined
  left: number
}

export class Double implements Hooks {
  readonly clock: Clock
  #failing: Failing[] = []
  /** The open handles, and what each does when the clock is moved. */
  readonly #handles = new Map<number, { readonly isPortable: boolean; stop(): void }>()
  /** The time of the native segment, which all its handles share. */
  #nativeTime = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** The number of failures that no call has met yet. */
  get pendingFailures(): number {
    return this.#failing.reduce((sum, { left }) => sum + left, 0)
  }

  fail(code: CacheErrorCode, on: 'read' | 'write' | undefined, times: number): void {
    this.#failing.push({ code, on, left: times })
  }

  opened(id: number, isPortable: boolean): void {
    const { clock } = this
    if (this.#handles.size === 0) this.#nativeTime = clock.now()
    // The engine is told that time has passed even if no call follows.
    const follow = (): void => (isPortable ? native.advanceClock(id, 0) : this.sync(id))
    const stop = clock instanceof MovedClock ? clock.onMove(follow) : () => undefined
    this.#handles.set(id, { isPortable, stop })
  }

  closed(id: number): void {
    this.#handles.get(id)?.stop()
    this.#handles.delete(id)
  }

  sync(id: number): void {
    if (this.#handles.get(id)?.isPortable !== false) return
    const now = this.clock.now()
    const by = now - this.#nativeTime
    this.#nativeTime = now
    if (by > 0) native.advanceClock(id, by)
  }

  failureFor(isRead: boolean): CacheErrorCode | undefined {
    const wanted = isRead ? 'read' : 'write'
    const failing = this.#failing.find(({ on }) => on === undefined || on === wanted)
    if (failing === undefined) return undefined
    if (--failing.left === 0) this.#failing = this.#failing.filter((other) => other !== failing)
    return failing.code
  }
}
