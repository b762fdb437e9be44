//! Histories of four processes that are killed now and then: for each key there is an order of all calls that explains
//! what each of them returned.
//!
//! A key is a register with a version, a deadline and perhaps a tag, or a number that is incremented. The processes give up
//! the processor at random steps inside their critical sections, so that calls do overlap, and are killed at random steps.
//! `HISTORIES=10000 SEED=1 cargo test … linearizable` for more.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Cache, Condition, Invalidation, Manner, OpenOptions, Write, kind};
use cache_machine_shm::atomic::{AtomicU64, Ordering::SeqCst};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, unsettle};
use std::time::Duration;
use support::forked::{self, SOON, Test, in_child};
use support::linearize::{Event, MOST, Model, is_linearizable};
use support::{PLAIN, Random, Scene, assert_valid};

fn main() {
    let tests = [
        Test { name: "the_checker_accepts_what_can_be", run: accepted },
        Test { name: "the_checker_rejects_what_cannot_be", run: rejected },
        Test { name: "histories_of_four_processes_with_kills_are_linearizable", run: histories },
    ];
    forked::main(&tests, None);
}

/// A call on one key with its result; those that concern all keys are part of each key's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Get { found: Option<Seen> },
    Set { number: u64, ttl: u64, tagged: bool, condition: When, stored: Option<u64> },
    Delete { version: u64, deleted: bool },
    Take { found: Option<u64> },
    Incr { sum: u64 },
    Touch { ttl: u64, touched: bool },
    Advance { by: u64 },
    Clear,
    Invalidate,
}

/// A value and its version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Seen {
    number: u64,
    version: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Always,
    Absent,
    Version(u64),
}

/// What a key may hold, after the rules of the documentation.
///
/// Time is no call: a call reads the clock once it has begun, and what it does becomes visible a little later, when the clock may
/// have moved on. So a write may judge, and date, by any time between its beginning and its effect. The same goes for the
/// condition of a `set` beside an invalidation, of which it reads the clock once; see architecture, I9.
struct Key;

/// When a call began: the clock, and how many invalidations had ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Begun {
    clock: u64,
    era: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    clock: u64,
    /// Invalidations so far.
    era: u64,
    entry: Option<Entry>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Entry {
    number: u64,
    /// Unknown where nobody was told; the first who sees it tells.
    version: Option<u64>,
    deadline: u64,
    tagged: bool,
    /// The era that ended it.
    ended: Option<u64>,
}

/// What an increment starts from.
const NOTHING: Entry = Entry { number: 0, version: None, deadline: 0, tagged: false, ended: None };

impl Entry {
    /// Whether it is of this version, and whether it may be another.
    fn is(&self, version: u64) -> (bool, bool) {
        (self.version.is_none_or(|own| own == version), self.version != Some(version))
    }
}

impl State {
    fn live_at(&self, Begun { clock, era }: Begun) -> Option<Entry> {
        self.entry
            .filter(|entry| entry.deadline == 0 || clock < entry.deadline)
            .filter(|entry| entry.ended.is_none_or(|ended| ended > era))
    }

    fn now(&self) -> Begun {
        Begun { clock: self.clock, era: self.era }
    }

    fn with(&self, entry: Option<Entry>) -> Self {
        Self { entry, ..self.clone() }
    }

    /// With an entry that has so long to live from a time on between the beginning of its call and now.
    fn dated(&self, begun: u64, ttl: u64, entry: Entry) -> Vec<Self> {
        if ttl == 0 {
            return vec![self.with(Some(Entry { deadline: 0, ..entry }))];
        }
        (begun..=self.clock).map(|clock| self.with(Some(Entry { deadline: clock + ttl, ..entry }))).collect()
    }

