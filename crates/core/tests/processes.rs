//! What several processes may rely on: a stopped holder, agreement on values, other PID namespaces, races for a name.
//!
//! Every role is a forked child; see `support/forked.rs`. `STOPS=1000 cargo test … stopped_at_any_step` and `RACES=10000 cargo
//! test … races` for more.

mod support;

use cache_machine_core::{
    Cache, CacheError, Claim, Claimed, Invalidation, Listener, Manner, Notice, OpenOptions, Space, Watch, What, Write,
    destroy, kind,
};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, passed, print, trace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::forked::{self, SOON, Slate, Test, done, ended_within, file_of, in_child, wait_for};
use support::{PLAIN, Random, Scene, assert_valid, bytes, get, put};

fn main() {
    if let Ok(role) = std::env::var("CM_ROLE") {
        in_a_namespace(&role);
    }
    let tests = [
        Test { name: "a_stopped_holder_stops_no_reader_and_no_other_shard", run: stopped_holder },
        Test { name: "a_holder_stopped_at_any_step_hurts_no_reader_and_is_never_robbed", run: stops },
        Test { name: "who_is_told_that_it_is_busy_is_not_in_the_queue", run: busy_queue },
        Test { name: "two_processes_agree", run: || agree(2, 600) },
        Test { name: "four_processes_agree", run: || agree(4, 600) },
        Test { name: "four_processes_agree_while_they_evict", run: || agree(4, 8000) },
        Test { name: "what_is_acknowledged_is_seen_by_the_next_read", run: handshakes },
        Test { name: "a_key_that_is_written_without_rest_is_read_all_the_same", run: restless_key },
        Test { name: "processes_that_race_for_names_agree_on_their_numbers", run: racing_names },
        Test { name: "what_stays_put_is_met_once_while_four_processes_write", run: walks },
        Test { name: "what_is_there_is_found_and_met_once_while_the_index_is_divided", run: divisions },
        Test {
            name: "invalidations_hold_and_hit_nothing_newer_while_invalidators_are_killed",
            run: killed_invalidators,
        },
        Test { name: "clearing_and_invalidating_are_the_same_few_stores_for_a_million_entries", run: constant_costs },
        Test { name: "a_walk_stores_nothing_takes_no_lock_and_looks_at_each_line_once", run: walk_costs },
        Test { name: "counters_of_four_processes_add_up", run: counters },
        Test { name: "a_waiter_is_told_also_where_the_writer_dies_before_it_rings", run: dead_ringers },
        Test { name: "a_watcher_and_a_subscriber_are_told_by_writers_that_die_before_they_ring", run: dead_tellers },
        Test { name: "a_holder_in_another_pid_namespace_is_waited_for_and_repaired", run: namespaces },
        Test { name: "a_read_follows_the_name_when_it_comes_to_mean_another_segment", run: followed_name },
        Test { name: "a_handle_of_a_half_destroyed_segment_answers_nothing", run: half_destroyed },
        Test { name: "destroying_waits_for_a_writer_inside", run: destroyed_under_a_writer },
        Test { name: "a_successor_in_a_dead_owners_slot_hides_no_death", run: hidden_death },
        Test { name: "a_holder_that_is_dead_and_not_buried_holds_nothing", run: zombie },
        Test { name: "racing_to_open_and_destroy_makes_no_two_living_segments", run: races },
        Test { name: "races_with_deaths_leave_a_usable_name", run: races_with_deaths },
    ];
    forked::main(&tests, None);
}

fn scene(test: &str, size: usize) -> Scene {
    let mut scene = Scene::new(test);
    scene.options.size = size;
    scene
}

fn open(options: &OpenOptions) -> Cache {
    Cache::open(options).expect("open").0
}

/// How long a call takes.
fn timed<R>(call: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = call();
    (result, start.elapsed())
}

/// Opens the cache and stops itself in the middle of a `set` of `key`, inside the shard's lock.
fn stopping_holder(options: &OpenOptions, key: &'static str) -> Child {
    let holder = fork(|| {
        done(|| {
            let cache = open(options);
            arm(8, Fault::Stop);
            put(&cache, key, b"written across the stop");
            disarm();
        })
    });
    assert_eq!(holder.wait_or_stopped(), Ended::Stopped);
    holder
}

/// The same, but it is killed there. Returned as it runs: who waits for it buries it.
fn dying_holder(options: &OpenOptions, key: &'static str) -> Child {
    fork(|| {
        done(|| {
            let cache = open(options);
            arm(8, Fault::Kill);
            put(&cache, key, b"new");
        })
    })
}

fn stopped_holder() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    const KEYS: usize = 200;
    let mut scene = scene("stopped", 64 << 20);
    scene.options.write_timeout = TIMEOUT;
    let key = |i: usize| format!("key-{i}");
    in_child("fill", || {
        let cache = open(&scene.options);
        for i in 0..KEYS {
            put(&cache, &key(i), &[i as u8; 100]);
            // Something to sweep in every shard: the sweeper's short patience must not be taken for the writers'.
            cache.set(format!("mortal-{i}").as_bytes(), &Write { ttl_ms: 1 << 30, ..bytes(b"m") }).expect("set");
        }
    });
    let holder = stopping_holder(&scene.options, "key-7");
    in_child("others", || {
        let cache = open(&scene.options);
        std::thread::sleep(Duration::from_millis(1300));
        let (mut busy, mut stored) = (Vec::new(), 0);
        for i in 0..KEYS {
            let (value, took) = timed(|| get(&cache, &key(i)));
            assert_eq!(value.expect("there")[0], if i == 7 { value_at_stop(&cache) } else { i as u8 });
            assert!(took < TIMEOUT / 2, "a read took {took:?}");
            match timed(|| cache.set(key(i).as_bytes(), &bytes(&[i as u8; 120]))) {
                (Ok(Some(_)), took) => {
                    assert!(took < TIMEOUT / 2, "another shard's write took {took:?}");
                    stored += 1;
                }
                (Err(CacheError::Busy(_)), took) => busy.push(took),
                (other, _) => panic!("{other:?}"),
            }
        }
        assert!(stored > KEYS / 2 && busy.len() > KEYS / 10, "{stored} stored, {} busy", busy.len());
        assert!(busy[0] >= TIMEOUT && busy[0] < TIMEOUT * 2, "the first write ended after {:?}", busy[0]);
        let slowest = busy[1..].iter().max().expect("some");
        assert!(*slowest < TIMEOUT / 3, "a later write ended only after {slowest:?}");
        let stats = cache.stats();
        assert!(stats.busy >= busy.len() as u64);
        // The first one's 300 to 600 ms: what is below 2^19 µs, or below the double of that.
        assert!(stats.lock_wait_times[19..=20].iter().sum::<u64>() >= 1, "{:?}", stats.lock_wait_times);
    });
    holder.resume();
    assert_eq!(ended_within(holder, SOON, "the holder"), Ended::Exit(0));
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!(get(&cache, "key-7").as_deref(), Some(&b"written across the stop"[..]));
        for i in 0..KEYS {
            put(&cache, &key(i), &[1; 50]);
        }
        assert_valid(&cache);
        assert_eq!(cache.stats().repairs, 0, "a living holder was robbed");
    });
    // The same handle is well again too, without being opened anew.
    let turns = shared_words(2);
    let holder = stopping_holder(&scene.options, "key-7");
    let writer = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            assert!(matches!(cache.set(b"key-7", &bytes(b"x")), Err(CacheError::Busy(_))));
            turns[0].store(1, Ordering::SeqCst);
            wait_for(&turns[1], |turn| turn == 1);
            for _ in 0..100 {
                put(&cache, "key-7", b"x");
            }
        })
    });
    wait_for(&turns[0], |turn| turn == 1);
    holder.resume();
    assert_eq!(ended_within(holder, SOON, "the holder"), Ended::Exit(0));
    turns[1].store(1, Ordering::SeqCst);
    assert_eq!(ended_within(writer, SOON, "the writer"), Ended::Exit(0));
    drop(scene);
}

