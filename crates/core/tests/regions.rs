//! Regions under `kill -9`: a region stays usable after a kill at every step of its life, and its lock is a suspect
//! after every death inside it, and only then.
//!
//! Every role is a forked child; see `support/forked.rs`.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Acquired, CacheError, RegionOptions, SharedRegion, destroy_region, inspect_region};
use cache_machine_shm::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, print, take_visits, trace};
use std::sync::atomic::AtomicU64 as Counter;
use std::time::{Duration, Instant};
use support::Random;
use support::forked::{self, Test, ended_within, in_child, trace_of, wait_for};

const TRACE: usize = 1 << 12;
const PATIENT: Duration = Duration::from_secs(10);

fn main() {
    let tests = [
        Test { name: "a_region_stays_usable_after_a_kill_at_every_step_of_its_life", run: killed_at_every_step },
        Test { name: "a_waiter_gets_the_lock_of_a_dead_holder_at_once_as_a_suspect", run: waits_for_a_dead_holder },
        Test { name: "a_suspended_holder_keeps_the_lock", run: suspended_holder },
        Test { name: "a_process_stopped_at_any_step_of_a_region_delays_others_briefly", run: stopped_at_every_step },
        Test { name: "random_kills_of_holders_and_waiters_lose_no_count", run: random_kills },
    ];
    forked::main(&tests, None);
}

/// A region of a test, destroyed when dropped.
struct Place {
    options: RegionOptions,
}

