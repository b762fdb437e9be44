//! Dead owners that look alive: a reused slot, a process that is not yet reaped.

use crate::support::forked::{done, dying_holder, ended_within, in_child, wait_for};
use crate::support::{SOON, Scene, assert_valid, open, put, with_timeout};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use std::time::{Duration, Instant};

/// A new process takes the slot of a dead one, and with it the lease. Only the generation shows that the lock's owner
/// is dead.
pub(crate) fn successor_in_the_slot() {
    let scene = Scene::sized("hidden", 2 << 20);
    let turn = &shared_words(1)[0];
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let dead = dying_holder(&scene.options, "key");
    assert_eq!(ended_within(dead, SOON, "the holder"), Ended::Signal(9));
    let successor = fork(|| {
        done(|| {
            let _cache = open(&scene.options);
            turn.store(1, Ordering::SeqCst);
            wait_for(turn, |t| t == 2);
        })
    });
    wait_for(turn, |t| t == 1);
    in_child("another", || {
        let cache = open(&with_timeout(&scene.options, Duration::from_secs(2)));
        put(&cache, "other", b"1");
        assert_eq!(cache.stats().repairs, 1);
        assert_valid(&cache);
    });
    turn.store(2, Ordering::SeqCst);
    assert_eq!(ended_within(successor, SOON, "the successor"), Ended::Exit(0));
}

/// A dead process keeps its number until its parent reaps it. A check of process numbers would take it for alive.
pub(crate) fn dead_but_not_reaped() {
    let scene = Scene::sized("zombie", 2 << 20);
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let holder = dying_holder(&scene.options, "key");
    let stat = format!("/proc/{}/stat", holder.0);
    let is_zombie = || std::fs::read_to_string(&stat).expect("not reaped").contains(") Z ");
    let start = Instant::now();
    while !is_zombie() {
        assert!(start.elapsed() < SOON, "the holder does not die");
        std::thread::yield_now();
    }
    in_child("another", || {
        let cache = open(&with_timeout(&scene.options, Duration::from_secs(2)));
        put(&cache, "other", b"1");
        assert_eq!(cache.stats().repairs, 1);
        assert_valid(&cache);
    });
    assert!(is_zombie());
    assert_eq!(ended_within(holder, SOON, "the holder"), Ended::Signal(9));
}
