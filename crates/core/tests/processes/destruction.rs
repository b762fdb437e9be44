//! Segments that are destroyed while processes use them, and races for a name.

use crate::support::forked::{
    INSIDE_A_SET, NEVER, Slate, done, ended_within, file_of, in_child, resume_to_the_end, wait_for,
};
use crate::support::{Random, SOON, Scene, assert_valid, bytes, get, number_from_env, open, put};
use cache_machine_core::{Cache, CacheError, OpenOptions, ReadMode, destroy};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, take_visits};
use std::time::{Duration, Instant};

/// A handle that was opened just before the destruction of its segment knew only the epoch after the destruction. It
/// saw no change, and answered reads from a segment without a name until its next check, a second later.
pub(crate) fn followed_name() {
    let scene = Scene::sized("followed", 2 << 20);
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let opener = fork(|| {
        done(|| {
            // Suspended at the last step of `open`: it has joined the segment and left the gate.
            arm(steps_of_open(&scene.options) - 1, Fault::Stop);
            let cache = open(&scene.options);
            disarm();
            let mut out = Vec::new();
            let read = cache.get(b"key", ReadMode::Use, &mut out);
            let fresh = matches!(read, Err(CacheError::Detached)) || out == b"new";
            assert!(fresh, "{read:?}: {}", String::from_utf8_lossy(&out));
        })
    });
    assert_eq!(opener.wait_or_stopped(), Ended::Stopped);
    in_child("the destroyer", || {
        assert!(destroy(&scene.options.name, None, true).expect("destroy"));
        put(&open(&scene.options), "key", b"new");
    });
    resume_to_the_end(opener, "the opener");
}

/// The number of steps in an `open` of this segment.
fn steps_of_open(options: &OpenOptions) -> u64 {
    let count = shared_words(1);
    in_child("count", || {
        arm(NEVER, Fault::Kill);
        drop(open(options));
        count[0].store(cache_machine_shm::steps::passed().values().sum(), Ordering::SeqCst);
    });
    count[0].load(Ordering::SeqCst)
}

/// A destroyer is killed at each of its steps while another process has the segment open. The next open of the name may
/// find the old segment or make a new one. The old handle then agrees with it or is detached.
pub(crate) fn half_destroyed() {
    let mut detached = 0;
    for at in 0.. {
        let scene = Scene::sized("half", 2 << 20);
        let words = shared_words(2);
        let (turn, result) = (&words[0], &words[1]);
        let slate = Slate::new();
        let attached = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                put(&cache, "key", b"old");
                // The handle knows the epoch from now on, so only another epoch makes it check again.
                assert_eq!(get(&cache, "key").as_deref(), Some(&b"old"[..]));
                turn.store(1, Ordering::SeqCst);
                wait_for(turn, |t| t == 2);
                let mut out = Vec::new();
                let read = cache.get(b"key", ReadMode::Use, &mut out);
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
                // 2: both use one segment, so the write of the attached process is visible.
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

/// Waits of one call that a suspended process may cause at the gate: one each millisecond, for 100 ms.
const MAX_GATE_WAITS: u64 = 101;

/// The waits of this thread at the gate and for locks since the last call.
fn waits() -> (u64, u64) {
    (take_visits("gate wait"), take_visits("lock sleep"))
}

/// A writer that is suspended inside the lock has checked the state of the segment. Meanwhile the segment is destroyed. No
/// other process waits for the writer, and its write is not acknowledged in the segment that has no name any more.
pub(crate) fn destroyed_under_a_writer() {
    let scene = Scene::sized("inside", 2 << 20);
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    let turn = &shared_words(1)[0];
    let reader = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            assert_eq!(get(&cache, "key").as_deref(), Some(&b"old"[..]));
            turn.store(1, Ordering::SeqCst);
            wait_for(turn, |turn| turn == 2);
            waits();
            let read = cache.get(b"key", ReadMode::Use, &mut Vec::new());
            assert!(matches!(read, Err(CacheError::Detached)), "{read:?}");
            let cache = open(&scene.options);
            assert_eq!(get(&cache, "key").as_deref(), Some(&b"new"[..]));
            assert_eq!(waits(), (0, 0), "a read waited");
        })
    });
    wait_for(turn, |turn| turn == 1);
    let writer = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            arm(INSIDE_A_SET, Fault::Stop);
            let written = cache.set(b"key", &bytes(b"into the old segment"));
            disarm();
            assert!(matches!(written, Err(CacheError::Detached)), "{written:?}");
            assert_eq!(get(&open(&scene.options), "key").as_deref(), Some(&b"new"[..]));
        })
    });
    assert_eq!(writer.wait_or_stopped(), Ended::Stopped);
    in_child("destroyer", || {
        waits();
        assert!(destroy(&scene.options.name, None, true).expect("destroy"));
        assert_eq!(waits(), (0, 0), "the destroyer waited");
    });
    assert!(!file_of(&scene.options).exists(), "the name is not free");
    in_child("opener", || {
        let cache = open(&scene.options);
        put(&cache, "key", b"new");
        assert_valid(&cache);
        assert_eq!(waits(), (0, 0), "the opener waited");
    });
    turn.store(2, Ordering::SeqCst);
    assert_eq!(ended_within(reader, SOON, "the reader"), Ended::Exit(0));
    resume_to_the_end(writer, "the writer");
}

