/**
 * The connection of one cache to its segment: one open native handle at a time, repeated calls, reopening, and notices.
 *
 * A segment can be destroyed or lost under its handle. The next call then opens the segment of that name again,
 * creating it if there is none, and repeats itself. Reads that meet trouble become misses, which are counted and
 * reported; writes throw.
 */
import { CacheError, fromNative, fromStatus, isDetached } from '../errors.ts'
import type { CacheErrorCode } from '../errors.ts'
import type { Key } from '../arguments/keys.ts'
import type { ResolvedOptions } from '../arguments/options.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { escapedText } from '../codec/codec.ts'
import { native } from '../engine/engine.ts'
import { Kind, MetaInt, Notice, Status } from '../native/layout.ts'
import type { NativeQuota } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type {
  Degrading,
  Dependent,
  Mode,
  NativeCalls,
  Notified,
  RawAccess,
  RawOperation,
  RawRest,
  RawResult,
} from './calls.ts'
import { hasNoticeSubscribers, hasRemovalSubscribers } from './diagnostics.ts'
import type { CacheEvents } from './events.ts'
import { MAX_REOPENS, closeHandle, nativeHandles, openHandle, openVersion, withNamespace } from './handle.ts'
import type { SegmentHandle, VersionHandle } from './handle.ts'
import { Reports } from './reports.ts'
import type { OwnCounts } from './stats.ts'

/** Mistakes of the caller. Reads throw them as well. */
const MISTAKES: ReadonlySet<CacheErrorCode> = new Set([
  'ERR_INVALID_ARGUMENT',
  'ERR_KEY_TOO_LONG',
  'ERR_CLOSED',
  'ERR_WRONG_TYPE',
])

/**
 * After a failed attempt to open the segment again, reads are misses for this time before the next attempt. If another
 * process was at the gate, writes fail with the same error meanwhile: each attempt may wait for it.
 */
const REOPEN_PAUSE: Milliseconds = 100

