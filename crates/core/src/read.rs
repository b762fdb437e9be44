//! Reading without a lock: find the word, copy the entry, look at the word again.
//!
//! A reader never waits for a dead or a stopped process. It begins again only if *its* entry was replaced meanwhile;
//! after many such tries it alternates with a try of the lock, never asleep on it.
//!
//! The thing to get wrong: believing a field before the second look. Until then every number may be nonsense, so each is
//! checked, and a contradiction is only damage if the word has not changed.

use crate::cache::Core;
use crate::entry::{ASCII, Damaged, Head, TAGGED, pieces};
use crate::error::CacheError;
use crate::geometry::UNIT;
use crate::key::Key;
use crate::kind;
use crate::namespaces;
use crate::shard::{Position, ShardView, Visit};
use crate::tags::{self, Fate};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::recheck;
use cache_machine_shm::{Counter, Region, populate};

/// Lock-free tries before the lock is tried as well.
const PATIENCE: u32 = 1000;
/// Allocated memory of this size or more mostly has no pages yet; what is smaller comes from memory that was in use before,
/// where to ask for pages costs more than it saves.
const FRESH_BYTES: usize = 128 << 10;
/// A touched byte counts to this; S3-FIFO asks for no more.
const MOST_TOUCHES: u8 = 3;

/// What is known of an entry that was read.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Kind of its value.
    pub kind: u8,
    /// The value is ASCII text.
    pub ascii: bool,
    /// Bytes of its value.
    pub len: usize,
    /// The sink took the bytes.
    pub copied: bool,
    /// Grows with every write of the key.
    pub version: u64,
    /// Milliseconds since boot at which it was written.
    pub written: u64,
    /// Milliseconds since boot at which it expires; 0: never.
    pub deadline: u64,
    /// Bytes of the segment that it occupies.
    pub size: usize,
    /// It has expired, or was outdated by a tag, and may still be served to those who take stale values.
    pub stale: bool,
    /// What a near copy of it depends on.
    pub depends: Depends,
}

/// The words on which a near copy depends, as they were loaded before the entry was read: it is valid while all of them are
/// unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Depends {
    /// Offset of the entry's index word in `Core::index_view`; 0: it must not be kept.
    pub word_at: usize,
    /// The word's upper half.
    pub generation: u32,
    /// The root's epoch, and above it the namespace's.
    pub life: u64,
    /// The tag clock, if the entry has tags. While it is odd nothing may be kept.
    pub tag_clock: Option<u64>,
}

/// Where a value's bytes go.
pub trait Sink {
    /// A value of `len` bytes and this kind is about to come; what came before is void. False: not wanted.
    fn begin(&mut self, kind: u8, len: usize) -> bool;
    /// The next `len` bytes, at `offset` of the region (a multiple of 8).
    fn piece(&mut self, region: &Region, offset: usize, len: usize);
}

impl Sink for Vec<u8> {
    fn begin(&mut self, _: u8, len: usize) -> bool {
        self.clear();
        self.reserve(len + 8);
        true
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        region.append_to(offset, len, self);
    }
}

/// Fills a slice with a value of bytes; refuses one that is longer, and every other kind.
pub struct SliceSink<'a> {
    slice: &'a mut [u8],
    done: usize,
}

impl<'a> SliceSink<'a> {
    /// Into `slice`, from its start.
    pub fn new(slice: &'a mut [u8]) -> Self {
        Self { slice, done: 0 }
    }

    /// The same, of memory that was just allocated and will be filled.
    pub fn into_fresh(slice: &'a mut [u8]) -> Self {
        if slice.len() >= FRESH_BYTES {
            populate(slice);
        }
        Self::new(slice)
    }
}

impl Sink for SliceSink<'_> {
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.done = 0;
        kind::is_bytes(kind) && len <= self.slice.len()
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        region.copy_out(offset, &mut self.slice[self.done..self.done + len]);
        self.done += len;
    }
}

/// Takes nothing: for those who only ask whether an entry is there.
pub struct NoSink;

impl Sink for NoSink {
    fn begin(&mut self, _: u8, _: usize) -> bool {
        false
    }

