//! The promises of the cache within one process.

mod support;

use cache_machine_core::{
    Cache, CacheError, Condition, Eviction, Increment, Listener, NoSink, Notice, ReadMode, Region, Sink, SliceSink,
    Write, destroy,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use support::{Random, SOON, Scene, assert_valid, bytes, get, put};

#[test]
fn a_value_is_stored_replaced_and_deleted() {
    let scene = Scene::new("basic");
    let cache = scene.open();
    assert_eq!(get(&cache, "a"), None);
    let first = put(&cache, "a", b"one");
    assert_eq!(get(&cache, "a").as_deref(), Some(&b"one"[..]));
    let second = put(&cache, "a", b"");
    assert!(second > first);
    assert_eq!(get(&cache, "a").as_deref(), Some(&b""[..]));
    assert_eq!(cache.len(), 1);
    assert!(cache.delete(b"a", 0).unwrap());
    assert!(!cache.delete(b"a", 0).unwrap());
    assert_eq!(get(&cache, "a"), None);
    assert_eq!(cache.len(), 0);
    assert_valid(&cache);
}

#[test]
fn values_of_every_length_come_back_whole() {
    let scene = Scene::new("lengths");
    let cache = scene.open();
    let limit = cache.geometry().max_entry;
    for len in (0..300).chain([4096, 65_537, limit - 1]) {
        let value: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
        put(&cache, "k", &value);
        assert_eq!(get(&cache, "k"), Some(value), "{len}");
    }
    assert!(matches!(cache.set(b"k", &bytes(&vec![0; limit])), Err(CacheError::ValueTooLarge { .. })));
    assert_eq!(get(&cache, "k").unwrap().len(), limit - 1);
    assert_valid(&cache);
}

#[test]
fn a_long_random_mix_of_calls_equals_a_map() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let mut scene = Scene::new("model");
        scene.options.eviction = eviction;
        let cache = scene.open();
        let mut model: HashMap<String, Vec<u8>> = HashMap::new();
        let mut random = Random(42);
        for round in 0..60_000u64 {
            let key = format!("key-{}", random.below(3000));
            match random.below(10) {
                0 => assert_eq!(cache.delete(key.as_bytes(), 0).unwrap(), model.remove(&key).is_some()),
                1..=4 => {
                    let len = random.below(400) as usize;
                    let value = vec![round as u8; len];
                    put(&cache, &key, &value);
                    model.insert(key, value);
                }
                5 => assert_eq!(cache.touch(key.as_bytes(), 0).unwrap(), model.contains_key(&key)),
                _ => assert_eq!(get(&cache, &key).as_ref(), model.get(&key)),
            }
        }
        assert_eq!(cache.len(), model.len() as u64);
        assert_eq!(cache.stats().total.evictions, 0);
        assert_valid(&cache);
    }
}

#[test]
fn a_full_cache_evicts_and_every_kept_value_is_right() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let mut scene = Scene::new("full");
        scene.options.eviction = eviction;
        let cache = scene.open();
        let mut random = Random(7);
        let limit = cache.geometry().max_entry;
        for i in 0..40_000u64 {
            let len = if random.below(500) == 0 { random.below(limit as u64 - 20) } else { random.below(3000) };
            let key = random.below(20_000);
            put(&cache, &format!("{key}"), &vec![key as u8; len as usize]);
            let other = random.below(20_000);
            if let Some(value) = get(&cache, &format!("{other}")) {
                assert!(value.iter().all(|b| *b == other as u8));
            }
            if i % 10_000 == 0 {
                assert_valid(&cache);
            }
        }
        assert!(cache.stats().total.evictions > 1000);
        assert_valid(&cache);
    }
}

#[test]
fn the_index_never_fills_before_the_space() {
    let scene = Scene::new("tiny");
    let cache = scene.open();
    let mut count = 0u64;
    while cache.stats().total.evictions == 0 {
        put(&cache, &format!("{count}"), b"x");
        count += 1;
    }
    let stats = cache.stats();
    assert!(
        stats.used_bytes + 4096 >= stats.capacity_bytes,
        "evicted at {} of {}",
        stats.used_bytes,
        stats.capacity_bytes
    );
    assert_valid(&cache);
}

