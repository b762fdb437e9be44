//! Writes, deletions, increments, eviction and expiry of entries.

use crate::scenarios::{BASE, Scenario, fill, get, set, value_of};
use crate::support::forked::NEVER;
use crate::support::{PLAIN, bytes};
use cache_machine_core::{Cache, Eviction, Write};
use cache_machine_shm::steps::{Fault, arm, disarm, passed};

pub(crate) fn entries() -> Vec<Scenario> {
    let old: fn(&Cache) = |c| set(c, "target", b"old");
    vec![
        Scenario { name: "set a new key", act: |c| set(c, "target", b"new"), ..BASE },
        Scenario { name: "replace", prepare: old, act: |c| set(c, "target", &[7; 3]), ..BASE },
        Scenario { name: "replace by longer", prepare: old, act: |c| set(c, "target", &[7; 5000]), ..BASE },
        Scenario {
            name: "replace an expired one",
            prepare: |c| {
                assert!(c.set(b"target", &Write { ttl_ms: 5, ..bytes(b"old") }).unwrap().is_some());
                c.advance_clock(5).unwrap();
            },
            act: |c| set(c, "target", b"new"),
            ..BASE
        },
        Scenario { name: "reserve more space", prepare: old, act: |c| set(c, "target", &[7; 300_000]), ..BASE },
        Scenario {
            name: "set into a fragmented shard",
            prepare: fragment,
            act: |c| set(c, "target", &[7; 4000]),
            ..BASE
        },
        Scenario {
            name: "replace in a fragmented shard",
            prepare: |c| {
                fragment(c);
                set(c, "target", &[7; 2000]);
            },
            act: |c| set(c, "target", &[8; 3000]),
            ..BASE
        },
        Scenario {
            name: "delete in a fragmented shard",
            prepare: |c| {
                fragment(c);
                set(c, "target", &[7; 3000]);
            },
            act: |c| assert!(c.delete(b"target", 0).unwrap()),
            ..BASE
        },
        Scenario {
            name: "set a key of a full line",
            prepare: |c| {
                let key = overflowing_key(c);
                set(c, "key", key.as_bytes());
                c.delete(key.as_bytes(), 0).unwrap();
            },
            act: |c| set(c, &named_key(c), b"new"),
            ..BASE
        },
        Scenario {
            name: "set keys until the index is divided",
            prepare: |c| drop(overflowing_key(c)),
            act: |c| (0..500).for_each(|i| set(c, &format!("x{i}"), &value_of(i))),
            ..BASE
        },
        Scenario {
            name: "replace a key of a full line",
            prepare: |c| set(c, "key", overflowing_key(c).as_bytes()),
            act: |c| set(c, &named_key(c), b"new"),
            ..BASE
        },
        Scenario {
            name: "delete a key of a full line",
            prepare: |c| set(c, "key", overflowing_key(c).as_bytes()),
            act: |c| assert!(c.delete(named_key(c).as_bytes(), 0).unwrap()),
            ..BASE
        },
        Scenario { name: "delete", prepare: old, act: |c| assert!(c.delete(b"target", 0).unwrap()), ..BASE },
        Scenario {
            name: "take",
            prepare: old,
            act: |c| assert!(c.take(b"target", &mut Vec::new()).unwrap().is_some()),
            ..BASE
        },
        Scenario { name: "touch", prepare: old, act: |c| assert!(c.touch(b"target", 5).unwrap()), ..BASE },
        Scenario {
            name: "persist",
            prepare: |c| {
                assert!(c.set(b"target", &Write { ttl_ms: 5, ..bytes(b"old") }).unwrap().is_some());
            },
            act: |c| assert!(c.touch(b"target", 0).unwrap()),
            ..BASE
        },
        Scenario { name: "incr a new key", act: |c| count_to(c, 1.0), ..BASE },
        Scenario { name: "incr", prepare: |c| count_to(c, 1.0), act: |c| count_to(c, 2.0), ..BASE },
        Scenario {
            name: "evict one, S3-FIFO",
            entries: 0,
            prepare: fill,
            act: |c| set(c, "target", &[3; 300]),
            ..BASE
        },
        Scenario {
            name: "evict many, S3-FIFO",
            entries: 0,
            prepare: fill,
            act: |c| set(c, "target", &[3; 9000]),
            ..BASE
        },
        Scenario {
            name: "evict many, CLOCK",
            eviction: Eviction::Lru,
            entries: 0,
            prepare: fill,
            act: |c| set(c, "target", &[3; 9000]),
            ..BASE
        },
        Scenario {
            name: "expire on the way",
            // Every eighth write sweeps a line. The act is an eighth write.
            prepare: |c| {
                mortal(c, 8000, 1);
                (0..3).for_each(|i| set(c, &format!("y{i}"), b"y"));
            },
            act: |c| set(c, "target", b"new"),
            ..BASE
        },
        Scenario {
            name: "expire for room",
            eviction: Eviction::None,
            prepare: |c| mortal(c, 10, 110_000),
            act: |c| set(c, "target", &[3; 300_000]),
            ..BASE
        },
        Scenario {
            name: "refuse after a pass over all lines",
            eviction: Eviction::None,
            // The first end has come, but its entry has a later one since. With a deadline of another entry the first end
            // is not put off at once.
            prepare: |c| {
                assert!(c.set(b"y0", &Write { ttl_ms: 2000, ..bytes(b"mortal") }).unwrap().is_some());
                assert!(c.set(b"kept", &Write { ttl_ms: 5, ..bytes(b"old") }).unwrap().is_some());
                assert!(c.touch(b"kept", 1000).unwrap());
                let fits = |i: &u64| c.set(format!("b{i}").as_bytes(), &bytes(&[5; 100_000])).unwrap().is_some();
                assert!((0..).take_while(fits).count() > 5);
                c.advance_clock(10).unwrap();
            },
            act: |c| {
                assert!(c.set(b"target", &bytes(&[3; 300_000])).unwrap().is_none());
                assert!(passed().contains_key("control.count"), "no pass has ended");
            },
            ..BASE
        },
        Scenario {
            name: "clear, then set",
            act: |c| {
                c.clear().unwrap();
                set(c, "target", b"new");
            },
            ..BASE
        },
        Scenario {
            name: "delete what was cleared",
            prepare: |c| {
                set(c, "target", b"old");
                c.clear().unwrap();
            },
            act: |c| assert!(!c.delete(b"target", 0).unwrap()),
            ..BASE
        },
    ]
}

