//! Changes of a shard under its lock. This folder is the only one that changes several structures of a shard. It has
//! every `impl Locked`, and features above it call these methods.
//!
//! Every change but a transaction has one shape: take free units, write them, advance the sequence, store one index word, then update the
//! derived structures. A death before the store of the index word leaves nothing of the change, a death after it leaves
//! all of it. The next owner of the lock rebuilds the derived structures. See docs/crash-safety.md.
//!
//! Caution: a holder of the lock must be fast. It runs no callback, allocates nothing and writes no log line. Its only
//! system call is the reservation of space.
//!
//! The files from the bottom to the top; each uses those above it in this list:
//!
//! ```text
//! locked    the guard of the lock, and values that are read once under it
//! find      the entry of a key, and whether it is live
//! notify    messages for watchers and subscribers
//! counts    tallies, the life of a namespace, overflow counts
//! rebuild   recomputes all derived structures
//! repair    undoes and finishes the change of a dead owner
//! growth    divides the index
//! remove    removes an entry
//! sweep     removes dead entries
//! quotas    which entries may be evicted, and how much a namespace may store
//! room      reserves, sweeps and evicts until there is room
//! outdate   removes a record; ends the flight of a key that changes
//! set       writes an entry on a condition
//! update    delete, take, touch, increment, deletion by prefix
//! collect   edits a collection
//! adopt     stores entries of another area
//! restore   stores entries of a snapshot, and removes those that it replaces
//! record    reads, changes and stores a record
//! run       takes the lock and runs a change
//! stage     writes the entries of a transaction, and makes all of them visible at once
//! commit    takes the locks of a transaction and commits it
//! ```

pub(crate) mod adopt;
pub(crate) mod collect;
pub(crate) mod commit;
pub(crate) mod counts;
pub(crate) mod find;
pub(crate) mod growth;
pub(crate) mod locked;
pub(crate) mod notify;
pub(crate) mod outdate;
pub(crate) mod quotas;
pub(crate) mod rebuild;
pub(crate) mod record;
pub(crate) mod remove;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod room;
pub(crate) mod run;
pub(crate) mod set;
pub(crate) mod stage;
pub(crate) mod sweep;
pub(crate) mod update;
