//! Helpers of the tests: a segment that is removed afterwards, and short ways to write and read.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod damage;
#[cfg(feature = "kill-steps")]
pub(crate) mod forked;
pub(crate) mod listeners;
pub(crate) mod permits;
pub(crate) mod sources;

use cache_machine_core::{Cache, Eviction, Increment, OpenOptions, ReadMode, Write, destroy, kind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A limit that only a hang reaches.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Options for a segment of its own, which is destroyed when dropped.
pub(crate) struct Scene {
    pub(crate) options: OpenOptions,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Scene {
    pub(crate) fn new(test: &str) -> Self {
        Self::sized(test, 4 << 20)
    }

    pub(crate) fn sized(test: &str, size: usize) -> Self {
        Self { options: options(test, size) }
    }

    /// Another segment with the same options.
    pub(crate) fn like(other: &Self) -> Self {
        let mut scene = Self::new("like");
        scene.options = OpenOptions { name: scene.options.name.clone(), ..other.options.clone() };
        scene
    }

    pub(crate) fn open(&self) -> Cache {
        open(&self.options)
    }
}

/// Options with the defaults of the tests, and a name that no other test of this process has.
pub(crate) fn options(test: &str, size: usize) -> OpenOptions {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    OpenOptions {
        name: format!("t-{test}-{}-{number}", std::process::id()),
        directory: None,
        group: None,
        version: None,
        size,
        max_entry: None,
        eviction: Eviction::S3Fifo,
        lock_memory: false,
        // Long: a busy machine may suspend any process for a while.
        write_timeout: Duration::from_secs(10),
        open_timeout: Duration::from_secs(2),
        create: true,
        manual_clock: true,
    }
}

pub(crate) fn with_timeout(options: &OpenOptions, write_timeout: Duration) -> OpenOptions {
    OpenOptions { write_timeout, ..options.clone() }
}

pub(crate) fn open(options: &OpenOptions) -> Cache {
    Cache::open(options).expect("open").0
}

/// A number from the environment, for longer runs.
pub(crate) fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = destroy(&self.options.name, self.options.directory.as_deref(), true);
    }
}

/// An increment without limits.
pub(crate) const PLAIN: Increment =
    Increment { init: 0.0, ttl_ms: 0, min: f64::NEG_INFINITY, max: f64::INFINITY, binary_key: false };

pub(crate) fn bytes(value: &[u8]) -> Write<'_> {
    Write::new(kind::BUFFER, value)
}

pub(crate) fn put(cache: &Cache, key: &str, value: &[u8]) -> u64 {
    cache.set(key.as_bytes(), &bytes(value)).expect("set").expect("stored")
}

pub(crate) fn get(cache: &Cache, key: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    cache.get(key.as_bytes(), ReadMode::Use, &mut out).expect("get").map(|_| out)
}

pub(crate) fn assert_valid(cache: &Cache) {
    assert_eq!(cache.validate().expect("validate"), Vec::<String>::new());
}

/// A random sequence that is the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}
