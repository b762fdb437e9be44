//! Removes dead entries a few lines at a time: with writes, when room is needed, and in the background.
//!
//! Writes sweep only when a sweep may find dead entries: after a clear or an invalidation until each line was swept, or
//! when the first end of an entry has come. A pass over all lines finds out when the next entry ends. Entries that a
//! division of the index moves are never lost to a pass: they move to lines behind their own.
//!
//! A sweep also judges tagged entries: it removes those that an invalidation has ended, and marks those that one has made
//! stale. A *tag pass* over all lines begins with the tag clock of its time. After it, no entry of the shard depends on the
//! records up to that clock, so they may be reused.

use crate::change::find::Existing;
use crate::change::locked::Locked;
use crate::layout::control::{Count, Field};
use crate::layout::entry::{Damaged, Head, INVALID, OUTDATED};
use crate::layout::geometry::TAGS_USED;
use crate::layout::tags;
use crate::shard::fate::Fate;
use crate::shard::index::Position;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::{step, visit};
use cache_machine_shm::tag_clock;

/// The turn of a shard to be judged by its tags, in numbers of tag records used.
pub(crate) struct JudgeTurn {
    /// When the turn began.
    pub(crate) since: u64,
    /// Lines to be judged since then.
    pub(crate) due: usize,
    /// A tag pass that began earlier begins again.
    pub(crate) begin_again_before: u64,
    /// Half of the turn is over.
    pub(crate) is_late: bool,
}

