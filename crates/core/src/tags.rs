//! Tags: an entry carries the hashes of its tags and the tag clock of when its value began to be made; invalidating a tag
//! records the clock for it. An entry is dead when a record of one of its tags is later than its clock.
//!
//! ```text
//! clock     u64, even: quiet, odd: somebody invalidates, or died doing so                     truth
//! records   2,048 × (hash u64 · removed at u64 · outdated at u64 · –), 8 places for each tag  truth
//! floor     u64: as if every tag had been removed at it                                       truth
//! ```
//!
//! An invalidation, under the tag lock: the clock goes to the next odd number, which is recorded, then to the even one. A
//! tag that finds its places taken pushes out the oldest record and raises the floor to it: entries older than that die
//! as well, which is too much, is counted, and is never too little. docs/models/tags.pml is this protocol.
//!
//! The thing to get wrong: what may be kept. Near copies of tagged entries are valid while the clock is unchanged *and
//! even*: a dead invalidator leaves it odd, with its record stored.

use crate::cache::Core;
use crate::entry::{Damaged, Head};
use crate::error::CacheError;
use crate::feed::ANY_NAMESPACE;
use crate::geometry::{Geometry, TAG_CLOCK, TAG_FLOOR, TAG_RECORD, TAG_WAYS, TAGS_LOCK, TAGS_OVERFLOWED};
use crate::shard::ShardView;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::steps::step;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What an invalidation does to the entries of its tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalidation {
    /// They are gone.
    Remove,
    /// They are stale: served only to those who take stale values.
    Outdate,
}

/// What the tags of an entry say of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Fresh,
    Stale,
    Dead,
}

const HASH: usize = 0;
const REMOVED: usize = 8;
const OUTDATED: usize = 16;

/// One place of the table.
#[derive(Clone, Copy)]
struct Record<'a> {
    region: &'a Region,
    at: usize,
}

impl<'a> Record<'a> {
    fn word(self, field: usize) -> &'a AtomicU64 {
        self.region.u64(self.at + field)
    }

    /// When the tag was last removed and last outdated, if this is its record.
    fn of(self, hash: u64) -> Option<(u64, u64)> {
        // Acquire: pairs with the Release store of the hash in `replace`, and of the clocks in `note`.
        if self.word(HASH).load(Ordering::Acquire) != hash {
            return None;
        }
        let clocks = (self.word(REMOVED).load(Ordering::Acquire), self.word(OUTDATED).load(Ordering::Acquire));
        // Given to another tag meanwhile: the floor was raised before. Acquire: as above, so that whoever sees the place
        // given away sees that floor.
        (self.word(HASH).load(Ordering::Acquire) == hash).then_some(clocks)
    }

    fn latest(self) -> u64 {
        self.word(REMOVED).load(Ordering::Relaxed).max(self.word(OUTDATED).load(Ordering::Relaxed))
    }

    /// Gives the place to another tag. Under the tag lock, the floor being at or above what is recorded here.
    fn replace(self, hash: u64) {
        // Release: pairs with the Acquire in `of`. Whoever sees the place given away sees the floor.
        self.word(HASH).store(0, Ordering::Release);
        step("tag.emptied");
        // Release: a reader of the old tag that sees one of these sees that the hash has changed, or is gone.
        self.word(REMOVED).store(0, Ordering::Release);
        self.word(OUTDATED).store(0, Ordering::Release);
        step("tag.zeroed");
        self.word(HASH).store(hash, Ordering::Release);
        step("tag.named");
    }

    fn note(self, invalidation: Invalidation, clock: u64) {
        let field = if invalidation == Invalidation::Remove { REMOVED } else { OUTDATED };
        // Release: pairs with the Acquire in `of`. Whoever sees the record sees the clock's advance.
        self.word(field).store(clock, Ordering::Release);
        step("tag.recorded");
    }
}

fn records(region: &Region, hash: u64) -> impl Iterator<Item = Record<'_>> {
    let set = Geometry::tag_set(hash);
    (0..TAG_WAYS).map(move |way| Record { region, at: set + way * TAG_RECORD })
}

/// The clock that a value made from now on is stamped with.
#[inline]
pub(crate) fn clock(region: &Region) -> u64 {
    // Acquire: pairs with the Release stores in `invalidate`.
    region.u64(TAG_CLOCK).load(Ordering::Acquire)
}

