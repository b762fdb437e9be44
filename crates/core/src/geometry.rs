//! Where everything lies in a segment: pure arithmetic over the requested size, stored in the header and read once.
//!
//! ```text
//! header 4 KiB · process table · namespaces: names, epochs, reads · tag records · subscriptions
//! per shard: control, index lines, bitmap, ghost, one tally per namespace, two rings · levels of the shards · per shard: space
//! index line, 64 bytes:  7 words of 8 bytes · 7 touched bytes · 1 count of keys that overflowed from this line
//! index word:            generation 32 bits · unit · tag (unit and tag share 32 bits; unit 0: the word is empty)
//! level, a byte:         how often the shard's index was divided: 0 to `growths`
//! ```
//!
//! The thing to get wrong: trusting a stored geometry. It is recomputed from its inputs and must come out the same.

use crate::error::CacheError;
use crate::ring::{RING_CONTROL, Stream};
use crate::subscriptions::SUBSCRIPTIONS_BYTES;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{HEADER_BYTES, Header, Identity, ProcessTable, Region};

/// Version of everything in this file and in `entry.rs`; part of a segment's file name.
pub const LAYOUT_VERSION: u32 = 1;
/// Bytes of a unit, the grain of the space.
pub(crate) const UNIT: usize = 64;
pub(crate) const WORDS_PER_LINE: usize = 7;
/// Smallest segment: the process table and one useful shard.
pub const MIN_SIZE: usize = 2 << 20;
/// Largest segment; beyond it a shard number needs more bits of the hash than it has.
pub const MAX_SIZE: usize = 1 << 40;
const SHARD_BYTES: usize = 16 << 20;
const CONTROL_BYTES: usize = 320;
/// One word per 128 bytes of space, the size of the smallest entry, so that the index never fills before the space …
const UNITS_PER_WORD: usize = 2;
/// … and a quarter more lines for keys whose line is full. At one entry per word 15 % of the keys overflow (Poisson, 7
/// to a line), which fills these to 60 %. See docs/decisions/0001-overflow-by-probing.md.
const OVERFLOW_SHARE: usize = 4;
/// How often an index is divided at most, which makes it so many times twice as large …
const MOST_GROWTHS: u32 = 8;
/// … as long as so many bits of a tag are left to tell the keys of a line apart.
const TELLING_BITS: u32 = 6;
/// A ghost slot of 4 bytes per 256 bytes of space.
const UNITS_PER_GHOST: usize = 4;
/// Largest `maxEntrySize`: an entry counts its bytes in 32 bits, and beyond it a shard has more units than a word can number.
const MAX_ENTRY: usize = 1 << 30;
/// No shard that is planned is larger.
const MAX_SHARD_BYTES: usize = 16 << 30;
const MIN_UNIT_BITS: u32 = 16;
/// Namespaces of a segment; number 0 is the root.
pub const MAX_NAMESPACES: usize = 1024;
/// Bytes of a namespace's name with its length byte.
pub(crate) const NAME_BYTES: usize = 64;
/// Processes count the reads of a namespace in so many places, by their slot, to keep out of each other's cache lines.
pub(crate) const READ_STRIPES: usize = 4;
const READS_BYTES: usize = 16;
pub(crate) const TAG_SETS: usize = 256;
pub(crate) const TAG_WAYS: usize = 8;
pub(crate) const TAG_RECORD: usize = 32;
/// What a shard counts of a namespace: `shard::Tally`.
const TALLY_BYTES: usize = 64;
const NAMES_AT: usize = HEADER_BYTES + ProcessTable::BYTES;
const EPOCHS_AT: usize = NAMES_AT + MAX_NAMESPACES * NAME_BYTES;
const READS_AT: usize = EPOCHS_AT + MAX_NAMESPACES * 4;
const TAGS_AT: usize = READS_AT + MAX_NAMESPACES * READ_STRIPES * READS_BYTES;
/// Offset of the table of subscriptions to channels: `subscriptions.rs`.
pub(crate) const SUBSCRIPTIONS_AT: usize = TAGS_AT + TAG_SETS * TAG_WAYS * TAG_RECORD;
/// Offset of the first shard's control block, whose first word is its lock.
pub const META_AT: usize = SUBSCRIPTIONS_AT + SUBSCRIPTIONS_BYTES;
/// Words of the header behind the geometry's inputs.
pub(crate) const NAMES_LOCK: usize = Header::CACHE + 64;
pub(crate) const NAMES_USED: usize = NAMES_LOCK + 4;
pub(crate) const TAGS_LOCK: usize = Header::CACHE + 128;
pub(crate) const TAGS_OVERFLOWED: usize = TAGS_LOCK + 8;
/// Offset of the tag clock.
pub const TAG_CLOCK: usize = Header::CACHE + 192;
pub(crate) const TAG_FLOOR: usize = TAG_CLOCK + 8;
pub(crate) const LOCK_WAITS: usize = Header::CACHE + 256;
pub(crate) const GHOST_WAYS: usize = 8;
/// Bytes of a shard's ring of changes: a 128th of the shard within these limits.
const CHANGES_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=64 << 10;
/// Bytes of its ring of messages: a 64th. A quarter of it is the longest message.
const MESSAGES_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=128 << 10;
/// First reservation of a shard's space, and later ones.
pub(crate) const FIRST_RESERVATION: usize = 4096;
pub(crate) const RESERVATION_STEP: usize = 16384;

