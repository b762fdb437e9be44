//! A shard under its lock: the only file that changes more than one of its structures.
//!
//! Every change has one shape: take free units, write them, advance the sequence, store one index word, then put the
//! derived structures in order. A death before the word's store leaves nothing; after it, everything. What it leaves of
//! the derived structures is rebuilt by whoever takes the lock next. See docs/crash-safety.md.
//!
//! The thing to get wrong: doing something slow here. No callback, no allocation, no log line; one system call, the
//! reservation of space.

use crate::cache::{Core, deadline_of};
use crate::entry::{ASCII, BINARY_KEY, CHAINED, Damaged, Head, LAST_VERSION, MAX_TAGS, STALE, TAGGED, pieces};
use crate::error::CacheError;
use crate::geometry::{Eviction, RESERVATION_STEP, UNIT, WORDS_PER_LINE};
use crate::gone::{self, Reason};
use crate::key::{Key, Placing};
use crate::kind;
use crate::namespaces::{self, registered};
use crate::read::{Meta, Sink, fetch};
use crate::ring::What;
use crate::shard::{Count, Field, Position, ShardView, Tally, Visit};
use crate::space::worst_case;
use crate::spaces::{is_pinned, is_record};
use crate::tags::{self, Fate};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::bell::after_publish;
use cache_machine_shm::index;
use cache_machine_shm::lock;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::step;
use cache_machine_shm::{Listeners, ShmError};
use std::cell::Cell;

/// Why an operation under the lock ended early.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A structure contradicts itself: the shard must be rebuilt.
    Damaged,
    Error(CacheError),
}

impl From<Damaged> for Fault {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

impl From<CacheError> for Fault {
    fn from(error: CacheError) -> Self {
        Self::Error(error)
    }
}

/// When a write takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// In any case.
    Always,
    /// Only where there is no entry.
    Absent,
    /// Only over an entry.
    Present,
    /// Only over the entry of this version.
    Version(u64),
}

/// A value to be written.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Its bytes.
    pub value: &'a [u8],
    /// Its kind, kept and given back.
    pub kind: u8,
    /// The key was given as bytes.
    pub binary_key: bool,
    /// Milliseconds to live; 0: for ever.
    pub ttl_ms: u64,
    /// Milliseconds after that in which it may be served as stale.
    pub stale_ms: u64,
    /// Keep the deadline of the entry that is replaced, and its time as stale.
    pub keep_ttl: bool,
    /// Its tags, by `Core::tag`; `MAX_TAGS` at most.
    pub tags: &'a [u64],
    /// Keep the tags of the entry that is replaced, and since when it is safe from them.
    pub keep_tags: bool,
    /// The tag clock of when the value began to be made; `None`: now.
    pub made_at: Option<u64>,
    /// When.
    pub condition: Condition,
}

impl<'a> Write<'a> {
    /// A value of this kind, for ever, in any case, under a key that is a string.
    pub fn new(kind: u8, value: &'a [u8]) -> Self {
        Self {
            value,
            kind,
            binary_key: false,
            ttl_ms: 0,
            stale_ms: 0,
            keep_ttl: false,
            tags: &[],
            keep_tags: false,
            made_at: None,
            condition: Condition::Always,
        }
    }
}

/// All of an entry that is to be stored but its key.
struct New<'a> {
    value: &'a [u8],
    kind: u8,
    binary_key: bool,
    deadline: u64,
    stale_ms: u64,
    /// The tag clock, where there are tags.
    stamp: u64,
    tags: &'a [u64],
}

/// Free units with which each of the pinned records, of so many units in all, can be replaced by one of its size: the whole of
/// it at the worst, in single units, beside those that became chains of single units before. And the small record of a limiter.
fn spare_for(pinned: usize) -> usize {
    const LIMITER: usize = 8;
    pinned + pinned / 2 + LIMITER
}

/// The tags of an entry that is replaced, copied out of it.
struct KeptTags {
    stamp: u64,
    tags: [u64; MAX_TAGS],
    count: usize,
}

/// An entry found under the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Existing {
    pub(crate) at: Position,
    pub(crate) unit: u32,
    pub(crate) head: Head,
    /// Fresh: neither expired nor of an earlier life nor killed by a tag.
    pub(crate) live: bool,
}

/// Why an entry goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    Deleted,
    Evicted,
    Expired,
    Cleared,
}

