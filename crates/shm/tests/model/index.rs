//! The index while it is divided.

use crate::{explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicU8, AtomicU64, Ordering};
use cache_machine_shm::index;
use cache_machine_shm::publish::publish;
use loom::sync::Arc;
use loom::thread;

/// A line and the line that a division adds, each with one word and its count, and one word for overflow. Two keys are
/// there all the time: `1`, which moves to the new line, and `2`, which overflowed a full line.
struct Index {
    level: AtomicU8,
    words: [AtomicU64; 2],
    counts: [AtomicU8; 2],
    overflow: AtomicU64,
}

/// The fault of a broken division or a broken search.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    LevelIsNotReleased,
    LevelIsNotAcquired,
    LevelIsLoadedOnce,
    EmptiesBeforeTheLevel,
    EmptiesWithoutRelease,
    LowersWithoutRelease,
    DoesNotAcquireCounts,
}

impl Index {
    fn new() -> Self {
        Self {
            level: AtomicU8::new(0),
            words: [AtomicU64::new(1), AtomicU64::new(0)],
            counts: [AtomicU8::new(1), AtomicU8::new(0)],
            overflow: AtomicU64::new(2),
        }
    }

    /// As `divide` does it. The lock is not modelled: there is one writer.
    fn divide(&self, broken: Broken) {
        publish(&self.words[1], 1);
        assert!(index::raise(&self.counts[1]));
        if broken == Broken::EmptiesBeforeTheLevel {
            publish(&self.words[0], 0);
        }
        match broken {
            Broken::LevelIsNotReleased => self.level.store(1, Ordering::Relaxed),
            _ => index::divided(&self.level, 1),
        }
        match broken {
            Broken::EmptiesWithoutRelease => self.words[0].store(1 << 32, Ordering::Relaxed),
            _ => drop(publish(&self.words[0], 0)),
        }
        match broken {
            Broken::LowersWithoutRelease => self.counts[0].store(0, Ordering::Relaxed),
            _ => assert!(index::lower(&self.counts[0])),
        }
    }

    fn find(&self, key: u32, broken: Broken) -> Option<()> {
        let level = || {
            u32::from(match broken {
                Broken::LevelIsNotAcquired => self.level.load(Ordering::Relaxed),
                _ => index::level(&self.level),
            })
        };
        let find_at = |by| self.find_at(key, by as usize, broken);
        if broken == Broken::LevelIsLoadedOnce { find_at(level()) } else { index::search(level, find_at) }
    }

    /// As `search_path` does it.
    fn find_at(&self, key: u32, line: usize, broken: Broken) -> Option<()> {
        let is_key = |word: &AtomicU64| word.load(Ordering::Acquire) as u32 == key;
        if is_key(&self.words[line]) {
            return Some(());
        }
        let goes_on = match broken {
            Broken::DoesNotAcquireCounts => self.counts[line].load(Ordering::Relaxed) != 0,
            _ => index::goes_on(&self.counts[line]),
        };
        (goes_on && is_key(&self.overflow)).then_some(())
    }
}

fn a_key_that_is_there_is_found(key: u32, broken: Broken) {
    let shared = Arc::new(Index::new());
    // The reader is the thread that loom runs last: see `a_read_that_begins_with` in `publish.rs`.
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.find(key, broken))
    };
    shared.divide(broken);
    assert!(reader.join().unwrap().is_some(), "a key is missed that was there all the time");
    assert!(shared.find(key, Broken::Nothing).is_some());
}

/// The key that moves, and the key that overflowed.
const MOVES: u32 = 1;

const OVERFLOWED: u32 = 2;

#[test]
fn every_key_is_found_while_the_index_is_divided() {
    explore(4, || a_key_that_is_there_is_found(MOVES, Broken::Nothing));
    explore(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::Nothing));
}

#[test]
fn a_level_that_does_not_release_loses_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::LevelIsNotReleased));
}

#[test]
fn a_level_that_is_not_acquired_loses_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::LevelIsNotAcquired));
}

#[test]
fn a_level_that_is_not_read_again_loses_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::LevelIsLoadedOnce));
}

#[test]
fn words_that_are_emptied_before_the_level_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::EmptiesBeforeTheLevel));
}

#[test]
fn words_that_are_emptied_without_a_release_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::EmptiesWithoutRelease));
}

#[test]
fn counts_that_are_lowered_without_a_release_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::LowersWithoutRelease));
}

#[test]
fn counts_that_are_not_acquired_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::DoesNotAcquireCounts));
}
