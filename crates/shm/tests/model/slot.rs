//! A process slot that changes hands.

use crate::lock::{Shard, increment, shard};
use crate::{explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicBool, AtomicU32, Ordering};
use cache_machine_shm::lock::{self, Acquired, Owner, Parties};
use cache_machine_shm::slot;
use loom::sync::Arc;
use loom::thread;

/// The slot that gets a new owner. The process in slot 0 meets its lock words.
const CHANGES_HANDS: u16 = 7;

/// A process, with the words of that slot, and a shard.
struct Process<'a> {
    me: Owner,
    shard: &'a Shard,
    generation: &'a AtomicU32,
    lease: &'a AtomicBool,
}

impl Parties for Process<'_> {
    fn me(&self) -> Owner {
        self.me
    }

    fn is_dead(&self, owner: Owner) -> bool {
        // Acquire: a system call that sees the kernel's release of the lease. The process in slot 0 is alive.
        owner.slot == CHANGES_HANDS && slot::is_dead(self.generation, owner, || self.lease.load(Ordering::Acquire))
    }

    fn sleep(&self, _: &AtomicU32, _: u32) {
        // The bounded sleep: no process wakes the waiters of a dead owner.
        thread::yield_now();
    }

    fn wake_one(&self, _: &AtomicU32) {}
}

/// The new owner of a used slot takes a lock, and so does a process in another slot. That process must not take the new
/// owner for the dead one. `lock` may be broken.
fn a_new_owner_keeps_its_lock(lock: impl Fn(&AtomicU32, &Process<'_>) -> Acquired + Copy + Send + Sync + 'static) {
    let shared = Arc::new((shard(0), AtomicU32::new(1), AtomicBool::new(true)));
    let run = move |me: Owner, (shard, generation, lease): &(Arc<Shard>, AtomicU32, AtomicBool)| {
        let process = Process { me, shard, generation, lease };
        assert_eq!(lock(&process.shard.word, &process), Acquired::Clean, "a live owner lost its lock");
        increment(process.shard);
        lock::unlock(&process.shard.word, &process);
    };
    // The other is the thread that loom runs last: see `a_read_that_begins_with` in `publish.rs`.
    let other = {
        let shared = shared.clone();
        thread::spawn(move || run(Owner { slot: 0, generation: 1 }, &shared))
    };
    let generation = slot::enter(&shared.1);
    run(Owner { slot: CHANGES_HANDS, generation }, &shared);
    other.join().unwrap();
}

pub(crate) fn take(word: &AtomicU32, process: &Process<'_>) -> Acquired {
    lock::lock(word, process, &mut || false).unwrap()
}

#[test]
fn the_new_owner_of_a_slot_is_never_taken_for_the_dead_one() {
    explore(4, || a_new_owner_keeps_its_lock(take));
}

#[test]
fn a_lock_that_is_taken_without_a_release_is_robbed() {
    must_be_reported(4, || {
        a_new_owner_keeps_its_lock(|word, process| {
            let mine = process.me().word();
            match word.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => Acquired::Clean,
                Err(_) => take(word, process),
            }
        });
    });
}

#[test]
fn an_owner_that_is_read_without_an_acquire_is_robbed() {
    must_be_reported(4, || {
        a_new_owner_keeps_its_lock(|word, process| {
            let held = word.load(Ordering::Relaxed);
            if held != 0 && process.is_dead(Owner::of(held)) {
                return Acquired::Suspect;
            }
            take(word, process)
        });
    });
}

/// The slot of a dead owner gets its next owner while a process meets the lock that the dead one held. In whatever way
/// that process sees the death, it sees all writes of the dead owner.
fn the_generation_shows_all_writes_of_the_dead_owner(enter: impl Fn(&AtomicU32) -> u32 + Copy + Send + Sync + 'static) {
    let dead = Owner { slot: CHANGES_HANDS, generation: 1 };
    let shared = Arc::new((shard(dead.word()), AtomicU32::new(1), AtomicBool::new(true)));
    let dying = {
        let shared = shared.clone();
        thread::spawn(move || {
            increment(&shared.0);
            // Release: as the kernel's release of the lease.
            shared.2.store(false, Ordering::Release);
        })
    };
    let next = {
        let shared = shared.clone();
        thread::spawn(move || {
            let (_, generation, lease) = &*shared;
            if lease.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                enter(generation);
            }
        })
    };
    let (shard, generation, lease) = &*shared;
    let process = Process { me: Owner { slot: 0, generation: 1 }, shard, generation, lease };
    assert_eq!(take(&shard.word, &process), Acquired::Suspect);
    increment(shard);
    dying.join().unwrap();
    next.join().unwrap();
}

#[test]
fn a_moved_generation_shows_all_writes_of_the_dead_owner() {
    explore(3, || the_generation_shows_all_writes_of_the_dead_owner(slot::enter));
}

#[test]
fn a_generation_that_is_moved_without_a_release_is_reported() {
    must_be_reported(3, || {
        the_generation_shows_all_writes_of_the_dead_owner(|generation| {
            generation.store(2, Ordering::Relaxed);
            2
        });
    });
}
