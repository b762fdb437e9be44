//! What somebody of the same user can do to a segment from outside: scribble, truncate, fill the file system. It may cost
//! data and writes, never a crash, a hang, or an answer that nobody gave.

mod support;

use cache_machine_core::{
    Cache, CacheError, Condition, Eviction, Family, Invalidation, Listener, META_AT, Manner, MetricKind, NoSink,
    Notice, RegionOptions, SharedRegion, Write, destroy_region, inspect, inspect_region, list,
};
use cache_machine_shm::atomic::{AtomicBool, AtomicU64, Ordering};
use cache_machine_shm::{HEADER_BYTES, Header, Place, ProcessTable, Region, SegmentFile};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::{PLAIN, Random, Scene, assert_valid, bytes, get, put};

/// The first shard's lock. The value below is what a panic leaves there.
const LOCK: usize = META_AT;
const SUSPECT: u32 = 1 << 20;
const UNIT: usize = 64;
/// Names, epochs and reads of namespaces, and the records of tags.
const TABLES: std::ops::Range<usize> = HEADER_BYTES + ProcessTable::BYTES..META_AT;
/// The words of the header that say something of these: two locks, counts, the tag clock and its floor, lock waits.
const TABLE_WORDS: std::ops::Range<usize> = Header::CACHE + 64..Header::CACHE + 256 + 24 * 8;
/// Of these, how many namespaces there are.
const NAMES_USED: u64 = Header::CACHE as u64 + 68;

fn raw(cache: &Cache) -> File {
    OpenOptions::new().read(true).write(true).open(cache.path()).unwrap()
}

/// Another mapping of the cache's file.
fn mapped<R>(cache: &Cache, use_it: impl FnOnce(&Region) -> R) -> R {
    let path = cache.path();
    let name = path.file_name().unwrap().to_str().unwrap();
    let (layout, rest) = name.strip_prefix("cache-machine.").unwrap().split_once('.').unwrap();
    let name = rest.split_once('.').unwrap().1;
    let place = Place::Directory(path.parent().unwrap().to_owned());
    SegmentFile::new(place, name, layout.parse().unwrap()).inspect(|region, _, _| use_it(region)).unwrap()
}

/// Leaves the lock as a panic does, so that the next writer rebuilds the shard. Nobody may hold it meanwhile, also not the
/// handle's background thread; hence closed and opened again.
fn suspect(scene: &Scene, cache: Cache) -> Cache {
    let file = raw(&cache);
    drop(cache);
    file.write_all_at(&SUSPECT.to_le_bytes(), LOCK as u64).unwrap();
    scene.open()
}

/// Where the head of the only entry with this key is in the file.
fn head_of(cache: &Cache, key: &str) -> u64 {
    let mut content = vec![0; cache.geometry().len];
    raw(cache).read_exact_at(&mut content, 0).unwrap();
    let body = content.chunks(UNIT).position(|unit| unit.starts_with(key.as_bytes())).expect("the key's body");
    (body as u64 - 1) * UNIT as u64
}

/// The generation of an index word has 32 bits, and begins again behind its last.
#[test]
fn a_generation_at_its_end_begins_again() {
    let scene = impatient("generation");
    let cache = scene.open();
    let generation = || cache.get(b"k", Manner::Peek, &mut NoSink).unwrap().unwrap().depends.generation;
    mapped(&cache, |region| {
        // Behind the control block, in which writes are counted as well.
        let mut words: Vec<_> = (LOCK + 320..cache.geometry().len).step_by(8).map(|at| region.u64(at)).collect();
        for _ in 0..10 {
            put(&cache, "k", b"v");
            words.retain(|word| word.load(Ordering::Relaxed) >> 32 == u64::from(generation()));
        }
        assert_eq!(words.len(), 1);
        words[0].fetch_or(u64::from(u32::MAX) << 32, Ordering::Relaxed);
    });
    assert_eq!(generation(), u32::MAX);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
    for round in 0..3u32 {
        let version = cache.version_of(b"k").unwrap().unwrap();
        assert!(put(&cache, "k", format!("{round}").as_bytes()) > version);
        assert_eq!(generation(), round, "or the wrap was not met");
        assert_eq!(get(&cache, "k"), Some(format!("{round}").into_bytes()));
    }
    assert!(cache.delete(b"k", 0).unwrap());
    assert_eq!(get(&cache, "k"), None);
    assert_valid(&cache);
}

/// A change whose index word was stored is done. When a damaged link made the rest fail, the shard was rebuilt and the
/// change ran again: a counter was counted twice, and a value taken out of the cache was given to nobody.
#[test]
fn what_is_committed_is_not_done_again_when_a_link_turns_out_to_be_damaged() {
    let scene = impatient("links");
    let cache = scene.open();
    let damage = |key: &str| {
        put(&cache, "before", b"1");
        cache.incr(key.as_bytes(), 10.0, &PLAIN).unwrap();
        put(&cache, "behind", b"1");
        // Both neighbours in the queue: far outside the space.
        raw(&cache).write_all_at(&0x7FFF_FFFF_7FFF_FFFFu64.to_le_bytes(), head_of(&cache, key) + 56).unwrap();
    };
    let repairs = || cache.stats().repairs;
    damage("counted-once");
    let before = repairs();
    assert_eq!(cache.incr(b"counted-once", 1.0, &PLAIN).unwrap(), 11.0);
    assert!(repairs() > before, "the damage was not met");
    assert_valid(&cache);
    assert_eq!(cache.incr(b"counted-once", 1.0, &PLAIN).unwrap(), 12.0);

    damage("taken-once");
    let mut out = Vec::new();
    assert!(cache.take(b"taken-once", &mut out).unwrap().is_some_and(|meta| meta.copied));
    assert_eq!(out, 10f64.to_le_bytes());
    assert!(cache.take(b"taken-once", &mut out).unwrap().is_none());
    assert_valid(&cache);

    damage("deleted-once");
    assert!(cache.delete(b"deleted-once", 0).unwrap());
    assert!(!cache.delete(b"deleted-once", 0).unwrap());
    assert_valid(&cache);

    damage("replaced-once");
    let version = cache.version_of(b"replaced-once").unwrap().unwrap();
    let write = Write { condition: Condition::Version(version), ..bytes(b"new") };
    assert!(cache.set(b"replaced-once", &write).unwrap().is_some());
    assert_eq!(get(&cache, "replaced-once").as_deref(), Some(&b"new"[..]));
    assert_valid(&cache);
}

