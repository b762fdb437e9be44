//! The index lines of a shard: positions, the search that readers and writers share, and the order of lines in a walk.
//!
//! A key is in its own line or, if that line was full when the key was stored, further along its path. Each line counts
//! the keys that went past it.
//!
//! Caution: the count is raised before such a key is published, so a reader that finds 0 may stop. The count is never 0
//! while such a key exists, not even during a rebuild.

use crate::layout::entry::Node;
use crate::layout::geometry::{Geometry, UNIT, WORDS_PER_LINE};
use crate::layout::key::Key;
use crate::shard::note::Note;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::{AtomicU8, AtomicU64, Ordering};
use cache_machine_shm::{Block, index};

/// Maximum use mark of an entry; S3-FIFO needs no more.
pub(crate) const MAX_USES: u8 = 3;

/// The place of an index word: `line * 7 + word`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position(pub(crate) u32);

impl Position {
    /// The positions of all words of a line.
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

/// A visitor's answer for a word with the tag of the search.
pub(crate) enum Visit<R> {
    /// The word names another key.
    Other,
    /// The search ends with this result.
    Done(R),
    /// The word changed meanwhile, so it is visited again.
    Again,
}

impl<'a> ShardView<'a> {
    #[inline]
    pub(crate) fn line_offset(&self, line: usize) -> usize {
        self.lines_offset() + line * 64
    }

    #[inline]
    fn line(&self, line: usize) -> &'a Block<8> {
        self.region.block(self.line_offset(line))
    }

