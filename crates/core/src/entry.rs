//! An entry: a head of one unit, and a body of key and value in one or more runs of units.
//!
//! ```text
//! head   0  key length u16 · kind u8 · flags u8 · value length u32
//!        8  version (the shard's sequence when the value was written)
//!       16  deadline u48, milliseconds since boot, 0 never · namespace u16
//!       24  written at u48, milliseconds since boot · words before the key u16
//!       32  root epoch u32 · namespace epoch u32
//!       40  the body's run: first unit u32 · units u32;  CHAINED: first extent unit u32 · number of runs u32
//!       48  tag u32 · hash u32: its key's placing        derived, under the shard's lock
//!       56  newer entry u32 (top bits: queue) · older entry u32      derived, under the shard's lock
//! body      STALE: milliseconds u64 · TAGGED: tag clock u64, hashes of the tags u64 … · key, filled up to 8 bytes · value
//! extent    7 runs · next extent unit
//! ```
//!
//! All but the derived words never change once an index word names the head (but for the state of a limiter, see `limits`). Readers copy what they need, then check
//! that the word is unchanged; until then any field may be nonsense, so every number is checked before it is followed.

use crate::geometry::UNIT;
use crate::key::Placing;
use crate::policy::Queue;
use crate::shard::ShardView;
use cache_machine_shm::atomic::{AtomicU64, Ordering};

/// The value is ASCII, so it can come back as a one-byte string.
pub(crate) const ASCII: u8 = 1;
/// The body is in several runs.
pub(crate) const CHAINED: u8 = 2;
/// The key was given as bytes, not as a string.
pub(crate) const BINARY_KEY: u8 = 4;
/// The body starts with the time that the entry may be served as stale after its deadline.
pub(crate) const STALE: u8 = 8;
/// Then come the tag clock as it was when the value began to be made, and the tags.
pub(crate) const TAGGED: u8 = 16;

/// Most tags of one entry.
pub const MAX_TAGS: usize = 128;
const MAX_EXTRAS: usize = MAX_TAGS + 2;

/// No shard counts so far; what says more is damaged. A damaged sequence has as much again above it.
pub(crate) const LAST_VERSION: u64 = 1 << 53;

pub(crate) const RUNS_PER_EXTENT: usize = 7;
const RUN: usize = 40;
const PLACE: usize = 48;
const LINKS: usize = 56;
/// In the link to the newer entry; units have at most 28 bits.
const MAIN_QUEUE: u32 = 1 << 31;
const PINNED_QUEUE: u32 = 1 << 30;
const U48: u64 = (1 << 48) - 1;

/// The fields of a head that never change, as copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) key_len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) value_len: usize,
    pub(crate) version: u64,
    /// Milliseconds since boot; 0: never.
    pub(crate) deadline: u64,
    pub(crate) namespace: u16,
    pub(crate) written: u64,
    /// Words before the key.
    pub(crate) extras: usize,
    /// The epochs under which it was written: the root's, and above it the namespace's. See `namespaces::life`.
    pub(crate) life: u64,
    pub(crate) run: Run,
}

/// Consecutive units; or, for a chained body, the first extent and the number of runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) unit: u32,
    pub(crate) count: u32,
}

impl Run {
    pub(crate) fn word(self) -> u64 {
        u64::from(self.unit) | u64::from(self.count) << 32
    }

    pub(crate) fn of(word: u64) -> Self {
        Self { unit: word as u32, count: (word >> 32) as u32 }
    }
}

impl Head {
    /// Reads the head at a byte offset that lies in the space.
    #[inline]
    pub(crate) fn load(words: &[AtomicU64]) -> Self {
        let word = |at: usize| words[at / 8].load(Ordering::Relaxed); // checked by the caller's `recheck`, or the lock
        let first = word(0);
        Self {
            key_len: (first & 0xFFFF) as usize,
            kind: (first >> 16) as u8,
            flags: (first >> 24) as u8,
            value_len: (first >> 32) as usize,
            version: word(8),
            deadline: word(16) & U48,
            namespace: (word(16) >> 48) as u16,
            written: word(24) & U48,
            extras: (word(24) >> 48) as usize,
            life: word(32),
            run: Run::of(word(RUN)),
        }
    }

