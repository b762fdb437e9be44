//! Values: read, write, delete, walk.

use crate::attachment::attached::Attachment;
use crate::cache::handle::Cache;
use crate::change::locked::{ChangeError, Locked};
use crate::change::set::Write;
use crate::change::update::Increment;
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::key::Key;
use crate::layout::keyspaces::Keyspace;
use crate::reading::read::ReadMode;
use crate::reading::scan::{Deletion, Page};
use crate::shard::values::{EntryMeta, NoSink, Sink};

impl Cache {
    /// Reads a key into `sink`. `None` is a miss.
    ///
    /// # Errors
    /// An invalid key; `Detached` if the segment was destroyed, truncated or replaced.
    #[inline]
    pub fn get<S: Sink>(&self, key: &[u8], mode: ReadMode, sink: &mut S) -> Result<Option<EntryMeta>, CacheError> {
        self.in_area(|| self.read(self.namespace_of_values(), key, mode, sink))
    }

    /// `get` for callers that have a `meta` already. False is a miss; the contents of `meta` are undefined then.
    ///
    /// # Errors
    /// As for `get`.
    #[inline]
    pub fn get_to<S: Sink>(
        &self,
        key: &[u8],
        mode: ReadMode,
        sink: &mut S,
        meta: &mut EntryMeta,
    ) -> Result<bool, CacheError> {
        // Not by `in_area`: its loop would take fifty instructions of a hit.
        match self.read_to(self.namespace_of_values(), key, mode, sink, meta) {
            // Built anew: a copy of the whole result, written a moment ago in narrower parts, stalls the processor.
            Ok(found) => Ok(found),
            Err(CacheError::Moved) => self.get_again(key, mode, sink, meta),
            Err(error) => Err(error),
        }
    }

    /// `get_to` after a resize has moved the entries.
    #[cold]
    #[inline(never)]
    fn get_again<S: Sink>(
        &self,
        key: &[u8],
        mode: ReadMode,
        sink: &mut S,
        meta: &mut EntryMeta,
    ) -> Result<bool, CacheError> {
        self.follow_area()?;
        self.in_area(|| self.read_to(self.namespace_of_values(), key, mode, sink, meta))
    }

    /// Whether the key has an entry. It counts no read and marks nothing as used.
    ///
    /// # Errors
    /// As for `get`.
    pub fn has(&self, key: &[u8]) -> Result<bool, CacheError> {
        Ok(self.get(key, ReadMode::Peek, &mut NoSink)?.is_some())
    }

    /// The version of the key's entry.
    ///
    /// # Errors
    /// As for `get`.
    pub fn version_of(&self, key: &[u8]) -> Result<Option<u64>, CacheError> {
        self.in_area(|| self.version_in(self.namespace_of_values(), key))
    }

