/**
 * The shape of the native addon: what Rust promises to TypeScript, and the numbers both sides share.
 *
 * Two kinds of calls cross the boundary. *Raw calls* are bound to one handle, never throw and allocate nothing but their
 * result: when one returns `undefined`, `meta.status` tells why (0: a plain miss). All other calls are ordinary functions
 * that throw an `Error` whose `code` is one of the codes in `errors.ts`, or `ERR_DETACHED` on a detached handle.
 *
 * The thing to get wrong: `meta` and `scratch` are shared by all handles of a thread and overwritten by every raw call, so
 * read what you need before the next.
 */
import { createRequire } from 'node:module'
import { nativeUnavailable } from './errors.ts'

/** A key as it crosses: 1 byte to 8 KiB as UTF-8 or raw bytes. */
export type RawKey = string | Uint8Array

/** How a value is stored. Kept in the entry's head; `crates/core/src/kind.rs` has the same numbers. */
export const Kind = {
  /** UTF-8 text; comes back as a string. */
  String: 1,
  /** IEEE 754 double. */
  Number: 2,
  /** Crosses as a number: 0 null, 1 false, 2 true; comes back as the value itself. */
  Simple: 3,
  /** A bigint of 64 bits, signed; comes back as a bigint. */
  BigInt64: 4,
  /** Any other bigint; crosses both ways as a string: optional minus, hexadecimal digits. */
  BigIntHex: 5,
  /** Bytes that come back as a Buffer. */
  Buffer: 6,
  /** Bytes that come back as a Uint8Array. */
  Uint8Array: 7,
  /** JSON text; crosses as a string. */
  Json: 8,
  /** Bytes of `lib/codec/structured.ts`: what JSON would lose. */
  Structured: 9,
  /** No value, which is known: a miss to all who read. Crosses as no bytes. */
  Absent: 11,
  /** Text of `lib/codec/flat.ts`: a flat object. */
  Flat: 12,
  /** Plus a codec's id, 1 to 100: bytes that this codec made. */
  Codec: 100,
} as const

/** Bits of the `flags` argument of `get` and `getInto`. */
export const GetFlag = {
  /** Neither count the read nor mark the entry as used. */
  Peek: 1,
  /** Fill `meta.version`, `meta.age`, `meta.remaining`, `meta.size` and `meta.stale`. */
  Meta: 2,
  /** Also take a value that is stale. */
  Stale: 4,
} as const

/** Bits of the `flags` argument of `set`. The first three exclude each other. */
export const SetFlag = {
  IfAbsent: 1,
  IfPresent: 2,
  /** Only if the entry's version equals the `version` argument. */
  IfVersion: 4,
  /** Keep the deadline and the stale time of the entry that is replaced; where there is none, `ttl` applies. */
  KeepTtl: 8,
  /** Keep the tags of the entry that is replaced. */
  KeepTags: 16,
} as const

/** In `scratch` after `getMany`, in place of a kind: this key is to be asked for alone. */
export const ASK_ALONE = 255

/** Most keys of one call for many: their kinds are put into `scratch`, a byte each. */
export const MOST_AT_ONCE = 16_384

/** Positions in `Int32Array(meta)`. */
export const MetaInt = {
  /** Valid when a raw call returned undefined: 0, or the number of an error code (`errors.ts`, `codeOfStatus`). */
  Status: 0,
  /** The value's `Kind`. */
  Kind: 1,
  /** Length of the stored value in bytes. */
  Length: 2,
  /** 1: the bytes did not fit `scratch`; allocate `Length` bytes and call `getInto`. */
  Large: 3,
} as const

/** Positions in `Float64Array(meta)`. */
export const MetaFloat = {
  /** Version of the entry read (flag `Meta`) or just written (always). */
  Version: 2,
  /** Milliseconds since the entry was written. */
  Age: 3,
  /** Milliseconds until it expires; Infinity when it does not. */
  Remaining: 4,
  /** Bytes of the segment that the entry occupies. */
  Size: 5,
  /** 1: the entry has expired or was outdated, and was served nevertheless. */
  Stale: 6,
  /** Milliseconds since its deadline; 0 before it. */
  Late: 15,
  /** `getNear`: the deadline in milliseconds since boot, 0 for none. */
  Deadline: 7,
  /** `getNear`: offset of the entry's index word in `view`; 0: the value must not be kept. */
  Word: 8,
  /** `now`: milliseconds since boot. */
  Now: 12,
} as const

