//! Bells: how a writer wakes the processes that wait for a key, without a lock and without a lost wake-up.
//!
//! ```text
//! waiter                          writer
//! mark its slot in the stripe     publish the index word
//! full fence                      full fence
//! load its bell                   read the stripe's marks
//! check the key                   for each marked slot: note the stripe, move its bell, wake it
//! sleep while the bell is as loaded
//! ```
//!
//! One of the two full fences comes first, so either the waiter sees the key or the writer sees the mark. The bell is loaded
//! *before* the check: a move between the check and the sleep makes the sleep return at once.
//!
//! Caution: a writer may die between its publish and the wake-up, so a waiter also checks every 50 ms.

use crate::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::steps::step;

/// Sets the caller's bit among the marks of a stripe. From now on, changes of the stripe's keys move its bell.
pub fn mark(marks: &AtomicU64, bit: u32) {
    marks.fetch_or(1 << bit, Ordering::Relaxed);
    step("bell.marked");
    // SeqCst: pairs with the fence in `after_publish`. Either the writer sees the mark or this process sees the published word.
    fence(Ordering::SeqCst);
}

/// Clears the caller's bit.
pub fn unmark(marks: &AtomicU64, bit: u32) {
    marks.fetch_and(!(1 << bit), Ordering::Relaxed);
}

/// The writer's full fence, after its publish and before it reads the marks.
#[inline]
pub fn after_publish() {
    // SeqCst: pairs with the fence in `mark`.
    // mutant: publish-without-fence
    fence(Ordering::SeqCst);
}

/// The slots that listen. The writer calls it after `after_publish`.
#[inline]
pub fn marked(marks: &AtomicU64) -> u64 {
    marks.load(Ordering::Relaxed)
}

/// Notes the stripe for its listener and moves its bell. The caller wakes the bell's futex afterwards.
pub fn move_bell(changed: &AtomicU64, stripe_bit: u32, bell: &AtomicU32) {
    changed.fetch_or(1 << stripe_bit, Ordering::Relaxed);
    step("bell.rung");
    // Release: pairs with the Acquire in `load`; a listener that sees the bell move sees the stripe and the entry.
    bell.fetch_add(1, Ordering::Release);
    step("bell.moved");
}

/// Like `move_bell`, for a listener that reads all that is new once it wakes. True: the caller must wake it. Where the bit was set
/// already, its setter wakes the listener; if the setter has died, the listener's periodic check finds the change.
pub fn move_once(changed: &AtomicU64, bit: u32, bell: &AtomicU32) -> bool {
    // AcqRel: the Release pairs with the Acquire of the listener's swap, also through changes of other writers in between. The
    // listener that takes the bit sees everything published before the bit was set, the first time or again.
    let before = changed.fetch_or(1 << bit, Ordering::AcqRel);
    step("bell.rung");
    // Release: as in `move_bell`.
    bell.fetch_add(1, Ordering::Release);
    step("bell.moved");
    before >> bit & 1 == 0
}

/// The value to sleep on. A listener loads it before it checks its keys.
pub fn load(bell: &AtomicU32) -> u32 {
    // Acquire: pairs with the Release in `move_bell` and `move_once`.
    bell.load(Ordering::Acquire)
}

#[cfg(not(cache_machine_loom))]
pub use futex_event::{BellListener, FutexEvent};

#[cfg(not(cache_machine_loom))]
mod futex_event {
    use super::*;
    use crate::os;
    use raw_sync::Timeout;
    use raw_sync::events::{EventImpl, EventInit, EventState};
    use std::error::Error;
    use std::marker::PhantomData;
    use std::time::Duration;

    /// raw_sync's event interface over one shared futex word: a counter that `set` moves and `wait` observes.
    ///
    /// It replaces the crate's own event, which hangs all its users for ever once one of them is killed. A word has no owner, so
    /// a death leaves nothing behind. Each instance remembers the value that it saw last. A signal before `wait` is therefore
    /// not lost, whatever `auto_reset` says.
    pub struct FutexEvent {
        word: *const AtomicU32,
        seen: AtomicU32,
    }