/// What the tags of a tagged entry say of it. Read without a lock: until the entry's word was looked at again, perhaps
/// nonsense.
#[cold]
pub(crate) fn fate(shard: ShardView<'_>, head: &Head) -> Result<Fate, Damaged> {
    let region = shard.region;
    let now = clock(region);
    let mut stamp = None;
    let (mut removed, mut outdated) = (0, 0);
    head.each_tag(shard, |word| match stamp {
        None => stamp = Some(word),
        // Nothing was invalidated since.
        Some(stamp) if stamp >= now => {}
        Some(_) => {
            let (r, o) = records(region, word).find_map(|record| record.of(word)).unwrap_or((0, 0));
            removed = removed.max(r);
            outdated = outdated.max(o);
        }
    })?;
    let stamp = stamp.ok_or(Damaged)?;
    // Acquire: pairs with the Release in `place_of`. After the records, so that one that was pushed out counts here.
    let floor = region.u64(TAG_FLOOR).load(Ordering::Acquire);
    Ok(if stamp < removed.max(floor) {
        Fate::Dead
    } else if stamp < outdated {
        Fate::Stale
    } else {
        Fate::Fresh
    })
}

impl Core {
    /// The number by which a namespace's tag is known.
    pub(crate) fn tag_number(&self, namespace: u16, name: &str) -> u64 {
        let seed = self.geometry().seed ^ 0x7A67 ^ u64::from(namespace) << 32;
        xxh3_64_with_seed(name.as_bytes(), seed).max(1)
    }

    /// The tag clock, for a value whose making begins now.
    pub fn tag_clock(&self) -> u64 {
        clock(self.segment.region())
    }

    /// How often a tag's record was pushed out by another's, so that more entries died than those of the tags asked for.
    pub(crate) fn tags_overflowed(&self) -> u64 {
        self.segment.region().u64(TAGS_OVERFLOWED).load(Ordering::Relaxed)
    }

    /// Invalidates all entries that carry one of these tags and whose value began to be made before now.
    pub(crate) fn invalidate(
        &self,
        namespace: u16,
        tags: &[u64],
        how: Invalidation,
        timeout: Duration,
    ) -> Result<(), CacheError> {
        self.check_attached()?;
        // After a death its clock is odd: the next odd number is all that there is to repair.
        let guard = self.lock_header(TAGS_LOCK, "the table of tags", timeout)?;
        let region = self.segment.region();
        let word = region.u64(TAG_CLOCK);
        let before = word.load(Ordering::Relaxed); // only holders of the lock store
        let now = before.wrapping_add(1 + (before & 1));
        // Release: pairs with the Acquire in `clock`.
        word.store(now, Ordering::Release);
        step("tag.begun");
        for tag in tags {
            self.place_of(*tag).note(how, now);
        }
        // Before the clock is even: a death in between leaves it odd, and whoever makes it even tells of that.
        if before & 1 == 1 {
            self.tell_invalidated(ANY_NAMESPACE, &[], timeout);
        }
        if !tags.is_empty() {
            self.tell_invalidated(namespace, tags, timeout);
        }
        // Release: as above; who sees the clock even sees the records.
        word.store(now.wrapping_add(1), Ordering::Release);
        step("tag.done");
        drop(guard);
        self.check_not_lost()
    }

    /// The record of a tag, made if there is none. Under the tag lock.
    fn place_of(&self, tag: u64) -> Record<'_> {
        let region = self.segment.region();
        if let Some(own) = records(region, tag).find(|r| r.word(HASH).load(Ordering::Relaxed) == tag) {
            return own;
        }
        let floor = region.u64(TAG_FLOOR);
        let mut oldest = Record { region, at: Geometry::tag_set(tag) };
        for record in records(region, tag) {
            if record.word(HASH).load(Ordering::Relaxed) == 0 {
                oldest = record;
                break;
            }
            if record.latest() < oldest.latest() {
                oldest = record;
            }
        }
        let is_taken = oldest.word(HASH).load(Ordering::Relaxed) != 0;
        if is_taken && oldest.latest() > floor.load(Ordering::Relaxed) {
            // Release: pairs with the Acquire in `fate`.
            floor.store(oldest.latest(), Ordering::Release);
            step("tag.floor");
            region.u64(TAGS_OVERFLOWED).fetch_add(1, Ordering::Relaxed);
            step("tag.overflowed");
        }
        oldest.replace(tag);
        oldest
    }

    /// An invalidator died: until the clock is even again no tagged entry can be kept near.
    pub(crate) fn finish_invalidation(&self) -> Result<(), CacheError> {
        if self.tag_clock() & 1 == 1 {
            self.invalidate(ANY_NAMESPACE, &[], Invalidation::Remove, Duration::ZERO)
        } else {
            Ok(())
        }
    }
}