/// The stopped holder's key is old or new, and stays what it was at the stop.
fn value_at_stop(cache: &Cache) -> u8 {
    get(cache, "key-7").expect("there")[0]
}

/// What a holder does while it is stopped; the number makes each time another.
const STOPPED_WRITES: [fn(&Cache, u64); 5] = [
    |cache, n| assert!(put(cache, "target", &nth_value(0, n)) > 0),
    |cache, n| assert!(put(cache, &format!("new-{}", n % 50), &nth_value(0, n)) > 0),
    |cache, _| _ = cache.touch(b"target", 1 << 30).expect("touch"),
    |cache, _| _ = cache.take(b"target", &mut Vec::new()).expect("take"),
    |cache, _| _ = cache.delete(b"new-1", 0).expect("delete"),
];

/// A process stops itself at each step of each write, in a segment of one shard. While it is stopped, two readers read
/// everything again and again, and a writer is told that the shard is busy; when it has gone on, the writer writes again.
fn stops() {
    const KEYS: usize = 40;
    /// How often each reader reads everything during a stop.
    const ROUNDS: u64 = 2;
    let stops = number("STOPS", 120);
    let mut scene = scene("stops", 2 << 20);
    scene.options.write_timeout = Duration::from_millis(10);
    // A living holder may be off its core; it alone is waited for as long as it takes.
    let patient = OpenOptions { write_timeout: SOON, ..scene.options.clone() };
    let words = shared_words(7);
    let [first, second, longest, reads, asked, answered, over] = words else { unreachable!() };
    in_child("fill", || {
        let cache = open(&scene.options);
        for i in 0..KEYS {
            put(&cache, &format!("key-{i}"), &nth_value(i, 1));
        }
    });
    let reader = |rounds: &AtomicU64| {
        let cache = open(&scene.options);
        let mut newest = 0;
        while over.load(Ordering::SeqCst) == 0 {
            for i in 0..KEYS {
                let (value, took) = timed(|| get(&cache, &format!("key-{i}")));
                assert_eq!(number_of(i, &value.expect("there")), 1);
                longest.fetch_max(took.as_micros() as u64, Ordering::SeqCst);
            }
            if let Some(value) = get(&cache, "target") {
                let n = number_of(0, &value);
                assert!(n >= newest, "{n} after {newest}");
                newest = n;
            }
            reads.fetch_add(KEYS as u64 + 1, Ordering::SeqCst);
            rounds.fetch_add(1, Ordering::SeqCst);
        }
    };
    // Each question is a write; an answer is twice its number, and one more if the shard was busy.
    let writer = || {
        let cache = open(&scene.options);
        for question in 1.. {
            wait_for(asked, |asked| asked >= question || over.load(Ordering::SeqCst) == 1);
            if over.load(Ordering::SeqCst) == 1 {
                return;
            }
            let is_busy = match cache.set(b"probe", &bytes(&question.to_le_bytes())) {
                Ok(Some(_)) => 0,
                Err(CacheError::Busy(_)) => 1,
                other => panic!("{other:?}"),
            };
            answered.store(question * 2 + is_busy, Ordering::SeqCst);
        }
    };
    let mut question = 0;
    let mut is_busy = || {
        question += 1;
        asked.store(question, Ordering::SeqCst);
        wait_for(answered, |answered| answered >= question * 2) % 2 == 1
    };
    let others = [fork(|| done(|| reader(first))), fork(|| done(|| reader(second))), fork(|| done(writer))];
    let (mut done_stops, mut inside, mut write, mut at) = (0, 0, 0, 0);
    while done_stops < stops {
        let holder = fork(|| {
            done(|| {
                let cache = open(&patient);
                arm(at, Fault::Stop);
                STOPPED_WRITES[write](&cache, done_stops + 1);
                disarm();
            })
        });
        match holder.wait_or_stopped() {
            // It has fewer steps than that.
            Ended::Exit(0) => (write, at) = ((write + 1) % STOPPED_WRITES.len(), 0),
            Ended::Stopped => {
                for rounds in [first, second] {
                    let before = rounds.load(Ordering::SeqCst);
                    wait_for(rounds, |rounds| rounds >= before + ROUNDS);
                }
                inside += u64::from(is_busy());
                holder.resume();
                assert_eq!(ended_within(holder, SOON, "the holder"), Ended::Exit(0));
                let start = Instant::now();
                while is_busy() {
                    assert!(start.elapsed() < SOON, "nobody holds the shard, and it is busy");
                }
                done_stops += 1;
                at += 1;
            }
            other => panic!("the holder: {other:?}"),
        }
    }
    over.store(1, Ordering::SeqCst);
    for other in others {
        assert_eq!(ended_within(other, SOON, "a reader or the writer"), Ended::Exit(0));
    }
    in_child("afterwards", || {
        let cache = open(&patient);
        assert_valid(&cache);
        let stats = cache.stats();
        assert_eq!((stats.repairs, stats.damaged), (0, 0), "a living holder was robbed");
    });
    let count = |word: &AtomicU64| word.load(Ordering::SeqCst);
    println!(
        "  {stops} stops, {inside} of them inside the lock; {} reads, the longest took {} µs",
        count(reads),
        count(longest)
    );
    assert!(inside > stops / 4, "only {inside} of {stops} inside");
}

/// The holder of a lock dies while somebody waits for it. Whoever asks next is stopped at each step of asking in turn, and
/// another is stopped inside the shard's lock meanwhile. If the answer is that the shard is busy, nothing is left of the question:
/// else a place would be handed to one who does not know of it.
fn busy_queue() {
    const ONE: Claim = Claim { permits: 1, ttl_ms: 0, wait: true };
    let ask = |cache: &Cache| cache.acquire(Space::Locks, b"k", &ONE);
    let [stage, steps] = shared_words(2) else { unreachable!() };
    let reach = |next| stage.store(next, Ordering::SeqCst);
    // Dead with the lock held, which the one who waits does not look at.
    let asker = |options: &OpenOptions, at: u64| {
        reach(0);
        let patient = OpenOptions { write_timeout: SOON, ..options.clone() };
        let holder = fork(|| {
            done(|| {
                let cache = open(&patient);
                assert!(matches!(ask(&cache), Ok(Claimed::Granted(_))));
                reach(1);
                std::thread::sleep(SOON);
            })
        });
        wait_for(stage, |stage| stage == 1);
        let asker = fork(|| {
            done(|| {
                let cache = open(options);
                let mut tickets = vec![ask(&cache)];
                reach(2);
                wait_for(stage, |stage| stage == 3);
                arm(at, Fault::Stop);
                let told = ask(&cache);
                disarm();
                steps.store(passed().values().sum(), Ordering::SeqCst);
                match told {
                    Ok(_) => tickets.push(told),
                    Err(CacheError::Busy(_)) => {}
                    Err(other) => panic!("{other}"),
                }
                reach(4);
                wait_for(stage, |stage| stage == 5);
                for told in tickets {
                    let Ok(Claimed::Waiting(ticket)) = told else { panic!("{told:?}") };
                    cache.leave(Space::Locks, b"k", ticket, 1).expect("leave");
                }
                assert!(matches!(ask(&cache), Ok(Claimed::Granted(_))), "there is nobody else");
            })
        });
        wait_for(stage, |stage| stage == 2);
        holder.kill();
        reach(3);
        asker
    };
    let finish = |asker: Child| {
        reach(5);
        assert_eq!(ended_within(asker, SOON, "the one who asks"), Ended::Exit(0));
    };

    let undisturbed = scene("queue", 2 << 20);
    let first = asker(&undisturbed.options, u64::MAX - 1);
    wait_for(stage, |stage| stage == 4);
    finish(first);
    let mut in_the_way = 0;
    for at in 0..steps.load(Ordering::SeqCst) {
        let mut scene = scene("queue", 2 << 20);
        scene.options.write_timeout = Duration::from_millis(10);
        let asker = asker(&scene.options, at);
        assert_eq!(asker.wait_or_stopped(), Ended::Stopped);
        let other = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                arm(8, Fault::Stop);
                // Busy, where the one who asks is inside.
                let _ = cache.set(b"v", &bytes(b"1"));
                disarm();
            })
        });
        let is_in_the_way = other.wait_or_stopped() == Ended::Stopped;
        asker.resume();
        wait_for(stage, |stage| stage == 4);
        if is_in_the_way {
            in_the_way += 1;
            other.resume();
            assert_eq!(ended_within(other, SOON, "the other"), Ended::Exit(0));
        }
        finish(asker);
    }
    assert!(in_the_way > 2, "only {in_the_way} times was anybody in the way");
}