impl Gone {
    /// What watchers hear of it; nothing where they have heard of the clear or the invalidation.
    fn told_as(self) -> Option<What> {
        match self {
            Self::Deleted => Some(What::Delete),
            Self::Evicted => Some(What::Evict),
            Self::Expired => Some(What::Expire),
            Self::Cleared => None,
        }
    }
}

/// The lock of one shard, held. Released on drop; a panic leaves it a suspect.
pub(crate) struct Locked<'a> {
    pub(crate) shard: ShardView<'a>,
    pub(crate) core: &'a Core,
    /// Read once under the lock, like `life` and `tag_clock`: whoever checks and stamps with different ones acknowledges
    /// nonsense.
    pub(crate) root_epoch: u32,
    /// The namespace of the operation, and its life.
    pub(crate) namespace: u16,
    pub(crate) life: u64,
    /// What a value is stamped with that begins to be made now.
    pub(crate) tag_clock: u64,
    /// Milliseconds since boot, 0: not asked for so far. Asked once: the clock costs as much as a search.
    pub(crate) now: Cell<u64>,
    /// Somebody in this process wants to know what is evicted or expires.
    pub(crate) notes_gone: bool,
    pub(crate) listeners: Listeners,
    /// Those of a second key, where one step changes two.
    pub(crate) more_listeners: Listeners,
    /// Something is new in the ring of changes.
    pub(crate) told: bool,
    /// Index words dropped by a rebuild under this lock; told after the unlock.
    pub(crate) repaired: Option<u32>,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let word = self.shard.field(Field::Lock);
        let member = self.core.segment.member();
        if std::thread::panicking() {
            lock::abandon(word, member);
            gone::forget();
            return;
        }
        lock::unlock(word, member);
        member.ring(self.listeners);
        member.ring(self.more_listeners);
        if self.told {
            member.ring_watchers(self.shard.index);
        }
        // Before anybody is told anything: a listener may change another cache, and this thread's notes are then that one's.
        let gone = self.notes_gone.then(gone::take);
        if let Some(dropped) = self.repaired {
            self.core.tell_repaired(self.shard.index, dropped);
        }
        if let Some(gone) = gone {
            self.core.notified.tell_gone(gone);
        }
    }
}