/** Positions in `Int32Array(meta)` that `getNear` fills: what a copy of the value depends on. */
export const NearInt = {
  /** Upper half of the index word. */
  Generation: 18,
  /** The root's epoch. */
  Root: 19,
  /** The namespace's epoch; of the root 0. */
  Own: 20,
  /** 1: the entry has tags, and the copy depends on `TagClock`. */
  Tagged: 21,
  /** Lower half of the tag clock. */
  TagClock: 22,
} as const

/** How a limiter counts. */
export const Algorithm = { gcra: 0, 'sliding-window': 1, 'fixed-window': 2 } as const

/** What is asked of a limiter. */
export const Demand = { Consume: 0, Look: 4, Penalty: 8, Reward: 12, Reset: 16 } as const

/** Positions in `Float64Array(meta)` for `limit`. The first three are to be filled before the call; no other call touches them. */
export const LimitFloat = {
  /** Tokens that are asked for, a whole number. */
  Tokens: 12,
  /** Tokens per window, a whole number. */
  Limit: 13,
  /** Whole milliseconds. */
  Window: 14,
  /** Tokens that are there now. */
  Remaining: 2,
  /** Milliseconds until those that were asked for are there, Infinity: never. */
  RetryAfter: 3,
  /** Milliseconds until all are there. */
  ResetAfter: 4,
} as const

/** Positions in `Int32Array(meta)`, to be filled before `limit`; no other call touches them. */
export const LimitInt = {
  /** An `Algorithm` plus a `Demand`. */
  How: 23,
  /** Which limiter it is, 64 bits. */
  Low: 30,
  High: 31,
} as const

/** What is measured. */
export const Measure = {
  /** Adds a finite number of at least 0 to a counter. */
  Count: 0,
  /** Sets a gauge to any number. */
  Set: 1,
  /** Adds a finite number to a gauge. */
  Add: 2,
  /** A finite number, for a histogram. */
  Observe: 3,
  /** Any metric: back to 0. */
  Reset: 4,
} as const

/** What a metric is. */
export const MetricKind = { Counter: 1, Gauge: 2, Histogram: 3 } as const

