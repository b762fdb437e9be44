//! The lock, which survives its owner.

use crate::slot::take;
use crate::{Futex, explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicBool, AtomicU32, Ordering};
use cache_machine_shm::lock::{self, Acquired, Owner, Parties};
use cache_machine_shm::slot;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

pub(crate) struct Shard {
    pub(crate) word: AtomicU32,
    pub(crate) futex: Futex,
    /// Guarded by the lock. Loom reports any access that the lock does not order.
    data: UnsafeCell<u32>,
}

struct Party<'a> {
    slot: u16,
    shard: &'a Shard,
    /// Slots of dead processes.
    dead: &'a [u16],
}

impl Parties for Party<'_> {
    fn me(&self) -> Owner {
        Owner { slot: self.slot, generation: 1 }
    }

    fn is_dead(&self, owner: Owner) -> bool {
        self.dead.contains(&owner.slot)
    }

    fn sleep(&self, word: &AtomicU32, expected: u32) {
        self.shard.futex.sleep(word, expected);
    }

    fn wake_one(&self, _: &AtomicU32) {
        self.shard.futex.wake();
    }
}

pub(crate) fn shard(word: u32) -> Arc<Shard> {
    Arc::new(Shard { word: AtomicU32::new(word), futex: Futex::default(), data: UnsafeCell::new(0) })
}

pub(crate) fn increment(shard: &Shard) {
    shard.data.with_mut(|data| {
        // SAFETY: under the lock. Loom checks that no other thread is here.
        unsafe { *data += 1 }
    });
}

/// For each of these slots a thread increments once under the lock. `unlock` may be broken.
fn holders_exclude_each_other(slots: &[u16], unlock: impl Fn(&Shard, &Party<'_>) + Copy + Send + Sync + 'static) {
    let shared = shard(0);
    let run = move |shard: &Shard, slot: u16| {
        let party = Party { slot, shard, dead: &[] };
        assert_eq!(lock::lock(&shard.word, &party, &mut || false), Ok(Acquired::Clean));
        increment(shard);
        unlock(shard, &party);
    };
    let others: Vec<_> = slots[1..]
        .iter()
        .map(|slot| {
            let (shared, slot) = (shared.clone(), *slot);
            thread::spawn(move || run(&shared, slot))
        })
        .collect();
    run(&shared, slots[0]);
    for other in others {
        other.join().unwrap();
    }
    // SAFETY: all threads have ended.
    shared.data.with(|data| assert_eq!(unsafe { *data } as usize, slots.len()));
}

#[test]
fn two_holders_exclude_each_other_and_no_wake_up_is_lost() {
    explore(4, || holders_exclude_each_other(&[0, 1], |shard, party| lock::unlock(&shard.word, party)));
}

/// Both threads have one slot and one generation. Only the liveness of the owner of the lock word keeps the second one
/// out.
#[test]
fn two_threads_of_one_process_exclude_each_other() {
    explore(4, || holders_exclude_each_other(&[0, 0], |shard, party| lock::unlock(&shard.word, party)));
}

#[test]
fn three_holders_exclude_each_other_and_no_wake_up_is_lost() {
    explore(2, || holders_exclude_each_other(&[0, 1, 2], |shard, party| lock::unlock(&shard.word, party)));
}

#[test]
fn an_unlock_that_does_not_release_is_reported() {
    must_be_reported(4, || {
        holders_exclude_each_other(&[0, 1], |shard, party| {
            if shard.word.swap(0, Ordering::Relaxed) & lock::WAITERS != 0 {
                party.wake_one(&shard.word);
            }
        });
    });
}

#[test]
fn an_unlock_without_a_wake_is_reported() {
    must_be_reported(4, || {
        holders_exclude_each_other(&[0, 1], |shard, _| {
            shard.word.swap(0, Ordering::Release);
        });
    });
}

#[test]
fn a_dead_owners_lock_goes_to_exactly_one_taker_as_a_suspect() {
    explore(3, || {
        let dead = Owner { slot: 7, generation: 3 };
        let shared = shard(dead.word());
        let take = |shard: &Shard, slot: u16| {
            let party = Party { slot, shard, dead: &[7] };
            let acquired = lock::lock(&shard.word, &party, &mut || false).unwrap();
            increment(shard);
            lock::unlock(&shard.word, &party);
            acquired == Acquired::Suspect
        };
        let other = {
            let shared = shared.clone();
            thread::spawn(move || take(&shared, 1))
        };
        let mine = take(&shared, 0);
        assert!(mine ^ other.join().unwrap(), "one suspect, one clean");
    });
}

#[test]
fn an_abandoned_lock_is_a_suspect_and_a_live_holder_keeps_its_lock() {
    explore(3, || {
        let shared = shard(0);
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                let party = Party { slot: 1, shard: &shared, dead: &[] };
                let acquired = lock::lock(&shared.word, &party, &mut || false).unwrap();
                increment(&shared);
                lock::abandon(&shared.word, &party);
                acquired
            })
        };
        let party = Party { slot: 0, shard: &shared, dead: &[] };
        let mine = lock::lock(&shared.word, &party, &mut || false).unwrap();
        // SAFETY: under the lock.
        let was_first = shared.data.with(|data| unsafe { *data == 0 });
        increment(&shared);
        lock::unlock(&shared.word, &party);
        let theirs = other.join().unwrap();
        // Only the thread that came second after the abandon got a suspect.
        assert_eq!(theirs, Acquired::Clean);
        assert_eq!(mine, if was_first { Acquired::Clean } else { Acquired::Suspect });
    });
}

