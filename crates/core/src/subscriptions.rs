//! Who subscribes to which channel: a table that tells a publisher how many subscriptions there are and whom to wake.
//!
//! ```text
//! 0       lock u32 · –
//! 8       changes that could not be told u64                                                       derived
//! 64      one bit per length, 1 to 8,192, of the prefixes that are or were subscribed to           truth
//! 1088    4,096 records of 16 bytes: hash of the channel or prefix u64 · owner u32 · count u32     truth
//! ```
//!
//! A record says how often one process subscribes to one name; it is found from its hash on by looking at one after the
//! other. Records are added and removed under the lock and looked at without it. The count is changed by its owner alone.
//!
//! The thing to get wrong: the dead. Nobody takes back what they subscribed to, so whoever counts asks for the owner's
//! lease, each time.

use crate::cache::Core;
use crate::error::CacheError;
use crate::geometry::SUBSCRIPTIONS_AT;
use crate::key::MAX_KEY;
use cache_machine_shm::Slots;
use cache_machine_shm::atomic::{AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::lock::{Owner, Parties};
use cache_machine_shm::steps::step;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const RECORDS: usize = 4096;
const RECORD: usize = 16;
const LOCK: usize = SUBSCRIPTIONS_AT;
const UNTOLD: usize = SUBSCRIPTIONS_AT + 8;
const LENGTHS: usize = SUBSCRIPTIONS_AT + 64;
const RECORDS_AT: usize = LENGTHS + MAX_KEY / 8;
/// Bytes of the table.
pub(crate) const SUBSCRIPTIONS_BYTES: usize = 64 + MAX_KEY / 8 + RECORDS * RECORD;
const FREE: u64 = 0;
/// Was in use: a search goes on behind it.
const REMOVED: u64 = 1;

/// A channel, or all channels that start with something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) namespace: u16,
    pub(crate) is_prefix: bool,
    pub(crate) bytes: &'a [u8],
}

/// For whom a message is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Audience {
    /// Subscriptions of living processes.
    pub(crate) count: u32,
    /// These processes.
    pub(crate) slots: Slots,
}

#[derive(Clone, Copy)]
struct Record<'a> {
    core: &'a Core,
    index: usize,
}

impl<'a> Record<'a> {
    fn at(self) -> usize {
        RECORDS_AT + self.index % RECORDS * RECORD
    }

    fn hash(self) -> &'a AtomicU64 {
        self.core.segment.region().u64(self.at())
    }

    fn owner(self) -> &'a AtomicU32 {
        self.core.segment.region().u32(self.at() + 8)
    }

    fn count(self) -> &'a AtomicU32 {
        self.core.segment.region().u32(self.at() + 12)
    }

    fn is_mine(self) -> bool {
        self.owner().load(Ordering::Relaxed) == self.core.segment.member().owner().word()
    }

    /// Whether its owner lives; `false` also for one that nobody can be.
    fn is_alive(self) -> bool {
        let owner = Owner::of(self.owner().load(Ordering::Relaxed));
        owner.generation != 0 && !self.core.segment.member().is_dead(owner)
    }

    /// Under the lock.
    fn remove(self) {
        // Release: pairs with the Acquire in `records_of`, so that who still sees the hash sees the owner that it had.
        self.hash().store(REMOVED, Ordering::Release);
        step("subscription.removed");
        // No search goes past a free place, so one in front of it need not be gone past either.
        let mut last = self;
        while last.next().hash().load(Ordering::Relaxed) == FREE && last.hash().load(Ordering::Relaxed) == REMOVED {
            last.hash().store(FREE, Ordering::Relaxed);
            step("subscription.freed");
            last = Record { index: last.index + RECORDS - 1, ..last };
        }
    }

    fn next(self) -> Self {
        Record { index: (self.index + 1) % RECORDS, ..self }
    }
}

impl Core {
    fn hash_of(&self, name: &Name<'_>) -> u64 {
        let salt = 0x5355_4200 + u64::from(name.is_prefix);
        let seed = self.geometry().seed ^ salt ^ u64::from(name.namespace).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        xxh3_64_with_seed(name.bytes, seed).max(REMOVED + 1)
    }

    /// The records that may be of a hash.
    fn records_of(&self, hash: u64) -> impl Iterator<Item = (Record<'_>, u64)> {
        let home = hash as usize % RECORDS;
        // Acquire: pairs with the Release in `subscribe`, so that whoever sees the hash sees owner and count.
        let seen = move |i| Record { core: self, index: (home + i) % RECORDS };
        (0..RECORDS)
            .map(seen)
            .map(|record| (record, record.hash().load(Ordering::Acquire)))
            .take_while(|(_, seen)| *seen != FREE)
    }