/// Numbers at their limits are what a scribbler leaves, and what an overflow check stops at.
#[test]
fn counters_at_their_limits_do_not_stop_anybody() {
    let scene = impatient("limits");
    let mut cache = scene.open();
    for i in 0..100 {
        put(&cache, &format!("{i}"), &[1; 300]);
    }
    for at in (8..320).step_by(8) {
        for value in [u64::MAX, u64::MAX >> 1, u64::from(u32::MAX), 1 << 31] {
            mapped(&cache, |region| region.u64(LOCK + at).store(value, Ordering::Relaxed));
            let _ = cache.stats();
            let _ = cache.len();
            let _ = cache.validate();
            let _ = list(None);
            let _ = inspect(&scene.options.name, None).unwrap();
            let first = cache.set(b"k", &bytes(&[2; 700]));
            let second = cache.set(b"k", &bytes(&[3; 700]));
            assert!(matches!((&first, &second), (Ok(Some(_)), Ok(Some(_)))), "at {at}: {first:?} {second:?}");
            assert_eq!(get(&cache, "k"), Some(vec![3; 700]), "at {at}");
            assert!(cache.delete(b"k", 0).unwrap());
        }
        cache = suspect(&scene, cache);
        put(&cache, "k", b"1");
        assert_valid(&cache);
    }
}

/// All that uses names, epochs, tallies and tags, whatever comes of it.
fn use_tables(cache: &Cache, round: u64) {
    for name in ["first".into(), "second".into(), format!("new {round}")] {
        let own = cache.in_namespace(&name).unwrap_or(cache.clone());
        let key = format!("k{round}");
        let tags = [own.tag("red"), own.tag(&name)];
        let write = Write { tags: &tags, ttl_ms: 5, stale_ms: 5, made_at: Some(round), ..bytes(b"v") };
        let _ = own.set(key.as_bytes(), &write);
        let _ = own
            .invalidate_tags(&tags, if round.is_multiple_of(2) { Invalidation::Remove } else { Invalidation::Outdate });
        let _ = own.set(key.as_bytes(), &Write { keep_tags: true, keep_ttl: true, made_at: None, ..write });
        for manner in [Manner::Use, Manner::Peek, Manner::UseStale, Manner::PeekStale] {
            let _ = own.get(key.as_bytes(), manner, &mut Vec::new()).unwrap();
        }
        let _ = (own.len(), own.tallies(), own.tag_clock(), own.namespace_names(), own.namespace_name(u16::MAX));
        let _ = own.keys(0, b"k", 100).unwrap();
        let _ = own.touch(key.as_bytes(), 5);
        if round.is_multiple_of(3) {
            own.clear().unwrap();
        }
        let _ = own.delete_prefix(b"k");
    }
    let _ = (cache.stats(), cache.validate(), list(None));
}

#[test]
fn tables_at_their_limits_do_not_stop_anybody() {
    let mut scene = impatient("tables");
    scene.options.size = 2 << 20;
    scene.options.write_timeout = Duration::from_millis(1);
    let cache = scene.open();
    put(&cache, "untagged", b"1");
    let limits = [u64::MAX, 1 << 63, u64::MAX >> 1, 0x0101_0101_0101_0101, u64::from(u32::MAX), 1 << 31, 1, 0];
    let mut round = 0;
    for range in [TABLES, TABLE_WORDS] {
        for (value, other) in limits.iter().flat_map(|value| limits.map(|other| (*value, other))) {
            mapped(&cache, |region| {
                for at in range.clone().step_by(16) {
                    region.u64(at).store(value, Ordering::Relaxed);
                    region.u64(at + 8).store(other, Ordering::Relaxed);
                }
            });
            use_tables(&cache, round);
            round += 1;
            // What has neither namespace nor tags needs none of it.
            put(&cache, "untagged", &round.to_le_bytes());
            assert_eq!(get(&cache, "untagged"), Some(round.to_le_bytes().to_vec()));
        }
    }
    // As they were: all is of use again.
    mapped(&cache, |region| {
        TABLES.chain(TABLE_WORDS).step_by(8).for_each(|at| region.u64(at).store(0, Ordering::Relaxed));
    });
    cache.clear().unwrap();
    let own = cache.in_namespace("own").unwrap();
    assert_eq!(own.namespace(), 1);
    let tags = [own.tag("red")];
    own.set(b"k", &Write { tags: &tags, ..bytes(b"v") }).unwrap();
    assert!(own.has(b"k").unwrap());
    own.invalidate_tags(&tags, Invalidation::Remove).unwrap();
    assert!(!own.has(b"k").unwrap());
    assert_valid(&cache);
}

/// A number of names that was scribbled larger made the next name be written behind a free place, where nobody found it:
/// each `open` of it took another number, with other keys.
#[test]
fn a_name_keeps_its_number_where_the_count_of_names_is_wrong() {
    let scene = impatient("count");
    let cache = scene.open();
    put(&cache.in_namespace("first").unwrap(), "k", b"1");
    for noted in [0u32, 1, 700, 1023, 1024, u32::MAX] {
        raw(&cache).write_all_at(&noted.to_le_bytes(), NAMES_USED).unwrap();
        let name = format!("named at {noted}");
        put(&cache.in_namespace(&name).unwrap(), "k", name.as_bytes());
        assert_eq!(get(&cache.in_namespace(&name).unwrap(), "k"), Some(name.into_bytes()));
    }
    assert_eq!(get(&cache.in_namespace("first").unwrap(), "k").as_deref(), Some(&b"1"[..]));
    assert_eq!(cache.namespace_names().len(), 7);
    assert_eq!(cache.stats().total.entries, 7);
    assert_valid(&cache);
}

/// Versions only grow, also from a scribbled one.
#[test]
fn a_head_with_the_last_version_does_not_stop_the_sequence() {
    let scene = impatient("version");
    let cache = scene.open();
    put(&cache, "the-last-version", b"1");
    raw(&cache).write_all_at(&u64::MAX.to_le_bytes(), head_of(&cache, "the-last-version") + 8).unwrap();
    let cache = suspect(&scene, cache);
    for _ in 0..3 {
        assert_ne!(put(&cache, "k", b"1"), 0, "0 means any version");
    }
}

