//! Kills real processes at every named step and at random, and looks from another process at what is left.
//!
//! Every role is a forked child; see `support/forked.rs`. A child that is killed notes each step it passes in memory shared
//! with this program. Each scenario is prepared once; every kill starts from a copy of that segment's file, so the steps are
//! the same each time. `KILLS=20000 SEED=1 cargo test … random_kills` for more.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{
    Algorithm, Boarding, Cache, Claim, Claimed, Demand, Departure, Depends, Eviction, Family, FeedItem, Invalidation,
    Landing, Limit, Listener, Loads, MAX_TAGS, Manner, Measured, Measurement, MetricKind, NoSink, Notice, OpenOptions,
    Space, TAG_CLOCK, Turn, Watch, What, Write, destroy, kind,
};
use cache_machine_shm::Header;
use cache_machine_shm::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, passed, print, trace};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::forked::{self, Test, file_of, in_child};
use support::{PLAIN, Random, Scene, assert_valid, bytes};

/// A step that no operation reaches.
const NEVER: u64 = u64::MAX - 1;
/// Steps of one operation that are noted.
const TRACE: usize = 1 << 16;
/// Kill points of one scenario; where it has more steps, they are sampled, each name's first and last included.
const MOST_KILLS: usize = 160;

fn main() {
    let tests = [
        Test { name: "killed_at_every_step_it_leaves_all_old_or_all_new", run: killed_at_every_step },
        Test { name: "a_panic_at_every_step_leaves_a_suspect_that_is_repaired", run: panic_at_every_step },
        Test { name: "a_repair_that_is_killed_is_repaired_three_deaths_deep", run: killed_in_the_repair },
        Test {
            name: "a_repairer_killed_after_it_has_put_an_overflow_count_right_is_succeeded",
            run: killed_beside_an_overflow_count,
        },
        Test {
            name: "what_was_noted_before_a_panic_or_a_repair_is_told_of_its_own_segment",
            run: notes_of_two_segments,
        },
        Test { name: "killed_while_it_is_made_joined_or_destroyed_a_name_stays_usable", run: killed_in_its_life },
        Test {
            name: "a_waiter_killed_beside_a_stopped_holder_harms_nobody",
            run: waiter_killed_beside_a_stopped_holder,
        },
        Test { name: "a_watcher_beside_killed_writers_is_told_right_or_of_a_loss", run: watcher_beside_killed_writers },
        Test {
            name: "an_invalidation_that_cannot_be_told_in_time_counts_as_lost_also_when_killed",
            run: invalidation_beside_a_stopped_holder,
        },
        Test { name: "a_release_beside_a_stopped_holder_is_made_up_for", run: release_beside_a_stopped_holder },
        Test { name: "random_kills_lose_nothing_and_stop_nobody", run: random_kills },
    ];
    let summary = Test { name: "every_step_in_the_sources_was_killed_at", run: every_step_was_killed_at };
    forked::main(&tests, Some(&summary));
}

fn options(name: &str) -> OpenOptions {
    OpenOptions {
        name: name.into(),
        directory: None,
        size: 2 << 20,
        max_entry: None,
        eviction: Eviction::S3Fifo,
        lock_memory: false,
        write_timeout: Duration::from_secs(10),
        manual_clock: true,
    }
}

/// What is done. Afterwards each key is as it was before, or as it is when nobody is killed.
struct Scenario {
    name: &'static str,
    eviction: Eviction,
    /// Entries that are there from the start: `e0` to `e<n>`.
    entries: u64,
    prepare: fn(&Cache),
    /// Done by the process that acts, before it does.
    ready: fn(&Cache),
    act: fn(&Cache),
    /// Where the act changes the record of a lock in two steps: the words in between, made of those before.
    halfway: Option<fn(&mut Vec<u64>)>,
    /// Keys that start with one of these change all at once, whatever happens: all are old or all are new.
    together: &'static [&'static str],
}

const BASE: Scenario = Scenario {
    name: "",
    eviction: Eviction::S3Fifo,
    entries: 60,
    prepare: |_| {},
    ready: |_| {},
    act: |_| {},
    halfway: None,
    together: &["e"],
};

