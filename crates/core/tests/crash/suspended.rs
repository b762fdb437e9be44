//! Deaths and changes beside a suspended holder (SIGSTOP).

use crate::scenarios::permits::{LOCK, lock};
use crate::scenarios::tags::invalidate;
use crate::scenarios::{BASE, Scenario, get, set, watch_all};
use crate::stage::{Copied, Stage};
use crate::steps::{TRACE, note_kill};
use crate::support::forked::{
    self, HELD_VALUE, NEVER, in_child, resume_to_the_end, set_with_fault, suspended_holder, trace_of,
};
use crate::support::permits::{ONE, ticket, token};
use crate::support::{assert_valid, open, with_timeout};
use cache_machine_core::{Acquisition, Cache, Invalidation, Keyspace, What};
use cache_machine_shm::atomic::Ordering::{Relaxed, SeqCst};
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, print, trace};
use std::time::{Duration, Instant};

pub(crate) fn waiter_killed_beside_a_suspended_holder() {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(&Scenario { act: |c| set(c, "target", HELD_VALUE), ..BASE }, ledger);
    let copied = Copied::of(&stage.content);
    let holder = suspended_holder(&copied.options, "target");
    // The waiter dies in its first wait, and in its third.
    for at in [0, 2] {
        let waiter = fork(|| {
            let cache = copied.open();
            trace(ledger);
            // 2 MiB are one shard, so the suspended holder blocks every key.
            arm(at, Fault::Kill);
            set(&cache, "other", b"waiter's");
            0
        });
        assert_eq!(forked::ended_within(waiter, forked::SOON, "the waiter"), Ended::Signal(9));
        assert_eq!(trace_of(ledger).last(), Some(&print("lock.waiting")));
        note_kill(ledger);
    }
    resume_to_the_end(holder, "the holder");
    in_child("after the waiters' deaths", || {
        let cache = copied.open();
        assert_eq!(get(&cache, "target").as_deref(), Some(HELD_VALUE));
        assert_eq!(get(&cache, "other"), None);
        set(&cache, "other", b"1");
        assert_valid(&cache);
        assert_eq!(cache.stats().repairs, 0, "a live holder lost its lock");
    });
}

/// An invalidation waits for a suspended holder only until its timeout, and the change that it could not deliver counts
/// as lost.
pub(crate) fn invalidation_beside_a_suspended_holder() {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(&Scenario { act: |c| set(c, "target", HELD_VALUE), ..BASE }, ledger);
    let copied = Copied::of(&stage.content);
    // It never sleeps, so the steps are the same each time.
    let impatient = || open(&with_timeout(&copied.options, Duration::ZERO));
    let holder = suspended_holder(&copied.options, "target");
    in_child("an invalidation", || {
        trace(ledger);
        let cache = impatient();
        let watch = watch_all(&cache);
        ledger[0].store(0, Relaxed);
        arm(NEVER, Fault::Kill);
        invalidate(&cache, "red", Invalidation::Remove);
        disarm();
        let start = Instant::now();
        let item = loop {
            if let Some(item) = cache.read_stream(watch, 1).pop() {
                break item;
            }
            assert!(start.elapsed() < forked::SOON, "no item came");
        };
        assert_eq!((item.what, item.lost), (What::Invalidate, 1));
    });
    let steps = trace_of(ledger);
    let untold = steps.iter().position(|step| *step == print("stream.untold")).unwrap();
    let killed = fork(|| {
        let cache = impatient();
        watch_all(&cache);
        trace(ledger);
        ledger[0].store(0, Relaxed);
        arm(untold as u64, Fault::Kill);
        invalidate(&cache, "blue", Invalidation::Remove); // with a new record, as in the first run
        0
    });
    assert_eq!(forked::ended_within(killed, forked::SOON, "the invalidation"), Ended::Signal(9));
    assert_eq!(trace_of(ledger).last(), Some(&print("stream.untold")));
    note_kill(ledger);
    resume_to_the_end(holder, "the holder");
    in_child("afterwards", || stage.check(&copied.open(), None, 0));
}

/// A release beside a suspended holder succeeds at once. The background thread completes it when the suspended process
/// goes on or dies.
pub(crate) fn release_beside_a_suspended_holder() {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(&Scenario { entries: 5, ..BASE }, ledger);
    for dies in [false, true] {
        let copied = Copied::of(&stage.content);
        let words = shared_words(2);
        let [released, over] = [&words[0], &words[1]];
        let suspended = fork(|| {
            let cache = copied.open();
            forked::wait_for(released, |word| word == 1);
            set_with_fault(&cache, "target", Fault::Stop);
            0
        });
        let holder = fork(|| {
            let cache = open(&with_timeout(&copied.options, Duration::from_millis(50)));
            let first = token(lock(&cache));
            let waiting = ticket(permit_and_ticket(&cache));
            released.store(1, SeqCst);
            forked::wait_for(released, |word| word == 2);
            assert!(cache.release(Keyspace::Locks, LOCK, first, 1).unwrap());
            cache.leave(Keyspace::Semaphores, LOCK, waiting, 1).unwrap();
            assert!(
                cache.holds(Keyspace::Locks, LOCK, first).unwrap(),
                "no process can write beside the suspended one"
            );
            released.store(3, SeqCst);
            // It stays alive, so its death does not free the lock.
            forked::wait_for(over, |word| word == 1);
            0
        });
        assert_eq!(suspended.wait_or_stopped(), Ended::Stopped);
        released.store(2, SeqCst);
        forked::wait_for(released, |word| word == 3);
        if dies {
            assert_eq!(suspended.kill(), Ended::Signal(9));
        } else {
            resume_to_the_end(suspended, "the suspended process");
        }
        in_child("after the stop", || {
            let cache = copied.open();
            let start = Instant::now();
            while cache.permit_counts(Keyspace::Locks, LOCK).unwrap() != (0, 0)
                || cache.permit_counts(Keyspace::Semaphores, LOCK).unwrap().1 > 0
            {
                assert!(start.elapsed() < forked::SOON, "the permit was never given back");
                std::thread::sleep(Duration::from_millis(1));
            }
            token(lock(&cache));
        });
        over.store(1, SeqCst);
        assert_eq!(forked::ended_within(holder, forked::SOON, "the holder"), Ended::Exit(0));
    }
}

/// Takes the only permit, and then a ticket.
fn permit_and_ticket(cache: &Cache) -> Acquisition {
    token(cache.acquire(Keyspace::Semaphores, LOCK, &ONE).unwrap());
    cache.acquire(Keyspace::Semaphores, LOCK, &ONE).unwrap()
}