/// How room is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eviction {
    /// S3-FIFO by bytes.
    S3Fifo,
    /// CLOCK, the lock-free reading of LRU.
    Lru,
    /// Never: a full shard refuses.
    None,
}

impl Eviction {
    /// Its name in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3Fifo => "s3-fifo",
            Self::Lru => "lru",
            Self::None => "none",
        }
    }

    /// By name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::S3Fifo, Self::Lru, Self::None].into_iter().find(|e| e.name() == name)
    }
}

/// The shape of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of the whole segment.
    pub len: usize,
    /// Number of shards.
    pub shards: usize,
    /// Largest key and value together, in bytes.
    pub max_entry: usize,
    /// How room is made.
    pub eviction: Eviction,
    pub(crate) seed: u64,
    /// Lines of an index that was never divided.
    pub(crate) first_lines: usize,
    /// How often it can be divided.
    pub(crate) growths: u32,
    /// Lines of one that was divided so often.
    pub(crate) main_lines: usize,
    pub(crate) overflow_lines: usize,
    /// Units per shard; unit 0 is never used.
    pub(crate) units: usize,
    pub(crate) tag_bits: u32,
    pub(crate) ghost_sets: usize,
    bitmap_at: usize,
    ghost_at: usize,
    tally_at: usize,
    rings_at: usize,
    ring_bytes: [usize; 2],
    meta_bytes: usize,
    levels_at: usize,
    pub(crate) space_at: usize,
}

impl Geometry {
    /// Plans a segment of `len` bytes (rounded up to pages).
    ///
    /// # Errors
    /// `InvalidArgument` when the size is out of range, or too small for `max_entry`.
    pub fn plan(len: usize, max_entry: Option<usize>, eviction: Eviction, seed: u64) -> Result<Self, CacheError> {
        if !(MIN_SIZE..=MAX_SIZE).contains(&len) {
            return Err(CacheError::InvalidArgument(format!(
                "size is {len} bytes; it must be {MIN_SIZE} (2mb) to {MAX_SIZE} (1tb)"
            )));
        }
        if max_entry.is_some_and(|bytes| bytes > MAX_ENTRY) {
            return Err(CacheError::InvalidArgument(format!(
                "maxEntrySize is {} bytes; it can be {MAX_ENTRY} (1gb) at most",
                max_entry.unwrap_or(0)
            )));
        }
        let len = len.next_multiple_of(4096);
        let mut shards = len.div_ceil(SHARD_BYTES);
        let smallest = max_entry.unwrap_or(0);
        loop {
            let plan = Self::with_shards(len, shards, eviction, seed);
            let limit = plan.units / 4 * UNIT;
            if smallest <= limit {
                // `max_entry` tells bytes of key and value; the quarter also holds the head and the words around them.
                return Ok(Self { max_entry: max_entry.unwrap_or(limit - 2 * UNIT), ..plan });
            }
            if shards == 1 {
                return Err(CacheError::InvalidArgument(format!(
                    "maxEntrySize is {smallest} bytes; in {len} bytes it can be {limit} at most (a quarter of the space)"
                )));
            }
            shards = shards / 2 + shards % 2;
        }
    }

