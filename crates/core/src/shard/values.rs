//! Copies the value of an entry out of the segment: the sinks for its bytes, and the metadata of the entry.
//!
//! Caution: a copy that is made without the lock is valid only if the index word is unchanged after it.

use crate::kind;
use crate::layout::entry::{ASCII, Damaged, Head};
use crate::layout::geometry::UNIT;
use crate::shard::pieces::pieces;
use crate::shard::view::ShardView;
use cache_machine_shm::{Region, populate};

/// Newly allocated memory of this size or more usually has no pages yet. Smaller memory usually was in use before, and
/// a request for its pages takes more time than it saves.
const FRESH_BYTES: usize = 128 << 10;

/// The metadata of an entry that was read.
#[derive(Clone, Copy, Debug)]
pub struct EntryMeta {
    /// Kind of the value.
    pub kind: u8,
    /// Whether the value is ASCII text.
    pub ascii: bool,
    /// Bytes of the value.
    pub len: usize,
    /// Whether the sink took the bytes.
    pub copied: bool,
    /// The version, which grows with every write of the key.
    pub version: u64,
    /// Milliseconds since boot at which the entry was written.
    pub written: u64,
    /// Milliseconds since boot at which the entry expires; 0: never.
    pub deadline: u64,
    /// Bytes of the segment that the entry occupies.
    pub size: usize,
    /// Whether the entry has expired or was outdated by a tag, and may still be served to readers that take stale
    /// values.
    pub stale: bool,
    /// The words on which a near copy of the entry depends.
    pub depends: NearDependencies,
}

impl EntryMeta {
    /// The metadata before a read.
    pub const EMPTY: Self = Self {
        kind: 0,
        ascii: false,
        len: 0,
        copied: false,
        version: 0,
        written: 0,
        deadline: 0,
        size: 0,
        stale: false,
        depends: NearDependencies { word_at: 0, generation: 0, life: 0, tag_clock: None },
    };

    /// Milliseconds since the entry was written.
    pub fn age_ms(&self, now: u64) -> u64 {
        now.saturating_sub(self.written)
    }

    /// Milliseconds until the entry expires; `None`: never.
    pub fn remaining_ms(&self, now: u64) -> Option<u64> {
        (self.deadline != 0).then(|| self.deadline.saturating_sub(now))
    }
}

/// The words on which a near copy depends, as loaded before the entry was read. The copy is valid while all of them are
/// unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NearDependencies {
    /// Offset of the entry's index word in `Attachment::index_view`; 0: the entry must have no near copy.
    pub word_at: usize,
    /// Upper half of that word.
    pub generation: u32,
    /// The root's epoch in the lower half, the namespace's in the upper.
    pub life: u64,
    /// The tag clock, if the entry has tags. While it is odd, the entry must have no near copy.
    pub tag_clock: Option<u64>,
}

/// Receives the bytes of a value.
pub trait Sink {
    /// Announces a value of this kind and of `len` bytes. Earlier pieces are void. False: the sink refuses the value.
    fn begin(&mut self, kind: u8, len: usize) -> bool;
    /// Receives the next `len` bytes, at `offset` of the region (a multiple of 8).
    fn piece(&mut self, region: &Region, offset: usize, len: usize);
}

impl Sink for Vec<u8> {
    fn begin(&mut self, _: u8, len: usize) -> bool {
        self.clear();
        self.reserve(len + 8);
        true
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        region.append_to(offset, len, self);
    }
}

/// Fills a slice with a value of bytes. It refuses a longer value, and every other kind.
pub struct SliceSink<'a> {
    slice: &'a mut [u8],
    done: usize,
}

impl<'a> SliceSink<'a> {
    /// A sink that fills `slice` from its start.
    pub fn new(slice: &'a mut [u8]) -> Self {
        Self { slice, done: 0 }
    }

    /// Like `new`, for memory that was just allocated and will be filled.
    pub fn into_fresh(slice: &'a mut [u8]) -> Self {
        if slice.len() >= FRESH_BYTES {
            populate(slice);
        }
        Self::new(slice)
    }
}

impl Sink for SliceSink<'_> {
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.done = 0;
        kind::is_bytes(kind) && len <= self.slice.len()
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        region.copy_out(offset, &mut self.slice[self.done..self.done + len]);
        self.done += len;
    }
}

/// Takes no bytes, for callers that only check whether an entry exists.
pub struct NoSink;

impl Sink for NoSink {
    fn begin(&mut self, _: u8, _: usize) -> bool {
        false
    }

    fn piece(&mut self, _: &Region, _: usize, _: usize) {}
}

/// Copies the value of `head` into `sink`, and the metadata into `meta`.
#[inline]
pub(crate) fn fetch<S: Sink>(
    shard: &ShardView<'_>,
    head: &Head,
    sink: &mut S,
    meta: &mut EntryMeta,
) -> Result<(), Damaged> {
    if head.value_len > shard.geometry.units * UNIT {
        return Err(Damaged);
    }
    meta.copied = sink.begin(head.kind, head.value_len);
    if meta.copied {
        pieces(shard, head, head.value_at(), head.value_len, |offset, len| sink.piece(shard.region, offset, len))?;
    }
    meta.kind = head.kind;
    meta.ascii = head.flags & ASCII != 0;
    meta.len = head.value_len;
    meta.version = head.version;
    meta.written = head.written;
    meta.deadline = head.deadline;
    meta.size = head.units() * UNIT;
    Ok(())
}
