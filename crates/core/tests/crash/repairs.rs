//! Deaths of processes that repair a shard after an earlier death.

use crate::checks::check_permits;
use crate::scenarios::entries::overflowing_key;
use crate::scenarios::{BASE, Scenario, scenarios, set, value_of};
use crate::stage::{Copied, Stage, kill_points};
use crate::steps::{TRACE, note_kill};
use crate::support::forked::{self, NEVER, in_child, trace_of};
use crate::support::{Random, assert_valid};
use cache_machine_core::JOURNAL_AT;
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::Relaxed;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, print, trace};

pub(crate) fn steps_of_a_repair(content: &[u8], ledger: &'static [AtomicU64]) -> Vec<u64> {
    assert_eq!(repair(&Copied::of(content), NEVER, ledger), Ended::Exit(0));
    trace_of(ledger)
}

pub(crate) fn repair(copied: &Copied, at: u64, ledger: &'static [AtomicU64]) -> Ended {
    let child = fork(|| {
        trace(ledger);
        let cache = copied.open();
        ledger[0].store(0, Relaxed);
        arm(at, Fault::Kill);
        assert_valid(&cache);
        disarm();
        0
    });
    forked::ended_within(child, forked::SOON, "a repair")
}

/// Kills the process that repairs a shard after a death. False: the repair was done before the step.
pub(crate) fn kill_the_repairer(stage: &Stage, content: &[u8], at: u64, ledger: &'static [AtomicU64]) -> bool {
    let copied = Copied::of(content);
    let ended = repair(&copied, at, ledger);
    if ended != Ended::Exit(0) {
        assert_eq!(ended, Ended::Signal(9), "{}", stage.name);
        note_kill(ledger);
    }
    in_child(stage.name, || {
        let cache = copied.open();
        stage.check(&cache, None, 0);
        check_permits(&cache);
    });
    ended != Ended::Exit(0)
}

/// Three deaths: a repairer of a shard with a dead owner is killed, then the repairer of that repair, then the next
/// one.
pub(crate) fn killed_in_the_repair() {
    let replace = Scenario {
        name: "repair",
        entries: 40,
        prepare: |c| set(c, "target", b"old"),
        act: |c| set(c, "target", b"new"),
        ..BASE
    };
    let mut content = killed_after(&replace, "replace.published");
    // Overwrites the head of one entry, so that the repair also drops a word.
    let key = b"e39\0\0\0\0\0";
    let body = content.chunks(64).position(|unit| unit.starts_with(key)).unwrap() * 64;
    content[body - 64..body - 56].fill(0xEE);
    kill_repairers("rebuild", unsound(content), "target");
    kill_repairers("repair", killed_after(&replace, "replace.queued"), "target");
    for (name, step) in
        [("set a key of a full line", "set.published"), ("delete a key of a full line", "delete.overflow")]
    {
        let scenario = scenarios().into_iter().find(|scenario| scenario.name == name).unwrap();
        kill_repairers(name, killed_after(&scenario, step), "e0");
    }
    let divide = Scenario {
        prepare: |c| drop(overflowing_key(c)),
        act: |c| (0..500).for_each(|i| set(c, &format!("x{i}"), &value_of(i))),
        ..BASE
    };
    let (committed, counted) = (killed_after(&divide, "divide.emptied"), killed_after(&divide, "divide.counted"));
    kill_repairers("rebuild after a division", unsound(committed.clone()), "e0");
    kill_repairers("rebuild in a division", unsound(counted.clone()), "e0");
    kill_repairers("finish a division", committed, "e0");
    kill_repairers("give up a division", counted, "e0");
}

/// The segment with a journal that cannot be undone: the next owner rebuilds the first shard.
fn unsound(mut content: Vec<u8>) -> Vec<u8> {
    content[JOURNAL_AT..JOURNAL_AT + 8].fill(0xFF);
    content
}

/// The segment after a death at the first step with this name.
fn killed_after(scenario: &Scenario, step: &str) -> Vec<u8> {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(scenario, ledger);
    let at = stage.steps.iter().position(|one| *one == print(step)).unwrap() as u64;
    let copied = Copied::of(&stage.content);
    assert_eq!(stage.run(&copied, at, Fault::Kill, ledger), Ended::Signal(9));
    note_kill(ledger);
    copied.content()
}

fn kill_repairers(name: &'static str, content: Vec<u8>, kept: &str) {
    let ledger = shared_words(TRACE);
    let stage = Stage::of(&Scenario { name, act: assert_valid, ..BASE }, content, ledger);
    assert!(stage.keys.iter().any(|(key, before, _)| key == kept && *before != 0));
    let points = kill_points(&stage.steps);
    let mut random = Random(3);
    let mut deaths = [0; 3];
    let check = |content: &[u8]| {
        let copied = Copied::of(content);
        in_child("after the deaths", || stage.check(&copied.open(), None, 1));
    };
    let mut die = |content: &[u8], at: u64, depth: usize| {
        let copied = Copied::of(content);
        if stage.run(&copied, at, Fault::Kill, ledger) == Ended::Signal(9) {
            note_kill(ledger);
            deaths[depth] += 1;
        }
        copied.content()
    };
    for (i, first) in points.iter().enumerate() {
        let once = die(&stage.content, *first, 0);
        check(&once);
        for sample in 0..3 {
            let twice = die(&once, points[random.below(points.len() as u64) as usize], 1);
            check(&twice);
            if (i + sample) % 4 == 0 {
                check(&die(&twice, points[random.below(points.len() as u64) as usize], 2));
            }
        }
    }
    let [first, second, third] = deaths;
    println!("  {name}: {} steps; {first} first, {second} second, {third} third deaths", stage.steps.len());
}

/// A writer dies in a division after it has counted the overflow of the new lines, and before it publishes the level.
pub(crate) fn repair_killed_at_an_overflow_count() {
    let ledger = shared_words(TRACE);
    let scenario =
        scenarios().into_iter().find(|scenario| scenario.name == "set keys until the index is divided").unwrap();
    // The random seed of the segment decides whether a line overflows. In most segments one does.
    let deaths = (0..30).map(|_| deaths_at_an_overflow_count(&scenario, ledger)).find(|deaths| *deaths > 0);
    assert!(deaths.is_some(), "no count was corrected");
}

fn deaths_at_an_overflow_count(scenario: &Scenario, ledger: &'static [AtomicU64]) -> usize {
    let stage = Stage::prepare(scenario, ledger);
    let counted = stage.steps.iter().position(|step| *step == print("divide.counted")).unwrap() as u64;
    let (copied, ended) = stage.run_undisturbed(counted, Fault::Kill, ledger);
    assert_eq!(ended, Ended::Signal(9));
    let content = copied.content();
    let deaths = |content: &[u8], at_step: &str, every: usize| {
        let steps = steps_of_a_repair(content, ledger);
        let points = (0..).zip(&steps).filter(|(_, step)| **step == print(at_step)).step_by(every);
        points.filter(|(at, _)| kill_the_repairer(&stage, content, *at, ledger)).count()
    };
    deaths(&unsound(content.clone()), "rebuild.overflow", 1).min(deaths(&content, "repair.unused", 64))
}
