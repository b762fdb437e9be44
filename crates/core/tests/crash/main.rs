//! Kills real processes at every named step and at random. Another process checks the state that they leave.
//!
//! Every role is a forked child; see `support/forked.rs`. A child that will be killed notes each step that it passes in
//! memory shared with this program. Each scenario is prepared once. Every kill starts from a copy of that segment's
//! file, so the steps are the same each time. Longer runs: `KILLS=20000 SEED=1 cargo test … random_kills`.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod checks;
mod every_step;
mod judged;
mod kept_items;
mod near_copies;
mod over_shards;
mod random_kills;
mod removal_notices;
mod repairs;
mod scenarios;
mod segment_life;
mod stage;
mod states;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod suspended;
mod watchers;

use crate::every_step::{killed_at_every_step, panic_at_every_step};
use crate::judged::judge_killed_at_every_step;
use crate::kept_items::kept_items_are_never_too_few;
use crate::over_shards::{reads_beside_a_stopped_transaction, transaction_of_many_keys, transaction_over_shards};
use crate::random_kills::random_kills;
use crate::removal_notices::removals_of_two_segments;
use crate::repairs::{killed_in_the_repair, repair_killed_at_an_overflow_count};
use crate::segment_life::killed_in_the_life_of_a_segment;
use crate::steps::every_step_was_killed_at;
use crate::support::forked::{self, Test};
use crate::suspended::{
    invalidation_beside_a_suspended_holder, release_beside_a_suspended_holder, waiter_killed_beside_a_suspended_holder,
};
use crate::watchers::watcher_beside_killed_writers;

fn main() {
    let tests = [
        Test { name: "a_change_killed_at_every_step_leaves_all_old_or_all_new", run: killed_at_every_step },
        Test { name: "a_killed_judge_lets_no_dead_entry_live_again", run: judge_killed_at_every_step },
        Test { name: "a_panic_at_every_step_leaves_a_suspect_that_is_repaired", run: panic_at_every_step },
        Test { name: "a_killed_repair_is_repaired_three_deaths_deep", run: killed_in_the_repair },
        Test {
            name: "a_repair_killed_after_it_corrects_an_overflow_count_is_repaired",
            run: repair_killed_at_an_overflow_count,
        },
        Test {
            name: "removals_noted_before_a_panic_or_a_repair_are_notified_for_their_own_segment",
            run: removals_of_two_segments,
        },
        Test {
            name: "a_name_stays_usable_after_a_death_in_create_join_or_destroy",
            run: killed_in_the_life_of_a_segment,
        },
        Test {
            name: "a_waiter_killed_beside_a_suspended_holder_does_no_harm",
            run: waiter_killed_beside_a_suspended_holder,
        },
        Test {
            name: "a_watcher_beside_killed_writers_gets_each_change_in_order_or_a_loss",
            run: watcher_beside_killed_writers,
        },
        Test {
            name: "an_invalidation_that_is_not_delivered_in_time_counts_as_lost_even_after_a_kill",
            run: invalidation_beside_a_suspended_holder,
        },
        Test { name: "a_release_beside_a_suspended_holder_is_done_later", run: release_beside_a_suspended_holder },
        Test {
            name: "a_transaction_over_shards_killed_at_every_step_is_whole_or_absent",
            run: transaction_over_shards,
        },
        Test {
            name: "a_transaction_of_many_keys_killed_at_its_steps_is_whole_or_absent",
            run: transaction_of_many_keys,
        },
        Test { name: "a_stopped_transaction_is_whole_or_absent_for_readers", run: reads_beside_a_stopped_transaction },
        Test { name: "a_death_leaves_no_count_of_kept_items_too_low", run: kept_items_are_never_too_few },
        Test { name: "random_kills_lose_nothing_and_block_no_process", run: random_kills },
    ];
    let summary = Test { name: "every_step_in_the_sources_was_killed_at", run: every_step_was_killed_at };
    forked::main(&tests, Some(&summary));
}