/** The connection of one cache. */
export class Connection implements RawAccess, NativeCalls, Degrading {
  readonly options: ResolvedOptions
  readonly reports: Reports
  /** The object by which tests find the handle. */
  readonly #owner: object
  readonly #dependents: Dependent[] = []
  /** The receivers of notices, by `Notice`. */
  readonly #notified = new Map<number, Notified>()
  /** Undefined after `close`. */
  #handle: SegmentHandle | undefined
  /** Whether the native side sends notices. Holds for every later handle as well. */
  #isListening = false
  /** Whether the native side sends notices of removals. */
  #watchesRemovals = false
  /** The handle that was reported as lost last. */
  #reported: SegmentHandle | undefined
  readonly #counts: { -readonly [name in keyof OwnCounts]: number } = {
    degradedReads: 0,
    mismatchedReads: 0,
    unstored: 0,
  }
  /** Why the last attempt to open the segment again failed, whether it waited, and when reads try again. */
  #failure: { readonly error: unknown; readonly hasWaited: boolean; readonly until: Milliseconds } | undefined

  /** Opens the segment. Throws the `CacheError`s of `open`. */
  constructor(owner: object, options: ResolvedOptions) {
    this.options = options
    this.reports = new Reports(options.native.name, options.native.namespace ?? '', options.log)
    this.#owner = owner
    this.#handle = openHandle(options)
    nativeHandles.set(owner, this.#handle)
  }

  get closed(): boolean {
    return this.#handle === undefined
  }

  /** The counts of this connection alone. */
  get counts(): OwnCounts {
    return this.#counts
  }

  get handleId(): number {
    return this.live().id
  }

  live(): SegmentHandle {
    if (this.#handle === undefined) throw closedError(this.options.native.name)
    return this.#handle
  }

  /** Adds a part that depends on the handle; with `notice`, it also receives these notices. */
  attach(dependent: Dependent): void
  attach(dependent: Dependent & Notified, notice: number): void
  attach(dependent: Dependent & Partial<Notified>, notice?: number): void {
    this.#dependents.push(dependent)
    if (notice !== undefined) this.#notified.set(notice, dependent as Dependent & Notified)
  }

  /** Reports the opening, after all parts are attached. */
  opened(): void {
    this.reports.opened()
    if (this.reports.isLogged || hasNoticeSubscribers()) this.listen()
  }

  /** Closes the handle and all parts. A second call does nothing. */
  close(): void {
    const handle = this.#handle
    if (handle === undefined) return
    this.#handle = undefined
    nativeHandles.delete(this.#owner)
    for (const dependent of this.#dependents) dependent.close(closedError(this.options.native.name))
    closeHandle(handle)
    this.reports.closed()
  }

  // ---- calls

  again<O extends RawOperation>(mode: Mode, operation: O, key: RawKey, ...rest: RawRest<O>): RawResult<O> {
    let args: readonly unknown[] = rest
    const attempt = (handle: SegmentHandle, rawKey: RawKey, status: number): RawResult<O> => {
      // JSON text preserves a string that UTF-8 may not.
      if (status === Status.SuspectText) args = [escapedText(args[0] as string), Kind.Json, ...args.slice(2)]
      return (handle[operation] as unknown as (key: RawKey, ...rest: readonly unknown[]) => RawResult<O>)(
        rawKey,
        ...args,
      )
    }
    // A flight ends with its segment.
    return this.#repeat(mode, key, attempt, operation !== 'flightFinish')
  }

  retry<R>(key: RawKey, attempt: (handle: SegmentHandle, key: RawKey) => R | undefined): R {
    return this.#repeat('write', key, attempt, true) as R
  }

  /** Calls `attempt` again, with the status of the last raw call, until it succeeds or that status is final. */
  #repeat<R>(
    mode: Mode,
    key: RawKey,
    attempt: (handle: SegmentHandle, key: RawKey, status: number) => R | undefined,
    canReopen: boolean,
  ): R | undefined {
    let handle = this.live()
    let rawKey = key
    let reopens = 0
    for (;;) {
      const status = handle.ints[MetaInt.Status] as number
      if (status === Status.None || (status === Status.Detached && !canReopen)) return undefined
      if (status === Status.SuspectKey && typeof rawKey === 'string' && rawKey.isWellFormed()) {
        rawKey = Buffer.from(rawKey)
      } else if (status === Status.Detached && reopens < MAX_REOPENS) {
        const next = this.#reopen(handle, mode)
        if (next === undefined) return undefined
        handle = next
        reopens++
      } else if (status !== Status.SuspectText) {
        const { name, writeTimeout } = this.options.native
        const { maxEntrySize } = handle.dimensions()
        return this.refuse(mode, fromStatus(status, { name, writeTimeout, maxEntrySize }, key))
      }
      const result = attempt(handle, rawKey, status)
      if (result !== undefined) return result
    }
  }

  read<T>(run: (id: number) => T): T | undefined {
    return this.#call('read', run)
  }

  write<T>(run: (id: number) => T): T {
    return this.#call('write', run) as T
  }

  /**
   * Calls `run` with a handle of another namespace of the segment, which is closed afterwards. Throws on trouble.
   * `quota`: is set for the namespace.
   */
  inNamespace<T>(namespace: string, run: (id: number) => T, quota?: NativeQuota): T {
    this.live()
    return withNamespace(this.options.native, namespace, run, quota)
  }

  openVersion(version: string): VersionHandle {
    this.live()
    return openVersion(this.options.native, version)
  }

  cleanUp(run: (id: number) => void): void {
    if (this.#handle === undefined) return
    try {
      run(this.#handle.id)
    } catch {
      // The segment was lost, and with it what was to be released.
    }
  }

  refuse(mode: Mode, error: unknown, key?: RawKey): undefined {
    const isFatal = mode !== 'read' || this.options.strict
    if (isFatal || !(error instanceof CacheError) || MISTAKES.has(error.code)) throw error
    if (error.code === 'ERR_CODEC_MISMATCH') {
      this.#counts.mismatchedReads++
      return this.reports.mismatched(key, error)
    }
    this.#counts.degradedReads++
    this.reports.degraded(error)
  }

  /** A loaded value of `key` goes to its callers only. */
  unstored(key: RawKey, error: unknown): void {
    this.#counts.unstored++
    this.reports.unstored(key, error instanceof CacheError ? error : notEncoded(error))
  }

  #call<T>(mode: Mode, run: (id: number) => T): T | undefined {
    let handle = this.live()
    for (let reopens = 0; ; reopens++) {
      try {
        return run(handle.id)
      } catch (error) {
        if (!isDetached(error) || reopens >= MAX_REOPENS) return this.refuse(mode, fromNative(error))
      }
      const next = this.#reopen(handle, mode)
      if (next === undefined) return undefined
      handle = next
    }
  }

  // ---- the loss of the segment

  /**
   * Leaves a lost segment for the one that has its name now, created if there is none. Undefined: it cannot be opened,
   * and the read is a miss.
   */
  #reopen(lost: SegmentHandle, mode: Mode): SegmentHandle | undefined {
    this.#reportLoss(lost)
    // A subscriber of the diagnostics channel may have used this cache, and so opened the segment already.
    if (this.#handle !== lost) return this.live()
    const isMiss = mode === 'read' && !this.options.strict
    const failure = this.#failure
    if (failure !== undefined && performance.now() < failure.until) {
      // A read does not wait for a process or thread that is opening the segment right now. A write does, so it must not
      // end with what a read has found.
      if (isMiss || (failure.hasWaited && isBusy(failure.error))) return this.refuse(mode, failure.error)
    }
    let handle: SegmentHandle | undefined
    try {
      handle = openHandle(this.options, !isMiss)
      if (this.#isListening) this.#setNotifier(handle.id)
    } catch (error) {
      if (handle !== undefined) closeHandle(handle)
      const reason = fromNative(error)
      this.#failure = { error: reason, hasWaited: !isMiss, until: performance.now() + REOPEN_PAUSE }
      return this.refuse(mode, reason)
    }
    this.#failure = undefined
    this.#handle = handle
    nativeHandles.set(this.#owner, handle)
    for (const dependent of this.#dependents) dependent.restart()
    closeHandle(lost)
    // A restart may have closed the cache, or opened the segment once more.
    return this.live()
  }

  /** Once for each handle. */
  #reportLoss(lost: SegmentHandle): void {
    if (this.#reported === lost) return
    this.#reported = lost
    for (const dependent of this.#dependents) dependent.lose()
    this.reports.detached(lost.path)
  }

  // ---- notices

  /** Adds an event listener; returns a function that removes it. */
  on<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): () => void {
    const stop = this.reports.listeners.on(event, listener)
    this.listen()
    this.watchRemovals()
    return () => {
      stop()
      this.watchRemovals()
    }
  }

  off<E extends keyof CacheEvents>(event: E, listener: (event: CacheEvents[E]) => void): void {
    this.reports.listeners.off(event, listener)
    this.watchRemovals()
  }

  listen(): void {
    if (this.#isListening) return
    this.#isListening = true
    this.#setNotifier(this.live().id)
  }

  /** Asks for notices of removals as long as a listener or subscriber wants them. */
  watchRemovals(): void {
    const isWanted = this.#wantsRemovals()
    if (this.#handle === undefined || isWanted === this.#watchesRemovals) return
    if (this.#isListening) this.#setRemovals(this.#handle.id, isWanted)
    else if (isWanted) this.listen()
  }

  #wantsRemovals(): boolean {
    return this.reports.listeners.has('evict', 'expire') || hasRemovalSubscribers()
  }

  #setNotifier(id: number): void {
    native.setNotifier(id, (notice, ids, keys) => {
      // A notice of an earlier handle may arrive late.
      if (this.#handle?.id === id) this.#dispatch(this.#handle, notice, ids, keys)
    })
    this.#setRemovals(id, this.#wantsRemovals())
  }

  #setRemovals(id: number, isWanted: boolean): void {
    this.#watchesRemovals = isWanted
    native.wantRemovals(id, isWanted)
  }

  #dispatch(handle: SegmentHandle, notice: number, ids: readonly number[], keys: readonly Key[]): void {
    switch (notice) {
      case Notice.Repaired:
        return this.reports.repaired(ids[0] ?? 0, ids[1] ?? 0)
      case Notice.Damage:
        return this.reports.damaged(ids[0] ?? 0, ids[1] ?? 0)
      case Notice.Resized:
        return this.reports.resized(ids[0] ?? 0, ids[1] ?? 0)
      case Notice.Removed:
        return this.reports.removed(ids, keys)
      case Notice.Detached:
        return this.#detached(handle)
      default:
        this.#notified.get(notice)?.notify(ids)
    }
  }

  /** A loss without a call. The segment is opened again only if a caller waits for changes by other processes. */
  #detached(handle: SegmentHandle): void {
    this.#reportLoss(handle)
    if (!this.#dependents.some(({ waiting }) => waiting > 0)) return
    try {
      this.#reopen(handle, 'write')
    } catch (error) {
      for (const dependent of this.#dependents) dependent.reject(error)
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof CacheError && error.code === 'ERR_BUSY'
}

function notEncoded(cause: unknown): CacheError {
  return new CacheError('ERR_UNSERIALIZABLE', '$ cannot be encoded; see the cause', { cause })
}

function closedError(name: string): CacheError {
  return new CacheError('ERR_CLOSED', `the cache "${name}" is closed`)
}