    /// What a write that begun at this time does, which found `live`.
    fn written(&self, call: &Call, begun: u64, live: Option<Entry>, has_ended: bool) -> Vec<Self> {
        let same = || vec![self.clone()];
        let when = |fits: bool, states: Vec<Self>| if fits || !has_ended { states } else { Vec::new() };
        match *call {
            Call::Set { number, ttl, tagged, condition, stored } => {
                let (may_hold, may_fail) = match condition {
                    When::Always => (true, false),
                    When::Absent => (live.is_none(), live.is_some()),
                    When::Version(version) => live.map_or((false, true), |entry| entry.is(version)),
                };
                if has_ended && stored.is_none() {
                    return when(may_fail, same());
                }
                if !may_hold {
                    return when(false, same());
                }
                let version = stored.filter(|_| has_ended);
                self.dated(begun, ttl, Entry { number, version, deadline: 0, tagged, ended: None })
            }
            Call::Delete { version, deleted } => {
                let any = |_: &Entry| (true, false);
                let (may_hold, may_fail) =
                    live.map_or((false, true), |entry| if version == 0 { any(&entry) } else { entry.is(version) });
                if has_ended && !deleted {
                    return when(may_fail, same());
                }
                when(may_hold, if may_hold { vec![self.with(None)] } else { same() })
            }
            Call::Take { found } => {
                let taken = if live.is_some() { vec![self.with(None)] } else { same() };
                when(live.map(|entry| entry.number) == found, taken)
            }
            Call::Incr { sum } => {
                let entry = live.unwrap_or(NOTHING);
                let next = Entry { number: entry.number + 1, version: None, ..entry };
                when(next.number == sum, vec![self.with(Some(next))])
            }
            Call::Touch { ttl, touched } => {
                let states = live.map_or_else(same, |entry| self.dated(begun, ttl, entry));
                when(live.is_some() == touched, states)
            }
            Call::Get { .. } | Call::Advance { .. } | Call::Clear | Call::Invalidate => {
                unreachable!("no write of a key")
            }
        }
    }
}

impl Model for Key {
    type Call = (Call, Begun);
    type State = State;

    fn after(state: &State, (call, begun): &(Call, Begun), has_ended: bool) -> Vec<State> {
        match *call {
            Call::Get { .. } if !has_ended => vec![state.clone()],
            Call::Get { found } => match (state.live_at(state.now()), found) {
                (None, None) => vec![state.clone()],
                (Some(entry), Some(seen)) if entry.number == seen.number && entry.is(seen.version).0 => {
                    vec![state.with(Some(Entry { version: Some(seen.version), ..entry }))]
                }
                _ => Vec::new(),
            },
            Call::Advance { by } => vec![State { clock: state.clock + by, ..state.clone() }],
            Call::Clear => vec![state.with(None)],
            Call::Invalidate => {
                let era = state.era + 1;
                let end = |entry: Entry| Entry { ended: entry.ended.or(entry.tagged.then_some(era)), ..entry };
                vec![State { era, entry: state.entry.map(end), ..state.clone() }]
            }
            _ => {
                let now = state.now();
                let mut views = vec![state.live_at(now), state.live_at(Begun { clock: begun.clock, ..now })];
                if matches!(call, Call::Set { .. }) {
                    views.push(state.live_at(*begun));
                }
                views.dedup();
                let written = views.into_iter().flat_map(|live| state.written(call, begun.clock, live, has_ended));
                let mut states: Vec<State> = written.collect();
                if state.era > begun.era {
                    // Dated before an invalidation, which took it at once.
                    let ended = |entry: Entry| Entry { ended: entry.tagged.then_some(state.era), ..entry };
                    let early = states.clone().into_iter().map(|state| state.with(state.entry.map(ended)));
                    states.extend(early);
                }
                states
            }
        }
    }
}

// The checker itself.

fn seen(number: u64, version: u64) -> Call {
    Call::Get { found: Some(Seen { number, version }) }
}

fn set(number: u64, version: u64) -> Call {
    Call::Set { number, ttl: 0, tagged: false, condition: When::Always, stored: Some(version) }
}

const MISS: Call = Call::Get { found: None };
const NEVER: u64 = u64::MAX;

/// A call, its beginning and its end.
type Timed = (Call, u64, u64);

