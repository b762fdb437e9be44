//! Kills real processes at every named step and at random, and looks from another process at what is left.
//!
//! Every role is a forked child; this program itself opens nothing and has one thread, so that it may fork. A child that is
//! killed notes each step it passes in memory shared with this program. `KILLS=20000 cargo test … random_kills` for more.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Cache, Eviction, Increment, Manner, NoSink, OpenOptions, Write, destroy, list};
use cache_machine_shm::atomic::{AtomicU64, Ordering::Relaxed};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, passed, print, trace};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Random, bytes};

const NEVER: u64 = u64::MAX - 1;
/// Steps of one operation that are noted.
const TRACE: usize = 1 << 16;
/// Kill points of one scenario; where it has more steps, they are sampled, each name's first and last included.
const MOST_KILLS: usize = 150;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let filter: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let tests: [(&str, fn()); 4] = [
        ("killed_at_every_step_it_leaves_all_old_or_all_new", killed_at_every_step),
        ("a_panic_at_every_step_leaves_a_suspect_that_is_repaired", panic_at_every_step),
        ("a_waiter_killed_beside_a_stopped_holder_harms_nobody", waiter_killed_beside_a_stopped_holder),
        ("random_kills_lose_nothing_and_stop_nobody", random_kills),
    ];
    let (mut ok, mut failed) = (0, 0);
    for (name, test) in tests.iter().filter(|(name, _)| filter.is_empty() || filter.iter().any(|f| name.contains(f))) {
        let start = Instant::now();
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {} ({:.1} s)", if passed { "ok" } else { "FAILED" }, start.elapsed().as_secs_f64());
        if passed { ok += 1 } else { failed += 1 }
    }
    remove_what_failed_tests_left();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {ok} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    std::process::exit(i32::from(failed > 0));
}

