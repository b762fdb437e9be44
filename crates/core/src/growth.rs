//! An index that grows with its entries: it begins with a few lines, and is divided whenever it is half full.
//!
//! An index that is as large as the space may ever need spreads few entries over many pages, and each read then misses the
//! page tables. So a shard uses the first lines only, `first_lines << level` of them. A division adds as many again: of the
//! entries of line `n` those whose tag has the bit of that level go to line `n + lines`, to the word of the same number there.
//! What overflowed stays where it is, and the overflow counts are divided among the two lines.
//!
//! The order is: copy the words, count, store the level, empty the words that were copied. The level's store commits. Until
//! then readers find an entry by its old word, from then on by its new one, and whoever looked by the old level and missed
//! looks at the level again. A death before the commit leaves copies that nobody reaches, one after it originals that nobody
//! reaches; a rebuild empties both, since their twin is where they belong.
//!
//! The thing to get wrong: dividing while somebody holds a position. It is done when a lock was taken, before the change.

use crate::entry::Damaged;
use crate::geometry::WORDS_PER_LINE;
use crate::locked::Locked;
use crate::shard::{Field, Position, ShardView};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::index;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::step;

impl Locked<'_> {
    /// Divides the index if it is half full and can be divided.
    #[inline]
    pub(crate) fn divide_if_crowded(&mut self) {
        let level = self.shard.level();
        let words = self.shard.geometry.lines_at(level) * WORDS_PER_LINE;
        if self.shard.get(Field::Words) as usize * 2 > words && level < self.shard.geometry.growths {
            self.divide(level);
        }
    }

    #[cold]
    fn divide(&mut self, level: u32) {
        let lines = self.shard.geometry.lines_at(level);
        for line in 0..lines {
            self.copy_words(line, lines, level);
        }
        if self.each_overflowed(level + 1, lines, |line| self.count_overflow(line)).is_err() {
            return self.rebuild();
        }
        step("divide.counted");
        index::divided(self.shard.level_word(), level as u8 + 1); // the commit
        step("divide.published");
        for line in 0..lines {
            self.empty_copied(line, level);
        }
        if self.shard.get(Field::Purge) > 0 {
            // What is still to be swept may be in either half.
            self.shard.put(Field::Purge, self.shard.lines_in_use() as u32);
        }
        let uncounted = self.each_overflowed(level + 1, lines, |line| self.uncount_overflow_of(line - lines));
        self.settle(uncounted);
    }

    fn copy_words(&self, line: usize, lines: usize, level: u32) {
        let shard = self.shard;
        shard.overflowed(line + lines).store(0, Ordering::Relaxed); // published by the level
        for (from, to) in Position::of_line(line).zip(Position::of_line(line + lines)) {
            let word = shard.word(from).load(Ordering::Relaxed);
            if shard.goes_up(word, level) {
                let reads = shard.touched(from).load(Ordering::Relaxed); // a hint
                shard.touched(to).store(reads, Ordering::Relaxed);
                publish(shard.word(to), word as u32);
                step("divide.copied");
            } else if shard.unit_of(shard.word(to).load(Ordering::Relaxed)) != 0 {
                // Somebody's scribble: no line that was not in use has a word in use.
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

    /// Calls `each` with the own line of every entry that overflowed, where that is one of the lines that are new at `level`.
    fn each_overflowed(&self, level: u32, lines: usize, each: impl Fn(usize)) -> Result<(), Damaged> {
        let shard = self.shard;
        if (0..lines).all(|line| shard.overflowed(line).load(Ordering::Relaxed) == 0) {
            return Ok(());
        }
        for line in shard.geometry.main_lines..shard.geometry.lines() {
            for at in Position::of_line(line) {
                let unit = shard.unit_of(shard.word(at).load(Ordering::Relaxed));
                if unit == 0 {
                    continue;
                }
                let own = shard.node(unit)?.place.line(shard.geometry, level);
                if own >= lines {
                    each(own);
                }
            }
        }
        Ok(())
    }
}

impl ShardView<'_> {
    /// Whether the entry that a word names belongs to the upper of the two lines that its line is divided into.
    fn goes_up(&self, word: u64, level: u32) -> bool {
        self.unit_of(word) != 0 && self.tag_of(word) >> level & 1 == 1
    }

    /// Where the twin of a word is that is not where it belongs at this level, or was not: in a line that has been divided.
    fn twin(&self, at: Position, word: u64, level: u32) -> Option<Position> {
        if at.line() >= self.geometry.main_lines {
            return None;
        }
        let part = self.tag_of(word) as usize & ((1 << level) - 1);
        let own = at.line() % self.geometry.first_lines + self.geometry.first_lines * part;
        (own != at.line()).then(|| Position((own * WORDS_PER_LINE + at.0 as usize % WORDS_PER_LINE) as u32))
    }

    /// Whether a word in use is one that nobody finds at this level. Its line has been divided, and it is not yet empty.
    pub(crate) fn is_out_of_place(&self, at: Position, word: u64, level: u32) -> bool {
        self.twin(at, word, level).is_some()
    }

    /// Whether a word is out of place, and one that names the same entry is where it belongs.
    pub(crate) fn was_moved(&self, at: Position, word: u64) -> bool {
        let names_the_same = |twin| self.word(twin).load(Ordering::Relaxed) as u32 == word as u32;
        self.twin(at, word, self.level()).is_some_and(names_the_same)
    }
}
