//! The protocols under loom, which tries every interleaving and every value that the memory orderings allow.
//!
//! Run by `RUSTFLAGS="--cfg cache_machine_loom" cargo test -p cache-machine-shm --release --test model`. Each protocol has a
//! broken variant, copied by hand with one thing left out, that loom must report; else the model could not see anything.
//! A sleep here has no time limit, so a lost wake-up is a deadlock, which loom reports. Loom has threads and no deaths: those
//! are the Spin models' (docs/models) and the kill tests'.

#![cfg(cache_machine_loom)]

use cache_machine_shm::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
use cache_machine_shm::bell;
use cache_machine_shm::ending::{self, SeenEpoch};
use cache_machine_shm::index;
use cache_machine_shm::lock::{self, Acquired, Owner, Parties};
use cache_machine_shm::publish::{Changed, before_reuse, publish, read, recheck};
use cache_machine_shm::slot;
use cache_machine_shm::tag_clock::{self, Record};
use cache_machine_shm::tail;
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::process::Command;

/// Runs a model whose threads may be preempted at most `preemptions` times.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Runs a broken model, which loom must report. In a process of its own: a deadlock that loom reports in the middle of a
/// model aborts the process when the model's values are dropped.
fn must_be_reported(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    const IN_CHILD: &str = "CACHE_MACHINE_BROKEN_MODEL";
    if std::env::var_os(IN_CHILD).is_some() {
        explore(preemptions, model);
        return;
    }
    let test = std::thread::current().name().expect("a test's thread has its name").to_owned();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--test-threads=1"])
        .env(IN_CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "{text}");
    assert!(!output.status.success(), "loom did not see what is broken");
}

/// A futex: sleeps only if the word is as expected, and forgets no wake that comes after that look.
#[derive(Default)]
struct Futex {
    inside: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    fn sleep(&self, word: &AtomicU32, expected: u32) {
        let guard = self.inside.lock().unwrap();
        if word.load(Ordering::Relaxed) == expected {
            drop(self.woken.wait(guard).unwrap());
        }
    }

    fn wake(&self) {
        let _guard = self.inside.lock().unwrap();
        self.woken.notify_one();
    }
}

// ---- publish and read ------------------------------------------------------------------------------------------------

/// One index word over two units of two words each; a unit is whole when its words are equal.
struct Entry {
    word: AtomicU64,
    units: [[AtomicU64; 2]; 2],
}

impl Entry {
    fn new() -> Self {
        Self { word: AtomicU64::new(0), units: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))) }
    }

    /// Writes value `n` into the unit that is free and publishes it. The lock is not modelled: there is one writer.
    fn write(&self, n: u64, fenced: bool, released: bool) {
        let unit = (n % 2) as usize;
        if fenced {
            before_reuse();
        }
        for word in &self.units[unit] {
            word.store(n, Ordering::Relaxed);
        }
        if released {
            publish(&self.word, unit as u32);
        } else {
            self.word.store(n << 32 | unit as u64, Ordering::Relaxed);
        }
    }

    fn copy(&self, word: u64) -> [u64; 2] {
        let unit = &self.units[word as u32 as usize];
        [unit[0].load(Ordering::Relaxed), unit[1].load(Ordering::Relaxed)]
    }
}

fn reads_are_whole(writes: u64, fenced: bool, released: bool, rechecked: bool) {
    let entry = Arc::new(Entry::new());
    let writer = {
        let entry = entry.clone();
        thread::spawn(move || {
            for n in 1..=writes {
                entry.write(n, fenced, released);
            }
        })
    };
    let seen = if rechecked {
        read(&entry.word, |word| (word >> 32, entry.copy(word)))
    } else {
        let word = entry.word.load(Ordering::Acquire);
        Ok::<_, Changed>((word >> 32, entry.copy(word)))
    };
    if let Ok((generation, [a, b])) = seen {
        assert_eq!(a, b, "torn");
        assert_eq!(a, generation, "another generation's value");
    }
    writer.join().unwrap();
}

#[test]
fn a_read_is_whole_or_it_is_changed() {
    explore(4, || reads_are_whole(2, true, true, true));
}

#[test]
fn without_the_release_fence_before_reuse_a_read_is_torn() {
    must_be_reported(4, || reads_are_whole(2, false, true, true));
}

#[test]
fn without_a_release_publish_a_read_sees_old_bytes() {
    // One write into a fresh unit, so that the publish alone orders the bytes.
    explore(4, || reads_are_whole(1, false, true, false));
    must_be_reported(4, || reads_are_whole(1, false, false, false));
}

#[test]
fn the_fences_of_reuse_and_of_the_second_look_do_not_stand_in_for_a_release_publish() {
    must_be_reported(4, || reads_are_whole(1, true, false, true));
}

