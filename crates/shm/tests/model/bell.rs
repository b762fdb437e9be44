//! Bells: a waiter sees the key or is woken.

use crate::slot::take;
use crate::{Futex, explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::bell;
use cache_machine_shm::publish::publish;
use loom::sync::Arc;
use loom::thread;

struct Stripe {
    key: AtomicU64,
    marks: AtomicU64,
    changed: AtomicU64,
    bell: AtomicU32,
    futex: Futex,
}

fn no_waiter_sleeps_through_a_set(writer_fenced: bool, bell_first: bool) {
    let shared = Arc::new(Stripe {
        key: AtomicU64::new(0),
        marks: AtomicU64::new(0),
        changed: AtomicU64::new(0),
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
                bell::move_bell(&s.changed, 0, &s.bell);
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
    explore(4, || no_waiter_sleeps_through_a_set(true, true));
}

#[test]
fn a_writer_without_the_full_fence_leaves_a_waiter_asleep() {
    must_be_reported(4, || no_waiter_sleeps_through_a_set(false, true));
}

#[test]
fn a_waiter_that_loads_its_bell_after_the_check_sleeps_for_ever() {
    must_be_reported(4, || no_waiter_sleeps_through_a_set(true, false));
}

/// Two writers set one bit. The thread that takes the bit must see the items of both, also of the writer that found it
/// set.
fn the_taker_of_the_bit_sees_all(
    notify: impl Fn(&AtomicU64, &AtomicU32) + Copy + Send + Sync + 'static,
    take: Ordering,
) {
    let shared = Arc::new((AtomicU64::new(0), AtomicU32::new(0), [AtomicU64::new(0), AtomicU64::new(0)]));
    let writers: Vec<_> = (0..2)
        .map(|i| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (changed, bell, items) = &*shared;
                items[i].store(1, Ordering::Relaxed);
                notify(changed, bell);
            })
        })
        .collect();
    let (changed, _, items) = &*shared;
    let taken = changed.swap(0, take);
    let seen: u64 = items.iter().map(|item| item.load(Ordering::Relaxed)).sum();
    for writer in writers {
        writer.join().unwrap();
    }
    if taken != 0 && changed.load(Ordering::Relaxed) == 0 {
        assert_eq!(seen, 2, "the bit is taken, and no thread will check again");
    }
}

#[test]
fn the_taker_of_a_bit_sees_all_that_was_published_before_it_was_set_or_set_again() {
    // Acquire: as `Member::take_changed_rings` takes it.
    explore(3, || the_taker_of_the_bit_sees_all(move_once, Ordering::Acquire));
    must_be_reported(3, || the_taker_of_the_bit_sees_all(move_once, Ordering::Relaxed));
}

#[test]
fn a_bit_that_is_set_without_a_release_is_reported() {
    must_be_reported(3, || {
        the_taker_of_the_bit_sees_all(
            |changed, _| {
                changed.fetch_or(1, Ordering::Relaxed);
            },
            Ordering::Acquire,
        );
    });
}

fn move_once(changed: &AtomicU64, bell: &AtomicU32) {
    let _ = bell::move_once(changed, 0, bell);
}
