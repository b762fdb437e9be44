//! A suspended holder (SIGSTOP) beside readers, writers and requests for a permit.

use crate::support::forked::{
    HELD_VALUE, INSIDE_A_SET, NEVER, done, ended_within, in_child, resume_to_the_end, suspended_holder, trace_of,
    wait_for,
};
use crate::support::listeners::Deaf;
use crate::support::permits::ONE;
use crate::support::{SOON, Scene, assert_valid, bytes, get, number_from_env, open, put, with_timeout};
use crate::values::{nth_value, number_of, timed};
use cache_machine_core::{Acquisition, Cache, CacheError, Invalidation, Keyspace, OpenOptions, Stats, Write};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, passed, print, take_visits, trace};
use std::time::{Duration, Instant};

/// The sum of the lower limits of the buckets, in nanoseconds.
fn least_wait(stats: &Stats) -> u64 {
    stats.lock_wait_times.iter().enumerate().skip(1).map(|(i, count)| (1000 << (i - 1)) * count).sum()
}

pub(crate) fn stopped_holder() {
    const TIMEOUT: Duration = Duration::from_millis(300);
    const KEYS: usize = 200;
    let mut scene = Scene::sized("stopped", 64 << 20);
    scene.options.write_timeout = TIMEOUT;
    let key = |i: usize| format!("key-{i}");
    in_child("fill", || {
        let cache = open(&scene.options);
        for i in 0..KEYS {
            put(&cache, &key(i), &[i as u8; 100]);
            // Every shard has something to sweep. The sweeper's shorter timeout must not become the writers' timeout.
            cache.set(format!("mortal-{i}").as_bytes(), &Write { ttl_ms: 1 << 30, ..bytes(b"m") }).expect("set");
        }
    });
    let holder = suspended_holder(&scene.options, "key-7");
    in_child("others", || {
        let cache = open(&scene.options);
        std::thread::sleep(Duration::from_millis(1300));
        let (mut busy, mut stored) = (Vec::new(), 0);
        for i in 0..KEYS {
            let (value, took) = timed(|| get(&cache, &key(i)));
            assert_eq!(value.expect("there")[0], if i == 7 { value_while_suspended(&cache) } else { i as u8 });
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
        // The first wait of 300 to 600 ms is in the bucket up to 2^19 µs, or in the next one.
        assert!(stats.lock_wait_times[19..=20].iter().sum::<u64>() >= 1, "{:?}", stats.lock_wait_times);
        assert!(stats.lock_waited_ns >= TIMEOUT.as_nanos() as u64, "{} ns", stats.lock_waited_ns);
        assert!(stats.lock_waited_ns >= least_wait(&stats), "{} ns, {:?}", stats.lock_waited_ns, stats.lock_wait_times);
    });
    resume_to_the_end(holder, "the holder");
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!(get(&cache, "key-7").as_deref(), Some(HELD_VALUE));
        for i in 0..KEYS {
            put(&cache, &key(i), &[1; 50]);
        }
        assert_valid(&cache);
        assert_eq!(cache.stats().repairs, 0, "a live holder lost its lock");
    });
    // A handle that got Busy can write again without a new open.
    let stage = shared_words(2);
    let holder = suspended_holder(&scene.options, "key-7");
    let writer = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            assert!(matches!(cache.set(b"key-7", &bytes(b"x")), Err(CacheError::Busy(_))));
            stage[0].store(1, Ordering::SeqCst);
            wait_for(&stage[1], |stage| stage == 1);
            for _ in 0..100 {
                put(&cache, "key-7", b"x");
            }
        })
    });
    wait_for(&stage[0], |stage| stage == 1);
    resume_to_the_end(holder, "the holder");
    stage[1].store(1, Ordering::SeqCst);
    assert_eq!(ended_within(writer, SOON, "the writer"), Ended::Exit(0));
    drop(scene);
}

/// The first byte of the suspended holder's key: the value is old or new, and does not change during the stop.
fn value_while_suspended(cache: &Cache) -> u8 {
    get(cache, "key-7").expect("there")[0]
}

/// The writes in which a holder is suspended. The number makes each of them different.
const WRITES: [fn(&Cache, u64); 5] = [
    |cache, n| assert!(put(cache, "target", &nth_value(0, n)) > 0),
    |cache, n| assert!(put(cache, &format!("new-{}", n % 50), &nth_value(0, n)) > 0),
    |cache, _| _ = cache.touch(b"target", 1 << 30).expect("touch"),
    |cache, _| _ = cache.take(b"target", &mut Vec::new()).expect("take"),
    |cache, _| _ = cache.delete(b"new-1", 0).expect("delete"),
];

