//! Removes entries: for the user, to make room, or because they are dead.
//!
//! The store of the index word is the commit.

use crate::change::find::{Existing, RemovalCause};
use crate::change::locked::{ChangeError, Locked};
use crate::layout::control::Field;
use crate::layout::entry::{Damaged, Head, Node};
use crate::layout::geometry::WORDS_PER_LINE;
use crate::layout::key::Key;
use crate::shard::index::Position;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::bell::after_publish;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::{step, visit};
use std::ops::Range;

impl Locked<'_> {
    /// Removes an entry. The store of its index word is the commit. `Damaged` may be returned before it or after it.
    pub(crate) fn remove(&mut self, entry: Existing, cause: RemovalCause) -> Result<(), Damaged> {
        let node = self.shard.node(entry.unit)?;
        self.count_units_out(&entry.head);
        self.remove_uncounted(entry, node, cause)
    }

    /// Removes an entry with units that are no longer counted.
    fn remove_uncounted(&mut self, entry: Existing, node: Node, cause: RemovalCause) -> Result<(), Damaged> {
        // A change that makes room in its own line is unsound by now, and stays so.
        let is_whole = !self.shard.is_unsound();
        self.shard.note_word(entry.at);
        publish(self.shard.word(entry.at), 0);
        step("delete.published");
        self.unclaim_units(&entry.head);
        self.uncount_overflow(node.place, entry.at);
        self.shard.dequeue(entry.unit, entry.head.units())?;
        step("delete.dequeued");
        self.shard.subtract(Field::Words, 1);
        self.count_out(&entry.head);
        self.note_removal(&entry.head, cause);
        if let Some(what) = cause.what() {
            after_publish();
            self.notify_change(what, &entry.head);
        }
        self.shard.free_entry(entry.unit, &entry.head)?;
        step("delete.freed");
        if is_whole {
            self.shard.forget_notes();
        }
        Ok(())
    }

    /// Removes an entry to make room. A dead entry is not evicted: its removal has the cause of its death.
    pub(crate) fn evict(&mut self, at: Position, unit: u32) -> Result<(), Damaged> {
        let head = self.shard.head(unit)?;
        let now = if head.deadline == 0 { 0 } else { self.attachment.now_ms() };
        let cause = self.why_dead(&head, now)?.unwrap_or(RemovalCause::Evicted);
        self.remove(Existing { at, unit, head, live: false }, cause)
    }

    /// Removes an entry of another namespace, which has given up its units; see `find_victim`.
    pub(crate) fn evict_given_up(&mut self, at: Position, unit: u32) -> Result<(), Damaged> {
        let head = self.shard.head(unit)?;
        let node = self.shard.node(unit)?;
        let cause = self.why_dead(&head, self.now_ms())?.unwrap_or(RemovalCause::Evicted);
        self.remove_uncounted(Existing { at, unit, head, live: false }, node, cause)
    }

    /// Deletes an entry for the user. A dead entry is removed as well, and the caller reports that there was none.
    pub(crate) fn delete_found(&mut self, entry: Existing) -> Result<(), Damaged> {
        let dead = if entry.live { None } else { self.why_dead(&entry.head, self.attachment.now_ms())? };
        self.remove_for_user(entry, dead.unwrap_or(RemovalCause::Deleted))
    }

    /// Removes an entry for the user. The answer must be true: `Damaged` means that the entry is still there.
    pub(crate) fn remove_for_user(&mut self, entry: Existing, cause: RemovalCause) -> Result<(), Damaged> {
        let removed = self.remove(entry, cause);
        if self.shard.unit_of(self.shard.word(entry.at).load(Ordering::Relaxed)) != 0 {
            return removed;
        }
        self.settle(removed);
        Ok(())
    }

    /// Deletes the key's entry of any version. True: the entry was live.
    pub(crate) fn delete_any(&mut self, key: &Key<'_>) -> Result<bool, ChangeError> {
        let Some(existing) = self.find(key)? else {
            return Ok(false);
        };
        self.delete_found(existing)?;
        Ok(existing.live)
    }

    /// Deletes the entries in `lines` that are wanted. Adds the number of live ones to `deleted`.
    pub(crate) fn delete_where(
        &mut self,
        lines: Range<usize>,
        is_wanted: impl Fn(&Self, &Head) -> Result<bool, Damaged>,
        deleted: &mut u64,
    ) -> Result<(), ChangeError> {
        for position in lines.start * WORDS_PER_LINE..lines.end * WORDS_PER_LINE {
            let at = Position(position as u32);
            if self.shard.skip_unused(at.line()) != at.line() {
                continue; // it may not be reserved yet
            }
            visit("walked word");
            let unit = self.shard.unit_of(self.shard.word(at).load(Ordering::Relaxed));
            if unit == 0 {
                continue;
            }
            let head = self.shard.head(unit)?;
            if !is_wanted(self, &head)? {
                continue;
            }
            let live = self.is_live(&head)?;
            self.delete_found(Existing { at, unit, head, live })?;
            *deleted += u64::from(live);
        }
        Ok(())
    }
}