    /// Writes all but the derived words.
    pub(crate) fn store(&self, words: &[AtomicU64]) {
        let put = |at: usize, value: u64| words[at / 8].store(value, Ordering::Relaxed); // published by the index word
        put(
            0,
            self.key_len as u64
                | u64::from(self.kind) << 16
                | u64::from(self.flags) << 24
                | (self.value_len as u64) << 32,
        );
        put(8, self.version);
        put(16, self.deadline & U48 | u64::from(self.namespace) << 48);
        put(24, self.written & U48 | (self.extras as u64) << 48);
        put(32, self.life);
        put(RUN, self.run.word());
    }

    /// Changes the deadline of a published entry, in one store: only of the state of a limiter, and only to a later one.
    pub(crate) fn put_deadline(&self, words: &[AtomicU64], deadline: u64) {
        // Relaxed: guarded by the lock; whoever reads it without takes it whenever it sees it.
        words[2].store(deadline & U48 | u64::from(self.namespace) << 48, Ordering::Relaxed);
    }

    /// Bytes of the body.
    #[inline]
    pub(crate) fn body_len(&self) -> usize {
        self.value_at() + self.value_len
    }

    /// Where the key starts in the body.
    #[inline]
    pub(crate) fn key_at(&self) -> usize {
        self.extras * 8
    }

    /// Where the value starts in the body.
    #[inline]
    pub(crate) fn value_at(&self) -> usize {
        self.key_at() + self.key_len.next_multiple_of(8)
    }

    /// No longer to be served as fresh.
    #[inline]
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        self.deadline != 0 && now >= self.deadline
    }

    /// No longer to be served at all.
    pub(crate) fn is_over(&self, shard: ShardView<'_>, now: u64) -> Result<bool, Damaged> {
        if !self.is_expired(now) {
            return Ok(false);
        }
        Ok(self.flags & STALE == 0 || now - self.deadline >= self.stale_ms(shard)?)
    }

    /// How long it may be served as stale after its deadline.
    pub(crate) fn stale_ms(&self, shard: ShardView<'_>) -> Result<u64, Damaged> {
        if self.flags & STALE == 0 {
            return Ok(0);
        }
        let mut first = 0;
        self.each_extra(shard, 0, 1, |word| first = word)?;
        Ok(first)
    }

    /// Calls `each` with the tag clock of a tagged entry, then with its tags.
    pub(crate) fn each_tag(&self, shard: ShardView<'_>, each: impl FnMut(u64)) -> Result<(), Damaged> {
        let first = usize::from(self.flags & STALE != 0);
        if self.extras <= first || self.extras > MAX_EXTRAS {
            return Err(Damaged);
        }
        self.each_extra(shard, first, self.extras - first, each)
    }

    fn each_extra(
        &self,
        shard: ShardView<'_>,
        first: usize,
        count: usize,
        mut each: impl FnMut(u64),
    ) -> Result<(), Damaged> {
        pieces(shard, self, first * 8, count * 8, |offset, len| {
            // Runs are whole units, so a piece is whole words. Relaxed: as in `load`.
            shard.region.words(offset, len / 8).iter().for_each(|word| each(word.load(Ordering::Relaxed)));
        })
    }

    /// Whether the words before the key are those that its flags announce.
    pub(crate) fn has_sound_extras(&self) -> bool {
        let stale = usize::from(self.flags & STALE != 0);
        if self.flags & TAGGED == 0 { self.extras == stale } else { (stale + 1..=MAX_EXTRAS).contains(&self.extras) }
    }

    /// Units of head and body; extents are extra.
    pub(crate) fn units(&self) -> usize {
        1 + self.body_len().div_ceil(UNIT)
    }
}

/// The derived words of a head: where its key belongs, and its neighbours in the queue. Guarded by the shard's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    pub(crate) place: Placing,
    pub(crate) newer: u32,
    pub(crate) older: u32,
    pub(crate) queue: Queue,
}