/// Heads that were scribbled gave keys to walks that no call takes: none, or longer than any.
#[test]
fn a_walk_gives_no_keys_that_cannot_be() {
    let scene = impatient("impossible-keys");
    let cache = scene.open();
    for len in [0, u16::MAX] {
        let (key, series) = (format!("value-{len}"), format!("metric-{len}{{}}"));
        put(&cache, &key, &[1; 100_000]);
        let family = Family { kind: MetricKind::Gauge, help: "", bounds: &[] };
        cache.declare_metric("gauge", &family, &series).unwrap();
        for damaged in [&key, &series] {
            raw(&cache).write_all_at(&len.to_le_bytes(), head_of(&cache, damaged)).unwrap();
        }
        assert_eq!(cache.keys(0, b"", usize::MAX).unwrap().keys, []);
        let metrics = cache.metrics().unwrap();
        assert_eq!(metrics.iter().map(|metric| &metric.key).collect::<Vec<_>>(), ["gauge"]);
    }
}

#[test]
fn files_that_are_no_segments_are_listed_without_contents() {
    let scene = impatient("list");
    let cache = scene.open();
    let directory = cache.path().parent().unwrap().to_owned();
    let of_layout = |layout: u32| {
        let own = cache.path().file_name().unwrap().to_str().unwrap();
        let (_, rest) = own.strip_prefix("cache-machine.").unwrap().split_once('.').unwrap();
        directory.join(format!("cache-machine.{layout}.{rest}"))
    };
    let make = |path: &Path, content: &[u8]| {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.write_all_at(content, 0).unwrap();
    };
    // A header that promises 2,048 processes, in a file that has no room for one.
    make(&of_layout(99), &[0xFF; 8192]);
    make(&of_layout(98), &[0xFF; 10]);
    let found: Vec<_> = list(None).into_iter().filter(|info| info.name == scene.options.name).collect();
    std::fs::remove_file(of_layout(99)).unwrap();
    std::fs::remove_file(of_layout(98)).unwrap();
    let seen: Vec<_> = found.iter().map(|info| (info.layout, info.contents.is_some(), info.processes.len())).collect();
    assert!(seen.contains(&(99, false, 0)), "{seen:?}");
    assert!(seen.iter().any(|(layout, contents, _)| *layout < 98 && *contents), "{seen:?}");
}

/// A sparse file costs nothing, so a header may promise a shard of a terabyte: its units have no number in a word.
#[test]
fn a_header_that_promises_a_giant_shard_is_refused() {
    let scene = impatient("giant");
    let file = raw(&scene.open());
    let len = 1u64 << 40;
    file.set_len(len).unwrap();
    file.write_all_at(&len.to_le_bytes(), 32).unwrap();
    for shards in [0, 1, 2, 40, len, u64::MAX] {
        file.write_all_at(&shards.to_le_bytes(), 192).unwrap();
        let opened = Cache::open(&scene.options).map(|_| ());
        assert!(matches!(opened, Err(CacheError::Corrupt(_))), "{shards} shards: {opened:?}");
        let found = inspect(&scene.options.name, None).unwrap();
        assert!(found.is_some_and(|info| info.contents.is_none()));
    }
}

/// One entry's chain of extents that leads round in circles, named by many words: each look at it, and each rebuild, must
/// end soon.
#[test]
fn chains_that_lead_round_in_circles_cost_no_more_than_honest_ones() {
    let scene = impatient("circles");
    let cache = scene.open();
    for i in 0..3000 {
        put(&cache, &format!("key-{i:08}"), b"1");
    }
    let units = cache.geometry().capacity() / UNIT;
    let mut content = vec![0; cache.geometry().len];
    raw(&cache).read_exact_at(&mut content, 0).unwrap();
    let mut extents = 0u64;
    for body in 0..content.len() / UNIT {
        if !content[body * UNIT..].starts_with(b"key-") || content[body * UNIT + 4..][..8].contains(&0) {
            continue;
        }
        // The body becomes an extent whose seven runs are its own unit, and whose next is itself; the head says that
        // there are as many runs as there may be, and that the value is as long as it may be.
        let head = (body - 1) * UNIT;
        let run = u64::from_le_bytes(content[head + 40..head + 48].try_into().unwrap());
        let unit = run & 0xFFFF_FFFF;
        if run >> 32 != 1 || unit == 0 {
            continue;
        }
        let file = raw(&cache);
        let own = (unit | 1 << 32).to_le_bytes();
        for word in 0..7 {
            file.write_all_at(&own, (body * UNIT + word * 8) as u64).unwrap();
        }
        file.write_all_at(&unit.to_le_bytes(), (body * UNIT + 56) as u64).unwrap();
        let first = 12u64 | 6 << 16 | 2 << 24 | ((units / 4 * UNIT) as u64) << 32;
        file.write_all_at(&first.to_le_bytes(), head as u64).unwrap();
        let chain = unit | ((units * 7) as u64) << 32;
        file.write_all_at(&chain.to_le_bytes(), (head + 40) as u64).unwrap();
        extents += 1;
    }
    assert!(extents > 2000, "{extents}");
    // As if a key had gone past every line: a look goes through all of them.
    let start = Instant::now();
    for i in 0..300 {
        let _ = cache.get(format!("key-{i:08}").as_bytes(), Manner::Use, &mut Vec::new()).unwrap();
    }
    let looks = start.elapsed();
    let start = Instant::now();
    let _ = cache.validate().unwrap();
    let validated = start.elapsed();
    let cache = suspect(&scene, cache);
    let start = Instant::now();
    put(&cache, "k", b"1");
    let rebuilt = start.elapsed();
    eprintln!("300 looks {looks:?}, validate {validated:?}, rebuild {rebuilt:?}");
    assert!(looks.max(validated).max(rebuilt) < Duration::from_secs(2));
    assert_valid(&cache);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"1"[..]));
}

