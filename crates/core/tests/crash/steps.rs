//! The named steps of the sources, and those at which a child was killed.

use crate::support::forked::trace_of;
use crate::support::sources::sources;
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::steps::print;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Words of a ledger: the maximum of steps that one operation notes.
pub(crate) const TRACE: usize = 1 << 16;

/// Names of all steps in the sources, by print.
fn steps_in_the_sources() -> BTreeMap<u64, String> {
    let mut names = BTreeMap::new();
    for (file, text) in sources(&["shm", "core", "node"]) {
        if file == "shm/steps.rs" {
            continue;
        }
        for rest in text.split("step(\"").skip(1) {
            let name = rest.split('"').next().unwrap();
            names.insert(print(name), name.to_owned());
        }
    }
    assert!(names.len() > 40, "the steps were not found in the sources");
    names
}

/// Prints of the steps at which a process was killed so far.
static KILLED_AT: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Notes that a child was killed at the last step in its ledger.
pub(crate) fn note_kill(ledger: &[AtomicU64]) {
    KILLED_AT.lock().unwrap().insert(*trace_of(ledger).last().unwrap());
}

pub(crate) fn every_step_was_killed_at() {
    let killed_at = KILLED_AT.lock().unwrap();
    let steps = steps_in_the_sources();
    let missed: Vec<_> = steps.iter().filter(|(print, _)| !killed_at.contains(print)).map(|(_, name)| name).collect();
    assert!(missed.is_empty(), "never killed at {missed:?}");
    println!("  {} named steps", steps.len());
}
