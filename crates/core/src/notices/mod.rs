//! The notices of a process, and its listeners. This folder takes no shard's lock: the guard of a shard hands over the
//! noted removals after it has released the lock.
//!
//! ```text
//! removals    keys that this thread evicted or expired under a lock
//! listeners   notices, and the table of listeners
//! ```

pub(crate) mod listeners;
pub(crate) mod removals;
