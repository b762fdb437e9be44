//! Counts the entries of a shard, and the keys that overflowed from its lines.
//!
//! Some counts are derived, and a rebuild recomputes them. The others are stats.

use crate::change::find::RemovalCause;
use crate::change::locked::Locked;
use crate::kind;
use crate::layout::control::{Count, Field, Tally};
use crate::layout::entry::Head;
use crate::layout::key::Placing;
use crate::layout::keyspaces::{is_record, number};
use crate::layout::namespaces::registered;
use crate::notices::removals::{self, RemovalReason};
use crate::shard::index::Position;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::index;
use cache_machine_shm::steps::step;
use cache_machine_shm::tag_clock;

/// What a namespace counts of an entry, and of the one that replaces it.
#[derive(Clone, Copy)]
pub(crate) struct Replacement {
    counts_old: bool,
    counts_new: bool,
    /// Units that are counted for the old entry.
    before: u32,
    /// Units of the new one.
    after: u32,
}

impl Locked<'_> {
    /// Counts the units of an entry that is removed, before the store of its index word. After a death in between the
    /// namespace seems to use less than it does, never more: otherwise others could take its guaranteed room.
    #[inline]
    pub(crate) fn count_units_out(&self, head: &Head) {
        if self.shard.counts(head) {
            let (used, claimed) = self.shard.units_of_namespace(head.namespace);
            self.shard.put_units_of_namespace(head.namespace, used.saturating_sub(head.units() as u32), claimed);
        }
    }

    /// Ends the claim of an entry that was removed, after the store of its index word. Otherwise a write in another shard
    /// could take the namespace above its maximum.
    #[inline]
    pub(crate) fn unclaim_units(&self, head: &Head) {
        if self.shard.counts(head) {
            let (used, claimed) = self.shard.units_of_namespace(head.namespace);
            self.shard.put_units_of_namespace(head.namespace, used, claimed.saturating_sub(head.units() as u32));
        }
    }

    /// Counts the units of an entry that was stored, after the store of its index word: again never more than are used.
    #[inline]
    pub(crate) fn count_units_in(&self, head: &Head) {
        if self.shard.counts(head) {
            let used = self.shard.units_of_namespace(head.namespace).0.wrapping_add(head.units() as u32);
            self.shard.put_units_of_namespace(head.namespace, used, used);
        }
    }

    /// The same for a rebuild: what the namespace claims may be more, until all entries are counted.
    pub(crate) fn recount_units_in(&self, head: &Head) {
        let (used, claimed) = self.shard.units_of_namespace(head.namespace);
        let used = used.wrapping_add(head.units() as u32);
        self.shard.put_units_of_namespace(head.namespace, used, claimed.max(used));
    }

    /// What the namespace counts of an entry, and of the one that replaces it.
    #[inline]
    pub(crate) fn replacement(&self, old: &Head, new: &Head) -> Replacement {
        let (counts_old, counts_new) = (self.shard.counts(old), self.shard.counts(new));
        let before = if counts_old { old.units() as u32 } else { 0 };
        Replacement { counts_old, counts_new, before, after: new.units() as u32 }
    }

    /// Counts the units of an entry that replaces another one. `is_published`: its index word was stored. A smaller entry
    /// is counted before that store, a larger one after it.
    #[inline]
    pub(crate) fn count_units_replaced(&self, namespace: u16, replacement: Replacement, is_published: bool) {
        let Replacement { counts_new, before, after, .. } = replacement;
        if !counts_new || after >= before && !is_published {
            return;
        }
        let (used, claimed) = self.shard.units_of_namespace(namespace);
        let becomes = used.saturating_sub(before).wrapping_add(after);
        match (after < before, is_published) {
            (true, false) => self.shard.put_units_of_namespace(namespace, becomes, claimed),
            (true, true) => self.shard.put_units_of_namespace(namespace, used, used),
            (false, _) if becomes != used || claimed != used => {
                self.shard.put_units_of_namespace(namespace, becomes, becomes);
            }
            (false, _) => {}
        }
    }

    /// Begins the life of an entry that is about to be stored, before the change counts anything. Otherwise a repair would
    /// restore counts of the life before.
    #[inline]
    pub(crate) fn begin_life_of(&self, head: &Head) {
        // mutant: life-begun-late
        if !is_record(head.namespace) && !self.shard.counts(head) {
            self.begin_life(head.namespace, head.life);
        }
    }

    /// Counts an entry that was stored.
    pub(crate) fn count_in(&self, head: &Head) {
        if self.shard.counts(head) {
            self.shard.add_tally(head.namespace, Tally::Entries, 1);
        }
        if head.deadline != 0 {
            self.note_end(head, self.shard.get(Field::Mortal) == 0);
            self.shard.add(Field::Mortal, 1);
        }
    }

    /// Counts an entry that was replaced or removed.
    pub(crate) fn count_out(&self, head: &Head) {
        let namespace = head.namespace;
        if self.shard.counts(head) {
            let entries = self.shard.tally(namespace, Tally::Entries).load(Ordering::Relaxed);
            self.shard.put_tally(namespace, Tally::Entries, entries.saturating_sub(1));
        }
        if head.deadline != 0 {
            self.shard.subtract(Field::Mortal, 1);
        }
    }

    /// Counts an entry that was replaced by another. Where both count, no count changes, and none needs a note.
    #[inline]
    pub(crate) fn count_replaced(&self, old: &Head, new: &Head, replacement: Replacement) {
        if replacement.counts_old && replacement.counts_new && (old.deadline == 0 || new.deadline != 0) {
            if new.deadline != 0 {
                let others = self.shard.get(Field::Mortal).saturating_sub(u32::from(old.deadline != 0));
                self.note_end(new, others == 0);
                self.shard.put(Field::Mortal, others.wrapping_add(1));
            }
        } else {
            self.count_out(old);
            self.count_in(new);
        }
    }

    /// Lowers the times of the first end for an entry with a deadline. `is_only`: no other entry has one.
    pub(crate) fn note_end(&self, head: &Head, is_only: bool) {
        let end = head.end(self.shard);
        for first in [Count::FirstEnd, Count::FirstEndOfPass] {
            // mutant: first-end-not-lowered
            if is_only || end < self.shard.count(first).load(Ordering::Relaxed) {
                self.shard.put_count(first, end);
            }
        }
    }

    /// Follows a `clear`: the entries counted so far are dead, and the lines are to be swept.
    pub(crate) fn begin_life(&self, namespace: u16, life: u64) {
        if self.shard.tally(namespace, Tally::Entries).load(Ordering::Relaxed) != 0 {
            self.shard.put(Field::Purge, self.shard.lines_in_use() as u32);
        }
        self.shard.count_anew(namespace, life);
        step("clear.followed");
    }

    /// Follows all clears and invalidations since the last call.
    pub(crate) fn follow(&mut self) {
        for namespace in 0..registered(self.shard.region) {
            let life = self.life_of(namespace);
            if self.shard.tally(namespace, Tally::Life).load(Ordering::Relaxed) != life {
                self.begin_life(namespace, life);
                self.shard.forget_notes();
            }
        }
        if self.shard.tags_judged() > self.tag_clock {
            // Damage: a pass notes a clock that has been. Without this, no entry of the shard would be judged any more.
            tag_clock::note_judged(self.shard.count(Count::TagsJudged), 0);
            self.shard.put_count(Count::TagsJudgedAt, 0);
        }
        let is_behind = self.shard.tags_judged() < tag_clock::ended_at(self.tag_clock);
        if is_behind && self.shard.get(Field::TagLinesLeft) == 0 {
            self.begin_tag_pass();
        }
        self.shard.forget_notes();
    }

    /// Counts a removal, and notes the key if listeners want removals.
    pub(crate) fn note_removal(&self, head: &Head, cause: RemovalCause) {
        let (tally, reason) = match cause {
            RemovalCause::Deleted => (Tally::Deletes, None),
            RemovalCause::Evicted => (Tally::Evictions, Some(RemovalReason::Evicted)),
            RemovalCause::Expired => (Tally::Expirations, Some(RemovalReason::Expired)),
            RemovalCause::Cleared => return,
            RemovalCause::Unjudged => {
                self.shard.bump(Count::TagsUnjudged);
                return;
            }
        };
        if head.kind == kind::ABSENT {
            return; // no user set it
        }
        if is_record(head.namespace) {
            if cause == RemovalCause::Evicted {
                self.shard.bump(Count::LimitsEvicted);
            }
            return;
        }
        self.shard.add_tally(head.namespace, tally, 1);
        if cause == RemovalCause::Evicted && number(head.namespace) != number(self.namespace) {
            self.shard.add_tally(head.namespace, Tally::EvictedForOthers, 1);
        }
        if let (true, Some(reason)) = (self.notes_removals, reason) {
            removals::note(self.shard, head, reason);
        }
    }

    /// The lines where a key may be, at the current level.
    pub(crate) fn path(&self, place: Placing) -> impl Iterator<Item = usize> + '_ {
        place.path(self.shard.geometry, self.shard.level())
    }

    /// Counts a key that went past a line.
    pub(crate) fn count_overflow(&self, line: usize) {
        self.shard.note_overflow(line, true);
        if index::raise(self.shard.overflowed(line)) {
            step("set.overflow");
        }
    }

    /// Lowers the counts of the lines before an entry's line on its path.
    pub(crate) fn uncount_overflow(&self, place: Placing, at: Position) {
        for line in self.path(place).take_while(|line| *line != at.line()) {
            self.uncount_overflow_of(line);
        }
    }

    pub(crate) fn uncount_overflow_of(&self, line: usize) {
        self.shard.note_overflow(line, false);
        if index::lower(self.shard.overflowed(line)) {
            step("delete.overflow");
        }
    }
}
