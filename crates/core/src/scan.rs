//! Walks over the index: the keys of a namespace page by page, and deletion by prefix.
//!
//! A cursor is a place in an order of lines that a division of the index does not change: all lines that a line was or will be
//! divided into follow each other, so a line that was not divided stands for several places at once. An entry that stays put
//! is met exactly once, whatever is written around it. Pages are read without a lock; deletion holds one for a few lines at a time.
//!
//! The thing to get wrong: an entry that is replaced while it is looked at. It has stayed put, so it is looked at again; and so
//! is the whole line if the index was divided meanwhile.

use crate::cache::{Cache, Core};
use crate::entry::{BINARY_KEY, Damaged, Head, TAGGED, pieces};
use crate::error::CacheError;
use crate::geometry::{Geometry, WORDS_PER_LINE};
use crate::key;
use crate::kind;
use crate::locked::{Existing, Fault, Locked};
use crate::namespaces;
use crate::shard::{Field, Position, ShardView};
use crate::spaces::Space;
use crate::tags::{self, Fate};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::recheck;

/// Some of a namespace's keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Where the next page starts; `None` after the last one.
    pub next: Option<u64>,
    /// The keys.
    pub keys: Vec<ScannedKey>,
}

/// A key that was met.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScannedKey {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// It was given as bytes.
    pub binary: bool,
}

/// Lines looked at for one page, some milliseconds in the worst case.
const LINES_PER_PAGE: usize = 4096;
/// Lines under one hold of a lock: some 10 µs, or 100 where all their entries go.
const LINES_PER_HOLD: usize = 16;
/// Lock-free looks at a word that keeps changing before the lock is tried as well.
const PATIENCE: u32 = 1000;

impl Cache {
    /// The next keys of this namespace that start with `prefix`, from `cursor` (0 at first) on; `most` of them, or a few
    /// more, or less where the prefix is rare: ask until `next` is `None`.
    ///
    /// # Errors
    /// `Detached`.
    pub fn keys(&self, cursor: u64, prefix: &[u8], most: usize) -> Result<Page, CacheError> {
        let root = self.epoch()?;
        let life = namespaces::life(self.segment.region(), root, self.namespace());
        let lines = self.geometry().lines() as u64;
        let end = lines * self.geometry().shards as u64;
        let wanted = Wanted { namespace: self.namespace(), life, prefix };
        let mut page = Page { next: None, keys: Vec::new() };
        let (mut at, mut looked) = (cursor, 0);
        while at < end {
            // One line at least, or asking for none would never end.
            if looked > 0 && (page.keys.len() >= most || looked >= LINES_PER_PAGE) {
                page.next = Some(at);
                break;
            }
            let shard = self.shard((at / lines) as usize);
            at += self.keys_in_line(shard, (at % lines) as usize, &wanted, &mut page.keys) as u64;
            looked += 1;
        }
        self.check_not_lost()?;
        Ok(page)
    }

    /// Deletes all entries of this namespace whose keys start with `prefix`; returns how many. Takes as long as the index
    /// is large, each shard's lock for some 10 µs at a time.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`; what was deleted before stays deleted.
    pub fn delete_prefix(&self, prefix: &[u8]) -> Result<u64, CacheError> {
        let mut deleted = 0;
        for index in 0..self.geometry().shards {
            // What is being loaded under such a key is older than its deletion. First, and all of it: the flight of a key is in
            // another line than its value, which a landing could else put behind the walk.
            if self.change_in(index, |locked| Ok(locked.shard.get(Field::PinnedUnits) != 0))? {
                self.delete_in(index, Space::Flights.of(self.namespace()), prefix)?;
            }
            deleted += self.delete_in(index, self.namespace(), prefix)?;
        }
        Ok(deleted)
    }

    fn delete_in(&self, shard: usize, namespace: u16, prefix: &[u8]) -> Result<u64, CacheError> {
        let mut deleted = 0;
        let mut line = 0;
        while line < self.geometry().lines() {
            let end = (line + LINES_PER_HOLD).min(self.geometry().lines());
            self.change_in(shard, |locked| locked.delete_prefix(line..end, namespace, prefix, &mut deleted))?;
            line = self.shard(shard).skip_unused(end);
        }
        Ok(deleted)
    }
}

/// Which entries a walk looks for.
pub(crate) struct Wanted<'a> {
    pub(crate) namespace: u16,
    pub(crate) life: u64,
    pub(crate) prefix: &'a [u8],
}

impl ShardView<'_> {
    /// The line at a place of the order of walks, and how many places it stands for.
    fn line_at(&self, place: usize, level: u32) -> (usize, usize) {
        let Geometry { growths, first_lines, main_lines, .. } = *self.geometry;
        if place >= main_lines {
            return (place, 1);
        }
        let parts = 1 << growths;
        let (first, part) = (place / parts, place % parts);
        // The lowest bit of a tag divides first, so it is the highest of the order.
        let tag = if growths == 0 { 0 } else { part.reverse_bits() >> (usize::BITS - growths) };
        let places = 1 << (growths - level);
        (first + first_lines * (tag & ((1 << level) - 1)), places - part % places)
    }

    /// `line`, or the next one that may have words in use. A division moves entries upwards only, so none is passed by.
    fn skip_unused(&self, line: usize) -> usize {
        let own = self.geometry.lines_at(self.level());
        if (own..self.geometry.main_lines).contains(&line) { self.geometry.main_lines } else { line }
    }
}