/// A number from the environment, for longer runs.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The value of a key's `n`-th write: of a length of its own, and different in every byte from its neighbours.
fn nth_value(key: usize, n: u64) -> Vec<u8> {
    let len = 8 + (n.wrapping_mul(2_654_435_761) >> 7) as usize % if n.is_multiple_of(50) { 20_000 } else { 500 };
    let mut value = n.to_le_bytes().to_vec();
    value.resize(len, (n as u8).wrapping_mul(31).wrapping_add(key as u8));
    value
}

/// Number of the write, if the value is whole.
fn number_of(key: usize, value: &[u8]) -> u64 {
    let n = u64::from_le_bytes(value[..8].try_into().expect("8 bytes"));
    assert!(value == nth_value(key, n), "key {key}: torn around {n}");
    n
}

/// Each key has one writer; all read all. What a read returns was begun, and is no older than what was acknowledged before
/// the read began, nor than what this process saw last. Every fifth write is a delete.
fn agree(processes: usize, keys: usize) {
    const LONG: Duration = Duration::from_millis(1500);
    let evicts = keys > 1000;
    let scene = scene("agree", if evicts { 2 << 20 } else { 16 << 20 });
    let words = shared_words(2 * keys + 1);
    let (begun, acknowledged) = (&words[..keys], &words[keys..2 * keys]);
    let is_delete = |n: u64| n.is_multiple_of(5);
    let run = |me: usize| {
        let cache = open(&scene.options);
        let mut random = Random(me as u64 + 1);
        let mut seen = vec![0; keys];
        let start = Instant::now();
        let mut reads = 0;
        while start.elapsed() < LONG {
            let key = random.below(keys as u64) as usize;
            let name = format!("key-{key}");
            if key % processes == me && random.below(3) == 0 {
                let n = begun[key].load(Ordering::SeqCst) + 1;
                begun[key].store(n, Ordering::SeqCst);
                if is_delete(n) {
                    cache.delete(name.as_bytes(), 0).expect("delete");
                } else {
                    put(&cache, &name, &nth_value(key, n));
                }
                acknowledged[key].store(n, Ordering::SeqCst);
            } else if random.below(20) == 0 {
                cache.touch(name.as_bytes(), 0).expect("touch");
            } else {
                let least = acknowledged[key].load(Ordering::SeqCst).max(seen[key]);
                let value = get(&cache, &name);
                let most = begun[key].load(Ordering::SeqCst);
                match value {
                    Some(value) => {
                        let n = number_of(key, &value);
                        assert!((least..=most).contains(&n), "key {key}: {n} is not in {least}..={most}");
                        assert!(!is_delete(n));
                        seen[key] = n;
                    }
                    None => {
                        let absent = least == 0 || (least..=most).any(is_delete);
                        assert!(absent || evicts, "key {key}: lost, {least}..={most}");
                    }
                }
                reads += 1;
            }
        }
        words[2 * keys].fetch_add(reads, Ordering::SeqCst);
    };
    let children: Vec<_> = (0..processes).map(|me| fork(|| done(|| run(me)))).collect();
    for child in children {
        assert_eq!(ended_within(child, SOON, "a process"), Ended::Exit(0));
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_valid(&cache);
        let stats = cache.stats();
        assert_eq!((stats.repairs, stats.damaged, stats.busy), (0, 0, 0));
        assert_eq!(stats.total.evictions > 0, evicts, "{} evictions", stats.total.evictions);
    });
    let writes: u64 = acknowledged.iter().map(|word| word.load(Ordering::SeqCst)).sum();
    println!("  {writes} writes, {} checked reads", words[2 * keys].load(Ordering::SeqCst));
}

/// 100,000 times: one process writes, deletes, clears or invalidates and says so, the other reads at once.
fn handshakes() {
    const TIMES: u64 = 100_000;
    let scene = scene("handshakes", 4 << 20);
    let words = shared_words(2);
    let (said, answered) = (&words[0], &words[1]);
    let spin = |word: &AtomicU64, n: u64| {
        let start = Instant::now();
        while word.load(Ordering::Acquire) < n {
            std::thread::yield_now();
            assert!(start.elapsed() < SOON, "the other is gone");
        }
    };
    let writer = fork(|| {
        done(|| {
            let root = open(&scene.options);
            let cache = root.in_namespace("own").expect("namespace");
            let tags = [cache.tag("red")];
            let put = |value: &[u8]| {
                assert!(cache.set(b"key", &Write { tags: &tags, ..bytes(value) }).expect("set").is_some());
            };
            for n in 1..=TIMES {
                match n % 20 {
                    0 => assert!(cache.delete(b"key", 0).expect("delete")),
                    4 => cache.clear().expect("clear"),
                    8 => cache.invalidate_tags(&tags, Invalidation::Remove).expect("invalidate"),
                    12 => cache.invalidate_tags(&tags, Invalidation::Outdate).expect("invalidate"),
                    16 => root.clear().expect("clear"),
                    i if i % 4 == 1 => put(&n.to_le_bytes()),
                    i if i % 4 == 2 => put(&n.to_le_bytes().repeat(1 + (n % 90) as usize)),
                    _ => {
                        assert!(cache.take(b"key", &mut Vec::new()).expect("take").is_some());
                        put(&n.to_le_bytes());
                    }
                }
                said.store(n, Ordering::Release);
                spin(answered, n);
            }
        })
    });
    let reader = fork(|| {
        done(|| {
            let cache = open(&scene.options).in_namespace("own").expect("namespace");
            for n in 1..=TIMES {
                spin(said, n);
                let value = get(&cache, "key");
                let expected = (n % 4 != 0).then_some(n);
                let number = value.map(|v| u64::from_le_bytes(v[..8].try_into().expect("8 bytes")));
                assert_eq!(number, expected);
                answered.store(n, Ordering::Release);
            }
        })
    });
    for child in [writer, reader] {
        assert_eq!(ended_within(child, SOON * 3, "a process"), Ended::Exit(0));
    }
    drop(scene);
}

/// Every look at the entry may find that its word has changed meanwhile; a read comes to its end all the same.
fn restless_key() {
    const READS: usize = 3000;
    let scene = scene("restless", 2 << 20);
    let done_reading = &shared_words(1)[0];
    in_child("fill", || {
        put(&open(&scene.options), "key", &[0; 8000]);
    });
    let writer = |first: u8| {
        let cache = open(&scene.options);
        let mut byte = first;
        while done_reading.load(Ordering::SeqCst) == 0 {
            put(&cache, "key", &[byte; 8000]);
            byte = byte.wrapping_add(1);
        }
    };
    let writers = [1, 100].map(|first| fork(|| done(|| writer(first))));
    in_child("the reader", || {
        let cache = open(&scene.options);
        for _ in 0..READS {
            let value = get(&cache, "key").expect("it was never deleted");
            assert!(value.len() == 8000 && value.iter().all(|byte| *byte == value[0]), "torn");
        }
    });
    done_reading.store(1, Ordering::SeqCst);
    for writer in writers {
        assert_eq!(ended_within(writer, SOON, "a writer"), Ended::Exit(0));
    }
}

