/**
 * Timers of any length, limits of waits, and the timer that keeps a process alive.
 *
 * Notices of the native side never keep a process alive. A wait does so with a timer of its own, unless its `ref` is
 * false.
 */
import { CacheError } from '../errors.ts'
import type { Milliseconds } from '../arguments/units.ts'

/** The maximum delay of a timer. A longer one would fire at once. */
export const MAX_TIMER: Milliseconds = 2 ** 31 - 1

/** What ends a wait besides its result. */
export interface WaitLimits {
  /** Infinity: no limit. */
  readonly timeout: Milliseconds
  readonly signal: AbortSignal | undefined
  /** Whether the wait keeps the process alive. */
  readonly ref: boolean
}

/** Lets the process end before the timer fires. In jsdom, and where tests replace timers, a timer may be a number. */
export function unref(timer: unknown): void {
  ;(timer as { unref?: () => void }).unref?.()
}

/** Calls `expire` after the timeout, of any length; Infinity: never. Returns a function that stops it. */
export function startTimer(timeout: Milliseconds, ref: boolean, expire: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const arm = (left: Milliseconds): void => {
    timer = setTimeout(() => (left > MAX_TIMER ? arm(left - MAX_TIMER) : expire()), Math.min(left, MAX_TIMER))
    if (!ref) unref(timer)
  }
  if (timeout !== Number.POSITIVE_INFINITY) arm(timeout)
  return () => clearTimeout(timer)
}

/**
 * Applies the limits of a wait until the returned function is called. `fail` gets the timeout error or the abort
 * reason.
 *
 * The timeout error is created here, while the caller is on the stack: a timer has no caller. `timedOut` is its message
 * without the time.
 */
export function limitWait(
  { timeout, signal, ref }: WaitLimits,
  keepAlive: KeepAlive,
  timedOut: () => string,
  fail: (reason: unknown) => void,
): () => void {
  let stopTimer: (() => void) | undefined
  if (timeout !== Number.POSITIVE_INFINITY) {
    const error = new CacheError('ERR_TIMEOUT', `${timedOut()} within ${timeout} ms`)
    stopTimer = startTimer(timeout, ref, () => fail(error))
  }
  const stopSignal = signal === undefined ? undefined : onAbort(signal, () => fail(signal.reason))
  if (ref) keepAlive.ref()
  return () => {
    stopTimer?.()
    stopSignal?.()
    if (ref) keepAlive.unref()
  }
}

/** The calls that wait under one signal, and the listener that they share. */
interface SharedListener {
  readonly calls: Set<() => void>
  readonly listener: () => void
}

const sharedListeners = new WeakMap<AbortSignal, SharedListener>()

/**
 * Calls `abort` when the signal is aborted; returns a function that prevents it.
 *
 * All calls share one listener. Node warns about a leak from the eleventh listener of a signal on, and the removal of a
 * listener takes a time that grows with their number.
 */
export function onAbort(signal: AbortSignal, abort: () => void): () => void {
  const call = (): void => abort() // The same function may be given twice.
  const shared = sharedListeners.get(signal) ?? listenTo(signal)
  shared.calls.add(call)
  return () => {
    shared.calls.delete(call)
    if (shared.calls.size > 0 || sharedListeners.get(signal) !== shared) return
    sharedListeners.delete(signal)
    signal.removeEventListener('abort', shared.listener)
  }
}

function listenTo(signal: AbortSignal): SharedListener {
  const calls = new Set<() => void>()
  const listener = (): void => {
    for (const call of calls) call()
  }
  const shared = { calls, listener }
  sharedListeners.set(signal, shared)
  signal.addEventListener('abort', listener)
  return shared
}

/** Keeps the process alive while at least one user holds it. */
export class KeepAlive {
  #users = 0
  #timer: NodeJS.Timeout | undefined

  ref(): void {
    if (this.#users++ === 0) this.#timer = setInterval(() => undefined, MAX_TIMER)
  }

  unref(): void {
    if (--this.#users === 0) clearInterval(this.#timer)
  }
}
