//! Stats: the counts of all processes, and the state of the entry space.

use crate::attachment::attached::Attachment;
use crate::layout::control::{Count, Field, Tally};
use crate::layout::geometry::{Geometry, LOCK_WAIT_BUCKETS, LOCK_WAITED, LOCK_WAITS, UNIT};
use crate::layout::namespaces::{self, ROOT, Read, registered};
use crate::layout::quotas::{class_of, quota};
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{Header, ProcessCounter, Region};

/// Counts of one namespace or of all, over all processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tallies {
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found no value.
    pub misses: u64,
    /// Values written.
    pub sets: u64,
    /// Entries deleted on request.
    pub deletes: u64,
    /// Entries evicted.
    pub evictions: u64,
    /// Entries expired.
    pub expirations: u64,
    /// Current number of entries.
    pub entries: u64,
    /// Bytes of these entries, in units of 64 bytes with their heads.
    pub bytes: u64,
    /// Bytes that other namespaces cannot take; of the whole segment, the sum.
    pub guaranteed_bytes: u64,
    /// Maximum bytes; of a namespace without a maximum and of the whole segment, those of the entry space.
    pub maximum_bytes: u64,
    /// Entries evicted because their namespace had reached its maximum. They are a part of `evictions`.
    pub evicted_for_size: u64,
    /// Entries evicted to make room for another namespace. They are a part of `evictions`.
    pub evicted_for_others: u64,
}

/// Counts over all processes, and the state of the entry space.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Counts of the whole segment.
    pub total: Tallies,
    /// Bytes that entries occupy.
    pub used_bytes: u64,
    /// Bytes of the entry space.
    pub capacity_bytes: u64,
    /// Bytes of the segment that the file system has allocated so far: header, tables, indexes and entry space.
    pub reserved_bytes: u64,
    /// Number of rebuilds of shards.
    pub repairs: u64,
    /// Index words that rebuilds dropped because their entries were damaged.
    pub damaged: u64,
    /// Writes that ended as busy.
    pub busy: u64,
    /// Number of sleeps on a lock.
    pub lock_waits: u64,
    /// Histogram of the waits for locks: `LOCK_WAIT_BUCKETS`.
    pub lock_wait_times: [u64; LOCK_WAIT_BUCKETS],
    /// Total time of these waits, in nanoseconds.
    pub lock_waited_ns: u64,
    /// Reads that began again because the entry changed under them.
    pub retries: u64,
    /// Entries that ended, or were not kept, because the record of an invalidation was gone before they were compared with
    /// it. Expected: 0.
    pub tags_unjudged: u64,
    /// States of limiters that were evicted before they expired.
    pub limits_evicted: u64,
    /// Attached processes.
    pub processes: u64,
}

/// How the space of one shard is used. Each number is read by itself, without the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShardUse {
    /// Bytes that entries can occupy.
    pub capacity_bytes: u64,
    /// Those of them that were taken from the file system so far.
    pub reserved_bytes: u64,
    /// Those of them that entries and records occupy.
    pub used_bytes: u64,
    /// Bytes of the small queue, which new entries pass first. Without entries of namespaces that have a quota.
    pub small_bytes: u64,
    /// Bytes of the main queue. Without entries of namespaces that have a quota.
    pub main_bytes: u64,
    /// Bytes of records that are not evicted, such as locks.
    pub pinned_bytes: u64,
    /// Index words in use: entries and records.
    pub words: u64,
    /// Rebuilds of the shard.
    pub repairs: u64,
}

impl Attachment {
    /// How the space of each shard is used.
    pub(crate) fn shard_uses(&self) -> Vec<ShardUse> {
        let geometry = self.geometry();
        let bytes = |units: u64| units * UNIT as u64;
        let use_of = |shard: ShardView<'_>| {
            // Unit 0 is never used.
            let reserved = u64::from(shard.get(Field::Reserved)).min(geometry.units as u64).saturating_sub(1);
            let units = |field| bytes(u64::from(shard.get(field)).min(reserved));
            ShardUse {
                capacity_bytes: bytes(geometry.units as u64 - 1),
                reserved_bytes: bytes(reserved),
                used_bytes: bytes(reserved.saturating_sub(u64::from(shard.get(Field::Free)))),
                small_bytes: units(Field::SmallUnits),
                main_bytes: units(Field::MainUnits),
                pinned_bytes: units(Field::PinnedUnits),
                words: u64::from(shard.get(Field::Words)),
                repairs: shard.count(Count::Repairs).load(Ordering::Relaxed),
            }
        };
        self.shards().map(use_of).collect()
    }

    /// Counts over all processes since the segment was made.
    pub fn stats(&self) -> Stats {
        let region = self.region();
        let sum = |counter| Geometry::table().sum(region, counter);
        let mut stats = stats_of(region, self.geometry(), self.segment.allocated_bytes());
        stats.total.hits = sum(ProcessCounter::Hits);
        stats.total.misses = sum(ProcessCounter::Misses);
        stats.busy = sum(ProcessCounter::Busy);
        stats.lock_waits = sum(ProcessCounter::LockWaits);
        stats.lock_wait_times =
            std::array::from_fn(|bucket| region.u64(LOCK_WAITS + bucket * 8).load(Ordering::Relaxed));
        stats.lock_waited_ns = region.u64(LOCK_WAITED).load(Ordering::Relaxed);
        stats.retries = sum(ProcessCounter::Retries);
        stats.processes = self.segment.member().living().len() as u64;
        stats
    }
}