fn scenarios() -> Vec<Scenario> {
    let old: fn(&Cache) = |c| set(c, "target", b"old");
    vec![
        Scenario { name: "set a new key", act: |c| set(c, "target", b"new"), ..BASE },
        Scenario { name: "replace", prepare: old, act: |c| set(c, "target", &[7; 3]), ..BASE },
        Scenario { name: "replace by longer", prepare: old, act: |c| set(c, "target", &[7; 5000]), ..BASE },
        Scenario {
            name: "replace an expired one",
            prepare: |c| {
                assert!(c.set(b"target", &Write { ttl_ms: 5, ..bytes(b"old") }).unwrap().is_some());
                c.advance_clock(5).unwrap();
            },
            act: |c| set(c, "target", b"new"),
            ..BASE
        },
        Scenario { name: "reserve more space", prepare: old, act: |c| set(c, "target", &[7; 300_000]), ..BASE },
        Scenario {
            name: "set into a fragmented shard",
            prepare: fragment,
            act: |c| set(c, "target", &[7; 4000]),
            ..BASE
        },
        Scenario {
            name: "replace in a fragmented shard",
            prepare: |c| {
                fragment(c);
                set(c, "target", &[7; 2000]);
            },
            act: |c| set(c, "target", &[8; 3000]),
            ..BASE
        },
        Scenario {
            name: "delete in a fragmented shard",
            prepare: |c| {
                fragment(c);
                set(c, "target", &[7; 3000]);
            },
            act: |c| assert!(c.delete(b"target", 0).unwrap()),
            ..BASE
        },
        Scenario {
            name: "set a key whose line is full",
            prepare: |c| {
                let key = overflowing_key(c);
                set(c, "key", key.as_bytes());
                c.delete(key.as_bytes(), 0).unwrap();
            },
            act: |c| set(c, &named_key(c), b"new"),
            ..BASE
        },
        Scenario {
            name: "set keys until the index is divided",
            prepare: |c| drop(overflowing_key(c)),
            act: |c| (0..500).for_each(|i| set(c, &format!("x{i}"), &value_of(i))),
            ..BASE
        },
        Scenario {
            name: "replace a key whose line is full",
            prepare: |c| set(c, "key", overflowing_key(c).as_bytes()),
            act: |c| set(c, &named_key(c), b"new"),
            ..BASE
        },
        Scenario {
            name: "delete a key whose line is full",
            prepare: |c| set(c, "key", overflowing_key(c).as_bytes()),
            act: |c| assert!(c.delete(named_key(c).as_bytes(), 0).unwrap()),
            ..BASE
        },
        Scenario { name: "delete", prepare: old, act: |c| assert!(c.delete(b"target", 0).unwrap()), ..BASE },
        Scenario {
            name: "take",
            prepare: old,
            act: |c| assert!(c.take(b"target", &mut Vec::new()).unwrap().is_some()),
            ..BASE
        },
        Scenario { name: "touch", prepare: old, act: |c| assert!(c.touch(b"target", 5).unwrap()), ..BASE },
        Scenario {
            name: "persist",
            prepare: |c| {
                assert!(c.set(b"target", &Write { ttl_ms: 5, ..bytes(b"old") }).unwrap().is_some());
            },
            act: |c| assert!(c.touch(b"target", 0).unwrap()),
            ..BASE
        },
        Scenario { name: "incr a new key", act: |c| count_to(c, 1.0), ..BASE },
        Scenario { name: "incr", prepare: |c| count_to(c, 1.0), act: |c| count_to(c, 2.0), ..BASE },
        Scenario {
            name: "evict one, S3-FIFO",
            entries: 0,
            prepare: fill,
            act: |c| set(c, "target", &[3; 300]),
            ..BASE
        },
        Scenario {
            name: "evict many, S3-FIFO",
            entries: 0,
            prepare: fill,
            act: |c| set(c, "target", &[3; 9000]),
            ..BASE
        },
        Scenario {
            name: "evict many, CLOCK",
            eviction: Eviction::Lru,
            entries: 0,
            prepare: fill,
            act: |c| set(c, "target", &[3; 9000]),
            ..BASE
        },
        Scenario {
            name: "expire on the way",
            // Every eighth write sweeps a line; the next one is an eighth.
            prepare: |c| {
                mortal(c, 8000, 1);
                (0..3).for_each(|i| set(c, &format!("y{i}"), b"y"));
            },
            act: |c| set(c, "target", b"new"),
            ..BASE
        },
        Scenario {
            name: "expire for room",
            eviction: Eviction::None,
            prepare: |c| mortal(c, 10, 110_000),
            act: |c| set(c, "target", &[3; 300_000]),
            ..BASE
        },
        Scenario {
            name: "clear, then set",
            act: |c| {
                c.clear().unwrap();
                set(c, "target", b"new");
            },
            ..BASE
        },
        Scenario {
            name: "delete what was cleared",
            prepare: |c| {
                set(c, "target", b"old");
                c.clear().unwrap();
            },
            act: |c| assert!(!c.delete(b"target", 0).unwrap()),
            ..BASE
        },
        Scenario {
            name: "set with a stale window and tags",
            act: |c| set_tagged(c, "target", &["red", "blue"], 50),
            ..BASE
        },
        Scenario {
            name: "replace a tagged one",
            prepare: |c| set_tagged(c, "target", &["red"], 0),
            act: |c| set_tagged(c, "target", &["blue"], 70),
            ..BASE
        },
        Scenario {
            name: "replace, and keep its tags",
            prepare: |c| set_tagged(c, "target", &["red", "blue"], 50),
            act: |c| {
                let write = Write { keep_tags: true, keep_ttl: true, ..bytes(b"new") };
                assert!(c.set(b"target", &write).unwrap().is_some());
            },
            ..BASE
        },
        Scenario {
            name: "set with 128 tags into a fragmented shard",
            prepare: fragment,
            act: |c| {
                let tags: Vec<u64> = (0..MAX_TAGS).map(|i| c.tag(&format!("tag {i}"))).collect();
                assert!(c.set(b"target", &Write { tags: &tags, ..bytes(b"new") }).unwrap().is_some());
            },
            ..BASE
        },
        Scenario {
            name: "incr a tagged one",
            prepare: |c| {
                let write =
                    Write { tags: &[c.tag("red")], ttl_ms: 10, stale_ms: 5, ..Write::new(kind::NUMBER, &[0; 8]) };
                assert!(c.set(b"target", &write).unwrap().is_some());
            },
            act: |c| count_to(c, 1.0),
            ..BASE
        },
        Scenario {
            name: "the first use of a namespace",
            prepare: |c| set(&c.in_namespace("ns").unwrap(), "n0", b"1"),
            act: |c| set(&c.in_namespace("fresh").unwrap(), "target", b"new"),
            ..BASE
        },
        Scenario {
            name: "clear a namespace, then set",
            prepare: in_a_namespace,
            act: |c| {
                let own = c.in_namespace("ns").unwrap();
                own.clear().unwrap();
                set(&own, "target", b"new");
            },
            together: &["@ns/n"],
            ..BASE
        },
        Scenario {
            name: "clear all, then set in a namespace",
            prepare: in_a_namespace,
            act: |c| {
                c.clear().unwrap();
                set(&c.in_namespace("ns").unwrap(), "target", b"new");
            },
            together: &["e", "@ns/n"],
            ..BASE
        },
        Scenario {
            name: "invalidate a tag for the first time",
            prepare: tagged,
            act: |c| invalidate(c, "green", Invalidation::Remove),
            together: &["g"],
            ..BASE
        },
        Scenario {
            name: "invalidate a tag again",
            prepare: |c| {
                tagged(c);
                (0..10).for_each(|i| set_tagged(c, &format!("d{i}"), &["yellow"], 0));
                invalidate(c, "yellow", Invalidation::Remove);
                (0..20).for_each(|i| set_tagged(c, &format!("h{i}"), &["yellow"], 0));
            },
            act: |c| invalidate(c, "yellow", Invalidation::Remove),
            together: &["h"],
            ..BASE
        },
        Scenario {
            name: "outdate two tags",
            prepare: tagged,
            act: |c| {
                c.invalidate_tags(&[c.tag("green"), c.tag("black")], Invalidation::Outdate).unwrap();
            },
            together: &["g", "h"],
            ..BASE
        },
        Scenario {
            name: "invalidate a tag that pushes out another's record",
            prepare: |c| {
                let tags = tags_of_one_set(c);
                (0..10).for_each(|i| set_with_tag(c, &format!("d{i}"), tags[0]));
                // Older than the record that goes: the floor takes these as well.
                (0..20).for_each(|i| set_with_tag(c, &format!("h{i}"), c.tag("other")));
                (0..8).for_each(|i| c.invalidate_tags(&tags[i..=i], Invalidation::Remove).unwrap());
                (0..20).for_each(|i| set_with_tag(c, &format!("g{i}"), tags[8]));
                assert_eq!(c.stats().tags_overflowed, 0);
            },
            act: |c| {
                c.invalidate_tags(&tags_of_one_set(c)[8..], Invalidation::Remove).unwrap();
                assert_eq!(c.stats().tags_overflowed, 1);
            },
            together: &["g", "h"],
            ..BASE
        },
        Scenario {
            name: "delete by prefix",
            prepare: |c| {
                (0..40).for_each(|i| set(c, &format!("p{i}"), &value_of(i)));
                set_tagged(&c.in_namespace("ns").unwrap(), "p0", &["red"], 0);
            },
            act: |c| assert_eq!(c.delete_prefix(b"p").unwrap(), 40),
            ..BASE
        },
        Scenario {
            name: "evict many that somebody wants to know of",
            entries: 0,
            prepare: fill,
            act: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                c.want_gone(listener, true);
                set(c, "target", &[3; 9000]);
            },
            ..BASE
        },
        Scenario {
            name: "room of what was cleared and invalidated",
            eviction: Eviction::None,
            prepare: |c| {
                let own = c.in_namespace("ns").unwrap();
                let value = vec![7; 100_000];
                (0..5).for_each(|i| set(&own, &format!("d{i}"), &value));
                let write = Write { tags: &[c.tag("red")], ..bytes(&value) };
                (0..5).for_each(|i| assert!(c.set(format!("d{i}").as_bytes(), &write).unwrap().is_some()));
                set(c, "kept", &value);
                own.clear().unwrap();
                invalidate(c, "red", Invalidation::Remove);
            },
            act: |c| set(c, "target", &[3; 300_000]),
            ..BASE
        },
        Scenario { name: "begin to load", act: |c| assert!(begin(c, Loads::Values) > 0), ..BASE },
        Scenario {
            name: "load, and keep what came",
            prepare: |c| set_tagged(c, "target", &["red"], 50),
            act: |c| {
                let token = begin(c, Loads::Values);
                let write = Write { tags: &[c.tag("red"), c.tag("blue")], ttl_ms: 70, ..bytes(b"loaded") };
                let landing = c.finish_flight(Loads::Values, b"target", token, &write).unwrap();
                assert!(matches!(landing, Landing::Kept(_)));
            },
            ..BASE
        },
        Scenario {
            name: "load, and fail twice",
            act: |c| {
                for _ in 0..2 {
                    let token = begin(c, Loads::Values);
                    assert!(c.fail_flight(Loads::Values, b"target", token, &[7; 300], true).unwrap());
                }
            },
            ..BASE
        },
        Scenario {
            name: "delete what is being loaded",
            prepare: |c| set(c, "target", b"old"),
            act: |c| {
                let token = begin(c, Loads::Values);
                assert!(c.delete(b"target", 0).unwrap());
                let landing = c.finish_flight(Loads::Values, b"target", token, &bytes(b"older")).unwrap();
                assert_eq!(landing, Landing::Refused);
            },
            ..BASE
        },
        Scenario {
            name: "delete by prefix what is being loaded",
            prepare: |c| set(c, "target", b"old"),
            act: |c| {
                assert!(begin(c, Loads::Values) > 0);
                assert_eq!(c.delete_prefix(b"tar").unwrap(), 1);
            },
            ..BASE
        },
        Scenario {
            name: "know that there is nothing",
            prepare: |c| set(c, "target", b"old"),
            act: |c| {
                let token = begin(c, Loads::Values);
                let write = Write { ttl_ms: 70, ..Write::new(kind::ABSENT, b"") };
                let landing = c.finish_flight(Loads::Values, b"target", token, &write).unwrap();
                assert!(matches!(landing, Landing::Kept(_)));
            },
            ..BASE
        },
        Scenario {
            name: "do it once",
            act: |c| {
                let token = begin(c, Loads::Once);
                let landing = c.finish_flight(Loads::Once, b"target", token, &bytes(&[1; 500])).unwrap();
                assert!(matches!(landing, Landing::Kept(_)));
            },
            ..BASE
        },
        Scenario {
            name: "wait, then set",
            act: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                c.wait_for(b"target", 0, listener).unwrap();
                set(c, "target", b"new");
            },
            ..BASE
        },
        Scenario {
            name: "watch, then set with tags, replace and delete",
            prepare: |c| ["key", "kept"].into_iter().for_each(|key| set(c, key, b"old")),
            act: |c| {
                let watch = watch_all(c);
                set_tagged(c, "target", &["red", "blue"], 50);
                set(c, "kept", b"new");
                assert!(c.delete(b"key", 0).unwrap());
                c.end_feed(watch);
            },
            ..BASE
        },
        Scenario {
            name: "watch, then evict and expire",
            entries: 0,
            prepare: |c| {
                fill(c);
                mortal(c, 3, 10);
            },
            act: |c| {
                watch_all(c);
                set(c, "target", &[3; 9000]);
            },
            ..BASE
        },
        Scenario {
            name: "watch, then clear and invalidate",
            prepare: tagged,
            act: |c| {
                watch_all(c);
                invalidate(c, "green", Invalidation::Remove);
                c.clear().unwrap();
            },
            together: &["g", "h", "e"],
            ..BASE
        },
        Scenario {
            name: "subscribe twice and by prefix, publish, and end it",
            act: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                let subscribe = |name: &[u8], is_prefix| c.subscribe(name, is_prefix, 10, listener).unwrap();
                let feeds = [subscribe(b"news", false), subscribe(b"news", false), subscribe(b"ne", true)];
                assert_eq!(c.publish(b"news", kind::BUFFER, b"a message").unwrap(), 3);
                feeds.into_iter().for_each(|feed| c.end_feed(feed));
                assert_eq!(c.publish(b"news", kind::BUFFER, b"a message").unwrap(), 0);
            },
            ..BASE
        },
        Scenario { name: "consume the first tokens", act: consume, ..BASE },
        Scenario { name: "consume more tokens", prepare: consume, act: consume, ..BASE },
        Scenario {
            name: "consume in a later bucket",
            prepare: |c| {
                consume(c);
                c.advance_clock(LIMIT.window_ms / 4).unwrap();
            },
            act: consume,
            ..BASE
        },
        Scenario { name: "consume from a bucket that drains", prepare: drain, act: drain, ..BASE },
        Scenario { name: "consume in a full shard", entries: 0, prepare: fill, act: consume, ..BASE },
        Scenario {
            name: "reset a limit",
            prepare: consume,
            act: |c| assert!(c.reset_limit(b"limit").unwrap()),
            ..BASE
        },
        Scenario { name: "declare a metric", act: declare, ..BASE },
        Scenario { name: "observe", prepare: declare, act: observe, ..BASE },
        Scenario {
            name: "delete a metric",
            prepare: |c| {
                declare(c);
                observe(c);
            },
            act: |c| assert!(c.delete_metric("metric").unwrap()),
            ..BASE
        },
        Scenario { name: "take a lock", act: |c| _ = held(lock(c)), ..BASE },
        Scenario {
            name: "take a lock over its dead holder",
            prepare: |c| _ = held(lock(c)),
            act: |c| _ = held(lock(c)),
            ..BASE
        },
        Scenario { name: "enter the queue", ready: |c| _ = held(lock(c)), act: |c| _ = queued(lock(c)), ..BASE },
        Scenario {
            name: "release, with nobody waiting",
            ready: |c| _ = held(lock(c)),
            act: |c| assert!(c.release(Space::Locks, LOCK, first_token(c), 1).unwrap()),
            ..BASE
        },
        Scenario {
            name: "release, and hand over",
            ready: |c| {
                held(lock(c));
                (0..3).for_each(|_| _ = queued(lock(c)));
            },
            act: |c| assert!(c.release(Space::Locks, LOCK, first_token(c), 1).unwrap()),
            ..BASE
        },
        Scenario {
            name: "extend",
            ready: |c| _ = held(c.acquire(Space::Locks, LOCK, &Claim { ttl_ms: 5, ..ONE }).unwrap()),
            act: |c| assert!(c.extend(Space::Locks, LOCK, first_token(c), 50).unwrap().is_some()),
            ..BASE
        },
        Scenario {
            name: "leave the queue",
            ready: |c| {
                held(lock(c));
                queued(lock(c));
                set(c, "key", &queued(lock(c)).to_le_bytes());
                queued(lock(c));
            },
            act: |c| leave_with_noted_ticket(c, Turn::Waiting),
            ..BASE
        },
        Scenario {
            name: "leave when the turn has come, and hand over",
            ready: |c| {
                let token = held(lock(c));
                set(c, "key", &queued(lock(c)).to_le_bytes());
                queued(lock(c));
                assert!(c.release(Space::Locks, LOCK, token, 1).unwrap());
            },
            act: |c| leave_with_noted_ticket(c, Turn::Gone),
            ..BASE
        },
        Scenario {
            name: "advance over one whose time is up",
            ready: |c| {
                held(c.acquire(Space::Locks, LOCK, &Claim { ttl_ms: 5, ..ONE }).unwrap());
                queued(lock(c));
                c.advance_clock(5).unwrap();
            },
            // Whoever asks in vain forgets the holder first, and then gives its place to the one who waits.
            act: |c| {
                assert_eq!(c.acquire(Space::Locks, LOCK, &Claim { wait: false, ..ONE }).unwrap(), Claimed::Refused)
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
                (0..2).for_each(|_| _ = held(permit(c)));
                (0..2).for_each(|_| _ = queued(permit(c)));
            },
            act: |c| {
                let token = c.words_of(Space::Semaphores, LOCK).unwrap()[2];
                assert!(c.release(Space::Semaphores, LOCK, token, 2).unwrap());
            },
            ..BASE
        },
    ]
}

