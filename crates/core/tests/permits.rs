//! Locks, semaphores, leaderships: order, tokens, deadlines, and their records beside `clear`, eviction and rebuilds.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{
    Acquisition, Awaited, Cache, Eviction, Grant, Keyspace, Notice, Orphan, PermitRequest, TicketState,
};
use std::time::{Duration, Instant};
use support::listeners::listen;
use support::permits::{ONE, ticket, token};
use support::{Random, SOON, Scene, assert_valid, bytes, put};

fn lock(cache: &Cache, request: PermitRequest) -> Acquisition {
    cache.acquire(Keyspace::Locks, b"k", &request).unwrap()
}

fn ticket_state(cache: &Cache, ticket: u64) -> TicketState {
    cache.ticket_state(Keyspace::Locks, b"k", ticket).unwrap()
}

#[test]
fn permits_are_granted_in_the_order_of_requests_and_tokens_grow() {
    let scene = Scene::new("order");
    let cache = scene.open();
    let mut last = token(lock(&cache, ONE));
    let tickets: Vec<u64> = (0..5).map(|_| ticket(lock(&cache, ONE))).collect();
    assert_eq!(cache.permit_counts(Keyspace::Locks, b"k").unwrap(), (1, 5));
    for (done, waiting) in tickets.iter().enumerate() {
        assert!(tickets[done..].iter().all(|t| ticket_state(&cache, *t) == TicketState::Waiting));
        assert!(cache.release(Keyspace::Locks, b"k", last, 1).unwrap());
        assert!(!cache.release(Keyspace::Locks, b"k", last, 1).unwrap());
        let TicketState::Granted(Grant { token, deadline: 0 }) = ticket_state(&cache, *waiting) else { panic!() };
        assert!(token > last);
        last = token;
    }
    assert!(cache.release(Keyspace::Locks, b"k", last, 1).unwrap());
    assert_eq!(cache.permit_counts(Keyspace::Locks, b"k").unwrap(), (0, 0));
    assert!(token(lock(&cache, ONE)) > last);
    assert_valid(&cache);
}

#[test]
fn what_is_held_or_awaited_is_listed_with_its_processes() {
    let scene = Scene::new("held");
    let cache = scene.open();
    let pid = std::process::id();
    let held = |keyspace| cache.held_permits(keyspace).unwrap();
    assert!(held(Keyspace::Locks).is_empty());
    let token = token(lock(&cache, PermitRequest { ttl_ms: 1000, ..ONE }));
    let waiting = ticket(lock(&cache, ONE));
    let [only] = &held(Keyspace::Locks)[..] else { panic!() };
    assert_eq!((&only.key[..], &only.waiters[..]), (&b"k"[..], &[pid][..]));
    assert_eq!(only.holders, [(pid, cache.now_ms() + 1000)]);
    assert!(held(Keyspace::Semaphores).is_empty());
    assert!(cache.in_namespace("other").unwrap().held_permits(Keyspace::Locks).unwrap().is_empty());
    // Past its deadline the holder is none.
    cache.advance_clock(1001).unwrap();
    let [only] = &held(Keyspace::Locks)[..] else { panic!() };
    assert_eq!((only.holders.len(), only.waiters.len()), (0, 1));
    cache.leave(Keyspace::Locks, b"k", waiting, 1).unwrap();
    assert!(!cache.release(Keyspace::Locks, b"k", token, 1).unwrap());
    assert!(held(Keyspace::Locks).is_empty());
    assert_valid(&cache);
}

#[test]
fn no_request_overtakes_a_waiter() {
    let scene = Scene::new("overtake");
    let cache = scene.open();
    let held = token(lock(&cache, ONE));
    let waiting = ticket(lock(&cache, ONE));
    assert_eq!(lock(&cache, PermitRequest { wait: false, ..ONE }), Acquisition::Refused);
    assert!(cache.release(Keyspace::Locks, b"k", held, 1).unwrap());
    assert_eq!(lock(&cache, PermitRequest { wait: false, ..ONE }), Acquisition::Refused);
    assert!(matches!(ticket_state(&cache, waiting), TicketState::Granted(_)));
    // A waiter that leaves after its grant hands the permit on.
    let next = ticket(lock(&cache, ONE));
    cache.leave(Keyspace::Locks, b"k", waiting, 1).unwrap();
    assert_eq!(ticket_state(&cache, waiting), TicketState::Lost);
    assert!(matches!(ticket_state(&cache, next), TicketState::Granted(_)));
}

