//! Records of coordination: a few words each, read without a lock, changed under their shard's lock in one step.
//!
//! Promises: a change sees the record that the last one left, and its store of one index word is the commit, as for any
//! entry. So whoever dies in between leaves the record as it was.
//!
//! The thing to get wrong: who is alive. To ask is a system call, and there is none under a shard's lock; so the dead are
//! looked for before, and the change is told who they are. What is dead stays dead: a slot's next owner has another
//! generation.

use crate::cache::Core;
use crate::entry::Damaged;
use crate::error::CacheError;
use crate::key::Key;
use crate::kind;
use crate::locked::{Condition, Fault, Locked, Write};
use crate::read::{Manner, Meta, Sink};
use crate::shard::Count;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::lock::{Owner, Parties};
use std::cell::RefCell;
use std::time::Duration;

/// Largest record, in words of 8 bytes.
pub(crate) const MAX_WORDS: usize = 8192;

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// It stays as it is.
    Keep,
    /// The words are its new ones; it expires after so many milliseconds, 0: never.
    Store {
        /// Milliseconds.
        ttl_ms: u64,
    },
    /// It goes.
    Remove,
}

/// A record while it is changed.
pub(crate) struct Edit<'a> {
    /// Its words; empty if there is none. To be changed in place.
    pub(crate) words: &'a mut Words,
    /// What a record that is stored now gets as its version: a number that the key's shard never gave before.
    pub(crate) version: u64,
    /// Milliseconds since boot.
    pub(crate) now: u64,
}

/// Words with room for the largest record: under a lock nothing is allocated.
#[derive(Default)]
pub(crate) struct Words(Vec<u64>);

impl Words {
    /// Room for the largest record, before the lock is taken.
    fn prepare(&mut self) {
        self.0.reserve(MAX_WORDS.saturating_sub(self.0.len()));
    }

    /// Adds words at the end. False where the record would be too large.
    #[must_use = "a record has a largest size"]
    pub(crate) fn push(&mut self, words: &[u64]) -> bool {
        let fits = self.0.len() + words.len() <= MAX_WORDS;
        if fits {
            self.0.extend_from_slice(words);
        }
        fits
    }

    /// Takes words out.
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
        // Relaxed: whoever copies looks at the index word again, or holds the lock. Runs are whole units, so pieces are whole words.
        self.0.extend(region.words(offset, len / 8).iter().map(|word| word.load(Ordering::Relaxed)));
    }
}

#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) words: Words,
    bytes: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

impl Core {
    /// The words of a record, copied without a lock. `None`: there is none.
    pub(crate) fn read_record(
        &self,
        namespace: u16,
        key: &[u8],
        words: &mut Words,
    ) -> Result<Option<Meta>, CacheError> {
        let found = self.read(namespace, key, Manner::Peek, words)?;
        Ok(found.filter(|meta| meta.copied))
    }

    /// Changes a record in one step. `change` may run twice, on the same record, where the shard had to be rebuilt.
    pub(crate) fn change_record<R>(
        &self,
        namespace: u16,
        key: &[u8],
        timeout: Duration,
        mut change: impl FnMut(&mut Edit<'_>) -> Result<(Change, R), CacheError>,
    ) -> Result<R, CacheError> {
        let key = Key::new(self.geometry(), namespace, key)?;
        with_buffers(|buffers| {
            self.try_change((key.shard, namespace), timeout, |locked| locked.change_record(&key, buffers, &mut change))
        })
    }

    /// Which of these owners are dead. A system call for each that may be alive; never under a lock.
    pub(crate) fn dead_of(&self, owners: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut asked: Vec<u32> = owners.collect();
        asked.sort_unstable();
        asked.dedup();
        asked.retain(|word| self.is_owner_dead(*word));
        asked
    }

    fn is_owner_dead(&self, word: u32) -> bool {
        let owner = Owner::of(word);
        owner.generation == 0 || self.segment.member().is_dead(owner)
    }

    /// This process, as records name it.
    pub(crate) fn owner_word(&self) -> u32 {
        self.segment.member().me().word()
    }
}

#[cfg(feature = "kill-steps")]
impl crate::Cache {
    /// The words of a record as they are; none if there is none. For tests.
    ///
    /// # Errors
    /// `Detached`.
    pub fn words_of(&self, space: crate::Space, key: &[u8]) -> Result<Vec<u64>, CacheError> {
        let mut words = Words::default();
        self.read_record(space.of(self.namespace()), key, &mut words)?;
        Ok(words.0)
    }
}

/// Runs `f` with this thread's buffers, large enough for any record.
pub(crate) fn with_buffers<R>(f: impl FnOnce(&mut Buffers) -> R) -> R {
    BUFFERS.with_borrow_mut(|buffers| {
        buffers.words.prepare();
        buffers.bytes.clear();
        buffers.bytes.reserve(MAX_WORDS * 8);
        f(buffers)
    })
}

impl Locked<'_> {
    fn change_record<R>(
        &mut self,
        key: &Key<'_>,
        buffers: &mut Buffers,
        change: &mut impl FnMut(&mut Edit<'_>) -> Result<(Change, R), CacheError>,
    ) -> Result<R, Fault> {
        let existing = self.record_words(key, &mut buffers.words)?;
        let version = self.shard.count(Count::Sequence).load(Ordering::Relaxed).saturating_add(1); // guarded by the lock
        let mut edit = Edit { words: &mut buffers.words, version, now: self.now_ms() };
        let (becomes, result) = change(&mut edit)?;
        match becomes {
            Change::Keep => {}
            Change::Store { ttl_ms } => {
                self.store_words(key, buffers, ttl_ms)?;
            }
            Change::Remove => {
                if existing {
                    self.remove_record(key)?;
                }
            }
        }
        Ok(result)
    }

    /// Copies a record's words; whether there is one. One that is no record, or too large to be, is none.
    pub(crate) fn record_words(&mut self, key: &Key<'_>, words: &mut Words) -> Result<bool, Damaged> {
        words.clear();
        let Some(existing) = self.find(key)?.filter(|existing| existing.live) else {
            return Ok(false);
        };
        let mut meta = Meta::EMPTY;
        crate::read::fetch(self.shard, &existing.head, words, &mut meta)?;
        if !meta.copied {
            words.clear();
        }
        Ok(true)
    }

    /// Stores the buffered words as the record.
    pub(crate) fn store_words(&mut self, key: &Key<'_>, buffers: &mut Buffers, ttl_ms: u64) -> Result<(), Fault> {
        let Buffers { words, bytes } = buffers;
        bytes.clear();
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        self.store_record(key, bytes, ttl_ms)
    }

    fn store_record(&mut self, key: &Key<'_>, bytes: &[u8], ttl_ms: u64) -> Result<(), Fault> {
        let write = Write { ttl_ms, condition: Condition::Always, ..Write::new(kind::RECORD, bytes) };
        match self.set(key, &write)? {
            Some(_) => Ok(()),
            None => Err(CacheError::NoSpace("the shard is full and eviction is 'none'".into()).into()),
        }
    }

    /// Removes a record, and tells those who listen to it.
    pub(crate) fn remove_record(&mut self, key: &Key<'_>) -> Result<(), Fault> {
        self.delete(key, 0)?;
        self.listeners = self.core.segment.member().listeners(key.stripe());
        Ok(())
    }
}