/// Each opens the same names in an order of its own, and all at once.
fn racing_names() {
    const NAMES: usize = 200;
    let scene = scene("names", 2 << 20);
    let words = shared_words(4 * NAMES + 1);
    let ready = &words[4 * NAMES];
    let children: Vec<_> = (0..4)
        .map(|me| {
            fork(|| {
                done(|| {
                    let cache = open(&scene.options);
                    ready.fetch_add(1, Ordering::SeqCst);
                    wait_for(ready, |ready| ready == 4);
                    for i in 0..NAMES {
                        let name = (i * [1, 3, 7, 199][me] + me * 10) % NAMES;
                        let own = cache.in_namespace(&format!("name {name}")).expect("namespace");
                        words[me * NAMES + name].store(own.namespace().into(), Ordering::SeqCst);
                        put(&own, &format!("of {me}"), name.to_string().as_bytes());
                    }
                })
            })
        })
        .collect();
    for child in children {
        assert_eq!(ended_within(child, SOON, "a process"), Ended::Exit(0));
    }
    let numbers = |me: usize| words[me * NAMES..][..NAMES].iter().map(|word| word.load(Ordering::SeqCst));
    assert!((1..4).all(|me| numbers(me).eq(numbers(0))));
    let mut sorted: Vec<u64> = numbers(0).collect();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(1..=NAMES as u64));
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!(cache.namespace_names().len(), NAMES);
        for name in 0..NAMES {
            let own = cache.in_namespace(&format!("name {name}")).expect("namespace");
            for me in 0..4 {
                assert_eq!(get(&own, &format!("of {me}")), Some(name.to_string().into_bytes()));
            }
        }
        assert_valid(&cache);
    });
}

/// Four write, replace, touch and delete; the fifth walks over the keys. What it must meet was there before, and is replaced
/// and touched meanwhile, but never deleted.
fn walks() {
    const KEPT: u64 = 2000;
    const WALKS: u64 = 60;
    let scene = scene("walks", 2 << 20);
    let words = shared_words(2);
    let (stop, writes) = (&words[0], &words[1]);
    let key = |i: u64| format!("kept {i}");
    in_child("fill", || {
        let own = open(&scene.options).in_namespace("own").expect("namespace");
        // Those that go again make some of the others go past full lines.
        (0..7000).for_each(|i| {
            put(&own, &format!("before {i}"), b"");
        });
        (0..KEPT).for_each(|i| {
            put(&own, &key(i), b"1");
        });
        assert_eq!(own.delete_prefix(b"before").expect("delete"), 7000);
    });
    let writer = |seed: u64| {
        let root = open(&scene.options);
        let own = root.in_namespace("own").expect("namespace");
        let mut random = Random(seed);
        while stop.load(Ordering::Relaxed) == 0 {
            let cache = if random.below(4) == 0 { &root } else { &own };
            let other = format!("other {}", random.below(3000));
            let kept = key(random.below(KEPT));
            match random.below(8) {
                0..3 => drop(cache.set(other.as_bytes(), &bytes(&[2; 20])).expect("set")),
                3 | 4 => drop(cache.delete(other.as_bytes(), 0)),
                5 => drop(cache.touch(other.as_bytes(), 0)),
                6 => drop(own.set(kept.as_bytes(), &bytes(&[3; 30])).expect("set")),
                _ => assert!(own.touch(kept.as_bytes(), 0).expect("touch"), "{kept} is gone"),
            }
            writes.fetch_add(1, Ordering::Relaxed);
        }
    };
    let walker = || {
        let own = open(&scene.options).in_namespace("own").expect("namespace");
        for walk in 0..WALKS {
            let mut met = vec![0u32; KEPT as usize];
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let page = own.keys(at, b"", 50 + walk as usize * 10).expect("keys");
                for key in page.keys {
                    let text = String::from_utf8(key.bytes).expect("text");
                    let (series, number) = text.split_once(' ').expect("a number");
                    assert!(series == "kept" || series == "other", "{text}");
                    if series == "kept" {
                        met[number.parse::<usize>().expect("a number")] += 1;
                    }
                }
                cursor = page.next;
            }
            let wrong: Vec<_> = met.iter().enumerate().filter(|(_, times)| **times != 1).collect();
            assert!(wrong.is_empty(), "walk {walk}: not met once: {wrong:?}");
        }
    };
    let writers: Vec<_> = (1..=4).map(|seed| fork(|| done(|| writer(seed)))).collect();
    wait_for(writes, |writes| writes > 1000);
    let walked = ended_within(fork(|| done(walker)), SOON, "the walker");
    stop.store(1, Ordering::SeqCst);
    for child in writers {
        assert_eq!(ended_within(child, SOON, "a writer"), Ended::Exit(0));
    }
    assert_eq!(walked, Ended::Exit(0), "the walker");
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!(cache.stats().total.evictions, 0);
        assert_valid(&cache);
    });
    println!("  {WALKS} walks during {} writes", writes.load(Ordering::SeqCst));
}

/// An index that begins small and is divided eight times while three write, of whom one may be killed, one reads and one walks.
/// `DIVISIONS=1000` for more such segments.
fn divisions() {
    const KEPT: u64 = 80;
    const OWN: u64 = 1200;
    const WRITERS: u64 = 3;
    let rounds = std::env::var("DIVISIONS").map_or(12, |text| text.parse::<u64>().expect("a number"));
    let mut random = Random(cache_machine_shm::random_u64() | 1);
    let (mut kills, mut walks) = (0, 0);
    for round in 0..rounds {
        let scene = scene(&format!("divisions-{round}"), 2 << 20);
        let words = shared_words(WRITERS as usize + 2);
        let (stop, walked, acknowledged) = (&words[0], &words[1], &words[2..]);
        let kept = |i: u64| format!("kept {i}");
        let own = |writer: u64, i: u64| format!("own {writer} {i}");
        let is_there = |cache: &Cache, key: &str| assert_eq!(get(cache, key).as_deref(), Some(key.as_bytes()));
        in_child("fill", || {
            let cache = open(&scene.options);
            (0..KEPT).for_each(|i| {
                put(&cache, &kept(i), kept(i).as_bytes());
            });
        });
        let any_acknowledged = |random: &mut Random| {
            let writer = random.below(WRITERS);
            let count = acknowledged[writer as usize].load(Ordering::SeqCst);
            (count > 0).then(|| own(writer, random.below(count)))
        };
        let write = |writer: u64, seed: u64, kill_at: u64| {
            let cache = open(&scene.options);
            let mut random = Random(seed | 1);
            arm(kill_at, Fault::Kill);
            for i in 0..OWN {
                put(&cache, &own(writer, i), own(writer, i).as_bytes());
                acknowledged[writer as usize].store(i + 1, Ordering::SeqCst);
                is_there(&cache, &kept(random.below(KEPT)));
                if let Some(key) = any_acknowledged(&mut random) {
                    is_there(&cache, &key);
                }
            }
            disarm();
        };
        let read = |seed: u64| {
            let cache = open(&scene.options);
            let mut random = Random(seed | 1);
            while stop.load(Ordering::Relaxed) == 0 {
                is_there(&cache, &kept(random.below(KEPT)));
                if let Some(key) = any_acknowledged(&mut random) {
                    is_there(&cache, &key);
                }
            }
        };
        let walk = || {
            let cache = open(&scene.options);
            while stop.load(Ordering::Relaxed) == 0 {
                let mut met = vec![0u32; KEPT as usize];
                let mut cursor = Some(0);
                while let Some(at) = cursor {
                    let page = cache.keys(at, b"kept ", 7).expect("keys");
                    for key in page.keys {
                        let text = String::from_utf8(key.bytes).expect("text");
                        met[text["kept ".len()..].parse::<usize>().expect("a number")] += 1;
                    }
                    cursor = page.next;
                }
                assert!(met.iter().all(|times| *times == 1), "not met once: {met:?}");
                walked.fetch_add(1, Ordering::Relaxed);
            }
        };
        let others = [random.next()].map(|seed| fork(|| done(|| read(seed)))).into_iter().chain([fork(|| done(walk))]);
        let others: Vec<_> = others.collect();
        let victim = random.below(WRITERS);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let kill_at = if writer == victim { random.below(40_000) } else { u64::MAX - 1 };
                let seed = random.next();
                fork(|| done(|| write(writer, seed, kill_at)))
            })
            .collect();
        for child in writers {
            match ended_within(child, SOON, "a writer") {
                Ended::Exit(0) => {}
                Ended::Signal(9) => kills += 1,
                other => panic!("a writer ended with {other:?}"),
            }
        }
        stop.store(1, Ordering::SeqCst);
        for child in others {
            assert_eq!(ended_within(child, SOON, "a reader"), Ended::Exit(0));
        }
        walks += walked.load(Ordering::SeqCst);
        in_child("afterwards", || {
            let cache = open(&scene.options);
            (0..KEPT).for_each(|i| is_there(&cache, &kept(i)));
            for writer in 0..WRITERS {
                let count = acknowledged[writer as usize].load(Ordering::SeqCst);
                (0..count).for_each(|i| is_there(&cache, &own(writer, i)));
            }
            let stats = cache.stats();
            assert_eq!((stats.total.evictions, stats.damaged), (0, 0));
            assert_valid(&cache);
        });
    }
    println!("  {rounds} segments, {kills} kills, {walks} walks");
}

