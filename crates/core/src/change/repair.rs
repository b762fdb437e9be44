//! Repairs a shard after its last owner died in a change: undoes what its journal has notes of, and does the derived part of
//! the change again if the change was committed.
//!
//! Promises: the work depends on the change alone, not on the size of the shard, except for a division of the index. Where
//! the journal cannot be undone, the shard is rebuilt. A death in a repair leaves a journal that can be undone as well: what
//! the repair does is noted behind the older notes.
//!
//! Readers continue meanwhile. The overflow counts of an entry that they can find are never lowered below the truth: a count that
//! was raised for a committed entry stays, and one that was lowered is raised before it is lowered again.

use crate::change::locked::Locked;
use crate::layout::control::{Count, Field};
use crate::layout::entry::{CHAINED, Damaged, Head, Run};
use crate::layout::intent::{CommitWord, Intent};
use crate::layout::keyspaces::number;
use crate::shard::index::Position;
use crate::shard::journal::Outcome;
use crate::shard::note::Note;
use crate::shard::pieces::{extents, runs};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::{step, visit};

/// Maximum number of keys of a transaction that a repair finishes: each has two notes at least.
const MAX_REDONE: usize = 128;

/// What a redone change means for the units of a namespace.
#[derive(Clone, Copy, Default)]
struct Replaced {
    /// `None`: its units are not counted.
    namespace: Option<u16>,
    removed: u32,
    stored: u32,
}

