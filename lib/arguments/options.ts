/**
 * The options of all methods, with units and defaults, and their checked forms.
 *
 * A wrong option throws at once, with its name in the message.
 *
 * Size: the documentation of every option is here, next to its check.
 *
 * Caution: only options that the caller gave explicitly are compared with an existing segment, so defaults are filled
 * in separately (`wanted`).
 */
import { resolve } from 'node:path'
import { resolveCodec } from '../codec/codec.ts'
import type { Codec, ResolvedCodec } from '../codec/codec.ts'
import { invalid, show } from '../errors.ts'
import { SetFlag } from '../native/layout.ts'
import type { NativePlace, NativeQuota } from '../native/addon.ts'
import { checkEngine } from '../engine/engine.ts'
import type { Engine, EngineOpenOptions } from '../engine/engine.ts'
import { testHooks } from '../engine/hooks.ts'
import type { Hooks } from '../engine/hooks.ts'
import { MAX_DURATION, parseBytes, parseDuration } from './units.ts'
import type { Bytes, Duration, Milliseconds } from './units.ts'
import type { Key } from './keys.ts'
import { resolveLog } from './log-option.ts'
import type { LogEntry, LogOption } from './log-option.ts'
import { accepted, checkObject, checkOptions } from './option-names.ts'
import type { AcceptedOptions } from './option-names.ts'

/**
 * Which entries are evicted at the memory limit.
 *
 * - `'s3-fifo'`: entries that were read only once are evicted first, so a working set survives scans.
 * - `'lru'`: the least recently read entries, approximately (CLOCK). Readers take no lock, so there is no exact order.
 * - `'none'`: no entry; `set` returns false when the shard of the key is full. Locks, flights and metrics reserve free
 *   room of half their own size in each shard, so that held locks can be extended and passed on.
 */
export type Eviction = 's3-fifo' | 'lru' | 'none'

/**
 * Options of the near cache: copies of values in this thread, validated against the segment by every `get`. When it is
 * full, a key that is read repeatedly gets a copy, and the least recently read copies are evicted. Byte keys, and
 * values of a custom `Codec`, always bypass the near cache.
 */
export interface NearOptions {
  /** Maximum number of values. Default: 10,000. */
  maxEntries?: number | undefined
  /** Maximum size of all values as stored; decoded objects take more memory. Default: `'32mb'`. */
  maxSize?: Bytes | undefined
  /**
   * What `get` and `getMany` return for an object. `'copy'`: a new copy each time. `'frozen'`: a deeply frozen object,
   * the same one as long as it is valid and kept, at the speed of an in-process cache. This applies to plain objects
   * and arrays of immutable values. An object that contains a Date, Map, Set, Error, RegExp or bytes is returned as a
   * new copy that is not frozen, because freezing does not protect these from changes. All other methods return new
   * copies. Default: `'copy'`.
   */
  objects?: 'copy' | 'frozen' | undefined
}

