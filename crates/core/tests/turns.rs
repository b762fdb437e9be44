//! Locks, semaphores, leaderships: order, tokens, deadlines, and what `clear`, eviction and rebuilds leave alone.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Awaited, Cache, Claim, Claimed, Eviction, Grant, Listener, Notice, Orphan, Space, Turn};
use std::sync::mpsc;
use std::time::Duration;
use support::{Random, Scene, assert_valid, bytes, put};

const ONE: Claim = Claim { permits: 1, ttl_ms: 0, wait: true };

fn token(acquired: Claimed) -> u64 {
    match acquired {
        Claimed::Granted(grant) => grant.token,
        other => panic!("{other:?}"),
    }
}

fn ticket(acquired: Claimed) -> u64 {
    match acquired {
        Claimed::Waiting(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn lock(cache: &Cache, claim: Claim) -> Claimed {
    cache.acquire(Space::Locks, b"k", &claim).unwrap()
}

fn turn(cache: &Cache, ticket: u64) -> Turn {
    cache.turn(Space::Locks, b"k", ticket).unwrap()
}

#[test]
fn turns_come_in_the_order_of_asking_and_tokens_grow() {
    let scene = Scene::new("turns");
    let cache = scene.open();
    let mut last = token(lock(&cache, ONE));
    let tickets: Vec<u64> = (0..5).map(|_| ticket(lock(&cache, ONE))).collect();
    assert_eq!(cache.places(Space::Locks, b"k").unwrap(), (1, 5));
    for (done, waiting) in tickets.iter().enumerate() {
        assert!(tickets[done..].iter().all(|t| turn(&cache, *t) == Turn::Waiting));
        assert!(cache.release(Space::Locks, b"k", last, 1).unwrap());
        assert!(!cache.release(Space::Locks, b"k", last, 1).unwrap());
        let Turn::Granted(Grant { token, deadline: 0 }) = turn(&cache, *waiting) else { panic!() };
        assert!(token > last);
        last = token;
    }
    assert!(cache.release(Space::Locks, b"k", last, 1).unwrap());
    assert_eq!(cache.places(Space::Locks, b"k").unwrap(), (0, 0));
    assert!(token(lock(&cache, ONE)) > last);
    assert_valid(&cache);
}

#[test]
fn nobody_overtakes_who_waits() {
    let scene = Scene::new("overtake");
    let cache = scene.open();
    let held = token(lock(&cache, ONE));
    let waiting = ticket(lock(&cache, ONE));
    assert_eq!(lock(&cache, Claim { wait: false, ..ONE }), Claimed::Refused);
    assert!(cache.release(Space::Locks, b"k", held, 1).unwrap());
    assert_eq!(lock(&cache, Claim { wait: false, ..ONE }), Claimed::Refused);
    assert!(matches!(turn(&cache, waiting), Turn::Granted(_)));
    // Who leaves when its turn has come gives it to the next.
    let next = ticket(lock(&cache, ONE));
    cache.leave(Space::Locks, b"k", waiting, 1).unwrap();
    assert_eq!(turn(&cache, waiting), Turn::Gone);
    assert!(matches!(turn(&cache, next), Turn::Granted(_)));
}

#[test]
fn a_place_ends_with_its_time_and_can_be_extended() {
    let scene = Scene::new("ttl");
    let cache = scene.open();
    let timed = Claim { ttl_ms: 100, ..ONE };
    let first = token(lock(&cache, timed));
    cache.advance_clock(60).unwrap();
    assert!(cache.extend(Space::Locks, b"k", first, 100).unwrap().is_some());
    cache.advance_clock(99).unwrap();
    assert!(cache.holds(Space::Locks, b"k", first).unwrap());
    cache.advance_clock(1).unwrap();
    assert!(!cache.holds(Space::Locks, b"k", first).unwrap());
    assert_eq!(cache.extend(Space::Locks, b"k", first, 100).unwrap(), None);
    let second = token(lock(&cache, timed));
    assert!(second > first);
    assert!(!cache.release(Space::Locks, b"k", first, 1).unwrap());
    assert!(cache.holds(Space::Locks, b"k", second).unwrap());
}

#[test]
fn a_turn_that_came_and_went_unseen_is_gone() {
    let scene = Scene::new("unseen");
    let cache = scene.open();
    let held = token(lock(&cache, ONE));
    let timed = ticket(lock(&cache, Claim { ttl_ms: 100, ..ONE }));
    assert!(cache.release(Space::Locks, b"k", held, 1).unwrap());
    cache.advance_clock(100).unwrap();
    assert_eq!(turn(&cache, timed), Turn::Gone);
    assert_eq!(cache.places(Space::Locks, b"k").unwrap(), (0, 0));
    assert!(matches!(lock(&cache, ONE), Claimed::Granted(_)));
}

#[test]
fn a_semaphore_has_so_many_places() {
    let scene = Scene::new("semaphore");
    let cache = scene.open();
    let claim = Claim { permits: 3, ..ONE };
    let acquire = || cache.acquire(Space::Semaphores, b"k", &claim).unwrap();
    let held: Vec<u64> = (0..3).map(|_| token(acquire())).collect();
    assert!(held.is_sorted() && held[0] < held[1] && held[1] < held[2]);
    let waiting: Vec<u64> = (0..2).map(|_| ticket(acquire())).collect();
    for (token, ticket) in held.iter().zip(&waiting) {
        assert!(cache.release(Space::Semaphores, b"k", *token, 3).unwrap());
        assert!(matches!(cache.turn(Space::Semaphores, b"k", *ticket).unwrap(), Turn::Granted(_)));
    }
    // Another space, another namespace: another lock.
    assert!(matches!(lock(&cache, ONE), Claimed::Granted(_)));
    assert!(matches!(lock(&cache.in_namespace("n").unwrap(), ONE), Claimed::Granted(_)));
}

#[test]
fn records_are_in_nobodys_way_and_nothing_sweeps_them_away() {
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
    assert!(cache.holds(Space::Locks, b"k", held).unwrap());
    assert_eq!(turn(&cache, waiting), Turn::Waiting);
    assert_valid(&cache);
}

#[test]
fn records_take_a_quarter_of_a_shard_at_most() {
    let scene = Scene::new("quarter");
    let cache = scene.open();
    let claim = |i: u64| cache.acquire(Space::Locks, &i.to_le_bytes(), &ONE);
    let first = token(claim(0).unwrap());
    let error = (1..).find_map(|i| claim(i).err()).unwrap();
    assert_eq!(error.code(), "ERR_NO_SPACE");
    // There is room for the largest entry all the same.
    let largest = vec![7; cache.geometry().max_entry - 10];
    for i in 0..10 {
        put(&cache, &format!("large {i}"), &largest);
    }
    assert!(cache.holds(Space::Locks, &0u64.to_le_bytes(), first).unwrap());
    assert_valid(&cache);
}

struct Told(mpsc::Sender<Notice>);

impl Listener for Told {
    fn notify(&self, notice: Notice) {
        let _ = self.0.send(notice);
    }
}

#[test]
fn a_vigil_ends_with_the_turn_and_what_an_owner_left_is_given_back() {
    let scene = Scene::new("vigil");
    let cache = scene.open();
    let (sender, notices) = mpsc::channel();
    let listener = cache.add_listener(Box::new(Told(sender)));
    let held = token(lock(&cache, ONE));
    let waiting = ticket(lock(&cache, ONE));
    let awaited = Awaited::Turn { ticket: waiting, permits: 1 };
    let vigil = cache.keep_vigil(Space::Locks, b"k", awaited, listener).unwrap();
    let namespace = Orphan::namespace_of(Space::Locks, 0);
    cache.give_back([Orphan::Place { namespace, key: b"k".to_vec(), token: held, permits: 1 }]);
    assert_eq!(notices.recv_timeout(Duration::from_secs(10)).unwrap(), Notice::Vigils(vec![vigil]));
    assert!(matches!(turn(&cache, waiting), Turn::Granted(_)));
    // A deadline is noticed without anybody's doing.
    let timed = token(lock(&cache.in_namespace("n").unwrap(), Claim { ttl_ms: 50, ..ONE }));
    let own = cache.in_namespace("n").unwrap();
    let next = ticket(lock(&own, ONE));
    let vigil = own.keep_vigil(Space::Locks, b"k", Awaited::Turn { ticket: next, permits: 1 }, listener).unwrap();
    own.advance_clock(50).unwrap();
    assert_eq!(notices.recv_timeout(Duration::from_secs(10)).unwrap(), Notice::Vigils(vec![vigil]));
    assert!(!own.holds(Space::Locks, b"k", timed).unwrap());
    assert!(matches!(turn(&own, next), Turn::Granted(_)));
}

/// Values of a length, until not one more fits in.
fn fill(cache: &Cache, len: usize) {
    for i in 0..1000 {
        let key = format!("value {len} {i}");
        if cache.set(key.as_bytes(), &bytes(&vec![1; len])).unwrap().is_none() {
            return;
        }
    }
}

/// Each third of them.
fn thin_out(cache: &Cache, len: usize) {
    for key in cache.keys(0, format!("value {len} ").as_bytes(), usize::MAX).unwrap().keys.iter().step_by(3) {
        cache.delete(&key.bytes, 0).unwrap();
    }
}

#[test]
fn what_is_given_back_where_nothing_fits_in_is_handed_on() {
    let mut scene = Scene::new("brimful");
    scene.options.size = 2 << 20;
    scene.options.eviction = Eviction::None;
    let cache = scene.open();
    let held = token(lock(&cache, ONE));
    let tickets: Vec<u64> = (0..20).map(|_| ticket(lock(&cache, ONE))).collect();
    for len in [5000, 500, 0] {
        fill(&cache, len);
    }
    assert!(cache.extend(Space::Locks, b"k", held, 1_000_000).unwrap().is_some());
    cache.leave(Space::Locks, b"k", tickets[0], 1).unwrap();
    assert!(cache.release(Space::Locks, b"k", held, 1).unwrap());
    assert_eq!(turn(&cache, tickets[0]), Turn::Gone);
    assert!(matches!(turn(&cache, tickets[1]), Turn::Granted(_)));
    assert_valid(&cache);
}

/// However full a shard is, and in whatever small pieces its room: a record that does not grow can be changed.
#[test]
fn a_record_that_does_not_grow_always_has_room() {
    const LOCKS: u64 = 3;
    for (eviction, steps) in [(Eviction::None, 4000), (Eviction::S3Fifo, 500)] {
        let mut scene = Scene::new("always-room");
        scene.options.size = 2 << 20;
        scene.options.eviction = eviction;
        let cache = scene.open();
        let mut random = Random(3);
        let many = |i: u64| Claim { permits: 1 + (i % 3) as u32, ..ONE };
        // Of each lock: tokens and tickets, in their order.
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
                // In bursts, so that records are of all sizes.
                2 | 3 if step / 500 % 2 == 0 => {
                    for _ in 0..random.below(90) {
                        match cache.acquire(Space::Locks, key.as_bytes(), &many(i)) {
                            Ok(Claimed::Granted(grant)) => of_it.push(grant.token),
                            Ok(Claimed::Waiting(ticket)) => of_it.push(ticket),
                            Ok(Claimed::Refused) => panic!(),
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
                        cache.leave(Space::Locks, key.as_bytes(), last, permits).unwrap();
                    } else {
                        assert!(cache.release(Space::Locks, key.as_bytes(), last, permits).unwrap());
                    }
                }
                _ if !of_it.is_empty() => {
                    let first = of_it[0];
                    assert!(cache.extend(Space::Locks, key.as_bytes(), first, 0).unwrap().is_some());
                    assert!(cache.release(Space::Locks, key.as_bytes(), first, permits).unwrap());
                    of_it.remove(0);
                    if let Some(next) = of_it.get_mut(permits as usize - 1) {
                        let Turn::Granted(grant) = cache.turn(Space::Locks, key.as_bytes(), *next).unwrap() else {
                            panic!("not handed on")
                        };
                        *next = grant.token;
                    }
                }
                _ => {}
            }
        }
        assert!(refused > 0 || eviction != Eviction::None, "it was never full");
        assert_valid(&cache);
    }
}
