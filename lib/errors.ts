/**
 * The one error class, its codes, and the mapping from native status numbers to codes.
 *
 * Programs test the code; the hint tells a person what to do. Messages may change between releases, codes do not.
 * Statuses from 100 on are not errors: `Connection` answers them, and they never reach a caller.
 */

import { isUtf8 } from 'node:buffer'
import { types } from 'node:util'
import { STATUS_CODES, Status } from './native/layout.ts'

/**
 * The values of `CacheError.code`.
 *
 * - `ERR_NATIVE_UNAVAILABLE`: the addon could not be loaded.
 * - `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`, `ERR_KEY_TOO_LONG`, `ERR_VALUE_TOO_LARGE`, `ERR_UNDEFINED_VALUE`,
 *   `ERR_UNSERIALIZABLE`: an argument cannot be accepted, whatever the cache holds.
 * - `ERR_NOT_A_NUMBER`, `ERR_OVERFLOW`: the entry cannot be incremented.
 * - `ERR_WRONG_TYPE`: the key has a collection where a value was asked for, or another kind of entry.
 * - `ERR_CLOSED`: the handle was closed.
 * - `ERR_NO_SPACE`, `ERR_PERMISSION`: the segment is full, or the system refuses memory or the file.
 * - `ERR_NO_SEGMENT`: there is no segment of that name, or no such namespace in it, and `open` was to create none.
 * - `ERR_SEGMENT_MISMATCH`, `ERR_SEGMENT_VERSION`, `ERR_SEGMENT_CORRUPT`, `ERR_SEGMENT_IN_USE`: the existing segment
 *   cannot be used as requested.
 * - `ERR_CODEC_MISMATCH`: the entry was written in a format that this process cannot read.
 * - `ERR_TIMEOUT`: the timeout passed first.
 * - `ERR_BUSY`: another process holds a lock that the call needs, usually because it is suspended.
 * - `ERR_LOCK_LOST`: the lock is no longer held.
 * - `ERR_SNAPSHOT_FILE`: the file of a snapshot, or its folder, cannot be read or written.
 * - `ERR_SNAPSHOT_CORRUPT`: the file is no snapshot, or is damaged or cut off.
 * - `ERR_SNAPSHOT_VERSION`: a later version of this package wrote the snapshot.
 * - `ERR_SNAPSHOT_SCOPE`: the snapshot is one of a namespace, and the cache is not, or the other way round.
 * - `ERR_SNAPSHOT_INTERRUPTED`: the segment was destroyed or lost during a snapshot or a restore.
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
  | 'ERR_WRONG_TYPE'
  | 'ERR_OVERFLOW'
  | 'ERR_CLOSED'
  | 'ERR_NO_SPACE'
  | 'ERR_PERMISSION'
  | 'ERR_NO_SEGMENT'
  | 'ERR_SEGMENT_MISMATCH'
  | 'ERR_SEGMENT_VERSION'
  | 'ERR_SEGMENT_CORRUPT'
  | 'ERR_SEGMENT_IN_USE'
  | 'ERR_CODEC_MISMATCH'
  | 'ERR_TIMEOUT'
  | 'ERR_BUSY'
  | 'ERR_LOCK_LOST'
  | 'ERR_SNAPSHOT_FILE'
  | 'ERR_SNAPSHOT_CORRUPT'
  | 'ERR_SNAPSHOT_VERSION'
  | 'ERR_SNAPSHOT_SCOPE'
  | 'ERR_SNAPSHOT_INTERRUPTED'

/** The error code of a native status, by `MetaInt.Status`; undefined: no error. */
export function codeOfStatus(status: number): CacheErrorCode | undefined {
  return STATUS_CODES[status]
}

/** `Status.Detached` as the `code` of an error that an ordinary native call throws. */
export const DETACHED = 'ERR_DETACHED'
/** The `code` that napi gives a panic that it has caught. */
const PANIC = 'GenericFailure'

