//! The words of a shard's control block, of its queues and of its tallies: names for offsets.

/// 32-bit words of the control block. All but the lock and `Reserved` are guarded by the lock.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Field {
    Lock = 0,
    /// Counts acquisitions of the lock, so that a waiter tells one from the next of the same process.
    Acquisitions = 4,
    /// 1 + the number of the home of the transaction with intents in this shard; 0: there are none.
    CommitHome = 24,
    /// Number of reserved units. Readers check unit numbers against it. It only grows.
    Reserved = 64,
    /// The unit at which the next search for free units starts.
    Cursor = 128,
    /// Free units among the reserved units.
    Free = 132,
    /// Lines that remain to be swept in the tag pass; 0: none is under way.
    TagLinesLeft = 136,
    /// Entries with a deadline.
    Mortal = 144,
    /// The next line to sweep.
    SweepLine = 148,
    /// Lines that remain to be swept, because a `clear` or an invalidation ended entries.
    Purge = 152,
    /// Counts writes, since every eighth write sweeps a line.
    Writes = 156,
    /// First unit of the run that was freed last. Its bytes are in the processor's cache, so it is taken first.
    WarmUnit = 160,
    WarmUnits = 164,
    SmallNewest = 192,
    SmallOldest = 196,
    SmallUnits = 200,
    MainNewest = 204,
    MainOldest = 208,
    MainUnits = 212,
    /// Total units of the entries that became ghosts.
    GhostClock = 216,
    PinnedNewest = 220,
    PinnedOldest = 224,
    PinnedUnits = 228,
    /// 1 if an eviction was needed since the shard was new or half empty.
    HasEvicted = 232,
    /// Index words in use. The index is divided when they fill more than half of it.
    Words = 236,
}

/// The part of the control block with its derived words, which a change copies into the journal before it changes one.
pub(crate) const DERIVED_AT: usize = Field::Cursor as usize;
pub(crate) const DERIVED_BYTES: usize = Field::Words as usize + 4 - DERIVED_AT;

/// Whether the 4 bytes at this offset of the control block are derived, so that a repair restores them. The others are hints,
/// or truth, or stats. `Purge` and `TagLinesLeft` count lines that are still to be swept, after the sweep of a line, so they are
/// never too low. The words of a tag pass are truth, and their order makes each of them safe.
#[inline(always)]
pub(crate) const fn is_derived(offset: usize) -> bool {
    const DERIVED: [usize; 17] = [
        Field::Free as usize,
        Field::Mortal as usize,
        Field::SweepLine as usize,
        Count::FirstEnd as usize,
        Count::FirstEnd as usize + 4,
        Count::FirstEndOfPass as usize,
        Count::FirstEndOfPass as usize + 4,
        Field::SmallNewest as usize,
        Field::SmallOldest as usize,
        Field::SmallUnits as usize,
        Field::MainNewest as usize,
        Field::MainOldest as usize,
        Field::MainUnits as usize,
        Field::PinnedNewest as usize,
        Field::PinnedOldest as usize,
        Field::PinnedUnits as usize,
        Field::Words as usize,
    ];
    /// A bit for each 4 bytes from `DERIVED_AT` on.
    const BITS: u32 = {
        let (mut bits, mut n) = (0, 0);
        while n < DERIVED.len() {
            bits |= 1 << ((DERIVED[n] - DERIVED_AT) / 4);
            n += 1;
        }
        bits
    };
    offset >= DERIVED_AT && offset < DERIVED_AT + DERIVED_BYTES && BITS >> ((offset - DERIVED_AT) / 4) & 1 == 1
}

