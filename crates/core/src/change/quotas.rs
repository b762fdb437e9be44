//! Room by quota: which entries a change may evict, and how much a namespace may store.
//!
//! Promises: no eviction for others takes a namespace below its reserve, counted over all shards. No write takes it above
//! its maximum. No entry of a namespace with `eviction: 'none'` is evicted.
//!
//! Each shard counts the units of each namespace, and a rebuild recounts them. So the units of a namespace are a sum over
//! shards, read without their locks. A change that would lower the sum for others, or raise it, first stores its own part
//! and then adds up. Of two shards that do this at once, at least one sees the other, and takes its part back if the sum
//! is out of bounds. See docs/decisions/0017-quotas.md.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::find::Existing;
use crate::change::locked::{ChangeError, Locked, RoomElsewhere};
use crate::error::CacheError;
use crate::layout::control::{Count, EvictionQueue, Field, Tally};
use crate::layout::entry::Damaged;
use crate::layout::geometry::{Eviction, MAX_CLASSES};
use crate::layout::keyspaces::{is_pinned, number};
use crate::layout::namespaces;
use crate::layout::quotas::{Quota, class_of, last_class, quota};
use crate::shard::eviction::SearchBudget;
use crate::shard::index::Position;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::{step, visit};

/// Maximum number of entries that one write evicts because its namespace has reached its maximum, beside one for each
/// unit that the write needs. That is too few only after the maximum was lowered; the next writes go on.
const MAX_EVICTED_FOR_SIZE: usize = 64;

/// The searches of one change for victims.
pub(crate) struct VictimSearch {
    pub(crate) budget: SearchBudget,
    /// The class of the change.
    class: u8,
    /// Bit per class that has no more victims for the change.
    without: u64,
}

/// Entries of a namespace that one change stores together: their units, and those of the entries that they replace.
#[derive(Clone, Copy, Default)]
pub(crate) struct Staged {
    pub(crate) units: usize,
    pub(crate) replaced: usize,
}

impl Staged {
    #[inline]
    pub(crate) fn with(self, units: usize) -> Self {
        Self { units: self.units + units, ..self }
    }
}

/// An entry to evict.
#[derive(Clone, Copy)]
pub(crate) struct Victim {
    at: Position,
    unit: u32,
    /// Its namespace has given up its units already.
    is_given_up: bool,
}

impl VictimSearch {
    fn rules_out(&self, class: u8) -> bool {
        self.without >> class & 1 == 1
    }

    fn rule_out(&mut self, class: u8) {
        self.without |= 1 << class;
    }
}