impl Core {
    /// Adds the keys that are wanted of the line at a place of the order of walks; returns how many places that were.
    pub(crate) fn keys_in_line(
        &self,
        shard: ShardView<'_>,
        place: usize,
        wanted: &Wanted<'_>,
        keys: &mut Vec<ScannedKey>,
    ) -> usize {
        let before = keys.len();
        loop {
            let level = shard.level();
            let (line, places) = shard.line_at(place, level);
            shard.each_in_line(line, |at, _| keys.extend(self.key_at(shard, at, level, wanted)));
            // As in `search`: what was divided meanwhile is looked at again.
            if shard.level() <= level {
                return places;
            }
            keys.truncate(before);
        }
    }

    /// The key of the entry that a word names, if it is wanted and is found there at this level of the index.
    pub(crate) fn key_at(
        &self,
        shard: ShardView<'_>,
        at: Position,
        level: u32,
        wanted: &Wanted<'_>,
    ) -> Option<ScannedKey> {
        let mut tries = 0u32;
        loop {
            // Acquire: pairs with the Release store in `publish`.
            let word = shard.word(at).load(Ordering::Acquire);
            if shard.unit_of(word) == 0 || shard.is_out_of_place(at, word, level) {
                return None;
            }
            tries = tries.wrapping_add(1);
            // Held off for one look, if the lock happens to be free: as in `Reading::visit`.
            let locked = if tries.is_multiple_of(PATIENCE) { self.try_locked(shard.index) } else { None };
            let key = self.wanted_key(shard, word, wanted);
            let unchanged = recheck(shard.word(at), word).is_ok();
            drop(locked);
            if unchanged {
                if key.is_err() {
                    self.note_damage(shard.index);
                }
                return key.ok().flatten();
            }
        }
    }

    fn wanted_key(&self, shard: ShardView<'_>, word: u64, wanted: &Wanted<'_>) -> Result<Option<ScannedKey>, Damaged> {
        let unit = shard.unit_of(word);
        if unit == 0 {
            return Ok(None);
        }
        let head = shard.head(unit)?;
        if head.namespace != wanted.namespace || head.life != wanted.life || head.is_expired(self.now_ms()) {
            return Ok(None);
        }
        if head.kind == kind::ABSENT {
            return Ok(None);
        }
        let Some(bytes) = key_of(shard, &head, wanted.prefix)? else {
            return Ok(None);
        };
        if head.flags & TAGGED != 0 && tags::fate(shard, &head)? != Fate::Fresh {
            return Ok(None);
        }
        Ok(Some(ScannedKey { bytes, binary: head.flags & BINARY_KEY != 0 }))
    }
}

/// The key of a head, if it starts with `prefix`. One that no key can be is damage: nobody could ask for it.
fn key_of(shard: ShardView<'_>, head: &Head, prefix: &[u8]) -> Result<Option<Vec<u8>>, Damaged> {
    if !key::is_possible_len(head.key_len) {
        return Err(Damaged);
    }
    if head.key_len < prefix.len() {
        return Ok(None);
    }
    let mut key = Vec::new();
    pieces(shard, head, head.key_at(), head.key_len, |offset, len| shard.region.append_to(offset, len, &mut key))?;
    Ok(key.starts_with(prefix).then_some(key))
}

impl Locked<'_> {
    fn delete_prefix(
        &mut self,
        lines: std::ops::Range<usize>,
        namespace: u16,
        prefix: &[u8],
        deleted: &mut u64,
    ) -> Result<(), Fault> {
        for position in lines.start * WORDS_PER_LINE..lines.end * WORDS_PER_LINE {
            let at = Position(position as u32);
            let unit = self.shard.unit_of(self.shard.word(at).load(Ordering::Relaxed));
            if unit == 0 {
                continue;
            }
            let head = self.shard.head(unit)?;
            if head.namespace != namespace || !self.starts_with(&head, prefix)? {
                continue;
            }
            let live = self.is_live(&head)?;
            self.delete_found(Existing { at, unit, head, live })?;
            *deleted += u64::from(live);
        }
        Ok(())
    }

    /// Compared in the segment: under a lock nothing is allocated.
    fn starts_with(&self, head: &Head, prefix: &[u8]) -> Result<bool, Damaged> {
        if head.key_len < prefix.len() {
            return Ok(false);
        }
        let mut same = true;
        let mut done = 0;
        pieces(self.shard, head, head.key_at(), prefix.len(), |offset, len| {
            same = same && self.shard.region.starts_with(offset, &prefix[done..done + len]);
            done += len;
        })?;
        Ok(same)
    }
}
