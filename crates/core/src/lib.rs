//! The cache over a shared-memory segment: index, allocator, eviction, expiry, recovery, stats.
//!
//! An entry's life has these steps. A writer writes the bytes into free units that no index word names. One store of
//! the index word makes the entry visible to every process. Readers copy the entry and check the word again. A later
//! store of the same word replaces or removes the entry, and its units are free. A death in between damages only
//! derived structures, which the next writer rebuilds from the index words.
//!
//! This list goes from the bottom to the top. Each folder uses those above it in the list, and explains itself in its
//! `mod.rs`:
//!
//! ```text
//! error, kind   errors of operations; kinds of values
//! layout        offsets and formats
//! collections   hashes, lists, sets, sorted sets as bytes
//! shard         one shard: its fields by name, and each structure on its own
//! notices       the notices of a process, and its listeners
//! attachment    the process's side of a mapped segment: gate, clock, locks
//! change        changes of a shard under its lock: the only place that changes more than one of its structures
//! tables        changes of the tables in the header: namespaces, tags, subscriptions
//! reading       reads without a lock
//! records       records of coordination: permits, flights, limiters, metrics, orphans
//! waiting       waits and record watches of this process
//! streams       watches and subscriptions of this process
//! resize        moves all entries into an area of another size
//! process       one process's open segment: attachment, background thread, registry
//! cache         the handle: documents, checks, delegates
//! ```
//!
//! Further modules: `names` (names and files), `stats`, `segments` (list, inspect, destroy), `regions` (raw bytes with
//! a lock).

#![forbid(unsafe_code)]

mod attachment;
mod cache;
mod change;
mod collections;
mod error;
mod format;
pub mod kind;
mod layout;
mod names;
mod notices;
mod process;
mod reading;
mod records;
mod regions;
mod resize;
mod segments;
mod shard;
mod stats;
mod streams;
mod tables;
mod waiting;

pub use attachment::attached::Attachment;
pub use cache::collections::NewCollection;
pub use cache::handle::Cache;
pub use cache::snapshots::{RestoreCounts, RestoreRules, RestoreTarget};
pub use cache_machine_shm::lock::Acquired;
pub use cache_machine_shm::{AttachedProcess, Memory, Region};
pub use change::commit::{Check, KeyChange, MAX_TRANSACTION_KEYS};
pub use change::set::{Condition, Write};
pub use change::update::Increment;
pub use collections::request::{OPERATIONS, Operation};
pub use error::CacheError;
#[doc(hidden)]
pub use format::format_tables;
pub use layout::geometry::{
    Eviction, Geometry, JOURNAL_AT, LAYOUT_VERSION, LOCK_WAIT_BUCKETS, MAX_NAMESPACES, MAX_SIZE, META_AT, MIN_SIZE,
    TAG_CLOCK,
};
pub use layout::keyspaces::Keyspace;
pub use layout::messages::What;
pub use layout::namespaces::MAX_NAME;
pub use layout::sizes::{MAX_KEY, MAX_TAGS};
pub use layout::tags::InvalidatedTag;
pub use names::{Group, Location};
pub use notices::listeners::{Listener, Notice};
pub use notices::removals::{Removal, RemovalReason};
pub use process::core::Core;
pub use process::options::{OpenOptions, Opened};
pub use reading::export::{ExportPage, ExportState, ExportedNamespace};
pub use reading::read::ReadMode;
pub use reading::scan::{Deletion, Page};
pub use reading::walk::ScannedKey;
pub use records::flight_board::MAX_OUTCOME;
pub use records::flights::{FinishResult, FlightKind, FlightOptions, FlightStart};
pub use records::gates::Gate;
pub use records::limits::{Demand, Verdict};
pub use records::meters::{Algorithm, Limit, MAX_TOKENS};
pub use records::metrics::{Family, MAX_BOUNDS, MAX_HELP, Measured, Measurement, Metric, MetricKind};
pub use records::orphans::Orphan;
pub use records::permits::{Acquisition, Grant, HeldPermits, PermitRequest, TicketState};
pub use records::queues::{MAX_ITEMS, QueueCounts, QueueRules, Taken, Turn};
pub use regions::{MAX_REGION, RegionInfo, RegionOptions, SharedRegion, destroy_region, inspect_region, list_regions};
pub use resize::Resized;
pub use segments::{SegmentInfo, destroy, inspect, list};
pub use shard::values::{EntryMeta, NearDependencies, NoSink, Sink, SliceSink};
pub use stats::{ShardUse, Stats, Tallies};
pub use streams::items::{StreamItem, Watch};
pub use tables::quotas::QuotaSetting;
pub use tables::tags::Invalidation;
pub use waiting::record_watches::Awaited;