/// A process is suspended at each step of an `open`, of a segment that exists and of one that does not. Another process
/// opens and destroys the segment without a wait. Without force it destroys it, or has a bounded wait.
pub(crate) fn suspended_openers() {
    for exists in [true, false] {
        for at in 0.. {
            let scene = Scene::sized("opener", 2 << 20);
            if exists {
                in_child("create", || drop(open(&scene.options)));
            }
            let opener = fork(|| {
                done(|| {
                    arm(at, Fault::Stop);
                    let cache = Cache::open(&scene.options).expect("open").0;
                    disarm();
                    match cache.set(b"key", &bytes(b"late")) {
                        Ok(_) | Err(CacheError::Detached) => {}
                        Err(error) => panic!("{error}"),
                    }
                })
            });
            let ended = opener.wait_or_stopped();
            in_child("others", || {
                let cache = Cache::open(&OpenOptions { open_timeout: Duration::ZERO, ..scene.options.clone() });
                put(&cache.expect("open").0, "key", b"1");
                assert_eq!(waits(), (0, 0), "stopped at step {at}: an open waited");
                match destroy(&scene.options.name, None, false) {
                    Ok(true) | Err(CacheError::InUse(_) | CacheError::Busy(_)) => {}
                    other => panic!("{other:?}"),
                }
                assert!(waits().0 <= MAX_GATE_WAITS, "stopped at step {at}");
                destroy(&scene.options.name, None, true).expect("destroy");
                assert_eq!(waits(), (0, 0), "stopped at step {at}: a destroy by force waited");
                assert!(!file_of(&scene.options).exists());
            });
            if ended != Ended::Stopped {
                assert_eq!(ended, Ended::Exit(0));
                assert!(at > 3, "an open has only {at} steps");
                break;
            }
            resume_to_the_end(opener, "the opener");
        }
    }
}

