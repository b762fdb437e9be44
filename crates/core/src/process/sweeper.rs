//! Sweeps dead entries in the background if this process has the turn. Each tick sweeps a bounded part of the shards.
//!
//! One process has the turn. Another takes it when that process is dead, or when the turn stood still for `STUCK` although
//! there is work, and its process is suspended as far as the system says. A process that continues finds that it has no turn
//! any more. Two sweepers at once do no harm: each change holds its shard's lock.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::control::{Field, Tally};
use crate::layout::geometry::SWEEP_TURN;
use crate::layout::namespaces::{ROOT, life, registered};
use crate::records::versions::VersionSweep;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::lock::{Owner, Parties};
use cache_machine_shm::tag_clock::ended_at;
use std::time::{Duration, Instant};

/// Maximum wait for a shard's lock. It is short because there is another tick.
const SWEEP_PATIENCE: Patience = Patience::Brief(Duration::from_millis(10));
/// Index lines swept in a tick, over all shards. This takes under 1 % of a processor, and 2.5 seconds for a default
/// segment.
const LINES_PER_TICK: usize = 4096;
/// Index lines swept under one hold of a lock. A hold takes some 50 µs.
const LINES_PER_HOLD: usize = 64;

/// A turn that stands still for this time may be taken, as an acquisition of a lock counts as suspended after it.
const STUCK: Duration = Duration::from_secs(2);

/// The sweeper of a process.
#[derive(Default)]
pub(crate) struct Sweeper {
    next_shard: usize,
    /// The turn of another process at the last tick, and since when it stands still.
    seen: Option<(u64, Instant)>,
    versions: VersionSweep,
}

impl Sweeper {
    /// Sweeps a bounded part of the shards with dead entries, in turn. False: no shard needs it, or another process
    /// sweeps.
    pub(crate) fn sweep(&mut self, attachment: &Attachment) -> bool {
        let is_due = pending(attachment) > 0 && self.takes_turn(attachment);
        if is_due {
            sweep_shards(attachment, &mut self.next_shard);
        }
        // Busy, or detached: the next tick tries again.
        let unused = self.versions.next_unused(attachment).unwrap_or(None);
        let removes = unused.is_some_and(|unused| {
            self.takes_turn(attachment) && self.versions.remove(attachment, unused, LINES_PER_TICK).is_ok()
        });
        is_due || removes
    }

    /// Takes the turn, or moves it if this process has it already.
    fn takes_turn(&mut self, attachment: &Attachment) -> bool {
        let member = attachment.segment.member();
        let word = attachment.region().u64(SWEEP_TURN);
        let turn = word.load(Ordering::Relaxed); // guards nothing: two sweepers at once do no harm
        let holder = (turn >> 32) as u32;
        let is_free = holder == 0 || Owner::of(holder) == member.owner() || member.is_dead(Owner::of(holder));
        // mutant: suspended-sweeper-keeps-turn
        if !is_free && !self.is_stuck(turn, || member.is_suspended(holder)) {
            return false;
        }
        let next = u64::from(member.owner().word()) << 32 | u64::from((turn as u32).wrapping_add(1));
        word.compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether the turn stood still for too long, and its process is suspended or the system does not say.
    fn is_stuck(&mut self, turn: u64, is_suspended: impl FnOnce() -> Option<bool>) -> bool {
        match self.seen {
            Some((seen, since)) if seen == turn => since.elapsed() >= STUCK && is_suspended() != Some(false),
            _ => {
                self.seen = Some((turn, Instant::now()));
                false
            }
        }
    }
}

fn has_dead(attachment: &Attachment, shard: &ShardView<'_>) -> bool {
    shard.get(Field::Mortal) > 0 || shard.get(Field::Purge) > 0 || is_behind(attachment, shard)
}

/// Number of shards that may have dead entries.
fn pending(attachment: &Attachment) -> usize {
    attachment.shards().filter(|shard| has_dead(attachment, shard)).count()
}

fn sweep_shards(attachment: &Attachment, next_shard: &mut usize) {
    let shards = attachment.geometry().shards;
    // With few shards, each tick holds each lock at least once. With many, a tick sweeps some shards, and later ticks
    // the others.
    let per_shard = (LINES_PER_TICK / pending(attachment).max(1)).max(LINES_PER_HOLD);
    let mut left = LINES_PER_TICK;
    for _ in 0..shards {
        let index = *next_shard % shards;
        *next_shard = index + 1;
        if !has_dead(attachment, &attachment.shard(index)) {
            continue;
        }
        for _ in 0..per_shard / LINES_PER_HOLD {
            // The holder is suspended (SIGSTOP), or the segment is detached. The next tick tries again.
            if sweep_lines(attachment, index, LINES_PER_HOLD).is_err() {
                break;
            }
        }
        left = left.saturating_sub(per_shard);
        if left == 0 {
            break;
        }
    }
}

/// Whether a clear or an invalidation came after the last ones that a writer of the shard applied.
fn is_behind(attachment: &Attachment, shard: &ShardView<'_>) -> bool {
    let region = attachment.region();
    let root = attachment.root_epoch();
    // Later than the clock is damage, which a sweep mends.
    shard.tags_judged() != ended_at(attachment.tag_clock())
        || (0..registered(region)).any(|n| {
            let seen = shard.tally(n, Tally::Life).load(Ordering::Relaxed);
            let entries = shard.tally(n, Tally::Entries).load(Ordering::Relaxed);
            entries != 0 && seen != life(region, root, n)
        })
}

/// Removes dead entries in the next `lines` index lines of a shard.
fn sweep_lines(attachment: &Attachment, index: usize, lines: usize) -> Result<usize, CacheError> {
    attachment.try_change((&attachment.shard(index), ROOT), SWEEP_PATIENCE, |locked| Ok(locked.sweep_all(lines)?))
}
