//! Lists the keys of all records of a keyspace.
//!
//! Pinned records have a queue of their own, so the time to find them depends on their number, not on the size of the
//! index. A walk notes only their places under the shard's lock: 10,000 in about a millisecond. If the lock is busy,
//! the walk reads the shard's index without it.
//!
//! The walk allocates nothing under the lock. If the buffer of places is full, the walk releases the lock, grows the
//! buffer and begins again.

use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::namespaces::ROOT;
use crate::reading::walk::{ScannedKey, Wanted};
use crate::records::keyspace::Records;
use crate::shard::index::Position;
use std::time::Duration;

/// Maximum wait for a shard's lock. It is short because the index has the keys as well.
const PATIENCE: Patience = Patience::Brief(Duration::from_millis(10));

const FEW: usize = 64;

impl Records<'_> {
    /// The keys of all records. A record that is stored or removed during the call may be included or not.
    ///
    /// # Errors
    /// `Detached`, `Corrupt`.
    pub(crate) fn keys(&self) -> Result<Vec<Vec<u8>>, CacheError> {
        let Self { attachment, namespace, .. } = *self;
        let life = attachment.life(namespace)?;
        let wanted = Wanted { namespace, life, prefix: &[], tags: &[] };
        let mut keys = Vec::new();
        for index in 0..attachment.geometry().shards {
            self.keys_in(index, &wanted, &mut keys)?;
        }
        attachment.check_current()?;
        Ok(keys.into_iter().map(|key| key.bytes).collect())
    }

    fn keys_in(&self, index: usize, wanted: &Wanted<'_>, keys: &mut Vec<ScannedKey>) -> Result<(), CacheError> {
        let attachment = self.attachment;
        let shard = attachment.shard(index);
        let before = keys.len();
        loop {
            let level = shard.level();
            match self.pinned_places(index) {
                Ok(places) => {
                    keys.extend(places.into_iter().filter_map(|at| attachment.key_at(&shard, at, level, wanted)))
                }
                Err(CacheError::Busy(_)) => {
                    let mut place = 0;
                    while place < attachment.geometry().lines() {
                        place += attachment.keys_in_line(&shard, place, wanted, keys);
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            // The index was divided meanwhile, so noted places may have moved.
            if shard.level() <= level {
                return Ok(());
            }
            keys.truncate(before);
        }
    }

    fn pinned_places(&self, index: usize) -> Result<Vec<Position>, CacheError> {
        let Self { attachment, namespace, .. } = *self;
        let mut places = Vec::with_capacity(FEW);
        loop {
            if attachment.shard(index).get(Field::PinnedNewest) == 0 {
                return Ok(Vec::new());
            }
            places.clear();
            let complete = attachment.try_change((&attachment.shard(index), ROOT), PATIENCE, |locked| {
                Ok(locked.shard.note_pinned(namespace, &mut places)?)
            })?;
            if complete {
                return Ok(places);
            }
            places.reserve(places.capacity() * 4);
        }
    }
}
