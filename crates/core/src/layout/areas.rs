//! The areas of a segment: the parts that depend on its size. One of them is the present one; a resize makes another.
//!
//! ```text
//! area      base u64 · bytes of the segment u64 · shards u64 · maximum entry u64 · number u64   truth
//! released  u32: number of the area beside which the file has no others               truth
//!           u64: when bytes were released last, milliseconds since boot               truth
//! ```
//!
//! The upper bits of the root epoch hold the number of the present area. Areas with an even number stand in the first
//! place, those with an odd number in the second. So a resize fills the place that is not in use, and one store of the
//! epoch switches.

use cache_machine_shm::atomic::{AtomicU32, Ordering};
use cache_machine_shm::steps::step;
use cache_machine_shm::{Header, Region};

/// Offset of the two places.
pub(crate) const AREAS: usize = Header::CACHE + 512;
/// Bytes of a place.
pub(crate) const AREA_BYTES: usize = 64;
/// Offset of the word that names the only area of the file.
pub(crate) const RELEASED: usize = AREAS + 2 * AREA_BYTES;
/// Value of that word while other areas may exist.
pub(crate) const UNRELEASED: u32 = 1 << 8;
/// Offset of the time of the last release.
pub(crate) const RELEASED_AT: usize = RELEASED + 8;

/// A place in the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Area {
    /// Its offset.
    pub(crate) base: usize,
    /// Bytes of the segment, with those in front of the first area.
    pub(crate) len: usize,
    pub(crate) shards: usize,
    pub(crate) max_entry: usize,
    /// Its own number. Another one means that the place or the root epoch is damaged.
    pub(crate) number: usize,
}

impl Area {
    fn at(number: u8) -> usize {
        AREAS + usize::from(number & 1) * AREA_BYTES
    }

    pub(crate) fn load(region: &Region, number: u8) -> Self {
        // The caller has loaded the number with Acquire, which pairs with the store that switches.
        let word = |i: usize| region.u64(Self::at(number) + i * 8).load(Ordering::Relaxed) as usize;
        Self { base: word(0), len: word(1), shards: word(2), max_entry: word(3), number: word(4) }
    }

    /// Fills the place of the area, which is not the present one.
    pub(crate) fn store(&self, region: &Region) {
        let Self { base, len, shards, max_entry, number } = *self;
        for (i, word) in [base, len, shards, max_entry, number].into_iter().enumerate() {
            region.u64(Self::at(number as u8) + i * 8).store(word as u64, Ordering::Relaxed); // published by the root epoch
        }
        step("resize.described");
    }
}

/// The word that names the only area of the file.
pub(crate) fn released(region: &Region) -> &AtomicU32 {
    region.u32(RELEASED)
}
