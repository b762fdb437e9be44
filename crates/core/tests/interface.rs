//! Namespaces, tags, stale values, keys by cursor, deletion by prefix, and notices of what went, in one process.

mod support;

use cache_machine_core::{
    Cache, CacheError, Condition, Eviction, GoneEntry, Increment, Invalidation, Listener, MAX_NAME, MAX_NAMESPACES,
    MAX_TAGS, Manner, NoSink, Notice, Reason, Tallies, Write, kind,
};
use cache_machine_shm::Header;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::{PLAIN, Random, Scene, assert_valid, bytes, get, put};

/// One shard, so that every key is behind the same lock and in the same index.
fn small(test: &str) -> Scene {
    let mut scene = Scene::new(test);
    scene.options.size = 2 << 20;
    scene
}

fn set(cache: &Cache, key: &str, write: &Write<'_>) -> u64 {
    cache.set(key.as_bytes(), write).expect("set").expect("stored")
}

fn tag_numbers(cache: &Cache, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| cache.tag(name)).collect()
}

fn put_tagged(cache: &Cache, key: &str, names: &[&str]) {
    set(cache, key, &Write { tags: &tag_numbers(cache, names), ..bytes(key.as_bytes()) });
}

fn remove_tag(cache: &Cache, name: &str) {
    cache.invalidate_tags(&[cache.tag(name)], Invalidation::Remove).expect("invalidate");
}

fn outdate_tag(cache: &Cache, name: &str) {
    cache.invalidate_tags(&[cache.tag(name)], Invalidation::Outdate).expect("invalidate");
}

/// Whether each manner of reading finds the key: use, peek, use stale, peek stale; and whether the latter call it stale.
fn found_by(cache: &Cache, key: &str) -> [Option<bool>; 4] {
    [Manner::Use, Manner::Peek, Manner::UseStale, Manner::PeekStale]
        .map(|manner| cache.get(key.as_bytes(), manner, &mut NoSink).expect("get").map(|meta| meta.stale))
}

const FRESH: [Option<bool>; 4] = [Some(false); 4];
const STALE: [Option<bool>; 4] = [None, None, Some(true), Some(true)];
const DEAD: [Option<bool>; 4] = [None; 4];

/// All keys with a prefix, page by page.
fn all_keys(cache: &Cache, prefix: &[u8], most: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let page = cache.keys(at, prefix, most).expect("keys");
        assert!(page.next.is_none_or(|next| next > at), "a page that leads nowhere");
        keys.extend(page.keys.into_iter().map(|key| key.bytes));
        cursor = page.next;
    }
    keys
}

/// Writes a key until the writers have swept the whole index at least once: each eighth write sweeps a line.
fn sweep_all(cache: &Cache) {
    let lines = cache.geometry().capacity() / 128 / 7 * 2;
    (0..lines * 8).for_each(|_| {
        put(cache, "sweeper", b"1");
    });
}

