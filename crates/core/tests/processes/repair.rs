//! The repair of a shard after a kill: its work depends on the change alone, not on the entries of the shard.

use crate::support::forked::{NEVER, ended_within, in_child};
use crate::support::{SOON, Scene, assert_valid, bytes, get, open, put};
use cache_machine_core::Cache;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, passed, take_visits};

/// The notes that a journal can have.
const MAX_NOTES: u64 = 252;

/// Entries of two units each, every other of which is deleted: a larger value takes a run of two units in each hole.
fn fragment(cache: &Cache, entries: u64) {
    for n in 0..entries {
        put(cache, &format!("k{n:06}"), &[n as u8; 40]);
    }
    for n in (0..entries).step_by(2) {
        assert!(cache.delete(format!("k{n:06}").as_bytes(), 0).expect("delete"));
    }
}

/// A process is killed at steps all over a `set` of a large value, which takes thousands of runs. The next writer undoes it or
/// finishes it, and visits none of the other entries.
pub(crate) fn killed_in_a_large_value() {
    const ENTRIES: u64 = 60_000;
    let large = vec![7; 600_000];
    let steps = &shared_words(1)[0];
    let mut at = NEVER;
    let mut kills = 0;
    loop {
        let scene = Scene::sized("large", 16 << 20);
        in_child("fill", || {
            let cache = open(&scene.options);
            assert_eq!(cache.geometry().shards, 1);
            fragment(&cache, ENTRIES);
            put(&cache, "large", &large[1..]);
        });
        let writer = fork(|| {
            let cache = open(&scene.options);
            arm(at, Fault::Kill);
            put(&cache, "large", &large);
            disarm();
            steps.store(passed().values().sum(), Ordering::SeqCst);
            0
        });
        let is_killed = ended_within(writer, SOON, "the writer") == Ended::Signal(9);
        in_child("the next writer", || {
            let cache = open(&scene.options);
            let before = cache.stats().repairs;
            put(&cache, "next", b"1");
            assert_eq!(cache.stats().repairs, before + u64::from(is_killed), "killed at step {at}");
            assert_eq!(take_visits("rebuilt entry"), 0, "killed at step {at}");
            assert!(take_visits("undone note") <= MAX_NOTES, "killed at step {at}");
            let len = get(&cache, "large").expect("old or new").len();
            assert!(len == large.len() || len == large.len() - 1, "{len} bytes");
            assert!(cache.set(b"again", &bytes(&large)).expect("set").is_some());
            assert_valid(&cache);
        });
        let all = steps.load(Ordering::SeqCst);
        match (is_killed, at) {
            (false, NEVER) => at = 3,
            (true, _) => {
                kills += 1;
                at += all / 12;
            }
            (false, _) => break,
        }
    }
    assert!(steps.load(Ordering::SeqCst) > 10_000 && kills > 8, "{kills} kills");
}
