//! Writes the bytes of an entry as a whole, and reads them piece by piece. The body lies in one run of units or in a
//! chain of runs.
//!
//! Every walk is bounded and stays inside the reserved units, whatever the extents say. A chain that leads elsewhere is
//! `Damaged`.

use crate::layout::entry::{CHAINED, Damaged, Head, MAX_EXTRAS, RUNS_PER_EXTENT, Run, STALE};
use crate::layout::geometry::UNIT;
use crate::layout::key::Key;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;

/// Calls `each` with the offset and length of every piece of `len` body bytes, from `from` on (a multiple of 8).
#[inline]
pub(crate) fn pieces(
    shard: &ShardView<'_>,
    head: &Head,
    from: usize,
    len: usize,
    mut each: impl FnMut(usize, usize),
) -> Result<(), Damaged> {
    if let Some(start) = shard.single_run(head, from + len)? {
        each(start + from, len);
        return Ok(());
    }
    if len == 0 {
        return Ok(());
    }
    let (mut skip, mut left) = (from, len);
    let walked = runs(shard, head, |run| {
        let start = shard.run_offset(run)?;
        let bytes = run.count as usize * UNIT;
        if skip >= bytes {
            skip -= bytes;
            return Ok(());
        }
        let piece = (bytes - skip).min(left);
        each(start + skip, piece);
        left -= piece;
        skip = 0;
        if left == 0 { Err(Stop::Enough) } else { Ok(()) }
    });
    if walked == Err(Stop::Enough) { Ok(()) } else { Err(Damaged) }
}

/// The reason why a walk along runs ended before the last run.
#[derive(PartialEq, Eq)]
enum Stop {
    Enough,
    Damaged,
}

impl From<Damaged> for Stop {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

/// Calls `each` with every run of the body. The runs together have at most the units of the space, whatever the extents
/// say.
pub(crate) fn runs<E: From<Damaged>>(
    shard: &ShardView<'_>,
    head: &Head,
    mut each: impl FnMut(Run) -> Result<(), E>,
) -> Result<(), E> {
    if head.flags & CHAINED == 0 {
        return each(head.run);
    }
    let mut left = head.run.count as usize;
    let mut units = shard.geometry.units;
    extents(shard, head, |extent| {
        let words = shard.unit_words(extent)?;
        for word in words.iter().take(RUNS_PER_EXTENT.min(left)) {
            let run = Run::of(word.load(Ordering::Relaxed));
            if run.count == 0 || run.count as usize > units {
                return Err(Damaged.into());
            }
            units -= run.count as usize;
            each(run)?;
        }
        left = left.saturating_sub(RUNS_PER_EXTENT);
        Ok(())
    })
}

/// Calls `each` with every extent unit of a chained body. The number of calls is bounded, whatever the links say.
pub(crate) fn extents<E: From<Damaged>>(
    shard: &ShardView<'_>,
    head: &Head,
    mut each: impl FnMut(u32) -> Result<(), E>,
) -> Result<(), E> {
    if head.flags & CHAINED == 0 {
        return Ok(());
    }
    let count = (head.run.count as usize).div_ceil(RUNS_PER_EXTENT);
    // mutant: chain-unbounded
    if count == 0 || count > shard.geometry.units {
        return Err(Damaged.into());
    }
    let mut extent = head.run.unit;
    for _ in 0..count {
        let next = shard.unit_words(extent)?[RUNS_PER_EXTENT].load(Ordering::Relaxed);
        each(extent)?;
        extent = next as u32;
    }
    Ok(())
}

impl Head {
    /// Whether the entry may no longer be served, not even as stale.
    pub(crate) fn is_over(&self, shard: &ShardView<'_>, now: u64) -> Result<bool, Damaged> {
        if !self.is_expired(now) {
            return Ok(false);
        }
        Ok(self.flags & STALE == 0 || now - self.deadline >= self.stale_ms(shard)?)
    }

    /// The time from which a sweep may remove the entry, which has a deadline.
    pub(crate) fn end(&self, shard: &ShardView<'_>) -> u64 {
        // Damage shows elsewhere. The deadline is never too late.
        self.deadline.saturating_add(self.stale_ms(shard).unwrap_or(0))
    }

