//! The allocator: free units in a bitmap per shard, searched next-fit. The bitmap and the counts are derived, and the
//! shard's lock guards them.
//!
//! An entry takes one run if a long enough one is near the cursor, otherwise several runs. Any free unit is usable, so
//! no allocation fails because of fragmentation.
//!
//! Caution: the bitmap may be wrong. It counts only inside the reserved units. A search that finds fewer free units
//! than `Field::Free` promises is `Damaged`: the shard is rebuilt from its index words.

use crate::layout::control::Field;
use crate::layout::entry::{CHAINED, Damaged, Head, RUNS_PER_EXTENT, Run};
use crate::shard::note::Note;
use crate::shard::pieces::{extents, runs};
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::publish::before_reuse;
use cache_machine_shm::steps::step;

/// Maximum number of bitmap words that a search for one run reads. After that the entry takes several runs.
const NEAR: usize = 1024;

/// Units taken for an entry: marked as used, not yet written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) head: u32,
    pub(crate) run: Run,
    pub(crate) chained: bool,
}

/// Maximum number of free units that `take` needs for a body of `body` units: the head, the body, its extents.
pub(crate) fn worst_case(body: usize) -> usize {
    1 + body + body.div_ceil(RUNS_PER_EXTENT)
}

impl ShardView<'_> {
    fn bitmap(&self) -> &[AtomicU64] {
        self.region.words(self.geometry.bitmap_offset(self.index), self.geometry.units.div_ceil(64))
    }

    /// Whether any unit of a run is marked, and whether all of them are.
    pub(crate) fn marked(&self, run: Run) -> (bool, bool) {
        let bitmap = self.bitmap();
        let (mut any, mut all) = (false, true);
        each_mask(run, |word, mask| {
            let bits = bitmap[word].load(Ordering::Relaxed) & mask;
            any |= bits != 0;
            all &= bits == mask;
        });
        (any, all)
    }

    /// The first unit with a mark that contradicts `used` (one bit per unit), and whether the unit is marked.
    pub(crate) fn first_wrong_mark(&self, used: &[u64]) -> Option<(u32, bool)> {
        let mut words = self.bitmap().iter().zip(used).enumerate();
        let wrong = words.find_map(|(word, (marked, used))| {
            let marked = marked.load(Ordering::Relaxed);
            let unit_0 = u64::from(word == 0); // no entry has it
            let wrong = (marked ^ used) & !unit_0;
            let bit = wrong.trailing_zeros();
            (wrong != 0).then(|| (word as u32 * 64 + bit, marked >> bit & 1 == 1))
        });
        // The last bitmap word may have bits behind the last unit.
        wrong.filter(|(unit, _)| (*unit as usize) < self.geometry.units)
    }

    /// Marks units that are free.
    pub(crate) fn mark(&self, run: Run) {
        // mutant: units-not-noted
        self.note(Note::Marked(run));
        self.set_marks(run, true);
    }

    pub(crate) fn set_marks(&self, run: Run, marked: bool) {
        let bitmap = self.bitmap();
        each_mask(run, |word, mask| {
            let bits = &bitmap[word];
            let now = bits.load(Ordering::Relaxed);
            bits.store(if marked { now | mask } else { now & !mask }, Ordering::Relaxed);
            step("space.mark");
        });
    }

    /// Marks all units but unit 0 as free, for a rebuild.
    pub(crate) fn clear_bitmap(&self) {
        for word in self.bitmap() {
            word.store(0, Ordering::Relaxed);
        }
        self.bitmap()[0].store(1, Ordering::Relaxed);
        step("rebuild.bitmap");
    }

    /// Number of marked units, without unit 0.
    pub(crate) fn count_marked(&self) -> u32 {
        let all: u32 = self.bitmap().iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum();
        all.saturating_sub(1)
    }

    /// Takes units for a head and `body` units of body. The caller has made sure that `worst_case(body)` are free.
    pub(crate) fn take(&self, body: usize) -> Result<Placement, Damaged> {
        before_reuse();
        let count = body as u32;
        if let Some(run) = self.warm_run(count + 1).or_else(|| self.find_run(count + 1, NEAR)) {
            self.claim(run);
            return Ok(Placement { head: run.unit, run: Run { unit: run.unit + 1, count }, chained: false });
        }
        let head = self.take_run(1)?.unit;
        let mut left = count;
        let first = self.take_run(1)?.unit;
        let (mut extents, mut chain) = (1, Run { unit: first, count: 0 });
        self.note_chain(first);
        let mut extent = first;
        loop {
            let words = self.unit_words(extent)?;
            for word in words.iter().take(RUNS_PER_EXTENT) {
                let run = if left > 0 { self.take_chained(left)? } else { Run { unit: 0, count: 0 } };
                word.store(run.word(), Ordering::Relaxed); // published with the head
                step("space.extent");
                left -= run.count;
                if run.count > 0 {
                    chain.count += 1;
                    // mutant: chain-not-noted
                    self.note_chained(extents, chain);
                }
            }
            if left == 0 {
                return Ok(Placement { head, run: chain, chained: true });
            }
            let next = self.take_chained(1)?.unit;
            words[RUNS_PER_EXTENT].store(u64::from(next), Ordering::Relaxed);
            step("space.extent");
            extents += 1;
            self.note_chained(extents, chain);
            extent = next;
        }
    }

    /// Takes one unit, for a new head over an old body.
    pub(crate) fn take_head(&self) -> Result<u32, Damaged> {
        before_reuse();
        Ok(self.take_run(1)?.unit)
    }

    /// Takes the next free run, of at most `most` units.
    fn take_run(&self, most: u32) -> Result<Run, Damaged> {
        let run = self.next_run(most)?;
        self.claim(run);
        Ok(run)
    }

    /// The same for a run of a chain, which may have more runs than the journal has notes.
    fn take_chained(&self, most: u32) -> Result<Run, Damaged> {
        let run = self.next_run(most)?;
        self.note_claim(run);
        self.set_marks(run, true);
        self.subtract(Field::Free, run.count);
        Ok(run)
    }

    fn next_run(&self, most: u32) -> Result<Run, Damaged> {
        let run = self.warm_run(1).or_else(|| self.find_run(1, usize::MAX)).ok_or(Damaged)?;
        let mut count = 1;
        while count < most && run.unit + count < self.reserved() {
            if self.marked(Run { unit: run.unit + count, count: 1 }).0 {
                break;
            }
            count += 1;
        }
        Ok(Run { unit: run.unit, count })
    }

    fn claim(&self, run: Run) {
        self.mark(run);
        self.subtract(Field::Free, run.count);
    }

    /// The run that was freed last, if it is long enough and still free.
    fn warm_run(&self, want: u32) -> Option<Run> {
        let warm = Run { unit: self.get(Field::WarmUnit), count: self.get(Field::WarmUnits) };
        let run = Run { unit: warm.unit, count: want };
        (warm.count >= want && self.run_offset(run).is_ok() && !self.marked(run).0).then_some(run)
    }

    /// A free run of `want` units. The search goes from the cursor once around, and reads at most `budget` bitmap
    /// words.
    fn find_run(&self, want: u32, budget: usize) -> Option<Run> {
        let end = self.reserved();
        let cursor = self.get(Field::Cursor).clamp(1, end.max(1));
        let mut budget = budget;
        let run = self
            .find_between(want, cursor, end, &mut budget)
            .or_else(|| self.find_between(want, 1, cursor.saturating_add(want).min(end), &mut budget))?;
        self.put(Field::Cursor, run.unit + run.count);
        Some(run)
    }

    fn find_between(&self, want: u32, from: u32, end: u32, budget: &mut usize) -> Option<Run> {
        let bitmap = self.bitmap();
        let mut at = from;
        let mut found = 0;
        while at < end && *budget > 0 {
            *budget -= 1;
            let shift = at % 64;
            let used = bitmap[(at / 64) as usize].load(Ordering::Relaxed) >> shift;
            let in_word = (64 - shift).min(end - at);
            let free = used.trailing_zeros().min(in_word);
            found += free;
            if found >= want {
                return Some(Run { unit: at + free - found, count: want });
            }
            at += free;
            if free < in_word {
                // A used unit ends the run. All used units behind it are skipped at once.
                found = 0;
                let rest = used >> free;
                at += rest.trailing_ones().min(in_word - free).max(1);
            }
        }
        None
    }

    /// Without a note: after a death the entry is freed once more if its removal was committed, and if not, its units were
    /// those of a new entry, which has notes of its own.
    fn give_back(&self, run: Run) {
        self.set_marks(run, false);
        self.add(Field::Free, run.count);
        self.put(Field::WarmUnit, run.unit);
        self.put(Field::WarmUnits, run.count);
    }

    /// Frees a head alone: its body has got a new head.
    pub(crate) fn free_head(&self, head: u32) {
        self.give_back(Run { unit: head, count: 1 });
    }

    /// Frees an entry that no index word names any more.
    pub(crate) fn free_entry(&self, unit: u32, head: &Head) -> Result<(), Damaged> {
        if head.flags & CHAINED == 0 {
            // Usually the head lies before its body.
            self.run_offset(head.run)?;
            if head.run.unit == unit + 1 {
                self.give_back(Run { unit, count: head.run.count + 1 });
                return Ok(());
            }
        }
        runs(self, head, |run| {
            self.run_offset(run)?;
            self.give_back(run);
            Ok(())
        })?;
        extents(self, head, |extent| {
            self.give_back(Run { unit: extent, count: 1 });
            Ok(())
        })?;
        self.give_back(Run { unit, count: 1 });
        Ok(())
    }
}

