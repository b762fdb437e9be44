/**
 * The interfaces through which the parts of a cache reach the native side. `Connection` implements them all.
 *
 * Parts below `cache/` depend on these interfaces and never on `Connection` or `SharedCache`. A raw call reports its
 * outcome in `meta`; an ordinary call throws. Both kinds survive the loss of the segment: the connection opens it again
 * and repeats the call.
 */
import type { CacheError } from '../errors.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { SegmentHandle } from './handle.ts'

/**
 * How a call reacts to trouble with the segment.
 *
 * - `'read'`: the call becomes a miss, unless the cache is `strict`.
 * - `'write'`: the call throws. Reads on behalf of a write or of a wait use it as well.
 * - `'take'`: as `'write'`, for a read that deletes.
 *
 * In any mode, a value that cannot be decoded is a miss, unless the cache is `strict`.
 */
export type Mode = 'read' | 'take' | 'write'

/** The raw calls that can be repeated. */
export type RawOperation =
  | 'get'
  | 'getInto'
  | 'has'
  | 'set'
  | 'setWith'
  | 'flightFinish'
  | 'delete'
  | 'take'
  | 'takeInto'
  | 'incr'
  | 'touch'
  | 'collect'
  | 'ttl'
  | 'measure'

/** The arguments of a raw call behind its key. */
export type RawRest<O extends RawOperation> = Parameters<SegmentHandle[O]> extends [RawKey, ...infer R] ? R : never

/** The result of a raw call. */
export type RawResult<O extends RawOperation> = ReturnType<SegmentHandle[O]> | undefined

/** Raw calls on the open handle. */
export interface RawAccess {
  /** The open handle. Throws `ERR_CLOSED` after `close`. */
  live(): SegmentHandle
  /**
   * Continues after a raw call that returned undefined, according to its status. Undefined: a miss, or a read that
   * became one. Otherwise throws a `CacheError`.
   */
  again<O extends RawOperation>(mode: Mode, operation: O, key: RawKey, ...rest: RawRest<O>): RawResult<O>
  /**
   * The same for a raw call with a question in `meta`: `attempt` fills it before each call, because user code may run
   * between two attempts. Throws unless an attempt succeeds.
   */
  retry<R>(key: RawKey, attempt: (handle: SegmentHandle, key: RawKey) => R | undefined): R
}

/** Ordinary native calls on the open handle. Their errors are `CacheError`s. */
export interface NativeCalls {
  /** The number of the open handle. Throws `ERR_CLOSED` after `close`. */
  readonly handleId: number
  /** A call for a read. Undefined: trouble with the segment, which makes the read a miss. */
  read<T>(run: (id: number) => T): T | undefined
  /** A call that throws on trouble with the segment. */
  write<T>(run: (id: number) => T): T
  /** A call that releases something on the open handle. Never throws: what cannot be released is lost already. */
  cleanUp(run: (id: number) => void): void
  /** Makes the native side send notices, from the first call on. */
  listen(): void
}

/** Reads that may fail without an error. */
export interface Degrading {
  /** Throws the error, or counts and reports the read of `key` as a miss, and returns undefined. */
  refuse(mode: Mode, error: unknown, key?: RawKey): undefined
}

/** A part of a cache that keeps something on the native handle, such as waits, streams or permits. */
export interface Dependent {
  /** The number of callers that wait for other processes to change the segment. */
  readonly waiting: number
  /** The segment was destroyed or lost. */
  lose(): void
  /** The segment was opened again, on a new native handle. */
  restart(): void
  /** The segment cannot be opened again: rejects all waiters. */
  reject(error: unknown): void
  /** The cache is closed; the native handle is still open. */
  close(error: CacheError): void
}

/** A part of a cache that receives notices of one kind. */
export interface Notified {
  notify(ids: readonly number[]): void
}