/// 64-bit words of the control block.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Count {
    /// Truth: the source of versions. A rebuild replaces it only if it is out of range.
    Sequence = 8,
    /// Truth: the last transaction that has this shard as its home; see `layout::intent`.
    Commit = 16,
    /// The number of the transaction with intents in this shard, by its home; see `Field::CommitHome`.
    Transaction = 32,
    /// Derived: no entry with a deadline ends before this time. An entry ends at its deadline, or when its stale time
    /// after the deadline is over. It may be too early, since a removed entry leaves it as it is.
    FirstEnd = 168,
    /// Derived: the same, but only for the entries in the lines that the current pass over all lines has swept, and
    /// those that were stored during the pass. At its end it replaces `FirstEnd`.
    FirstEndOfPass = 176,
    Repairs = 256,
    Damaged = 264,
    /// States of limiters that were evicted before they expired.
    LimitsEvicted = 272,
    /// The tag clock up to which all entries were judged: none of them depends on a record of that clock or an earlier one.
    TagsJudged = 280,
    /// Number of tag records used when that pass began.
    TagsJudgedAt = 288,
    /// The tag clock at the beginning of the tag pass under way.
    TagsPass = 296,
    /// Number of tag records used at that time.
    TagsPassAt = 304,
    /// Entries that ended, or were not kept, because they could not be judged.
    TagsUnjudged = 312,
}

/// Counts of one namespace in one shard, in 64-bit words, guarded by the lock. A rebuild recomputes the first two and the
/// units. The others are stats: a process that dies may leave one event uncounted.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Tally {
    /// The life that `Entries` counts; see `namespaces::life`.
    Life = 0,
    /// Entries of that life.
    Entries = 8,
    Sets = 16,
    Deletes = 24,
    Evictions = 32,
    Expirations = 40,
    /// Derived: units of the entries of that life, u32; behind them `CLAIMED`.
    Units = 48,
    /// Entries evicted to make room for others than those of the namespace.
    EvictedForOthers = 56,
}

/// Offset from `Tally::Units` of the units that the namespace's maximum counts, u32: those of its entries, and those that
/// a change is about to store.
pub(crate) const CLAIMED: usize = 4;

/// A kind of queue. Victims come from the first two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum QueueKind {
    Small,
    Main,
    Pinned,
}

/// A queue of entries. Each class has its own small and main queue, and class 0 also has the pinned queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EvictionQueue {
    pub(crate) class: u8,
    pub(crate) kind: QueueKind,
}

/// A word of a queue: its offset in the words of the queue.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum QueueWord {
    Newest = 0,
    Oldest = 4,
    Units = 8,
}

/// Words of the queues of a class other than class 0, guarded by the shard's lock. All but the last are derived.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum ClassWord {
    SmallNewest = 0,
    SmallOldest = 4,
    SmallUnits = 8,
    MainNewest = 12,
    MainOldest = 16,
    MainUnits = 20,
    /// Units of the class when an eviction was needed last; 0: none was needed.
    FilledTo = 24,
    /// Entries evicted because the namespace had reached its maximum, u64.
    EvictedForSize = 32,
}

impl EvictionQueue {
    pub(crate) const PINNED: Self = Self { class: 0, kind: QueueKind::Pinned };

    pub(crate) fn small(class: u8) -> Self {
        Self { class, kind: QueueKind::Small }
    }

    pub(crate) fn main(class: u8) -> Self {
        Self { class, kind: QueueKind::Main }
    }

    /// Offset of the words of the queue: for class 0 in the control block, otherwise in the words of the class.
    #[inline]
    pub(crate) fn offset(self) -> usize {
        match (self.kind, self.class) {
            (QueueKind::Small, 0) => Field::SmallNewest as usize,
            (QueueKind::Main, 0) => Field::MainNewest as usize,
            (QueueKind::Pinned, _) => Field::PinnedNewest as usize,
            (QueueKind::Small, _) => ClassWord::SmallNewest as usize,
            (QueueKind::Main, _) => ClassWord::MainNewest as usize,
        }
    }

    /// The other queue of the class that has victims.
    pub(crate) fn other(self) -> Self {
        if self.kind == QueueKind::Small { Self::main(self.class) } else { Self::small(self.class) }
    }
}