/// How many runs a chain has is one number of its head. One that says more than the shard has units is not followed, also where
/// the chain leads round in a circle: the entry is a miss, and the next writer drops it.
#[test]
fn an_entry_of_more_runs_than_there_are_units_is_a_miss() {
    let scene = impatient("runs");
    let mut cache = scene.open();
    // Free units of which no two are neighbours.
    let free = |cache: &Cache| cache.stats().capacity_bytes - cache.stats().used_bytes;
    (0..).take_while(|_| free(&cache) > 150_000).for_each(|i| _ = put(&cache, &format!("large {i}"), &[5; 100_000]));
    let small = (0..).take_while(|i| free(&cache) > 1000 && put(&cache, &format!("small {i}"), &[1; 40]) > 0).count();
    (0..small).step_by(2).for_each(|i| assert!(cache.delete(format!("small {i}").as_bytes(), 0).unwrap()));
    let units = (cache.geometry().capacity() / UNIT) as u64;
    let body_of = |region: &Region, head: usize| region.u64(head + 40).load(Ordering::Relaxed) & 0xFFFF_FFFF;
    // An entry in one piece has its body behind its head.
    let first = head_of(&cache, "large 0") as usize;
    let space = mapped(&cache, |region| first + UNIT - body_of(region, first) as usize * UNIT);
    let scattered = |region: &Region, len: usize| {
        let is_head = |head: &usize| {
            let word = region.u64(*head).load(Ordering::Relaxed);
            (word as u16, word >> 32) == ("scattered".len() as u16, len as u64)
        };
        (space..region.len()).step_by(UNIT).find(is_head).expect("its head")
    };
    let mut dropped = 0;
    for count in [units * 8, u64::from(u32::MAX)] {
        for is_circle in [false, true] {
            // Of a length that none before it had.
            let value = vec![7; 5000 + dropped as usize];
            put(&cache, "scattered", &value);
            assert_eq!(get(&cache, "scattered").as_ref(), Some(&value));
            mapped(&cache, |region| {
                let head = scattered(region, value.len());
                let (run, extent) = (region.u64(head + 40), body_of(region, head));
                assert!(run.load(Ordering::Relaxed) >> 32 > 7, "one extent has all its runs");
                if is_circle {
                    region.u64(space + extent as usize * UNIT + 56).store(extent, Ordering::Relaxed);
                }
                run.store(extent | count << 32, Ordering::Relaxed);
            });
            assert_eq!(get(&cache, "scattered"), None, "{count} runs, in a circle: {is_circle}");
            cache = suspect(&scene, cache);
            assert_valid(&cache);
            assert_eq!((get(&cache, "scattered"), cache.stats().damaged), (None, dropped + 1));
            dropped += 1;
        }
    }
}

/// Somebody who could choose keys that meet in one line of the index would fill that line with them. It costs others nothing;
/// and the next segment has another seed, where they are keys like any other.
#[test]
fn a_flood_of_keys_for_one_line_costs_others_nothing_and_is_none_in_the_next_segment() {
    const LINE: usize = 64;
    let line_of = |cache: &Cache, key: &str| {
        let meta = cache.get(key.as_bytes(), Manner::Peek, &mut NoSink).unwrap().unwrap();
        meta.depends.word_at / LINE
    };
    // An index has few lines while it has few entries, and many keys in each of them.
    let grow = |cache: &Cache| {
        (0..6000).for_each(|i| _ = put(cache, &format!("grows{i}"), b"x"));
        cache.delete_prefix(b"grows").unwrap();
    };
    let flooded = impatient("flood");
    let cache = flooded.open();
    grow(&cache);
    put(&cache, "first", b"1");
    let line = line_of(&cache, "first");
    let meets = |i: &u32| {
        let key = format!("k{i}");
        put(&cache, &key, b"x");
        let meets = line_of(&cache, &key) == line;
        assert!(cache.delete(key.as_bytes(), 0).unwrap());
        meets
    };
    let flood: Vec<String> = (0..500_000).filter(meets).map(|i| format!("k{i}")).collect();
    assert!(flood.len() > 50, "only {} keys meet in one line", flood.len());

    let others: Vec<String> = (0..1000).map(|i| format!("other{i}")).collect();
    others.iter().for_each(|key| _ = put(&cache, key, b"there"));
    for key in &flood {
        put(&cache, key, key.as_bytes());
        assert_eq!(get(&cache, key).as_deref(), Some(key.as_bytes()), "what was just written is there");
    }
    let lost = others.iter().filter(|key| get(&cache, key).is_none()).count();
    assert!(lost < 30, "{lost} of 1,000 others went");
    assert_valid(&cache);

    let next = impatient("flood");
    let cache = next.open();
    grow(&cache);
    flood.iter().for_each(|key| _ = put(&cache, key, key.as_bytes()));
    assert_eq!(cache.stats().total.evictions, 0);
    let mut lines: Vec<usize> = flood.iter().map(|key| line_of(&cache, key)).collect();
    lines.sort_unstable();
    lines.dedup();
    assert!(lines.len() > flood.len() / 2, "{} keys are in {} lines", flood.len(), lines.len());
}

/// Truncation under load: whoever was told that a write is stored was told so while the segment was there.
#[test]
fn a_truncated_cache_is_left_with_an_error_by_readers_and_writers() {
    for left in [0, 1 << 20] {
        let scene = impatient("truncated");
        let cache = scene.open();
        for i in 0..2000 {
            put(&cache, &format!("{i}"), &[i as u8; 500]);
        }
        std::thread::scope(|scope| {
            for worker in 0..2u64 {
                let cache = &cache;
                scope.spawn(move || {
                    let mut random = Random(9 + worker);
                    loop {
                        let i = random.below(2000);
                        let key = format!("{i}");
                        let mut out = Vec::new();
                        let result = match random.below(3) {
                            0 => cache.set(key.as_bytes(), &bytes(&[i as u8; 500])).map(|_| false),
                            1 => cache.touch(key.as_bytes(), 0).map(|_| false),
                            _ => cache.get(key.as_bytes(), Manner::Use, &mut out).map(|found| found.is_some()),
                        };
                        match result {
                            Ok(is_hit) => assert!(!is_hit || out == [i as u8; 500], "torn"),
                            Err(CacheError::Detached) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    for _ in 0..100 {
                        assert!(matches!(cache.set(b"k", &bytes(b"v")), Err(CacheError::Detached)));
                        let read = cache.get(b"k", Manner::Use, &mut NoSink);
                        assert!(matches!(read, Err(CacheError::Detached)), "{read:?}");
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(20));
            raw(&cache).set_len(left).unwrap();
        });
        assert!(!cache.is_attached());
        assert!(matches!(cache.clear(), Err(CacheError::Detached)));
    }
}

/// A write that was under way when the segment was lost went on in zero pages of its own, and was acknowledged.
#[test]
fn no_write_is_acknowledged_by_a_segment_that_was_lost_under_it() {
    let mut acknowledged = 0u64;
    for round in 0..60 {
        let scene = impatient("lost");
        let cache = scene.open();
        let file = raw(&cache);
        let value = vec![round as u8; cache.geometry().max_entry / 2];
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut last = 0;
                while let Ok(version) = cache.set(b"k", &bytes(&value)) {
                    let version = version.expect("stored");
                    assert!(version > last, "version {version} after {last}: from a segment that is gone");
                    last = version;
                }
                last
            });
            std::thread::sleep(Duration::from_micros(300 * round % 5000));
            file.set_len(0).unwrap();
            acknowledged += writer.join().unwrap();
        });
    }
    assert!(acknowledged > 60);
}

/// A file system of its own, unmounted on drop. `None` (with a note) where that is not allowed.
struct Mount(PathBuf);

impl Mount {
    fn new(kind: &str, size: &str) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("cm-{kind}-{}-{size}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        // Dropped, and so removed, also where it could not be mounted.
        let mount = Self(path);
        let path = mount.0.to_str().unwrap();
        let image = mount.image();
        let mounted = match kind {
            "tmpfs" => succeeds("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", path]),
            _ => {
                succeeds("truncate", &["-s", size, &image])
                    && succeeds("mke2fs", &["-q", "-t", kind, "-m", "0", &image])
                    && succeeds("mount", &["-o", "loop", &image, path])
            }
        };
        if !mounted {
            eprintln!("not run: cannot mount a file system of type {kind}");
        }
        mounted.then_some(mount)
    }

    fn image(&self) -> String {
        format!("{}.image", self.0.to_str().unwrap())
    }
}

