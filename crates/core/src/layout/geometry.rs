//! The offset of every block of a segment, computed from the requested size. The header stores the inputs, and a
//! process reads them once.
//!
//! ```text
//! header 4 KiB · process table · namespaces: names, epochs, reads, classes · quotas · subscriptions
//! area, which a resize puts in another place:
//! per shard: control, journal, index lines, bitmap, ghosts, one tally per namespace, the queues of the classes, two rings
//! levels of the shards · tag horizon, tag records · per shard: space
//! index line, 64 bytes:  7 words of 8 bytes · 7 use marks of 1 byte · 1 count of keys that overflowed from this line
//! index word:            generation 32 bits · unit · tag (unit and tag share 32 bits; unit 0: the word is empty)
//! level, a byte:         how often the shard's index was divided: 0 to `growths`
//! ```
//!
//! The header names two areas in turn (`layout/areas.rs`). A stored geometry is not trusted: it is computed again from
//! its inputs and must come out the same.
//!
//! Size: all offsets come from one computation, and its private parts are used by the functions that name them.

use crate::error::CacheError;
use crate::layout::areas::{AREAS, Area};
use crate::layout::messages::RingKind;
use crate::layout::sizes::{FIRST_OF_VERSIONS, RING_CONTROL, SUBSCRIPTIONS_BYTES};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::ending;
use cache_machine_shm::{HEADER_BYTES, Header, Identity, ProcessTable, Region};

