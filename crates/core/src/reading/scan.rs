//! Walks over the index: the keys of a namespace page by page, and deletion by prefix.
//!
//! A cursor is a place in an order of lines that a division of the index does not change. All lines into which a line
//! was or will be divided follow each other, so an undivided line stands for several places at once. It also names the
//! area: after a resize a walk begins again, so it may meet an entry twice, but misses none. Pages are read without a lock. Deletion holds a lock for a few lines at a time.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::locked::{ChangeError, Locked};
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::entry::Head;
use crate::layout::keyspaces::{Keyspace, version_of};
use crate::layout::namespaces::ROOT;
use crate::reading::walk::{ScannedKey, Wanted};

/// A page of a namespace's keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The cursor of the next page; `None` after the last one.
    pub next: Option<u64>,
    /// The keys of the page.
    pub keys: Vec<ScannedKey>,
}

/// The result of one step of a deletion by prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deletion {
    /// The cursor of the next step; `None` after the last one.
    pub next: Option<u64>,
    /// Number of entries that the step deleted.
    pub deleted: u64,
}

/// Maximum lines that are read for one page: about a millisecond, if every line is full and the prefix is rare.
const LINES_PER_PAGE: usize = 1024;

/// Lines and deleted entries of one step of a deletion, together: about a millisecond. The last hold may exceed it.
const WORK_PER_STEP: usize = 1024;

/// Lines under one hold of a lock: some 10 µs, or 100 µs if all their entries are deleted.
const LINES_PER_HOLD: usize = 16;

/// Bits of a cursor below the number of the area. A place needs fewer, and a cursor less than the 53 of a double.
const PLACE_BITS: u32 = 40;

impl Attachment {
    /// The cursor at a place of this area. It is not 0, unless the walk is at its beginning.
    pub(crate) fn cursor_at(&self, place: u64) -> u64 {
        u64::from(self.geometry().area) << PLACE_BITS | place
    }

    /// The place of a cursor: the beginning, for a cursor of another area; the end, for one that no area has.
    pub(crate) fn place_of(&self, cursor: u64) -> u64 {
        match cursor >> PLACE_BITS {
            area if area == u64::from(self.geometry().area) => cursor & ((1 << PLACE_BITS) - 1),
            area if area <= u64::from(u8::MAX) => 0,
            _ => u64::MAX,
        }
    }

    /// The next keys of a namespace, from `cursor` on: those that start with `prefix`, of entries with one of `tags` if there
    /// are any. At least one line is read, at most `LINES_PER_PAGE`.
    pub(crate) fn keys_of(
        &self,
        namespace: u16,
        cursor: u64,
        (prefix, tags): (&[u8], &[u64]),
        most: usize,
    ) -> Result<Page, CacheError> {
        let life = self.life(namespace)?;
        let cursor = self.place_of(cursor);
        let lines = self.geometry().lines() as u64;
        let end = lines * self.geometry().shards as u64;
        let wanted = Wanted { namespace, life, prefix, tags };
        let mut page = Page { next: None, keys: Vec::new() };
        let (mut at, mut read) = (cursor, 0);
        while at < end {
            // At least one line is read: otherwise a request for no keys would never end.
            if read > 0 && (page.keys.len() >= most || read >= LINES_PER_PAGE) {
                page.next = Some(self.cursor_at(at));
                break;
            }
            let shard = self.shard((at / lines) as usize);
            at += self.keys_in_line(&shard, (at % lines) as usize, &wanted, &mut page.keys) as u64;
            read += 1;
        }
        self.check_current()?;
        Ok(page)
    }

