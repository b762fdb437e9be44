/**
 * The one error class, its codes, and how the native side's numbers become codes.
 *
 * A code is for the program, the hint is for the person who reads the log. Messages may change between releases, codes
 * do not. The thing to get wrong: the statuses from 100 on are no errors; they ask the handle to do something and
 * never reach a user.
 */

/** Statuses that are answered inside the package. */
export const Status = {
  /** A plain miss. */
  None: 0,
  /** The handle's segment was destroyed or lost: open it again and repeat the call. */
  Detached: 100,
  /** U+FFFD in the key: either the caller's own, or what became of a lone surrogate. Only JavaScript can tell. */
  SuspectKey: 101,
  /** The same of a text that is to be stored. */
  SuspectText: 102,
  /** The lock of a region: this thread holds it already. */
  HeldHere: 103,
} as const

/**
 * What `CacheError.code` can be.
 *
 * - `ERR_NATIVE_UNAVAILABLE`: the addon could not be loaded.
 * - `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`, `ERR_KEY_TOO_LONG`, `ERR_VALUE_TOO_LARGE`, `ERR_UNDEFINED_VALUE`,
 *   `ERR_UNSERIALIZABLE`: the call is wrong, whatever the cache holds.
 * - `ERR_NOT_A_NUMBER`, `ERR_OVERFLOW`: the entry cannot be incremented.
 * - `ERR_CLOSED`: the handle was closed.
 * - `ERR_NO_SPACE`, `ERR_PERMISSION`: the system refuses memory or the file.
 * - `ERR_SEGMENT_MISMATCH`, `ERR_SEGMENT_VERSION`, `ERR_SEGMENT_CORRUPT`, `ERR_SEGMENT_IN_USE`: the segment found is not as needed.
 * - `ERR_CODEC_MISMATCH`: the entry was written in a form that this process does not read.
 * - `ERR_TIMEOUT`: nothing came in time.
 * - `ERR_BUSY`: a stopped process holds what is needed.
 * - `ERR_LOCK_LOST`: the lock is no longer ours.
 */
export type CacheErrorCode =
  | 'ERR_NATIVE_UNAVAILABLE'
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_INVALID_TTL'
  | 'ERR_KEY_TOO_LONG'
  | 'ERR_VALUE_TOO_LARGE'
  | 'ERR_UNDEFINED_VALUE'
  | 'ERR_UNSERIALIZABLE'
  | 'ERR_NOT_A_NUMBER'
  | 'ERR_OVERFLOW'
  | 'ERR_CLOSED'
  | 'ERR_NO_SPACE'
  | 'ERR_PERMISSION'
  | 'ERR_SEGMENT_MISMATCH'
  | 'ERR_SEGMENT_VERSION'
  | 'ERR_SEGMENT_CORRUPT'
  | 'ERR_SEGMENT_IN_USE'
  | 'ERR_CODEC_MISMATCH'
  | 'ERR_TIMEOUT'
  | 'ERR_BUSY'
  | 'ERR_LOCK_LOST'

/** Index: the status of a raw call (`MetaInt.Status`). The order is part of the contract with `crates/core`. */
export const codeOfStatus: readonly (CacheErrorCode | undefined)[] = [
  undefined,
  'ERR_INVALID_ARGUMENT',
  'ERR_INVALID_TTL',
  'ERR_KEY_TOO_LONG',
  'ERR_VALUE_TOO_LARGE',
  'ERR_NOT_A_NUMBER',
  'ERR_OVERFLOW',
  'ERR_CLOSED',
  'ERR_NO_SPACE',
  'ERR_PERMISSION',
  'ERR_SEGMENT_MISMATCH',
  'ERR_SEGMENT_VERSION',
  'ERR_SEGMENT_CORRUPT',
  'ERR_SEGMENT_IN_USE',
  'ERR_BUSY',
  'ERR_CODEC_MISMATCH',
  'ERR_TIMEOUT',
  'ERR_NATIVE_UNAVAILABLE',
  'ERR_UNDEFINED_VALUE',
  'ERR_UNSERIALIZABLE',
  'ERR_LOCK_LOST',
]

/** `Status.Detached` as the `code` of an error that an ordinary native call throws. */
export const DETACHED = 'ERR_DETACHED'
/** What napi says of a panic that it has caught. */
const PANIC = 'GenericFailure'

const HINTS: Readonly<Record<CacheErrorCode, string>> = {
  ERR_NATIVE_UNAVAILABLE:
    'Install without --omit=optional, for the platform and C library that the program runs on; ' +
    'in a container image, run the install inside the image.',
  ERR_INVALID_ARGUMENT: 'The call is wrong, whatever the cache holds; see the message for what was expected.',
  ERR_INVALID_TTL: "Pass milliseconds above 0 or a duration such as '30s'. For no expiry leave ttl out.",
  ERR_KEY_TOO_LONG: 'Hash long keys, for example with crypto.createHash.',
  ERR_VALUE_TOO_LARGE: 'Open the segment with a larger maxEntrySize, or split the value.',
  ERR_UNDEFINED_VALUE: 'undefined means "not there". Store null, or delete the key.',
  ERR_UNSERIALIZABLE:
    'Store data: text, numbers, bytes, dates, Maps, Sets, errors, plain objects and arrays of them. Functions, symbols, ' +
    'promises and instances of classes are none.',
  ERR_NOT_A_NUMBER: 'incr works on numbers only. Set or delete the key first.',
  ERR_OVERFLOW: 'Pass min and max to clamp the counter instead.',
  ERR_CLOSED: 'Open the cache again, or close it later.',
  ERR_NO_SPACE:
    'Make room in the file system that holds the segment (in a container: --shm-size or a larger memory volume), ' +
    'open a smaller one, or pass another directory; or raise the limit of the process that the message tells of (ulimit).',
  ERR_PERMISSION: 'All processes that share a segment run as the same user, and its memory limits apply (ulimit -l).',
  ERR_SEGMENT_MISMATCH:
    "Use the same options in all processes, destroy the segment, or open with onMismatch: 'attach'.",
  ERR_SEGMENT_VERSION: 'Another version of this package made the segment. Stop its processes, then destroy it.',
  ERR_SEGMENT_CORRUPT:
    'Destroy the segment with segments.destroy(name, { force: true }); it is made anew at the next open.',
  ERR_SEGMENT_IN_USE:
    'Stop the attached processes first, or pass force: true; they then notice and open a new segment.',
  ERR_BUSY: 'A process that holds part of the cache is stopped (SIGSTOP, a debugger). Let it go on, or end it.',
  ERR_CODEC_MISMATCH: 'The entry was written by another codec or a newer version of this package.',
  ERR_TIMEOUT: 'Nothing came within the timeout.',
  ERR_LOCK_LOST: 'The lock expired or was taken over; stop the work that it guarded.',
}