/** Options of `open`. All processes should pass the same; see `onMismatch`. */
export interface OpenOptions {
  /**
   * 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Scoped to the effective user, or to `group`: without a group, two users never
   * share a segment.
   */
  name: string
  /**
   * The size of the whole segment, which is the memory limit. Memory is allocated as it fills. If its file system or
   * the memory limit of the container is smaller, a process warning says so (`CACHE_MACHINE_LIMIT`). Default: `'64mb'`.
   */
  size?: Bytes | undefined
  /**
   * Keep the segment as a file in this folder instead of in POSIX shared memory. The folder must exist. The segment
   * does not survive a restart of the host.
   */
  directory?: string | undefined
  /**
   * Share the segment with all processes of this Unix group, whatever their user: the name of the group, or its id. The
   * segment is another one than that of the same name without a group. The process must be in the group, or run as root;
   * otherwise `open` throws `ERR_PERMISSION`. Every process of the group can read, change and damage the data; only the user
   * that created the segment, and root, can destroy it. Default: the processes of the effective user only.
   */
  group?: string | number | undefined
  /**
   * The version of the application, for a deploy that changes the shape of values: 1 to 32 characters of `A-Z a-z 0-9 . _ -`.
   * Each version has keys and values of its own, so old and new workers work side by side during a reload. Loads of
   * `getOrSet` are those of a version, too. All else spans versions: `clear`, `invalidateTags`, locks, limiters, messages,
   * `once`, metrics, quotas, and the counts of `stats`. When no attached process has used a version for a minute, and
   * another one is in use, its entries are removed in the background. At most 24 versions have entries at once; one more is
   * `ERR_NO_SPACE`. Default: none, which is a key space of its own, and is never removed.
   */
  version?: string | undefined
  /**
   * `false`: open only what exists, for programs that look at the cache of others. If there is no segment of this name,
   * `open` throws `ERR_NO_SEGMENT`; so does `namespace` for a name that the segment does not have. If the segment is
   * destroyed later, this object never creates a new one: it attaches to that of another process, and until there is one,
   * reads are misses, and writes throw `ERR_NO_SEGMENT`.
   *
   * Such an object counts as attached, as any other: `stats().processes` and `segments.inspect` show its process, and
   * `segments.destroy` without `force` refuses. Writes are allowed. Nothing else changes by its presence: it deletes no
   * unused file of an earlier version, it does not warn about limits of this process, and a process that has only
   * such objects never sweeps expired entries, so `expire` events go to the processes that use the cache.
   * `size`, `maxEntrySize` and `eviction` are only compared with the segment. Default: true.
   */
  create?: boolean | undefined
  /** Lifetime of entries that are set without one; Infinity: none. Default: they do not expire. */
  ttl?: Duration | undefined
  /**
   * Maximum size of an entry: key and value as stored. A larger value makes fewer and larger shards. Default: a quarter
   * of a shard, 3,633,792 bytes (about 3.5 MiB) in the default segment.
   */
  maxEntrySize?: Bytes | undefined
  /** Default: `'s3-fifo'`. */
  eviction?: Eviction | undefined
  /**
   * How objects are stored. `'auto'`: as JSON if JSON preserves them, otherwise in a format that preserves every
   * supported kind of value. `'json'`: as written by `JSON.stringify`, with its losses, for other programs to read. A
   * `Codec`: a custom format. All processes should use the same codec; reading a value of another codec throws
   * `ERR_CODEC_MISMATCH`. Default: `'auto'`.
   */
  codec?: 'auto' | 'json' | Codec | undefined
  /**
   * Keep copies of values in this thread; a copy is never older than the segment. Kept are strings, numbers, booleans,
   * null, bigints, and plain objects and arrays, also with Dates. All other values are read from the segment, and so
   * are all values on hosts that forbid buffers over foreign memory (Electron). `false`: no copies. Default: `{
   * maxEntries: 10_000, maxSize: '32mb', objects: 'copy' }`.
   */
  near?: false | NearOptions | undefined
  /** Pin the segment in RAM; `ERR_PERMISSION` if the system's limit forbids it. Default: false. */
  lockMemory?: boolean | undefined
  /**
   * What to do if the segment exists with another `size`, `maxEntrySize` or `eviction` than given here. `'attach'`: use
   * it as it is and warn once (`CACHE_MACHINE_MISMATCH`). `'throw'`: throw `ERR_SEGMENT_MISMATCH`. `'resize'`: give it
   * this `size` as `segments.resize` does, with its errors; for other differences as `'attach'`. The last process to open
   * it decides, so pass the same size everywhere. Default: `'attach'`.
   */
  onMismatch?: 'attach' | 'throw' | 'resize' | undefined
  /**
   * Maximum wait of a write for a shard that a suspended process (SIGSTOP, a debugger) has locked, before `ERR_BUSY`. It
   * counts for one acquisition of the lock. A process that runs, or waits for a processor, is waited for, for at most 2
   * seconds in one acquisition. So is a process in another PID namespace, which cannot be asked. Default: `'100ms'`.
   */
  writeTimeout?: Duration | undefined
  /** Throw if a read meets a damaged segment or an entry of another codec; otherwise it is a miss. Default: false. */
  strict?: boolean | undefined
  /**
   * An event log: the opening and closing of the cache and of its namespaces, and each trouble with the segment, as
   * structured entries (see `LogEntry`). A function is called with each entry; `'stderr'` writes one line of JSON for
   * each. At most one entry a second for each event. An error that the function throws is an uncaught exception. Default:
   * none.
   */
  log?: LogOption | undefined
  /**
   * `'native'`: shared memory, by the native addon. `'portable'`: plain JavaScript that runs everywhere, for development
   * and tests; each process and each thread then has a segment of its own, which no other sees. `'auto'`: native where
   * the addon can be loaded, otherwise portable with one process warning (`CACHE_MACHINE_PORTABLE`). Default: that of
   * the environment variable `CACHE_MACHINE_ENGINE`, else `'native'`.
   */
  engine?: Engine | undefined
}