/// A process suspends itself at each step of each write, in a segment of one shard. Meanwhile two readers read every
/// key again and again, and a writer gets Busy. When the process has gone on, the writer can write again.
pub(crate) fn stopped_at_any_step() {
    const KEYS: usize = 40;
    /// How often each reader reads every key during a stop.
    const ROUNDS: u64 = 2;
    let stops = number_from_env("STOPS").unwrap_or(120);
    let mut scene = Scene::sized("stops", 2 << 20);
    scene.options.write_timeout = Duration::from_millis(10);
    // The holder itself waits long for a lock: on a busy machine any process may lose its core for a while.
    let patient = with_timeout(&scene.options, SOON);
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
    // Each question is a write. The answer is twice the number of the question, and one more if the shard was busy.
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
                WRITES[write](&cache, done_stops + 1);
                disarm();
            })
        });
        match holder.wait_or_stopped() {
            // The write has fewer steps than that.
            Ended::Exit(0) => (write, at) = ((write + 1) % WRITES.len(), 0),
            Ended::Stopped => {
                for rounds in [first, second] {
                    let before = rounds.load(Ordering::SeqCst);
                    wait_for(rounds, |rounds| rounds >= before + ROUNDS);
                }
                inside += u64::from(is_busy());
                resume_to_the_end(holder, "the holder");
                let start = Instant::now();
                while is_busy() {
                    assert!(start.elapsed() < SOON, "no process holds the shard, and it is busy");
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
        assert_eq!((stats.repairs, stats.damaged), (0, 0), "a live holder lost its lock");
    });
    let count = |word: &AtomicU64| word.load(Ordering::SeqCst);
    println!(
        "  {stops} stops, {inside} of them inside the lock; {} reads, the longest took {} µs",
        count(reads),
        count(longest)
    );
    assert!(inside > stops / 4, "only {inside} of {stops} inside");
}

/// The holder of a lock dies while a process waits for the lock. That process asks a second time and is suspended at
/// each step of the request in turn; meanwhile another process is suspended inside the shard's lock. A request that
/// gets Busy leaves nothing behind: otherwise the lock would be granted to a ticket that no process knows.
pub(crate) fn busy_queue() {
    let ask = |cache: &Cache| cache.acquire(Keyspace::Locks, b"k", &ONE);
    let [stage, steps] = shared_words(2) else { unreachable!() };
    let reach = |next| stage.store(next, Ordering::SeqCst);
    // Its holder dies with the lock held, and the waiter does not check that.
    let asker = |options: &OpenOptions, at: u64| {
        reach(0);
        let patient = with_timeout(options, SOON);
        let holder = fork(|| {
            done(|| {
                let cache = open(&patient);
                assert!(matches!(ask(&cache), Ok(Acquisition::Granted(_))));
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
                let answer = ask(&cache);
                disarm();
                steps.store(passed().values().sum(), Ordering::SeqCst);
                match answer {
                    Ok(_) => tickets.push(answer),
                    Err(CacheError::Busy(_)) => {}
                    Err(other) => panic!("{other}"),
                }
                reach(4);
                wait_for(stage, |stage| stage == 5);
                for answer in tickets {
                    let Ok(Acquisition::Waiting(ticket)) = answer else { panic!("{answer:?}") };
                    cache.leave(Keyspace::Locks, b"k", ticket, 1).expect("leave");
                }
                assert!(matches!(ask(&cache), Ok(Acquisition::Granted(_))), "there is no other request");
            })
        });
        wait_for(stage, |stage| stage == 2);
        holder.kill();
        reach(3);
        asker
    };
    let finish = |asker: Child| {
        reach(5);
        assert_eq!(ended_within(asker, SOON, "the process that asks"), Ended::Exit(0));
    };

    let undisturbed = Scene::sized("queue", 2 << 20);
    let first = asker(&undisturbed.options, NEVER);
    wait_for(stage, |stage| stage == 4);
    finish(first);
    let mut in_the_way = 0;
    for at in 0..steps.load(Ordering::SeqCst) {
        let mut scene = Scene::sized("queue", 2 << 20);
        scene.options.write_timeout = Duration::from_millis(10);
        let asker = asker(&scene.options, at);
        assert_eq!(asker.wait_or_stopped(), Ended::Stopped);
        let other = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                arm(INSIDE_A_SET, Fault::Stop);
                // Busy if the process that asks is inside the lock.
                let _ = cache.set(b"v", &bytes(b"1"));
                disarm();
            })
        });
        let is_in_the_way = other.wait_or_stopped() == Ended::Stopped;
        asker.resume();
        wait_for(stage, |stage| stage == 4);
        if is_in_the_way {
            in_the_way += 1;
            resume_to_the_end(other, "the other");
        }
        finish(asker);
    }
    assert!(in_the_way > 2, "a process was in the way only {in_the_way} times");
}