    /// Writes a value and returns its version. `None`: the condition did not hold, or the shard is full and no entry
    /// may be evicted.
    ///
    /// # Errors
    /// `ValueTooLarge`, `NoSpace`, `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn set(&self, key: &[u8], write: &Write<'_>) -> Result<Option<u64>, CacheError> {
        let Write { value, tags, .. } = write;
        self.in_area(|| {
            let key = Key::for_entry(self.geometry(), self.namespace_of_values(), key, value.len(), tags.len())?;
            self.change(&key, |locked| locked.set(&key, write))
        })
    }

    /// Deletes the key's entry if its version is `version` (0: any). True if there was one.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn delete(&self, key: &[u8], version: u64) -> Result<bool, CacheError> {
        self.in_area(|| {
            let key = self.key(key)?;
            self.change(&key, |locked| locked.delete(&key, version))
        })
    }

    /// Reads and deletes an entry in one step. As by `delete`, a running load of the key is older than this. If the sink
    /// refuses the bytes (`EntryMeta::copied`), the entry stays.
    ///
    /// # Errors
    /// As for `delete`.
    pub fn take<S: Sink>(&self, key: &[u8], sink: &mut S) -> Result<Option<EntryMeta>, CacheError> {
        self.in_area(|| self.take_in(key, sink))
    }

    fn take_in<S: Sink>(&self, key: &[u8], sink: &mut S) -> Result<Option<EntryMeta>, CacheError> {
        let key = self.key(key)?;
        // A miss without a load takes no lock, so a process that polls a queue of keys delays no other. The flight is
        // read first: one that is not there yet is newer than this call.
        // mutant: take-leaves-loads
        let there = self.has_flight(&key)? || self.version_in(self.namespace_of_values(), key.bytes)?.is_some();
        let taken = if there { self.change(&key, |locked| locked.take(&key, sink))? } else { None };
        self.count_read(self.namespace_of_values(), taken.is_some());
        Ok(taken)
    }

    /// Gives the key's entry a new lifetime of `ttl_ms` milliseconds (0: unlimited). True if there is an entry.
    ///
    /// # Errors
    /// As for `delete`, and `NoSpace`.
    pub fn touch(&self, key: &[u8], ttl_ms: u64) -> Result<bool, CacheError> {
        self.in_area(|| {
            let key = self.key(key)?;
            self.change(&key, |locked| locked.touch(&key, ttl_ms))
        })
    }

    /// Adds to the number under the key and returns the sum.
    ///
    /// # Errors
    /// `NotANumber`, `Overflow`, and as for `set`.
    pub fn incr(&self, key: &[u8], by: f64, options: &Increment) -> Result<f64, CacheError> {
        self.in_area(|| {
            let key = self.key(key)?;
            self.change(&key, |locked| locked.incr(&key, by, options))
        })
    }

    /// The next keys of this namespace that start with `prefix`, from `cursor` (0 at first) on. A page has about `most`
    /// keys: it may have a few more, or fewer where the prefix is rare. Call again until `next` is `None`.
    ///
    /// # Errors
    /// `Detached`.
    pub fn keys(&self, cursor: u64, prefix: &[u8], most: usize) -> Result<Page, CacheError> {
        self.in_area(|| self.keys_of(self.namespace_of_values(), cursor, (prefix, &[]), most))
    }

    /// As `keys`, of the entries that have at least one of these tags.
    ///
    /// # Errors
    /// As `keys`.
    pub fn tagged_keys(&self, cursor: u64, prefix: &[u8], tags: &[u64], most: usize) -> Result<Page, CacheError> {
        self.in_area(|| self.keys_of(self.namespace_of_values(), cursor, (prefix, tags), most))
    }

    /// Deletes all entries of this namespace with keys that start with `prefix`; returns their number. The time grows
    /// with the size of the index. The call holds each shard's lock for some 10 µs at a time.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`; entries deleted before the error stay deleted.
    pub fn delete_prefix(&self, prefix: &[u8]) -> Result<u64, CacheError> {
        let (mut deleted, mut cursor) = (0, Some(0));
        while let Some(at) = cursor {
            let step = self.delete_prefix_from(at, prefix)?;
            deleted += step.deleted;
            cursor = step.next;
        }
        Ok(deleted)
    }

    /// One step of `delete_prefix`, from `cursor` (0 at first) on: about a millisecond. Call again until `next` is `None`.
    ///
    /// # Errors
    /// As for `delete_prefix`.
    pub fn delete_prefix_from(&self, cursor: u64, prefix: &[u8]) -> Result<Deletion, CacheError> {
        let step =
            self.in_area(|| self.delete_prefix_of(self.namespace_of_values(), cursor, prefix, self.write_patience()));
        self.count_busy(step)
    }

    fn has_flight(&self, key: &Key<'_>) -> Result<bool, CacheError> {
        let attachment: &Attachment = self;
        if key.area == attachment.geometry().area && attachment.shard(key.shard).get(Field::PinnedUnits) == 0 {
            return Ok(false);
        }
        let flights = Keyspace::Flights.of(self.namespace_of_values());
        Ok(self.read(flights, key.bytes, ReadMode::Peek, &mut NoSink)?.is_some())
    }

    /// Runs a change of a key, and counts it if it ends as busy.
    fn change<R>(
        &self,
        key: &Key<'_>,
        change: impl FnMut(&mut Locked<'_>) -> Result<R, ChangeError>,
    ) -> Result<R, CacheError> {
        self.count_busy(self.change_key(key, self.write_patience(), change))
    }
}
