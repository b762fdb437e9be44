//! Reads an entry without a lock: finds the index word, copies the entry, checks the word again.
//!
//! A reader never waits for a dead or a suspended process. It starts again only if *its* entry was replaced meanwhile.
//! After many such tries it also tries the lock, but it never sleeps on it.
//!
//! Caution: every field may be nonsense until the second check. So each number is checked, and a contradiction is
//! damage only if the word is unchanged.

use crate::attachment::attached::Attachment;
use crate::error::CacheError;
use crate::kind;
use crate::layout::entry::{Damaged, Head, TAGGED};
use crate::layout::key::Key;
use crate::shard::fate::{Fate, fate};
use crate::shard::index::{Position, Visit};
use crate::shard::values::{EntryMeta, NearDependencies, NoSink, Sink, fetch};
use crate::shard::view::ShardView;
use cache_machine_shm::ProcessCounter;
use cache_machine_shm::publish::recheck;

/// Tries without the lock before the lock is tried as well.
const PATIENCE: u32 = 1000;

/// Whether a read leaves traces, and which values it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadMode {
    /// The read is counted, and the entry is marked as used.
    Use,
    /// The read is not counted, and the entry is not marked.
    Peek,
    /// Like `Use`, and the read also takes a stale value.
    UseStale,
    /// Like `Peek`, and the read also takes a stale value.
    PeekStale,
    /// Like `Peek`, and the read also takes an entry that stands for no value: its kind is `ABSENT`.
    PeekAbsent,
}

impl ReadMode {
    #[inline]
    fn is_use(self) -> bool {
        matches!(self, Self::Use | Self::UseStale)
    }

    #[inline]
    fn takes_stale(self) -> bool {
        matches!(self, Self::UseStale | Self::PeekStale)
    }
}

/// A read under way: its key and its destination. It is one struct, so that the search passes one pointer.
struct Reading<'a, 'k, S> {
    attachment: &'a Attachment,
    shard: ShardView<'a>,
    key: &'a Key<'k>,
    life: u64,
    mode: ReadMode,
    tries: u32,
    /// The entry was read through an intent.
    is_pending: bool,
    sink: &'a mut S,
    meta: &'a mut EntryMeta,
}

/// The entry that a word with the key's tag names.
enum Seen {
    Other,
    Dead,
    Found,
}

impl<S: Sink> Reading<'_, '_, S> {
    /// Checks one word with a matching tag. `Done(true)`: the entry was found and copied.
    fn visit(&mut self, at: Position, word: u64) -> Visit<bool> {
        let seen = self.check(word);
        if recheck(self.shard.word(at), word).is_err() {
            self.tries += 1;
            if !self.tries.is_multiple_of(PATIENCE) {
                return Visit::Again;
            }
            // mutant: read-never-locks
            return self.look_under_lock().map_or(Visit::Again, Visit::Done);
        }
        match seen {
            Ok(Seen::Other) => Visit::Other,
            Ok(Seen::Dead) => Visit::Done(false),
            Ok(Seen::Found) => {
                if self.mode.is_use() {
                    self.shard.mark_used(at);
                }
                // A near copy would stay valid when the transaction commits.
                // mutant: near-copy-of-intent
                self.meta.depends.word_at = if self.is_pending { 0 } else { self.shard.word_offset(at) };
                self.meta.depends.generation = (word >> 32) as u32;
                Visit::Done(true)
            }
            Err(Damaged) => {
                self.attachment.note_damage(self.shard.index);
                Visit::Other
            }
        }
    }

    #[inline]
    fn check(&mut self, word: u64) -> Result<Seen, Damaged> {
        let unit = self.shard.unit_of(word);
        let mut head = self.shard.head(unit)?;
        self.is_pending = false;
        if !self.shard.has_key(&head, self.key)? {
            // A key has at least one byte, so an intent has none.
            if head.key_len != 0 || !self.looks_behind(unit, &mut head)? {
                return Ok(Seen::Other);
            }
        }
        if head.life != self.life {
            return Ok(Seen::Dead);
        }
        let expired = head.deadline != 0 && head.is_expired(self.attachment.now_ms());
        self.meta.stale = false;
        self.meta.depends.tag_clock = None;
        let special = expired || head.flags & TAGGED != 0 || head.kind == kind::ABSENT;
        if special && !self.is_acceptable(&head, expired)? {
            return Ok(Seen::Dead);
        }
        fetch(&self.shard, &head, self.sink, self.meta)?;
        Ok(Seen::Found)
    }