    /// Deletes entries of a namespace with keys that start with `prefix`, from `cursor` (0 at first) on.
    ///
    /// A load under such a key is older than its deletion. All these flights of a shard end first: the flight of a key
    /// is in another line than its value, so a flight that ended later could store its result behind the walk. So the
    /// cursor passes the lines of a shard twice, first for flights.
    pub(crate) fn delete_prefix_of(
        &self,
        namespace: u16,
        cursor: u64,
        prefix: &[u8],
        patience: Patience,
    ) -> Result<Deletion, CacheError> {
        let lines = self.geometry().lines();
        let end = lines as u64 * 2 * self.geometry().shards as u64;
        let mut deletion = Deletion { next: None, deleted: 0 };
        let (mut at, mut work) = (self.place_of(cursor), 0);
        while at < end {
            if work >= WORK_PER_STEP {
                deletion.next = Some(self.cursor_at(at));
                break;
            }
            let (pass, line) = (at / lines as u64, (at % lines as u64) as usize);
            let index = (pass / 2) as usize;
            // mutant: prefix-ends-loads-last
            let of_flights = pass.is_multiple_of(2);
            let hold = line..(line + LINES_PER_HOLD).min(lines);
            let mut deleted = 0;
            let after = self.try_change((&self.shard(index), namespace), patience, |locked| {
                if of_flights && line == 0 && locked.shard.get(Field::PinnedUnits) == 0 {
                    return Ok(lines);
                }
                let space = if of_flights { Keyspace::Flights.of(namespace) } else { namespace };
                locked.delete_prefix(hold.clone(), space, prefix, &mut deleted)?;
                Ok(locked.shard.skip_unused(hold.end))
            });
            let after = match after {
                // What was deleted so far counts; the walk begins again.
                Err(CacheError::Moved) if deletion.deleted > 0 => {
                    deletion.next = Some(self.cursor_at(at));
                    break;
                }
                other => other?,
            };
            deletion.deleted += if of_flights { 0 } else { deleted };
            work += hold.len() + deleted as usize;
            at = pass * lines as u64 + after as u64;
        }
        Ok(deletion)
    }

    /// Deletes the values and flights of a version of the application in about `lines` lines, from `cursor` (0 at first) on,
    /// while `is_unused`, which is asked under each lock. Returns the cursor of the next step, `None` after the last one.
    ///
    /// # Errors
    /// `Busy`, also if the version is in use again; `Detached`, `Corrupt`.
    pub(crate) fn delete_version(
        &self,
        version: u16,
        cursor: u64,
        lines: usize,
        patience: Patience,
        is_unused: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, CacheError> {
        let of_shard = self.geometry().lines();
        let end = of_shard as u64 * self.geometry().shards as u64;
        let (mut at, mut work) = (self.place_of(cursor), 0);
        while at < end {
            if work >= lines {
                return Ok(Some(self.cursor_at(at)));
            }
            let (index, line) = ((at / of_shard as u64) as usize, (at % of_shard as u64) as usize);
            let hold = line..(line + LINES_PER_HOLD).min(of_shard);
            let mut deleted = 0;
            let after = self.try_change((&self.shard(index), ROOT), patience, |locked| {
                if !is_unused() {
                    return Err(ChangeError::Error(CacheError::Busy("the version is in use again".into())));
                }
                let is_wanted = |_: &Locked<'_>, head: &Head| Ok(version_of(head.namespace) == Some(version));
                locked.delete_where(hold.clone(), is_wanted, &mut deleted)?;
                Ok(locked.shard.skip_unused(hold.end))
            })?;
            work += hold.len() + deleted as usize;
            at = index as u64 * of_shard as u64 + after as u64;
        }
        Ok(None)
    }

    /// Deletes values with versions up to `floor`, from `cursor` (0 at first) on. Returns the cursor of the next step,
    /// `None` after the last one, and the number of deleted entries.
    pub(crate) fn delete_older_of(
        &self,
        namespace: u16,
        cursor: u64,
        floor: u64,
        patience: Patience,
    ) -> Result<(Option<u64>, u64), CacheError> {
        let lines = self.geometry().lines();
        let end = lines as u64 * self.geometry().shards as u64;
        let (mut at, mut work, mut all) = (self.place_of(cursor), 0, 0);
        while at < end {
            if work >= WORK_PER_STEP {
                return Ok((Some(self.cursor_at(at)), all));
            }
            let (index, line) = ((at / lines as u64) as usize, (at % lines as u64) as usize);
            let hold = line..(line + LINES_PER_HOLD).min(lines);
            let mut deleted = 0;
            let after = self.try_change((&self.shard(index), ROOT), patience, |locked| {
                locked.delete_older(hold.clone(), namespace, floor, &mut deleted)?;
                Ok(locked.shard.skip_unused(hold.end))
            });
            let after = match after {
                Err(CacheError::Moved) if all > 0 => return Ok((Some(self.cursor_at(at)), all)),
                other => other?,
            };
            all += deleted;
            work += hold.len() + deleted as usize;
            at = index as u64 * lines as u64 + after as u64;
        }
        Ok((None, all))
    }
}
