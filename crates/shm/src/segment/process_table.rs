//! The attached processes: one slot each, with a lease that the kernel drops when the process ends.
//!
//! ```text
//! slot, 128 bytes:  generation u32 · bell u32 · pid u32 · PID namespace u32 · attached at u64 · started at u64 · changed stripes 4 × u64 · 5 counters ·
//!                   version u64 · area u32 · changed rings u64
//! marks:            for each group of 64 slots, one u64 per stripe: which of the group's slots listen to the stripe
//! watch marks:      for each group one u64: which of its slots watch all changes. In cache lines of their own that rarely
//!                   change, since every writer reads them.
//! ```
//!
//! Order at attach: lease, then generation, then everything else. The lease proves that the slot's last owner is dead. The new
//! generation marks every lock that it still holds as a dead owner's. Only its next owner clears a slot, so counters outlive
//! their process.
//!
//! Caution: never ask for the lease of the caller's own slot. A file description never conflicts with itself, so the answer
//! "free" would make a process rob itself.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::error::ShmError;
use crate::memory::region::Region;
use crate::os::{self, Hold};
use crate::protocol::bell;
use crate::protocol::lock::{Owner, Parties};
use crate::protocol::slot::{self, SlotState};
use crate::segment::header::{Header, LEASES, PROCESS_SLOTS};
use crate::steps::{step, visit};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one slot.
pub const SLOT_BYTES: usize = 128;
/// Stripes of keys that can be listened to.
pub const BELL_STRIPES: usize = 256;
/// Groups of 64 slots. Each group has one word of marks for each stripe.
pub const SLOT_GROUPS: usize = PROCESS_SLOTS / 64;
/// One bit per process slot.
pub type Slots = [u64; SLOT_GROUPS];
/// Maximum sleep of a lock before it checks again whether the owner lives: a dying waiter may have consumed a wake-up.
// mutant: lock-sleeps-forever
const MAX_SLEEP: Duration = Duration::from_millis(10);

/// Counters of one process, in its slot. The sum over all slots is the total of the host, dead processes included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum ProcessCounter {
    /// Reads that found a value.
    Hits,
    /// Reads that found none.
    Misses,
    /// Times a lock had to be waited for.
    LockWaits,
    /// Writes that failed as busy.
    Busy,
    /// Reads that restarted because the entry changed meanwhile.
    Retries,
}

/// A process that holds its lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttachedProcess {
    /// Its slot in the table.
    pub slot: u16,
    /// Its number in its own PID namespace.
    pub pid: u32,
    /// Boot milliseconds at its attachment.
    pub attached_ms: u64,
    /// Major, minor and patch number of the version of the package that it runs. Zeros: not known.
    pub version: [u16; 3],
}

/// Where the table lies in the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessTable {
    offset: usize,
}

impl ProcessTable {
    /// Bytes of slots and marks.
    pub const BYTES: usize = Self::WATCH_MARKS + SLOT_GROUPS * 8;

    /// Offset of the generation in a slot.
    pub const GENERATION: usize = 0;
    /// Offset of the bell.
    pub const BELL: usize = 4;
    /// Offset of the pid.
    pub const PID: usize = 8;
    /// Offset of the lower half of the number of the PID namespace; 0: not known.
    pub const PID_NAMESPACE: usize = 12;
    /// Offset of the time of attachment.
    pub const ATTACHED: usize = 16;
    /// Offset of the start time of the process as the system counts it; 0: not known.
    pub const STARTED: usize = 24;
    /// Offset of the changed stripes: one bit each.
    pub const CHANGED_STRIPES: usize = 32;
    /// Offset of the counters, in the order of `ProcessCounter`.
    pub const COUNTERS: usize = 64;
    /// Offset of the package's version.
    pub const VERSION: usize = 104;
    /// Offset of the number of the oldest area that the process may still use.
    pub const AREA: usize = 112;
    /// Offset of the ring buffers with new messages: bit `shard % 64`.
    pub const CHANGED_RINGS: usize = 120;
    /// Offset of the marks, from the start of the table.
    pub const MARKS: usize = PROCESS_SLOTS * SLOT_BYTES;
    /// Offset of the watch marks, from the start of the table.
    pub const WATCH_MARKS: usize = Self::MARKS + SLOT_GROUPS * BELL_STRIPES * 8;

    /// A table at `offset`, a multiple of 64.
    pub const fn at(offset: usize) -> Self {
        Self { offset }
    }

    /// The offset behind the table. A segment is longer.
    pub const fn end(&self) -> usize {
        self.offset + Self::BYTES
    }

