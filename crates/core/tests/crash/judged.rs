//! Kills in the judgement of a shard by its tags. The records that it depends on are gone afterwards.

use crate::checks::check_tags;
use crate::scenarios::tags::{invalidate_others, judged};
use crate::stage::{Stage, kill_points};
use crate::steps::{TRACE, note_kill};
use crate::support::forked::in_child;
use cache_machine_shm::fork::{Ended, shared_words};
use cache_machine_shm::steps::Fault;

pub(crate) fn judge_killed_at_every_step() {
    let ledger = shared_words(TRACE);
    let stage = Stage::prepare(&judged(), ledger);
    for at in kill_points(&stage.steps) {
        let (copied, ended) = stage.run_undisturbed(at, Fault::Kill, ledger);
        assert_eq!(ended, Ended::Signal(9), "step {at} of {}", stage.steps.len());
        note_kill(ledger);
        in_child("after the records are gone", || {
            let cache = copied.open();
            let records = cache.geometry().tag_records() as u64;
            invalidate_others(&cache, 1000..1000 + 2 * records);
            stage.check(&cache, Some(at), 0);
            check_tags(&cache);
            assert_eq!(cache.stats().tags_unjudged, 0);
        });
    }
}