/** When an entry expires: at most one of `ttl` and `expiresAt`; with neither, the `ttl` of `open` applies. */
export interface ExpiryOptions {
  /** Lifetime from now, above 0. Infinity: no expiry, whatever the `ttl` of `open`. */
  ttl?: Duration | undefined
  /** A moment in epoch milliseconds; Infinity: never. If it has passed, the entry is deleted and `set` returns false. */
  expiresAt?: number | undefined
}

/** Options of `add` and `swap`. */
export interface StoreOptions extends ExpiryOptions {
  /**
   * How long the value may be served as stale after it has expired, to calls that accept stale values (`getEntry` with
   * `allowStale`). For all other calls it has expired. Infinity: as long as there is room. Without an expiry it has no
   * effect. Default: not at all.
   */
  stale?: Duration | undefined
  /** At most 128. `invalidateTags` with any of them invalidates the entry. Default: none. */
  tags?: readonly string[] | undefined
}

/** Options of `replace`. */
export interface ReplaceOptions extends StoreOptions {
  /** Keep the deadline and the stale time of the replaced entry, or their absence. Default: false. */
  keepTtl?: boolean | undefined
}

/** Options of `set`. */
export interface SetOptions extends ReplaceOptions {
  /** Set only if the key has no entry, or has an entry, or has the entry with this version. */
  if?: 'absent' | 'present' | { version: number } | undefined
}

/** Options of `getEntry`. */
export interface GetEntryOptions {
  /** Accept an entry that has expired and may be served as stale, or that a tag made stale. Default: false. */
  allowStale?: boolean | undefined
  /** Leave no trace, as `peek` does: not counted, and the entry is not marked as used. Default: false. */
  peek?: boolean | undefined
  /**
   * Accept a collection: its value is a plain copy, a Map for a hash and for a sorted set, an array for a list, a Set for
   * a set. Default: false, which throws `ERR_WRONG_TYPE` for one.
   */
  collections?: boolean | undefined
}

/** Options of `delete`. */
export interface DeleteOptions {
  /** Delete only the entry with this version. Default: any version. */
  version?: number | undefined
}

/** Options of `incr`. */
export interface IncrOptions {
  /** Start value of a missing key. Default: 0. */
  init?: number | undefined
  /** Lifetime if the key was missing. Default: none, even if `open` had a `ttl`. */
  ttl?: Duration | undefined
  /** Minimum of the result. Default: no limit. */
  min?: number | undefined
  /** Maximum of the result. Default: no limit. */
  max?: number | undefined
}

/** Options of `incrBigInt`. */
export interface IncrBigIntOptions {
  /** Start value of a missing key. Default: 0n. */
  init?: bigint | undefined
  /** Lifetime if the key was missing. Default: none, even if `open` had a `ttl`. */
  ttl?: Duration | undefined
  /** Minimum of the result. Default: no limit. */
  min?: bigint | undefined
  /** Maximum of the result. Default: no limit. */
  max?: bigint | undefined
}

