//! The tail of a ring of messages.

use crate::{explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::publish::{publish, read};
use cache_machine_shm::tail;
use loom::sync::Arc;
use loom::thread;

/// A ring of two messages of two words each. Positions begin at its length, so none is below 0.
struct Tail {
    reserved: AtomicU64,
    floor: AtomicU64,
    state: AtomicU64,
    words: [AtomicU64; 4],
}

const RING: u64 = 4;

/// The part that a broken variant leaves out.
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

    /// Appends a message with its end in each word. The lock is not modelled: there is one writer.
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

    /// Resets the ring, as a rebuild does.
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

    /// Reads the newest message, if there is one that was not overwritten.
    fn read(&self, without: Without) {
        let (end, reserved) = match without {
            Without::AcquireOfState => (self.state.load(Ordering::Relaxed), u64::MAX),
            _ => tail::look(&self.state, &self.reserved),
        };
        assert!(reserved >= end, "reserved is behind the state");
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
    // The reader is the thread that loom runs last: see `a_read_that_begins_with` in `publish.rs`.
    let reader = {
        let ring = ring.clone();
        thread::spawn(move || ring.read(without))
    };
    (0..resets).for_each(|_| ring.reset(without));
    (0..messages).for_each(|_| ring.append(without));
    reader.join().unwrap();
}

#[test]
fn a_message_is_whole_or_was_overwritten() {
    explore(3, || messages_are_whole(3, 0, Without::Nothing));
    explore(3, || messages_are_whole(1, 1, Without::Nothing));
}

#[test]
fn a_message_is_torn_or_old_without_a_released_state() {
    // One message, so that the state alone orders its words.
    must_be_reported(3, || messages_are_whole(1, 0, Without::ReleaseOfState));
}

#[test]
fn a_state_that_is_not_acquired_shows_old_words() {
    must_be_reported(3, || messages_are_whole(1, 0, Without::AcquireOfState));
}

#[test]
fn words_that_are_overwritten_before_the_reservation_are_taken_for_a_message() {
    must_be_reported(3, || messages_are_whole(3, 0, Without::ReleaseFence));
}

#[test]
fn a_copy_that_ends_after_the_load_of_reserved_is_taken_for_a_message() {
    must_be_reported(3, || messages_are_whole(3, 0, Without::AcquireFence));
}

#[test]
fn words_below_a_floor_that_is_stored_late_are_taken_for_a_message() {
    must_be_reported(3, || messages_are_whole(0, 1, Without::FloorBeforeState));
}
