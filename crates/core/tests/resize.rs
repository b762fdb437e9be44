//! A resize inside one process: what is kept, what goes, and what is refused. `resizing` covers other processes and deaths.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{
    Algorithm, Awaited, Cache, CacheError, Condition, Demand, Eviction, Family, FinishResult, FlightKind,
    FlightOptions, FlightStart, Invalidation, Keyspace, Limit, Measurement, MetricKind, Notice, OpenOptions,
    QuotaSetting, ReadMode, RemovalReason, Resized, TicketState, Watch, What, Write, inspect, kind,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use support::listeners::listen;
use support::permits::{ONE, ticket, token};
use support::{PLAIN, Random, SOON, Scene, assert_valid, bytes, get, put};

const MB: usize = 1 << 20;

fn resize(cache: &Cache, size: usize) -> Resized {
    cache.resize(size).unwrap().unwrap()
}

/// A value of its own for each key and length.
fn value_of(key: &str, len: usize) -> Vec<u8> {
    key.bytes().cycle().take(len).collect()
}

fn set(cache: &Cache, key: &str, write: &Write<'_>) -> u64 {
    cache.set(key.as_bytes(), write).unwrap().unwrap()
}

fn keys_of(cache: &Cache) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), Some(0));
    while let Some(at) = cursor {
        let page = cache.keys(at, b"", 100).unwrap();
        keys.extend(page.keys.into_iter().map(|key| key.bytes));
        cursor = page.next;
    }
    keys
}

/// What a read of a key returns, in all details.
fn seen(cache: &Cache, key: &str) -> Option<(Vec<u8>, u8, u64, u64, u64, bool)> {
    let mut out = Vec::new();
    let meta = cache.get(key.as_bytes(), ReadMode::PeekStale, &mut out).unwrap()?;
    Some((out, meta.kind, meta.version, meta.deadline, meta.written, meta.stale))
}

#[test]
fn entries_are_the_same_in_a_segment_of_any_size() {
    let scene = Scene::sized("same", 8 * MB);
    let cache = scene.open();
    let other = cache.in_namespace("other").unwrap();
    let mut random = Random(0x5EED_0001);
    let mut keys = Vec::new();
    for i in 0..2000 {
        let key = format!("key {i}");
        let len = if i % 100 == 0 { 20_000 + random.below(60_000) } else { random.below(900) } as usize;
        let value = value_of(&key, len);
        let target = if i % 3 == 0 { &other } else { &cache };
        let tags = [target.tag("a"), target.tag(&format!("t{}", i % 7))];
        let write = Write {
            ttl_ms: if i % 4 == 0 { 1 + random.below(100_000) } else { 0 },
            stale_ms: if i % 8 == 0 { 1 + random.below(100_000) } else { 0 },
            tags: if i % 5 == 0 { &tags } else { &[] },
            ..Write::new(if i % 2 == 0 { kind::BUFFER } else { kind::STRING }, &value)
        };
        set(target, &key, &write);
        keys.push((key, i % 3 == 0));
        if i % 50 == 0 {
            cache.advance_clock(random.below(500)).unwrap();
        }
    }
    cache.invalidate_tags(&[cache.tag("t1")], Invalidation::Outdate).unwrap();
    other.invalidate_tags(&[other.tag("t2")], Invalidation::Remove).unwrap();
    let all = |cache: &Cache| -> Vec<_> {
        keys.iter().map(|(key, inside)| seen(if *inside { &other } else { cache }, key)).collect()
    };
    let before = all(&cache);
    let tallies = |cache: &Cache| (cache.tallies().sets, cache.tallies().deletes, cache.tallies().expirations);
    let (counts, lens) = (tallies(&cache), (cache.len(), other.len()));
    let listed: BTreeSet<_> = keys_of(&cache).into_iter().collect();
    for size in [24 * MB, 100 * MB, 16 * MB, 64 * MB, 9 * MB] {
        let resized = resize(&cache, size);
        assert_eq!((resized.to, resized.evicted, cache.geometry().len), (size, 0, size));
        assert_eq!(all(&cache), before, "{size}");
        assert_eq!(tallies(&cache), counts);
        assert_eq!(keys_of(&cache).into_iter().collect::<BTreeSet<_>>(), listed);
        assert!(cache.len() <= lens.0 && other.len() <= lens.1, "entries that have ended may be left out");
        assert_valid(&cache);
        let info = inspect(&scene.options.name, None).unwrap().unwrap();
        assert_eq!((info.size, info.contents.unwrap().stats.total.sets), (size, cache.stats().total.sets));
    }
    assert_eq!(cache.resize(9 * MB).unwrap(), None);
    // Everything goes on: tags, lifetimes, versions.
    cache.invalidate_tags(&[cache.tag("a")], Invalidation::Remove).unwrap();
    let tagged = |i: usize| i.is_multiple_of(5) && !i.is_multiple_of(3);
    for (i, (key, inside)) in keys.iter().enumerate() {
        let expected = if tagged(i) { None } else { before[i].clone() };
        assert_eq!(seen(if *inside { &other } else { &cache }, key), expected, "{key}");
    }
    cache.advance_clock(300_000).unwrap();
    assert!((0..2000).step_by(4).all(|i| seen(if keys[i].1 { &other } else { &cache }, &keys[i].0).is_none()));
    cache.clear().unwrap();
    assert!(keys.iter().all(|(key, inside)| seen(if *inside { &other } else { &cache }, key).is_none()));
    assert_valid(&cache);
}

