//! Events, barriers and conditions.

use crate::scenarios::permits::LOCK;
use crate::scenarios::{BASE, Scenario};
use crate::support::permits::{ticket, token};
use cache_machine_core::{Cache, Gate, Keyspace};

pub(crate) fn gates() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "set an event with waiters",
            ready: |c| (0..3).for_each(|_| wait(c, Gate::Event)),
            act: |c| assert!(c.set_event(LOCK, true).unwrap()),
            ..BASE
        },
        Scenario {
            name: "set an event over a dead waiter",
            prepare: |c| wait(c, Gate::Event),
            act: |c| assert!(c.set_event(LOCK, true).unwrap()),
            ..BASE
        },
        Scenario {
            name: "clear an event",
            ready: |c| assert!(c.set_event(LOCK, true).unwrap()),
            act: |c| assert!(c.set_event(LOCK, false).unwrap()),
            ..BASE
        },
        Scenario { name: "come to a barrier", act: |c| wait(c, Gate::Barrier(3)), ..BASE },
        Scenario {
            name: "come to a barrier as the last one",
            ready: |c| (0..2).for_each(|_| wait(c, Gate::Barrier(3))),
            act: |c| _ = token(c.enter_gate(LOCK, Gate::Barrier(3)).unwrap()),
            ..BASE
        },
        Scenario {
            name: "come to a barrier over a dead party",
            prepare: |c| wait(c, Gate::Barrier(2)),
            act: |c| wait(c, Gate::Barrier(2)),
            ..BASE
        },
        Scenario {
            name: "notify two of three",
            ready: |c| (0..3).for_each(|_| wait(c, Gate::Condition)),
            act: |c| assert_eq!(c.notify(LOCK, 2).unwrap(), 2),
            ..BASE
        },
        Scenario {
            name: "leave a condition after a notice, which goes to the next one",
            ready: |c| {
                (0..2).for_each(|_| wait(c, Gate::Condition));
                assert_eq!(c.notify(LOCK, 1).unwrap(), 1);
            },
            act: |c| {
                let first = c.words_of(Keyspace::Conditions, LOCK).unwrap()[2];
                c.leave(Keyspace::Conditions, LOCK, first, 0).unwrap();
            },
            ..BASE
        },
    ]
}

fn wait(cache: &Cache, gate: Gate) {
    ticket(cache.enter_gate(LOCK, gate).unwrap());
}