/// Each call begins at the time that the calls before it made.
fn judge(calls: &[Timed]) -> bool {
    let mut now = Begun { clock: 1, era: 0 };
    let mut events = Vec::new();
    for &(call, begun, ended) in calls {
        events.push(Event { call: (call, now), begun, ended: (ended != NEVER).then_some(ended) });
        match call {
            Call::Advance { by } => now.clock += by,
            Call::Invalidate => now.era += 1,
            _ => {}
        }
    }
    is_linearizable::<Key>(State { clock: 1, ..State::default() }, &events)
}

fn accepted() {
    let timed = Call::Set { number: 1, ttl: 10, tagged: true, condition: When::Always, stored: Some(1) };
    let added = |stored| Call::Set { number: 2, ttl: 0, tagged: false, condition: When::Absent, stored };
    let swapped = |stored| Call::Set { number: 3, ttl: 0, tagged: false, condition: When::Version(1), stored };
    let histories: &[(&str, &[Timed])] = &[
        ("nothing at all", &[]),
        ("a read after a write", &[(set(1, 1), 1, 2), (seen(1, 1), 3, 4)]),
        ("a read beside a write, before it", &[(set(1, 1), 1, 4), (MISS, 2, 3)]),
        ("a read beside a write, after it", &[(set(1, 1), 1, 4), (seen(1, 1), 2, 3)]),
        ("a killed write that took effect late", &[(set(1, 1), 1, NEVER), (MISS, 2, 3), (seen(1, 7), 4, 5)]),
        ("a killed write that never did", &[(set(1, 1), 1, NEVER), (MISS, 2, 3), (MISS, 4, 5)]),
        ("an expired entry", &[(timed, 1, 2), (Call::Advance { by: 10 }, 3, 4), (MISS, 5, 6)]),
        ("an add over an expired entry", &[(timed, 1, 2), (Call::Advance { by: 10 }, 3, 4), (added(Some(2)), 5, 6)]),
        (
            "a touched entry",
            &[
                (timed, 1, 2),
                (Call::Touch { ttl: 20, touched: true }, 3, 4),
                (Call::Advance { by: 10 }, 5, 6),
                (seen(1, 1), 7, 8),
            ],
        ),
        ("two writers of one version", &[(set(1, 1), 1, 2), (swapped(Some(2)), 3, 6), (swapped(None), 4, 5)]),
        ("invalidated and cleared", &[(timed, 1, 2), (Call::Invalidate, 3, 4), (MISS, 5, 6), (Call::Clear, 7, 8)]),
        (
            "counters beside each other",
            &[
                (Call::Incr { sum: 2 }, 1, 4),
                (Call::Incr { sum: 1 }, 2, 3),
                (Call::Take { found: Some(2) }, 5, 6),
                (Call::Incr { sum: 1 }, 7, 8),
            ],
        ),
        ("a killed increment", &[(Call::Incr { sum: 0 }, 1, NEVER), (Call::Incr { sum: 2 }, 2, 3)]),
        (
            "a write that an invalidation beside it took",
            &[
                (set(5, 1), 1, 2),
                (Call::Set { number: 6, ttl: 0, tagged: true, condition: When::Always, stored: Some(2) }, 3, 8),
                (Call::Invalidate, 4, 5),
                (seen(5, 1), 6, 7),
                (MISS, 9, 10),
            ],
        ),
    ];
    for (what, calls) in histories {
        assert!(judge(calls), "{what} was rejected");
    }
}