#[test]
fn a_version_is_never_given_twice() {
    let scene = Scene::sized("versions", 4 * MB);
    let cache = scene.open();
    let mut last = 0;
    for round in 0..6 {
        for _ in 0..20 {
            let version = put(&cache, "k", b"v");
            assert!(version > last, "{version} after {last} in round {round}");
            last = version;
        }
        cache.delete(b"k", 0).unwrap();
        resize(&cache, if round % 2 == 0 { 40 * MB } else { 4 * MB });
    }
    let version = put(&cache, "k", b"1");
    resize(&cache, 24 * MB);
    let on_version = |version| Write { condition: Condition::Version(version), ..bytes(b"2") };
    assert_eq!(cache.set(b"k", &on_version(version + 1)).unwrap(), None);
    assert!(cache.set(b"k", &on_version(version)).unwrap().is_some());
}

#[test]
fn a_smaller_segment_evicts_by_the_policy_and_keeps_records() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let mut scene = Scene::sized("smaller", 32 * MB);
        scene.options.eviction = eviction;
        let cache = scene.open();
        let locks: Vec<u64> = (0..200)
            .map(|i| token(cache.acquire(Keyspace::Locks, format!("l{i}").as_bytes(), &ONE).unwrap()))
            .collect();
        let hot: Vec<String> = (0..500).map(|i| format!("hot {i}")).collect();
        hot.iter().for_each(|key| _ = put(&cache, key, &value_of(key, 400)));
        for i in 0..60_000 {
            put(&cache, &format!("cold {i}"), &value_of("cold", 400));
            if i % 1000 == 0 {
                hot.iter().for_each(|key| _ = get(&cache, key));
            }
        }
        let before = cache.len();
        let (notices, listener) = listen(&cache);
        cache.want_removals(listener, true);
        let resized = resize(&cache, 6 * MB);
        assert!(resized.evicted > before / 2, "{resized:?}");
        let removed = notices.try_iter().find_map(|notice| match notice {
            Notice::Removed { entries, lost } => Some((entries, lost)),
            _ => None,
        });
        let (entries, lost) = removed.expect("a notice of what was evicted");
        assert_eq!(entries.len() as u64 + lost, resized.evicted);
        assert!(entries.iter().all(|entry| entry.reason == RemovalReason::Evicted && !entry.key.is_empty()));
        cache.want_removals(listener, false);
        assert_eq!(resized.entries, cache.len() + 200);
        assert_valid(&cache);
        let kept = hot.iter().filter(|key| get(&cache, key) == Some(value_of(key, 400))).count();
        assert!(kept > 400, "{kept} of 500 entries in use were kept by {eviction:?}");
        for (i, token) in locks.into_iter().enumerate() {
            assert!(cache.release(Keyspace::Locks, format!("l{i}").as_bytes(), token, 1).unwrap());
        }
        assert_eq!(cache.stats().total.entries, cache.len());
    }
}

