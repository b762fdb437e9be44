//! Changes of an entry other than `set`: delete, take, touch, increment.

use crate::change::find::{Existing, RemovalCause};
use crate::change::locked::{ChangeError, Locked};
use crate::change::set::{Write, deadline_of};
use crate::error::CacheError;
use crate::kind;
use crate::layout::control::Field;
use crate::layout::entry::{Damaged, Head};
use crate::layout::key::Key;
use crate::shard::pieces::pieces;
use crate::shard::values::{EntryMeta, Sink, fetch};
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::step;
use std::ops::Range;

/// Options of an increment.
#[derive(Clone, Copy, Debug)]
pub struct Increment {
    /// The number that a missing key counts as.
    pub init: f64,
    /// Milliseconds to live of a key that was missing; 0: for ever.
    pub ttl_ms: u64,
    /// Minimum of the result; `f64::NEG_INFINITY`: no limit.
    pub min: f64,
    /// Maximum of the result; `f64::INFINITY`: no limit.
    pub max: f64,
    /// The key was given as bytes.
    pub binary_key: bool,
}

impl Locked<'_> {
    /// Deletes the key's entry, if its version is `version` (0: any).
    pub(crate) fn delete(&mut self, key: &Key<'_>, version: u64) -> Result<bool, ChangeError> {
        let is_other = |entry: &Existing| entry.live && entry.head.version != version;
        if version != 0 && self.find(key)?.is_some_and(|entry| is_other(&entry)) {
            return Ok(false);
        }
        let _ = self.outdate_flight(key)?;
        self.delete_any(key)
    }

    /// Copies the entry to `sink` and deletes it, unless the sink refuses the value.
    pub(crate) fn take<S: Sink>(&mut self, key: &Key<'_>, sink: &mut S) -> Result<Option<EntryMeta>, ChangeError> {
        let Some(mut existing) = self.find_live(key)? else {
            let _ = self.outdate_flight(key)?;
            return Ok(None);
        };
        if kind::is_collection(existing.head.kind) {
            return Err(CacheError::WrongType.into());
        }
        let mut meta = EntryMeta::EMPTY;
        fetch(self.shard, &existing.head, sink, &mut meta)?;
        if meta.copied {
            if self.outdate_flight(key)? {
                existing = self.find_live(key)?.ok_or(ChangeError::Damaged)?;
            }
            self.remove_for_user(existing, RemovalCause::Deleted)?;
        }
        Ok(Some(meta))
    }

    /// Gives the entry a new deadline, with a new head over the old body. Value and version stay.
    pub(crate) fn touch(&mut self, key: &Key<'_>, ttl_ms: u64) -> Result<bool, ChangeError> {
        let Some(old) = self.find_live(key)? else {
            return Ok(false);
        };
        if self.shard.get(Field::Free) == 0 && !self.make_room(1, Some(old.at), key.namespace)? {
            return Err(CacheError::NoSpace("no unit is free for a new head".into()).into());
        }
        let unit = self.shard.take_head()?;
        step("touch.taken");
        let head = Head { deadline: deadline_of(ttl_ms, || self.now_ms()), ..old.head };
        head.store(self.shard.unit_words(unit)?);
        step("touch.head");
        self.begin_life_of(&head);
        self.shard.note_word(old.at);
        publish(self.shard.word(old.at), self.shard.low_word(unit, key.place.tag));
        step("touch.published");
        let queued = self.shard.requeue(old.unit, unit, old.head.units(), head.units());
        self.count_out(&old.head);
        self.count_in(&head);
        self.shard.free_head(old.unit);
        step("touch.freed");
        self.settle(queued);
        Ok(true)
    }

    /// Adds `by` to the number under the key.
    pub(crate) fn incr(&mut self, key: &Key<'_>, by: f64, options: &Increment) -> Result<f64, ChangeError> {
        let existing = self.find(key)?;
        let live = existing.filter(|e| e.live);
        let start = live.map_or(Ok(options.init), |e| self.number(&e.head))?;
        let mut sum = start + by;
        if sum < options.min {
            sum = options.min;
        }
        if sum > options.max {
            sum = options.max;
        }
        let sum = kind::checked_sum(sum)?;
        let Increment { binary_key, ttl_ms, .. } = *options;
        let value = sum.to_le_bytes();
        let kept = Write { binary_key, ttl_ms, keep_ttl: true, keep_tags: true, ..Write::new(kind::NUMBER, &value) };
        let existing = if self.outdate_flight(key)? { self.find(key)? } else { existing };
        let stored = self.write(key, existing, &kept)?;
        match stored {
            Some(_) => Ok(sum),
            None => Err(CacheError::NoSpace("the shard is full and eviction is 'none'".into()).into()),
        }
    }

    fn number(&self, head: &Head) -> Result<f64, ChangeError> {
        if head.kind != kind::NUMBER || head.value_len != 8 {
            return Err(CacheError::NotANumber.into());
        }
        let mut bytes = [0; 8];
        pieces(self.shard, head, head.value_at(), 8, |offset, _| self.shard.region.copy_out(offset, &mut bytes))?;
        Ok(f64::from_le_bytes(bytes))
    }

    /// Deletes the entries of a namespace that are in `lines` and have keys that start with `prefix`. Adds the number
    /// of live ones to `deleted`.
    pub(crate) fn delete_prefix(
        &mut self,
        lines: Range<usize>,
        namespace: u16,
        prefix: &[u8],
        deleted: &mut u64,
    ) -> Result<(), ChangeError> {
        let is_wanted =
            |locked: &Self, head: &Head| Ok(head.namespace == namespace && locked.starts_with(head, prefix)?);
        self.delete_where(lines, is_wanted, deleted)
    }

    /// Whether the key of `head` starts with `prefix`. The bytes are compared in the segment, since no allocation may
    /// happen under a lock.
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