// ---- namespaces ------------------------------------------------------------------------------------------------------

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
    // By whatever handle: a name has one number.
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
fn clearing_a_namespace_takes_its_own_at_once_and_clearing_the_root_takes_all() {
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
    put(&a, "7", b"new life");
    assert_eq!(sizes(), [100, 1, 300]);
    root.clear().unwrap();
    assert_eq!(sizes(), [0, 0, 0]);
    assert_eq!([get(&root, "7"), get(&a, "7"), get(&b, "7")], [None, None, None]);
    assert!(all.map(|cache| all_keys(cache, b"", 1000)).iter().all(Vec::is_empty));
    fill();
    assert_eq!(sizes(), [100, 200, 300]);
    // Clearing twice, and something that is empty.
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
fn each_namespace_counts_for_itself_and_the_root_what_is_outside_of_them() {
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
            // A look leaves no traces.
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
    let own = root.tallies();
    assert_eq!(own, Tallies { sets: own.sets, deletes: 1, ..of(1) });
    assert!(own.sets > 1000);
    assert_eq!(a.tallies(), of(2));
    assert_eq!(b.tallies(), Tallies { hits: 4, misses: 7, deletes: 2, entries: 1, ..of(3) });
    // Entries of two namespaces go for room of the root.
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
    // Also such as are the start of another, or differ by what fills a word up.
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
fn there_is_room_for_1023_namespaces_and_each_has_its_own_life() {
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

struct Forward(Mutex<mpsc::Sender<Notice>>);

impl Listener for Forward {
    fn notify(&self, notice: Notice) {
        // Nobody may listen any more.
        let _ = self.0.lock().unwrap().send(notice);
    }
}

/// Hears of everything; returns its number, too.
fn listen(cache: &Cache) -> (mpsc::Receiver<Notice>, u64) {
    let (sender, notices) = mpsc::channel();
    let listener = cache.add_listener(Box::new(Forward(Mutex::new(sender))));
    (notices, listener)
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
    // The root's and b's are not what is waited for, and are no reason to be told early.
    let in_b = b.wait_for(b"k", 0, listener).unwrap();
    let soon = Duration::from_secs(20);
    assert_eq!(notices.recv_timeout(soon).unwrap(), Notice::Waits(vec![in_b]));
    put(&a, "k", b"new");
    assert_eq!(notices.recv_timeout(soon).unwrap(), Notice::Waits(vec![in_a]));
}

// ---- tags ------------------------------------------------------------------------------------------------------------

#[test]
fn a_removed_tag_takes_the_entries_that_carry_it_and_no_others() {
    let scene = Scene::new("tags");
    let cache = scene.open();
    put_tagged(&cache, "x", &["red"]);
    put_tagged(&cache, "xy", &["blue", "red"]);
    put_tagged(&cache, "y", &["blue"]);
    put(&cache, "untagged", b"1");
    remove_tag(&cache, "red");
    assert_eq!(["x", "xy", "y", "untagged"].map(|key| found_by(&cache, key)), [DEAD, DEAD, FRESH, FRESH]);
    assert!(!cache.touch(b"x", 0).unwrap());
    assert!(!cache.delete(b"x", 0).unwrap());
    put_tagged(&cache, "x", &["red"]);
    assert_eq!(found_by(&cache, "x"), FRESH);
    // Several at once, twice the same, and such as nobody carries.
    cache.invalidate_tags(&tag_numbers(&cache, &["blue", "none", "red", "red"]), Invalidation::Remove).unwrap();
    assert_eq!(["x", "xy", "y", "untagged"].map(|key| found_by(&cache, key)), [DEAD, DEAD, DEAD, FRESH]);
    cache.invalidate_tags(&[], Invalidation::Remove).unwrap();
    assert_eq!(found_by(&cache, "untagged"), FRESH);
    assert_eq!(cache.stats().tags_overflowed, 0);
    assert_valid(&cache);
}

#[test]
fn an_outdated_tag_leaves_its_entries_to_those_who_take_stale_values() {
    let scene = Scene::new("outdated");
    let cache = scene.open();
    put_tagged(&cache, "x", &["red"]);
    outdate_tag(&cache, "red");
    assert_eq!(found_by(&cache, "x"), STALE);
    assert!(all_keys(&cache, b"", 10).is_empty());
    assert!(!cache.touch(b"x", 0).unwrap());
    assert_eq!(cache.version_of(b"x").unwrap(), None);
    put_tagged(&cache, "y", &["red", "blue"]);
    assert_eq!(found_by(&cache, "y"), FRESH);
    outdate_tag(&cache, "blue");
    outdate_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "y"), STALE);
    // Whichever comes first, what was removed is gone.
    remove_tag(&cache, "red");
    outdate_tag(&cache, "red");
    assert_eq!(["x", "y"].map(|key| found_by(&cache, key)), [DEAD, DEAD]);
    put_tagged(&cache, "x", &["red"]);
    assert_eq!(found_by(&cache, "x"), FRESH);
    assert_valid(&cache);
}

#[test]
fn a_tag_is_the_tag_of_its_namespace() {
    let scene = Scene::new("scoped");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    let look = || [&root, &a, &b].map(|cache| found_by(cache, "x")[0].is_some());
    [&root, &a, &b].into_iter().for_each(|cache| put_tagged(cache, "x", &["red"]));
    remove_tag(&a, "red");
    assert_eq!(look(), [true, false, true]);
    remove_tag(&root, "red");
    assert_eq!(look(), [false, false, true]);
    put_tagged(&a, "x", &["red"]);
    b.clear().unwrap();
    assert_eq!(look(), [false, true, false]);
    assert_ne!(a.tag("red"), b.tag("red"));
}

/// What the table of 2,048 records cannot tell apart dies with the oldest: too much, which is counted, never too little.
#[test]
fn more_tags_than_the_table_holds_kill_too_much_and_never_too_little() {
    const TAGS: u64 = 5000;
    let scene = Scene::new("overflow");
    let cache = scene.open();
    let key = |n: u64| format!("key-{n}");
    let tag = |n: u64| cache.tag(&format!("tag-{n}"));
    let store = |n: u64| set(&cache, &key(n), &Write { tags: &[tag(n)], ..bytes(&n.to_le_bytes()) });
    (0..TAGS).for_each(|n| {
        store(n);
    });
    let (mut random, mut dead) = (Random(17), BTreeSet::new());
    let look = |dead: &BTreeSet<u64>| {
        let alive: BTreeSet<u64> = (0..TAGS).filter(|n| get(&cache, &key(*n)).is_some()).collect();
        let resurrected: Vec<_> = alive.intersection(dead).collect();
        assert!(resurrected.is_empty(), "invalidated, and alive: {resurrected:?}");
        TAGS - alive.len() as u64 - dead.len() as u64
    };
    for round in 0..12 {
        for _ in 0..TAGS / 10 {
            let n = random.below(TAGS);
            let how = if n % 2 == 0 { Invalidation::Remove } else { Invalidation::Outdate };
            cache.invalidate_tags(&[tag(n)], how).unwrap();
            dead.insert(n);
        }
        let too_many = look(&dead);
        let overflowed = cache.stats().tags_overflowed;
        assert_eq!(overflowed == 0, too_many == 0, "round {round}: {too_many} too many, {overflowed} counted");
        // What is stored now is alive, whatever the floor is.
        for _ in 0..200 {
            let n = random.below(TAGS);
            store(n);
            dead.remove(&n);
            assert!(get(&cache, &key(n)).is_some());
        }
    }
    assert!(cache.stats().tags_overflowed > 10, "{}", cache.stats().tags_overflowed);
    // More of one call than there are records.
    cache.invalidate_tags(&(0..TAGS).map(tag).collect::<Vec<_>>(), Invalidation::Remove).unwrap();
    assert_eq!((0..TAGS).filter(|n| get(&cache, &key(*n)).is_some()).count(), 0);
    assert_valid(&cache);
}

#[test]
fn a_value_is_as_old_as_its_making() {
    let scene = Scene::new("made");
    let cache = scene.open();
    let tags = [cache.tag("red")];
    let begun = cache.tag_clock();
    remove_tag(&cache, "red");
    // Made of what was read before the invalidation: dead on arrival, also where an earlier one is alive.
    let write = Write { tags: &tags, made_at: Some(begun), ..bytes(b"old") };
    set(&cache, "x", &write);
    assert_eq!(found_by(&cache, "x"), DEAD);
    let begun = cache.tag_clock();
    set(&cache, "x", &Write { made_at: Some(begun), ..write });
    assert_eq!(found_by(&cache, "x"), FRESH);
    outdate_tag(&cache, "red");
    set(&cache, "x", &Write { made_at: Some(begun), ..write });
    assert_eq!(found_by(&cache, "x"), STALE);
    // Another tag's invalidation is no reason.
    let begun = cache.tag_clock();
    remove_tag(&cache, "blue");
    set(&cache, "x", &Write { made_at: Some(begun), ..write });
    assert_eq!(found_by(&cache, "x"), FRESH);
    // Without tags nothing outdates it.
    set(&cache, "y", &Write { made_at: Some(0), ..bytes(b"1") });
    assert_eq!(found_by(&cache, "y"), FRESH);
}

/// A load that began in a segment that was destroyed meanwhile brings that one's clock. Such a value outlived every
/// invalidation until the new segment's clock had come as far.
#[test]
fn a_value_made_in_the_future_is_made_now() {
    let scene = Scene::new("future");
    let cache = scene.open();
    set(&cache, "x", &Write { tags: &[cache.tag("red")], made_at: Some(1 << 40), ..bytes(b"1") });
    assert_eq!(found_by(&cache, "x"), FRESH);
    remove_tag(&cache, "red");
    assert_eq!(found_by(&cache, "x"), DEAD);
}

/// Offset of the tag clock: words of the header behind those that every layout has.
const TAG_CLOCK: u64 = Header::CACHE as u64 + 192;

#[test]
fn an_odd_clock_of_a_dead_invalidator_is_finished_by_the_next() {
    let scene = Scene::new("odd");
    let cache = scene.open();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(cache.path()).unwrap();
    let leave = |clock: u64| file.write_all_at(&clock.to_le_bytes(), TAG_CLOCK).unwrap();
    remove_tag(&cache, "red");
    let before = cache.tag_clock();
    put_tagged(&cache, "before", &["red"]);
    leave(before + 1);
    assert_eq!(cache.tag_clock(), before + 1);
    put_tagged(&cache, "between", &["red"]);
    // It died before its record, so nothing happened.
    assert_eq!(["before", "between"].map(|key| found_by(&cache, key)), [FRESH, FRESH]);
    outdate_tag(&cache, "blue");
    assert_eq!(cache.tag_clock(), before + 4);
    assert_eq!(["before", "between"].map(|key| found_by(&cache, key)), [FRESH, FRESH]);
    leave(before + 5);
    put_tagged(&cache, "after", &["red"]);
    remove_tag(&cache, "red");
    assert_eq!(cache.tag_clock(), before + 8);
    assert_eq!(["before", "between", "after"].map(|key| found_by(&cache, key)), [DEAD; 3]);
    // Where nobody invalidates any more the background thread does it, within a second or two.
    leave(before + 9);
    let start = std::time::Instant::now();
    while cache.tag_clock() % 2 == 1 {
        assert!(start.elapsed().as_secs() < 30, "the clock stays odd");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(cache.tag_clock(), before + 12);
}

#[test]
fn touch_and_incr_keep_the_tags_and_the_time_of_making() {
    let scene = Scene::new("keep");
    let cache = scene.open();
    let tags = tag_numbers(&cache, &["red", "blue"]);
    let number = Write { tags: &tags, stale_ms: 50, ttl_ms: 100, ..Write::new(kind::NUMBER, &[0; 8]) };
    let begun = cache.tag_clock();
    remove_tag(&cache, "green");
    set(&cache, "n", &Write { made_at: Some(begun), ..number });
    assert_eq!(cache.incr(b"n", 2.0, &PLAIN).unwrap(), 2.0);
    assert!(cache.touch(b"n", 200).unwrap());
    assert_eq!(cache.incr(b"n", 2.0, &Increment { ttl_ms: 1, init: 100.0, ..PLAIN }).unwrap(), 4.0);
    cache.advance_clock(200).unwrap();
    assert_eq!(found_by(&cache, "n"), STALE);
    cache.advance_clock(50).unwrap();
    assert_eq!(found_by(&cache, "n"), DEAD);
    // A new one takes nothing over from an old one that is dead or stale.
    assert_eq!(cache.incr(b"n", 1.0, &PLAIN).unwrap(), 1.0);
    remove_tag(&cache, "red");
    assert_eq!(found_by(&cache, "n"), FRESH);
    // Not younger than it was: an invalidation since the making, even one before the increment, counts.
    let begun = cache.tag_clock();
    outdate_tag(&cache, "blue");
    let tags = tag_numbers(&cache, &["red", "other"]);
    set(&cache, "n", &Write { made_at: Some(begun), tags: &tags, ..number });
    cache.incr(b"n", 1.0, &PLAIN).unwrap();
    cache.touch(b"n", 0).unwrap();
    assert_eq!(found_by(&cache, "n"), FRESH);
    set(&cache, "n", &Write { tags: &[cache.tag("blue")], keep_tags: true, ..number });
    outdate_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "n"), FRESH, "the new tags were taken");
    outdate_tag(&cache, "other");
    assert_eq!(found_by(&cache, "n"), STALE);
    // Without a fresh entry there is nothing to keep; nor where it has no tags.
    set(&cache, "n", &Write { tags: &[cache.tag("blue")], keep_tags: true, ..number });
    remove_tag(&cache, "other");
    assert_eq!(found_by(&cache, "n"), FRESH);
    remove_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "n"), DEAD);
    put(&cache, "n", b"untagged");
    set(&cache, "n", &Write { tags: &[cache.tag("blue")], keep_tags: true, ..number });
    remove_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "n"), DEAD);
    // And without `keep_tags` a new value is free of the old tags.
    put_tagged(&cache, "m", &["red"]);
    put(&cache, "m", b"untagged");
    remove_tag(&cache, "red");
    assert_eq!(found_by(&cache, "m"), FRESH);
    assert_valid(&cache);
}