fn rejected() {
    let timed = Call::Set { number: 1, ttl: 10, tagged: true, condition: When::Always, stored: Some(1) };
    let swapped = |number, version| Call::Set {
        number,
        ttl: 0,
        tagged: false,
        condition: When::Version(1),
        stored: Some(version),
    };
    let added = |number, stored| Call::Set { number, ttl: 0, tagged: false, condition: When::Absent, stored };
    let histories: &[(&str, &[Timed])] = &[
        ("an acknowledged write that is lost", &[(set(1, 1), 1, 2), (MISS, 3, 4)]),
        ("a value that nobody wrote", &[(seen(1, 1), 1, 2)]),
        ("a stale read", &[(set(1, 1), 1, 2), (set(2, 2), 3, 4), (seen(1, 1), 5, 6)]),
        ("a read before its write began", &[(seen(1, 1), 1, 2), (set(1, 1), 3, 4)]),
        (
            "two reads in the wrong order",
            &[(set(1, 1), 1, 2), (set(2, 2), 3, 10), (seen(2, 2), 4, 5), (seen(1, 1), 6, 7)],
        ),
        ("a killed write that came and went", &[(set(1, 1), 1, NEVER), (seen(1, 1), 2, 3), (MISS, 4, 5)]),
        ("two values of one version", &[(set(1, 1), 1, NEVER), (seen(1, 7), 2, 3), (seen(1, 8), 4, 5)]),
        ("one version won twice", &[(set(1, 1), 1, 2), (swapped(2, 2), 3, 6), (swapped(3, 3), 4, 5)]),
        ("an add over an entry", &[(set(1, 1), 1, 2), (added(2, Some(2)), 3, 4)]),
        ("an add that is refused over nothing", &[(added(2, None), 3, 4)]),
        ("an entry past its time", &[(timed, 1, 2), (Call::Advance { by: 10 }, 3, 4), (seen(1, 1), 5, 6)]),
        ("an entry gone before its time", &[(timed, 1, 2), (Call::Advance { by: 9 }, 3, 4), (MISS, 5, 6)]),
        (
            "a touch without effect",
            &[
                (timed, 1, 2),
                (Call::Touch { ttl: 20, touched: true }, 3, 4),
                (Call::Advance { by: 10 }, 5, 6),
                (MISS, 7, 8),
            ],
        ),
        ("what was cleared", &[(set(1, 1), 1, 2), (Call::Clear, 3, 4), (seen(1, 1), 5, 6)]),
        ("what was invalidated", &[(timed, 1, 2), (Call::Invalidate, 3, 4), (seen(1, 1), 5, 6)]),
        ("invalidated without the tag", &[(set(1, 1), 1, 2), (Call::Invalidate, 3, 4), (MISS, 5, 6)]),
        ("a lost increment", &[(Call::Incr { sum: 1 }, 1, 4), (Call::Incr { sum: 1 }, 2, 3)]),
        ("an increment counted twice", &[(Call::Incr { sum: 1 }, 1, 2), (Call::Incr { sum: 3 }, 3, 4)]),
        (
            "taken twice",
            &[(set(1, 1), 1, 2), (Call::Take { found: Some(1) }, 3, 6), (Call::Take { found: Some(1) }, 4, 5)],
        ),
        (
            "deleted twice",
            &[
                (set(1, 1), 1, 2),
                (Call::Delete { version: 0, deleted: true }, 3, 4),
                (Call::Delete { version: 0, deleted: true }, 5, 6),
            ],
        ),
    ];
    for (what, calls) in histories {
        assert!(!judge(calls), "{what} was accepted");
    }
}

// Real histories.

const WORKERS: usize = 4;
/// Registers and, as the last, a counter.
const KEYS: u64 = 3;
const CALLS: usize = 40;
/// Words of one recorded call.
const RECORD: usize = 9;

const OF_WORKER: usize = 2 + CALLS * RECORD;

/// What the processes share outside of the segment.
struct Log {
    /// The clock of begins and ends.
    time: &'static AtomicU64,
    /// The history that is to be made, from 1.
    round: &'static AtomicU64,
    /// The last history that each worker has finished.
    finished: &'static [AtomicU64],
    /// For each worker: calls recorded, the clock before the first of them, then the records.
    records: &'static [AtomicU64],
}

impl Log {
    fn new() -> Self {
        let words = shared_words(2 + WORKERS + WORKERS * OF_WORKER);
        Self { time: &words[0], round: &words[1], finished: &words[2..2 + WORKERS], records: &words[2 + WORKERS..] }
    }

