//! Transactions: all their keys are old, or all are new.

use crate::scenarios::entries::{named_key, overflowing_key};
use crate::scenarios::quotas::own;
use crate::scenarios::{BASE, Scenario, fill, set, value_of, watch_all};
use crate::support::bytes;
use cache_machine_core::{Cache, Check, Invalidation, KeyChange, QuotaSetting, Write};

pub(crate) fn transactions() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "transact: replace, insert and delete",
            together: &["e", "g"],
            act: |c| transact(c, &["e1", "e2", "g1", "g2"], &["e3", "e4"]),
            ..BASE
        },
        Scenario {
            name: "transact beside watchers",
            together: &["e", "g"],
            ready: |c| _ = watch_all(c),
            act: |c| transact(c, &["e1", "g1"], &["e3"]),
            ..BASE
        },
        Scenario {
            name: "transact with entries of many runs",
            together: &["h"],
            prepare: |c| {
                (0..8).for_each(|i| set(c, &format!("h{i}"), &[1; 900]));
                // Every other entry leaves, so that the space has holes.
                (0..8).step_by(2).for_each(|i| _ = c.delete(format!("h{i}").as_bytes(), 0).unwrap());
            },
            act: |c| {
                let value = [7; 30_000];
                let changes = [change(c, b"h0", Some(bytes(&value))), change(c, b"h1", Some(bytes(&value)))];
                assert!(c.transact(&[], &changes).unwrap());
            },
            ..BASE
        },
        Scenario {
            name: "transact in a full segment",
            entries: 0,
            together: &["g"],
            prepare: |c| {
                set(c, "g1", &value_of(1));
                fill(c);
                set(c, "g1", &value_of(2));
            },
            act: |c| transact(c, &["g1", "g2", "g3"], &[]),
            ..BASE
        },
        Scenario {
            name: "transact with a key that overflows from its line",
            together: &["o", "g"],
            prepare: |c| {
                let key = overflowing_key(c);
                set(c, "key", key.as_bytes());
                assert!(c.delete(key.as_bytes(), 0).unwrap());
            },
            act: |c| transact(c, &["g1", &named_key(c)], &["o0"]),
            ..BASE
        },
        Scenario {
            name: "delete a key that has overflowed in a transaction",
            together: &["o", "g"],
            prepare: |c| {
                let key = overflowing_key(c);
                set(c, "key", key.as_bytes());
            },
            act: |c| transact(c, &["g1", "o0"], &[&named_key(c)]),
            ..BASE
        },
        Scenario {
            name: "transact with lifetimes and tags",
            together: &["g", "h"],
            prepare: |c| {
                let tags = [c.tag("t")];
                let write = Write { ttl_ms: 5000, stale_ms: 100, tags: &tags, ..bytes(b"old") };
                c.set(b"g1", &write).unwrap();
                c.set(b"g2", &write).unwrap();
                c.invalidate_tags(&[c.tag("other")], Invalidation::Remove).unwrap();
            },
            act: |c| {
                let tags = [c.tag("t"), c.tag("u")];
                let kept = Write { keep_ttl: true, keep_tags: true, ..bytes(b"new") };
                let given = Write { ttl_ms: 9000, tags: &tags, ..bytes(b"new") };
                let changes = [change(c, b"g1", Some(kept)), change(c, b"h1", Some(given)), change(c, b"g2", None)];
                assert!(c.transact(&[], &changes).unwrap());
            },
            ..BASE
        },
        Scenario {
            name: "transact in namespaces with quotas",
            together: &["@ns/n", "e1"],
            prepare: |c| {
                own(c).set_quota(&QuotaSetting { reserve: Some(50_000), size: Some(90_000), eviction: None }).unwrap();
                (0..3).for_each(|i| set(&own(c), &format!("n{i}"), &value_of(i)));
            },
            act: |c| {
                let (ns, value) = (own(c), value_of(9));
                let changes = [
                    change(&ns, b"n0", Some(bytes(&value))),
                    change(&ns, b"n1", None),
                    change(&ns, b"n5", Some(bytes(&value))),
                    change(&ns, b"n6", Some(bytes(&value))),
                    change(c, b"e1", Some(bytes(&value))),
                ];
                assert!(c.transact(&[], &changes).unwrap());
            },
            ..BASE
        },
        Scenario {
            name: "transact after a clear",
            together: &["g"],
            ready: |c| c.clear().unwrap(),
            act: |c| transact(c, &["g1", "g2"], &["e1"]),
            ..BASE
        },
        Scenario {
            name: "transact in vain",
            act: |c| {
                let checks = [Check { namespace: c.namespace_of_values(), key: b"e1", version: None }];
                assert!(
                    !c.transact(&checks, &[change(c, b"e1", None), change(c, b"g1", Some(bytes(b"new")))]).unwrap()
                );
            },
            ..BASE
        },
    ]
}

fn change<'a>(cache: &Cache, key: &'a [u8], write: Option<Write<'a>>) -> KeyChange<'a> {
    KeyChange { namespace: cache.namespace_of_values(), key, write }
}

/// Sets some keys and deletes others, if the first one to be set is as it is.
fn transact(cache: &Cache, set: &[&str], deleted: &[&str]) {
    let values: Vec<_> = (0..).zip(set).map(|(i, _)| value_of(100 + i * 7)).collect();
    let written = set.iter().zip(&values).map(|(key, value)| change(cache, key.as_bytes(), Some(bytes(value))));
    let changes: Vec<_> = written.chain(deleted.iter().map(|key| change(cache, key.as_bytes(), None))).collect();
    let key = set[0].as_bytes();
    let version = cache.version_of(key).unwrap();
    let checks = [Check { namespace: cache.namespace_of_values(), key, version }];
    assert!(cache.transact(&checks, &changes).unwrap());
}
