//! The process's side of a mapped segment: one `Attachment` per process and segment, shared by all its threads.
//!
//! ```text
//! attached       the segment, its geometry, its clock, and whether its name still belongs to it
//! locks          takes the locks of the shards and of the header, with one timeout
//! flags          per shard: a holder that a writer waited for in vain, damage that a reader met
//! reservations   per shard: when the file system was last full
//! stripes        number of listeners of each stripe of keys
//! liveness       which owners are dead
//! patience       how long a caller waits, and when a living holder counts as suspended
//! ```
//!
//! This folder knows no key, no value and no change. The changes under a shard's lock are in `change`.

pub(crate) mod attached;
pub(crate) mod flags;
pub(crate) mod liveness;
pub(crate) mod locks;
pub(crate) mod patience;
pub(crate) mod reservations;
pub(crate) mod stripes;
