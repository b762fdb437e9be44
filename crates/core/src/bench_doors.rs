//! Single steps of a write, for the benches alone: what a whole `set` is made of.
//!
//! Each takes the lock of one shard, does its step as often as told, and leaves the shard sound; so the lock's share is small
//! where the number is large. The thing to get wrong: what the optimizer may leave out. Each returns something to be kept.

use crate::cache::Cache;
use crate::entry::{CHAINED, Head};
use crate::error::CacheError;
use crate::key::Key;
use crate::locked::{Fault, Locked};
use crate::namespaces::ROOT;

impl Cache {
    /// The shard of a key.
    ///
    /// # Errors
    /// A key that cannot be.
    pub fn shard_of(&self, key: &[u8]) -> Result<usize, CacheError> {
        Ok(Key::new(self.geometry(), self.namespace(), key)?.shard)
    }

    /// Takes a shard's lock and releases it.
    ///
    /// # Errors
    /// As for a write.
    pub fn lock_and_unlock(&self, shard: usize) -> Result<(), CacheError> {
        self.lock(shard, ROOT, self.write_timeout()).map(drop)
    }

    /// Takes units for an entry with a body of `body` units, and frees them, `times` times. Returns in how many of these the body
    /// was in one run. `body + 2` units and an eighth of `body` must be free.
    ///
    /// # Errors
    /// As for a write.
    pub fn allocate_and_free(&self, shard: usize, body: usize, times: usize) -> Result<usize, CacheError> {
        self.in_shard(shard, |locked| {
            let mut whole = 0;
            for _ in 0..times {
                let placement = locked.shard.take(body)?;
                let flags = if placement.chained { CHAINED } else { 0 };
                let head = Head { flags, run: placement.run, ..Head::load(locked.shard.unit_words(placement.head)?) };
                locked.shard.free_entry(placement.head, &head)?;
                whole += usize::from(!placement.chained);
            }
            Ok(whole)
        })
    }

    /// Evicts up to `entries` entries of a shard, and returns how many there were.
    ///
    /// # Errors
    /// As for a write.
    pub fn evict_some(&self, shard: usize, entries: usize) -> Result<usize, CacheError> {
        self.in_shard(shard, |locked| {
            for evicted in 0..entries {
                let Some((at, unit)) = locked.shard.victim(None)? else {
                    return Ok(evicted);
                };
                locked.evict(at, unit)?;
            }
            Ok(entries)
        })
    }

    /// Rebuilds a shard from its index words, as after the death of its lock's owner.
    ///
    /// # Errors
    /// As for a write.
    pub fn rebuild_shard(&self, shard: usize) -> Result<(), CacheError> {
        self.in_shard(shard, |locked| {
            locked.rebuild();
            Ok(())
        })
    }

    fn in_shard<R>(
        &self,
        shard: usize,
        work: impl FnMut(&mut Locked<'_>) -> Result<R, Fault>,
    ) -> Result<R, CacheError> {
        self.try_change((shard, ROOT), self.write_timeout(), work)
    }
}
