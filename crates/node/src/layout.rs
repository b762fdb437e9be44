//! Every number that Rust and TypeScript share: the one source of `lib/native/layout.ts`.
//!
//! A raw call passes what does not fit its arguments or its result in `meta`, a block of [`META_BYTES`] bytes per
//! thread. Each value in `meta` has a slot of its own. The slots of whole numbers and those of doubles lie in separate
//! ranges, and the macro counts them up, so that no two values share a byte; a slot outside its range does not compile.
//!
//! Numbers that the core defines are taken from it by name. `examples/layout.rs` prints the file for TypeScript, and
//! its tests check the table and the file; `npm run build` writes the file. This module uses nothing of Node-API.
//!
//! Size: most lines are rows of tables, and the macros that make them.

use cache_machine_core::{
    Algorithm as CoreAlgorithm, CacheError, FinishResult as CoreFinishResult, Keyspace as CoreKeyspace, MAX_KEY,
    MAX_OUTCOME, MAX_TAGS, MetricKind as CoreMetricKind, Operation, RemovalReason as CoreRemovalReason,
    What as CoreWhat, kind,
};

/// Bytes of `meta`.
pub(crate) const META_BYTES: usize = 256;
/// The first byte of the doubles in `meta`; the whole numbers lie before it.
const FLOATS_AT: usize = 64;
/// Bytes of `scratch`.
pub(crate) const SCRATCH_BYTES: usize = 64 << 10;
/// Maximum number of keys in one call for many.
pub(crate) const MAX_BATCH: usize = 16 << 10;
/// In `scratch` after `getMany`, in place of a kind.
pub(crate) const ASK_ALONE: u8 = 255;
/// The code of an error for a call on a closed handle.
pub(crate) const CLOSED_CODE: &str = "ERR_CLOSED";

const _: () = assert!(MAX_BATCH <= SCRATCH_BYTES, "the kinds of a batch fit in scratch");

/// The side that fills a slot; the other side reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) enum Side {
    /// Rust, before the call returns.
    Rust,
    /// TypeScript, before each attempt of the call.
    TypeScript,
}

/// One slot, for the table.
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) struct Slot {
    pub(crate) name: &'static str,
    pub(crate) docs: &'static [&'static str],
    /// Position in the typed array of its group.
    pub(crate) index: usize,
    pub(crate) filled_by: Side,
    /// The calls that use it.
    pub(crate) calls: &'static [&'static str],
}

/// Slots of one type that belong together.
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) struct SlotGroup {
    pub(crate) name: &'static str,
    pub(crate) docs: &'static [&'static str],
    /// Bytes of a slot, to which it is aligned.
    pub(crate) width: usize,
    pub(crate) slots: &'static [Slot],
}

/// Where a whole number lies. Only this module makes one.
#[derive(Clone, Copy)]
pub(crate) struct IntSlot(usize);

impl IntSlot {
    const WIDTH: usize = size_of::<i32>();
    /// The first index behind the range.
    const END: usize = FLOATS_AT / Self::WIDTH;

    /// Position in `Int32Array(meta)`: inside `meta`.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// Where a double lies. Only this module makes one.
#[derive(Clone, Copy)]
pub(crate) struct FloatSlot(usize);

impl FloatSlot {
    const WIDTH: usize = size_of::<f64>();
    /// The first index of the range.
    const START: usize = FLOATS_AT / Self::WIDTH;
    /// The first index behind the range.
    const END: usize = META_BYTES / Self::WIDTH;

