//! Stores an entry of another area as it is: with its version, its times and its place in a queue.

use crate::change::locked::{ChangeError, Locked};
use crate::layout::control::EvictionQueue;
use crate::layout::entry::{CHAINED, Head};
use crate::layout::geometry::UNIT;
use crate::layout::key::Key;
use crate::layout::namespaces;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;

/// An entry of another area.
pub(crate) struct Adopted<'a> {
    /// Its head, with what differs here.
    pub(crate) head: &'a Head,
    /// The words before the key, the key and the value.
    pub(crate) body: &'a [u8],
    pub(crate) queue: EvictionQueue,
    /// Its use mark.
    pub(crate) mark: u8,
}

impl Locked<'_> {
    /// The current life of a namespace of values.
    pub(crate) fn life_in(&self, namespace: u16) -> u64 {
        namespaces::life(self.shard.region, self.root_epoch, namespace)
    }

    /// Stores an entry under a key that has none. False: there is no room and nothing may be evicted.
    pub(crate) fn adopt(&mut self, key: &Key<'_>, entry: &Adopted<'_>) -> Result<bool, ChangeError> {
        let Adopted { head, body, queue, mark } = *entry;
        let Some(placement) = self.take_units(key, body.len().div_ceil(UNIT), None)? else {
            return Ok(false);
        };
        step("resize.taken");
        let chained = if placement.chained { CHAINED } else { 0 };
        let head = Head { flags: head.flags & !CHAINED | chained, run: placement.run, ..*head };
        let (extras, value) = (&body[..head.key_at()], &body[head.value_at()..]);
        let words = extras.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        self.shard.write_entry(placement.head, &head, words, key.bytes, value)?;
        self.begin_life_of(&head);
        let at = self.insert_into(key, placement.head, &head, Some(queue))?;
        self.shard.use_mark(at).store(mark, Ordering::Relaxed);
        step("resize.copied");
        Ok(true)
    }
}
