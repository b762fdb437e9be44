/**
 * What callers may pass, with units and defaults, and its checked form.
 *
 * Every mistake is an error at once, with the option's name in it. The thing to get wrong: only what a caller gave
 * explicitly is compared with the segment that is found, so defaults must not be filled in before that.
 */
import { resolve } from 'node:path'
import { resolveCodec } from './codec/codec.ts'
import type { Codec, ResolvedCodec } from './codec/codec.ts'
import { invalid, show } from './errors.ts'
import { SetFlag } from './native.ts'
import type { NativeOpenOptions } from './native.ts'
import { manualClock } from './testing.ts'
import { MAX_DURATION, parseBytes, parseDuration } from './units.ts'
import type { Bytes, Duration, Milliseconds } from './units.ts'
import type { Key } from './values.ts'

/**
 * Who has to go when the memory limit is reached.
 *
 * - `'s3-fifo'`: what was read only once goes first; keeps a working set through scans.
 * - `'lru'`: what was not read for long, approximately (CLOCK): readers take no lock, so there is no exact order.
 * - `'none'`: nothing; `set` returns false when the key's part of the segment is full. Of that part, locks, flights and metrics
 *   keep half as much again free as they take, so that what is held can be extended and handed on.
 */
export type Eviction = 's3-fifo' | 'lru' | 'none'

/**
 * Options of the near cache: copies of values in this thread that are checked against the segment with every `get`. When it is
 * full, a key that is read again and again gets a copy, and what was not read for long has to go. Keys of bytes, and values of an own
 * `Codec`, are not kept.
 */
export interface NearOptions {
  /** Most values. Default: 10,000. */
  maxEntries?: number | undefined
  /** Most bytes of values as they are stored; decoded objects take more. Default: `'32mb'`. */
  maxSize?: Bytes | undefined
  /**
   * What `get` and `getMany` give for an object. `'copy'`: a fresh copy each time. `'frozen'`: a deeply frozen object, the same
   * one as long as it is valid and kept, at the speed of a cache in the process. That holds for plain objects and arrays of
   * immutable values; one with a Date, a Map, a Set, an Error, a RegExp or bytes in it is a fresh copy here too, and not
   * frozen, since that would not keep it from being changed. All other methods give fresh copies. Default: `'copy'`.
   */
  objects?: 'copy' | 'frozen' | undefined
}

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
  /**
   * How objects are stored. `'auto'`: as JSON where nothing is lost by it, else in a form that keeps every kind of value.
   * `'json'`: as `JSON.stringify` writes them, whatever that loses, for other programs to read. A `Codec`: as you like. All
   * processes should use the same; a value of another codec is `ERR_CODEC_MISMATCH`. Default: `'auto'`.
   */
  codec?: 'auto' | 'json' | Codec | undefined
  /**
   * Keep copies of values in this thread, which are never older than the segment: of strings, numbers, booleans, null and
   * bigints, and of plain objects and arrays (with Dates, too). All other values are read from the segment, as all are where
   * the host forbids buffers over foreign memory (Electron). `false`: none. Default: `{ maxEntries: 10_000, maxSize: '32mb',
   * objects: 'copy' }`.
   */
  near?: false | NearOptions | undefined
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

/** When an entry expires: at most one of `ttl` and `expiresAt`; with neither, the `ttl` of `open` applies. */
export interface ExpiryOptions {
  /** Lifetime from now, above 0. */
  ttl?: Duration | undefined
  /** A moment in epoch milliseconds. One that has passed deletes the entry, and `set` returns false. */
  expiresAt?: number | undefined
}

/** Options of `add` and `swap`. */
export interface StoreOptions extends ExpiryOptions {
  /**
   * How long the value may still be served after it has expired, to those who take stale values (`getEntry` with
   * `allowStale`). To all others it is gone. Without an expiry it says nothing. Default: not at all.
   */
  stale?: Duration | undefined
  /** At most 128; `invalidateTags` of any of them ends the entry. Default: none. */
  tags?: readonly string[] | undefined
}

/** Options of `replace`. */
export interface ReplaceOptions extends StoreOptions {
  /** Keep the deadline and the stale time of the entry that is replaced, also if it has none. Default: false. */
  keepTtl?: boolean | undefined
}

/** Options of `set`. */
export interface SetOptions extends ReplaceOptions {
  /** Set only if the key has no entry, or has one, or has the one with this version. */
  if?: 'absent' | 'present' | { version: number } | undefined
}

