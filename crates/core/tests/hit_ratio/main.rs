//! The hit ratio of the policy by number of objects, in one shard of a real segment.
//!
//! Every entry takes the same whole number of units. The segment has room for exactly the wanted number of entries; a
//! test run checks that. The traces in the folder `TRACES` (default `../shared/traces`, beside the project) are no part
//! of the project. Without them only the made traces run.
//!
//!     cargo test -p cache-machine-core --test hit_ratio
//!
//! Caution: the sizes must be equal. A tenth more objects is some points of hit ratio.

mod s3_fifo;
#[path = "../support/mod.rs"]
mod support;
mod traces;

use cache_machine_core::{Eviction, Geometry, MIN_SIZE, NoSink, ReadMode};
use s3_fifo::S3Fifo;
use std::process::ExitCode;
use support::{Scene, assert_valid, bytes};
use traces::Cell;

const UNIT: usize = 64;
const PAGE: usize = 4096;
/// Keys are numbers, so all have one length.
const KEY_BYTES: usize = 8;
/// Units of an entry: half a kibibyte, or more if the smallest segment has room for more.
const MIN_ENTRY: usize = 8;
const MAX_ENTRY: usize = 4096;

/// Targets, in percentage points.
const MEAN_BELOW_S3_FIFO: f64 = 1.0;
const WORST_BELOW_LRU: f64 = 1.5;
const MADE_BELOW_REFERENCE: f64 = 1.0;

