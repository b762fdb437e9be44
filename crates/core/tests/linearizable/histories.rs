//! Histories that four processes make in a segment.

use crate::key::{Begun, Call, Key, Seen, When};
use crate::linearize::{Event, MAX_CALLS, Model, is_linearizable};
use crate::log::{ALL, CALLS, KEYS, Log, WORKERS};
use crate::support::forked::{NEVER, SOON, in_child};
use crate::support::{PLAIN, Random, Scene, assert_valid, number_from_env};
use cache_machine_core::{Cache, Condition, Invalidation, OpenOptions, ReadMode, Write, kind};
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::SeqCst;
use cache_machine_shm::fork::{Child, Ended, fork};
use cache_machine_shm::steps::{Fault, arm, unsettle};
use std::time::Duration;

/// Makes one history after another, until it is killed.
pub(crate) fn worker(options: &OpenOptions, log: &Log, me: usize, seed: u64) -> i32 {
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
        arm(if random.below(8) == 0 { random.below(1500) } else { NEVER }, Fault::Kill);
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
        let meta = cache.get(name, ReadMode::Use, &mut bytes).unwrap();
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

pub(crate) fn histories() {
    let rounds = number_from_env("HISTORIES").unwrap_or(1000);
    let seed = number_from_env("SEED").unwrap_or_else(cache_machine_shm::random_u64);
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
            assert!(events.len() <= MAX_CALLS);
            if !is_linearizable::<Key>(log.start(), &events) {
                let part = shortest_part::<Key>(&log.start(), &events);
                panic!("seed {seed}, history {round}, key {key}, from {:?}:{}", log.start(), described(&part));
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

/// Waits until a worker has finished a history. False: it was killed meanwhile.
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

/// The part of a history up to the first end that is impossible.
fn shortest_part<M: Model>(start: &M::State, events: &[Event<M::Call>]) -> Vec<Event<M::Call>> {
    let mut ends: Vec<u64> = events.iter().filter_map(|event| event.ended).collect();
    ends.sort_unstable();
    let until = |end: u64| -> Vec<Event<M::Call>> {
        let begun = events.iter().filter(|event| event.begun <= end);
        begun.map(|event| Event { ended: event.ended.filter(|e| *e <= end), ..*event }).collect()
    };
    let part = ends.into_iter().map(until).find(|part| !is_linearizable::<M>(start.clone(), part));
    part.unwrap_or_else(|| events.to_vec())
}

fn described(events: &[Event<(Call, Begun)>]) -> String {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.begun);
    events.iter().map(|e| format!("\n  {} to {:?}: {:?}", e.begun, e.ended, e.call)).collect()
}
