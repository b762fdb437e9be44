//! The end of a segment.

use crate::{explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::ending::{self, SeenEpoch};
use loom::sync::Arc;
use loom::thread;

const IN_USE: u32 = 1;

const GIVEN_UP: u32 = 2;

/// A reader that sees the last epoch does not take the segment for one in use.
fn the_last_epoch_shows_the_state(
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
    // As at the beginning of a read.
    let handle = SeenEpoch::default();
    assert_eq!(handle.epoch(epoch, || ending::state_of(state) == IN_USE), None);
    assert!(!reader.join().unwrap(), "the segment has ended, and is taken for one in use");
}

fn give_up(state: &AtomicU32, epoch: &AtomicU32) {
    ending::give_up(state, GIVEN_UP, epoch);
}

#[test]
fn a_reader_of_the_last_epoch_sees_the_state_of_the_end() {
    explore(4, || the_last_epoch_shows_the_state(give_up, ending::epoch_of));
}

#[test]
fn an_end_with_an_epoch_that_is_not_acquired_is_reported() {
    must_be_reported(4, || the_last_epoch_shows_the_state(give_up, |epoch| epoch.load(Ordering::Relaxed)));
}

#[test]
fn an_end_with_an_epoch_that_does_not_release_is_reported() {
    must_be_reported(4, || {
        the_last_epoch_shows_the_state(
            |state, epoch| {
                state.store(GIVEN_UP, Ordering::Release);
                epoch.fetch_add(1, Ordering::Relaxed);
            },
            ending::epoch_of,
        );
    });
}

#[test]
fn an_end_with_an_epoch_that_moves_before_its_state_is_reported() {
    must_be_reported(4, || {
        the_last_epoch_shows_the_state(
            |state, epoch| {
                epoch.fetch_add(1, Ordering::AcqRel);
                state.store(GIVEN_UP, Ordering::Release);
            },
            ending::epoch_of,
        );
    });
}

/// A handle is detached while a thread of its process, which found the segment in use, notes the epoch.
#[test]
fn a_detached_handle_stays_detached() {
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
        assert!(handle.detach(), "the first detach");
        assert_eq!(handle.epoch(epoch, || !handle.is_detached()), None);
        reader.join().unwrap();
        assert_eq!(handle.epoch(epoch, || !handle.is_detached()), None);
        assert!(!handle.detach(), "only the first detach counts");
    });
}

#[test]
fn a_reader_that_notes_its_epoch_unconditionally_is_reported() {
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
        assert_eq!(seen.load(Ordering::Relaxed), 0, "a detached handle is valid again");
    });
}