/** The hot calls of one handle. All return `undefined` for a miss or an error; see `MetaInt.Status`. */
export interface RawCalls {
  readonly meta: ArrayBuffer
  readonly scratch: ArrayBuffer
  /**
   * Strings, numbers, booleans, null and 64-bit bigints come back as themselves; `Json` and `BigIntHex` as their text;
   * bytes as their length, with the bytes in `scratch` unless `meta.large` is 1. Without `flags` it is quicker.
   */
  get(key: RawKey, flags?: number): unknown
  /**
   * Fills `target`; returns the value's length, which may exceed the target's: then nothing was copied, try again. Bytes only:
   * where the entry is now of another kind nothing is copied, and `MetaInt.Kind` tells; call `get` again.
   */
  getInto(key: RawKey, target: Uint8Array, flags: number): number | undefined
  /** `get`, and what a copy of the value depends on: `NearInt`, `MetaFloat.Deadline`, `MetaFloat.Word`, `MetaInt.Length`. */
  getNear(key: RawKey): unknown
  /** Puts the milliseconds since boot, which deadlines are compared with, into `MetaFloat.Now`. */
  now(): undefined
  /** Counts hits of copies; undefined if the segment is gone, and there must be no more of them. */
  countHits(hits: number): true | undefined
  /**
   * The segment in front of its space, as memory: to be written nowhere but in touched bytes. The same for all handles of a
   * thread on one segment; the `close` of the last one takes the memory away. Undefined where the host forbids such buffers.
   */
  view(): ArrayBuffer | undefined
  has(key: RawKey): boolean | undefined
  /**
   * `ttl` in milliseconds, 0 for none. False: the condition did not hold, or `eviction: 'none'` and no room. Without what is 0
   * at the end it is quicker; `flags` come with a `version`.
   */
  set(key: RawKey, value: unknown, kind: number, ttl?: number, flags?: number, version?: number): boolean | undefined
  /** `set` with a time as stale in milliseconds, 0 for none, and the names of tags, 128 at most. */
  setWith(
    key: RawKey,
    value: unknown,
    kind: number,
    ttl: number,
    flags: number,
    version: number,
    stale: number,
    tags: readonly string[],
  ): boolean | undefined
  /** Stores what the flight of `token` brought and ends it, in one step; returns a `Landing`. After an error it is still on. */
  flightFinish(
    key: RawKey,
    value: unknown,
    kind: number,
    ttl: number,
    stale: number,
    tags: readonly string[],
    token: number,
  ): number | undefined
  /**
   * An array aligned with `keys`, `MOST_AT_ONCE` at most: what `get` would return, but bytes as a Buffer of their own. Kinds
   * are in `scratch`: 0 for a miss, `ASK_ALONE` where only `get` can tell.
   */
  getMany(keys: readonly RawKey[], flags: number): unknown[] | undefined
  /** `set` for each, with kinds and lifetimes aligned; undefined where only `set` can tell what was wrong. */
  setMany(
    keys: readonly RawKey[],
    values: readonly unknown[],
    kinds: Uint8Array,
    ttls: Float64Array,
  ): (boolean | undefined)[] | undefined
  /** `has` for each; undefined where only `has` can tell what was wrong. */
  hasMany(keys: readonly RawKey[]): (boolean | undefined)[] | undefined
  /** `delete` for each, whatever its version; undefined where only `delete` can tell what was wrong. */
  deleteMany(keys: readonly RawKey[]): (boolean | undefined)[] | undefined
  /** `version` 0: whatever its version. */
  delete(key: RawKey, version: number): boolean | undefined
  /** Like `get`, and deletes in the same step. Bytes that do not fit `scratch` are left in place with `meta.large` 1. */
  take(key: RawKey): unknown
  /** Like `take` for large bytes: deletes only what it copied, as `getInto` does. */
  takeInto(key: RawKey, target: Uint8Array): number | undefined
  incr(key: RawKey, by: number, init: number, ttl: number, min: number, max: number): number | undefined
  /** `ttl` 0 removes the deadline. */
  touch(key: RawKey, ttl: number): boolean | undefined
  /** Remaining milliseconds, Infinity without a deadline. */
  ttl(key: RawKey): number | undefined
  /**
   * What is asked, and of which limiter, is in `LimitFloat` and `LimitInt`. Whether the tokens were taken or are there, and the
   * rest of `LimitFloat`; of `Demand.Reset` whether there was anything to forget.
   */
  limit(key: RawKey): boolean | undefined
  /** `key`: that of a series; `how`: a `Measure`. False: it is a metric of another kind; a miss: there is no such series. */
  measure(key: RawKey, how: number, value: number): boolean | undefined
}

export interface NativeOpenOptions {
  name: string
  directory?: string
  size: number
  maxEntrySize?: number
  eviction: string
  lockMemory: boolean
  writeTimeout: number
  /** Tests only: the segment is created with a clock that stands still until `advanceClock`, in every process. */
  manualClock: boolean
  /** The handle's namespace, made if there is none. Default: the root. */
  namespace?: string
}

/** What was opened: the segment's own properties, which may differ from what was asked for. */
export interface NativeOpened {
  id: number
  created: boolean
  path: string
  size: number
  maxEntrySize: number
  eviction: string
  shards: number
  /** Offset in `view` of the root's epoch. */
  rootEpochOffset: number
  /** The same of the epoch of the handle's namespace; of the root, its own. */
  epochOffset: number
  /** Offset in `view` of the tag clock. */
  tagClockOffset: number
}

/** What is counted of a namespace. */
export interface NativeTallies {
  hits: number
  misses: number
  sets: number
  deletes: number
  evictions: number
  expirations: number
  entries: number
}