    /// Replaces the head of an intent by that of the entry behind it. False: that is not the key's, or there is none.
    #[cold]
    fn looks_behind(&mut self, unit: u32, head: &mut Head) -> Result<bool, Damaged> {
        self.is_pending = true;
        let Some(behind) = self.shard.head_behind(unit, *head)? else { return Ok(false) };
        *head = behind;
        self.shard.has_key(head, self.key)
    }

    /// Whether an entry is served that has expired, has tags or stands for no value. Notes whether it is stale.
    #[cold]
    fn is_acceptable(&mut self, head: &Head, expired: bool) -> Result<bool, Damaged> {
        if head.kind == kind::ABSENT && self.mode != ReadMode::PeekAbsent {
            return Ok(false);
        }
        let mut tags_say = Fate::Fresh;
        if head.flags & TAGGED != 0 {
            // The clock is loaded before the records: a near copy with a later clock would outlive its invalidation.
            self.meta.depends.tag_clock = Some(self.attachment.tag_clock());
            tags_say = fate(&self.shard, head)?;
        }
        self.meta.stale = expired || tags_say == Fate::Stale;
        if tags_say.is_dead() || (self.meta.stale && !self.mode.takes_stale()) {
            return Ok(false);
        }
        Ok(!expired || !head.is_over(&self.shard, self.attachment.now_ms())?)
    }

    /// Reads under the lock if it is free. The word changes faster than the entry can be copied, and the lock holds
    /// writers off for one read. `None`: the lock is not free, and the caller reads again without it.
    #[cold]
    fn look_under_lock(&mut self) -> Option<bool> {
        self.attachment.segment.member().count(ProcessCounter::Retries, 1);
        let shard = self.shard;
        let locked = self.attachment.try_locked(&shard)?;
        let Some(entry) = locked.find(self.key).ok()? else {
            return Some(false);
        };
        if entry.head.life != self.life
            || !self.is_acceptable(&entry.head, entry.head.is_expired(self.attachment.now_ms())).ok()?
        {
            return Some(false);
        }
        fetch(locked.shard, &entry.head, self.sink, self.meta).ok().map(|()| true)
    }
}

impl Attachment {
    /// Reads a key of a namespace into `sink`. `None` is a miss.
    #[inline]
    pub(crate) fn read<S: Sink>(
        &self,
        namespace: u16,
        key: &[u8],
        mode: ReadMode,
        sink: &mut S,
    ) -> Result<Option<EntryMeta>, CacheError> {
        let mut meta = EntryMeta::EMPTY;
        let found = self.read_to(namespace, key, mode, sink, &mut meta)?;
        Ok(found.then_some(meta))
    }

    /// Like `read`, with the metadata in `meta`: a result of this size would be copied on its way out. False is a miss.
    #[inline]
    pub(crate) fn read_to<S: Sink>(
        &self,
        namespace: u16,
        key: &[u8],
        mode: ReadMode,
        sink: &mut S,
        meta: &mut EntryMeta,
    ) -> Result<bool, CacheError> {
        let key = Key::new(self.geometry(), namespace, key)?;
        let life = self.life(namespace)?;
        let shard = self.shard(key.shard);
        meta.depends = NearDependencies { life, ..EntryMeta::EMPTY.depends };
        let mut reading =
            Reading { attachment: self, shard, key: &key, life, mode, tries: 0, is_pending: false, sink, meta };
        let found = shard.search(&key, |at, word| reading.visit(at, word)).unwrap_or(false);
        if !found {
            // The pages may just have been replaced by zeros, or the area left and released.
            self.check_current()?;
        }
        if mode.is_use() {
            self.count_read(namespace, found);
        }
        Ok(found)
    }

    /// The version of the key's entry.
    pub(crate) fn version_in(&self, namespace: u16, key: &[u8]) -> Result<Option<u64>, CacheError> {
        Ok(self.read(namespace, key, ReadMode::Peek, &mut NoSink)?.map(|meta| meta.version))
    }
}
