//! Stores entries of a snapshot, and removes the entries that a snapshot replaces.
//!
//! A restore begins with a *floor*: a version that is higher than every version of the segment and of the snapshot. Then
//! each entry with a higher version was written after the restore began, and is newer than the snapshot.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::locked::{ChangeError, Locked};
use crate::change::set::New;
use crate::error::CacheError;
use crate::layout::control::Count;
use crate::layout::entry::{Head, LAST_VERSION};
use crate::layout::key::Key;
use crate::layout::keyspaces::{is_record, number};
use crate::layout::namespaces::{ROOT, is_same};
use crate::shard::fate::{Fate, fate_of_new};
use cache_machine_shm::atomic::Ordering;
use std::ops::Range;

/// An entry of a snapshot, without its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restored<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) binary_key: bool,
    /// Milliseconds since boot.
    pub(crate) written: u64,
    /// Milliseconds since boot; 0: never.
    pub(crate) deadline: u64,
    pub(crate) stale_ms: u64,
    /// By their numbers in this segment.
    pub(crate) tags: &'a [u64],
    pub(crate) is_outdated: bool,
}

/// The rules of a restore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The life of the namespace when the restore began. A later `clear` ends the entries of the snapshot as well.
    pub(crate) life: u64,
    /// The tag clock when the restore began. A later invalidation ends them as well.
    pub(crate) made_at: u64,
    pub(crate) floor: u64,
    /// Whether an entry that is older than the restore is replaced.
    pub(crate) overwrite: bool,
}

/// What became of an entry of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Restoring {
    /// It was stored.
    Stored,
    /// The key has an entry that is kept.
    Existing,
    /// The namespace was cleared, or one of the tags invalidated, after the restore began.
    Ended,
    /// The deadline has passed.
    Expired,
    /// It has no room.
    NoRoom,
    /// It is larger than the segment takes.
    TooLarge,
}

impl Locked<'_> {
    /// Stores an entry of a snapshot. A load of the key that is under way stays: its result is newer.
    pub(crate) fn restore(
        &mut self,
        key: &Key<'_>,
        entry: &Restored<'_>,
        rules: &Rules,
    ) -> Result<Restoring, ChangeError> {
        // mutant: restore-ignores-clear
        if !is_record(key.namespace) && !is_same(self.life_of(key.namespace), rules.life) {
            return Ok(Restoring::Ended);
        }
        let existing = self.find(key)?;
        // mutant: restore-over-newer
        if let Some(old) = existing
            && self.is_current(&old.head)?
            && (!rules.overwrite || old.head.version > rules.floor)
        {
            return Ok(Restoring::Existing);
        }
        let stamp = rules.made_at.min(self.tag_clock);
        // mutant: restore-ignores-invalidation
        let mut fate = match entry.tags {
            [] => Fate::Fresh,
            tags if stamp < self.tag_clock => fate_of_new(self.shard, stamp, tags),
            _ => Fate::Fresh,
        };
        if fate.is_dead() {
            return Ok(Restoring::Ended);
        }
        if entry.is_outdated {
            fate = Fate::Stale;
        }
        let Restored { value, kind, binary_key, written, deadline, stale_ms, tags, .. } = *entry;
        let new = New { value, kind, binary_key, written, deadline, stale_ms, stamp, tags, fate };
        let version = self.store(key, existing, &new)?;
        let swept = self.sweep_now_and_then();
        self.settle(swept);
        Ok(if version.is_some() { Restoring::Stored } else { Restoring::NoRoom })
    }

    /// Deletes the values in `lines` with versions up to `floor`: those of a namespace, of the root those of all. Adds
    /// the number of live ones to `deleted`.
    pub(crate) fn delete_older(
        &mut self,
        lines: Range<usize>,
        namespace: u16,
        floor: u64,
        deleted: &mut u64,
    ) -> Result<(), ChangeError> {
        let is_wanted = |_: &Self, head: &Head| {
            let is_in = !is_record(head.namespace) && (namespace == ROOT || number(head.namespace) == namespace);
            Ok(is_in && head.version <= floor)
        };
        self.delete_where(lines, is_wanted, deleted)
    }
}

impl Attachment {
    /// The highest version of the segment.
    pub(crate) fn last_version(&self) -> u64 {
        let version = |shard: usize| self.shard(shard).count(Count::Sequence).load(Ordering::Relaxed);
        (0..self.geometry().shards).map(version).max().unwrap_or(0)
    }

    /// Raises the versions of all shards to at least `least`, and to a common number. Returns the floor of the restore.
    pub(crate) fn begin_restore(&self, least: u64, patience: Patience) -> Result<u64, CacheError> {
        let floor = self.last_version().max(least).min(LAST_VERSION / 2);
        // mutant: restore-raises-no-version
        for index in 0..self.geometry().shards {
            let shard = self.shard(index);
            self.try_change((&shard, ROOT), patience, |locked| {
                let sequence = locked.shard.count(Count::Sequence);
                let version = sequence.load(Ordering::Relaxed); // guarded by the lock
                sequence.store(version.max(floor), Ordering::Relaxed); // guarded by the lock
                Ok(())
            })?;
        }
        Ok(floor)
    }
}
