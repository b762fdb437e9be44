//! Processes that write and read the same keys agree on their values.

use crate::support::forked::{done, ended_within, in_child, wait_for};
use crate::support::{PLAIN, Random, SOON, Scene, assert_valid, bytes, get, open, put};
use crate::values::{nth_value, number_of};
use cache_machine_core::{Invalidation, Write};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Ended, fork, shared_words};
use std::time::{Duration, Instant};

/// Each key has one writer, and every process reads every key. A read returns a value of a write that has begun. The
/// value is no older than the last write that was acknowledged before the read, and no older than the last one that
/// this process read. Every fifth write is a delete.
pub(crate) fn agree(processes: usize, keys: usize) {
    const LONG: Duration = Duration::from_millis(1500);
    let evicts = keys > 1000;
    let scene = Scene::sized("agree", if evicts { 2 << 20 } else { 16 << 20 });
    let words = shared_words(2 * keys + 1);
    let (begun, acknowledged) = (&words[..keys], &words[keys..2 * keys]);
    let is_delete = |n: u64| n.is_multiple_of(5);
    let run = |me: usize| {
        let cache = open(&scene.options);
        let mut random = Random(me as u64 + 1);
        let mut seen = vec![0; keys];
        let start = Instant::now();
        let mut reads = 0;
        while start.elapsed() < LONG {
            let key = random.below(keys as u64) as usize;
            let name = format!("key-{key}");
            if key % processes == me && random.below(3) == 0 {
                let n = begun[key].load(Ordering::SeqCst) + 1;
                begun[key].store(n, Ordering::SeqCst);
                if is_delete(n) {
                    cache.delete(name.as_bytes(), 0).expect("delete");
                } else {
                    put(&cache, &name, &nth_value(key, n));
                }
                acknowledged[key].store(n, Ordering::SeqCst);
            } else if random.below(20) == 0 {
                cache.touch(name.as_bytes(), 0).expect("touch");
            } else {
                let at_least = acknowledged[key].load(Ordering::SeqCst).max(seen[key]);
                let value = get(&cache, &name);
                let at_most = begun[key].load(Ordering::SeqCst);
                match value {
                    Some(value) => {
                        let n = number_of(key, &value);
                        assert!((at_least..=at_most).contains(&n), "key {key}: {n} is not in {at_least}..={at_most}");
                        assert!(!is_delete(n));
                        seen[key] = n;
                    }
                    None => {
                        let absent = at_least == 0 || (at_least..=at_most).any(is_delete);
                        assert!(absent || evicts, "key {key}: lost, {at_least}..={at_most}");
                    }
                }
                reads += 1;
            }
        }
        words[2 * keys].fetch_add(reads, Ordering::SeqCst);
    };
    let children: Vec<_> = (0..processes).map(|me| fork(|| done(|| run(me)))).collect();
    for child in children {
        assert_eq!(ended_within(child, SOON, "a process"), Ended::Exit(0));
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_valid(&cache);
        let stats = cache.stats();
        assert_eq!((stats.repairs, stats.damaged, stats.busy), (0, 0, 0));
        assert_eq!(stats.total.evictions > 0, evicts, "{} evictions", stats.total.evictions);
    });
    let writes: u64 = acknowledged.iter().map(|word| word.load(Ordering::SeqCst)).sum();
    println!("  {writes} writes, {} checked reads", words[2 * keys].load(Ordering::SeqCst));
}

/// One process writes, deletes, clears or invalidates and says so; the other reads at once. 100,000 times.
pub(crate) fn acknowledged_changes() {
    const TIMES: u64 = 100_000;
    let scene = Scene::sized("handshakes", 4 << 20);
    let words = shared_words(2);
    let (said, answered) = (&words[0], &words[1]);
    let spin = |word: &AtomicU64, n: u64| {
        let start = Instant::now();
        while word.load(Ordering::Acquire) < n {
            std::thread::yield_now();
            assert!(start.elapsed() < SOON, "the other process does not answer");
        }
    };
    let writer = fork(|| {
        done(|| {
            let root = open(&scene.options);
            let cache = root.in_namespace("own").expect("namespace");
            let tags = [cache.tag("red")];
            let put = |value: &[u8]| {
                assert!(cache.set(b"key", &Write { tags: &tags, ..bytes(value) }).expect("set").is_some());
            };
            for n in 1..=TIMES {
                match n % 20 {
                    0 => assert!(cache.delete(b"key", 0).expect("delete")),
                    4 => cache.clear().expect("clear"),
                    8 => cache.invalidate_tags(&tags, Invalidation::Remove).expect("invalidate"),
                    12 => cache.invalidate_tags(&tags, Invalidation::Outdate).expect("invalidate"),
                    16 => root.clear().expect("clear"),
                    i if i % 4 == 1 => put(&n.to_le_bytes()),
                    i if i % 4 == 2 => put(&n.to_le_bytes().repeat(1 + (n % 90) as usize)),
                    _ => {
                        assert!(cache.take(b"key", &mut Vec::new()).expect("take").is_some());
                        put(&n.to_le_bytes());
                    }
                }
                said.store(n, Ordering::Release);
                spin(answered, n);
            }
        })
    });
    let reader = fork(|| {
        done(|| {
            let cache = open(&scene.options).in_namespace("own").expect("namespace");
            for n in 1..=TIMES {
                spin(said, n);
                let value = get(&cache, "key");
                let expected = (n % 4 != 0).then_some(n);
                let number = value.map(|v| u64::from_le_bytes(v[..8].try_into().expect("8 bytes")));
                assert_eq!(number, expected);
                answered.store(n, Ordering::Release);
            }
        })
    });
    for child in [writer, reader] {
        assert_eq!(ended_within(child, SOON * 3, "a process"), Ended::Exit(0));
    }
    drop(scene);
}

