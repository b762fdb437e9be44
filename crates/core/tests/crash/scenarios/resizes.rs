//! Resizes: everything stays, whether the old area is in use after a death or the new one.

use crate::scenarios::permits::LOCK;
use crate::scenarios::{BASE, Scenario, get, set, value_of};
use crate::support::forked::SOON;
use crate::support::permits::ONE;
use crate::support::{PLAIN, bytes};
use cache_machine_core::{Cache, CacheError, Eviction, Invalidation, Keyspace, QuotaSetting, Write};
use std::os::unix::fs::FileExt;
use std::time::Instant;

const MB: usize = 1 << 20;

/// Entries of all kinds, in two namespaces, one of them with a quota.
fn prepare(cache: &Cache) {
    let inside = cache.in_namespace("ns").unwrap();
    inside.set_quota(&QuotaSetting { size: Some(1 << 20), ..QuotaSetting::default() }).unwrap();
    for i in 0..10 {
        set(&inside, &format!("n{i}"), &value_of(i));
        let tags = [cache.tag("tag"), cache.tag(&format!("t{i}"))];
        let write = Write { tags: &tags, ttl_ms: 1_000_000, stale_ms: 5000, ..bytes(b"tagged") };
        cache.set(format!("g{i}").as_bytes(), &write).unwrap();
    }
    cache.invalidate_tags(&[cache.tag("t3")], Invalidation::Remove).unwrap();
    cache.invalidate_tags(&[cache.tag("t4")], Invalidation::Outdate).unwrap();
    cache.incr(b"key", 7.0, &PLAIN).unwrap();
    set(cache, "kept", &vec![1; 100_000]);
    cache.acquire(Keyspace::Locks, LOCK, &ONE).unwrap();
}

/// A segment of 4 MiB that holds more than 2 MiB and evicts nothing.
fn prepare_full(cache: &Cache) {
    cache.resize(4 * MB).unwrap().unwrap();
    let begun = Instant::now();
    // The area before is given back first, so that each run of the act has the same steps.
    while !is_released(cache) {
        assert!(begun.elapsed() < SOON);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    (0..2500).for_each(|i| set(cache, &format!("x{i}"), &[2; 1000]));
}

/// Whether the header says that the file has the first area after the one that it began with, and no other.
fn is_released(cache: &Cache) -> bool {
    const RELEASED: u64 = 832;
    let mut word = [0; 4];
    std::fs::File::open(cache.path()).unwrap().read_exact_at(&mut word, RELEASED).unwrap();
    u32::from_le_bytes(word) == 1
}

pub(crate) fn resizes() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "a resize",
            prepare,
            act: |cache| {
                cache.resize(3 * MB).unwrap().unwrap();
            },
            ..BASE
        },
        Scenario {
            name: "a resize that is refused",
            eviction: Eviction::None,
            prepare: prepare_full,
            act: |cache| {
                assert!(matches!(cache.resize(2 * MB), Err(CacheError::NoSpace(_))));
                assert_eq!(get(cache, "x2499").unwrap().len(), 1000);
            },
            ..BASE
        },
    ]
}
