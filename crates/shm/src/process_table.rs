//! Who is attached: one slot per process, with a lease that the kernel drops when the process ends.
//!
//! ```text
//! slot, 128 bytes:  generation u32 · bell u32 · pid u32 · – · attached at u64 · – · rung stripes 4 × u64 · 7 counters ·
//!                   rung rings u64
//! marks:            for each group of 64 slots, one u64 per stripe: which of the group's slots listen to the stripe
//! watch marks:      for each group one u64: which of its slots watch all changes. In lines of their own, which hardly
//!                   ever change, since every writer looks at them.
//! ```
//!
//! Order at attach: lease, then generation, then everything else. The lease proves that the slot's last owner is dead;
//! the new generation turns all that it still holds into a dead owner's. A slot is never cleared by anyone but its next
//! owner, so counters outlive their process.
//!
//! The thing to get wrong: asking for one's own lease. A description never conflicts with itself through the same open,
//! and the answer "free" would make a process rob itself.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::bell;
use crate::error::ShmError;
use crate::lock::{Owner, Parties};
use crate::os::{self, Hold};
use crate::region::Region;
use crate::segment::{Header, LEASES};
use crate::slot;
use crate::steps::step;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// Most processes that can be attached at once.
pub const PROCESS_SLOTS: usize = 2048;
/// Bytes of one slot.
pub const SLOT_BYTES: usize = 128;
/// Stripes of keys that can be listened to.
pub const RUNG_STRIPES: usize = 256;
const GROUPS: usize = PROCESS_SLOTS / 64;
/// One bit per process slot.
pub type Slots = [u64; GROUPS];
/// Offset in a slot of the rings that have something new: bit `shard % 64`.
const RUNG_RINGS: usize = 120;
/// No lock sleeps longer before it looks again whether the owner lives: a wake may have been eaten by a dying waiter.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Counters of one process, in its slot. The sum over all slots is the truth of the host, dead processes included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Counter {
    /// Reads that found a value.
    Hits,
    /// Reads that found none.
    Misses,
    /// Times a lock had to be waited for.
    LockWaits,
    /// Writes that ended as busy.
    Busy,
    /// Reads that were begun again because the entry changed under them.
    Retries,
}

/// Where the table lies in the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessTable {
    offset: usize,
}

impl ProcessTable {
    /// Bytes of slots and marks.
    pub const BYTES: usize = PROCESS_SLOTS * SLOT_BYTES + GROUPS * RUNG_STRIPES * 8 + GROUPS * 8;

    /// A table at `offset`, a multiple of 64.
    pub const fn at(offset: usize) -> Self {
        Self { offset }
    }

    /// The byte behind it; a segment is longer.
    pub const fn end(&self) -> usize {
        self.offset + Self::BYTES
    }

    fn slot(&self, slot: u16) -> usize {
        self.offset + (usize::from(slot) % PROCESS_SLOTS) * SLOT_BYTES
    }

    fn generation<'r>(&self, region: &'r Region, slot: u16) -> &'r AtomicU32 {
        region.u32(self.slot(slot))
    }

    fn bell<'r>(&self, region: &'r Region, slot: u16) -> &'r AtomicU32 {
        region.u32(self.slot(slot) + 4)
    }

    fn rung<'r>(&self, region: &'r Region, slot: u16, stripe: usize) -> &'r AtomicU64 {
        region.u64(self.slot(slot) + 32 + (stripe / 64) * 8)
    }

    fn counter<'r>(&self, region: &'r Region, slot: u16, counter: Counter) -> &'r AtomicU64 {
        region.u64(self.slot(slot) + 64 + counter as usize * 8)
    }

    fn marks<'r>(&self, region: &'r Region, group: usize, stripe: usize) -> &'r AtomicU64 {
        let index = (group % GROUPS) * RUNG_STRIPES + stripe % RUNG_STRIPES;
        region.u64(self.offset + PROCESS_SLOTS * SLOT_BYTES + index * 8)
    }

    fn watch_marks<'r>(&self, region: &'r Region, group: usize) -> &'r AtomicU64 {
        region.u64(self.offset + PROCESS_SLOTS * SLOT_BYTES + (GROUPS * RUNG_STRIPES + group % GROUPS) * 8)
    }

    fn rung_rings<'r>(&self, region: &'r Region, slot: u16) -> &'r AtomicU64 {
        region.u64(self.slot(slot) + RUNG_RINGS)
    }

    /// Sum of a counter over all slots that ever had an owner.
    pub fn sum(&self, region: &Region, counter: Counter) -> u64 {
        let used = Header::of(region).slots_used();
        (0..used)
            .map(|slot| self.counter(region, slot as u16, counter).load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }

    /// Slot, pid and attach time (boot milliseconds) of each process whose lease is held; the caller's own by `me`.
    /// Nobody where the region is too short to have a table.
    pub fn living(&self, region: &Region, probe: &File, me: Option<Owner>) -> Vec<(u16, u32, u64)> {
        let used = if region.len() < self.end() { 0 } else { Header::of(region).slots_used() };
        // One question for all, as the header of a segment that nobody holds may name thousands.
        let others = os::is_held(probe, LEASES, used as i64).unwrap_or(true);
        let is_held = |slot: u16| others && os::is_held(probe, LEASES + i64::from(slot), 1).unwrap_or(false);
        (0..used as u16)
            .filter(|slot| me.is_some_and(|m| m.slot == *slot) || is_held(*slot))
            .map(|slot| {
                let at = self.slot(slot);
                (slot, region.u32(at + 8).load(Ordering::Relaxed), region.u64(at + 16).load(Ordering::Relaxed))
            })
            .collect()
    }
}

