//! Histories of four processes that are killed now and then. For each key there is an order of all calls that explains
//! the result of each call.
//!
//! A key is a register with a version, a deadline and perhaps a tag, or a number that is incremented. The processes
//! yield at random steps inside their critical sections, so that calls overlap, and are killed at random steps. Longer
//! runs: `HISTORIES=10000 SEED=1 cargo test … linearizable`.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod histories;
mod key;
mod known_histories;
mod linearize;
mod log;
#[path = "../support/mod.rs"]
mod support;

use crate::histories::histories;
use crate::known_histories::{accepted, rejected};
use crate::support::forked::{self, Test};

fn main() {
    let tests = [
        Test { name: "the_checker_accepts_possible_histories", run: accepted },
        Test { name: "the_checker_rejects_impossible_histories", run: rejected },
        Test { name: "histories_of_four_processes_with_kills_are_linearizable", run: histories },
    ];
    forked::main(&tests, None);
}