#[test]
fn an_entry_has_128_tags_at_most_and_each_of_them_counts() {
    let scene = Scene::new("128");
    let cache = scene.open();
    let names: Vec<String> = (0..=MAX_TAGS).map(|i| format!("tag {i}")).collect();
    let tags: Vec<u64> = names.iter().map(|name| cache.tag(name)).collect();
    assert_eq!(MAX_TAGS, 128);
    assert!(matches!(cache.set(b"x", &Write { tags: &tags, ..bytes(b"1") }), Err(CacheError::InvalidArgument(_))));
    assert!(!cache.has(b"x").unwrap());
    for i in [0, 1, 63, 126, 127] {
        for how in [Invalidation::Remove, Invalidation::Outdate] {
            set(&cache, "x", &Write { tags: &tags[..128], ttl_ms: 1000, stale_ms: 1000, ..bytes(&[7; 100]) });
            assert_eq!(get(&cache, "x").unwrap(), [7; 100]);
            cache.invalidate_tags(&[tags[i]], how).unwrap();
            assert_eq!(found_by(&cache, "x"), if how == Invalidation::Remove { DEAD } else { STALE }, "{i}");
        }
    }
    // Tags take room as bytes of the value do.
    let limit = cache.geometry().max_entry;
    let value = vec![1; limit - 1 - 128 * 8 + 1];
    let write = Write { tags: &tags[..128], ..bytes(&value) };
    assert!(matches!(cache.set(b"y", &write), Err(CacheError::ValueTooLarge { .. })));
    let whole = Write { stale_ms: 10, ttl_ms: 10, ..Write { value: &value[1..], ..write } };
    set(&cache, "y", &whole);
    assert_eq!(get(&cache, "y").unwrap(), value[1..]);
    // And those that are kept do not make a value impossible that is as large as it may be.
    let value = vec![2; limit - 1];
    set(&cache, "y", &Write { keep_tags: true, keep_ttl: true, ..bytes(&value) });
    assert_eq!(get(&cache, "y").unwrap(), value);
    cache.invalidate_tags(&tags[127..128], Invalidation::Remove).unwrap();
    assert_eq!(found_by(&cache, "y"), DEAD);
    assert_valid(&cache);
}

