//! A shard as bytes: its control block, index lines and space, and the search that readers and writers share.
//!
//! The thing to get wrong: the order of looking. A key is in its own line or, if that was full when it came, further
//! along its path; each line counts the keys that went past it. The count is raised before such a key is published, so a
//! reader that finds 0 may stop. It never says 0 while such a key exists, also not during a rebuild.

use crate::entry::{Damaged, Head, Node, Run, pieces};
use crate::geometry::{Geometry, UNIT, WORDS_PER_LINE};
use crate::key::Key;
use crate::spaces::is_record;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::index;
use cache_machine_shm::steps::step;

/// 32-bit words of the control block. All but the lock and `Reserved` are guarded by the lock.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Field {
    Lock = 0,
    /// Units whose bytes are reserved. Readers check against it; it only grows.
    Reserved = 64,
    /// Where the search for free units goes on.
    Cursor = 128,
    /// Free units among the reserved.
    Free = 132,
    /// The tag clock, its lower half, when this shard last looked for entries that invalidations killed.
    TagsSeen = 136,
    /// Entries with a deadline.
    Mortal = 144,
    /// Next line to be swept.
    SweepLine = 148,
    /// Lines still to be swept for entries that a `clear` or an invalidation killed.
    Purge = 152,
    /// Writes, to sweep every few.
    Writes = 156,
    /// The run freed last: its bytes are in the processor's cache, so it is taken first.
    WarmUnit = 160,
    WarmUnits = 164,
    SmallNewest = 192,
    SmallOldest = 196,
    SmallUnits = 200,
    MainNewest = 204,
    MainOldest = 208,
    MainUnits = 212,
    /// Units that went through the ghost queue.
    GhostClock = 216,
    PinnedNewest = 220,
    PinnedOldest = 224,
    PinnedUnits = 228,
    /// 1 once room had to be made since the shard was new or half empty.
    HasEvicted = 232,
    /// Words in use, to notice when the index is crowded.
    Words = 236,
}

/// 64-bit words of the control block.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Count {
    /// Truth: source of versions; a rebuild never lowers it.
    Sequence = 8,
    Repairs = 256,
    Damaged = 264,
    /// States of limiters that were evicted before their time.
    LimitsEvicted = 272,
}

/// What a shard counts of one namespace, in 64-bit words, guarded by the lock. Of these only the first two are made anew by
/// a rebuild; the others are statistics, from which a death may keep one count.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Tally {
    /// The life that `Entries` counts; see `namespaces::life`.
    Life = 0,
    /// Entries of that life.
    Entries = 8,
    Sets = 16,
    Deletes = 24,
    Evictions = 32,
    Expirations = 40,
}

/// One shard of a mapped segment.
#[derive(Clone, Copy)]
pub(crate) struct ShardView<'a> {
    pub(crate) region: &'a Region,
    pub(crate) geometry: &'a Geometry,
    pub(crate) index: usize,
}

/// Where an index word is: `line * 7 + word`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position(pub(crate) u32);

impl Position {
    /// Those of all words of a line.
    #[inline]
    pub(crate) fn of_line(line: usize) -> impl Iterator<Item = Self> {
        (0..WORDS_PER_LINE).map(move |i| Self((line * WORDS_PER_LINE + i) as u32))
    }

    pub(crate) fn line(self) -> usize {
        self.0 as usize / WORDS_PER_LINE
    }

    fn word(self) -> usize {
        self.0 as usize % WORDS_PER_LINE
    }
}

/// What a visitor of the search says of a word whose tag matches.
pub(crate) enum Visit<R> {
    /// Another key.
    Other,
    /// Found.
    Done(R),
    /// The word changed meanwhile: look at it again.
    Again,
}

