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
//! namespaces  names, epochs, counts              tags     the tag clock and its records
//! scan      keys by cursor, deletion by prefix   gone     keys that were evicted or expired, to be told
//! spaces    what an entry is for                 records  small records of coordination, changed in one step
//! turns     locks, semaphores, leaderships       vigils   who waits for a change of a record
//! orphans   what an owner left that is gone, while its process lives on      flights  who loads the value of a key
//! regions   segments of raw bytes with a lock, beside the cache
//! ring      changes and messages, by shard       feed     who in this process watches and subscribes
//! subscriptions  who subscribes to which channel, over all processes
//! limits    limiters: tokens of a key        metrics  counters, gauges, histograms    pinned  which records there are
//! ```

#![forbid(unsafe_code)]

#[cfg(feature = "bench-doors")]
mod bench_doors;
mod cache;
mod entry;
mod error;
mod feed;
mod flights;
mod geometry;
mod gone;
mod growth;
mod key;
pub mod kind;
mod limits;
mod locked;
mod metrics;
mod namespaces;
mod orphans;
mod pinned;
mod policy;
mod read;
mod records;
mod recover;
mod regions;
mod ring;
mod scan;
mod segments;
mod service;
mod shard;
mod space;
mod spaces;
mod subscriptions;
mod tags;
mod turns;
mod vigils;
mod waits;

pub use cache::{Cache, Core, LOCK_WAIT_BUCKETS, OpenOptions, Opened, Stats, Tallies};
pub use cache_machine_shm::lock::Acquired;
pub use cache_machine_shm::{Memory, Region};
pub use entry::MAX_TAGS;
pub use error::CacheError;
pub use feed::{FeedItem, Watch};
pub use flights::{Boarding, Departure, Landing, Loads, MAX_OUTCOME};
pub use geometry::{Eviction, Geometry, LAYOUT_VERSION, MAX_NAMESPACES, MAX_SIZE, META_AT, MIN_SIZE, TAG_CLOCK};
pub use gone::{GoneEntry, Reason};
pub use key::MAX_KEY;
pub use limits::{Algorithm, Demand, Limit, MAX_TOKENS, Verdict};
pub use locked::{Condition, Increment, Write};
pub use metrics::{Family, MAX_BOUNDS, MAX_HELP, Measured, Measurement, Metric, MetricKind};
pub use namespaces::MAX_NAME;
pub use orphans::Orphan;
pub use read::{Depends, Manner, Meta, NoSink, Sink, SliceSink};
pub use regions::{MAX_REGION, RegionInfo, RegionOptions, SharedRegion, destroy_region, inspect_region, list_regions};
pub use ring::What;
pub use scan::{Page, ScannedKey};
pub use segments::{SegmentInfo, destroy, inspect, list};
pub use service::{Listener, Notice};
pub use spaces::Space;
pub use tags::Invalidation;
pub use turns::{Claim, Claimed, Grant, Turn};
pub use vigils::Awaited;