const LIMIT: Limit = Limit { algorithm: Algorithm::SlidingWindow, tokens: 1000, window_ms: 60_000 };

fn consume(cache: &Cache) {
    assert!(cache.limit(b"limit", &LIMIT, Demand::Consume(3)).unwrap().allowed);
}

fn drain(cache: &Cache) {
    let limit = Limit { algorithm: Algorithm::Gcra, ..LIMIT };
    assert!(cache.limit(b"drain", &limit, Demand::Consume(3)).unwrap().allowed);
}

fn declare(cache: &Cache) {
    let family = Family { kind: MetricKind::Histogram, bounds: &[0.5, 1.0, 2.5, 5.0, 10.0], help: "Sizes." };
    cache.declare_metric("metric", &family, "metric{}").unwrap();
}

fn observe(cache: &Cache) {
    assert_eq!(cache.measure(b"metric{}", Measurement::Observe(2.0)).unwrap(), Measured::Done);
}

/// Begins to load the target, whatever there is.
fn begin(cache: &Cache, loads: Loads) -> u64 {
    let departure = Departure { lease_ms: 1000, newer_than: u64::MAX, background: false };
    match cache.begin_flight(loads, b"target", &departure).unwrap() {
        Boarding::Begun(token) => token,
        // Of this process, which panicked: its own to give up. Nobody waits for the dead.
        Boarding::Joined(token) => {
            assert!(cache.abandon_flight(loads, b"target", token).unwrap(), "joined a flight of the dead");
            begin(cache, loads)
        }
        other => panic!("{other:?}"),
    }
}

/// The key of locks and semaphores.
const LOCK: &[u8] = b"lock";
const ONE: Claim = Claim { permits: 1, ttl_ms: 0, wait: true };

fn lock(cache: &Cache) -> Claimed {
    cache.acquire(Space::Locks, LOCK, &ONE).unwrap()
}

fn permit(cache: &Cache) -> Claimed {
    cache.acquire(Space::Semaphores, LOCK, &Claim { permits: 2, ..ONE }).unwrap()
}

/// The token.
fn held(claimed: Claimed) -> u64 {
    match claimed {
        Claimed::Granted(grant) => grant.token,
        other => panic!("{other:?}"),
    }
}

