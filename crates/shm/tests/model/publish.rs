//! Publish and read: one index word and two units.

use crate::{explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::publish::{Changed, before_reuse, publish, read, recheck};
use loom::sync::Arc;
use loom::thread;

/// One index word and two units of two words each. A unit is whole when its words are equal.
struct Entry {
    word: AtomicU64,
    units: [[AtomicU64; 2]; 2],
}

impl Entry {
    fn new() -> Self {
        Self { word: AtomicU64::new(0), units: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))) }
    }

    /// Writes value `n` into the free unit and publishes it. The lock is not modelled: there is one writer.
    fn write(&self, n: u64, fenced: bool, released: bool) {
        let unit = (n % 2) as usize;
        if fenced {
            before_reuse();
        }
        for word in &self.units[unit] {
            word.store(n, Ordering::Relaxed);
        }
        if released {
            publish(&self.word, unit as u32);
        } else {
            self.word.store(n << 32 | unit as u64, Ordering::Relaxed);
        }
    }

    fn copy(&self, word: u64) -> [u64; 2] {
        let unit = &self.units[word as u32 as usize];
        [unit[0].load(Ordering::Relaxed), unit[1].load(Ordering::Relaxed)]
    }
}

fn reads_are_whole(writes: u64, fenced: bool, released: bool, rechecked: bool) {
    let entry = Arc::new(Entry::new());
    let writer = {
        let entry = entry.clone();
        thread::spawn(move || {
            for n in 1..=writes {
                entry.write(n, fenced, released);
            }
        })
    };
    let seen = if rechecked {
        read(&entry.word, |word| (word >> 32, entry.copy(word)))
    } else {
        let word = entry.word.load(Ordering::Acquire);
        Ok::<_, Changed>((word >> 32, entry.copy(word)))
    };
    if let Ok((generation, [a, b])) = seen {
        assert_eq!(a, b, "torn");
        assert_eq!(a, generation, "another generation's value");
    }
    writer.join().unwrap();
}

#[test]
fn a_read_is_whole_or_reports_a_change() {
    explore(4, || reads_are_whole(2, true, true, true));
}

#[test]
fn a_read_is_torn_without_the_release_fence_before_reuse() {
    must_be_reported(4, || reads_are_whole(2, false, true, true));
}

#[test]
fn a_read_sees_old_bytes_without_a_release_publish() {
    // One write into a fresh unit, so that the publish alone orders the bytes.
    explore(4, || reads_are_whole(1, false, true, false));
    must_be_reported(4, || reads_are_whole(1, false, false, false));
}

#[test]
fn the_fences_of_reuse_and_recheck_do_not_replace_a_release_publish() {
    must_be_reported(4, || reads_are_whole(1, true, false, true));
}

#[test]
fn a_read_is_torn_without_the_recheck() {
    must_be_reported(4, || reads_are_whole(2, true, true, false));
}

#[test]
fn generations_only_grow() {
    explore(3, || {
        let entry = Arc::new(Entry::new());
        let writer = {
            let entry = entry.clone();
            thread::spawn(move || (1..=2).for_each(|n| entry.write(n, true, true)))
        };
        let first = entry.word.load(Ordering::Acquire) >> 32;
        let second = entry.word.load(Ordering::Acquire) >> 32;
        assert!(second >= first);
        writer.join().unwrap();
    });
}

/// A read of bytes that were never there before, so that the ordering of its first load matters. The reader is the
/// thread that loom runs last: loom moves a load behind another thread's store only if the reader has not just loaded
/// that word itself.
fn a_read_that_begins_with(load: Ordering, rechecked: bool, writes: u64) {
    let entry = Arc::new(Entry::new());
    let reader = {
        let entry = entry.clone();
        thread::spawn(move || {
            let word = entry.word.load(load);
            let [a, b] = entry.copy(word);
            if !rechecked || recheck(&entry.word, word).is_ok() {
                assert!(a == b && a == word >> 32, "old bytes");
            }
        })
    };
    for n in 1..=writes {
        entry.write(n, true, true);
    }
    reader.join().unwrap();
}

#[test]
fn a_read_without_an_acquire_in_its_first_load_sees_old_bytes() {
    explore(4, || a_read_that_begins_with(Ordering::Acquire, true, 1));
    explore(4, || a_read_that_begins_with(Ordering::Acquire, true, 3));
    // The fence of the recheck does not help: it comes after the copy.
    must_be_reported(4, || a_read_that_begins_with(Ordering::Relaxed, true, 1));
}

#[test]
fn a_recheck_without_its_fence_lets_a_torn_read_pass() {
    must_be_reported(4, || {
        let entry = Arc::new(Entry::new());
        let writer = {
            let entry = entry.clone();
            thread::spawn(move || (1..=2).for_each(|n| entry.write(n, true, true)))
        };
        let word = entry.word.load(Ordering::Acquire);
        let [a, b] = entry.copy(word);
        if entry.word.load(Ordering::Relaxed) == word {
            assert_eq!(a, b, "torn");
            assert_eq!(a, word >> 32, "another generation's value");
        }
        writer.join().unwrap();
    });
}
