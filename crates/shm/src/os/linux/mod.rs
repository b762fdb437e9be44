//! Linux.

pub(super) mod clock;
pub(super) mod errors;
pub(super) mod faults;
pub(super) mod files;
pub mod fork;
pub(super) mod leases;
pub(super) mod memory;
pub(super) mod processes;
pub(super) mod sleep;
pub(super) mod space;
pub(super) mod users;
