//! The tag clock and the records of invalidations: the order in which they are stored and loaded.
//!
//! ```text
//! invalidation, under the tag lock              reader
//! clock to the next odd number                  load the clock: a near copy keeps it, if it is even
//! oldest record: raise the horizon to it,       load `judged` of the shard
//!   then empty, fill and name it                load the head of the tag's chain, then record after record:
//! head of the tag's chain: that record            its hash, its link and clocks, its hash again
//! clock to the next even number                 load the horizon, then `judged` again
//!                                               dead if a record is later than the entry's stamp
//! judge of a shard, under its lock              not known if the horizon is later than stamp and `judged`
//! load the clock
//! remove or mark what the records have ended
//! store that clock in `judged`
//! ```
//!
//! A chain leads from newer records to older ones, and the oldest record of all is the next one reused. So a chain that ends in
//! a reused record lacks only records at or below the horizon.
//!
//! Caution: a reader that misses a record because it was reused must see the horizon that was raised before. If `judged` is not
//! below that horizon, the reader must see that the entry was removed or published again. So every store to a record and to
//! `judged` releases, the horizon is loaded after the records, and `judged` after the horizon.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::steps::step;

/// The clock. While it is odd, an invalidation is under way or its process has died, and no near copy may be kept.
#[inline]
pub fn now(clock: &AtomicU64) -> u64 {
    // Acquire: pairs with the Release in `begin` and `end`. A reader that sees it even sees the records of all earlier invalidations.
    clock.load(Ordering::Acquire)
}

/// Begins an invalidation, under the tag lock, also where a dead process has left the clock odd. Returns the clock to record.
pub fn begin(clock: &AtomicU64) -> u64 {
    let before = clock.load(Ordering::Relaxed); // only holders of the lock store
    let now = before.wrapping_add(1 + (before & 1));
    // Release: pairs with the Acquire in `now`.
    // mutant: near-copy-during-invalidation
    clock.store(now, Ordering::Release);
    step("tag.begun");
    now
}

/// Ends the invalidation that `begin` returned `now` for.
pub fn end(clock: &AtomicU64, now: u64) {
    // Release: pairs with the Acquire in `now`; a reader that sees the clock even sees the records.
    clock.store(now.wrapping_add(1), Ordering::Release);
    step("tag.done");
}

/// The last clock at which all recorded invalidations had ended.
pub fn ended_at(clock: u64) -> u64 {
    clock & !1
}

/// The horizon: records of this clock and earlier ones may be gone. Load it after the records.
#[inline]
pub fn horizon_of(horizon: &AtomicU64) -> u64 {
    // Acquire: pairs with the Release in `raise_horizon`; a reader that saw a reused record sees the horizon raised before it.
    horizon.load(Ordering::Acquire)
}

/// Raises the horizon, before a record of this clock is reused. Under the tag lock.
pub fn raise_horizon(horizon: &AtomicU64, clock: u64) {
    // Release: pairs with the Acquire in `horizon_of`.
    horizon.store(clock, Ordering::Release);
    step("tag.horizon");
}

/// The clock up to which the entries of a shard were judged. Load it after the horizon.
#[inline]
pub fn judged_of(judged: &AtomicU64) -> u64 {
    // Acquire: pairs with the Release in `note_judged`; a reader sees what the judge has removed and marked.
    judged.load(Ordering::Acquire)
}

/// Notes that each entry of the shard was judged by the records up to `clock`. Under the shard's lock.
pub fn note_judged(judged: &AtomicU64, clock: u64) {
    // Release: pairs with the Acquire in `judged_of`.
    judged.store(clock, Ordering::Release);
    step("tag.judged");
}

/// The first record of a chain; 0: none. The others are numbered from 1.
#[inline]
pub fn head_of(head: &AtomicU32) -> u32 {
    // Acquire: pairs with the Release in `put_head`; the record that it names is whole.
    head.load(Ordering::Acquire)
}

/// Puts a record in front of its chain: the commit of a record that is not in use yet. Under the tag lock.
pub fn put_head(head: &AtomicU32, record: u32) {
    // Release: pairs with the Acquire in `head_of`.
    head.store(record, Ordering::Release);
    step("tag.recorded");
}

/// One record of the table.
#[derive(Clone, Copy, Debug)]
pub struct TagRecord<'a> {
    /// The tag's hash; 0: the record is free.
    pub hash: &'a AtomicU64,
    /// When it was last removed.
    pub removed: &'a AtomicU64,
    /// When it was last outdated.
    pub outdated: &'a AtomicU64,
    /// How often the record was used, and the next record of its chain.
    pub link: &'a AtomicU64,
}

/// A copy of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TagClocks {
    /// The tag's hash.
    pub hash: u64,
    /// When it was last removed.
    pub removed: u64,
    /// When it was last outdated.
    pub outdated: u64,
    /// As in the record.
    pub link: u64,
}

impl TagRecord<'_> {
    /// Its contents. `None`: it is free, or it is being reused.
    #[inline]
    pub fn read(self) -> Option<TagClocks> {
        // Acquire: pairs with the Release stores in `reuse` and `note`. A reader that sees the record reused sees the horizon.
        let hash = self.hash.load(Ordering::Acquire);
        let link = self.link.load(Ordering::Acquire);
        let (removed, outdated) = (self.removed.load(Ordering::Acquire), self.outdated.load(Ordering::Acquire));
        // The record may have been reused meanwhile. If it was reused for the same tag, both contents are true. Acquire: as above.
        let is_same = self.hash.load(Ordering::Acquire) == hash;
        (is_same && hash != 0).then_some(TagClocks { hash, removed, outdated, link })
    }

    /// The later of its clocks; 0 if it is free. Under the tag lock.
    pub fn latest(self) -> u64 {
        if self.hash.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.removed.load(Ordering::Relaxed).max(self.outdated.load(Ordering::Relaxed))
    }

    /// Reuses the record. Under the tag lock, with the horizon at or above the clocks recorded here.
    pub fn reuse(self, new: TagClocks) {
        // Release: pairs with the Acquire in `read`. A reader that sees the record reused sees the horizon.
        self.hash.store(0, Ordering::Release);
        step("tag.emptied");
        // Release: pairs with the Acquire in `read`. A reader of the old tag that sees one of these sees that the hash has changed.
        self.link.store(new.link, Ordering::Release);
        self.removed.store(new.removed, Ordering::Release);
        self.outdated.store(new.outdated, Ordering::Release);
        step("tag.filled");
        self.hash.store(new.hash, Ordering::Release); // as above
        step("tag.named");
    }
}

/// Stores the clock of an invalidation in one of the words of its tag's record. Under the tag lock.
pub fn note(clock: &AtomicU64, now: u64) {
    // Release: pairs with the Acquire in `TagRecord::read`. A reader that sees the record sees the clock's advance.
    clock.store(now, Ordering::Release);
    step("tag.recorded");
}