/** Options of `update` and `append` for a key without an entry. An existing entry keeps its deadline and tags. */
export interface UpdateOptions {
  /** Lifetime. Default: the `ttl` of `open`, else no expiry. */
  ttl?: Duration | undefined
  /** Tags. Default: none. */
  tags?: readonly string[] | undefined
}

/** Options of `invalidateTags`. */
export interface InvalidateOptions {
  /**
   * `'remove'`: the entries are removed. `'stale'`: only calls that accept stale values get them. Default: `'remove'`.
   */
  mode?: 'remove' | 'stale' | undefined
}

/** Options of `keys` and `entries`. */
export interface ScanOptions {
  /** Only keys that start with this prefix. Default: all. */
  prefix?: Key | undefined
  /** Only entries that have at least one of these tags; at most 128. Default: all, also those without tags. */
  tags?: readonly string[] | undefined
  /** Ends the walk when it is aborted: the next step throws, or rejects with, its reason. */
  signal?: AbortSignal | undefined
}

/** Options of `deletePrefixAsync`. */
export interface DeletePrefixOptions {
  /** Ends the deletion when it is aborted. Entries that were deleted before stay deleted. */
  signal?: AbortSignal | undefined
}

/** Options of `stats`. */
export interface StatsOptions {
  /** The scope of hits, misses, sets and so on. Default: `'segment'`; in a namespace `'namespace'`. */
  scope?: 'segment' | 'namespace' | undefined
}

/** Options of `namespace`. */
export interface NamespaceOptions {
  /** A separate near cache. Default: the option of the parent cache. */
  near?: false | NearOptions | undefined
  /** Lifetime of entries that are set without one; Infinity: none. Default: that of the parent cache. */
  ttl?: Duration | undefined
  /** Default: that of the parent cache. */
  codec?: 'auto' | 'json' | Codec | undefined
  /** Default: that of the parent cache. */
  strict?: boolean | undefined
  /**
   * Room that no other data can take: while the namespace uses at most this, over all processes, none of its entries is
   * evicted for others. All reserves together can take three quarters of the space for entries. 0 ends a reserve.
   * Default: what is set; at first none.
   */
  reserve?: Bytes | undefined
  /**
   * Maximum size of the namespace; beyond it, its own entries are evicted. Infinity: none but that of the segment.
   * Default: what is set; at first none.
   */
  size?: Bytes | undefined
  /**
   * How the entries of the namespace are evicted, whatever the `eviction` of `open`. `'none'`: no call evicts one of
   * them, and `set` returns false when the namespace has no more room. Default: what is set; at first as in `open`.
   */
  eviction?: Eviction | undefined
}

/** Options of `waitFor`. */
export interface WaitOptions {
  /** Wait for an entry with a later version than this. Default: 0, any entry. */
  after?: number | undefined
  /** Reject with `ERR_TIMEOUT` after this time. Default: no limit. */
  timeout?: Duration | undefined
  /** Reject with the reason of the signal when it is aborted. */
  signal?: AbortSignal | undefined
  /** Keep the process alive while waiting. Default: true. */
  ref?: boolean | undefined
}

/** The place of a segment. */
export interface SegmentOptions {
  /** The folder that was passed to `open`. Default: POSIX shared memory. */
  directory?: string | undefined
  /** The group that was passed to `open`. Default: none, the segments of the effective user. */
  group?: string | number | undefined
  /** The engine that was passed to `open`. Default: that of `open`. */
  engine?: Engine | undefined
}

const OPEN = accepted<OpenOptions>('open', {
  name: true,
  size: true,
  directory: true,
  group: true,
  version: true,
  create: true,
  ttl: true,
  maxEntrySize: true,
  eviction: true,
  codec: true,
  near: true,
  lockMemory: true,
  onMismatch: true,
  writeTimeout: true,
  strict: true,
  log: true,
  engine: true,
})
const NEAR = accepted<NearOptions>('near', { maxEntries: true, maxSize: true, objects: true })
export const NAMESPACE: AcceptedOptions = accepted<NamespaceOptions>('namespace', {
  ttl: true,
  near: true,
  codec: true,
  strict: true,
  reserve: true,
  size: true,
  eviction: true,
})