#[test]
fn without_the_second_look_a_read_is_torn() {
    must_be_reported(4, || reads_are_whole(2, true, true, false));
}

#[test]
fn generations_only_grow() {
    explore(3, || {
        let entry = Arc::new(Entry::new());
        let writer = {
            let entry = entry.clone();
            thread::spawn(move || (1..=2).for_each(|n| entry.write(n, true, true)))
        };
        let first = entry.word.load(Ordering::Acquire) >> 32;
        let second = entry.word.load(Ordering::Acquire) >> 32;
        assert!(second >= first);
        writer.join().unwrap();
    });
}

/// The first load of a read, where it matters: bytes that were never there before. The reader is the thread that loom runs last:
/// it reorders a thread's load of a word behind another's store only where that thread has not just loaded the word itself.
fn a_read_that_begins_with(load: Ordering, rechecked: bool, writes: u64) {
    let entry = Arc::new(Entry::new());
    let reader = {
        let entry = entry.clone();
        thread::spawn(move || {
            let word = entry.word.load(load);
            let [a, b] = entry.copy(word);
            if !rechecked || recheck(&entry.word, word).is_ok() {
                assert!(a == b && a == word >> 32, "old bytes");
            }
        })
    };
    for n in 1..=writes {
        entry.write(n, true, true);
    }
    reader.join().unwrap();
}

#[test]
fn a_read_whose_first_load_does_not_acquire_sees_old_bytes() {
    explore(4, || a_read_that_begins_with(Ordering::Acquire, true, 1));
    explore(4, || a_read_that_begins_with(Ordering::Acquire, true, 3));
    // The fence of the second look does not mend it: it comes after the copy.
    must_be_reported(4, || a_read_that_begins_with(Ordering::Relaxed, true, 1));
}

#[test]
fn a_second_look_without_its_fence_lets_a_torn_read_pass() {
    must_be_reported(4, || {
        let entry = Arc::new(Entry::new());
        let writer = {
            let entry = entry.clone();
            thread::spawn(move || (1..=2).for_each(|n| entry.write(n, true, true)))
        };
        let word = entry.word.load(Ordering::Acquire);
        let [a, b] = entry.copy(word);
        if entry.word.load(Ordering::Relaxed) == word {
            assert_eq!(a, b, "torn");
            assert_eq!(a, word >> 32, "another generation's value");
        }
        writer.join().unwrap();
    });
}

// ---- the tail of a ring ----------------------------------------------------------------------------------------------

/// A ring of two messages of two words each: positions begin at its length, so that nothing is below 0.
struct Tail {
    reserved: AtomicU64,
    floor: AtomicU64,
    state: AtomicU64,
    words: [AtomicU64; 4],
}

const RING: u64 = 4;

/// What a broken variant leaves out.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    ReleaseFence,
    AcquireFence,
    ReleaseOfState,
    AcquireOfState,
    FloorBeforeState,
}