fn succeeds(command: &str, args: &[&str]) -> bool {
    std::process::Command::new(command).args(args).output().is_ok_and(|output| output.status.success())
}

impl Drop for Mount {
    fn drop(&mut self) {
        succeeds("umount", &["-l", self.0.to_str().unwrap()]);
        let _ = std::fs::remove_dir(&self.0);
        let _ = std::fs::remove_file(self.image());
    }
}

#[test]
fn on_a_tiny_file_system_a_cache_is_refused_or_evicts_and_never_raises_a_signal() {
    for (kind, room, size, eviction) in [
        ("tmpfs", "1m", 4 << 20, Eviction::S3Fifo),
        ("tmpfs", "1m", 64 << 20, Eviction::Lru),
        ("tmpfs", "3m", 4 << 20, Eviction::S3Fifo),
        ("tmpfs", "3m", 8 << 20, Eviction::Lru),
        ("tmpfs", "16m", 64 << 20, Eviction::S3Fifo),
        ("tmpfs", "16m", 64 << 20, Eviction::None),
        // A disk.
        ("ext4", "2m", 4 << 20, Eviction::Lru),
        ("ext4", "16m", 64 << 20, Eviction::S3Fifo),
        ("ext4", "16m", 64 << 20, Eviction::None),
    ] {
        let Some(mount) = Mount::new(kind, room) else { continue };
        let left = || {
            std::fs::read_dir(&mount.0)
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().file_name() != "lost+found")
                .count()
        };
        let what = format!("{size} bytes on {room} of {kind}");
        let mut scene = impatient("full");
        scene.options.directory = Some(mount.0.clone());
        scene.options.size = size;
        scene.options.eviction = eviction;
        let cache = match Cache::open(&scene.options) {
            Ok((cache, _)) => cache,
            Err(error) => {
                assert!(room <= "2m" && matches!(error, CacheError::NoSpace(_)), "{what}: {error}");
                assert_eq!(left(), 0, "something was left");
                continue;
            }
        };
        let mut random = Random(11);
        let mut refused = 0;
        let limit = cache.geometry().max_entry;
        for i in 0..30_000u64 {
            let key = random.below(30_000);
            let len = if i % 1000 == 0 { limit - 20 } else { random.below(2000) as usize };
            match cache.set(format!("{key}").as_bytes(), &bytes(&vec![key as u8; len])) {
                Ok(Some(_)) => {}
                Ok(None) => refused += 1,
                // One value may be larger than all that the file system gave.
                Err(CacheError::NoSpace(_)) if len > 2000 => refused += 1,
                Err(error) => panic!("{what}: {error}"),
            }
            let other = random.below(30_000);
            if let Some(value) = get(&cache, &format!("{other}")) {
                assert!(value.iter().all(|b| *b == other as u8));
            }
        }
        assert!(cache.is_attached());
        let stats = cache.stats();
        assert_eq!(refused > 40, eviction == Eviction::None, "{what}: {refused} refused");
        assert!(stats.reserved_bytes < stats.capacity_bytes, "{what}: {stats:?}");
        assert_eq!(stats.total.evictions > 0, eviction != Eviction::None);
        assert_valid(&cache);
        // Somebody else fills the rest to the last page.
        let filler = File::create(mount.0.join("filler")).unwrap();
        let mut at = 0;
        while filler.write_all_at(&[1; 4096], at).is_ok() {
            at += 4096;
        }
        for i in 0..5000u64 {
            let _ = cache.set(format!("{i}").as_bytes(), &bytes(&vec![i as u8; random.below(3000) as usize]));
        }
        assert!(cache.is_attached());
        assert_valid(&cache);
    }
}

/// A lock word that somebody wrote names a living process, which will not release it.
fn impatient(test: &str) -> Scene {
    let mut scene = Scene::new(test);
    scene.options.write_timeout = Duration::from_millis(100);
    scene
}

/// How often a panic was caught anywhere in this process; the background thread's too.
fn panics() -> &'static Mutex<Vec<String>> {
    static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.lock().unwrap().push(info.to_string());
            before(info);
        }));
    });
    &PANICS
}

/// A word somewhere, changed as a bug or an attacker would: noise, one bit, a small number, a copy of another word.
fn scribble(region: &Region, from: usize, to: usize, random: &mut Random) {
    let words = ((to - from) / 8) as u64;
    let at = from + random.below(words) as usize * 8;
    let word = region.u64(at);
    let value = match random.below(8) {
        0 => random.next(),
        1 | 2 => word.load(Ordering::Relaxed) ^ 1 << random.below(64),
        3 => random.below(70_000),
        4 => random.below(70_000) << 32 | random.below(70_000),
        5 => region.u64(from + random.below(words) as usize * 8).load(Ordering::Relaxed),
        6 => word.load(Ordering::Relaxed).wrapping_add(random.below(5)).wrapping_sub(2),
        _ => [0, u64::MAX, 1 << 63, u64::from(u32::MAX)][random.below(4) as usize],
    };
    word.store(value, Ordering::Relaxed);
}

