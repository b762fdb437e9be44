/**
 * The hot calls of one handle. They never throw, and allocate nothing but their result.
 *
 * When a raw call returns `undefined`, `MetaInt.Status` tells why; 0 is a plain miss. What does not fit the result is
 * in `meta` and `scratch`; `layout.ts` has the positions in `meta`.
 *
 * Caution: `meta` and `scratch` belong to all handles of a thread, and every raw call overwrites them. Read what you
 * need before the next call.
 */

import type { Key as RawKey } from '#native'

export type { RawKey }

/** The raw calls of a cache. All return `undefined` for a miss or an error; see `MetaInt.Status`. */
export interface RawCalls {
  readonly meta: ArrayBuffer
  readonly scratch: ArrayBuffer
  /**
   * Strings, numbers, booleans, null and 64-bit bigints come back as themselves; `Json` and `BigIntHex` as their text;
   * bytes as their length, with the bytes in `scratch` unless `MetaInt.Large` is 1. `flags` are of `GetFlag`; without
   * them the call is faster.
   */
  get(key: RawKey, flags?: number): unknown
  /**
   * Fills `target`; returns the value's length, which may exceed that of the target: then nothing was copied, try
   * again. For bytes only: where the entry is now of another kind, nothing is copied, and `MetaInt.Kind` tells; call
   * `get` again.
   */
  getInto(key: RawKey, target: Uint8Array, flags: number): number | undefined
  /**
   * `get`, and what a near copy of the value depends on: `NearInt`, `MetaFloat.Deadline`, `MetaFloat.Word`,
   * `MetaInt.Length`.
   */
  getNear(key: RawKey): unknown
  /** Puts the milliseconds since boot, which deadlines are compared with, into `MetaFloat.Now`. */
  now(): undefined
  /**
   * The lower half of the tag clock up to which the copy of a tagged entry is valid by its tags. `word`: number of its
   * index word in the view, in words of 8 bytes; `generation`: `NearInt.Generation`. Undefined: one of its tags was
   * invalidated, the word names another entry or none, or an invalidation is under way.
   */
  tagClock(word: number, generation: number): number | undefined
  /** Counts hits of near copies. Undefined: the segment is gone, and there must be no more hits. */
  countHits(hits: number): true | undefined
  /**
   * The part of the segment in front of its entries, as memory. Only use marks may be written. All handles of a thread
   * on one segment get the same memory, and the `close` of the last one takes it away. Undefined where the host forbids
   * such buffers.
   */
  view(): ArrayBuffer | undefined
  has(key: RawKey): boolean | undefined
  /**
   * `ttl` in milliseconds, 0 for none. `flags` are of `SetFlag` and come with a `version`. False: the condition did not
   * hold, or there is no room with `eviction: 'none'`. Without trailing arguments that are 0, the call is faster.
   */
  set(key: RawKey, value: unknown, kind: number, ttl?: number, flags?: number, version?: number): boolean | undefined
  /** `set` with a stale time in milliseconds, 0 for none, and the names of at most `MAX_TAGS` tags. */
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
  /**
   * Stores the result of the flight of `token` and ends it, in one step; returns a `FinishResult`. After an error it is
   * still on.
   */
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
   * An array aligned with `keys`, at most `MAX_BATCH`: what `get` would return, but bytes as a Buffer of their own.
   * Kinds are in `scratch`: 0 for a miss, `ASK_ALONE` where only `get` can tell.
   */
  getMany(keys: readonly RawKey[], flags: number): unknown[] | undefined
  /** `set` for each, with kinds and lifetimes aligned. Undefined where only `set` can tell what was wrong. */
  setMany(
    keys: readonly RawKey[],
    values: readonly unknown[],
    kinds: Uint8Array,
    ttls: Float64Array,
  ): (boolean | undefined)[] | undefined
  /** `has` for each; undefined where only `has` can tell what was wrong. */
  hasMany(keys: readonly RawKey[]): (boolean | undefined)[] | undefined
  /** `delete` for each, of any version; undefined where only `delete` can tell what was wrong. */
  deleteMany(keys: readonly RawKey[]): (boolean | undefined)[] | undefined
  /** `version` 0: any version. */
  delete(key: RawKey, version: number): boolean | undefined
  /**
   * Like `get`, and deletes in the same step. Bytes that do not fit `scratch` are left in place with `MetaInt.Large` 1.
   */
  take(key: RawKey): unknown
  /** Like `take` for large bytes: deletes only what it copied, as `getInto` does. */
  takeInto(key: RawKey, target: Uint8Array): number | undefined
  incr(key: RawKey, by: number, init: number, ttl: number, min: number, max: number): number | undefined
  /** `ttl` 0 removes the deadline. */
  touch(key: RawKey, ttl: number): boolean | undefined
  /** Remaining milliseconds; Infinity without a deadline. */
  ttl(key: RawKey): number | undefined
  /**
   * Asks or changes the collection of a kind (`Kind.Hash` and so on) by the first `length` bytes of `request`. The
   * result is the length of the answer, which is in `scratch`, or the answer itself if it is longer than that. `ttl` in
   * milliseconds, 0 for none, and `tags` are those of a collection that the call makes.
   */
  collect(
    key: RawKey,
    kind: number,
    request: Uint8Array,
    length: number,
    ttl?: number,
    tags?: readonly string[],
  ): Uint8Array | number | undefined
  /**
   * Asks a limiter. The question is in `LimitInt` and in the first three of `LimitFloat`; fill them before each
   * attempt, since another call to a limiter overwrites them. Returns whether the tokens were taken or are available,
   * and fills the rest of `LimitFloat`; for `Demand.Reset` it returns whether tokens were missing.
   */
  limit(key: RawKey): boolean | undefined
  /**
   * `key`: that of a series; `how`: a `Measure`. False: the metric is of another kind. A miss: there is no such series.
   */
  measure(key: RawKey, how: number, value: number): boolean | undefined
}

/**
 * The lock of one region. A result below 0 is a negated status: that of an error code (`STATUS_CODES`),
 * `Status.Detached` or `Status.HeldHere`.
 */
export interface NativeRegionCalls {
  /** 1: the last holder did not finish, else 0. Waits at most `timeout` milliseconds. */
  lock(timeout: number): number
  /** 0. Does nothing where this handle does not hold the lock. `finished` 0: the next holder is notified of that. */
  unlock(finished: 0 | 1): number
}