/// The ticket.
fn queued(claimed: Claimed) -> u64 {
    match claimed {
        Claimed::Waiting(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// Of the lock's first holder.
fn first_token(cache: &Cache) -> u64 {
    cache.words_of(Space::Locks, LOCK).unwrap()[2]
}

fn leave_with_noted_ticket(cache: &Cache, before: Turn) {
    let ticket = u64::from_le_bytes(get(cache, "key").unwrap().try_into().unwrap());
    let turn = cache.turn(Space::Locks, LOCK, ticket).unwrap();
    assert!(if before == Turn::Waiting { turn == before } else { matches!(turn, Turn::Granted(_)) });
    cache.leave(Space::Locks, LOCK, ticket, 1).unwrap();
    assert_eq!(cache.turn(Space::Locks, LOCK, ticket).unwrap(), Turn::Gone);
}

struct Deaf;

impl Listener for Deaf {
    fn notify(&self, _: Notice) {}
}

fn set(cache: &Cache, key: &str, value: &[u8]) {
    assert!(cache.set(key.as_bytes(), &bytes(value)).unwrap().is_some());
}

fn get(cache: &Cache, key: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    cache.get(key.as_bytes(), Manner::Peek, &mut out).unwrap().map(|_| out)
}

/// Watches everything, heard by nobody.
fn watch_all(cache: &Cache) -> u64 {
    let listener = cache.add_listener(Box::new(Deaf));
    cache.watch(&Watch::default(), 100, listener).unwrap()
}

fn set_tagged(cache: &Cache, key: &str, names: &[&str], stale_ms: u64) {
    let tags: Vec<u64> = names.iter().map(|name| cache.tag(name)).collect();
    let write = Write { tags: &tags, ttl_ms: 2 * stale_ms, stale_ms, ..bytes(key.as_bytes()) };
    assert!(cache.set(key.as_bytes(), &write).unwrap().is_some());
}

fn set_with_tag(cache: &Cache, key: &str, tag: u64) {
    assert!(cache.set(key.as_bytes(), &Write { tags: &[tag], ..bytes(b"1") }).unwrap().is_some());
}

fn invalidate(cache: &Cache, name: &str, how: Invalidation) {
    cache.invalidate_tags(&[cache.tag(name)], how).unwrap();
}

/// Entries of two tags, some of both.
fn tagged(cache: &Cache) {
    (0..20).for_each(|i| set_tagged(cache, &format!("g{i}"), if i < 10 { &["green"] } else { &["green", "blue"] }, 0));
    (0..20).for_each(|i| set_tagged(cache, &format!("h{i}"), if i < 10 { &["black"] } else { &["blue", "black"] }, 0));
}

/// Nine tags that have their records in the same eight places: see `Geometry::tag_set`.
fn tags_of_one_set(cache: &Cache) -> Vec<u64> {
    let set = |tag: u64| (tag >> 32) % 256;
    let first = cache.tag("0");
    (0..).map(|i| cache.tag(&format!("{i}"))).filter(|tag| set(*tag) == set(first)).take(9).collect()
}

/// Entries of an earlier life of the namespace `ns`, and of its present one.
fn in_a_namespace(cache: &Cache) {
    let own = cache.in_namespace("ns").unwrap();
    (0..10).for_each(|i| set(&own, &format!("d{i}"), &value_of(i)));
    own.clear().unwrap();
    (0..20).for_each(|i| set(&own, &format!("n{i}"), &value_of(i)));
}

fn count_to(cache: &Cache, sum: f64) {
    assert_eq!(cache.incr(b"target", 1.0, &PLAIN).unwrap(), sum);
}

fn value_of(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(20 + (n % 30) as usize)
}

/// Leaves free units of which no two runs are neighbours, each as long as a small entry.
fn fragment(cache: &Cache) {
    let free = || cache.stats().capacity_bytes - cache.stats().used_bytes;
    (0..).take_while(|_| free() > 150_000).for_each(|i| set(cache, &format!("b{i}"), &[5; 100_000]));
    let mut count = 0;
    while free() > 1000 {
        set(cache, &format!("f{count}"), &[1; 60]);
        count += 1;
    }
    (0..count).step_by(2).for_each(|i| assert!(cache.delete(format!("f{i}").as_bytes(), 0).unwrap()));
    assert_eq!(cache.stats().total.evictions, 0);
}

/// Sets keys until one finds its line full.
fn overflowing_key(cache: &Cache) -> String {
    arm(NEVER, Fault::Kill);
    for i in 0.. {
        let key = format!("o{i}");
        set(cache, &key, b"x");
        if passed().contains_key("set.overflow") {
            disarm();
            return key;
        }
    }
    unreachable!()
}

fn named_key(cache: &Cache) -> String {
    String::from_utf8(get(cache, "key").unwrap()).unwrap()
}

fn fill(cache: &Cache) {
    (0..).take_while(|_| cache.stats().total.evictions == 0).for_each(|i| set(cache, &format!("x{i}"), &value_of(i)));
}

fn mortal(cache: &Cache, count: u64, len: usize) {
    let value = vec![9; len];
    let write = Write { ttl_ms: 10, ..bytes(&value) };
    (0..count).for_each(|i| assert!(cache.set(format!("m{i}").as_bytes(), &write).unwrap().is_some()));
    cache.advance_clock(10).unwrap();
}

/// Every key that any scenario uses, those of a namespace as `@namespace/key`. `d` are dead from the start.
fn universe() -> Vec<String> {
    let series = [("e", 60), ("x", 6000), ("f", 6000), ("b", 20), ("o", 12_000), ("m", 8000), ("y", 3)];
    let new = [("d", 10), ("g", 20), ("h", 20), ("p", 40), ("@ns/d", 10), ("@ns/n", 20), ("@ns/p", 1)];
    let numbered = series.iter().chain(&new).flat_map(|(name, count)| (0..*count).map(move |i| format!("{name}{i}")));
    let records = [LIMIT_STATE, DRAIN_STATE, METRIC_FAMILY, METRIC_SERIES, "#locks", "#semaphores"];
    let others = ["target", "key", "kept", "@ns/target", "@fresh/target"];
    numbered.chain(others.into_iter().chain(records).map(String::from)).collect()
}

fn is_dead_from_the_start(key: &str) -> bool {
    key.starts_with('d') || key.starts_with("@ns/d")
}

/// What is no value is looked at in its own way.
const LIMIT_STATE: &str = "#limit";
const DRAIN_STATE: &str = "#drain";
const METRIC_FAMILY: &str = "#metric";
const METRIC_SERIES: &str = "#metric{}";

fn record_state(cache: &Cache, name: &str) -> u64 {
    let algorithm = match name {
        "limit" => Some(Algorithm::SlidingWindow),
        "drain" => Some(Algorithm::Gcra),
        _ => None,
    };
    if let Some(algorithm) = algorithm {
        let seen = cache.look_at_limit(name.as_bytes(), &Limit { algorithm, ..LIMIT }, 1).unwrap();
        return LIMIT.tokens - seen.remaining;
    }
    cache.metric(name).unwrap().map_or(0, |metric| {
        let mut hasher = DefaultHasher::new();
        format!("{metric:?}").hash(&mut hasher);
        hasher.finish().max(1)
    })
}

/// Value, kind, deadline and freshness of a key in one number; 0 where there is none.
fn state(cache: &Cache, key: &str) -> u64 {
    if let Some(space) = space_of(key) {
        return state_of_record(&cache.words_of(space, LOCK).unwrap());
    }
    if let Some(name) = key.strip_prefix('#') {
        return record_state(cache, name);
    }
    if let Some((name, key)) = key.strip_prefix('@').and_then(|key| key.split_once('/')) {
        // A look makes no namespace.
        let is_there = cache.namespace_names().iter().any(|other| other == name);
        return if is_there { state(&cache.in_namespace(name).unwrap(), key) } else { 0 };
    }
    let mut out = Vec::new();
    let Some(meta) = cache.get(key.as_bytes(), Manner::PeekStale, &mut out).unwrap() else { return 0 };
    let mut hasher = DefaultHasher::new();
    (out, meta.kind, meta.remaining_ms(cache.now_ms()), meta.stale).hash(&mut hasher);
    hasher.finish().max(1)
}

/// Of a record, which is no key of the user's.
fn space_of(key: &str) -> Option<Space> {
    match key {
        "#locks" => Some(Space::Locks),
        "#semaphores" => Some(Space::Semaphores),
        _ => None,
    }
}

fn state_of_record(words: &[u64]) -> u64 {
    if words.is_empty() {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish().max(1)
}

fn segment_name(what: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("t-crash-{what}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

/// A segment of one's own, made of the bytes of another.
struct Copied {
    options: OpenOptions,
}

impl Copied {
    fn of(content: &[u8]) -> Self {
        let copied = Self { options: options(&segment_name("copy")) };
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(file_of(&copied.options)).unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
        copied
    }

    fn open(&self) -> Cache {
        Cache::open(&self.options).unwrap().0
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(file_of(&self.options)).unwrap()
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // Not by `destroy`, which would pass through a dead owner's locks; that is a test of its own.
        let _ = std::fs::remove_file(file_of(&self.options));
    }
}

/// A scenario, prepared: the segment's bytes, the steps of its act, and each key's state before and after it.
struct Stage {
    name: &'static str,
    ready: fn(&Cache),
    act: fn(&Cache),
    content: Vec<u8>,
    steps: Vec<u64>,
    /// The state of the locks' record between two steps of its change; 0: there is none.
    halfway: u64,
    keys: Vec<(String, u64, u64)>,
    /// Copies near to a process, made before the act.
    near: Vec<NearCopy>,
    together: &'static [&'static str],
    repairs: u64,
}

/// What a copy of an entry depends on: while all of it is unchanged the copy is served without a look at the entry.
struct NearCopy {
    /// Place among the stage's keys.
    key: usize,
    depends: Depends,
    /// Where the epoch of its namespace is.
    epoch_at: usize,
}

impl NearCopy {
    /// Words of one in memory that processes share.
    const WORDS: usize = 5;

    /// As words, of an entry that is there and may be kept.
    fn note(cache: &Cache, name: &str) -> Option<[u64; Self::WORDS]> {
        let (cache, name) = match name.strip_prefix('@').and_then(|name| name.split_once('/')) {
            Some((space, name)) => (cache.in_namespace(space).unwrap(), name),
            None => (cache.clone(), name),
        };
        let meta = cache.get(name.as_bytes(), Manner::Peek, &mut NoSink).unwrap()?;
        let Depends { word_at, generation, life, tag_clock } = meta.depends;
        let clock = tag_clock.unwrap_or(u64::MAX);
        (word_at != 0).then_some([word_at as u64, generation.into(), life, cache.epoch_offset() as u64, clock])
    }

    fn noted(key: usize, words: [u64; Self::WORDS]) -> Self {
        let [word_at, generation, life, epoch_at, clock] = words;
        let tag_clock = Some(clock).filter(|clock| *clock != u64::MAX);
        let depends = Depends { word_at: word_at as usize, generation: generation as u32, life, tag_clock };
        Self { key, depends, epoch_at: epoch_at as usize }
    }

    /// Whether a process that has it would serve it beside a segment of this content.
    fn is_valid(&self, content: &[u8]) -> bool {
        let [root, own] = [Header::EPOCH, self.epoch_at].map(|at| number_at(content, at) & u64::from(u32::MAX));
        let life = if self.epoch_at == Header::EPOCH { root } else { root | own << 32 };
        let Depends { word_at, generation, tag_clock, .. } = self.depends;
        let is_same = number_at(content, word_at) >> 32 == u64::from(generation) && life == self.depends.life;
        is_same && tag_clock.is_none_or(|clock| clock == number_at(content, TAG_CLOCK))
    }
}

fn number_at(content: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(content[at..at + 8].try_into().unwrap())
}

impl Stage {
    fn prepare(scenario: &Scenario, ledger: &'static [AtomicU64]) -> Self {
        let made = Copied { options: OpenOptions { eviction: scenario.eviction, ..options(&segment_name("stage")) } };
        in_child(scenario.name, || {
            let cache = made.open();
            (0..scenario.entries).for_each(|i| set(&cache, &format!("e{i}"), &value_of(i)));
            (scenario.prepare)(&cache);
        });
        Self { together: scenario.together, ..Self::of(scenario, made.content(), ledger) }
    }

    /// Runs the act once to its end.
    fn of(scenario: &Scenario, content: Vec<u8>, ledger: &'static [AtomicU64]) -> Self {
        let Scenario { name, ready, act, halfway, .. } = *scenario;
        let universe = universe();
        let words = shared_words(2 * universe.len() + 2);
        let near = shared_words(NearCopy::WORDS * universe.len());
        let copied = Copied::of(&content);
        in_child(name, || {
            trace(ledger);
            let cache = copied.open();
            let note = |from: usize| {
                for (i, key) in universe.iter().enumerate() {
                    words[from + i].store(state(&cache, key), Relaxed);
                }
            };
            ready(&cache);
            note(0);
            // Of what is there, since a look for anything else could make a namespace.
            for (i, key) in universe.iter().enumerate() {
                if key.starts_with('#') || words[i].load(Relaxed) == 0 {
                    continue;
                }
                let near = &near[i * NearCopy::WORDS..][..NearCopy::WORDS];
                let noted = NearCopy::note(&cache, key).into_iter().flatten();
                near.iter().zip(noted).for_each(|(word, noted)| word.store(noted, Relaxed));
            }
            if let Some(change) = halfway {
                let mut record = cache.words_of(Space::Locks, LOCK).unwrap();
                change(&mut record);
                words[2 * universe.len() + 1].store(state_of_record(&record), Relaxed);
            }
            words[2 * universe.len()].store(cache.stats().repairs, Relaxed);
            ledger[0].store(0, Relaxed);
            arm(NEVER, Fault::Kill);
            act(&cache);
            disarm();
            note(universe.len());
        });
        let states = |from: usize| words[from..from + universe.len()].iter().map(|word| word.load(Relaxed));
        let keys = universe.iter().zip(states(0).zip(states(universe.len())));
        let keys: Vec<_> = keys
            .zip(near.chunks(NearCopy::WORDS))
            .filter(|((key, (before, after)), _)| before | after != 0 || is_dead_from_the_start(key))
            .collect();
        let near = keys.iter().enumerate().filter(|(_, (_, near))| near[0].load(Relaxed) != 0);
        let near = near.map(|(i, (_, near))| NearCopy::noted(i, std::array::from_fn(|word| near[word].load(Relaxed))));
        Self {
            near: near.collect(),
            name,
            ready,
            act,
            content,
            halfway: words[2 * universe.len() + 1].load(Relaxed),
            steps: trace_of(ledger),
            keys: keys.iter().map(|((key, (before, after)), _)| ((*key).clone(), *before, *after)).collect(),
            together: &[],
            repairs: words[2 * universe.len()].load(Relaxed),
        }
    }

    /// Runs the act with a fault at step number `at`, on a copy.
    fn run(&self, copied: &Copied, at: u64, fault: Fault, ledger: &'static [AtomicU64]) -> Ended {
        ledger[0].store(0, Relaxed);
        let child = fork(|| {
            trace(ledger);
            let cache = copied.open();
            (self.ready)(&cache);
            ledger[0].store(0, Relaxed);
            if fault == Fault::Panic {
                std::panic::set_hook(Box::new(|_| {}));
            }
            arm(at, fault);
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.act)(&cache)));
            disarm();
            drop(std::panic::take_hook());
            match outcome {
                Ok(()) => 0,
                Err(_) if fault == Fault::Panic && !self.is_as_first(at, ledger) => DISTURBED,
                // The process lives on, and must be able to go on itself.
                Err(_) if fault == Fault::Panic => {
                    self.check(&cache, Some(at), 0);
                    PANICKED
                }
                Err(_) => 1,
            }
        });
        forked::ended_within(child, forked::SOON, self.name)
    }

    /// Runs the act on a copy until the step at which the fault comes is the one that it was the first time: on a machine that
    /// has much else to do the sweeper may come in between, and then there are others.
    fn run_undisturbed(&self, at: u64, fault: Fault, ledger: &'static [AtomicU64]) -> (Copied, Ended) {
        for _ in 0..10 {
            let copied = Copied::of(&self.content);
            let ended = self.run(&copied, at, fault, ledger);
            let fell = ended == Ended::Signal(9) && !self.is_as_first(at, ledger);
            if !fell && ended != Ended::Exit(DISTURBED) {
                return (copied, ended);
            }
        }
        panic!("{}: other steps than the first time, ten times", self.name);
    }

    fn is_as_first(&self, at: u64, ledger: &[AtomicU64]) -> bool {
        // A panic passes more of them on its way out.
        trace_of(ledger).starts_with(&self.steps[..=at as usize])
    }

    /// Whether a fault at a step leaves a shard's lock to be repaired. What the locks in the header guard needs no repair.
    fn holds_the_lock_at(&self, at: u64) -> bool {
        let [taken, stolen, released] = ["lock.taken", "lock.stolen", "lock.released"].map(print);
        let in_the_header = ["namespace.text", "tag.begun", "subscription.begun"].map(print);
        let mut held = false;
        for (i, step) in self.steps[..=at as usize].iter().enumerate() {
            if *step == taken || *step == stolen {
                held = !self.steps.get(i + 1).is_some_and(|next| in_the_header.contains(next));
            } else if *step == released {
                held = false;
            }
        }
        held
    }

    /// All that was acknowledged is there, the interrupted change is whole or nothing, and the structures add up. `at`:
    /// the step at which it was interrupted, if that happened once. `damaged`: most words that may have been dropped.
    fn check(&self, cache: &Cache, at: Option<u64>, damaged: u64) {
        let what = format!("{} interrupted at step {at:?}", self.name);
        let look = |when: &str| -> Vec<u64> {
            let states = self.keys.iter().map(|(key, before, after)| {
                let state = state(cache, key);
                let is_halfway = key == "#locks" && self.halfway != 0 && state == self.halfway;
                let whole = state == *before || state == *after || is_halfway;
                assert!(whole, "{what}: {key} is neither old nor new {when} the repair");
                state
            });
            states.collect()
        };
        let before = look("before");
        self.check_near(cache, &before, &what);
        assert_valid(cache);
        assert_eq!(look("after"), before, "{what}: changed by the repair");
        if let Some(at) = at {
            let repairs = cache.stats().repairs - self.repairs;
            assert_eq!(repairs, u64::from(self.holds_the_lock_at(at)), "{what}: repairs");
        }
        assert!(cache.stats().damaged <= damaged, "{what}: a death damages nothing");
        for prefix in self.together {
            let changed =
                self.keys.iter().zip(&before).filter(|((key, old, new), _)| key.starts_with(prefix) && old != new);
            let kinds: BTreeSet<bool> = changed.map(|((_, _, new), state)| state == new).collect();
            assert!(kinds.len() < 2, "{what}: some of {prefix} are old, some are new");
        }
        for loads in [Loads::Values, Loads::Once] {
            let token = begin(cache, loads);
            assert!(cache.abandon_flight(loads, b"target", token).unwrap());
        }
        for i in 0..20 {
            let _ = cache.set(format!("after{i}").as_bytes(), &bytes(&value_of(i))).unwrap();
        }
        let _ = cache.delete(b"target", 0).unwrap();
        let _ = cache.set(b"target", &bytes(b"again")).unwrap().expect("room for a small entry");
        assert_eq!(get(cache, "target").as_deref(), Some(&b"again"[..]));
        assert!(cache.touch(b"target", 1000).unwrap());
        check_tags(cache);
        check_names(cache);
        assert_valid(cache);
    }

    /// A near copy that would still be served is of the value that there is. `states` were looked at before the words are.
    fn check_near(&self, cache: &Cache, states: &[u64], what: &str) {
        let content = std::fs::read(cache.path()).unwrap();
        for copy in self.near.iter().filter(|copy| copy.is_valid(&content)) {
            let (key, old, _) = &self.keys[copy.key];
            assert_eq!(states[copy.key], *old, "{what}: a near copy of {key} is served, and outdated");
        }
    }
}

/// Invalidations go on after the death of one: the next leaves an even clock, and takes what began before it and nothing
/// else.
fn check_tags(cache: &Cache) {
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

/// Whoever held a place or waited for one is dead: it is free at once, and its token is larger than any number before.
fn check_turns(cache: &Cache) {
    for (space, permits) in [(Space::Locks, 1), (Space::Semaphores, 2)] {
        let numbers = cache.words_of(space, LOCK).unwrap();
        let highest = numbers.get(1..).into_iter().flatten().skip(1).step_by(4).max();
        let claim = Claim { permits, ..ONE };
        let token = held(cache.acquire(space, LOCK, &claim).unwrap());
        assert!(highest.is_none_or(|highest| token > *highest), "token {token} after {numbers:?}");
        assert_eq!(cache.places(space, LOCK).unwrap(), (1, 0));
        assert!(cache.release(space, LOCK, token, permits).unwrap());
        assert_eq!(cache.words_of(space, LOCK).unwrap(), [0u64; 0]);
    }
    assert_valid(cache);
}

/// Each name has one number, and the next name gets the next one.
fn check_names(cache: &Cache) {
    let names = cache.namespace_names();
    assert!(names.iter().all(|name| name == "ns" || name == "fresh"), "{names:?}");
    let next = cache.in_namespace("afterwards").unwrap();
    assert_eq!(usize::from(next.namespace()), names.len() + 1);
    for (number, name) in (1..).zip(cache.namespace_names()) {
        assert_eq!(cache.in_namespace(&name).unwrap().namespace(), number);
    }
    assert_eq!(next.len(), 0);
    next.clear().unwrap();
    assert!(!next.has(b"target").unwrap());
}

/// Exit status of a child that panicked where it was told to, and was well afterwards.
const PANICKED: i32 = 77;
/// Of one that panicked after other steps than the first time.
const DISTURBED: i32 = 78;

/// The steps at which to kill, for a trace of all that are passed: all, or each name's first and last and a sample.
fn kill_points(trace: &[u64]) -> Vec<u64> {
    let mut ends: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (i, print) in (0..).zip(trace) {
        ends.entry(*print).and_modify(|e| e.1 = i).or_insert((i, i));
    }
    let mut points: BTreeSet<u64> = ends.values().flat_map(|(first, last)| [*first, *last]).collect();
    points.extend((0..trace.len() as u64).step_by(trace.len().div_ceil(MOST_KILLS).max(1)));
    points.into_iter().collect()
}

fn trace_of(ledger: &[AtomicU64]) -> Vec<u64> {
    let count = (ledger[0].load(Relaxed) as usize).min(ledger.len() - 1);
    ledger[1..=count].iter().map(|word| word.load(Relaxed)).collect()
}

/// Names of all steps in the sources, by print.
fn steps_in_the_sources() -> BTreeMap<u64, String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut names = BTreeMap::new();
    for folder in ["shm/src", "core/src", "node/src"] {
        for file in std::fs::read_dir(crates.join(folder)).unwrap().flatten() {
            if file.file_name() == "steps.rs" || !file.path().is_file() {
                continue;
            }
            let text = std::fs::read_to_string(file.path()).unwrap();
            for rest in text.split("step(\"").skip(1) {
                let name = rest.split('"').next().unwrap();
                names.insert(print(name), name.to_owned());
            }
        }
    }
    assert!(names.len() > 40, "the steps were not found in the sources");
    names
}

/// Prints of the steps at which a process was killed so far.
static KILLED_AT: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn note_kill(ledger: &[AtomicU64]) {
    KILLED_AT.lock().unwrap().insert(*trace_of(ledger).last().unwrap());
}

fn every_step_was_killed_at() {
    let killed_at = KILLED_AT.lock().unwrap();
    let steps = steps_in_the_sources();
    let missed: Vec<_> = steps.iter().filter(|(print, _)| !killed_at.contains(print)).map(|(_, name)| name).collect();
    assert!(missed.is_empty(), "never killed at {missed:?}");
    println!("  {} named steps", steps.len());
}

fn killed_at_every_step() {
    let ledger = shared_words(TRACE);
    let mut kills = 0;
    // Of the first deaths that leave something to repair: `REPAIRS=1` for each.
    let every = std::env::var("REPAIRS").map_or(3, |text| text.parse().expect("a number"));
    let (mut second, mut number) = (0, 0);
    for scenario in &scenarios() {
        let stage = Stage::prepare(scenario, ledger);
        let mut repair = None;
        let points = kill_points(&stage.steps);
        for at in &points {
            let (copied, ended) = stage.run_undisturbed(*at, Fault::Kill, ledger);
            assert_eq!(ended, Ended::Signal(9), "{} at step {at} of {}", stage.name, stage.steps.len());
            note_kill(ledger);
            let is_repaired = stage.holds_the_lock_at(*at);
            number += usize::from(is_repaired);
            let content = (is_repaired && number.is_multiple_of(every)).then(|| copied.content());
            in_child(stage.name, || {
                let cache = copied.open();
                stage.check(&cache, Some(*at), 0);
                check_turns(&cache);
            });
            if let Some(content) = content {
                let repair = repair.get_or_insert_with(|| kill_points(&steps_of_a_repair(&content, ledger)));
                // A prime number of points further each time, so that neighbours meet all parts of the repair.
                second += usize::from(kill_the_repairer(&stage, &content, repair[number * 31 % repair.len()], ledger));
            }
        }
        kills += points.len();
        println!("  {}: {} steps, killed at {}", stage.name, stage.steps.len(), points.len());
    }
    println!("  {kills} kills, {second} of repairers of these");
}

fn steps_of_a_repair(content: &[u8], ledger: &'static [AtomicU64]) -> Vec<u64> {
    assert_eq!(repair(&Copied::of(content), NEVER, ledger), Ended::Exit(0));
    trace_of(ledger)
}

fn repair(copied: &Copied, at: u64, ledger: &'static [AtomicU64]) -> Ended {
    let child = fork(|| {
        trace(ledger);
        let cache = copied.open();
        ledger[0].store(0, Relaxed);
        arm(at, Fault::Kill);
        assert_valid(&cache);
        disarm();
        0
    });
    forked::ended_within(child, forked::SOON, "a repair")
}

/// Whoever repairs what a death has left dies as well. False: it was done before.
fn kill_the_repairer(stage: &Stage, content: &[u8], at: u64, ledger: &'static [AtomicU64]) -> bool {
    let copied = Copied::of(content);
    let ended = repair(&copied, at, ledger);
    if ended != Ended::Exit(0) {
        assert_eq!(ended, Ended::Signal(9), "{}", stage.name);
        note_kill(ledger);
    }
    in_child(stage.name, || {
        let cache = copied.open();
        stage.check(&cache, None, 0);
        check_turns(&cache);
    });
    ended != Ended::Exit(0)
}

fn panic_at_every_step() {
    let ledger = shared_words(TRACE);
    let mut panics = 0;
    for scenario in &scenarios() {
        let stage = Stage::prepare(scenario, ledger);
        for (i, at) in kill_points(&stage.steps).into_iter().enumerate() {
            let (copied, ended) = stage.run_undisturbed(at, Fault::Panic, ledger);
            match ended {
                Ended::Exit(PANICKED) => panics += 1,
                // Nothing panics between taking a lock and guarding it: those steps do not.
                Ended::Exit(0) => {}
                other => panic!("{} panicked at step {at}: {other:?}", stage.name),
            }
            if i % 8 == 0 {
                in_child("another process", || assert_valid(&copied.open()));
            }
        }
    }
    println!("  {panics} panics");
}

/// The repairer of a shard whose owner was killed is killed, so is its repairer, and that one's.
fn killed_in_the_repair() {
    let replace = Scenario {
        name: "repair",
        entries: 40,
        prepare: |c| set(c, "target", b"old"),
        act: |c| set(c, "target", b"new"),
        ..BASE
    };
    let mut content = killed_after(&replace, "replace.published");
    // One entry's head is overwritten, so that the repair also drops a word.
    let key = b"e39\0\0\0\0\0";
    let body = content.chunks(64).position(|unit| unit.starts_with(key)).unwrap() * 64;
    content[body - 64..body - 56].fill(0xEE);
    kill_repairers("repair", content, "target");
    let divide = Scenario {
        prepare: |c| drop(overflowing_key(c)),
        act: |c| (0..500).for_each(|i| set(c, &format!("x{i}"), &value_of(i))),
        ..BASE
    };
    kill_repairers("finish a division", killed_after(&divide, "divide.emptied"), "e0");
    kill_repairers("give up a division", killed_after(&divide, "divide.counted"), "e0");
}

/// What a death after the first such step leaves.
fn killed_after(scenario: &Scenario, step: &str) -> Vec<u8> {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(scenario, ledger);
    let at = stage.steps.iter().position(|one| *one == print(step)).unwrap() as u64;
    let copied = Copied::of(&stage.content);
    assert_eq!(stage.run(&copied, at, Fault::Kill, ledger), Ended::Signal(9));
    note_kill(ledger);
    copied.content()
}

fn kill_repairers(name: &'static str, content: Vec<u8>, kept: &str) {
    let ledger = shared_words(TRACE);
    let stage = Stage::of(&Scenario { name, act: assert_valid, ..BASE }, content, ledger);
    assert!(stage.keys.iter().any(|(key, before, _)| key == kept && *before != 0));
    let points = kill_points(&stage.steps);
    let mut random = Random(3);
    let mut deaths = [0; 3];
    let check = |content: &[u8]| {
        let copied = Copied::of(content);
        in_child("after the deaths", || stage.check(&copied.open(), None, 1));
    };
    let mut die = |content: &[u8], at: u64, depth: usize| {
        let copied = Copied::of(content);
        if stage.run(&copied, at, Fault::Kill, ledger) == Ended::Signal(9) {
            note_kill(ledger);
            deaths[depth] += 1;
        }
        copied.content()
    };
    for (i, first) in points.iter().enumerate() {
        let once = die(&stage.content, *first, 0);
        check(&once);
        for sample in 0..3 {
            let twice = die(&once, points[random.below(points.len() as u64) as usize], 1);
            check(&twice);
            if (i + sample) % 4 == 0 {
                check(&die(&twice, points[random.below(points.len() as u64) as usize], 2));
            }
        }
    }
    let [first, second, third] = deaths;
    println!("  {name}: {} steps; {first} first, {second} second, {third} third deaths", stage.steps.len());
}

/// A writer dies when it has counted what will have gone past the lines of a division that it has not published.
fn killed_beside_an_overflow_count() {
    let ledger = shared_words(TRACE);
    let scenario =
        scenarios().into_iter().find(|scenario| scenario.name == "set keys until the index is divided").unwrap();
    // The segment's seed says where keys belong, and so whether a line has any that went past it: mostly one has.
    let deaths = (0..30).map(|_| deaths_beside_an_overflow_count(&scenario, ledger)).find(|deaths| *deaths > 0);
    assert!(deaths.is_some(), "no count was put right");
}

fn deaths_beside_an_overflow_count(scenario: &Scenario, ledger: &'static [AtomicU64]) -> usize {
    let stage = Stage::prepare(scenario, ledger);
    let counted = stage.steps.iter().position(|step| *step == print("divide.counted")).unwrap() as u64;
    let (copied, ended) = stage.run_undisturbed(counted, Fault::Kill, ledger);
    assert_eq!(ended, Ended::Signal(9));
    let content = copied.content();
    let steps = steps_of_a_repair(&content, ledger);
    let at_counts = (0..).zip(&steps).filter(|(_, step)| **step == print("rebuild.overflow"));
    at_counts.filter(|(at, _)| kill_the_repairer(&stage, &content, *at, ledger)).count()
}

/// A change that panicked left its notes to its thread, and a listener that was told of a repair changed another segment
/// before those of the repaired one were told: they were told as if of that other segment.
fn notes_of_two_segments() {
    struct Noted {
        own: char,
        other: Mutex<Option<Cache>>,
        told: AtomicU64,
    }
    struct Shared(Arc<Noted>);
    impl Listener for Shared {
        fn notify(&self, notice: Notice) {
            match notice {
                Notice::Gone { entries, .. } => {
                    self.0.told.fetch_add(entries.len() as u64, Relaxed);
                    let wrong: Vec<_> =
                        entries.iter().filter(|entry| !entry.key.starts_with(&[self.0.own as u8])).collect();
                    assert!(wrong.is_empty(), "told of {}: {wrong:?}", self.0.own);
                }
                Notice::Repaired { .. } => {
                    if let Some(other) = &*self.0.other.lock().unwrap() {
                        set(other, "b", b"1");
                    }
                }
                _ => {}
            }
        }
    }
    let scenes = [Scene::new("notes"), Scene::new("notes")];
    in_child("notes", || {
        let [a, b] =
            [&scenes[0], &scenes[1]].map(|scene| Cache::open(&OpenOptions { size: 2 << 20, ..scene.options.clone() }));
        let (a, b) = (a.unwrap().0, b.unwrap().0);
        let noted = [(&a, 'a'), (&b, 'b')].map(|(cache, own)| {
            let noted = Arc::new(Noted { own, other: Mutex::default(), told: AtomicU64::new(0) });
            let listener = cache.add_listener(Box::new(Shared(noted.clone())));
            cache.want_gone(listener, true);
            noted
        });
        *noted[0].other.lock().unwrap() = Some(b.clone());
        let fill = |cache: &Cache, own: char| {
            let before = cache.stats().total.evictions;
            let go_on = |_: &u64| cache.stats().total.evictions < before + 3;
            (before..).take_while(go_on).for_each(|i| set(cache, &format!("{own}{i}"), &value_of(i)));
        };
        fill(&a, 'a');
        fill(&b, 'b');
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.to_string().contains("kill step") {
                others(info);
            }
        }));
        let mut panics = 0;
        for at in 0.. {
            // No room is left, so each of these evicts.
            fill(&a, 'a');
            arm(at, Fault::Panic);
            let outcome = catch_unwind(AssertUnwindSafe(|| set(&a, &format!("a-{at}"), &[1; 4000])));
            let steps: u64 = passed().values().sum();
            disarm();
            panics += u64::from(outcome.is_err());
            fill(&b, 'b');
            // Repairs, and evicts under the same lock.
            set(&a, &format!("a+{at}"), &[1; 9000]);
            fill(&b, 'b');
            if outcome.is_ok() && steps <= at {
                break;
            }
        }
        drop(std::panic::take_hook());
        *noted[0].other.lock().unwrap() = None;
        assert!(panics > 50 && a.stats().repairs > 50, "{panics} panics, {} repairs", a.stats().repairs);
        assert!(noted.iter().all(|noted| noted.told.load(Relaxed) > 100));
        [&a, &b].into_iter().for_each(assert_valid);
    });
}