impl Node {
    pub(crate) fn load(words: &[AtomicU64]) -> Self {
        let place = words[PLACE / 8].load(Ordering::Relaxed);
        let links = words[LINKS / 8].load(Ordering::Relaxed);
        Self {
            place: Placing { hash: (place >> 32) as u32, tag: place as u32 },
            newer: links as u32 & !(MAIN_QUEUE | PINNED_QUEUE),
            older: (links >> 32) as u32,
            queue: match links as u32 {
                bits if bits & PINNED_QUEUE != 0 => Queue::Pinned,
                bits if bits & MAIN_QUEUE != 0 => Queue::Main,
                _ => Queue::Small,
            },
        }
    }

    pub(crate) fn store(self, words: &[AtomicU64]) {
        words[PLACE / 8].store(u64::from(self.place.tag) | u64::from(self.place.hash) << 32, Ordering::Relaxed);
        let queue = match self.queue {
            Queue::Small => 0,
            Queue::Main => MAIN_QUEUE,
            Queue::Pinned => PINNED_QUEUE,
        };
        let newer = self.newer | queue;
        words[LINKS / 8].store(u64::from(newer) | u64::from(self.older) << 32, Ordering::Relaxed);
    }
}

/// What does not add up in an entry. Under the lock: damage. Without: perhaps only a change under the reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Damaged;

/// Calls `each` with the offset and length of every piece of `len` body bytes from `from` (a multiple of 8).
#[inline]
pub(crate) fn pieces(
    shard: ShardView<'_>,
    head: &Head,
    from: usize,
    len: usize,
    mut each: impl FnMut(usize, usize),
) -> Result<(), Damaged> {
    if head.flags & CHAINED == 0 {
        let start = shard.run_offset(head.run)?;
        if from + len > head.run.count as usize * UNIT {
            return Err(Damaged);
        }
        each(start + from, len);
        return Ok(());
    }
    if len == 0 {
        return Ok(());
    }
    let (mut skip, mut left) = (from, len);
    let walked = runs(shard, head, |run| {
        let start = shard.run_offset(run)?;
        let bytes = run.count as usize * UNIT;
        if skip >= bytes {
            skip -= bytes;
            return Ok(());
        }
        let piece = (bytes - skip).min(left);
        each(start + skip, piece);
        left -= piece;
        skip = 0;
        if left == 0 { Err(Stop::Enough) } else { Ok(()) }
    });
    if walked == Err(Stop::Enough) { Ok(()) } else { Err(Damaged) }
}

/// Why a walk along runs ended before the last one.
#[derive(PartialEq, Eq)]
enum Stop {
    Enough,
    Damaged,
}

impl From<Damaged> for Stop {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

/// Calls `each` with every run of the body; together they have no more units than the space, whatever the extents say.
pub(crate) fn runs<E: From<Damaged>>(
    shard: ShardView<'_>,
    head: &Head,
    mut each: impl FnMut(Run) -> Result<(), E>,
) -> Result<(), E> {
    if head.flags & CHAINED == 0 {
        return each(head.run);
    }
    let mut left = head.run.count as usize;
    let mut units = shard.geometry.units;
    extents(shard, head, |extent| {
        let words = shard.unit_words(extent)?;
        for word in words.iter().take(RUNS_PER_EXTENT.min(left)) {
            let run = Run::of(word.load(Ordering::Relaxed));
            if run.count == 0 || run.count as usize > units {
                return Err(Damaged.into());
            }
            units -= run.count as usize;
            each(run)?;
        }
        left = left.saturating_sub(RUNS_PER_EXTENT);
        Ok(())
    })
}

/// Calls `each` with every extent unit of a chained body; a bounded number, whatever the links say.
pub(crate) fn extents<E: From<Damaged>>(
    shard: ShardView<'_>,
    head: &Head,
    mut each: impl FnMut(u32) -> Result<(), E>,
) -> Result<(), E> {
    if head.flags & CHAINED == 0 {
        return Ok(());
    }
    let count = (head.run.count as usize).div_ceil(RUNS_PER_EXTENT);
    if count == 0 || count > shard.geometry.units {
        return Err(Damaged.into());
    }
    let mut extent = head.run.unit;
    for _ in 0..count {
        let next = shard.unit_words(extent)?[RUNS_PER_EXTENT].load(Ordering::Relaxed);
        each(extent)?;
        extent = next as u32;
    }
    Ok(())
}
