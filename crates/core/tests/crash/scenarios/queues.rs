//! Queues: the changes of their records. A push and an acknowledgement are several changes; `faults/queues.spec.ts` kills
//! between them.

use crate::scenarios::permits::LOCK;
use crate::scenarios::{BASE, Scenario};
use cache_machine_core::{Cache, Keyspace, QueueRules, Taken, Turn, Write, kind};

pub(crate) fn queues() -> Vec<Scenario> {
    vec![
        Scenario { name: "take an item", prepare: push_three, act: |c| _ = take(c), ..BASE },
        Scenario {
            name: "take an item from a dead taker",
            prepare: |c| {
                push_three(c);
                take(c);
            },
            act: |c| assert_eq!(take(c).times, 2),
            ..BASE
        },
        Scenario { name: "wait for an item", act: |c| _ = c.take_item(LOCK, &RULES, true).unwrap(), ..BASE },
        Scenario {
            name: "release an item to a waiter",
            prepare: push_three,
            ready: |c| {
                (0..3).for_each(|_| _ = take(c));
                c.take_item(LOCK, &RULES, true).unwrap();
            },
            act: |c| {
                // The number of the first item in hand, and its token.
                let words = c.words_of(Keyspace::Queues, LOCK).unwrap();
                assert!(c.release_item(LOCK, words[5], words[8], &RULES).unwrap());
            },
            ..BASE
        },
        Scenario {
            name: "put an item aside",
            prepare: push_three,
            ready: |c| _ = take(c),
            act: |c| {
                let words = c.words_of(Keyspace::Queues, LOCK).unwrap();
                let (item, token) = (words[9], words[12]);
                assert!(c.release_item(LOCK, item, token, &QueueRules { attempts: 1, ..RULES }).unwrap());
            },
            ..BASE
        },
    ]
}

const RULES: QueueRules = QueueRules { capacity: 100, visibility_ms: 0, attempts: 0 };

fn push_three(cache: &Cache) {
    for value in [b"a", b"b", b"c"] {
        assert!(cache.push(LOCK, &RULES, &Write::new(kind::BUFFER, value)).unwrap().is_some());
    }
}

fn take(cache: &Cache) -> Taken {
    match cache.take_item(LOCK, &RULES, false).unwrap() {
        Turn::Taken(taken) => taken,
        other => panic!("{other:?}"),
    }
}