#[test]
fn the_shards_add_up_to_the_segment() {
    let scene = Scene::new("shards");
    let cache = scene.open();
    for i in 0..3000 {
        put(&cache, &format!("{i}"), &[1; 200]);
    }
    let (stats, shards) = (cache.stats(), cache.shard_uses().unwrap());
    let sum = |number: fn(&cache_machine_core::ShardUse) -> u64| shards.iter().map(number).sum::<u64>();
    assert_eq!(sum(|shard| shard.capacity_bytes), stats.capacity_bytes);
    assert_eq!(sum(|shard| shard.used_bytes), stats.used_bytes);
    assert_eq!(sum(|shard| shard.words), stats.total.entries);
    assert_eq!(sum(|shard| shard.small_bytes + shard.main_bytes + shard.pinned_bytes), stats.total.bytes);
    assert!(shards.iter().all(|shard| shard.used_bytes <= shard.reserved_bytes));
}

#[test]
fn the_largest_value_always_fits_into_a_cache_full_of_small_ones() {
    let scene = Scene::new("large");
    let cache = scene.open();
    for i in 0..60_000 {
        put(&cache, &format!("{i}"), &[1; 60]);
    }
    // Every other entry is deleted, so each free run is as long as one entry.
    for i in (0..60_000).step_by(2) {
        cache.delete(format!("{i}").as_bytes(), 0).unwrap();
    }
    let value: Vec<u8> = (0..cache.geometry().max_entry - 8).map(|i| i as u8).collect();
    put(&cache, "large", &value);
    assert_eq!(get(&cache, "large").as_ref(), Some(&value));
    assert_valid(&cache);
    put(&cache, "large", &value[1..]);
    assert_eq!(get(&cache, "large").as_deref(), Some(&value[1..]));
    assert_valid(&cache);
}

#[test]
fn a_full_shard_without_eviction_refuses_and_loses_nothing() {
    let mut scene = Scene::new("none");
    scene.options.eviction = Eviction::None;
    let cache = scene.open();
    let mut kept = 0;
    while cache.set(format!("{kept}").as_bytes(), &bytes(&[kept as u8; 1000])).unwrap().is_some() {
        kept += 1;
    }
    for i in 0..kept {
        assert_eq!(get(&cache, &format!("{i}")), Some(vec![i as u8; 1000]));
    }
    assert!(cache.delete(b"0", 0).unwrap());
    put(&cache, "again", &[1; 1000]);
    assert_valid(&cache);
}

#[test]
fn deadlines_are_kept_to_the_millisecond_and_dead_entries_are_reclaimed() {
    let scene = Scene::new("ttl");
    let cache = scene.open();
    cache.set(b"k", &Write { ttl_ms: 100, ..bytes(b"v") }).unwrap();
    cache.advance_clock(99).unwrap();
    assert_eq!(cache.get(b"k", ReadMode::Use, &mut NoSink).unwrap().unwrap().remaining_ms(cache.now_ms()), Some(1));
    cache.advance_clock(1).unwrap();
    assert_eq!(get(&cache, "k"), None);
    assert!(!cache.touch(b"k", 50).unwrap());
    put(&cache, "k", b"new");
    assert!(cache.touch(b"k", 50).unwrap());
    cache.set(b"k", &Write { keep_ttl: true, ..bytes(b"newer") }).unwrap();
    cache.advance_clock(49).unwrap();
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"newer"[..]));
    assert!(cache.touch(b"k", 0).unwrap());
    cache.advance_clock(1 << 40).unwrap();
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"newer"[..]));
    for i in 0..1000 {
        cache.set(format!("{i}").as_bytes(), &Write { ttl_ms: 10, ..bytes(&[1; 500]) }).unwrap();
    }
    cache.advance_clock(10).unwrap();
    // Only the background thread sweeps.
    let start = std::time::Instant::now();
    while cache.len() > 1 {
        assert!(start.elapsed().as_secs() < 30, "{} left", cache.len());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_valid(&cache);
}

#[test]
fn a_set_happens_only_if_its_condition_holds() {
    let scene = Scene::new("conditions");
    let cache = scene.open();
    let set = |value: &'static [u8], condition| cache.set(b"k", &Write { condition, ..bytes(value) }).unwrap();
    assert_eq!(set(b"1", Condition::Present), None);
    let version = set(b"1", Condition::Absent).unwrap();
    assert_eq!(set(b"2", Condition::Absent), None);
    assert_eq!(set(b"2", Condition::Version(version + 1)), None);
    assert!(set(b"2", Condition::Version(version)).is_some());
    assert!(set(b"3", Condition::Present).is_some());
    assert!(!cache.delete(b"k", version).unwrap());
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"3"[..]));
}