impl Tail {
    fn new() -> Self {
        Self {
            reserved: AtomicU64::new(RING),
            floor: AtomicU64::new(0),
            state: AtomicU64::new(RING),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn publish(&self, end: u64, without: Without) {
        match without {
            Without::ReleaseOfState => self.state.store(end, Ordering::Relaxed),
            _ => tail::publish(&self.state, end),
        }
    }

    /// Appends a message whose words are its end. The lock is not modelled: there is one writer.
    fn append(&self, without: Without) {
        let end = self.reserved.load(Ordering::Relaxed) + 2;
        match without {
            Without::ReleaseFence => self.reserved.store(end, Ordering::Relaxed),
            _ => tail::reserve(&self.reserved, end),
        }
        for position in end - 2..end {
            self.words[(position % RING) as usize].store(end, Ordering::Relaxed);
        }
        self.publish(end, without);
    }

    /// What a rebuild does.
    fn reset(&self, without: Without) {
        let next = self.reserved.load(Ordering::Relaxed) + RING;
        self.reserved.store(next, Ordering::Relaxed);
        if without == Without::FloorBeforeState {
            self.publish(next, without);
            self.floor.store(next, Ordering::Relaxed);
        } else {
            self.floor.store(next, Ordering::Relaxed);
            self.publish(next, without);
        }
    }

    /// Reads the newest message, if there is one that nobody has overwritten.
    fn read(&self, without: Without) {
        let (end, reserved) = match without {
            Without::AcquireOfState => (self.state.load(Ordering::Relaxed), u64::MAX),
            _ => tail::look(&self.state, &self.reserved),
        };
        assert!(reserved >= end, "reserved is behind what is published");
        let copy = [end - 2, end - 1].map(|at| self.words[(at % RING) as usize].load(Ordering::Relaxed));
        let reserved = match without {
            Without::AcquireFence => self.reserved.load(Ordering::Relaxed),
            _ => tail::reserved_after(&self.reserved),
        };
        let valid = (reserved - RING).max(self.floor.load(Ordering::Relaxed));
        if end > RING && end - 2 >= valid {
            assert_eq!(copy, [end; 2], "torn, or old");
        }
    }
}

fn messages_are_whole(messages: usize, resets: usize, without: Without) {
    let ring = Arc::new(Tail::new());
    // The reader is the thread that loom runs last: see `a_read_that_begins_with`.
    let reader = {
        let ring = ring.clone();
        thread::spawn(move || ring.read(without))
    };
    (0..resets).for_each(|_| ring.reset(without));
    (0..messages).for_each(|_| ring.append(without));
    reader.join().unwrap();
}

#[test]
fn a_message_is_whole_or_it_was_overwritten() {
    explore(3, || messages_are_whole(3, 0, Without::Nothing));
    explore(3, || messages_are_whole(1, 1, Without::Nothing));
}

#[test]
fn without_an_ordering_of_the_tail_a_message_is_torn_or_old() {
    // One message, so that the state alone orders its words.
    must_be_reported(3, || messages_are_whole(1, 0, Without::ReleaseOfState));
}

#[test]
fn a_state_that_is_not_acquired_shows_old_words() {
    must_be_reported(3, || messages_are_whole(1, 0, Without::AcquireOfState));
}

#[test]
fn words_that_are_overwritten_before_it_is_reserved_are_taken_for_a_message() {
    must_be_reported(3, || messages_are_whole(3, 0, Without::ReleaseFence));
}

#[test]
fn a_copy_that_is_not_finished_before_reserved_is_loaded_is_taken_for_a_message() {
    must_be_reported(3, || messages_are_whole(3, 0, Without::AcquireFence));
}

#[test]
fn what_lies_below_a_floor_that_comes_late_is_taken_for_a_message() {
    must_be_reported(3, || messages_are_whole(0, 1, Without::FloorBeforeState));
}

// ---- lock and unlock -------------------------------------------------------------------------------------------------

struct Shard {
    word: AtomicU32,
    futex: Futex,
    /// Guarded by the lock; loom reports any access that the lock does not order.
    data: UnsafeCell<u32>,
}

struct Party<'a> {
    slot: u16,
    shard: &'a Shard,
    /// Slots whose processes are dead.
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

fn shard(word: u32) -> Arc<Shard> {
    Arc::new(Shard { word: AtomicU32::new(word), futex: Futex::default(), data: UnsafeCell::new(0) })
}

fn increment(shard: &Shard) {
    shard.data.with_mut(|data| {
        // SAFETY: under the lock; that nobody else is here is what loom checks.
        unsafe { *data += 1 }
    });
}

/// A thread of the process of each of these slots increments once under the lock; `unlock` may be a broken one.
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

/// They have one slot and one generation: what tells them apart is only that the owner of such a word lives.
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
fn an_unlock_that_wakes_nobody_is_reported() {
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
fn an_abandoned_lock_is_a_suspect_and_a_living_holder_is_never_robbed() {
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
        // Whoever came second after the abandon got a suspect; nobody else did.
        assert_eq!(theirs, Acquired::Clean);
        assert_eq!(mine, if was_first { Acquired::Clean } else { Acquired::Suspect });
    });
}

/// A dead owner's last words, and the lease that the kernel drops afterwards.
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
        // The bounded sleep: nobody wakes those who wait for the dead.
        thread::yield_now();
    }

    fn wake_one(&self, _: &AtomicU32) {}
}

