//! Walks over keys, also while the index is divided.

use crate::invalidation::{fill_tagged, steps_of};
use crate::support::forked::{NEVER, done, ended_within, in_child, wait_for};
use crate::support::{Random, SOON, Scene, assert_valid, bytes, get, number_from_env, open, put};
use cache_machine_core::Cache;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm};
use std::collections::BTreeMap;

/// Four processes write, replace, touch and delete; a fifth walks over the keys. The keys that it must meet existed
/// before, and are replaced and touched meanwhile, but never deleted.
pub(crate) fn walks() {
    const KEPT: u64 = 2000;
    const WALKS: u64 = 60;
    let scene = Scene::sized("walks", 2 << 20);
    let words = shared_words(2);
    let (stop, writes) = (&words[0], &words[1]);
    let key = |i: u64| format!("kept {i}");
    in_child("fill", || {
        let own = open(&scene.options).in_namespace("own").expect("namespace");
        // The keys that are deleted again make some of the others overflow full lines.
        (0..7000).for_each(|i| {
            put(&own, &format!("before {i}"), b"");
        });
        (0..KEPT).for_each(|i| {
            put(&own, &key(i), b"1");
        });
        assert_eq!(own.delete_prefix(b"before").expect("delete"), 7000);
    });
    let writer = |seed: u64| {
        let root = open(&scene.options);
        let own = root.in_namespace("own").expect("namespace");
        let mut random = Random(seed);
        while stop.load(Ordering::Relaxed) == 0 {
            let cache = if random.below(4) == 0 { &root } else { &own };
            let other = format!("other {}", random.below(3000));
            let kept = key(random.below(KEPT));
            match random.below(8) {
                0..3 => drop(cache.set(other.as_bytes(), &bytes(&[2; 20])).expect("set")),
                3 | 4 => drop(cache.delete(other.as_bytes(), 0)),
                5 => drop(cache.touch(other.as_bytes(), 0)),
                6 => drop(own.set(kept.as_bytes(), &bytes(&[3; 30])).expect("set")),
                _ => assert!(own.touch(kept.as_bytes(), 0).expect("touch"), "{kept} is missing"),
            }
            writes.fetch_add(1, Ordering::Relaxed);
        }
    };
    let walker = || {
        let own = open(&scene.options).in_namespace("own").expect("namespace");
        for walk in 0..WALKS {
            let mut met = vec![0u32; KEPT as usize];
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let page = own.keys(at, b"", 50 + walk as usize * 10).expect("keys");
                for key in page.keys {
                    let text = String::from_utf8(key.bytes).expect("text");
                    let (series, number) = text.split_once(' ').expect("a number");
                    assert!(series == "kept" || series == "other", "{text}");
                    if series == "kept" {
                        met[number.parse::<usize>().expect("a number")] += 1;
                    }
                }
                cursor = page.next;
            }
            let wrong: Vec<_> = met.iter().enumerate().filter(|(_, times)| **times != 1).collect();
            assert!(wrong.is_empty(), "walk {walk}: not met once: {wrong:?}");
        }
    };
    let writers: Vec<_> = (1..=4).map(|seed| fork(|| done(|| writer(seed)))).collect();
    wait_for(writes, |writes| writes > 1000);
    let walked = ended_within(fork(|| done(walker)), SOON, "the walker");
    stop.store(1, Ordering::SeqCst);
    for child in writers {
        assert_eq!(ended_within(child, SOON, "a writer"), Ended::Exit(0));
    }
    assert_eq!(walked, Ended::Exit(0), "the walker");
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!(cache.stats().total.evictions, 0);
        assert_valid(&cache);
    });
    println!("  {WALKS} walks during {} writes", writes.load(Ordering::SeqCst));
}

