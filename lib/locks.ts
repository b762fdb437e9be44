/**
 * Locks over all processes and threads that have the segment open: what users pass and get.
 *
 * The work is done in `turns.ts`. The thing to get wrong: a lock without `ttl` is not a lock for ever. The death of its process
 * ends it, the end of its worker thread, and the close of its cache; only then is nobody else's patience needed.
 */
import { invalid } from './errors.ts'
import { Space } from './native.ts'
import { resolveTimeout, resolveTtl } from './options.ts'
import type { Turns } from './turns.ts'
import type { Duration, Milliseconds } from './units.ts'
import { wholeKey } from './values.ts'
import type { Key } from './values.ts'
import type { WaitLimits } from './waits.ts'

/** Options of `tryLock`. */
export interface TryLockOptions {
  /**
   * After this time the lock is lost, whether or not its work is done; `extend` renews it. Counts from the moment at which it
   * is got, and also while the host sleeps. Default: none; it is held until it is released or its process dies.
   */
  ttl?: Duration | undefined
}

/** Options of everything that waits for a turn. */
export interface TurnOptions {
  /** Reject with `ERR_TIMEOUT` after this time; 0: unless it can be had at once. Default: wait for ever. */
  timeout?: Duration | undefined
  /** Reject with the signal's reason when it is aborted. */
  signal?: AbortSignal | undefined
  /** Keep the process alive while waiting. Default: false. */
  ref?: boolean | undefined
}

/** Options of `lock`. */
export interface LockOptions extends TryLockOptions, TurnOptions {}

/**
 * A lock that was got, or a permit of a semaphore. `using` and `await using` release it at the end of their block.
 *
 * It ends by `release`, with its `ttl`, with the death of its process or worker thread, with `close` of the cache, and when
 * the segment is destroyed. Whoever is only stopped (SIGSTOP, a debugger, a blocked event loop) keeps it until its `ttl`.
 */
export interface Lock extends Disposable, AsyncDisposable {
  /** What is locked; of a permit, the semaphore's name. */
  readonly key: Key
  /**
   * The fencing token: larger than that of every holder of this key before, whoever died in between. A store that remembers
   * the largest token it has seen can refuse a writer that lost the lock and does not know it yet. Starts anew when the
   * segment is destroyed.
   */
  readonly token: number
  /** When it will be lost unless it is extended, in epoch milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** Whether it is held at this moment: looks into the segment, and takes no lock. */
  readonly held: boolean
  /**
   * Aborted, with the `CacheError` that tells why, when the lock is lost: its `ttl` passed, the segment was destroyed, the cache
   * was closed. Not by `release`. It can only be told when the event loop runs; `held` and `token` need no such luck.
   */
  readonly signal: AbortSignal
  /**
   * Gives it a new `ttl` from now on, also if it had none.
   *
   * @throws {CacheError} `ERR_LOCK_LOST` if it is no longer held; `ERR_INVALID_TTL`; `ERR_BUSY`: it is as it was.
   */
  extend(ttl: Duration): void
  /**
   * Gives it back, to the one who has waited longest. Returns whether it was still held; a second call returns false. Where a
   * stopped process is in the way, it is handed on as soon as that goes on or ends. No room is needed, however full the segment.
   */
  release(): boolean
}

/** Options, checked and in numbers. */
interface Wanted {
  /** 0: none. */
  readonly ttl: Milliseconds
  readonly limits: WaitLimits
}

/** The lock of a key if it is free now and nobody waits for it. */
export function takeLock(turns: Turns, key: Key, options: TryLockOptions | undefined): Lock | undefined {
  return turns.take({ space: Space.Locks, key: wholeKey(key), permits: 1, ttl: resolveHold(options) })
}

/** The lock of a key in its turn. */
export async function waitForLock(turns: Turns, key: Key, options: LockOptions | undefined): Promise<Lock> {
  const { ttl, limits } = resolveTurn(options)
  return turns.wait({ space: Space.Locks, key: wholeKey(key), permits: 1, ttl }, limits)
}

/** Does something while a lock or a permit is held, and gives it back whatever happens. */
export async function whileHeld<T>(turn: Promise<Lock>, work: (lock: Lock) => T | PromiseLike<T>): Promise<T> {
  const lock = await turn
  try {
    return await work(lock)
  } finally {
    lock.release()
  }
}

/** Throws `ERR_INVALID_ARGUMENT` for what cannot be called. */
export function checkWork(work: unknown): void {
  if (typeof work !== 'function') throw invalid('what is to be done must be a function', work)
}

/** The time that a place is held, 0 for no limit. Throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`. */
export function resolveHold(options: TryLockOptions = {}): Milliseconds {
  checkOptions(options)
  return options.ttl === undefined ? 0 : resolveTtl(options.ttl)
}

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`. */
export function resolveTurn(options: LockOptions = {}): Wanted {
  const ttl = resolveHold(options)
  const { timeout, signal, ref = false } = options
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw invalid('signal must be an AbortSignal', signal)
  }
  if (typeof ref !== 'boolean') throw invalid('ref must be true or false', ref)
  const limit = timeout === undefined ? Number.POSITIVE_INFINITY : resolveTimeout(timeout, 'timeout')
  return { ttl, limits: { timeout: limit, signal, ref } }
}

function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) throw invalid('options must be an object', options)
}
