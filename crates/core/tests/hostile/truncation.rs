//! Segments that are truncated in use.

use crate::impatient;
use crate::support::damage::file;
use crate::support::{Random, bytes, put};
use cache_machine_core::{CacheError, NoSink, ReadMode};
use std::time::Duration;

/// A truncation under load. A write is acknowledged only while the segment exists.
#[test]
fn readers_and_writers_leave_a_truncated_cache_with_an_error() {
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
                            _ => cache.get(key.as_bytes(), ReadMode::Use, &mut out).map(|found| found.is_some()),
                        };
                        match result {
                            Ok(is_hit) => assert!(!is_hit || out == [i as u8; 500], "torn"),
                            Err(CacheError::Detached) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    for _ in 0..100 {
                        assert!(matches!(cache.set(b"k", &bytes(b"v")), Err(CacheError::Detached)));
                        let read = cache.get(b"k", ReadMode::Use, &mut NoSink);
                        assert!(matches!(read, Err(CacheError::Detached)), "{read:?}");
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(20));
            file(&cache).set_len(left).unwrap();
        });
        assert!(!cache.is_attached());
        assert!(matches!(cache.clear(), Err(CacheError::Detached)));
    }
}

/// A write that was under way at the loss of its segment continued in zero pages of its own, and was acknowledged.
#[test]
fn a_lost_segment_acknowledges_no_write() {
    let mut acknowledged = 0u64;
    for round in 0..60 {
        let scene = impatient("lost");
        let cache = scene.open();
        let file = file(&cache);
        let value = vec![round as u8; cache.geometry().max_entry / 2];
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut last = 0;
                while let Ok(version) = cache.set(b"k", &bytes(&value)) {
                    let version = version.expect("stored");
                    assert!(version > last, "version {version} after {last}: from a lost segment");
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
