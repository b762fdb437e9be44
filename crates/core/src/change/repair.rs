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
use crate::layout::control::Field;
use crate::layout::entry::{CHAINED, Damaged, Head, Run};
use crate::layout::keyspaces::number;
use crate::shard::index::Position;
use crate::shard::journal::Outcome;
use crate::shard::note::Note;
use crate::shard::pieces::{extents, runs};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::{step, visit};

impl Locked<'_> {
    /// Repairs the shard after the death of the last owner of its lock.
    pub(crate) fn repair(&mut self) {
        match self.undo_and_redo() {
            Ok(()) => self.end_repair(0),
            Err(Damaged) => self.rebuild(),
        }
    }

    fn undo_and_redo(&self) -> Result<(), Damaged> {
        let shard = self.shard;
        let count = shard.notes()?;
        let (mut change, mut reserved, mut divided, mut used) = (None, None, None, None);
        for n in 0..count {
            match shard.nth_note(n)? {
                Note::Word { at, .. } if !shard.may_have_words(Position(at).line()) || change.is_some() => {
                    return Err(Damaged);
                }
                Note::Word { at, old } => change = Some((Position(at), old)),
                Note::Reserved(units) => reserved = Some(units),
                Note::Divided(level) => divided = Some(level),
                Note::Used { namespace, old } => used = used.or(Some((namespace, old))),
                _ => {}
            }
        }
        let now = |at: Position| shard.word(at).load(Ordering::Acquire); // Acquire: pairs with `publish`
        // Each store of a word raises its generation.
        let committed = change.filter(|(at, old)| now(*at) != *old);
        let outcome = match committed {
            None => Outcome::NotCommitted,
            Some((at, _)) if shard.unit_of(now(at)) == 0 => Outcome::Removed,
            Some(_) => Outcome::Stored,
        };
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
            self.redo(at, old, now(at), used)?;
        }
        self.drop_claims();
        step("repair.redone");
        Ok(())
    }

    /// Does the derived part of a change again, which has replaced the word `old` by `new`. `used`: a namespace and the
    /// units that it used before the change.
    fn redo(&self, at: Position, old: u64, new: u64, used: Option<(u16, u32)>) -> Result<(), Damaged> {
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
        if let Some(head) = stored.or(removed).filter(|head| shard.counts(head)) {
            // mutant: undo-raises-used
            let before = used.filter(|(namespace, _)| *namespace == number(head.namespace)).map(|(_, units)| units);
            let before = before.unwrap_or_else(|| shard.units_of_namespace(head.namespace).0);
            let units = before.saturating_sub(counted).wrapping_add(stored.map_or(0, |head| head.units() as u32));
            shard.put_units_of_namespace(head.namespace, units, units);
        }
        Ok(())
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