const EXPIRY = { ttl: true, expiresAt: true } as const
const STORE = { ...EXPIRY, stale: true, tags: true } as const
const REPLACE_NAMES = { ...STORE, keepTtl: true } as const
export const SET: AcceptedOptions = accepted<SetOptions>('set', { ...REPLACE_NAMES, if: true })
export const SET_MANY: AcceptedOptions = accepted<Omit<SetOptions, 'if'>>('setMany', REPLACE_NAMES)
export const ADD: AcceptedOptions = accepted<StoreOptions>('add', STORE)
export const SWAP: AcceptedOptions = accepted<StoreOptions>('swap', STORE)
export const REPLACE: AcceptedOptions = accepted<ReplaceOptions>('replace', REPLACE_NAMES)
export const UPDATE: AcceptedOptions = accepted<UpdateOptions>('update', { ttl: true, tags: true })
export const APPEND: AcceptedOptions = accepted<UpdateOptions>('append', { ttl: true, tags: true })
export const GET_ENTRY: AcceptedOptions = accepted<GetEntryOptions>('getEntry', {
  allowStale: true,
  peek: true,
  collections: true,
})
export const DELETE: AcceptedOptions = accepted<DeleteOptions>('delete', { version: true })
const INCR_NAMES = { init: true, ttl: true, min: true, max: true } as const
const INCR: AcceptedOptions = accepted<IncrOptions>('incr', INCR_NAMES)
export const INCR_BIGINT: AcceptedOptions = accepted<IncrBigIntOptions>('incrBigInt', INCR_NAMES)
export const INVALIDATE_TAGS: AcceptedOptions = accepted<InvalidateOptions>('invalidateTags', { mode: true })
export const DELETE_PREFIX: AcceptedOptions = accepted<DeletePrefixOptions>('deletePrefixAsync', { signal: true })
export const KEYS: AcceptedOptions = accepted<ScanOptions>('keys', { prefix: true, tags: true, signal: true })
export const ENTRIES: AcceptedOptions = accepted<ScanOptions>('entries', { prefix: true, tags: true, signal: true })
export const STATS: AcceptedOptions = accepted<StatsOptions>('stats', { scope: true })
export const WAIT_FOR: AcceptedOptions = accepted<WaitOptions>('waitFor', {
  after: true,
  timeout: true,
  signal: true,
  ref: true,
})

/** `OpenOptions`, checked and as numbers. */
export interface ResolvedOptions {
  readonly native: EngineOpenOptions
  /** 0: none. */
  readonly ttl: Milliseconds
  readonly strict: boolean
  readonly codec: ResolvedCodec
  /** Undefined: none. */
  readonly near: ResolvedNear | undefined
  readonly onMismatch: 'attach' | 'throw' | 'resize'
  readonly log: ((entry: LogEntry) => void) | undefined
  /** The explicit options, which an existing segment is compared with. */
  readonly wanted: { readonly size?: number; readonly maxEntrySize?: number; readonly eviction?: string }
}

const DEFAULT_SIZE = 64 * 2 ** 20
const DEFAULT_WRITE_TIMEOUT: Milliseconds = 100

/** An option of `open`: the namespace of the handle. Set by `SharedCache.namespace`. */
export const inNamespace: unique symbol = Symbol('cache-machine.namespace')

/** An option of `open`: the quota of the namespace. Set by `SharedCache.namespace`. */
export const withQuota: unique symbol = Symbol('cache-machine.quota')

/** An option of `open` for tests; true: the clock of the segment stands still until a test moves it. */
export const manualClock: unique symbol = Symbol('cache-machine.manualClock')

/** Maximum number of tags of an entry. */
const MAX_TAGS = 128