/// The steps that `act` passes, with how often: each store of a change has one after it.
fn steps_of(act: impl FnOnce()) -> BTreeMap<&'static str, u64> {
    arm(u64::MAX - 1, Fault::Kill);
    act();
    disarm();
    passed()
}

/// So many entries in a namespace, all of them tagged.
fn fill_tagged(own: &Cache, entries: u64) {
    let tags = [own.tag("red"), own.tag("blue")];
    for i in 0..entries {
        assert!(own.set(&i.to_le_bytes(), &Write { tags: &tags, ..bytes(b"") }).expect("set").is_some());
    }
    assert_eq!((own.len(), own.stats().total.evictions), (entries, 0));
}

/// That the next read of every process sees each of them is `handshakes`.
fn constant_costs() {
    for entries in [1_000u64, 1_000_000] {
        let scene = scene("costs", 512 << 20);
        let child = fork(|| done(|| few_stores(&open(&scene.options), entries)));
        assert_eq!(ended_within(child, SOON * 3, "the costs"), Ended::Exit(0), "{entries} entries");
    }
}

fn few_stores(root: &Cache, entries: u64) {
    let own = root.in_namespace("own").expect("namespace");
    let tags = [own.tag("red"), own.tag("blue")];
    fill_tagged(&own, entries);
    // The last one is there again before each of them; what the others have become is still in the index.
    let last = (entries - 1).to_le_bytes();
    let steps_to_end_it = |act: &dyn Fn()| {
        assert!(own.set(&last, &Write { tags: &tags, ..bytes(b"") }).expect("set").is_some());
        let steps = steps_of(act);
        assert!(!own.has(&last).expect("has"));
        steps
    };
    let mut expected = BTreeMap::from([("tag.begun", 1), ("tag.recorded", 2), ("tag.done", 1)]);
    expected.extend([("lock.taken", 1), ("lock.released", 1)]);
    let invalidate = |how| steps_to_end_it(&|| own.invalidate_tags(&tags, how).expect("invalidate"));
    // The first time the tags get their places.
    let places = [("tag.emptied", 2), ("tag.zeroed", 2), ("tag.named", 2)];
    assert_eq!(invalidate(Invalidation::Outdate), expected.clone().into_iter().chain(places).collect());
    assert_eq!(invalidate(Invalidation::Remove), expected);
    let clear = BTreeMap::from([("clear.published", 1)]);
    assert_eq!(steps_to_end_it(&|| own.clear().expect("clear")), clear);
    assert_eq!(steps_to_end_it(&|| root.clear().expect("clear")), clear);
    assert_eq!(own.len(), 0);
}

/// A page is a number and some keys: whoever stops between two pages holds nothing.
fn walk_costs() {
    for megabytes in [2u64, 8, 32] {
        let scene = scene("walk-costs", (megabytes as usize) << 20);
        in_child("walk", || {
            let own = open(&scene.options).in_namespace("own").expect("namespace");
            fill_tagged(&own, 2000 * megabytes);
            let (mut keys, mut pages, mut at, mut last) = (0, 0, Some(0), 0);
            while let Some(from) = at {
                let steps = steps_of(|| {
                    let page = own.keys(from, b"", 256).expect("keys");
                    keys += page.keys.len() as u64;
                    at = page.next;
                });
                assert_eq!(steps, BTreeMap::new(), "no store, so no lock");
                assert!(at.is_none_or(|next| next > from), "no line is looked at twice");
                last = from;
                pages += 1;
            }
            assert_eq!(keys, own.len());
            // A line has 7 words; there is a word for each 128 bytes, and not twice as many.
            let lines = (megabytes << 20) / 128 / 7;
            assert!(last < 2 * lines, "line {last} of {megabytes} MiB");
            assert!(pages <= keys / 256 + 2 * lines / 4096 + 2, "{pages} pages for {keys} keys");
        });
    }
}