/** Options of `getEntry`. */
export interface GetEntryOptions {
  /** Also take an entry that has expired and may still be served as stale, or that a tag has outdated. Default: false. */
  allowStale?: boolean | undefined
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

/** Options of `incrBigInt`. */
export interface IncrBigIntOptions {
  /** Where a missing key starts. Default: 0n. */
  init?: bigint | undefined
  /** Lifetime if the key was missing. Default: none, also if `open` had a `ttl`. */
  ttl?: Duration | undefined
  /** The result is never below. Default: no limit. */
  min?: bigint | undefined
  /** The result is never above. Default: no limit. */
  max?: bigint | undefined
}

/** Options of `update` and `append`, for a key that had no entry; else deadline and tags stay as they are. */
export interface UpdateOptions {
  /** Lifetime. Default: the `ttl` of `open`, else no expiry. */
  ttl?: Duration | undefined
  /** Tags. Default: none. */
  tags?: readonly string[] | undefined
}

/** Options of `invalidateTags`. */
export interface InvalidateOptions {
  /** `'remove'`: the entries are gone. `'stale'`: they are served only to those who take stale values. Default: `'remove'`. */
  mode?: 'remove' | 'stale' | undefined
}

/** Options of `keys` and `entries`. */
export interface ScanOptions {
  /** Only keys that start with it. Default: all. */
  prefix?: Key | undefined
}

/** Options of `stats`. */
export interface StatsOptions {
  /** What hits, misses, sets and so on are counted of. Default: the whole segment, in a namespace only that. */
  scope?: 'segment' | 'namespace' | undefined
}

/** Options of `namespace`. */
export interface NamespaceOptions {
  /** A near cache of its own. Default: as that of the cache it is made from. */
  near?: false | NearOptions | undefined
  /** Lifetime of entries that are set without one. Default: that of the cache it is made from. */
  ttl?: Duration | undefined
  /** Default: that of the cache it is made from. */
  codec?: 'auto' | 'json' | Codec | undefined
  /** Default: that of the cache it is made from. */
  strict?: boolean | undefined
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
  readonly codec: ResolvedCodec
  /** Undefined: none. */
  readonly near: ResolvedNear | undefined
  readonly onMismatch: 'attach' | 'throw'
  /** What the caller gave explicitly and a found segment is compared with. */
  readonly wanted: { readonly size?: number; readonly maxEntrySize?: number; readonly eviction?: string }
}

const DEFAULT_SIZE = 64 * 2 ** 20
const DEFAULT_WRITE_TIMEOUT: Milliseconds = 100

/** An open option: the handle's namespace. Users ask for one by `SharedCache.namespace`. */
export const inNamespace: unique symbol = Symbol('cache-machine.namespace')

/** Most tags of an entry. */
const MAX_TAGS = 128

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
      ...resolveNamespace((options as { [inNamespace]?: string })[inNamespace]),
    },
    ttl: optional(options.ttl, resolveTtl) ?? 0,
    strict,
    codec: resolveCodec(options.codec),
    near: resolveNear(options.near),
    onMismatch,
    wanted: {
      ...(size !== undefined && { size }),
      ...(maxEntrySize !== undefined && { maxEntrySize }),
      ...(eviction !== undefined && { eviction }),
    },
  }
}

/** Throws `ERR_INVALID_ARGUMENT` unless `name` can name a segment. */
export function checkName(name: unknown, what = 'name'): string {
  if (typeof name === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(name)) return name
  throw invalid(`${what} must be 1 to 64 of A-Z a-z 0-9 . _ -`, name)
}

/** The folder as an absolute path, since a process may change its own. */
export function resolveDirectory(directory: unknown): { directory?: string } {
  if (directory === undefined) return {}
  if (typeof directory === 'string' && directory !== '' && !directory.includes('\0'))
    return { directory: resolve(directory) }
  throw invalid('directory must be the path of a folder', directory)
}

/** `NearOptions`, checked and in numbers. */
export interface ResolvedNear {
  readonly maxEntries: number
  /** Bytes. */
  readonly maxSize: number
  readonly frozen: boolean
}

function resolveNear(near: unknown): ResolvedNear | undefined {
  if (near === false) return undefined
  if (near !== undefined && (typeof near !== 'object' || near === null)) {
    throw invalid('near must be false or an object', near)
  }
  const { maxEntries = 10_000, maxSize, objects = 'copy' } = (near ?? {}) as NearOptions
  if (!Number.isInteger(maxEntries) || maxEntries < 1 || maxEntries > MAX_NEAR_ENTRIES) {
    throw invalid(`near.maxEntries must be a whole number from 1 to ${MAX_NEAR_ENTRIES}`, maxEntries)
  }
  checkOneOf(objects, ['copy', 'frozen'], 'near.objects')
  const bytes = optional(maxSize, (size) => resolveBytes(size, 'near.maxSize')) ?? DEFAULT_NEAR_SIZE
  return { maxEntries, maxSize: bytes, frozen: objects === 'frozen' }
}