    /// Notes that this process subscribes to a name once more. Its own threads do one after the other.
    ///
    /// # Errors
    /// `Busy`, `NoSpace` for a table full of living processes' channels.
    pub(crate) fn note_subscription(&self, name: &Name<'_>, timeout: Duration) -> Result<(), CacheError> {
        let hash = self.hash_of(name);
        if let Some(own) = self.own_record(hash) {
            own.count().fetch_add(1, Ordering::Relaxed); // only its owner changes it
            step("subscription.counted");
            return Ok(());
        }
        let guard = self.lock_header(LOCK, "the table of subscriptions", timeout)?;
        // A suspect needs no repair: what its owner had not finished has no hash yet.
        step("subscription.begun");
        if name.is_prefix {
            let bit = name.bytes.len().clamp(1, MAX_KEY) - 1;
            self.segment.region().u64(LENGTHS + bit / 64 * 8).fetch_or(1 << (bit % 64), Ordering::Relaxed);
            step("subscription.length");
        }
        let Some(record) = self.free_record(hash).or_else(|| {
            self.remove_dead_subscriptions();
            self.free_record(hash)
        }) else {
            let text =
                format!("{RECORDS} channels are subscribed to, counted once for each process, which is the most");
            return Err(CacheError::NoSpace(text));
        };
        record.owner().store(self.segment.member().owner().word(), Ordering::Relaxed); // published by the hash
        step("subscription.owner");
        record.count().store(1, Ordering::Relaxed);
        step("subscription.one");
        // Release: pairs with the Acquire in `records_of`.
        record.hash().store(hash, Ordering::Release);
        step("subscription.named");
        drop(guard);
        Ok(())
    }

    /// Takes one back. Never waits: where the lock is held, a record that counts nothing stays until its process ends.
    pub(crate) fn forget_subscription(&self, name: &Name<'_>) {
        let Some(own) = self.own_record(self.hash_of(name)) else { return };
        let left = own.count().load(Ordering::Relaxed).saturating_sub(1);
        own.count().store(left, Ordering::Relaxed); // only its owner changes it
        step("subscription.uncounted");
        if left != 0 {
            return;
        }
        if let Ok(guard) = self.lock_header(LOCK, "the table of subscriptions", Duration::ZERO) {
            step("subscription.begun");
            own.remove();
            drop(guard);
        }
    }

    fn own_record(&self, hash: u64) -> Option<Record<'_>> {
        self.records_of(hash).find(|(record, seen)| *seen == hash && record.is_mine()).map(|(record, _)| record)
    }

    /// Under the lock.
    fn free_record(&self, hash: u64) -> Option<Record<'_>> {
        let home = hash as usize % RECORDS;
        let places = (0..RECORDS).map(|i| Record { core: self, index: (home + i) % RECORDS });
        places.into_iter().find(|record| record.hash().load(Ordering::Relaxed) <= REMOVED)
    }

    /// Under the lock.
    fn remove_dead_subscriptions(&self) {
        let records = (0..RECORDS).map(|index| Record { core: self, index });
        for record in records.filter(|record| record.hash().load(Ordering::Relaxed) > REMOVED && !record.is_alive()) {
            record.remove();
        }
    }

    /// The living subscriptions to a channel, by its name and by prefixes of it.
    pub(crate) fn audience(&self, namespace: u16, channel: &[u8]) -> Audience {
        let mut audience = Audience::default();
        self.add_audience(&Name { namespace, is_prefix: false, bytes: channel }, &mut audience);
        let region = self.segment.region();
        for word in 0..channel.len().min(MAX_KEY).div_ceil(64) {
            let mut lengths = region.u64(LENGTHS + word * 8).load(Ordering::Relaxed); // it only grows
            while lengths != 0 {
                let len = word * 64 + lengths.trailing_zeros() as usize + 1;
                lengths &= lengths - 1;
                if let Some(bytes) = channel.get(..len) {
                    self.add_audience(&Name { namespace, is_prefix: true, bytes }, &mut audience);
                }
            }
        }
        audience
    }

    fn add_audience(&self, name: &Name<'_>, audience: &mut Audience) {
        let hash = self.hash_of(name);
        for (record, _) in self.records_of(hash).filter(|(_, seen)| *seen == hash) {
            let count = record.count().load(Ordering::Relaxed);
            let owner = Owner::of(record.owner().load(Ordering::Relaxed));
            if count == 0 || !record.is_alive() {
                continue;
            }
            audience.count = audience.count.saturating_add(count);
            let slot = usize::from(owner.slot);
            if let Some(slots) = audience.slots.get_mut(slot / 64) {
                *slots |= 1 << (slot % 64);
            }
        }
    }

    /// Changes that could not be put into a ring, over all processes.
    pub(crate) fn untold(&self) -> u64 {
        self.segment.region().u64(UNTOLD).load(Ordering::Acquire) // pairs with `note_untold`
    }

    pub(crate) fn note_untold(&self) {
        // Release: pairs with the Acquire in `untold`; the invalidation before it is seen.
        self.segment.region().u64(UNTOLD).fetch_add(1, Ordering::Release);
        step("feed.untold");
    }
}
