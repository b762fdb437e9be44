//! Carries over what an area has beside its entries: versions, counts, and the records of invalidated tags.

use crate::attachment::attached::Attachment;
use crate::layout::control::{Count, Tally};
use crate::layout::geometry::TAGS_USED;
use crate::layout::namespaces::registered;
use crate::layout::quotas::last_class;
use crate::layout::tags::{self, TagTable, link};
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;
use cache_machine_shm::tag_clock::{self, TagClocks};

/// Counts of a namespace that go on. The others count what is in a shard.
const TALLIES: [Tally; 5] =
    [Tally::Sets, Tally::Deletes, Tally::Evictions, Tally::Expirations, Tally::EvictedForOthers];
/// Counts of a shard that go on.
const COUNTS: [Count; 4] = [Count::Repairs, Count::Damaged, Count::LimitsEvicted, Count::TagsUnjudged];

/// Carries everything over. The caller holds all locks of the present area.
pub(crate) fn carry(old: &Attachment, new: &Attachment) {
    carry_counts(old, new);
    carry_tags(old, new);
    let used = old.region().u64(TAGS_USED).load(Ordering::Relaxed); // guarded by the tag lock
    for shard in new.shards() {
        // A version is never given twice, and the shards of the keys have changed.
        shard.count(Count::Sequence).store(old.last_version(), Ordering::Relaxed); // published by the root epoch
        step("resize.version");
        shard.put_count(Count::TagsJudgedAt, used);
        tag_clock::note_judged(shard.count(Count::TagsJudged), tag_clock::ended_at(tags::clock(old.region())));
        shard.forget_notes();
    }
}

/// The sums of all shards go on in the first one.
fn carry_counts(old: &Attachment, new: &Attachment) {
    let sum =
        |count: &dyn Fn(&ShardView<'_>) -> u64| old.shards().map(|shard| count(&shard)).fold(0, u64::wrapping_add);
    let first = new.shard(0);
    for namespace in 0..registered(old.region()) {
        for tally in TALLIES {
            first.add_tally(namespace, tally, sum(&|shard| shard.tally(namespace, tally).load(Ordering::Relaxed)));
        }
    }
    for count in COUNTS {
        let before = first.count(count).load(Ordering::Relaxed); // no other process reads it yet
        first.put_count(count, before.wrapping_add(sum(&|shard| shard.count(count).load(Ordering::Relaxed))));
    }
    for class in 1..=last_class(old.region()) {
        let evicted = sum(&|shard| shard.evicted_for_size(class).load(Ordering::Relaxed));
        first.evicted_for_size(class).fetch_add(evicted, Ordering::Relaxed); // no other process reads it yet
        step("resize.counted");
    }
}

/// Records the same invalidations in the table of the new area, the oldest first. It may have fewer records: then the
/// horizon rises. No copied entry depends on a record, but a value that is being made may.
fn carry_tags(old: &Attachment, new: &Attachment) {
    let (from, to) = (TagTable::new(old.region(), old.geometry()), TagTable::new(new.region(), new.geometry()));
    let (records, room) = (old.geometry().tag_records as u64, new.geometry().tag_records as u64);
    let used = old.region().u64(TAGS_USED).load(Ordering::Relaxed); // guarded by the tag lock
    let mut horizon = tags::horizon(old.region(), old.geometry());
    for number in used.saturating_sub(records)..used {
        let record = from.record((number % records) as usize);
        let Some(clocks) = record.read() else { continue };
        if (clocks.link >> 32) as u32 != (number / records) as u32 {
            continue; // claimed by a process that died before it filled the record
        }
        if number + room < used {
            horizon = horizon.max(record.latest());
            continue;
        }
        let head = to.head(clocks.hash);
        let link = link(number / room, tag_clock::head_of(head));
        let place = (number % room) as usize;
        to.record(place).reuse(TagClocks { link, ..clocks });
        tag_clock::put_head(head, place as u32 + 1);
    }
    tag_clock::raise_horizon(new.region().u64(new.geometry().tag_horizon()), horizon);
}