#[test]
fn a_permit_ends_with_its_lifetime_and_can_be_extended() {
    let scene = Scene::new("ttl");
    let cache = scene.open();
    let timed = PermitRequest { ttl_ms: 100, ..ONE };
    let first = token(lock(&cache, timed));
    cache.advance_clock(60).unwrap();
    assert!(cache.extend(Keyspace::Locks, b"k", first, 100).unwrap().is_some());
    cache.advance_clock(99).unwrap();
    assert!(cache.holds(Keyspace::Locks, b"k", first).unwrap());
    cache.advance_clock(1).unwrap();
    assert!(!cache.holds(Keyspace::Locks, b"k", first).unwrap());
    assert_eq!(cache.extend(Keyspace::Locks, b"k", first, 100).unwrap(), None);
    let second = token(lock(&cache, timed));
    assert!(second > first);
    assert!(!cache.release(Keyspace::Locks, b"k", first, 1).unwrap());
    assert!(cache.holds(Keyspace::Locks, b"k", second).unwrap());
}

#[test]
fn a_grant_that_ends_unseen_is_lost() {
    let scene = Scene::new("unseen");
    let cache = scene.open();
    let held = token(lock(&cache, ONE));
    let timed = ticket(lock(&cache, PermitRequest { ttl_ms: 100, ..ONE }));
    assert!(cache.release(Keyspace::Locks, b"k", held, 1).unwrap());
    cache.advance_clock(100).unwrap();
    assert_eq!(ticket_state(&cache, timed), TicketState::Lost);
    assert_eq!(cache.permit_counts(Keyspace::Locks, b"k").unwrap(), (0, 0));
    assert!(matches!(lock(&cache, ONE), Acquisition::Granted(_)));
}

#[test]
fn a_semaphore_grants_as_many_permits_as_it_has() {
    let scene = Scene::new("semaphore");
    let cache = scene.open();
    let request = PermitRequest { permits: 3, ..ONE };
    let acquire = || cache.acquire(Keyspace::Semaphores, b"k", &request).unwrap();
    let held: Vec<u64> = (0..3).map(|_| token(acquire())).collect();
    assert!(held.is_sorted() && held[0] < held[1] && held[1] < held[2]);
    let waiting: Vec<u64> = (0..2).map(|_| ticket(acquire())).collect();
    for (token, ticket) in held.iter().zip(&waiting) {
        assert!(cache.release(Keyspace::Semaphores, b"k", *token, 3).unwrap());
        assert!(matches!(cache.ticket_state(Keyspace::Semaphores, b"k", *ticket).unwrap(), TicketState::Granted(_)));
    }
    // Another keyspace or another namespace is another lock.
    assert!(matches!(lock(&cache, ONE), Acquisition::Granted(_)));
    assert!(matches!(lock(&cache.in_namespace("n").unwrap(), ONE), Acquisition::Granted(_)));
}

#[test]
fn records_block_no_key_and_are_never_swept() {
    let scene = Scene::new("pinned");
    let cache = scene.open();
    let held = token(lock(&cache, ONE));
    let waiting = ticket(lock(&cache, ONE));
    put(&cache, "k", b"a value");
    assert_eq!(cache.len(), 1);
    let keys = cache.keys(0, b"", 100).unwrap().keys;
    assert_eq!(keys.iter().map(|key| key.bytes.as_slice()).collect::<Vec<_>>(), [b"k".as_slice()]);
    assert_eq!(cache.delete_prefix(b"k").unwrap(), 1);
    cache.clear().unwrap();
    assert!(cache.delete(b"k", 0).is_ok_and(|deleted| !deleted));
    for i in 0..20_000 {
        put(&cache, &format!("filler {i}"), &[1; 500]);
    }
    assert!(cache.stats().total.evictions > 1000);
    assert!(cache.holds(Keyspace::Locks, b"k", held).unwrap());
    assert_eq!(ticket_state(&cache, waiting), TicketState::Waiting);
    assert_valid(&cache);
}

#[test]
fn records_take_at_most_a_quarter_of_a_shard() {
    let scene = Scene::new("quarter");
    let cache = scene.open();
    let acquire = |i: u64| cache.acquire(Keyspace::Locks, &i.to_le_bytes(), &ONE);
    let first = token(acquire(0).unwrap());
    let error = (1..).find_map(|i| acquire(i).err()).unwrap();
    assert_eq!(error.code(), "ERR_NO_SPACE");
    // There is still room for the largest entry.
    let largest = vec![7; cache.geometry().max_entry - 10];
    for i in 0..10 {
        put(&cache, &format!("large {i}"), &largest);
    }
    assert!(cache.holds(Keyspace::Locks, &0u64.to_le_bytes(), first).unwrap());
    assert_valid(&cache);
}