/// WORDS words (default 5,000,000) of live segments are overwritten while four threads use them.
#[test]
fn random_words_cost_data_but_no_crash_and_no_hang() {
    let words: u64 = std::env::var("WORDS").map_or(5_000_000, |text| text.parse().expect("a number"));
    let seed: u64 = std::env::var("SEED").map_or(20_261_124, |text| text.parse().expect("a number"));
    println!("{words} words, seed {seed}");
    let panics = panics();
    let before = panics.lock().unwrap().len();
    let longest = AtomicU64::new(0);
    let answers = AtomicU64::new(0);
    let errors = AtomicU64::new(0);
    let start = Instant::now();
    let rounds = 24;
    for round in 0..rounds {
        let mut scene = impatient("scribble");
        scene.options.size = 2 << 20;
        scene.options.manual_clock = false;
        scene.options.write_timeout = Duration::from_millis(5);
        scene.options.eviction = if round % 2 == 0 { Eviction::S3Fifo } else { Eviction::Lru };
        let cache = scene.open();
        let mut header = [0; HEADER_BYTES];
        raw(&cache).read_exact_at(&mut header, 0).unwrap();
        let len = cache.geometry().len;
        let space = len - cache.geometry().capacity() - UNIT;
        // Everything but the header's first lines, which only say whether the segment is there at all; or only what
        // the structures are made of, where one word in many is worth more.
        let range =
            [192..len, LOCK..len, LOCK..space, LOCK..LOCK + 320, TABLES, TABLE_WORDS][round as usize / 2 % 6].clone();
        let own = cache.in_namespace("own").unwrap();
        let listener = cache.add_listener(Box::new(Deaf));
        cache.want_gone(listener, round % 3 == 0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for worker in 0..3u64 {
                let (root, own, done, longest, answers, errors) = (&cache, &own, &done, &longest, &answers, &errors);
                scope.spawn(move || {
                    let mut random = Random(seed + round * 10 + worker);
                    let limit = root.geometry().max_entry as u64;
                    while !done.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        let cache = if random.below(3) == 0 { own } else { root };
                        let key = random.below(3000);
                        let key = format!("{key}-{}", "k".repeat((key % 70) as usize));
                        let key = key.as_bytes();
                        let len = if random.below(200) == 0 { random.below(limit - 100) } else { random.below(900) };
                        let ttl_ms = random.below(2) * random.below(50);
                        let value = vec![1; len as usize];
                        let tags = [random.below(20) + 1, random.below(5000) << 32 | 1];
                        let tags = &tags[..random.below(3) as usize];
                        let stale_ms = random.below(2) * random.below(50);
                        let write = Write { ttl_ms, stale_ms, tags, keep_tags: stale_ms == 7, ..bytes(&value) };
                        let mut out = Vec::new();
                        let result = match random.below(20) {
                            16 => cache.invalidate_tags(tags, Invalidation::Remove),
                            17 => cache.get(key, Manner::UseStale, &mut out).map(|_| ()),
                            18 => cache.keys(random.below(3000), &key[..1], 50).map(|_| ()),
                            19 if random.below(100) == 0 => cache.delete_prefix(&key[..1]).map(|_| ()),
                            19 if random.below(50) == 0 => match cache.in_namespace(&format!("{stale_ms}")) {
                                Ok(other) => other.set(b"k", &write).map(|_| ()),
                                Err(error) => Err(error),
                            },
                            0..=4 => cache.set(key, &write).map(|_| ()),
                            5 => cache.delete(key, 0).map(|_| ()),
                            6 => cache.touch(key, ttl_ms).map(|_| ()),
                            7 => cache.incr(key, 1.0, &PLAIN).map(|_| ()),
                            8 => cache.take(key, &mut out).map(|_| ()),
                            9 if random.below(50) == 0 => cache.clear(),
                            10 if random.below(50) == 0 => cache.validate().map(|_| ()),
                            11 if random.below(20) == 0 => {
                                let _ = (cache.stats(), cache.len(), cache.tallies(), cache.namespace_names());
                                let _ = inspect(&scene_name(cache), None);
                                Ok(())
                            }
                            _ => cache.get(key, Manner::Use, &mut out).map(|_| ()),
                        };
                        answers.fetch_add(1, Ordering::Relaxed);
                        match result {
                            Ok(()) | Err(CacheError::NotANumber | CacheError::Overflow) => {}
                            Err(CacheError::Corrupt(_) | CacheError::Busy(_) | CacheError::NoSpace(_)) => {
                                errors.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => panic!("{error}"),
                        }
                        longest.fetch_max(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
                    }
                });
            }
            let (cache, done, answers) = (&cache, &done, &answers);
            scope.spawn(move || {
                mapped(cache, |region| {
                    let mut random = Random(seed ^ (round + 1) << 20);
                    for i in 0..words / rounds {
                        scribble(region, range.start, range.end, &mut random);
                        if i % 10_000 == 0 {
                            // As if a process in whose name the lock was scribbled had ended.
                            region.u32(LOCK).store(SUSPECT, Ordering::Relaxed);
                        }
                        if i % 512 == 0 {
                            let (before, since) = (answers.load(Ordering::Relaxed), Instant::now());
                            while answers.load(Ordering::Relaxed) < before + 100 && since.elapsed().as_millis() < 1 {
                                std::thread::yield_now();
                            }
                        }
                    }
                });
                done.store(true, Ordering::Relaxed);
            });
        });
        drop(own);
        // The header is refused when it is opened; this is about the rest.
        raw(&cache).write_all_at(&header, 0).unwrap();
        // Whatever is there now, a rebuild makes a valid shard of it, and the cache is of use again.
        let cache = suspect(&scene, cache);
        put(&cache, "afterwards", b"1");
        assert_valid(&cache);
        assert_eq!(get(&cache, "afterwards").as_deref(), Some(&b"1"[..]));
        assert!(cache.is_attached());
    }
    println!(
        "{} answers, {} of them errors; the longest took {} ms; {:?} in all",
        answers.load(Ordering::Relaxed),
        errors.load(Ordering::Relaxed),
        longest.load(Ordering::Relaxed) / 1000,
        start.elapsed()
    );
    // A copy first: whoever panics with the list locked waits in the hook for ever.
    let panicked = panics.lock().unwrap()[before..].to_vec();
    assert_eq!(panicked, Vec::<String>::new());
    assert!(longest.load(Ordering::Relaxed) < 5_000_000, "an answer took too long");
}

