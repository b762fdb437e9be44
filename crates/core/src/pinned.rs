//! Which records of a space there are.
//!
//! Pinned records are in a queue of their own, so finding them costs as much as there are of them, however large the index
//! is: under their shard's lock only their places are noted, 10,000 in about a millisecond. Where that lock cannot be had,
//! the shard's index is walked without it.
//!
//! The thing to get wrong: allocating under the lock. There is room for so many places; where there are more, it is made
//! in between, and the walk begins again.

use crate::cache::Core;
use crate::entry::Damaged;
use crate::error::CacheError;
use crate::locked::Locked;
use crate::namespaces::{ROOT, life};
use crate::scan::{ScannedKey, Wanted};
use crate::shard::{Field, Position};
use std::time::Duration;

/// Nobody waits for a stopped process: the index tells as well.
const PATIENCE: Duration = Duration::from_millis(10);
const FEW: usize = 64;

impl Core {
    /// The keys of all records of a namespace with its space; those that come or go meanwhile may be among them or not.
    ///
    /// # Errors
    /// `Detached`, `Corrupt`.
    pub(crate) fn record_keys(&self, namespace: u16) -> Result<Vec<Vec<u8>>, CacheError> {
        let life = life(self.segment.region(), self.epoch()?, namespace);
        let wanted = Wanted { namespace, life, prefix: &[] };
        let mut keys = Vec::new();
        for index in 0..self.geometry().shards {
            self.record_keys_in(index, &wanted, &mut keys)?;
        }
        self.check_not_lost()?;
        Ok(keys.into_iter().map(|key| key.bytes).collect())
    }

    fn record_keys_in(&self, index: usize, wanted: &Wanted<'_>, keys: &mut Vec<ScannedKey>) -> Result<(), CacheError> {
        let shard = self.shard(index);
        let before = keys.len();
        loop {
            let level = shard.level();
            match self.pinned_places(index, wanted.namespace) {
                Ok(places) => keys.extend(places.into_iter().filter_map(|at| self.key_at(shard, at, level, wanted))),
                Err(CacheError::Busy(_)) => {
                    let mut place = 0;
                    while place < self.geometry().lines() {
                        place += self.keys_in_line(shard, place, wanted, keys);
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            // A division moves what was noted.
            if shard.level() <= level {
                return Ok(());
            }
            keys.truncate(before);
        }
    }

    fn pinned_places(&self, index: usize, namespace: u16) -> Result<Vec<Position>, CacheError> {
        let mut places = Vec::with_capacity(FEW);
        loop {
            if self.shard(index).get(Field::PinnedNewest) == 0 {
                return Ok(Vec::new());
            }
            places.clear();
            let complete =
                self.try_change((index, ROOT), PATIENCE, |locked| Ok(locked.note_pinned(namespace, &mut places)?))?;
            if complete {
                return Ok(places);
            }
            places.reserve(places.capacity() * 4);
        }
    }
}

impl Locked<'_> {
    /// Notes the places of a namespace's pinned records. False: there is no room for all.
    fn note_pinned(&self, namespace: u16, places: &mut Vec<Position>) -> Result<bool, Damaged> {
        let mut unit = self.shard.get(Field::PinnedNewest);
        // Each has two units at least, so a queue that is longer is a ring.
        for _ in 0..self.shard.geometry.units {
            if unit == 0 {
                return Ok(true);
            }
            let node = self.shard.node(unit)?;
            let at = self.shard.position_of(unit, node)?;
            if self.shard.head(unit)?.namespace == namespace {
                if places.len() == places.capacity() {
                    return Ok(false);
                }
                places.push(at);
            }
            unit = node.older;
        }
        Err(Damaged)
    }
}
