//! What the operations of the core cost, by the size of the segment: lock, get, set, allocate, evict, recover.
//!
//!     npm run bench:rust                    or: cargo bench -p cache-machine-core --features bench-doors
//!     npm run bench:rust -- get set         those whose name has one of these in it
//!
//! The segments are of 64 MiB to 8 GiB and hold the same entries, but where a bench says otherwise: what grows with the
//! size would show. A shard has at most 16 MiB whatever the size, so what it takes to repair one does not grow either; a larger
//! largest entry makes larger shards, and `recover` shows what that costs. Only what is used takes memory.
//!
//! The thing to get wrong: measuring the processor's cache. 1,000 hot keys stay in it, 100,000 do not; both are shown.

use cache_machine_core::{Cache, Eviction, Manner, OpenOptions, Write, destroy, kind};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MIB: usize = 1 << 20;
const SEGMENTS: [usize; 5] = [64, 256, 1024, 4096, 8192];
const FEW: u64 = 1_000;
const MANY: u64 = 100_000;
/// Keys are drawn in an order that no prefetcher guesses: steps of a number without common factors with their count.
const STRIDE: u64 = 7_919;
const STRING: usize = 100;
const KIBIBYTE: usize = 1024;
/// Steps under one lock, where the lock is not what is measured.
const STEPS: usize = 64;

fn main() {
    divan::main();
}

/// A segment of one's own, removed in the end.
struct Scene {
    cache: Cache,
    name: String,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Scene {
    fn new(mebibytes: usize) -> Self {
        Self::with_largest_entry(mebibytes, None)
    }

    fn with_largest_entry(mebibytes: usize, max_entry: Option<usize>) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let options = OpenOptions {
            name: format!("b-operations-{}-{number}", std::process::id()),
            directory: None,
            size: mebibytes * MIB,
            max_entry,
            eviction: Eviction::S3Fifo,
            lock_memory: false,
            write_timeout: Duration::from_secs(10),
            manual_clock: false,
        };
        let (cache, _) = Cache::open(&options).expect("open");
        Self { cache, name: options.name }
    }

    fn filled(mebibytes: usize, keys: u64, value: usize) -> Self {
        let scene = Self::new(mebibytes);
        for number in 0..keys {
            scene.put(number, value);
        }
        scene
    }

    fn put(&self, number: u64, value: usize) {
        let bytes = vec![7; value];
        let version = self.cache.set(key(number).as_bytes(), &Write::new(kind::BUFFER, &bytes)).expect("set");
        assert!(version.is_some(), "stored");
    }