fn a_successor_sees_all_that_the_dead_wrote(drop_lease: Ordering) {
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
fn a_suspect_lock_comes_with_all_that_the_dead_owner_wrote() {
    explore(4, || a_successor_sees_all_that_the_dead_wrote(Ordering::Release));
}

#[test]
fn a_lease_that_orders_nothing_is_reported() {
    must_be_reported(4, || a_successor_sees_all_that_the_dead_wrote(Ordering::Relaxed));
}

/// `leave` is what a waiter does at its deadline. It may have been the one that was woken.
fn who_gives_up_passes_the_wake_on(leave: impl Fn(&Shard, &Party<'_>) + Copy + Send + Sync + 'static) {
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
    // Comes back before those it has woken.
    let _ = lock::lock(&shared.word, &party, &mut || false).unwrap();
    lock::unlock(&shared.word, &party);
    hasty.join().unwrap();
    waiter.join().unwrap();
}

#[test]
fn a_waiter_that_gives_up_after_a_wake_leaves_nobody_asleep() {
    explore(3, || {
        who_gives_up_passes_the_wake_on(|shard, party| {
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
fn a_waiter_that_gives_up_with_the_wake_is_reported() {
    must_be_reported(3, || {
        who_gives_up_passes_the_wake_on(|shard, party| {
            // As `lock`, but the deadline is looked at before the waiters' bit is set.
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

// ---- process slots ---------------------------------------------------------------------------------------------------

/// The slot that changes hands; the process in slot 0 meets its lock words.
const CHANGES_HANDS: u16 = 7;

/// A process with what it knows of that slot, and a shard.
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
        // Acquire: a system call that sees the kernel's release of the lease. The process in slot 0 lives.
        owner.slot == CHANGES_HANDS && slot::is_dead(self.generation, owner, || self.lease.load(Ordering::Acquire))
    }

    fn sleep(&self, _: &AtomicU32, _: u32) {
        // The bounded sleep: nobody wakes those who wait for the dead.
        thread::yield_now();
    }

    fn wake_one(&self, _: &AtomicU32) {}
}

/// A slot that was another's has a new owner, who takes a lock; so does a process in another slot, which must not take the
/// new owner for the dead one. `lock` may be a broken one.
fn a_new_owner_is_never_robbed(lock: impl Fn(&AtomicU32, &Process<'_>) -> Acquired + Copy + Send + Sync + 'static) {
    let shared = Arc::new((shard(0), AtomicU32::new(1), AtomicBool::new(true)));
    let run = move |me: Owner, (shard, generation, lease): &(Arc<Shard>, AtomicU32, AtomicBool)| {
        let process = Process { me, shard, generation, lease };
        assert_eq!(lock(&process.shard.word, &process), Acquired::Clean, "a living owner is robbed");
        increment(process.shard);
        lock::unlock(&process.shard.word, &process);
    };
    // The other is the thread that loom runs last: see `a_read_that_begins_with`.
    let other = {
        let shared = shared.clone();
        thread::spawn(move || run(Owner { slot: 0, generation: 1 }, &shared))
    };
    let generation = slot::enter(&shared.1);
    run(Owner { slot: CHANGES_HANDS, generation }, &shared);
    other.join().unwrap();
}

fn take(word: &AtomicU32, process: &Process<'_>) -> Acquired {
    lock::lock(word, process, &mut || false).unwrap()
}

#[test]
fn the_new_owner_of_a_slot_is_never_taken_for_the_dead_one() {
    explore(4, || a_new_owner_is_never_robbed(take));
}

#[test]
fn a_lock_that_is_taken_without_a_release_is_robbed() {
    must_be_reported(4, || {
        a_new_owner_is_never_robbed(|word, process| {
            let mine = process.me().word();
            match word.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => Acquired::Clean,
                Err(_) => take(word, process),
            }
        });
    });
}

#[test]
fn an_owner_that_is_looked_at_without_an_acquire_is_robbed() {
    must_be_reported(4, || {
        a_new_owner_is_never_robbed(|word, process| {
            let held = word.load(Ordering::Relaxed);
            if held != 0 && process.is_dead(Owner::of(held)) {
                return Acquired::Suspect;
            }
            take(word, process)
        });
    });
}

/// A dead owner's slot gets its next one while somebody meets the lock that it held. However it sees the death, it sees all that
/// the dead wrote.
fn the_generation_comes_with_all_that_the_dead_wrote(enter: impl Fn(&AtomicU32) -> u32 + Copy + Send + Sync + 'static) {
    let dead = Owner { slot: CHANGES_HANDS, generation: 1 };
    let shared = Arc::new((shard(dead.word()), AtomicU32::new(1), AtomicBool::new(true)));
    let dying = {
        let shared = shared.clone();
        thread::spawn(move || {
            increment(&shared.0);
            // Release: what the kernel's release of the lease does.
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
fn a_generation_that_has_moved_comes_with_all_that_the_dead_owner_wrote() {
    explore(3, || the_generation_comes_with_all_that_the_dead_wrote(slot::enter));
}

#[test]
fn a_generation_that_is_moved_without_a_release_is_reported() {
    must_be_reported(3, || {
        the_generation_comes_with_all_that_the_dead_wrote(|generation| {
            generation.store(2, Ordering::Relaxed);
            2
        });
    });
}

// ---- the end of a segment --------------------------------------------------------------------------------------------

const IN_USE: u32 = 1;
const GIVEN_UP: u32 = 2;

/// A reader that sees the epoch of the end does not take the segment for one in use.
fn the_last_epoch_comes_with_the_state(
    give_up: impl Fn(&AtomicU32, &AtomicU32) + Copy + Send + Sync + 'static,
    load: impl Fn(&AtomicU32) -> u32 + Copy + Send + Sync + 'static,
) {
    let shared = Arc::new((AtomicU32::new(IN_USE), AtomicU32::new(1)));
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || {
            let (state, epoch) = &*shared;
            load(epoch) == 2 && ending::state_of(state) == IN_USE
        })
    };
    let (state, epoch) = &*shared;
    give_up(state, epoch);
    // As a read of a handle begins.
    let handle = SeenEpoch::default();
    assert_eq!(handle.epoch(epoch, || ending::state_of(state) == IN_USE), None);
    assert!(!reader.join().unwrap(), "the segment has ended, and is taken for one in use");
}

fn give_up(state: &AtomicU32, epoch: &AtomicU32) {
    ending::give_up(state, GIVEN_UP, epoch);
}

#[test]
fn who_sees_the_epoch_of_a_segments_end_sees_its_state() {
    explore(4, || the_last_epoch_comes_with_the_state(give_up, ending::epoch_of));
}

#[test]
fn an_end_whose_epoch_is_not_acquired_is_reported() {
    must_be_reported(4, || the_last_epoch_comes_with_the_state(give_up, |epoch| epoch.load(Ordering::Relaxed)));
}

#[test]
fn an_end_whose_epoch_does_not_release_is_reported() {
    must_be_reported(4, || {
        the_last_epoch_comes_with_the_state(
            |state, epoch| {
                state.store(GIVEN_UP, Ordering::Release);
                epoch.fetch_add(1, Ordering::Relaxed);
            },
            ending::epoch_of,
        );
    });
}

#[test]
fn an_end_whose_epoch_moves_before_its_state_is_reported() {
    must_be_reported(4, || {
        the_last_epoch_comes_with_the_state(
            |state, epoch| {
                epoch.fetch_add(1, Ordering::AcqRel);
                state.store(GIVEN_UP, Ordering::Release);
            },
            ending::epoch_of,
        );
    });
}

/// A handle is detached while a thread of its process looks, which found the segment in use before.
#[test]
fn a_handle_that_was_detached_stays_so() {
    explore(4, || {
        let shared = Arc::new((SeenEpoch::default(), AtomicU32::new(1)));
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (handle, epoch) = &*shared;
                handle.epoch(epoch, || !handle.is_detached())
            })
        };
        let (handle, epoch) = &*shared;
        assert!(handle.detach(), "the first to see it");
        assert_eq!(handle.epoch(epoch, || !handle.is_detached()), None);
        reader.join().unwrap();
        assert_eq!(handle.epoch(epoch, || !handle.is_detached()), None);
        assert!(!handle.detach(), "told once");
    });
}

#[test]
fn a_reader_that_notes_its_epoch_whatever_has_happened_meanwhile_is_reported() {
    must_be_reported(4, || {
        let shared = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (seen, detached) = &*shared;
                if !detached.load(Ordering::Relaxed) {
                    seen.store(1, Ordering::Relaxed);
                }
            })
        };
        let (seen, detached) = &*shared;
        detached.store(true, Ordering::Relaxed);
        seen.store(0, Ordering::Relaxed);
        reader.join().unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 0, "what is detached is believed again");
    });
}

// ---- the index while it is divided -----------------------------------------------------------------------------------

/// A line and the one that a division adds, each with one word and its count, and one word for what overflows. Two keys are there
/// all the time: `1`, which goes to the new line, and `2`, which found its line full.
struct Index {
    level: AtomicU8,
    words: [AtomicU64; 2],
    counts: [AtomicU8; 2],
    overflow: AtomicU64,
}

/// What a broken division, or a broken search, does.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    LevelIsNotReleased,
    LevelIsNotAcquired,
    LevelIsLoadedOnce,
    EmptiesBeforeTheLevel,
    EmptiesWithoutRelease,
    LowersWithoutRelease,
    DoesNotAcquireCounts,
}

impl Index {
    fn new() -> Self {
        Self {
            level: AtomicU8::new(0),
            words: [AtomicU64::new(1), AtomicU64::new(0)],
            counts: [AtomicU8::new(1), AtomicU8::new(0)],
            overflow: AtomicU64::new(2),
        }
    }

    /// As `divide` does it. The lock is not modelled: there is one writer.
    fn divide(&self, broken: Broken) {
        publish(&self.words[1], 1);
        assert!(index::raise(&self.counts[1]));
        if broken == Broken::EmptiesBeforeTheLevel {
            publish(&self.words[0], 0);
        }
        match broken {
            Broken::LevelIsNotReleased => self.level.store(1, Ordering::Relaxed),
            _ => index::divided(&self.level, 1),
        }
        match broken {
            Broken::EmptiesWithoutRelease => self.words[0].store(1 << 32, Ordering::Relaxed),
            _ => drop(publish(&self.words[0], 0)),
        }
        match broken {
            Broken::LowersWithoutRelease => self.counts[0].store(0, Ordering::Relaxed),
            _ => assert!(index::lower(&self.counts[0])),
        }
    }

    fn find(&self, key: u32, broken: Broken) -> Option<()> {
        let level = || {
            u32::from(match broken {
                Broken::LevelIsNotAcquired => self.level.load(Ordering::Relaxed),
                _ => index::level(&self.level),
            })
        };
        let look = |by| self.look(key, by as usize, broken);
        if broken == Broken::LevelIsLoadedOnce { look(level()) } else { index::search(level, look) }
    }

    /// As `search_path` does it.
    fn look(&self, key: u32, line: usize, broken: Broken) -> Option<()> {
        let is_key = |word: &AtomicU64| word.load(Ordering::Acquire) as u32 == key;
        if is_key(&self.words[line]) {
            return Some(());
        }
        let goes_on = match broken {
            Broken::DoesNotAcquireCounts => self.counts[line].load(Ordering::Relaxed) != 0,
            _ => index::goes_on(&self.counts[line]),
        };
        (goes_on && is_key(&self.overflow)).then_some(())
    }
}

fn a_key_that_is_there_is_found(key: u32, broken: Broken) {
    let shared = Arc::new(Index::new());
    // The reader is the thread that loom runs last: see `a_read_that_begins_with`.
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.find(key, broken))
    };
    shared.divide(broken);
    assert!(reader.join().unwrap().is_some(), "a key is missed that was there all the time");
    assert!(shared.find(key, Broken::Nothing).is_some());
}

/// Keys: one that moves, and one that overflowed.
const MOVES: u32 = 1;
const OVERFLOWED: u32 = 2;

#[test]
fn while_the_index_is_divided_every_key_is_found() {
    explore(4, || a_key_that_is_there_is_found(MOVES, Broken::Nothing));
    explore(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::Nothing));
}

#[test]
fn a_level_that_does_not_release_loses_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::LevelIsNotReleased));
}

