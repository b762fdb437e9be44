//! The subscriptions of all processes to channels. A publisher reads their number, and the processes to wake.
//!
//! ```text
//! 0       lock u32 · records removed since the last reclaim u32                                    derived
//! 8       changes that reached no ring u64                                                         derived
//! 64      one bit per length, 1 to 8,192, of the prefixes that are subscribed to                   truth
//! 1088    4,096 records of 16 bytes: hash of the channel or prefix u64 · owner u32 · count u32     truth
//! ```
//!
//! A record counts the subscriptions of one process to one name. The lowest 14 bits of the hash of a prefix are its
//! length, those of a channel are 0. The other bits give the record where a search begins, and an odd stride to the next
//! one, so a search that goes on reaches every record. With a stride of 1, records of a full table that stay when the
//! others are removed would keep long searches long. Records are added and removed under the lock, and read without it. Only the owner of a
//! record changes its count.
//!
//! A bit of a length may stay after the last prefix of that length; then a publisher searches in vain. A reclaim
//! makes the removed records that no search has to pass free, and forgets the lengths without a prefix. It comes with
//! every end of a prefix, and with one in `RECLAIM_AFTER` ends of a channel. So a table that was full once, or had
//! prefixes of many lengths, costs little later.
//!
//! Caution: a dead process leaves its subscriptions behind. Each count checks the lease of the owner.

use crate::attachment::attached::Attachment;
use crate::attachment::locks::HeaderTable;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::geometry::SUBSCRIPTIONS_AT;
use crate::layout::sizes::{MAX_KEY, SUBSCRIPTION_RECORD as RECORD, SUBSCRIPTION_RECORDS as RECORDS};
use cache_machine_shm::Slots;
use cache_machine_shm::atomic::{AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::lock::{Owner, Parties};
use cache_machine_shm::steps::{step, visit};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) const LOCK: usize = SUBSCRIPTIONS_AT;
pub(crate) const REMOVED_SINCE: usize = SUBSCRIPTIONS_AT + 16;
pub(crate) const UNWRITTEN: usize = SUBSCRIPTIONS_AT + 8;
pub(crate) const LENGTHS: usize = SUBSCRIPTIONS_AT + 64;
pub(crate) const RECORDS_AT: usize = LENGTHS + MAX_KEY / 8;
const FREE: u64 = 0;
/// The record was in use: a search continues behind it.
const REMOVED: u64 = 1;
/// Bits of a hash that are the length of a prefix.
const LENGTH_BITS: u32 = 14;
const _: () = assert!(MAX_KEY < 1 << LENGTH_BITS);
/// Set in every hash, so that none is `FREE` or `REMOVED`.
const IN_USE: u64 = 1 << 63;

/// Ends of channels after which removed records are reclaimed.
const RECLAIM_AFTER: u32 = 64;
/// Maximum number of records that searches pass in a sound table. A full one has some 8 for each record.
const MAX_PASSED: usize = 64 * RECORDS;

/// The records in the order of a search for `hash`.
fn path_of(hash: u64) -> impl Iterator<Item = usize> {
    const { assert!(RECORDS.is_power_of_two()) };
    let (home, stride) = ((hash >> LENGTH_BITS) as usize, (hash >> 32) as usize | 1);
    (0..RECORDS).map(move |i| home.wrapping_add(i.wrapping_mul(stride)) % RECORDS)
}

/// The length of a prefix, as its hash has it. No key starts with an empty prefix.
fn length_of(prefix: &[u8]) -> usize {
    prefix.len().clamp(1, MAX_KEY)
}

/// A channel, or all channels with a prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) namespace: u16,
    pub(crate) is_prefix: bool,
    pub(crate) bytes: &'a [u8],
}

/// The subscribers that a message is for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Audience {
    /// Subscriptions of living processes.
    pub(crate) count: u32,
    /// The slots of these processes.
    pub(crate) slots: Slots,
}

#[derive(Clone, Copy)]
struct SubscriptionRecord<'a> {
    attachment: &'a Attachment,
    index: usize,
}

impl<'a> SubscriptionRecord<'a> {
    fn at(self) -> usize {
        RECORDS_AT + self.index % RECORDS * RECORD
    }

    fn hash(self) -> &'a AtomicU64 {
        self.attachment.region().u64(self.at())
    }

    fn owner(self) -> &'a AtomicU32 {
        self.attachment.region().u32(self.at() + 8)
    }

    fn count(self) -> &'a AtomicU32 {
        self.attachment.region().u32(self.at() + 12)
    }

    fn is_mine(self) -> bool {
        self.owner().load(Ordering::Relaxed) == self.attachment.segment.member().owner().word()
    }

    /// Whether the owner of the record lives; `false` also for an owner that cannot exist.
    fn is_alive(self) -> bool {
        let owner = Owner::of(self.owner().load(Ordering::Relaxed));
        owner.generation != 0 && !self.attachment.segment.member().is_dead(owner)
    }

    /// The caller holds the lock.
    fn remove(self) {
        // Release: pairs with the Acquire in `records_of`: a reader that still sees the hash sees the owner that it
        // had.
        self.hash().store(REMOVED, Ordering::Release);
        step("subscription.removed");
    }
}