export interface NativeStats {
  /** Of the whole segment. */
  total: NativeTallies
  /** Of the handle's namespace. */
  own: NativeTallies
  /** Bytes of space occupied by entries. */
  usedBytes: number
  /** Bytes of space for entries. */
  capacityBytes: number
  /** Bytes of the segment taken from the system so far. */
  reservedBytes: number
  /** Shards rebuilt after a death. */
  repairs: number
  /** Index words dropped because what they named was damaged. */
  damaged: number
  /** Writes that ended in ERR_BUSY. */
  busy: number
  /** Reads begun again because their entry changed under them. */
  retries: number
  lockWaits: number
  /** Waits below 1 µs, below 2 µs, below 4 µs …; the last number counts all longer ones. */
  lockWaitTimes: number[]
  /** Tags that died with another, for want of room in the table. */
  tagsOverflowed: number
  /** States of limiters that had to make room. */
  limitsEvicted: number
  processes: number
  namespaces: string[]
}

/** A family of metrics, or one series of it. */
export interface NativeMetric {
  /** Of a family its name; of a series the name and, in braces, the labels as Prometheus writes them. */
  key: string
  /** By `MetricKind`. */
  kind: number
  /** Of a family. */
  help: string
  /** Upper bounds of a histogram's buckets, without the last one. */
  bounds: Float64Array
  /** Of a counter's or gauge's series; of a histogram's the sum. */
  value: number
  /** Of a histogram's series: observations by bucket, one more than `bounds`, each counted once. */
  counts: Float64Array
}

/** Some keys of a namespace. */
export interface NativePage {
  /** Where the next page starts; undefined after the last one. */
  next?: number
  keys: RawKey[]
}

export interface NativeProcess {
  slot: number
  pid: number
  /** Milliseconds since it attached. */
  age: number
}

export interface NativeSegmentInfo {
  name: string
  path: string
  size: number
  reservedBytes: number
  layoutVersion: number
  /** False: another layout or damaged; then only name, path, size, layoutVersion and processes say something. */
  readable: boolean
  /** Milliseconds since creation. */
  age: number
  eviction: string
  maxEntrySize: number
  shards: number
  entries: number
  usedBytes: number
  capacityBytes: number
  processes: NativeProcess[]
}

export interface NativeRegionOptions {
  cache: string
  name: string
  directory?: string
  /** Bytes, a whole number from 1 on. */
  size: number
}

export interface NativeRegion {
  id: number
  created: boolean
  path: string
}

/**
 * The lock of one region. A result below 0 is, negated, the number of an error code (`errors.ts`, `codeOfStatus`), or
 * `Status.Detached`, or `Status.HeldHere`.
 */
export interface NativeRegionCalls {
  /** 1: the last holder did not finish, else 0. Waits `timeout` milliseconds at most. */
  lock(timeout: number): number
  /** 0. Does nothing where this handle does not hold the lock. `finished` 0: the next holder will be told. */
  unlock(finished: 0 | 1): number
}

export interface NativeRegionInfo {
  cache: string
  name: string
  path: string
  layoutVersion: number
  /** False: another layout or damaged; then `size` and `age` are 0. */
  readable: boolean
  size: number
  /** Milliseconds since creation. */
  age: number
  processes: NativeProcess[]
}

/** What a notifier is told. */
export const Notice = {
  /** `ids`: waits whose key now has an entry newer than asked for. They are over; nothing to cancel. */
  Waits: 0,
  /** `ids`: [shard, index words dropped]. */
  Repaired: 1,
  /** `ids`: [shard, index words dropped]. */
  Damage: 2,
  /** The segment was destroyed, truncated or replaced under this handle. */
  Detached: 3,
  /** `ids`: watches and subscriptions that have something to `feedTake`. Told once until one of them gave less than asked for. */
  Fed: 6,
  /** `ids`: [how many more could not be named, then for each of `keys` 0: evicted or 1: expired]. */
  Gone: 4,
  /** `ids`: vigils whose record has changed as awaited. They are over; nothing to cancel. */
  Vigils: 5,
} as const

/** What turns are taken of: the numbers of `crates/core/src/spaces.rs`. */
export const Space = {
  Locks: 1,
  Semaphores: 2,
  Elections: 3,
} as const

/** What came of a claim, or how it stands with a ticket. */
export interface NativeTurn {
  /** By `TurnState`. */
  state: number
  /** Granted: the token, larger than that of every holder before. Waiting: the ticket. */
  number: number
  /** Granted: milliseconds until it ends, Infinity without a deadline. */
  remaining: number
}

