//! Times of the operations of the core by the size of the segment: lock, get, set, allocate, evict, recover.
//!
//!     npm run bench:rust                    or: cargo bench -p cache-machine-core --features bench-doors
//!     npm run bench:rust -- get set         only the benches with one of these words in their names
//!
//! The segments have 64 MiB to 8 GiB and the same entries, unless a bench says otherwise. So a time that grows with the
//! size is visible. A shard has at most 16 MiB whatever the size, so the time of its repair does not grow either. A
//! larger maximum entry makes larger shards; `recover` measures their repair. Only used pages take memory.
//!
//! A sample is 1,000 calls, so microseconds in the table are nanoseconds of one call. `Mitem/s` are millions of calls
//! per second. For `recover` an item is an entry.
//!
//! Caution: the cache of the processor holds 1,000 hot keys, but not 100,000. The benches measure both.

use cache_machine_core::{Cache, Eviction, OpenOptions, ReadMode, Write, destroy, kind};
use divan::Bencher;
use divan::counter::ItemsCount;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MIB: usize = 1 << 20;
const SEGMENTS: [usize; 5] = [64, 256, 1024, 4096, 8192];
const FEW: u64 = 1_000;
const MANY: u64 = 100_000;
/// The distance between two keys in the order of calls. It shares no factor with the number of keys, so no prefetcher
/// guesses it.
const STRIDE: u64 = 7_919;
const STRING: usize = 100;
const KIBIBYTE: usize = 1024;
/// Calls of a sample, or steps under one lock in benches that do not measure the lock.
const CALLS: usize = 1_000;

fn main() {
    divan::main();
}

/// A segment, which is removed when it is dropped.
struct Scene {
    cache: Cache,
    name: String,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Scene {
    fn new(mebibytes: usize) -> Self {
        Self::with_max_entry(mebibytes, None)
    }

    fn with_max_entry(mebibytes: usize, max_entry: Option<usize>) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let options = OpenOptions {
            name: format!("b-operations-{}-{number}", std::process::id()),
            directory: None,
            group: None,
            version: None,
            size: mebibytes * MIB,
            max_entry,
            eviction: Eviction::S3Fifo,
            lock_memory: false,
            write_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(2),
            create: true,
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

    /// Fills the first shard with values of this size until it evicts.
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
        // The handle and its mapping are dropped after this.
        let _ = destroy(&self.name, None, true);
    }
}

fn key(number: u64) -> String {
    format!("user:session:{number:07}")
}

/// All keys of a bench, again and again, in an order without locality.
struct Order {
    keys: Vec<String>,
    next: usize,
}

impl Order {
    fn new(keys: u64) -> Self {
        Self { keys: (0..keys).map(|i| key(i * STRIDE % keys)).collect(), next: 0 }
    }

    fn next(&mut self) -> &[u8] {
        self.next = if self.next + 1 == self.keys.len() { 0 } else { self.next + 1 };
        self.keys[self.next].as_bytes()
    }
}

/// Times samples of `CALLS` calls, after one call per key.
fn time_calls(bencher: Bencher<'_, '_>, keys: u64, mut call: impl FnMut(&[u8])) {
    let mut order = Order::new(keys);
    for _ in 0..keys {
        call(order.next());
    }
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        for _ in 0..CALLS {
            call(order.next());
        }
    });
}

#[divan::bench(args = SEGMENTS)]
fn lock(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        for _ in 0..CALLS {
            scene.cache.lock_and_unlock(0).expect("lock");
        }
    });
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
    let scene = Scene::filled(mebibytes, keys, value);
    let mut out = Vec::with_capacity(value + 64);
    time_calls(bencher, keys, |key| {
        let found = scene.cache.get(key, ReadMode::Use, &mut out).expect("get");
        assert_eq!(found.map(|meta| meta.len), Some(value));
    });
}

