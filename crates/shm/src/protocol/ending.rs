//! How the handles on a segment learn that it was destroyed, without loading its state at each read.
//!
//! ```text
//! destroyer                reader
//! store the state          load the epoch: unchanged, so the segment is in use
//! move the epoch           changed: load the state, and note the epoch if the segment is in use
//! ```
//!
//! A resize moves the epoch as well, in its upper bits: the number of the *area* in which the entries are. A `clear` moves its
//! lower bits.
//!
//! Writers load the state under the shard's lock; the destroyer passes through every lock afterwards.
//!
//! Caution: a reader that loaded the state before its handle was detached must not note its epoch afterwards, or all later
//! reads would trust it. So the noted epoch and the detached mark share one word.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::steps::step;

/// Bits of the epoch below the number of the area. A `clear` counts in these bits, a resize above them.
const AREA_SHIFT: u32 = 24;
/// The bits of the area.
pub const AREA_BITS: u32 = u32::MAX << AREA_SHIFT;

/// Above all epochs: none was seen so far.
const NONE: u64 = 1 << 32;
/// Above all epochs: the handle is detached for good.
const DETACHED: u64 = 2 << 32;

/// Marks a segment as given up. The caller passes through its locks afterwards.
pub fn give_up(state: &AtomicU32, given_up: u32, epoch: &AtomicU32) {
    // Release: pairs with the Acquire in `state_of`.
    state.store(given_up, Ordering::Release);
    step("destroy.state");
    // Release: pairs with the Acquire in `epoch_of`, so that a reader that sees the new epoch sees the state.
    epoch.fetch_add(1, Ordering::AcqRel);
    step("destroy.epoch");
}

/// The state as it is stored.
#[inline]
pub fn state_of(state: &AtomicU32) -> u32 {
    // Acquire: pairs with the Release in `give_up` and in `Header::set_state`.
    state.load(Ordering::Acquire)
}

/// The root epoch.
#[inline]
pub fn epoch_of(epoch: &AtomicU32) -> u32 {
    // Acquire: pairs with the read-modify-writes of `give_up` and of a clear.
    epoch.load(Ordering::Acquire)
}

/// The number of the area that an epoch names.
#[inline]
pub fn area_of(epoch: u32) -> u8 {
    (epoch >> AREA_SHIFT) as u8
}

/// The epoch of another area, after the same clears.
#[inline]
pub fn in_area(epoch: u32, area: u8) -> u32 {
    epoch & !AREA_BITS | u32::from(area) << AREA_SHIFT
}

/// Whether a life began after another one of the same namespace. Both have the root's epoch in the lower half. Epochs wrap, and
/// the area does not matter.
pub fn is_later(life: u64, other: u64) -> bool {
    let root = (life as u32).wrapping_sub(other as u32) << (32 - AREA_SHIFT);
    match root as i32 {
        0 => ((life >> 32) as u32).wrapping_sub((other >> 32) as u32) as i32 > 0,
        root => root > 0,
    }
}

/// Ends all entries of the segment. The area stays.
pub fn clear(epoch: &AtomicU32) {
    let next = |epoch: u32| Some(epoch & AREA_BITS | epoch.wrapping_add(1) & !AREA_BITS);
    // SeqCst: every read that begins after this sees it, and so does every writer that takes a lock after it. Pairs with the
    // Acquire in `epoch_of`.
    // mutant: clear-ignored
    let _ = epoch.fetch_update(Ordering::SeqCst, Ordering::Relaxed, next);
    step("clear.published");
}

/// Makes another area the present one: the commit of a resize. Clears that come meanwhile stay. The caller holds every lock
/// of the present area.
pub fn switch(epoch: &AtomicU32, area: u8) {
    // SeqCst: pairs with the Acquire in `epoch_of`, so that a reader that sees the area sees what is in it; and in one order with
    // the notes of the areas that processes use.
    let _ = epoch.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |epoch| Some(in_area(epoch, area)));
    step("resize.switched");
}

/// The last epoch at which a handle found its segment in use. Private memory of its process.
#[derive(Debug)]
pub struct SeenEpoch {
    /// The root epoch at which the segment was last in use, or `NONE` or `DETACHED`. Relaxed: it only decides whether a reader
    /// loads the state.
    seen: AtomicU64,
}

impl Default for SeenEpoch {
    /// For a handle that has not loaded the state: the segment may have been destroyed since it was opened.
    fn default() -> Self {
        Self { seen: AtomicU64::new(NONE) }
    }
}

impl SeenEpoch {
    /// The root epoch; `None` once the segment is not in use any more. An epoch not seen before calls `is_in_use`.
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
        // Another thread noted an epoch: this thread's result is as valid.
        noted.is_ok() || !self.is_detached()
    }

    /// Whether the handle is detached.
    #[inline]
    pub fn is_detached(&self) -> bool {
        self.seen.load(Ordering::Relaxed) == DETACHED
    }

    /// Every later read gets `None`. False if the handle was detached already.
    pub fn detach(&self) -> bool {
        self.seen.swap(DETACHED, Ordering::Relaxed) != DETACHED
    }
}
