//! Spaces: what an entry is for. Values are the user's; all others are records of coordination.
//!
//! A record is an entry like any other, changed by one store of its index word, rebuilt like any other. What differs: no
//! `clear`, tag, prefix or walk over keys touches it, it is in no statistics of a namespace, and, but for the state of
//! a limiter, it is *pinned*: never evicted. Pinned records may take a quarter of a shard.
//!
//! The thing to get wrong: the number. An entry's 16 bits of `namespace` are the number of its namespace and, above it,
//! its space; tables of namespaces are indexed by the lower part alone.

use crate::geometry::MAX_NAMESPACES;

/// What an entry is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Space {
    /// A value of the user's.
    Values = 0,
    /// Who holds a lock, and who waits for it.
    Locks = 1,
    /// The same of a semaphore.
    Semaphores = 2,
    /// The same of a leadership.
    Elections = 3,
    /// Who loads the value of a key.
    Flights = 4,
    /// The state of a limiter; not pinned.
    Limits = 5,
    /// What was done once.
    Once = 6,
    /// Who does it.
    OnceFlights = 7,
    /// A metric of the application's.
    Metrics = 8,
}

/// The last one.
const LAST: u16 = Space::Metrics as u16;
const SHIFT: u32 = MAX_NAMESPACES.trailing_zeros();

/// The life of every record: no epoch ends it.
pub(crate) const RECORD_LIFE: u64 = 0;

impl Space {
    /// A namespace's number with this space above it.
    pub(crate) fn of(self, namespace: u16) -> u16 {
        number(namespace) | (self as u16) << SHIFT
    }
}

/// The namespace alone.
#[inline]
pub(crate) fn number(namespace: u16) -> u16 {
    namespace & (MAX_NAMESPACES as u16 - 1)
}

/// The space alone.
#[inline]
pub(crate) fn space(namespace: u16) -> u16 {
    namespace >> SHIFT
}

/// Not a value of the user's.
#[inline]
pub(crate) fn is_record(namespace: u16) -> bool {
    usize::from(namespace) >= MAX_NAMESPACES
}

/// Never to be evicted.
#[inline]
pub(crate) fn is_pinned(namespace: u16) -> bool {
    is_record(namespace) && space(namespace) != Space::Limits as u16
}

/// Whether this build knows the space.
pub(crate) fn is_known(namespace: u16) -> bool {
    space(namespace) <= LAST
}
