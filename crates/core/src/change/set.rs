//! Writes a value: takes units, writes them, advances the sequence, stores one index word, then updates the derived
//! structures.
//!
//! Promises: nothing is written unless the condition holds. A death before the store of the index word leaves nothing
//! of the entry, a death after it leaves all of it.

use crate::change::counts::Replacement;
use crate::change::find::{Existing, RemovalCause};
use crate::change::locked::{ChangeError, Locked};
use crate::kind;
use crate::layout::control::{Count, EvictionQueue, Field, Tally};
use crate::layout::entry::{
    ASCII, BINARY_KEY, CHAINED, Damaged, Head, INVALID, LAST_VERSION, LATEST, OUTDATED, STALE, TAGGED,
};
use crate::layout::geometry::{UNIT, WORDS_PER_LINE};
use crate::layout::key::Key;
use crate::layout::keyspaces::is_record;
use crate::layout::messages::What;
use crate::layout::sizes::MAX_TAGS;
use crate::shard::allocator::Placement;
use crate::shard::fate::{Fate, fate, fate_of_new};
use crate::shard::index::Position;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::step;

/// The condition of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Write in any case.
    Always,
    /// Write only if there is no entry.
    Absent,
    /// Write only over an entry.
    Present,
    /// Write only over the entry of this version.
    Version(u64),
}

/// A value to be written.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The bytes of the value.
    pub value: &'a [u8],
    /// The kind of the value, which is stored and returned by reads.
    pub kind: u8,
    /// The key was given as bytes.
    pub binary_key: bool,
    /// Milliseconds to live; 0: for ever.
    pub ttl_ms: u64,
    /// Milliseconds after the deadline during which the value may be served as stale.
    pub stale_ms: u64,
    /// Keep the deadline and the stale time of the entry that is replaced.
    pub keep_ttl: bool,
    /// The tags of the value, by `Cache::tag`; at most `MAX_TAGS`.
    pub tags: &'a [u64],
    /// Keep the tags of the entry that is replaced, and the tag clock of its value.
    pub keep_tags: bool,
    /// The tag clock of the time when the value began to be made; `None`: now.
    pub made_at: Option<u64>,
    /// The condition of the write.
    pub condition: Condition,
}

impl<'a> Write<'a> {
    /// An unconditional write of a value of this kind, for ever, under a key that is a string.
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

/// An entry to be stored, without its key.
pub(crate) struct New<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) binary_key: bool,
    pub(crate) written: u64,
    pub(crate) deadline: u64,
    pub(crate) stale_ms: u64,
    /// The tag clock of the value, for an entry with tags.
    pub(crate) stamp: u64,
    pub(crate) tags: &'a [u64],
    /// Its state according to its tags.
    pub(crate) fate: Fate,
}

impl Write<'_> {
    /// Maximum units of the body under this key, in place of `existing`.
    pub(crate) fn most_units(&self, key: &Key<'_>, existing: Option<&Existing>) -> usize {
        let kept = existing.map_or(0, |old| old.head.extras);
        let extras = (2 + self.tags.len()).max(kept + 1);
        (extras * 8 + key.bytes.len().next_multiple_of(8) + self.value.len()).div_ceil(UNIT)
    }
}

impl<'a> New<'a> {
    /// Number of words before the key.
    #[inline(always)]
    fn extra_words(&self) -> usize {
        usize::from(self.stale_ms != 0) + if self.tags.is_empty() { 0 } else { 1 + self.tags.len() }
    }

    /// Units of the body under this key.
    #[inline(always)]
    pub(crate) fn body(&self, key: &Key<'_>) -> usize {
        (self.extra_words() * 8 + key.bytes.len().next_multiple_of(8) + self.value.len()).div_ceil(UNIT)
    }

    /// The words before the key.
    fn extras(&self) -> impl Iterator<Item = u64> + 'a {
        let stale = (self.stale_ms != 0).then_some(self.stale_ms);
        let stamp = (!self.tags.is_empty()).then_some(self.stamp);
        stale.into_iter().chain(stamp).chain(self.tags.iter().copied())
    }
}

/// A copy of the tags of an entry that is replaced.
pub(crate) struct KeptTags {
    stamp: u64,
    tags: [u64; MAX_TAGS],
    count: usize,
}

impl KeptTags {
    /// An entry with these tags. The entry that had them is fresh, so the new one is.
    pub(crate) fn of<'a>(&'a self, new: &New<'a>) -> New<'a> {
        New { stamp: self.stamp, tags: &self.tags[..self.count], fate: Fate::Fresh, ..*new }
    }
}

/// The deadline in `ttl_ms` milliseconds from now; 0: never.
pub(crate) fn deadline_of(ttl_ms: u64, now: impl FnOnce() -> u64) -> u64 {
    if ttl_ms == 0 { 0 } else { now().saturating_add(ttl_ms).min(LATEST) }
}

