//! Reading without a lock: find the word, copy the entry, look at the word again.
//!
//! A reader never waits for a dead or a stopped process. It begins again only if *its* entry was replaced meanwhile;
//! after many such tries it alternates with a try of the lock, never asleep on it.
//!
//! The thing to get wrong: believing a field before the second look. Until then every number may be nonsense, so each is
//! checked, and a contradiction is only damage if the word has not changed.

use crate::cache::Core;
use crate::entry::{ASCII, Damaged, Head, pieces};
use crate::error::CacheError;
use crate::key::Key;
use crate::shard::{Position, ShardView, Visit};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::recheck;
use cache_machine_shm::{Counter, Region};

/// Lock-free tries before the lock is tried as well.
const PATIENCE: u32 = 1000;
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
    /// Milliseconds since it was written.
    pub age_ms: u64,
    /// Milliseconds until it expires.
    pub remaining_ms: Option<u64>,
    /// Bytes of the segment that it occupies.
    pub size: usize,
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

/// Fills a slice; refuses a value that is longer.
pub struct SliceSink<'a> {
    slice: &'a mut [u8],
    done: usize,
}

impl<'a> SliceSink<'a> {
    /// Into `slice`, from its start.
    pub fn new(slice: &'a mut [u8]) -> Self {
        Self { slice, done: 0 }
    }
}

impl Sink for SliceSink<'_> {
    fn begin(&mut self, _: u8, len: usize) -> bool {
        self.done = 0;
        len <= self.slice.len()
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
}

/// Copies the value of `head` into `sink`.
#[inline]
pub(crate) fn fetch<S: Sink>(shard: ShardView<'_>, head: &Head, sink: &mut S, core: &Core) -> Result<Meta, Damaged> {
    if head.value_len > core.geometry().units * crate::geometry::UNIT {
        return Err(Damaged);
    }
    let copied = sink.begin(head.kind, head.value_len);
    if copied {
        pieces(shard, head, head.value_at(), head.value_len, |offset, len| {
            sink.piece(shard.region, offset, len)
        })?;
    }
    Ok(Meta {
        kind: head.kind,
        ascii: head.flags & ASCII != 0,
        len: head.value_len,
        copied,
        version: head.version,
        age_ms: head.written,
        remaining_ms: (head.deadline != 0).then_some(head.deadline),
        size: head.units() * crate::geometry::UNIT,
    })
}

impl Meta {
    /// `fetch` notes points in time, so that only those who want durations pay for the clock.
    pub(crate) fn relative_to(self, now: u64) -> Self {
        Self {
            age_ms: now.saturating_sub(self.age_ms),
            remaining_ms: self.remaining_ms.map(|at| at.saturating_sub(now)),
            ..self
        }
    }
}

impl Core {
    /// Reads a key into `sink`. `None` is a miss. With `timed`, age and remaining time are filled in.
    ///
    /// # Errors
    /// A key that cannot be; `Detached` when the segment is gone.
    #[inline]
    pub fn get<S: Sink>(
        &self,
        key: &[u8],
        manner: Manner,
        timed: bool,
        sink: &mut S,
    ) -> Result<Option<Meta>, CacheError> {
        let key = Key::new(self.geometry(), key)?;
        let epoch = self.epoch()?;
        let found = self.lookup(&key, epoch, manner, sink);
        if manner == Manner::Use {
            self.segment.member().count(
                if found.is_some() {
                    Counter::Hits
                } else {
                    Counter::Misses
                },
                1,
            );
        }
        Ok(if timed {
            found.map(|meta| meta.relative_to(self.now_ms()))
        } else {
            found
        })
    }

    #[inline]
    fn lookup<S: Sink>(&self, key: &Key<'_>, epoch: u32, manner: Manner, sink: &mut S) -> Option<Meta> {
        let shard = self.shard(key.shard);
        let mut tries = 0;
        shard.search(key, |at, word| {
            let slot = shard.word(at);
            let seen = self.look(shard, key, epoch, word, sink);
            if recheck(slot, word).is_err() {
                tries += 1;
                if tries % PATIENCE != 0 {
                    return Visit::Again;
                }
                return self.look_under_lock(key, sink).map_or(Visit::Again, Visit::Done);
            }
            match seen {
                Ok(Look::Other) => Visit::Other,
                Ok(Look::Dead) => Visit::Done(None),
                Ok(Look::Found(meta)) => {
                    if manner == Manner::Use {
                        touch(shard, at);
                    }
                    Visit::Done(Some(meta))
                }
                Err(Damaged) => {
                    self.note_damage(shard.index);
                    Visit::Other
                }
            }
        })?
    }

    #[inline]
    fn look<S: Sink>(
        &self,
        shard: ShardView<'_>,
        key: &Key<'_>,
        epoch: u32,
        word: u64,
        sink: &mut S,
    ) -> Result<Look, Damaged> {
        let head = shard.head(shard.unit_of(word))?;
        if !shard.has_key(&head, key.bytes)? {
            return Ok(Look::Other);
        }
        if head.epoch != epoch || (head.deadline != 0 && head.is_expired(self.now_ms())) {
            return Ok(Look::Dead);
        }
        fetch(shard, &head, sink, self).map(Look::Found)
    }

    /// The word changes faster than the entry can be copied: if the lock happens to be free, hold the writers off for
    /// one look. `None`: it is not free, look again without it.
    #[cold]
    fn look_under_lock<S: Sink>(&self, key: &Key<'_>, sink: &mut S) -> Option<Option<Meta>> {
        self.segment.member().count(Counter::Retries, 1);
        let locked = self.try_locked(key.shard)?;
        let found = locked.find(key).ok()?.filter(|entry| entry.live);
        found
            .map(|entry| fetch(locked.shard, &entry.head, sink, self))
            .transpose()
            .ok()
    }

    /// Whether the key has an entry; leaves no traces.
    ///
    /// # Errors
    /// As for `get`.
    pub fn has(&self, key: &[u8]) -> Result<bool, CacheError> {
        Ok(self.get(key, Manner::Peek, false, &mut NoSink)?.is_some())
    }

    /// The version of the key's entry.
    ///
    /// # Errors
    /// As for `get`.
    pub fn version_of(&self, key: &[u8]) -> Result<Option<u64>, CacheError> {
        Ok(self
            .get(key, Manner::Peek, false, &mut NoSink)?
            .map(|meta| meta.version))
    }
}

enum Look {
    Other,
    Dead,
    Found(Meta),
}

#[inline]
fn touch(shard: ShardView<'_>, at: Position) {
    let touched = shard.touched(at);
    // Relaxed, and not one step: a hint to the policy. Stored only when it changes, so hot lines stay shared.
    let now = touched.load(Ordering::Relaxed);
    if now < MOST_TOUCHES {
        touched.store(now + 1, Ordering::Relaxed);
    }
}
