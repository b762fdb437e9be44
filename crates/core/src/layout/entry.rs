//! An entry: a head of one unit, and a body of key and value in one or more runs of units.
//!
//! ```text
//! head   0  key length u16 · kind u8 · flags u8 · value length u32
//!        8  version (the shard's sequence when the value was written)
//!       16  deadline u48, milliseconds since boot, 0 never · namespace u16
//!       24  written at u48, milliseconds since boot · words before the key u16
//!       32  root epoch u32 · namespace epoch u32
//!       40  the body's run: first unit u32 · units u32;  CHAINED: first extent unit u32 · number of runs u32
//!       48  tag u16 · class u16 · hash u32: its key's placing, its queue's class    derived, under the shard's lock
//!       56  newer entry u32 (top bits: queue) · older entry u32      derived, under the shard's lock
//! body      STALE: milliseconds u64 · TAGGED: tag clock u64, hashes of the tags u64 …
//!           key, filled up to 8 bytes · value
//! extent    7 runs · next extent unit
//! ```
//!
//! Once an index word names the head, only the derived words change, the flags OUTDATED and INVALID (see `Locked::mark`),
//! and the deadline of a limiter's state (see `Locked::change_word`). Readers copy the fields that they need, then check that the index word is unchanged. Until
//! that check any field may be nonsense, so every number is checked before it is followed.

use crate::layout::control::{EvictionQueue, QueueKind};
use crate::layout::geometry::{MAX_CLASSES, UNIT, UNIT_WORDS};
use crate::layout::key::Placing;
use crate::layout::sizes::MAX_TAGS;
use cache_machine_shm::atomic::{AtomicU64, Ordering};

/// The value is ASCII, so it can come back as a one-byte string.
pub(crate) const ASCII: u8 = 1;
/// The body is in several runs.
pub(crate) const CHAINED: u8 = 2;
/// The key was given as bytes, not as a string.
pub(crate) const BINARY_KEY: u8 = 4;
/// The body starts with the time during which the entry may be served as stale after its deadline.
pub(crate) const STALE: u8 = 8;
/// The tag clock of the time when the value began to be made, and the tags, precede the key.
pub(crate) const TAGGED: u8 = 16;
/// One of the tags was outdated after the value began to be made.
pub(crate) const OUTDATED: u8 = 32;
/// One of the tags was removed after the value began to be made, or perhaps was.
pub(crate) const INVALID: u8 = 64;

pub(crate) const MAX_EXTRAS: usize = MAX_TAGS + 2;

/// Maximum version. No shard counts so far, so a larger version is damage. A damaged sequence may still count up to
/// twice this number.
pub(crate) const LAST_VERSION: u64 = 1 << 53;

pub(crate) const RUNS_PER_EXTENT: usize = 7;
const RUN: usize = 40;
pub(crate) const PLACE: usize = 48;
pub(crate) const LINKS: usize = 56;
/// Bits in the link to the newer entry. They are free, since a unit number has at most 28 bits.
const MAIN_QUEUE: u32 = 1 << 31;
const PINNED_QUEUE: u32 = 1 << 30;
/// Bits of the tag in a placing; the class is above them.
const TAG: u32 = 0xFFFF;
const CLASS_SHIFT: u32 = 16;
const U48: u64 = (1 << 48) - 1;
/// Maximum deadline, in milliseconds since boot.
pub(crate) const LATEST: u64 = U48;