    fn slot(&self, slot: u16) -> usize {
        self.offset + (usize::from(slot) % PROCESS_SLOTS) * SLOT_BYTES
    }

    fn generation<'r>(&self, region: &'r Region, slot: u16) -> &'r AtomicU32 {
        region.u32(self.slot(slot) + Self::GENERATION)
    }

    fn bell<'r>(&self, region: &'r Region, slot: u16) -> &'r AtomicU32 {
        region.u32(self.slot(slot) + Self::BELL)
    }

    fn changed<'r>(&self, region: &'r Region, slot: u16, stripe: usize) -> &'r AtomicU64 {
        region.u64(self.slot(slot) + Self::CHANGED_STRIPES + (stripe / 64) * 8)
    }

    fn counter<'r>(&self, region: &'r Region, slot: u16, counter: ProcessCounter) -> &'r AtomicU64 {
        region.u64(self.slot(slot) + Self::COUNTERS + counter as usize * 8)
    }

    fn marks<'r>(&self, region: &'r Region, group: usize, stripe: usize) -> &'r AtomicU64 {
        let index = (group % SLOT_GROUPS) * BELL_STRIPES + stripe % BELL_STRIPES;
        region.u64(self.offset + Self::MARKS + index * 8)
    }

    fn watch_marks<'r>(&self, region: &'r Region, group: usize) -> &'r AtomicU64 {
        region.u64(self.offset + Self::WATCH_MARKS + group % SLOT_GROUPS * 8)
    }

    fn changed_rings<'r>(&self, region: &'r Region, slot: u16) -> &'r AtomicU64 {
        region.u64(self.slot(slot) + Self::CHANGED_RINGS)
    }

    /// Sum of a counter over all slots that ever had an owner.
    pub fn sum(&self, region: &Region, counter: ProcessCounter) -> u64 {
        let used = Header::of(region).slots_used();
        (0..used)
            .map(|slot| self.counter(region, slot as u16, counter).load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }

    /// The processes that hold their leases. `me` names the caller's own slot. Empty where the region is too short for a table.
    pub fn living(&self, region: &Region, probe: &File, me: Option<Owner>) -> Vec<AttachedProcess> {
        let used = if region.len() < self.end() { 0 } else { Header::of(region).slots_used() };
        // One query for all first: the header of an unused segment may name thousands of slots.
        let others = os::is_held(probe, LEASES, used as i64).unwrap_or(true);
        let is_held = |slot: u16| others && os::is_held(probe, LEASES + i64::from(slot), 1).unwrap_or(false);
        (0..used as u16)
            .filter(|slot| me.is_some_and(|m| m.slot == *slot) || is_held(*slot))
            .map(|slot| {
                let at = self.slot(slot);
                let version = region.u64(at + Self::VERSION).load(Ordering::Relaxed);
                AttachedProcess {
                    slot,
                    pid: region.u32(at + Self::PID).load(Ordering::Relaxed),
                    attached_ms: region.u64(at + Self::ATTACHED).load(Ordering::Relaxed),
                    version: [32, 16, 0].map(|shift| (version >> shift) as u16),
                }
            })
            .collect()
    }
}