    impl FutexEvent {
        fn word(&self) -> &AtomicU32 {
            // SAFETY: aligned, and outlives the event: `new` and `from_existing` require it and align the pointer; a
            // `BellListener` borrows the word.
            unsafe { &*self.word }
        }

        fn over_word(word: *const AtomicU32) -> Self {
            let event = FutexEvent { word, seen: AtomicU32::new(0) };
            event.seen.store(load(event.word()), Ordering::Relaxed);
            event
        }

        /// # Safety
        /// As for `EventInit::new`: `mem` has at least `size_of` writable bytes that outlive the event.
        unsafe fn over(mem: *mut u8) -> (Box<dyn EventImpl>, usize) {
            let padding = mem.align_offset(4);
            // SAFETY: `size_of` includes the padding.
            let word = unsafe { mem.add(padding) }.cast::<AtomicU32>().cast_const();
            (Box::new(Self::over_word(word)), padding + 4)
        }
    }

    /// The listener's end of a bell. A wake-up since it was made, or since the last wait ended, ends the next wait at once.
    pub struct BellListener<'w> {
        event: FutexEvent,
        _word: PhantomData<&'w AtomicU32>,
    }

    impl<'w> BellListener<'w> {
        pub(crate) fn new(word: &'w AtomicU32) -> Self {
            Self { event: FutexEvent::over_word(word), _word: PhantomData }
        }

        /// Waits until the bell moves, at most `limit`. True if it moved.
        pub fn wait(&self, limit: Duration) -> bool {
            self.event.wait(Timeout::Val(limit)).is_ok()
        }
    }

    impl EventInit for FutexEvent {
        fn size_of(addr: Option<*mut u8>) -> usize {
            4 + addr.map_or(3, |mem| mem.align_offset(4))
        }

        unsafe fn new(mem: *mut u8, _auto_reset: bool) -> Result<(Box<dyn EventImpl>, usize), Box<dyn Error>> {
            // SAFETY: the caller's promise is passed on. Any value of the word is a valid start.
            Ok(unsafe { Self::over(mem) })
        }

        unsafe fn from_existing(mem: *mut u8) -> Result<(Box<dyn EventImpl>, usize), Box<dyn Error>> {
            // SAFETY: the caller's promise is passed on.
            Ok(unsafe { Self::over(mem) })
        }
    }

    impl EventImpl for FutexEvent {
        fn wait(&self, timeout: Timeout) -> Result<(), Box<dyn Error>> {
            let limit = match timeout {
                Timeout::Infinite => None,
                Timeout::Val(limit) => Some(limit),
            };
            let start = std::time::Instant::now();
            loop {
                let seen = self.seen.load(Ordering::Relaxed);
                let now = load(self.word());
                if now != seen {
                    self.seen.store(now, Ordering::Relaxed);
                    return Ok(());
                }
                let left = limit.map_or(Duration::from_secs(3600), |l| l.saturating_sub(start.elapsed()));
                if left.is_zero() {
                    return Err("timed out".into());
                }
                os::futex_wait(self.word(), seen, left);
            }
        }

        fn set(&self, state: EventState) -> Result<(), Box<dyn Error>> {
            match state {
                EventState::Clear => self.seen.store(load(self.word()), Ordering::Relaxed),
                EventState::Signaled => {
                    // Release: pairs with the Acquire in `load`.
                    self.word().fetch_add(1, Ordering::Release);
                    os::futex_wake(self.word(), i32::MAX);
                }
            }
            Ok(())
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_signal_before_the_wait_is_not_lost_and_a_missing_one_times_out_in_full() {
            let mut memory = [0u8; 16];
            assert!(FutexEvent::size_of(None) <= 16);
            // SAFETY: `memory` is long enough and outlives both events.
            let (waiter, _) = unsafe { FutexEvent::new(memory.as_mut_ptr(), true) }.unwrap();
            // SAFETY: as above.
            let (setter, _) = unsafe { FutexEvent::from_existing(memory.as_mut_ptr()) }.unwrap();
            setter.set(EventState::Signaled).unwrap();
            waiter.wait(Timeout::Infinite).unwrap();
            let start = std::time::Instant::now();
            assert!(waiter.wait(Timeout::Val(Duration::from_millis(30))).is_err());
            assert!(start.elapsed() >= Duration::from_millis(30));
        }
    }
}
