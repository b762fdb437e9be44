//! Checks after a death: tags, permits and names still work.

use crate::scenarios::permits::LOCK;
use crate::scenarios::{get, set};
use crate::support::permits::{ONE, ticket, token};
use crate::support::{assert_valid, bytes};
use cache_machine_core::{Cache, Gate, Invalidation, Keyspace, PermitRequest, QuotaSetting, Write};

/// Invalidations work after the death of an invalidator: the next one leaves an even clock, and removes the entries
/// that were made before it and no others.
pub(crate) fn check_tags(cache: &Cache) {
    let tags = [cache.tag("afterwards")];
    let invalidate = || {
        cache.invalidate_tags(&tags, Invalidation::Remove).unwrap();
        assert!(cache.tag_clock().is_multiple_of(2), "an odd clock");
    };
    let alive = |made_at: u64| {
        let write = Write { tags: &tags, made_at: Some(made_at), ..bytes(b"tagged") };
        assert!(cache.set(b"target", &write).unwrap().is_some());
        get(cache, "target").is_some()
    };
    let begun = cache.tag_clock();
    assert!(alive(begun), "dead on arrival");
    invalidate();
    assert!(!alive(begun), "older than the invalidation");
    assert!(alive(cache.tag_clock()), "dead on arrival");
    invalidate();
    assert_eq!(get(cache, "target"), None, "it outlived an invalidation");
    set(cache, "target", b"again");
}

/// Permits of dead holders and waiters are free at once, and the next token is larger than any earlier number.
pub(crate) fn check_permits(cache: &Cache) {
    for (keyspace, permits) in [(Keyspace::Locks, 1), (Keyspace::Semaphores, 2)] {
        let numbers = cache.words_of(keyspace, LOCK).unwrap();
        let highest = numbers.get(1..).into_iter().flatten().skip(1).step_by(4).max();
        let request = PermitRequest { permits, ..ONE };
        let token = token(cache.acquire(keyspace, LOCK, &request).unwrap());
        assert!(highest.is_none_or(|highest| token > *highest), "token {token} after {numbers:?}");
        assert_eq!(cache.permit_counts(keyspace, LOCK).unwrap(), (1, 0));
        assert!(cache.release(keyspace, LOCK, token, permits).unwrap());
        assert_eq!(cache.words_of(keyspace, LOCK).unwrap(), [0u64; 0]);
    }
    // Dead parties count for no barrier, and a condition notifies no dead waiter.
    let first = ticket(cache.enter_gate(LOCK, Gate::Barrier(2)).unwrap());
    token(cache.enter_gate(LOCK, Gate::Barrier(2)).unwrap());
    assert!(cache.release(Keyspace::Barriers, LOCK, first, 0).unwrap());
    assert_eq!(cache.notify(LOCK, 5).unwrap(), 0);
    cache.set_event(LOCK, true).unwrap();
    assert!(cache.set_event(LOCK, false).unwrap());
    for keyspace in [Keyspace::Barriers, Keyspace::Conditions, Keyspace::Events] {
        assert_eq!(cache.words_of(keyspace, LOCK).unwrap().get(1..).unwrap_or_default(), [0u64; 0], "{keyspace:?}");
    }
    assert_valid(cache);
}

/// Each name has one number, and the next name gets the next one.
pub(crate) fn check_names(cache: &Cache) {
    let names = cache.namespace_names();
    assert!(names.iter().all(|name| name == "ns" || name == "fresh"), "{names:?}");
    let next = cache.in_namespace("afterwards").unwrap();
    assert_eq!(usize::from(next.namespace()), names.len() + 1);
    for (number, name) in (1..).zip(cache.namespace_names()) {
        assert_eq!(cache.in_namespace(&name).unwrap().namespace(), number);
    }
    assert_eq!(next.len(), 0);
    let quota = QuotaSetting { reserve: Some(6400), size: Some(64_000), eviction: None };
    next.set_quota(&quota).unwrap();
    assert_eq!((next.tallies().guaranteed_bytes, next.tallies().maximum_bytes), (6400, 64_000));
    next.clear().unwrap();
    assert!(!next.has(b"target").unwrap());
}