    fn of(&self, worker: usize) -> &'static [AtomicU64] {
        &self.records[worker * OF_WORKER..(worker + 1) * OF_WORKER]
    }

    fn now(&self) -> u64 {
        self.time.fetch_add(1, SeqCst)
    }

    /// Records a call of `key` around `run`, which returns it with its result. Before that, `call` is what a kill leaves.
    fn record(&self, cache: &Cache, worker: usize, key: u64, call: Call, run: impl FnOnce() -> Call) {
        let own = self.of(worker);
        let number = own[0].load(SeqCst) as usize;
        let at = &own[2 + number * RECORD..2 + (number + 1) * RECORD];
        put(at, key, &call);
        at[8].store(cache.now_ms(), SeqCst);
        at[7].store(0, SeqCst);
        at[6].store(self.now(), SeqCst);
        own[0].store(number as u64 + 1, SeqCst);
        let ended = run();
        put(at, key, &ended);
        at[7].store(self.now(), SeqCst);
    }

    /// The clock before the first call: whoever moved it had noted it before.
    fn start(&self) -> State {
        let clocks = (0..WORKERS).map(|worker| self.of(worker)[1].load(SeqCst));
        State { clock: clocks.filter(|clock| *clock != 0).min().unwrap_or(0), ..State::default() }
    }

    /// The calls of one key, of all workers.
    fn history(&self, key: u64) -> Vec<Event<(Call, Begun)>> {
        let mut events = Vec::new();
        for worker in 0..WORKERS {
            let own = self.of(worker);
            let count = own[0].load(SeqCst) as usize;
            for at in own[2..].chunks_exact(RECORD).take(count) {
                let (of, call) = taken(at);
                if of == key || of == ALL {
                    let ended = at[7].load(SeqCst);
                    let call = (call, Begun { clock: at[8].load(SeqCst), era: 0 });
                    events.push(Event { call, begun: at[6].load(SeqCst), ended: (ended != 0).then_some(ended) });
                }
            }
        }
        let invalidated: Vec<u64> =
            events.iter().filter(|e| e.call.0 == Call::Invalidate).filter_map(|e| e.ended).collect();
        for event in &mut events {
            event.call.1.era = invalidated.iter().filter(|ended| **ended < event.begun).count() as u64;
        }
        events
    }
}

/// In place of a key: the call concerns all.
const ALL: u64 = 99;

fn put(at: &[AtomicU64], key: u64, call: &Call) {
    let option = |o: Option<u64>| o.map_or(0, |n| n + 1);
    let (tag, a, b, c, d) = match *call {
        Call::Get { found } => (0, option(found.map(|s| s.number)), found.map_or(0, |s| s.version), 0, 0),
        Call::Set { number, ttl, tagged, condition, stored } => {
            let condition = match condition {
                When::Always => 0,
                When::Absent => 1,
                When::Version(version) => version + 2,
            };
            (1, number, ttl << 1 | u64::from(tagged), condition, option(stored))
        }
        Call::Delete { version, deleted } => (2, version, u64::from(deleted), 0, 0),
        Call::Take { found } => (3, option(found), 0, 0, 0),
        Call::Incr { sum } => (4, sum, 0, 0, 0),
        Call::Touch { ttl, touched } => (5, ttl, u64::from(touched), 0, 0),
        Call::Advance { by } => (6, by, 0, 0, 0),
        Call::Clear => (7, 0, 0, 0, 0),
        Call::Invalidate => (8, 0, 0, 0, 0),
    };
    for (word, value) in at.iter().zip([tag, key, a, b, c, d]) {
        word.store(value, SeqCst);
    }
}

fn taken(at: &[AtomicU64]) -> (u64, Call) {
    let word = |i: usize| at[i].load(SeqCst);
    let option = |n: u64| n.checked_sub(1);
    let (a, b, c, d) = (word(2), word(3), word(4), word(5));
    let call = match word(0) {
        0 => Call::Get { found: option(a).map(|number| Seen { number, version: b }) },
        1 => Call::Set {
            number: a,
            ttl: b >> 1,
            tagged: b & 1 == 1,
            condition: match c {
                0 => When::Always,
                1 => When::Absent,
                _ => When::Version(c - 2),
            },
            stored: option(d),
        },
        2 => Call::Delete { version: a, deleted: b == 1 },
        3 => Call::Take { found: option(a) },
        4 => Call::Incr { sum: a },
        5 => Call::Touch { ttl: a, touched: b == 1 },
        6 => Call::Advance { by: a },
        7 => Call::Clear,
        8 => Call::Invalidate,
        other => panic!("tag {other}"),
    };
    (word(1), call)
}

