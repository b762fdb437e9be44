//! Events, barriers, conditions: what passes and in which order, and their records beside `clear` and rebuilds.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Acquisition, Awaited, Cache, Gate, Grant, Keyspace, Notice, Orphan, TicketState};
use support::listeners::listen;
use support::permits::{ticket, token};
use support::{SOON, Scene, assert_valid};

const KEY: &[u8] = b"k";

fn enter(cache: &Cache, gate: Gate) -> Acquisition {
    cache.enter_gate(KEY, gate).unwrap()
}

fn keyspace(gate: Gate) -> Keyspace {
    match gate {
        Gate::Event => Keyspace::Events,
        Gate::Barrier(_) => Keyspace::Barriers,
        Gate::Condition => Keyspace::Conditions,
    }
}

/// Whether a ticket passes. If so, it is given back.
fn passes(cache: &Cache, gate: Gate, ticket: u64) -> bool {
    match cache.ticket_state(keyspace(gate), KEY, ticket).unwrap() {
        TicketState::Granted(Grant { token, deadline: 0 }) => {
            assert_eq!(token, ticket);
            assert!(cache.release(keyspace(gate), KEY, token, 0).unwrap());
            true
        }
        TicketState::Waiting => false,
        other => panic!("{other:?}"),
    }
}

/// Whether there is no waiter, and no pass that is not noticed yet.
fn is_empty(cache: &Cache, gate: Gate) -> bool {
    cache.permit_counts(keyspace(gate), KEY).unwrap() == (0, 0)
}

#[test]
fn an_event_lets_all_pass_while_it_is_set() {
    let scene = Scene::new("event");
    let cache = scene.open();
    let waiting: Vec<u64> = (0..5).map(|_| ticket(enter(&cache, Gate::Event))).collect();
    assert_eq!(cache.gate_state(Keyspace::Events, KEY).unwrap(), (false, 5));
    assert!(waiting.iter().all(|ticket| !passes(&cache, Gate::Event, *ticket)));
    assert!(cache.set_event(KEY, true).unwrap());
    assert!(!cache.set_event(KEY, true).unwrap());
    // Those that waited pass even if it is cleared again before they look.
    assert!(cache.set_event(KEY, false).unwrap());
    assert!(waiting.iter().all(|ticket| passes(&cache, Gate::Event, *ticket)));
    assert!(is_empty(&cache, Gate::Event));
    assert!(cache.set_event(KEY, true).unwrap());
    token(enter(&cache, Gate::Event));
    cache.clear().unwrap();
    assert_eq!(cache.gate_state(Keyspace::Events, KEY).unwrap(), (true, 0));
    assert_valid(&cache);
}

#[test]
fn the_last_party_of_a_barrier_lets_exactly_the_waiting_ones_pass() {
    let scene = Scene::new("barrier");
    let cache = scene.open();
    let gate = Gate::Barrier(4);
    for _ in 0..3 {
        let waiting: Vec<u64> = (0..3).map(|_| ticket(enter(&cache, gate))).collect();
        assert!(waiting.iter().all(|ticket| !passes(&cache, gate, *ticket)));
        token(enter(&cache, gate));
        // Those of the next round do not pass with them, even before they have noticed.
        let next = ticket(enter(&cache, gate));
        assert!(waiting.iter().all(|ticket| passes(&cache, gate, *ticket)));
        assert!(!passes(&cache, gate, next));
        cache.leave(Keyspace::Barriers, KEY, next, 0).unwrap();
    }
    assert!(is_empty(&cache, gate));
    token(enter(&cache, Gate::Barrier(1)));
}

#[test]
fn notify_lets_the_first_waiters_pass_in_order() {
    let scene = Scene::new("condition");
    let cache = scene.open();
    let gate = Gate::Condition;
    assert_eq!(cache.notify(KEY, 3).unwrap(), 0);
    let waiting: Vec<u64> = (0..6).map(|_| ticket(enter(&cache, gate))).collect();
    assert_eq!(cache.notify(KEY, 2).unwrap(), 2);
    assert_eq!(cache.notify(KEY, 0).unwrap(), 0);
    let passed: Vec<bool> = waiting.iter().map(|ticket| passes(&cache, gate, *ticket)).collect();
    assert_eq!(passed, [true, true, false, false, false, false]);
    assert_eq!(cache.notify(KEY, u32::MAX).unwrap(), 4);
    assert!(waiting[2..].iter().all(|ticket| passes(&cache, gate, *ticket)));
    assert!(is_empty(&cache, gate));
}

#[test]
fn a_notified_waiter_that_leaves_lets_the_next_one_pass() {
    let scene = Scene::new("pass-on");
    let cache = scene.open();
    let gate = Gate::Condition;
    let [first, second, third] = [0; 3].map(|_| ticket(enter(&cache, gate)));
    assert_eq!(cache.notify(KEY, 1).unwrap(), 1);
    cache.leave(Keyspace::Conditions, KEY, first, 0).unwrap();
    assert!(passes(&cache, gate, second));
    // One that was not notified takes nothing along.
    cache.leave(Keyspace::Conditions, KEY, third, 0).unwrap();
    assert!(is_empty(&cache, gate));
    // The waiters of an event or a barrier do not pass in place of others.
    let [first, second] = [0; 2].map(|_| ticket(enter(&cache, Gate::Barrier(3))));
    token(enter(&cache, Gate::Barrier(3)));
    let next = ticket(enter(&cache, Gate::Barrier(3)));
    cache.leave(Keyspace::Barriers, KEY, first, 0).unwrap();
    assert!(passes(&cache, Gate::Barrier(3), second));
    assert!(!passes(&cache, Gate::Barrier(3), next));
}

#[test]
fn a_record_watch_ends_with_the_pass_and_orphans_are_given_back() {
    let scene = Scene::new("watch");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    let [first, second] = [0; 2].map(|_| ticket(enter(&cache, Gate::Condition)));
    let awaited = Awaited::Permit { ticket: second, permits: 0 };
    let watch = cache.watch_record(Keyspace::Conditions, KEY, awaited, listener).unwrap();
    assert_eq!(cache.notify(KEY, 1).unwrap(), 1);
    let namespace = Orphan::namespace_of(Keyspace::Conditions, cache.namespace());
    cache.give_back([Orphan::Ticket { namespace, key: KEY.to_vec(), ticket: first, permits: 0 }]);
    assert!(matches!(notices.recv_timeout(SOON).unwrap(), Notice::RecordWatches(ids) if ids == [watch]));
    assert!(passes(&cache, Gate::Condition, second));
}
