/**
 * The numbers that TypeScript and the native addon share. Generated from `crates/node/src/layout.rs` by
 * `npm run build`; do not edit.
 */

/** Bytes of `meta`. */
export const META_BYTES = 256

/** Bytes of `scratch`: larger values need `getInto`. */
export const SCRATCH_BYTES = 65_536

/** Maximum number of keys in one call for many: `scratch` gets a byte for the kind of each. */
export const MAX_BATCH = 16_384

/** In `scratch` after `getMany`, in place of a kind: call `get` for this key. */
export const ASK_ALONE = 255

/** Maximum length of a key in bytes. */
export const MAX_KEY = 8192

/** Maximum number of tags of an entry. */
export const MAX_TAGS = 128

/** Maximum length in bytes of the outcome of a failed flight. */
export const MAX_OUTCOME = 8192

/** Positions in `Int32Array(meta)`. */
export const MetaInt = {
  /**
   * 0 for a miss, else a status: see `Status` and `STATUS_CODES`. Valid when the raw call returned undefined.
   * Filled by every raw call.
   */
  Status: 0,
  /**
   * The value's `Kind`.
   * Filled by `get`, `getNear`, `getInto`, `take`, `takeInto`.
   */
  Kind: 1,
  /**
   * Length of the stored value in bytes, at most 2^31 - 1. `getNear` fills it for every value, the others for bytes.
   * Filled by `get`, `getNear`, `take`.
   */
  Length: 2,
  /**
   * 1: the bytes did not fit in `scratch`; allocate `Length` bytes and call `getInto`. Filled for bytes only.
   * Filled by `get`, `getNear`, `take`.
   */
  Large: 3,
} as const

/** Positions in `Int32Array(meta)`: what a near copy of the value depends on. */
export const NearInt = {
  /**
   * Upper half of the index word.
   * Filled by `getNear`.
   */
  Generation: 4,
  /**
   * The root's epoch.
   * Filled by `getNear`.
   */
  Root: 5,
  /**
   * The namespace's epoch; 0 for the root.
   * Filled by `getNear`.
   */
  Own: 6,
  /**
   * 1: the entry has tags, and the copy depends on `TagClock`.
   * Filled by `getNear`.
   */
  Tagged: 7,
  /**
   * Lower half of the tag clock.
   * Filled by `getNear`.
   */
  TagClock: 8,
} as const

/** Positions in `Int32Array(meta)`: the question to a limiter. */
export const LimitInt = {
  /**
   * An `Algorithm` plus a `Demand`.
   * To be filled before each attempt of `limit`.
   */
  How: 9,
  /**
   * Lower half of the limiter's 64-bit identity.
   * To be filled before each attempt of `limit`.
   */
  Low: 10,
  /**
   * Upper half of the limiter's 64-bit identity.
   * To be filled before each attempt of `limit`.
   */
  High: 11,
} as const

/** Positions in `Float64Array(meta)`. */
export const MetaFloat = {
  /**
   * The deadline in milliseconds since boot; 0 for none.
   * Filled by `getNear`.
   */
  Deadline: 8,
  /**
   * Offset of the entry's index word in `view`; 0: the value must not be kept.
   * Filled by `getNear`.
   */
  Word: 9,
  /**
   * Version of the entry read (flag `Meta`) or just written (always).
   * Filled by `get`, `getInto`, `set`, `setWith`, `flightFinish`.
   */
  Version: 10,
  /**
   * Milliseconds since the entry was written.
   * Filled by `get`, `getInto`.
   */
  Age: 11,
  /**
   * Milliseconds until the entry expires; Infinity without a deadline.
   * Filled by `get`, `getInto`.
   */
  Remaining: 12,
  /**
   * Bytes of the segment that the entry occupies.
   * Filled by `get`, `getInto`.
   */
  Size: 13,
  /**
   * 1: the entry has expired or was outdated by a tag, and was served nevertheless.
   * Filled by `get`, `getInto`.
   */
  Stale: 14,
  /**
   * Milliseconds since the entry's deadline; 0 before it, and without one.
   * Filled by `get`, `getInto`.
   */
  Late: 15,
  /**
   * Milliseconds since boot.
   * Filled by `now`.
   */
  Now: 16,
} as const