/// An index begins small and is divided eight times while three processes write, one of which may be killed, one reads
/// and one walks. `DIVISIONS=1000` runs more such segments.
pub(crate) fn divisions() {
    const KEPT: u64 = 80;
    const OWN: u64 = 1200;
    const WRITERS: u64 = 3;
    let rounds = number_from_env("DIVISIONS").unwrap_or(12);
    let mut random = Random(cache_machine_shm::random_u64() | 1);
    let (mut kills, mut walks) = (0, 0);
    for round in 0..rounds {
        let scene = Scene::sized(&format!("divisions-{round}"), 2 << 20);
        let words = shared_words(WRITERS as usize + 2);
        let (stop, walked, acknowledged) = (&words[0], &words[1], &words[2..]);
        let kept = |i: u64| format!("kept {i}");
        let own = |writer: u64, i: u64| format!("own {writer} {i}");
        let is_there = |cache: &Cache, key: &str| assert_eq!(get(cache, key).as_deref(), Some(key.as_bytes()));
        in_child("fill", || {
            let cache = open(&scene.options);
            (0..KEPT).for_each(|i| {
                put(&cache, &kept(i), kept(i).as_bytes());
            });
        });
        let any_acknowledged = |random: &mut Random| {
            let writer = random.below(WRITERS);
            let count = acknowledged[writer as usize].load(Ordering::SeqCst);
            (count > 0).then(|| own(writer, random.below(count)))
        };
        let write = |writer: u64, seed: u64, kill_at: u64| {
            let cache = open(&scene.options);
            let mut random = Random(seed | 1);
            arm(kill_at, Fault::Kill);
            for i in 0..OWN {
                put(&cache, &own(writer, i), own(writer, i).as_bytes());
                acknowledged[writer as usize].store(i + 1, Ordering::SeqCst);
                is_there(&cache, &kept(random.below(KEPT)));
                if let Some(key) = any_acknowledged(&mut random) {
                    is_there(&cache, &key);
                }
            }
            disarm();
        };
        let read = |seed: u64| {
            let cache = open(&scene.options);
            let mut random = Random(seed | 1);
            while stop.load(Ordering::Relaxed) == 0 {
                is_there(&cache, &kept(random.below(KEPT)));
                if let Some(key) = any_acknowledged(&mut random) {
                    is_there(&cache, &key);
                }
            }
        };
        let walk = || {
            let cache = open(&scene.options);
            while stop.load(Ordering::Relaxed) == 0 {
                let mut met = vec![0u32; KEPT as usize];
                let mut cursor = Some(0);
                while let Some(at) = cursor {
                    let page = cache.keys(at, b"kept ", 7).expect("keys");
                    for key in page.keys {
                        let text = String::from_utf8(key.bytes).expect("text");
                        met[text["kept ".len()..].parse::<usize>().expect("a number")] += 1;
                    }
                    cursor = page.next;
                }
                assert!(met.iter().all(|times| *times == 1), "not met once: {met:?}");
                walked.fetch_add(1, Ordering::Relaxed);
            }
        };
        let others = [random.next()].map(|seed| fork(|| done(|| read(seed)))).into_iter().chain([fork(|| done(walk))]);
        let others: Vec<_> = others.collect();
        let victim = random.below(WRITERS);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let kill_at = if writer == victim { random.below(40_000) } else { NEVER };
                let seed = random.next();
                fork(|| done(|| write(writer, seed, kill_at)))
            })
            .collect();
        for child in writers {
            match ended_within(child, SOON, "a writer") {
                Ended::Exit(0) => {}
                Ended::Signal(9) => kills += 1,
                other => panic!("a writer ended with {other:?}"),
            }
        }
        stop.store(1, Ordering::SeqCst);
        for child in others {
            assert_eq!(ended_within(child, SOON, "a reader"), Ended::Exit(0));
        }
        walks += walked.load(Ordering::SeqCst);
        in_child("afterwards", || {
            let cache = open(&scene.options);
            (0..KEPT).for_each(|i| is_there(&cache, &kept(i)));
            for writer in 0..WRITERS {
                let count = acknowledged[writer as usize].load(Ordering::SeqCst);
                (0..count).for_each(|i| is_there(&cache, &own(writer, i)));
            }
            let stats = cache.stats();
            assert_eq!((stats.total.evictions, stats.damaged), (0, 0));
            assert_valid(&cache);
        });
    }
    println!("  {rounds} segments, {kills} kills, {walks} walks");
}

/// A page is a cursor and some keys, so a process that stops between two pages holds nothing.
pub(crate) fn steps_of_a_walk() {
    for megabytes in [2u64, 8, 32] {
        let scene = Scene::sized("walk-costs", (megabytes as usize) << 20);
        in_child("walk", || {
            let own = open(&scene.options).in_namespace("own").expect("namespace");
            fill_tagged(&own, 2000 * megabytes);
            let (mut keys, mut pages, mut at, mut last) = (0, 0, Some(0), 0);
            while let Some(from) = at {
                let steps = steps_of(|| {
                    let page = own.keys(from, b"", 256).expect("keys");
                    keys += page.keys.len() as u64;
                    at = page.next;
                });
                assert_eq!(steps, BTreeMap::new(), "no store, so no lock");
                assert!(at.is_none_or(|next| next > from), "no line is read twice");
                last = from;
                pages += 1;
            }
            assert_eq!(keys, own.len());
            // A line has 7 words. There is at least one word for each 128 bytes, and fewer than two.
            let lines = (megabytes << 20) / 128 / 7;
            assert!(last < 2 * lines, "line {last} of {megabytes} MiB");
            assert!(pages <= keys / 256 + 2 * lines / 4096 + 2, "{pages} pages for {keys} keys");
        });
    }
}