/** Of `NativeTurn.state`. */
export const TurnState = { Granted: 0, Waiting: 1, None: 2 } as const

/** What a watch or a subscription was told; `crates/core/src/ring.rs` has the same numbers. */
export const What = {
  Set: 1,
  Delete: 2,
  Evict: 3,
  Expire: 4,
  Invalidate: 5,
  Clear: 6,
  Message: 7,
} as const

export interface NativeFeedItem {
  /** One of `What`. */
  what: number
  /** The key or the channel. */
  key?: RawKey
  /** 0: none. */
  version: number
  /** Positions in the tags watched. */
  tags: number[]
  /** Of a message: its bytes, and their `Kind`. */
  value?: Uint8Array
  kind: number
  lost: number
}

/** What there is for somebody who asks for a value to be loaded. */
export interface NativeFlight {
  /** By `FlightState`. */
  state: number
  /** Fresh: the version. Joined, begun: the token. */
  number: number
}

/** Of `NativeFlight.state`. */
export const FlightState = {
  /** There is a fresh value. */
  Fresh: 0,
  /** It is known that there is none. */
  Absent: 1,
  /** Somebody loads it: wait for that. */
  Joined: 2,
  /** The caller is to load it. */
  Begun: 3,
  /** In the background only: it has just failed. */
  Resting: 4,
} as const

/** What became of a loaded value. */
export const Landing = {
  /** Somebody else has the flight: nothing was stored. */
  Refused: 0,
  /** Something newer happened to the key, or there is no room. */
  Dropped: 1,
  Kept: 2,
} as const

