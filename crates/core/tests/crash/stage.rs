//! A prepared scenario: the bytes of its segment, its steps, and the checks after a fault.

use crate::checks::{check_names, check_tags};
use crate::near_copies::NearCopy;
use crate::scenarios::flights::begin;
use crate::scenarios::permits::LOCK;
use crate::scenarios::{Scenario, get, set, value_of};
use crate::states::{is_dead_from_the_start, state, state_of_record, universe};
use crate::support::forked::{self, NEVER, file_of, in_child, trace_of};
use crate::support::{assert_valid, bytes, open, options};
use cache_machine_core::{Cache, FlightKind, Keyspace, OpenOptions};
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::Relaxed;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, print, take_visits, trace};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Kill points of one scenario. Of more steps a sample is taken, with the first and the last step of each name.
const MAX_KILLS: usize = 160;

/// Options for a segment of one shard.
pub(crate) fn small(test: &str) -> OpenOptions {
    options(&format!("crash-{test}"), 2 << 20)
}

/// A copy of the bytes of another segment. Its file is removed when it is dropped.
pub(crate) struct Copied {
    pub(crate) options: OpenOptions,
}

impl Copied {
    pub(crate) fn of(content: &[u8]) -> Self {
        let copied = Self { options: small("copy") };
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.write(true).create_new(true).mode(0o600).open(file_of(&copied.options)).unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
        copied
    }

    pub(crate) fn open(&self) -> Cache {
        open(&self.options)
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        std::fs::read(file_of(&self.options)).unwrap()
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // `destroy` would pass through a dead owner's locks; another test covers that.
        let _ = std::fs::remove_file(file_of(&self.options));
    }
}

/// A prepared scenario: the segment's bytes, the steps of its act, and each key's state before and after it.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) ready: fn(&Cache),
    pub(crate) act: fn(&Cache),
    pub(crate) content: Vec<u8>,
    pub(crate) steps: Vec<u64>,
    /// The state of the locks' record between the two steps of its change. 0: there is none.
    pub(crate) halfway: u64,
    pub(crate) keys: Vec<(String, u64, u64)>,
    /// Near copies that were made before the act.
    near: Vec<NearCopy>,
    pub(crate) together: &'static [&'static str],
    pub(crate) repairs: u64,
}

impl Stage {
    pub(crate) fn prepare(scenario: &Scenario, ledger: &'static [AtomicU64]) -> Self {
        let made = Copied { options: OpenOptions { eviction: scenario.eviction, ..small("stage") } };
        in_child(scenario.name, || {
            let cache = made.open();
            (0..scenario.entries).for_each(|i| set(&cache, &format!("e{i}"), &value_of(i)));
            (scenario.prepare)(&cache);
        });
        Self { together: scenario.together, ..Self::of(scenario, made.content(), ledger) }
    }

