//! Makes room in a shard: reserves more of the space, sweeps dead entries, evicts live entries.
//!
//! The reservation is the only system call under a shard's lock.

use crate::change::find::Existing;
use crate::change::locked::{ChangeError, Locked};
use crate::change::quotas::Staged;
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::entry::Damaged;
use crate::layout::geometry::{Eviction, RESERVATION_STEP, UNIT};
use crate::layout::key::Key;
use crate::layout::keyspaces::{is_pinned, is_record};
use crate::shard::allocator::{Placement, worst_case};
use crate::shard::index::Position;
use crate::shard::note::Note;
use cache_machine_shm::ShmError;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;

/// Free units with which each pinned record can be replaced by a record of its size, where all pinned records have
/// `pinned` units. In the worst case one record has all of these units, and single units replace it, beside records
/// that are chains of single units already. The rest is for the small record of a limiter.
fn spare_for(pinned: usize) -> usize {
    const LIMITER: usize = 8;
    // mutant: no-spare-for-records
    pinned + pinned / 2 + LIMITER
}

/// The work of a change that sweeps to make room, in lines: 8,192 empty lines, or 512 entries in 64 full lines, or one
/// after the other. It takes some 50 µs. A change that needs many units may do more.
const MAX_SWEPT: usize = 8192;
/// The work of one entry, in lines: an entry is somewhere else, lines are side by side.
const WORK_PER_ENTRY: usize = 16;
/// More work for each unit that the change needs: an entry for each.
const WORK_PER_UNIT: usize = 16;
/// Beside quotas: the work of a sweep before the first eviction, if entries have ended.
const SWEPT_BEFORE_EVICTION: usize = 1024;
/// Lines that are swept before the next look at the free units.
const LINES_AT_ONCE: usize = 8;

/// What the sweeps of one change have done.
#[derive(Default)]
struct Swept {
    lines: usize,
    work: usize,
}