impl Locked<'_> {
    /// Writes a value. `None`: the condition did not hold, or there is no room and nothing may be evicted.
    pub(crate) fn set(&mut self, key: &Key<'_>, write: &Write<'_>) -> Result<Option<u64>, ChangeError> {
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

    /// Like `set` without a condition, for a caller that has already searched. `existing` is the result of `find`.
    pub(crate) fn set_found(
        &mut self,
        key: &Key<'_>,
        existing: Option<Existing>,
        write: &Write<'_>,
    ) -> Result<Option<u64>, ChangeError> {
        let version = self.write(key, existing, write)?;
        let swept = self.sweep_now_and_then();
        self.settle(swept);
        Ok(version)
    }

    /// Writes without a check of the condition. `existing` is the result of `find`.
    pub(crate) fn write(
        &mut self,
        key: &Key<'_>,
        existing: Option<Existing>,
        write: &Write<'_>,
    ) -> Result<Option<u64>, ChangeError> {
        let live = existing.filter(|e| e.live);
        let new = self.new_entry(live, write)?;
        match live {
            Some(e) if write.keep_tags && e.head.flags & TAGGED != 0 => self.store_keeping_tags(key, e, &new),
            _ => self.store(key, existing, &new),
        }
    }

    /// The entry that a write stores over `live`, with the tags of the write.
    #[inline(always)]
    pub(crate) fn new_entry<'w>(&self, live: Option<Existing>, write: &Write<'w>) -> Result<New<'w>, Damaged> {
        let (deadline, stale_ms) = match live {
            Some(e) if write.keep_ttl => (e.head.deadline, e.head.stale_ms(self.shard)?),
            _ => (deadline_of(write.ttl_ms, || self.now_ms()), if write.ttl_ms == 0 { 0 } else { write.stale_ms }),
        };
        let Write { value, kind, binary_key, tags, .. } = *write;
        // At most now: a value that began to be made in an earlier segment brings the clock of that segment.
        let stamp = write.made_at.map_or(self.tag_clock, |at| at.min(self.tag_clock));
        // A later sweep may already have passed its line, and reads what is noted now.
        // mutant: late-value-unjudged
        let fate =
            if tags.is_empty() || stamp >= self.tag_clock { Fate::Fresh } else { fate_of_new(self.shard, stamp, tags) };
        Ok(New { value, kind, binary_key, written: self.now_ms(), deadline, stale_ms, stamp, tags, fate })
    }

    #[cold]
    fn store_keeping_tags(&mut self, key: &Key<'_>, old: Existing, new: &New<'_>) -> Result<Option<u64>, ChangeError> {
        let kept = self.kept_tags(&old.head)?;
        self.store(key, Some(old), &kept.of(new))
    }

    /// The tags of a live entry.
    pub(crate) fn kept_tags(&self, head: &Head) -> Result<KeptTags, Damaged> {
        let mut kept = KeptTags { stamp: 0, tags: [0; MAX_TAGS], count: 0 };
        let mut words = 0;
        head.each_tag(self.shard, |word| {
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
        Ok(kept)
    }

    /// Stores an entry over `existing`, the result of `find`. `None`: there is no room and nothing may be evicted.
    pub(crate) fn store(
        &mut self,
        key: &Key<'_>,
        existing: Option<Existing>,
        new: &New<'_>,
    ) -> Result<Option<u64>, ChangeError> {
        let Some(placement) = self.take_units(key, new.body(key), existing)? else {
            return self.store_over_dead(key, existing, new);
        };
        step("set.taken");
        let head = self.head_of(key, placement, new);
        self.write_entry(key, placement.head, &head, new)?;
        let version = head.version;
        self.begin_life_of(&head);
        match existing {
            Some(old) => self.replace(key, old, placement.head, &head),
            None => {
                self.insert_into(key, placement.head, &head, None)?;
            }
        }
        if !is_record(key.namespace) {
            self.shard.add_tally(key.namespace, Tally::Sets, 1);
        }
        self.listeners = self.attachment.segment.member().listeners(key.stripe());
        self.notify_change(What::Set, &head);
        Ok(Some(version))
    }

    /// The head of an entry in the units that were taken for it. Not in a `Result`: it would be copied once more.
    #[inline(always)]
    pub(crate) fn head_of(&self, key: &Key<'_>, placement: Placement, new: &New<'_>) -> Head {
        let flags = [
            (kind::is_text(new.kind) && new.value.is_ascii(), ASCII),
            (placement.chained, CHAINED),
            (new.binary_key, BINARY_KEY),
            (new.stale_ms != 0, STALE),
            (!new.tags.is_empty(), TAGGED),
            (new.fate.is_dead(), INVALID),
            (new.fate == Fate::Stale, OUTDATED),
        ];
        Head {
            key_len: key.bytes.len(),
            kind: new.kind,
            flags: flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag),
            value_len: new.value.len(),
            version: self.shard.count(Count::Sequence).load(Ordering::Relaxed).saturating_add(1), // guarded by the lock
            deadline: new.deadline,
            namespace: key.namespace,
            written: new.written,
            extras: new.extra_words(),
            life: self.life_of(key.namespace),
            run: placement.run,
        }
    }

    /// Writes an entry into its units, and advances the sequence. No index word names it yet.
    #[inline(always)]
    pub(crate) fn write_entry(&self, key: &Key<'_>, unit: u32, head: &Head, new: &New<'_>) -> Result<(), Damaged> {
        if head.version > 2 * LAST_VERSION {
            return Err(Damaged);
        }
        self.shard.write_entry(unit, head, new.extras(), key.bytes, new.value)?;
        self.shard.count(Count::Sequence).store(head.version, Ordering::Relaxed); // guarded by the lock
        step("set.sequence");
        if new.fate.is_dead() {
            self.note_invalid(new.fate);
        }
        Ok(())
    }

    /// Notes that an entry is about to be stored that is invalid, so that it is swept, also after a death.
    #[cold]
    fn note_invalid(&self, fate: Fate) {
        self.shard.put(Field::Purge, self.shard.lines_in_use() as u32);
        if fate == Fate::Unjudged {
            self.shard.bump(Count::TagsUnjudged);
        }
    }

    /// Stores an entry for which there was no room: the dead entry of the key itself may be the last that makes room.
    #[cold]
    fn store_over_dead(
        &mut self,
        key: &Key<'_>,
        existing: Option<Existing>,
        new: &New<'_>,
    ) -> Result<Option<u64>, ChangeError> {
        let Some(old) = existing else { return Ok(None) };
        // The sweep for room spared the entry, but may have marked it as invalid.
        let old = Existing { head: self.shard.head(old.unit)?, ..old };
        let Some(cause) = self.why_dead(&old.head, self.now_ms())? else {
            return Ok(None);
        };
        self.remove(old, cause)?;
        self.store(key, None, new)
    }

    /// Publishes a new entry. `queue`: its queue; `None`: that of a new entry.
    #[inline(always)]
    pub(crate) fn insert_into(
        &mut self,
        key: &Key<'_>,
        unit: u32,
        head: &Head,
        queue: Option<EvictionQueue>,
    ) -> Result<Position, ChangeError> {
        let at = self.free_position(key)?;
        for line in self.path(key.place).take_while(|line| *line != at.line()) {
            // mutant: overflow-counted-late
            self.count_overflow(line);
        }
        self.shard.use_mark(at).store(0, Ordering::Relaxed);
        step("set.placed");
        self.shard.note_word(at);
        publish(self.shard.word(at), self.shard.low_word(unit, key.place.tag));
        step("set.published");
        let queue = queue.unwrap_or_else(|| self.shard.entry_queue(key.namespace, key.place));
        let queued = self.shard.enqueue(queue, unit, key.place, head.units());
        step("set.queued");
        self.shard.add(Field::Words, 1);
        self.count_in(head);
        self.count_units_in(head);
        self.settle(queued);
        Ok(at)
    }

    fn replace(&mut self, key: &Key<'_>, old: Existing, unit: u32, head: &Head) {
        let replacement = self.replacement(&old.head, head);
        self.count_units_replaced(head.namespace, replacement, false);
        self.shard.note_word(old.at);
        publish(self.shard.word(old.at), self.shard.low_word(unit, key.place.tag));
        step("replace.published");
        let replaced = self.forget_replaced(old, unit, head, replacement);
        self.settle(replaced);
    }

    fn forget_replaced(&self, old: Existing, unit: u32, head: &Head, replacement: Replacement) -> Result<(), Damaged> {
        self.shard.requeue(old.unit, unit, old.head.units(), head.units())?;
        step("replace.queued");
        // A stale entry is renewed in time, so it does not count as expired.
        if old.head.life == self.life_of(old.head.namespace)
            && old.head.deadline != 0
            && old.head.is_over(self.shard, self.now_ms())?
        {
            self.note_removal(&old.head, RemovalCause::Expired);
        }
        if !old.live && old.head.flags & TAGGED != 0 && fate(self.shard, &old.head)? == Fate::Unjudged {
            self.note_removal(&old.head, RemovalCause::Unjudged);
        }
        self.count_replaced(&old.head, head, replacement);
        self.count_units_replaced(head.namespace, replacement, true);
        self.shard.free_entry(old.unit, &old.head)?;
        step("replace.freed");
        Ok(())
    }

    /// An empty word on the key's path. The index has more words than the space has entries, so a path without an empty
    /// word means a flood of keys for one line. In that case an entry of that line is evicted.
    fn free_position(&mut self, key: &Key<'_>) -> Result<Position, ChangeError> {
        let is_empty = |at: &Position| self.shard.unit_of(self.shard.word(*at).load(Ordering::Relaxed)) == 0;
        let found = self.path(key.place).flat_map(Position::of_line).find(is_empty);
        if let Some(at) = found {
            return Ok(at);
        }
        // The change removes an entry before it stores one.
        self.shard.note_unsound();
        let own = key.place.line(self.shard.geometry, self.shard.level());
        let first = Position((own * WORDS_PER_LINE) as u32);
        let at = Position::of_line(own).find(|at| self.may_be_evicted_for(key.namespace, *at)).unwrap_or(first);
        let unit = self.shard.unit_of(self.shard.word(at).load(Ordering::Relaxed));
        self.evict(at, unit)?;
        Ok(at)
    }
}