fn remove_what_failed_tests_left() {
    let ours = format!("-{}-", std::process::id());
    must_end_well(
        fork(|| {
            for info in list(None).iter().filter(|info| info.name.starts_with("t-crash-") && info.name.contains(&ours))
            {
                let _ = destroy(&info.name, None, true);
            }
            0
        }),
        "clean up",
    );
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

/// What is done, and what must be there afterwards.
struct Scenario {
    name: &'static str,
    eviction: Eviction,
    prepare: fn(&Cache),
    act: fn(&Cache),
    /// The key that `act` changes, and the values (None: absent) that it may have afterwards.
    target: &'static str,
    may_be: fn(Option<&[u8]>) -> bool,
    /// Entries of `prepare`: `e0` to `e<n>`, each with its own value, untouched by `act`.
    entries: u64,
    /// `act` evicts.
    evicts: bool,
    /// `act` clears: entries may be there or not.
    clears: bool,
}

const PLAIN: Scenario = Scenario {
    name: "",
    eviction: Eviction::S3Fifo,
    prepare: |_| {},
    act: |_| {},
    target: "target",
    may_be: |_| true,
    entries: 60,
    evicts: false,
    clears: false,
};

const INCREMENT: Increment =
    Increment { init: 0.0, ttl_ms: 0, min: f64::NEG_INFINITY, max: f64::INFINITY, binary_key: false };

fn scenarios() -> Vec<Scenario> {
    let is_old_or_new = |v: Option<&[u8]>| matches!(v, Some(b"old") | Some([7, ..]));
    vec![
        Scenario {
            name: "set a new key",
            act: |c| set(c, "target", b"new"),
            may_be: |v| matches!(v, None | Some(b"new")),
            ..PLAIN
        },
        Scenario {
            name: "replace",
            prepare: |c| set(c, "target", b"old"),
            act: |c| set(c, "target", &[7; 3]),
            may_be: is_old_or_new,
            ..PLAIN
        },
        Scenario {
            name: "replace by longer",
            prepare: |c| set(c, "target", b"old"),
            act: |c| set(c, "target", &[7; 5000]),
            may_be: is_old_or_new,
            ..PLAIN
        },
        Scenario {
            name: "reserve more space",
            prepare: |c| set(c, "target", b"old"),
            act: |c| set(c, "target", &[7; 300_000]),
            may_be: is_old_or_new,
            ..PLAIN
        },
        Scenario {
            name: "set into a fragmented shard",
            prepare: |c| {
                let mut count = 0;
                while c.stats().capacity_bytes - c.stats().used_bytes > 30_000 {
                    (count..count + 50).for_each(|i| set(c, &format!("f{i}"), &[1; 60]));
                    count += 50;
                }
                // No two free units are neighbours of more than an entry.
                (0..count).step_by(2).for_each(|i| assert!(c.delete(format!("f{i}").as_bytes(), 0).unwrap()));
                set(c, "target", b"old");
            },
            act: |c| set(c, "target", &[7; 30_000]),
            may_be: is_old_or_new,
            ..PLAIN
        },
        Scenario {
            name: "set a key whose line is full",
            prepare: |c| {
                let key = overflowing_key(c);
                set(c, "key", key.as_bytes());
                c.delete(key.as_bytes(), 0).unwrap();
            },
            act: |c| set(c, &named_key(c), b"new"),
            ..PLAIN
        },
        Scenario {
            name: "delete a key whose line is full",
            prepare: |c| {
                let key = overflowing_key(c);
                set(c, "key", key.as_bytes());
            },
            act: |c| assert!(c.delete(named_key(c).as_bytes(), 0).unwrap()),
            ..PLAIN
        },
        Scenario {
            name: "delete",
            prepare: |c| set(c, "target", b"old"),
            act: |c| assert!(c.delete(b"target", 0).unwrap()),
            may_be: |v| matches!(v, None | Some(b"old")),
            ..PLAIN
        },
        Scenario {
            name: "take",
            prepare: |c| set(c, "target", b"old"),
            act: |c| assert!(c.take(b"target", &mut Vec::new()).unwrap().is_some()),
            may_be: |v| matches!(v, None | Some(b"old")),
            ..PLAIN
        },
        Scenario {
            name: "touch, then persist",
            prepare: |c| set(c, "target", b"old"),
            act: |c| assert!(c.touch(b"target", 5).unwrap() && c.touch(b"target", 0).unwrap()),
            may_be: |v| v == Some(b"old"),
            ..PLAIN
        },
        Scenario {
            name: "incr, new and there",
            act: |c| {
                assert!(
                    c.incr(b"target", 1.0, &INCREMENT).unwrap() + c.incr(b"target", 1.0, &INCREMENT).unwrap() == 3.0
                )
            },
            may_be: |v| v.is_none_or(|v| [1.0f64, 2.0].map(f64::to_le_bytes).iter().any(|n| n == v)),
            ..PLAIN
        },
        Scenario { name: "evict, S3-FIFO", prepare: fill, act: evict, entries: 0, evicts: true, ..PLAIN },
        Scenario {
            name: "evict, CLOCK",
            eviction: Eviction::Lru,
            prepare: fill,
            act: evict,
            entries: 0,
            evicts: true,
            ..PLAIN
        },
        Scenario {
            name: "expire",
            prepare: |c| {
                let mortal = Write { ttl_ms: 10, ..bytes(b"m") };
                (0..2000).for_each(|i| assert!(c.set(format!("m{i}").as_bytes(), &mortal).unwrap().is_some()));
                c.advance_clock(10).unwrap();
            },
            act: |c| (0..16).for_each(|i| set(c, "target", &[i; 3])),
            ..PLAIN
        },
        Scenario {
            name: "clear, then set",
            act: |c| {
                c.clear().unwrap();
                set(c, "target", b"new");
            },
            may_be: |v| matches!(v, None | Some(b"new")),
            clears: true,
            ..PLAIN
        },
        Scenario {
            name: "set what is waited for",
            prepare: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                c.wait_for(b"target", 0, listener).unwrap();
            },
            act: |c| set(c, "target", b"new"),
            may_be: |v| matches!(v, None | Some(b"new")),
            ..PLAIN
        },
        Scenario {
            name: "wait",
            act: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                let wait = c.wait_for(b"target", 0, listener).unwrap();
                c.cancel_wait(wait);
            },
            may_be: |v| v.is_none(),
            ..PLAIN
        },
    ]
}

struct Deaf;

impl cache_machine_core::Listener for Deaf {
    fn notify(&self, _: cache_machine_core::Notice) {}
}

