//! Resizes while other processes read, write, hold locks, are suspended and die.
//!
//! Every role is a forked child; see `support/forked.rs`. Longer runs: `KILLS=1000 cargo test … killed`,
//! `RESIZES=1000 cargo test … load`.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod kills;
mod load;
#[path = "../support/mod.rs"]
mod support;
mod suspended;

use crate::support::forked::{self, Test};

fn main() {
    let tests = [
        Test { name: "a_resize_is_killed_at_every_step_beside_readers_writers_and_holders", run: kills::every_step },
        Test { name: "nothing_is_lost_and_no_read_misses_under_load", run: load::steady },
        Test { name: "nothing_is_lost_under_load_with_deaths_of_everybody", run: load::with_deaths },
        Test { name: "an_old_reader_finds_every_entry_in_a_released_area", run: load::late_reader },
        Test { name: "two_resizers_at_once_take_turns", run: load::two_resizers },
        Test { name: "a_destroyed_segment_is_not_resized", run: load::beside_destroy },
        Test { name: "writers_wait_at_most_their_time_for_a_suspended_resizer", run: suspended::resizer },
        Test { name: "a_suspended_writer_makes_a_resize_fail_and_a_dead_one_does_not", run: suspended::writer },
        Test { name: "an_area_stays_while_a_suspended_process_uses_it", run: suspended::user },
    ];
    forked::main(&tests, None);
}
