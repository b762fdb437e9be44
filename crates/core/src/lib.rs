//! The cache over a shared-memory segment: index, space, eviction, expiry, recovery, statistics.
//!
//! The life of an entry: its bytes are written into free units that nobody can see; one store of its index word makes it
//! visible to every process; readers copy it and look at the word again; a later store of the same word replaces or
//! removes it, and its units are free. Who dies in between leaves only derived structures behind, which the next writer
//! rebuilds from the words.
//!
//! ```text
//! cache     opens, routes a key to its shard, keeps the process's side       read      without a lock
//! locked    a shard under its lock: the only place that changes one          recover   rebuilds it from its words
//! shard     its bytes: control, lines, units     entry  head and body        space     free units
//! policy    who must go                          key    hash and path        geometry  where everything lies
//! waits     who waits for which key              service  the background thread: bells, expiry, detachment
//! ```

#![forbid(unsafe_code)]

mod cache;
mod entry;
mod error;
mod geometry;
mod key;
pub mod kind;
mod locked;
mod policy;
mod read;
mod recover;
mod segments;
mod service;
mod shard;
mod space;
mod waits;

pub use cache::{Cache, Core, OpenOptions, Opened, Stats};
pub use cache_machine_shm::Region;
pub use error::CacheError;
pub use geometry::{Eviction, Geometry, LAYOUT_VERSION, MAX_SIZE, MIN_SIZE};
pub use key::MAX_KEY;
pub use locked::{Condition, Increment, Write};
pub use read::{Manner, Meta, NoSink, Sink, SliceSink};
pub use segments::{SegmentInfo, destroy, inspect, list};
pub use service::{Listener, Notice};
