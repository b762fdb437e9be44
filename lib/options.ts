/**
 * What callers may pass, with units and defaults, and its checked form.
 *
 * Every mistake is an error at once, with the option's name in it. The thing to get wrong: only what a caller gave
 * explicitly is compared with the segment that is found, so defaults must not be filled in before that.
 */
import { resolve } from 'node:path'
import { CacheError } from './errors.ts'
import type { CacheErrorCode } from './errors.ts'
import type { NativeOpenOptions } from './native.ts'
import { manualClock } from './testing.ts'
import { MAX_DURATION, parseBytes, parseDuration } from './units.ts'
import type { Bytes, Duration, Milliseconds } from './units.ts'

/**
 * Who has to go when the memory limit is reached.
 *
 * - `'s3-fifo'`: what was read only once goes first; keeps a working set through scans.
 * - `'lru'`: what was not read for long, approximately (CLOCK): readers take no lock, so there is no exact order.
 * - `'none'`: nothing; `set` returns false when the key's part of the segment is full.
 */
export type Eviction = 's3-fifo' | 'lru' | 'none'

/** Options of `open`. All processes should pass the same; see `onMismatch`. */
export interface OpenOptions {
  /** 1 to 64 of `A-Z a-z 0-9 . _ -`. Scoped to the effective user: two users never share a segment. */
  name: string
  /** The whole segment, which is the memory limit. Memory is taken as it fills. Default: `'64mb'`. */
  size?: Bytes | undefined
  /**
   * Keep the segment as a file in this folder, which must exist, instead of in POSIX shared memory. Not durable over a
   * restart of the host.
   */
  directory?: string | undefined
  /** Lifetime of entries that are set without one. Default: they do not expire. */
  ttl?: Duration | undefined
  /**
   * The largest entry, key and value as they are stored. Default: a quarter of a shard, about 3.7 MiB in the default
   * segment. More makes fewer and larger shards.
   */
  maxEntrySize?: Bytes | undefined
  /** Default: `'s3-fifo'`. */
  eviction?: Eviction | undefined
  /** Pin the segment in RAM; `ERR_PERMISSION` if the system's limit forbids it. Default: false. */
  lockMemory?: boolean | undefined
  /**
   * What to do when the segment exists with another `size`, `maxEntrySize` or `eviction` than given here: use it as it is and
   * warn once (`CACHE_MACHINE_MISMATCH`), or throw `ERR_SEGMENT_MISMATCH`. Default: `'attach'`.
   */
  onMismatch?: 'attach' | 'throw' | undefined
  /** Longest wait of a write for a shard whose holder is stopped, before `ERR_BUSY`. Default: `'100ms'`. */
  writeTimeout?: Duration | undefined
  /** Throw where a read from a damaged segment would otherwise be a miss. Default: false. */
  strict?: boolean | undefined
}

/** When an entry expires: at most one of the two; with neither, the `ttl` of `open` applies. */
export interface ExpiryOptions {
  /** Lifetime from now, above 0. */
  ttl?: Duration | undefined
  /** A moment in epoch milliseconds. One that has passed deletes the entry, and `set` returns false. */
  expiresAt?: number | undefined
}

/** Options of `replace`. */
export interface ReplaceOptions extends ExpiryOptions {
  /** Keep the deadline of the entry that is replaced, also if it has none. Default: false. */
  keepTtl?: boolean | undefined
}

/** Options of `set`. */
export interface SetOptions extends ReplaceOptions {
  /** Set only if the key has no entry, or has one, or has the one with this version. */
  if?: 'absent' | 'present' | { version: number } | undefined
}

/** Options of `delete`. */
export interface DeleteOptions {
  /** Delete only the entry with this version. Default: whatever its version. */
  version?: number | undefined
}

/** Options of `incr`. */
export interface IncrOptions {
  /** Where a missing key starts. Default: 0. */
  init?: number | undefined
  /** Lifetime if the key was missing. Default: none, also if `open` had a `ttl`. */
  ttl?: Duration | undefined
  /** The result is never below. Default: no limit. */
  min?: number | undefined
  /** The result is never above. Default: no limit. */
  max?: number | undefined
}

/** Options of `waitFor`. */
export interface WaitOptions {
  /** Wait for an entry of a later version than this one. Default: 0, any entry. */
  after?: number | undefined
  /** Reject with `ERR_TIMEOUT` after this time. Default: wait for ever. */
  timeout?: Duration | undefined
  /** Reject with the signal's reason when it is aborted. */
  signal?: AbortSignal | undefined
  /** Keep the process alive while waiting. Default: false. */
  ref?: boolean | undefined
}

/** Where a segment is. */
export interface SegmentOptions {
  /** The folder that was passed to `open`. Default: POSIX shared memory. */
  directory?: string | undefined
}

/** `OpenOptions`, checked and in numbers. */
export interface ResolvedOptions {
  readonly native: NativeOpenOptions
  /** 0: none. */
  readonly ttl: Milliseconds
  readonly strict: boolean
  readonly onMismatch: 'attach' | 'throw'
  /** What the caller gave explicitly and a found segment is compared with. */
  readonly wanted: { readonly size?: number; readonly maxEntrySize?: number; readonly eviction?: string }
}