#[test]
fn a_record_watch_ends_with_the_grant_and_an_orphan_is_given_back() {
    let scene = Scene::new("record_watch");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    let held = token(lock(&cache, ONE));
    let waiting = ticket(lock(&cache, ONE));
    let awaited = Awaited::Permit { ticket: waiting, permits: 1 };
    let record_watch = cache.watch_record(Keyspace::Locks, b"k", awaited, listener).unwrap();
    let namespace = Orphan::namespace_of(Keyspace::Locks, 0);
    cache.give_back([Orphan::Permit { namespace, key: b"k".to_vec(), token: held, permits: 1 }]);
    assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::RecordWatches(vec![record_watch]));
    assert!(matches!(ticket_state(&cache, waiting), TicketState::Granted(_)));
    // The watch ends at a deadline without any other call.
    let timed = token(lock(&cache.in_namespace("n").unwrap(), PermitRequest { ttl_ms: 50, ..ONE }));
    let own = cache.in_namespace("n").unwrap();
    let next = ticket(lock(&own, ONE));
    let record_watch =
        own.watch_record(Keyspace::Locks, b"k", Awaited::Permit { ticket: next, permits: 1 }, listener).unwrap();
    own.advance_clock(50).unwrap();
    assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::RecordWatches(vec![record_watch]));
    assert!(!own.holds(Keyspace::Locks, b"k", timed).unwrap());
    assert!(matches!(ticket_state(&own, next), TicketState::Granted(_)));
}

/// Record watches that one tick of the background thread probes; see `waiting/record_watches.rs`.
const SLICE: u64 = 512;

/// A probe of every record every 25 ms took longer than that from some 10,000 on, and a new watch waited for it. So a
/// tick probes a slice, and finds the end of a `ttl` by its time, not by the turn of its record.
#[test]
fn many_record_watches_are_probed_by_slices_and_by_their_times() {
    const WATCHES: u64 = 5000;
    let scene = Scene::sized("many_watches", 32 << 20);
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    let acquire = |key: u64, ttl_ms: u64| {
        cache.acquire(Keyspace::Locks, &key.to_le_bytes(), &PermitRequest { ttl_ms, ..ONE }).unwrap()
    };
    let watch = |key: u64, waiting: u64| {
        let awaited = Awaited::Permit { ticket: waiting, permits: 1 };
        cache.watch_record(Keyspace::Locks, &key.to_le_bytes(), awaited, listener).unwrap()
    };
    let timed = |key: u64| key % 500 == 250;
    let mut watches = Vec::new();
    for key in 0..WATCHES {
        token(acquire(key, if timed(key) { 50 * key } else { 0 }));
        watches.push(watch(key, ticket(acquire(key, 0))));
    }
    // Every watch is probed at the first tick after its begin, and then by slices.
    wait_until(|| cache.probes_of_records() >= 2 * WATCHES);
    for key in (0..WATCHES).filter(|key| timed(*key)) {
        let before = cache.probes_of_records();
        cache.advance_clock(50 * if key == 250 { 250 } else { 500 }).unwrap();
        assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::RecordWatches(vec![watches[key as usize]]));
        let probed = cache.probes_of_records() - before;
        assert!(probed <= 3 * SLICE, "lock {key}: {probed} probes until the notice");
    }
    // A release is found by its wake, among all other watches of its stripe only.
    let before = cache.probes_of_records();
    let next = token(cache.acquire(Keyspace::Locks, b"k", &ONE).unwrap());
    let awaited = Awaited::Permit { ticket: ticket(lock(&cache, ONE)), permits: 1 };
    let last = cache.watch_record(Keyspace::Locks, b"k", awaited, listener).unwrap();
    assert!(cache.release(Keyspace::Locks, b"k", next, 1).unwrap());
    assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::RecordWatches(vec![last]));
    assert!(cache.probes_of_records() - before <= 3 * SLICE);
    cache.remove_listener(listener);
    assert_valid(&cache);
}