/// Version of all formats in this folder. It is part of a segment's file name.
pub const LAYOUT_VERSION: u32 = 1;
/// Bytes of a unit. The space is allocated in units.
pub(crate) const UNIT: usize = 64;
pub(crate) const UNIT_WORDS: usize = UNIT / 8;
pub(crate) const WORDS_PER_LINE: usize = 7;
/// Minimum bytes of a segment: the process table and one useful shard.
pub const MIN_SIZE: usize = 2 << 20;
/// Maximum bytes of a segment. Beyond it a shard number needs more bits of the hash than it has.
pub const MAX_SIZE: usize = 1 << 40;
const SHARD_BYTES: usize = 16 << 20;
pub(crate) const CONTROL_BYTES: usize = 320;
/// Bytes of a shard's journal, which lies behind its control block: 176 bytes, and 16 for each of 245 notes.
pub(crate) const JOURNAL_BYTES: usize = 4096;
/// Offset of the first shard's journal. It begins with its state.
pub const JOURNAL_AT: usize = META_AT + CONTROL_BYTES;
/// Units of the space per index word: one word per 128 bytes. The smallest entry has that size, so the index never
/// fills before the space.
const UNITS_PER_WORD: usize = 2;
/// Main lines per overflow line. Overflow lines take the keys that find their own line full. At one entry per word 15 %
/// of the keys overflow (Poisson, 7 to a line), which fills the overflow lines to 60 %. See
/// docs/decisions/0001-overflow-by-probing.md.
const OVERFLOW_SHARE: usize = 4;
/// Maximum number of divisions of an index. Each division doubles its lines.
const MAX_GROWTHS: u32 = 8;
/// Bits of a tag that divisions must leave to tell the keys of a line apart.
const TELLING_BITS: u32 = 6;
/// Units of the space per ghost slot: 4 bytes per 256 bytes of space.
const UNITS_PER_GHOST: usize = 4;
/// Maximum `maxEntrySize`, in bytes. An entry counts its bytes in 32 bits. Beyond this size a shard has more units than
/// an index word can number.
const MAX_ENTRY: usize = 1 << 30;
/// No planned shard has more bytes.
const MAX_SHARD_BYTES: usize = 16 << 30;
const MIN_UNIT_BITS: u32 = 16;
/// Namespaces of a segment; number 0 is the root.
pub const MAX_NAMESPACES: usize = 1024;
/// Bytes of a namespace's name with its length byte.
pub(crate) const NAME_BYTES: usize = 64;
/// Places in which processes count the reads of a namespace, chosen by their slot. Several places keep processes out of
/// each other's cache lines.
pub(crate) const READ_STRIPES: usize = 4;
const READS_BYTES: usize = 16;
/// Classes of entries that have queues of their own in each shard. Class 0 is that of all namespaces without quotas, and
/// each other class is that of one namespace.
pub(crate) const MAX_CLASSES: usize = 64;
/// Bytes of a class's quota in the header: `layout/quotas.rs`.
pub(crate) const QUOTA_RECORD: usize = 32;
/// Bytes of a class's queues in one shard: `control::ClassWord`.
const CLASS_BYTES: usize = 64;
/// Bytes in front of the tag chains: the horizon.
const TAG_CONTROL: usize = 64;
/// Bytes of a tag record, without the head of a chain.
pub(crate) const TAG_RECORD: usize = 32;
const TAG_HEAD: usize = 4;
/// Minimum number of tag records.
const MIN_TAG_RECORDS: usize = 1024;
/// Index lines per tag record: the records and heads take 1.2 % of the space.
const LINES_PER_TAG_RECORD: usize = 4;
/// Bytes of the counts of one namespace in one shard: `control::Tally`.
pub(crate) const TALLY_BYTES: usize = 64;
const NAMES_AT: usize = HEADER_BYTES + ProcessTable::BYTES;
const EPOCHS_AT: usize = NAMES_AT + MAX_NAMESPACES * NAME_BYTES;
const READS_AT: usize = EPOCHS_AT + MAX_NAMESPACES * 4;
const CLASSES_AT: usize = READS_AT + MAX_NAMESPACES * READ_STRIPES * READS_BYTES;
const QUOTAS_AT: usize = CLASSES_AT + MAX_NAMESPACES;
/// Offset of the table of subscriptions to channels: `tables/subscriptions.rs`.
pub(crate) const SUBSCRIPTIONS_AT: usize = QUOTAS_AT + MAX_CLASSES * QUOTA_RECORD;
/// Offset of the first area, and of its first shard's control block, which begins with the shard's lock.
pub const META_AT: usize = SUBSCRIPTIONS_AT + SUBSCRIPTIONS_BYTES;
/// Offsets of the header's words behind the inputs of the geometry.
pub(crate) const NAMES_LOCK: usize = Header::CACHE + 64;
pub(crate) const NAMES_USED: usize = NAMES_LOCK + 4;
/// Number of classes in use, except class 0.
pub(crate) const CLASSES_USED: usize = NAMES_LOCK + 12;
pub(crate) const TAGS_LOCK: usize = Header::CACHE + 128;
/// Offset of the number of tag records used so far.
pub(crate) const TAGS_USED: usize = TAGS_LOCK + 8;
/// Offsets of the shard that has its turn to be judged, and of the number of records used when its turn came.
pub(crate) const JUDGE_SINCE: usize = TAGS_LOCK + 16;
pub(crate) const JUDGE_SHARD: usize = TAGS_LOCK + 24;
/// Offset of the tag clock.
pub const TAG_CLOCK: usize = Header::CACHE + 192;
pub(crate) const LOCK_WAITS: usize = Header::CACHE + 256;
/// Buckets of the histogram of lock waits. The first counts waits below 1 µs, each further one those below twice that
/// limit, the last one all longer waits.
pub const LOCK_WAIT_BUCKETS: usize = 24;
/// Offset of the total time of all waits for locks, in nanoseconds.
pub(crate) const LOCK_WAITED: usize = LOCK_WAITS + LOCK_WAIT_BUCKETS * 8;
/// Offset of the turn to sweep in the background: `process/sweeper.rs`.
pub(crate) const SWEEP_TURN: usize = LOCK_WAITED + 8;
pub(crate) const GHOST_WAYS: usize = 8;
/// Bytes of a shard's ring of changes: a 128th of the shard, within these limits.
const CHANGES_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=64 << 10;
/// Bytes of a shard's ring of messages: a 64th of the shard, within these limits. A message takes at most a quarter of
/// the ring.
const MESSAGES_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=128 << 10;
/// Units of a shard's space in the first reservation, and in each later one.
pub(crate) const FIRST_RESERVATION: usize = 4096;
pub(crate) const RESERVATION_STEP: usize = 16384;

/// The eviction policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Eviction {
    /// S3-FIFO by bytes.
    S3Fifo,
    /// CLOCK, an approximation of LRU that readers serve without a lock.
    Lru,
    /// No eviction: a full shard refuses writes.
    None,
}