    fn piece(&mut self, _: &Region, _: usize, _: usize) {}
}

/// Whether a read leaves traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Counted, and the entry is marked as used.
    Use,
    /// Neither.
    Peek,
    /// Like `Use`, and a stale value is taken as well.
    UseStale,
    /// Like `Peek`, and a stale value is taken as well.
    PeekStale,
    /// Like `Peek`, and the knowledge that there is no value is taken as well: its kind is `ABSENT`.
    PeekAbsent,
}

impl Manner {
    #[inline]
    fn is_use(self) -> bool {
        matches!(self, Self::Use | Self::UseStale)
    }

    #[inline]
    fn takes_stale(self) -> bool {
        matches!(self, Self::UseStale | Self::PeekStale)
    }
}

impl Meta {
    /// To be filled by a read.
    pub const EMPTY: Self = Self {
        kind: 0,
        ascii: false,
        len: 0,
        copied: false,
        version: 0,
        written: 0,
        deadline: 0,
        size: 0,
        stale: false,
        depends: Depends { word_at: 0, generation: 0, life: 0, tag_clock: None },
    };

    /// Milliseconds since it was written.
    pub fn age_ms(&self, now: u64) -> u64 {
        now.saturating_sub(self.written)
    }

    /// Milliseconds until it expires.
    pub fn remaining_ms(&self, now: u64) -> Option<u64> {
        (self.deadline != 0).then(|| self.deadline.saturating_sub(now))
    }
}

/// Copies the value of `head` into `sink`, and what is known of it into `meta`.
#[inline]
pub(crate) fn fetch<S: Sink>(shard: ShardView<'_>, head: &Head, sink: &mut S, meta: &mut Meta) -> Result<(), Damaged> {
    if head.value_len > shard.geometry.units * UNIT {
        return Err(Damaged);
    }
    meta.copied = sink.begin(head.kind, head.value_len);
    if meta.copied {
        pieces(shard, head, head.value_at(), head.value_len, |offset, len| sink.piece(shard.region, offset, len))?;
    }
    meta.kind = head.kind;
    meta.ascii = head.flags & ASCII != 0;
    meta.len = head.value_len;
    meta.version = head.version;
    meta.written = head.written;
    meta.deadline = head.deadline;
    meta.size = head.units() * UNIT;
    Ok(())
}

/// A read under way: what is looked for, and where it goes. One struct, so that the search passes one pointer.
struct Reading<'a, 'k, S> {
    core: &'a Core,
    shard: ShardView<'a>,
    key: &'a Key<'k>,
    life: u64,
    manner: Manner,
    tries: u32,
    sink: &'a mut S,
    meta: &'a mut Meta,
}

enum Look {
    Other,
    Dead,
    Found,
}

impl<S: Sink> Reading<'_, '_, S> {
    /// Looks at one word whose tag matches. `Done(true)`: found, and copied.
    fn visit(&mut self, at: Position, word: u64) -> Visit<bool> {
        let seen = self.look(word);
        if recheck(self.shard.word(at), word).is_err() {
            self.tries += 1;
            if !self.tries.is_multiple_of(PATIENCE) {
                return Visit::Again;
            }
            return self.look_under_lock().map_or(Visit::Again, Visit::Done);
        }
        match seen {
            Ok(Look::Other) => Visit::Other,
            Ok(Look::Dead) => Visit::Done(false),
            Ok(Look::Found) => {
                if self.manner.is_use() {
                    touch(self.shard, at);
                }
                self.meta.depends.word_at = self.shard.word_offset(at);
                self.meta.depends.generation = (word >> 32) as u32;
                Visit::Done(true)
            }
            Err(Damaged) => {
                self.core.note_damage(self.shard.index);
                Visit::Other
            }
        }
    }

    #[inline]
    fn look(&mut self, word: u64) -> Result<Look, Damaged> {
        let head = self.shard.head(self.shard.unit_of(word))?;
        if !self.shard.has_key(&head, self.key)? {
            return Ok(Look::Other);
        }
        if head.life != self.life {
            return Ok(Look::Dead);
        }
        let expired = head.deadline != 0 && head.is_expired(self.core.now_ms());
        self.meta.stale = false;
        self.meta.depends.tag_clock = None;
        let special = expired || head.flags & TAGGED != 0 || head.kind == kind::ABSENT;
        if special && !self.is_acceptable(&head, expired)? {
            return Ok(Look::Dead);
        }
        fetch(self.shard, &head, self.sink, self.meta)?;
        Ok(Look::Found)
    }