    /// Runs the act once to its end.
    pub(crate) fn of(scenario: &Scenario, content: Vec<u8>, ledger: &'static [AtomicU64]) -> Self {
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
            // Only of keys that exist: a read of another key could make a namespace.
            for (i, key) in universe.iter().enumerate() {
                if key.starts_with('#') || words[i].load(Relaxed) == 0 {
                    continue;
                }
                let near = &near[i * NearCopy::WORDS..][..NearCopy::WORDS];
                let noted = NearCopy::note(&cache, key).into_iter().flatten();
                near.iter().zip(noted).for_each(|(word, noted)| word.store(noted, Relaxed));
            }
            if let Some(change) = halfway {
                let mut record = cache.words_of(Keyspace::Locks, LOCK).unwrap();
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
    pub(crate) fn run(&self, copied: &Copied, at: u64, fault: Fault, ledger: &'static [AtomicU64]) -> Ended {
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
                // The process goes on after the panic, so it must be able to use the cache.
                Err(_) if fault == Fault::Panic => {
                    self.check(&cache, Some(at), 0);
                    PANICKED
                }
                Err(_) => 1,
            }
        });
        forked::ended_within(child, forked::SOON, self.name)
    }

    /// Runs the act on a copy, at most ten times, until the fault comes after the same steps as the first time. On a
    /// busy machine the sweeper may run in between, and then there are other steps.
    pub(crate) fn run_undisturbed(&self, at: u64, fault: Fault, ledger: &'static [AtomicU64]) -> (Copied, Ended) {
        for _ in 0..10 {
            let copied = Copied::of(&self.content);
            let ended = self.run(&copied, at, fault, ledger);
            let differs = ended == Ended::Signal(9) && !self.is_as_first(at, ledger);
            if !differs && ended != Ended::Exit(DISTURBED) {
                return (copied, ended);
            }
        }
        panic!("{}: other steps than the first time, ten times", self.name);
    }

    fn is_as_first(&self, at: u64, ledger: &[AtomicU64]) -> bool {
        // A panic passes more steps on its way out.
        trace_of(ledger).starts_with(&self.steps[..=at as usize])
    }

    /// Whether a fault at a step leaves a shard that needs a repair. The tables behind the locks of the header need
    /// none.
    pub(crate) fn holds_the_lock_at(&self, at: u64) -> bool {
        let [taken, stolen, released] = ["lock.taken", "lock.stolen", "lock.released"].map(print);
        let in_the_header =
            ["namespace.text", "quota.owner", "tag.begun", "subscription.begun", "resize.begun", "resize.quiet"]
                .map(print);
        let [locked, switched] = ["resize.locked", "resize.switched"].map(print);
        let (mut held, mut copies, mut releases) = (false, false, 0);
        for (i, step) in self.steps[..=at as usize].iter().enumerate() {
            if *step == locked || *step == switched {
                // The locks of an area that was left need no repair.
                held = *step == locked;
                copies = held;
            } else if copies {
                // The lock of the only shard of the new area, then that of the present one.
                releases += u64::from(*step == released);
                if releases == 2 {
                    (held, copies) = (false, false);
                }
            } else if *step == taken || *step == stolen {
                held = !self.steps.get(i + 1).is_some_and(|next| in_the_header.contains(next));
            } else if *step == released {
                held = false;
            }
        }
        held
    }

    /// Checks that every acknowledged change is there, that the interrupted change is whole or absent, and that the
    /// structures are valid. `at`: the step of the only fault, if there was one. `damaged`: the maximum of words that a
    /// repair may drop.
    pub(crate) fn check(&self, cache: &Cache, at: Option<u64>, damaged: u64) {
        let what = format!("{} interrupted at step {at:?}", self.name);
        let states_now = |when: &str| -> Vec<u64> {
            let states = self.keys.iter().map(|(key, before, after)| {
                let state = state(cache, key);
                let is_halfway = key == "#locks" && self.halfway != 0 && state == self.halfway;
                let whole = state == *before || state == *after || is_halfway;
                assert!(whole, "{what}: {key} is neither old nor new {when} the repair");
                state
            });
            states.collect()
        };
        let before = states_now("before");
        self.check_near(cache, &before, &what);
        take_visits("rebuilt entry");
        assert_valid(cache);
        if at.is_some() {
            assert_eq!(take_visits("rebuilt entry"), 0, "{what}: the shard was rebuilt");
        }
        assert_eq!(states_now("after"), before, "{what}: the repair changed a key");
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
        for loads in [FlightKind::Values, FlightKind::Once] {
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

    /// Checks that each near copy that would be served has the present value. `states` were read before the words are.
    fn check_near(&self, cache: &Cache, states: &[u64], what: &str) {
        let content = std::fs::read(cache.path()).unwrap();
        for copy in self.near.iter().filter(|copy| copy.is_valid(cache, &content)) {
            let (key, old, _) = &self.keys[copy.key];
            assert_eq!(states[copy.key], *old, "{what}: an outdated near copy of {key} is served");
        }
    }
}

/// Exit status of a child that panicked at its step, and passed the checks afterwards.
pub(crate) const PANICKED: i32 = 77;

/// Exit status of a child that panicked after other steps than the first time.
const DISTURBED: i32 = 78;

/// The steps of a trace at which to kill: all, or the first and the last step of each name and a sample.
pub(crate) fn kill_points(trace: &[u64]) -> Vec<u64> {
    let mut ends: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (i, print) in (0..).zip(trace) {
        ends.entry(*print).and_modify(|e| e.1 = i).or_insert((i, i));
    }
    let mut points: BTreeSet<u64> = ends.values().flat_map(|(first, last)| [*first, *last]).collect();
    points.extend((0..trace.len() as u64).step_by(trace.len().div_ceil(MAX_KILLS).max(1)));
    points.into_iter().collect()
}