// ---- stale -----------------------------------------------------------------------------------------------------------

#[test]
fn a_value_is_fresh_then_stale_then_over() {
    let scene = Scene::new("stale");
    let cache = scene.open();
    let write = Write { ttl_ms: 100, stale_ms: 50, ..bytes(b"v") };
    set(&cache, "x", &write);
    cache.advance_clock(99).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    let mut out = Vec::new();
    let meta = cache.get(b"x", Manner::UseStale, &mut out).unwrap().unwrap();
    assert_eq!(
        (out.as_slice(), meta.remaining_ms(cache.now_ms()), meta.age_ms(cache.now_ms())),
        (&b"v"[..], Some(0), 100)
    );
    // It is no entry to those who do not ask for stale ones.
    assert!(!cache.has(b"x").unwrap());
    assert!(cache.take(b"x", &mut out).unwrap().is_none());
    assert!(!cache.touch(b"x", 1000).unwrap());
    assert!(all_keys(&cache, b"", 10).is_empty());
    let conditional = |condition| cache.set(b"x", &Write { condition, ..write }).unwrap();
    assert_eq!(conditional(Condition::Present), None);
    assert_eq!(conditional(Condition::Version(meta.version)), None);
    cache.advance_clock(49).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
    // An add takes the place of a stale one.
    set(&cache, "x", &write);
    cache.advance_clock(120).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    assert!(conditional(Condition::Absent).is_some());
    assert_eq!(found_by(&cache, "x"), FRESH);
    // A delete removes a stale one, and says that there was none.
    cache.advance_clock(120).unwrap();
    assert!(!cache.delete(b"x", 0).unwrap());
    assert_eq!(found_by(&cache, "x"), DEAD);
    // Without an end there is nothing after it.
    set(&cache, "x", &Write { ttl_ms: 0, ..write });
    cache.advance_clock(1 << 40).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    assert_valid(&cache);
}

#[test]
fn the_stale_window_stays_with_the_deadline() {
    let scene = Scene::new("window");
    let cache = scene.open();
    let write = Write { ttl_ms: 100, stale_ms: 50, ..bytes(b"1") };
    set(&cache, "x", &write);
    cache.advance_clock(60).unwrap();
    set(&cache, "x", &Write { keep_ttl: true, ttl_ms: 7, stale_ms: 7, ..bytes(b"2") });
    cache.advance_clock(39).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    cache.advance_clock(50).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    // There is nothing left to keep: its own times hold.
    set(&cache, "x", &Write { keep_ttl: true, ttl_ms: 7, stale_ms: 5, ..bytes(b"3") });
    cache.advance_clock(11).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
    // A touch moves the window; persist and touch again keep it.
    set(&cache, "x", &write);
    assert!(cache.touch(b"x", 10).unwrap());
    assert!(cache.touch(b"x", 0).unwrap());
    cache.advance_clock(1 << 30).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    assert!(cache.touch(b"x", 10).unwrap());
    cache.advance_clock(59).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
    // A new value has a window only if it says so.
    set(&cache, "x", &write);
    set(&cache, "x", &Write { ttl_ms: 100, ..bytes(b"4") });
    cache.advance_clock(100).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
}

#[test]
fn a_stale_value_is_swept_when_its_window_is_over_and_not_before() {
    let scene = small("swept");
    let cache = scene.open();
    for i in 0..50 {
        set(&cache, &format!("stale {i}"), &Write { ttl_ms: 100, stale_ms: 1000, ..bytes(b"1") });
        set(&cache, &format!("plain {i}"), &Write { ttl_ms: 100, ..bytes(b"1") });
    }
    let expirations = || cache.tallies().expirations;
    cache.advance_clock(100).unwrap();
    sweep_all(&cache);
    assert_eq!(expirations(), 50);
    cache.advance_clock(999).unwrap();
    sweep_all(&cache);
    assert_eq!((expirations(), cache.len()), (50, 51));
    assert!((0..50).all(|i| found_by(&cache, &format!("stale {i}")) == STALE));
    cache.advance_clock(1).unwrap();
    sweep_all(&cache);
    assert_eq!((expirations(), cache.len()), (100, 1));
    assert_valid(&cache);
}

// ---- keys ------------------------------------------------------------------------------------------------------------

#[test]
fn every_key_is_met_exactly_once_page_by_page() {
    let scene = small("keys");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    // So many that lines overflow: three of four words of the index.
    let mut expected: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    for i in 0..9000u32 {
        let key = match i % 3 {
            0 => format!("user:{i}").into_bytes(),
            1 => [b"bin".as_slice(), &i.to_le_bytes(), &[0xFF, 0]].concat(),
            _ => format!("ключ {i}").into_bytes(),
        };
        a.set(&key, &Write { binary_key: i % 3 == 1, ..bytes(b"") }).unwrap().unwrap();
        expected.insert(key, i % 3 == 1);
    }
    put(&root, "user:of the root", b"1");
    put(&b, "user:of b", b"1");
    assert_eq!(root.stats().total.evictions, 0);
    for most in [1, 10, 1000, usize::MAX] {
        let mut met: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        let (mut cursor, mut pages) = (Some(0), 0);
        while let Some(at) = cursor {
            let page = a.keys(at, b"", most).unwrap();
            // A line more than asked for, at most.
            assert!(page.keys.len() <= most.saturating_add(6), "{} keys of {most}", page.keys.len());
            for key in page.keys {
                assert_eq!(met.insert(key.bytes.clone(), key.binary), None, "{:?} met twice", key.bytes);
            }
            pages += 1;
            cursor = page.next;
        }
        assert_eq!(met, expected);
        assert!(pages >= 9000 / (most.saturating_add(6)).min(9000), "{pages} pages");
    }
    for prefix in [&b"user:"[..], b"user:8", "ключ 7".as_bytes(), b"bin", b"user:of", b"bin\x01", "к".as_bytes()] {
        let with_prefix: BTreeSet<Vec<u8>> = expected.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        let met = all_keys(&a, prefix, 100);
        assert_eq!((met.len(), met.into_iter().collect::<BTreeSet<_>>()), (with_prefix.len(), with_prefix));
    }
    assert_eq!(all_keys(&b, b"", 100), [b"user:of b"]);
    assert_eq!(all_keys(&root, b"", 100), [b"user:of the root"]);
    // Cursors from nowhere.
    for cursor in [1 << 20, u64::MAX - 1, u64::MAX] {
        assert_eq!(a.keys(cursor, b"", 10).unwrap(), cache_machine_core::Page::default());
    }
    assert_valid(&root);
}