/// Makes history after history, until it is killed.
fn worker(options: &OpenOptions, log: &Log, me: usize, seed: u64) -> i32 {
    let cache = Cache::open(options).unwrap().0;
    let mut random = Random(seed | 1);
    loop {
        let done = log.finished[me].load(SeqCst);
        while log.round.load(SeqCst) == done {
            std::thread::yield_now();
        }
        let round = log.round.load(SeqCst);
        log.of(me)[1].store(cache.now_ms(), SeqCst);
        unsettle(random.next() | 1);
        // One worker in eight rounds is killed at a random step.
        arm(if random.below(8) == 0 { random.below(1500) } else { u64::MAX - 1 }, Fault::Kill);
        let mut seen = [0; KEYS as usize];
        for call in 0..CALLS {
            one_call(&cache, log, &mut random, (me, round, call as u64), &mut seen);
        }
        log.finished[me].store(round, SeqCst);
    }
}

fn one_call(
    cache: &Cache,
    log: &Log,
    random: &mut Random,
    (me, round, call): (usize, u64, u64),
    seen: &mut [u64; KEYS as usize],
) {
    let key = random.below(KEYS);
    let name = format!("{round}-{key}");
    let name = name.as_bytes();
    let is_counter = key == KEYS - 1;
    let ttl = if random.below(3) == 0 { 1 + random.below(20) } else { 0 };
    let get = || {
        let mut bytes = Vec::new();
        let meta = cache.get(name, Manner::Use, &mut bytes).unwrap();
        meta.map(|meta| Seen { number: number_of(&bytes), version: meta.version })
    };
    match random.below(100) {
        0 => log.record(cache, me, ALL, Call::Clear, || {
            cache.clear().unwrap();
            Call::Clear
        }),
        1 => log.record(cache, me, ALL, Call::Invalidate, || {
            cache.invalidate_tags(&[cache.tag("t")], Invalidation::Remove).unwrap();
            Call::Invalidate
        }),
        2..4 => {
            let call = Call::Advance { by: 1 + random.below(8) };
            log.record(cache, me, ALL, call, || {
                let Call::Advance { by } = call else { return call };
                cache.advance_clock(by).unwrap();
                call
            });
        }
        4..10 => log.record(cache, me, key, Call::Take { found: None }, || {
            let mut bytes = Vec::new();
            Call::Take { found: cache.take(name, &mut bytes).unwrap().map(|_| number_of(&bytes)) }
        }),
        10..16 => {
            let version = if random.below(2) == 0 { 0 } else { seen[key as usize] };
            log.record(cache, me, key, Call::Delete { version, deleted: false }, || Call::Delete {
                version,
                deleted: cache.delete(name, version).unwrap(),
            });
        }
        16..22 => log.record(cache, me, key, Call::Touch { ttl, touched: false }, || Call::Touch {
            ttl,
            touched: cache.touch(name, ttl).unwrap(),
        }),
        22..55 => log.record(cache, me, key, Call::Get { found: None }, || {
            let found = get();
            if let Some(found) = found {
                seen[key as usize] = found.version;
            }
            Call::Get { found }
        }),
        _ if is_counter => log.record(cache, me, key, Call::Incr { sum: 0 }, || Call::Incr {
            sum: cache.incr(name, 1.0, &PLAIN).unwrap() as u64,
        }),
        draw => {
            let condition = match (draw, seen[key as usize]) {
                (55..70, _) => When::Absent,
                (70..85, version) if version != 0 => When::Version(version),
                _ => When::Always,
            };
            let number = (me as u64 + 1) * 1000 + call;
            let tagged = random.below(3) == 0;
            let call = |stored| Call::Set { number, ttl, tagged, condition, stored };
            log.record(cache, me, key, call(None), || {
                let stored = store(cache, name, number, ttl, tagged, condition);
                call(stored)
            });
        }
    }
}