    #[inline]
    fn line_words(&self, line: usize) -> &'a [AtomicU64] {
        &self.line(line).words()[..WORDS_PER_LINE]
    }

    #[inline]
    pub(crate) fn word_offset(&self, at: Position) -> usize {
        self.line_offset(at.line()) + at.word() * 8
    }

    #[inline]
    pub(crate) fn word(&self, at: Position) -> &'a AtomicU64 {
        self.region.u64(self.word_offset(at))
    }

    /// The use mark of an entry, 0 to 3: reads raise it, a search for victims lowers it.
    #[inline]
    pub(crate) fn use_mark(&self, at: Position) -> &'a AtomicU8 {
        self.region.u8(self.line_offset(at.line()) + 56 + at.word())
    }

    #[inline]
    pub(crate) fn mark_used(&self, at: Position) {
        let mark = self.use_mark(at);
        // Relaxed, and not one atomic step: the mark is a hint for eviction. It is stored only when it changes, so hot
        // cache lines stay shared.
        let now = mark.load(Ordering::Relaxed);
        if now < MAX_USES {
            mark.store(now + 1, Ordering::Relaxed);
        }
    }

    /// The count of keys that found this line full and are further along their path.
    #[inline]
    pub(crate) fn overflowed(&self, line: usize) -> &'a AtomicU8 {
        self.line(line).u8(63)
    }

    /// Notes the overflow count of a line before it is raised or lowered.
    pub(crate) fn note_overflow(&self, line: usize, is_raised: bool) {
        let (offset, old) = (self.line_offset(line) + 63, self.overflowed(line).load(Ordering::Relaxed));
        self.note(if is_raised { Note::Raised { offset, old } } else { Note::Lowered { offset, old } });
    }

    /// Notes the index word that the change stores next.
    #[inline]
    pub(crate) fn note_word(&self, at: Position) {
        // mutant: word-not-noted
        self.note(Note::Word { at: at.0, old: self.word(at).load(Ordering::Relaxed) });
    }

    /// Notes the index word that names an intent next.
    pub(crate) fn note_intent(&self, at: Position) {
        // mutant: intent-not-noted
        self.note(Note::Intent { at: at.0, old: self.word(at).load(Ordering::Relaxed) });
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

    /// Prefetches the lines behind a head, where its body usually is, while the head itself is loaded.
    #[inline(always)]
    fn prefetch_body(&self, unit: u32) {
        let head = self.unit_offset(unit);
        self.region.prefetch(head + UNIT);
        self.region.prefetch(head + 2 * UNIT);
    }

    /// Prefetches the heads of an entry's neighbours in its queue, which a replacement changes.
    #[inline]
    pub(crate) fn prefetch_neighbours(&self, unit: u32) {
        if let Ok(words) = self.unit_words(unit) {
            let (newer, older) = Node::neighbours(words);
            self.region.prefetch(self.unit_offset(newer));
            self.region.prefetch(self.unit_offset(older));
        }
    }

    /// Prefetches the line where a search for `key` begins.
    #[inline]
    pub(crate) fn prefetch_line(&self, key: &Key<'_>) {
        self.region.prefetch(self.line_offset(key.place.line(self.geometry, self.level())));
    }

    /// How often the index was divided. The level is truth, like the words: it determines where they belong.
    #[inline]
    pub(crate) fn level(&self) -> u32 {
        u32::from(index::level(self.level_word())).min(self.geometry.growths)
    }

    #[inline]
    pub(crate) fn level_word(&self) -> &'a AtomicU8 {
        self.region.u8(self.geometry.level(self.index))
    }

    /// Visits each word with the key's tag on the key's path, until a visit ends the search.
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
        for (i, slot) in self.line_words(line).iter().enumerate() {
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

    /// Number of lines that can have words in use: the main lines of the level and the overflow lines.
    pub(crate) fn lines_in_use(&self) -> usize {
        self.geometry.lines_at(self.level()) + self.geometry.overflow_lines
    }

    /// The lines that may have words: those in use, and those that an unfinished division fills. No process touches the
    /// others, which may not be reserved yet.
    pub(crate) fn lines_with_words(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.end_of_words()).chain(self.geometry.main_lines..self.geometry.lines())
    }

    /// Whether a line is one of them.
    pub(crate) fn may_have_words(&self, line: usize) -> bool {
        line < self.end_of_words() || (self.geometry.main_lines..self.geometry.lines()).contains(&line)
    }

    fn end_of_words(&self) -> usize {
        let level = self.level();
        let own = self.geometry.lines_at(level);
        let next = self.geometry.lines_at((level + 1).min(self.geometry.growths));
        next.min(self.geometry.lines_for(self.reserved() as usize)).max(own)
    }

    /// The line with this number, which is below `lines_in_use`.
    pub(crate) fn line_in_use(&self, number: usize) -> usize {
        let own = self.geometry.lines_at(self.level());
        if number < own { number } else { (self.geometry.main_lines + number - own).min(self.geometry.lines() - 1) }
    }

    /// The number of a line that is in use: the inverse of `line_in_use`.
    pub(crate) fn number_in_use(&self, line: usize) -> usize {
        let own = self.geometry.lines_at(self.level());
        if line < own { line } else { own + line.saturating_sub(self.geometry.main_lines) }
    }

    /// Calls `each` with every word in use of a line.
    pub(crate) fn each_in_line(&self, line: usize, mut each: impl FnMut(Position, u64)) {
        for (at, word) in Position::of_line(line).zip(self.line_words(line)) {
            let word = word.load(Ordering::Acquire); // Acquire: pairs with `publish`
            if self.unit_of(word) != 0 {
                each(at, word);
            }
        }
    }

    /// Whether the entry that a word names moves to the upper of two lines when the index is divided at `level`.
    pub(crate) fn goes_up(&self, word: u64, level: u32) -> bool {
        self.unit_of(word) != 0 && self.tag_of(word) >> level & 1 == 1
    }

    /// The position of the twin of a word that is out of place at this level: its line was divided, and the twin is
    /// where the entry belongs.
    fn twin(&self, at: Position, word: u64, level: u32) -> Option<Position> {
        if at.line() >= self.geometry.main_lines {
            return None;
        }
        let part = self.tag_of(word) as usize & ((1 << level) - 1);
        let own = at.line() % self.geometry.first_lines + self.geometry.first_lines * part;
        (own != at.line()).then(|| Position((own * WORDS_PER_LINE + at.0 as usize % WORDS_PER_LINE) as u32))
    }

    /// Whether no search at this level finds a word in use. A division has copied the word and not yet emptied it.
    pub(crate) fn is_out_of_place(&self, at: Position, word: u64, level: u32) -> bool {
        self.twin(at, word, level).is_some()
    }

    /// Whether a word is out of place, and its twin names the same entry.
    pub(crate) fn was_moved(&self, at: Position, word: u64) -> bool {
        let names_the_same = |twin| self.word(twin).load(Ordering::Relaxed) as u32 == word as u32;
        // mutant: rebuild-keeps-unread-half
        self.twin(at, word, self.level()).is_some_and(names_the_same)
    }

    /// The line at a place in the order of walks, and the number of places that the line stands for.
    pub(crate) fn line_at(&self, place: usize, level: u32) -> (usize, usize) {
        let Geometry { growths, first_lines, main_lines, .. } = *self.geometry;
        if place >= main_lines {
            return (place, 1);
        }
        let parts = 1 << growths;
        let (first, part) = (place / parts, place % parts);
        // The first division uses the lowest bit of a tag, so this bit is the highest in the order.
        let tag = if growths == 0 { 0 } else { part.reverse_bits() >> (usize::BITS - growths) };
        let places = 1 << (growths - level);
        (first + first_lines * (tag & ((1 << level) - 1)), places - part % places)
    }

    /// `line`, or the next line that may have words in use. A division moves entries only upwards, so a walk misses
    /// none.
    pub(crate) fn skip_unused(&self, line: usize) -> usize {
        let own = self.geometry.lines_at(self.level());
        if (own..self.geometry.main_lines).contains(&line) { self.geometry.main_lines } else { line }
    }
}
