//! Records of coordination: a few words under a key in a keyspace of its own. Each change is one step under the lock of
//! the key's shard. This folder changes no structure of a shard itself: `change` does that.
//!
//! ```text
//! keyspace       reads and changes records of one keyspace
//! keys           the keys of all records of a keyspace
//! permit_table   words of a record of permits         permits   locks, semaphores, leaderships
//!                                                 gates     events, barriers, conditions
//! queue_table    words of a record of a queue         queues    items that are taken and acknowledged
//! flight_board   words of a record of flights         flights   one load of a key on the whole host
//! meters         words of a limiter's state           limits    limiters
//! metrics        counters, gauges, histograms
//! orphans        permits, tickets and flights of closed handles and ended threads
//! ```
//!
//! Caution: a caller checks the liveness of owners before it takes the lock, never under it; see
//! `attachment::liveness`.

pub(crate) mod flight_board;
pub(crate) mod flights;
pub(crate) mod gates;
pub(crate) mod keys;
pub(crate) mod keyspace;
pub(crate) mod limits;
pub(crate) mod meters;
pub(crate) mod metrics;
pub(crate) mod orphans;
pub(crate) mod permit_table;
pub(crate) mod permits;
pub(crate) mod queue_table;
pub(crate) mod queues;
pub(crate) mod versions;
