//! Queues: order, capacity, waiters, deadlines, attempts, and their records beside `clear` and eviction.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Awaited, Cache, Keyspace, Notice, Orphan, QueueCounts, QueueRules, Taken, Turn, Write, kind};
use support::listeners::listen;
use support::{Random, SOON, Scene, assert_valid, put};

const KEY: &[u8] = b"jobs";
const RULES: QueueRules = QueueRules { capacity: 1000, visibility_ms: 0, attempts: 0 };

fn push(cache: &Cache, value: &[u8]) -> u64 {
    cache.push(KEY, &RULES, &Write::new(kind::BUFFER, value)).unwrap().unwrap()
}

fn taken(turn: Turn) -> Taken {
    match turn {
        Turn::Taken(taken) => taken,
        other => panic!("{other:?}"),
    }
}

fn ticket(turn: Turn) -> u64 {
    match turn {
        Turn::Waiting(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn take(cache: &Cache) -> Taken {
    taken(cache.take_item(KEY, &RULES, false).unwrap())
}

fn value(cache: &Cache, item: u64) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(cache.item(KEY, item, &mut out).unwrap(), Some(kind::BUFFER));
    out
}

fn acknowledge(cache: &Cache, Taken { item, token, .. }: Taken) -> bool {
    cache.acknowledge(KEY, item, token, &RULES).unwrap()
}

fn counts(cache: &Cache) -> QueueCounts {
    cache.queue_counts(KEY, &RULES).unwrap()
}

const EMPTY: QueueCounts = QueueCounts { ready: 0, taken: 0, dead: 0, waiting: 0 };

#[test]
fn items_are_taken_in_the_order_of_pushes_and_end_with_their_acknowledgement() {
    let scene = Scene::new("order");
    let cache = scene.open();
    assert_eq!(cache.take_item(KEY, &RULES, false).unwrap(), Turn::Empty);
    let items: Vec<u64> = (0..10u8).map(|i| push(&cache, &[i])).collect();
    assert_eq!(counts(&cache), QueueCounts { ready: 10, ..EMPTY });
    for (i, item) in (0..).zip(&items) {
        let got = take(&cache);
        assert_eq!((got.item, got.times, value(&cache, got.item)), (*item, 1, vec![i]));
        assert!(acknowledge(&cache, got));
        assert!(!acknowledge(&cache, got), "a second time");
        assert_eq!(cache.item(KEY, got.item, &mut Vec::new()).unwrap(), None);
    }
    assert_eq!(counts(&cache), EMPTY);
    assert_eq!(cache.queue_counts(b"other", &RULES).unwrap(), EMPTY);
    assert_valid(&cache);
}

#[test]
fn a_released_item_returns_to_its_place_and_its_old_token_is_refused() {
    let scene = Scene::new("release");
    let cache = scene.open();
    let items: Vec<u64> = (0..3u8).map(|i| push(&cache, &[i])).collect();
    let [first, second] = [0; 2].map(|_| take(&cache));
    assert!(cache.release_item(KEY, second.item, second.token, &RULES).unwrap());
    assert!(cache.release_item(KEY, first.item, first.token, &RULES).unwrap());
    assert!(!cache.release_item(KEY, first.item, first.token, &RULES).unwrap());
    assert!(!acknowledge(&cache, first));
    let again = take(&cache);
    assert_eq!((again.item, again.times), (items[0], 2));
    assert!(again.token > first.token);
    assert!(!acknowledge(&cache, Taken { token: first.token, ..again }));
    assert_eq!([take(&cache).item, take(&cache).item], [items[1], items[2]]);
    assert!(acknowledge(&cache, again));
}

#[test]
fn a_full_queue_refuses_and_takes_again_once_an_item_has_ended() {
    let scene = Scene::new("full");
    let cache = scene.open();
    let rules = QueueRules { capacity: 3, ..RULES };
    let push = || cache.push(KEY, &rules, &Write::new(kind::BUFFER, b"x")).unwrap();
    assert!((0..3).all(|_| push().is_some()));
    assert_eq!(push(), None);
    let got = take(&cache);
    assert_eq!(push(), None, "an item in hand has its place");
    assert!(acknowledge(&cache, got));
    assert!(push().is_some());
    // A value that is too large leaves no number behind.
    let large = vec![0; cache.geometry().max_entry];
    let got = take(&cache);
    assert!(acknowledge(&cache, got));
    assert_eq!(cache.push(KEY, &rules, &Write::new(kind::BUFFER, &large)).unwrap_err().code(), "ERR_VALUE_TOO_LARGE");
    assert_eq!(counts(&cache), QueueCounts { ready: 2, ..EMPTY });
    assert!(push().is_some());
}

#[test]
fn waiters_get_items_in_their_order_in_the_step_that_makes_them_ready() {
    let scene = Scene::new("waiters");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    let tickets: Vec<u64> = (0..3).map(|_| ticket(cache.take_item(KEY, &RULES, true).unwrap())).collect();
    assert_eq!(counts(&cache), QueueCounts { waiting: 3, ..EMPTY });
    let watch =
        cache.watch_record(Keyspace::Queues, KEY, Awaited::Item { ticket: tickets[1], attempts: 0 }, listener).unwrap();
    let items: Vec<u64> = (0..2u8).map(|i| push(&cache, &[i])).collect();
    assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::RecordWatches(vec![watch]));
    let [first, second] = [0, 1].map(|i| taken(cache.turn(KEY, tickets[i]).unwrap()));
    assert_eq!([first.item, second.item], items[..]);
    assert_eq!(cache.turn(KEY, tickets[2]).unwrap(), Turn::Waiting(tickets[2]));
    // An item that was handed to a caller that has gone was not taken, and goes to the next one.
    cache.leave_queue(KEY, tickets[0], &RULES).unwrap();
    let third = taken(cache.turn(KEY, tickets[2]).unwrap());
    assert_eq!((third.item, third.times), (items[0], 1));
    assert_eq!(cache.turn(KEY, tickets[0]).unwrap(), Turn::Empty);
    assert!(acknowledge(&cache, second) && acknowledge(&cache, third));
    let late = ticket(cache.take_item(KEY, &RULES, true).unwrap());
    cache.leave_queue(KEY, late, &RULES).unwrap();
    assert_eq!(counts(&cache), EMPTY);
}

#[test]
fn an_item_returns_at_its_deadline_and_goes_aside_after_its_attempts() {
    let scene = Scene::new("deadline");
    let cache = scene.open();
    let rules = QueueRules { visibility_ms: 100, attempts: 3, ..RULES };
    let take = || taken(cache.take_item(KEY, &rules, false).unwrap());
    let item = push(&cache, b"x");
    let first = take();
    cache.advance_clock(99).unwrap();
    assert!(cache.extend_item(KEY, item, first.token, &rules).unwrap().is_some());
    cache.advance_clock(99).unwrap();
    assert_eq!(cache.take_item(KEY, &rules, false).unwrap(), Turn::Empty);
    cache.advance_clock(1).unwrap();
    assert!(!cache.acknowledge(KEY, item, first.token, &rules).unwrap(), "it is over");
    let second = take();
    assert_eq!((second.item, second.times), (item, 2));
    assert_eq!(cache.extend_item(KEY, item, first.token, &rules).unwrap(), None);
    cache.advance_clock(100).unwrap();
    let third = take();
    assert_eq!(third.times, 3);
    assert!(cache.release_item(KEY, item, third.token, &rules).unwrap());
    assert_eq!(cache.take_item(KEY, &rules, false).unwrap(), Turn::Empty);
    assert_eq!(counts(&cache), QueueCounts { dead: 1, ..EMPTY });
    assert_eq!(cache.dead_items(KEY).unwrap(), [item]);
    assert_eq!(value(&cache, item), b"x");
    assert_eq!(cache.revive_items(KEY, &rules).unwrap(), 1);
    assert_eq!(take().times, 1);
    assert!(cache.discard(KEY, item, &rules).unwrap());
    assert_eq!(counts(&cache), EMPTY);
}

#[test]
fn a_waiter_gets_an_item_at_its_deadline_without_another_call() {
    let scene = Scene::new("due");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    let rules = QueueRules { visibility_ms: 50, ..RULES };
    let item = push(&cache, b"x");
    taken(cache.take_item(KEY, &rules, false).unwrap());
    let waiting = ticket(cache.take_item(KEY, &rules, true).unwrap());
    let awaited = Awaited::Item { ticket: waiting, attempts: 0 };
    let watch = cache.watch_record(Keyspace::Queues, KEY, awaited, listener).unwrap();
    cache.advance_clock(50).unwrap();
    assert_eq!(notices.recv_timeout(SOON).unwrap(), Notice::RecordWatches(vec![watch]));
    assert_eq!(taken(cache.turn(KEY, waiting).unwrap()).item, item);
}

#[test]
fn items_of_a_closed_handle_return_and_survive_clear_and_eviction() {
    let scene = Scene::new("orphans");
    let cache = scene.open();
    let item = push(&cache, b"kept");
    let got = take(&cache);
    let waiting = ticket(cache.take_item(KEY, &RULES, true).unwrap());
    let namespace = Orphan::namespace_of(Keyspace::Queues, cache.namespace());
    let key = KEY.to_vec();
    cache.give_back([
        Orphan::Turn { namespace, key: key.clone(), ticket: waiting, attempts: 0 },
        Orphan::Item { namespace, key, item, token: got.token, attempts: 0 },
    ]);
    assert_eq!(counts(&cache), QueueCounts { ready: 1, ..EMPTY });
    assert_eq!(cache.len(), 0, "items are no entries");
    assert!(cache.keys(0, b"", 100).unwrap().keys.is_empty());
    cache.clear().unwrap();
    for i in 0..20_000 {
        put(&cache, &format!("filler {i}"), &[1; 500]);
    }
    assert!(cache.stats().total.evictions > 1000);
    let again = take(&cache);
    assert_eq!((again.item, value(&cache, item)), (item, b"kept".to_vec()));
    assert_valid(&cache);
}

#[test]
fn a_long_random_mix_equals_a_model() {
    let scene = Scene::new("model");
    let cache = scene.open();
    let rules = QueueRules { capacity: 40, visibility_ms: 1000, attempts: 3 };
    let mut random = Random(7);
    // Number, value, times.
    let mut ready: Vec<(u64, u8, u64)> = Vec::new();
    let mut hand: Vec<(Taken, u8, u64)> = Vec::new();
    let mut dead: Vec<u64> = Vec::new();
    let put_back = |ready: &mut Vec<(u64, u8, u64)>, dead: &mut Vec<u64>, (got, value, _): (Taken, u8, u64)| {
        if got.times >= 3 {
            dead.push(got.item);
        } else {
            ready.push((got.item, value, got.times));
            ready.sort_unstable();
        }
    };
    for step in 0..20_000u64 {
        let any = |random: &mut Random, len: usize| random.below(len as u64) as usize;
        match random.below(10) {
            0..3 => {
                let value = step as u8;
                let pushed = cache.push(KEY, &rules, &Write::new(kind::BUFFER, &[value])).unwrap();
                let has_room = ready.len() + hand.len() + dead.len() < 40;
                assert_eq!(pushed.is_some(), has_room);
                ready.extend(pushed.map(|item| (item, value, 0)));
            }
            3..6 => match cache.take_item(KEY, &rules, false).unwrap() {
                Turn::Taken(got) => {
                    let (item, byte, times) = ready.remove(0);
                    assert_eq!((got.item, got.times, value(&cache, item)), (item, times + 1, vec![byte]));
                    hand.push((got, byte, cache.now_ms() + 1000));
                }
                other => assert!(other == Turn::Empty && ready.is_empty()),
            },
            6..8 if !hand.is_empty() => {
                let at = any(&mut random, hand.len());
                let (got, ..) = hand.remove(at);
                assert!(cache.acknowledge(KEY, got.item, got.token, &rules).unwrap());
            }
            8 if !hand.is_empty() => {
                let at = any(&mut random, hand.len());
                let back = hand.remove(at);
                assert!(cache.release_item(KEY, back.0.item, back.0.token, &rules).unwrap());
                put_back(&mut ready, &mut dead, back);
            }
            9 if random.below(20) == 0 => {
                cache.advance_clock(random.below(700)).unwrap();
                let now = cache.now_ms();
                let (over, rest): (Vec<_>, Vec<_>) = hand.drain(..).partition(|(.., until)| *until <= now);
                hand = rest;
                over.into_iter().for_each(|back| put_back(&mut ready, &mut dead, back));
                // The next change takes them back, in the order in which they were taken.
                cache.discard(b"none", 1, &rules).unwrap();
            }
            9 if random.below(50) == 0 => {
                for item in dead.drain(..) {
                    assert!(cache.discard(KEY, item, &rules).unwrap());
                }
            }
            _ => {}
        }
    }
    assert_valid(&cache);
}
