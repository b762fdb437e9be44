//! Liveness: which of the owners in a record are dead.
//!
//! A check takes a system call, so it never runs under a shard's lock. A caller lists the dead owners first and passes
//! the list to the change. A dead owner stays dead: the next owner of its slot has another generation.

use crate::attachment::attached::Attachment;
use cache_machine_shm::lock::{Owner, Parties};

impl Attachment {
    /// Returns the dead ones of these owners. It makes a system call for each owner that may be alive. Caution: never
    /// call it under a lock.
    pub(crate) fn dead_of(&self, owners: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut asked: Vec<u32> = owners.collect();
        asked.sort_unstable();
        asked.dedup();
        asked.retain(|word| self.is_owner_dead(*word));
        asked
    }

    fn is_owner_dead(&self, word: u32) -> bool {
        let owner = Owner::of(word);
        owner.generation == 0 || self.segment.member().is_dead(owner)
    }

    /// The owner word of this process in records.
    pub(crate) fn owner_word(&self) -> u32 {
        self.segment.member().me().word()
    }
}
