//! What the tests share: a segment of one's own that is gone afterwards, and short ways to write and read.

#![allow(dead_code, reason = "each test program uses a part of it")]

#[cfg(feature = "kill-steps")]
pub(crate) mod forked;
#[cfg(feature = "kill-steps")]
pub(crate) mod linearize;
pub(crate) mod s3_fifo;
pub(crate) mod traces;

use cache_machine_core::{Cache, Eviction, Increment, Manner, OpenOptions, Write, destroy, kind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Options for a segment name, destroyed when dropped.
pub(crate) struct Scene {
    pub(crate) options: OpenOptions,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Scene {
    pub(crate) fn new(test: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            options: OpenOptions {
                name: format!("t-{test}-{}-{number}", std::process::id()),
                directory: None,
                size: 4 << 20,
                max_entry: None,
                eviction: Eviction::S3Fifo,
                lock_memory: false,
                // Nobody is stopped, unless a test says so; a machine with too much to do may stop anybody for a while.
                write_timeout: Duration::from_secs(10),
                manual_clock: true,
            },
        }
    }

    /// Another segment with the same options.
    pub(crate) fn like(other: &Self) -> Self {
        let mut scene = Self::new("like");
        scene.options = OpenOptions { name: scene.options.name.clone(), ..other.options.clone() };
        scene
    }

    pub(crate) fn open(&self) -> Cache {
        Cache::open(&self.options).expect("open").0
    }
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
    cache.get(key.as_bytes(), Manner::Use, &mut out).expect("get").map(|_| out)
}

pub(crate) fn assert_valid(cache: &Cache) {
    assert_eq!(cache.validate().expect("validate"), Vec::<String>::new());
}

/// A small random sequence, the same for the same seed.
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
