//! Resizes beside processes that read and write without a pause.

use crate::support::forked::{SOON, Slate, done, ended_within, in_child, wait_for};
use crate::support::{Random, Scene, assert_valid, get, number_from_env, open, put};
use cache_machine_core::{CacheError, OpenOptions, destroy};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm};
use std::time::{Duration, Instant};

const MB: usize = 1 << 20;
const WRITERS: usize = 3;
/// Keys of each writer.
const KEYS: usize = 200;

/// The number of the last write of each key that returned, and whether all must end.
struct Ledger {
    end: &'static AtomicU64,
    written: &'static [AtomicU64],
    reads: &'static AtomicU64,
}

impl Ledger {
    fn new() -> Self {
        let words = shared_words(2 + WRITERS * KEYS);
        Self { end: &words[0], reads: &words[1], written: &words[2..] }
    }

    fn is_over(&self) -> bool {
        self.end.load(Ordering::SeqCst) != 0
    }
}

fn key(index: usize) -> String {
    format!("key {index}")
}

/// Each value tells its number, at a length of its own.
fn value_of(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(1 + (n % 97) as usize)
}

fn number_in(value: &[u8]) -> u64 {
    u64::from_le_bytes(value[..8].try_into().unwrap())
}

/// Writes the keys of its own in a random order, and notes each write that returned.
fn writer(options: &OpenOptions, ledger: &Ledger, writer: usize) -> Child {
    fork(|| {
        done(|| {
            let cache = open(options);
            let mut random = Random(0x1234_5677 + writer as u64);
            while !ledger.is_over() {
                let index = writer * KEYS + random.below(KEYS as u64) as usize;
                // A writer before this one may have died between its write and its note.
                let seen = get(&cache, &key(index)).map_or(0, |value| number_in(&value));
                let next = seen.max(ledger.written[index].load(Ordering::SeqCst)) + 1;
                put(&cache, &key(index), &value_of(next));
                ledger.written[index].store(next, Ordering::SeqCst);
            }
        })
    })
}

/// Reads all keys: none may be missing once it was written, and none older than what was written before the read.
fn reader(options: &OpenOptions, ledger: &Ledger, slate: &Slate, seed: u64) -> Child {
    fork(|| {
        done(|| {
            let cache = open(options);
            let mut random = Random(seed);
            while !ledger.is_over() {
                let index = random.below((WRITERS * KEYS) as u64) as usize;
                let before = ledger.written[index].load(Ordering::SeqCst);
                let value = get(&cache, &key(index));
                let found = value.as_ref().map_or(0, |value| number_in(value));
                if found < before || value.is_some_and(|value| value != value_of(found)) {
                    return slate.write(&format!("key {index}: {found} instead of {before}"));
                }
                ledger.reads.fetch_add(1, Ordering::Relaxed);
            }
        })
    })
}

fn check(options: &OpenOptions, ledger: &Ledger) {
    in_child("the check", || {
        let cache = open(options);
        for (index, written) in ledger.written.iter().enumerate() {
            let (written, value) = (written.load(Ordering::SeqCst), get(&cache, &key(index)));
            let found = value.as_ref().map_or(0, |value| number_in(value));
            assert!(found >= written, "key {index}: {written} was acknowledged, {found} is there");
            assert!(value.is_none_or(|value| value == value_of(found)));
        }
        assert_valid(&cache);
    });
}

/// Sizes in which all keys have room.
const SIZES: [usize; 5] = [40 * MB, 8 * MB, 20 * MB, 100 * MB, 4 * MB];

pub(crate) fn steady() {
    let scene = Scene::sized("steady", 4 * MB);
    let (ledger, slate) = (Ledger::new(), Slate::new());
    let writers: Vec<Child> = (0..WRITERS).map(|n| writer(&scene.options, &ledger, n)).collect();
    let readers: Vec<Child> = (1..3).map(|n| reader(&scene.options, &ledger, &slate, n * 77)).collect();
    let resizes = number_from_env("RESIZES").unwrap_or(25);
    in_child("the resizer", || {
        let cache = open(&scene.options);
        for n in 0..resizes {
            let resized = cache.resize(SIZES[n as usize % SIZES.len()]).unwrap().unwrap();
            assert_eq!(resized.evicted, 0);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    ledger.end.store(1, Ordering::SeqCst);
    for child in writers.into_iter().chain(readers) {
        assert_eq!(ended_within(child, SOON, "a bystander"), Ended::Exit(0));
    }
    assert_eq!(slate.take(), None);
    check(&scene.options, &ledger);
    let written: u64 = ledger.written.iter().map(|n| n.load(Ordering::SeqCst)).sum();
    println!("  {resizes} resizes beside {written} writes and {} reads", ledger.reads.load(Ordering::SeqCst));
}

pub(crate) fn with_deaths() {
    let scene = Scene::sized("deaths", 4 * MB);
    let (ledger, slate) = (Ledger::new(), Slate::new());
    let mut writers: Vec<Child> = (0..WRITERS).map(|n| writer(&scene.options, &ledger, n)).collect();
    let reader = reader(&scene.options, &ledger, &slate, 99);
    let mut random = Random(0xDEAD_BEE5);
    let mut deaths = 0;
    for n in 0..number_from_env("RESIZES").unwrap_or(25) {
        let (size, dies) = (SIZES[n as usize % SIZES.len()], random.below(3) == 0);
        let at = random.below(12_000);
        let mut victim = None;
        let resizer = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                if dies {
                    arm(at, Fault::Kill);
                }
                cache.resize(size).unwrap();
            })
        });
        if !dies {
            // A writer dies anywhere, perhaps inside a lock that the resize waits for.
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            let number = random.below(WRITERS as u64) as usize;
            writers.remove(number).kill();
            victim = Some(number);
            deaths += 1;
        }
        let ended = ended_within(resizer, SOON, "a resizer");
        assert!(ended == Ended::Exit(0) || dies && ended == Ended::Signal(9), "{ended:?}");
        deaths += u64::from(ended == Ended::Signal(9));
        if let Some(victim) = victim {
            // It has the keys of the dead one: of two writers of one key, the slower would store an older number.
            writers.insert(victim, writer(&scene.options, &ledger, victim));
        }
    }
    ledger.end.store(1, Ordering::SeqCst);
    for child in writers.into_iter().chain([reader]) {
        assert_eq!(ended_within(child, SOON, "a bystander"), Ended::Exit(0));
    }
    assert_eq!(slate.take(), None);
    check(&scene.options, &ledger);
    println!("  {deaths} deaths");
}

