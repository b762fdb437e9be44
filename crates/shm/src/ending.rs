//! How the handles on a segment learn that it was given up, without looking at its state with each read.
//!
//! ```text
//! who gives it up          reader
//! store the state          load the epoch: as last seen, the segment is in use
//! move the epoch           another one: load the state, and note the epoch if it says so
//! ```
//!
//! Writers look at the state under the shard's lock; whoever gives a segment up passes through every lock afterwards.
//!
//! The thing to get wrong: who notes last. A reader that looked before the handle was detached must not note its epoch after
//! that, or all further reads believe it; so what was seen and that there is nothing more to see are one word.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::steps::step;

/// Beyond all epochs: none was seen so far.
const NONE: u64 = 1 << 32;
/// Beyond all epochs: the handle is detached for good.
const DETACHED: u64 = 2 << 32;

/// Gives a segment up. The caller passes through its locks afterwards.
pub fn give_up(state: &AtomicU32, given_up: u32, epoch: &AtomicU32) {
    // Release: pairs with the Acquire in `state_of`.
    state.store(given_up, Ordering::Release);
    step("destroy.state");
    // Release: pairs with the Acquire in `epoch_of`, so that whoever sees the epoch move sees the state.
    epoch.fetch_add(1, Ordering::AcqRel);
    step("destroy.epoch");
}

/// The state as it is stored.
#[inline]
pub fn state_of(state: &AtomicU32) -> u32 {
    // Acquire: pairs with the Release of whoever stored it.
    state.load(Ordering::Acquire)
}

/// The root epoch.
#[inline]
pub fn epoch_of(epoch: &AtomicU32) -> u32 {
    // Acquire: pairs with the read-modify-writes in `give_up` and of a clear.
    epoch.load(Ordering::Acquire)
}

/// What a handle knows of its segment. Memory of its process.
#[derive(Debug)]
pub struct SeenEpoch {
    /// The root epoch at which the segment was last seen to be in use, or `NONE` or `DETACHED`. Relaxed: nothing hangs on it but
    /// whether somebody looks.
    seen: AtomicU64,
}

impl Default for SeenEpoch {
    /// Of a handle that has not looked: the segment may have been destroyed since it was opened.
    fn default() -> Self {
        Self { seen: AtomicU64::new(NONE) }
    }
}

impl SeenEpoch {
    /// The root epoch; `None` once the segment is not in use any more, which `is_in_use` is asked for an epoch not seen before.
    #[inline]
    pub fn epoch(&self, epoch: &AtomicU32, is_in_use: impl FnOnce() -> bool) -> Option<u32> {
        let now = epoch_of(epoch);
        let seen = self.seen.load(Ordering::Relaxed);
        if seen == u64::from(now) || self.note(seen, now, is_in_use) { Some(now) } else { None }
    }

    #[cold]
    fn note(&self, seen: u64, now: u32, is_in_use: impl FnOnce() -> bool) -> bool {
        if seen == DETACHED || !is_in_use() {
            return false;
        }
        let noted = self.seen.compare_exchange(seen, now.into(), Ordering::Relaxed, Ordering::Relaxed);
        // Noted by another thread: what this one saw is as good.
        noted.is_ok() || !self.is_detached()
    }

    /// Whether the handle is detached.
    #[inline]
    pub fn is_detached(&self) -> bool {
        self.seen.load(Ordering::Relaxed) == DETACHED
    }

    /// From here on every read asks, and is told. False if that was so already.
    pub fn detach(&self) -> bool {
        self.seen.swap(DETACHED, Ordering::Relaxed) != DETACHED
    }
}
