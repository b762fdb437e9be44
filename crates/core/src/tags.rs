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
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;
use cache_machine_shm::tag_clock::{self, Record};
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

fn records(region: &Region, hash: u64) -> impl Iterator<Item = Record<'_>> {
    let set = Geometry::tag_set(hash);
    (0..TAG_WAYS).map(move |way| record_at(region, set + way * TAG_RECORD))
}

fn record_at(region: &Region, at: usize) -> Record<'_> {
    Record { hash: region.u64(at + HASH), removed: region.u64(at + REMOVED), outdated: region.u64(at + OUTDATED) }
}

/// The clock that a value made from now on is stamped with.
#[inline]
pub(crate) fn clock(region: &Region) -> u64 {
    tag_clock::now(region.u64(TAG_CLOCK))
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
    // After the records, so that one that was pushed out counts here.
    let floor = tag_clock::floor_of(region.u64(TAG_FLOOR));
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
        let was_odd = word.load(Ordering::Relaxed) & 1 == 1; // only holders of the lock store
        let now = tag_clock::begin(word);
        for tag in tags {
            let place = self.place_of(*tag);
            tag_clock::note(if how == Invalidation::Remove { place.removed } else { place.outdated }, now);
        }
        // Before the clock is even: a death in between leaves it odd, and whoever makes it even tells of that.
        if was_odd {
            self.tell_invalidated(ANY_NAMESPACE, &[], timeout);
        }
        if !tags.is_empty() {
            self.tell_invalidated(namespace, tags, timeout);
        }
        tag_clock::end(word, now);
        drop(guard);
        self.check_not_lost()
    }

    /// The record of a tag, made if there is none. Under the tag lock.
    fn place_of(&self, tag: u64) -> Record<'_> {
        let region = self.segment.region();
        if let Some(own) = records(region, tag).find(|r| r.hash.load(Ordering::Relaxed) == tag) {
            return own;
        }
        let floor = region.u64(TAG_FLOOR);
        let mut oldest = record_at(region, Geometry::tag_set(tag));
        for record in records(region, tag) {
            if record.hash.load(Ordering::Relaxed) == 0 {
                oldest = record;
                break;
            }
            if record.latest() < oldest.latest() {
                oldest = record;
            }
        }
        let is_taken = oldest.hash.load(Ordering::Relaxed) != 0;
        if is_taken && oldest.latest() > floor.load(Ordering::Relaxed) {
            tag_clock::raise_floor(floor, oldest.latest());
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