    fn with_shards(len: usize, shards: usize, eviction: Eviction, seed: u64) -> Self {
        let per_shard = (len - META_AT) / shards;
        // Bytes per unit of space, in 1/1024: the unit, its share of index lines, bitmap and ghost.
        let ring_bytes = [
            ring_bytes(per_shard / 128, CHANGES_BYTES), // by `Stream`
            ring_bytes(per_shard / 64, MESSAGES_BYTES),
        ];
        let fixed = CONTROL_BYTES + MAX_NAMESPACES * TALLY_BYTES + ring_bytes[0] + ring_bytes[1] + 2 * RING_CONTROL;
        let mut units = (per_shard - fixed) * 1024 / (UNIT * 1024 + 7450);
        loop {
            let plan = Self::with_units(len, shards, units, ring_bytes, eviction, seed);
            if plan.space_at + shards * units * UNIT <= len {
                return plan;
            }
            units -= units / 512 + 1;
        }
    }

    fn with_units(
        len: usize,
        shards: usize,
        units: usize,
        ring_bytes: [usize; 2],
        eviction: Eviction,
        seed: u64,
    ) -> Self {
        let unit_bits = (usize::BITS - units.leading_zeros()).max(MIN_UNIT_BITS);
        let tag_bits = 32 - unit_bits;
        let growths = tag_bits.saturating_sub(TELLING_BITS).min(MOST_GROWTHS);
        let first_lines = units.div_ceil(UNITS_PER_WORD * WORDS_PER_LINE).div_ceil(1 << growths);
        let main_lines = first_lines << growths;
        let overflow_lines = main_lines.div_ceil(OVERFLOW_SHARE);
        let bitmap_at = CONTROL_BYTES + (main_lines + overflow_lines) * 64;
        let ghost_at = (bitmap_at + units.div_ceil(64) * 8).next_multiple_of(64);
        let ghost_sets = (units / UNITS_PER_GHOST / GHOST_WAYS).max(1);
        let tally_at = (ghost_at + ghost_sets * GHOST_WAYS * 4).next_multiple_of(64);
        let rings_at = tally_at + MAX_NAMESPACES * TALLY_BYTES;
        let meta_bytes = rings_at + ring_bytes.iter().sum::<usize>() + 2 * RING_CONTROL;
        let levels_at = META_AT + shards * meta_bytes;
        Self {
            len,
            shards,
            max_entry: 0,
            eviction,
            seed,
            first_lines,
            growths,
            main_lines,
            overflow_lines,
            units,
            tag_bits,
            ghost_sets,
            bitmap_at,
            ghost_at,
            tally_at,
            rings_at,
            ring_bytes,
            meta_bytes,
            levels_at,
            space_at: (levels_at + shards).next_multiple_of(4096),
        }
    }

