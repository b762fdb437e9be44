//! Finds the entry of a key under the lock, and decides whether an entry is live.

use crate::change::locked::Locked;
use crate::kind;
use crate::layout::entry::{Damaged, Head, TAGGED};
use crate::layout::key::Key;
use crate::layout::messages::What;
use crate::shard::fate::{Fate, fate};
use crate::shard::index::{Position, Visit};

/// An entry found under the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Existing {
    pub(crate) at: Position,
    pub(crate) unit: u32,
    pub(crate) head: Head,
    /// Whether it is a value, and neither expired nor of an earlier life nor invalidated by a tag.
    pub(crate) live: bool,
}

/// Why an entry is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RemovalCause {
    Deleted,
    Evicted,
    Expired,
    Cleared,
    /// Cleared without need, perhaps: see `Fate::Unjudged`.
    Unjudged,
}

impl RemovalCause {
    /// The change of which watchers are notified. `None`: they were notified of the clear or the invalidation.
    pub(crate) fn what(self) -> Option<What> {
        match self {
            Self::Deleted => Some(What::Delete),
            Self::Evicted => Some(What::Evict),
            Self::Expired => Some(What::Expire),
            Self::Cleared | Self::Unjudged => None,
        }
    }
}

impl Locked<'_> {
    /// The key's entry, live or dead.
    pub(crate) fn find(&self, key: &Key<'_>) -> Result<Option<Existing>, Damaged> {
        // Not returned through the search: each copy of the result on the way would wait for the copy before.
        let mut found = None;
        let searched = self.shard.search(key, |at, word| match self.check(key, at, word) {
            Ok(None) => Visit::Other,
            Ok(existing) => {
                found = existing;
                Visit::Done(Ok(()))
            }
            Err(damaged) => Visit::Done(Err(damaged)),
        });
        searched.unwrap_or(Ok(())).map(|()| found)
    }

    /// The entry that a word names, if it is the key's.
    #[inline(always)]
    fn check(&self, key: &Key<'_>, at: Position, word: u64) -> Result<Option<Existing>, Damaged> {
        let unit = self.shard.unit_of(word);
        let head = self.shard.head(unit)?;
        if !self.shard.has_key(&head, key)? {
            return Ok(None);
        }
        let live = self.is_live(&head)?;
        Ok(Some(Existing { at, unit, head, live }))
    }

    pub(crate) fn find_live(&self, key: &Key<'_>) -> Result<Option<Existing>, Damaged> {
        Ok(self.find(key)?.filter(|e| e.live))
    }

    /// Whether an entry is a value and fresh.
    pub(crate) fn is_live(&self, head: &Head) -> Result<bool, Damaged> {
        Ok(head.kind != kind::ABSENT && self.is_current(head)?)
    }

    /// Whether an entry is fresh: neither expired nor of an earlier life nor invalidated by a tag.
    pub(crate) fn is_current(&self, head: &Head) -> Result<bool, Damaged> {
        let alive =
            head.life == self.life_of(head.namespace) && (head.deadline == 0 || !head.is_expired(self.now_ms()));
        Ok(alive && (head.flags & TAGGED == 0 || fate(self.shard, head)? == Fate::Fresh))
    }

    /// Why an entry is dead; `None` if it is not.
    pub(crate) fn why_dead(&self, head: &Head, now: u64) -> Result<Option<RemovalCause>, Damaged> {
        Ok(self.judge(head, now)?.0)
    }

    /// Why an entry is dead, and its state according to its tags. An entry that is dead without them counts as fresh.
    pub(crate) fn judge(&self, head: &Head, now: u64) -> Result<(Option<RemovalCause>, Fate), Damaged> {
        if head.life != self.life_of(head.namespace) {
            return Ok((Some(RemovalCause::Cleared), Fate::Fresh));
        }
        if head.is_over(self.shard, now)? {
            return Ok((Some(RemovalCause::Expired), Fate::Fresh));
        }
        let fate = if head.flags & TAGGED == 0 { Fate::Fresh } else { fate(self.shard, head)? };
        let cause = match fate {
            Fate::Fresh | Fate::Stale => None,
            Fate::Dead => Some(RemovalCause::Cleared),
            Fate::Unjudged => Some(RemovalCause::Unjudged),
        };
        Ok((cause, fate))
    }
}