/** Positions in `Float64Array(meta)`: the question to a limiter and its answer. */
export const LimitFloat = {
  /**
   * Tokens that are asked for, a whole number.
   * To be filled before each attempt of `limit`.
   */
  Tokens: 17,
  /**
   * Tokens per window, a whole number.
   * To be filled before each attempt of `limit`.
   */
  Limit: 18,
  /**
   * The window in whole milliseconds.
   * To be filled before each attempt of `limit`.
   */
  Window: 19,
  /**
   * Tokens that are available now.
   * Filled by `limit`.
   */
  Remaining: 20,
  /**
   * Milliseconds until the tokens asked for are available; Infinity: never.
   * Filled by `limit`.
   */
  RetryAfter: 21,
  /**
   * Milliseconds until all tokens of the limit are available.
   * Filled by `limit`.
   */
  ResetAfter: 22,
} as const

/** How a value is stored. Kept in the entry's head. */
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
  /** It is known that the key has no value: a miss for every reader. Crosses as no bytes. */
  Absent: 11,
  /** Text of `lib/codec/flat.ts`: a flat object. */
  Flat: 12,
  /** Fields with values. `get` does not read collections; see `RawCalls.collect`. */
  Hash: 13,
  /** Items in order. */
  List: 14,
  /** Members. */
  Set: 15,
  /** Members with scores. */
  SortedSet: 16,
  /** Plus a codec's id, 1 to 100: bytes that this codec made. */
  Codec: 100,
} as const

/** Bits of the `flags` argument of `get` and `getInto`. */
export const GetFlag = {
  /** Neither count the read nor mark the entry as used. */
  Peek: 1,
  /** Fill `MetaFloat`: version, age, remaining, size, stale and late. */
  Meta: 2,
  /** Also take a value that is stale. */
  Stale: 4,
  /** Also take a collection, as its bytes. */
  Collections: 8,
} as const

/** Bits of the `flags` argument of `set`. The first three exclude each other. */
export const SetFlag = {
  IfAbsent: 1,
  IfPresent: 2,
  /** Only if the entry's version equals the `version` argument. */
  IfVersion: 4,
  /** Keep the deadline and the stale time of the entry that is replaced; without such an entry `ttl` applies. */
  KeepTtl: 8,
  /** Keep the tags of the entry that is replaced. */
  KeepTags: 16,
} as const

/** Statuses that the package treats in a way of their own. Those from 100 on never reach a user. */
export const Status = {
  /** A plain miss. */
  None: 0,
  /** `ERR_CLOSED`: the handle was closed. */
  Closed: 7,
  /** The segment was destroyed or lost: open it again and repeat the call. */
  Detached: 100,
  /** The key's UTF-8 has U+FFFD: the caller's own, or a replaced lone surrogate. Only JavaScript can tell. */
  SuspectKey: 101,
  /** The same for a text that is to be stored. */
  SuspectText: 102,
  /** The lock of a region: this thread holds it already. */
  HeldHere: 103,
} as const

/** How a limiter counts. */
export const Algorithm = {
  gcra: 0,
  'sliding-window': 1,
  'fixed-window': 2,
} as const

/** What is asked of a limiter. */
export const Demand = {
  /** Takes the tokens if all of them are available. */
  Consume: 0,
  /** Takes nothing, and tells what `Consume` would do. */
  Peek: 4,
  /** Takes the tokens, also where fewer are available. */
  Penalty: 8,
  /** Gives tokens back. */
  Reward: 12,
  /** Gives the key all its tokens. */
  Reset: 16,
} as const

/** What is measured. */
export const Measure = {
  /** Adds a finite number of at least 0 to a counter. */
  Count: 0,
  /** Sets a gauge to any number. */
  Set: 1,
  /** Adds a finite number to a gauge. */
  Add: 2,
  /** Counts a finite number in a histogram. */
  Observe: 3,
  /** Sets any metric back to 0. */
  Reset: 4,
} as const

