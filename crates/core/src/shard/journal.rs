//! The journal of a shard: what one change did so far to derived structures, so that the next owner of the lock can undo it after
//! a death instead of rebuilding the shard.
//!
//! ```text
//! change                                         next owner after a death
//! copy the derived words of the control block    undo the notes, the last one first
//! note the old value, count the note             restore the copy
//! store the new value                            compare the index word with its note: was the change committed?
//! …                                              if so, do the derived part again
//! forget all notes: the shard is consistent      forget all notes
//! ```
//!
//! Promises: each derived store of a change is noted before it, or is to a word of the control block that was copied. One change
//! stores at most one index word. A change that does more than the journal can hold, or in another way, marks it unsound, and the
//! next owner rebuilds the shard.
//!
//! The notes are only read after the death of their writer. So their order is the order of the instructions of one thread, and
//! needs no fence of the processor: what a dead thread stored is visible before its lease is free.
//!
//! Caution: the journal is untrusted like all of the segment. A note that leads outside of the shard is `Damaged`.

use crate::layout::control::{DERIVED_AT, DERIVED_BYTES, is_derived};
use crate::layout::entry::{Damaged, RUNS_PER_EXTENT, Run};
use crate::layout::geometry::{CONTROL_BYTES, JOURNAL_BYTES, UNIT};
use crate::layout::messages::RingKind;
use crate::shard::index::Position;
use crate::shard::note::Note;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::publish::{in_program_order, publish};
use cache_machine_shm::steps::step;

/// Words of the journal: its state, the last run of the chain that is being taken, the copy of the derived words of the control
/// block, and the notes.
const STATE: usize = 0;
const CLAIM: usize = 1;
const COPY: usize = 8;
const NOTES: usize = COPY + DERIVED_BYTES / 8;
/// Maximum number of notes.
const MAX_NOTES: u64 = ((JOURNAL_BYTES / 8 - NOTES) / 2) as u64;
/// States: no change has begun; the copy is there, and the number of notes is added; the journal cannot be undone.
const NONE: u64 = 0;
const COPIED: u64 = 1;
const UNSOUND: u64 = u64::MAX;

/// What became of the change of a dead owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    NotCommitted,
    /// It has removed an entry.
    Removed,
    /// It has stored an entry.
    Stored,
}