#[test]
fn a_level_that_is_not_acquired_loses_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::LevelIsNotAcquired));
}

#[test]
fn a_level_that_is_not_looked_at_again_loses_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::LevelIsLoadedOnce));
}

#[test]
fn words_that_are_emptied_before_the_level_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::EmptiesBeforeTheLevel));
}

#[test]
fn words_that_are_emptied_without_a_release_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(MOVES, Broken::EmptiesWithoutRelease));
}

#[test]
fn counts_that_are_lowered_without_a_release_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::LowersWithoutRelease));
}

#[test]
fn counts_that_are_not_acquired_lose_a_key() {
    must_be_reported(4, || a_key_that_is_there_is_found(OVERFLOWED, Broken::DoesNotAcquireCounts));
}

// ---- tags ------------------------------------------------------------------------------------------------------------

/// The clock, the floor, a table of one place, and an entry that is there all the time and has the tag of hash 1.
struct Tags {
    /// When the entry was made.
    stamp: u64,
    clock: AtomicU64,
    floor: AtomicU64,
    hash: AtomicU64,
    removed: AtomicU64,
    outdated: AtomicU64,
}

/// What is left out, or done in another order.
#[derive(Clone, Copy, PartialEq)]
enum Lacking {
    Nothing,
    ReleaseOfClock,
    AcquireOfClock,
    ClockBeforeRecord,
    FloorBeforePlace,
    ReleaseOfPlace,
    AcquireOfPlace,
    SecondLook,
    FloorAfterRecord,
}

