//! Single steps of a write, for the benches alone: a whole `set` consists of these steps.
//!
//! Each function takes the lock of one shard, repeats its step as often as asked, and leaves the shard sound. So with
//! many repetitions the lock's share of the time is small. Each function returns a result, so that the optimizer cannot
//! remove the step.

use crate::cache::handle::Cache;
use crate::change::locked::{ChangeError, Locked};
use crate::error::CacheError;
use crate::layout::entry::{CHAINED, Head};
use crate::layout::key::Key;
use crate::layout::namespaces::ROOT;

impl Cache {
    /// The shard of a key.
    ///
    /// # Errors
    /// An invalid key.
    pub fn shard_of(&self, key: &[u8]) -> Result<usize, CacheError> {
        Ok(Key::new(self.geometry(), self.namespace_of_values(), key)?.shard)
    }

    /// Takes a shard's lock and releases it.
    ///
    /// # Errors
    /// As for a write.
    pub fn lock_and_unlock(&self, shard: usize) -> Result<(), CacheError> {
        self.lock(&self.shard(shard), ROOT, self.write_patience()).map(drop)
    }

    /// Takes units for an entry with a body of `body` units, and frees them, `times` times. Returns how often the body
    /// was one run. `body + 2` units and an eighth of `body` must be free.
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

    /// Evicts up to `entries` entries of a shard and returns their number.
    ///
    /// # Errors
    /// As for a write.
    pub fn evict_some(&self, shard: usize, entries: usize) -> Result<usize, CacheError> {
        self.in_shard(shard, |locked| {
            for evicted in 0..entries {
                let mut search = locked.victim_search(ROOT);
                let Some(victim) = locked.find_victim(&mut search, None)? else {
                    return Ok(evicted);
                };
                locked.evict_victim(victim)?;
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
        work: impl FnMut(&mut Locked<'_>) -> Result<R, ChangeError>,
    ) -> Result<R, CacheError> {
        self.try_change((&self.shard(shard), ROOT), self.write_patience(), work)
    }
}