fn wait_until(is_so: impl Fn() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "it takes too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sets values of a length until no more fit.
fn fill(cache: &Cache, len: usize) {
    for i in 0..1000 {
        let key = format!("value {len} {i}");
        if cache.set(key.as_bytes(), &bytes(&vec![1; len])).unwrap().is_none() {
            return;
        }
    }
}

/// Deletes each third of the values of a length.
fn thin_out(cache: &Cache, len: usize) {
    for key in cache.keys(0, format!("value {len} ").as_bytes(), usize::MAX).unwrap().keys.iter().step_by(3) {
        cache.delete(&key.bytes, 0).unwrap();
    }
}

#[test]
fn a_permit_given_back_in_a_full_shard_is_handed_on() {
    let mut scene = Scene::new("brimful");
    scene.options.size = 2 << 20;
    scene.options.eviction = Eviction::None;
    let cache = scene.open();
    let held = token(lock(&cache, ONE));
    let tickets: Vec<u64> = (0..20).map(|_| ticket(lock(&cache, ONE))).collect();
    for len in [5000, 500, 0] {
        fill(&cache, len);
    }
    assert!(cache.extend(Keyspace::Locks, b"k", held, 1_000_000).unwrap().is_some());
    cache.leave(Keyspace::Locks, b"k", tickets[0], 1).unwrap();
    assert!(cache.release(Keyspace::Locks, b"k", held, 1).unwrap());
    assert_eq!(ticket_state(&cache, tickets[0]), TicketState::Lost);
    assert!(matches!(ticket_state(&cache, tickets[1]), TicketState::Granted(_)));
    assert_valid(&cache);
}

/// A record that does not grow can be changed in any full shard, however small the pieces of its room are.
#[test]
fn a_record_that_does_not_grow_always_has_room() {
    const LOCKS: u64 = 3;
    for (eviction, steps) in [(Eviction::None, 4000), (Eviction::S3Fifo, 500)] {
        let mut scene = Scene::new("always-room");
        scene.options.size = 2 << 20;
        scene.options.eviction = eviction;
        let cache = scene.open();
        let mut random = Random(3);
        let many = |i: u64| PermitRequest { permits: 1 + (i % 3) as u32, ..ONE };
        // For each lock its tokens and then its tickets, in order.
        let mut held: Vec<Vec<u64>> = vec![Vec::new(); LOCKS as usize];
        let mut refused = 0;
        for step in 0..steps {
            let i = random.below(LOCKS);
            let key = format!("lock {i}");
            let permits = many(i).permits;
            let of_it = &mut held[i as usize];
            match random.below(8) {
                0 if step % 4 == 0 => fill(&cache, [5000, 500, 0][random.below(3) as usize]),
                1 if step % 4 == 0 => thin_out(&cache, [5000, 500, 0][random.below(3) as usize]),
                // In bursts, so that records of all sizes occur.
                2 | 3 if step / 500 % 2 == 0 => {
                    for _ in 0..random.below(90) {
                        match cache.acquire(Keyspace::Locks, key.as_bytes(), &many(i)) {
                            Ok(Acquisition::Granted(grant)) => of_it.push(grant.token),
                            Ok(Acquisition::Waiting(ticket)) => of_it.push(ticket),
                            Ok(Acquisition::Refused) => panic!(),
                            Err(error) => {
                                assert_eq!(error.code(), "ERR_NO_SPACE");
                                refused += 1;
                            }
                        }
                    }
                }
                4 if !of_it.is_empty() => {
                    let last = of_it.pop().unwrap();
                    if of_it.len() >= permits as usize {
                        cache.leave(Keyspace::Locks, key.as_bytes(), last, permits).unwrap();
                    } else {
                        assert!(cache.release(Keyspace::Locks, key.as_bytes(), last, permits).unwrap());
                    }
                }
                _ if !of_it.is_empty() => {
                    let first = of_it[0];
                    assert!(cache.extend(Keyspace::Locks, key.as_bytes(), first, 0).unwrap().is_some());
                    assert!(cache.release(Keyspace::Locks, key.as_bytes(), first, permits).unwrap());
                    of_it.remove(0);
                    if let Some(next) = of_it.get_mut(permits as usize - 1) {
                        let TicketState::Granted(grant) =
                            cache.ticket_state(Keyspace::Locks, key.as_bytes(), *next).unwrap()
                        else {
                            panic!("not handed on")
                        };
                        *next = grant.token;
                    }
                }
                _ => {}
            }
        }
        assert!(refused > 0 || eviction != Eviction::None, "the shard was never full");
        assert_valid(&cache);
    }
}