/// The process that has the turn to sweep is suspended. Another takes the turn, although no process writes.
pub(crate) fn suspended_sweeper() {
    let mut scene = Scene::sized("sweeper", 2 << 20);
    scene.options.manual_clock = false;
    let expiring = |cache: &Cache, count: usize| {
        for i in 0..count {
            cache.set(format!("expiring-{i}").as_bytes(), &Write { ttl_ms: 1, ..bytes(b"m") }).expect("set");
        }
    };
    let swept = |cache: &Cache| {
        let start = Instant::now();
        while cache.stats().total.entries > 0 {
            assert!(start.elapsed() < SOON, "{:?}", cache.stats());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let stage = shared_words(1);
    let sweeper = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            expiring(&cache, 5);
            swept(&cache);
            stage[0].store(1, Ordering::SeqCst);
            wait_for(&stage[0], |stage| stage == 2);
        })
    });
    wait_for(&stage[0], |stage| stage == 1);
    assert_eq!(sweeper.stop(), Ended::Stopped);
    in_child("another sweeps", || {
        let cache = open(&scene.options);
        // Fewer than eight writes sweep nothing.
        expiring(&cache, 5);
        swept(&cache);
        assert_eq!(cache.stats().used_bytes, 0);
    });
    stage[0].store(2, Ordering::SeqCst);
    resume_to_the_end(sweeper, "the sweeper");
}

/// A call that takes the lock of a table in the header, the step inside at which it is suspended, and the same call by
/// others.
type TableAct = (&'static str, fn(&Cache, u64) -> Result<(), CacheError>);

/// A process is suspended inside the lock of each table of the header. A call that needs this table fails after
/// `writeTimeout`, later ones at once, and all others go on.
pub(crate) fn stopped_in_a_table() {
    /// Sleeps of at most 10 ms, where the timeout is 10 ms. An acquisition that counts as suspended after 2 s takes 200.
    const MAX_SLEEPS: u64 = 4;
    let acts: [TableAct; 3] = [
        ("namespace.text", |cache, n| cache.in_namespace(&format!("n{n}")).map(|_| ())),
        ("tag.begun", |cache, n| cache.invalidate_tags(&[n], Invalidation::Remove)),
        ("subscription.begun", |cache, n| {
            let listener = cache.add_listener(Box::new(Deaf));
            cache.subscribe(format!("c{n}").as_bytes(), false, 1, listener).map(|_| ())
        }),
    ];
    for (inside, act) in acts {
        let scene = Scene::sized("table", 2 << 20);
        let options = with_timeout(&scene.options, Duration::from_millis(10));
        let step = &shared_words(2)[0];
        in_child("the number of the step", || {
            let scene = Scene::sized("steps", 2 << 20);
            let cache = open(&scene.options);
            let ledger = shared_words(1 << 12);
            trace(ledger);
            arm(NEVER, Fault::Kill);
            act(&cache, 0).expect("alone");
            disarm();
            let at = trace_of(ledger).iter().position(|passed| *passed == print(inside)).expect("the step");
            step.store(at as u64, Ordering::SeqCst);
        });
        let holder = fork(|| {
            done(|| {
                let cache = open(&options);
                arm(step.load(Ordering::SeqCst), Fault::Stop);
                act(&cache, 0).expect("after the stop");
                disarm();
            })
        });
        assert_eq!(holder.wait_or_stopped(), Ended::Stopped);
        in_child("others", || {
            let cache = open(&options);
            put(&cache, "key", b"1");
            assert!(get(&cache, "key").is_some());
            take_visits("lock sleep");
            assert!(matches!(act(&cache, 1), Err(CacheError::Busy(_))), "{inside}");
            let sleeps = take_visits("lock sleep");
            assert!((1..=MAX_SLEEPS).contains(&sleeps), "{inside}: {sleeps} sleeps");
            assert!(matches!(act(&cache, 2), Err(CacheError::Busy(_))), "{inside}");
            assert_eq!(take_visits("lock sleep"), 0, "{inside}: a later call waited");
            for (other, act) in acts.iter().filter(|(other, _)| *other != inside) {
                act(&cache, 3).unwrap_or_else(|error| panic!("{inside} stops {other}: {error}"));
            }
        });
        resume_to_the_end(holder, inside);
        in_child("afterwards", || act(&open(&options), 4).expect("free again"));
    }
}