/// Kills, and panics, while a segment is created, joined and destroyed.
fn killed_in_its_life() {
    let ledger = shared_words(TRACE);
    let content = Stage::prepare(&Scenario { entries: 5, ..BASE }, ledger).content;
    let live = |what: &str, options: &OpenOptions| match what {
        "destroy" => assert!(destroy(&options.name, None, true).unwrap()),
        _ => drop(Cache::open(options).unwrap()),
    };
    for what in ["create", "join", "destroy"] {
        for fault in [Fault::Kill, Fault::Panic] {
            let mut at = 0;
            loop {
                let copied = Copied::of(&content);
                if what == "create" {
                    std::fs::remove_file(file_of(&copied.options)).unwrap();
                }
                ledger[0].store(0, Relaxed);
                let child = fork(|| {
                    trace(ledger);
                    if fault == Fault::Panic {
                        std::panic::set_hook(Box::new(|_| {}));
                    }
                    arm(at, fault);
                    let outcome = catch_unwind(AssertUnwindSafe(|| live(what, &copied.options)));
                    disarm();
                    drop(std::panic::take_hook());
                    if outcome.is_ok() {
                        return 0;
                    }
                    check_life(what, &copied.open());
                    PANICKED
                });
                let ended = forked::ended_within(child, forked::SOON, what);
                let finished = ended == Ended::Exit(0) && trace_of(ledger).len() as u64 <= at;
                assert!(
                    finished || matches!(ended, Ended::Signal(9) | Ended::Exit(0 | PANICKED)),
                    "{what} at step {at}: {ended:?}"
                );
                in_child(what, || {
                    check_life(what, &copied.open());
                    assert!(destroy(&copied.options.name, None, true).unwrap());
                });
                let left = std::fs::read_dir("/dev/shm").unwrap().flatten();
                let left = left.filter(|file| file.file_name().to_string_lossy().contains(&copied.options.name));
                assert_eq!(left.count(), 0, "{what} at step {at} left something");
                if finished {
                    break;
                }
                if fault == Fault::Kill {
                    note_kill(ledger);
                }
                at += 1;
            }
            println!("  {what}: {fault:?} at all {at} steps");
        }
    }
}

