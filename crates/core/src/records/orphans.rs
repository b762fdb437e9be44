//! Orphans: permits, tickets and flights of a closed handle or an ended worker thread, while the process lives on.
//!
//! The death of a process leaves no orphans, since its lease shows the death. If a suspended process (SIGSTOP) holds
//! the shard, a release is not possible at once: the background thread then tries again until it succeeds.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::keyspaces::Keyspace;
use crate::records::flights;
use crate::records::keyspace::Records;
use crate::records::permits::PermitRecord;
use crate::records::queues::{Queue, QueueRules};
use std::sync::Mutex;
use std::time::Duration;

/// A permit, a ticket or a flight to give back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Orphan {
    /// A granted permit.
    Permit {
        /// See `Orphan::namespace_of`.
        namespace: u16,
        /// Key of the record.
        key: Vec<u8>,
        /// Token of the holder.
        token: u64,
        /// Maximum number of holders at once.
        permits: u32,
    },
    /// A ticket, or the permit that it was granted.
    Ticket {
        /// See `Orphan::namespace_of`.
        namespace: u16,
        /// Key of the record.
        key: Vec<u8>,
        /// Ticket of the waiter.
        ticket: u64,
        /// Maximum number of holders at once.
        permits: u32,
    },
    /// A ticket of a queue, or the item that it was handed.
    Turn {
        /// See `Orphan::namespace_of`.
        namespace: u16,
        /// Key of the queue.
        key: Vec<u8>,
        /// Ticket of the waiter.
        ticket: u64,
        /// How often an item may be taken; 0: without a limit.
        attempts: u32,
    },
    /// An item of a queue in hand.
    Item {
        /// See `Orphan::namespace_of`.
        namespace: u16,
        /// Key of the queue.
        key: Vec<u8>,
        /// Number of the item.
        item: u64,
        /// Token of the taker.
        token: u64,
        /// How often an item may be taken; 0: without a limit.
        attempts: u32,
    },
    /// An item of a queue that its pusher will not finish, or one without a value.
    Push {
        /// See `Orphan::namespace_of`.
        namespace: u16,
        /// Key of the queue.
        key: Vec<u8>,
        /// Number of the item.
        item: u64,
    },
    /// A load that its owner will not end.
    Flight {
        /// See `FlightKind::flights_of`.
        namespace: u16,
        /// Key of the value.
        key: Vec<u8>,
        /// Token of the flight.
        token: u64,
    },
}

impl Orphan {
    /// The number of a namespace with a record's keyspace.
    pub fn namespace_of(keyspace: Keyspace, namespace: u16) -> u16 {
        keyspace.of(namespace)
    }

    fn give_back(&self, attachment: &Attachment, patience: Patience) -> Result<(), CacheError> {
        let records = |namespace: &u16| Records { attachment, namespace: *namespace, patience };
        match self {
            Self::Permit { namespace, key, token, permits } => {
                PermitRecord { records: records(namespace), key }.release(*token, *permits).map(drop)
            }
            Self::Ticket { namespace, key, ticket, permits } => {
                PermitRecord { records: records(namespace), key }.cancel_ticket(*ticket, *permits)
            }
            Self::Turn { namespace, key, ticket, attempts } => {
                Queue::of(records(namespace), key).leave(*ticket, &QueueRules::of_attempts(*attempts))
            }
            Self::Item { namespace, key, item, token, attempts } => {
                Queue::of(records(namespace), key).release(*item, *token, &QueueRules::of_attempts(*attempts)).map(drop)
            }
            Self::Push { namespace, key, item } => {
                let queue = Queue::of(records(namespace), key);
                queue.end(*item).and_then(|_| queue.forget(*item, &QueueRules::of_attempts(0)))
            }
            Self::Flight { namespace, key, token } => {
                flights::end(&records(namespace), key, *token, None, false).map(drop)
            }
        }
    }
}

/// The orphans of one process that are not given back yet.
#[derive(Default)]
pub(crate) struct Orphans {
    waiting: Mutex<Vec<Orphan>>,
}

impl Orphans {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner()).is_empty()
    }

    /// Gives back each orphan within `patience`; leaves the rest to the background thread.
    pub(crate) fn give_back(
        &self,
        attachment: &Attachment,
        orphans: impl IntoIterator<Item = Orphan>,
        patience: Patience,
    ) {
        let left = orphans.into_iter().filter(|orphan| orphan.give_back(attachment, patience).is_err());
        self.give_back_later(attachment, left.collect());
    }

    /// Leaves orphans to the background thread.
    pub(crate) fn give_back_later(&self, attachment: &Attachment, orphans: Vec<Orphan>) {
        if !orphans.is_empty() {
            self.waiting.lock().unwrap_or_else(|e| e.into_inner()).extend(orphans);
            // The thread may be asleep for a long time.
            attachment.segment.member().wake_own();
        }
    }

    /// Tries again to give back the orphans. It keeps those that are busy and forgets the others.
    pub(crate) fn try_again(&self, attachment: &Attachment) {
        const PATIENCE: Patience = Patience::Brief(Duration::from_millis(10));
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(|e| e.into_inner()));
        let is_left = |orphan: &Orphan| {
            matches!(orphan.give_back(attachment, PATIENCE), Err(CacheError::Busy(_) | CacheError::Moved))
        };
        let left: Vec<Orphan> = waiting.into_iter().filter(is_left).collect();
        // mutant: orphan-forgotten
        self.waiting.lock().unwrap_or_else(|e| e.into_inner()).extend(left);
    }
}