const HINTS: Readonly<Record<CacheErrorCode, string>> = {
  ERR_NATIVE_UNAVAILABLE:
    'Install without --omit=optional, for the platform and C library that the program runs on; ' +
    'in a container image, run the install inside the image.',
  ERR_INVALID_ARGUMENT: 'Change the argument to what the message asks for.',
  ERR_INVALID_TTL: "Pass milliseconds above 0 or a duration such as '30s', or Infinity for no expiry.",
  ERR_KEY_TOO_LONG: 'Hash long keys, for example with crypto.createHash.',
  ERR_VALUE_TOO_LARGE: 'Open the segment with a larger maxEntrySize, or split the value.',
  ERR_UNDEFINED_VALUE: 'undefined stands for a missing value. Store null instead, or delete the key.',
  ERR_UNSERIALIZABLE:
    'Store data: text, numbers, bytes, dates, Maps, Sets, errors, plain objects and arrays of them. Functions, ' +
    'symbols, promises and instances of classes cannot be stored.',
  ERR_NOT_A_NUMBER: 'incr works on numbers only. Set the key to a number, or delete it, first.',
  ERR_WRONG_TYPE:
    'Call the method for what the key has: get for a value; hash, list, setOf or sortedSet for a collection. Or use ' +
    'another key, or delete this one first.',
  ERR_OVERFLOW: 'Pass min and max to clamp the result.',
  ERR_CLOSED: 'Open the cache again, or close it after its last use.',
  ERR_NO_SPACE:
    'Free memory in the file system that holds the segment (in a container: --shm-size or a larger memory volume), ' +
    'open a smaller segment, or pass another directory. If the message names a limit of the process, raise it ' +
    '(ulimit).',
  ERR_PERMISSION: 'Run all processes that share a segment as the same user, and check its memory limits (ulimit -l).',
  ERR_NO_SEGMENT:
    'Start the program that creates it, check name, directory, user and group, or open without create: false.',
  ERR_SEGMENT_MISMATCH:
    "Use the same options in all processes, resize or destroy the segment, or open with onMismatch: 'attach'.",
  ERR_SEGMENT_VERSION:
    'Another version of this package made the segment. Stop the processes that use it, then destroy it.',
  ERR_SEGMENT_CORRUPT:
    'Destroy the segment with segments.destroy(name, { force: true }); the next open creates it again.',
  ERR_SEGMENT_IN_USE:
    'Stop the attached processes first, or pass force: true; attached processes then open a new segment.',
  ERR_BUSY: 'Resume or end the process that holds the lock: it is suspended (SIGSTOP, a debugger).',
  ERR_CODEC_MISMATCH: 'Use the same codec and version of this package in all processes, or delete the entry.',
  ERR_TIMEOUT: 'Pass a longer timeout, or handle the missing result.',
  ERR_LOCK_LOST:
    'Stop the work that the lock guarded, and acquire it again. For long work, pass a longer ttl or extend it.',
  ERR_SNAPSHOT_FILE: 'Pass the path of a file in an existing folder that this process may read and write.',
  ERR_SNAPSHOT_CORRUPT: 'Restore an older copy of the file, or delete it and start with an empty cache.',
  ERR_SNAPSHOT_VERSION: 'Install the version of this package that wrote the snapshot, or a later one.',
  ERR_SNAPSHOT_SCOPE: 'Restore it through a cache of the kind that made it: the root, or a namespace.',
  ERR_SNAPSHOT_INTERRUPTED: 'Call it again: the cache has opened the segment that has its name now.',
}

/**
 * The error that this package throws and rejects with.
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
  /** The cause, for programs. Codes do not change between releases. */
  readonly code: CacheErrorCode
  /** The remedy, for people. */
  readonly hint: string

  constructor(code: CacheErrorCode, message: string, options?: { hint?: string | undefined; cause?: unknown }) {
    super(message, options !== undefined && 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.hint = options?.hint ?? HINTS[code]
  }

  static {
    // On the prototype, as for the built-in errors: logs print own properties.
    Object.defineProperty(CacheError.prototype, 'name', { value: 'CacheError', configurable: true, writable: true })
  }
}

