//! Random kills of four processes that write and read: values, counters, collections, queues and transactions.

use crate::scenarios::{get, set};
use crate::support::forked::in_child;
use crate::support::{PLAIN, Random, Scene, assert_valid, bytes, number_from_env};
use cache_machine_core::{
    Cache, Check, KeyChange, NewCollection, OpenOptions, Operation, QueueRules, Taken, Turn, kind,
};
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
    /// For each worker the number of the newest transaction that began, and of the newest that returned.
    to_transact: &'static [AtomicU64],
    transacted: &'static [AtomicU64],
    /// For each worker the additions to its hash that began, and those that returned.
    to_add: &'static [AtomicU64],
    added: &'static [AtomicU64],
    /// Items of the queue: pushes that began and that returned, acknowledgements that began and that returned.
    items: &'static [AtomicU64],
    /// Writes, reads, longest write and longest read in nanoseconds, writes of more than 50 ms.
    totals: &'static [AtomicU64],
}

/// Keys that each transaction of a worker writes together.
const GROUP: usize = 3;
const ITEMS: [&str; 4] = ["pushes begun", "pushes", "acknowledgements begun", "acknowledgements"];
const RULES: QueueRules = QueueRules { capacity: 100, visibility_ms: 0, attempts: 0 };
const QUEUE: &[u8] = b"queue";

fn group_key(worker: usize, n: usize) -> String {
    format!("group{worker}.{n}")
}

impl Ledger {
    fn new() -> Self {
        let keys = WORKERS * KEYS;
        Self {
            begun: shared_words(keys),
            done: shared_words(keys),
            to_count: shared_words(WORKERS),
            counted: shared_words(WORKERS),
            to_transact: shared_words(WORKERS),
            transacted: shared_words(WORKERS),
            to_add: shared_words(WORKERS),
            added: shared_words(WORKERS),
            items: shared_words(ITEMS.len()),
            totals: shared_words(5),
        }
    }

    fn total(&self, index: usize) -> u64 {
        self.totals[index].load(SeqCst)
    }

    /// Checks the keys that a worker writes together, one read behind the other: none is of an earlier transaction than
    /// one that was read before. Returns the numbers.
    fn check_group(&self, cache: &Cache, worker: usize) -> [u64; GROUP] {
        let at_least = self.transacted[worker].load(SeqCst);
        let seen: [u64; GROUP] = std::array::from_fn(|n| {
            get(cache, &group_key(worker, n)).map_or(0, |value| u64::from_le_bytes(value[..8].try_into().unwrap()))
        });
        let at_most = self.to_transact[worker].load(SeqCst);
        assert!(seen.is_sorted(), "worker {worker}: half a transaction, {seen:?}");
        assert!((at_least..=at_most).contains(&seen[0]), "worker {worker}: {seen:?}, not in {at_least}..={at_most}");
        seen
    }

    /// Writes the next number into all keys of the worker's group, and into its list.
    fn transact(&self, cache: &Cache, me: usize) {
        let n = self.to_transact[me].load(SeqCst) + 1;
        let namespace = cache.namespace_of_values();
        let keys: [String; GROUP] = std::array::from_fn(|n| group_key(me, n));
        let values: [Vec<u8>; GROUP] = std::array::from_fn(|k| n.to_le_bytes().repeat(1 + (n as usize * (k + 3)) % 90));
        let checks = keys.each_ref().map(|key| Check {
            namespace,
            key: key.as_bytes(),
            version: cache.version_of(key.as_bytes()).unwrap(),
        });
        let change = |k: usize| KeyChange { namespace, key: keys[k].as_bytes(), write: Some(bytes(&values[k])) };
        // A key of all workers, without a check.
        let shared = KeyChange { namespace, key: b"shared", write: n.is_multiple_of(3).then(|| bytes(&values[0])) };
        self.to_transact[me].store(n, SeqCst);
        assert!(cache.transact(&checks, &[change(0), shared, change(1), change(2)]).unwrap());
        self.transacted[me].store(n, SeqCst);
    }

    /// Adds 1 to a field of the worker's hash, beside fields that give it a size.
    fn add(&self, cache: &Cache, me: usize) {
        let request = [Operation::Incr as u8].into_iter().chain(1f64.to_le_bytes()).chain(0f64.to_le_bytes());
        let request: Vec<u8> = request.chain([0, kind::STRING, 1, b'n']).collect();
        self.to_add[me].fetch_add(1, SeqCst);
        ask(cache, &format!("hash{me}"), &request);
        self.added[me].fetch_add(1, SeqCst);
    }

