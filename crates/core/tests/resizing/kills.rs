//! A resizer is killed at each of its steps, while another process reads and writes and a third holds locks.

use crate::support::forked::{NEVER, SOON, Slate, done, ended_within, in_child, trace_of, wait_for};
use crate::support::permits::{ONE, token};
use crate::support::{Scene, assert_valid, bytes, get, number_from_env, open, put};
use cache_machine_core::{Cache, Keyspace, OpenOptions, PermitRequest, ReadMode, Write};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, trace};
use std::collections::{BTreeMap, BTreeSet};

const MB: usize = 1 << 20;
const SMALL: usize = 2 * MB;
const LARGE: usize = 18 * MB;
const ENTRIES: u64 = 120;
/// Words of a ledger.
const TRACE: usize = 1 << 16;

fn value_of(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(5 + (n % 60) as usize)
}

/// The words that the processes share.
struct Words {
    /// 1: the bystander runs; 2: it must end.
    turn: &'static AtomicU64,
    /// The number of the last write that returned.
    written: &'static AtomicU64,
    /// The same for the holder.
    holding: &'static AtomicU64,
}

impl Words {
    fn new() -> Self {
        let words = shared_words(3);
        Self { turn: &words[0], written: &words[1], holding: &words[2] }
    }
}

fn fill(options: &OpenOptions) {
    in_child("fill", || {
        let cache = open(options);
        for i in 0..ENTRIES {
            let tags = [cache.tag("all")];
            let value = value_of(i);
            let write = Write { tags: if i % 3 == 0 { &tags } else { &[] }, ..bytes(&value) };
            cache.set(format!("e{i}").as_bytes(), &write).unwrap().unwrap();
        }
    });
}

/// Reads all entries and counts a key up until it is told to end. No read may miss.
fn bystander(options: &OpenOptions, words: &Words, slate: &Slate) -> Child {
    fork(|| {
        done(|| {
            let cache = open(options);
            for n in 1.. {
                put(&cache, "n", &n.to_string().into_bytes());
                words.written.store(n, Ordering::SeqCst);
                words.turn.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).ok();
                for i in (0..ENTRIES).step_by(7) {
                    if get(&cache, &format!("e{i}")) != Some(value_of(i)) {
                        return slate.write(&format!("e{i} is missing at {n}"));
                    }
                }
                let seen = get(&cache, "n").map(|text| String::from_utf8(text).unwrap());
                if seen.as_deref() != Some(&n.to_string()) {
                    return slate.write(&format!("{n} became {seen:?}"));
                }
                if words.turn.load(Ordering::SeqCst) == 2 {
                    return;
                }
            }
        })
    })
}

/// Holds a lock until it is told to end, and releases it then.
fn holder(options: &OpenOptions, words: &Words) -> Child {
    fork(|| {
        done(|| {
            let cache = open(options);
            let token = token(cache.acquire(Keyspace::Locks, b"lock", &ONE).unwrap());
            words.holding.store(1, Ordering::SeqCst);
            wait_for(words.turn, |turn| turn == 2);
            assert!(cache.release(Keyspace::Locks, b"lock", token, 1).unwrap());
        })
    })
}

fn check(cache: &Cache, words: &Words, what: &str) {
    for i in 0..ENTRIES {
        assert_eq!(get(cache, &format!("e{i}")), Some(value_of(i)), "{what}: e{i}");
    }
    let written = words.written.load(Ordering::SeqCst);
    let found: u64 = String::from_utf8(get(cache, "n").unwrap()).unwrap().parse().unwrap();
    assert!(found >= written, "{what}: {written} was acknowledged, {found} is there");
    let refused = cache.acquire(Keyspace::Locks, b"lock", &PermitRequest { wait: false, ..ONE }).unwrap();
    assert_eq!(refused, cache_machine_core::Acquisition::Refused, "{what}: the lock is held");
    assert_valid(cache);
}

