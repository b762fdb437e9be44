//! Named shared-memory segments, and what it takes to share one safely with processes that may be killed at any
//! instruction: leases, a lock that survives its owner, bells, the boot clock, a guard against truncation.
//!
//! This crate has every unsafe line and every system call of the project, except the raw Node-API calls. It knows no key,
//! no value and no deadline. Folders: `os` (system calls), `memory` (mapped bytes), `protocol` (lock-free protocols),
//! `segment` (files, names, processes). Four rules for shared bytes:
//!
//! 1. **Words, not values.** Shared memory is reached only as atomic words, so a race is never undefined behaviour.
//! 2. **Untrusted.** A field is read once, checked, and only the checked copy is used. Any byte may be anything.
//! 3. **Offsets, never addresses.** Every process maps the segment where it likes.
//! 4. **Any holder may be dead.** Only the kernel, through a lease, says whether a process is dead.
//!
//! Caution: a pid proves nothing. Pids repeat, zombies look alive, and in containers every process may be number 1.

pub mod atomic;
mod protocol;
pub mod steps;

pub use protocol::{bell, ending, index, lock, publish, slot, tag_clock, tail};

// A loom atomic is a handle into the checker, not bytes in a mapping: under the checker only the protocols exist.
#[cfg(not(cache_machine_loom))]
mod clock;
#[cfg(not(cache_machine_loom))]
mod error;
#[cfg(not(cache_machine_loom))]
mod memory;
#[cfg(not(cache_machine_loom))]
mod os;
#[cfg(not(cache_machine_loom))]
mod segment;

#[cfg(not(cache_machine_loom))]
pub use exports::*;

#[cfg(not(cache_machine_loom))]
mod exports {
    pub use crate::clock::{BootClock, wall_ms};
    pub use crate::error::ShmError;
    pub use crate::memory::latest::Latest;
    pub use crate::memory::mapping::Memory;
    pub use crate::memory::region::{Block, Region};
    pub use crate::os::{Sharing, allocated_bytes, boot_id, fork, group_id, is_in_group, populate, random_u64};
    pub use crate::segment::file::{SegmentFile, ThroughLocks};
    pub use crate::segment::gate::MAX_GATE_PATIENCE;
    pub use crate::segment::header::{
        CREATOR, DESTROYERS, GATE, GATE_BYTES, HEADER_BYTES, Header, LEASES, MAGIC, PROCESS_SLOTS, State,
    };
    pub use crate::segment::joined::Segment;
    pub use crate::segment::listing::{list_segments, remove_unused};
    pub use crate::segment::opened::{Found, Identity};
    pub use crate::segment::place::Place;
    pub use crate::segment::process_table::{
        AttachedProcess, BELL_STRIPES, ListeningProcesses, Member, ProcessCounter, ProcessTable, SLOT_BYTES,
        SLOT_GROUPS, Slots,
    };
}