/// A process is suspended at each step of a `destroy`. Reads and writes of attached processes do not wait. An `open` waits
/// for a bounded time, and not at all without patience.
pub(crate) fn suspended_destroyers() {
    let mut busy = 0;
    for at in 0.. {
        let scene = Scene::sized("destroyer", 2 << 20);
        let turn = &shared_words(1)[0];
        let attached = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                put(&cache, "key", b"old");
                turn.store(1, Ordering::SeqCst);
                wait_for(turn, |turn| turn == 2);
                waits();
                let read = cache.get(b"key", ReadMode::Use, &mut Vec::new());
                assert!(matches!(read, Ok(Some(_)) | Err(CacheError::Detached)), "{read:?}");
                assert_eq!(waits(), (0, 0), "a read waited");
            })
        });
        wait_for(turn, |turn| turn == 1);
        let destroyer = fork(|| {
            done(|| {
                arm(at, Fault::Stop);
                destroy(&scene.options.name, None, true).expect("destroy");
                disarm();
            })
        });
        let ended = destroyer.wait_or_stopped();
        turn.store(2, Ordering::SeqCst);
        assert_eq!(ended_within(attached, SOON, "the attached"), Ended::Exit(0));
        in_child("others", || {
            waits();
            let once = Cache::open(&OpenOptions { open_timeout: Duration::ZERO, ..scene.options.clone() });
            assert_eq!(waits().0, 0, "stopped at step {at}: an open without patience waited");
            let patient = Cache::open(&scene.options);
            assert!(waits().0 <= MAX_GATE_WAITS, "stopped at step {at}");
            let is_named = file_of(&scene.options).exists();
            match (&once, &patient) {
                (Ok(_), Ok((cache, _))) => assert!(put(cache, "key", b"new") > 0),
                (Err(CacheError::Busy(_)), Err(CacheError::Busy(_))) => assert!(is_named, "no name, and yet busy"),
                other => panic!("stopped at step {at}: {:?} {:?}", other.0.as_ref().err(), other.1.as_ref().err()),
            }
            turn.store(if patient.is_ok() { 3 } else { 4 }, Ordering::SeqCst);
        });
        busy += u64::from(turn.load(Ordering::SeqCst) == 4);
        if ended != Ended::Stopped {
            assert_eq!(ended, Ended::Exit(0));
            assert!(at > 5 && busy > 0, "{at} steps, busy after {busy} of them");
            break;
        }
        resume_to_the_end(destroyer, "the destroyer");
        in_child("afterwards", || {
            let cache = open(&scene.options);
            put(&cache, "key", b"new");
            assert_valid(&cache);
        });
    }
}

/// Some processes destroy the name, and others open it and write. A process that opens it finds the last acknowledged
/// write, unless a destruction has begun since.
pub(crate) fn races() {
    const LONG: Duration = Duration::from_millis(2500);
    // The minimum of destructions, however long they take.
    let min_destroyed = number_from_env("RACES").unwrap_or(0);
    let scene = Scene::sized("races", 2 << 20);
    let words = shared_words(8);
    let [begun, ended, acknowledged, opens, checks, destroys, destroyed, _] = words else { unreachable!() };
    let until = Instant::now() + LONG;
    let is_over = || Instant::now() >= until && destroyed.load(Ordering::SeqCst) >= min_destroyed;
    let limit = SOON * (1 + min_destroyed as u32 / 500);
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
                let newest = acknowledged.load(Ordering::SeqCst);
                let mut out = Vec::new();
                match cache.get(b"key", ReadMode::Use, &mut out) {
                    Ok(found) => {
                        let n = found.map_or(0, |_| u64::from_le_bytes(out[..].try_into().expect("8 bytes")));
                        if newest != 0 && begun.load(Ordering::SeqCst) == newest >> 32 {
                            assert!(n >= newest & 0xFFFF_FFFF, "read {n}, acknowledged {}", newest & 0xFFFF_FFFF);
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

/// Processes that create, join and destroy are killed at random moments.
pub(crate) fn races_with_deaths() {
    let scene = Scene::sized("deaths", 2 << 20);
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
    let kills = number_from_env("RACES").unwrap_or(4000) / 10;
    for kill in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(4000)));
        let victim = random.below(4) as usize;
        assert_eq!(children[victim].kill(), Ended::Signal(9), "a process ended by itself");
        children[victim] = spawn(kill + 10);
    }
    for child in children {
        assert_eq!(child.kill(), Ended::Signal(9), "a process ended by itself");
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        put(&cache, "key", b"1");
        assert_valid(&cache);
    });
    assert!(file_of(&scene.options).exists());
}