impl Attachment {
    fn hash_of(&self, name: &Name<'_>) -> u64 {
        let salt = 0x5355_4200 + u64::from(name.is_prefix);
        let seed = self.geometry().seed ^ salt ^ u64::from(name.namespace).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let length = if name.is_prefix { length_of(name.bytes) as u64 } else { 0 };
        xxh3_64_with_seed(name.bytes, seed) >> LENGTH_BITS << LENGTH_BITS | length | IN_USE
    }

    /// The records that may have a hash.
    fn records_of(&self, hash: u64) -> impl Iterator<Item = (SubscriptionRecord<'_>, u64)> {
        // Acquire: pairs with the Release in `note_subscription`: a reader that sees the hash sees owner and count.
        path_of(hash)
            .map(|index| SubscriptionRecord { attachment: self, index })
            .map(|record| {
                visit("subscription");
                (record, record.hash().load(Ordering::Acquire))
            })
            .take_while(|(_, seen)| *seen != FREE)
    }

    /// Notes one more subscription of this process to a name. Threads of one process call this one after the other.
    ///
    /// # Errors
    /// `Busy`; `NoSpace` if the table is full of living processes' channels.
    pub(crate) fn note_subscription(&self, name: &Name<'_>, patience: Patience) -> Result<(), CacheError> {
        let hash = self.hash_of(name);
        if let Some(own) = self.own_record(hash) {
            own.count().fetch_add(1, Ordering::Relaxed); // only its owner changes it
            step("subscription.counted");
            return Ok(());
        }
        let guard = self.lock_header(HeaderTable::Subscriptions, patience)?;
        // A suspect needs no repair: an unfinished record has no hash yet.
        step("subscription.begun");
        let bit = length_of(name.bytes) - 1;
        if name.is_prefix && self.lengths(bit / 64).load(Ordering::Relaxed) >> (bit % 64) & 1 == 0 {
            // Each length costs publishers a search, so those of dead processes are forgotten first.
            self.remove_dead_subscriptions();
        }
        let Some(record) = self.free_record(hash).or_else(|| {
            self.remove_dead_subscriptions();
            self.free_record(hash)
        }) else {
            let text =
                format!("{RECORDS} channels are subscribed to, counted once for each process, which is the most");
            return Err(CacheError::NoSpace(text));
        };
        if name.is_prefix {
            // Behind every call that may forget it.
            self.lengths(bit / 64).fetch_or(1 << (bit % 64), Ordering::Relaxed);
            step("subscription.length");
        }
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

    /// Takes one subscription back. It never waits: if the lock is held, a record with a count of 0 stays until its
    /// process ends.
    pub(crate) fn forget_subscription(&self, name: &Name<'_>) {
        let Some(own) = self.own_record(self.hash_of(name)) else { return };
        let left = own.count().load(Ordering::Relaxed).saturating_sub(1);
        own.count().store(left, Ordering::Relaxed); // only its owner changes it
        step("subscription.uncounted");
        if left != 0 {
            return;
        }
        if let Ok(guard) = self.lock_header(HeaderTable::Subscriptions, Patience::Brief(Duration::ZERO)) {
            step("subscription.begun");
            own.remove();
            let removed = self.region().u32(REMOVED_SINCE);
            let since = removed.load(Ordering::Relaxed).saturating_add(1);
            removed.store(since, Ordering::Relaxed); // guarded by the lock
            step("subscription.since");
            if name.is_prefix || since >= RECLAIM_AFTER {
                self.reclaim_subscriptions();
            }
            drop(guard);
        }
    }

    fn own_record(&self, hash: u64) -> Option<SubscriptionRecord<'_>> {
        self.records_of(hash).find(|(record, seen)| *seen == hash && record.is_mine()).map(|(record, _)| record)
    }

