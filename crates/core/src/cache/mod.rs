//! The public handle of the crate: it documents, checks and delegates.
//!
//! ```text
//! handle         open, namespaces, and helpers of all methods
//! values         read, write, delete, walk
//! collections    hashes, lists, sets, sorted sets
//! transactions   changes of several keys at once
//! namespace      tags, `clear`, counts
//! coordination   waits, locks, semaphores, flights, limiters
//! metrics        the application's own metrics
//! streams        watches, subscriptions, messages
//! snapshots      entries as records of a snapshot, and back
//! bench_doors    single steps of a write, for benches alone
//! ```

#[cfg(feature = "bench-doors")]
mod bench_doors;
pub(crate) mod collections;
mod coordination;
pub(crate) mod handle;
mod metrics;
mod namespace;
pub(crate) mod queues;
pub(crate) mod snapshots;
mod streams;
mod transactions;
mod values;