/// What docs/models/tags.pml promises, of real processes: setters and readers go on while two invalidators are killed at
/// random steps, again and again.
fn killed_invalidators() {
    const LONG: Duration = Duration::from_secs(3);
    const SETTERS: usize = 2;
    let scene = scene("invalidators", 4 << 20);
    let words = shared_words(12);
    let (begun, ended) = (&words[0..2], &words[2..4]);
    // Values whose making has begun; of these, how many an acknowledged invalidation has outdated.
    let [made, gone, stop, sets, odd, hits, near_hits, misses] = &words[4..12] else { unreachable!() };
    let all_begun = || [0, 1].map(|i| begun[i].load(Ordering::SeqCst));
    // `Some`: just now nobody invalidated.
    let quiet = || {
        let before = [0, 1].map(|i| ended[i].load(Ordering::SeqCst));
        Some(all_begun()).filter(|now| *now == before)
    };
    let key = |setter: usize| format!("key {setter}");
    let number_at = |cache: &Cache, setter: usize| {
        let value = get(cache, &key(setter))?;
        Some(u64::from_le_bytes(value.try_into().expect("8 bytes")))
    };
    let invalidator = |me: usize, seed: u64| {
        let cache = open(&scene.options);
        let mut random = Random(seed | 1);
        arm(random.below(150), Fault::Kill);
        loop {
            begun[me].fetch_add(1, Ordering::SeqCst);
            let outdated = made.load(Ordering::SeqCst);
            // More tags than there are records, so that some are pushed out.
            let tags = [cache.tag("red"), cache.tag(&format!("tag {}", random.below(4000)))];
            let how = if random.below(2) == 0 { Invalidation::Remove } else { Invalidation::Outdate };
            cache.invalidate_tags(&tags, how).expect("invalidate");
            gone.fetch_max(outdated, Ordering::SeqCst);
            ended[me].fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(random.below(200)));
        }
    };
    let setter = |me: usize| {
        let cache = open(&scene.options);
        let tags = [cache.tag("red"), cache.tag(&format!("own {me}"))];
        while stop.load(Ordering::SeqCst) == 0 {
            let era = quiet();
            let clock = cache.tag_clock();
            let number = made.fetch_add(1, Ordering::SeqCst) + 1;
            let value = number.to_le_bytes();
            let write = Write { tags: &tags, made_at: Some(clock), ..bytes(&value) };
            assert!(cache.set(key(me).as_bytes(), &write).expect("set").is_some());
            let found = number_at(&cache, me);
            // Nobody else writes this key.
            assert!(found.is_none_or(|found| found == number));
            if let (None, Some(era)) = (found, era) {
                assert_ne!(all_begun(), era, "{number} was dead on arrival, made at {clock}");
            }
            sets.fetch_add(1, Ordering::SeqCst);
            odd.fetch_add(u64::from(era.is_some() && clock % 2 == 1), Ordering::SeqCst);
        }
    };
    let reader = || {
        let cache = open(&scene.options);
        let mut near: [Option<(u64, u64)>; SETTERS] = [None; SETTERS];
        while stop.load(Ordering::SeqCst) == 0 {
            for (setter, near) in near.iter_mut().enumerate() {
                let outdated = gone.load(Ordering::SeqCst);
                let clock = cache.tag_clock();
                // As a near copy: of use while the clock has not moved and is even. Its word is not looked at here.
                if let Some((number, at)) = *near
                    && at == clock
                {
                    assert!(number > outdated, "a near copy of {number}, made before {outdated}");
                    near_hits.fetch_add(1, Ordering::SeqCst);
                }
                *near = None;
                match number_at(&cache, setter) {
                    Some(number) => {
                        assert!(number > outdated, "read {number}, made before {outdated}");
                        *near = clock.is_multiple_of(2).then_some((number, clock));
                        hits.fetch_add(1, Ordering::SeqCst);
                    }
                    None => drop(misses.fetch_add(1, Ordering::SeqCst)),
                }
            }
        }
    };
    let mut random = Random(9);
    let mut spawn = |me: usize| {
        let seed = random.next();
        fork(|| invalidator(me, seed))
    };
    let mut invalidators = [spawn(0), spawn(1)];
    let setters = (0..SETTERS).map(|me| fork(|| done(|| setter(me))));
    let readers = (0..2).map(|_| fork(|| done(reader)));
    let others: Vec<_> = setters.chain(readers).collect();
    let start = Instant::now();
    let mut deaths = 0;
    while start.elapsed() < LONG {
        for (me, child) in invalidators.iter_mut().enumerate() {
            if let Some(how) = child.try_wait() {
                assert_eq!(how, Ended::Signal(9), "an invalidator ended by itself");
                // It does not invalidate any more, whatever it has left.
                ended[me].store(begun[me].load(Ordering::SeqCst), Ordering::SeqCst);
                deaths += 1;
                // In between, setters find what it left.
                std::thread::sleep(Duration::from_micros(500));
                *child = spawn(me);
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    stop.store(1, Ordering::SeqCst);
    for child in others {
        assert_eq!(ended_within(child, SOON, "a setter or reader"), Ended::Exit(0));
    }
    for child in invalidators {
        assert_eq!(child.kill(), Ended::Signal(9));
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        let tags = [cache.tag("red")];
        cache.invalidate_tags(&tags, Invalidation::Remove).expect("invalidate");
        assert!(cache.tag_clock().is_multiple_of(2));
        assert!((0..SETTERS).all(|setter| number_at(&cache, setter).is_none()));
        assert!(cache.set(b"key 0", &Write { tags: &tags, ..bytes(&[0; 8]) }).expect("set").is_some());
        assert_eq!(number_at(&cache, 0), Some(0));
        assert_eq!(cache.stats().repairs, 0);
        assert_valid(&cache);
    });
    let count = |word: &AtomicU64| word.load(Ordering::SeqCst);
    println!(
        "  {deaths} deaths in {} invalidations; {} sets, {} of them at a dead one's odd clock; {} reads found something, {} \
         nothing, {} from near",
        all_begun().iter().sum::<u64>(),
        count(sets),
        count(odd),
        count(hits),
        count(misses),
        count(near_hits)
    );
    assert!(deaths > 20 && count(odd) > 0 && count(hits) > 0 && count(misses) > 0 && count(near_hits) > 0);
}

fn counters() {
    const EACH: u64 = 20_000;
    let scene = scene("counters", 4 << 20);
    let children: Vec<_> = (0..4u64)
        .map(|me| {
            fork(|| {
                done(|| {
                    let cache = open(&scene.options);
                    for i in 0..EACH {
                        cache.incr(format!("counter-{}", (i + me) % 3).as_bytes(), 1.0, &PLAIN).expect("incr");
                    }
                })
            })
        })
        .collect();
    for child in children {
        assert_eq!(ended_within(child, SOON, "a process"), Ended::Exit(0));
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        let number =
            |i| f64::from_le_bytes(get(&cache, &format!("counter-{i}")).expect("there").try_into().expect("8"));
        assert_eq!((0..3).map(number).sum::<f64>(), 4.0 * EACH as f64);
        assert_valid(&cache);
    });
}

struct Forward(mpsc::Sender<Notice>);

impl Listener for Forward {
    fn notify(&self, notice: Notice) {
        // Nobody may listen any more.
        let _ = self.0.send(notice);
    }
}

/// A writer is killed at each step from its publish on, so also between publish and ring, with the lock and without.
fn dead_ringers() {
    let scene = scene("ringers", 2 << 20);
    let words = shared_words(3);
    let (ready, told, longest) = (&words[0], &words[1], &words[2]);
    in_child("fill", || {
        put(&open(&scene.options), "filler", b"1");
    });
    let waiter = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            let (sender, notices) = mpsc::channel();
            let listener = cache.add_listener(Box::new(Forward(sender)));
            for round in 1.. {
                let key = format!("key-{round}");
                let wait = cache.wait_for(key.as_bytes(), 0, listener).expect("wait");
                ready.store(round, Ordering::SeqCst);
                loop {
                    match notices.recv_timeout(SOON).expect("told") {
                        Notice::Waits(waits) => {
                            assert_eq!(waits, [wait]);
                            break;
                        }
                        Notice::Repaired { dropped: 0, .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
                assert!(cache.has(key.as_bytes()).expect("has"));
                told.store(round, Ordering::SeqCst);
            }
        })
    });
    let mut round = 1;
    let mut deaths = 0;
    for at in 0.. {
        let key = format!("key-{round}");
        wait_for(ready, |n| n == round);
        let writer = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                arm(at, Fault::Kill);
                put(&cache, &key, b"1");
            })
        });
        let ended = ended_within(writer, SOON, "a writer");
        let start = Instant::now();
        let published = shared_words(1);
        in_child("look", || {
            published[0].store(u64::from(get(&open(&scene.options), &key).is_some()), Ordering::SeqCst);
        });
        if published[0].load(Ordering::SeqCst) == 1 {
            wait_for(told, |n| n == round);
            longest.fetch_max(start.elapsed().as_micros() as u64, Ordering::SeqCst);
            deaths += u64::from(ended == Ended::Signal(9));
            round += 1;
        }
        if ended == Ended::Exit(0) {
            break;
        }
        // Else the next writer would be killed in the rebuild.
        in_child("repair", || assert_valid(&open(&scene.options)));
    }
    assert!(deaths > 5, "{deaths} deaths after a publish");
    assert_eq!(waiter.kill(), Ended::Signal(9));
    assert!(longest.load(Ordering::SeqCst) < 1_000_000);
    println!("  told of {deaths} dead writers' keys after {} ms at most", longest.load(Ordering::SeqCst) / 1000);
    drop(scene);
}

/// With its change or its message in the ring and the lock released, a writer may die at any step before it rings: whoever watches
/// or subscribes looks all the same. Nobody else writes meanwhile, and nobody has anything to repair.
fn dead_tellers() {
    let scene = scene("tellers", 2 << 20);
    let words = shared_words(2);
    let (begun, told) = (&words[0], &words[1]);
    let name = |round: u64| format!("number {round}");
    let listener = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            let (sender, notices) = mpsc::channel();
            let listener = cache.add_listener(Box::new(Forward(sender)));
            cache.watch(&Watch::default(), 100, listener).expect("watch");
            cache.subscribe(b"news", false, 100, listener).expect("subscribe");
            begun.store(1, Ordering::SeqCst);
            while let Ok(notice) = notices.recv() {
                let Notice::Fed(feeds) = notice else { continue };
                for item in feeds.iter().flat_map(|feed| cache.take_fed(*feed, 100)) {
                    let text = if item.what == What::Message { item.value } else { item.key };
                    let text = String::from_utf8(text).expect("text");
                    if text == name(begun.load(Ordering::SeqCst)) {
                        told.store(begun.load(Ordering::SeqCst), Ordering::SeqCst);
                    }
                }
            }
        })
    });
    wait_for(begun, |n| n == 1);
    let tell: [fn(&Cache, &str); 2] = [
        |cache, name| _ = put(cache, name, b"1"),
        |cache, name| assert_eq!(cache.publish(b"news", kind::BUFFER, name.as_bytes()).expect("publish"), 1),
    ];
    for (tell, what) in tell.into_iter().zip(["changes", "messages"]) {
        let mut deaths = 0;
        for at in 0.. {
            let round = begun.fetch_add(1, Ordering::SeqCst) + 1;
            let ledger = shared_words(200);
            let writer = fork(|| {
                done(|| {
                    let cache = open(&scene.options);
                    trace(ledger);
                    arm(at, Fault::Kill);
                    tell(&cache, &name(round));
                    disarm();
                })
            });
            let ended = ended_within(writer, SOON, "a writer");
            let passed: Vec<u64> = ledger[1..].iter().map(|step| step.load(Ordering::SeqCst)).collect();
            let written = passed.iter().position(|step| *step == print("ring.published")).unwrap_or(passed.len());
            if passed[written..].contains(&print("lock.released")) {
                wait_for(told, |n| n == round);
                deaths += u64::from(ended == Ended::Signal(9));
            }
            if ended == Ended::Exit(0) {
                break;
            }
            // Else the next writer would be killed in the rebuild.
            in_child("repair", || assert_valid(&open(&scene.options)));
        }
        assert!(deaths > 0, "nobody died between the lock and the bell");
        println!("  told of {deaths} dead writers' {what}");
    }
    assert_eq!(listener.kill(), Ended::Signal(9));
}