    /// The caller holds the lock.
    fn free_record(&self, hash: u64) -> Option<SubscriptionRecord<'_>> {
        let mut records = path_of(hash).map(|index| SubscriptionRecord { attachment: self, index });
        records.find(|record| record.hash().load(Ordering::Relaxed) <= REMOVED)
    }

    /// Forgets the prefixes of dead processes. For a process that attaches: it often takes the place of a dead one.
    pub(crate) fn forget_dead_prefixes(&self) {
        let has_prefixes = (0..MAX_KEY / 64).any(|word| self.lengths(word).load(Ordering::Relaxed) != 0);
        if !has_prefixes {
            return; // the table itself is not touched
        }
        if let Ok(guard) = self.lock_header(HeaderTable::Subscriptions, Patience::Brief(Duration::ZERO)) {
            self.remove_dead_subscriptions();
            drop(guard);
        }
    }

    /// The caller holds the lock.
    fn remove_dead_subscriptions(&self) {
        let records = (0..RECORDS).map(|index| SubscriptionRecord { attachment: self, index });
        // Records side by side often have one owner, and the question for its lease is a system call.
        let mut last = None;
        let mut is_alive = |record: SubscriptionRecord<'_>| match last {
            Some((owner, alive)) if owner == record.owner().load(Ordering::Relaxed) => alive,
            _ => {
                let alive = record.is_alive();
                last = Some((record.owner().load(Ordering::Relaxed), alive));
                alive
            }
        };
        for record in records.filter(|record| record.hash().load(Ordering::Relaxed) > REMOVED) {
            if !is_alive(record) {
                record.remove();
            }
        }
        self.reclaim_subscriptions();
    }

    /// Frees the removed records that no search has to pass, and forgets the lengths of which no prefix is left. The
    /// caller holds the lock.
    fn reclaim_subscriptions(&self) {
        let mut lengths = [0u64; MAX_KEY / 64];
        // The records that searches for others pass, one bit each.
        let mut passed = [0u64; RECORDS / 64];
        let mut marks = 0;
        let hash_at = |index| SubscriptionRecord { attachment: self, index }.hash();
        for index in 0..RECORDS {
            let hash = hash_at(index).load(Ordering::Relaxed);
            if hash <= REMOVED {
                continue;
            }
            for before in path_of(hash).take_while(|before| *before != index) {
                passed[before / 64] |= 1 << (before % 64);
                marks += 1;
            }
            if marks > MAX_PASSED {
                return; // damage
            }
            let length = hash as usize & ((1 << LENGTH_BITS) - 1);
            if (1..=MAX_KEY).contains(&length) {
                lengths[(length - 1) / 64] |= 1 << ((length - 1) % 64);
            }
        }
        // mutant: subscriptions-stay-removed
        for index in (0..RECORDS).filter(|index| passed[index / 64] >> (index % 64) & 1 == 0) {
            if hash_at(index).load(Ordering::Relaxed) == REMOVED {
                hash_at(index).store(FREE, Ordering::Relaxed);
                step("subscription.freed");
            }
        }
        for (word, lengths) in lengths.into_iter().enumerate() {
            let noted = self.lengths(word).load(Ordering::Relaxed);
            // mutant: prefix-lengths-stay
            if noted & !lengths != 0 {
                self.lengths(word).store(noted & lengths, Ordering::Relaxed);
                step("subscription.lengths");
            }
        }
        self.region().u32(REMOVED_SINCE).store(0, Ordering::Relaxed); // guarded by the lock
        step("subscription.reclaimed");
    }

    /// 64 bits of the lengths of prefixes.
    fn lengths(&self, word: usize) -> &AtomicU64 {
        self.region().u64(LENGTHS + word * 8)
    }

    /// The living subscriptions to a channel, by its name and by prefixes of it.
    pub(crate) fn audience(&self, namespace: u16, channel: &[u8]) -> Audience {
        let mut audience = Audience::default();
        self.add_audience(&Name { namespace, is_prefix: false, bytes: channel }, &mut audience);
        for word in 0..channel.len().min(MAX_KEY).div_ceil(64) {
            let mut lengths = self.lengths(word).load(Ordering::Relaxed); // set before the record
            while lengths != 0 {
                let len = word * 64 + lengths.trailing_zeros() as usize + 1;
                lengths &= lengths - 1;
                if let Some(bytes) = channel.get(..len) {
                    visit("prefix");
                    self.add_audience(&Name { namespace, is_prefix: true, bytes }, &mut audience);
                }
            }
        }
        audience
    }

    /// Number of subscriptions of living processes to exactly this name.
    pub(crate) fn count_subscriptions(&self, name: &Name<'_>) -> u32 {
        let mut audience = Audience::default();
        self.add_audience(name, &mut audience);
        audience.count
    }

    /// Whether a process has subscribed to exactly this name, also one that has died since. It makes no system call.
    pub(crate) fn has_subscription(&self, name: &Name<'_>) -> bool {
        let hash = self.hash_of(name);
        self.records_of(hash).any(|(record, seen)| seen == hash && record.count().load(Ordering::Relaxed) != 0)
    }

    /// Forgets the subscriptions of dead processes.
    ///
    /// # Errors
    /// `Busy`: another process changes the table.
    pub(crate) fn forget_dead_subscriptions(&self) -> Result<(), CacheError> {
        let guard = self.lock_header(HeaderTable::Subscriptions, Patience::Brief(Duration::ZERO))?;
        self.remove_dead_subscriptions();
        drop(guard);
        Ok(())
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

    /// Number of changes that could not be written into a ring, over all processes.
    pub(crate) fn unwritten(&self) -> u64 {
        self.region().u64(UNWRITTEN).load(Ordering::Acquire) // pairs with `note_unwritten`
    }

    pub(crate) fn note_unwritten(&self) {
        // Release: pairs with the Acquire in `unwritten`, so that its reader sees the invalidation before the count.
        self.region().u64(UNWRITTEN).fetch_add(1, Ordering::Release);
        step("stream.untold");
    }
}
