//! The guarantees between processes: suspended holders, agreement on values, PID namespaces, races for a name.
//!
//! Every role is a forked child; see `support/forked.rs`. Longer runs: `STOPS=1000 cargo test … stopped_at_any_step`,
//! `RACES=10000 cargo test … rac` and `DIVISIONS=1000 cargo test … divided`.

mod agreement;
mod destruction;
mod invalidation;
mod liveness;
mod patience;
mod pid_namespaces;
mod quotas;
mod repair;
#[path = "../support/mod.rs"]
mod support;
mod suspended;
mod values;
mod wakes;
mod walks;

use crate::agreement::{acknowledged_changes, agree, counters, key_written_without_pause, names_in_a_race};
use crate::destruction::{
    destroyed_under_a_writer, followed_name, half_destroyed, races, races_with_deaths, suspended_destroyers,
    suspended_openers,
};
use crate::invalidation::{
    exact_beside_a_suspended_writer, exact_in_four_processes, invalidators_that_are_killed,
    steps_of_clear_and_invalidate,
};
use crate::liveness::{dead_but_not_reaped, successor_in_the_slot};
use crate::patience::{crowd_of_writers, running_holder_is_not_outrun, running_holder_is_waited_for};
use crate::pid_namespaces::{in_a_namespace, namespaces};
use crate::quotas::{quotas_beside_kills, rebuild_keeps_claims};
use crate::repair::killed_in_a_large_value;
use crate::support::forked::{self, Test};
use crate::suspended::{busy_queue, stopped_at_any_step, stopped_holder, stopped_in_a_table, suspended_sweeper};
use crate::wakes::{prefixes_of_a_dead_subscriber, senders_dead_before_the_wake, writers_dead_before_the_wake};
use crate::walks::{divisions, steps_of_a_walk, walks};

fn main() {
    if let Ok(role) = std::env::var("CM_ROLE") {
        in_a_namespace(&role);
    }
    let tests = [
        Test { name: "a_suspended_holder_blocks_no_reader_and_no_other_shard", run: stopped_holder },
        Test { name: "a_holder_stopped_at_any_step_blocks_no_reader_and_keeps_its_lock", run: stopped_at_any_step },
        Test { name: "another_process_sweeps_while_the_sweeper_is_suspended", run: suspended_sweeper },
        Test { name: "a_caller_that_gets_busy_is_not_in_the_queue", run: busy_queue },
        Test { name: "a_writer_waits_for_a_holder_that_runs", run: running_holder_is_waited_for },
        Test { name: "invalidations_do_not_outrun_a_holder_that_runs", run: running_holder_is_not_outrun },
        Test { name: "sixteen_writers_on_one_shard_are_never_busy", run: crowd_of_writers },
        Test { name: "two_processes_agree", run: || agree(2, 600) },
        Test { name: "four_processes_agree", run: || agree(4, 600) },
        Test { name: "four_processes_agree_while_they_evict", run: || agree(4, 8000) },
        Test { name: "an_acknowledged_change_is_visible_to_the_next_read", run: acknowledged_changes },
        Test { name: "a_key_that_is_written_without_pause_can_still_be_read", run: key_written_without_pause },
        Test { name: "processes_that_race_for_names_agree_on_their_numbers", run: names_in_a_race },
        Test { name: "a_walk_meets_each_kept_key_once_while_four_processes_write", run: walks },
        Test { name: "keys_are_found_and_met_once_while_the_index_is_divided", run: divisions },
        Test {
            name: "invalidations_hold_and_spare_newer_entries_while_invalidators_are_killed",
            run: invalidators_that_are_killed,
        },
        Test { name: "four_processes_lose_only_the_entries_that_they_invalidated", run: exact_in_four_processes },
        Test {
            name: "invalidations_beside_a_suspended_writer_wait_once_and_lose_only_entries_of_its_shard",
            run: exact_beside_a_suspended_writer,
        },
        Test {
            name: "clearing_and_invalidating_take_the_same_few_stores_for_a_million_entries",
            run: steps_of_clear_and_invalidate,
        },
        Test { name: "a_walk_stores_nothing_takes_no_lock_and_reads_each_line_once", run: steps_of_a_walk },
        Test { name: "counters_of_four_processes_add_up", run: counters },
        Test { name: "quotas_hold_between_processes_that_are_killed", run: quotas_beside_kills },
        Test { name: "a_suspended_rebuild_keeps_what_namespaces_claim", run: rebuild_keeps_claims },
        Test {
            name: "a_waiter_is_notified_even_if_the_writer_dies_before_the_wake_up",
            run: writers_dead_before_the_wake,
        },
        Test {
            name: "a_watcher_and_a_subscriber_are_notified_even_if_writers_die_before_the_wake_up",
            run: senders_dead_before_the_wake,
        },
        Test {
            name: "a_publisher_searches_for_no_prefix_of_a_dead_subscriber_after_the_next_attach",
            run: prefixes_of_a_dead_subscriber,
        },
        Test { name: "a_holder_in_another_pid_namespace_keeps_its_lock_until_its_death_is_repaired", run: namespaces },
        Test { name: "a_read_follows_its_name_to_the_new_segment", run: followed_name },
        Test { name: "a_handle_of_a_half_destroyed_segment_agrees_with_its_name_or_is_detached", run: half_destroyed },
        Test { name: "a_segment_is_destroyed_at_once_under_a_suspended_writer", run: destroyed_under_a_writer },
        Test { name: "an_opener_stopped_at_any_step_delays_no_open_and_no_destroy_by_force", run: suspended_openers },
        Test { name: "a_destroyer_stopped_at_any_step_delays_no_read_and_an_open_briefly", run: suspended_destroyers },
        Test { name: "a_process_stopped_in_a_table_delays_others_briefly", run: stopped_in_a_table },
        Test { name: "a_kill_in_a_large_value_is_repaired_without_a_rebuild", run: killed_in_a_large_value },
        Test { name: "a_successor_in_a_dead_owners_slot_hides_no_death", run: successor_in_the_slot },
        Test { name: "a_dead_holder_that_is_not_yet_reaped_holds_nothing", run: dead_but_not_reaped },
        Test { name: "racing_opens_and_destroys_make_no_two_live_segments", run: races },
        Test { name: "races_with_deaths_leave_a_usable_name", run: races_with_deaths },
    ];
    forked::main(&tests, None);
}
