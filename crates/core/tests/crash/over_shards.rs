//! Transactions over two shards, and of many keys, killed or stopped at their steps: all keys are old, or all are new, for
//! readers before any repair and for the writers that repair.

use crate::scenarios::get;
use crate::steps::{TRACE, note_kill};
use crate::support::forked::{NEVER, SOON, ended_within, in_child, resume_to_the_end, trace_of};
use crate::support::{Scene, assert_valid, bytes, put};
use cache_machine_core::{Cache, Check, KeyChange, NoSink, ReadMode};
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::Relaxed;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, arm_named, disarm, print, take_visits, trace};

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
    let checks =
        KEYS.map(|key| Check { namespace, key: key.as_bytes(), version: cache.version_of(key.as_bytes()).unwrap() });
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
        let ended = ended_within(ended, SOON, "a transaction");
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

/// The number of the step with this name, of those that an act makes: the first or the last one.
fn position(steps: &[u64], name: &str, is_last: bool) -> u64 {
    let wanted = print(name);
    let found = if is_last {
        steps.iter().rposition(|step| *step == wanted)
    } else {
        steps.iter().position(|step| *step == wanted)
    };
    found.unwrap_or_else(|| panic!("no step {name}")) as u64
}

/// The steps of a child that runs an act without a fault.
fn steps_of(scene: &Scene, ledger: &'static [AtomicU64], act: impl Fn(&Cache)) -> Vec<u64> {
    ledger[0].store(0, Relaxed);
    in_child("trace", || {
        let cache = scene.open();
        trace(ledger);
        ledger[0].store(0, Relaxed);
        arm(NEVER, Fault::Kill);
        act(&cache);
        disarm();
    });
    trace_of(ledger)
}

/// The number of all keys, each of 8 bytes.
fn small_number(cache: &Cache) -> u64 {
    let found = KEYS.map(|key| u64::from_le_bytes(get(cache, key).unwrap().try_into().unwrap()));
    assert!(found.iter().all(|n| *n == found[0]), "half a transaction, {found:?}");
    found[0]
}

/// Writes the next number into all keys.
fn transact_small(cache: &Cache) {
    let namespace = cache.namespace_of_values();
    let value = (small_number(cache) + 1).to_le_bytes();
    let changes = KEYS.map(|key| KeyChange { namespace, key: key.as_bytes(), write: Some(bytes(&value)) });
    assert!(cache.transact(&[], &changes).unwrap());
}

pub(crate) fn reads_beside_a_stopped_transaction() {
    let scene = Scene::sized("stopped-transaction", 32 << 20);
    in_child("prepare", || {
        let cache = scene.open();
        KEYS.iter().for_each(|key| _ = put(&cache, key, &0u64.to_le_bytes()));
    });
    let last = KEYS.len() as u64 - 1;
    let stops = [
        ("transaction.published", last, 0, true),
        ("transaction.committed", 0, 1, true),
        ("transaction.finished", last, 1, false),
    ];
    for (n, (step, nth, committed, names_intents)) in (0..).zip(stops) {
        let writer = fork(|| {
            let cache = scene.open();
            arm_named(step, nth, Fault::Stop);
            transact_small(&cache);
            0
        });
        assert_eq!(writer.wait_or_stopped(), Ended::Stopped);
        in_child("a reader", || {
            let cache = scene.open();
            assert_eq!(small_number(&cache), n + committed);
            for key in KEYS {
                let meta = cache.get(key.as_bytes(), ReadMode::Peek, &mut NoSink).unwrap().unwrap();
                // What is read through an intent must have no near copy: it would outlive the commit.
                assert_eq!(meta.depends.word_at == 0, names_intents, "{key}");
            }
            let (mut keys, mut cursor) = (0, Some(0));
            while let Some(at) = cursor {
                let page = cache.keys(at, b"", 100).unwrap();
                keys += page.keys.len();
                cursor = page.next;
            }
            assert_eq!(keys, KEYS.len(), "a walk meets each key once");
        });
        resume_to_the_end(writer, "the transaction");
        in_child("afterwards", || {
            let cache = scene.open();
            assert_eq!(small_number(&cache), n + 1);
            assert_valid(&cache);
            assert_eq!(cache.stats().repairs, 0);
        });
    }
}

/// Keys of one shard, more than the journal has notes for.
const MANY: usize = 300;

fn number_of_many(cache: &Cache, what: &str) -> u64 {
    let found: Vec<_> =
        (0..MANY).map(|i| get(cache, &format!("many{i}")).unwrap_or_else(|| panic!("{what}: {i} is lost"))).collect();
    assert!(found.iter().all(|value| *value == found[0]), "{what}: half a transaction");
    u64::from_le_bytes(found[0][..8].try_into().unwrap())
}

fn transact_many(cache: &Cache) {
    let namespace = cache.namespace_of_values();
    let value = value(number_of_many(cache, "before") + 1);
    let names: Vec<_> = (0..MANY).map(|i| format!("many{i}")).collect();
    let changes: Vec<_> =
        names.iter().map(|key| KeyChange { namespace, key: key.as_bytes(), write: Some(bytes(&value)) }).collect();
    assert!(cache.transact(&[], &changes).unwrap());
}

/// More changes than the journal can hold need a rebuild after a death, and a rebuild may be killed as well.
pub(crate) fn transaction_of_many_keys() {
    let scene = Scene::new("many-keys");
    in_child("prepare", || {
        let cache = scene.open();
        (0..MANY).for_each(|i| _ = put(&cache, &format!("many{i}"), &value(0)));
    });
    let ledger = shared_words(TRACE);
    let steps = steps_of(&scene, ledger, transact_many);
    let last = position(&steps, "transaction.published", true);
    let committed = position(&steps, "transaction.committed", true);
    let sampled = (0..steps.len() as u64).step_by(steps.len() / 40);
    for (round, at) in (0..).zip([last, committed, committed + 1].into_iter().chain(sampled)) {
        let killed = |armed: &dyn Fn(), act: &dyn Fn(&Cache)| {
            ledger[0].store(0, Relaxed);
            let child = fork(|| {
                let cache = scene.open();
                trace(ledger);
                ledger[0].store(0, Relaxed);
                armed();
                act(&cache);
                disarm();
                0
            });
            let ended = ended_within(child, SOON, "a transaction of many keys");
            if ended == Ended::Signal(9) {
                note_kill(ledger);
            } else {
                assert_eq!(ended, Ended::Exit(0), "after a death at step {at}");
            }
        };
        killed(&|| arm(at, Fault::Kill), &transact_many);
        // Repairers are killed as well, at another step each time.
        killed(&|| arm_named("rebuild.intent", round * 37 % 300, Fault::Kill), &assert_valid);
        killed(&|| arm(round * 37 % 1500, Fault::Kill), &assert_valid);
        in_child("after the deaths", || {
            let cache = scene.open();
            let seen = number_of_many(&cache, "before the repair");
            assert_valid(&cache);
            assert_eq!(number_of_many(&cache, "after the repair"), seen);
        });
    }
}