/// The roles that this program has when it runs itself in another PID namespace, where it is process 1.
fn in_a_namespace(role: &str) -> ! {
    let options = OpenOptions { name: std::env::var("CM_NAME").expect("name"), ..Scene::new("unused").options.clone() };
    let options = OpenOptions { size: 2 << 20, write_timeout: Duration::from_millis(200), ..options };
    assert_eq!(std::process::id(), 1, "not a namespace of its own");
    match role {
        // Process 1 cannot stop or kill itself; process 2 can.
        "holder" => {
            stopping_holder(&options, "target");
            std::fs::write(std::env::var("CM_MARK").expect("mark"), b"stopped").expect("mark");
            std::thread::sleep(SOON * 3);
        }
        "waiter" => in_child("the waiter", || {
            let cache = open(&options);
            assert_eq!(get(&cache, "kept").as_deref(), Some(&b"value"[..]));
            assert!(
                matches!(cache.set(b"other", &bytes(b"1")), Err(CacheError::Busy(_))),
                "a living holder was robbed"
            );
            assert_eq!(cache.stats().repairs, 0);
        }),
        "killed" => {
            let child = dying_holder(&options, "killed");
            assert_eq!(child.wait(), Ended::Signal(9));
        }
        _ => unreachable!("role {role}"),
    }
    std::process::exit(0);
}

fn unshared(role: &str, name: &str, mark: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-p", "-f", "--kill-child"]).arg(std::env::current_exe().expect("program"));
    command.env("CM_ROLE", role).env("CM_NAME", name).env("CM_MARK", mark);
    command
}

fn namespaces() {
    if !Command::new("unshare").args(["-p", "-f", "--kill-child", "true"]).output().is_ok_and(|o| o.status.success()) {
        println!("  not run: no PID namespaces here");
        return;
    }
    let scene = scene("namespaces", 2 << 20);
    let mark = Mark(std::env::temp_dir().join(format!("cm-mark-{}", std::process::id())));
    in_child("fill", || {
        put(&open(&scene.options), "kept", b"value");
    });
    // Holder and waiter are both process 2 of their namespaces.
    let mut holder = unshared("holder", &scene.options.name, &mark.0).spawn().expect("unshare");
    let start = Instant::now();
    while !mark.0.exists() {
        assert!(start.elapsed() < SOON, "the holder did not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
    let waiter = unshared("waiter", &scene.options.name, &mark.0).output().expect("unshare");
    assert!(waiter.status.success(), "{}", String::from_utf8_lossy(&waiter.stderr));
    in_child("from here too", || {
        let cache = open(&OpenOptions { write_timeout: Duration::from_millis(50), ..scene.options.clone() });
        assert!(matches!(cache.set(b"other", &bytes(b"1")), Err(CacheError::Busy(_))));
    });
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    let repaired = |what: &str, least: u64| {
        in_child(what, || {
            let cache = open(&OpenOptions { write_timeout: Duration::from_secs(5), ..scene.options.clone() });
            put(&cache, "other", b"1");
            assert_eq!(get(&cache, "kept").as_deref(), Some(&b"value"[..]));
            assert_valid(&cache);
            assert!(cache.stats().repairs >= least, "{} repairs", cache.stats().repairs);
        });
    };
    repaired("after the namespace's death", 1);
    let killed = unshared("killed", &scene.options.name, &mark.0).output().expect("unshare");
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    repaired("after a death in a namespace", 2);
}

struct Mark(PathBuf);

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A handle that was opened just before its segment was destroyed knew only the epoch after the destruction, saw it never
/// change, and answered reads from a segment without a name until its next look at it, a second later.
fn followed_name() {
    let scene = scene("followed", 2 << 20);
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let opener = fork(|| {
        done(|| {
            // Stops when it has joined the segment and left the gate: the last step of `open`.
            arm(steps_of_open(&scene.options) - 1, Fault::Stop);
            let cache = open(&scene.options);
            disarm();
            let mut out = Vec::new();
            let read = cache.get(b"key", Manner::Use, &mut out);
            let fresh = matches!(read, Err(CacheError::Detached)) || out == b"new";
            assert!(fresh, "{read:?}: {}", String::from_utf8_lossy(&out));
        })
    });
    assert_eq!(opener.wait_or_stopped(), Ended::Stopped);
    in_child("the destroyer", || {
        assert!(destroy(&scene.options.name, None, true).expect("destroy"));
        put(&open(&scene.options), "key", b"new");
    });
    opener.resume();
    assert_eq!(ended_within(opener, SOON, "the opener"), Ended::Exit(0));
}

/// How many steps an `open` of this segment passes.
fn steps_of_open(options: &OpenOptions) -> u64 {
    let count = shared_words(1);
    in_child("count", || {
        arm(u64::MAX - 1, Fault::Kill);
        drop(open(options));
        count[0].store(cache_machine_shm::steps::passed().values().sum(), Ordering::SeqCst);
    });
    count[0].load(Ordering::SeqCst)
}

/// A destroyer is killed at each of its steps while another process has the segment open. Whoever opens the name next may
/// find the old segment or make a new one; the old handle then agrees with it or is detached.
fn half_destroyed() {
    let mut detached = 0;
    for at in 0.. {
        let scene = scene("half", 2 << 20);
        let words = shared_words(2);
        let (turn, result) = (&words[0], &words[1]);
        let slate = Slate::new();
        let attached = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                put(&cache, "key", b"old");
                // It knows the epoch from now on, so that only another one makes it look again.
                assert_eq!(get(&cache, "key").as_deref(), Some(&b"old"[..]));
                turn.store(1, Ordering::SeqCst);
                wait_for(turn, |t| t == 2);
                let mut out = Vec::new();
                let read = cache.get(b"key", Manner::Use, &mut out);
                let write = cache.set(b"mine", &bytes(b"1"));
                match (&read, &write) {
                    (Err(CacheError::Detached), Err(CacheError::Detached)) => result.store(1, Ordering::SeqCst),
                    (Ok(Some(_)), Ok(Some(_))) if out == b"new" => result.store(2, Ordering::SeqCst),
                    _ => slate.write(&format!("{read:?} {write:?}")),
                }
            })
        });
        wait_for(turn, |t| t == 1);
        let destroyer = fork(|| {
            done(|| {
                arm(at, Fault::Kill);
                destroy(&scene.options.name, None, true).expect("destroy");
            })
        });
        let ended = ended_within(destroyer, SOON, "the destroyer");
        let opener = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                assert!(matches!(get(&cache, "key").as_deref(), None | Some(b"old")));
                put(&cache, "key", b"new");
                turn.store(2, Ordering::SeqCst);
                wait_for(turn, |t| t == 3);
                // 2: one segment, so the other's write is here.
                assert_eq!(get(&cache, "mine").is_some(), result.load(Ordering::SeqCst) == 2);
                assert_valid(&cache);
            })
        });
        assert_eq!(ended_within(attached, SOON, "the attached"), Ended::Exit(0));
        assert_eq!(slate.take(), None, "killed at step {at}");
        turn.store(3, Ordering::SeqCst);
        assert_eq!(ended_within(opener, SOON, "the opener"), Ended::Exit(0));
        detached += u64::from(result.load(Ordering::SeqCst) == 1);
        if ended == Ended::Exit(0) {
            assert!(detached > 3 && at > 5, "detached {detached} of {at} times");
            break;
        }
    }
}

