//! The header of a segment: the fields that every layout has at the same place, and the byte locks beside the data.
//!
//! Promise: the fields here never move between layout versions, so that any build can tell what a file is.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::memory::region::Region;
use crate::protocol::ending;

/// Bytes at the start of every segment that this crate and the cache's geometry share.
pub const HEADER_BYTES: usize = 4096;
/// The maximum number of processes that can be attached at once.
pub const PROCESS_SLOTS: usize = 2048;
/// The first word of every segment.
pub const MAGIC: u64 = u64::from_le_bytes(*b"cachemc\x01");

/// Byte locks lie far past the end of the file, where they concern no data: one lease per process slot from here on.
pub const LEASES: i64 = 1 << 40;
/// From here on each process that opens the segment holds one byte; see `gate`.
pub const GATE: i64 = 1 << 60;
/// Number of bytes for processes that open the segment.
pub const GATE_BYTES: i64 = 1 << 54;
/// From here on the process that destroys the segment holds bytes.
pub const DESTROYERS: i64 = 1 << 61;
/// Held by the process that makes a private file.
pub const CREATOR: i64 = LEASES + 4097;

/// Life of a segment, in its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum State {
    /// Under construction; no other process can see it.
    Building = 0,
    /// In use.
    Ready = 1,
    /// Destroyed; attached handles leave it.
    Destroyed = 2,
}

/// The fields of the header that every layout has at the same place.
#[derive(Clone, Copy, Debug)]
pub struct Header<'r> {
    region: &'r Region,
}

impl<'r> Header<'r> {
    /// Offset of the magic word.
    pub const MAGIC: usize = 0;
    /// Offset of the layout version.
    pub const LAYOUT: usize = 8;
    /// Offset of the state.
    pub const STATE: usize = 12;
    /// Offset of the fingerprint.
    pub const FINGERPRINT: usize = 16;
    /// Offset of the nonce.
    pub const NONCE: usize = 24;
    /// Offset of the length.
    pub const LEN: usize = 32;
    /// Offset of the time of creation.
    pub const CREATED: usize = 40;
    /// Offset of the boot's id.
    pub const BOOT: usize = 48;
    // Every operation reads the next cache line. Only `clear`, `destroy` and a new highest slot write it.
    /// Offset of the root epoch.
    pub const EPOCH: usize = 64;
    /// Offset of the number of slots ever taken.
    pub const SLOTS_USED: usize = 68;
    /// Offset of the manual clock.
    pub const MANUAL_CLOCK: usize = 128;
    /// Offset of the number of kept items, in every layout.
    pub const KEPT: usize = 136;
    /// Words from here to the end of the header belong to the cache.
    pub const CACHE: usize = 192;

    /// The header of a segment.
    #[inline]
    pub fn of(region: &'r Region) -> Self {
        Self { region }
    }

    /// The root epoch; `clear` and `destroy` move it.
    #[inline]
    pub fn epoch(self) -> &'r AtomicU32 {
        self.region.u32(Self::EPOCH)
    }

    /// The state of the segment.
    #[inline]
    pub fn state(self) -> State {
        match ending::state_of(self.region.u32(Self::STATE)) {
            1 => State::Ready,
            2 => State::Destroyed,
            _ => State::Building,
        }
    }

    pub(crate) fn set_state(self, state: State) {
        // Release: pairs with the Acquire in `ending::state_of`.
        self.region.u32(Self::STATE).store(state as u32, Ordering::Release);
    }

    pub(crate) fn give_up(self) {
        ending::give_up(self.region.u32(Self::STATE), State::Destroyed as u32, self.epoch());
    }

    /// The manual clock in milliseconds; 0 on segments with a real clock.
    #[inline]
    pub fn manual_clock(self) -> &'r AtomicU64 {
        self.region.u64(Self::MANUAL_CLOCK)
    }

    /// Number of items that must outlive the last process, such as those of queues. It may be too high after a death, and is
    /// never too low. While it is not 0, no newer layout removes the file.
    pub fn kept(self) -> &'r AtomicU64 {
        self.region.u64(Self::KEPT)
    }

    /// When the segment was created, in milliseconds since boot.
    pub fn created_ms(self) -> u64 {
        self.region.u64(Self::CREATED).load(Ordering::Relaxed)
    }

    /// One more than the highest process slot ever taken.
    #[inline]
    pub fn slots_used(self) -> usize {
        (self.region.u32(Self::SLOTS_USED).load(Ordering::Relaxed) as usize).min(PROCESS_SLOTS)
    }

    pub(crate) fn note_slot(self, slot: u16) {
        self.region.u32(Self::SLOTS_USED).fetch_max(u32::from(slot) + 1, Ordering::Relaxed);
    }
}
