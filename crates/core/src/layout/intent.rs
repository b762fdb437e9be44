//! An intent: a unit that stands in for a key's entry while a transaction commits. The index word of the key names it.
//!
//! ```text
//! intent  0  0 u16 · MARK u8 · 0 u8 · home u32        an entry has a key length there, which is never 0
//!         8  number of the transaction u64
//!        16  old entry u32 · new entry u32            0: none
//! ```
//!
//! The *home* of a transaction is the first shard that it changes. That shard's `Count::Commit` is the number of its last
//! transaction, and whether that one was committed: one store there decides for the keys of all shards.
//!
//! Caution: a number may be nonsense until the index word was checked once more, as in an entry.

use crate::layout::entry::Head;
use crate::layout::geometry::UNIT_WORDS;
use cache_machine_shm::atomic::{AtomicU64, Ordering};

/// The kind of an intent. No entry has it.
const MARK: u8 = 0xFF;

/// An intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Intent {
    pub(crate) home: u32,
    pub(crate) transaction: u64,
    pub(crate) old: u32,
    pub(crate) new: u32,
}

impl Intent {
    /// Whether what was read as a head is an intent.
    #[inline]
    pub(crate) fn is_at(head: &Head) -> bool {
        head.key_len == 0 && head.kind == MARK
    }

    pub(crate) fn load(words: &[AtomicU64; UNIT_WORDS]) -> Self {
        let word = |at: usize| words[at].load(Ordering::Relaxed); // checked by the caller's `recheck`, or the lock
        let (first, entries) = (word(0), word(2));
        Self { home: (first >> 32) as u32, transaction: word(1), old: entries as u32, new: (entries >> 32) as u32 }
    }

    pub(crate) fn store(&self, words: &[AtomicU64; UNIT_WORDS]) {
        let put = |at: usize, value: u64| words[at].store(value, Ordering::Relaxed); // published by the index word
        put(0, u64::from(MARK) << 16 | u64::from(self.home) << 32);
        put(1, self.transaction);
        put(2, u64::from(self.old) | u64::from(self.new) << 32);
    }
}

/// The number of a home's last transaction, and whether that one was committed: the value of `Count::Commit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CommitWord(pub(crate) u64);

impl CommitWord {
    /// The transaction after this one, not yet committed.
    pub(crate) fn next(self) -> Self {
        Self((self.0 | 1).wrapping_add(1))
    }

    pub(crate) fn committed(self) -> Self {
        Self(self.0 | 1)
    }

    pub(crate) fn transaction(self) -> u64 {
        self.0 >> 1
    }

    pub(crate) fn is_committed(self) -> bool {
        self.0 & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transaction_has_a_number_of_its_own() {
        let first = CommitWord(0).next();
        assert!(!first.is_committed());
        assert_eq!(first.committed().transaction(), first.transaction());
        assert!(first.committed().is_committed());
        let (after_commit, after_death) = (first.committed().next(), first.next());
        assert_eq!(after_commit, after_death);
        assert_eq!(after_commit.transaction(), first.transaction() + 1);
    }
}