#[test]
fn what_may_not_be_evicted_makes_a_smaller_size_fail_and_changes_nothing() {
    let mut scene = Scene::sized("refused", 16 * MB);
    scene.options.eviction = Eviction::None;
    let cache = scene.open();
    (0..10_000).for_each(|i| _ = put(&cache, &format!("k{i}"), &value_of("v", 900)));
    let reserved = cache.stats().reserved_bytes;
    let refused = cache.resize(4 * MB);
    assert!(matches!(refused, Err(CacheError::NoSpace(_))), "{refused:?}");
    assert_eq!(cache.geometry().len, 16 * MB);
    assert_eq!(cache.len(), 10_000);
    assert!(cache.stats().reserved_bytes <= reserved, "what was made is given back");
    assert_valid(&cache);
    // Records: more than a quarter of the smaller shard.
    let scene = Scene::sized("refused-records", 16 * MB);
    let cache = scene.open();
    for i in 0..8000 {
        cache.acquire(Keyspace::Locks, format!("l{i}").as_bytes(), &ONE).unwrap();
    }
    let refused = cache.resize(2 * MB);
    assert!(matches!(refused, Err(CacheError::NoSpace(_))), "{refused:?}");
    assert_eq!(cache.permit_counts(Keyspace::Locks, b"l7999").unwrap(), (1, 0));
    // Reserves of namespaces.
    let scene = Scene::sized("refused-reserve", 16 * MB);
    let cache = scene.open();
    let part = cache.in_namespace("part").unwrap();
    part.set_quota(&QuotaSetting { reserve: Some(8 << 20), ..QuotaSetting::default() }).unwrap();
    let refused = cache.resize(8 * MB);
    assert!(matches!(refused, Err(CacheError::NoSpace(_))), "{refused:?}");
    assert!(matches!(cache.resize(1), Err(CacheError::InvalidArgument(_))));
    assert_eq!(resize(&cache, 20 * MB).to, 20 * MB);
    assert_eq!(part.tallies().guaranteed_bytes, 8 << 20);
}

#[test]
fn the_maximum_entry_follows_its_default_and_stays_if_it_was_set() {
    let scene = Scene::sized("max", 4 * MB);
    let cache = scene.open();
    let small = cache.geometry().max_entry;
    resize(&cache, 16 * MB);
    assert!(cache.geometry().max_entry > small * 3);
    let mut scene = Scene::sized("max-set", 4 * MB);
    scene.options.max_entry = Some(500_000);
    let cache = scene.open();
    for size in [40 * MB, 8 * MB] {
        resize(&cache, size);
        assert_eq!(cache.geometry().max_entry, 500_000);
    }
    assert!(matches!(cache.resize(2 * MB), Err(CacheError::InvalidArgument(_))));
}

#[test]
fn locks_limiters_metrics_flights_and_waits_go_on() {
    let scene = Scene::sized("records", 4 * MB);
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    let held = token(cache.acquire(Keyspace::Locks, b"l", &ONE).unwrap());
    let waiting = ticket(cache.acquire(Keyspace::Locks, b"l", &ONE).unwrap());
    let watch =
        cache.watch_record(Keyspace::Locks, b"l", Awaited::Permit { ticket: waiting, permits: 1 }, listener).unwrap();
    let limit = Limit { algorithm: Algorithm::Gcra, tokens: 10, window_ms: 10_000 };
    assert!(cache.limit(b"m", &limit, Demand::Consume(7)).unwrap().allowed);
    let family = Family { kind: MetricKind::Counter, bounds: &[], help: "" };
    cache.declare_metric("c", &family, "c{}").unwrap();
    cache.measure(b"c{}", Measurement::Count(3.0)).unwrap();
    let flight = FlightOptions { lease_ms: 60_000, newer_than: 0, background: false };
    let FlightStart::Begun(load) = begun(&cache, &flight) else { panic!() };
    let wait = cache.wait_for(b"awaited", 0, listener).unwrap();
    let incr = cache.incr(b"n", 5.0, &PLAIN).unwrap();

    resize(&cache, 40 * MB);
    assert!(notices.iter().any(|notice| notice == Notice::Resized { from: 4 * MB, to: 40 * MB }));
    assert!(!cache.limit(b"m", &limit, Demand::Consume(4)).unwrap().allowed);
    assert!(cache.limit(b"m", &limit, Demand::Consume(3)).unwrap().allowed);
    cache.measure(b"c{}", Measurement::Count(2.0)).unwrap();
    assert_eq!(cache.metric("c{}").unwrap().unwrap().value, 5.0);
    assert_eq!(cache.incr(b"n", 1.0, &PLAIN).unwrap(), incr + 1.0);
    assert!(cache.holds(Keyspace::Locks, b"l", held).unwrap());
    assert!(cache.release(Keyspace::Locks, b"l", held, 1).unwrap());
    assert!(matches!(cache.ticket_state(Keyspace::Locks, b"l", waiting).unwrap(), TicketState::Granted(_)));
    put(&cache, "awaited", b"here");
    let (mut record, mut key) = (false, false);
    while !(record && key) {
        match notices.recv_timeout(SOON).unwrap() {
            Notice::RecordWatches(ids) => record |= ids.contains(&watch),
            Notice::Waits(ids) => key |= ids.contains(&wait),
            _ => {}
        }
    }
    let finished = cache.finish_flight(FlightKind::Values, b"loaded", load, &bytes(b"value")).unwrap();
    assert!(matches!(finished, FinishResult::Kept(_)), "{finished:?}");
    assert_valid(&cache);
}

