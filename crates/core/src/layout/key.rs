//! A key, hashed once: its shard, its line and its tag.
//!
//! The hash is keyed by the segment's random seed, so keys that collide cannot be chosen from outside. Its algorithm
//! (XXH3, 64 bits) gives the same number in every build.

use crate::error::CacheError;
use crate::layout::geometry::Geometry;
use crate::layout::keyspaces::{number, space, version_of};
use crate::layout::sizes::{MAX_KEY, MAX_TAGS};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A key, with the numbers that follow from its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) namespace: u16,
    /// The area that the shard and the place are numbers of.
    pub(crate) area: u8,
    /// The upper bits of the hash, which select the shard.
    pub(crate) upper: u16,
    pub(crate) shard: usize,
    pub(crate) place: Placing,
}

impl<'k> Key<'k> {
    // Always inlined: otherwise the result, a struct or an error, is copied twice.
    #[inline(always)]
    pub(crate) fn new(geometry: &Geometry, namespace: u16, bytes: &'k [u8]) -> Result<Self, CacheError> {
        if !is_possible_len(bytes.len()) {
            return Err(wrong_length(bytes.len()));
        }
        Ok(Self::hashed(geometry, namespace, bytes))
    }

    /// The key of an entry to be written, with a value of `value` bytes and with `tags` tags.
    #[inline(always)]
    pub(crate) fn for_entry(
        geometry: &Geometry,
        namespace: u16,
        bytes: &'k [u8],
        value: usize,
        tags: usize,
    ) -> Result<Self, CacheError> {
        let key = Self::new(geometry, namespace, bytes)?;
        if tags > MAX_TAGS {
            return Err(CacheError::InvalidArgument(format!("an entry has at most {MAX_TAGS} tags")));
        }
        let needed = bytes.len() + value + tags * 8;
        if needed > geometry.max_entry {
            return Err(CacheError::ValueTooLarge { needed, limit: geometry.max_entry });
        }
        Ok(key)
    }

    /// Hashes bytes of a possible length.
    #[inline]
    fn hashed(geometry: &Geometry, namespace: u16, bytes: &'k [u8]) -> Self {
        let seed = geometry.seed ^ u64::from(number(namespace)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut hash = xxh3_64_with_seed(bytes, seed);
        let upper = (hash >> 48) as u16;
        let shard = geometry.shard_of(upper);
        // A record of a key is in the key's shard, so one lock guards both. Its place inside the shard differs.
        hash = match version_of(namespace) {
            None => hash.rotate_left(u32::from(space(namespace)) * 5),
            // The lower 48 bits are mixed among themselves: the others are those of the shard, and in the bits of a line
            // they would leave most lines unused.
            Some(_) => (hash ^ u64::from(space(namespace))).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        };
        Self {
            bytes,
            namespace,
            area: geometry.area,
            upper,
            shard,
            place: Placing { hash: (hash >> 16) as u32, tag: hash as u32 & ((1 << geometry.tag_bits) - 1) },
        }
    }

    /// Stripe of the listeners' marks of this key.
    #[inline]
    pub(crate) fn stripe(&self) -> usize {
        self.place.hash as usize % cache_machine_shm::BELL_STRIPES
    }
}

/// Whether a key may have `len` bytes.
#[inline]
pub(crate) fn is_possible_len(len: usize) -> bool {
    (1..=MAX_KEY).contains(&len)
}

#[cold]
fn wrong_length(len: usize) -> CacheError {
    if len == 0 { CacheError::InvalidArgument("the key is empty".into()) } else { CacheError::KeyTooLong(len) }
}

/// The part of a hash that places a key inside its shard. It is kept in the entry's head (derived).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Placing {
    pub(crate) hash: u32,
    /// The bits of the hash in the key's index word. The lowest bits select the key's own line among those into which
    /// its first line was divided. So a division places entries by their index words alone.
    pub(crate) tag: u32,
}

impl Placing {
    /// The key's own line at this level of the index.
    #[inline]
    pub(crate) fn line(self, geometry: &Geometry, level: u32) -> usize {
        let first = ((u64::from(self.hash) * geometry.first_lines as u64) >> 32) as usize;
        first + geometry.first_lines * (self.tag as usize & ((1 << level) - 1))
    }

    /// The first overflow line of a key that finds its own line full.
    pub(crate) fn overflow_line(self, geometry: &Geometry) -> usize {
        let mixed = self.hash.wrapping_mul(0x9E37_79B1);
        geometry.main_lines + ((u64::from(mixed) * geometry.overflow_lines as u64) >> 32) as usize
    }

    /// The lines where a key may be, in the order of a search: its own line, then the overflow lines in a ring.
    pub(crate) fn path(self, geometry: &Geometry, level: u32) -> impl Iterator<Item = usize> + '_ {
        let first = self.overflow_line(geometry) - geometry.main_lines;
        std::iter::once(self.line(geometry, level)).chain(
            (0..geometry.overflow_lines).map(move |i| geometry.main_lines + (first + i) % geometry.overflow_lines),
        )
    }
}