#[divan::bench(args = SEGMENTS)]
fn get_of_a_miss(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::filled(mebibytes, 2 * FEW, STRING);
    for number in 0..FEW {
        assert!(scene.cache.delete(key(number).as_bytes(), 0).expect("delete"));
    }
    let mut out = Vec::new();
    time_calls(bencher, FEW, |key| {
        assert!(scene.cache.get(key, ReadMode::Use, &mut out).expect("get").is_none());
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

/// Replaces an entry of the same size.
fn set(bencher: Bencher<'_, '_>, mebibytes: usize, keys: u64, value: usize) {
    let scene = Scene::filled(mebibytes, keys, value);
    let bytes = vec![8; value];
    time_calls(bencher, keys, |key| {
        let version = scene.cache.set(key, &Write::new(kind::BUFFER, &bytes)).expect("set");
        assert!(version.is_some(), "stored");
    });
}

/// Sets new keys in a full shard: each set evicts one or more entries.
#[divan::bench(args = SEGMENTS)]
fn set_when_full(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    scene.fill_a_shard(KIBIBYTE);
    // Enough keys for two full shards: each key is evicted before its next set.
    let count = 2 * scene.cache.len();
    let in_first = |key: &String| scene.cache.shard_of(key.as_bytes()).expect("a key") == 0;
    let keys = (0..).map(|i| format!("{i:020}")).filter(in_first).take(count as usize).collect();
    let mut order = Order { keys, next: 0 };
    let bytes = vec![9; KIBIBYTE];
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        for _ in 0..CALLS {
            let version = scene.cache.set(order.next(), &Write::new(kind::BUFFER, &bytes)).expect("set");
            assert!(version.is_some(), "stored");
        }
    });
    assert!(scene.cache.stats().total.evictions > 0);
}

/// Allocates and frees units for a body of 100 bytes, 1 KiB and 16 KiB with its key, in a shard that is half full.
#[divan::bench(args = SEGMENTS, consts = [2, 17, 257])]
fn allocate<const BODY: usize>(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    scene.fill_a_shard(KIBIBYTE);
    let entries = scene.cache.len() as usize;
    scene.cache.evict_some(0, entries / 2).expect("evict");
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        let whole = scene.cache.allocate_and_free(0, BODY, CALLS).expect("allocate");
        assert_eq!(whole, CALLS);
    });
}

#[divan::bench(args = SEGMENTS, sample_size = 1, sample_count = 10)]
fn evict(bencher: Bencher<'_, '_>, mebibytes: usize) {
    let scene = Scene::new(mebibytes);
    scene.fill_a_shard(KIBIBYTE);
    // The shard has 14,000 entries, and the samples evict only a part of them.
    bencher.counter(ItemsCount::new(CALLS)).bench_local(|| {
        assert_eq!(scene.cache.evict_some(0, CALLS).expect("evict"), CALLS);
    });
}

/// Repairs one full shard with entries of 1 KiB.
#[divan::bench(args = SEGMENTS, sample_size = 1, sample_count = 20)]
fn recover_a_shard(bencher: Bencher<'_, '_>, mebibytes: usize) {
    recover(bencher, &Scene::new(mebibytes), KIBIBYTE);
}

/// Repairs a shard of 16 MiB with the smallest entries, so with the maximum number of them.
#[divan::bench(sample_size = 1, sample_count = 20)]
fn recover_a_shard_of_the_smallest_entries(bencher: Bencher<'_, '_>) {
    recover(bencher, &Scene::new(64), 1);
}

/// Repairs a shard of a segment with this `maxEntrySize` in mebibytes. Its shards are a little larger than four times
/// that.
#[divan::bench(args = [4, 16, 32], sample_size = 1, sample_count = 10)]
fn recover_a_larger_shard(bencher: Bencher<'_, '_>, max_entry: usize) {
    recover(bencher, &Scene::with_max_entry(256, Some(max_entry * MIB)), KIBIBYTE);
}

fn recover(bencher: Bencher<'_, '_>, scene: &Scene, value: usize) {
    scene.fill_a_shard(value);
    let entries = scene.cache.len();
    bencher.counter(ItemsCount::new(entries)).bench_local(|| scene.cache.rebuild_shard(0).expect("rebuild"));
    assert_eq!(scene.cache.len(), entries, "a rebuild loses nothing");
}