/// A thread stands still in a read while the process follows and the area is released. It must find the entry all the same.
pub(crate) fn late_reader() {
    let scene = Scene::sized("late", 4 * MB);
    in_child("late", || {
        use cache_machine_core::{EntryMeta, ReadMode, Sink};
        use cache_machine_shm::Region;
        let cache = open(&scene.options);
        (0..100).for_each(|i| _ = put(&cache, &key(i), &value_of(i as u64)));
        /// Has the segment resized, and the area released, when the value is about to be copied.
        struct Late<'a> {
            bytes: Vec<u8>,
            resize: Option<&'a dyn Fn()>,
        }
        impl Sink for Late<'_> {
            fn begin(&mut self, kind: u8, len: usize) -> bool {
                if let Some(resize) = self.resize.take() {
                    resize();
                }
                self.bytes.begin(kind, len)
            }
            fn piece(&mut self, region: &Region, offset: usize, len: usize) {
                self.bytes.piece(region, offset, len);
            }
        }
        let mut size = 4 * MB;
        for i in (0..100).step_by(10) {
            size = if size == 4 * MB { 30 * MB } else { 4 * MB };
            let resize = || {
                cache.resize(size).unwrap().unwrap();
                let begun = Instant::now();
                while cache.stats().reserved_bytes > 4 << 20 {
                    assert!(begun.elapsed() < SOON, "never released");
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            let mut sink = Late { bytes: Vec::new(), resize: Some(&resize) };
            let mut meta = EntryMeta::EMPTY;
            assert!(cache.get_to(key(i).as_bytes(), ReadMode::Use, &mut sink, &mut meta).unwrap(), "a false miss");
            assert_eq!(sink.bytes, value_of(i as u64));
        }
        assert_valid(&cache);
    });
}

pub(crate) fn two_resizers() {
    let scene = Scene::sized("two", 4 * MB);
    in_child("fill", || (0..500).for_each(|i| _ = put(&open(&scene.options), &key(i), &value_of(i as u64))));
    let resizers: Vec<Child> = [24 * MB, 10 * MB, 60 * MB]
        .into_iter()
        .map(|size| fork(|| done(|| (0..6).for_each(|_| _ = open(&scene.options).resize(size).unwrap()))))
        .collect();
    for child in resizers {
        assert_eq!(ended_within(child, SOON, "a resizer"), Ended::Exit(0));
    }
    in_child("the check", || {
        let cache = open(&scene.options);
        assert!([24 * MB, 10 * MB, 60 * MB].contains(&cache.geometry().len));
        (0..500).for_each(|i| assert_eq!(get(&cache, &key(i)), Some(value_of(i as u64))));
        assert_valid(&cache);
    });
}

/// A destroy with force comes at any moment of a resize. Either it ends as detached, or it was done before.
pub(crate) fn beside_destroy() {
    let mut random = Random(0x0DE5_7401);
    let results = shared_words(2);
    for _ in 0..40 {
        let scene = Scene::sized("destroy", 4 * MB);
        in_child("fill", || (0..300).for_each(|i| _ = put(&open(&scene.options), &key(i), &value_of(i as u64))));
        let ready = &shared_words(1)[0];
        let resizer = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                ready.store(1, Ordering::SeqCst);
                match cache.resize(20 * MB) {
                    Ok(_) => results[0].fetch_add(1, Ordering::SeqCst),
                    Err(CacheError::Detached) => results[1].fetch_add(1, Ordering::SeqCst),
                    Err(other) => panic!("{other:?}"),
                };
            })
        });
        wait_for(ready, |ready| ready == 1);
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        in_child("destroy", || assert!(destroy(&scene.options.name, None, true).unwrap()));
        assert_eq!(ended_within(resizer, SOON, "the resizer"), Ended::Exit(0));
        in_child("the next segment", || {
            let cache = open(&scene.options);
            assert_eq!((cache.geometry().len, cache.len()), (4 * MB, 0));
        });
    }
    println!("  {} resized, {} detached", results[0].load(Ordering::SeqCst), results[1].load(Ordering::SeqCst));
}