struct Deaf;

impl Listener for Deaf {
    fn notify(&self, _: Notice) {}
}

fn scene_name(cache: &Cache) -> String {
    cache.path().file_name().unwrap().to_str().unwrap().splitn(4, '.').last().unwrap().to_owned()
}

/// The same on a segment at rest: each image is damaged, then opened by a fresh handle, read, written and rebuilt.
#[test]
fn damaged_images_are_opened_read_written_and_repaired() {
    let images: u64 = std::env::var("IMAGES").map_or(400, |text| text.parse().expect("a number"));
    let panics = panics();
    let before = panics.lock().unwrap().len();
    let mut random = Random(77);
    let mut scene = impatient("image");
    scene.options.size = 2 << 20;
    let template = {
        let cache = scene.open();
        for i in 0..2500u64 {
            put(&cache, &format!("{i}"), &vec![i as u8; random.below(600) as usize]);
        }
        for name in ["first", "second"] {
            let own = cache.in_namespace(name).unwrap();
            for i in 0..200u64 {
                let tags = [own.tag("red"), own.tag("blue")];
                let value = [i as u8; 100];
                let write = Write { tags: &tags, ttl_ms: 1000, stale_ms: 10 * (i % 2), ..bytes(&value) };
                own.set(format!("{i}").as_bytes(), &write).unwrap();
                own.invalidate_tags(&[own.tag(&format!("tag {i}"))], Invalidation::Remove).unwrap();
            }
        }
        let mut content = vec![0; cache.geometry().len];
        raw(&cache).read_exact_at(&mut content, 0).unwrap();
        content
    };
    let mut opened = 0;
    for image in 0..images {
        let mut refused = false;
        {
            let file = raw(&scene.open());
            file.write_all_at(&template, 0).unwrap();
            let first = if image % 4 == 0 { 0 } else { 192 };
            for _ in 0..1 << random.below(12) {
                let at = first + random.below((template.len() as u64 - first) / 8) * 8;
                let bit = random.below(64);
                let mut word = [0; 8];
                file.read_exact_at(&mut word, at).unwrap();
                let noise = if random.below(2) == 0 { 1 << bit } else { random.next() >> bit };
                file.write_all_at(&(u64::from_le_bytes(word) ^ noise).to_le_bytes(), at).unwrap();
            }
        }
        let _ = (list(None), inspect(&scene.options.name, None));
        match Cache::open(&scene.options) {
            Ok((cache, _)) => {
                opened += 1;
                let _ = cache.validate();
                for i in 0..2500u64 {
                    let _ = cache.get(format!("{i}").as_bytes(), Manner::Use, &mut Vec::new()).unwrap();
                }
                for i in 0..200 {
                    let _ = cache.set(format!("{i}").as_bytes(), &bytes(&[1; 100]));
                }
                for own in ["first", "second"].into_iter().filter_map(|name| cache.in_namespace(name).ok()) {
                    for i in 0..200 {
                        let _ = own.get(format!("{i}").as_bytes(), Manner::UseStale, &mut Vec::new()).unwrap();
                    }
                }
                use_tables(&cache, image);
                if cache.is_attached() {
                    let cache = suspect(&scene, cache);
                    let written = cache.set(b"k", &bytes(b"v"));
                    if matches!(written, Ok(Some(_))) {
                        assert_valid(&cache);
                        assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
                    }
                }
            }
            Err(CacheError::Corrupt(_) | CacheError::Version { .. }) => refused = true,
            Err(error) => panic!("image {image}: {error}"),
        }
        if refused {
            cache_machine_core::destroy(&scene.options.name, None, true).unwrap();
        }
    }
    println!("{opened} of {images} images opened");
    assert!(opened > images / 2);
    let panicked = panics.lock().unwrap()[before..].to_vec();
    assert_eq!(panicked, Vec::<String>::new());
}

/// Bits that are flipped, one at a time: each of the smallest segment there is (2 MiB), or each `STRIDE`th of them.
struct Flips<'a> {
    scene: &'a Scene,
    cache: Cache,
    file: File,
    image: Vec<u8>,
    longest: Duration,
}