/// The calling process's place in the table. Dropping it gives the slot up.
#[derive(Debug)]
pub struct Member {
    owner: Owner,
    table: ProcessTable,
    region: Arc<Region>,
    /// Open for the lease alone. Closing it, or dying, is what tells the others.
    _lease: File,
    /// Another description of the same file, to ask about others' leases.
    probe: Arc<File>,
}

impl Member {
    /// Takes a free slot. `lease` must be a description of its own, opened for nothing else.
    pub(crate) fn join(
        region: Arc<Region>,
        table: ProcessTable,
        lease: File,
        probe: Arc<File>,
        now_ms: u64,
    ) -> Result<Self, ShmError> {
        let slot = take_lease(&lease)?;
        step("join.leased");
        let held =
            os::is_held(&probe, LEASES + i64::from(slot), 1).map_err(|e| ShmError::from_io("test the lease", e))?;
        if !held {
            return Err(ShmError::Unsupported("the file system does not keep byte locks between descriptions".into()));
        }
        let generation = slot::enter(table.generation(&region, slot));
        step("join.generation");
        Header::of(&region).note_slot(slot);
        step("join.noted");
        for stripe in 0..RUNG_STRIPES {
            bell::unmark(table.marks(&region, usize::from(slot) / 64, stripe), u32::from(slot) % 64);
        }
        bell::unmark(table.watch_marks(&region, usize::from(slot) / 64), u32::from(slot) % 64);
        step("join.unmarked");
        region.u32(table.slot(slot) + 8).store(std::process::id(), Ordering::Relaxed);
        region.u64(table.slot(slot) + 16).store(now_ms, Ordering::Relaxed);
        step("join.described");
        Ok(Self { owner: Owner { slot, generation }, table, region, _lease: lease, probe })
    }

    /// Adds to one of the process's counters.
    #[inline]
    pub fn count(&self, counter: Counter, by: u64) {
        self.table.counter(&self.region, self.owner.slot, counter).fetch_add(by, Ordering::Relaxed);
    }

    /// Listens to a stripe: its keys ring this process's bell until `ignore`.
    pub fn listen(&self, stripe: usize) {
        let slot = usize::from(self.owner.slot);
        bell::mark(self.table.marks(&self.region, slot / 64, stripe), (slot % 64) as u32);
    }

    /// Stops listening to a stripe.
    pub fn ignore(&self, stripe: usize) {
        let slot = usize::from(self.owner.slot);
        bell::unmark(self.table.marks(&self.region, slot / 64, stripe), (slot % 64) as u32);
    }

    /// Who listens to `stripe`; to be called after the publish, and its result rung after the unlock.
    #[inline]
    pub fn listeners(&self, stripe: usize) -> Listeners {
        bell::after_publish();
        let groups = Header::of(&self.region).slots_used().div_ceil(64);
        let first = bell::marked(self.table.marks(&self.region, 0, stripe));
        Listeners { stripe, first, more: groups > 1 }
    }

    /// Rings everyone's bell in `listeners`.
    #[inline]
    pub fn ring(&self, listeners: Listeners) {
        if listeners.first != 0 || listeners.more {
            self.ring_marked(listeners);
        }
    }

    #[cold]
    fn ring_marked(&self, listeners: Listeners) {
        let groups = if listeners.more { Header::of(&self.region).slots_used().div_ceil(64) } else { 1 };
        for group in 0..groups {
            let mut marked = match group {
                0 => listeners.first,
                _ => bell::marked(self.table.marks(&self.region, group, listeners.stripe)),
            };
            while marked != 0 {
                let slot = (group * 64) as u16 + marked.trailing_zeros() as u16;
                marked &= marked - 1;
                let bell = self.table.bell(&self.region, slot);
                bell::ring(self.table.rung(&self.region, slot, listeners.stripe), (listeners.stripe % 64) as u32, bell);
                os::futex_wake(bell, i32::MAX);
            }
        }
    }

