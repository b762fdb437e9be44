/**
 * Locks over all processes and threads that have the segment open: options, the public `Lock`, and the two ways to get
 * one.
 *
 * A lock is a permit of the keyspace `Locks` with one holder; `permits.ts` does the work. A lock without `ttl` still
 * ends with its process, its worker thread, or its cache.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import type { AcceptedOptions } from '../arguments/option-names.ts'
import { resolveTtl, resolveWait } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import { invalid } from '../errors.ts'
import { Keyspace } from '../native/layout.ts'
import type { WaitLimits } from '../waiting/timers.ts'
import { nameOf } from './permits.ts'
import type { Permits } from './permits.ts'

/** Options of `tryLock`. */
export interface TryLockOptions {
  /**
   * The lock is lost after this time, even if the work is not done; `extend` renews it. The time counts from the moment
   * at which the lock is granted, also while the host is suspended. Default: none; the lock is held until it is
   * released or its process dies.
   */
  ttl?: Duration | undefined
}

/** Options of every method that waits for a permit. */
export interface AcquireOptions {
  /** Reject with `ERR_TIMEOUT` after this time; 0: unless the permit is free now. Default: no limit. */
  timeout?: Duration | undefined
  /** Reject with the reason of the signal when it is aborted. */
  signal?: AbortSignal | undefined
  /** Keep the process alive while waiting. Default: true. */
  ref?: boolean | undefined
}

/** @deprecated Use `AcquireOptions`. */
export type TurnOptions = AcquireOptions

/** Options of `lock`. */
export interface LockOptions extends TryLockOptions, AcquireOptions {}

/**
 * A held lock, or a held permit of a semaphore. `using` and `await using` release it at the end of their block.
 *
 * It ends by `release`, with its `ttl`, with the death of its process or worker thread, with `close` of the cache, and
 * with the destruction of the segment. A suspended holder (SIGSTOP, a debugger, a blocked event loop) keeps it until
 * its `ttl`.
 */
export interface Lock extends Disposable, AsyncDisposable {
  /** The locked key; for a permit, the name of the semaphore. */
  readonly key: Key
  /**
   * The fencing token: larger than that of every earlier holder of this key, including holders that died. A store that
   * remembers the largest token can refuse a writer that has lost its lock without noticing. Tokens start again when
   * the segment is destroyed.
   */
  readonly token: number
  /** The moment at which it is lost unless it is extended, in epoch milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** Whether it is held at this moment. Reads the segment, and takes no lock. */
  readonly held: boolean
  /**
   * Aborted when the lock is lost: its `ttl` passed, the segment was destroyed, or the cache was closed. The reason is
   * a `CacheError`. `release` does not abort it. A read of this property after the loss returns an aborted signal; the
   * abort of a signal that was read before needs a free event loop.
   */
  readonly signal: AbortSignal
  /**
   * Sets a new `ttl` from now on, also for a lock without one.
   *
   * @throws {CacheError} `ERR_LOCK_LOST` if it is no longer held; `ERR_INVALID_TTL`; `ERR_BUSY`, which changes nothing.
   */
  extend(ttl: Duration): void
  /**
   * Releases the lock; the waiter that asked first gets it. Returns whether it was still held; a second call returns
   * false. If a suspended process blocks the release, the lock is passed on as soon as that process continues or ends.
   * Needs no room, even in a full segment.
   */
  release(): boolean
}

export const WAIT_NAMES = { timeout: true, signal: true, ref: true } as const
/** Options of `withLock`. */
export interface WithLockOptions extends LockOptions {
  /**
   * Inside the work of another reentrant `withLock` of the same key and cache, run the work at once under the lock that
   * is held there; it is released when the outer work is done. What belongs to the outer work is what it awaits or
   * starts. The other options are then those of the outer call. Default: false; the call waits for its own lock.
   */
  reentrant?: boolean | undefined
}