export interface Native {
  open(options: NativeOpenOptions): NativeOpened
  /** The raw calls of an open handle; to be called once per handle. */
  rawCalls(id: number): RawCalls
  /** Calls back on this thread, and never keeps the process alive. To be called at most once per handle. */
  setNotifier(id: number, notify: (notice: number, ids: number[], keys: RawKey[]) => void): void
  /** Begins or ends notices of what this process evicts and expires. Needs a notifier. */
  wantGone(id: number, wanted: boolean): void
  /** Returns a wait's id; `after` as in `waitFor`, 0 for any entry. Needs a notifier. */
  waitStart(id: number, key: RawKey, after: number): number
  waitCancel(id: number, wait: number): void
  /** Takes a place of `permits`, for `ttl` milliseconds (0: for ever), or with `wait` enters the queue. */
  turnAcquire(id: number, space: number, key: RawKey, permits: number, ttl: number, wait: boolean): NativeTurn
  /** A ticket is good until its turn is granted, or it is `None`. */
  turnLook(id: number, space: number, key: RawKey, permits: number, ticket: number): NativeTurn
  /** Leaves the queue; if the turn has come meanwhile, gives it to the next. */
  turnLeave(id: number, space: number, key: RawKey, permits: number, ticket: number): void
  /** False: it was no longer held. */
  turnRelease(id: number, space: number, key: RawKey, permits: number, token: number): boolean
  /** The milliseconds that are left now; null if it is no longer held. */
  turnExtend(id: number, space: number, key: RawKey, token: number, ttl: number): number | null
  turnHolds(id: number, space: number, key: RawKey, token: number): boolean
  /** How many hold it, and how many wait. */
  turnPlaces(id: number, space: number, key: RawKey): number[]
  /** Returns the id of a vigil: it is told when the ticket no longer waits. Needs a notifier. */
  turnAwait(id: number, space: number, key: RawKey, permits: number, ticket: number): number
  vigilCancel(id: number, vigil: number): void
  /** Returns a watch's id; what is there for it is announced by `Notice.Fed`. Needs a notifier. */
  watchStart(id: number, key: RawKey | undefined, prefix: RawKey, tags: readonly string[], buffer: number): number
  /** The same for a channel, or for all channels that start with it. */
  subscribeStart(id: number, channel: string, isPrefix: boolean, buffer: number): number
  /** What is there, `most` at most. Less: the next will be announced. */
  feedTake(id: number, feed: number, most: number): NativeFeedItem[]
  feedEnd(id: number, feed: number): void
  /** `value`: the bytes of the kind, a text as it is. Returns how many subscriptions it was written for. */
  publish(id: number, channel: string, kind: number, value: RawKey): number
  /** Agrees on a family of metrics, an empty `help` on none, and makes the series `key` of it unless it is there. */
  metricDeclare(id: number, name: string, kind: number, bounds: Float64Array, help: string, key: string): void
  metricGet(id: number, key: string): NativeMetric | null
  /** All families and series of the namespace, each as it was at one moment. */
  metricsAll(id: number): NativeMetric[]
  /** A series, or by its name a family with all of them; false if there was none. */
  metricDelete(id: number, key: string): boolean
  /**
   * Begins to load a key's value, or (`once`) what is done once, unless there is one or somebody else loads it. `lease` 0: as long
   * as the process lives. `newerThan`: only a later version will do; Infinity: none.
   */
  flightBegin(
    id: number,
    once: boolean,
    key: RawKey,
    lease: number,
    newerThan: number,
    background: boolean,
  ): NativeFlight
  /** Ends a flight with a word to those who wait, 8 KiB at most; `failed`: and lets background loads rest. False: it was over. */
  flightFail(id: number, once: boolean, key: RawKey, token: number, outcome: Uint8Array, failed: boolean): boolean
  /** Ends a flight as if it had not been. False: it was over. */
  flightAbandon(id: number, once: boolean, key: RawKey, token: number): boolean
  /** The word with which a flight ended, for some seconds. */
  flightOutcome(id: number, once: boolean, key: RawKey, token: number): Uint8Array | null
  /** Whether somebody who asks now is to wait for this flight, whose owner lives. */
  flightIsOn(id: number, once: boolean, key: RawKey, token: number): boolean
  /** Returns the id of a vigil: it is told when the flight, its lease or its owner has ended. Needs a notifier. */
  flightAwait(id: number, once: boolean, key: RawKey, token: number): number
  /** Remembers what was done once and ends its flight; returns a `Landing`. */
  onceFinish(id: number, name: RawKey, token: number, value: Uint8Array, ttl: number): number
  onceLook(id: number, name: RawKey): Uint8Array | null
  /** Ends the life of the namespace's entries; of the root's and all others with the root. */
  clear(id: number): void
  /** Keys of the namespace from `cursor` (0 at first) on that start with `prefix`, about `most` of them or fewer. */
  keys(id: number, cursor: number, prefix: RawKey, most: number): NativePage
  deletePrefix(id: number, prefix: RawKey): number
  invalidateTags(id: number, tags: readonly string[], outdate: boolean): void
  size(id: number): number
  stats(id: number): NativeStats
  /** Problems found in the structures of the segment; empty when all is well. Takes each shard's lock in turn. */
  validate(id: number): string[]
  /** Tests only: moves the manual clock of the segment. */
  advanceClock(id: number, milliseconds: number): void
  close(id: number): void
  segmentsList(directory?: string): NativeSegmentInfo[]
  segmentsInspect(name: string, directory?: string): NativeSegmentInfo | null
  segmentsDestroy(name: string, directory: string | undefined, force: boolean): boolean
  /** The calls on a region throw `ERR_DETACHED` once it was destroyed or truncated. */
  regionOpen(options: NativeRegionOptions): NativeRegion
  /** To be called once; null where the host forbids such buffers. `regionClose` takes the memory away. */
  regionBuffer(id: number): ArrayBuffer | null
  /** To be called once. */
  regionCalls(id: number): NativeRegionCalls
  regionAttached(id: number): boolean
  regionClose(id: number): void
  regionsList(directory?: string): NativeRegionInfo[]
  regionsInspect(cache: string, name: string, directory?: string): NativeRegionInfo | null
  regionsDestroy(cache: string, name: string, directory: string | undefined, force: boolean): boolean
}

/** The addon. Where it cannot be loaded, importing this works all the same, and the first call throws. */
export const native: Native = load()

function load(): Native {
  try {
    // Not a static import, whose failure could not be told in our own words.
    return createRequire(import.meta.url)('#native') as Native
  } catch (cause) {
    const call = (): never => {
      throw nativeUnavailable(cause)
    }
    return new Proxy({} as Native, { get: () => call })
  }
}