/// A page of none that starts where it ends is asked for again for ever.
#[test]
fn a_page_of_no_keys_leads_on() {
    let scene = small("none");
    let cache = scene.open();
    (0..100).for_each(|i| {
        put(&cache, &format!("{i}"), b"1");
    });
    assert_eq!(all_keys(&cache, b"", 0).len(), 100);
}

#[test]
fn what_is_dead_has_no_key_to_be_met() {
    let scene = Scene::new("dead");
    let cache = scene.open();
    let own = cache.in_namespace("own").unwrap();
    put(&own, "cleared", b"1");
    own.clear().unwrap();
    for key in ["fresh", "expired", "stale", "removed", "outdated", "deleted", "both"] {
        let tags = [own.tag(key)];
        let ttl_ms = if ["expired", "stale", "both"].contains(&key) { 10 } else { 0 };
        set(&own, key, &Write { ttl_ms, stale_ms: 100 * u64::from(key != "expired"), tags: &tags, ..bytes(b"1") });
    }
    assert_eq!(all_keys(&own, b"", 100).len(), 7);
    cache.advance_clock(10).unwrap();
    ["removed", "both"].into_iter().for_each(|name| remove_tag(&own, name));
    outdate_tag(&own, "outdated");
    own.delete(b"deleted", 0).unwrap();
    assert_eq!(all_keys(&own, b"", 100), [b"fresh"]);
}

/// Leaves free units of which no two are neighbours of more than a few.
fn fragment(cache: &Cache) -> usize {
    let mut count = 0;
    while cache.stats().total.evictions == 0 {
        put(cache, &format!("f{count}"), &[1; 60]);
        count += 1;
    }
    (0..count).step_by(2).for_each(|i| {
        cache.delete(format!("f{i}").as_bytes(), 0).unwrap();
    });
    count
}

/// Keys and tags that are cut into pieces, since no free run is as long.
#[test]
fn keys_and_tags_in_many_pieces_are_read_as_others_are() {
    let scene = small("chained");
    let cache = scene.open();
    fragment(&cache);
    let long = |i: usize| format!("long {i} {}", "äöü".repeat(100 + i));
    let tags: Vec<u64> = (0..MAX_TAGS).map(|i| cache.tag(&format!("tag {i}"))).collect();
    for i in 0..40 {
        set(&cache, &long(i), &Write { tags: &tags, ttl_ms: 100, stale_ms: 50, ..bytes(&[i as u8; 700]) });
        assert_eq!(get(&cache, &long(i)).unwrap(), [i as u8; 700]);
    }
    let mut met = all_keys(&cache, b"long ", 10);
    met.sort_unstable();
    let mut expected: Vec<_> = (0..40).map(|i| long(i).into_bytes()).collect();
    expected.sort_unstable();
    assert_eq!(met, expected);
    assert_eq!(all_keys(&cache, long(7).as_bytes(), 10), [long(7).into_bytes()]);
    assert_eq!(cache.delete_prefix(long(7).as_bytes()).unwrap(), 1);
    assert_eq!(cache.delete_prefix(&long(8).as_bytes()[..500]).unwrap(), 1);
    assert_eq!(found_by(&cache, &long(7)), DEAD);
    cache.advance_clock(100).unwrap();
    assert_eq!(found_by(&cache, &long(9)), STALE);
    remove_tag(&cache, "tag 127");
    assert!((0..40).all(|i| found_by(&cache, &long(i)) == DEAD));
    assert_valid(&cache);
}