    /// Pushes an item, or takes one and acknowledges it.
    fn queue(&self, cache: &Cache, pushes: bool) {
        if pushes {
            self.items[0].fetch_add(1, SeqCst);
            let is_pushed = cache.push(QUEUE, &RULES, &bytes(b"item")).unwrap().is_some();
            self.items[1].fetch_add(u64::from(is_pushed), SeqCst);
        } else if let Turn::Taken(Taken { item, token, .. }) = cache.take_item(QUEUE, &RULES, false).unwrap() {
            self.items[2].fetch_add(1, SeqCst);
            let is_ended = cache.acknowledge(QUEUE, item, token, &RULES).unwrap();
            self.items[3].fetch_add(u64::from(is_ended), SeqCst);
        }
    }

    /// Checks that no acknowledged change of a hash is lost, and none was made twice.
    fn check_hash(&self, cache: &Cache, worker: usize) {
        let at_least = self.added[worker].load(SeqCst) as f64;
        let request = [Operation::Get as u8, 0, kind::STRING, 1, b'n'];
        let reply = ask(cache, &format!("hash{worker}"), &request);
        let at_most = self.to_add[worker].load(SeqCst) as f64;
        // 1 for a field that is there, then an element: its flags, kinds, lengths and key stand before the number.
        let n = if reply.first() == Some(&1) {
            f64::from_le_bytes(reply[reply.len() - 8..].try_into().unwrap())
        } else {
            0.0
        };
        assert!((at_least..=at_most).contains(&n), "hash {worker}: {n}, not in {at_least}..={at_most}");
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

fn ask(cache: &Cache, key: &str, request: &[u8]) -> Vec<u8> {
    let mut reply = Vec::new();
    cache.collection(key.as_bytes(), kind::HASH, request, &NewCollection::default(), &mut reply).unwrap();
    reply
}

/// Works until it is killed.
fn worker(options: &OpenOptions, ledger: &Ledger, me: usize, seed: u64) -> ! {
    let cache = Cache::open(options).unwrap().0;
    let mut random = Random(seed | 1);
    // The worker before is dead, and no other writes these keys.
    let group = ledger.check_group(&cache, me);
    assert!(group.iter().all(|n| *n == group[0]), "worker {me}: half a transaction, {group:?}");
    ledger.check_hash(&cache, me);
    loop {
        let key = me * KEYS + random.below(KEYS as u64) as usize;
        let name = format!("key{key}");
        let what = random.below(16);
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
            10 => ledger.transact(&cache, me),
            11 => ledger.add(&cache, me),
            12 | 13 => ledger.queue(&cache, what == 12),
            14 => _ = ledger.check_group(&cache, random.below(WORKERS as u64) as usize),
            15 => ledger.check_hash(&cache, random.below(WORKERS as u64) as usize),
            _ => ledger.check_read(&cache, random.below((WORKERS * KEYS) as u64) as usize),
        }
        let took = start.elapsed().as_nanos() as u64;
        let writes = matches!(what, 0..6 | 10..14);
        let is_read = usize::from(!writes);
        ledger.totals[is_read].fetch_add(1, Relaxed);
        ledger.totals[2 + is_read].fetch_max(took, Relaxed);
        ledger.totals[4].fetch_add(u64::from(writes && took > 50_000_000), Relaxed);
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
        for worker in 0..WORKERS {
            let group = ledger.check_group(&cache, worker);
            assert!(group.iter().all(|n| *n == group[0]), "worker {worker}: half a transaction, {group:?}");
            ledger.check_hash(&cache, worker);
        }
        let items = |n: usize| ledger.items[n].load(SeqCst);
        let counts = cache.queue_counts(QUEUE, &RULES).unwrap();
        let left = (counts.ready + counts.taken) as u64;
        let (at_least, at_most) = (items(1).saturating_sub(items(2)), items(0) - items(3));
        assert!((at_least..=at_most).contains(&left), "{left} items are left, of {at_least} to {at_most}");
        let sum = |words: &[AtomicU64]| words.iter().map(|word| word.load(SeqCst)).sum::<u64>() as f64;
        let counted = get(&cache, "counter").map_or(0.0, |v| f64::from_le_bytes(v.try_into().unwrap()));
        let (at_least, at_most) = (sum(ledger.counted), sum(ledger.to_count));
        assert!((at_least..=at_most).contains(&counted), "counted {counted} of {at_least} to {at_most}");
        let stats = cache.stats();
        assert_eq!((stats.total.evictions, stats.damaged, stats.busy), (0, 0, 0));
        println!(
            "  {kills} kills in {elapsed:.1} s, {} of them in a critical section; {} acknowledged writes, {} checked \
             reads, 0 lost, 0 torn; {} transactions, 0 of them half; longest write of a survivor {:.1} ms, {} of more than 50 ms; longest read, which \
             takes no lock, {:.1} ms",
            stats.repairs,
            ledger.total(0),
            ledger.total(1),
            sum(ledger.transacted),
            ledger.total(2) as f64 / 1e6,
            ledger.total(4),
            ledger.total(3) as f64 / 1e6,
        );
    });
}
