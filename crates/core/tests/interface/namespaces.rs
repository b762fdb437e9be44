//! Namespaces: keys, names, counts, clears and waits of their own.

use crate::support::listeners::listen;
use crate::support::{PLAIN, SOON, Scene, assert_valid, bytes, get, put};
use crate::{DEAD, FRESH, all_keys, found_by, set, small, sweep_all};
use cache_machine_core::{Cache, CacheError, MAX_NAME, MAX_NAMESPACES, Notice, OpenOptions, Tallies, Write};

#[test]
fn the_same_key_in_two_namespaces_is_two_entries() {
    let scene = Scene::new("two");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    assert_eq!([root.namespace(), a.namespace(), b.namespace()], [0, 1, 2]);
    assert_eq!(root.namespace_names(), ["a", "b"]);
    for (cache, value) in [(&root, b"root"), (&a, b"in a"), (&b, b"in b")] {
        put(cache, "k", value);
    }
    assert_eq!(get(&root, "k").as_deref(), Some(&b"root"[..]));
    assert_eq!(get(&a, "k").as_deref(), Some(&b"in a"[..]));
    // A name has one number, for every handle.
    assert_eq!(get(&a.in_namespace("b").unwrap(), "k").as_deref(), Some(&b"in b"[..]));
    assert!(a.delete(b"k", 0).unwrap());
    assert!(!a.has(b"k").unwrap());
    let mut out = Vec::new();
    assert!(b.take(b"k", &mut out).unwrap().is_some());
    assert_eq!(out, b"in b");
    assert_eq!(get(&root, "k").as_deref(), Some(&b"root"[..]));
    assert_eq!(a.incr(b"n", 1.0, &PLAIN).unwrap(), 1.0);
    assert_eq!(b.incr(b"n", 5.0, &PLAIN).unwrap(), 5.0);
    assert!(a.touch(b"n", 10).unwrap());
    root.advance_clock(10).unwrap();
    assert_eq!(found_by(&a, "n"), DEAD);
    assert_eq!(found_by(&b, "n"), FRESH);
    assert_valid(&root);
}

#[test]
fn a_visitor_creates_neither_a_segment_nor_a_namespace() {
    let scene = Scene::new("visitor");
    let visit = OpenOptions { create: false, ..scene.options.clone() };
    assert!(matches!(Cache::open(&visit), Err(CacheError::NoSegment(_))));
    assert!(matches!(Cache::open(&visit), Err(CacheError::NoSegment(_))), "the first call created nothing");
    let cache = scene.open();
    cache.in_namespace("known").unwrap();
    let (visitor, _) = Cache::open(&visit).unwrap();
    assert!(visitor.opened_in_namespace("known", None, &visit).is_ok());
    let unknown = visitor.opened_in_namespace("unknown", None, &visit);
    assert!(matches!(unknown, Err(CacheError::NoSegment(_))));
    assert!(matches!(visitor.opened_in_namespace("", None, &visit), Err(CacheError::InvalidArgument(_))));
    assert_eq!(cache.namespace_names(), ["known"]);
    assert!(visitor.opened_in_namespace("unknown", None, &scene.options).is_ok());
    assert_eq!(cache.namespace_names(), ["known", "unknown"]);
}

