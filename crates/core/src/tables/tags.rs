//! Invalidates tags: records the tag clock for them, and sees to it that no record is reused that is still needed.
//!
//! An invalidation holds the tag lock. It sets the clock to the next odd number, records that number for its tags, then
//! sets the clock to the next even number. A new record takes the place of the oldest one. Before that, the entries that
//! the oldest record has ended must be gone: a *judge* goes through the lines of one shard after the other, removes dead
//! entries, marks stale ones, and then notes in the shard the clock at which it began. The background sweep does the same,
//! so a call judges only the lines that it missed: a fixed number for each new record, after the tag lock is released.
//! docs/decisions/0015-exact-tags.md says why the judge is always in time, and docs/models/ has models of the protocol.
//!
//! A shard is left out while its lock cannot be taken. An invalidation that comes late in the turn of a shard waits for a
//! holder that runs, so only a suspended one is outrun. Then the entries of its shard that are older than a reused record
//! count as dead, since they cannot be judged any more: more entries than needed, never fewer, and a count notes them.
//!
//! Caution: near copies of tagged entries are valid while the clock is unchanged *and even*. A process that died in an
//! invalidation leaves the clock odd, with its record stored.

use crate::attachment::attached::Attachment;
use crate::attachment::locks::HeaderTable;
use crate::attachment::patience::Patience;
use crate::change::sweep::JudgeTurn;
use crate::error::CacheError;
use crate::layout::control::Count;
use crate::layout::geometry::{JUDGE_SHARD, JUDGE_SINCE, TAG_CLOCK, TAGS_USED};
use crate::layout::messages::ANY_NAMESPACE;
use crate::layout::namespaces::ROOT;
use crate::layout::tags::{TagTable, link};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::{step, visit};
use cache_machine_shm::tag_clock::{self, TagClocks};
use std::time::Duration;

/// The effect of an invalidation on the entries with its tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalidation {
    /// The entries are removed.
    Remove,
    /// The entries are stale: they are served only to readers that take stale values.
    Outdate,
}

/// Tags under one hold of the tag lock, and with one clock.
const TAGS_PER_HOLD: usize = 64;
/// Shards that an invalidation passes over because they were judged recently.
const SHARDS_PER_CALL: usize = 4;
/// Lines that are judged under one hold of a shard's lock.
const LINES_PER_HOLD: usize = 64;
/// An invalidation judges at most as many times its own lines, if others could not judge theirs: the lock of the shard was
/// taken, or their process died.
const MAX_CATCH_UP: usize = 4;

impl Attachment {
    /// Invalidates all entries with one of these tags and with a value that began to be made before now.
    pub(crate) fn invalidate(
        &self,
        namespace: u16,
        tags: &[u64],
        how: Invalidation,
        patience: Patience,
    ) -> Result<(), CacheError> {
        self.check_attached()?;
        let mut rest = tags;
        loop {
            let (now, later) = rest.split_at(rest.len().min(TAGS_PER_HOLD));
            self.invalidate_some(namespace, now, how, patience)?;
            rest = later;
            if rest.is_empty() {
                return self.check_not_lost();
            }
        }
    }

    fn invalidate_some(
        &self,
        namespace: u16,
        tags: &[u64],
        how: Invalidation,
        patience: Patience,
    ) -> Result<(), CacheError> {
        // After a death the clock is odd. The next odd number is the only repair.
        let guard = self.lock_header(HeaderTable::Tags, patience)?;
        let word = self.region().u64(TAG_CLOCK);
        let was_odd = word.load(Ordering::Relaxed) & 1 == 1; // only holders of the lock store
        let now = tag_clock::begin(word);
        // mutant: invalidation-unrecorded
        let new = tags.iter().filter(|tag| self.record(**tag, how, now)).count();
        // Watchers are notified before the clock is even. A death before that leaves the clock odd, and the process
        // that makes it even notifies of an invalidation of all tags.
        if was_odd {
            self.notify_invalidation(ANY_NAMESPACE, &[], patience);
        }
        if !tags.is_empty() {
            self.notify_invalidation(namespace, tags, patience);
        }
        let turn = if new == 0 { None } else { self.turn_of_judge() };
        tag_clock::end(word, now);
        drop(guard);
        if let Some((shard, turn)) = turn {
            // Half of the turn has passed in vain: a holder that is merely not scheduled must not be outrun.
            // mutant: judge-outruns-a-holder
            let patience = if turn.is_late { patience } else { Patience::Brief(Duration::ZERO) };
            self.judge(shard, &turn, new * MAX_CATCH_UP * self.lines_per_record(), patience);
        }
        Ok(())
    }

    /// Ends an invalidation in which a process died. Until the clock is even again, no tagged entry can have a near
    /// copy.
    pub(crate) fn finish_invalidation(&self) -> Result<(), CacheError> {
        if self.tag_clock() & 1 == 1 {
            self.invalidate(ANY_NAMESPACE, &[], Invalidation::Remove, Patience::Brief(Duration::ZERO))
        } else {
            Ok(())
        }
    }