impl Tags {
    fn new(stamp: u64, clock: u64, removed: u64) -> Self {
        Self {
            stamp,
            clock: AtomicU64::new(clock),
            floor: AtomicU64::new(0),
            hash: AtomicU64::new(1),
            removed: AtomicU64::new(removed),
            outdated: AtomicU64::new(0),
        }
    }

    fn place(&self) -> Record<'_> {
        Record { hash: &self.hash, removed: &self.removed, outdated: &self.outdated }
    }

    /// As `invalidate` does it. The lock is not modelled: there is one invalidator.
    fn invalidate(&self, hash: u64, lacking: Lacking) {
        let now = tag_clock::begin(&self.clock);
        if self.hash.load(Ordering::Relaxed) != hash {
            self.give_away(hash, lacking);
        }
        tag_clock::note(&self.removed, now);
        match lacking {
            Lacking::ReleaseOfClock => self.clock.store(now + 1, Ordering::Relaxed),
            _ => tag_clock::end(&self.clock, now),
        }
    }

    fn give_away(&self, hash: u64, lacking: Lacking) {
        let oldest = self.place().latest();
        if lacking != Lacking::FloorBeforePlace {
            tag_clock::raise_floor(&self.floor, oldest);
        }
        if lacking == Lacking::ReleaseOfPlace {
            self.hash.store(0, Ordering::Relaxed);
            self.removed.store(0, Ordering::Relaxed);
            self.hash.store(hash, Ordering::Relaxed);
        } else {
            self.place().replace(hash);
        }
        if lacking == Lacking::FloorBeforePlace {
            tag_clock::raise_floor(&self.floor, oldest);
        }
    }

    /// Whether the entry is dead, as `fate` finds it.
    fn is_dead(&self, lacking: Lacking) -> bool {
        let early_floor = tag_clock::floor_of(&self.floor);
        let record = match lacking {
            Lacking::AcquireOfPlace => {
                let removed = self.removed.load(Ordering::Relaxed);
                (self.hash.load(Ordering::Relaxed) == 1).then_some((removed, 0))
            }
            Lacking::SecondLook => {
                (self.hash.load(Ordering::Acquire) == 1).then(|| (self.removed.load(Ordering::Acquire), 0))
            }
            _ => self.place().of(1),
        };
        let floor = match lacking {
            Lacking::FloorAfterRecord => early_floor,
            _ => tag_clock::floor_of(&self.floor),
        };
        record.map_or(0, |(removed, _)| removed).max(floor) > self.stamp
    }

    /// Reads the entry. The clock that a near copy of it keeps, if it may be kept.
    fn read(&self, lacking: Lacking) -> Option<u64> {
        let load = || match lacking {
            Lacking::AcquireOfClock => self.clock.load(Ordering::Relaxed),
            _ => tag_clock::now(&self.clock),
        };
        let early = load();
        let is_dead = self.is_dead(lacking);
        let clock = if lacking == Lacking::ClockBeforeRecord { load() } else { early };
        (!is_dead && clock & 1 == 0).then_some(clock)
    }
}