/// Calls `each` with every bitmap word of a run and the mask of the run's bits in it.
pub(crate) fn each_mask(run: Run, mut each: impl FnMut(usize, u64)) {
    let shift = run.unit % 64;
    if run.count != 0 && run.count <= 64 - shift {
        // Usually all bits are in one word.
        return each((run.unit / 64) as usize, u64::MAX >> (64 - run.count) << shift);
    }
    let mut at = run.unit;
    let end = run.unit + run.count;
    while at < end {
        let shift = at % 64;
        let bits = (64 - shift).min(end - at);
        let mask = if bits == 64 { u64::MAX } else { ((1 << bits) - 1) << shift };
        each((at / 64) as usize, mask);
        at += bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_a_run_exactly() {
        for unit in [1, 5, 63, 64, 100] {
            for count in [1, 2, 63, 64, 65, 200] {
                let mut bits = Vec::new();
                each_mask(Run { unit, count }, |word, mask| {
                    bits.extend((0..64).filter(|b| mask >> b & 1 == 1).map(|b| word as u32 * 64 + b));
                });
                assert_eq!(bits, (unit..unit + count).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_worst_case_holds_a_body_of_single_units() {
        assert_eq!(worst_case(1), 3);
        assert_eq!(worst_case(7), 9);
        assert_eq!(worst_case(8), 11);
    }
}