impl Locked<'_> {
    pub(crate) fn find(&self, key: &Key<'_>) -> Result<Option<Existing>, Damaged> {
        // Not handed through the search as its result: each copy on the way would wait for the one before.
        let mut found = None;
        let searched = self.shard.search(key, |at, word| match self.look(key, at, word) {
            Ok(None) => Visit::Other,
            Ok(existing) => {
                found = existing;
                Visit::Done(Ok(()))
            }
            Err(damaged) => Visit::Done(Err(damaged)),
        });
        searched.unwrap_or(Ok(())).map(|()| found)
    }

    /// The entry that a word names, if it is the key's.
    #[inline(always)]
    fn look(&self, key: &Key<'_>, at: Position, word: u64) -> Result<Option<Existing>, Damaged> {
        let unit = self.shard.unit_of(word);
        let head = self.shard.head(unit)?;
        if !self.shard.has_key(&head, key)? {
            return Ok(None);
        }
        let live = self.is_live(&head)?;
        Ok(Some(Existing { at, unit, head, live }))
    }

    fn find_live(&self, key: &Key<'_>) -> Result<Option<Existing>, Damaged> {
        Ok(self.find(key)?.filter(|e| e.live))
    }

    /// The present life of a namespace.
    pub(crate) fn life_of(&self, namespace: u16) -> u64 {
        if namespace == self.namespace {
            return self.life;
        }
        namespaces::life(self.shard.region, self.root_epoch, namespace)
    }

    /// A value, and one that is fresh.
    pub(crate) fn is_live(&self, head: &Head) -> Result<bool, Damaged> {
        Ok(head.kind != kind::ABSENT && self.is_current(head)?)
    }

    /// Neither expired nor of an earlier life nor killed by a tag.
    pub(crate) fn is_current(&self, head: &Head) -> Result<bool, Damaged> {
        let alive =
            head.life == self.life_of(head.namespace) && (head.deadline == 0 || !head.is_expired(self.now_ms()));
        Ok(alive && (head.flags & TAGGED == 0 || tags::fate(self.shard, head)? == Fate::Fresh))
    }

    /// The time of this change: all of it happens at once.
    pub(crate) fn now_ms(&self) -> u64 {
        if self.now.get() == 0 {
            self.now.set(self.core.now_ms());
        }
        self.now.get()
    }

    /// Writes a value. `None`: the condition did not hold, or there is no room and nothing may be evicted.
    pub(crate) fn set(&mut self, key: &Key<'_>, write: &Write<'_>) -> Result<Option<u64>, Fault> {
        let existing = self.find(key)?;
        let live = existing.filter(|e| e.live);
        if let Some(old) = existing {
            self.shard.prefetch_neighbours(old.unit);
        }
        let holds = match write.condition {
            Condition::Always => true,
            Condition::Absent => live.is_none(),
            Condition::Present => live.is_some(),
            Condition::Version(version) => live.is_some_and(|e| e.head.version == version),
        };
        if !holds {
            return Ok(None);
        }
        let existing = if self.outdate_flight(key)? { self.find(key)? } else { existing };
        self.set_found(key, existing, write)
    }

    /// `set` in any case, by whoever has looked already; `existing` is what `find` found.
    pub(crate) fn set_found(
        &mut self,
        key: &Key<'_>,
        existing: Option<Existing>,
        write: &Write<'_>,
    ) -> Result<Option<u64>, Fault> {
        let version = self.write(key, existing, write)?;
        let swept = self.sweep_now_and_then();
        self.settle(swept);
        Ok(version)
    }

    /// Writes whatever the condition; `existing` is what `find` found.
    fn write(&mut self, key: &Key<'_>, existing: Option<Existing>, write: &Write<'_>) -> Result<Option<u64>, Fault> {
        let live = existing.filter(|e| e.live);
        let (deadline, stale_ms) = match live {
            Some(e) if write.keep_ttl => (e.head.deadline, e.head.stale_ms(self.shard)?),
            _ => (deadline_of(write.ttl_ms, || self.now_ms()), if write.ttl_ms == 0 { 0 } else { write.stale_ms }),
        };
        let Write { value, kind, binary_key, tags, .. } = *write;
        // Not later than now: a value whose making began in a segment that is gone brings that one's clock.
        let stamp = write.made_at.map_or(self.tag_clock, |at| at.min(self.tag_clock));
        let new = New { value, kind, binary_key, deadline, stale_ms, stamp, tags };
        match live {
            Some(e) if write.keep_tags && e.head.flags & TAGGED != 0 => self.store_keeping_tags(key, e, &new),
            _ => self.store(key, existing, &new),
        }
    }

    #[cold]
    fn store_keeping_tags(&mut self, key: &Key<'_>, old: Existing, new: &New<'_>) -> Result<Option<u64>, Fault> {
        let mut kept = KeptTags { stamp: 0, tags: [0; MAX_TAGS], count: 0 };
        let mut words = 0;
        old.head.each_tag(self.shard, |word| {
            match words {
                0 => kept.stamp = word,
                _ if kept.count < MAX_TAGS => {
                    kept.tags[kept.count] = word;
                    kept.count += 1;
                }
                _ => {}
            }
            words += 1;
        })?;
        self.store(key, Some(old), &New { stamp: kept.stamp, tags: &kept.tags[..kept.count], ..*new })
    }

    fn store(&mut self, key: &Key<'_>, existing: Option<Existing>, new: &New<'_>) -> Result<Option<u64>, Fault> {
        let New { value, kind, tags, .. } = *new;
        let stale = usize::from(new.stale_ms != 0);
        let extras = stale + if tags.is_empty() { 0 } else { 1 + tags.len() };
        let body = (extras * 8 + key.bytes.len().next_multiple_of(8) + value.len()).div_ceil(UNIT);
        // One unit is kept back, so that `touch` finds one for a new head.
        let need = worst_case(body) + 1;
        let spare = self.spare_units(key, 1 + body, need, existing)?;
        if !self.make_room(need + spare, existing.map(|e| e.at))? {
            return Ok(None);
        }
        let placement = self.shard.take(body)?;
        step("set.taken");
        let version = self.shard.count(Count::Sequence).load(Ordering::Relaxed).saturating_add(1);
        if version > 2 * LAST_VERSION {
            return Err(Fault::Damaged);
        }
        let text = kind::is_text(kind);
        let flags = [
            (text && value.is_ascii(), ASCII),
            (placement.chained, CHAINED),
            (new.binary_key, BINARY_KEY),
            (stale != 0, STALE),
            (!tags.is_empty(), TAGGED),
        ];
        let head = Head {
            key_len: key.bytes.len(),
            kind,
            flags: flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag),
            value_len: value.len(),
            version,
            deadline: new.deadline,
            namespace: key.namespace,
            written: self.now_ms(),
            extras,
            life: self.life_of(key.namespace),
            run: placement.run,
        };
        head.store(self.shard.unit_words(placement.head)?);
        step("set.head");
        if extras != 0 {
            self.write_extras(&head, new)?;
        }
        self.write_body(&head, head.key_at(), key.bytes)?;
        step("set.key");
        self.write_body(&head, head.value_at(), value)?;
        step("set.value");
        self.shard.count(Count::Sequence).store(version, Ordering::Relaxed); // guarded by the lock
        step("set.sequence");
        match existing {
            Some(old) => self.replace(key, old, placement.head, &head),
            None => self.insert(key, placement.head, &head)?,
        }
        if !is_record(key.namespace) {
            self.shard.add_tally(key.namespace, Tally::Sets, 1);
        }
        self.listeners = self.core.segment.member().listeners(key.stripe());
        self.tell(What::Set, &head);
        Ok(Some(version))
    }

    /// Units that have to stay free behind a write of `need` units, so that a record that does not grow can always be changed:
    /// a lock that is given back is handed on at once, however full the shard is.
    #[inline]
    fn spare_units(
        &mut self,
        key: &Key<'_>,
        units: usize,
        need: usize,
        existing: Option<Existing>,
    ) -> Result<usize, CacheError> {
        // Where anything is evicted, all that pinned records leave is as good as free.
        let evicts = self.shard.geometry.eviction != Eviction::None;
        if evicts && !is_record(key.namespace) {
            return Ok(0);
        }
        let before = existing.map_or(0, |old| old.head.units());
        if is_record(key.namespace) && units <= before {
            return Ok(0); // what was spared is for this one
        }
        let mut pinned = self.shard.get(Field::PinnedUnits) as usize;
        if is_pinned(key.namespace) {
            let others = pinned.saturating_sub(before);
            self.admit_pinned(others + units, pinned + need)?;
            pinned = others + units;
        }
        Ok(if evicts { 0 } else { spare_for(pinned) })
    }

    /// Whether so many units may be pinned, and at most so many taken while it becomes so many.
    #[cold]
    fn admit_pinned(&mut self, pinned: usize, taken: usize) -> Result<(), CacheError> {
        // They leave room for the largest entry, its predecessor, and then some.
        let limit = self.shard.geometry.units / 4;
        if pinned > limit {
            let text = format!("locks, flights and metrics may take a quarter of a shard, {} bytes", limit * UNIT);
            return Err(CacheError::NoSpace(text));
        }
        // Evicting makes room only inside of what the file system gave.
        let wanted = taken + spare_for(pinned);
        loop {
            let reserved = self.shard.reserved() as usize;
            if reserved >= wanted {
                return Ok(());
            }
            if !self.reserve_more(wanted - reserved) {
                return Err(CacheError::NoSpace("the file system is full".into()));
            }
        }
    }

    #[cold]
    fn write_extras(&self, head: &Head, new: &New<'_>) -> Result<(), Damaged> {
        let stale = (new.stale_ms != 0).then_some(new.stale_ms);
        let stamp = (!new.tags.is_empty()).then_some(new.stamp);
        let mut words = stale.into_iter().chain(stamp).chain(new.tags.iter().copied());
        pieces(self.shard, head, 0, head.key_at(), |offset, len| {
            for slot in self.shard.region.words(offset, len / 8) {
                slot.store(words.next().unwrap_or(0), Ordering::Relaxed); // published by the index word
            }
        })?;
        step("set.extras");
        Ok(())
    }

    fn write_body(&self, head: &Head, from: usize, bytes: &[u8]) -> Result<(), Damaged> {
        let mut done = 0;
        pieces(self.shard, head, from, bytes.len(), |offset, len| {
            self.shard.region.copy_in(offset, &bytes[done..done + len]);
            step("set.bytes");
            done += len;
        })
    }

    fn insert(&mut self, key: &Key<'_>, unit: u32, head: &Head) -> Result<(), Fault> {
        let at = self.free_position(key)?;
        for line in self.path(key.place).take_while(|line| *line != at.line()) {
            self.count_overflow(line);
        }
        self.shard.touched(at).store(0, Ordering::Relaxed);
        step("set.placed");
        publish(self.shard.word(at), self.shard.low_word(unit, key.place.tag));
        step("set.published");
        let queue = self.shard.entry_queue(key.namespace, key.place);
        let queued = self.shard.enqueue(queue, unit, key.place, head.units());
        step("set.queued");
        self.shard.add(Field::Words, 1);
        self.count_in(head);
        self.settle(queued);
        Ok(())
    }

    fn replace(&mut self, key: &Key<'_>, old: Existing, unit: u32, head: &Head) {
        publish(self.shard.word(old.at), self.shard.low_word(unit, key.place.tag));
        step("replace.published");
        let replaced = self.forget_replaced(old, unit, head);
        self.settle(replaced);
    }

    fn forget_replaced(&self, old: Existing, unit: u32, head: &Head) -> Result<(), Damaged> {
        self.shard.requeue(old.unit, unit, old.head.units(), head.units())?;
        step("replace.queued");
        // One that is stale is renewed in time.
        if old.head.life == self.life_of(old.head.namespace)
            && old.head.deadline != 0
            && old.head.is_over(self.shard, self.now_ms())?
        {
            self.note_gone(&old.head, Gone::Expired);
        }
        self.count_out(&old.head);
        self.count_in(head);
        self.shard.free_entry(old.unit, &old.head)?;
        step("replace.freed");
        Ok(())
    }

    /// A change whose word is stored is done. If the rest failed, a rebuild puts it in order; the change must not run again.
    pub(crate) fn settle(&mut self, rest: Result<(), Damaged>) {
        if rest.is_err() {
            self.rebuild();
        }
    }

    fn count_in(&self, head: &Head) {
        let namespace = head.namespace;
        if !is_record(namespace) {
            if !self.shard.counts(head) {
                self.begin_life(namespace, head.life);
            }
            self.shard.add_tally(namespace, Tally::Entries, 1);
        }
        if head.deadline != 0 {
            self.shard.add(Field::Mortal, 1);
        }
    }

    fn count_out(&self, head: &Head) {
        let namespace = head.namespace;
        if self.shard.counts(head) {
            let entries = self.shard.tally(namespace, Tally::Entries).load(Ordering::Relaxed);
            self.shard.put_tally(namespace, Tally::Entries, entries.saturating_sub(1));
        }
        if head.deadline != 0 {
            self.shard.subtract(Field::Mortal, 1);
        }
    }

    /// Notices a `clear`: what was counted is gone, and is to be swept.
    fn begin_life(&self, namespace: u16, life: u64) {
        if self.shard.tally(namespace, Tally::Entries).load(Ordering::Relaxed) != 0 {
            self.shard.put(Field::Purge, self.shard.lines_in_use() as u32);
        }
        self.shard.count_anew(namespace, life);
        step("clear.followed");
    }

    /// Notices all clears and invalidations since the last time.
    fn follow(&mut self) {
        for namespace in 0..registered(self.shard.region) {
            let life = self.life_of(namespace);
            if self.shard.tally(namespace, Tally::Life).load(Ordering::Relaxed) != life {
                self.begin_life(namespace, life);
            }
        }
        if self.shard.get(Field::TagsSeen) != self.tag_clock as u32 {
            self.shard.put(Field::Purge, self.shard.lines_in_use() as u32);
            self.shard.put(Field::TagsSeen, self.tag_clock as u32);
            step("tag.followed");
        }
    }

    fn note_gone(&self, head: &Head, gone: Gone) {
        let (tally, reason) = match gone {
            Gone::Deleted => (Tally::Deletes, None),
            Gone::Evicted => (Tally::Evictions, Some(Reason::Evicted)),
            Gone::Expired => (Tally::Expirations, Some(Reason::Expired)),
            Gone::Cleared => return,
        };
        if head.kind == kind::ABSENT {
            return; // nobody set it
        }
        if is_record(head.namespace) {
            if gone == Gone::Evicted {
                self.shard.bump(Count::LimitsEvicted);
            }
            return;
        }
        self.shard.add_tally(head.namespace, tally, 1);
        if let (true, Some(reason)) = (self.notes_gone, reason) {
            gone::note(self.shard, head, reason);
        }
    }

    /// An empty word on the key's path. The index has more words than the space has entries, so one that is all full
    /// means a flood of keys for one line: then somebody of that line goes.
    fn free_position(&mut self, key: &Key<'_>) -> Result<Position, Fault> {
        let is_empty = |at: &Position| self.shard.unit_of(self.shard.word(*at).load(Ordering::Relaxed)) == 0;
        let found = self.path(key.place).flat_map(Position::of_line).find(is_empty);
        if let Some(at) = found {
            return Ok(at);
        }
        let own = key.place.line(self.core.geometry(), self.shard.level());
        let at = Position((own * WORDS_PER_LINE) as u32);
        let unit = self.shard.unit_of(self.shard.word(at).load(Ordering::Relaxed));
        self.evict(at, unit)?;
        Ok(at)
    }

    /// The lines where a key may be, while nobody divides the index.
    pub(crate) fn path(&self, place: Placing) -> impl Iterator<Item = usize> + '_ {
        place.path(self.core.geometry(), self.shard.level())
    }

    pub(crate) fn count_overflow(&self, line: usize) {
        if index::raise(self.shard.overflowed(line)) {
            step("set.overflow");
        }
    }

    fn uncount_overflow(&self, place: Placing, at: Position) {
        for line in self.path(place).take_while(|line| *line != at.line()) {
            self.uncount_overflow_of(line);
        }
    }

    pub(crate) fn uncount_overflow_of(&self, line: usize) {
        if index::lower(self.shard.overflowed(line)) {
            step("delete.overflow");
        }
    }

    /// Removes an entry. The store of its word is the commit; `Damaged` may be returned before it or after it.
    pub(crate) fn remove(&mut self, entry: Existing, gone: Gone) -> Result<(), Damaged> {
        let node = self.shard.node(entry.unit)?;
        publish(self.shard.word(entry.at), 0);
        step("delete.published");
        self.uncount_overflow(node.place, entry.at);
        self.shard.dequeue(entry.unit, entry.head.units())?;
        step("delete.dequeued");
        self.shard.subtract(Field::Words, 1);
        self.count_out(&entry.head);
        self.note_gone(&entry.head, gone);
        if let Some(what) = gone.told_as() {
            after_publish();
            self.tell(what, &entry.head);
        }
        self.shard.free_entry(entry.unit, &entry.head)?;
        step("delete.freed");
        Ok(())
    }

    /// Removes an entry for room. What is dead already is not evicted: it goes for what killed it.
    pub(crate) fn evict(&mut self, at: Position, unit: u32) -> Result<(), Damaged> {
        let head = self.shard.head(unit)?;
        let now = if head.deadline == 0 { 0 } else { self.core.now_ms() };
        let gone = self.why_dead(&head, now)?.unwrap_or(Gone::Evicted);
        self.remove(Existing { at, unit, head, live: false }, gone)
    }

    /// Deletes an entry for the user. A stale one goes as well, and was no entry to those who ask.
    pub(crate) fn delete_found(&mut self, entry: Existing) -> Result<(), Damaged> {
        let dead = if entry.live { None } else { self.why_dead(&entry.head, self.core.now_ms())? };
        self.remove_for_user(entry, dead.unwrap_or(Gone::Deleted))
    }

    /// Removes an entry for the user, who must be told the truth: `Damaged` means that it is still there.
    fn remove_for_user(&mut self, entry: Existing, gone: Gone) -> Result<(), Damaged> {
        let removed = self.remove(entry, gone);
        if self.shard.unit_of(self.shard.word(entry.at).load(Ordering::Relaxed)) != 0 {
            return removed;
        }
        self.settle(removed);
        Ok(())
    }

    /// Deletes the key's entry, if its version is `version` (0: any).
    pub(crate) fn delete(&mut self, key: &Key<'_>, version: u64) -> Result<bool, Fault> {
        let is_other = |entry: &Existing| entry.live && entry.head.version != version;
        if version != 0 && self.find(key)?.is_some_and(|entry| is_other(&entry)) {
            return Ok(false);
        }
        let _ = self.outdate_flight(key)?;
        let Some(existing) = self.find(key)? else {
            return Ok(false);
        };
        self.delete_found(existing)?;
        Ok(existing.live)
    }

    /// Hands the entry to `sink` and deletes it, unless the sink refuses its length.
    pub(crate) fn take<S: Sink>(&mut self, key: &Key<'_>, sink: &mut S) -> Result<Option<Meta>, Fault> {
        let Some(mut existing) = self.find_live(key)? else {
            return Ok(None);
        };
        let mut meta = Meta::EMPTY;
        fetch(self.shard, &existing.head, sink, &mut meta)?;
        if meta.copied {
            if self.outdate_flight(key)? {
                existing = self.find_live(key)?.ok_or(Fault::Damaged)?;
            }
            self.remove_for_user(existing, Gone::Deleted)?;
        }
        Ok(Some(meta))
    }

    /// Gives the entry a new deadline: a new head over the old body. The version stays, as the value does.
    pub(crate) fn touch(&mut self, key: &Key<'_>, ttl_ms: u64) -> Result<bool, Fault> {
        let Some(old) = self.find_live(key)? else {
            return Ok(false);
        };
        if self.shard.get(Field::Free) == 0 && !self.make_room(1, Some(old.at))? {
            return Err(CacheError::NoSpace("no unit is free for a new head".into()).into());
        }
        let unit = self.shard.take_head()?;
        step("touch.taken");
        let head = Head { deadline: deadline_of(ttl_ms, || self.now_ms()), ..old.head };
        head.store(self.shard.unit_words(unit)?);
        step("touch.head");
        publish(self.shard.word(old.at), self.shard.low_word(unit, key.place.tag));
        step("touch.published");
        let queued = self.shard.requeue(old.unit, unit, old.head.units(), head.units());
        self.count_out(&old.head);
        self.count_in(&head);
        self.shard.free_head(old.unit);
        step("touch.freed");
        self.settle(queued);
        Ok(true)
    }

    /// Adds `by` to the number under the key.
    pub(crate) fn incr(&mut self, key: &Key<'_>, by: f64, options: &Increment) -> Result<f64, Fault> {
        let existing = self.find(key)?;
        let live = existing.filter(|e| e.live);
        let start = live.map_or(Ok(options.init), |e| self.number(&e.head))?;
        let mut sum = start + by;
        if sum < options.min {
            sum = options.min;
        }
        if sum > options.max {
            sum = options.max;
        }
        if !sum.is_finite() || sum.abs() > MAX_SAFE_INTEGER {
            return Err(CacheError::Overflow.into());
        }
        let Increment { binary_key, ttl_ms, .. } = *options;
        let value = sum.to_le_bytes();
        let kept = Write { binary_key, ttl_ms, keep_ttl: true, keep_tags: true, ..Write::new(kind::NUMBER, &value) };
        let existing = if self.outdate_flight(key)? { self.find(key)? } else { existing };
        let stored = self.write(key, existing, &kept)?;
        match stored {
            Some(_) => Ok(sum),
            None => Err(CacheError::NoSpace("the shard is full and eviction is 'none'".into()).into()),
        }
    }

    fn number(&self, head: &Head) -> Result<f64, Fault> {
        if head.kind != kind::NUMBER || head.value_len != 8 {
            return Err(CacheError::NotANumber.into());
        }
        let mut bytes = [0; 8];
        pieces(self.shard, head, head.value_at(), 8, |offset, _| self.shard.region.copy_out(offset, &mut bytes))?;
        Ok(f64::from_le_bytes(bytes))
    }

    /// Makes sure that `need` units are free. False where nothing may be evicted.
    fn make_room(&mut self, need: usize, spared: Option<Position>) -> Result<bool, Fault> {
        let mut swept = 0;
        let mut followed = false;
        while (self.shard.get(Field::Free) as usize) < need {
            if self.reserve_more(need) {
                continue;
            }
            if !followed {
                self.follow();
                followed = true;
            }
            let lines = self.shard.lines_in_use();
            let dead_ones = self.shard.get(Field::Mortal) > 0 || self.shard.get(Field::Purge) > 0;
            let budget = if self.core.geometry().eviction == Eviction::None { lines } else { 8 };
            if dead_ones && swept < lines {
                swept += budget;
                self.sweep(budget, spared)?;
                if self.shard.get(Field::Free) as usize >= need {
                    break;
                }
            }
            if self.core.geometry().eviction == Eviction::None {
                return Ok(false);
            }
            match self.shard.victim(spared)? {
                Some((at, unit)) => self.evict(at, unit)?,
                None if (self.shard.get(Field::Reserved) as usize) < self.core.geometry().units => {
                    let text = "the file system is full and every entry of the shard was evicted";
                    return Err(CacheError::NoSpace(text.into()).into());
                }
                None => return Err(Fault::Damaged),
            }
        }
        Ok(true)
    }

    /// Reserves more of the shard's space, less where the file system has less.
    fn reserve_more(&mut self, need: usize) -> bool {
        let units = self.core.geometry().units;
        let reserved = (self.shard.get(Field::Reserved) as usize).min(units);
        if reserved == units || !self.core.may_reserve(self.shard.index) {
            return false;
        }
        let mut step_units = RESERVATION_STEP.max(need).min(units - reserved);
        while step_units >= 64.min(units - reserved) {
            let offset = self.core.geometry().space(self.shard.index) + reserved * UNIT;
            match self.core.segment.reserve(offset, step_units * UNIT) {
                Ok(()) => {
                    step("reserve.taken");
                    // Readers check against it: the bytes are there before it says so.
                    self.shard.field(Field::Reserved).store((reserved + step_units) as u32, Ordering::Release);
                    step("reserve.noted");
                    // Unit 0 is never free, also not where somebody wrote 0 over what was reserved.
                    self.shard.add(Field::Free, (reserved + step_units - reserved.max(1)) as u32);
                    return true;
                }
                Err(ShmError::NoSpace(_)) => step_units /= 2,
                Err(_) => break,
            }
        }
        self.core.reservation_failed(self.shard.index);
        false
    }

    fn sweep_now_and_then(&mut self) -> Result<(), Damaged> {
        const WRITES_PER_LINE: u32 = 8;
        let writes = self.shard.get(Field::Writes).wrapping_add(1);
        self.shard.put(Field::Writes, writes);
        if writes.is_multiple_of(WRITES_PER_LINE)
            && (self.shard.get(Field::Mortal) > 0 || self.shard.get(Field::Purge) > 0)
        {
            self.sweep(1, None)?;
        }
        Ok(())
    }

    /// Removes dead entries of the next `lines` lines, in the background; returns how many.
    pub(crate) fn sweep_all(&mut self, lines: usize) -> Result<usize, Damaged> {
        self.follow();
        self.sweep(lines, None)
    }

    /// Removes dead entries of the next `lines` lines; returns how many.
    pub(crate) fn sweep(&mut self, lines: usize, spared: Option<Position>) -> Result<usize, Damaged> {
        let total = self.shard.lines_in_use();
        let now = self.core.now_ms();
        let mut removed = 0;
        for _ in 0..lines {
            let number = self.shard.get(Field::SweepLine) as usize % total;
            let line = self.shard.line_in_use(number);
            for at in Position::of_line(line) {
                let unit = self.shard.unit_of(self.shard.word(at).load(Ordering::Relaxed));
                if unit == 0 || spared == Some(at) {
                    continue;
                }
                let head = self.shard.head(unit)?;
                let Some(gone) = self.why_dead(&head, now)? else {
                    continue;
                };
                self.remove(Existing { at, unit, head, live: false }, gone)?;
                removed += 1;
            }
            self.shard.put(Field::SweepLine, (number as u32 + 1) % total as u32);
            self.shard.subtract(Field::Purge, 1);
        }
        Ok(removed)
    }

    fn why_dead(&self, head: &Head, now: u64) -> Result<Option<Gone>, Damaged> {
        if head.life != self.life_of(head.namespace) {
            return Ok(Some(Gone::Cleared));
        }
        if head.is_over(self.shard, now)? {
            return Ok(Some(Gone::Expired));
        }
        let killed = head.flags & TAGGED != 0 && tags::fate(self.shard, head)? == Fate::Dead;
        Ok(killed.then_some(Gone::Cleared))
    }
}

/// Options of an increment.
#[derive(Clone, Copy, Debug)]
pub struct Increment {
    /// What a missing key counts as.
    pub init: f64,
    /// Milliseconds to live of a key that was missing; 0: for ever.
    pub ttl_ms: u64,
    /// The result is not less; `f64::NEG_INFINITY` for no limit.
    pub min: f64,
    /// The result is not more; `f64::INFINITY` for no limit.
    pub max: f64,
    /// The key was given as bytes.
    pub binary_key: bool,
}

const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