    /// Watches all changes: from now on each of them rings this process's bell, until `unwatch`.
    pub fn watch(&self) {
        let slot = usize::from(self.owner.slot);
        bell::mark(self.table.watch_marks(&self.region, slot / 64), (slot % 64) as u32);
    }

    /// Watches no longer.
    pub fn unwatch(&self) {
        let slot = usize::from(self.owner.slot);
        bell::unmark(self.table.watch_marks(&self.region, slot / 64), (slot % 64) as u32);
    }

    /// Whether anybody watches all changes; to be called after `bell::after_publish` or `listeners`.
    #[inline]
    pub fn is_watched(&self) -> bool {
        let groups = Header::of(&self.region).slots_used().div_ceil(64).max(1);
        (0..groups).any(|group| bell::marked(self.table.watch_marks(&self.region, group)) != 0)
    }

    /// Rings everyone who watches all changes: one of `shard` is in its ring.
    #[cold]
    pub fn ring_watchers(&self, shard: usize) {
        self.ring_slots(&std::array::from_fn(|group| bell::marked(self.table.watch_marks(&self.region, group))), shard);
    }

    /// Rings these processes: something is in a ring of `shard`.
    pub fn ring_slots(&self, slots: &Slots, shard: usize) {
        for (group, slots) in slots.iter().enumerate() {
            let mut left = *slots;
            while left != 0 {
                let slot = (group * 64) as u16 + left.trailing_zeros() as u16;
                left &= left - 1;
                let bell = self.table.bell(&self.region, slot);
                if bell::ring_once(self.table.rung_rings(&self.region, slot), (shard % 64) as u32, bell) {
                    os::futex_wake(bell, i32::MAX);
                }
            }
        }
    }

    /// Takes the shards whose rings have something new for this process since the last call: bit `shard % 64`.
    pub fn take_rung_rings(&self) -> u64 {
        // Acquire: pairs with the AcqRel in `bell::ring_once`. The rings are read after it; what rings later sets it again.
        self.table.rung_rings(&self.region, self.owner.slot).swap(0, Ordering::Acquire)
    }

    /// The process as lock words name it.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The process's slot.
    #[inline]
    pub fn slot(&self) -> u16 {
        self.owner.slot
    }

    /// This process's end of its bell. To be made before the first look at what is waited for.
    pub fn bell(&self) -> bell::Listener<'_> {
        bell::Listener::new(self.table.bell(&self.region, self.owner.slot))
    }

    /// Takes the stripes that rang since the last call: one bit each.
    pub fn take_rung(&self) -> [u64; RUNG_STRIPES / 64] {
        std::array::from_fn(|i| self.table.rung(&self.region, self.owner.slot, i * 64).swap(0, Ordering::Acquire))
    }

    /// Rings this process's own bell, so that its background thread looks up.
    pub fn ring_own(&self) {
        let bell = self.table.bell(&self.region, self.owner.slot);
        bell.fetch_add(1, Ordering::Release); // Release: pairs with the Acquire in `bell::load`
        os::futex_wake(bell, i32::MAX);
    }

    /// The processes whose leases are held, this one included: slot, pid, attach time.
    pub fn living(&self) -> Vec<(u16, u32, u64)> {
        self.table.living(&self.region, &self.probe, Some(self.owner))
    }
}

impl Parties for Member {
    #[inline]
    fn me(&self) -> Owner {
        self.owner
    }

    fn is_dead(&self, owner: Owner) -> bool {
        if usize::from(owner.slot) >= PROCESS_SLOTS || owner.slot == self.owner.slot {
            return owner != self.owner;
        }
        // An error is no proof of death.
        let is_leased = || os::is_held(&self.probe, LEASES + i64::from(owner.slot), 1).unwrap_or(true);
        slot::is_dead(self.table.generation(&self.region, owner.slot), owner, is_leased)
    }

    fn sleep(&self, word: &AtomicU32, expected: u32) {
        self.count(Counter::LockWaits, 1);
        os::futex_wait(word, expected, LONGEST_SLEEP);
    }

    fn wake_one(&self, word: &AtomicU32) {
        os::futex_wake(word, 1);
    }
}

/// Who must be woken after the unlock.
#[derive(Clone, Copy, Debug)]
#[must_use = "listeners must be rung"]
pub struct Listeners {
    stripe: usize,
    first: u64,
    more: bool,
}

impl Listeners {
    /// Nobody.
    pub const NONE: Listeners = Listeners { stripe: 0, first: 0, more: false };
}

fn take_lease(lease: &File) -> Result<u16, ShmError> {
    let mut slot = 0;
    while slot < PROCESS_SLOTS as i64 {
        let taken = os::try_hold(lease, Hold::Exclusive, LEASES + slot)
            .map_err(|e| ShmError::Unsupported(format!("the file system has no open-file-description locks: {e}")))?;
        if taken {
            return Ok(slot as u16);
        }
        slot += 1;
    }
    Err(ShmError::NoSlot(PROCESS_SLOTS))
}