impl<'a> ShardView<'a> {
    #[inline(always)]
    fn journal(&self) -> &'a [AtomicU64] {
        &self.control.words()[CONTROL_BYTES / 8..]
    }

    /// Copies the derived words of the control block before the first change of one. The caller holds the lock.
    #[inline(always)]
    pub(crate) fn note_control(&self) {
        if self.has_no_notes() {
            self.copy_control();
        }
    }

    #[inline(never)]
    fn copy_control(&self) {
        let journal = self.journal();
        let derived = &self.control.words()[DERIVED_AT / 8..][..DERIVED_BYTES / 8];
        for (copy, word) in journal[COPY..NOTES].iter().zip(derived) {
            copy.store(word.load(Ordering::Relaxed), Ordering::Relaxed); // guarded by the lock, like all of the journal
        }
        step("journal.copied");
        in_program_order();
        journal[STATE].store(COPIED, Ordering::Relaxed);
        step("journal.begun");
        in_program_order();
    }

    /// Notes what the next store changes. The caller holds the lock.
    // Inlined, so that the words of a note are known where it is made. The store of them is one function.
    #[inline(always)]
    pub(crate) fn note(&self, note: Note) {
        self.note_words(note.words());
    }

    #[inline(never)]
    fn note_words(&self, (first, second): (u64, u64)) {
        let journal = self.journal();
        let mut state = journal[STATE].load(Ordering::Relaxed);
        if state == NONE {
            self.copy_control();
            state = COPIED;
        }
        let count = state.wrapping_sub(COPIED);
        if count >= MAX_NOTES {
            if state != UNSOUND {
                self.note_unsound();
            }
            return;
        }
        let at = NOTES + 2 * count as usize;
        journal[at].store(first, Ordering::Relaxed); // counted below
        journal[at + 1].store(second, Ordering::Relaxed);
        in_program_order();
        journal[STATE].store(state + 1, Ordering::Relaxed);
        step("journal.noted");
        in_program_order();
    }

    /// Notes that a chain begins with this extent. Its runs are claimed by `note_claim`, and each is counted by
    /// `note_chained` when the chain names it.
    pub(crate) fn note_chain(&self, first: u32) {
        self.note_claim(Run { unit: 0, count: 0 });
        self.note(Note::Chain { extents: 1, runs: Run { unit: first, count: 0 } });
    }

    /// Notes the next run of a chain before it is marked.
    pub(crate) fn note_claim(&self, run: Run) {
        self.journal()[CLAIM].store(run.word(), Ordering::Relaxed);
        step("journal.claimed");
        in_program_order();
    }

    /// Notes what the chain that is being taken names by now.
    pub(crate) fn note_chained(&self, extents: u32, runs: Run) {
        let Ok(count) = self.notes() else { return };
        in_program_order();
        // The last note is that of the chain, or of the free units.
        let is_chain = |n: &u64| matches!(self.nth_note(*n), Ok(Note::Chain { .. }));
        let Some(n) = (0..count).rev().find(is_chain) else { return };
        let (first, second) = Note::Chain { extents, runs }.words();
        // Only one of the two words changes in each call.
        self.journal()[NOTES + 2 * n as usize].store(first, Ordering::Relaxed);
        self.journal()[NOTES + 2 * n as usize + 1].store(second, Ordering::Relaxed);
        step("journal.chained");
        in_program_order();
    }

    /// Marks that a death from here on needs a rebuild.
    pub(crate) fn note_unsound(&self) {
        self.journal()[STATE].store(UNSOUND, Ordering::Relaxed);
        in_program_order();
        step("journal.unsound");
    }

    /// Forgets all notes: the shard is consistent.
    #[inline]
    pub(crate) fn forget_notes(&self) {
        let journal = self.journal();
        if journal[STATE].load(Ordering::Relaxed) == NONE {
            return;
        }
        in_program_order();
        journal[STATE].store(NONE, Ordering::Relaxed);
        step("journal.forgotten");
        in_program_order();
    }

    /// Whether a death from here on needs a rebuild.
    #[inline]
    pub(crate) fn is_unsound(&self) -> bool {
        self.journal()[STATE].load(Ordering::Relaxed) == UNSOUND
    }

    /// Whether no change has begun.
    #[inline]
    pub(crate) fn has_no_notes(&self) -> bool {
        self.journal()[STATE].load(Ordering::Relaxed) == NONE
    }

    /// Number of notes. `Damaged`: the journal cannot be undone.
    pub(crate) fn notes(&self) -> Result<u64, Damaged> {
        let count = self.journal()[STATE].load(Ordering::Relaxed).saturating_sub(COPIED);
        if count > MAX_NOTES { Err(Damaged) } else { Ok(count) }
    }

    /// The nth note.
    pub(crate) fn nth_note(&self, n: u64) -> Result<Note, Damaged> {
        let at = NOTES + 2 * (n % MAX_NOTES) as usize;
        let word = |at: usize| self.journal()[at].load(Ordering::Relaxed);
        Note::of((word(at), word(at + 1)))
    }

    /// Restores the derived words of the control block, if they were copied.
    pub(crate) fn restore_control(&self) {
        if self.has_no_notes() {
            return;
        }
        for offset in (0..DERIVED_BYTES).step_by(4).filter(|offset| is_derived(DERIVED_AT + offset)) {
            let old = self.control.u32(CONTROL_BYTES + COPY * 8 + offset).load(Ordering::Relaxed);
            self.control.u32(DERIVED_AT + offset).store(old, Ordering::Relaxed); // guarded by the lock
            step("repair.control");
        }
    }

    /// Undoes a note. A reader that finds the entry that a change has stored must find its overflow counts as well.
    pub(crate) fn undo(&self, note: Note, outcome: Outcome) -> Result<(), Damaged> {
        match note {
            Note::Word { .. } | Note::Reserved(_) | Note::Divided(_) => {}
            Note::Intent { at, old } if outcome == Outcome::NotCommitted => {
                publish(self.word(Position(at)), old as u32);
                step("repair.word");
            }
            Note::Intent { .. } => {}
            Note::Life { namespace, life } => self.begin_count(namespace, life),
            Note::Used { namespace, old } if outcome == Outcome::NotCommitted => self.restore_used(namespace, old),
            Note::Used { .. } => {}
            Note::Half { offset, old } => {
                self.region.u32(self.own(offset, 4)?).store(old, Ordering::Relaxed); // guarded by the lock
                step("repair.half");
            }
            Note::Whole { offset, old } => {
                self.region.u64(self.own(offset, 8)?).store(old, Ordering::Relaxed); // guarded by the lock
                step("repair.whole");
            }
            // mutant: undo-lowers-stored
            Note::Raised { .. } if outcome == Outcome::Stored => {}
            Note::Raised { offset, old } | Note::Lowered { offset, old } => {
                self.region.u8(self.own(offset, 1)?).store(old, Ordering::Release); // as in `index::lower`
                step("repair.overflow");
            }
            Note::Marked(run) => {
                self.run_offset(run)?;
                self.set_marks(run, false);
            }
            Note::Chain { extents, runs } => self.unmark_chain(extents, runs)?,
        }
        Ok(())
    }

    fn unmark_chain(&self, extents: u32, runs: Run) -> Result<(), Damaged> {
        let unmark = |run: Run| {
            self.run_offset(run)?;
            self.set_marks(run, false);
            Ok(())
        };
        let claimed = Run::of(self.journal()[CLAIM].load(Ordering::Relaxed));
        if claimed.count != 0 {
            unmark(claimed)?;
        }
        let (mut extent, mut left) = (runs.unit, runs.count as usize);
        if extents as usize > self.geometry.units || left > self.geometry.units {
            return Err(Damaged);
        }
        for _ in 0..extents {
            let words = self.unit_words(extent)?;
            for word in words.iter().take(RUNS_PER_EXTENT.min(left)) {
                unmark(Run::of(word.load(Ordering::Relaxed)))?;
            }
            left = left.saturating_sub(RUNS_PER_EXTENT);
            unmark(Run { unit: extent, count: 1 })?;
            extent = words[RUNS_PER_EXTENT].load(Ordering::Relaxed) as u32;
        }
        Ok(())
    }

    /// The offset of a derived word of this shard: in its index, tallies, queues or units. Others may not be reserved.
    fn own(&self, offset: usize, size: usize) -> Result<usize, Damaged> {
        let (geometry, shard) = (self.geometry, self.index);
        let (lines, space) = (self.lines_offset(), self.unit_offset(0));
        let is_line =
            (lines..geometry.bitmap_offset(shard)).contains(&offset) && self.may_have_words((offset - lines) / 64);
        let is_count = (geometry.tally(shard, 0)..geometry.ring(shard, RingKind::Changes).0).contains(&offset);
        let is_unit = (space + UNIT..space + self.reserved() as usize * UNIT).contains(&offset);
        let is_own = is_line || is_count || is_unit;
        if is_own && offset.is_multiple_of(size) { Ok(offset) } else { Err(Damaged) }
    }
}
