//! Divides the index of a shard. The index begins with a few lines, and is divided when it is more than half full.
//!
//! An index of the maximum size spreads few entries over many pages, and each read then misses the page tables. So a
//! shard uses only the first lines, `first_lines << level` of them. A division doubles them: the entries of line `n`
//! with the bit of that level in their tag move to line `n + lines`, to the word with the same number. Entries in
//! overflow lines stay where they are, and the overflow counts are divided among the two lines.
//!
//! The order is: copy the words, raise the new overflow counts, store the level, empty the copied words. The store of
//! the level is the commit. Before it readers find an entry by its old word, after it by its new one. A reader that
//! used the old level and missed reads the level again. A death before the commit leaves copies that no search reaches.
//! A death after it leaves originals that no search reaches. The next owner empties both, since their twin is where they
//! belong: a repair by the level that is noted in the journal, a rebuild by itself.
//!
//! Caution: a division moves positions. It happens when the lock was taken, before the change.

use crate::change::locked::Locked;
use crate::layout::control::Field;
use crate::layout::entry::Damaged;
use crate::layout::key::Placing;
use crate::shard::index::Position;
use crate::shard::note::Note;
use crate::shard::scratch::Scratch;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::index;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::step;

impl Locked<'_> {
    /// Divides the index, which has this level.
    #[cold]
    pub(crate) fn divide(&mut self, level: u32) {
        self.shard.note(Note::Divided(level));
        let lines = self.shard.geometry.lines_at(level);
        // mutant: level-before-copies
        for line in 0..lines {
            self.copy_words(line, lines, level);
        }
        // mutant: division-uncounted-overflow
        if self.each_overflowed(level + 1, lines, |line| self.raise_overflow(line)).is_err() {
            return self.rebuild();
        }
        step("divide.counted");
        if self.shard.get(Field::TagLinesLeft) > 0 {
            // As for `Purge` below, but before the commit: after a death the tag pass goes on.
            let lines = self.shard.geometry.lines_at(level + 1) + self.shard.geometry.overflow_lines;
            self.shard.put(Field::TagLinesLeft, lines as u32);
        }
        index::divided(self.shard.level_word(), level as u8 + 1); // the commit
        step("divide.published");
        self.empty_lower_lines(lines, level);
        // mutant: division-keeps-overflow
        let uncounted = self.each_overflowed(level + 1, lines, |line| self.lower_overflow(line - lines));
        self.settle(uncounted);
    }

    /// Counts a key that overflowed from a new line. A repair counts anew, so no note is needed.
    fn raise_overflow(&self, line: usize) {
        if index::raise(self.shard.overflowed(line)) {
            step("divide.raised");
        }
    }

    fn lower_overflow(&self, line: usize) {
        if index::lower(self.shard.overflowed(line)) {
            step("divide.lowered");
        }
    }

    /// After a death in a division at this level: finishes it if it was committed, and otherwise empties what it has copied. The
    /// work is a walk along the lines, without the entries in them.
    pub(crate) fn end_division(&self, level: u32) -> Result<(), Damaged> {
        let shard = self.shard;
        let lines = shard.geometry.lines_at(level);
        // The notes of a process are not trusted: a division of this level has its new lines reserved.
        if level >= shard.geometry.growths || lines >= shard.geometry.lines_for(shard.reserved() as usize) {
            return Err(Damaged);
        }
        if shard.level() == level {
            for line in lines..2 * lines {
                Position::of_line(line)
                    .filter(|at| shard.unit_of(shard.word(*at).load(Ordering::Relaxed)) != 0)
                    .for_each(|at| {
                        publish(shard.word(at), 0);
                        step("repair.copy");
                    });
                shard.overflowed(line).store(0, Ordering::Relaxed); // in a line that is not in use
                step("repair.unused");
            }
            let left = shard.get(Field::TagLinesLeft).min(shard.lines_in_use() as u32);
            shard.put(Field::TagLinesLeft, left);
            return Ok(());
        }
        self.empty_lower_lines(lines, level);
        self.count_all_overflow()
    }

    /// The first step after the commit of a division: the entries that went up leave the lines where they were.
    fn empty_lower_lines(&self, lines: usize, level: u32) {
        for line in 0..lines {
            // mutant: division-keeps-copies
            self.empty_copied(line, level);
        }
        if self.shard.get(Field::Purge) > 0 {
            // Entries that are still to be swept may be in either half.
            self.shard.put(Field::Purge, self.shard.lines_in_use() as u32);
        }
    }

    /// Counts for each line the keys that overflowed from it.
    fn count_all_overflow(&self) -> Result<(), Damaged> {
        let mut scratch = self.attachment.scratch();
        scratch.clear();
        self.each_in_overflow(|line, place| {
            for passed in self.path(place).take_while(|passed| *passed != line) {
                scratch.overflow[passed] = scratch.overflow[passed].saturating_add(1);
            }
        })?;
        self.store_overflow(&scratch);
        Ok(())
    }

    /// Stores the overflow counts of all lines.
    pub(crate) fn store_overflow(&self, scratch: &Scratch) {
        for line in self.shard.lines_with_words() {
            let count = &scratch.overflow[line];
            // mutant: rebuild-keeps-overflow-counts
            if self.shard.overflowed(line).load(Ordering::Relaxed) != *count {
                self.shard.overflowed(line).store(*count, Ordering::Release); // as in `index::lower`
                step("rebuild.overflow");
            }
        }
    }

    fn copy_words(&self, line: usize, lines: usize, level: u32) {
        let shard = self.shard;
        shard.overflowed(line + lines).store(0, Ordering::Relaxed); // published by the level
        for (from, to) in Position::of_line(line).zip(Position::of_line(line + lines)) {
            let word = shard.word(from).load(Ordering::Relaxed);
            if shard.goes_up(word, level) {
                let reads = shard.use_mark(from).load(Ordering::Relaxed); // a hint
                shard.use_mark(to).store(reads, Ordering::Relaxed);
                publish(shard.word(to), word as u32);
                step("divide.copied");
            } else if shard.unit_of(shard.word(to).load(Ordering::Relaxed)) != 0 {
                // Damage: a line that is not in use has no word in use.
                publish(shard.word(to), 0);
            }
        }
    }

    fn empty_copied(&self, line: usize, level: u32) {
        for at in Position::of_line(line) {
            if self.shard.goes_up(self.shard.word(at).load(Ordering::Relaxed), level) {
                publish(self.shard.word(at), 0);
                step("divide.emptied");
            }
        }
    }

    /// Calls `each` with the own line of every entry that overflowed, if that line is new at `level`.
    fn each_overflowed(&self, level: u32, lines: usize, each: impl Fn(usize)) -> Result<(), Damaged> {
        let shard = self.shard;
        if (0..lines).all(|line| shard.overflowed(line).load(Ordering::Relaxed) == 0) {
            return Ok(());
        }
        self.each_in_overflow(|_, place| {
            let own = place.line(shard.geometry, level);
            if own >= lines {
                each(own);
            }
        })
    }

    /// Calls `each` with the line and the placing of every entry in an overflow line.
    fn each_in_overflow(&self, mut each: impl FnMut(usize, Placing)) -> Result<(), Damaged> {
        let shard = self.shard;
        for line in shard.geometry.main_lines..shard.geometry.lines() {
            for at in Position::of_line(line) {
                let unit = shard.unit_of(shard.word(at).load(Ordering::Relaxed));
                if unit != 0 {
                    each(line, shard.node(unit)?.place);
                }
            }
        }
        Ok(())
    }
}
