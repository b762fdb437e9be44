//! Named shared-memory segments, and what it takes to share one safely with processes that may be killed at any
//! instruction: leases, a lock that survives its owner, bells, the boot clock, a guard against truncation.
//!
//! Every unsafe line and every system call of the project is in this crate (the Node fence apart). It knows no key, no
//! value and no deadline. Four rules of shared bytes:
//!
//! 1. **Words, not values.** Shared memory is reached only as atomic words, so a race is a race and never undefined.
//! 2. **Untrusted.** A field is read once, checked, and only the checked copy is used. Any byte may be anything.
//! 3. **Offsets, never addresses.** Every process maps the segment where it likes.
//! 4. **Nobody is trusted to live.** Whoever holds something may be dead; only the kernel, through a lease, says so.
//!
//! The thing to get wrong: deciding by pid. Pids repeat, zombies look alive, and in containers everybody is 1.

pub mod atomic;
pub mod bell;
pub mod ending;
pub mod index;
pub mod lock;
pub mod publish;
pub mod slot;
pub mod steps;
pub mod tag_clock;
pub mod tail;

// A loom atomic is a handle into the checker, not bytes in a mapping: under the checker only the protocols exist.
#[cfg(not(cache_machine_loom))]
mod bulk;
#[cfg(not(cache_machine_loom))]
mod clock;
#[cfg(not(cache_machine_loom))]
mod error;
#[cfg(not(cache_machine_loom))]
mod os;
#[cfg(not(cache_machine_loom))]
mod process_table;
#[cfg(not(cache_machine_loom))]
mod region;
#[cfg(not(cache_machine_loom))]
mod segment;
#[cfg(not(cache_machine_loom))]
mod sigbus;

#[cfg(not(cache_machine_loom))]
pub use clock::{BootClock, wall_ms};
#[cfg(not(cache_machine_loom))]
pub use error::ShmError;
#[cfg(not(cache_machine_loom))]
pub use os::{boot_id, fork, populate, random_u64};
#[cfg(not(cache_machine_loom))]
pub use process_table::{Counter, Listeners, Member, PROCESS_SLOTS, ProcessTable, RUNG_STRIPES, SLOT_BYTES, Slots};
#[cfg(not(cache_machine_loom))]
pub use region::Region;
#[cfg(not(cache_machine_loom))]
pub use segment::{
    Found, HEADER_BYTES, Header, Identity, Memory, Place, Segment, SegmentFile, State, ThroughLocks, list_segments,
    remove_unused,
};