const FULL_HINT =
  "Delete entries, give them a ttl, open a larger segment, or open it with another eviction than 'none'. If the key is in " +
  'a namespace with a quota, raise its size, or change its eviction. If the file ' +
  'system that holds the segment is full, free memory there.'

/** Hints for the reasons of `ERR_NO_SPACE` that the native side states in its message. */
const NO_SPACE_HINTS: readonly (readonly [part: string, hint: string])[] = [
  ["eviction is 'none'", FULL_HINT],
  ['too many hold it', 'Let fewer processes wait for it at once, or pass a timeout to those that wait.'],
  ['have a quota already', 'Give fewer namespaces a reserve, a size or an eviction of their own.'],
  ['namespaces', 'Use fewer namespaces: put what differs per user or request into the key.'],
  ['channels', 'Subscribe to fewer channels: put what differs per user or request into the message.'],
  ['other reserves', 'Pass a smaller reserve, lower those of other namespaces, or open a larger segment.'],
  ['quarter of a shard', 'Open a larger segment, or delete metrics that are no longer used.'],
]

/** The error for a segment in which a value that must be stored has no room. */
export function segmentFull(name: string, key: unknown): CacheError {
  const message = `the segment "${name}" has no room for ${showKey(key)}, and no entry can be evicted`
  return new CacheError('ERR_NO_SPACE', message, { hint: FULL_HINT })
}

/** The error with the subject of the call at the end of its message; any other error is returned unchanged. */
export function about(subject: string, error: unknown): unknown {
  if (!(error instanceof CacheError)) return error
  const { code, message, hint } = error
  return new CacheError(code, `${message} (${subject})`, { hint, ...('cause' in error && { cause: error.cause }) })
}

/** Details for the message of a failed raw call. */
export interface Circumstances {
  /** The name of the segment. */
  readonly name: string
  /** Milliseconds. */
  readonly writeTimeout: number
  /** Bytes. */
  readonly maxEntrySize: number
}

/** The error for the status of a raw call on this key. */
export function fromStatus(
  status: number,
  { name, writeTimeout, maxEntrySize }: Circumstances,
  key: unknown,
): CacheError {
  if (status === Status.Detached) return lostAgain()
  if (status === Status.SuspectKey) return loneSurrogates(key)
  const code = codeOfStatus(status)
  switch (code) {
    case undefined:
      return new CacheError('ERR_SEGMENT_CORRUPT', `the native side returned the unknown status ${status}`)
    case 'ERR_INVALID_ARGUMENT':
      return notAKey(key)
    case 'ERR_KEY_TOO_LONG':
      return keyTooLong(key)
    case 'ERR_VALUE_TOO_LARGE':
      return entryTooLarge(key, maxEntrySize)
    case 'ERR_NOT_A_NUMBER':
      return new CacheError(code, `the entry of ${showKey(key)} is not a number`)
    case 'ERR_WRONG_TYPE':
      return new CacheError(code, `the entry of ${showKey(key)} is of another kind`)
    case 'ERR_OVERFLOW': {
      const message = `the result for ${showKey(key)} is not finite or not a safe integer; the entry was not changed`
      return new CacheError(code, message)
    }
    case 'ERR_BUSY': {
      const where = `the shard of ${showKey(key)} in the segment "${name}"`
      return new CacheError(code, `${where} was held for ${writeTimeout} ms by a suspended process, or for 2 s`)
    }
    case 'ERR_NO_SPACE':
      return segmentFull(name, key)
    case 'ERR_SEGMENT_CORRUPT':
      return new CacheError(code, `the segment "${name}" is damaged; the key was ${showKey(key)}`)
    default:
      return new CacheError(code, `a call for ${showKey(key)} on the segment "${name}" failed with ${code}`)
  }
}

export function notAKey(key: unknown): CacheError {
  return invalid('a key must be a string or a Uint8Array of at least 1 byte', key)
}

export function keyTooLong(key: unknown): CacheError {
  return new CacheError('ERR_KEY_TOO_LONG', `a key must have at most 8,192 bytes as UTF-8; got ${showKey(key)}`)
}