const TRY_LOCK = accepted<TryLockOptions>('tryLock', { ttl: true })
const LOCK = accepted<LockOptions>('lock', { ...WAIT_NAMES, ttl: true })
const WITH_LOCK = accepted<WithLockOptions>('withLock', {
  ...WAIT_NAMES,
  ttl: true,
  reentrant: true,
})
export const ACQUIRE: AcceptedOptions = accepted<LockOptions>('acquire', { ...WAIT_NAMES, ttl: true })
export const USE: AcceptedOptions = accepted<LockOptions>('use', { ...WAIT_NAMES, ttl: true })
export const TRY_ACQUIRE: AcceptedOptions = accepted<TryLockOptions>('tryAcquire', { ttl: true })
export const ELECT: AcceptedOptions = accepted<AcquireOptions>('elect', WAIT_NAMES)

/** The lock of `key` if it is free and no caller waits for it. */
export function takeLock(permits: Permits, key: Key, options: TryLockOptions | undefined): Lock | undefined {
  const ttl = resolveHold(options, TRY_LOCK)
  return permits.take({ keyspace: Keyspace.Locks, key: wholeKey(key), permits: 1, ttl })
}

/** The lock of `key`, as soon as it is granted. */
export async function waitForLock(permits: Permits, key: Key, options: LockOptions | undefined): Promise<Lock> {
  const { ttl, limits } = resolveAcquire(options, LOCK)
  return permits.wait({ keyspace: Keyspace.Locks, key: wholeKey(key), permits: 1, ttl }, limits)
}

/** The locks that the running work holds by reentrant calls, for each cache by key. */
type HeldLocks = ReadonlyMap<Permits, ReadonlyMap<string, Lock>>

const heldLocks = new AsyncLocalStorage<HeldLocks>()

/** Runs `work` while the lock of `key` is held: a new one, or that of a reentrant call around this one. */
export async function workLocked<T>(
  permits: Permits,
  key: Key,
  work: (lock: Lock) => T | PromiseLike<T>,
  options: WithLockOptions | undefined,
): Promise<T> {
  checkWork(work)
  const { ttl, limits } = resolveAcquire(options, WITH_LOCK)
  const reentrant: unknown = options?.reentrant ?? false
  if (typeof reentrant !== 'boolean') throw invalid('reentrant must be true or false', reentrant)
  const request = { keyspace: Keyspace.Locks, key: wholeKey(key), permits: 1, ttl }
  if (!reentrant) return whileHeld(permits.wait(request, limits), work)

  const name = nameOf(request)
  const around = heldLocks.getStore()
  const held = around?.get(permits)
  const lock = held?.get(name)
  // Work that the outer call did not wait for may run on after its lock was released.
  if (lock?.held === true) return work(lock)
  return whileHeld(permits.wait(request, limits), (granted) => {
    const inner = new Map(around).set(permits, new Map(held).set(name, granted))
    return heldLocks.run(inner, () => work(granted))
  })
}

/** Runs `work` while a lock is held, and always releases it afterwards. */
export async function whileHeld<T>(acquired: Promise<Lock>, work: (lock: Lock) => T | PromiseLike<T>): Promise<T> {
  const lock = await acquired
  try {
    return await work(lock)
  } finally {
    lock.release()
  }
}

/** Throws `ERR_INVALID_ARGUMENT` unless `work` is a function. */
export function checkWork(work: unknown): void {
  if (typeof work !== 'function') throw invalid('the work must be a function', work)
}

/** The maximum time of a hold, 0 for no limit. Throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`. */
export function resolveHold(options: TryLockOptions = {}, expected: AcceptedOptions): Milliseconds {
  checkOptions(options, expected)
  return options.ttl === undefined ? 0 : resolveTtl(options.ttl)
}

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`. */
export function resolveAcquire(
  options: LockOptions = {},
  expected: AcceptedOptions,
): { readonly ttl: Milliseconds; readonly limits: WaitLimits } {
  const ttl = resolveHold(options, expected)
  return { ttl, limits: resolveWait(options) }
}