fn views<'a>(region: &'a Region, geometry: &'a Geometry) -> impl Iterator<Item = ShardView<'a>> {
    (0..geometry.shards).map(move |index| ShardView::new(region, geometry, index))
}

/// Number of a namespace's entries.
pub(crate) fn entries_of(region: &Region, geometry: &Geometry, namespace: u16) -> u64 {
    let life = namespaces::life(region, Header::of(region).epoch().load(Ordering::Acquire), namespace);
    views(region, geometry).map(|shard| shard.entries(namespace, life)).fold(0, u64::wrapping_add)
}

/// The shards' counts of a namespace, and its reads. The reads of the root are not in them: no counter holds them
/// alone.
fn tallies_of(region: &Region, geometry: &Geometry, namespace: u16) -> Tallies {
    let sum = |tally| {
        views(region, geometry)
            .map(|shard| shard.tally(namespace, tally).load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    };
    let life = namespaces::life(region, Header::of(region).epoch().load(Ordering::Acquire), namespace);
    let class = class_of(region, namespace);
    let own = quota(region, geometry, class);
    let capacity = geometry.capacity() as u64;
    let units = views(region, geometry).map(|shard| shard.units_in_life(namespace, life).0).fold(0, u64::wrapping_add);
    let for_size = |shard: ShardView<'_>| shard.evicted_for_size(class).load(Ordering::Relaxed);
    Tallies {
        bytes: units.wrapping_mul(UNIT as u64),
        guaranteed_bytes: if class == 0 { 0 } else { own.reserve * UNIT as u64 },
        maximum_bytes: if class == 0 { capacity } else { own.size.saturating_mul(UNIT as u64).min(capacity) },
        evicted_for_size: if class == 0 { 0 } else { views(region, geometry).map(for_size).fold(0, u64::wrapping_add) },
        evicted_for_others: sum(Tally::EvictedForOthers),
        hits: namespaces::reads(region, namespace, Read::Hit),
        misses: namespaces::reads(region, namespace, Read::Miss),
        sets: sum(Tally::Sets),
        deletes: sum(Tally::Deletes),
        evictions: sum(Tally::Evictions),
        expirations: sum(Tally::Expirations),
        entries: entries_of(region, geometry, namespace),
    }
}

/// The counts of a namespace. The root's counts cover everything outside of namespaces.
pub(crate) fn own_tallies(region: &Region, geometry: &Geometry, namespace: u16) -> Tallies {
    let mut own = tallies_of(region, geometry, namespace);
    if namespace == ROOT {
        let outside = |all, read| {
            let inside = (1..registered(region)).map(|n| namespaces::reads(region, n, read));
            Geometry::table().sum(region, all).saturating_sub(inside.fold(0, u64::wrapping_add))
        };
        own.hits = outside(ProcessCounter::Hits, Read::Hit);
        own.misses = outside(ProcessCounter::Misses, Read::Miss);
    }
    own
}

/// The counts of the shards, without those of the processes. `reserved_bytes`: what the file system has allocated.
pub(crate) fn stats_of(region: &Region, geometry: &Geometry, reserved_bytes: u64) -> Stats {
    let mut stats = Stats { capacity_bytes: geometry.capacity() as u64, reserved_bytes, ..Stats::default() };
    for namespace in 0..registered(region) {
        let own = tallies_of(region, geometry, namespace);
        let total = &mut stats.total;
        for (sum, count) in [
            (&mut total.sets, own.sets),
            (&mut total.deletes, own.deletes),
            (&mut total.evictions, own.evictions),
            (&mut total.expirations, own.expirations),
            (&mut total.entries, own.entries),
            (&mut total.bytes, own.bytes),
            (&mut total.guaranteed_bytes, own.guaranteed_bytes),
            (&mut total.evicted_for_size, own.evicted_for_size),
            (&mut total.evicted_for_others, own.evicted_for_others),
        ] {
            *sum = sum.wrapping_add(count);
        }
    }
    stats.total.maximum_bytes = stats.capacity_bytes;
    for shard in views(region, geometry) {
        let unit = UNIT as u64;
        let reserved = u64::from(shard.get(Field::Reserved)).min(geometry.units as u64);
        stats.repairs = stats.repairs.wrapping_add(shard.count(Count::Repairs).load(Ordering::Relaxed));
        stats.damaged = stats.damaged.wrapping_add(shard.count(Count::Damaged).load(Ordering::Relaxed));
        let limits_evicted = shard.count(Count::LimitsEvicted).load(Ordering::Relaxed);
        stats.limits_evicted = stats.limits_evicted.wrapping_add(limits_evicted);
        let unjudged = shard.count(Count::TagsUnjudged).load(Ordering::Relaxed);
        stats.tags_unjudged = stats.tags_unjudged.wrapping_add(unjudged);
        stats.used_bytes += reserved.saturating_sub(1).saturating_sub(u64::from(shard.get(Field::Free))) * unit;
    }
    stats
}