/** Checks the options of `open`. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveOptions(options: OpenOptions): ResolvedOptions {
  checkObject(options, OPEN)
  const { name, eviction, create = true, strict = false, lockMemory = false, onMismatch = 'attach' } = options
  const size = optional(options.size, (bytes) => resolveBytes(bytes, 'size'))
  const maxEntrySize = optional(options.maxEntrySize, (bytes) => resolveBytes(bytes, 'maxEntrySize'))
  if (eviction !== undefined) checkOneOf(eviction, EVICTIONS, 'eviction')
  checkOneOf(onMismatch, ['attach', 'throw', 'resize'], 'onMismatch')
  checkOneOf(create, [true, false], 'create')
  checkOneOf(strict, [true, false], 'strict')
  checkOneOf(lockMemory, [true, false], 'lockMemory')
  return {
    native: {
      name: checkName(name),
      ...resolvePlace(options),
      ...(options.version !== undefined && { version: checkVersionName(options.version) }),
      size: size ?? DEFAULT_SIZE,
      ...(maxEntrySize !== undefined && { maxEntrySize }),
      eviction: eviction ?? 's3-fifo',
      lockMemory,
      create,
      writeTimeout:
        optional(options.writeTimeout, (time) => resolveTimeout(time, 'writeTimeout')) ?? DEFAULT_WRITE_TIMEOUT,
      manualClock: (options as { [manualClock]?: boolean })[manualClock] === true,
      engine: checkEngine(options.engine),
      hooks: (options as { [testHooks]?: Hooks })[testHooks],
      ...resolveNamespace(options),
    },
    ttl: optional(options.ttl, resolveTtl) ?? 0,
    strict,
    codec: resolveCodec(options.codec),
    near: resolveNear(options.near),
    onMismatch,
    log: resolveLog(options.log),
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
  throw invalid(`${what} must be 1 to 64 characters of A-Z a-z 0-9 . _ -`, name)
}

function checkVersionName(version: unknown): string {
  if (typeof version === 'string' && /^[A-Za-z0-9._-]{1,32}$/.test(version)) return version
  throw invalid('version must be 1 to 32 characters of A-Z a-z 0-9 . _ -', version)
}

/** The folder and the group of a segment, checked. Throws `ERR_INVALID_ARGUMENT`. */
export function resolvePlace({ directory, group }: SegmentOptions): NativePlace {
  return { ...resolveDirectory(directory), ...resolveGroup(group) }
}

/** Whether there is such a group, and whether this process is in it, is checked by the engine. */
function resolveGroup(group: unknown): { group?: string | number } {
  if (group === undefined) return {}
  if (typeof group === 'string' && group !== '' && !group.includes('\0')) return { group }
  if (typeof group === 'number' && Number.isInteger(group) && group >= 0 && group < MAX_ID) return { group }
  throw invalid('group must be the name or the id of a group', group)
}

/** The system uses the id above the maximum for "none". */
const MAX_ID = 2 ** 32 - 1

/** The folder as an absolute path, because a process may change its working directory. */
function resolveDirectory(directory: unknown): { directory?: string } {
  if (directory === undefined) return {}
  if (typeof directory === 'string' && directory !== '' && !directory.includes('\0'))
    return { directory: resolve(directory) }
  throw invalid('directory must be the path of a folder', directory)
}

/** `NearOptions`, checked and as numbers. */
export interface ResolvedNear {
  readonly maxEntries: number
  /** Bytes. */
  readonly maxSize: number
  readonly frozen: boolean
}