#[test]
fn increments_are_exact_and_refuse_values_that_are_no_numbers() {
    let scene = Scene::new("incr");
    let cache = scene.open();
    let plain = Increment { init: 0.0, ttl_ms: 0, min: f64::NEG_INFINITY, max: f64::INFINITY, binary_key: false };
    assert_eq!(cache.incr(b"n", 1.0, &Increment { init: 10.0, ..plain }).unwrap(), 11.0);
    assert_eq!(cache.incr(b"n", -0.5, &plain).unwrap(), 10.5);
    assert_eq!(cache.incr(b"n", 100.0, &Increment { max: 20.0, ..plain }).unwrap(), 20.0);
    assert!(matches!(cache.incr(b"n", 1e300, &plain), Err(CacheError::Overflow)));
    put(&cache, "s", b"text");
    assert!(matches!(cache.incr(b"s", 1.0, &plain), Err(CacheError::NotANumber)));
    assert_eq!(get(&cache, "s").as_deref(), Some(&b"text"[..]));
    assert_valid(&cache);
}

#[test]
fn clear_removes_all_entries_at_once_and_frees_their_space() {
    let scene = Scene::new("clear");
    let cache = scene.open();
    for i in 0..2000 {
        put(&cache, &format!("{i}"), &[1; 500]);
    }
    cache.clear().unwrap();
    assert_eq!(cache.len(), 0);
    assert_eq!(get(&cache, "7"), None);
    put(&cache, "new", b"1");
    assert_eq!(cache.len(), 1);
    let start = std::time::Instant::now();
    while cache.stats().used_bytes > 1000 {
        assert!(start.elapsed().as_secs() < 30);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(get(&cache, "new").as_deref(), Some(&b"1"[..]));
    assert_valid(&cache);
}

#[test]
fn take_gives_the_value_once_and_only_to_a_sink_that_can_hold_it() {
    let scene = Scene::new("take");
    let cache = scene.open();
    put(&cache, "k", &[9; 100]);
    let mut small = [0; 10];
    let meta = cache.take(b"k", &mut SliceSink::new(&mut small)).unwrap().unwrap();
    assert!(!meta.copied && meta.len == 100);
    let mut out = Vec::new();
    assert!(cache.take(b"k", &mut out).unwrap().unwrap().copied);
    assert_eq!(out, [9; 100]);
    assert!(cache.take(b"k", &mut out).unwrap().is_none());
}

#[test]
fn a_destroyed_segment_detaches_its_handles_and_a_new_one_starts_empty() {
    let scene = Scene::new("destroy");
    let cache = scene.open();
    put(&cache, "k", b"v");
    assert!(matches!(destroy(&scene.options.name, None, false), Err(CacheError::InUse(1))));
    assert!(destroy(&scene.options.name, None, true).unwrap());
    assert!(matches!(cache.get(b"k", ReadMode::Use, &mut NoSink), Err(CacheError::Detached)));
    assert!(matches!(cache.set(b"k", &bytes(b"w")), Err(CacheError::Detached)));
    let again = scene.open();
    assert_eq!(get(&again, "k"), None);
    put(&again, "k", b"w");
    drop((cache, again));
    assert!(destroy(&scene.options.name, None, false).unwrap());
    assert!(!destroy(&scene.options.name, None, false).unwrap());
}

#[test]
fn a_closed_cache_is_warm_when_it_is_opened_again() {
    let scene = Scene::new("warm");
    let cache = scene.open();
    put(&cache, "k", b"v");
    drop(cache);
    assert_eq!(get(&scene.open(), "k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn threads_agree_and_never_read_an_older_value_again() {
    let scene = Scene::new("threads");
    let cache = scene.open();
    std::thread::scope(|scope| {
        for writer in 0..3u64 {
            let cache = cache.clone();
            scope.spawn(move || {
                for n in 1..=20_000u64 {
                    let key = format!("w{writer}-{}", n % 50);
                    let value: Vec<u8> = n.to_le_bytes().repeat(1 + (n % 40) as usize);
                    put(&cache, &key, &value);
                }
            });
        }
        for _ in 0..2 {
            let cache = cache.clone();
            scope.spawn(move || {
                let mut newest = HashMap::new();
                let mut random = Random(3);
                for _ in 0..60_000 {
                    let key = format!("w{}-{}", random.below(3), random.below(50));
                    if let Some(value) = get(&cache, &key) {
                        let n = u64::from_le_bytes(value[..8].try_into().unwrap());
                        assert!(value.chunks(8).all(|c| c == n.to_le_bytes()), "torn");
                        let before = newest.insert(key, n).unwrap_or(0);
                        assert!(n >= before, "an older value than before");
                    }
                }
            });
        }
    });
    assert_valid(&cache);
}

/// A sink that replaces the entry before each copy, as long as it can.
struct Disturbed<'a> {
    writer: &'a Cache,
    bytes: Vec<u8>,
    begun: usize,
    refused: usize,
}

impl Sink for Disturbed<'_> {
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.begun += 1;
        assert!(self.begun < 100_000, "the read does not end");
        match self.writer.set(b"restless", &bytes(format!("{}", self.begun).as_bytes())) {
            Ok(_) => {}
            Err(CacheError::Busy(_)) => self.refused += 1,
            Err(error) => panic!("{error}"),
        }
        self.bytes.begin(kind, len)
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        self.bytes.piece(region, offset, len);
    }
}