impl Flips<'_> {
    /// A segment in which each structure is in use, and its bytes as they are at rest.
    fn of(scene: &Scene) -> Flips<'_> {
        let cache = scene.open();
        let own = cache.in_namespace("own").unwrap();
        let tags = [own.tag("red")];
        // Few, so that a rebuild takes no longer than a look, and long ones, so that all of the space is an entry's.
        let long = vec![7; cache.geometry().max_entry / 2];
        for i in 0..9 {
            put(&cache, &format!("long {i}"), &long);
        }
        for i in 0..40u64 {
            put(&cache, &format!("{i}"), &vec![i as u8; i as usize * 9]);
            own.set(format!("{i}").as_bytes(), &Write { tags: &tags, ttl_ms: 1000, stale_ms: 5, ..bytes(b"v") })
                .unwrap();
        }
        // In pieces, between what stays.
        (0..40).step_by(2).for_each(|i| assert!(cache.delete(format!("{i}").as_bytes(), 0).unwrap()));
        put(&cache, "pieces", &[1; 4000]);
        own.invalidate_tags(&[own.tag("blue")], Invalidation::Remove).unwrap();
        let file = raw(&cache);
        let mut image = vec![0; cache.geometry().len];
        file.read_exact_at(&mut image, 0).unwrap();
        Flips { scene, cache, file, image, longest: Duration::ZERO }
    }

    /// Turns bytes to zeros, uses the open handle, and puts everything back.
    fn zero(&mut self, range: std::ops::Range<usize>) {
        self.file.write_all_at(&vec![0; range.len()], range.start as u64).unwrap();
        let begun = Instant::now();
        (0..3).for_each(|n| self.use_it(range.start / UNIT + n));
        self.longest = self.longest.max(begun.elapsed());
        self.file.write_all_at(&self.image, 0).unwrap();
        if !self.cache.is_attached() {
            self.cache = self.scene.open();
        }
    }

    /// Flips a bit, uses the open handle, has the shard rebuilt, and puts everything back.
    fn flip(&mut self, region: &Region, bit: usize) {
        let (at, mask) = (bit / 64 * 8, 1 << (bit % 64));
        let word = region.u64(at);
        word.store(word.load(Ordering::Relaxed) ^ mask, Ordering::Relaxed);
        let begun = Instant::now();
        self.use_it(bit);
        self.longest = self.longest.max(begun.elapsed());
        // What was in use is as it was; what nobody reads may differ in the bits that nobody reads.
        word.store(word.load(Ordering::Relaxed) ^ mask, Ordering::Relaxed);
        if !self.cache.is_attached() {
            self.file.write_all_at(&self.image, 0).unwrap();
            self.cache = self.scene.open();
        }
    }

    fn use_it(&self, bit: usize) {
        let cache = &self.cache;
        let mut out = Vec::new();
        let key = format!("{}", bit % 40);
        let answers = [
            cache.get(key.as_bytes(), Manner::Use, &mut out).map(|_| ()),
            cache.get(b"pieces", Manner::Use, &mut out).map(|_| ()),
            cache.set(b"pieces", &bytes(&[1; 3000])).map(|_| ()),
            cache.set(key.as_bytes(), &bytes(&out[..out.len().min(100)])).map(|_| ()),
            cache.keys(bit as u64 % 1000, b"", 3).map(|_| ()),
            cache.delete(b"nobody", 0).map(|_| ()),
        ];
        for answer in answers {
            let expected = matches!(
                answer,
                Ok(())
                    | Err(CacheError::Corrupt(_) | CacheError::Busy(_) | CacheError::Detached | CacheError::NoSpace(_))
            );
            assert!(expected, "bit {bit}: {answer:?}");
        }
    }

    /// A handle for when nothing is damaged, and the machine is merely slow.
    fn patiently(&self) -> Cache {
        let mut options = self.scene.options.clone();
        options.write_timeout = Duration::from_secs(20);
        Cache::open(&options).unwrap().0
    }

    /// As all was, all works; and a rebuild of what is there now makes a sound shard.
    fn restore(&mut self, region: &Region) {
        // Only where nobody holds it: the background thread may.
        let start = Instant::now();
        while region.u32(LOCK).compare_exchange(0, SUSPECT, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the lock is never free");
            std::thread::yield_now();
        }
        let rebuilt = self.patiently().set(b"rebuilt", &bytes(b"1"));
        assert!(matches!(rebuilt, Ok(Some(_))), "{rebuilt:?}");
        assert_valid(&self.patiently());
        self.file.write_all_at(&self.image, 0).unwrap();
    }
}

/// Damages the smallest segment as `damage` says. No look at it panics or takes long; the longest is returned.
fn with_flips(test: &str, damage: impl FnOnce(&mut Flips<'_>, &Region)) -> Duration {
    let panics = panics();
    let before = panics.lock().unwrap().len();
    let mut scene = impatient(test);
    scene.options.size = 2 << 20;
    scene.options.write_timeout = Duration::from_millis(2);
    let mut flips = Flips::of(&scene);
    let path = flips.cache.clone();
    mapped(&path, |region| damage(&mut flips, region));
    assert!(flips.longest < Duration::from_secs(5));
    let panicked = panics.lock().unwrap()[before..].to_vec();
    assert_eq!(panicked, Vec::<String>::new());
    flips.longest
}

/// BITS=all flips every bit of the segment, else each 997th.
#[test]
fn every_single_bit_may_flip_under_an_open_handle() {
    let stride = if std::env::var("BITS").is_ok_and(|bits| bits == "all") { 1 } else { 997 };
    let (mut bits, start) = (0, Instant::now());
    let longest = with_flips("bits", |flips, region| {
        bits = flips.image.len() * 8;
        for (count, bit) in (0..bits).step_by(stride).enumerate() {
            flips.flip(region, bit);
            if count % 256 == 255 {
                flips.restore(region);
            }
        }
        flips.restore(region);
    });
    println!("{} of {bits} bits in {:?}; the longest look {longest:?}", bits / stride, start.elapsed());
}

/// Each page of the segment, and then all of it, as somebody's careless copy would.
#[test]
fn zeros_under_an_open_handle_cost_data_but_no_crash_and_no_hang() {
    const PAGE: usize = 4096;
    with_flips("zeros", |flips, region| {
        let len = flips.image.len();
        let pages = (0..len).step_by(PAGE).map(|at| at..(at + PAGE).min(len));
        for range in pages.chain(std::iter::once(0..len)) {
            flips.zero(range);
            flips.restore(region);
        }
    });
}

/// Each word of a region's header and process table, under an open handle: whoever wants the lock gets it or is told.
#[test]
fn a_region_whose_header_is_scribbled_gives_its_lock_or_an_error() {
    let cache = Scene::new("region").options.name.clone();
    let options = RegionOptions { cache: cache.clone(), name: "bytes".into(), directory: None, size: 100 };
    let mut random = Random(5);
    let (mut region, _) = SharedRegion::open(&options).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(region.path()).unwrap();
    let mut image = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut image, 0).unwrap();
    let mut gave = [0, 0];
    // All of the header, and of the process table the slots that are taken and some that are not.
    for at in (0..HEADER_BYTES + ProcessTable::BYTES / 16).step_by(8) {
        for value in [0, u64::MAX, 1 << 20, random.next()] {
            file.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
            for _ in 0..2 {
                match region.lock(Duration::from_millis(1)) {
                    Ok(_) => {
                        gave[0] += 1;
                        let _ = region.unlock();
                    }
                    Err(CacheError::Busy(_) | CacheError::Detached | CacheError::Corrupt(_)) => gave[1] += 1,
                    Err(error) => panic!("{value} at {at}: {error}"),
                }
            }
            let _ = inspect_region(&cache, "bytes", None);
            file.write_all_at(&image, 0).unwrap();
            if !region.is_attached() {
                drop(region);
                region = SharedRegion::open(&options).unwrap().0;
            }
        }
    }
    assert!(gave[0] > 0 && gave[1] > 0, "{gave:?}");
    assert!(region.lock(Duration::from_secs(10)).is_ok());
    region.unlock().unwrap();
    drop(region);
    assert!(destroy_region(&cache, "bytes", None, true).unwrap());
}
