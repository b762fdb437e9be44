//! Removal notices, and the room of dead entries.

use crate::support::listeners::listen;
use crate::support::{Scene, assert_valid, bytes, get, put};
use crate::{STALE, found_by, remove_tag, set, small, sweep_all};
use cache_machine_core::{Cache, Eviction, Invalidation, Listener, Notice, Removal, RemovalReason, Write};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

/// The removals in the notices so far.
pub(crate) fn removed_so_far(notices: &mpsc::Receiver<Notice>) -> Vec<(RemovalReason, String)> {
    let text = |entry: &Removal| (entry.reason, String::from_utf8(entry.key.clone()).unwrap());
    notices
        .try_iter()
        .filter_map(|notice| if let Notice::Removed { entries, lost: 0 } = notice { Some(entries) } else { None })
        .flat_map(|entries| entries.iter().map(text).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_listener_that_asks_is_notified_of_evicted_and_expired_keys() {
    let scene = small("removed");
    let cache = scene.open();
    let own = cache.in_namespace("own").unwrap();
    let (notices, listener) = listen(&cache);
    let (others, _) = listen(&cache);
    let mut written = 0;
    let mut fill = |evictions: u64| {
        let before = cache.stats().total.evictions;
        while cache.stats().total.evictions < before + evictions {
            put(if written % 2 == 0 { &cache } else { &own }, &format!("k{written}"), &[1; 3000]);
            written += 1;
        }
    };
    fill(10);
    assert!(notices.try_recv().is_err(), "a notice without a request");
    cache.want_removals(listener, true);
    let before: BTreeSet<String> =
        (0..2000).map(|i| format!("k{i}")).filter(|key| cache.has(key.as_bytes()).unwrap()).collect();
    let own_before: BTreeSet<String> =
        (0..2000).map(|i| format!("k{i}")).filter(|key| own.has(key.as_bytes()).unwrap()).collect();
    fill(20);
    let mut count = 0;
    for notice in notices.try_iter() {
        let Notice::Removed { entries, lost: 0 } = notice else { panic!("{notice:?}") };
        for entry in entries.iter() {
            let key = String::from_utf8(entry.key.clone()).unwrap();
            let in_own = entry.namespace == own.namespace();
            assert_eq!((entry.reason, entry.binary_key), (RemovalReason::Evicted, false));
            assert!(in_own || entry.namespace == 0);
            let there = if in_own { &own_before } else { &before };
            assert!(there.contains(&key) || key[1..].parse::<u32>().unwrap() > 100, "{key} was not there");
            assert!(!(if in_own { &own } else { &cache }).has(&entry.key).unwrap(), "{key} is still there");
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
    // Expired entries are found by the sweep of a writer, by a set of their key, and by a delete.
    cache.clear().unwrap();
    sweep_all(&cache);
    let _ = notices.try_iter().count();
    for key in ["swept", "replaced", "deleted"] {
        cache.set(key.as_bytes(), &Write { ttl_ms: 10, binary_key: true, ..bytes(b"1") }).unwrap().unwrap();
    }
    put(&cache, "replaced in time", b"1");
    put(&cache, "replaced in time", b"2");
    put(&cache, "deleted in time", b"2");
    assert!(cache.delete(b"deleted in time", 0).unwrap());
    cache.advance_clock(10).unwrap();
    assert!(!cache.delete(b"deleted", 0).unwrap());
    put(&cache, "replaced", b"1");
    sweep_all(&cache);
    let removed: Vec<_> = removed_so_far(&notices);
    assert_eq!(removed, ["deleted", "replaced", "swept"].map(|key| (RemovalReason::Expired, key.to_owned())));
    // The request ends by a call, and with the listener.
    cache.want_removals(listener, false);
    fill(5);
    assert!(notices.try_recv().is_err());
    cache.want_removals(listener, true);
    cache.remove_listener(listener);
    fill(5);
    assert!(notices.try_recv().is_err());
    assert!(others.try_recv().is_err(), "a notice to a listener that did not ask");
    assert_valid(&cache);
}

/// A clear left dead entries in place, and the writer that took their room notified that they were evicted.
#[test]
fn a_dead_entry_is_not_evicted_when_its_room_is_taken() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let mut scene = small("not-evicted");
        scene.options.eviction = eviction;
        let cache = scene.open();
        let own = cache.in_namespace("own").unwrap();
        let (notices, listener) = listen(&cache);
        cache.want_removals(listener, true);
        let limit = cache.geometry().capacity() / 3000;
        for i in 0..limit / 4 {
            put(&own, &format!("cleared {i}"), &[1; 2000]);
            set(&cache, &format!("over {i}"), &Write { ttl_ms: 10, ..bytes(&[1; 2000]) });
            set(&cache, &format!("removed {i}"), &Write { tags: &[cache.tag("red")], ..bytes(&[1; 2000]) });
        }
        assert_eq!(cache.stats().total.evictions, 0);
        own.clear().unwrap();
        remove_tag(&cache, "red");
        cache.advance_clock(10).unwrap();
        // Large values, so few writes take much room and nothing is swept on the way.
        let large = vec![2; cache.geometry().max_entry - 100];
        (0..4).for_each(|i| {
            put(&cache, &format!("large {i}"), &large);
        });
        let removed = removed_so_far(&notices);
        let wrong: Vec<_> = removed
            .iter()
            .filter(|(reason, key)| *reason == RemovalReason::Evicted || !key.starts_with("over"))
            .filter(|(_, key)| !key.starts_with("large"))
            .collect();
        assert!(wrong.is_empty(), "{eviction:?}: {wrong:?}");
        assert_eq!(own.tallies().evictions, 0);
        let large_ones = removed.iter().filter(|(_, key)| key.starts_with("large")).count();
        assert_eq!(cache.stats().total.evictions, large_ones as u64);
        assert_eq!(cache.tallies().expirations, (removed.len() - large_ones) as u64);
        assert_valid(&cache);
    }
}

/// The stale value was served until it was replaced, so it did not expire.
#[test]
fn a_stale_value_that_is_replaced_has_not_expired() {
    let scene = Scene::new("renewed");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    cache.want_removals(listener, true);
    let write = Write { ttl_ms: 10, stale_ms: 100, ..bytes(b"1") };
    set(&cache, "x", &write);
    cache.advance_clock(50).unwrap();
    set(&cache, "x", &write);
    assert_eq!((cache.tallies().expirations, removed_so_far(&notices)), (0, vec![]));
    cache.advance_clock(110).unwrap();
    set(&cache, "x", &write);
    assert_eq!(
        (cache.tallies().expirations, removed_so_far(&notices)),
        (1, vec![(RemovalReason::Expired, "x".to_owned())])
    );
}

/// Uses the cache in its first notice.
struct UsesTheCache {
    cache: Mutex<Option<Cache>>,
    notified: AtomicUsize,
    lost: AtomicUsize,
    answers: Mutex<Vec<bool>>,
}

struct Shared(Arc<UsesTheCache>);

impl Listener for Shared {
    fn notify(&self, notice: Notice) {
        let Notice::Removed { entries, lost } = notice else { return };
        self.0.notified.fetch_add(entries.len(), Ordering::Relaxed);
        self.0.lost.fetch_add(lost as usize, Ordering::Relaxed);
        let cache = self.0.cache.lock().unwrap().take();
        if let Some(cache) = cache {
            let mut answers = vec![entries.iter().all(|entry| !cache.has(&entry.key).unwrap())];
            // The lock of the only shard is free; otherwise this would be Busy.
            answers.push(matches!(cache.set(b"from the listener", &bytes(b"1")), Ok(Some(_))));
            answers.push(get(&cache, "from the listener").is_some());
            answers.push(cache.delete(b"from the listener", 0).unwrap());
            *self.0.answers.lock().unwrap() = answers;
        }
    }
}

#[test]
fn a_listener_may_use_the_cache_and_gets_the_count_of_lost_notices() {
    let scene = small("nested-call");
    let cache = scene.open();
    let uses = Arc::new(UsesTheCache {
        cache: Mutex::new(None),
        notified: AtomicUsize::new(0),
        lost: AtomicUsize::new(0),
        answers: Mutex::new(Vec::new()),
    });
    let listener = cache.add_listener(Box::new(Shared(uses.clone())));
    let key = |i: usize| format!("{i} {}", "k".repeat(1000));
    let mut count = 0;
    while cache.stats().total.evictions == 0 {
        put(&cache, &key(count), b"");
        count += 1;
    }
    cache.want_removals(listener, true);
    *uses.cache.lock().unwrap() = Some(cache.clone());
    let before = cache.stats().total.evictions;
    // One value takes the room of hundreds of entries with more than 64 KiB of keys.
    put(&cache, "large", &vec![1; cache.geometry().max_entry - 100]);
    assert_eq!(*uses.answers.lock().unwrap(), [true; 4]);
    let (notified, lost) = (uses.notified.load(Ordering::Relaxed), uses.lost.load(Ordering::Relaxed));
    assert_eq!((notified + lost) as u64, cache.stats().total.evictions - before);
    assert!((60..=65).contains(&notified) && lost > 100, "{notified} notified, {lost} lost");
    // Lost removals are counted once.
    let before = cache.stats().total.evictions;
    let evicted = || cache.stats().total.evictions - before;
    (0..).take_while(|_| evicted() < 20).for_each(|i| {
        put(&cache, &format!("more {i}"), &[1; 2000]);
    });
    assert_eq!(uses.lost.load(Ordering::Relaxed), lost);
    assert_eq!((uses.notified.load(Ordering::Relaxed) - notified) as u64, evicted());
    assert_valid(&cache);
}

#[test]
fn a_set_takes_the_room_of_its_own_expired_entry_without_eviction() {
    let mut scene = small("own");
    scene.options.eviction = Eviction::None;
    let cache = scene.open();
    let value = [1; 2970];
    let set = |key: u32, write: &Write<'_>| cache.set(format!("{key}").as_bytes(), write).unwrap().is_some();
    let capacity = (0..).take_while(|key| set(*key, &bytes(&value))).count() as u32;
    cache.clear().unwrap();
    // All but the last live on. The last expires, and no other entry can make room for its successor.
    assert!((1..capacity).all(|key| set(key, &bytes(&value))));
    assert!(set(capacity, &Write { ttl_ms: 10, ..bytes(&value) }));
    assert!(!set(capacity + 1, &bytes(&value)));
    cache.advance_clock(10).unwrap();
    assert!(set(capacity, &bytes(&value)));
    assert_valid(&cache);
}

/// No sweep is needed before: a set without room looks for dead entries.
#[test]
fn the_next_set_gets_the_room_of_dead_entries_without_eviction() {
    let mut scene = small("room");
    scene.options.eviction = Eviction::None;
    let root = scene.open();
    let own = root.in_namespace("own").unwrap();
    let tags = [own.tag("red")];
    let fill = |cache: &Cache, write: &Write<'_>| {
        let mut count = 0;
        while cache.set(format!("{count}").as_bytes(), write).unwrap().is_some() {
            count += 1;
        }
        count
    };
    put(&root, "kept", b"1");
    // Tags and a stale window do not change the number of units.
    let value = [1; 2970];
    let capacity = fill(&own, &bytes(&value));
    assert!(capacity > 300, "{capacity}");
    own.clear().unwrap();
    assert_eq!(fill(&own, &Write { tags: &tags, ..bytes(&value) }), capacity);
    own.invalidate_tags(&tags, Invalidation::Remove).unwrap();
    assert_eq!(fill(&own, &Write { ttl_ms: 10, ..bytes(&value) }), capacity);
    root.advance_clock(10).unwrap();
    assert_eq!(fill(&own, &Write { ttl_ms: 10, stale_ms: 10, ..bytes(&value) }), capacity);
    // Stale and outdated entries can still be read, so their room is not taken.
    root.advance_clock(10).unwrap();
    assert_eq!(fill(&root, &bytes(&value)), 0);
    root.advance_clock(10).unwrap();
    assert_eq!(fill(&own, &Write { tags: &tags, ..bytes(&value) }), capacity);
    own.invalidate_tags(&tags, Invalidation::Outdate).unwrap();
    assert_eq!(fill(&root, &bytes(&value)), 0);
    assert_eq!(found_by(&own, "7"), STALE);
    own.delete_prefix(b"").unwrap();
    assert_eq!(fill(&own, &bytes(&value)), capacity);
    assert_eq!(get(&root, "kept").as_deref(), Some(&b"1"[..]));
    root.clear().unwrap();
    assert_eq!(fill(&root, &bytes(&value)), capacity);
    assert_eq!(root.stats().total.evictions, 0);
    assert_valid(&root);
}
