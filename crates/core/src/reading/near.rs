//! Checks a near copy of a tagged entry against the tags of the entry, after the tag clock has moved.
//!
//! Caution: the position comes from outside of the core, so it may lead anywhere.

use crate::attachment::attached::Attachment;
use crate::layout::entry::TAGGED;
use crate::layout::geometry::WORDS_PER_LINE;
use crate::shard::fate::{Fate, fate};
use crate::shard::index::Position;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::recheck;

impl Attachment {
    /// The tag clock up to which no tag of an entry was invalidated or outdated since its value began to be made. A
    /// near copy of the entry may keep this clock in place of an older one.
    ///
    /// `word_at` and `generation` are those of the copy's `NearDependencies`. `None`: the word names another entry or
    /// none, a tag was invalidated or outdated, or the clock is odd, since an invalidation is under way or its process
    /// has died. Deadline and epochs are not checked.
    pub fn tag_clock_of_copy(&self, word_at: usize, generation: u32) -> Option<u64> {
        let (shard, at) = self.index_word(word_at)?;
        // The clock is loaded before the records: a near copy with a later clock would outlive its invalidation.
        let clock = self.tag_clock();
        // Acquire: pairs with the Release store in `publish`.
        let word = shard.word(at).load(Ordering::Acquire);
        // mutant: near-check-at-odd-clock
        if clock & 1 == 1 || (word >> 32) as u32 != generation {
            return None;
        }
        let head = shard.head(shard.unit_of(word)).ok()?;
        // mutant: near-check-takes-stale
        let holds = head.flags & TAGGED != 0 && fate(&shard, &head).ok()? == Fate::Fresh;
        (recheck(shard.word(at), word).is_ok() && holds).then_some(clock)
    }

    /// The index word at an offset of `index_view`; `None` if there is none.
    fn index_word(&self, offset: usize) -> Option<(ShardView<'_>, Position)> {
        let geometry = self.geometry();
        let distance = offset.checked_sub(geometry.lines_offset(0))?;
        let of_a_shard = geometry.meta(1) - geometry.meta(0);
        let (shard, within) = (distance / of_a_shard, distance % of_a_shard);
        let (line, word) = (within / 64, within % 64 / 8);
        let is_word = offset.is_multiple_of(8) && line < geometry.lines() && word < WORDS_PER_LINE;
        (shard < geometry.shards && is_word)
            .then(|| (self.shard(shard), Position((line * WORDS_PER_LINE + word) as u32)))
    }
}