impl Locked<'_> {
    /// Repairs the shard after the death of the last owner of its lock.
    pub(crate) fn repair(&mut self) {
        match self.undo_and_redo() {
            Ok(()) => {
                self.end_repair(0);
                self.shard.put(Field::CommitHome, 0);
            }
            Err(Damaged) => self.rebuild(),
        }
    }

    fn undo_and_redo(&self) -> Result<(), Damaged> {
        let shard = self.shard;
        let count = shard.notes()?;
        let (mut change, mut reserved, mut divided, mut intents) = (None, None, None, false);
        for n in 0..count {
            match shard.nth_note(n)? {
                Note::Word { at, .. } if !shard.may_have_words(Position(at).line()) || change.is_some() => {
                    return Err(Damaged);
                }
                Note::Word { at, old } => change = Some((Position(at), old)),
                Note::Intent { at, .. } if !shard.may_have_words(Position(at).line()) => return Err(Damaged),
                Note::Intent { .. } => intents = true,
                Note::Reserved(units) => reserved = Some(units),
                Note::Divided(level) => divided = Some(level),
                _ => {}
            }
        }
        let now = |at: Position| shard.word(at).load(Ordering::Acquire); // Acquire: pairs with `publish`
        // Each store of a word raises its generation.
        let committed = change.filter(|(at, old)| now(*at) != *old);
        let outcome = match committed {
            None if intents => self.outcome_of_transaction()?,
            None => Outcome::NotCommitted,
            Some((at, _)) if shard.unit_of(now(at)) == 0 => Outcome::Removed,
            Some(_) => Outcome::Stored,
        };
        let redoes_intents = intents && outcome == Outcome::Stored;
        if redoes_intents {
            (0..count).try_for_each(|n| self.end_intent(n))?;
        }
        for n in (0..count).rev() {
            visit("undone note");
            // mutant: nothing-undone
            shard.undo(shard.nth_note(n)?, outcome)?;
        }
        shard.restore_control();
        step("repair.undone");
        if let Some(level) = divided {
            self.end_division(level)?;
        }
        if let Some(before) = reserved {
            shard.add(Field::Free, shard.reserved().saturating_sub(before.max(1)));
        }
        // mutant: nothing-redone
        if let Some((at, old)) = committed {
            let replaced = self.redo(at, old, now(at))?;
            self.redo_units(count, &[replaced])?;
        }
        if redoes_intents {
            self.redo_transaction(count)?;
        }
        self.drop_claims();
        step("repair.redone");
        Ok(())
    }

    /// Whether the transaction with intents in this shard was committed.
    fn outcome_of_transaction(&self) -> Result<Outcome, Damaged> {
        let shard = self.shard;
        let home = (shard.get(Field::CommitHome) as usize).checked_sub(1).ok_or(Damaged)?;
        if home >= shard.geometry.shards {
            return Err(Damaged);
        }
        // Acquire: pairs with the Release in `Commit::commit`.
        let word = CommitWord(shard.count_of(home, Count::Commit).load(Ordering::Acquire));
        if word.transaction() != shard.count(Count::Transaction).load(Ordering::Relaxed) {
            return Err(Damaged);
        }
        Ok(if word.is_committed() { Outcome::Stored } else { Outcome::NotCommitted })
    }

    /// Lets the index word of the nth note name the new entry of a committed transaction, if it names an intent.
    fn end_intent(&self, n: u64) -> Result<(), Damaged> {
        let shard = self.shard;
        if let Note::Intent { at, .. } = shard.nth_note(n)? {
            let word = shard.word(Position(at));
            let (now, unit) = (word.load(Ordering::Relaxed), shard.unit_of(word.load(Ordering::Relaxed)));
            if unit != 0 && Intent::is_at(&shard.head(unit)?) {
                let new = shard.unit_behind(unit)?;
                publish(word, if new == 0 { 0 } else { shard.low_word(new, shard.tag_of(now)) });
                step("repair.intent");
            }
        }
        Ok(())
    }

    /// Does the derived part of a committed transaction again, from the first `count` notes. A namespace may have several
    /// keys, so its units are summed up before they are stored.
    fn redo_transaction(&self, count: u64) -> Result<(), Damaged> {
        let shard = self.shard;
        let mut replaced = [Replaced::default(); MAX_REDONE];
        let mut keys = 0;
        for n in 0..count {
            if let Note::Intent { at, old } = shard.nth_note(n)? {
                let new = shard.word(Position(at)).load(Ordering::Relaxed);
                // Each key has two notes, so the journal has no more keys.
                *replaced.get_mut(keys).ok_or(Damaged)? = self.redo(Position(at), old, new)?;
                keys += 1;
            }
        }
        self.redo_units(count, &replaced[..keys])
    }

    /// Stores the units of the namespaces that had entries replaced: those before the change, by the first `count` notes,
    /// without the removed entries and with the stored ones. One store for each: other shards never see more than are used.
    fn redo_units(&self, count: u64, all: &[Replaced]) -> Result<(), Damaged> {
        let shard = self.shard;
        for (n, first) in all.iter().enumerate() {
            let Some(namespace) = first.namespace else { continue };
            if all[..n].iter().any(|other| other.namespace == Some(namespace)) {
                continue;
            }
            let mut before = shard.units_of_namespace(namespace).0;
            for n in (0..count).rev() {
                // mutant: undo-raises-used
                if let Note::Used { namespace: noted, old } = shard.nth_note(n)? {
                    before = if noted == namespace { old } else { before };
                }
            }
            let own = || all.iter().filter(|other| other.namespace == Some(namespace));
            let removed: u32 = own().map(|other| other.removed).fold(0, u32::saturating_add);
            let stored: u32 = own().map(|other| other.stored).fold(0, u32::saturating_add);
            let units = before.saturating_sub(removed).saturating_add(stored);
            shard.put_units_of_namespace(namespace, units, units);
        }
        Ok(())
    }

    /// Does the derived part of a change again, which has replaced the word `old` by `new`, but for the units of the
    /// namespace.
    fn redo(&self, at: Position, old: u64, new: u64) -> Result<Replaced, Damaged> {
        let shard = self.shard;
        let (old_unit, new_unit) = (shard.unit_of(old), shard.unit_of(new));
        let head_of = |unit| if unit == 0 { Ok(None) } else { shard.head(unit).map(Some) };
        let (removed, stored) = (head_of(old_unit)?, head_of(new_unit)?);
        if let Some(head) = &stored {
            self.begin_life_of(head);
        }
        let counted = removed.filter(|head| shard.counts(head)).map_or(0, |head| head.units() as u32);
        if let Some(head) = &removed {
            self.redo_removal(at, old_unit, head, stored.as_ref())?;
        }
        if let Some(head) = &stored {
            let queue = removed.is_some().then(|| shard.node(old_unit)).transpose()?.map(|node| node.queue);
            let has_body_of_old = removed.is_some_and(|removed| has_body_of(head, &removed));
            let place = self.placing_of(&mut self.attachment.scratch().key, head, at, shard.tag_of(new))?;
            let units = if has_body_of_old { self.claim_head(new_unit)? } else { self.claim_units(new_unit, head)? };
            shard.subtract(Field::Free, units);
            let queue = queue.unwrap_or_else(|| shard.entry_queue(head.namespace, place));
            shard.enqueue(queue, new_unit, place, head.units())?;
            shard.add(Field::Words, 1);
            self.count_in(head);
        }
        Ok(Replaced {
            namespace: stored.or(removed).filter(|head| shard.counts(head)).map(|head| number(head.namespace)),
            removed: counted,
            stored: stored.map_or(0, |head| head.units() as u32),
        })
    }

    fn redo_removal(&self, at: Position, unit: u32, head: &Head, stored: Option<&Head>) -> Result<(), Damaged> {
        let shard = self.shard;
        let node = shard.node(unit)?;
        shard.dequeue(unit, head.units())?;
        shard.subtract(Field::Words, 1);
        self.count_out(head);
        if stored.is_none() {
            self.uncount_overflow(node.place, at);
        }
        if stored.is_some_and(|stored| has_body_of(stored, head)) {
            shard.free_head(unit);
            return Ok(());
        }
        shard.free_entry(unit, head)
    }

    /// Marks the unit of a head. Returns the number of marked units.
    fn claim_head(&self, unit: u32) -> Result<u32, Damaged> {
        let run = Run { unit, count: 1 };
        self.shard.run_offset(run)?;
        if self.shard.marked(run).0 {
            return Err(Damaged);
        }
        self.shard.mark(run);
        Ok(1)
    }

    /// Marks all units of an entry. Returns their number.
    fn claim_units(&self, unit: u32, head: &Head) -> Result<u32, Damaged> {
        self.claim_all(unit, head)?;
        let mut units = 1;
        runs(self.shard, head, |run| {
            units += run.count;
            Ok::<(), Damaged>(())
        })?;
        extents(self.shard, head, |_| {
            units += 1;
            Ok::<(), Damaged>(())
        })?;
        Ok(units)
    }
}

/// Whether a head has the body of the head that it replaces.
fn has_body_of(head: &Head, replaced: &Head) -> bool {
    head.run == replaced.run && (head.flags ^ replaced.flags) & CHAINED == 0
}