impl Locked<'_> {
    /// Sweeps one line with every eighth write, if there may be entries to sweep.
    pub(crate) fn sweep_now_and_then(&mut self) -> Result<(), Damaged> {
        const WRITES_PER_LINE: u32 = 8;
        let writes = self.shard.get(Field::Writes).wrapping_add(1);
        self.shard.put(Field::Writes, writes);
        if writes.is_multiple_of(WRITES_PER_LINE) && self.is_sweep_due() {
            self.sweep(1, None)?;
        }
        Ok(())
    }

    /// Whether a sweep may find dead entries.
    pub(crate) fn is_sweep_due(&self) -> bool {
        // Relaxed: guarded by the lock.
        let has_ended = || self.now_ms() >= self.shard.count(Count::FirstEnd).load(Ordering::Relaxed);
        // mutant: sweep-before-the-first-end
        self.shard.get(Field::Purge) > 0
            || self.shard.get(Field::TagLinesLeft) > 0
            || self.shard.get(Field::Mortal) > 0 && has_ended()
    }

    /// Removes the dead entries of the next `lines` lines, in the background. Returns the number of entries found.
    pub(crate) fn sweep_all(&mut self, lines: usize) -> Result<usize, Damaged> {
        self.follow();
        self.sweep(lines, None)
    }

    /// Removes the dead entries of the next `lines` lines, but not `spared`. Returns the number of entries found, dead or
    /// not.
    pub(crate) fn sweep(&mut self, lines: usize, spared: Option<Position>) -> Result<usize, Damaged> {
        let total = self.shard.lines_in_use();
        let now = self.attachment.now_ms();
        let mut found = 0;
        for _ in 0..lines {
            visit("line");
            let number = self.shard.get(Field::SweepLine) as usize % total;
            let line = self.shard.line_in_use(number);
            for at in Position::of_line(line) {
                let unit = self.shard.unit_of(self.shard.word(at).load(Ordering::Relaxed));
                if unit == 0 {
                    continue;
                }
                visit("swept entry");
                found += 1;
                let head = self.shard.head(unit)?;
                let (cause, fate) = self.judge(&head, now)?;
                match cause {
                    Some(cause) if spared != Some(at) => {
                        self.remove(Existing { at, unit, head, live: false }, cause)?;
                        continue;
                    }
                    Some(_) if fate.is_dead() => self.mark(at, &head, INVALID)?,
                    // mutant: judge-marks-nothing
                    None if fate == Fate::Stale => self.mark(at, &head, OUTDATED)?,
                    _ => {}
                }
                // mutant: pass-forgets-its-first-end
                if head.deadline != 0 {
                    self.note_end(&head, false);
                    self.shard.forget_notes();
                }
            }
            if number + 1 >= total {
                self.end_pass();
            }
            self.shard.put(Field::SweepLine, (number as u32 + 1) % total as u32);
            // The counts of lines come last, and are not undone. A death before them leaves a line that is swept again;
            // otherwise one would be counted that is not swept.
            // mutant: lines-counted-early
            self.shard.forget_notes();
            self.shard.subtract(Field::Purge, 1);
            self.count_judged_line();
        }
        Ok(found)
    }

    /// Notes on an entry what the records of its tags say, once and for all. The index word gets a new generation, so
    /// that a reader that saw neither the mark nor the records reads again.
    fn mark(&self, at: Position, head: &Head, flag: u8) -> Result<(), Damaged> {
        if head.flags & flag != 0 {
            return Ok(());
        }
        // No derived word depends on the mark, so no change is under way that the new generation would commit.
        debug_assert!(self.shard.has_no_notes(), "a mark within a change");
        let word = self.shard.word(at).load(Ordering::Relaxed);
        head.put_flag(self.shard.unit_words(self.shard.unit_of(word))?, flag);
        step("tag.marked");
        publish(self.shard.word(at), word as u32);
        step("tag.republished");
        Ok(())
    }

    /// Judges lines of a shard that has its turn: those that are due, at most `most`. Returns their number.
    pub(crate) fn judge_tags(&mut self, turn: &JudgeTurn, most: usize) -> Result<usize, Damaged> {
        let at = |count| self.shard.count(count).load(Ordering::Relaxed); // guarded by the lock
        if at(Count::TagsJudgedAt) >= turn.since && at(Count::TagsJudgedAt) != 0 {
            return Ok(0);
        }
        let is_under_way = self.shard.get(Field::TagLinesLeft) > 0 && at(Count::TagsPassAt) >= turn.begin_again_before;
        if !is_under_way && !self.begin_tag_pass() {
            return Ok(0);
        }
        let left = self.shard.get(Field::TagLinesLeft) as usize;
        let is_of_turn = self.shard.count(Count::TagsPassAt).load(Ordering::Relaxed) >= turn.since;
        let done = if is_of_turn { self.shard.lines_in_use().saturating_sub(left) } else { 0 };
        let lines = turn.due.saturating_sub(done).min(most).min(left);
        self.sweep(lines, None)?;
        Ok(lines)
    }

    /// Begins a tag pass, unless an invalidation has begun or ended since the lock was taken. True: it began.
    pub(crate) fn begin_tag_pass(&self) -> bool {
        let used = self.shard.region.u64(TAGS_USED).load(Ordering::Relaxed); // a hint
        if tags::clock(self.shard.region) != self.tag_clock {
            return false;
        }
        // The lines come first. A death before the clock leaves a pass of the earlier clock that sweeps them again.
        // mutant: tag-pass-keeps-its-lines
        self.shard.put(Field::TagLinesLeft, self.shard.lines_in_use() as u32);
        self.shard.put_count(Count::TagsPassAt, used);
        self.shard.put_count(Count::TagsPass, tag_clock::ended_at(self.tag_clock));
        step("tag.followed");
        true
    }

    /// Counts a line of a tag pass. After the last one all entries are judged.
    fn count_judged_line(&self) {
        let left = self.shard.get(Field::TagLinesLeft);
        if left == 0 {
            return;
        }
        if left == 1 {
            let at = self.shard.count(Count::TagsPassAt).load(Ordering::Relaxed);
            let clock = self.shard.count(Count::TagsPass).load(Ordering::Relaxed);
            tag_clock::note_judged(self.shard.count(Count::TagsJudged), clock);
            self.shard.put_count(Count::TagsJudgedAt, at);
        }
        self.shard.put(Field::TagLinesLeft, left - 1);
    }

    /// Every line was swept since the last pass ended.
    fn end_pass(&self) {
        let first = self.shard.count(Count::FirstEndOfPass).load(Ordering::Relaxed); // guarded by the lock
        self.shard.put_count(Count::FirstEnd, first);
        self.shard.put_count(Count::FirstEndOfPass, u64::MAX);
    }
}