/// A copy of the fields of a head that never change.
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
    /// Number of 8-byte words before the key.
    pub(crate) extras: usize,
    /// The epochs under which the entry was written: the root's in the lower half, the namespace's in the upper. See
    /// `namespaces::life`.
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
    /// Reads a head from the words of its unit.
    #[inline]
    pub(crate) fn load(words: &[AtomicU64; UNIT_WORDS]) -> Self {
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
    pub(crate) fn store(&self, words: &[AtomicU64; UNIT_WORDS]) {
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

    /// Changes the deadline of a published entry in one store. Caution: only for the state of a limiter, and only to a
    /// later deadline.
    pub(crate) fn put_deadline(&self, words: &[AtomicU64; UNIT_WORDS], deadline: u64) {
        // Relaxed: guarded by the lock. A reader without the lock may see the old deadline or the new one.
        words[2].store(deadline & U48 | u64::from(self.namespace) << 48, Ordering::Relaxed);
    }

    /// Sets a flag of a published entry in one store. Caution: the caller publishes the index word again.
    pub(crate) fn put_flag(&self, words: &[AtomicU64; UNIT_WORDS], flag: u8) {
        let first = words[0].load(Ordering::Relaxed); // guarded by the lock
        words[0].store(first | u64::from(flag) << 24, Ordering::Relaxed); // published by the index word
    }

    /// Bytes of the body.
    #[inline]
    pub(crate) fn body_len(&self) -> usize {
        self.value_at() + self.value_len
    }

    /// Offset of the key in the body.
    #[inline]
    pub(crate) fn key_at(&self) -> usize {
        self.extras * 8
    }

    /// Offset of the value in the body.
    #[inline]
    pub(crate) fn value_at(&self) -> usize {
        self.key_at() + self.key_len.next_multiple_of(8)
    }

    /// Whether the entry may no longer be served as fresh.
    #[inline]
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        self.deadline != 0 && now >= self.deadline
    }

    /// Whether the number of words before the key is possible with its flags.
    pub(crate) fn has_sound_extras(&self) -> bool {
        let stale = usize::from(self.flags & STALE != 0);
        if self.flags & TAGGED == 0 { self.extras == stale } else { (stale + 1..=MAX_EXTRAS).contains(&self.extras) }
    }

    /// Units of head and body, without extents.
    pub(crate) fn units(&self) -> usize {
        1 + self.body_len().div_ceil(UNIT)
    }
}

/// The derived words of a head: the placing of its key, and its neighbours in the queue. Guarded by the shard's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    pub(crate) place: Placing,
    pub(crate) newer: u32,
    pub(crate) older: u32,
    pub(crate) queue: EvictionQueue,
}

impl Node {
    pub(crate) fn load(words: &[AtomicU64; UNIT_WORDS]) -> Self {
        let place = words[PLACE / 8].load(Ordering::Relaxed);
        let links = words[LINKS / 8].load(Ordering::Relaxed);
        let (newer, older) = Self::neighbours(words);
        let class = (place as u32 >> CLASS_SHIFT) as u8 % MAX_CLASSES as u8;
        Self {
            // A tag has at most 16 bits.
            place: Placing { hash: (place >> 32) as u32, tag: place as u32 & TAG },
            newer,
            older,
            queue: match links as u32 {
                bits if bits & PINNED_QUEUE != 0 => EvictionQueue::PINNED,
                bits if bits & MAIN_QUEUE != 0 => EvictionQueue::main(class),
                _ => EvictionQueue::small(class),
            },
        }
    }

    /// The newer and the older neighbour of a node.
    #[inline]
    pub(crate) fn neighbours(words: &[AtomicU64; UNIT_WORDS]) -> (u32, u32) {
        let links = words[LINKS / 8].load(Ordering::Relaxed); // guarded by the lock
        (links as u32 & !(MAIN_QUEUE | PINNED_QUEUE), (links >> 32) as u32)
    }

    /// The links with another newer entry. The queue stays.
    #[inline]
    pub(crate) fn with_newer(links: u64, newer: u32) -> u64 {
        let queue = links as u32 & (MAIN_QUEUE | PINNED_QUEUE);
        links & !u64::from(u32::MAX) | u64::from(newer | queue)
    }

    /// The links with another older entry.
    #[inline]
    pub(crate) fn with_older(links: u64, older: u32) -> u64 {
        u64::from(links as u32) | u64::from(older) << 32
    }

    pub(crate) fn store(self, words: &[AtomicU64; UNIT_WORDS]) {
        let low = self.place.tag | u32::from(self.queue.class) << CLASS_SHIFT;
        words[PLACE / 8].store(u64::from(low) | u64::from(self.place.hash) << 32, Ordering::Relaxed);
        let queue = match self.queue.kind {
            QueueKind::Small => 0,
            QueueKind::Main => MAIN_QUEUE,
            QueueKind::Pinned => PINNED_QUEUE,
        };
        let newer = self.newer | queue;
        words[LINKS / 8].store(u64::from(newer) | u64::from(self.older) << 32, Ordering::Relaxed);
    }
}

/// A contradiction in an entry. Under the lock it is damage. Without the lock the entry may only have changed under the
/// reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Damaged;