/// The segment is there, whole, and nothing beside it; it is empty only if it may be.
fn check_life(what: &str, cache: &Cache) {
    let kept = (0..5).filter(|i| get(cache, &format!("e{i}")) == Some(value_of(*i))).count();
    assert!(kept == 5 || (kept == 0 && what != "join"), "{what}: {kept} of 5 entries");
    assert!(kept == 0 || what != "create");
    set(cache, "new", b"1");
    assert_eq!(get(cache, "new").as_deref(), Some(&b"1"[..]));
    assert_valid(cache);
    let name = cache.path().file_name().unwrap().to_string_lossy().into_owned();
    let mut files = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let private = files.any(|file| file.file_name().to_string_lossy().starts_with(&format!("{name}~")));
    assert!(!private, "{what}: the private file of a dead creator is left");
}

fn waiter_killed_beside_a_stopped_holder() {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(&Scenario { act: |c| set(c, "target", b"holder's"), ..BASE }, ledger);
    let copied = Copied::of(&stage.content);
    let holder = fork(|| {
        let cache = copied.open();
        arm(8, Fault::Stop);
        set(&cache, "target", b"holder's");
        0
    });
    assert_eq!(holder.wait_or_stopped(), Ended::Stopped);
    // While it waits for the first time, and for the third.
    for at in [0, 2] {
        let waiter = fork(|| {
            let cache = copied.open();
            trace(ledger);
            // 2 MiB are one shard, so every key is behind the stopped holder.
            arm(at, Fault::Kill);
            set(&cache, "other", b"waiter's");
            0
        });
        assert_eq!(forked::ended_within(waiter, forked::SOON, "the waiter"), Ended::Signal(9));
        assert_eq!(trace_of(ledger).last(), Some(&print("lock.waiting")));
        note_kill(ledger);
    }
    holder.resume();
    assert_eq!(forked::ended_within(holder, forked::SOON, "the holder"), Ended::Exit(0));
    in_child("after the waiters' deaths", || {
        let cache = copied.open();
        assert_eq!(get(&cache, "target").as_deref(), Some(&b"holder's"[..]));
        assert_eq!(get(&cache, "other"), None);
        set(&cache, "other", b"1");
        assert_valid(&cache);
        assert_eq!(cache.stats().repairs, 0, "a living holder was robbed");
    });
}