    /// Whether an entry that has expired, has tags or stands for no value is to be served; notes whether as stale.
    #[cold]
    fn is_acceptable(&mut self, head: &Head, expired: bool) -> Result<bool, Damaged> {
        if head.kind == kind::ABSENT && self.manner != Manner::PeekAbsent {
            return Ok(false);
        }
        let mut fate = Fate::Fresh;
        if head.flags & TAGGED != 0 {
            // Before the records are looked at: a near copy that keeps a later clock outlives its invalidation.
            self.meta.depends.tag_clock = Some(self.core.tag_clock());
            fate = tags::fate(self.shard, head)?;
        }
        self.meta.stale = expired || fate == Fate::Stale;
        if fate == Fate::Dead || (self.meta.stale && !self.manner.takes_stale()) {
            return Ok(false);
        }
        Ok(!expired || !head.is_over(self.shard, self.core.now_ms())?)
    }

    /// The word changes faster than the entry can be copied: if the lock happens to be free, hold the writers off for
    /// one look. `None`: it is not free, look again without it.
    #[cold]
    fn look_under_lock(&mut self) -> Option<bool> {
        self.core.segment.member().count(Counter::Retries, 1);
        let locked = self.core.try_locked(self.shard.index)?;
        let Some(entry) = locked.find(self.key).ok()? else {
            return Some(false);
        };
        if entry.head.life != self.life
            || !self.is_acceptable(&entry.head, entry.head.is_expired(self.core.now_ms())).ok()?
        {
            return Some(false);
        }
        fetch(locked.shard, &entry.head, self.sink, self.meta).ok().map(|()| true)
    }
}

impl Core {
    /// Reads a key of a namespace into `sink`. `None` is a miss.
    #[inline]
    pub(crate) fn read<S: Sink>(
        &self,
        namespace: u16,
        key: &[u8],
        manner: Manner,
        sink: &mut S,
    ) -> Result<Option<Meta>, CacheError> {
        let mut meta = Meta::EMPTY;
        let found = self.read_to(namespace, key, manner, sink, &mut meta)?;
        Ok(found.then_some(meta))
    }

    /// The same into a `meta` that is there, since a result of its size is copied on its way out. False is a miss.
    #[inline]
    pub(crate) fn read_to<S: Sink>(
        &self,
        namespace: u16,
        key: &[u8],
        manner: Manner,
        sink: &mut S,
        meta: &mut Meta,
    ) -> Result<bool, CacheError> {
        let key = Key::new(self.geometry(), namespace, key)?;
        let life = namespaces::life(self.segment.region(), self.epoch()?, namespace);
        let shard = self.shard(key.shard);
        meta.depends = Depends { life, ..Meta::EMPTY.depends };
        let mut reading = Reading { core: self, shard, key: &key, life, manner, tries: 0, sink, meta };
        let found = shard.search(&key, |at, word| reading.visit(at, word)).unwrap_or(false);
        if !found {
            // The pages may just have been replaced by zeros.
            self.check_not_lost()?;
        }
        if manner.is_use() {
            self.count(namespace, found);
        }
        Ok(found)
    }

    /// The version of the key's entry.
    pub(crate) fn version_in(&self, namespace: u16, key: &[u8]) -> Result<Option<u64>, CacheError> {
        Ok(self.read(namespace, key, Manner::Peek, &mut NoSink)?.map(|meta| meta.version))
    }
}

/// Notes that an entry is used.
#[inline]
pub(crate) fn touch(shard: ShardView<'_>, at: Position) {
    let touched = shard.touched(at);
    // Relaxed, and not one step: a hint to the policy. Stored only when it changes, so hot lines stay shared.
    let now = touched.load(Ordering::Relaxed);
    if now < MOST_TOUCHES {
        touched.store(now + 1, Ordering::Relaxed);
    }
}
