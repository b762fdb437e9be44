//! The tag clock and the tag records, for reads without a lock.
//!
//! ```text
//! clock     u64, even: quiet, odd: an invalidation is under way, or its process died in it      truth
//! used      u64: number of uses of records so far; modulo the number of records, the next one     truth
//! horizon   u64: records of this clock and earlier ones may be gone                             truth
//! heads     one u32 for each record: 1 + number of the newest record of a chain, or 0           truth
//! records   hash u64 · removed at u64 · outdated at u64 · uses u32 · 1 + next of the chain u32  truth
//! ```
//!
//! The records form a ring: the oldest is reused. Each is in the chain of its hash, from newer to older records. An entry carries
//! the hashes of its tags and the tag clock of the time when its value began to be made. A record of one of its tags with a later
//! removal makes it dead, one with a later outdating makes it stale. `tables/tags.rs` changes the records.

use crate::layout::geometry::{Geometry, TAG_CLOCK};
use cache_machine_shm::Region;
use cache_machine_shm::atomic::AtomicU32;
use cache_machine_shm::steps::visit;
use cache_machine_shm::tag_clock::{self, TagClocks, TagRecord};
use xxhash_rust::xxh64::xxh64;

pub(crate) const HASH: usize = 0;
pub(crate) const REMOVED: usize = 8;
pub(crate) const OUTDATED: usize = 16;
pub(crate) const LINK: usize = 24;

/// Records that a search in one chain reads. The hashes are keyed, so only a damaged chain is longer.
const MAX_CHAIN: usize = 1024;

/// A tag that was invalidated, and the clocks at which that happened; 0: never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidatedTag {
    /// Its identity, combined with the salt of its namespace.
    pub salted: u64,
    /// The last removal.
    pub removed: u64,
    /// The last outdating.
    pub outdated: u64,
}

/// The table of records.
#[derive(Clone, Copy)]
pub(crate) struct TagTable<'a> {
    region: &'a Region,
    geometry: &'a Geometry,
}

/// The newest record of a tag.
pub(crate) struct Found {
    pub(crate) number: usize,
    pub(crate) clocks: TagClocks,
}

impl<'a> TagTable<'a> {
    pub(crate) fn new(region: &'a Region, geometry: &'a Geometry) -> Self {
        Self { region, geometry }
    }

    pub(crate) fn record(&self, number: usize) -> TagRecord<'a> {
        let at = self.geometry.tag_record(number);
        let word = |offset: usize| self.region.u64(at + offset);
        TagRecord { hash: word(HASH), removed: word(REMOVED), outdated: word(OUTDATED), link: word(LINK) }
    }

    fn chain_of(&self, hash: u64) -> usize {
        (((hash >> 32) * self.geometry.tag_records as u64) >> 32) as usize
    }

    /// The word that names the first record of a tag's chain.
    pub(crate) fn head(&self, hash: u64) -> &'a AtomicU32 {
        self.region.u32(self.geometry.tag_head(self.chain_of(hash)))
    }

    /// The tags that were invalidated after `since`. Records that are filled at this moment are left out.
    pub(crate) fn invalidated_since(&self, since: u64) -> Vec<InvalidatedTag> {
        (0..self.geometry.tag_records)
            .filter_map(|number| self.record(number).read())
            .filter(|clocks| clocks.hash != 0 && clocks.removed.max(clocks.outdated) > since)
            .map(|TagClocks { hash, removed, outdated, .. }| InvalidatedTag {
                salted: unkeyed(self.geometry, hash),
                removed,
                outdated,
            })
            .collect()
    }

    /// The newest record of a tag.
    pub(crate) fn find(&self, hash: u64) -> Option<Found> {
        let chain = self.chain_of(hash);
        let mut next = tag_clock::head_of(self.head(hash));
        let mut uses = None;
        for _ in 0..MAX_CHAIN {
            if next == 0 {
                return None;
            }
            visit("tag record");
            let number = next as usize - 1;
            let clocks = self.record(number % self.geometry.tag_records).read()?;
            let used = (clocks.link >> 32) as u32;
            // A record that was reused meanwhile is the end: all records behind it are older and were reused before.
            if self.chain_of(clocks.hash) != chain || uses.is_some_and(|uses| uses != used) {
                return None;
            }
            if clocks.hash == hash {
                return Some(Found { number, clocks });
            }
            next = clocks.link as u32;
            // The next record is older: further left in the same round through the ring, or further right in the one before.
            uses = Some(if next as usize <= number { used } else { used.wrapping_sub(1) });
        }
        None
    }
}

/// The word that links a record to the next of its chain, and tells its uses apart.
pub(crate) fn link(uses: u64, next: u32) -> u64 {
    uses << 32 | u64::from(next)
}

/// The tag clock with which a value that begins to be made now is stamped.
#[inline]
pub(crate) fn clock(region: &Region) -> u64 {
    tag_clock::now(region.u64(TAG_CLOCK))
}

/// The horizon: records of this clock and earlier ones may be gone.
pub(crate) fn horizon(region: &Region, geometry: &Geometry) -> u64 {
    tag_clock::horizon_of(region.u64(geometry.tag_horizon()))
}

/// The hash that identifies a tag of a namespace. It is keyed by the segment, so tags of one chain cannot be chosen from
/// outside.
pub(crate) fn number_of(geometry: &Geometry, namespace: u16, name: &str) -> u64 {
    keyed(geometry, identity_of(name) ^ salt_of(namespace))
}

/// The identity of a tag, the same in every segment: XXH64 of its name. Snapshots have it.
pub(crate) fn identity_of(name: &str) -> u64 {
    xxh64(name.as_bytes(), 0)
}

/// What the identities of the tags of a namespace are combined with.
pub(crate) fn salt_of(namespace: u16) -> u64 {
    u64::from(namespace).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The number in this segment of a tag, given by its identity combined with the salt of its namespace.
pub(crate) fn keyed(geometry: &Geometry, salted: u64) -> u64 {
    // 0 is the hash of a record that is being filled.
    mix(mix(salted ^ geometry.seed).wrapping_add(geometry.seed.rotate_left(32))).max(1)
}

/// The inverse of `keyed`.
pub(crate) fn unkeyed(geometry: &Geometry, number: u64) -> u64 {
    unmix(unmix(number).wrapping_sub(geometry.seed.rotate_left(32))) ^ geometry.seed
}

/// A permutation of 64-bit words in which each bit depends on all others: the finalizer of MurmurHash3.
fn mix(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    word ^= word >> 33;
    word = word.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    word ^ word >> 33
}

fn unmix(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0x9CB4_B2F8_1293_37DB);
    word ^= word >> 33;
    word = word.wrapping_mul(0x4F74_430C_22A5_4005);
    word ^ word >> 33
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::geometry::Eviction;

    #[test]
    fn the_number_of_a_tag_leads_back_to_its_identity() {
        let geometry = Geometry::plan(8 << 20, None, Eviction::S3Fifo, 0x1234_5678_9ABC_DEF0).expect("a plan");
        for name in ["", "a", "news", "user:42", "a name that is longer than thirty-two bytes of text"] {
            for namespace in [0, 1, 1023] {
                let salted = identity_of(name) ^ salt_of(namespace);
                let number = number_of(&geometry, namespace, name);
                assert_eq!(unkeyed(&geometry, number), salted);
                assert_eq!(keyed(&geometry, salted), number);
            }
        }
        assert_eq!(identity_of("news"), identity_of("news"));
        assert_ne!(number_of(&geometry, 1, "news"), number_of(&geometry, 2, "news"));
    }
}
