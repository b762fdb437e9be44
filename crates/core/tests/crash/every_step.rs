//! A kill and a panic at every step of every scenario.

use crate::checks::check_permits;
use crate::repairs::{kill_the_repairer, steps_of_a_repair};
use crate::scenarios::scenarios;
use crate::stage::{PANICKED, Stage, kill_points};
use crate::steps::{TRACE, note_kill};
use crate::support::forked::in_child;
use crate::support::{assert_valid, number_from_env};
use cache_machine_shm::fork::{Ended, shared_words};
use cache_machine_shm::steps::Fault;

pub(crate) fn killed_at_every_step() {
    let ledger = shared_words(TRACE);
    let mut kills = 0;
    // After each `every`th of the deaths that need a repair, the repairer is killed as well. `REPAIRS=1`: after each.
    let every = number_from_env("REPAIRS").unwrap_or(3);
    let (mut second, mut number) = (0, 0);
    for scenario in &scenarios() {
        let stage = Stage::prepare(scenario, ledger);
        let mut repair = None;
        let points = kill_points(&stage.steps);
        for at in &points {
            let (copied, ended) = stage.run_undisturbed(*at, Fault::Kill, ledger);
            assert_eq!(ended, Ended::Signal(9), "{} at step {at} of {}", stage.name, stage.steps.len());
            note_kill(ledger);
            let is_repaired = stage.holds_the_lock_at(*at);
            number += u64::from(is_repaired);
            let content = (is_repaired && number.is_multiple_of(every)).then(|| copied.content());
            in_child(stage.name, || {
                let cache = copied.open();
                stage.check(&cache, Some(*at), 0);
                check_permits(&cache);
            });
            if let Some(content) = content {
                let repair = repair.get_or_insert_with(|| kill_points(&steps_of_a_repair(&content, ledger)));
                // A prime number of points further each time, so that neighbouring deaths cover all parts of the
                // repair.
                second += usize::from(kill_the_repairer(
                    &stage,
                    &content,
                    repair[number as usize * 31 % repair.len()],
                    ledger,
                ));
            }
        }
        kills += points.len();
        println!("  {}: {} steps, killed at {}", stage.name, stage.steps.len(), points.len());
    }
    println!("  {kills} kills, {second} of repairers of these");
}

pub(crate) fn panic_at_every_step() {
    let ledger = shared_words(TRACE);
    let mut panics = 0;
    for scenario in &scenarios() {
        let stage = Stage::prepare(scenario, ledger);
        for (i, at) in kill_points(&stage.steps).into_iter().enumerate() {
            let (copied, ended) = stage.run_undisturbed(at, Fault::Panic, ledger);
            match ended {
                Ended::Exit(PANICKED) => panics += 1,
                // The steps between taking a lock and guarding it do not panic.
                Ended::Exit(0) => {}
                other => panic!("{} panicked at step {at}: {other:?}", stage.name),
            }
            if i % 8 == 0 {
                in_child("another process", || assert_valid(&copied.open()));
            }
        }
    }
    println!("  {panics} panics");
}