function resolveNear(near: unknown): ResolvedNear | undefined {
  if (near === false) return undefined
  checkOptions(near, NEAR)
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

function resolveNamespace(options: OpenOptions): { namespace?: string; quota?: NativeQuota } {
  const given = options as { [inNamespace]?: string; [withQuota]?: NativeQuota }
  const [namespace, quota] = [given[inNamespace], given[withQuota]]
  return { ...(namespace !== undefined && { namespace }), ...(quota !== undefined && { quota }) }
}

/** The quota of a namespace as numbers; undefined if no option sets one. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveQuota({ reserve, size, eviction }: NamespaceOptions): NativeQuota | undefined {
  if (eviction !== undefined) checkOneOf(eviction, EVICTIONS, 'eviction')
  const quota = {
    ...(reserve !== undefined && { reserve: reserve === 0 ? 0 : resolveBytes(reserve, 'reserve') }),
    ...(size !== undefined && { size: size === Infinity ? Infinity : resolveBytes(size, 'size') }),
    ...(eviction !== undefined && { eviction }),
  }
  const { reserve: least, size: most } = quota
  if (least !== undefined && most !== undefined && least > most) {
    throw invalid('reserve must not be larger than size', reserve, 'ERR_INVALID_ARGUMENT', RESERVE_HINT)
  }
  return reserve === undefined && size === undefined && eviction === undefined ? undefined : quota
}

const EVICTIONS = ['s3-fifo', 'lru', 'none']
const RESERVE_HINT = 'Pass a smaller reserve or a larger size: the reserve is a part of the size.'

/** The options of a write, checked and as numbers. */
export interface ResolvedSet {
  /** 0: none. */
  readonly ttl: Milliseconds
  /** `expiresAt` has passed: the write acts as if the value had been stored and had expired at once. */
  readonly isOver: boolean
  /** 0: none. */
  readonly stale: Milliseconds
  readonly tags: readonly string[]
  /** Bits of `SetFlag`. */
  readonly flags: number
  /** 0: any. */
  readonly version: number
}

/** Checks the options of `set` and similar methods. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveSet(
  given: Duration | SetOptions,
  defaultTtl: Milliseconds,
  condition: number,
  expected: AcceptedOptions = SET,
): ResolvedSet {
  if (typeof given !== 'object' || given === null) {
    return { ttl: resolveTtl(given), isOver: false, stale: 0, tags: NO_TAGS, flags: condition, version: 0 }
  }
  checkObject(given, expected)
  const version = typeof given.if === 'object' ? checkVersion(given.if?.version, 'if.version', 1) : 0
  const flags = (given.if === undefined ? condition : flagOf(given.if)) | (given.keepTtl ? SetFlag.KeepTtl : 0)
  const stale = given.stale === undefined ? 0 : resolveStale(given.stale)
  const tags = given.tags === undefined ? NO_TAGS : resolveTags(given.tags)
  if (given.expiresAt === undefined) {
    const ttl = given.ttl === undefined ? defaultTtl : resolveTtl(given.ttl)
    return { ttl, isOver: false, stale, tags, flags, version }
  }
  if (given.ttl !== undefined) throw invalid('only one of ttl and expiresAt can be given', given.ttl)
  if (given.expiresAt === Number.POSITIVE_INFINITY) return { ttl: 0, isOver: false, stale, tags, flags, version }
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

/** Checked arguments of `incr`. */
export interface ResolvedIncr {
  readonly init: number
  readonly ttl: Milliseconds
  readonly min: number
  readonly max: number
}

const PLAIN_INCR: ResolvedIncr = { init: 0, ttl: 0, min: -Infinity, max: Infinity }

/** Checks the arguments of `incr`. */
export function resolveIncr(by: unknown, options: IncrOptions | undefined): ResolvedIncr {
  if (!Number.isFinite(by)) throw invalid('the increment must be a finite number', by)
  if (options === undefined) return PLAIN_INCR
  checkOptions(options, INCR)
  const { init = 0, ttl, min = -Infinity, max = Infinity } = options
  if (!Number.isFinite(init)) throw invalid('init must be a finite number', init)
  if (checkNumber(min, 'min') > checkNumber(max, 'max')) throw invalid('min must not be above max', min)
  return { init, ttl: ttl === undefined ? 0 : resolveTtl(ttl), min, max }
}

/** Tags of an entry. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveTags(tags: unknown): string[] {
  const list = checkTags(tags)
  if (list.length > MAX_TAGS) throw invalid(`an entry has at most ${MAX_TAGS} tags`, list.length)
  return list
}

/** Any number of tags. Throws `ERR_INVALID_ARGUMENT`. */
export function checkTags(tags: unknown): string[] {
  if (!Array.isArray(tags)) throw invalid('tags must be an array of strings', tags)
  return Array.from(tags, checkTag)
}

/** Throws `ERR_INVALID_ARGUMENT` unless `tag` is a non-empty string without lone surrogates. */
export function checkTag(tag: unknown): string {
  if (typeof tag === 'string' && tag !== '' && tag.isWellFormed()) return tag
  throw invalid('a tag must be a string of at least one character, without lone surrogates', tag)
}

/** Throws `ERR_INVALID_ARGUMENT` unless `signal` is an AbortSignal or undefined. */
export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || typeof signal?.addEventListener === 'function') return signal
  throw invalid('signal must be an AbortSignal', signal)
}

