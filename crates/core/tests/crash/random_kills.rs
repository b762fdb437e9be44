//! Random kills of four processes that write and read.

use crate::scenarios::{get, set};
use crate::support::forked::in_child;
use crate::support::{PLAIN, Random, Scene, assert_valid, number_from_env};
use cache_machine_core::{Cache, OpenOptions};
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::{Relaxed, SeqCst};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use std::time::{Duration, Instant};

const WORKERS: usize = 4;

const KEYS: usize = 256;

/// The counts that the workers and this program share, outside the segment.
struct Ledger {
    /// For each key the number of the newest operation that began, and of the newest that returned. Each key has one
    /// writer.
    begun: &'static [AtomicU64],
    done: &'static [AtomicU64],
    /// For each worker the increments that began, and those that returned.
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

    /// Checks that a read finds the last acknowledged value or a newer one, and that it is whole.
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

/// Every seventh operation on a key deletes it. The others write a value with their number.
fn deletes(n: u64) -> bool {
    n.is_multiple_of(7)
}

pub(crate) fn numbered(key: usize, n: u64) -> Vec<u8> {
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

pub(crate) fn random_kills() {
    let kills = number_from_env("KILLS").unwrap_or(2000);
    let seed = number_from_env("SEED").unwrap_or_else(cache_machine_shm::random_u64);
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
        let victim = random.below(WORKERS as u64) as usize;
        assert_eq!(workers[victim].kill(), Ended::Signal(9), "worker {victim} ended by itself (seed {seed})");
        workers[victim] = spawn(victim, random.next());
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
        let check_reads = || (0..WORKERS * KEYS).for_each(|key| ledger.check_read(&cache, key));
        check_reads();
        assert_valid(&cache);
        check_reads();
        let sum = |words: &[AtomicU64]| words.iter().map(|word| word.load(SeqCst)).sum::<u64>() as f64;
        let counted = get(&cache, "counter").map_or(0.0, |v| f64::from_le_bytes(v.try_into().unwrap()));
        let (at_least, at_most) = (sum(ledger.counted), sum(ledger.to_count));
        assert!((at_least..=at_most).contains(&counted), "counted {counted} of {at_least} to {at_most}");
        let stats = cache.stats();
        assert_eq!((stats.total.evictions, stats.damaged, stats.busy), (0, 0, 0));
        println!(
            "  {kills} kills in {elapsed:.1} s, {} of them in a critical section; {} acknowledged writes, {} checked \
             reads, 0 lost, 0 torn; longest write of a survivor {:.1} ms, {} of more than 50 ms; longest read, which \
             takes no lock, {:.1} ms",
            stats.repairs,
            ledger.total(0),
            ledger.total(1),
            ledger.total(2) as f64 / 1e6,
            ledger.total(4),
            ledger.total(3) as f64 / 1e6,
        );
    });
}