    /// Position in `Float64Array(meta)`: inside `meta`.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// Declares a group of slots, one behind the other from a position on.
macro_rules! slots {
    ($(
        $(#[doc = $group_doc:literal])+
        $Group:ident: $Slot:ident from $start:expr, {
            $($(#[doc = $doc:literal])+ $Name:ident: $side:ident $calls:expr,)+
        }
    )+) => {
        $(
            $(#[doc = $group_doc])+
            #[derive(Clone, Copy)]
            pub(crate) enum $Group {
                $($(#[doc = $doc])+ $Name,)+
            }

            impl $Group {
                const START: usize = $start;
                /// The first index behind the group.
                const END: usize = Self::START + [$(stringify!($Name)),+].len();
            }

            const _: () = assert!($Group::END <= $Slot::END, "the slots lie in the range of their type");

            impl From<$Group> for $Slot {
                #[inline(always)]
                fn from(name: $Group) -> Self {
                    Self($Group::START + name as usize)
                }
            }
        )+

        /// All slots of `meta`.
        #[allow(dead_code, reason = "the table is read by examples/layout.rs")]
        pub(crate) const SLOT_GROUPS: &[SlotGroup] = &[$(SlotGroup {
            name: stringify!($Group),
            docs: &[$($group_doc),+],
            width: $Slot::WIDTH,
            slots: &[$(Slot {
                name: stringify!($Name),
                docs: &[$($doc),+],
                index: $Group::START + $Group::$Name as usize,
                filled_by: Side::$side,
                calls: &$calls,
            }),+],
        }),+];
    };
}

slots! {
    /// Positions in `Int32Array(meta)`.
    MetaInt: IntSlot from 0, {
        /// 0 for a miss, else a status: see `Status` and `STATUS_CODES`. Valid when the raw call returned undefined.
        Status: Rust ["all"],
        /// The value's `Kind`.
        Kind: Rust ["get", "getNear", "getInto", "take", "takeInto"],
        /// Length of the stored value in bytes, at most 2^31 - 1. `getNear` fills it for every value, the others for bytes.
        Length: Rust ["get", "getNear", "take"],
        /// 1: the bytes did not fit in `scratch`; allocate `Length` bytes and call `getInto`. Filled for bytes only.
        Large: Rust ["get", "getNear", "take"],
    }

    /// Positions in `Int32Array(meta)`: what a near copy of the value depends on.
    NearInt: IntSlot from MetaInt::END, {
        /// Upper half of the index word.
        Generation: Rust ["getNear"],
        /// The root's epoch.
        Root: Rust ["getNear"],
        /// The namespace's epoch; 0 for the root.
        Own: Rust ["getNear"],
        /// 1: the entry has tags, and the copy depends on `TagClock`.
        Tagged: Rust ["getNear"],
        /// Lower half of the tag clock.
        TagClock: Rust ["getNear"],
    }

    /// Positions in `Int32Array(meta)`: the question to a limiter.
    LimitInt: IntSlot from NearInt::END, {
        /// An `Algorithm` plus a `Demand`.
        How: TypeScript ["limit"],
        /// Lower half of the limiter's 64-bit identity.
        Low: TypeScript ["limit"],
        /// Upper half of the limiter's 64-bit identity.
        High: TypeScript ["limit"],
    }

    /// Positions in `Float64Array(meta)`.
    MetaFloat: FloatSlot from FloatSlot::START, {
        /// The deadline in milliseconds since boot; 0 for none.
        Deadline: Rust ["getNear"],
        /// Offset of the entry's index word in `view`; 0: the value must not be kept.
        Word: Rust ["getNear"],
        /// Version of the entry read (flag `Meta`) or just written (always).
        Version: Rust ["get", "getInto", "set", "setWith", "flightFinish"],
        /// Milliseconds since the entry was written.
        Age: Rust ["get", "getInto"],
        /// Milliseconds until the entry expires; Infinity without a deadline.
        Remaining: Rust ["get", "getInto"],
        /// Bytes of the segment that the entry occupies.
        Size: Rust ["get", "getInto"],
        /// 1: the entry has expired or was outdated by a tag, and was served nevertheless.
        Stale: Rust ["get", "getInto"],
        /// Milliseconds since the entry's deadline; 0 before it, and without one.
        Late: Rust ["get", "getInto"],
        /// Milliseconds since boot.
        Now: Rust ["now"],
    }

    /// Positions in `Float64Array(meta)`: the question to a limiter and its answer.
    LimitFloat: FloatSlot from MetaFloat::END, {
        /// Tokens that are asked for, a whole number.
        Tokens: TypeScript ["limit"],
        /// Tokens per window, a whole number.
        Limit: TypeScript ["limit"],
        /// The window in whole milliseconds.
        Window: TypeScript ["limit"],
        /// Tokens that are available now.
        Remaining: Rust ["limit"],
        /// Milliseconds until the tokens asked for are available; Infinity: never.
        RetryAfter: Rust ["limit"],
        /// Milliseconds until all tokens of the limit are available.
        ResetAfter: Rust ["limit"],
    }
}

/// A number with a name.
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) struct Number {
    pub(crate) name: &'static str,
    pub(crate) docs: &'static [&'static str],
    pub(crate) value: u32,
}

/// Numbers that belong together.
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) struct NumberGroup {
    pub(crate) name: &'static str,
    pub(crate) docs: &'static [&'static str],
    pub(crate) numbers: Vec<Number>,
}

/// Makes a group of numbers.
macro_rules! number_group {
    ($Group:ident, [$($group_doc:literal),+], $([$name:expr, [$($doc:literal),*], $value:expr]),+) => {
        NumberGroup {
            name: stringify!($Group),
            docs: &[$($group_doc),+],
            numbers: vec![$(Number { name: $name, docs: &[$($doc),*], value: $value }),+],
        }
    };
}

/// Declares numbers that belong to the binding, as an enum.
macro_rules! numbers {
    ($(
        $(#[doc = $group_doc:literal])+
        $Group:ident { $($(#[doc = $doc:literal])* $Name:ident = $value:expr,)+ }
    )+) => {
        $(
            $(#[doc = $group_doc])+
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            #[repr(u32)]
            #[allow(dead_code, reason = "some numbers are only for TypeScript")]
            pub(crate) enum $Group {
                $($(#[doc = $doc])* $Name = $value,)+
            }

            #[allow(dead_code, reason = "some numbers cross in one direction only")]
            impl $Group {
                #[inline(always)]
                pub(crate) const fn number(self) -> u32 {
                    self as u32
                }

                /// The member with this number.
                #[inline(always)]
                pub(crate) fn of(number: u32) -> Option<Self> {
                    [$(Self::$Name),+].into_iter().find(|member| member.number() == number)
                }

                fn group() -> NumberGroup {
                    number_group!($Group, [$($group_doc),+], $([stringify!($Name), [$($doc),*], $value]),+)
                }
            }
        )+
    };
}

/// Lists numbers that the core defines.
macro_rules! numbers_of_core {
    ($(
        $(#[doc = $group_doc:literal])+
        $Group:ident as $function:ident { $($(#[doc = $doc:literal])* $name:literal = $value:expr,)+ }
    )+) => {
        $(
            $(#[doc = $group_doc])+
            #[allow(dead_code, reason = "the table is read by examples/layout.rs")]
            fn $function() -> NumberGroup {
                number_group!($Group, [$($group_doc),+], $([$name, [$($doc),*], $value as u32]),+)
            }
        )+
    };
}

numbers_of_core! {
    /// How a value is stored. Kept in the entry's head.
    Kind as kinds {
        /// UTF-8 text; comes back as a string.
        "String" = kind::STRING,
        /// IEEE 754 double.
        "Number" = kind::NUMBER,
        /// Crosses as a number: 0 null, 1 false, 2 true; comes back as the value itself.
        "Simple" = kind::SIMPLE,
        /// A bigint of 64 bits, signed; comes back as a bigint.
        "BigInt64" = kind::BIGINT64,
        /// Any other bigint; crosses both ways as a string: optional minus, hexadecimal digits.
        "BigIntHex" = kind::BIGINT_HEX,
        /// Bytes that come back as a Buffer.
        "Buffer" = kind::BUFFER,
        /// Bytes that come back as a Uint8Array.
        "Uint8Array" = kind::UINT8_ARRAY,
        /// JSON text; crosses as a string.
        "Json" = kind::JSON,
        /// Bytes of `lib/codec/structured.ts`: what JSON would lose.
        "Structured" = STRUCTURED,
        /// It is known that the key has no value: a miss for every reader. Crosses as no bytes.
        "Absent" = kind::ABSENT,
        /// Text of `lib/codec/flat.ts`: a flat object.
        "Flat" = kind::FLAT,
        /// Fields with values. `get` does not read collections; see `RawCalls.collect`.
        "Hash" = kind::HASH,
        /// Items in order.
        "List" = kind::LIST,
        /// Members.
        "Set" = kind::SET,
        /// Members with scores.
        "SortedSet" = kind::SORTED_SET,
        /// Plus a codec's id, 1 to 100: bytes that this codec made.
        "Codec" = CODEC,
    }

    /// What is asked of a collection: `crates/core/src/collections/request.rs` describes each. From `Put` on they are
    /// changes.
    CollectionRequest as collection_requests {
        "Count" = Operation::Count,
        "Page" = Operation::Page,
        "Get" = Operation::Get,
        "Has" = Operation::Has,
        "Ttl" = Operation::Ttl,
        "Sample" = Operation::Sample,
        "Slice" = Operation::Slice,
        "IndexOf" = Operation::IndexOf,
        "Rank" = Operation::Rank,
        "ByScore" = Operation::ByScore,
        "CountByScore" = Operation::CountByScore,
        "Put" = Operation::Put,
        "Delete" = Operation::Delete,
        "Take" = Operation::Take,
        "Incr" = Operation::Incr,
        "Expire" = Operation::Expire,
        "TakeSample" = Operation::TakeSample,
        "Push" = Operation::Push,
        "Pop" = Operation::Pop,
        "SetAt" = Operation::SetAt,
        "Insert" = Operation::Insert,
        "Remove" = Operation::Remove,
        "Trim" = Operation::Trim,
        "Add" = Operation::Add,
        "IncrScore" = Operation::IncrScore,
        "DeleteByScore" = Operation::DeleteByScore,
    }

    /// The coordinated things that have permits or waiters.
    Keyspace as keyspaces {
        "Locks" = CoreKeyspace::Locks,
        "Semaphores" = CoreKeyspace::Semaphores,
        "Elections" = CoreKeyspace::Elections,
        "Events" = CoreKeyspace::Events,
        "Barriers" = CoreKeyspace::Barriers,
        "Conditions" = CoreKeyspace::Conditions,
    }

    /// What happened to an entry, or a message: an item of a watch or a subscription.
    What as changes {
        "Set" = CoreWhat::Set,
        "Delete" = CoreWhat::Delete,
        "Evict" = CoreWhat::Evict,
        "Expire" = CoreWhat::Expire,
        /// Tags were invalidated, or items were lost: what is known may be outdated.
        "Invalidate" = CoreWhat::Invalidate,
        /// All entries of the namespace are removed.
        "Clear" = CoreWhat::Clear,
        "Message" = CoreWhat::Message,
    }

    /// How a limiter counts.
    Algorithm as algorithms {
        "gcra" = CoreAlgorithm::Gcra,
        "sliding-window" = CoreAlgorithm::SlidingWindow,
        "fixed-window" = CoreAlgorithm::FixedWindow,
    }

    /// The type of a metric.
    MetricKind as metric_kinds {
        "Counter" = CoreMetricKind::Counter,
        "Gauge" = CoreMetricKind::Gauge,
        "Histogram" = CoreMetricKind::Histogram,
    }
}

/// Kinds that the core stores as bytes without knowing them.
const STRUCTURED: u8 = 9;
const CODEC: u8 = 100;

/// The limiter algorithms. Their numbers are the lower bits of `LimitInt::How`.
pub(crate) const ALGORITHMS: [CoreAlgorithm; 3] =
    [CoreAlgorithm::Gcra, CoreAlgorithm::SlidingWindow, CoreAlgorithm::FixedWindow];
/// The bits of `LimitInt::How` that hold an algorithm; the others hold a `Demand`.
pub(crate) const ALGORITHM_BITS: u32 = 3;

/// The keyspaces that have permits, or tickets of waiters.
pub(crate) const PERMIT_KEYSPACES: [CoreKeyspace; 6] = [
    CoreKeyspace::Locks,
    CoreKeyspace::Semaphores,
    CoreKeyspace::Elections,
    CoreKeyspace::Events,
    CoreKeyspace::Barriers,
    CoreKeyspace::Conditions,
];

numbers! {
    /// Bits of the `flags` argument of `get` and `getInto`.
    GetFlag {
        /// Neither count the read nor mark the entry as used.
        Peek = 1,
        /// Fill `MetaFloat`: version, age, remaining, size, stale and late.
        Meta = 2,
        /// Also take a value that is stale.
        Stale = 4,
        /// Also take a collection, as its bytes.
        Collections = 8,
    }

    /// Bits of the `flags` argument of `set`. The first three exclude each other.
    SetFlag {
        IfAbsent = 1,
        IfPresent = 2,
        /// Only if the entry's version equals the `version` argument.
        IfVersion = 4,
        /// Keep the deadline and the stale time of the entry that is replaced; without such an entry `ttl` applies.
        KeepTtl = 8,
        /// Keep the tags of the entry that is replaced.
        KeepTags = 16,
    }

    /// Statuses that the package treats in a way of their own. Those from 100 on never reach a user.
    Status {
        /// A plain miss.
        None = 0,
        /// `ERR_CLOSED`: the handle was closed.
        Closed = 7,
        /// The key's UTF-8 has U+FFFD: the caller's own, or a replaced lone surrogate. Only JavaScript can tell.
        SuspectKey = 101,
        /// The same for a text that is to be stored.
        SuspectText = 102,
        /// The lock of a region: this thread holds it already.
        HeldHere = 103,
    }

    /// What is asked of a limiter.
    Demand {
        /// Takes the tokens if all of them are available.
        Consume = 0,
        /// Takes nothing, and tells what `Consume` would do.
        Peek = 4,
        /// Takes the tokens, also where fewer are available.
        Penalty = 8,
        /// Gives tokens back.
        Reward = 12,
        /// Gives the key all its tokens.
        Reset = 16,
    }

    /// What is measured.
    Measure {
        /// Adds a finite number of at least 0 to a counter.
        Count = 0,
        /// Sets a gauge to any number.
        Set = 1,
        /// Adds a finite number to a gauge.
        Add = 2,
        /// Counts a finite number in a histogram.
        Observe = 3,
        /// Sets any metric back to 0.
        Reset = 4,
    }

    /// The subject of a call of the notifier.
    Notice {
        /// `ids`: waits for which an entry newer than asked for has come. They are over; nothing to cancel.
        Waits = 0,
        /// `ids`: [shard, index words dropped].
        Repaired = 1,
        /// `ids`: [shard, index words dropped].
        Damage = 2,
        /// The segment was destroyed, truncated or replaced under this handle.
        Detached = 3,
        /// `ids`: [number of removals without a key, then a `RemovalReason` for each of `keys`].
        Removed = 4,
        /// `ids`: record watches for which the awaited change has come. They are over; nothing to cancel.
        RecordWatches = 5,
        /// `ids`: streams that have items for `streamTake`. Notified once until `streamTake` gave less than asked for.
        Streams = 6,
        /// `ids`: [bytes of the segment before, bytes now]. Everything goes on.
        Resized = 7,
    }

    /// Why an entry was removed.
    RemovalReason {
        Evicted = 0,
        Expired = 1,
    }

    /// Of `BindingPermit.state` and `BindingTurn.state`.
    PermitState {
        Granted = 0,
        Waiting = 1,
        /// The request was refused, or the ticket is no longer valid.
        None = 2,
    }

    /// Of `BindingFlight.state`.
    FlightState {
        /// There is a fresh value.
        Fresh = 0,
        /// It is known that there is no value.
        Absent = 1,
        /// Another caller loads the value: wait for its flight.
        Joined = 2,
        /// The caller is to load the value.
        Begun = 3,
        /// In the background only: a load has just failed.
        Resting = 4,
    }

    /// The store result of a flight.
    FinishResult {
        /// Another caller has the flight: nothing was stored.
        Refused = 0,
        /// Something newer happened to the key, or there is no room.
        Dropped = 1,
        Kept = 2,
    }
}

impl From<CoreFinishResult> for FinishResult {
    fn from(result: CoreFinishResult) -> Self {
        match result {
            CoreFinishResult::Refused => Self::Refused,
            CoreFinishResult::Dropped => Self::Dropped,
            CoreFinishResult::Kept(_) => Self::Kept,
        }
    }
}

impl From<CoreRemovalReason> for RemovalReason {
    fn from(reason: CoreRemovalReason) -> Self {
        match reason {
            CoreRemovalReason::Expired => Self::Expired,
            CoreRemovalReason::Evicted => Self::Evicted,
        }
    }
}

/// All constants for TypeScript: name, docs, value.
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) const SIZES: &[(&str, &str, usize)] = &[
    ("META_BYTES", "Bytes of `meta`.", META_BYTES),
    ("SCRATCH_BYTES", "Bytes of `scratch`: larger values need `getInto`.", SCRATCH_BYTES),
    (
        "MAX_BATCH",
        "Maximum number of keys in one call for many: `scratch` gets a byte for the kind of each.",
        MAX_BATCH,
    ),
    ("ASK_ALONE", "In `scratch` after `getMany`, in place of a kind: call `get` for this key.", ASK_ALONE as usize),
    ("MAX_KEY", "Maximum length of a key in bytes.", MAX_KEY),
    ("MAX_TAGS", "Maximum number of tags of an entry.", MAX_TAGS),
    ("MAX_OUTCOME", "Maximum length in bytes of the outcome of a failed flight.", MAX_OUTCOME),
];

/// All groups of numbers for TypeScript.
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) fn number_groups() -> Vec<NumberGroup> {
    let mut statuses = Status::group();
    let docs = &[" The segment was destroyed or lost: open it again and repeat the call."];
    statuses.numbers.push(Number { name: "Detached", docs, value: CacheError::Detached.status() as u32 });
    statuses.numbers.sort_by_key(|number| number.value);
    vec![
        kinds(),
        GetFlag::group(),
        SetFlag::group(),
        statuses,
        algorithms(),
        Demand::group(),
        Measure::group(),
        metric_kinds(),
        Notice::group(),
        RemovalReason::group(),
        keyspaces(),
        collection_requests(),
        PermitState::group(),
        changes(),
        FlightState::group(),
        FinishResult::group(),
    ]
}

/// The error code of each status from 0 on. `None`: no error.
#[allow(dead_code, reason = "the table is read by examples/layout.rs")]
pub(crate) fn status_codes() -> Vec<Option<&'static str>> {
    let of_core = [
        CacheError::InvalidArgument(String::new()),
        CacheError::KeyTooLong(0),
        CacheError::ValueTooLarge { needed: 0, limit: 0 },
        CacheError::NotANumber,
        CacheError::Overflow,
        CacheError::NoSpace(String::new()),
        CacheError::Permission(String::new()),
        CacheError::Mismatch(String::new()),
        CacheError::Version { found: 0, expected: 0 },
        CacheError::Corrupt(String::new()),
        CacheError::InUse(0),
        CacheError::Busy(String::new()),
        CacheError::NoSegment(String::new()),
        CacheError::WrongType,
    ];
    // Errors of TypeScript, except for the first.
    let of_the_package = [
        (Status::Closed.number(), CLOSED_CODE),
        (2, "ERR_INVALID_TTL"),
        (15, "ERR_CODEC_MISMATCH"),
        (16, "ERR_TIMEOUT"),
        (17, "ERR_NATIVE_UNAVAILABLE"),
        (18, "ERR_UNDEFINED_VALUE"),
        (19, "ERR_UNSERIALIZABLE"),
        (20, "ERR_LOCK_LOST"),
        (22, "ERR_SNAPSHOT_FILE"),
        (23, "ERR_SNAPSHOT_CORRUPT"),
        (24, "ERR_SNAPSHOT_VERSION"),
        (25, "ERR_SNAPSHOT_SCOPE"),
        (26, "ERR_SNAPSHOT_INTERRUPTED"),
    ];
    let mut codes = vec![None; 1 + of_core.len() + of_the_package.len()];
    let all = of_core.map(|error| (error.status() as u32, error.code()));
    for (status, code) in all.into_iter().chain(of_the_package) {
        let before = codes[status as usize].replace(code);
        assert!(before.is_none(), "two errors have the status {status}");
    }
    codes
}