#[test]
fn a_closed_cache_keeps_its_namespaces() {
    let scene = Scene::new("kept");
    let cache = scene.open();
    cache.in_namespace("first").unwrap();
    put(&cache.in_namespace("second").unwrap(), "k", b"v");
    drop(cache);
    let again = scene.open();
    assert_eq!(again.namespace_names(), ["first", "second"]);
    assert_eq!(get(&again.in_namespace("second").unwrap(), "k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn clearing_a_namespace_removes_its_own_entries_and_clearing_the_root_removes_all() {
    let scene = Scene::new("lives");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    let all = [&root, &a, &b];
    let fill = || {
        for (count, cache) in (1..).zip(all) {
            (0..count * 100).for_each(|i| {
                put(cache, &format!("{i}"), &[1; 100]);
            });
        }
    };
    let sizes = || all.map(Cache::len);
    fill();
    assert_eq!(sizes(), [100, 200, 300]);
    a.clear().unwrap();
    assert_eq!(sizes(), [100, 0, 300]);
    assert_eq!([get(&root, "7").is_some(), get(&a, "7").is_some(), get(&b, "7").is_some()], [true, false, true]);
    put(&a, "7", b"after the clear");
    assert_eq!(sizes(), [100, 1, 300]);
    root.clear().unwrap();
    assert_eq!(sizes(), [0, 0, 0]);
    assert_eq!([get(&root, "7"), get(&a, "7"), get(&b, "7")], [None, None, None]);
    assert!(all.map(|cache| all_keys(cache, b"", 1000)).iter().all(Vec::is_empty));
    fill();
    assert_eq!(sizes(), [100, 200, 300]);
    // Two clears, and a clear of an empty namespace.
    root.clear().unwrap();
    root.clear().unwrap();
    b.clear().unwrap();
    assert_eq!(sizes(), [0, 0, 0]);
    fill();
    assert_eq!(sizes(), [100, 200, 300]);
    assert_eq!(root.stats().total.entries, 600);
    assert_valid(&root);
}

#[test]
fn each_namespace_has_its_own_counts_and_the_root_counts_the_rest() {
    let scene = small("tallies");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    for (times, cache) in [(1, &root), (2, &a), (3, &b)] {
        for i in 0..times {
            put(cache, &format!("{i}"), b"1");
            put(cache, &format!("{i}"), b"2");
            set(cache, &format!("m{i}"), &Write { ttl_ms: 10, ..bytes(b"mortal") });
            assert!(get(cache, &format!("{i}")).is_some());
            assert!(get(cache, "none").is_none());
            assert!(get(cache, "none").is_none());
            // `has` counts neither hit nor miss.
            assert!(!cache.has(b"none").unwrap());
        }
    }
    assert!(b.delete(b"0", 0).unwrap());
    assert!(b.take(b"1", &mut Vec::new()).unwrap().is_some());
    assert!(b.take(b"1", &mut Vec::new()).unwrap().is_none());
    root.advance_clock(10).unwrap();
    sweep_all(&root);
    root.delete(b"sweeper", 0).unwrap();
    let of = |n: u64| Tallies { hits: n, misses: 2 * n, sets: 3 * n, expirations: n, entries: n, ..Tallies::default() };
    // Bytes and their limits are in `quotas.rs`.
    let counts = |cache: &Cache| Tallies { bytes: 0, maximum_bytes: 0, ..cache.tallies() };
    let own = counts(&root);
    assert_eq!(own, Tallies { sets: own.sets, deletes: 1, ..of(1) });
    assert!(own.sets > 1000);
    assert_eq!(counts(&a), of(2));
    assert_eq!(counts(&b), Tallies { hits: 4, misses: 7, deletes: 2, entries: 1, ..of(3) });
    // Writes of the root evict entries of all namespaces.
    (0..).take_while(|_| root.stats().total.evictions < 3).for_each(|i| {
        put(&root, &format!("r{i}"), &[1; 9000]);
    });
    let evictions = |cache: &Cache| cache.tallies().evictions;
    let total = root.stats().total;
    assert_eq!(evictions(&root) + evictions(&a) + evictions(&b), total.evictions);
    let sum = |count: fn(Tallies) -> u64| count(root.tallies()) + count(a.tallies()) + count(b.tallies());
    assert_eq!(
        [sum(|t| t.hits), sum(|t| t.misses), sum(|t| t.sets), sum(|t| t.deletes), sum(|t| t.entries)],
        [total.hits, total.misses, total.sets, total.deletes, total.entries]
    );
    assert_valid(&root);
}

#[test]
fn a_name_has_1_to_63_bytes_of_any_text() {
    let scene = Scene::new("names");
    let cache = scene.open();
    let long = "n".repeat(MAX_NAME);
    let wide = format!("{}x", "ß".repeat(31));
    assert_eq!((MAX_NAME, wide.len()), (63, 63));
    // Some are the start of another, or differ only in the bytes that fill a word.
    let names = ["a", "a\0", "a\0\0\0\0\0\0\0", "aaaaaaa", "aaaaaaaa", "名前空間", "🦀", " ", "@/:.", &long, &wide];
    let numbers: Vec<u16> = names.iter().map(|name| cache.in_namespace(name).unwrap().namespace()).collect();
    assert_eq!(numbers, (1..=names.len() as u16).collect::<Vec<_>>());
    assert_eq!(cache.namespace_names(), names);
    assert_eq!(cache.namespace_name(0), "");
    for (name, number) in names.iter().zip(numbers) {
        assert_eq!(cache.namespace_name(number), *name);
        assert_eq!(cache.in_namespace(name).unwrap().namespace(), number);
    }
    for name in ["", &"n".repeat(64), &"ß".repeat(32)] {
        assert!(matches!(cache.in_namespace(name), Err(CacheError::InvalidArgument(_))), "{name}");
    }
    assert_eq!(cache.namespace_names().len(), names.len());
}

#[test]
fn a_segment_has_room_for_1023_namespaces_and_each_is_cleared_alone() {
    let scene = Scene::new("many");
    let cache = scene.open();
    let name = |n: usize| format!("namespace {n}");
    let all: Vec<Cache> = (1..MAX_NAMESPACES).map(|n| cache.in_namespace(&name(n)).unwrap()).collect();
    assert_eq!((all.len(), usize::from(all[1022].namespace())), (1023, 1023));
    assert!(matches!(cache.in_namespace("one more"), Err(CacheError::NoSpace(_))));
    assert_eq!(usize::from(cache.in_namespace(&name(512)).unwrap().namespace()), 512);
    for (n, own) in (1..).zip(&all) {
        put(own, "k", &[n as u8; 8]);
    }
    all[511].clear().unwrap();
    for (n, own) in (1..).zip(&all) {
        assert_eq!(get(own, "k"), (n != 512).then(|| vec![n as u8; 8]), "{n}");
        assert_eq!(own.len(), u64::from(n != 512));
    }
    assert_eq!(cache.stats().total.entries, 1022);
    assert_eq!(cache.namespace_names().len(), 1023);
    assert_valid(&cache);
}

#[test]
fn a_wait_is_for_the_key_of_its_namespace() {
    let scene = Scene::new("wait");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    let (notices, listener) = listen(&root);
    let version = put(&a, "k", b"old");
    let in_a = a.wait_for(b"k", version, listener).unwrap();
    put(&root, "k", b"1");
    put(&b, "k", b"1");
    // The sets in the root and in b end no wait for the key of a.
    let in_b = b.wait_for(b"k", 0, listener).unwrap();
    assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::Waits(vec![in_b]));
    put(&a, "k", b"new");
    assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::Waits(vec![in_a]));
}

/// `destroy` leaves every lock as a suspect. The next writer of an attached handle rebuilt a shard of the destroyed
/// segment, and notified of a repair, before it checked the state of the segment.
#[test]
fn a_writer_leaves_a_destroyed_segment_without_a_repair() {
    let scene = Scene::new("left");
    let cache = scene.open();
    put(&cache, "key", b"1");
    assert!(cache_machine_core::destroy(&scene.options.name, None, true).expect("destroy"));
    assert!(matches!(cache.set(b"key", &bytes(b"2")), Err(CacheError::Detached)));
    assert_eq!(cache.stats().repairs, 0);
}