fn set(cache: &Cache, key: &str, value: &[u8]) {
    assert!(cache.set(key.as_bytes(), &bytes(value)).unwrap().is_some());
}

fn get(cache: &Cache, key: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    cache.get(key.as_bytes(), Manner::Peek, &mut out).unwrap().map(|_| out)
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
    let mut i = 0;
    while cache.stats().evictions == 0 {
        set(cache, &format!("x{i}"), &value_of(i));
        i += 1;
    }
    set(cache, "filled", &u64::to_le_bytes(i));
}

fn evict(cache: &Cache) {
    (0..3).for_each(|i| set(cache, &format!("y{i}"), &[3; 2000]));
}

fn value_of(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(20 + (n % 30) as usize)
}

/// Fails in this program what failed in a child; a child that does not end in time hangs.
fn must_end_well(child: Child, what: &str) {
    match wait(child, what) {
        Ended::Exit(0) => {}
        other => panic!("{what}: {other:?}"),
    }
}

fn wait(child: Child, what: &str) -> Ended {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(ended) = child.try_wait() {
            return ended;
        }
        if Instant::now() > deadline {
            child.kill();
            panic!("{what}: hangs");
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

fn segment_name(what: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("t-crash-{what}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

/// Runs `act` of a scenario in a child with a fault at its step number `at`, on a segment made for that.
fn run(scenario: &Scenario, name: &str, at: u64, fault: Fault, ledger: &'static [AtomicU64]) -> Ended {
    ledger[0].store(0, Relaxed);
    let child = fork(|| {
        trace(ledger);
        let cache = Cache::open(&OpenOptions { eviction: scenario.eviction, ..options(name) }).unwrap().0;
        (0..scenario.entries).for_each(|i| set(&cache, &format!("e{i}"), &value_of(i)));
        (scenario.prepare)(&cache);
        ledger[0].store(0, Relaxed);
        let hook = std::panic::take_hook();
        if fault == Fault::Panic {
            std::panic::set_hook(Box::new(|_| {}));
        }
        arm(at, fault);
        let outcome = catch_unwind(AssertUnwindSafe(|| (scenario.act)(&cache)));
        disarm();
        std::panic::set_hook(hook);
        match outcome {
            Ok(()) => 0,
            // The process lives on, and must be able to go on itself.
            Err(_) if fault == Fault::Panic => {
                check(scenario, &cache);
                77
            }
            Err(_) => 1,
        }
    });
    wait(child, scenario.name)
}

/// All that was acknowledged is there, the interrupted change is whole or nothing, and the structures add up.
fn check(scenario: &Scenario, cache: &Cache) {
    let what = scenario.name;
    let look = |when: &str| {
        for i in 0..scenario.entries {
            let found = get(cache, &format!("e{i}"));
            let fine = found == Some(value_of(i)) || (scenario.clears && found.is_none());
            assert!(fine, "{what}: entry {i} {when}: {:?}", found.map(|v| v.len()));
        }
        let target = get(cache, scenario.target);
        assert!((scenario.may_be)(target.as_deref()), "{what}: target {when}: {:?}", target.map(|v| v.len()));
        target
    };
    let before = look("before the repair");
    assert_eq!(cache.validate().unwrap(), Vec::<String>::new(), "{what}");
    assert_eq!(look("after the repair"), before, "{what}: the repair changed the target");
    if scenario.evicts {
        check_evicted(what, cache);
    } else {
        assert_eq!(cache.stats().evictions, 0, "{what}");
    }
    assert_eq!(cache.stats().damaged, 0, "{what}: a death damages nothing");
    for i in 0..20 {
        set(cache, &format!("after{i}"), &value_of(i));
    }
    set(cache, scenario.target, b"again");
    assert_eq!(get(cache, scenario.target).as_deref(), Some(&b"again"[..]));
    assert_eq!(cache.validate().unwrap(), Vec::<String>::new(), "{what}, after new writes");
}

fn check_evicted(what: &str, cache: &Cache) {
    let filled = get(cache, "filled").map_or(0, |v| u64::from_le_bytes(v.try_into().unwrap()));
    let there = (0..filled).filter(|i| {
        get(cache, &format!("x{i}")).is_some_and(|v| {
            assert_eq!(v, value_of(*i), "{what}");
            true
        })
    });
    let gone = filled - there.count() as u64;
    // The death may have come between an eviction and its being counted.
    assert!(
        filled > 0 && gone <= cache.stats().evictions + 1,
        "{what}: {gone} gone, {} evicted",
        cache.stats().evictions
    );
}

/// The steps at which to kill, for a trace of all that are passed: all, or each name's first and last and a sample.
fn kill_points(trace: &[u64]) -> Vec<u64> {
    let mut points: BTreeSet<u64> = BTreeSet::new();
    let mut ends: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (i, print) in (0..).zip(trace) {
        ends.entry(*print).and_modify(|e| e.1 = i).or_insert((i, i));
    }
    points.extend(ends.values().flat_map(|(first, last)| [*first, *last]));
    let stride = trace.len().div_ceil(MOST_KILLS);
    points.extend((0..trace.len() as u64).step_by(stride.max(1)));
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
    for folder in ["shm/src", "core/src"] {
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

fn killed_at_every_step() {
    let ledger = shared_words(TRACE);
    let mut killed_at: BTreeSet<u64> = BTreeSet::new();
    let mut kills = 0;
    for scenario in &scenarios() {
        let name = segment_name("dry");
        assert_eq!(run(scenario, &name, NEVER, Fault::Kill, ledger), Ended::Exit(0), "{}", scenario.name);
        let trace = trace_of(ledger);
        clean(&name);
        let points = kill_points(&trace);
        for at in &points {
            let name = segment_name("step");
            // Where a key falls differs from segment to segment, and so may the number of steps.
            if run(scenario, &name, *at, Fault::Kill, ledger) == Ended::Signal(9) {
                killed_at.insert(*trace_of(ledger).last().unwrap());
                kills += 1;
            }
            let what = format!("{} killed at step {at}", scenario.name);
            must_end_well(
                fork(|| {
                    check(scenario, &Cache::open(&options(&name)).unwrap().0);
                    0
                }),
                &what,
            );
            clean(&name);
        }
        println!("  {}: {} steps, killed at {}", scenario.name, trace.len(), points.len());
    }
    kills += kill_in_the_rebuild(ledger, &mut killed_at);
    kills += kill_in_the_life_of_a_segment(ledger, &mut killed_at);
    killed_at.extend([print("lock.waiting")]); // waiter_killed_beside_a_stopped_holder
    let missed: Vec<_> = steps_in_the_sources().into_iter().filter(|(print, _)| !killed_at.contains(print)).collect();
    assert!(missed.is_empty(), "never killed at {missed:?}");
    println!("  {kills} kills at {} named steps", killed_at.len());
}

fn clean(name: &str) {
    must_end_well(fork(|| i32::from(destroy(name, None, true).is_err())), "destroy");
}

/// Kills the repairer of a shard whose owner was killed, at each step of the rebuild; then the repairer's repairer.
fn kill_in_the_rebuild(ledger: &'static [AtomicU64], killed_at: &mut BTreeSet<u64>) -> u64 {
    let scenario = Scenario {
        name: "rebuild",
        entries: 40,
        act: |c| set(c, "target", b"new"),
        may_be: |v| matches!(v, None | Some(b"new")),
        ..PLAIN
    };
    let repair = |name: &str, at: u64| {
        ledger[0].store(0, Relaxed);
        let child = fork(|| {
            trace(ledger);
            let cache = Cache::open(&options(name)).unwrap().0;
            ledger[0].store(0, Relaxed);
            arm(at, Fault::Kill);
            i32::from(cache.validate().is_err())
        });
        wait(child, "rebuild")
    };
    // One entry's head is overwritten, so that the rebuild also drops a word.
    let damage = |name: &str| {
        must_end_well(
            fork(|| {
                let cache = Cache::open(&options(name)).unwrap().0;
                let path = cache.path().to_owned();
                let file = std::fs::read(&path).unwrap();
                let key = b"e39\0\0\0\0\0";
                let at = (0..file.len()).step_by(64).find(|at| file[*at..].starts_with(key)).unwrap();
                use std::os::unix::fs::FileExt;
                std::fs::OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .write_all_at(&[0xEE; 8], at as u64 - 64)
                    .unwrap();
                0
            }),
            "damage",
        );
    };
    let die = |name: &str| assert_eq!(run(&scenario, name, 8, Fault::Kill, ledger), Ended::Signal(9));
    let name = segment_name("dry");
    die(&name);
    damage(&name);
    assert_eq!(repair(&name, NEVER), Ended::Exit(0));
    let trace = trace_of(ledger);
    clean(&name);
    let points = kill_points(&trace);
    let mut kills = 0;
    for (i, at) in points.iter().enumerate() {
        let name = segment_name("rebuild");
        die(&name);
        damage(&name);
        // Once more, at another step, for the third death.
        for at in [*at, points[(i * 7) % points.len()]] {
            if repair(&name, at) == Ended::Signal(9) {
                killed_at.insert(*trace_of(ledger).last().unwrap());
                kills += 1;
            }
        }
        must_end_well(
            fork(|| {
                let cache = Cache::open(&options(&name)).unwrap().0;
                assert_eq!(cache.validate().unwrap(), Vec::<String>::new());
                for i in 0..39 {
                    assert_eq!(get(&cache, &format!("e{i}")), Some(value_of(i)), "entry {i}");
                }
                set(&cache, "e39", b"again");
                set(&cache, "target", b"again");
                assert_eq!(cache.validate().unwrap(), Vec::<String>::new());
                0
            }),
            &format!("rebuild killed at step {at}"),
        );
        clean(&name);
    }
    println!("  rebuild: {} steps, killed at {}, twice each", trace.len(), points.len());
    kills
}

/// Kills while a segment is created, joined and destroyed.
fn kill_in_the_life_of_a_segment(ledger: &'static [AtomicU64], killed_at: &mut BTreeSet<u64>) -> u64 {
    // What it is called, whether there is a segment before, and what is done.
    type Life = (&'static str, bool, fn(&str) -> i32);
    let lives: [Life; 3] = [
        ("create", false, |name| i32::from(Cache::open(&options(name)).is_err())),
        ("join", true, |name| i32::from(Cache::open(&options(name)).is_err())),
        ("destroy", true, |name| i32::from(destroy(name, None, true).is_err())),
    ];
    let mut kills = 0;
    for (what, exists, live) in lives {
        let mut at = 0;
        loop {
            let name = segment_name(what);
            if exists {
                must_end_well(
                    fork(|| {
                        set(&Cache::open(&options(&name)).unwrap().0, "kept", b"value");
                        0
                    }),
                    what,
                );
            }
            ledger[0].store(0, Relaxed);
            let ended = wait(
                fork(|| {
                    trace(ledger);
                    arm(at, Fault::Kill);
                    live(&name)
                }),
                what,
            );
            must_end_well(
                fork(|| {
                    let cache = Cache::open(&options(&name)).unwrap().0;
                    let kept = get(&cache, "kept");
                    assert!(kept.is_none() || kept.as_deref() == Some(b"value"));
                    assert!(kept.is_some() || !exists || what == "destroy", "{what} lost the entry");
                    set(&cache, "new", b"1");
                    assert_eq!(cache.validate().unwrap(), Vec::<String>::new());
                    let private = std::fs::read_dir("/dev/shm").unwrap().flatten().any(|f| {
                        let file = f.file_name().into_string().unwrap_or_default();
                        file.contains(&format!(".{name}~"))
                    });
                    assert!(!private, "the private file of a dead creator is left");
                    0
                }),
                &format!("{what} killed at step {at}"),
            );
            clean(&name);
            if ended != Ended::Signal(9) {
                assert_eq!(ended, Ended::Exit(0), "{what}");
                break;
            }
            killed_at.insert(*trace_of(ledger).last().unwrap());
            kills += 1;
            at += 1;
        }
        println!("  {what}: killed at all {at} steps");
    }
    kills
}

fn panic_at_every_step() {
    let ledger = shared_words(TRACE);
    let mut panics = 0;
    for scenario in &scenarios() {
        let name = segment_name("dry");
        assert_eq!(run(scenario, &name, NEVER, Fault::Kill, ledger), Ended::Exit(0), "{}", scenario.name);
        let trace = trace_of(ledger);
        clean(&name);
        for at in kill_points(&trace).into_iter().step_by(2) {
            let name = segment_name("panic");
            let ended = run(scenario, &name, at, Fault::Panic, ledger);
            assert!(matches!(ended, Ended::Exit(0 | 77)), "{} panicked at step {at}: {ended:?}", scenario.name);
            panics += i32::from(ended == Ended::Exit(77));
            clean(&name);
        }
    }
    println!("  {panics} panics");
}

fn waiter_killed_beside_a_stopped_holder() {
    let name = segment_name("waiter");
    let ledger = shared_words(TRACE);
    let holder = fork(|| {
        let cache = Cache::open(&options(&name)).unwrap().0;
        set(&cache, "kept", b"value");
        arm(3, Fault::Stop);
        set(&cache, "target", b"holder's");
        0
    });
    assert_eq!(holder.wait_or_stopped(), Ended::Stopped);
    let waiter = fork(|| {
        let cache = Cache::open(&options(&name)).unwrap().0;
        trace(ledger);
        // 2 MiB are one shard, so every key is behind the stopped holder.
        arm(0, Fault::Kill);
        set(&cache, "other", b"waiter's");
        0
    });
    assert_eq!(wait(waiter, "waiter"), Ended::Signal(9));
    assert_eq!(trace_of(ledger), [print("lock.waiting")]);
    holder.resume();
    assert_eq!(wait(holder, "holder"), Ended::Exit(0));
    must_end_well(
        fork(|| {
            let cache = Cache::open(&options(&name)).unwrap().0;
            assert_eq!(get(&cache, "target").as_deref(), Some(&b"holder's"[..]));
            assert_eq!(get(&cache, "other"), None);
            set(&cache, "other", b"1");
            assert_eq!(cache.validate().unwrap(), Vec::<String>::new());
            assert_eq!(cache.stats().repairs, 0, "a living holder was robbed");
            0
        }),
        "after the waiter's death",
    );
    clean(&name);
}

// ---- random kills ----------------------------------------------------------------------------------------------------

const WORKERS: usize = 4;
const KEYS: usize = 256;

/// Words of the ledger that the workers and this program share, outside the segment.
struct Ledger(&'static [AtomicU64]);

impl Ledger {
    fn new() -> Self {
        Self(shared_words(2 * WORKERS * KEYS + 2 * WORKERS + 3))
    }

    /// Number of the newest operation begun on a key, and of the newest that returned. One writer per key.
    fn begun(&self, key: usize) -> &AtomicU64 {
        &self.0[key]
    }

    fn done(&self, key: usize) -> &AtomicU64 {
        &self.0[WORKERS * KEYS + key]
    }

    /// Increments begun and returned, per worker.
    fn counted(&self, worker: usize, done: bool) -> &AtomicU64 {
        &self.0[2 * WORKERS * KEYS + 2 * worker + usize::from(done)]
    }

    fn longest_ns(&self) -> &AtomicU64 {
        &self.0[2 * WORKERS * KEYS + 2 * WORKERS]
    }

    fn writes(&self) -> &AtomicU64 {
        &self.0[2 * WORKERS * KEYS + 2 * WORKERS + 1]
    }

    fn reads(&self) -> &AtomicU64 {
        &self.0[2 * WORKERS * KEYS + 2 * WORKERS + 2]
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

fn check_read(ledger: &Ledger, cache: &Cache, key: usize) {
    let at_least = ledger.done(key).load(std::sync::atomic::Ordering::SeqCst);
    let found = get(cache, &format!("key{key}"));
    let at_most = ledger.begun(key).load(std::sync::atomic::Ordering::SeqCst);
    match found {
        Some(value) => {
            let n = u64::from_le_bytes(value[..8].try_into().unwrap());
            assert!((at_least..=at_most).contains(&n), "key {key}: read {n}, not in {at_least}..={at_most}");
            assert!(!deletes(n) && value == numbered(key, n), "key {key}: torn at {n}");
        }
        None => assert!(at_least == 0 || (at_least..=at_most).any(deletes), "key {key}: lost {at_least}..={at_most}"),
    }
}

fn worker(name: &str, ledger: &Ledger, worker: usize, seed: u64) -> i32 {
    let cache = Cache::open(&OpenOptions { size: 32 << 20, ..options(name) }).unwrap().0;
    let mut random = Random(seed | 1);
    loop {
        let key = worker * KEYS + random.below(KEYS as u64) as usize;
        let start = Instant::now();
        match random.below(10) {
            0..4 => {
                let n = ledger.begun(key).load(Relaxed) + 1;
                ledger.begun(key).store(n, std::sync::atomic::Ordering::SeqCst);
                let text = format!("key{key}");
                if deletes(n) {
                    cache.delete(text.as_bytes(), 0).unwrap();
                } else {
                    let value = numbered(key, n);
                    assert!(cache.set(text.as_bytes(), &bytes(&value)).unwrap().is_some());
                }
                ledger.done(key).store(n, std::sync::atomic::Ordering::SeqCst);
                ledger.writes().fetch_add(1, Relaxed);
            }
            4 => {
                ledger.counted(worker, false).fetch_add(1, Relaxed);
                cache.incr(b"counter", 1.0, &INCREMENT).unwrap();
                ledger.counted(worker, true).fetch_add(1, Relaxed);
            }
            5 => {
                cache.touch(format!("key{key}").as_bytes(), 0).unwrap();
            }
            _ => {
                check_read(ledger, &cache, random.below((WORKERS * KEYS) as u64) as usize);
                ledger.reads().fetch_add(1, Relaxed);
            }
        }
        ledger.longest_ns().fetch_max(start.elapsed().as_nanos() as u64, Relaxed);
    }
}

fn random_kills() {
    let kills: u64 = std::env::var("KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(2000);
    let seed: u64 =
        std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(cache_machine_shm::random_u64);
    println!("  seed {seed}");
    let name = segment_name("random");
    let ledger = Ledger::new();
    let mut random = Random(seed | 1);
    let spawn = |who: usize, seed: u64| fork(|| worker(&name, &ledger, who, seed));
    let mut workers: Vec<Child> = (0..WORKERS).map(|who| spawn(who, random.next())).collect();
    let start = Instant::now();
    for kill in 0..kills {
        std::thread::sleep(Duration::from_micros(200 + random.below(1500)));
        let who = random.below(WORKERS as u64) as usize;
        assert_eq!(workers[who].kill(), Ended::Signal(9), "worker {who} ended by itself (seed {seed})");
        workers[who] = spawn(who, random.next());
        if kill % 250 == 249 {
            must_end_well(
                fork(|| {
                    let cache = Cache::open(&options(&name)).unwrap().0;
                    i32::from(cache.validate().unwrap() != Vec::<String>::new())
                }),
                "validate under load",
            );
        }
    }
    let elapsed = start.elapsed();
    for child in workers {
        assert_eq!(child.kill(), Ended::Signal(9), "a worker ended by itself (seed {seed})");
    }
    must_end_well(
        fork(|| {
            let cache = Cache::open(&options(&name)).unwrap().0;
            (0..WORKERS * KEYS).for_each(|key| check_read(&ledger, &cache, key));
            assert_eq!(cache.validate().unwrap(), Vec::<String>::new());
            (0..WORKERS * KEYS).for_each(|key| check_read(&ledger, &cache, key));
            let sum = |done| (0..WORKERS).map(|w| ledger.counted(w, done).load(Relaxed)).sum::<u64>() as f64;
            let counter = get(&cache, "counter").map_or(0.0, |v| f64::from_le_bytes(v.try_into().unwrap()));
            assert!(
                (sum(true)..=sum(false)).contains(&counter),
                "counted {counter} of {} to {}",
                sum(true),
                sum(false)
            );
            let stats = cache.stats();
            assert_eq!((stats.evictions, stats.damaged), (0, 0));
            println!(
                "  {kills} kills in {:.1} s, {} of them in a critical section; {} acknowledged writes, {} checked reads, \
             0 lost, 0 torn; longest operation of a survivor {:.1} ms",
                elapsed.as_secs_f64(),
                stats.repairs,
                ledger.writes().load(Relaxed),
                ledger.reads().load(Relaxed),
                ledger.longest_ns().load(Relaxed) as f64 / 1e6,
            );
            let _ = cache.get(b"counter", Manner::Use, &mut NoSink);
            0
        }),
        "after the kills",
    );
    clean(&name);
    assert!(list(None).iter().all(|info| info.name != name));
}
