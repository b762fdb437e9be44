//! Changes a collection: copies its value, edits the copy, and stores it as a new entry.

use crate::change::find::{Existing, RemovalCause};
use crate::change::locked::{ChangeError, Locked};
use crate::change::set::Write;
use crate::collections::packed::count_in;
use crate::collections::request::{MAX_REPLY, Request, Scratch};
use crate::error::CacheError;
use crate::layout::entry::{Damaged, Head};
use crate::layout::geometry::UNIT;
use crate::layout::key::Key;
use crate::shard::pieces::pieces;

/// A change of a collection, and the collection that it makes where there is none.
pub(crate) struct CollectionChange<'a> {
    pub(crate) kind: u8,
    pub(crate) request: Request<'a>,
    /// Bytes of the request.
    pub(crate) request_len: usize,
    /// Milliseconds to live of a collection that the change makes; 0: for ever.
    pub(crate) ttl_ms: u64,
    /// The tags of a collection that the change makes.
    pub(crate) tags: &'a [u64],
    pub(crate) binary_key: bool,
}

impl CollectionChange<'_> {
    /// Gives the buffers room for a collection of `len` bytes: its elements, those of the request, and their deadlines.
    pub(crate) fn reserve(&self, len: usize, scratch: &mut Scratch, reply: &mut Vec<u8>) {
        let needed = self.needed(len);
        for buffer in [&mut scratch.bytes, &mut scratch.spare, reply] {
            buffer.clear();
            buffer.reserve(needed);
        }
    }

    /// The largest collection for which buffers of this capacity have room.
    pub(crate) fn most(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.needed(0))
    }

    fn needed(&self, len: usize) -> usize {
        len + self.request_len * 10 + MAX_REPLY
    }
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Collected {
    Done,
    /// The buffers are too small for the collection, which has so many bytes. Nothing was changed.
    TooSmall(usize),
}

impl Locked<'_> {
    /// Edits a collection by a request. Without elements it ends. Allocates nothing: `scratch` and `reply` have been
    /// given room by `CollectionChange::reserve`.
    pub(crate) fn collect(
        &mut self,
        key: &Key<'_>,
        change: &CollectionChange<'_>,
        scratch: &mut Scratch,
        reply: &mut Vec<u8>,
    ) -> Result<Collected, ChangeError> {
        let existing = self.find(key)?;
        let live = existing.filter(|entry| entry.live);
        let len = live.map_or(0, |entry| entry.head.value_len);
        if live.is_some_and(|entry| entry.head.kind != change.kind) {
            return Err(CacheError::WrongType.into());
        }
        if len > self.shard.geometry.units * UNIT {
            return Err(ChangeError::Damaged);
        }
        let room = scratch.bytes.capacity().min(scratch.spare.capacity()).min(reply.capacity());
        if change.needed(len) > room {
            return Ok(Collected::TooSmall(len));
        }
        reply.clear();
        scratch.bytes.clear();
        if let Some(entry) = live {
            self.copy_value(&entry.head, &mut scratch.bytes)?;
        }
        let has_changed = change.request.edit(scratch, reply, self.now_ms())?;
        if !has_changed {
            return Ok(Collected::Done);
        }
        let existing = if self.outdate_flight(key)? { self.find(key)? } else { existing };
        match existing.filter(|entry| entry.live) {
            Some(entry) if count_in(&scratch.bytes) == 0 => self.remove_for_user(entry, RemovalCause::Deleted)?,
            None if count_in(&scratch.bytes) == 0 => {}
            _ => self.store_collection(key, existing, change, &scratch.bytes)?,
        }
        Ok(Collected::Done)
    }

    fn store_collection(
        &mut self,
        key: &Key<'_>,
        existing: Option<Existing>,
        change: &CollectionChange<'_>,
        value: &[u8],
    ) -> Result<(), ChangeError> {
        // The tags of an old entry are kept.
        let tags = existing.filter(|entry| entry.live).map_or(change.tags.len(), |entry| entry.head.extras);
        let limit = self.shard.geometry.max_entry;
        let needed = key.bytes.len() + value.len() + tags * 8;
        if needed > limit {
            return Err(CacheError::ValueTooLarge { needed, limit }.into());
        }
        let write = Write {
            binary_key: change.binary_key,
            ttl_ms: change.ttl_ms,
            tags: change.tags,
            keep_ttl: true,
            keep_tags: true,
            ..Write::new(change.kind, value)
        };
        match self.set_found(key, existing, &write)? {
            Some(_) => Ok(()),
            None => Err(CacheError::NoSpace("the shard is full and eviction is 'none'".into()).into()),
        }
    }

    fn copy_value(&self, head: &Head, out: &mut Vec<u8>) -> Result<(), Damaged> {
        pieces(self.shard, head, head.value_at(), head.value_len, |offset, len| {
            self.shard.region.append_to(offset, len, out);
        })
    }
}