    /// Records an invalidation of a tag. True: it took a new record. The caller holds the tag lock.
    fn record(&self, tag: u64, how: Invalidation, now: u64) -> bool {
        let region = self.region();
        let table = TagTable::new(region, self.geometry());
        let records = self.geometry().tag_records as u64;
        let used = region.u64(TAGS_USED).load(Ordering::Relaxed); // only holders of the lock store
        let found = table.find(tag);
        // Only a young record takes a later clock: the horizon rises to it when the record is reused. An old record stays in
        // the chain behind the new one, which takes over its clocks.
        if let Some(found) = &found
            && used.wrapping_sub(use_of(found.clocks.link, found.number, records)) as u32 <= (records / 32) as u32
        {
            let record = table.record(found.number);
            tag_clock::note(if how == Invalidation::Remove { record.removed } else { record.outdated }, now);
            return false;
        }
        // The number of uses comes first. After a death the next invalidation takes another record: this one may have the
        // clock of the dead invalidation, and the horizon must not rise to that yet.
        region.u64(TAGS_USED).store(used.wrapping_add(1), Ordering::Relaxed); // guarded by the tag lock
        step("tag.claimed");
        let number = (used % records) as usize;
        let record = table.record(number);
        let horizon = region.u64(self.geometry().tag_horizon());
        if record.latest() > horizon.load(Ordering::Relaxed) {
            // mutant: no-tag-horizon
            tag_clock::raise_horizon(horizon, record.latest());
        }
        let (mut removed, mut outdated) = found.map_or((0, 0), |found| (found.clocks.removed, found.clocks.outdated));
        *(if how == Invalidation::Remove { &mut removed } else { &mut outdated }) = now;
        let head = table.head(tag);
        let link = link(used / records, tag_clock::head_of(head));
        record.reuse(TagClocks { hash: tag, removed, outdated, link });
        tag_clock::put_head(head, number as u32 + 1);
        true
    }

    /// The shard that is to be judged next. `None`: the next shards were judged recently. The caller holds the tag lock.
    fn turn_of_judge(&self) -> Option<(usize, JudgeTurn)> {
        let region = self.region();
        let shards = self.geometry().shards;
        let used = region.u64(TAGS_USED).load(Ordering::Relaxed);
        let first = region.u32(JUDGE_SHARD).load(Ordering::Relaxed) as usize % shards;
        let mut since = region.u64(JUDGE_SINCE).load(Ordering::Relaxed);
        for shard in (first..first + SHARDS_PER_CALL).map(|shard| shard % shards) {
            visit("judged shard");
            let judged_at = self.shard(shard).count(Count::TagsJudgedAt).load(Ordering::Relaxed); // a hint
            let is_recent = judged_at.saturating_add(self.recent_records()) >= since;
            let is_stuck = used.saturating_sub(since) > self.records_per_turn();
            if !is_recent && !is_stuck {
                let due = (used.saturating_sub(since) as usize).saturating_mul(self.lines_per_record());
                let begin_again_before = used.saturating_sub(self.geometry().tag_records as u64 / 4 * 3);
                let is_late = used.saturating_sub(since) > self.records_per_turn() / 2;
                return Some((shard, JudgeTurn { since, due, begin_again_before, is_late }));
            }
            since = used;
            region.u32(JUDGE_SHARD).store(((shard + 1) % shards) as u32, Ordering::Relaxed); // guarded by the tag lock
            region.u64(JUDGE_SINCE).store(since, Ordering::Relaxed);
            step("tag.turned");
        }
        None
    }

    /// Records since the last judgement of a shard with which it is not judged again.
    fn recent_records(&self) -> u64 {
        self.geometry().tag_records as u64 / 8
    }

    /// Lines that are judged for each new record. All shards are judged, and one of them twice, while half of the records
    /// are used.
    fn lines_per_record(&self) -> usize {
        let geometry = self.geometry();
        // mutant: judge-too-slow
        (2 * geometry.lines() * (geometry.shards + 1)).div_ceil(geometry.tag_records)
    }

    /// New records during which a shard has its turn: twice as many as its lines need, and some for a busy lock.
    fn records_per_turn(&self) -> u64 {
        let geometry = self.geometry();
        (geometry.tag_records / (geometry.shards + 1) + geometry.tag_records / 16) as u64
    }

    /// Judges the lines of a shard that are due, at most `most`, if its lock can be taken.
    fn judge(&self, shard: usize, turn: &JudgeTurn, most: usize, patience: Patience) {
        let mut left = most;
        while left > 0 {
            // Busy: the next invalidations try again. Detached: the caller's next check finds it.
            let judged = self.try_change((&self.shard(shard), ROOT), patience, |locked| {
                Ok(locked.judge_tags(turn, left.min(LINES_PER_HOLD))?)
            });
            match judged {
                Ok(lines) if lines > 0 => left -= lines.min(left),
                _ => return,
            }
        }
    }
}

/// The number of the use in which a record has this link.
fn use_of(link: u64, number: usize, records: u64) -> u64 {
    (link >> 32).wrapping_mul(records).wrapping_add(number as u64)
}