impl Eviction {
    /// The name of the policy in options.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3Fifo => "s3-fifo",
            Self::Lru => "lru",
            Self::None => "none",
        }
    }

    /// The policy with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::S3Fifo, Self::Lru, Self::None].into_iter().find(|e| e.name() == name)
    }
}

/// The sizes and offsets of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of the whole segment: those in front of the area, and those of the area.
    pub len: usize,
    /// Offset of the area.
    pub(crate) base: usize,
    /// Number of the area, which grows with each resize and wraps.
    pub(crate) area: u8,
    /// Number of shards.
    pub shards: usize,
    /// Maximum bytes of key and value together.
    pub max_entry: usize,
    /// The eviction policy.
    pub eviction: Eviction,
    pub(crate) seed: u64,
    /// Lines of an index that was never divided.
    pub(crate) first_lines: usize,
    /// How often an index can be divided.
    pub(crate) growths: u32,
    /// Lines of an index that was divided that often, without the overflow lines.
    pub(crate) main_lines: usize,
    pub(crate) overflow_lines: usize,
    /// Units per shard; unit 0 is never used.
    pub(crate) units: usize,
    pub(crate) tag_bits: u32,
    pub(crate) ghost_sets: usize,
    bitmap_at: usize,
    ghost_at: usize,
    tally_at: usize,
    classes_at: usize,
    rings_at: usize,
    ring_bytes: [usize; 2],
    meta_bytes: usize,
    levels_at: usize,
    pub(crate) tag_records: usize,
    tags_at: usize,
    pub(crate) space_at: usize,
}