impl Place {
    fn new(test: &str) -> Self {
        static NUMBER: Counter = Counter::new(0);
        let cache = format!("r-{test}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        Self { options: RegionOptions { cache, name: "bytes".into(), directory: None, group: None, size: 100 } }
    }

    fn open(&self) -> SharedRegion {
        SharedRegion::open(&self.options).unwrap().0
    }

    fn destroy(&self) -> bool {
        destroy_region(&self.options.cache, &self.options.name, None, true).unwrap()
    }

    /// The number of its files, with private files of dead creators.
    fn files(&self) -> usize {
        let files = std::fs::read_dir("/dev/shm").unwrap().flatten();
        files.filter(|file| file.file_name().to_string_lossy().contains(&self.options.cache)).count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = destroy_region(&self.options.cache, &self.options.name, None, true);
    }
}

fn word(region: &SharedRegion, n: usize) -> &AtomicU64 {
    region.word(n).unwrap()
}

fn take(region: &SharedRegion) -> Acquired {
    region.lock(PATIENT).unwrap()
}

/// A part of a region's life, by name.
type Act = (&'static str, fn(&Place));

fn killed_at_every_step() {
    let ledger = shared_words(TRACE);
    let acts: [Act; 4] = [
        ("create", |place| drop(place.open())),
        ("join", |place| drop(place.open())),
        ("lock", |place| {
            let region = place.open();
            assert_eq!(take(&region), Acquired::Clean);
            region.unlock().unwrap();
        }),
        ("destroy", |place| assert!(place.destroy())),
    ];
    for (what, act) in acts {
        let mut at = 0;
        loop {
            let place = Place::new(what);
            if what != "create" {
                in_child(what, || word(&place.open(), 0).store(7, Relaxed));
            }
            ledger[0].store(0, Relaxed);
            let child = fork(|| {
                trace(ledger);
                arm(at, Fault::Kill);
                act(&place);
                disarm();
                0
            });
            let ended = ended_within(child, forked::SOON, what);
            assert!(matches!(ended, Ended::Signal(9) | Ended::Exit(0)), "{what} at step {at}: {ended:?}");
            let last = trace_of(ledger).last().copied();
            in_child(what, || {
                let region = place.open();
                let found = word(&region, 0).load(Relaxed);
                assert!(found == 7 || (found == 0 && (what == "create" || what == "destroy")), "{what} at {at}");
                let inside = ended == Ended::Signal(9) && last == Some(print("lock.taken")) && what == "lock";
                assert_eq!(take(&region) == Acquired::Suspect, inside, "{what} at step {at}");
                region.unlock().unwrap();
                assert_eq!(take(&region), Acquired::Clean);
                region.unlock().unwrap();
                assert!(region.is_attached());
                assert_eq!(place.files(), 1, "{what} at step {at} left a file");
            });
            in_child(what, || assert!(place.destroy()));
            assert_eq!(place.files(), 0);
            if ended == Ended::Exit(0) {
                break;
            }
            at += 1;
        }
        assert!(at >= 3, "{what} has only {at} steps");
        println!("  {what}: killed at all {at} steps");
    }
}

fn waits_for_a_dead_holder() {
    let place = Place::new("waits");
    now();
    let words = shared_words(4);
    let mut waits = Vec::new();
    for round in 1..=20 {
        let holder = fork(|| {
            let region = place.open();
            let _ = take(&region);
            words[0].store(round, SeqCst);
            loop {
                std::thread::sleep(PATIENT);
            }
        });
        wait_for(&words[0], |n| n == round);
        let waiter = fork(|| {
            let region = place.open();
            words[1].store(round, SeqCst);
            let acquired = take(&region);
            words[2].store(now(), SeqCst);
            region.unlock().unwrap();
            i32::from(acquired == Acquired::Clean)
        });
        wait_for(&words[1], |n| n == round);
        std::thread::sleep(Duration::from_millis(1 + round % 7));
        let killed = now();
        holder.kill();
        assert_eq!(ended_within(waiter, forked::SOON, "the waiter"), Ended::Exit(0), "its lock was clean");
        waits.push(words[2].load(SeqCst).saturating_sub(killed));
    }
    waits.sort_unstable();
    let (median, longest) = (waits[10] as f64 / 1e6, waits[19] as f64 / 1e6);
    println!("  from the kill to the waiter's lock: {median:.1} ms at the median, {longest:.1} ms at most");
    assert!(median < 100.0, "{median} ms at the median");
}

/// Nanoseconds of the host's monotonic clock.
fn now() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    // The first call comes before the forks, so all processes have the same start.
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn suspended_holder() {
    let place = Place::new("suspended");
    let words = shared_words(1);
    let holder = fork(|| {
        let region = place.open();
        let _ = take(&region);
        words[0].store(1, SeqCst);
        let deadline = Instant::now() + PATIENT;
        while words[0].load(SeqCst) != 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        region.unlock().unwrap();
        0
    });
    wait_for(&words[0], |n| n == 1);
    assert_eq!(holder.stop(), Ended::Stopped);
    in_child("beside a suspended holder", || {
        let region = place.open();
        for millis in [0, 30] {
            let start = Instant::now();
            let error = region.lock(Duration::from_millis(millis)).unwrap_err();
            assert!(matches!(error, CacheError::Busy(_)), "{error}");
            assert!(start.elapsed() >= Duration::from_millis(millis));
        }
        // A destroy without force does not take the lock from the holder.
        let error = destroy_region(&place.options.cache, &place.options.name, None, false).unwrap_err();
        assert!(matches!(error, CacheError::InUse(2)), "{error}");
    });
    words[0].store(2, SeqCst);
    holder.resume();
    assert_eq!(ended_within(holder, forked::SOON, "the holder"), Ended::Exit(0));
    in_child("afterwards", || assert_eq!(take(&place.open()), Acquired::Clean));
}

/// Increments two words, which are equal while no process is inside. Counts what it has begun, what it has done, and
/// suspect locks.
fn counter(place: &Place, begun: &AtomicU64, done: &AtomicU64, suspects: &AtomicU64) -> ! {
    let region = place.open();
    let (first, second) = (word(&region, 0), word(&region, 1));
    loop {
        begun.fetch_add(1, SeqCst);
        if take(&region) == Acquired::Suspect {
            suspects.fetch_add(1, SeqCst);
            second.store(first.load(Relaxed), Relaxed);
        }
        assert_eq!(
            first.load(Relaxed),
            second.load(Relaxed),
            "two processes were inside, or a death left a clean lock"
        );
        first.store(first.load(Relaxed) + 1, Relaxed);
        second.store(second.load(Relaxed) + 1, Relaxed);
        region.unlock().unwrap();
        done.fetch_add(1, SeqCst);
    }
}

/// A process is suspended at each step of an open, of a lock and of a destruction. Others open the region and destroy it by
/// force without a wait, or fail as busy after a bounded number of them. Only the lock is waited for until the timeout.
fn stopped_at_every_step() {
    /// One wait each millisecond, for 100 ms.
    const MAX_GATE_WAITS: u64 = 101;
    /// Sleeps of at most 10 ms each until the timeout of the lock.
    const MAX_SLEEPS: u64 = 4;
    let acts: [Act; 4] = [
        ("create", |place| drop(place.open())),
        ("join", |place| drop(place.open())),
        ("lock", |place| {
            let region = place.open();
            let _ = region.lock(PATIENT);
            region.unlock().ok();
        }),
        ("destroy", |place| assert!(place.destroy())),
    ];
    for (what, act) in acts {
        for at in 0.. {
            let place = Place::new(what);
            if what != "create" {
                in_child(what, || drop(place.open()));
            }
            let child = fork(|| {
                arm(at, Fault::Stop);
                act(&place);
                disarm();
                0
            });
            let ended = child.wait_or_stopped();
            in_child(what, || {
                let region = SharedRegion::open(&place.options);
                assert!(take_visits("gate wait") <= MAX_GATE_WAITS, "{what} at {at}");
                match &region {
                    Ok((region, _)) => {
                        assert!(matches!(region.lock(Duration::from_millis(20)), Ok(_) | Err(CacheError::Busy(_))));
                        region.unlock().unwrap();
                    }
                    Err(error) => assert!(what == "destroy" && matches!(error, CacheError::Busy(_)), "{error}"),
                }
                assert!(take_visits("lock sleep") <= MAX_SLEEPS, "{what} at {at}");
                match destroy_region(&place.options.cache, &place.options.name, None, true) {
                    Ok(_) => assert_eq!(take_visits("gate wait"), 0, "{what} at {at}"),
                    Err(error) => assert!(what == "destroy" && matches!(error, CacheError::Busy(_)), "{error}"),
                }
                assert!(take_visits("gate wait") <= MAX_GATE_WAITS, "{what} at {at}");
                assert_eq!(take_visits("lock sleep"), 0, "{what} at {at}: a destroy waited for the lock");
            });
            if ended != Ended::Stopped {
                assert_eq!(ended, Ended::Exit(0), "{what} at {at}");
                assert!(at > 3, "{what} has only {at} steps");
                break;
            }
            child.resume();
            assert_eq!(ended_within(child, forked::SOON, what), Ended::Exit(0), "{what} at {at}");
        }
    }
}

fn random_kills() {
    const WORKERS: usize = 4;
    const KILLS: u64 = 1000;
    let seed = cache_machine_shm::random_u64();
    println!("  seed {seed}");
    let place = Place::new("random");
    let (begun, done, suspects) = (shared_words(WORKERS), shared_words(WORKERS), shared_words(1));
    let mut random = Random(seed | 1);
    let spawn = |me: usize| fork(|| counter(&place, &begun[me], &done[me], &suspects[0]));
    let mut workers: Vec<Child> = (0..WORKERS).map(spawn).collect();
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_micros(100 + random.below(1000)));
        let victim = random.below(WORKERS as u64) as usize;
        assert_eq!(workers[victim].kill(), Ended::Signal(9), "worker {victim} ended by itself (seed {seed})");
        workers[victim] = spawn(victim);
    }
    for worker in workers {
        assert_eq!(worker.kill(), Ended::Signal(9), "a worker ended by itself (seed {seed})");
    }
    let sum = |words: &[AtomicU64]| words.iter().map(|word| word.load(SeqCst)).sum::<u64>();
    in_child("after the kills", || {
        let region = place.open();
        let _ = take(&region);
        let counted = word(&region, 0).load(Relaxed);
        let (at_least, at_most) = (sum(done), sum(begun));
        assert!((at_least..=at_most).contains(&counted), "counted {counted} of {at_least} to {at_most} (seed {seed})");
        let suspects = suspects[0].load(SeqCst);
        assert!(suspects <= KILLS + WORKERS as u64, "{suspects} suspect locks after {KILLS} kills");
        println!(
            "  {KILLS} kills, {suspects} of them inside the lock; {counted} counts, of which {at_least} were acknowledged"
        );
        let info = inspect_region(&place.options.cache, &place.options.name, None).unwrap().unwrap();
        assert_eq!(info.processes.len(), 1, "dead processes are still attached");
    });
}
