//! The structures of one shard, each on its own. Readers use them without the lock. The folder `change` combines them
//! under it.
//!
//! ```text
//! view        words of the control block, tallies, units
//! pieces      the body of an entry, piece by piece
//! index       positions, search, and the order of lines in a walk
//! intents     the entry behind an intent
//! values      copies a value out of the segment
//! fate        the state of an entry according to its tags
//! allocator   free units
//! eviction    queues, ghosts, victims
//! journal     what a change did so far, to be undone after a death
//! note        one note of the journal
//! ring        changes and messages
//! scratch     memory for a rebuild
//! validate    lists contradictions
//! ```
//!
//! A contradiction is `Damaged`. Under the lock it means damage, and the shard is rebuilt. Without the lock, the entry
//! may only have changed under the reader.

pub(crate) mod allocator;
pub(crate) mod eviction;
pub(crate) mod fate;
pub(crate) mod index;
pub(crate) mod intents;
pub(crate) mod journal;
pub(crate) mod note;
pub(crate) mod pieces;
pub(crate) mod ring;
pub(crate) mod scratch;
pub(crate) mod validate;
pub(crate) mod values;
pub(crate) mod view;