impl<'a> ShardView<'a> {
    #[inline]
    pub(crate) fn field(&self, field: Field) -> &'a AtomicU32 {
        self.region.u32(self.geometry.meta(self.index) + field as usize)
    }

    #[inline]
    pub(crate) fn get(&self, field: Field) -> u32 {
        self.field(field).load(Ordering::Relaxed) // guarded by the lock; `Reserved` only grows
    }

    /// Under the lock.
    #[inline]
    pub(crate) fn put(&self, field: Field, value: u32) {
        self.field(field).store(value, Ordering::Relaxed); // guarded by the lock
        step("control.word");
    }

    /// Under the lock. Derived counts wrap rather than panic if somebody scribbled over them.
    #[inline]
    pub(crate) fn add(&self, field: Field, by: u32) {
        self.put(field, self.get(field).wrapping_add(by));
    }

    /// Under the lock; stops at 0.
    #[inline]
    pub(crate) fn subtract(&self, field: Field, by: u32) {
        self.put(field, self.get(field).saturating_sub(by));
    }

    #[inline]
    pub(crate) fn count(&self, count: Count) -> &'a AtomicU64 {
        self.region.u64(self.geometry.meta(self.index) + count as usize)
    }

    /// Under the lock.
    #[inline]
    pub(crate) fn bump(&self, count: Count) -> u64 {
        let next = self.count(count).load(Ordering::Relaxed).wrapping_add(1);
        self.count(count).store(next, Ordering::Relaxed); // guarded by the lock; read elsewhere as statistics only
        step("control.count");
        next
    }

    #[inline]
    pub(crate) fn tally(&self, namespace: u16, tally: Tally) -> &'a AtomicU64 {
        self.region.u64(self.geometry.tally(self.index, usize::from(namespace)) + tally as usize)
    }

    /// Under the lock.
    #[inline]
    pub(crate) fn put_tally(&self, namespace: u16, tally: Tally, value: u64) {
        self.tally(namespace, tally).store(value, Ordering::Relaxed); // guarded by the lock; read elsewhere as statistics
        step("control.tally");
    }

    /// Under the lock. Counts wrap rather than panic if somebody scribbled over them.
    #[inline]
    pub(crate) fn add_tally(&self, namespace: u16, tally: Tally, by: u64) {
        self.put_tally(namespace, tally, self.tally(namespace, tally).load(Ordering::Relaxed).wrapping_add(by));
    }

    /// Under the lock. From here on the entries of this life are counted, of which there are none so far.
    pub(crate) fn count_anew(&self, namespace: u16, life: u64) {
        self.put_tally(namespace, Tally::Entries, 0);
        // Release: pairs with the Acquire in `entries`, so that whoever sees this life does not see the count of the last.
        self.tally(namespace, Tally::Life).store(life, Ordering::Release);
        step("control.life");
    }

    /// Whether an entry is one of those that its namespace counts.
    pub(crate) fn counts(&self, head: &Head) -> bool {
        !is_record(head.namespace) && self.tally(head.namespace, Tally::Life).load(Ordering::Relaxed) == head.life
    }

    /// Number of a namespace's entries in its present life; none where no writer has come since a `clear`.
    pub(crate) fn entries(&self, namespace: u16, life: u64) -> u64 {
        // Acquire: pairs with the Release in `count_anew`.
        let counted = self.tally(namespace, Tally::Life).load(Ordering::Acquire);
        if counted == life { self.tally(namespace, Tally::Entries).load(Ordering::Relaxed) } else { 0 }
    }

    #[inline]
    pub(crate) fn line_offset(&self, line: usize) -> usize {
        self.geometry.lines_offset(self.index) + line * 64
    }

    #[inline]
    pub(crate) fn word_offset(&self, at: Position) -> usize {
        self.line_offset(at.line()) + at.word() * 8
    }

    #[inline]
    pub(crate) fn word(&self, at: Position) -> &'a AtomicU64 {
        self.region.u64(self.word_offset(at))
    }

    /// How often the entry was read since it came or was spared: 0 to 3.
    #[inline]
    pub(crate) fn touched(&self, at: Position) -> &'a AtomicU8 {
        self.region.u8(self.line_offset(at.line()) + 56 + at.word())
    }

    /// Keys that found this line full and are further along their path.
    #[inline]
    pub(crate) fn overflowed(&self, line: usize) -> &'a AtomicU8 {
        self.region.u8(self.line_offset(line) + 63)
    }

    #[inline]
    pub(crate) fn unit_of(&self, word: u64) -> u32 {
        word as u32 >> self.geometry.tag_bits
    }

    #[inline]
    pub(crate) fn tag_of(&self, word: u64) -> u32 {
        word as u32 & ((1 << self.geometry.tag_bits) - 1)
    }

    #[inline]
    pub(crate) fn low_word(&self, unit: u32, tag: u32) -> u32 {
        unit << self.geometry.tag_bits | tag
    }

    /// Asks for the lines behind a head, where its body usually is, while the head itself is still on its way.
    #[inline(always)]
    fn prefetch_body(&self, unit: u32) {
        let head = self.geometry.space(self.index) + unit as usize * UNIT;
        self.region.prefetch(head + UNIT);
        self.region.prefetch(head + 2 * UNIT);
    }

    /// Asks for the heads of an entry's neighbours in its queue, which a replacement will change.
    #[inline]
    pub(crate) fn prefetch_neighbours(&self, unit: u32) {
        if let Ok(node) = self.node(unit) {
            let space = self.geometry.space(self.index);
            self.region.prefetch(space + node.newer as usize * UNIT);
            self.region.prefetch(space + node.older as usize * UNIT);
        }
    }

    /// Asks for the line where a search for `key` begins.
    #[inline]
    pub(crate) fn prefetch_line(&self, key: &Key<'_>) {
        self.region.prefetch(self.line_offset(key.place.line(self.geometry, self.level())));
    }

    /// The 8 words of a unit that may be used.
    #[inline]
    pub(crate) fn unit_words(&self, unit: u32) -> Result<&'a [AtomicU64], Damaged> {
        Ok(self.region.words(self.run_offset(Run { unit, count: 1 })?, UNIT / 8))
    }

    /// Offset of a run that lies inside the reserved units.
    #[inline]
    pub(crate) fn run_offset(&self, run: Run) -> Result<usize, Damaged> {
        let reserved = u64::from(self.get(Field::Reserved)).min(self.geometry.units as u64);
        let end = u64::from(run.unit) + u64::from(run.count);
        if run.unit == 0 || run.count == 0 || end > reserved {
            return Err(Damaged);
        }
        Ok(self.geometry.space(self.index) + run.unit as usize * UNIT)
    }

    #[inline]
    pub(crate) fn head(&self, unit: u32) -> Result<Head, Damaged> {
        Ok(Head::load(self.unit_words(unit)?))
    }

    pub(crate) fn node(&self, unit: u32) -> Result<Node, Damaged> {
        Ok(Node::load(self.unit_words(unit)?))
    }

    /// Under the lock.
    pub(crate) fn put_node(&self, unit: u32, node: Node) -> Result<(), Damaged> {
        node.store(self.unit_words(unit)?);
        step("queue.node");
        Ok(())
    }

    /// Whether the entry of `head` is that of `key`.
    #[inline]
    pub(crate) fn has_key(&self, head: &Head, key: &Key<'_>) -> Result<bool, Damaged> {
        if head.key_len != key.bytes.len() || head.namespace != key.namespace {
            return Ok(false);
        }
        let mut same = true;
        let mut done = 0;
        pieces(*self, head, head.key_at(), key.bytes.len(), |offset, len| {
            same = same && self.region.equals(offset, &key.bytes[done..done + len]);
            done += len;
        })?;
        Ok(same)
    }

    /// How often the index was divided. Truth, like the words: it says where they belong.
    #[inline]
    pub(crate) fn level(&self) -> u32 {
        u32::from(index::level(self.level_word())).min(self.geometry.growths)
    }

    #[inline]
    pub(crate) fn level_word(&self) -> &'a AtomicU8 {
        self.region.u8(self.geometry.level(self.index))
    }

    /// Visits each word on the key's path whose tag matches, until one is the key's.
    #[inline]
    pub(crate) fn search<R>(&self, key: &Key<'_>, mut visit: impl FnMut(Position, u64) -> Visit<R>) -> Option<R> {
        index::search(|| self.level(), |level| self.search_path(key, level, &mut visit))
    }

    #[inline(always)]
    fn search_path<R>(
        &self,
        key: &Key<'_>,
        level: u32,
        visit: &mut impl FnMut(Position, u64) -> Visit<R>,
    ) -> Option<R> {
        let own = key.place.line(self.geometry, level);
        if let Some(found) = self.search_line(own, key.place.tag, visit) {
            return Some(found);
        }
        if !index::goes_on(self.overflowed(own)) {
            return None;
        }
        self.search_overflow(key, level, visit)
    }

    #[cold]
    fn search_overflow<R>(
        &self,
        key: &Key<'_>,
        level: u32,
        visit: &mut impl FnMut(Position, u64) -> Visit<R>,
    ) -> Option<R> {
        for line in key.place.path(self.geometry, level).skip(1) {
            if let Some(found) = self.search_line(line, key.place.tag, visit) {
                return Some(found);
            }
            if !index::goes_on(self.overflowed(line)) {
                return None;
            }
        }
        None
    }

    #[inline(always)]
    fn search_line<R>(&self, line: usize, tag: u32, visit: &mut impl FnMut(Position, u64) -> Visit<R>) -> Option<R> {
        let words = self.region.words(self.line_offset(line), WORDS_PER_LINE);
        for (i, slot) in words.iter().enumerate() {
            loop {
                // Acquire: pairs with the Release store in `publish`.
                let word = slot.load(Ordering::Acquire);
                if self.tag_of(word) != tag || self.unit_of(word) == 0 {
                    break;
                }
                self.prefetch_body(self.unit_of(word));
                match visit(Position((line * WORDS_PER_LINE + i) as u32), word) {
                    Visit::Other => break,
                    Visit::Done(found) => return Some(found),
                    Visit::Again => {}
                }
            }
        }
        None
    }

    /// Lines that can have words in use: those of the level, and those for what overflows.
    pub(crate) fn lines_in_use(&self) -> usize {
        self.geometry.lines_at(self.level()) + self.geometry.overflow_lines
    }

    /// The line of a number below `lines_in_use`.
    pub(crate) fn line_in_use(&self, number: usize) -> usize {
        let own = self.geometry.lines_at(self.level());
        if number < own { number } else { (self.geometry.main_lines + number - own).min(self.geometry.lines() - 1) }
    }

    /// Calls `each` with every word in use of a line.
    pub(crate) fn each_in_line(&self, line: usize, mut each: impl FnMut(Position, u64)) {
        let words = self.region.words(self.line_offset(line), WORDS_PER_LINE);
        for (at, word) in Position::of_line(line).zip(words) {
            let word = word.load(Ordering::Acquire); // Acquire: pairs with `publish`
            if self.unit_of(word) != 0 {
                each(at, word);
            }
        }
    }
}