impl Geometry {
    /// Plans a segment of `len` bytes (rounded up to pages).
    ///
    /// # Errors
    /// `InvalidArgument` when a size is out of range, or `len` is too small for `max_entry`.
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
                // `max_entry` counts key and value. The quarter also holds the head and the words around them.
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
        let ring_bytes = [
            ring_bytes(per_shard / 128, CHANGES_BYTES), // by `RingKind`
            ring_bytes(per_shard / 64, MESSAGES_BYTES),
        ];
        let fixed = CONTROL_BYTES
            + JOURNAL_BYTES
            + MAX_NAMESPACES * TALLY_BYTES
            + MAX_CLASSES * CLASS_BYTES
            + ring_bytes[0]
            + ring_bytes[1]
            + 2 * RING_CONTROL;
        // A unit takes its own bytes, and in the index lines, the bitmap, the ghosts and the tag records 8,280 bytes per
        // 1,024 units.
        let mut units = (per_shard - fixed) * 1024 / (UNIT * 1024 + 8280);
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
        let growths = tag_bits.saturating_sub(TELLING_BITS).min(MAX_GROWTHS);
        let first_lines = units.div_ceil(UNITS_PER_WORD * WORDS_PER_LINE).div_ceil(1 << growths);
        let main_lines = first_lines << growths;
        let overflow_lines = main_lines.div_ceil(OVERFLOW_SHARE);
        let bitmap_at = CONTROL_BYTES + JOURNAL_BYTES + (main_lines + overflow_lines) * 64;
        let ghost_at = (bitmap_at + units.div_ceil(64) * 8).next_multiple_of(64);
        let ghost_sets = (units / UNITS_PER_GHOST / GHOST_WAYS).max(1);
        let tally_at = (ghost_at + ghost_sets * GHOST_WAYS * 4).next_multiple_of(64);
        let classes_at = tally_at + MAX_NAMESPACES * TALLY_BYTES;
        let rings_at = classes_at + MAX_CLASSES * CLASS_BYTES;
        let meta_bytes = rings_at + ring_bytes.iter().sum::<usize>() + 2 * RING_CONTROL;
        let levels_at = META_AT + shards * meta_bytes;
        let tag_records = ((main_lines + overflow_lines) * shards / LINES_PER_TAG_RECORD).max(MIN_TAG_RECORDS);
        let tags_at = (levels_at + shards).next_multiple_of(64);
        let tags_end = tags_at + TAG_CONTROL + (tag_records * TAG_HEAD).next_multiple_of(64) + tag_records * TAG_RECORD;
        Self {
            len,
            base: META_AT,
            area: 0,
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
            classes_at,
            rings_at,
            ring_bytes,
            meta_bytes,
            levels_at,
            tag_records,
            tags_at,
            space_at: tags_end.next_multiple_of(4096),
        }
    }

    /// The layout that this build can read.
    pub fn identity() -> Identity {
        let entries =
            [UNIT, WORDS_PER_LINE, CONTROL_BYTES, UNITS_PER_WORD, OVERFLOW_SHARE, UNITS_PER_GHOST, GHOST_WAYS];
        let index = [MAX_GROWTHS as usize, TELLING_BITS as usize, JOURNAL_BYTES];
        let tags = [MIN_TAG_RECORDS, LINES_PER_TAG_RECORD, TAG_CONTROL, TAG_HEAD, TAG_RECORD, AREAS];
        let tables = [MAX_NAMESPACES, NAME_BYTES, READ_STRIPES, TALLY_BYTES, FIRST_OF_VERSIONS as usize];
        let quotas = [MAX_CLASSES, QUOTA_RECORD, CLASS_BYTES];
        let rings = [SUBSCRIPTIONS_BYTES, RING_CONTROL, *CHANGES_BYTES.end(), *MESSAGES_BYTES.end()];
        let sizes = entries.iter().chain(&index).chain(&tags).chain(&tables).chain(&rings).chain(&quotas);
        let fingerprint =
            sizes.fold(cfg!(target_endian = "big") as u64 + 3, |sum, size| sum.wrapping_mul(1_000_003) ^ *size as u64);
        Identity { layout: LAYOUT_VERSION, fingerprint, table: Self::table() }
    }

    /// The process table, which lies behind the header.
    pub fn table() -> ProcessTable {
        ProcessTable::at(HEADER_BYTES)
    }

    /// Units of a shard that a new segment reserves.
    pub(crate) fn first_units(&self) -> usize {
        FIRST_RESERVATION.min(self.units)
    }

    /// Ranges to reserve when an area is made: the header, the tag records, and of each shard what it needs for the
    /// first units of its space.
    pub(crate) fn first_reservations(&self, first: usize) -> Vec<(usize, usize)> {
        let mut ranges = vec![(0, META_AT), (self.levels_at, self.space_at - self.levels_at)];
        for shard in 0..self.shards {
            let meta = self.meta(shard);
            let (overflow, tallies) = (CONTROL_BYTES + JOURNAL_BYTES + self.main_lines * 64, self.tally_at);
            ranges.extend([
                (meta, CONTROL_BYTES + JOURNAL_BYTES),
                (meta + overflow, self.ghost_at - overflow),
                (meta + tallies, self.meta_bytes - tallies),
            ]);
            ranges.extend(self.next_reservations(shard, 0, first).into_iter().filter(|(_, len)| *len > 0));
        }
        ranges
    }

    /// Ranges that a shard needs for units beyond the first `reserved`: main lines of the index, the ghosts, the units.
    /// Some may be empty.
    pub(crate) fn next_reservations(&self, shard: usize, reserved: usize, units: usize) -> [(usize, usize); 3] {
        let (from, to) = (if reserved == 0 { 0 } else { self.lines_for(reserved) }, self.lines_for(reserved + units));
        let has_ghosts = self.has_ghosts(reserved + units) && !self.has_ghosts(reserved);
        let ghosts = if has_ghosts { self.tally_at - self.ghost_at } else { 0 };
        [
            (self.lines_offset(shard) + from * 64, (to - from) * 64),
            (self.ghost_offset(shard), ghosts),
            (self.space(shard) + reserved * UNIT, units * UNIT),
        ]
    }

    /// Main lines that the index can need for the entries in this number of units. It is divided when more than half of
    /// its words are in use.
    pub(crate) fn lines_for(&self, units: usize) -> usize {
        let words = units / UNITS_PER_WORD;
        let level = (0..self.growths).find(|level| words * 2 <= self.lines_at(*level) * WORDS_PER_LINE);
        self.lines_at(level.unwrap_or(self.growths))
    }

    /// Whether a shard with this number of reserved units has ghosts. One that evicts among its first units, since the
    /// file system is full, has none.
    pub(crate) fn has_ghosts(&self, reserved: usize) -> bool {
        reserved > FIRST_RESERVATION || reserved >= self.units
    }

    /// The same sizes at another place.
    pub(crate) fn moved_to(self, base: usize, area: u8) -> Self {
        let moved = |offset: usize| offset - self.base + base;
        Self {
            base,
            area,
            levels_at: moved(self.levels_at),
            tags_at: moved(self.tags_at),
            space_at: moved(self.space_at),
            ..self
        }
    }

    /// The offset behind the area. All areas begin at the same place in a page.
    pub(crate) fn end(&self) -> usize {
        self.base + self.len - META_AT
    }

    /// Whether the maximum entry is the default of this size.
    pub(crate) fn has_default_max_entry(&self) -> bool {
        self.max_entry == self.units / 4 * UNIT - 2 * UNIT
    }

    /// The shard of a key, by the upper 16 bits of its hash.
    #[inline]
    pub(crate) fn shard_of(&self, upper: u16) -> usize {
        (usize::from(upper) * self.shards) >> 16
    }

    /// What the header says of the area.
    pub(crate) fn place(&self) -> Area {
        let Self { base, len, shards, max_entry, area, .. } = *self;
        Area { base, len, shards, max_entry, number: area.into() }
    }

    /// Writes the inputs of the plan into the header of a new segment.
    pub(crate) fn store(&self, region: &Region) {
        for (i, input) in [self.eviction as usize, self.seed as usize].into_iter().enumerate() {
            region.u64(Header::CACHE + i * 8).store(input as u64, Ordering::Relaxed);
        }
        self.place().store(region);
    }

    /// Reads the inputs from the header and plans again. Caution: a resize may put another area in place meanwhile.
    pub(crate) fn load(region: &Region) -> Result<Self, CacheError> {
        let word = |i: usize| region.u64(Header::CACHE + i * 8).load(Ordering::Relaxed);
        let corrupt = |what: &str| CacheError::Corrupt(format!("the header's {what} is impossible"));
        let number = ending::area_of(ending::epoch_of(Header::of(region).epoch()));
        let area = Area::load(region, number);
        let eviction = match word(0) {
            0 => Eviction::S3Fifo,
            1 => Eviction::Lru,
            2 => Eviction::None,
            _ => return Err(corrupt("eviction")),
        };
        let Area { base, len, shards, max_entry, number: stored } = area;
        if stored != usize::from(number) {
            return Err(corrupt("area"));
        }
        let fewest = len.div_ceil(MAX_SHARD_BYTES);
        if !(MIN_SIZE..=MAX_SIZE).contains(&len) || !(fewest..=len.div_ceil(SHARD_BYTES)).contains(&shards) {
            return Err(corrupt("number of shards"));
        }
        if !len.is_multiple_of(4096) || base < META_AT || !(base - META_AT).is_multiple_of(4096) {
            return Err(corrupt("area"));
        }
        let plan = Self::with_shards(len, shards, eviction, word(1)).moved_to(base, number);
        if base > region.len() || plan.end() > region.len() {
            return Err(corrupt("area"));
        }
        if max_entry > plan.units / 4 * UNIT {
            return Err(corrupt("largest entry"));
        }
        Ok(Self { max_entry, ..plan })
    }

    /// Offset of a shard's control block.
    pub(crate) fn meta(&self, shard: usize) -> usize {
        self.base + shard * self.meta_bytes
    }

    /// Offset of a namespace's name: a length byte and the text.
    pub(crate) fn name(namespace: usize) -> usize {
        NAMES_AT + namespace % MAX_NAMESPACES * NAME_BYTES
    }

    /// Offset of a namespace's epoch. The root's place here stays 0: its epoch is in the header.
    #[inline]
    pub(crate) fn namespace_epoch(namespace: usize) -> usize {
        EPOCHS_AT + namespace % MAX_NAMESPACES * 4
    }

    /// Offset of a namespace's hits and misses, as counted by the process in `slot`.
    #[inline]
    pub(crate) fn reads(namespace: usize, slot: usize) -> usize {
        READS_AT + (slot % READ_STRIPES * MAX_NAMESPACES + namespace % MAX_NAMESPACES) * READS_BYTES
    }

    /// Offset of a namespace's class, a byte.
    #[inline]
    pub(crate) fn class_of(namespace: usize) -> usize {
        CLASSES_AT + namespace % MAX_NAMESPACES
    }

    /// Offset of a class's quota.
    #[inline]
    pub(crate) fn quota(class: usize) -> usize {
        QUOTAS_AT + class % MAX_CLASSES * QUOTA_RECORD
    }

    /// Offset of the tag horizon.
    #[inline]
    pub fn tag_horizon(&self) -> usize {
        self.tags_at
    }

    /// Offset of the word that names the first tag record of a chain.
    #[inline]
    pub(crate) fn tag_head(&self, chain: usize) -> usize {
        self.tags_at + TAG_CONTROL + chain * TAG_HEAD
    }

    /// Offset of a tag record.
    #[inline]
    pub(crate) fn tag_record(&self, number: usize) -> usize {
        self.tags_at + TAG_CONTROL + (self.tag_records * TAG_HEAD).next_multiple_of(64) + number * TAG_RECORD
    }

    /// Number of records of invalidated tags. Invalidations are exact in any number; a value that takes longer to make
    /// than fewer invalidations of other tags than this is kept.
    pub fn tag_records(&self) -> usize {
        self.tag_records
    }

    /// Offset of a shard's counts of a namespace.
    #[inline]
    pub(crate) fn tally(&self, shard: usize, namespace: usize) -> usize {
        self.meta(shard) + self.tally_in_shard(namespace)
    }

    /// The same from the shard's control block on.
    #[inline]
    pub(crate) fn tally_in_shard(&self, namespace: usize) -> usize {
        self.tally_at + namespace % MAX_NAMESPACES * TALLY_BYTES
    }

    /// Offset of a shard's queues of a class other than class 0.
    #[inline]
    pub(crate) fn class(&self, shard: usize, class: u8) -> usize {
        self.meta(shard) + self.classes_at + usize::from(class) % MAX_CLASSES * CLASS_BYTES
    }

    /// Offset of a ring's control block, and the number of the ring's words, which lie behind it.
    #[inline]
    pub(crate) fn ring(&self, shard: usize, stream: RingKind) -> (usize, usize) {
        let before = if stream == RingKind::Changes { 0 } else { self.ring_bytes[0] + RING_CONTROL };
        (self.meta(shard) + self.rings_at + before, self.ring_bytes[stream as usize] / 8)
    }

    /// Offset of a shard's level. The levels lie side by side, since every read needs one.
    #[inline]
    pub(crate) fn level(&self, shard: usize) -> usize {
        self.levels_at + shard
    }

    pub(crate) fn lines_offset(&self, shard: usize) -> usize {
        self.meta(shard) + CONTROL_BYTES + JOURNAL_BYTES
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

    /// Main lines of an index of this level. They come before the overflow lines.
    #[inline]
    pub(crate) fn lines_at(&self, level: u32) -> usize {
        self.first_lines << level
    }

    /// Bytes of space for entries.
    pub fn capacity(&self) -> usize {
        self.shards * (self.units - 1) * UNIT
    }
}

