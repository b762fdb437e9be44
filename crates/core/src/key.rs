//! A key, hashed once: which shard, line and tag are its own.
//!
//! The hash is keyed by the segment's random seed, so nobody outside can choose keys that collide, and its algorithm
//! (XXH3, 64 bits) gives the same number in every build.

use crate::error::CacheError;
use crate::geometry::Geometry;
use crate::spaces::{number, space};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 8192;

/// A key with all that follows from its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) namespace: u16,
    pub(crate) shard: usize,
    pub(crate) place: Placing,
}

impl<'k> Key<'k> {
    // Always inlined: as a result, which is a struct or an error, it would be copied twice.
    #[inline(always)]
    pub(crate) fn new(geometry: &Geometry, namespace: u16, bytes: &'k [u8]) -> Result<Self, CacheError> {
        if !is_possible_len(bytes.len()) {
            return Err(wrong_length(bytes.len()));
        }
        Ok(Self::hashed(geometry, namespace, bytes))
    }

    /// Of bytes of a right length.
    #[inline]
    fn hashed(geometry: &Geometry, namespace: u16, bytes: &'k [u8]) -> Self {
        let seed = geometry.seed ^ u64::from(number(namespace)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut hash = xxh3_64_with_seed(bytes, seed);
        let shard = ((hash >> 48) as usize * geometry.shards) >> 16;
        // A record of a key is in the key's shard, so that both are changed under one lock, and elsewhere in it.
        hash = hash.rotate_left(u32::from(space(namespace)) * 5);
        Self {
            bytes,
            namespace,
            shard,
            place: Placing { hash: (hash >> 16) as u32, tag: hash as u32 & ((1 << geometry.tag_bits) - 1) },
        }
    }

    /// Stripe of the listeners' marks.
    #[inline]
    pub(crate) fn stripe(&self) -> usize {
        self.place.hash as usize % cache_machine_shm::RUNG_STRIPES
    }
}

/// Whether a key may have so many bytes.
#[inline]
pub(crate) fn is_possible_len(len: usize) -> bool {
    (1..=MAX_KEY).contains(&len)
}

#[cold]
fn wrong_length(len: usize) -> CacheError {
    if len == 0 { CacheError::InvalidArgument("the key is empty".into()) } else { CacheError::KeyTooLong(len) }
}

/// The part of a hash that says where in its shard a key belongs. Kept in the entry's head (derived).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Placing {
    pub(crate) hash: u32,
    /// What the key's index word has of its hash. Its lowest bits say which of the lines is the key's own that its line was
    /// divided into: an index is divided without a look at anything but its words.
    pub(crate) tag: u32,
}

impl Placing {
    /// The key's own line while the index is as large as `level` says.
    #[inline]
    pub(crate) fn line(self, geometry: &Geometry, level: u32) -> usize {
        let first = ((u64::from(self.hash) * geometry.first_lines as u64) >> 32) as usize;
        first + geometry.first_lines * (self.tag as usize & ((1 << level) - 1))
    }

    /// The overflow line where a key starts that found its own line full.
    pub(crate) fn overflow_line(self, geometry: &Geometry) -> usize {
        let mixed = self.hash.wrapping_mul(0x9E37_79B1);
        geometry.main_lines + ((u64::from(mixed) * geometry.overflow_lines as u64) >> 32) as usize
    }

    /// The lines a key may be in, in the order in which they are tried: its own, then the overflow lines in a ring.
    pub(crate) fn path(self, geometry: &Geometry, level: u32) -> impl Iterator<Item = usize> + '_ {
        let first = self.overflow_line(geometry) - geometry.main_lines;
        std::iter::once(self.line(geometry, level)).chain(
            (0..geometry.overflow_lines).map(move |i| geometry.main_lines + (first + i) % geometry.overflow_lines),
        )
    }
}