/** Limits of a wait. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveWait(options: Omit<WaitOptions, 'after'>): {
  readonly timeout: Milliseconds
  readonly signal: AbortSignal | undefined
  readonly ref: boolean
} {
  const { timeout, ref = true } = options
  checkOneOf(ref, [true, false], 'ref')
  const signal = checkSignal(options.signal)
  const limit = timeout === undefined ? Number.POSITIVE_INFINITY : resolveTimeout(timeout, 'timeout')
  return { timeout: limit, signal, ref }
}

/** Throws `ERR_INVALID_ARGUMENT` unless `scope` is a scope or undefined. */
export function checkScope(scope: unknown): void {
  checkOneOf(scope, [undefined, 'segment', 'namespace'], 'scope')
}

/** Whether tagged entries become stale instead of being removed. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveMode(mode: unknown): boolean {
  checkOneOf(mode, [undefined, 'remove', 'stale'], 'mode')
  return mode === 'stale'
}

/** A lifetime in whole milliseconds, at least 1; 0 for Infinity, which means no expiry. Throws `ERR_INVALID_TTL`. */
export function resolveTtl(ttl: unknown): Milliseconds {
  const milliseconds = parseDuration(ttl)
  if (milliseconds > 0)
    return milliseconds === Number.POSITIVE_INFINITY ? 0 : Math.min(Math.ceil(milliseconds), MAX_DURATION)
  throw invalid("ttl must be milliseconds above 0 or a duration such as '30s'", ttl, 'ERR_INVALID_TTL')
}

/** A time after a deadline in whole milliseconds; the maximum for Infinity. Throws `ERR_INVALID_TTL`. */
function resolveStale(stale: unknown): Milliseconds {
  return resolveTtl(stale) || MAX_DURATION
}

/** The time until `expiresAt`, 0 if it has passed. Throws `ERR_INVALID_TTL`. */
export function resolveExpiresAt(expiresAt: unknown): Milliseconds {
  if (typeof expiresAt !== 'number' || !Number.isFinite(expiresAt)) {
    throw invalid('expiresAt must be a moment in epoch milliseconds', expiresAt, 'ERR_INVALID_TTL')
  }
  return Math.min(Math.max(0, Math.ceil(expiresAt - Date.now())), MAX_DURATION)
}

/** A time to wait; 0 is allowed, and Infinity means no limit. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveTimeout(timeout: unknown, what: string): Milliseconds {
  const milliseconds = parseDuration(timeout)
  if (milliseconds >= 0) return Math.min(milliseconds, MAX_DURATION)
  throw invalid(`${what} must be milliseconds or a duration such as '30s'`, timeout)
}

/** Throws `ERR_INVALID_ARGUMENT` unless `version` is a version of an entry, or 0 where `min` allows it. */
export function checkVersion(version: unknown, what: string, min: 0 | 1): number {
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= min) return version
  throw invalid(`${what} must be the version of an entry`, version)
}

/** Throws `ERR_INVALID_ARGUMENT` unless `number` is a number other than NaN. */
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