    /// What this build can read.
    pub fn identity() -> Identity {
        let entries =
            [UNIT, WORDS_PER_LINE, CONTROL_BYTES, UNITS_PER_WORD, OVERFLOW_SHARE, UNITS_PER_GHOST, GHOST_WAYS];
        let index = [MOST_GROWTHS as usize, TELLING_BITS as usize];
        let tables = [MAX_NAMESPACES, NAME_BYTES, READ_STRIPES, TAG_SETS, TAG_WAYS, TAG_RECORD, TALLY_BYTES];
        let rings = [SUBSCRIPTIONS_BYTES, RING_CONTROL, *CHANGES_BYTES.end(), *MESSAGES_BYTES.end()];
        let sizes = entries.iter().chain(&index).chain(&tables).chain(&rings);
        let fingerprint =
            sizes.fold(cfg!(target_endian = "big") as u64 + 2, |sum, size| sum.wrapping_mul(1_000_003) ^ *size as u64);
        Identity { layout: LAYOUT_VERSION, fingerprint, table: Self::table() }
    }

    /// The process table lies behind the header.
    pub fn table() -> ProcessTable {
        ProcessTable::at(HEADER_BYTES)
    }

    /// Ranges to be reserved when the segment is made: all but the space, and the first bytes of each shard's space.
    pub(crate) fn first_reservations(&self) -> Vec<(usize, usize)> {
        let first = FIRST_RESERVATION.min(self.units) * UNIT;
        std::iter::once((0, self.space_at)).chain((0..self.shards).map(|s| (self.space(s), first))).collect()
    }

    /// Writes the inputs of the plan into the header.
    pub(crate) fn store(&self, region: &Region) {
        let inputs = [self.shards, self.max_entry, self.eviction as usize, self.seed as usize];
        for (i, input) in inputs.into_iter().enumerate() {
            region.u64(Header::CACHE + i * 8).store(input as u64, Ordering::Relaxed);
        }
    }

    /// Reads the inputs from the header and plans again.
    pub(crate) fn load(region: &Region) -> Result<Self, CacheError> {
        let word = |i: usize| region.u64(Header::CACHE + i * 8).load(Ordering::Relaxed);
        let corrupt = |what: &str| CacheError::Corrupt(format!("the header's {what} is impossible"));
        let eviction = match word(2) {
            0 => Eviction::S3Fifo,
            1 => Eviction::Lru,
            2 => Eviction::None,
            _ => return Err(corrupt("eviction")),
        };
        let len = region.len();
        let shards = word(0) as usize;
        let fewest = len.div_ceil(MAX_SHARD_BYTES);
        if !(MIN_SIZE..=MAX_SIZE).contains(&len) || !(fewest..=len.div_ceil(SHARD_BYTES)).contains(&shards) {
            return Err(corrupt("number of shards"));
        }
        let plan = Self::with_shards(len, shards, eviction, word(3));
        let max_entry = word(1) as usize;
        if max_entry > plan.units / 4 * UNIT {
            return Err(corrupt("largest entry"));
        }
        Ok(Self { max_entry, ..plan })
    }

    /// Offset of a shard's control block.
    pub(crate) fn meta(&self, shard: usize) -> usize {
        META_AT + shard * self.meta_bytes
    }

    /// Offset of a namespace's name: a length byte and the text.
    pub(crate) fn name(namespace: usize) -> usize {
        NAMES_AT + namespace % MAX_NAMESPACES * NAME_BYTES
    }

    /// Offset of a namespace's epoch. The root's own place here stays 0; its epoch is in the header.
    #[inline]
    pub(crate) fn namespace_epoch(namespace: usize) -> usize {
        EPOCHS_AT + namespace % MAX_NAMESPACES * 4
    }

    /// Offset of a namespace's hits and misses as counted by processes of a slot.
    #[inline]
    pub(crate) fn reads(namespace: usize, slot: usize) -> usize {
        READS_AT + (slot % READ_STRIPES * MAX_NAMESPACES + namespace % MAX_NAMESPACES) * READS_BYTES
    }

    /// Offset of the records where a tag's may be.
    pub(crate) fn tag_set(hash: u64) -> usize {
        TAGS_AT + (hash >> 32) as usize % TAG_SETS * TAG_WAYS * TAG_RECORD
    }

    /// Offset of what a shard counts of a namespace.
    #[inline]
    pub(crate) fn tally(&self, shard: usize, namespace: usize) -> usize {
        self.meta(shard) + self.tally_at + namespace % MAX_NAMESPACES * TALLY_BYTES
    }

