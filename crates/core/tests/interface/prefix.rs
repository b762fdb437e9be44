//! Deletion by prefix.

use crate::removals::removed_so_far;
use crate::support::listeners::listen;
use crate::support::{Scene, assert_valid, bytes, get, put};
use crate::{DEAD, found_by, outdate_tag, put_tagged, remove_tag, set};
use cache_machine_core::{RemovalReason, Write};

#[test]
fn delete_prefix_deletes_the_matching_keys_of_its_namespace() {
    let scene = Scene::new("prefix");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    for cache in [&root, &a, &b] {
        for i in 0..500 {
            ["x:", "xy:", "y:", ""].into_iter().for_each(|start| {
                put(cache, &format!("{start}{i}"), &[1; 50]);
            });
        }
    }
    assert_eq!(a.delete_prefix(b"x:").unwrap(), 500);
    assert_eq!(a.delete_prefix(b"x:").unwrap(), 0);
    assert_eq!([root.len(), a.len(), b.len()], [2000, 1500, 2000]);
    assert_eq!(get(&a, "x:7"), None);
    assert!(get(&a, "xy:7").is_some() && get(&root, "x:7").is_some());
    assert_eq!(root.delete_prefix(b"x").unwrap(), 1000);
    assert_eq!(root.delete_prefix(b"y:49").unwrap(), 11);
    assert_eq!(root.delete_prefix(b"a prefix that is longer than every key in here").unwrap(), 0);
    assert_eq!([root.len(), a.len(), b.len()], [989, 1500, 2000]);
    // The empty prefix deletes all keys of its namespace and no others, also for the root.
    assert_eq!(root.delete_prefix(b"").unwrap(), 989);
    assert_eq!(a.delete_prefix(b"").unwrap(), 1500);
    assert_eq!([root.len(), a.len(), b.len()], [0, 0, 2000]);
    assert_eq!([root.tallies().deletes, a.tallies().deletes, b.tallies().deletes], [2000, 2000, 0]);
    assert!((0..500).all(|i| get(&b, &format!("x:{i}")).is_some()));
    assert_valid(&root);
}

/// Dead entries were no entries to the user, so they do not count as deleted. Those past their deadline count as
/// expired, as with `delete`.
#[test]
fn delete_prefix_removes_dead_entries_without_counting_them() {
    let scene = Scene::new("prefix-dead");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    cache.want_removals(listener, true);
    let mortal = Write { ttl_ms: 10, ..bytes(b"1") };
    set(&cache, "x expired", &mortal);
    set(&cache, "x stale", &Write { stale_ms: 100, ..mortal });
    put_tagged(&cache, "x removed", &["red"]);
    put_tagged(&cache, "x outdated", &["blue"]);
    put(&cache, "x fresh", b"1");
    cache.advance_clock(10).unwrap();
    remove_tag(&cache, "red");
    outdate_tag(&cache, "blue");
    assert_eq!(cache.delete_prefix(b"x").unwrap(), 1);
    assert_eq!((cache.len(), cache.tallies().expirations), (0, 1));
    assert!(["x stale", "x outdated"].iter().all(|key| found_by(&cache, key) == DEAD));
    assert_eq!(removed_so_far(&notices), [(RemovalReason::Expired, "x expired".to_owned())]);
    assert_valid(&cache);
}
