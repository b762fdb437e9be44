//! Locks and semaphores.

use crate::scenarios::{BASE, Scenario, get, set};
use crate::support::permits::{ONE, ticket, token};
use cache_machine_core::{Acquisition, Cache, Keyspace, PermitRequest, TicketState};

pub(crate) fn permits() -> Vec<Scenario> {
    vec![
        Scenario { name: "take a lock", act: |c| _ = token(lock(c)), ..BASE },
        Scenario {
            name: "take a lock over its dead holder",
            prepare: |c| _ = token(lock(c)),
            act: |c| _ = token(lock(c)),
            ..BASE
        },
        Scenario { name: "enter the queue", ready: |c| _ = token(lock(c)), act: |c| _ = ticket(lock(c)), ..BASE },
        Scenario {
            name: "release, with no waiter",
            ready: |c| _ = token(lock(c)),
            act: |c| assert!(c.release(Keyspace::Locks, LOCK, first_token(c), 1).unwrap()),
            ..BASE
        },
        Scenario {
            name: "release, and hand over",
            ready: |c| {
                token(lock(c));
                (0..3).for_each(|_| _ = ticket(lock(c)));
            },
            act: |c| assert!(c.release(Keyspace::Locks, LOCK, first_token(c), 1).unwrap()),
            ..BASE
        },
        Scenario {
            name: "extend",
            ready: |c| _ = token(c.acquire(Keyspace::Locks, LOCK, &PermitRequest { ttl_ms: 5, ..ONE }).unwrap()),
            act: |c| assert!(c.extend(Keyspace::Locks, LOCK, first_token(c), 50).unwrap().is_some()),
            ..BASE
        },
        Scenario {
            name: "leave the queue",
            ready: |c| {
                token(lock(c));
                ticket(lock(c));
                set(c, "key", &ticket(lock(c)).to_le_bytes());
                ticket(lock(c));
            },
            act: |c| leave_with_noted_ticket(c, TicketState::Waiting),
            ..BASE
        },
        Scenario {
            name: "leave with a granted permit, and hand over",
            ready: |c| {
                let first = token(lock(c));
                set(c, "key", &ticket(lock(c)).to_le_bytes());
                ticket(lock(c));
                assert!(c.release(Keyspace::Locks, LOCK, first, 1).unwrap());
            },
            act: |c| leave_with_noted_ticket(c, TicketState::Lost),
            ..BASE
        },
        Scenario {
            name: "ask after the holder's lifetime",
            ready: |c| {
                token(c.acquire(Keyspace::Locks, LOCK, &PermitRequest { ttl_ms: 5, ..ONE }).unwrap());
                ticket(lock(c));
                c.advance_clock(5).unwrap();
            },
            // A refused request first drops the expired holder, and then grants its permit to the waiter.
            act: |c| {
                assert_eq!(
                    c.acquire(Keyspace::Locks, LOCK, &PermitRequest { wait: false, ..ONE }).unwrap(),
                    Acquisition::Refused
                )
            },
            halfway: Some(|words| {
                words.drain(1..5);
                words[0] = 0;
            }),
            ..BASE
        },
        Scenario {
            name: "release a permit, and hand over",
            ready: |c| {
                (0..2).for_each(|_| _ = token(permit(c)));
                (0..2).for_each(|_| _ = ticket(permit(c)));
            },
            act: |c| {
                let first = c.words_of(Keyspace::Semaphores, LOCK).unwrap()[2];
                assert!(c.release(Keyspace::Semaphores, LOCK, first, 2).unwrap());
            },
            ..BASE
        },
    ]
}

/// The key of locks and semaphores.
pub(crate) const LOCK: &[u8] = b"lock";

pub(crate) fn lock(cache: &Cache) -> Acquisition {
    cache.acquire(Keyspace::Locks, LOCK, &ONE).unwrap()
}

fn permit(cache: &Cache) -> Acquisition {
    cache.acquire(Keyspace::Semaphores, LOCK, &PermitRequest { permits: 2, ..ONE }).unwrap()
}

/// The token of the lock's first holder.
fn first_token(cache: &Cache) -> u64 {
    cache.words_of(Keyspace::Locks, LOCK).unwrap()[2]
}

/// Leaves with the ticket in `key`, which is waiting or granted. `TicketState::Lost` stands for granted.
fn leave_with_noted_ticket(cache: &Cache, before: TicketState) {
    let ticket = u64::from_le_bytes(get(cache, "key").unwrap().try_into().unwrap());
    let state = cache.ticket_state(Keyspace::Locks, LOCK, ticket).unwrap();
    assert!(if before == TicketState::Waiting { state == before } else { matches!(state, TicketState::Granted(_)) });
    cache.leave(Keyspace::Locks, LOCK, ticket, 1).unwrap();
    assert_eq!(cache.ticket_state(Keyspace::Locks, LOCK, ticket).unwrap(), TicketState::Lost);
}
