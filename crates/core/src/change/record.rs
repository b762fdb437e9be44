//! Changes a record: a few words that are read, changed and stored in one step.
//!
//! Promises: a change sees the record that the last change left. Its store of one index word is the commit, as for any
//! entry, so a death before it leaves the record as it was. No allocation happens under the lock: the buffers get room
//! for the largest record before the lock is taken.

use crate::change::find::Existing;
use crate::change::locked::{ChangeError, Locked};
use crate::change::set::{Condition, Write};
use crate::error::CacheError;
use crate::kind;
use crate::layout::control::Count;
use crate::layout::entry::Damaged;
use crate::layout::key::Key;
use crate::notices::listeners::NoticeHold;
use crate::shard::pieces::pieces;
use crate::shard::values::{EntryMeta, Sink, fetch};
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;
use std::cell::RefCell;

/// Maximum size of a record, in words of 8 bytes.
pub(crate) const MAX_WORDS: usize = 8192;

/// The outcome of a change of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RecordChange {
    /// The record stays as it is.
    Keep,
    /// The edited words are stored.
    Store {
        /// Milliseconds to live; 0: for ever.
        ttl_ms: u64,
    },
    /// The record is removed.
    Remove,
}

/// A record while it is changed.
pub(crate) struct Edit<'a> {
    /// The words of the record; empty if there is none. The change edits them in place.
    pub(crate) words: &'a mut Words,
    /// The version of the record if it is stored now: a number that the key's shard never gave before.
    pub(crate) version: u64,
    /// Milliseconds since boot.
    pub(crate) now: u64,
}

/// Words with room for the largest record, since no allocation may happen under a lock.
#[derive(Default)]
pub(crate) struct Words(pub(crate) Vec<u64>);

impl Words {
    /// Makes room for the largest record, before the lock is taken.
    fn prepare(&mut self) {
        self.0.reserve(MAX_WORDS.saturating_sub(self.0.len()));
    }

    /// Adds words at the end. False: the record would be too large.
    #[must_use = "a record has a largest size"]
    pub(crate) fn push(&mut self, words: &[u64]) -> bool {
        let fits = self.0.len() + words.len() <= MAX_WORDS;
        if fits {
            self.0.extend_from_slice(words);
        }
        fits
    }

    /// Removes the words of a range.
    pub(crate) fn remove(&mut self, range: std::ops::Range<usize>) {
        self.0.drain(range);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl std::ops::Deref for Words {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl std::ops::DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }
}

impl Sink for Words {
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.0.clear();
        let fits = kind == kind::RECORD && len.is_multiple_of(8) && len / 8 <= MAX_WORDS;
        if fits {
            self.0.reserve(len / 8);
        }
        fits
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        // Relaxed: a reader checks the index word after the copy, or holds the lock. A run has whole units, so a piece
        // has whole words.
        self.0.extend(region.words(offset, len / 8).iter().map(|word| word.load(Ordering::Relaxed)));
    }
}

/// A thread's buffers for a change of a record.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) words: Words,
    bytes: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Runs `f` with this thread's buffers, large enough for any record.
pub(crate) fn with_buffers<R>(f: impl FnOnce(&mut Buffers) -> R) -> R {
    // A listener that uses the cache needs the buffers as well.
    let _hold = NoticeHold::begin();
    BUFFERS.with_borrow_mut(|buffers| {
        buffers.words.prepare();
        buffers.bytes.clear();
        buffers.bytes.reserve(MAX_WORDS * 8);
        f(buffers)
    })
}

impl Locked<'_> {
    /// Changes a record in one step.
    pub(crate) fn change_record<R>(
        &mut self,
        key: &Key<'_>,
        buffers: &mut Buffers,
        change: &mut impl FnMut(&mut Edit<'_>) -> Result<(RecordChange, R), CacheError>,
    ) -> Result<R, ChangeError> {
        let existing = self.record_words(key, &mut buffers.words)?;
        // Relaxed: guarded by the lock.
        let version = self.shard.count(Count::Sequence).load(Ordering::Relaxed).saturating_add(1);
        let mut edit = Edit { words: &mut buffers.words, version, now: self.now_ms() };
        let (becomes, result) = change(&mut edit)?;
        match becomes {
            RecordChange::Keep => {}
            RecordChange::Store { ttl_ms } => {
                self.store_words(key, buffers, ttl_ms)?;
            }
            RecordChange::Remove => {
                if existing {
                    self.remove_record(key)?;
                }
            }
        }
        Ok(result)
    }

    /// Copies a record's words. False: there is no live entry. An entry that is no record, or too large for one, gives
    /// no words.
    pub(crate) fn record_words(&mut self, key: &Key<'_>, words: &mut Words) -> Result<bool, Damaged> {
        words.clear();
        let Some(existing) = self.find(key)?.filter(|existing| existing.live) else {
            return Ok(false);
        };
        let mut meta = EntryMeta::EMPTY;
        fetch(self.shard, &existing.head, words, &mut meta)?;
        if !meta.copied {
            words.clear();
        }
        Ok(true)
    }

    /// Stores the buffered words as the record.
    pub(crate) fn store_words(&mut self, key: &Key<'_>, buffers: &mut Buffers, ttl_ms: u64) -> Result<(), ChangeError> {
        let Buffers { words, bytes } = buffers;
        bytes.clear();
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        self.store_record(key, bytes, ttl_ms)
    }

    fn store_record(&mut self, key: &Key<'_>, bytes: &[u8], ttl_ms: u64) -> Result<(), ChangeError> {
        let write = Write { ttl_ms, condition: Condition::Always, ..Write::new(kind::RECORD, bytes) };
        match self.set(key, &write)? {
            Some(_) => Ok(()),
            None => Err(CacheError::NoSpace("the shard is full and eviction is 'none'".into()).into()),
        }
    }

    /// Changes one word of an entry's value in place, and its deadline to a later one. The store of that word is the
    /// commit.
    ///
    /// Caution: only for the state of a limiter. No process keeps a copy of a state, so its index word may stay.
    pub(crate) fn change_word(
        &self,
        existing: &Existing,
        index: usize,
        word: u64,
        deadline: u64,
    ) -> Result<(), Damaged> {
        let head = &existing.head;
        if deadline != head.deadline {
            // The deadline is stored before the word: after a death in between the state lives too long, but it has
            // drained all the same.
            head.put_deadline(self.shard.unit_words(existing.unit)?, deadline);
            step("limit.deadline");
        }
        pieces(self.shard, head, head.value_at() + index * 8, 8, |offset, _| {
            // Relaxed: the lock orders the next change, and a reader may see the old word or the new one.
            self.shard.region.u64(offset).store(word, Ordering::Relaxed);
            step("limit.changed");
        })
    }
}