pub(crate) fn count_to(cache: &Cache, sum: f64) {
    assert_eq!(cache.incr(b"target", 1.0, &PLAIN).unwrap(), sum);
}

/// Leaves free units in separate runs, each as long as a small entry.
pub(crate) fn fragment(cache: &Cache) {
    let free = || cache.stats().capacity_bytes - cache.stats().used_bytes;
    (0..).take_while(|_| free() > 150_000).for_each(|i| set(cache, &format!("b{i}"), &[5; 100_000]));
    let mut count = 0;
    while free() > 1000 {
        set(cache, &format!("f{count}"), &[1; 60]);
        count += 1;
    }
    (0..count).step_by(2).for_each(|i| assert!(cache.delete(format!("f{i}").as_bytes(), 0).unwrap()));
    assert_eq!(cache.stats().total.evictions, 0);
}

/// Sets keys until one finds its line full. Returns that key.
pub(crate) fn overflowing_key(cache: &Cache) -> String {
    arm(NEVER, Fault::Kill);
    for i in 0.. {
        let key = format!("o{i}");
        set(cache, &key, b"x");
        if passed().contains_key("set.overflow") {
            disarm();
            return key;
        }
    }
    unreachable!()
}

pub(crate) fn named_key(cache: &Cache) -> String {
    String::from_utf8(get(cache, "key").unwrap()).unwrap()
}

pub(crate) fn mortal(cache: &Cache, count: u64, len: usize) {
    let value = vec![9; len];
    let write = Write { ttl_ms: 10, ..bytes(&value) };
    (0..count).for_each(|i| assert!(cache.set(format!("m{i}").as_bytes(), &write).unwrap().is_some()));
    cache.advance_clock(10).unwrap();
}