/// The last stores of a dead owner, and the lease that the kernel drops afterwards.
struct Dying {
    shard: Shard,
    lease: AtomicBool,
    drop_lease: Ordering,
}

struct Successor<'a>(&'a Dying);

impl Parties for Successor<'_> {
    fn me(&self) -> Owner {
        Owner { slot: 0, generation: 1 }
    }

    fn is_dead(&self, _: Owner) -> bool {
        // Acquire: a system call that sees the kernel's release of the lease.
        !self.0.lease.load(Ordering::Acquire)
    }

    fn sleep(&self, _: &AtomicU32, _: u32) {
        // The bounded sleep: no process wakes the waiters of a dead owner.
        thread::yield_now();
    }

    fn wake_one(&self, _: &AtomicU32) {}
}

fn a_successor_sees_all_writes_of_the_dead_owner(drop_lease: Ordering) {
    let dead = Owner { slot: 7, generation: 3 };
    let dying = Dying {
        shard: Shard { word: AtomicU32::new(dead.word()), futex: Futex::default(), data: UnsafeCell::new(0) },
        lease: AtomicBool::new(true),
        drop_lease,
    };
    let dying = Arc::new(dying);
    let other = {
        let dying = dying.clone();
        thread::spawn(move || {
            increment(&dying.shard);
            dying.lease.store(false, dying.drop_lease);
        })
    };
    let acquired = lock::lock(&dying.shard.word, &Successor(&dying), &mut || false);
    assert_eq!(acquired, Ok(Acquired::Suspect));
    increment(&dying.shard);
    other.join().unwrap();
}

#[test]
fn a_suspect_lock_shows_all_writes_of_the_dead_owner() {
    explore(4, || a_successor_sees_all_writes_of_the_dead_owner(Ordering::Release));
}

#[test]
fn a_lease_that_orders_nothing_is_reported() {
    must_be_reported(4, || a_successor_sees_all_writes_of_the_dead_owner(Ordering::Relaxed));
}

/// A waiter reaches its deadline and runs `leave`. It may be the waiter that was woken.
fn a_waiter_that_gives_up_passes_the_wake_on(leave: impl Fn(&Shard, &Party<'_>) + Copy + Send + Sync + 'static) {
    let holder = Owner { slot: 0, generation: 1 };
    let shared = shard(holder.word());
    let waiter = {
        let shared = shared.clone();
        thread::spawn(move || {
            let party = Party { slot: 2, shard: &shared, dead: &[] };
            let _ = lock::lock(&shared.word, &party, &mut || false).unwrap();
            lock::unlock(&shared.word, &party);
        })
    };
    let hasty = {
        let shared = shared.clone();
        thread::spawn(move || leave(&shared, &Party { slot: 1, shard: &shared, dead: &[] }))
    };
    let party = Party { slot: 0, shard: &shared, dead: &[] };
    lock::unlock(&shared.word, &party);
    // The holder comes back before the threads that it has woken.
    let _ = lock::lock(&shared.word, &party, &mut || false).unwrap();
    lock::unlock(&shared.word, &party);
    hasty.join().unwrap();
    waiter.join().unwrap();
}

#[test]
fn a_waiter_that_gives_up_after_a_wake_leaves_no_other_asleep() {
    explore(3, || {
        a_waiter_that_gives_up_passes_the_wake_on(|shard, party| {
            let mut asked = 0;
            let mut patience = || {
                asked += 1;
                asked > 1
            };
            if lock::lock(&shard.word, party, &mut patience).is_ok() {
                lock::unlock(&shard.word, party);
            }
        });
    });
}

#[test]
fn a_waiter_that_gives_up_and_keeps_the_wake_is_reported() {
    must_be_reported(3, || {
        a_waiter_that_gives_up_passes_the_wake_on(|shard, party| {
            // As `lock`, but the deadline is checked before the bit of the waiters is set.
            let mut has_slept = false;
            loop {
                let seen = shard.word.load(Ordering::Relaxed);
                if seen & !lock::WAITERS == 0 {
                    let mine = party.me().word() | lock::WAITERS;
                    if shard.word.compare_exchange(seen, mine, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        return lock::unlock(&shard.word, party);
                    }
                    continue;
                }
                if has_slept {
                    return;
                }
                let marked = seen | lock::WAITERS;
                if shard.word.compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    party.sleep(&shard.word, marked);
                    has_slept = true;
                }
            }
        });
    });
}