export function loneSurrogates(key: unknown): CacheError {
  const hint = 'Call toWellFormed() on the text, or pass bytes.'
  return invalid('a key must not contain lone surrogates', key, 'ERR_INVALID_ARGUMENT', hint)
}

export function entryTooLarge(key: unknown, maxEntrySize: number): CacheError {
  const message = `the entry of ${showKey(key)} is larger than maxEntrySize, ${maxEntrySize} bytes`
  return new CacheError('ERR_VALUE_TOO_LARGE', message)
}

/** Whether the native side threw because the handle is detached. */
export function isDetached(error: unknown): boolean {
  return codeOf(error) === DETACHED
}

/** An error of an ordinary native call as a `CacheError`; any other error is returned unchanged. */
export function fromNative(error: unknown): unknown {
  const code = codeOf(error)
  if (code === DETACHED) return lostAgain()
  if (code === PANIC)
    return new CacheError('ERR_SEGMENT_CORRUPT', `the native code panicked: ${(error as Error).message}`)
  if (error instanceof CacheError || !isCode(code)) return error
  const { message, cause } = error as Error
  const hint = code === 'ERR_NO_SPACE' ? NO_SPACE_HINTS.find(([part]) => message.includes(part))?.[1] : undefined
  return new CacheError(code, message, { hint, ...(cause !== undefined && { cause }) })
}

function lostAgain(): CacheError {
  return new CacheError('ERR_SEGMENT_CORRUPT', 'the segment was destroyed again each time it was reopened')
}

function codeOf(error: unknown): unknown {
  return types.isNativeError(error) && 'code' in error ? error.code : undefined
}

function isCode(code: unknown): code is CacheErrorCode {
  return typeof code === 'string' && Object.hasOwn(HINTS, code)
}

/** The error for an invalid argument. */
export function invalid(
  expected: string,
  found: unknown,
  code: CacheErrorCode = 'ERR_INVALID_ARGUMENT',
  hint?: string,
): CacheError {
  const fix = hint ?? (code === 'ERR_INVALID_ARGUMENT' ? hintFor(expected) : undefined)
  return new CacheError(code, `${expected}; got ${show(found)}`, { hint: fix })
}

/** What to do, from the sentence that says what was expected. */
function hintFor(expected: string): string {
  const [, subject, rule] = /^(.+?) (?:must be|takes) (.+)$/.exec(expected) ?? []
  if (subject === undefined) return `Change the argument: ${expected}.`
  return expected.startsWith(`${subject} takes`) ? `Pass ${rule} to ${subject}.` : `Pass ${rule} as ${subject}.`
}

/** A value as shown in messages. */
export function show(value: unknown): string {
  if (typeof value === 'string') return shownText(value)
  if (types.isDate(value)) return 'a Date'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}

/** A key as shown in messages: its text, or the first of its bytes. */
export function showKey(key: unknown): string {
  if (!types.isUint8Array(key)) return show(key)
  const bytes = Buffer.from(key.buffer, key.byteOffset, Math.min(key.length, MAX_SHOWN_BYTES))
  if (isUtf8(key)) return shownText(bytes.toString(), key.length > MAX_SHOWN_BYTES)
  const start = bytes.toString('hex', 0, MAX_SHOWN_HEX)
  return `the bytes ${start}${key.length > MAX_SHOWN_HEX ? '…' : ''}`
}

/** Maximum number of characters, and of bytes as hexadecimal digits, that a message shows. */
const MAX_SHOWN = 80
const MAX_SHOWN_HEX = 32
/** Enough bytes for `MAX_SHOWN` characters as UTF-8. */
const MAX_SHOWN_BYTES = 4 * MAX_SHOWN + 4

/** Text in quotes, shortened, with escapes for what could hide, break or reorder a line of a log. */
function shownText(text: string, isCut = false): string {
  const start = text
    .slice(0, MAX_SHOWN)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}'\\]/gu, (character) =>
      character === "'" || character === '\\' ? `\\${character}` : escapeOf(character),
    )
  return `'${start}${isCut || text.length > MAX_SHOWN ? '…' : ''}'`
}

function escapeOf(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`
}
