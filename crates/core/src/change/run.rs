//! Runs a change under the lock of its shard.
//!
//! Promises: a shard that its last owner left unsound is repaired first. A shard that contradicts itself is rebuilt, and
//! the change runs again. A change in a segment that was lost or destroyed meanwhile does not succeed.

use crate::attachment::attached::Attachment;
use crate::attachment::locks::Shard;
use crate::attachment::patience::Patience;
use crate::change::locked::{ChangeError, Locked};
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::geometry::WORDS_PER_LINE;
use crate::layout::key::Key;
use crate::layout::namespaces::{self, ROOT};
use crate::layout::tags;
use crate::notices::removals;
use crate::shard::view::ShardView;
use cache_machine_shm::{ListeningProcesses, State};
use std::cell::Cell;

/// How often a change runs again because its namespace had reached its maximum and had its entries in other shards. Other
/// processes may take the room in between.
const MAX_TIMES_ELSEWHERE: usize = 3;

impl Attachment {
    /// Takes a shard's lock. Waits at most `patience` for a living holder, and repairs the shard if its last owner
    /// died.
    pub(crate) fn lock<'a>(
        &'a self,
        shard: &'a ShardView<'a>,
        namespace: u16,
        patience: Patience,
    ) -> Result<Locked<'a>, CacheError> {
        let (state, notes_removals) = self.enter(shard, patience)?;
        let mut locked = self.guard(shard, namespace, notes_removals);
        locked.make_sound(state);
        Ok(locked)
    }

    /// The first part of `lock`: the state of the shard, and whether removals are noted.
    #[inline(always)]
    fn enter(&self, shard: &ShardView<'_>, patience: Patience) -> Result<(Shard, bool), CacheError> {
        let notes_removals = self.listeners.wants_removals();
        if notes_removals {
            removals::prepare();
        }
        Ok((self.take_lock(shard, patience)?, notes_removals))
    }

    /// Takes the lock if that needs neither a wait nor a rebuild.
    pub(crate) fn try_locked<'a>(&'a self, shard: &'a ShardView<'a>) -> Option<Locked<'a>> {
        self.try_take_lock(shard).then(|| self.guard(shard, ROOT, false))
    }

    /// Runs a change of one key under its shard's lock.
    #[inline]
    pub(crate) fn change_key<R>(
        &self,
        key: &Key<'_>,
        patience: Patience,
        change: impl FnMut(&mut Locked<'_>) -> Result<R, ChangeError>,
    ) -> Result<R, CacheError> {
        // Another thread may have moved this process since the key was hashed.
        if key.area != self.geometry().area {
            return Err(CacheError::Moved);
        }
        let shard = self.shard(key.shard);
        shard.prefetch_line(key);
        self.try_change((&shard, key.namespace), patience, change)
    }

    /// Runs a change under its shard's lock. If the shard contradicts itself, it is rebuilt, and the change runs again.
    pub(crate) fn try_change<R>(
        &self,
        (shard, namespace): (&ShardView<'_>, u16),
        patience: Patience,
        mut change: impl FnMut(&mut Locked<'_>) -> Result<R, ChangeError>,
    ) -> Result<R, CacheError> {
        // Not by `lock`: its result, a struct or an error, would be copied twice, and each copy waits for the copy before.
        let (state, notes_removals) = self.enter(shard, patience)?;
        let mut locked = self.guard(shard, namespace, notes_removals);
        locked.make_sound(state);
        locked.divide_if_crowded();
        let mut result = change(&mut locked);
        let mut times_elsewhere = 0;
        // mutant: no-room-elsewhere
        while let Some(room) = locked.elsewhere.take() {
            // The change had no effect, and runs again with room that another shard gave.
            times_elsewhere += 1;
            drop(locked);
            let has_room = self.make_room_elsewhere(room, patience)?;
            locked = self.lock(shard, namespace, patience)?;
            locked.may_ask_elsewhere = has_room && times_elsewhere < MAX_TIMES_ELSEWHERE;
            result = change(&mut locked);
        }
        if let Err(ChangeError::Damaged) = result {
            locked.rebuild();
            result = change(&mut locked);
        }
        if let Err(ChangeError::Damaged) = result {
            locked.rebuild();
        }
        // The change may have happened in zeros that no other process sees, or in a segment that was destroyed while this
        // process was suspended inside. It is not acknowledged, and the caller repeats it in the next segment.
        // mutant: suspended-writer-acknowledges
        if self.is_lost() || self.segment.header().state() != State::Ready {
            drop(locked);
            self.detach();
            return Err(CacheError::Detached);
        }
        result.map_err(|fault| match fault {
            ChangeError::Error(error) => error,
            ChangeError::Damaged => {
                CacheError::Corrupt(format!("shard {} contradicts itself again after a rebuild", shard.index))
            }
        })
    }

    /// The guard of a lock that was just taken, for an operation of a namespace.
    #[inline(always)]
    fn guard<'a>(&'a self, shard: &'a ShardView<'a>, namespace: u16, notes_removals: bool) -> Locked<'a> {
        let region = shard.region;
        let root_epoch = self.root_epoch();
        Locked {
            shard,
            attachment: self,
            root_epoch,
            namespace,
            life: namespaces::life(region, root_epoch, namespace),
            tag_clock: tags::clock(region),
            now: Cell::new(0),
            notes_removals,
            listeners: ListeningProcesses::NONE,
            more_listeners: ListeningProcesses::NONE,
            has_news: false,
            elsewhere: None,
            may_ask_elsewhere: true,
            repaired: None,
        }
    }
}

impl Locked<'_> {
    /// Repairs or rebuilds the shard if its last owner left it so.
    #[inline(always)]
    fn make_sound(&mut self, state: Shard) {
        match state {
            Shard::Sound => {}
            Shard::Interrupted => self.repair(),
            Shard::Damaged => self.rebuild(),
        }
    }

    /// Divides the index if it is more than half full and can be divided.
    #[inline]
    pub(crate) fn divide_if_crowded(&mut self) {
        let level = self.shard.level();
        let geometry = self.shard.geometry;
        let words = geometry.lines_at(level) * WORDS_PER_LINE;
        if self.shard.get(Field::Words) as usize * 2 > words && level < geometry.growths {
            // A damaged count could divide the index beyond its reserved lines.
            if geometry.lines_at(level) < geometry.lines_for(self.shard.reserved() as usize) {
                self.divide(level);
            }
        }
    }
}
