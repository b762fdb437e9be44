//! The sizes, offsets and formats of a segment. Code in this folder takes no lock. It loads and stores the fields of
//! the formats, and changes no entry on its own.
//!
//! ```text
//! sizes       numbers that several formats share
//! geometry    the offset of every block, computed from the size of the segment
//! control     words of a shard's control block and of its tallies
//! keyspaces   the purpose of an entry, as a part of its namespace number
//! key         a key with its hash: shard, line and tag
//! entry       head and queue links of an entry
//! intent      stands in for an entry while a transaction commits
//! messages    messages in the rings of a shard
//! namespaces  the table of namespaces, for reads without a lock
//! quotas      the quotas of namespaces, for reads without a lock
//! tags        the tag clock and the tag records, for reads without a lock
//! ```
//!
//! A number in shared bytes may have any value, so it is checked before it is followed.

pub(crate) mod areas;
pub(crate) mod control;
pub(crate) mod entry;
pub(crate) mod geometry;
pub(crate) mod intent;
pub(crate) mod key;
pub(crate) mod keyspaces;
pub(crate) mod messages;
pub(crate) mod namespaces;
pub(crate) mod quotas;
pub(crate) mod sizes;
pub(crate) mod tags;
