//! The namespace of a handle as a whole: its tags, `clear`, its counts.

use crate::attachment::attached::Attachment;
use crate::cache::handle::Cache;
use crate::error::CacheError;
use crate::layout::namespaces::{ROOT, Read};
use crate::layout::tags::number_of;
use crate::stats::{ShardUse, Tallies, entries_of, own_tallies};
use crate::tables::tags::Invalidation;
use cache_machine_shm::ProcessCounter;

impl Cache {
    /// The number of a tag, for `Write::tags` and `Watch::tags`.
    pub fn tag(&self, name: &str) -> u64 {
        number_of(self.geometry(), self.namespace(), name)
    }

    /// Invalidates the entries of this namespace that carry one of these tags, for every process, however many entries
    /// there are.
    ///
    /// # Errors
    /// `Busy`, `Detached`.
    pub fn invalidate_tags(&self, tags: &[u64], how: Invalidation) -> Result<(), CacheError> {
        self.count_busy(self.in_area(|| self.invalidate(self.namespace(), tags, how, self.write_patience())))
    }

    /// Removes all entries at once: entries of an earlier life are dead. A clear of the root clears all namespaces as
    /// well.
    ///
    /// # Errors
    /// `Detached`.
    pub fn clear(&self) -> Result<(), CacheError> {
        self.in_area(|| self.clear_namespace(self.namespace()))
    }

    /// Number of entries. Expired and invalidated ones may count until they are swept. The root counts the entries
    /// outside of namespaces.
    pub fn len(&self) -> u64 {
        let attachment: &Attachment = self;
        entries_of(attachment.region(), attachment.geometry(), self.namespace())
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The counts of this namespace. The root's counts cover everything outside of namespaces.
    pub fn tallies(&self) -> Tallies {
        let attachment: &Attachment = self;
        own_tallies(attachment.region(), attachment.geometry(), self.namespace())
    }

    /// The versions of the application that have users or entries: number, name, and the number of processes that use it.
    ///
    /// # Errors
    /// `Detached`.
    pub fn versions(&self) -> Result<Vec<(u16, String, u32)>, CacheError> {
        self.in_area(|| {
            let attachment: &Attachment = self;
            attachment.versions()
        })
    }

    /// How the space of each shard is used. Takes no lock.
    ///
    /// # Errors
    /// `Detached`.
    pub fn shard_uses(&self) -> Result<Vec<ShardUse>, CacheError> {
        self.in_area(|| {
            let attachment: &Attachment = self;
            attachment.check_attached()?;
            Ok(attachment.shard_uses())
        })
    }

    /// Counts hits of a near cache.
    ///
    /// # Errors
    /// `Detached`: the near cache must not serve any more hits. The call counts the hits all the same.
    pub fn count_near_hits(&self, hits: u64) -> Result<(), CacheError> {
        self.segment.member().count(ProcessCounter::Hits, hits);
        if self.namespace() != ROOT {
            self.count_reads(self.namespace(), Read::Hit, hits);
        }
        self.check_attached()
    }

    /// Lists the contradictions in all structures. It takes each shard's lock in turn.
    ///
    /// # Errors
    /// As for a write.
    pub fn validate(&self) -> Result<Vec<String>, CacheError> {
        self.in_area(|| {
            let attachment: &Attachment = self;
            let mut problems = Vec::new();
            for shard in attachment.shards() {
                let locked = attachment.lock(&shard, ROOT, self.write_patience())?;
                locked.shard.validate(&mut problems);
            }
            Ok(problems)
        })
    }
}