    /// Fills the first shard until it evicts, with values of this size.
    fn fill_a_shard(&self, value: usize) {
        let in_first = |number: &u64| self.cache.shard_of(key(*number).as_bytes()).expect("a key") == 0;
        let before = self.cache.stats().total.evictions;
        for (round, number) in (0..).filter(in_first).enumerate() {
            self.put(number, value);
            if round % 1000 == 0 && self.cache.stats().total.evictions > before {
                return;
            }
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The handle goes after this, and its mapping with it.
        let _ = destroy(&self.name, None, true);
    }
}

fn key(number: u64) -> String {
    format!("user:session:{number:07}")
}

/// All keys of a bench, in an order of no locality, for ever.
fn order(keys: u64) -> impl Fn() -> String {
    let texts: Vec<String> = (0..keys).map(|i| key(i * STRIDE % keys)).collect();
    let next = Cell::new(0);
    move || {
        next.set((next.get() + 1) % texts.len());
        texts[next.get()].clone()
    }
}

#[divan::bench(args = SEGMENTS)]
fn lock(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    bencher.bench_local(|| scene.cache.lock_and_unlock(0).expect("lock"));
}

#[divan::bench(args = SEGMENTS, consts = [FEW, MANY])]
fn get_string<const KEYS: u64>(bencher: Bencher<'_, '_>, mebibytes: usize) {
    get(bencher, mebibytes, KEYS, STRING);
}

#[divan::bench(args = SEGMENTS)]
fn get_kibibyte(bencher: Bencher<'_, '_>, mebibytes: usize) {
    get(bencher, mebibytes, FEW, KIBIBYTE);
}

fn get(bencher: Bencher<'_, '_>, mebibytes: usize, keys: u64, value: usize) {
    let scene = Scene::filled(mebibytes.max(keys as usize * value * 3 / MIB), keys, value);
    let mut out = Vec::with_capacity(value + 64);
    bencher.with_inputs(order(keys)).bench_local_refs(|key| {
        let found = scene.cache.get(key.as_bytes(), Manner::Use, &mut out).expect("get");
        assert_eq!(found.map(|meta| meta.len), Some(value));
    });
}

#[divan::bench(args = SEGMENTS)]
fn get_of_a_miss(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::filled(mebibytes, FEW, STRING);
    let mut out = Vec::new();
    bencher.with_inputs(order(FEW)).bench_local_refs(|key| {
        key.push('?');
        assert!(scene.cache.get(key.as_bytes(), Manner::Use, &mut out).expect("get").is_none());
    });
}

#[divan::bench(args = SEGMENTS, consts = [FEW, MANY])]
fn set_string<const KEYS: u64>(bencher: Bencher<'_, '_>, mebibytes: usize) {
    set(bencher, mebibytes, KEYS, STRING);
}

#[divan::bench(args = SEGMENTS)]
fn set_kibibyte(bencher: Bencher<'_, '_>, mebibytes: usize) {
    set(bencher, mebibytes, FEW, KIBIBYTE);
}

/// Over an entry of the same size.
fn set(bencher: Bencher<'_, '_>, mebibytes: usize, keys: u64, value: usize) {
    let scene = Scene::filled(mebibytes, keys, value);
    let bytes = vec![8; value];
    bencher.with_inputs(order(keys)).bench_local_refs(|key| {
        let version = scene.cache.set(key.as_bytes(), &Write::new(kind::BUFFER, &bytes)).expect("set");
        black_box(version.expect("stored"))
    });
}

/// Of new keys into a full shard: each evicts one or more.
#[divan::bench(args = SEGMENTS)]
fn set_when_full(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    scene.fill_a_shard(KIBIBYTE);
    let bytes = vec![9; KIBIBYTE];
    let mut number = u64::MAX / 2;
    let next_key = move || {
        loop {
            number += 1;
            let key = format!("{number:020}");
            if scene.cache.shard_of(key.as_bytes()).expect("a key") == 0 {
                return (key, scene.cache.clone());
            }
        }
    };
    bencher.with_inputs(next_key).bench_local_refs(|(key, cache)| {
        black_box(cache.set(key.as_bytes(), &Write::new(kind::BUFFER, &bytes)).expect("set"))
    });
}

/// Units for a body of 100 bytes, 1 KiB and 16 KiB with its key, taken and freed, in a shard that is half full.
#[divan::bench(args = SEGMENTS, consts = [2, 17, 257])]
fn allocate<const BODY: usize>(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    scene.fill_a_shard(KIBIBYTE);
    let entries = scene.cache.len() as usize;
    scene.cache.evict_some(0, entries / 2).expect("evict");
    bencher.counter(ItemsCount::new(STEPS)).bench_local(|| {
        let whole = scene.cache.allocate_and_free(0, BODY, STEPS).expect("allocate");
        assert_eq!(whole, STEPS);
    });
}

#[divan::bench(args = SEGMENTS, sample_size = 1, sample_count = 50)]
fn evict(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    scene.fill_a_shard(KIBIBYTE);
    // 50 samples leave most of a shard's 14,000 entries.
    bencher.counter(ItemsCount::new(STEPS)).bench_local(|| {
        assert_eq!(scene.cache.evict_some(0, STEPS).expect("evict"), STEPS);
    });
}

/// One full shard of the segment, entries of 1 KiB.
#[divan::bench(args = SEGMENTS, sample_size = 1, sample_count = 20)]
fn recover_a_shard(bencher: Bencher<'_, '_>, mebibytes: usize) {
    recover(bencher, &Scene::new(mebibytes), KIBIBYTE);
}

/// Entries as small as they get: as many as there can be in a shard of 16 MiB.
#[divan::bench(sample_size = 1, sample_count = 20)]
fn recover_a_shard_of_the_smallest_entries(bencher: Bencher<'_, '_>) {
    recover(bencher, &Scene::new(64), 1);
}

/// Shards of a `maxEntrySize` of so many mebibytes: four times as large, and some.
#[divan::bench(args = [4, 16, 32], sample_size = 1, sample_count = 10)]
fn recover_a_larger_shard(bencher: Bencher<'_, '_>, largest_entry: usize) {
    recover(bencher, &Scene::with_largest_entry(256, Some(largest_entry * MIB)), KIBIBYTE);
}

fn recover(bencher: Bencher<'_, '_>, scene: &Scene, value: usize) {
    scene.fill_a_shard(value);
    let entries = scene.cache.len();
    bencher.counter(ItemsCount::new(entries)).bench_local(|| scene.cache.rebuild_shard(0).expect("rebuild"));
    assert_eq!(scene.cache.len(), entries, "a rebuild loses nothing");
}
