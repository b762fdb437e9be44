//! A transaction over two shards, killed at every step: all keys are old, or all are new, for readers before any repair and
//! for the writers that repair.

use crate::scenarios::get;
use crate::steps::{TRACE, note_kill};
use crate::support::forked::{NEVER, in_child, trace_of};
use crate::support::{Scene, assert_valid, bytes, put};
use cache_machine_core::{Cache, Check, KeyChange};
use cache_machine_shm::atomic::Ordering::Relaxed;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, take_visits, trace};

/// So many that they are in both shards, wherever the seed puts each. A number in each says by which transaction it was
/// written.
const KEYS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
/// Keys of which one is inserted and the other deleted by each transaction.
const OTHERS: [&str; 2] = ["odd", "even"];

fn value(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(1 + (n % 60) as usize)
}

/// The number of all keys. Panics if they have different ones.
fn number(cache: &Cache, what: &str) -> u64 {
    let found = KEYS.map(|key| {
        let found = get(cache, key).unwrap_or_else(|| panic!("{what}: {key} is lost"));
        let n = u64::from_le_bytes(found[..8].try_into().unwrap());
        assert!(found == value(n), "{what}: {key} is torn");
        n
    });
    assert!(found.iter().all(|n| *n == found[0]), "{what}: half a transaction, {found:?}");
    let n = found[0];
    let others = OTHERS.map(|key| get(cache, key).is_some());
    assert_eq!(others, [n % 2 == 1, n.is_multiple_of(2)], "{what}: half a transaction at {n}");
    n
}

/// Writes the next number into all keys.
fn transact(cache: &Cache) {
    let namespace = cache.namespace_of_values();
    let checks = KEYS.map(|key| Check { namespace, key: key.as_bytes(), version: cache.version_of(key.as_bytes()).unwrap() });
    let n = number(cache, "before") + 1;
    let value = value(n);
    let written = KEYS.map(|key| KeyChange { namespace, key: key.as_bytes(), write: Some(bytes(&value)) });
    let other = |key: &'static str, is_there: bool| {
        let write = is_there.then(|| bytes(b"other"));
        KeyChange { namespace, key: key.as_bytes(), write }
    };
    let others = [other(OTHERS[0], n % 2 == 1), other(OTHERS[1], n.is_multiple_of(2))];
    let changes: Vec<_> = written.into_iter().chain(others).collect();
    assert!(cache.transact(&checks, &changes).unwrap());
    assert_eq!(number(cache, "after"), n);
}

pub(crate) fn transaction_over_shards() {
    let scene = Scene::sized("over-shards", 32 << 20);
    in_child("prepare", || {
        let cache = scene.open();
        assert_eq!(cache.geometry().shards, 2);
        KEYS.iter().for_each(|key| _ = put(&cache, key, &value(0)));
        put(&cache, OTHERS[1], b"other");
        (0..500).for_each(|i| _ = put(&cache, &format!("x{i}"), &value(i)));
    });
    let ledger = shared_words(TRACE);
    let numbers = shared_words(1);
    let (mut kills, mut committed) = (0u64, 0);
    for at in 0.. {
        ledger[0].store(0, Relaxed);
        let before = numbers[0].load(Relaxed);
        let ended = fork(|| {
            let cache = scene.open();
            trace(ledger);
            ledger[0].store(0, Relaxed);
            arm(at, Fault::Kill);
            transact(&cache);
            disarm();
            0
        });
        let ended = crate::support::forked::ended_within(ended, crate::support::forked::SOON, "a transaction");
        if ended == Ended::Exit(0) {
            assert!(at > 100, "{at} steps");
            break;
        }
        assert_eq!(ended, Ended::Signal(9), "at step {at}");
        note_kill(ledger);
        kills += 1;
        in_child("after the death", || {
            let cache = scene.open();
            arm(NEVER, Fault::Kill);
            let what = format!("killed at step {at} of {}", trace_of(ledger).len());
            let seen = number(&cache, &what);
            take_visits("rebuilt entry");
            // In turns: the next transaction repairs, or any write.
            if at % 2 == 0 {
                assert_valid(&cache);
                assert_eq!(number(&cache, &what), seen, "{what}: the repair has changed it");
            } else {
                transact(&cache);
            }
            assert_eq!(take_visits("rebuilt entry"), 0, "{what}: a shard was rebuilt");
            disarm();
            assert_valid(&cache);
            numbers[0].store(number(&cache, &what), Relaxed);
        });
        committed += u64::from(numbers[0].load(Relaxed) != before + u64::from(at % 2 == 1));
    }
    println!("  {kills} kills, {committed} of them after the commit");
    assert!(committed > 10 && committed < kills);
}