impl Locked<'_> {
    /// Whether any namespace has a quota.
    #[inline]
    pub(crate) fn has_classes(&self) -> bool {
        last_class(self.shard.region) != 0
    }

    /// The searches of a change that stores an entry of this namespace.
    pub(crate) fn victim_search(&self, namespace: u16) -> VictimSearch {
        let class = class_of(self.shard.region, namespace);
        VictimSearch { budget: SearchBudget::new(), class, without: 0 }
    }

    /// The entry to evict next for the change, other than `spared`. `None`: none may be evicted.
    #[inline]
    pub(crate) fn find_victim(
        &self,
        search: &mut VictimSearch,
        spared: Option<Position>,
    ) -> Result<Option<Victim>, Damaged> {
        if self.has_classes() {
            return self.find_victim_by_class(search, spared);
        }
        if self.shard.geometry.eviction == Eviction::None {
            return Ok(None);
        }
        let victim = self.shard.victim(0, spared, &mut search.budget)?;
        Ok(victim.map(|(at, unit)| Victim { at, unit, is_given_up: false }))
    }

    pub(crate) fn evict_victim(&mut self, victim: Victim) -> Result<(), Damaged> {
        let Victim { at, unit, is_given_up } = victim;
        if is_given_up { self.evict_given_up(at, unit) } else { self.evict(at, unit) }
    }

    #[cold]
    fn find_victim_by_class(
        &self,
        search: &mut VictimSearch,
        spared: Option<Position>,
    ) -> Result<Option<Victim>, Damaged> {
        if let Some((at, unit)) = self.cleared_entry(spared)? {
            return Ok(Some(Victim { at, unit, is_given_up: false }));
        }
        while let Some(class) = self.class_to_evict_from(search) {
            let quota = self.quota(class);
            let is_guarded = quota.reserve != 0 && class != search.class;
            let victim = match is_guarded && self.used(quota.namespace) <= quota.reserve {
                true => None,
                false => self.shard.victim(class, spared, &mut search.budget)?,
            };
            match victim {
                // An entry that a `clear` ended is not counted, and needs no leave.
                Some((at, unit)) if !is_guarded || !self.shard.counts(&self.shard.head(unit)?) => {
                    return Ok(Some(Victim { at, unit, is_given_up: false }));
                }
                Some((at, unit)) if self.gives_up(&quota, unit)? => {
                    return Ok(Some(Victim { at, unit, is_given_up: true }));
                }
                _ => search.rule_out(class),
            }
        }
        Ok(None)
    }

    /// The oldest entry of a class if a `clear` has ended it: its units are not counted, so it goes before all others.
    fn cleared_entry(&self, spared: Option<Position>) -> Result<Option<(Position, u32)>, Damaged> {
        for class in 1..=last_class(self.shard.region) {
            visit("class");
            let namespace = self.quota(class).namespace;
            if self.shard.class_units(class) <= self.shard.units_of_namespace(namespace).0 {
                continue;
            }
            for queue in [EvictionQueue::small(class), EvictionQueue::main(class)] {
                let unit = self.shard.oldest(queue);
                if unit == 0 {
                    continue;
                }
                visit("candidate");
                let at = self.shard.position_of(unit, self.shard.node(unit)?)?;
                let head = self.shard.head(unit)?;
                if spared != Some(at) && head.life != self.life_of(head.namespace) {
                    return Ok(Some((at, unit)));
                }
            }
        }
        Ok(None)
    }

    /// The class that loses the next entry, among those that may. Classes above their part of the reserve in this shard
    /// come first, each as often as its units above that part are among those of all. Otherwise a namespace that nothing
    /// reads would keep its room. The class of the change comes last while it is within its reserve.
    fn class_to_evict_from(&self, search: &VictimSearch) -> Option<u8> {
        let shards = self.shard.geometry.shards as u64;
        let mut above = [0u32; MAX_CLASSES];
        let (mut total, mut below, mut last) = (0u64, None, None);
        for class in 0..=last_class(self.shard.region) {
            visit("class");
            let units = self.shard.class_units(class);
            if units == 0 || search.rules_out(class) || self.shard.policy(class) == Eviction::None {
                continue;
            }
            let quota = self.quota(class);
            let excess = u64::from(units).saturating_sub(quota.reserve / shards);
            if class == search.class && quota.reserve != 0 && self.used(quota.namespace) <= quota.reserve {
                last = Some(class);
            } else if excess == 0 {
                below = below.or(Some(class));
            } else {
                above[usize::from(class)] = excess as u32;
                total += excess;
            }
        }
        if total == 0 {
            return below.or(last);
        }
        // Another number for each eviction: the sequence changes with writes, and the free units within one.
        let sequence = self.shard.count(Count::Sequence).load(Ordering::Relaxed);
        let mixed = (sequence ^ u64::from(self.shard.get(Field::Free)) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut chosen = ((mixed >> 32) * total) >> 32;
        let picked = above.iter().position(|excess| {
            let is_here = chosen < u64::from(*excess);
            chosen = chosen.saturating_sub((*excess).into());
            is_here
        });
        picked.map(|class| class as u8)
    }

    /// Lowers the units of a victim's namespace for others. False: that would leave less than its reserve, and nothing has
    /// changed.
    fn gives_up(&self, quota: &Quota, unit: u32) -> Result<bool, Damaged> {
        let head = self.shard.head(unit)?;
        let (used, _) = self.shard.units_of_namespace(quota.namespace);
        if number(head.namespace) != quota.namespace {
            return Err(Damaged); // an entry in the queue of another class
        }
        // mutant: units-given-up-late
        self.shard.offer_units(quota.namespace, used.saturating_sub(head.units() as u32));
        if self.used(quota.namespace) >= quota.reserve {
            return Ok(true);
        }
        self.shard.restore_used(quota.namespace, used);
        self.shard.forget_notes();
        Ok(false)
    }

    fn quota(&self, class: u8) -> Quota {
        quota(self.shard.region, self.shard.geometry, class)
    }

    /// Units of a namespace's entries, in all shards.
    fn used(&self, namespace: u16) -> u64 {
        self.sum(namespace).0
    }

    fn sum(&self, namespace: u16) -> (u64, u64) {
        let life = self.life_of(namespace);
        let parts = self.attachment.shards().map(|shard| shard.units_in_life(namespace, life));
        parts.fold((0, 0), |(used, claimed), part| (used + part.0, claimed + part.1))
    }

    /// Makes sure that entries of `staged.units` units, in place of `existing` and of those that are replaced already, keep its namespace within its maximum, and leaves
    /// others their guaranteed room in this shard. It may evict entries of the namespace. False: that did not suffice.
    #[cold]
    pub(crate) fn fit_quota(
        &mut self,
        namespace: u16,
        staged: Staged,
        existing: Option<Existing>,
    ) -> Result<bool, ChangeError> {
        let units = staged.units;
        let class = class_of(self.shard.region, namespace);
        if class == 0 && self.shard.geometry.eviction != Eviction::None {
            return Ok(true);
        }
        let quota = self.quota(class);
        let life = self.life_of(namespace);
        self.begin_life_if_new(namespace, life);
        self.shard.forget_notes();
        let replaced = staged.replaced + existing.filter(|old| old.head.life == life).map_or(0, |old| old.head.units());
        let spared = existing.map(|old| old.at);
        if units as u64 > quota.size || !self.leaves_guarantees(class, &quota, units, 0, 0) {
            return Ok(false); // no eviction of its own makes room
        }
        let mut search = self.victim_search(namespace);
        let mut has_swept = false;
        for _ in 0..=MAX_EVICTED_FOR_SIZE + units {
            let excess = self.claim(class, &quota, units, replaced);
            let stored = self.shard.class_units(class);
            if excess == 0 && self.leaves_guarantees(class, &quota, units, replaced, stored) {
                return Ok(true);
            }
            if !has_swept {
                has_swept = true;
                self.follow();
                if self.is_sweep_due() {
                    self.sweep_for_quota(spared)?;
                    continue;
                }
            }
            let own = match quota.policy {
                Eviction::None => None,
                _ => self.shard.victim(class, spared, &mut search.budget)?,
            };
            let Some((at, unit)) = own else {
                self.drop_claim(namespace);
                if excess > 0 && quota.policy != Eviction::None && self.may_ask_elsewhere {
                    self.elsewhere = Some(RoomElsewhere { namespace, units: excess });
                }
                return Ok(false);
            };
            self.evict_for_size(class, at, unit)?;
        }
        self.drop_claim(namespace);
        Ok(false)
    }

    fn begin_life_if_new(&self, namespace: u16, life: u64) {
        if self.shard.tally(namespace, Tally::Life).load(Ordering::Relaxed) != life {
            self.begin_life(namespace, life);
        }
    }

    /// Claims the units of a write. Returns the units by which the namespace would be above its maximum. The claim stays
    /// until it is dropped.
    fn claim(&self, class: u8, quota: &Quota, units: usize, replaced: usize) -> u64 {
        if class == 0 || quota.size == u64::MAX {
            return 0;
        }
        let (used, _) = self.shard.units_of_namespace(quota.namespace);
        let claimed = u64::from(used).saturating_sub(replaced as u64) + units as u64;
        if claimed > quota.size || claimed > u32::MAX.into() {
            return claimed - quota.size.min(claimed - 1);
        }
        // A larger entry that is replaced counts until its word is stored anew.
        self.shard.claim_units(quota.namespace, (claimed as u32).max(used));
        // mutant: maximum-per-shard
        self.sum(quota.namespace).1.saturating_sub(quota.size)
    }

    /// Ends the claims of a writer that died. Only namespaces with a quota have claims.
    pub(crate) fn drop_claims(&self) {
        for class in 1..=last_class(self.shard.region) {
            // mutant: claims-of-the-dead
            self.drop_claim(self.quota(class).namespace);
        }
    }

    /// Ends the claim of a write that does not happen.
    pub(crate) fn drop_claim(&self, namespace: u16) {
        let (used, claimed) = self.shard.units_of_namespace(namespace);
        if used != claimed {
            self.shard.put_units_of_namespace(namespace, used, used);
        }
    }

    /// Whether the entries of this shard that cannot be evicted for others leave each namespace with a reserve its part of
    /// this shard, after a write of `units` units to a class with `stored`.
    fn leaves_guarantees(&self, class: u8, quota: &Quota, units: usize, replaced: usize, stored: u32) -> bool {
        let shards = self.shard.geometry.shards as u64;
        let own = (u64::from(stored) + units as u64).saturating_sub(replaced as u64);
        let is_kept = quota.policy == Eviction::None || quota.reserve != 0;
        if !is_kept || own <= quota.reserve / shards {
            return true;
        }
        let others = (0..=last_class(self.shard.region)).filter(|other| *other != class);
        // mutant: reserves-not-held
        let taken: u64 = others.map(|other| self.kept(other).max(self.quota(other).reserve / shards)).sum();
        let pinned = u64::from(self.shard.get(Field::PinnedUnits));
        taken + pinned + own < self.shard.geometry.units as u64
    }

    /// Units of a class in this shard that no other class can take now.
    fn kept(&self, class: u8) -> u64 {
        visit("class");
        let units = u64::from(self.shard.class_units(class));
        let quota = self.quota(class);
        match quota.policy {
            Eviction::None => units,
            _ if quota.reserve == 0 => 0,
            _ => units.saturating_sub(self.used(quota.namespace).saturating_sub(quota.reserve)),
        }
    }

    /// Whether evictions can free `need` units, as far as the counts tell. Otherwise entries would be evicted in vain.
    pub(crate) fn can_free(&self, need: usize, search: &VictimSearch) -> bool {
        if !self.has_classes() {
            return self.shard.geometry.eviction != Eviction::None;
        }
        let last = last_class(self.shard.region);
        debug_assert!(usize::from(last) < MAX_CLASSES, "checked by `last_class`");
        let evictable = (0..=last).map(|class| {
            let units = u64::from(self.shard.class_units(class));
            let is_own = class == search.class && self.shard.policy(class) != Eviction::None;
            let namespace = self.quota(class).namespace;
            // A class has units that are not counted if a `clear` has ended its entries.
            let cleared = match class {
                0 => 0,
                _ => units.saturating_sub(self.shard.units_of_namespace(namespace).0.into()),
            };
            if is_own { units } else { units.saturating_sub(self.kept(class)).max(cleared) }
        });
        u64::from(self.shard.get(Field::Free)) + evictable.sum::<u64>() >= need as u64
    }

    /// Whether an entry may go for one of this namespace without a look at all shards: it has no quota, or is of the
    /// namespace itself.
    pub(crate) fn may_be_evicted_for(&self, namespace: u16, at: Position) -> bool {
        let unit = self.shard.unit_of(self.shard.word(at).load(Ordering::Relaxed));
        self.shard.head(unit).is_ok_and(|head| {
            let class = class_of(self.shard.region, head.namespace);
            let is_free = class == 0 || number(head.namespace) == number(namespace);
            is_free && !is_pinned(head.namespace) && self.shard.policy(class) != Eviction::None
        })
    }

    /// Evicts up to `units` units of a namespace for a write of its own in another shard.
    fn evict_own(&mut self, namespace: u16, units: u64) -> Result<u64, ChangeError> {
        let class = class_of(self.shard.region, namespace);
        let mut search = self.victim_search(namespace);
        let mut freed = 0;
        for _ in 0..MAX_EVICTED_FOR_SIZE + units as usize {
            if freed >= units || self.shard.policy(class) == Eviction::None {
                break;
            }
            let Some((at, unit)) = self.shard.victim(class, None, &mut search.budget)? else { break };
            freed += self.shard.head(unit)?.units() as u64;
            self.evict_for_size(class, at, unit)?;
        }
        Ok(freed)
    }

    /// Evicts an entry of a class because its namespace has reached its maximum. Class 0 has no maximum.
    fn evict_for_size(&mut self, class: u8, at: Position, unit: u32) -> Result<(), Damaged> {
        self.evict(at, unit)?;
        if class != 0 {
            let count = self.shard.evicted_for_size(class);
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed); // guarded by the lock
            step("quota.evicted");
        }
        Ok(())
    }
}

impl Attachment {
    /// Evicts entries of a namespace in the shards where it has the largest part, until it has room for a write in another
    /// shard. It takes one lock after the other, never two.
    #[cold]
    pub(crate) fn make_room_elsewhere(&self, room: RoomElsewhere, patience: Patience) -> Result<bool, CacheError> {
        /// Shards that one write asks.
        const MAX_ASKED: usize = 4;
        let RoomElsewhere { namespace, units } = room;
        let life = namespaces::life(self.region(), self.root_epoch(), namespace);
        let mut left = units;
        for _ in 0..MAX_ASKED {
            let largest = self.shards().max_by_key(|shard| shard.units_in_life(namespace, life).0);
            let Some(shard) = largest.filter(|shard| shard.units_in_life(namespace, life).0 > 0) else {
                return Ok(left < units);
            };
            let freed = self.try_change((&shard, namespace), patience, |locked| locked.evict_own(namespace, left))?;
            if freed >= left {
                return Ok(true);
            }
            left -= freed;
        }
        Ok(left < units)
    }
}
