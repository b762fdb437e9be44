//! Keyspaces: the purpose of an entry. Values belong to the user. All other entries are records.
//!
//! A record is an entry like any other: one store of its index word changes it, and a rebuild keeps it. It differs in
//! three points. No `clear`, tag, prefix or walk over keys affects it. No stats of a namespace count it. It is
//! *pinned*, which means never evicted, unless it is the state of a limiter. Pinned records may take at most a quarter
//! of a shard.
//!
//! An entry's 16 bits of `namespace` are the number of its namespace and, above it, its keyspace. Caution: the lower
//! part alone is the index into tables of namespaces.
//!
//! A *version* of an application has values of its own. Two keyspaces belong to it: one for its values, one for their
//! flights. All other keyspaces span the versions, and so do the epochs, tags, counts and quotas of a namespace.
//! `records/versions.rs` gives versions their numbers.

use crate::layout::geometry::MAX_NAMESPACES;
use crate::layout::sizes::FIRST_OF_VERSIONS;

/// The purpose of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Keyspace {
    /// A value of the user.
    Values = 0,
    /// Holders and waiters of a lock.
    Locks = 1,
    /// Holders and waiters of a semaphore.
    Semaphores = 2,
    /// Holder and waiters of a leadership.
    Elections = 3,
    /// The flight of a key: the load of its value.
    Flights = 4,
    /// The state of a limiter; not pinned.
    Limits = 5,
    /// The result of a call of `once`.
    Once = 6,
    /// The flight of a call of `once`.
    OnceFlights = 7,
    /// A metric of the application.
    Metrics = 8,
    /// The state and the waiters of an event.
    Events = 9,
    /// The waiters of a barrier.
    Barriers = 10,
    /// The waiters of a condition.
    Conditions = 11,
    /// Where the items of a queue are.
    Queues = 12,
    /// The value of an item of a queue.
    QueueItems = 13,
    /// The table of versions.
    Versions = 15,
}

/// The highest keyspace in use below `Versions`.
const LAST: u16 = Keyspace::QueueItems as u16;
/// Maximum number of versions with entries at once. The keyspace of the values of version 0 is `FIRST_OF_VERSIONS`, that of
/// their flights is the next one, and so on.
pub(crate) const MAX_VERSIONS: usize = ((1 << (16 - SHIFT)) - FIRST_OF_VERSIONS as usize) / 2;
const SHIFT: u32 = MAX_NAMESPACES.trailing_zeros();

/// The life of every record: no epoch ends it.
pub(crate) const RECORD_LIFE: u64 = 0;

impl Keyspace {
    /// A namespace's number with this keyspace above it. Values and their flights keep the version of `namespace`.
    pub(crate) fn of(self, namespace: u16) -> u16 {
        let space = match (self, version_of(namespace)) {
            (Self::Values, Some(version)) => FIRST_OF_VERSIONS + 2 * version,
            (Self::Flights, Some(version)) => FIRST_OF_VERSIONS + 2 * version + 1,
            _ => self as u16,
        };
        number(namespace) | space << SHIFT
    }
}

/// The namespace of the values of a version, which is below `MAX_VERSIONS`.
pub(crate) fn in_version(namespace: u16, version: u16) -> u16 {
    number(namespace) | (FIRST_OF_VERSIONS + 2 * version) << SHIFT
}

/// The version of a value or of its flight; `None`: it has none, or the entry belongs to all versions.
#[inline]
pub(crate) fn version_of(namespace: u16) -> Option<u16> {
    space(namespace).checked_sub(FIRST_OF_VERSIONS).map(|above| above / 2)
}

/// The number of the namespace, without the keyspace.
#[inline]
pub(crate) fn number(namespace: u16) -> u16 {
    namespace & (MAX_NAMESPACES as u16 - 1)
}

/// The keyspace, without the number of the namespace.
#[inline]
pub(crate) fn space(namespace: u16) -> u16 {
    namespace >> SHIFT
}

/// Whether the entry is a record, not a value of the user.
#[inline]
pub(crate) fn is_record(namespace: u16) -> bool {
    let space = space(namespace);
    space != Keyspace::Values as u16 && (space < FIRST_OF_VERSIONS || space & 1 == 1)
}

/// Whether the entry is never evicted.
#[inline]
pub(crate) fn is_pinned(namespace: u16) -> bool {
    is_record(namespace) && space(namespace) != Keyspace::Limits as u16
}

/// Whether this build knows the keyspace.
pub(crate) fn is_known(namespace: u16) -> bool {
    let space = space(namespace);
    space <= LAST || space >= Keyspace::Versions as u16
}