const MAX_NEAR_ENTRIES = 2 ** 24
const DEFAULT_NEAR_SIZE = 32 * 2 ** 20

function resolveNamespace(namespace: string | undefined): { namespace?: string } {
  return namespace === undefined ? {} : { namespace }
}

/** How a value is to be set, in numbers. */
export interface ResolvedSet {
  /** 0: none. */
  readonly ttl: Milliseconds
  /** `expiresAt` has passed: as if it had been stored and had expired at once. */
  readonly isOver: boolean
  /** 0: none. */
  readonly stale: Milliseconds
  readonly tags: readonly string[]
  /** Bits of `SetFlag`. */
  readonly flags: number
  /** 0: any. */
  readonly version: number
}

/** Checks the options of `set` and its relatives. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveSet(given: Duration | SetOptions, defaultTtl: Milliseconds, condition: number): ResolvedSet {
  if (typeof given !== 'object' || given === null) {
    return { ttl: resolveTtl(given), isOver: false, stale: 0, tags: NO_TAGS, flags: condition, version: 0 }
  }
  if (given.if !== undefined && condition !== 0) throw invalid('only set takes a condition', given.if)
  const version = typeof given.if === 'object' ? checkVersion(given.if?.version, 'if.version', 1) : 0
  const flags = (given.if === undefined ? condition : flagOf(given.if)) | (given.keepTtl ? SetFlag.KeepTtl : 0)
  const stale = given.stale === undefined ? 0 : resolveTtl(given.stale)
  const tags = given.tags === undefined ? NO_TAGS : resolveTags(given.tags)
  if (given.expiresAt === undefined) {
    const ttl = given.ttl === undefined ? defaultTtl : resolveTtl(given.ttl)
    return { ttl, isOver: false, stale, tags, flags, version }
  }
  if (given.ttl !== undefined) throw invalid('only one of ttl and expiresAt can be given', given.ttl)
  const ttl = resolveExpiresAt(given.expiresAt)
  return { ttl, isOver: ttl === 0, stale, tags, flags, version }
}

const NO_TAGS: readonly string[] = []

function flagOf(condition: NonNullable<SetOptions['if']>): number {
  if (condition === 'absent') return SetFlag.IfAbsent
  if (condition === 'present') return SetFlag.IfPresent
  if (typeof condition === 'object') return SetFlag.IfVersion
  throw invalid("if must be 'absent', 'present' or { version }", condition)
}

/** Tags of an entry. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveTags(tags: unknown): readonly string[] {
  const list = checkTags(tags)
  if (list.length > MAX_TAGS) throw invalid(`an entry has at most ${MAX_TAGS} tags`, list.length)
  return list
}

/** Any number of tags. Throws `ERR_INVALID_ARGUMENT`. */
export function checkTags(tags: unknown): readonly string[] {
  if (!Array.isArray(tags)) throw invalid('tags must be an array of strings', tags)
  return Array.from(tags, checkTag)
}

/** Throws `ERR_INVALID_ARGUMENT` unless `tag` is a non-empty string without lone surrogates. */
export function checkTag(tag: unknown): string {
  if (typeof tag === 'string' && tag !== '' && tag.isWellFormed()) return tag
  throw invalid('a tag must be a string of at least one character, without lone surrogates', tag)
}

/**
 * Throws `ERR_INVALID_ARGUMENT` unless options are an object, or left out: a lifetime where none belongs would be ignored
 * without a word.
 */
export function checkOptions(options: unknown, method: string): void {
  if (options === undefined || (typeof options === 'object' && options !== null)) return
  throw invalid(`the options of ${method} must be an object`, options)
}

/** Throws `ERR_INVALID_ARGUMENT` unless `scope` is one, or undefined. */
export function checkScope(scope: unknown): void {
  checkOneOf(scope, [undefined, 'segment', 'namespace'], 'scope')
}

/** Whether tagged entries are to become stale instead of being removed. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveMode(mode: unknown): boolean {
  checkOneOf(mode, [undefined, 'remove', 'stale'], 'mode')
  return mode === 'stale'
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

/** A whole number of bytes, at least 1. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveBytes(bytes: unknown, what: string): number {
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