/** The type of a metric. */
export const MetricKind = {
  Counter: 1,
  Gauge: 2,
  Histogram: 3,
} as const

/** The subject of a call of the notifier. */
export const Notice = {
  /** `ids`: waits for which an entry newer than asked for has come. They are over; nothing to cancel. */
  Waits: 0,
  /** `ids`: [shard, index words dropped]. */
  Repaired: 1,
  /** `ids`: [shard, index words dropped]. */
  Damage: 2,
  /** The segment was destroyed, truncated or replaced under this handle. */
  Detached: 3,
  /** `ids`: [number of removals without a key, then a `RemovalReason` for each of `keys`]. */
  Removed: 4,
  /** `ids`: record watches for which the awaited change has come. They are over; nothing to cancel. */
  RecordWatches: 5,
  /** `ids`: streams that have items for `streamTake`. Notified once until `streamTake` gave less than asked for. */
  Streams: 6,
  /** `ids`: [bytes of the segment before, bytes now]. Everything goes on. */
  Resized: 7,
} as const

/** Why an entry was removed. */
export const RemovalReason = {
  Evicted: 0,
  Expired: 1,
} as const

/** The coordinated things that have permits or waiters. */
export const Keyspace = {
  Locks: 1,
  Semaphores: 2,
  Elections: 3,
  Events: 9,
  Barriers: 10,
  Conditions: 11,
} as const

/**
 * What is asked of a collection: `crates/core/src/collections/request.rs` describes each. From `Put` on they are
 * changes.
 */
export const CollectionRequest = {
  Count: 1,
  Page: 2,
  Get: 3,
  Has: 4,
  Ttl: 5,
  Sample: 6,
  Slice: 7,
  IndexOf: 8,
  Rank: 9,
  ByScore: 10,
  CountByScore: 11,
  Put: 64,
  Delete: 65,
  Take: 66,
  Incr: 67,
  Expire: 68,
  TakeSample: 69,
  Push: 70,
  Pop: 71,
  SetAt: 72,
  Insert: 73,
  Remove: 74,
  Trim: 75,
  Add: 76,
  IncrScore: 77,
  DeleteByScore: 78,
} as const

/** Of `BindingPermit.state` and `BindingTurn.state`. */
export const PermitState = {
  Granted: 0,
  Waiting: 1,
  /** The request was refused, or the ticket is no longer valid. */
  None: 2,
} as const

/** What happened to an entry, or a message: an item of a watch or a subscription. */
export const What = {
  Set: 1,
  Delete: 2,
  Evict: 3,
  Expire: 4,
  /** Tags were invalidated, or items were lost: what is known may be outdated. */
  Invalidate: 5,
  /** All entries of the namespace are removed. */
  Clear: 6,
  Message: 7,
} as const

/** Of `BindingFlight.state`. */
export const FlightState = {
  /** There is a fresh value. */
  Fresh: 0,
  /** It is known that there is no value. */
  Absent: 1,
  /** Another caller loads the value: wait for its flight. */
  Joined: 2,
  /** The caller is to load the value. */
  Begun: 3,
  /** In the background only: a load has just failed. */
  Resting: 4,
} as const

/** The store result of a flight. */
export const FinishResult = {
  /** Another caller has the flight: nothing was stored. */
  Refused: 0,
  /** Something newer happened to the key, or there is no room. */
  Dropped: 1,
  Kept: 2,
} as const

/** The error code of each status from 0 on; undefined: no error. */
export const STATUS_CODES = [
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
  'ERR_NO_SEGMENT',
  'ERR_SNAPSHOT_FILE',
  'ERR_SNAPSHOT_CORRUPT',
  'ERR_SNAPSHOT_VERSION',
  'ERR_SNAPSHOT_SCOPE',
  'ERR_SNAPSHOT_INTERRUPTED',
  'ERR_WRONG_TYPE',
] as const