/// The version of this package in 16 bits each: major, minor, patch. All crates have the version of the package.
fn own_version() -> u64 {
    let parts = [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")];
    parts.iter().fold(0, |word, part| word << 16 | u64::from(part.parse::<u16>().unwrap_or(0)))
}

/// The calling process's slot in the table. Dropping it frees the slot.
#[derive(Debug)]
pub struct Member {
    owner: Owner,
    table: ProcessTable,
    region: Arc<Region>,
    /// Open for the lease alone. The lease ends when this is closed or the process dies.
    _lease: File,
    /// Another description of the same file, to query the leases of other processes.
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
        for stripe in 0..BELL_STRIPES {
            bell::unmark(table.marks(&region, usize::from(slot) / 64, stripe), u32::from(slot) % 64);
        }
        bell::unmark(table.watch_marks(&region, usize::from(slot) / 64), u32::from(slot) % 64);
        step("join.unmarked");
        let (at, pid) = (table.slot(slot), std::process::id());
        let started = os::process_status(pid).map_or(0, |status| status.started);
        region.u32(at + ProcessTable::PID).store(pid, Ordering::Relaxed);
        region.u32(at + ProcessTable::PID_NAMESPACE).store(os::pid_namespace(), Ordering::Relaxed);
        step("join.named");
        region.u64(at + ProcessTable::STARTED).store(started, Ordering::Relaxed);
        region.u64(at + ProcessTable::ATTACHED).store(now_ms, Ordering::Relaxed);
        region.u64(at + ProcessTable::VERSION).store(own_version(), Ordering::Relaxed);
        step("join.described");
        Ok(Self { owner: Owner { slot, generation }, table, region, _lease: lease, probe })
    }

    /// Adds to one of the process's counters.
    #[inline]
    pub fn count(&self, counter: ProcessCounter, by: u64) {
        self.table.counter(&self.region, self.owner.slot, counter).fetch_add(by, Ordering::Relaxed);
    }

    /// Listens to a stripe: changes of its keys move this process's bell until `ignore`.
    pub fn listen(&self, stripe: usize) {
        let slot = usize::from(self.owner.slot);
        bell::mark(self.table.marks(&self.region, slot / 64, stripe), (slot % 64) as u32);
    }

    /// Stops listening to a stripe.
    pub fn ignore(&self, stripe: usize) {
        let slot = usize::from(self.owner.slot);
        bell::unmark(self.table.marks(&self.region, slot / 64, stripe), (slot % 64) as u32);
    }

    /// The processes that listen to `stripe`. Call it after the publish, and `wake` with its result after the unlock.
    #[inline]
    pub fn listeners(&self, stripe: usize) -> ListeningProcesses {
        bell::after_publish();
        let groups = Header::of(&self.region).slots_used().div_ceil(64);
        let first = bell::marked(self.table.marks(&self.region, 0, stripe));
        ListeningProcesses { stripe, first, more: groups > 1 }
    }

    /// Wakes the processes in `listeners`.
    #[inline]
    pub fn wake(&self, listeners: ListeningProcesses) {
        if listeners.first != 0 || listeners.more {
            self.wake_marked(listeners);
        }
    }

    #[cold]
    fn wake_marked(&self, listeners: ListeningProcesses) {
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
                bell::move_bell(
                    self.table.changed(&self.region, slot, listeners.stripe),
                    (listeners.stripe % 64) as u32,
                    bell,
                );
                os::futex_wake(bell, i32::MAX);
            }
        }
    }

    /// Watches all changes: from now on each change moves this process's bell, until `unwatch`.
    pub fn watch(&self) {
        let slot = usize::from(self.owner.slot);
        bell::mark(self.table.watch_marks(&self.region, slot / 64), (slot % 64) as u32);
    }

    /// Stops watching all changes.
    pub fn unwatch(&self) {
        let slot = usize::from(self.owner.slot);
        bell::unmark(self.table.watch_marks(&self.region, slot / 64), (slot % 64) as u32);
    }

    /// Whether any process watches all changes. Call it after `bell::after_publish` or `listeners`.
    #[inline]
    pub fn is_watched(&self) -> bool {
        let groups = Header::of(&self.region).slots_used().div_ceil(64).max(1);
        (0..groups).any(|group| bell::marked(self.table.watch_marks(&self.region, group)) != 0)
    }

    /// Wakes the processes that watch all changes: the ring of `shard` has a new one.
    #[cold]
    pub fn wake_watchers(&self, shard: usize) {
        self.wake_slots(&std::array::from_fn(|group| bell::marked(self.table.watch_marks(&self.region, group))), shard);
    }

    /// Wakes these processes: a ring of `shard` has a new message.
    pub fn wake_slots(&self, slots: &Slots, shard: usize) {
        for (group, slots) in slots.iter().enumerate() {
            let mut left = *slots;
            while left != 0 {
                let slot = (group * 64) as u16 + left.trailing_zeros() as u16;
                left &= left - 1;
                let bell = self.table.bell(&self.region, slot);
                if bell::move_once(self.table.changed_rings(&self.region, slot), (shard % 64) as u32, bell) {
                    os::futex_wake(bell, i32::MAX);
                }
            }
        }
    }

    /// Takes the set of shards with new ring messages for this process since the last call: bit `shard % 64`.
    pub fn take_changed_rings(&self) -> u64 {
        // Acquire: pairs with the AcqRel in `bell::move_once`. The rings are read after it; a later message sets the bit again.
        self.table.changed_rings(&self.region, self.owner.slot).swap(0, Ordering::Acquire)
    }

    /// Notes the oldest area of the segment that this process may still use.
    pub fn note_area(&self, area: u8) {
        let word = self.region.u32(self.table.slot(self.owner.slot) + ProcessTable::AREA);
        // SeqCst: in one order with the store that switches areas and with the loads of `have_left`. Either the process that
        // releases an area sees this note, or this process sees that its area is not the present one.
        word.store(area.into(), Ordering::SeqCst);
        step("area.noted");
    }

    /// The oldest area that this process may still use.
    pub fn noted_area(&self) -> u32 {
        self.region.u32(self.table.slot(self.owner.slot) + ProcessTable::AREA).load(Ordering::Relaxed)
    }

    /// The pid of a living process that may use another area than this one. `None`: there is no such process.
    pub fn outside_area(&self, area: u8) -> Option<u32> {
        self.living().into_iter().find_map(|AttachedProcess { slot, pid, .. }| {
            // SeqCst: pairs with `note_area`.
            let noted = self.region.u32(self.table.slot(slot) + ProcessTable::AREA).load(Ordering::SeqCst);
            (noted != u32::from(area)).then_some(pid)
        })
    }

    /// Wakes the background threads of all processes.
    pub fn wake_all(&self) {
        for slot in 0..Header::of(&self.region).slots_used() as u16 {
            let bell = self.table.bell(&self.region, slot);
            bell.fetch_add(1, Ordering::Release); // Release: pairs with the Acquire in `bell::load`
            step("resize.rung");
            os::futex_wake(bell, i32::MAX);
        }
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

    /// This process's end of its bell. Make it before the first check of the awaited state.
    pub fn bell(&self) -> bell::BellListener<'_> {
        bell::BellListener::new(self.table.bell(&self.region, self.owner.slot))
    }

    /// Takes the set of stripes with changes since the last call: one bit each.
    pub fn take_changed_stripes(&self) -> [u64; BELL_STRIPES / 64] {
        std::array::from_fn(|i| self.table.changed(&self.region, self.owner.slot, i * 64).swap(0, Ordering::Acquire))
    }

    /// Wakes this process's own background thread.
    pub fn wake_own(&self) {
        let bell = self.table.bell(&self.region, self.owner.slot);
        bell.fetch_add(1, Ordering::Release); // Release: pairs with the Acquire in `bell::load`
        os::futex_wake(bell, i32::MAX);
    }

    /// Whether the living process that a lock word names is suspended, by SIGSTOP or a debugger. `None` where the system
    /// cannot say: the process is in another PID namespace, or its slot does not describe it.
    ///
    /// Caution: the answer says nothing about death, which only a lease proves.
    pub fn is_suspended(&self, word: u32) -> Option<bool> {
        let owner = Owner::of(word);
        if owner.slot == self.owner.slot {
            return Some(false); // this process runs
        }
        let at = self.table.slot(owner.slot);
        let half = |offset| self.region.u32(at + offset).load(Ordering::Relaxed);
        let started = self.region.u64(at + ProcessTable::STARTED).load(Ordering::Relaxed);
        let namespace = half(ProcessTable::PID_NAMESPACE);
        if half(ProcessTable::GENERATION) != owner.generation || namespace == 0 || namespace != os::pid_namespace() {
            return None;
        }
        let status = os::process_status(half(ProcessTable::PID))?;
        // Another start time is another process with the same pid.
        (started != 0 && status.started == started).then_some(status.is_suspended)
    }

    /// The state of each slot that ever had an owner, for `slot::has_death`. It takes a system call for each.
    pub fn presence(&self) -> Vec<SlotState> {
        let state = |slot: u16| {
            // Acquire: pairs with the Release in `slot::enter`.
            let generation = self.table.generation(&self.region, slot).load(Ordering::Acquire);
            // An error does not prove a death.
            let is_held = || os::is_held(&self.probe, LEASES + i64::from(slot), 1).unwrap_or(true);
            SlotState { generation, is_leased: slot == self.owner.slot || is_held() }
        };
        (0..Header::of(&self.region).slots_used() as u16).map(state).collect()
    }

    /// The processes that hold their leases, this one included.
    pub fn living(&self) -> Vec<AttachedProcess> {
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
        // An error does not prove a death.
        let is_leased = || os::is_held(&self.probe, LEASES + i64::from(owner.slot), 1).unwrap_or(true);
        slot::is_dead(self.table.generation(&self.region, owner.slot), owner, is_leased)
    }

    fn sleep(&self, word: &AtomicU32, expected: u32) {
        self.count(ProcessCounter::LockWaits, 1);
        visit("lock sleep");
        os::futex_wait(word, expected, MAX_SLEEP);
    }

    fn wake_one(&self, word: &AtomicU32) {
        os::futex_wake(word, 1);
    }
}

/// The processes to wake after the unlock.
#[derive(Clone, Copy, Debug)]
#[must_use = "listening processes must be woken"]
pub struct ListeningProcesses {
    stripe: usize,
    first: u64,
    more: bool,
}

impl ListeningProcesses {
    /// No process.
    pub const NONE: ListeningProcesses = ListeningProcesses { stripe: 0, first: 0, more: false };
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