/// A writer that has looked at the state may yet store and acknowledge; so nobody unlinks before it has left.
fn destroyed_under_a_writer() {
    let scene = scene("inside", 2 << 20);
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let writer = stopping_holder(&scene.options, "key");
    let is_busy = |result: Result<(), CacheError>| assert!(matches!(result, Err(CacheError::Busy(_))), "{result:?}");
    in_child("destroyer", || is_busy(destroy(&scene.options.name, None, true).map(|_| ())));
    // What has begun is gone on with by whoever opens the name, and waits for the writer as well.
    in_child("opener", || is_busy(Cache::open(&scene.options).map(|_| ())));
    assert!(file_of(&scene.options).exists());
    writer.resume();
    // It was told that its value is stored, and nobody had another segment then.
    assert_eq!(ended_within(writer, SOON, "the writer"), Ended::Exit(0));
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!(get(&cache, "key"), None);
        put(&cache, "key", b"new");
        assert_valid(&cache);
    });
}

/// A new process takes the dead one's slot, and with it its lease; only the generation tells that the lock's owner is dead.
fn hidden_death() {
    let scene = scene("hidden", 2 << 20);
    let turn = &shared_words(1)[0];
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let dead = dying_holder(&scene.options, "key");
    assert_eq!(ended_within(dead, SOON, "the holder"), Ended::Signal(9));
    let successor = fork(|| {
        done(|| {
            let _cache = open(&scene.options);
            turn.store(1, Ordering::SeqCst);
            wait_for(turn, |t| t == 2);
        })
    });
    wait_for(turn, |t| t == 1);
    in_child("another", || {
        let cache = open(&OpenOptions { write_timeout: Duration::from_secs(2), ..scene.options.clone() });
        put(&cache, "other", b"1");
        assert_eq!(cache.stats().repairs, 1);
        assert_valid(&cache);
    });
    turn.store(2, Ordering::SeqCst);
    assert_eq!(ended_within(successor, SOON, "the successor"), Ended::Exit(0));
}

/// A dead process keeps its number until its parent has asked how it ended, and looks alive to whoever goes by numbers.
fn zombie() {
    let scene = scene("zombie", 2 << 20);
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let holder = dying_holder(&scene.options, "key");
    let stat = format!("/proc/{}/stat", holder.0);
    let is_zombie = || std::fs::read_to_string(&stat).expect("not buried").contains(") Z ");
    let start = Instant::now();
    while !is_zombie() {
        assert!(start.elapsed() < SOON, "the holder does not die");
        std::thread::yield_now();
    }
    in_child("another", || {
        let cache = open(&OpenOptions { write_timeout: Duration::from_secs(2), ..scene.options.clone() });
        put(&cache, "other", b"1");
        assert_eq!(cache.stats().repairs, 1);
        assert_valid(&cache);
    });
    assert!(is_zombie());
    assert_eq!(ended_within(holder, SOON, "the holder"), Ended::Signal(9));
}

/// Some destroy the name, some open it and write; a process that opens it afresh finds what was acknowledged, unless
/// somebody has begun to destroy it since.
fn races() {
    const LONG: Duration = Duration::from_millis(2500);
    // Destroyed so many times at least, however long it takes.
    let least = number("RACES", 0);
    let scene = scene("races", 2 << 20);
    let words = shared_words(8);
    let [begun, ended, acknowledged, opens, checks, destroys, destroyed, _] = words else { unreachable!() };
    let until = Instant::now() + LONG;
    let is_over = || Instant::now() >= until && destroyed.load(Ordering::SeqCst) >= least;
    let limit = SOON * (1 + least as u32 / 500);
    let quiet = || {
        let before = begun.load(Ordering::SeqCst);
        (ended.load(Ordering::SeqCst) == before).then_some(before)
    };
    let writer = || {
        let mut cache = open(&scene.options);
        let mut n = 0u64;
        while !is_over() {
            n += 1;
            let era = quiet();
            match cache.set(b"key", &bytes(&n.to_le_bytes())) {
                Ok(_) => {
                    if let Some(era) = era {
                        acknowledged.store(era << 32 | n, Ordering::SeqCst);
                    }
                }
                Err(CacheError::Detached) => cache = open(&scene.options),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let reader = || {
        while !is_over() {
            let cache = open(&scene.options);
            opens.fetch_add(1, Ordering::SeqCst);
            for _ in 0..3 {
                let told = acknowledged.load(Ordering::SeqCst);
                let mut out = Vec::new();
                match cache.get(b"key", Manner::Use, &mut out) {
                    Ok(found) => {
                        let n = found.map_or(0, |_| u64::from_le_bytes(out[..].try_into().expect("8 bytes")));
                        if told != 0 && begun.load(Ordering::SeqCst) == told >> 32 {
                            assert!(n >= told & 0xFFFF_FFFF, "read {n}, acknowledged {}", told & 0xFFFF_FFFF);
                            checks.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    Err(CacheError::Detached) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    let destroyer = || {
        while !is_over() {
            begun.fetch_add(1, Ordering::SeqCst);
            if destroy(&scene.options.name, None, true).expect("destroy") {
                destroyed.fetch_add(1, Ordering::SeqCst);
            }
            ended.fetch_add(1, Ordering::SeqCst);
            destroys.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(3));
        }
    };
    let roles: [(&str, &dyn Fn()); 6] = [
        ("writer", &writer),
        ("reader", &reader),
        ("reader", &reader),
        ("reader", &reader),
        ("destroyer", &destroyer),
        ("destroyer", &destroyer),
    ];
    let children: Vec<_> = roles.into_iter().map(|(name, role)| (name, fork(|| done(role)))).collect();
    for (name, child) in children {
        assert_eq!(ended_within(child, limit, name), Ended::Exit(0), "{name}");
    }
    let count = |word: &AtomicU64| word.load(Ordering::SeqCst);
    println!(
        "  {} opens, {} checked; {} of {} destroyed",
        count(opens),
        count(checks),
        count(destroyed),
        count(destroys)
    );
    assert!(count(checks) > 50 && count(destroyed) > 50);
}

/// The same crowd, killed at random moments: of creating, joining, destroying.
fn races_with_deaths() {
    let scene = scene("deaths", 2 << 20);
    let role = |seed: u64| {
        let mut random = Random(seed);
        loop {
            match random.below(4) {
                0 => drop(destroy(&scene.options.name, None, true).expect("destroy")),
                _ => {
                    let cache = open(&scene.options);
                    for _ in 0..random.below(20) {
                        match cache.set(b"key", &bytes(&[1; 200])) {
                            Ok(_) | Err(CacheError::Detached) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }
        }
    };
    let mut random = Random(5);
    let mut spawn = |seed: u64| fork(|| role(seed));
    let mut children: Vec<Child> = (1..=4).map(&mut spawn).collect();
    let kills = number("RACES", 4000) / 10;
    for kill in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(4000)));
        let who = random.below(4) as usize;
        assert_eq!(children[who].kill(), Ended::Signal(9), "somebody ended by itself");
        children[who] = spawn(kill + 10);
    }
    for child in children {
        assert_eq!(child.kill(), Ended::Signal(9), "somebody ended by itself");
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        put(&cache, "key", b"1");
        assert_valid(&cache);
    });
    assert!(file_of(&scene.options).exists());
}