/// A near copy is kept while its tag is invalidated.
fn no_near_copy_outlives_an_invalidation(lacking: Lacking) {
    let shared = Arc::new(Tags::new(0, 0, 0));
    // The reader is the thread that loom runs last: see `a_read_that_begins_with`.
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.read(lacking))
    };
    shared.invalidate(1, lacking);
    let kept = reader.join().unwrap();
    assert_ne!(kept, Some(tag_clock::now(&shared.clock)), "a near copy of a dead entry is valid");
    assert!(shared.is_dead(Lacking::Nothing));
}

/// The tag was invalidated before, after the entry was made; now another one needs its place.
fn no_entry_comes_to_life_again(lacking: Lacking) {
    let shared = Arc::new(Tags::new(0, 2, 1));
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.is_dead(lacking))
    };
    shared.invalidate(5, lacking);
    assert!(reader.join().unwrap(), "the record was given away, and the floor is not seen");
    assert!(shared.is_dead(Lacking::Nothing));
}

/// The same, but the entry was made since its tag was invalidated.
fn no_entry_dies_with_another_tag(lacking: Lacking) {
    let shared = Arc::new(Tags::new(2, 2, 1));
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.is_dead(lacking))
    };
    shared.invalidate(5, lacking);
    assert!(!reader.join().unwrap(), "another tag's record is taken for the entry's");
    assert!(!shared.is_dead(Lacking::Nothing));
}

#[test]
fn no_near_copy_outlives_the_invalidation_of_its_tag() {
    explore(4, || no_near_copy_outlives_an_invalidation(Lacking::Nothing));
}

#[test]
fn a_clock_that_does_not_release_leaves_a_near_copy_valid() {
    must_be_reported(4, || no_near_copy_outlives_an_invalidation(Lacking::ReleaseOfClock));
}

#[test]
fn a_clock_that_is_not_acquired_leaves_a_near_copy_valid() {
    must_be_reported(4, || no_near_copy_outlives_an_invalidation(Lacking::AcquireOfClock));
}

#[test]
fn a_clock_that_is_loaded_after_the_record_leaves_a_near_copy_valid() {
    must_be_reported(4, || no_near_copy_outlives_an_invalidation(Lacking::ClockBeforeRecord));
}

#[test]
fn an_invalidated_entry_stays_dead_when_its_record_is_given_away() {
    explore(4, || no_entry_comes_to_life_again(Lacking::Nothing));
}

#[test]
fn a_floor_that_is_raised_late_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::FloorBeforePlace));
}

#[test]
fn a_place_that_is_given_away_without_a_release_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::ReleaseOfPlace));
}

