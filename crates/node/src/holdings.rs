//! What a handle can hold, as it is noted in the handle: flights, permits and tickets.
//!
//! Each call that gets or gives back one of them keeps the note of its handle in step. When the handle is closed or its
//! thread ends, everything noted is given back.

use cache_machine_core::{Cache, FlightKind, Keyspace, Orphan};

/// A flight that the handle has begun.
pub(crate) fn flight(cache: &Cache, kind: FlightKind, key: &[u8], token: u64) -> Orphan {
    Orphan::Flight { namespace: kind.flights_of(cache.namespace_of_values()), key: key.to_vec(), token }
}

/// A permit that the handle has been granted.
pub(crate) fn permit(cache: &Cache, keyspace: Keyspace, key: &[u8], token: u64, permits: u32) -> Orphan {
    let namespace = Orphan::namespace_of(keyspace, cache.namespace_of_values());
    Orphan::Permit { namespace, key: key.to_vec(), token, permits }
}

/// A place in the queue for permits.
pub(crate) fn ticket(cache: &Cache, keyspace: Keyspace, key: &[u8], ticket: u64, permits: u32) -> Orphan {
    let namespace = Orphan::namespace_of(keyspace, cache.namespace_of_values());
    Orphan::Ticket { namespace, key: key.to_vec(), ticket, permits }
}

/// A place in the queue for items.
pub(crate) fn turn(cache: &Cache, key: &[u8], ticket: u64, attempts: u32) -> Orphan {
    let namespace = Orphan::namespace_of(Keyspace::Queues, cache.namespace_of_values());
    Orphan::Turn { namespace, key: key.to_vec(), ticket, attempts }
}

/// An item of a queue in hand.
pub(crate) fn item(cache: &Cache, key: &[u8], item: u64, token: u64, attempts: u32) -> Orphan {
    let namespace = Orphan::namespace_of(Keyspace::Queues, cache.namespace_of_values());
    Orphan::Item { namespace, key: key.to_vec(), item, token, attempts }
}