#[test]
fn a_read_takes_the_lock_at_last_when_each_try_meets_a_new_entry() {
    let mut scene = Scene::new("restless");
    scene.options.write_timeout = Duration::from_millis(1);
    let (cache, writer) = (scene.open(), scene.open());
    put(&cache, "restless", b"0");
    let mut sink = Disturbed { writer: &writer, bytes: Vec::new(), begun: 0, refused: 0 };
    let meta = cache.get(b"restless", ReadMode::Use, &mut sink).unwrap().expect("it was never deleted");
    assert_eq!(sink.refused, 1, "the reader had the lock once");
    assert_eq!(sink.bytes, format!("{}", sink.begun - 1).as_bytes());
    assert_eq!(meta.len, sink.bytes.len());
    assert_eq!(cache.stats().retries, 1);
    assert_valid(&cache);
}

/// An index word has a few bits of the hash. Of 100,000 keys some share a line and these bits.
#[test]
fn keys_with_the_same_place_and_hash_bits_stay_apart() {
    let mut scene = Scene::new("tags");
    scene.options.size = 64 << 20;
    let cache = scene.open();
    let keys: Vec<String> = (100_000..200_000).map(|i| format!("{i}")).collect();
    for key in &keys {
        put(&cache, key, key.as_bytes());
    }
    for key in &keys {
        assert_eq!(get(&cache, key).as_deref(), Some(key.as_bytes()));
    }
    for key in keys.iter().step_by(2) {
        assert!(cache.delete(key.as_bytes(), 0).unwrap());
    }
    for pair in keys.chunks(2) {
        assert_eq!(get(&cache, &pair[0]), None);
        assert_eq!(get(&cache, &pair[1]).as_deref(), Some(pair[1].as_bytes()));
    }
    assert_valid(&cache);
}

/// Panics at its first notice, and forwards the numbers of waits afterwards.
struct PanicsOnce {
    has_panicked: Arc<AtomicBool>,
    waits: mpsc::Sender<Vec<u64>>,
}

impl Listener for PanicsOnce {
    fn notify(&self, notice: Notice) {
        assert!(self.has_panicked.swap(true, Ordering::Relaxed), "an intended panic of the background thread");
        if let Notice::Waits(ids) = notice {
            self.waits.send(ids).expect("the test is there");
        }
    }
}

#[test]
fn a_waiter_is_notified_even_after_a_panic_of_the_background_thread() {
    let scene = Scene::new("nervous");
    let cache = scene.open();
    let (waits, notified) = mpsc::channel();
    let has_panicked = Arc::new(AtomicBool::new(false));
    let listener = cache.add_listener(Box::new(PanicsOnce { has_panicked: has_panicked.clone(), waits }));
    cache.wait_for(b"first", 0, listener).unwrap();
    let second = cache.wait_for(b"second", 0, listener).unwrap();
    put(&cache, "first", b"1");
    let start = Instant::now();
    while !has_panicked.load(Ordering::Relaxed) {
        assert!(start.elapsed() < SOON, "no notice came");
        std::thread::yield_now();
    }
    // The notice at which it panicked is lost; the others are not.
    put(&cache, "second", b"2");
    assert_eq!(notified.recv_timeout(SOON).expect("no notice came"), [second]);
    let third = cache.wait_for(b"third", 0, listener).unwrap();
    put(&cache, "third", b"3");
    assert_eq!(notified.recv_timeout(SOON).expect("no notice came"), [third]);
}
