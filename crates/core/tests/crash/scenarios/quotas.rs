//! Quotas of namespaces: settings, room for others and for the own maximum.

use crate::scenarios::{BASE, Scenario, fill, set, value_of};
use crate::support::bytes;
use cache_machine_core::{Cache, Eviction, QuotaSetting};
use cache_machine_shm::steps::passed;

const NONE: QuotaSetting = QuotaSetting { reserve: None, size: None, eviction: None };

pub(crate) fn own(cache: &Cache) -> Cache {
    cache.in_namespace("ns").unwrap()
}

/// Stores 20 entries of the namespace, and sets its quota.
fn with(cache: &Cache, bytes: usize, quota: QuotaSetting) {
    let own = own(cache);
    own.set_quota(&quota).unwrap();
    (0..20).for_each(|i| set(&own, &format!("n{i}"), &vec![i; bytes]));
}

/// Sets keys of the root until one is evicted.
fn fill_root(cache: &Cache) {
    (0..).take_while(|_| cache.tallies().evictions == 0).for_each(|i| set(cache, &format!("x{i}"), &value_of(i)));
}

pub(crate) fn quotas() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "set the first quota",
            prepare: |c| with(c, 1000, NONE),
            act: |c| {
                let quota = QuotaSetting { reserve: Some(1000), size: Some(90_000), eviction: Some(Eviction::Lru) };
                own(c).set_quota(&quota).unwrap();
            },
            ..BASE
        },
        Scenario {
            name: "change a quota",
            prepare: |c| with(c, 1000, QuotaSetting { reserve: Some(50_000), ..NONE }),
            act: |c| own(c).set_quota(&QuotaSetting { reserve: Some(0), size: Some(90_000), ..NONE }).unwrap(),
            ..BASE
        },
        Scenario {
            name: "evict for a namespace with a reserve",
            entries: 0,
            prepare: |c| {
                with(c, 1000, QuotaSetting { reserve: Some(200_000), ..NONE });
                fill_root(c);
            },
            act: |c| set(&own(c), "target", &[3; 9000]),
            ..BASE
        },
        Scenario {
            name: "evict from a namespace above its reserve",
            entries: 0,
            // The root evicts nothing, so each victim is one of the namespace.
            eviction: Eviction::None,
            prepare: |c| {
                with(c, 60_000, QuotaSetting { reserve: Some(100_000), eviction: Some(Eviction::S3Fifo), ..NONE });
                let fits = |i: &u64| c.set(format!("b{i}").as_bytes(), &bytes(&[5; 20_000])).unwrap().is_some();
                let evicted = || own(c).tallies().evictions;
                assert!((0..).take_while(|i| evicted() == 0 && fits(i)).count() < 20);
            },
            act: |c| set(c, "target", &[3; 150_000]),
            ..BASE
        },
        Scenario {
            name: "set beyond the maximum",
            prepare: |c| with(c, 5000, QuotaSetting { size: Some(20 * 5184), ..NONE }),
            act: |c| set(&own(c), "target", &[3; 9000]),
            ..BASE
        },
        Scenario {
            name: "replace by longer at the maximum",
            prepare: |c| with(c, 5000, QuotaSetting { size: Some(20 * 5184), ..NONE }),
            act: |c| set(&own(c), "n3", &[3; 12_000]),
            ..BASE
        },
        Scenario {
            name: "replace by shorter at the maximum",
            prepare: |c| with(c, 5000, QuotaSetting { size: Some(20 * 5184), ..NONE }),
            act: |c| set(&own(c), "n3", &[3; 100]),
            ..BASE
        },
        Scenario {
            name: "set after most entries of a full namespace were deleted",
            prepare: |c| {
                with(c, 5000, QuotaSetting { size: Some(20 * 5184), ..NONE });
                set(&own(c), "p0", &[3; 5000]);
                for i in 3..20 {
                    let _ = own(c).delete(format!("n{i}").as_bytes(), 0).unwrap();
                }
            },
            act: |c| {
                set(&own(c), "target", b"new");
                assert!(passed().contains_key("queue.filling"), "it does not fill again");
            },
            ..BASE
        },
        Scenario {
            name: "refuse at the maximum",
            prepare: |c| {
                with(c, 5000, QuotaSetting { size: Some(20 * 5184), eviction: Some(Eviction::None), ..NONE });
            },
            act: |c| assert!(own(c).set(b"target", &bytes(&[3; 9000])).unwrap().is_none()),
            ..BASE
        },
        Scenario {
            name: "move entries that were there before their quota",
            entries: 0,
            prepare: |c| {
                with(c, 300, NONE);
                fill(c);
                own(c).set_quota(&QuotaSetting { reserve: Some(100_000), ..NONE }).unwrap();
            },
            act: |c| set(c, "target", &[3; 9000]),
            ..BASE
        },
        Scenario {
            name: "clear a namespace with a quota, then set",
            prepare: |c| with(c, 5000, QuotaSetting { size: Some(20 * 5184), ..NONE }),
            act: |c| {
                own(c).clear().unwrap();
                set(&own(c), "target", &[3; 9000]);
            },
            together: &["@ns/n"],
            ..BASE
        },
    ]
}