fn store(cache: &Cache, name: &[u8], number: u64, ttl_ms: u64, tagged: bool, condition: When) -> Option<u64> {
    let value = (number as f64).to_le_bytes();
    let tag = [cache.tag("t")];
    let condition = match condition {
        When::Always => Condition::Always,
        When::Absent => Condition::Absent,
        When::Version(version) => Condition::Version(version),
    };
    let tags: &[u64] = if tagged { &tag } else { &[] };
    cache.set(name, &Write { ttl_ms, tags, condition, ..Write::new(kind::NUMBER, &value) }).unwrap()
}

fn number_of(bytes: &[u8]) -> u64 {
    f64::from_le_bytes(bytes.try_into().unwrap()) as u64
}

fn histories() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let rounds = number("HISTORIES").unwrap_or(1000);
    let seed = number("SEED").unwrap_or_else(cache_machine_shm::random_u64);
    println!("  seed {seed}");
    let scene = Scene::new("linearizable");
    let log = Log::new();
    let mut random = Random(seed | 1);
    let mut spawn = |me: usize| {
        let seed = random.next();
        fork(|| worker(&scene.options, &log, me, seed))
    };
    let mut workers: Vec<Child> = (0..WORKERS).map(&mut spawn).collect();
    let (mut kills, mut calls, mut pending) = (0, 0, 0);
    for round in 1..=rounds {
        for worker in 0..WORKERS {
            log.of(worker)[..2].iter().for_each(|word| word.store(0, SeqCst));
        }
        log.round.store(round, SeqCst);
        let dead: Vec<usize> = (0..WORKERS).filter(|me| !finishes(workers[*me], &log.finished[*me], round)).collect();
        for key in 0..KEYS {
            let events = log.history(key);
            calls += events.len();
            pending += events.iter().filter(|event| event.ended.is_none()).count();
            assert!(events.len() <= MOST);
            if !is_linearizable::<Key>(log.start(), &events) {
                let part = shortest::<Key>(&log.start(), &events);
                panic!("seed {seed}, history {round}, key {key}, from {:?}:{}", log.start(), told(&part));
            }
        }
        for me in dead {
            kills += 1;
            log.finished[me].store(round, SeqCst);
            workers[me] = spawn(me);
        }
    }
    for child in workers {
        assert_eq!(child.kill(), Ended::Signal(9));
    }
    in_child("afterwards", || {
        let cache = scene.open();
        assert_valid(&cache);
        let stats = cache.stats();
        assert_eq!((stats.total.evictions, stats.damaged), (0, 0));
        println!(
            "  {rounds} histories, {calls} calls, {kills} kills, {} of them in a critical section, {pending} calls without an \
             end; all linearizable",
            stats.repairs
        );
    });
}

/// False if the worker was killed meanwhile.
fn finishes(worker: Child, finished: &AtomicU64, round: u64) -> bool {
    let start = std::time::Instant::now();
    loop {
        if finished.load(SeqCst) >= round {
            return true;
        }
        match worker.try_wait() {
            None => {}
            Some(Ended::Signal(9)) => return false,
            Some(other) => panic!("a worker ended by itself: {other:?}"),
        }
        assert!(start.elapsed() < SOON, "a worker hangs");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The part of a history up to the first end that cannot be.
fn shortest<M: Model>(start: &M::State, events: &[Event<M::Call>]) -> Vec<Event<M::Call>> {
    let mut ends: Vec<u64> = events.iter().filter_map(|event| event.ended).collect();
    ends.sort_unstable();
    let until = |end: u64| -> Vec<Event<M::Call>> {
        let begun = events.iter().filter(|event| event.begun <= end);
        begun.map(|event| Event { ended: event.ended.filter(|e| *e <= end), ..*event }).collect()
    };
    let part = ends.into_iter().map(until).find(|part| !is_linearizable::<M>(start.clone(), part));
    part.unwrap_or_else(|| events.to_vec())
}

fn told(events: &[Event<(Call, Begun)>]) -> String {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.begun);
    events.iter().map(|e| format!("\n  {} to {:?}: {:?}", e.begun, e.ended, e.call)).collect()
}