/**
 * What this package throws and rejects with.
 *
 * @example
 * try {
 *   cache.set('report', report)
 * } catch (error) {
 *   if (error instanceof CacheError && error.code === 'ERR_VALUE_TOO_LARGE') return
 *   throw error
 * }
 */
export class CacheError extends Error {
  /** What went wrong, for the program; never changes. */
  readonly code: CacheErrorCode
  /** What to do about it, for a person. */
  readonly hint: string

  constructor(code: CacheErrorCode, message: string, options?: { hint?: string | undefined; cause?: unknown }) {
    super(message, options !== undefined && 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.hint = options?.hint ?? HINTS[code]
  }

  static {
    // On the prototype, as the built-in errors have it: not an own property that every log prints.
    Object.defineProperty(CacheError.prototype, 'name', { value: 'CacheError', configurable: true, writable: true })
  }
}

/** What the message of a failed raw call can tell. */
export interface Circumstances {
  /** The segment's. */
  readonly name: string
  /** Milliseconds. */
  readonly writeTimeout: number
  /** Bytes. */
  readonly maxEntrySize: number
}

/** The error behind the status of a raw call. */
export function fromStatus(status: number, { name, writeTimeout, maxEntrySize }: Circumstances): CacheError {
  if (status === Status.Detached) return lostAgain()
  if (status === Status.SuspectKey)
    return new CacheError('ERR_INVALID_ARGUMENT', 'a key may not contain lone surrogates')
  const code = codeOfStatus[status]
  switch (code) {
    case undefined:
      return new CacheError('ERR_SEGMENT_CORRUPT', `the native side answered with the unknown status ${status}`)
    case 'ERR_INVALID_ARGUMENT':
      return new CacheError(code, 'a key must be a string or a Uint8Array of at least 1 byte')
    case 'ERR_KEY_TOO_LONG':
      return new CacheError(code, 'a key may have 8,192 bytes as UTF-8')
    case 'ERR_VALUE_TOO_LARGE':
      return new CacheError(code, `the entry is larger than maxEntrySize, ${maxEntrySize} bytes`)
    case 'ERR_NOT_A_NUMBER':
      return new CacheError(code, 'the entry is not a number')
    case 'ERR_OVERFLOW':
      return new CacheError(code, 'the result is not finite or not a safe integer; the entry stays as it was')
    case 'ERR_BUSY':
      return new CacheError(code, `a shard of the segment "${name}" was held for more than ${writeTimeout} ms`)
    case 'ERR_NO_SPACE':
      return new CacheError(code, `the segment "${name}" has no room, and nothing that could be evicted`)
    case 'ERR_SEGMENT_CORRUPT':
      return new CacheError(code, `the segment "${name}" is damaged`)
    default:
      return new CacheError(code, `a call on the segment "${name}" failed with ${code}`)
  }
}

/** Whether the native side threw because the handle is detached. */
export function isDetached(error: unknown): boolean {
  return codeOf(error) === DETACHED
}

/** An error of an ordinary native call as a `CacheError`; anything else comes back as it is. */
export function fromNative(error: unknown): unknown {
  const code = codeOf(error)
  if (code === DETACHED) return lostAgain()
  if (code === PANIC) return new CacheError('ERR_SEGMENT_CORRUPT', `native code gave up: ${(error as Error).message}`)
  if (error instanceof CacheError || !isCode(code)) return error
  const { message, cause } = error as Error
  return new CacheError(code, message, cause === undefined ? undefined : { cause })
}

/** The addon could not be loaded; `cause` is what the loader threw. */
export function nativeUnavailable(cause: unknown): CacheError {
  const system = `${process.platform} ${process.arch}, Node ${process.versions.node}`
  return new CacheError('ERR_NATIVE_UNAVAILABLE', `the native part could not be loaded on ${system}`, { cause })
}

function lostAgain(): CacheError {
  return new CacheError('ERR_SEGMENT_CORRUPT', 'the segment was destroyed again as soon as it was opened anew')
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function isCode(code: unknown): code is CacheErrorCode {
  return typeof code === 'string' && Object.hasOwn(HINTS, code)
}

/** The error for an argument that is not what it should be. */
export function invalid(expected: string, found: unknown, code: CacheErrorCode = 'ERR_INVALID_ARGUMENT'): CacheError {
  return new CacheError(code, `${expected}; got ${show(found)}`)
}

/** A value as it may stand in a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}