/// A read may find at each try that the index word has changed, and still ends.
pub(crate) fn key_written_without_pause() {
    const READS: usize = 3000;
    let scene = Scene::sized("restless", 2 << 20);
    let done_reading = &shared_words(1)[0];
    in_child("fill", || {
        put(&open(&scene.options), "key", &[0; 8000]);
    });
    let writer = |first: u8| {
        let cache = open(&scene.options);
        let mut byte = first;
        while done_reading.load(Ordering::SeqCst) == 0 {
            put(&cache, "key", &[byte; 8000]);
            byte = byte.wrapping_add(1);
        }
    };
    let writers = [1, 100].map(|first| fork(|| done(|| writer(first))));
    in_child("the reader", || {
        let cache = open(&scene.options);
        for _ in 0..READS {
            let value = get(&cache, "key").expect("it was never deleted");
            assert!(value.len() == 8000 && value.iter().all(|byte| *byte == value[0]), "torn");
        }
    });
    done_reading.store(1, Ordering::SeqCst);
    for writer in writers {
        assert_eq!(ended_within(writer, SOON, "a writer"), Ended::Exit(0));
    }
}

/// Four processes open the same names at once, each in an order of its own.
pub(crate) fn names_in_a_race() {
    const NAMES: usize = 200;
    let scene = Scene::sized("names", 2 << 20);
    let words = shared_words(4 * NAMES + 1);
    let ready = &words[4 * NAMES];
    let children: Vec<_> = (0..4)
        .map(|me| {
            fork(|| {
                done(|| {
                    let cache = open(&scene.options);
                    ready.fetch_add(1, Ordering::SeqCst);
                    wait_for(ready, |ready| ready == 4);
                    for i in 0..NAMES {
                        let name = (i * [1, 3, 7, 199][me] + me * 10) % NAMES;
                        let own = cache.in_namespace(&format!("name {name}")).expect("namespace");
                        words[me * NAMES + name].store(own.namespace().into(), Ordering::SeqCst);
                        put(&own, &format!("of {me}"), name.to_string().as_bytes());
                    }
                })
            })
        })
        .collect();
    for child in children {
        assert_eq!(ended_within(child, SOON, "a process"), Ended::Exit(0));
    }
    let numbers = |me: usize| words[me * NAMES..][..NAMES].iter().map(|word| word.load(Ordering::SeqCst));
    assert!((1..4).all(|me| numbers(me).eq(numbers(0))));
    let mut sorted: Vec<u64> = numbers(0).collect();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(1..=NAMES as u64));
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!(cache.namespace_names().len(), NAMES);
        for name in 0..NAMES {
            let own = cache.in_namespace(&format!("name {name}")).expect("namespace");
            for me in 0..4 {
                assert_eq!(get(&own, &format!("of {me}")), Some(name.to_string().into_bytes()));
            }
        }
        assert_valid(&cache);
    });
}

pub(crate) fn counters() {
    const EACH: u64 = 20_000;
    let scene = Scene::sized("counters", 4 << 20);
    let children: Vec<_> = (0..4u64)
        .map(|me| {
            fork(|| {
                done(|| {
                    let cache = open(&scene.options);
                    for i in 0..EACH {
                        cache.incr(format!("counter-{}", (i + me) % 3).as_bytes(), 1.0, &PLAIN).expect("incr");
                    }
                })
            })
        })
        .collect();
    for child in children {
        assert_eq!(ended_within(child, SOON, "a process"), Ended::Exit(0));
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        let number =
            |i| f64::from_le_bytes(get(&cache, &format!("counter-{i}")).expect("there").try_into().expect("8"));
        assert_eq!((0..3).map(number).sum::<f64>(), 4.0 * EACH as f64);
        assert_valid(&cache);
    });
}
