//! Reads the entries of index lines without a lock: their keys, or what the caller takes of them.
//!
//! A walk meets an entry that stays exactly once, whatever is written around it. An entry that is replaced while it is
//! read stays, so it is read again. The whole line is read again if the index was divided meanwhile.

use crate::attachment::attached::Attachment;
use crate::kind;
use crate::layout::entry::{BINARY_KEY, Damaged, Head, TAGGED};
use crate::layout::key;
use crate::shard::fate::{Fate, fate};
use crate::shard::index::Position;
use crate::shard::pieces::pieces;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::recheck;
use cache_machine_shm::steps::visit;

/// A key that a walk met.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScannedKey {
    /// The bytes of the key.
    pub bytes: Vec<u8>,
    /// Whether the key was given as bytes.
    pub binary: bool,
}

/// Reads of a changing word without the lock before the lock is tried as well.
const PATIENCE: u32 = 1000;

/// The entries that a walk searches.
pub(crate) struct Wanted<'a> {
    pub(crate) namespace: u16,
    pub(crate) life: u64,
    pub(crate) prefix: &'a [u8],
    /// Numbers of tags, of which an entry must have one; empty: any entry.
    pub(crate) tags: &'a [u64],
}

impl Attachment {
    /// Adds the wanted keys of the line at a place in the order of walks. Returns the number of places that the line
    /// stands for.
    pub(crate) fn keys_in_line(
        &self,
        shard: &ShardView<'_>,
        place: usize,
        wanted: &Wanted<'_>,
        keys: &mut Vec<ScannedKey>,
    ) -> usize {
        self.walk_line(shard, place, keys, &mut |head, keys| {
            keys.extend(self.wanted_key(shard, head, wanted)?);
            Ok(())
        })
    }

    /// The key of the entry that a word names, if it is wanted and has its place there at this level of the index.
    pub(crate) fn key_at(
        &self,
        shard: &ShardView<'_>,
        at: Position,
        level: u32,
        wanted: &Wanted<'_>,
    ) -> Option<ScannedKey> {
        let mut keys = Vec::new();
        self.walk_word(shard, at, level, &mut keys, &mut |head, keys| {
            keys.extend(self.wanted_key(shard, head, wanted)?);
            Ok(())
        });
        keys.pop()
    }

    /// Adds what `read` adds for each entry of the line at a place in the order of walks. Returns the number of places
    /// that the line stands for. What was added for an entry that changed meanwhile is taken back.
    pub(crate) fn walk_line<T>(
        &self,
        shard: &ShardView<'_>,
        place: usize,
        found: &mut Vec<T>,
        read: &mut impl FnMut(&Head, &mut Vec<T>) -> Result<(), Damaged>,
    ) -> usize {
        let before = found.len();
        loop {
            let level = shard.level();
            visit("walked line");
            let (line, places) = shard.line_at(place, level);
            shard.each_in_line(line, |at, _| self.walk_word(shard, at, level, found, read));
            // As in `search`: a line that was divided meanwhile is read again.
            // mutant: walk-ignores-division
            if shard.level() <= level {
                return places;
            }
            found.truncate(before);
        }
    }

    /// Adds what `read` adds for the entry that a word names, if it has its place there at this level of the index.
    fn walk_word<T>(
        &self,
        shard: &ShardView<'_>,
        at: Position,
        level: u32,
        found: &mut Vec<T>,
        read: &mut impl FnMut(&Head, &mut Vec<T>) -> Result<(), Damaged>,
    ) {
        let before = found.len();
        let mut tries = 0u32;
        loop {
            // Acquire: pairs with the Release store in `publish`.
            let word = shard.word(at).load(Ordering::Acquire);
            // mutant: walk-reads-misplaced
            if shard.unit_of(word) == 0 || shard.is_out_of_place(at, word, level) {
                return;
            }
            tries = tries.wrapping_add(1);
            // As in `Reading::visit`: the lock, if it is free, holds writers off for one read.
            let locked = if tries.is_multiple_of(PATIENCE) { self.try_locked(shard) } else { None };
            let done = shard.head_of_word(word).and_then(|head| head.map_or(Ok(()), |head| read(&head, found)));
            let unchanged = recheck(shard.word(at), word).is_ok();
            drop(locked);
            if unchanged && done.is_ok() {
                return;
            }
            found.truncate(before);
            if unchanged {
                self.note_damage(shard.index);
                return;
            }
        }
    }

    fn wanted_key(
        &self,
        shard: &ShardView<'_>,
        head: &Head,
        wanted: &Wanted<'_>,
    ) -> Result<Option<ScannedKey>, Damaged> {
        if head.namespace != wanted.namespace || head.life != wanted.life || head.is_expired(self.now_ms()) {
            return Ok(None);
        }
        if head.kind == kind::ABSENT {
            return Ok(None);
        }
        let Some(bytes) = key_of(shard, head, wanted.prefix)? else {
            return Ok(None);
        };
        if head.flags & TAGGED != 0 && fate(shard, head)? != Fate::Fresh {
            return Ok(None);
        }
        if !wanted.tags.is_empty() && !has_tag(shard, head, wanted.tags)? {
            return Ok(None);
        }
        Ok(Some(ScannedKey { bytes, binary: head.flags & BINARY_KEY != 0 }))
    }
}

fn has_tag(shard: &ShardView<'_>, head: &Head, tags: &[u64]) -> Result<bool, Damaged> {
    if head.flags & TAGGED == 0 {
        return Ok(false);
    }
    // The first word is the tag clock.
    let (mut is_stamp, mut found) = (true, false);
    head.each_tag(shard, |word| {
        found |= !is_stamp && tags.contains(&word);
        is_stamp = false;
    })?;
    Ok(found)
}

/// The key of a head, if it starts with `prefix`. An impossible length is damage: no caller can ask for such a key.
fn key_of(shard: &ShardView<'_>, head: &Head, prefix: &[u8]) -> Result<Option<Vec<u8>>, Damaged> {
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