/// Lines are walked through in an order that divisions keep: what stays put, replaced or not, is met once in each walk, whatever is written around it.
#[test]
fn what_stays_put_is_met_exactly_once_while_others_write() {
    const KEPT: usize = 3000;
    const OTHERS: u64 = 3000;
    let scene = small("walks");
    let root = scene.open();
    let own = root.in_namespace("own").unwrap();
    let key = |i: usize| format!("kept {i}");
    // Those that go again make some of the kept ones go past full lines.
    for i in 0..6000 {
        put(&own, &format!("before {i}"), b"");
    }
    for i in 0..KEPT {
        put(&own, &key(i), b"1");
    }
    assert_eq!(own.delete_prefix(b"before").unwrap(), 6000);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            let (root, own, done) = (&root, &own, &done);
            scope.spawn(move || {
                let mut random = Random(writer + 1);
                while !done.load(Ordering::Relaxed) {
                    let cache = if random.below(4) == 0 { root } else { own };
                    let other = format!("other {}", random.below(OTHERS));
                    match random.below(8) {
                        0..3 => {
                            put(cache, &other, &[2; 20]);
                        }
                        3 | 4 => {
                            cache.delete(other.as_bytes(), 0).unwrap();
                        }
                        5 => {
                            cache.touch(other.as_bytes(), 0).unwrap();
                        }
                        // Replaced, touched: it has stayed where it was.
                        6 => {
                            put(own, &key(random.below(KEPT as u64) as usize), &[3; 30]);
                        }
                        _ => {
                            own.touch(key(random.below(20) as usize).as_bytes(), 0).unwrap();
                        }
                    }
                }
            });
        }
        for walk in 0..60 {
            let mut met: HashMap<Vec<u8>, usize> = HashMap::new();
            for bytes in all_keys(&own, b"", 100 + walk * 10) {
                *met.entry(bytes).or_default() += 1;
            }
            let wrong = (0..KEPT).map(|i| (i, met.get(key(i).as_bytes()).copied().unwrap_or(0)));
            let wrong: Vec<_> = wrong.filter(|(_, times)| *times != 1).collect();
            assert!(wrong.is_empty(), "walk {walk}: not met once: {wrong:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(root.stats().total.evictions, 0);
    assert_valid(&root);
}

// ---- delete by prefix ------------------------------------------------------------------------------------------------

#[test]
fn a_prefix_deletes_what_starts_with_it_in_its_namespace() {
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
    // The empty one: all of the namespace, and of no other, also for the root.
    assert_eq!(root.delete_prefix(b"").unwrap(), 989);
    assert_eq!(a.delete_prefix(b"").unwrap(), 1500);
    assert_eq!([root.len(), a.len(), b.len()], [0, 0, 2000]);
    assert_eq!([root.tallies().deletes, a.tallies().deletes, b.tallies().deletes], [2000, 2000, 0]);
    assert!((0..500).all(|i| get(&b, &format!("x:{i}")).is_some()));
    assert_valid(&root);
}

/// They were no entries to the user, so they are not counted as deleted; the ones whose time was up have expired, as
/// they have where a `delete` meets them.
#[test]
fn a_prefix_takes_dead_entries_along_without_counting_them() {
    let scene = Scene::new("prefix-dead");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    cache.want_gone(listener, true);
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
    assert_eq!(gone_of(&notices), [(Reason::Expired, "x expired".to_owned())]);
    assert_valid(&cache);
}

// ---- what went -------------------------------------------------------------------------------------------------------

/// What the listener was told so far of entries that went.
fn gone_of(notices: &mpsc::Receiver<Notice>) -> Vec<(Reason, String)> {
    let text = |entry: &GoneEntry| (entry.reason, String::from_utf8(entry.key.clone()).unwrap());
    notices
        .try_iter()
        .filter_map(|notice| if let Notice::Gone { entries, lost: 0 } = notice { Some(entries) } else { None })
        .flat_map(|entries| entries.iter().map(text).collect::<Vec<_>>())
        .collect()
}

#[test]
fn what_is_evicted_or_expires_is_told_with_its_key_to_those_who_want_to_know() {
    let scene = small("gone");
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
    assert!(notices.try_recv().is_err(), "told without being asked");
    cache.want_gone(listener, true);
    let before: BTreeSet<String> =
        (0..2000).map(|i| format!("k{i}")).filter(|key| cache.has(key.as_bytes()).unwrap()).collect();
    let own_before: BTreeSet<String> =
        (0..2000).map(|i| format!("k{i}")).filter(|key| own.has(key.as_bytes()).unwrap()).collect();
    fill(20);
    let mut count = 0;
    for notice in notices.try_iter() {
        let Notice::Gone { entries, lost: 0 } = notice else { panic!("{notice:?}") };
        for entry in entries.iter() {
            let key = String::from_utf8(entry.key.clone()).unwrap();
            let in_own = entry.namespace == own.namespace();
            assert_eq!((entry.reason, entry.binary_key), (Reason::Evicted, false));
            assert!(in_own || entry.namespace == 0);
            let there = if in_own { &own_before } else { &before };
            assert!(there.contains(&key) || key[1..].parse::<u32>().unwrap() > 100, "{key} was not there");
            assert!(!(if in_own { &own } else { &cache }).has(&entry.key).unwrap(), "{key} is still there");
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
    // Expired: met by a writer on its way, by one who takes the key's place, by a delete.
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
    let told: Vec<_> = gone_of(&notices);
    assert_eq!(told, ["deleted", "replaced", "swept"].map(|key| (Reason::Expired, key.to_owned())));
    // Ended again, by itself and with the listener.
    cache.want_gone(listener, false);
    fill(5);
    assert!(notices.try_recv().is_err());
    cache.want_gone(listener, true);
    cache.remove_listener(listener);
    fill(5);
    assert!(notices.try_recv().is_err());
    assert!(others.try_recv().is_err(), "told to one who did not ask");
    assert_valid(&cache);
}

/// A clear left entries that were dead to everybody, and whoever made room of them told that they had been evicted.
#[test]
fn what_was_cleared_invalidated_or_over_is_not_evicted_when_its_room_is_taken() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let mut scene = small("not-evicted");
        scene.options.eviction = eviction;
        let cache = scene.open();
        let own = cache.in_namespace("own").unwrap();
        let (notices, listener) = listen(&cache);
        cache.want_gone(listener, true);
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
        // Large ones, so that few writes take much room and nothing is swept on the way.
        let large = vec![2; cache.geometry().max_entry - 100];
        (0..4).for_each(|i| {
            put(&cache, &format!("large {i}"), &large);
        });
        let told = gone_of(&notices);
        let wrong: Vec<_> = told
            .iter()
            .filter(|(reason, key)| *reason == Reason::Evicted || !key.starts_with("over"))
            .filter(|(_, key)| !key.starts_with("large"))
            .collect();
        assert!(wrong.is_empty(), "{eviction:?}: {wrong:?}");
        assert_eq!(own.tallies().evictions, 0);
        let large_ones = told.iter().filter(|(_, key)| key.starts_with("large")).count();
        assert_eq!(cache.stats().total.evictions, large_ones as u64);
        assert_eq!(cache.tallies().expirations, (told.len() - large_ones) as u64);
        assert_valid(&cache);
    }
}

/// It was served until then; a reload that comes in time is no expiry.
#[test]
fn a_stale_value_that_is_replaced_has_not_expired() {
    let scene = Scene::new("renewed");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    cache.want_gone(listener, true);
    let write = Write { ttl_ms: 10, stale_ms: 100, ..bytes(b"1") };
    set(&cache, "x", &write);
    cache.advance_clock(50).unwrap();
    set(&cache, "x", &write);
    assert_eq!((cache.tallies().expirations, gone_of(&notices)), (0, vec![]));
    cache.advance_clock(110).unwrap();
    set(&cache, "x", &write);
    assert_eq!((cache.tallies().expirations, gone_of(&notices)), (1, vec![(Reason::Expired, "x".to_owned())]));
}

/// Uses the cache when it is told, once.
struct Curious {
    cache: Mutex<Option<Cache>>,
    told: AtomicUsize,
    lost: AtomicUsize,
    answers: Mutex<Vec<bool>>,
}

struct Shared(Arc<Curious>);

impl Listener for Shared {
    fn notify(&self, notice: Notice) {
        let Notice::Gone { entries, lost } = notice else { return };
        self.0.told.fetch_add(entries.len(), Ordering::Relaxed);
        self.0.lost.fetch_add(lost as usize, Ordering::Relaxed);
        let cache = self.0.cache.lock().unwrap().take();
        if let Some(cache) = cache {
            let mut answers = vec![entries.iter().all(|entry| !cache.has(&entry.key).unwrap())];
            // The one shard's lock is free, or this would end as busy.
            answers.push(matches!(cache.set(b"from the listener", &bytes(b"1")), Ok(Some(_))));
            answers.push(get(&cache, "from the listener").is_some());
            answers.push(cache.delete(b"from the listener", 0).unwrap());
            *self.0.answers.lock().unwrap() = answers;
        }
    }
}

#[test]
fn a_listener_may_use_the_cache_and_hears_how_many_it_was_not_told() {
    let scene = small("curious");
    let cache = scene.open();
    let curious = Arc::new(Curious {
        cache: Mutex::new(None),
        told: AtomicUsize::new(0),
        lost: AtomicUsize::new(0),
        answers: Mutex::new(Vec::new()),
    });
    let listener = cache.add_listener(Box::new(Shared(curious.clone())));
    let key = |i: usize| format!("{i} {}", "k".repeat(1000));
    let mut count = 0;
    while cache.stats().total.evictions == 0 {
        put(&cache, &key(count), b"");
        count += 1;
    }
    cache.want_gone(listener, true);
    *curious.cache.lock().unwrap() = Some(cache.clone());
    let before = cache.stats().total.evictions;
    // One value takes the room of hundreds, whose keys are more than 64 KiB.
    put(&cache, "large", &vec![1; cache.geometry().max_entry - 100]);
    assert_eq!(*curious.answers.lock().unwrap(), [true; 4]);
    let (told, lost) = (curious.told.load(Ordering::Relaxed), curious.lost.load(Ordering::Relaxed));
    assert_eq!((told + lost) as u64, cache.stats().total.evictions - before);
    assert!((60..=65).contains(&told) && lost > 100, "{told} told, {lost} lost");
    // What was lost once is not counted again.
    let before = cache.stats().total.evictions;
    let evicted = || cache.stats().total.evictions - before;
    (0..).take_while(|_| evicted() < 20).for_each(|i| {
        put(&cache, &format!("more {i}"), &[1; 2000]);
    });
    assert_eq!(curious.lost.load(Ordering::Relaxed), lost);
    assert_eq!((curious.told.load(Ordering::Relaxed) - told) as u64, evicted());
    assert_valid(&cache);
}

// ---- room ------------------------------------------------------------------------------------------------------------

/// Nothing needs to be swept before: whoever finds no room looks for what has died since.
#[test]
fn without_eviction_the_room_of_what_died_is_there_for_the_next_set() {
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
    // With tags and a window it takes as many units as without.
    let value = [1; 2970];
    let most = fill(&own, &bytes(&value));
    assert!(most > 300, "{most}");
    own.clear().unwrap();
    assert_eq!(fill(&own, &Write { tags: &tags, ..bytes(&value) }), most);
    own.invalidate_tags(&tags, Invalidation::Remove).unwrap();
    assert_eq!(fill(&own, &Write { ttl_ms: 10, ..bytes(&value) }), most);
    root.advance_clock(10).unwrap();
    assert_eq!(fill(&own, &Write { ttl_ms: 10, stale_ms: 10, ..bytes(&value) }), most);
    // Stale and outdated ones are still of use to somebody.
    root.advance_clock(10).unwrap();
    assert_eq!(fill(&root, &bytes(&value)), 0);
    root.advance_clock(10).unwrap();
    assert_eq!(fill(&own, &Write { tags: &tags, ..bytes(&value) }), most);
    own.invalidate_tags(&tags, Invalidation::Outdate).unwrap();
    assert_eq!(fill(&root, &bytes(&value)), 0);
    assert_eq!(found_by(&own, "7"), STALE);
    own.delete_prefix(b"").unwrap();
    assert_eq!(fill(&own, &bytes(&value)), most);
    assert_eq!(get(&root, "kept").as_deref(), Some(&b"1"[..]));
    root.clear().unwrap();
    assert_eq!(fill(&root, &bytes(&value)), most);
    assert_eq!(root.stats().total.evictions, 0);
    assert_valid(&root);
}

// ---- all of it -------------------------------------------------------------------------------------------------------

/// An entry as it should be.
#[derive(Clone, Debug)]
struct Expected {
    value: Vec<u8>,
    version: u64,
    deadline: u64,
    stale_ms: u64,
    tags: Vec<u8>,
    stamp: u64,
}

#[derive(Default)]
struct Model {
    /// By namespace and key; what is dead stays until it is replaced.
    entries: BTreeMap<(usize, String), Expected>,
    /// When each namespace's tag was removed, and outdated.
    tags: HashMap<(usize, u8), (u64, u64)>,
}

impl Model {
    fn state(&self, namespace: usize, key: &str, now: u64) -> [Option<bool>; 4] {
        let Some(entry) = self.entries.get(&(namespace, key.to_owned())) else { return DEAD };
        let clocks = entry.tags.iter().filter_map(|tag| self.tags.get(&(namespace, *tag)));
        let (removed, outdated) = clocks.fold((0, 0), |all, one| (all.0.max(one.0), all.1.max(one.1)));
        let expired = entry.deadline != 0 && now >= entry.deadline;
        if entry.stamp < removed || (expired && now >= entry.deadline + entry.stale_ms) {
            DEAD
        } else if expired || entry.stamp < outdated {
            STALE
        } else {
            FRESH
        }
    }

    fn fresh(&self, namespace: usize, key: &str, now: u64) -> Option<&Expected> {
        self.entries.get(&(namespace, key.to_owned())).filter(|_| self.state(namespace, key, now) == FRESH)
    }
}

#[test]
fn a_long_random_mix_of_everything_equals_a_model() {
    for seed in [5, 6] {
        let scene = Scene::new("model");
        let root = scene.open();
        let spaces = [root.clone(), root.in_namespace("a").unwrap(), root.in_namespace("ü").unwrap()];
        let mut model = Model::default();
        let mut random = Random(seed);
        for round in 0..80_000u64 {
            let n = random.below(3) as usize;
            let cache = &spaces[n];
            let key = format!("{}:{}", random.below(5), random.below(40));
            let place = (n, key.clone());
            let now = root.now_ms();
            let old = model.fresh(n, &key, now).cloned();
            match random.below(100) {
                0..30 => {
                    let tags: Vec<u8> = (0..8).filter(|_| random.below(8) == 0).collect();
                    let numbers: Vec<u64> = tags.iter().map(|tag| cache.tag(&format!("{tag}"))).collect();
                    let value = vec![round as u8; random.below(300) as usize];
                    let condition = match random.below(6) {
                        0 => Condition::Absent,
                        1 => Condition::Present,
                        2 => Condition::Version(old.as_ref().map_or(7, |e| e.version - random.below(2))),
                        _ => Condition::Always,
                    };
                    let clock = root.tag_clock();
                    let write = Write {
                        ttl_ms: random.below(3) * random.below(50),
                        stale_ms: random.below(2) * random.below(50),
                        keep_ttl: random.below(4) == 0,
                        tags: &numbers,
                        keep_tags: random.below(4) == 0,
                        made_at: (random.below(3) == 0).then(|| clock - 2 * random.below(4).min(clock / 2)),
                        condition,
                        ..bytes(&value)
                    };
                    let stored = cache.set(key.as_bytes(), &write).unwrap();
                    let holds = match condition {
                        Condition::Always => true,
                        Condition::Absent => old.is_none(),
                        Condition::Present => old.is_some(),
                        Condition::Version(version) => old.as_ref().is_some_and(|e| e.version == version),
                    };
                    assert_eq!(stored.is_some(), holds, "{write:?} over {old:?}");
                    let Some(version) = stored else { continue };
                    let (deadline, stale_ms) = match &old {
                        Some(e) if write.keep_ttl => (e.deadline, e.stale_ms),
                        _ if write.ttl_ms == 0 => (0, 0),
                        _ => (now + write.ttl_ms, write.stale_ms),
                    };
                    let (tags, stamp) = match old {
                        Some(e) if write.keep_tags && !e.tags.is_empty() => (e.tags, e.stamp),
                        _ => (tags, write.made_at.unwrap_or(clock)),
                    };
                    model.entries.insert(place, Expected { value, version, deadline, stale_ms, tags, stamp });
                }
                30..70 => {
                    let mut out = Vec::new();
                    let found = cache.get(key.as_bytes(), Manner::PeekStale, &mut out).unwrap();
                    assert_eq!(found_by(cache, &key), model.state(n, &key, now), "{key} of {n}");
                    if let Some(meta) = found {
                        let expected = &model.entries[&place];
                        assert_eq!((&out, meta.version), (&expected.value, expected.version));
                    }
                }
                70..74 => {
                    let version = if random.below(2) == 0 { 0 } else { old.as_ref().map_or(1, |e| e.version) };
                    assert_eq!(cache.delete(key.as_bytes(), version).unwrap(), old.is_some());
                    model.entries.remove(&place);
                }
                74..78 => {
                    let mut out = Vec::new();
                    let taken = cache.take(key.as_bytes(), &mut out).unwrap();
                    assert_eq!(taken.map(|_| out), old.as_ref().map(|e| e.value.clone()));
                    if old.is_some() {
                        model.entries.remove(&place);
                    }
                }
                78..83 => {
                    let ttl = random.below(2) * random.below(50);
                    assert_eq!(cache.touch(key.as_bytes(), ttl).unwrap(), old.is_some());
                    if old.is_some() {
                        let entry = model.entries.get_mut(&place).unwrap();
                        entry.deadline = if ttl == 0 { 0 } else { now + ttl };
                    }
                }
                83..88 => root.advance_clock(random.below(10)).unwrap(),
                88..93 => {
                    let tags: Vec<u8> = (0..8).filter(|_| random.below(6) == 0).collect();
                    let numbers: Vec<u64> = tags.iter().map(|tag| cache.tag(&format!("{tag}"))).collect();
                    let how = if random.below(2) == 0 { Invalidation::Remove } else { Invalidation::Outdate };
                    let clock = root.tag_clock() + 1;
                    cache.invalidate_tags(&numbers, how).unwrap();
                    assert_eq!(root.tag_clock(), clock + 1);
                    for tag in tags {
                        let record = model.tags.entry((n, tag)).or_default();
                        if how == Invalidation::Remove { record.0 = clock } else { record.1 = clock }
                    }
                }
                93 => {
                    let prefix = key.split(':').next().unwrap().to_owned() + ":";
                    let mut fresh = 0;
                    let doomed = |(m, k): &(usize, String)| *m == n && k.starts_with(&prefix);
                    for (_, k) in model.entries.keys().filter(|place| doomed(place)) {
                        fresh += u64::from(model.fresh(n, k, now).is_some());
                    }
                    model.entries.retain(|place, _| !doomed(place));
                    assert_eq!(cache.delete_prefix(prefix.as_bytes()).unwrap(), fresh);
                }
                94 if random.below(3) == 0 => {
                    cache.clear().unwrap();
                    model.entries.retain(|(m, _), _| n != 0 && *m != n);
                    assert_eq!(cache.len(), 0);
                }
                95 | 96 => {
                    let prefix = if random.below(3) == 0 { "" } else { &key[..2] };
                    let keys = model.entries.keys().filter(|(m, k)| *m == n && k.starts_with(prefix));
                    let mut expected: Vec<_> = keys
                        .filter(|(_, k)| model.fresh(n, k, now).is_some())
                        .map(|(_, k)| k.clone().into_bytes())
                        .collect();
                    let mut met = all_keys(cache, prefix.as_bytes(), 1 + random.below(50) as usize);
                    expected.sort_unstable();
                    met.sort_unstable();
                    assert_eq!(met, expected);
                }
                97 => {
                    let name = format!("number {}", random.below(3));
                    let sum = cache.incr(name.as_bytes(), 1.0, &Increment { ttl_ms: 20, ..PLAIN }).unwrap();
                    let place = (n, name.clone());
                    let old = model.fresh(n, &name, now).cloned();
                    let start = old.as_ref().map_or(0.0, |e| f64::from_le_bytes(e.value[..].try_into().unwrap()));
                    assert_eq!(sum, start + 1.0);
                    let version = cache.version_of(name.as_bytes()).unwrap().unwrap();
                    let fresh =
                        Expected { value: vec![], version, deadline: now + 20, stale_ms: 0, tags: vec![], stamp: 0 };
                    let value = sum.to_le_bytes().to_vec();
                    model.entries.insert(place, Expected { value, version, ..old.unwrap_or(fresh) });
                }
                _ => {
                    let fresh =
                        model.entries.keys().filter(|(m, k)| *m == n && model.fresh(n, k, now).is_some()).count();
                    let all = model.entries.keys().filter(|(m, _)| *m == n).count();
                    let len = cache.len() as usize;
                    assert!((fresh..=all).contains(&len), "{len} is not in {fresh}..={all}");
                }
            }
        }
        let stats = root.stats();
        assert_eq!((stats.total.evictions, stats.tags_overflowed, stats.repairs), (0, 0, 0));
        assert_valid(&root);
    }
}

/// `destroy` leaves every lock as a suspect. The next writer of an attached handle rebuilt a shard that was gone, and told of a
/// repair, before it looked at the state of the segment.
#[test]
fn a_destroyed_segment_is_left_and_not_repaired_before() {
    let scene = Scene::new("left");
    let cache = scene.open();
    put(&cache, "key", b"1");
    assert!(cache_machine_core::destroy(&scene.options.name, None, true).expect("destroy"));
    assert!(matches!(cache.set(b"key", &bytes(b"2")), Err(CacheError::Detached)));
    assert_eq!(cache.stats().repairs, 0);
}