/// Bytes of a ring. They fill whole cache lines, like the control blocks between the rings.
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
    fn a_new_segment_reserves_little_and_a_full_one_has_reserved_all() {
        for len in [MIN_SIZE, 16 << 20, 64 << 20, 1 << 30] {
            let plan = Geometry::plan(len, None, Eviction::S3Fifo, 1).unwrap();
            let mut ranges = plan.first_reservations(plan.first_units());
            let first: usize = ranges.iter().map(|(_, len)| len).sum();
            let tags = plan.space_at - plan.levels_at;
            assert!(first < META_AT + tags + plan.shards * (900 << 10), "{first} bytes of {len}");
            for shard in 0..plan.shards {
                let mut reserved = FIRST_RESERVATION.min(plan.units);
                while reserved < plan.units {
                    // Some reservations are halved, because the file system is full.
                    let step = (RESERVATION_STEP >> (reserved / 7 % 3)).min(plan.units - reserved);
                    ranges.extend(plan.next_reservations(shard, reserved, step));
                    reserved += step;
                    let most = reserved / UNITS_PER_WORD;
                    let lines = plan.lines_for(reserved);
                    assert!(lines == plan.main_lines || most * 2 <= lines * WORDS_PER_LINE);
                }
            }
            ranges.retain(|(_, len)| *len > 0);
            ranges.sort_unstable();
            let end = ranges.iter().fold(0, |end, (at, len)| {
                assert!(*at <= end || *at - end < 4096 && *at == plan.space_at, "nothing reserves {end} to {at}");
                end.max(at + len)
            });
            assert_eq!(end, plan.space_at + plan.shards * plan.units * UNIT);
        }
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