enum Verdict {
    Passed,
    /// With the reason.
    LeftOut(&'static str),
}

/// A name and a check. The error says which ratio is too low.
type Test = (&'static str, fn() -> Result<Verdict, String>);

const TESTS: [Test; 2] = [
    ("the_policy_hits_as_often_as_s3_fifo_on_made_traces", made_traces),
    ("the_policy_hits_as_often_as_s3_fifo_and_hardly_less_than_lru_on_real_traces", real_traces),
];

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS.into_iter().filter(|(name, _)| name.contains(&filter)) {
        match test() {
            Ok(Verdict::Passed) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Ok(Verdict::LeftOut(why)) => println!("test {name} is left out: {why}"),
            Err(problem) => {
                println!("test {name} ... FAILED\n{problem}");
                failed += 1;
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::from(u8::from(failed > 0))
}

fn made_traces() -> Result<Verdict, String> {
    let scenes = [
        ("a ring of twice as many keys", traces::ring(2000, 100_000), 1000),
        ("hot keys and scans, small", traces::hot_with_scans(20_000, 200_000), 200),
        ("hot keys and scans, large", traces::hot_with_scans(20_000, 200_000), 2000),
    ];
    for (name, requests, objects) in scenes {
        let ours = replay(&requests, objects);
        let mut policy = S3Fifo::new(objects);
        let reference = percent(requests.iter().filter(|key| policy.request(**key)).count(), requests.len());
        println!("{name:<32} {objects:>6} objects {ours:>7.2} %   S3-FIFO {reference:>6.2} %");
        if ours < reference - MADE_BELOW_REFERENCE {
            return Err(format!("{name}: {ours:.2} % is too far below {reference:.2} %"));
        }
    }
    Ok(Verdict::Passed)
}

fn real_traces() -> Result<Verdict, String> {
    let folder = traces::folder();
    let cells = traces::cells(&folder);
    if cells.is_empty() {
        return Ok(Verdict::LeftOut("there are no traces in the folder of TRACES"));
    }
    let policies = columns(&cells[0].references, |(name, _)| format!("{name:>11}"));
    println!("{:<14}{:>6}{:>10}{policies}", "trace", "size", "ours");
    let mut results = Vec::new();
    let mut requests = (String::new(), Vec::new());
    for cell in &cells {
        if requests.0 != cell.trace {
            requests = (cell.trace.clone(), traces::read(&folder, &cell.trace).map_err(|error| error.to_string())?);
        }
        let ours = replay(&requests.1, cell.objects);
        let others = columns(&cell.references, |(_, percent)| format!("{percent:>11.2}"));
        println!("{:<14}{:>6}{ours:>10.2}{others}", cell.trace, cell.objects);
        results.push((cell, ours));
    }
    judge(&results)
}

fn judge(results: &[(&Cell, f64)]) -> Result<Verdict, String> {
    let mean = |of: &dyn Fn(&(&Cell, f64)) -> f64| results.iter().map(of).sum::<f64>() / results.len() as f64;
    let (ours, s3_fifo) = (mean(&|(_, ours)| *ours), mean(&|(cell, _)| cell.reference("S3-FIFO")));
    let below_lru = |(cell, ours): &(&Cell, f64)| cell.reference("LRU") - ours;
    let worst = results.iter().max_by(|a, b| below_lru(a).total_cmp(&below_lru(b))).expect("cells");
    let (cell, below) = (worst.0, below_lru(worst));
    println!(
        "mean {ours:.2} %, S3-FIFO {s3_fifo:.2} %; worst against LRU: {} {}, {below:.2} points below",
        cell.trace, cell.objects
    );
    if ours < s3_fifo - MEAN_BELOW_S3_FIFO {
        return Err(format!("the mean of {ours:.2} % is too far below {s3_fifo:.2} %"));
    }
    if below > WORST_BELOW_LRU {
        return Err(format!("{} {} is {below:.2} points below LRU", cell.trace, cell.objects));
    }
    Ok(Verdict::Passed)
}

/// The share of requests that hit, as a percentage.
fn replay(requests: &[u32], objects: usize) -> f64 {
    let (scene, entry) = scene_for(objects);
    let value = vec![7; entry * UNIT - UNIT - KEY_BYTES];
    assert_holds(&scene, objects, &value);

    let cache = scene.open();
    for id in requests {
        let key = u64::from(*id).to_le_bytes();
        if cache.get(&key, ReadMode::Use, &mut NoSink).expect("get").is_none() {
            cache.set(&key, &bytes(&value)).expect("set");
        }
    }
    assert_valid(&cache);
    percent(cache.stats().total.hits as usize, requests.len())
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole as f64
}

/// A segment of one shard that is full with `objects` entries, and the number of units of an entry.
fn scene_for(objects: usize) -> (Scene, usize) {
    let mut scene = Scene::new("hit-ratio");
    for entry in MIN_ENTRY..MAX_ENTRY {
        let mut size = MIN_SIZE.max(objects * entry * UNIT);
        while let Some(plan) = one_shard(size) {
            let units = plan.capacity() / UNIT;
            // Besides the entry a write asks for one extent per seven units of the body, in the worst case, and for one
            // unit that is kept back.
            let spare = (entry - 1).div_ceil(7) + 1;
            if units >= (objects + 1) * entry + spare {
                break;
            }
            if units >= objects * entry + spare {
                scene.options.size = size;
                scene.options.max_entry = Some(plan.max_entry);
                return (scene, entry);
            }
            size += PAGE;
        }
    }
    panic!("no segment is full with {objects} entries of one size");
}

/// The default maximum of an entry makes a shard for every 16 MiB. A maximum of a fifth of the segment makes one shard.
fn one_shard(size: usize) -> Option<Geometry> {
    let plan = |max_entry| Geometry::plan(size, max_entry, Eviction::S3Fifo, 0).ok();
    let plan = plan(None).filter(|plan| plan.shards == 1).or_else(|| plan(Some(size / 5)));
    plan.filter(|plan| plan.shards == 1)
}

/// Checks that exactly this number of entries fits. This needs a segment of its own: earlier entries would change the
/// ghosts.
fn assert_holds(scene: &Scene, objects: usize, value: &[u8]) {
    let twin = Scene::like(scene);
    let cache = twin.open();
    for number in 0..2 * objects as u64 {
        cache.set(&number.to_le_bytes(), &bytes(value)).expect("set");
    }
    assert_eq!(cache.len(), objects as u64);
}

fn columns<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect()
}
