//! The log of calls, in memory that the processes share.

use crate::key::{Begun, Call, Seen, State, When};
use crate::linearize::Event;
use cache_machine_core::Cache;
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::SeqCst;
use cache_machine_shm::fork::shared_words;

pub(crate) const WORKERS: usize = 4;

/// Registers and, as the last, a counter.
pub(crate) const KEYS: u64 = 3;

pub(crate) const CALLS: usize = 40;

/// Words of one recorded call.
const RECORD: usize = 9;

const OF_WORKER: usize = 2 + CALLS * RECORD;

/// The calls and the clock that the processes share, outside the segment.
pub(crate) struct Log {
    /// The clock of beginnings and ends.
    time: &'static AtomicU64,
    /// The number of the history to make, from 1.
    pub(crate) round: &'static AtomicU64,
    /// The last history that each worker has finished.
    pub(crate) finished: &'static [AtomicU64],
    /// For each worker: the number of recorded calls, the clock before the first of them, then the records.
    records: &'static [AtomicU64],
}

impl Log {
    pub(crate) fn new() -> Self {
        let words = shared_words(2 + WORKERS + WORKERS * OF_WORKER);
        Self { time: &words[0], round: &words[1], finished: &words[2..2 + WORKERS], records: &words[2 + WORKERS..] }
    }

    pub(crate) fn of(&self, worker: usize) -> &'static [AtomicU64] {
        &self.records[worker * OF_WORKER..(worker + 1) * OF_WORKER]
    }

    pub(crate) fn now(&self) -> u64 {
        self.time.fetch_add(1, SeqCst)
    }

    /// Runs and records a call of `key`. `run` returns the call with its result. After a kill in `run` the record has
    /// `call`.
    pub(crate) fn record(&self, cache: &Cache, worker: usize, key: u64, call: Call, run: impl FnOnce() -> Call) {
        let own = self.of(worker);
        let number = own[0].load(SeqCst) as usize;
        let at = &own[2 + number * RECORD..2 + (number + 1) * RECORD];
        write_call(at, key, &call);
        at[8].store(cache.now_ms(), SeqCst);
        at[7].store(0, SeqCst);
        at[6].store(self.now(), SeqCst);
        own[0].store(number as u64 + 1, SeqCst);
        let ended = run();
        write_call(at, key, &ended);
        at[7].store(self.now(), SeqCst);
    }

    /// The state before the first call. A worker notes the clock before it moves it.
    pub(crate) fn start(&self) -> State {
        let clocks = (0..WORKERS).map(|worker| self.of(worker)[1].load(SeqCst));
        State { clock: clocks.filter(|clock| *clock != 0).min().unwrap_or(0), ..State::default() }
    }

    /// The calls of one key, of all workers.
    pub(crate) fn history(&self, key: u64) -> Vec<Event<(Call, Begun)>> {
        let mut events = Vec::new();
        for worker in 0..WORKERS {
            let own = self.of(worker);
            let count = own[0].load(SeqCst) as usize;
            for at in own[2..].chunks_exact(RECORD).take(count) {
                let (of, call) = read_call(at);
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

/// In place of a key: the call is on all keys.
pub(crate) const ALL: u64 = 99;

fn write_call(at: &[AtomicU64], key: u64, call: &Call) {
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

pub(crate) fn read_call(at: &[AtomicU64]) -> (u64, Call) {
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