/// What a writer does under the eyes of a watcher in another process; each change has a value of its own.
fn watched_act(cache: &Cache) {
    set_tagged(cache, "one", &["red"], 0);
    set(cache, "two", b"2");
    assert!(cache.delete(b"one", 0).unwrap());
    assert!(cache.publish(b"news", kind::BUFFER, b"first").unwrap() > 0);
    set(cache, "three", &[3; 3000]);
    assert!(cache.publish(b"news", kind::BUFFER, b"second").unwrap() > 0);
}

/// What a watcher was told, as text, with what it lost.
struct Heard {
    told: Vec<String>,
    lost: u64,
}

impl Heard {
    /// Takes until `last` came.
    fn until(cache: &Cache, feed: u64, last: &str) -> Self {
        let mut heard = Self { told: Vec::new(), lost: 0 };
        let start = Instant::now();
        while heard.told.last().is_none_or(|told| told != last) {
            assert!(start.elapsed() < forked::SOON, "{last} never came; {:?} did", heard.told);
            for item in cache.take_fed(feed, 10) {
                heard.take(item);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        heard
    }

    fn take(&mut self, item: FeedItem) {
        self.lost += item.lost;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match item.what {
            What::Invalidate => assert_eq!((item.key.len(), item.lost > 0), (0, true), "nobody invalidated anything"),
            What::Message => self.told.push(text(item.value)),
            what => self.told.push(format!("{what:?} {}", text(item.key))),
        }
    }

    /// All that was told happened, in this order; of the first `done` nothing is missing unless something was lost.
    fn check(&self, what: &str, all: &[&str], done: usize) {
        let places: Vec<usize> = self
            .told
            .iter()
            .map(|told| all.iter().position(|one| one == told).unwrap_or_else(|| panic!("{what}: {told} was made up")))
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{what}: out of order or twice: {:?}", self.told);
        assert!(places.len() >= done || self.lost > 0, "{what}: silently lost; told {:?}", self.told);
    }
}

/// Lock-free readers beside writers that die at any step: what comes is right and in order, what is missing is counted.
fn watcher_beside_killed_writers() {
    const CHANGES: [&str; 5] = ["Set one", "Set two", "Delete one", "Set three", "Set last"];
    const MESSAGES: [&str; 3] = ["first", "second", "last"];
    let ledger = shared_words(TRACE);
    let words = shared_words(1);
    let copied = Copied { options: options(&segment_name("watched")) };
    let mut steps = Vec::new();
    let mut next = 0;
    loop {
        words[0].store(0, SeqCst);
        let watcher = fork(|| {
            let cache = copied.open();
            cache.clear().unwrap();
            let watch = watch_all(&cache);
            let news = cache.subscribe(b"news", false, 100, 0).unwrap();
            words[0].store(1, SeqCst);
            forked::wait_for(&words[0], |word| word != 1);
            let acknowledged = (words[0].load(SeqCst) - 2) as usize;
            let changes = Heard::until(&cache, watch, "Set last");
            let messages = Heard::until(&cache, news, "last");
            let what = format!("killed at step {acknowledged}");
            // "last" is written by somebody else, so it is the one that must come.
            changes.check(&what, &CHANGES, if acknowledged == 0 { CHANGES.len() } else { 1 });
            messages.check(&what, &MESSAGES, if acknowledged == 0 { MESSAGES.len() } else { 1 });
            0
        });
        forked::wait_for(&words[0], |word| word == 1);
        // First the whole, to learn its steps; then a death at each point.
        let at = if steps.is_empty() { NEVER } else { steps[next] };
        let writer = fork(|| {
            trace(ledger);
            let cache = copied.open();
            ledger[0].store(0, Relaxed);
            arm(at, Fault::Kill);
            watched_act(&cache);
            disarm();
            0
        });
        let ended = forked::ended_within(writer, forked::SOON, "the writer");
        assert_eq!(ended, if at == NEVER { Ended::Exit(0) } else { Ended::Signal(9) });
        if at == NEVER {
            steps = kill_points(&trace_of(ledger));
        } else {
            note_kill(ledger);
            next += 1;
        }
        in_child("the last writer", || {
            let cache = copied.open();
            set(&cache, "last", b"last");
            assert_eq!(cache.publish(b"news", kind::BUFFER, b"last").unwrap(), 1, "the dead do not count");
            assert_valid(&cache);
        });
        words[0].store(if at == NEVER { 2 } else { 3 + at }, SeqCst);
        assert_eq!(forked::ended_within(watcher, forked::SOON, "the watcher"), Ended::Exit(0));
        if next == steps.len() {
            break;
        }
    }
    println!("  {} deaths beside a watcher", steps.len());
}

/// Nobody waits for a stopped holder for longer than its time; that it could not tell is told.
fn invalidation_beside_a_stopped_holder() {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(&Scenario { act: |c| set(c, "target", b"holder's"), ..BASE }, ledger);
    let copied = Copied::of(&stage.content);
    // Not asleep once, so that the steps are the same each time.
    let impatient = || {
        let impatient = OpenOptions { write_timeout: Duration::ZERO, ..copied.options.clone() };
        Cache::open(&impatient).unwrap().0
    };
    let holder = fork(|| {
        let cache = copied.open();
        arm(8, Fault::Stop);
        set(&cache, "target", b"holder's");
        0
    });
    assert_eq!(holder.wait_or_stopped(), Ended::Stopped);
    in_child("an invalidation", || {
        trace(ledger);
        let cache = impatient();
        let watch = watch_all(&cache);
        ledger[0].store(0, Relaxed);
        arm(NEVER, Fault::Kill);
        invalidate(&cache, "red", Invalidation::Remove);
        disarm();
        let start = Instant::now();
        let told = loop {
            if let Some(told) = cache.take_fed(watch, 1).pop() {
                break told;
            }
            assert!(start.elapsed() < forked::SOON, "never told");
        };
        assert_eq!((told.what, told.lost), (What::Invalidate, 1));
    });
    let steps = trace_of(ledger);
    let untold = steps.iter().position(|step| *step == print("feed.untold")).unwrap();
    let killed = fork(|| {
        let cache = impatient();
        watch_all(&cache);
        trace(ledger);
        ledger[0].store(0, Relaxed);
        arm(untold as u64, Fault::Kill);
        invalidate(&cache, "blue", Invalidation::Remove); // with a new record, as the first
        0
    });
    assert_eq!(forked::ended_within(killed, forked::SOON, "the invalidation"), Ended::Signal(9));
    assert_eq!(trace_of(ledger).last(), Some(&print("feed.untold")));
    note_kill(ledger);
    holder.resume();
    assert_eq!(forked::ended_within(holder, forked::SOON, "the holder"), Ended::Exit(0));
    in_child("afterwards", || stage.check(&copied.open(), None, 0));
}

/// Whoever releases is not told to try again: the background thread does it when the stopped process goes on, or dies.
fn release_beside_a_stopped_holder() {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(&Scenario { entries: 5, ..BASE }, ledger);
    for dies in [false, true] {
        let copied = Copied::of(&stage.content);
        let words = shared_words(2);
        let [released, over] = [&words[0], &words[1]];
        let stopping = fork(|| {
            let cache = copied.open();
            forked::wait_for(released, |word| word == 1);
            arm(8, Fault::Stop);
            set(&cache, "target", b"across the stop");
            0
        });
        let holder = fork(|| {
            let patience = Duration::from_millis(50);
            let cache = Cache::open(&OpenOptions { write_timeout: patience, ..copied.options.clone() }).unwrap().0;
            let token = held(lock(&cache));
            let ticket = queued(permit_of_two(&cache));
            released.store(1, SeqCst);
            forked::wait_for(released, |word| word == 2);
            assert!(cache.release(Space::Locks, LOCK, token, 1).unwrap());
            cache.leave(Space::Semaphores, LOCK, ticket, 1).unwrap();
            assert!(cache.holds(Space::Locks, LOCK, token).unwrap(), "nobody can write beside the stopped process");
            released.store(3, SeqCst);
            // It lives on: what frees the lock is not its death.
            forked::wait_for(over, |word| word == 1);
            0
        });
        assert_eq!(stopping.wait_or_stopped(), Ended::Stopped);
        released.store(2, SeqCst);
        forked::wait_for(released, |word| word == 3);
        if dies {
            assert_eq!(stopping.kill(), Ended::Signal(9));
        } else {
            stopping.resume();
            assert_eq!(forked::ended_within(stopping, forked::SOON, "the stopped one"), Ended::Exit(0));
        }
        in_child("after the stop", || {
            let cache = copied.open();
            let start = Instant::now();
            while cache.places(Space::Locks, LOCK).unwrap() != (0, 0)
                || cache.places(Space::Semaphores, LOCK).unwrap().1 > 0
            {
                assert!(start.elapsed() < forked::SOON, "it was never given back");
                std::thread::sleep(Duration::from_millis(1));
            }
            held(lock(&cache));
        });
        over.store(1, SeqCst);
        assert_eq!(forked::ended_within(holder, forked::SOON, "the holder"), Ended::Exit(0));
    }
}

/// Takes the only permit, and a ticket behind it.
fn permit_of_two(cache: &Cache) -> Claimed {
    held(cache.acquire(Space::Semaphores, LOCK, &ONE).unwrap());
    cache.acquire(Space::Semaphores, LOCK, &ONE).unwrap()
}

// ---- random kills ----------------------------------------------------------------------------------------------------

const WORKERS: usize = 4;
const KEYS: usize = 256;

/// What the workers and this program share, outside the segment.
struct Ledger {
    /// Number of the newest operation begun on a key, and of the newest that returned. Each key has one writer.
    begun: &'static [AtomicU64],
    done: &'static [AtomicU64],
    /// Increments begun and returned, by worker.
    to_count: &'static [AtomicU64],
    counted: &'static [AtomicU64],
    /// Writes, reads, longest write and longest read in nanoseconds, writes of more than 50 ms.
    totals: &'static [AtomicU64],
}

impl Ledger {
    fn new() -> Self {
        let keys = WORKERS * KEYS;
        Self {
            begun: shared_words(keys),
            done: shared_words(keys),
            to_count: shared_words(WORKERS),
            counted: shared_words(WORKERS),
            totals: shared_words(5),
        }
    }

    fn total(&self, index: usize) -> u64 {
        self.totals[index].load(SeqCst)
    }

    /// A read finds what was acknowledged before it, or something begun since, whole.
    fn check_read(&self, cache: &Cache, key: usize) {
        let at_least = self.done[key].load(SeqCst);
        let found = get(cache, &format!("key{key}"));
        let at_most = self.begun[key].load(SeqCst);
        match found {
            Some(value) => {
                let n = u64::from_le_bytes(value[..8].try_into().unwrap());
                assert!((at_least..=at_most).contains(&n), "key {key}: read {n}, not in {at_least}..={at_most}");
                assert!(!deletes(n) && value == numbered(key, n), "key {key}: torn at {n}");
            }
            None => {
                let absent = at_least == 0 || (at_least..=at_most).any(deletes);
                assert!(absent, "key {key}: lost, {at_least}..={at_most}");
            }
        }
    }
}

/// Every seventh operation on a key deletes it, the others write a value that tells their number.
fn deletes(n: u64) -> bool {
    n.is_multiple_of(7)
}

fn numbered(key: usize, n: u64) -> Vec<u8> {
    let len = 8 + (n * 37 % 700) as usize + if n.is_multiple_of(97) { 20_000 } else { 0 };
    let mut random = Random(n << 16 | key as u64 | 1);
    let mut value = n.to_le_bytes().to_vec();
    value.extend(std::iter::repeat_with(|| random.next() as u8).take(len - 8));
    value
}

/// Works until it is killed.
fn worker(options: &OpenOptions, ledger: &Ledger, me: usize, seed: u64) -> ! {
    let cache = Cache::open(options).unwrap().0;
    let mut random = Random(seed | 1);
    loop {
        let key = me * KEYS + random.below(KEYS as u64) as usize;
        let name = format!("key{key}");
        let what = random.below(10);
        let start = Instant::now();
        match what {
            0..4 => {
                let n = ledger.begun[key].load(SeqCst) + 1;
                ledger.begun[key].store(n, SeqCst);
                if deletes(n) {
                    cache.delete(name.as_bytes(), 0).unwrap();
                } else {
                    set(&cache, &name, &numbered(key, n));
                }
                ledger.done[key].store(n, SeqCst);
            }
            4 => {
                ledger.to_count[me].fetch_add(1, SeqCst);
                cache.incr(b"counter", 1.0, &PLAIN).unwrap();
                ledger.counted[me].fetch_add(1, SeqCst);
            }
            5 => drop(cache.touch(name.as_bytes(), 0).unwrap()),
            _ => ledger.check_read(&cache, random.below((WORKERS * KEYS) as u64) as usize),
        }
        let took = start.elapsed().as_nanos() as u64;
        let is_read = usize::from(what > 5);
        ledger.totals[is_read].fetch_add(1, Relaxed);
        ledger.totals[2 + is_read].fetch_max(took, Relaxed);
        ledger.totals[4].fetch_add(u64::from(what <= 5 && took > 50_000_000), Relaxed);
    }
}

fn random_kills() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let kills = number("KILLS").unwrap_or(2000);
    let seed = number("SEED").unwrap_or_else(cache_machine_shm::random_u64);
    println!("  seed {seed}");
    let mut scene = Scene::new("kills");
    scene.options.size = 32 << 20;
    scene.options.write_timeout = Duration::from_secs(10);
    let ledger = Ledger::new();
    let mut random = Random(seed | 1);
    let spawn = |me: usize, seed: u64| fork(|| worker(&scene.options, &ledger, me, seed));
    let mut workers: Vec<Child> = (0..WORKERS).map(|me| spawn(me, random.next())).collect();
    let start = Instant::now();
    for kill in 1..=kills {
        std::thread::sleep(Duration::from_micros(200 + random.below(1500)));
        let who = random.below(WORKERS as u64) as usize;
        assert_eq!(workers[who].kill(), Ended::Signal(9), "worker {who} ended by itself (seed {seed})");
        workers[who] = spawn(who, random.next());
        if kill % 250 == 0 {
            in_child("validate under load", || assert_valid(&scene.open()));
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    for child in workers {
        assert_eq!(child.kill(), Ended::Signal(9), "a worker ended by itself (seed {seed})");
    }
    in_child("after the kills", || {
        let cache = scene.open();
        let look = || (0..WORKERS * KEYS).for_each(|key| ledger.check_read(&cache, key));
        look();
        assert_valid(&cache);
        look();
        let sum = |words: &[AtomicU64]| words.iter().map(|word| word.load(SeqCst)).sum::<u64>() as f64;
        let counted = get(&cache, "counter").map_or(0.0, |v| f64::from_le_bytes(v.try_into().unwrap()));
        let (least, most) = (sum(ledger.counted), sum(ledger.to_count));
        assert!((least..=most).contains(&counted), "counted {counted} of {least} to {most}");
        let stats = cache.stats();
        assert_eq!((stats.total.evictions, stats.damaged, stats.busy), (0, 0, 0));
        println!(
            "  {kills} kills in {elapsed:.1} s, {} of them in a critical section; {} acknowledged writes, {} checked \
             reads, 0 lost, 0 torn; longest write of a survivor {:.1} ms, {} of more than 50 ms; longest read, which waits \
             for nobody, {:.1} ms",
            stats.repairs,
            ledger.total(0),
            ledger.total(1),
            ledger.total(2) as f64 / 1e6,
            ledger.total(4),
            ledger.total(3) as f64 / 1e6,
        );
    });
}