fn begun(cache: &Cache, options: &FlightOptions) -> FlightStart {
    cache.begin_flight(FlightKind::Values, b"loaded", options).unwrap()
}

#[test]
fn a_watch_and_a_subscription_lose_nothing_and_repeat_nothing() {
    let scene = Scene::sized("streams", 4 * MB);
    let cache = scene.open();
    let (_notices, listener) = listen(&cache);
    let watch = cache.watch(&Watch { key: None, prefix: b"w", tags: &[] }, 1_000_000, listener).unwrap();
    let subscription = cache.subscribe(b"channel", false, 1_000_000, listener).unwrap();
    let mut number = 0;
    for size in [24 * MB, 8 * MB, 40 * MB] {
        for _ in 0..50 {
            put(&cache, &format!("w{number}"), b"v");
            assert_eq!(cache.publish(b"channel", kind::BUFFER, format!("{number}").as_bytes()).unwrap(), 1);
            number += 1;
        }
        resize(&cache, size);
    }
    let begun = Instant::now();
    let (mut changes, mut messages) = (Vec::new(), Vec::new());
    while changes.len() < number || messages.len() < number {
        changes.extend(cache.read_stream(watch, 1000));
        messages.extend(cache.read_stream(subscription, 1000));
        assert!(begun.elapsed() < SOON, "{} and {} of {number}", changes.len(), messages.len());
        std::thread::sleep(Duration::from_millis(1));
    }
    let written: Vec<_> = changes.iter().map(|item| (item.what, item.key.clone(), item.lost)).collect();
    let expected: Vec<_> = (0..number).map(|i| (What::Set, format!("w{i}").into_bytes(), 0)).collect();
    // Changes of different shards have no order among each other.
    let sorted = |mut all: Vec<(What, Vec<u8>, u64)>| {
        all.sort_by(|a, b| a.1.cmp(&b.1));
        all
    };
    assert_eq!(sorted(written), sorted(expected));
    let texts: Vec<_> = messages.iter().map(|item| String::from_utf8(item.value.clone()).unwrap()).collect();
    assert_eq!(texts, (0..number).map(|i| i.to_string()).collect::<Vec<_>>());
    cache.clear().unwrap();
    while cache.read_stream(watch, 1000).iter().all(|item| item.what != What::Clear) {
        assert!(begun.elapsed() < SOON, "no clear");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_walk_across_a_resize_misses_no_key() {
    let scene = Scene::sized("walk", 8 * MB);
    let cache = scene.open();
    let expected: BTreeSet<Vec<u8>> = (0..3000).map(|i| format!("k{i}").into_bytes()).collect();
    expected.iter().for_each(|key| _ = put(&cache, std::str::from_utf8(key).unwrap(), b"v"));
    let (mut found, mut cursor, mut pages) = (BTreeSet::new(), Some(0), 0);
    while let Some(at) = cursor {
        let page = cache.keys(at, b"", 100).unwrap();
        found.extend(page.keys.into_iter().map(|key| key.bytes));
        cursor = page.next;
        pages += 1;
        if pages == 5 || pages == 20 {
            resize(&cache, if pages == 5 { 40 * MB } else { 12 * MB });
        }
    }
    assert_eq!(found, expected);
    assert_eq!(cache.delete_prefix(b"k").unwrap(), 3000);
    assert_eq!(cache.len(), 0);
}

#[test]
fn a_value_that_was_being_made_meets_the_invalidations_before_the_resize() {
    for size in [2 * MB, 100 * MB] {
        let scene = Scene::sized("made", 16 * MB);
        let cache = scene.open();
        let tag = cache.tag("mine");
        let begun = cache.tag_clock();
        cache.invalidate_tags(&[tag], Invalidation::Remove).unwrap();
        let late = cache.tag_clock();
        resize(&cache, size);
        let tags = [tag];
        let made = |at| Write { made_at: Some(at), tags: &tags, ..bytes(b"v") };
        cache.set(b"old", &made(begun)).unwrap();
        cache.set(b"new", &made(late)).unwrap();
        assert_eq!((get(&cache, "old"), get(&cache, "new")), (None, Some(b"v".to_vec())), "{size}");
        // More invalidations than the smaller table has records: nothing that may be outdated is kept.
        let begun = cache.tag_clock();
        cache.invalidate_tags(&[tag], Invalidation::Remove).unwrap();
        (0..3000).for_each(|i| cache.invalidate_tags(&[cache.tag(&format!("{i}"))], Invalidation::Remove).unwrap());
        resize(&cache, 3 * MB);
        cache.set(b"old", &made(begun)).unwrap();
        assert_eq!(get(&cache, "old"), None, "{size}");
        assert_valid(&cache);
    }
}

#[test]
fn the_area_before_is_given_back() {
    let scene = Scene::sized("released", 64 * MB);
    let cache = scene.open();
    (0..20_000).for_each(|i| _ = put(&cache, &format!("k{i}"), &value_of("v", 1000)));
    let begun = Instant::now();
    for (round, size) in [128 * MB, 32 * MB, 64 * MB, 40 * MB, 96 * MB].into_iter().enumerate() {
        resize(&cache, size);
        // Not more than both together, and after a while the new one alone.
        while cache.stats().reserved_bytes > (size as u64).min(50 << 20) {
            assert!(begun.elapsed() < SOON, "round {round}: {} bytes are reserved", cache.stats().reserved_bytes);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(get(&cache, "k19999"), Some(value_of("v", 1000)));
    }
    assert_valid(&cache);
}

#[test]
fn a_process_that_ends_gives_the_area_before_back() {
    let scene = Scene::sized("ends", 64 * MB);
    let cache = scene.open();
    (0..20_000).for_each(|i| _ = put(&cache, &format!("k{i}"), &value_of("v", 1000)));
    resize(&cache, 96 * MB);
    drop(cache);
    let reserved = inspect(&scene.options.name, None).unwrap().unwrap().contents.unwrap().stats.reserved_bytes;
    assert!(reserved < 40 << 20, "{reserved} bytes are reserved");
    assert_eq!(get(&scene.open(), "k19999"), Some(value_of("v", 1000)));
}

#[test]
fn other_handles_and_near_copies_follow() {
    let scene = Scene::sized("handles", 4 * MB);
    let cache = scene.open();
    let second = scene.open();
    put(&cache, "k", b"1");
    let mut meta = cache_machine_core::EntryMeta::EMPTY;
    assert!(second.get_to(b"k", ReadMode::Use, &mut Vec::new(), &mut meta).unwrap());
    let epoch = |cache: &Cache| cache.get(b"k", ReadMode::Use, &mut Vec::new()).unwrap().unwrap().depends.life as u32;
    let before = meta.depends.life as u32;
    resize(&cache, 24 * MB);
    assert_ne!(epoch(&second), before, "a near copy must be read again");
    assert_eq!(get(&second, "k"), Some(b"1".to_vec()));
    let opened = Cache::open(&OpenOptions { create: false, ..scene.options.clone() }).unwrap().0;
    assert_eq!((opened.geometry().len, get(&opened, "k")), (24 * MB, Some(b"1".to_vec())));
}

#[test]
fn more_resizes_than_areas_have_numbers() {
    let scene = Scene::sized("many", 2 * MB);
    let cache = scene.open();
    put(&cache, "k", b"kept");
    for i in 0..260 {
        resize(&cache, if i % 2 == 0 { 3 * MB } else { 2 * MB });
    }
    assert_eq!(get(&cache, "k"), Some(b"kept".to_vec()));
    assert_valid(&cache);
}