#[test]
fn a_place_that_is_not_acquired_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::AcquireOfPlace));
}

#[test]
fn an_entry_does_not_die_when_the_record_of_its_tag_is_given_away() {
    explore(4, || no_entry_dies_with_another_tag(Lacking::Nothing));
}

#[test]
fn a_record_whose_hash_is_looked_at_once_kills_an_entry_of_another_tag() {
    must_be_reported(4, || no_entry_dies_with_another_tag(Lacking::SecondLook));
}

#[test]
fn a_floor_that_is_loaded_before_the_record_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::FloorAfterRecord));
}

// ---- bells -----------------------------------------------------------------------------------------------------------

struct Stripe {
    key: AtomicU64,
    marks: AtomicU64,
    rung: AtomicU64,
    bell: AtomicU32,
    futex: Futex,
}

fn nobody_sleeps_through_a_set(writer_fenced: bool, bell_first: bool) {
    let shared = Arc::new(Stripe {
        key: AtomicU64::new(0),
        marks: AtomicU64::new(0),
        rung: AtomicU64::new(0),
        bell: AtomicU32::new(0),
        futex: Futex::default(),
    });
    let writer = {
        let s = shared.clone();
        thread::spawn(move || {
            publish(&s.key, 1);
            if writer_fenced {
                bell::after_publish();
            }
            if bell::marked(&s.marks) != 0 {
                bell::ring(&s.rung, 0, &s.bell);
                s.futex.wake();
            }
        })
    };
    bell::mark(&shared.marks, 0);
    let is_there = || shared.key.load(Ordering::Acquire) as u32 == 1;
    loop {
        let seen = if bell_first { Some(bell::load(&shared.bell)) } else { None };
        if is_there() {
            break;
        }
        shared.futex.sleep(&shared.bell, seen.unwrap_or_else(|| bell::load(&shared.bell)));
    }
    writer.join().unwrap();
}

#[test]
fn a_waiter_sees_the_key_or_is_woken() {
    explore(4, || nobody_sleeps_through_a_set(true, true));
}

#[test]
fn a_writer_without_the_full_fence_leaves_a_waiter_asleep() {
    must_be_reported(4, || nobody_sleeps_through_a_set(false, true));
}

#[test]
fn a_waiter_that_loads_its_bell_after_the_look_sleeps_for_ever() {
    must_be_reported(4, || nobody_sleeps_through_a_set(true, false));
}

/// Two writers ring one bit; who takes it has to see what both have published before, the one that found it set, too.
fn who_takes_the_bit_sees_all(ring: impl Fn(&AtomicU64, &AtomicU32) + Copy + Send + Sync + 'static, take: Ordering) {
    let shared = Arc::new((AtomicU64::new(0), AtomicU32::new(0), [AtomicU64::new(0), AtomicU64::new(0)]));
    let writers: Vec<_> = (0..2)
        .map(|i| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (rung, bell, items) = &*shared;
                items[i].store(1, Ordering::Relaxed);
                ring(rung, bell);
            })
        })
        .collect();
    let (rung, _, items) = &*shared;
    let taken = rung.swap(0, take);
    let seen: u64 = items.iter().map(|item| item.load(Ordering::Relaxed)).sum();
    for writer in writers {
        writer.join().unwrap();
    }
    if taken != 0 && rung.load(Ordering::Relaxed) == 0 {
        assert_eq!(seen, 2, "the bit is taken, and nobody will look again");
    }
}

#[test]
fn who_takes_a_bit_sees_what_was_published_before_it_was_set_or_set_again() {
    // Acquire: as `Member::take_rung_rings` takes it.
    explore(3, || who_takes_the_bit_sees_all(ring_once, Ordering::Acquire));
    must_be_reported(3, || who_takes_the_bit_sees_all(ring_once, Ordering::Relaxed));
}

#[test]
fn a_bit_that_is_set_without_a_release_is_reported() {
    must_be_reported(3, || {
        who_takes_the_bit_sees_all(
            |rung, _| {
                rung.fetch_or(1, Ordering::Relaxed);
            },
            Ordering::Acquire,
        );
    });
}

fn ring_once(rung: &AtomicU64, bell: &AtomicU32) {
    let _ = bell::ring_once(rung, 0, bell);
}

/// The checker itself: with full fences on both sides, one of two sees the other.
#[test]
fn loom_knows_sequentially_consistent_fences() {
    explore(4, || {
        let words = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let other = {
            let words = words.clone();
            thread::spawn(move || {
                words[0].store(1, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                words[1].load(Ordering::Relaxed)
            })
        };
        words[1].store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mine = words[0].load(Ordering::Relaxed);
        assert!(mine + other.join().unwrap() > 0);
    });
}