    /// Offset of a ring's control block, behind which its words are, and how many words it has.
    #[inline]
    pub(crate) fn ring(&self, shard: usize, stream: Stream) -> (usize, usize) {
        let before = if stream == Stream::Changes { 0 } else { self.ring_bytes[0] + RING_CONTROL };
        (self.meta(shard) + self.rings_at + before, self.ring_bytes[stream as usize] / 8)
    }

    /// Offset of a shard's level. All of them are side by side, since every read needs one.
    #[inline]
    pub(crate) fn level(&self, shard: usize) -> usize {
        self.levels_at + shard
    }

    pub(crate) fn lines_offset(&self, shard: usize) -> usize {
        self.meta(shard) + CONTROL_BYTES
    }

    pub(crate) fn bitmap_offset(&self, shard: usize) -> usize {
        self.meta(shard) + self.bitmap_at
    }

    pub(crate) fn ghost_offset(&self, shard: usize) -> usize {
        self.meta(shard) + self.ghost_at
    }

    pub(crate) fn space(&self, shard: usize) -> usize {
        self.space_at + shard * self.units * UNIT
    }

    pub(crate) fn lines(&self) -> usize {
        self.main_lines + self.overflow_lines
    }

    /// The lines that an index of this level has without those for what overflows: they come first.
    #[inline]
    pub(crate) fn lines_at(&self, level: u32) -> usize {
        self.first_lines << level
    }

    /// Bytes of space for entries.
    pub fn capacity(&self) -> usize {
        self.shards * (self.units - 1) * UNIT
    }
}

/// Whole cache lines, as the control blocks between the rings are.
fn ring_bytes(share: usize, limits: std::ops::RangeInclusive<usize>) -> usize {
    share.clamp(*limits.start(), *limits.end()) / 64 * 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_planned_inside_its_bytes_and_wastes_little() {
        for len in (0..200).map(|i| MIN_SIZE + i * 777_777).chain([64 << 20, 1 << 30, 8 << 30]) {
            let plan = Geometry::plan(len, None, Eviction::S3Fifo, 1).unwrap();
            let end = plan.space_at + plan.shards * plan.units * UNIT;
            assert!(end <= plan.len, "{len}");
            assert!(plan.len - end < plan.len / 50 + 8192, "{len} wastes {}", plan.len - end);
            assert!(plan.units < 1 << (32 - plan.tag_bits));
            assert!((plan.main_lines * WORDS_PER_LINE) * UNITS_PER_WORD >= plan.units);
            assert!(plan.lines() * WORDS_PER_LINE < u32::MAX as usize);
        }
    }

    #[test]
    fn the_default_segment_takes_entries_of_three_and_a_half_mebibytes() {
        let plan = Geometry::plan(64 << 20, None, Eviction::S3Fifo, 1).unwrap();
        assert_eq!(plan.shards, 4);
        assert!(plan.max_entry > 3_600_000, "{}", plan.max_entry);
    }

    #[test]
    fn an_entry_that_no_shard_could_number_is_refused() {
        let plan = |max| Geometry::plan(MAX_SIZE, Some(max), Eviction::S3Fifo, 1);
        let largest = plan(MAX_ENTRY).unwrap();
        assert!(largest.tag_bits >= 4 && MAX_ENTRY <= u32::MAX as usize);
        assert!(largest.len / largest.shards <= MAX_SHARD_BYTES);
        assert!(plan(MAX_ENTRY + 1).is_err());
    }

    #[test]
    fn a_larger_entry_makes_fewer_shards_until_there_is_one() {
        let plan = Geometry::plan(64 << 20, Some(10 << 20), Eviction::S3Fifo, 1).unwrap();
        assert_eq!((plan.shards, plan.max_entry), (1, 10 << 20));
        assert!(Geometry::plan(64 << 20, Some(20 << 20), Eviction::S3Fifo, 1).is_err());
    }
}