/// The steps at which to kill: the first and the last of each name, and some others.
fn points(steps: &[u64], most: usize) -> BTreeSet<u64> {
    let mut ends: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (i, print) in (0..).zip(steps) {
        ends.entry(*print).and_modify(|ends| ends.1 = i).or_insert((i, i));
    }
    let named = ends.values().flat_map(|(first, last)| [*first, *last]);
    // Beside others the steps differ a little, and the last ones are those around the switch.
    let len = steps.len() as u64;
    named.chain((0..len).step_by(steps.len().div_ceil(most).max(1))).chain(len - 30..len + 10).collect()
}

pub(crate) fn every_step() {
    let ledger = shared_words(TRACE);
    let most = number_from_env("KILLS").unwrap_or(60) as usize;
    let (mut kills, mut moved) = (0, 0);
    for (from, to) in [(SMALL, LARGE), (LARGE, SMALL)] {
        let steps = steps_of(from, to, ledger);
        for at in points(&steps, most) {
            let has_moved = kill_at(at, from, to);
            kills += 1;
            moved += u64::from(has_moved);
        }
    }
    println!("  {kills} kills, {moved} of them after the switch");
    assert!(moved > 8 && moved < kills / 2);
}

fn steps_of(from: usize, to: usize, ledger: &'static [AtomicU64]) -> Vec<u64> {
    let scene = Scene::sized("kill-trace", from);
    fill(&scene.options);
    let (words, slate) = (Words::new(), Slate::new());
    let others = [bystander(&scene.options, &words, &slate), holder(&scene.options, &words)];
    wait_for(words.turn, |turn| turn == 1);
    wait_for(words.holding, |holding| holding == 1);
    in_child("trace", || {
        let cache = open(&scene.options);
        trace(ledger);
        ledger[0].store(0, Ordering::SeqCst);
        arm(NEVER, Fault::Kill);
        cache.resize(to).unwrap().unwrap();
        disarm();
    });
    words.turn.store(2, Ordering::SeqCst);
    others.into_iter().for_each(|other| assert_eq!(ended_within(other, SOON, "trace"), Ended::Exit(0)));
    trace_of(ledger)
}

/// Whether the entries were in the new area when the resizer died.
fn kill_at(at: u64, from: usize, to: usize) -> bool {
    let what = format!("{from} to {to} bytes, killed at step {at}");
    let scene = Scene::sized("kill", from);
    fill(&scene.options);
    let (words, slate) = (Words::new(), Slate::new());
    let reader = bystander(&scene.options, &words, &slate);
    let locker = holder(&scene.options, &words);
    wait_for(words.turn, |turn| turn == 1);
    wait_for(words.holding, |holding| holding == 1);
    let resizer = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            arm(at, Fault::Kill);
            cache.resize(to).unwrap();
            disarm();
        })
    });
    let ended = ended_within(resizer, SOON, &what);
    // With a bystander the steps differ a little: the last ones may not be reached.
    assert!(matches!(ended, Ended::Signal(9) | Ended::Exit(0)), "{what}: {ended:?}");
    // The others go on.
    let before = words.written.load(Ordering::SeqCst);
    wait_for(words.written, |written| written > before + 3);
    let size = shared_words(1);
    in_child(&what, || {
        let cache = open(&scene.options);
        size[0].store(cache.geometry().len as u64, Ordering::SeqCst);
        check(&cache, &words, &what);
        // What the dead resize has left is no obstacle.
        let next = if cache.geometry().len == to { from } else { to };
        cache.resize(next).unwrap().unwrap();
        check(&cache, &words, &what);
    });
    words.turn.store(2, Ordering::SeqCst);
    assert_eq!(ended_within(reader, SOON, &what), Ended::Exit(0), "{what}");
    assert_eq!(slate.take(), None, "{what}");
    assert_eq!(ended_within(locker, SOON, &what), Ended::Exit(0), "{what}");
    in_child(&what, || {
        let cache = open(&scene.options);
        token(cache.acquire(Keyspace::Locks, b"lock", &PermitRequest { wait: false, ..ONE }).unwrap());
        assert!(cache.get(b"e1", ReadMode::Peek, &mut Vec::new()).unwrap().is_some());
    });
    size[0].load(Ordering::SeqCst) == to as u64
}