const DEFAULT_SIZE = 64 * 2 ** 20
const DEFAULT_WRITE_TIMEOUT: Milliseconds = 100

/** Checks the options of `open`. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveOptions(options: OpenOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null)
    throw invalid('open takes an object with at least a name', options)
  const { name, directory, eviction, strict = false, lockMemory = false, onMismatch = 'attach' } = options
  const size = optional(options.size, (bytes) => resolveBytes(bytes, 'size'))
  const maxEntrySize = optional(options.maxEntrySize, (bytes) => resolveBytes(bytes, 'maxEntrySize'))
  if (eviction !== undefined) checkOneOf(eviction, ['s3-fifo', 'lru', 'none'], 'eviction')
  checkOneOf(onMismatch, ['attach', 'throw'], 'onMismatch')
  checkOneOf(strict, [true, false], 'strict')
  checkOneOf(lockMemory, [true, false], 'lockMemory')
  return {
    native: {
      name: checkName(name),
      ...resolveDirectory(directory),
      size: size ?? DEFAULT_SIZE,
      ...(maxEntrySize !== undefined && { maxEntrySize }),
      eviction: eviction ?? 's3-fifo',
      lockMemory,
      writeTimeout:
        optional(options.writeTimeout, (time) => resolveTimeout(time, 'writeTimeout')) ?? DEFAULT_WRITE_TIMEOUT,
      manualClock: (options as { [manualClock]?: boolean })[manualClock] === true,
    },
    ttl: optional(options.ttl, resolveTtl) ?? 0,
    strict,
    onMismatch,
    wanted: {
      ...(size !== undefined && { size }),
      ...(maxEntrySize !== undefined && { maxEntrySize }),
      ...(eviction !== undefined && { eviction }),
    },
  }
}

/** Throws `ERR_INVALID_ARGUMENT` unless `name` can name a segment. */
export function checkName(name: unknown): string {
  if (typeof name === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(name)) return name
  throw invalid('name must be 1 to 64 of A-Z a-z 0-9 . _ -', name)
}

/** The folder as an absolute path, since a process may change its own. */
export function resolveDirectory(directory: unknown): { directory?: string } {
  if (directory === undefined) return {}
  if (typeof directory === 'string' && directory !== '' && !directory.includes('\0'))
    return { directory: resolve(directory) }
  throw invalid('directory must be the path of a folder', directory)
}

/** A lifetime in whole milliseconds, at least 1. Throws `ERR_INVALID_TTL`. */
export function resolveTtl(ttl: unknown): Milliseconds {
  const milliseconds = parseDuration(ttl)
  if (milliseconds > 0 && milliseconds !== Number.POSITIVE_INFINITY)
    return Math.min(Math.ceil(milliseconds), MAX_DURATION)
  throw invalid("ttl must be milliseconds above 0 or a duration such as '30s'", ttl, 'ERR_INVALID_TTL')
}

/** What is left until `expiresAt`, 0 if it has passed. Throws `ERR_INVALID_TTL`. */
export function resolveExpiresAt(expiresAt: unknown): Milliseconds {
  if (typeof expiresAt !== 'number' || !Number.isFinite(expiresAt)) {
    throw invalid('expiresAt must be a moment in epoch milliseconds', expiresAt, 'ERR_INVALID_TTL')
  }
  return Math.min(Math.max(0, Math.ceil(expiresAt - Date.now())), MAX_DURATION)
}

/** A time to wait: 0 is allowed, Infinity is as long as it takes. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveTimeout(timeout: unknown, what: string): Milliseconds {
  const milliseconds = parseDuration(timeout)
  if (milliseconds >= 0) return Math.min(milliseconds, MAX_DURATION)
  throw invalid(`${what} must be milliseconds or a duration such as '30s'`, timeout)
}

/** Throws `ERR_INVALID_ARGUMENT` unless `version` is one that an entry can have, or `least`. */
export function checkVersion(version: unknown, what: string, least: 0 | 1): number {
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= least) return version
  throw invalid(`${what} must be the version of an entry`, version)
}

/** Throws `ERR_INVALID_ARGUMENT` for NaN and for what is no number. */
export function checkNumber(number: unknown, what: string): number {
  if (typeof number === 'number' && !Number.isNaN(number)) return number
  throw invalid(`${what} must be a number`, number)
}

/** The error for an argument that is not what it should be. */
export function invalid(expected: string, found: unknown, code: CacheErrorCode = 'ERR_INVALID_ARGUMENT'): CacheError {
  return new CacheError(code, `${expected}; got ${show(found)}`)
}

function resolveBytes(bytes: unknown, what: string): number {
  const number = parseBytes(bytes)
  if (number > 0 && Number.isSafeInteger(number)) return number
  throw invalid(`${what} must be bytes or a size such as '64mb'`, bytes)
}

function checkOneOf(value: unknown, allowed: readonly unknown[], what: string): void {
  if (!allowed.includes(value)) throw invalid(`${what} must be one of ${allowed.map(show).join(', ')}`, value)
}

function optional<T, R>(value: T | undefined, read: (value: T) => R): R | undefined {
  return value === undefined ? undefined : read(value)
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}