impl Locked<'_> {
    /// Takes units for an entry of `key` with a body of `body` units, in place of `existing`. `None`: there is no room
    /// and nothing may be evicted.
    #[inline]
    pub(crate) fn take_units(
        &mut self,
        key: &Key<'_>,
        body: usize,
        existing: Option<Existing>,
    ) -> Result<Option<Placement>, ChangeError> {
        // One unit is kept back, so that `touch` finds one for a new head.
        let need = worst_case(body) + 1;
        let has_quotas = self.has_classes() && !is_record(key.namespace);
        if has_quotas && !self.fit_quota(key.namespace, Staged::default().with(1 + body), existing)? {
            return Ok(None);
        }
        let spare = self.spare_units(key, 1 + body, need, existing)?;
        let has_room = self.make_room(need + spare, existing.map(|e| e.at), key.namespace);
        if has_quotas && !matches!(has_room, Ok(true)) {
            self.drop_claim(key.namespace);
        }
        if !has_room? {
            return Ok(None);
        }
        Ok(Some(self.shard.take(body)?))
    }

    /// Makes sure that `need` units are free, for an entry of this namespace. False: they are not, and nothing may be evicted.
    ///
    /// The work has a bound: at most `MAX_SPARED` entries are passed over, at most `need` entries are evicted, and the
    /// sweep ends after `MAX_SWEPT` and `WORK_PER_UNIT` for each of the units needed, or after all lines. So without
    /// eviction the answer may be false although entries have ended. The next calls sweep the lines behind, and the
    /// background sweeps as well.
    #[inline]
    pub(crate) fn make_room(
        &mut self,
        need: usize,
        spared: Option<Position>,
        namespace: u16,
    ) -> Result<bool, ChangeError> {
        if self.shard.get(Field::Free) as usize >= need {
            return Ok(true);
        }
        self.free_units(need, spared, namespace)
    }

    fn free_units(&mut self, need: usize, spared: Option<Position>, namespace: u16) -> Result<bool, ChangeError> {
        let mut swept = Swept::default();
        let mut can_free = None;
        let mut search = self.victim_search(namespace);
        while (self.shard.get(Field::Free) as usize) < need {
            if self.reserve_more(need) {
                continue;
            }
            let evicts = match can_free {
                Some(evicts) => evicts,
                None => {
                    self.follow();
                    *can_free.insert(self.can_free(need, &search))
                }
            };
            if self.may_sweep(&swept, need) {
                self.sweep_lines(&mut swept, spared)?;
                // Beside quotas an entry that has ended goes before one that is guaranteed to stay.
                let sweeps_on = !evicts || self.has_classes() && swept.work < SWEPT_BEFORE_EVICTION;
                if sweeps_on || self.shard.get(Field::Free) as usize >= need {
                    continue;
                }
            }
            if !evicts {
                return Ok(false);
            }
            match self.find_victim(&mut search, spared)? {
                Some(victim) => self.evict_victim(victim)?,
                None if self.has_classes() => return Ok(false),
                None if (self.shard.get(Field::Reserved) as usize) < self.shard.geometry.units => {
                    let text = "the file system is full and every entry of the shard was evicted";
                    return Err(CacheError::NoSpace(text.into()).into());
                }
                None => return Err(ChangeError::Damaged),
            }
        }
        Ok(true)
    }

    /// Whether a change that needs `need` units may sweep on.
    fn may_sweep(&self, swept: &Swept, need: usize) -> bool {
        // mutant: sweep-without-bound
        let is_allowed = swept.work < MAX_SWEPT + need * WORK_PER_UNIT && swept.lines < self.shard.lines_in_use();
        is_allowed && self.is_sweep_due()
    }

    fn sweep_lines(&mut self, swept: &mut Swept, spared: Option<Position>) -> Result<(), Damaged> {
        swept.lines += LINES_AT_ONCE;
        swept.work += LINES_AT_ONCE + self.sweep(LINES_AT_ONCE, spared)? * WORK_PER_ENTRY;
        Ok(())
    }

    /// Sweeps before a namespace that has reached its maximum evicts or refuses.
    pub(crate) fn sweep_for_quota(&mut self, spared: Option<Position>) -> Result<(), Damaged> {
        let mut swept = Swept::default();
        while self.may_sweep(&swept, 0) && swept.work < SWEPT_BEFORE_EVICTION {
            self.sweep_lines(&mut swept, spared)?;
        }
        Ok(())
    }

    /// Reserves more of the shard's space, with the lines of the index that it needs, and less if the file system has
    /// less. False: nothing was reserved.
    fn reserve_more(&mut self, need: usize) -> bool {
        let units = self.shard.geometry.units;
        let reserved = (self.shard.get(Field::Reserved) as usize).min(units);
        if reserved == units || !self.attachment.reservations.may_reserve(self.shard.index) {
            return false;
        }
        let mut step_units = RESERVATION_STEP.max(need).min(units - reserved);
        while step_units >= 64.min(units - reserved) {
            let ranges = self.shard.geometry.next_reservations(self.shard.index, reserved, step_units);
            let mut needed = ranges.into_iter().filter(|(_, len)| *len > 0);
            match needed.try_for_each(|(offset, len)| self.attachment.reserve(offset, len)) {
                Ok(()) => {
                    step("reserve.taken");
                    self.shard.note(Note::Reserved(reserved as u32));
                    // Readers check against `Reserved`, so the bytes are reserved before this store.
                    self.shard.field(Field::Reserved).store((reserved + step_units) as u32, Ordering::Release);
                    step("reserve.noted");
                    // Unit 0 is never free, not even if damage has set `Reserved` to 0.
                    self.shard.add(Field::Free, (reserved + step_units - reserved.max(1)) as u32);
                    self.shard.forget_notes();
                    return true;
                }
                Err(ShmError::NoSpace(_)) => step_units /= 2,
                Err(_) => break,
            }
        }
        self.attachment.reservations.note_failure(self.shard.index);
        false
    }

    /// Units that must stay free after a write of `need` units, so that a record that does not grow can always be
    /// changed. For example, a released lock goes to its next waiter at once, however full the shard is.
    #[inline]
    pub(crate) fn spare_units(
        &mut self,
        key: &Key<'_>,
        units: usize,
        need: usize,
        existing: Option<Existing>,
    ) -> Result<usize, CacheError> {
        // With eviction and without quotas, all units that pinned records leave count as free.
        let evicts = self.shard.geometry.eviction != Eviction::None && !self.has_classes();
        if evicts && !is_record(key.namespace) {
            return Ok(0);
        }
        let before = existing.map_or(0, |old| old.head.units());
        if is_record(key.namespace) && units <= before {
            return Ok(0); // the spare units are for this write
        }
        let mut pinned = self.shard.get(Field::PinnedUnits) as usize;
        if is_pinned(key.namespace) {
            let others = pinned.saturating_sub(before);
            self.admit_pinned(others + units, pinned + need)?;
            pinned = others + units;
        }
        Ok(if evicts { 0 } else { spare_for(pinned) })
    }

    /// Checks that `pinned` units may be pinned. Reserves enough for `taken` units, the maximum during the change, and
    /// for the spare units.
    #[cold]
    fn admit_pinned(&mut self, pinned: usize, taken: usize) -> Result<(), CacheError> {
        // The other three quarters have room for the largest entry, its predecessor, and more.
        let limit = self.shard.geometry.units / 4;
        if pinned > limit {
            let text = format!("locks, flights and metrics may take a quarter of a shard, {} bytes", limit * UNIT);
            return Err(CacheError::NoSpace(text));
        }
        // Eviction makes room only inside the reserved units.
        let wanted = taken + spare_for(pinned);
        loop {
            let reserved = self.shard.reserved() as usize;
            if reserved >= wanted {
                return Ok(());
            }
            if !self.reserve_more(wanted - reserved) {
                return Err(CacheError::NoSpace("the file system is full".into()));
            }
        }
    }
}