    /// Milliseconds after its deadline during which the entry may be served as stale.
    pub(crate) fn stale_ms(&self, shard: &ShardView<'_>) -> Result<u64, Damaged> {
        if self.flags & STALE == 0 {
            return Ok(0);
        }
        let mut first = 0;
        self.each_extra(shard, 0, 1, |word| first = word)?;
        Ok(first)
    }

    /// Calls `each` with the tag clock of a tagged entry, then with its tags.
    pub(crate) fn each_tag(&self, shard: &ShardView<'_>, each: impl FnMut(u64)) -> Result<(), Damaged> {
        let first = usize::from(self.flags & STALE != 0);
        if self.extras <= first || self.extras > MAX_EXTRAS {
            return Err(Damaged);
        }
        self.each_extra(shard, first, self.extras - first, each)
    }

    fn each_extra(
        &self,
        shard: &ShardView<'_>,
        first: usize,
        count: usize,
        mut each: impl FnMut(u64),
    ) -> Result<(), Damaged> {
        pieces(shard, self, first * 8, count * 8, |offset, len| {
            // A run has whole units, so a piece has whole words. Relaxed: as in `Head::load`.
            shard.region.words(offset, len / 8).iter().for_each(|word| each(word.load(Ordering::Relaxed)));
        })
    }
}

impl ShardView<'_> {
    /// Whether `head` is the head of the key's entry.
    #[inline]
    pub(crate) fn has_key(&self, head: &Head, key: &Key<'_>) -> Result<bool, Damaged> {
        if head.key_len != key.bytes.len() || head.namespace != key.namespace {
            return Ok(false);
        }
        if let Some(start) = self.single_run(head, head.key_at() + key.bytes.len())? {
            // mutant: key-length-compared
            return Ok(self.region.equals(start + head.key_at(), key.bytes));
        }
        self.chain_has_key(head, key)
    }

    /// Offset of the body if it lies in one run, which must have `len` bytes.
    #[inline(always)]
    fn single_run(&self, head: &Head, len: usize) -> Result<Option<usize>, Damaged> {
        if head.flags & CHAINED != 0 {
            return Ok(None);
        }
        let start = self.run_offset(head.run)?;
        if len > head.run.count as usize * UNIT { Err(Damaged) } else { Ok(Some(start)) }
    }

    #[inline(never)]
    fn chain_has_key(&self, head: &Head, key: &Key<'_>) -> Result<bool, Damaged> {
        let mut same = true;
        let mut done = 0;
        pieces(self, head, head.key_at(), key.bytes.len(), |offset, len| {
            same = same && self.region.equals(offset, &key.bytes[done..done + len]);
            done += len;
        })?;
        Ok(same)
    }

    /// Writes an entry into units that no index word names: the head, the words before the key, the key, the value.
    #[inline]
    pub(crate) fn write_entry(
        &self,
        unit: u32,
        head: &Head,
        extras: impl Iterator<Item = u64>,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Damaged> {
        head.store(self.unit_words(unit)?);
        step("set.head");
        if head.extras != 0 {
            self.write_extras(head, extras)?;
        }
        let Some(start) = self.single_run(head, head.value_at() + value.len())? else {
            return self.write_chain(head, key, value);
        };
        self.region.copy_in(start + head.key_at(), key);
        step("set.key");
        self.region.copy_in(start + head.value_at(), value);
        step("set.value");
        Ok(())
    }

    #[inline(never)]
    fn write_chain(&self, head: &Head, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        self.write_body(head, head.key_at(), key)?;
        step("set.key");
        self.write_body(head, head.value_at(), value)?;
        step("set.value");
        Ok(())
    }

    #[cold]
    fn write_extras(&self, head: &Head, mut words: impl Iterator<Item = u64>) -> Result<(), Damaged> {
        pieces(self, head, 0, head.key_at(), |offset, len| {
            for slot in self.region.words(offset, len / 8) {
                slot.store(words.next().unwrap_or(0), Ordering::Relaxed); // published by the index word
            }
        })?;
        step("set.extras");
        Ok(())
    }

    fn write_body(&self, head: &Head, from: usize, bytes: &[u8]) -> Result<(), Damaged> {
        let mut done = 0;
        pieces(self, head, from, bytes.len(), |offset, len| {
            self.region.copy_in(offset, &bytes[done..done + len]);
            step("set.bytes");
            done += len;
        })
    }
}
