//! The clock of tags and the records of when they were invalidated: in what order they are stored and looked at.
//!
//! ```text
//! invalidation, under the tag lock           reader
//! clock to the next odd number               load the clock: a near copy keeps it, if it is even
//! another's record: raise the floor to it,   load the record: its hash, its clocks, its hash again
//!   then empty, zero and name the place      load the floor
//! store the clock in the record              dead if record or floor is later than the entry's stamp
//! clock to the next even number
//! ```
//!
//! The thing to get wrong: a record that was given away. A reader that finds no record of its tag, or half of one, must see the
//! floor that was raised before; so every store to a place releases, and the floor is loaded last.

use crate::atomic::{AtomicU64, Ordering};
use crate::steps::step;

/// The clock. While it is odd somebody invalidates, or has died doing so, and nothing that was read may be kept.
#[inline]
pub fn now(clock: &AtomicU64) -> u64 {
    // Acquire: pairs with the Release in `begin` and `end`. Who sees it even sees the records of all invalidations up to it.
    clock.load(Ordering::Acquire)
}

/// Begins an invalidation, under the tag lock, also where a dead one has left the clock odd. Returns what is to be recorded.
pub fn begin(clock: &AtomicU64) -> u64 {
    let before = clock.load(Ordering::Relaxed); // only holders of the lock store
    let now = before.wrapping_add(1 + (before & 1));
    // Release: pairs with the Acquire in `now`.
    clock.store(now, Ordering::Release);
    step("tag.begun");
    now
}

/// Ends the invalidation that `begin` returned `now` for.
pub fn end(clock: &AtomicU64, now: u64) {
    // Release: pairs with the Acquire in `now`; who sees the clock even sees the records.
    clock.store(now.wrapping_add(1), Ordering::Release);
    step("tag.done");
}

/// The floor: as if every tag had been invalidated at it. To be loaded after the records.
#[inline]
pub fn floor_of(floor: &AtomicU64) -> u64 {
    // Acquire: keeps to the order of those who look; the record that was seen given away has brought the floor.
    floor.load(Ordering::Acquire)
}

/// Raises the floor, before a record of this clock is given away. Under the tag lock.
pub fn raise_floor(floor: &AtomicU64, clock: u64) {
    // Release: pairs with the Acquire in `floor_of`.
    floor.store(clock, Ordering::Release);
    step("tag.floor");
}

/// One place of the table.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The tag's hash; 0: nobody's.
    pub hash: &'a AtomicU64,
    /// When it was last removed.
    pub removed: &'a AtomicU64,
    /// When it was last outdated.
    pub outdated: &'a AtomicU64,
}

impl Record<'_> {
    /// When the tag was last removed and last outdated, if this is its record.
    pub fn of(self, hash: u64) -> Option<(u64, u64)> {
        // Acquire: pairs with the Release stores in `replace` and `note`. Whoever sees the place given away sees the floor.
        if self.hash.load(Ordering::Acquire) != hash {
            return None;
        }
        let clocks = (self.removed.load(Ordering::Acquire), self.outdated.load(Ordering::Acquire));
        // Given to another tag meanwhile: the floor was raised before. Acquire: as above.
        (self.hash.load(Ordering::Acquire) == hash).then_some(clocks)
    }

    /// The later of its clocks. Under the tag lock.
    pub fn latest(self) -> u64 {
        self.removed.load(Ordering::Relaxed).max(self.outdated.load(Ordering::Relaxed))
    }

    /// Gives the place to another tag. Under the tag lock, the floor being at or above what is recorded here.
    pub fn replace(self, hash: u64) {
        // Release: pairs with the Acquire in `of`. Whoever sees the place given away sees the floor.
        self.hash.store(0, Ordering::Release);
        step("tag.emptied");
        // Release: a reader of the old tag that sees one of these sees that the hash has changed, or is gone.
        self.removed.store(0, Ordering::Release);
        self.outdated.store(0, Ordering::Release);
        step("tag.zeroed");
        self.hash.store(hash, Ordering::Release); // as above
        step("tag.named");
    }
}

/// Stores the clock of an invalidation in one of its tag's words. Under the tag lock.
pub fn note(clock: &AtomicU64, now: u64) {
    // Release: pairs with the Acquire in `Record::of`. Whoever sees the record sees the clock's advance.
    clock.store(now, Ordering::Release);
    step("tag.recorded");
}
