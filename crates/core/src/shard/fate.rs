//! The state of an entry according to its tags.

use crate::layout::entry::{Damaged, Head, INVALID, OUTDATED};
use crate::layout::tags::{TagTable, clock, horizon};
use crate::shard::view::ShardView;

/// The state of an entry according to its tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Fresh,
    Stale,
    Dead,
    /// Dead because it cannot be known: records that may have ended it are gone, and the shard was not judged before.
    Unjudged,
}

impl Fate {
    pub(crate) fn is_dead(self) -> bool {
        matches!(self, Self::Dead | Self::Unjudged)
    }
}

/// The state of a tagged entry according to its tags. Without the lock it may be nonsense until the entry's index word
/// was checked again.
#[cold]
pub(crate) fn fate(shard: &ShardView<'_>, head: &Head) -> Result<Fate, Damaged> {
    if head.flags & INVALID != 0 {
        return Ok(Fate::Dead);
    }
    let region = shard.region;
    let table = TagTable::new(region, shard.geometry);
    let now = clock(region);
    let judged = match shard.tags_judged() {
        // The clock is loaded again after it: later than that is damage.
        judged if judged > now && judged > clock(region) => 0,
        judged => judged,
    };
    let mut stamp = None;
    let (mut removed, mut outdated) = (0, 0);
    head.each_tag(shard, |word| match stamp {
        None => stamp = Some(word),
        // No tag was invalidated since the value was made, or since the entry was judged.
        Some(stamp) if judged.max(stamp) >= now => {}
        Some(_) => {
            if let Some(found) = table.find(word) {
                removed = removed.max(found.clocks.removed);
                outdated = outdated.max(found.clocks.outdated);
            }
        }
    })?;
    let stamp = stamp.ok_or(Damaged)?;
    if stamp < removed {
        return Ok(Fate::Dead);
    }
    // Loaded after the records, and `judged` after it: see `tag_clock`.
    let horizon = horizon(shard.region, shard.geometry);
    if stamp < horizon && judged < horizon && shard.tags_judged() < horizon {
        return Ok(Fate::Unjudged);
    }
    Ok(if head.flags & OUTDATED != 0 || stamp < outdated { Fate::Stale } else { Fate::Fresh })
}

/// The state of a value of this stamp and with these tags, which is not stored yet. The caller holds the lock.
pub(crate) fn fate_of_new(shard: &ShardView<'_>, stamp: u64, tags: &[u64]) -> Fate {
    let table = TagTable::new(shard.region, shard.geometry);
    let (mut removed, mut outdated) = (0, 0);
    for found in tags.iter().filter_map(|tag| table.find(*tag)) {
        removed = removed.max(found.clocks.removed);
        outdated = outdated.max(found.clocks.outdated);
    }
    if stamp < removed {
        Fate::Dead
    } else if stamp < horizon(shard.region, shard.geometry) {
        // mutant: late-value-believed
        Fate::Unjudged
    } else if stamp < outdated {
        Fate::Stale
    } else {
        Fate::Fresh
    }
}
