//! What an owner held that is gone while its process lives on: a handle that was closed, a worker thread that ended.
//!
//! The death of a process needs none of this, since its lease tells. The thing to get wrong: giving up. A shard may be held
//! by a stopped process just then; so what cannot be given back now is tried again by the background thread.

use crate::cache::Core;
use crate::error::CacheError;
use crate::spaces::Space;
use crate::turns::Queue;
use std::time::Duration;

/// Something to be given back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Orphan {
    /// A place among the holders.
    Place {
        /// See `Orphan::namespace_of`.
        namespace: u16,
        /// Of the record.
        key: Vec<u8>,
        /// Of the holder.
        token: u64,
        /// How many can hold it at once.
        permits: u32,
    },
    /// A place in the queue, or what became of it.
    Ticket {
        /// See `Orphan::namespace_of`.
        namespace: u16,
        /// Of the record.
        key: Vec<u8>,
        /// Of the waiter.
        ticket: u64,
        /// How many can hold it at once.
        permits: u32,
    },
    /// A load that nobody will end.
    Flight {
        /// See `Loads::flights_of`.
        namespace: u16,
        /// Of the value.
        key: Vec<u8>,
        /// Of the flight.
        token: u64,
    },
}

impl Orphan {
    /// Where a record is: its space, and a namespace's number.
    pub fn namespace_of(space: Space, namespace: u16) -> u16 {
        space.of(namespace)
    }

    pub(crate) fn give_back(&self, core: &Core, timeout: Duration) -> Result<(), CacheError> {
        match self {
            Self::Place { namespace, key, token, permits } => {
                core.release_turn(&Queue { namespace: *namespace, key, permits: *permits, timeout }, *token).map(drop)
            }
            Self::Ticket { namespace, key, ticket, permits } => {
                core.leave_queue(&Queue { namespace: *namespace, key, permits: *permits, timeout }, *ticket)
            }
            Self::Flight { namespace, key, token } => {
                core.end_flight(*namespace, key, *token, None, false, timeout).map(drop)
            }
        }
    }
}

impl Core {
    pub(crate) fn has_orphans(&self) -> bool {
        !self.orphans.lock().unwrap_or_else(|e| e.into_inner()).is_empty()
    }

    /// To be given back by the background thread.
    pub(crate) fn give_back_later(&self, orphans: Vec<Orphan>) {
        if !orphans.is_empty() {
            self.orphans.lock().unwrap_or_else(|e| e.into_inner()).extend(orphans);
            // It may be asleep, with nothing else to look at.
            self.segment.member().ring_own();
        }
    }

    /// Tries again what could not be given back. What is gone with its segment is forgotten.
    pub(crate) fn give_back_orphans(&self) {
        const PATIENCE: Duration = Duration::from_millis(10);
        let waiting = std::mem::take(&mut *self.orphans.lock().unwrap_or_else(|e| e.into_inner()));
        let is_left = |orphan: &Orphan| matches!(orphan.give_back(self, PATIENCE), Err(CacheError::Busy(_)));
        let left: Vec<Orphan> = waiting.into_iter().filter(is_left).collect();
        self.orphans.lock().unwrap_or_else(|e| e.into_inner()).extend(left);
    }
}
