//! Every system call of the project, and the interface that a port to another system must provide. No module above this
//! folder knows which system it runs on.
//!
//! Each system has a folder with the files and names below; `linux` is the only one so far. A port adds its folder and a line
//! that selects it as `system`; the compiler then names all that is missing. The functions of one system say in their
//! comments what they promise, and `types` has what they exchange. `locks` follows from the rest.
//!
//! Where a promise cannot be kept, the port returns `ShmError::Unsupported`: a segment that could not survive a death, or a
//! full disk, must not open.

#[cfg(target_os = "linux")]
mod linux;
mod locks;
mod types;

#[cfg(target_os = "linux")]
use linux as system;

#[cfg(not(target_os = "linux"))]
compile_error!("cache-machine runs on Linux only so far: a port provides what crates/shm/src/os/mod.rs lists");

pub(crate) use locks::{is_held, some_held, try_hold};
pub use types::Sharing;
pub(crate) use types::{Hold, Trouble};

// Named files: created without ever replacing one, for this user or for a group. `SHARED_MEMORY` is the folder of the default
// place, which need not survive a restart.
pub(crate) use system::files::{
    SHARED_MEMORY, check_access, check_folder, check_ownership, create_new, is_at, is_same_file, make_private_at,
    open_existing, protect, read_at, rename_no_replace,
};

// Users: that of this process, the id of a group by its name, and whether this process may act for a group.
pub(crate) use system::users::effective_uid;
pub use system::users::{group_id, is_in_group};

// Errors: what each of them means for a segment.
pub(crate) use system::errors::trouble_of;

// Leases: locks on bytes of a file, beyond its end as well. The kernel drops them when their process ends, however it ends.
// They belong to the open file, so two of them exclude each other within one process, too.
pub(crate) use system::leases::{lock_in_the_way, try_hold_range};

// Space: reserved ahead of its use, so that no later access fails. `allocated_bytes` is for display.
pub use system::space::allocated_bytes;
pub(crate) use system::space::{check_file_size, populate_mapped, release, reserve};

// Memory: a file mapped by several processes at once, seen by all of them as one memory.
pub use system::memory::populate;
pub(crate) use system::memory::{lock_memory, map, overlay_with_zeros, unmap};

// Faults: an access to memory that its file no longer has does not end the process.
pub(crate) use system::faults::on_lost_memory;

// Sleep: on a word of shared memory, and woken from any process that maps it.
pub(crate) use system::sleep::{futex_wait, futex_wake};

// The clock: milliseconds since boot, sleep included, the same in all processes. The id of the boot tells files of an earlier
// one.
pub use system::clock::boot_id;
pub(crate) use system::clock::{boottime_ms, boottime_offset_ms};

// Processes: whether another one is suspended or its number was used again, for the judgement beside the lease.
pub use system::processes::random_u64;
pub(crate) use system::processes::{pid_namespace, process_status};

// For tests: to die and to stop at a step, and children that do so.
pub use system::fork;
#[cfg(feature = "kill-steps")]
pub(crate) use system::processes::{kill_self, stop_self};
