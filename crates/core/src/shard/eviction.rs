//! Eviction: S3-FIFO by bytes, or CLOCK. Queues and ghosts are derived, and the shard's lock guards them.
//!
//! S3-FIFO (Yang et al., SOSP '23): new entries enter a small queue with a tenth of the space. An entry that was read
//! more than once there moves to the main queue. All other entries are evicted and remembered as ghosts. A key that
//! comes back while its ghost is known enters the main queue. The main queue spares an entry once per read since its
//! last check, at most three times.
//!
//! While a shard fills for the first time, or again from half empty, no entry is evicted. Entries that find the small
//! queue full then enter the main queue without a read. libCacheSim, by the same authors, does the same, and the ratios
//! in the paper come from it.
//!
//! Pinned records are in a queue of their own, and no search for victims reads it. A namespace with a quota has a small
//! and a main queue of its own, its *class*, so a search passes over no entry that must stay. The small queue of such a
//! class has a tenth of its units. An entry that was stored before its namespace got a quota is moved when a search
//! meets it.
//!
//! A change passes over at most `MAX_SPARED` entries. After that the oldest entry goes, read or not: that of the small
//! queue, or that of the main queue if the small queue is empty. Otherwise one change would walk all entries of a shard
//! under the lock if all of them were read. The small queue pays first, since the entries of the main queue were read
//! more often.
//!
//! CLOCK uses the main queue alone. Readers without a lock must not move entries, and CLOCK is the part of LRU that
//! needs no move.
//!
//! The queues are linked lists in the derived words of the heads.
//!
//! Caution: a link may be wrong. A link out of range is `Damaged`, and so is a node with an index word that names
//! another unit. The shard is then rebuilt.

use crate::layout::control::{ClassWord, EvictionQueue, Field, QueueKind, QueueWord};
use crate::layout::entry::{Damaged, LINKS, Node, PLACE};
use crate::layout::geometry::{Eviction, GHOST_WAYS};
use crate::layout::key::Placing;
use crate::layout::keyspaces::is_pinned;
use crate::layout::quotas::{class_of, last_class, quota};
use crate::shard::index::Position;
use crate::shard::note::Note;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::{AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::steps::{step, visit};

/// S3-FIFO: the small queue's share of the space is one tenth. An entry needs two reads there to stay.
const SMALL_SHARE: usize = 10;
const READS_TO_STAY: u8 = 2;
/// Maximum number of entries that a change passes over. On the traces of the test `hit_ratio` it changes no ratio by
/// more than 0.1 points.
// mutant: eviction-without-bound
pub(crate) const MAX_SPARED: u32 = 128;
/// Maximum number of entries that a change moves into the queues of their class.
const MAX_MOVED: u32 = 512;
/// Steps of the ghost clock for the size of the space. A ghost stamp counts them in 16 bits. They are fine enough for
/// the window, and so coarse that a stamp repeats only after the space was evicted 128 times over.
const GHOST_STEPS: usize = 512;

/// What the searches of one change may still do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchBudget {
    /// Entries to pass over.
    passes: u32,
    /// Entries to move into the queues of their class.
    moves: u32,
}

impl SearchBudget {
    pub(crate) fn new() -> Self {
        Self { passes: MAX_SPARED, moves: MAX_MOVED }
    }
}

impl ShardView<'_> {
    /// The queue of a new entry. If the key has a ghost, the ghost is removed.
    pub(crate) fn entry_queue(&self, namespace: u16, placing: Placing) -> EvictionQueue {
        if is_pinned(namespace) {
            return EvictionQueue::PINNED;
        }
        let class = class_of(self.region, namespace);
        let is_known = self.policy(class) != Eviction::S3Fifo || self.take_ghost(placing);
        if is_known || self.small_is_full(class) && self.is_filling(class) {
            EvictionQueue::main(class)
        } else {
            EvictionQueue::small(class)
        }
    }

    /// How the entries of a class are evicted.
    #[inline]
    pub(crate) fn policy(&self, class: u8) -> Eviction {
        if class == 0 { self.geometry.eviction } else { quota(self.region, self.geometry, class).policy }
    }

    /// Offset of the words of a queue in the segment.
    #[inline]
    fn queue_at(&self, queue: EvictionQueue) -> usize {
        let words = match queue.class {
            0 => self.geometry.meta(self.index),
            class => self.geometry.class(self.index, class),
        };
        words + queue.offset()
    }

    fn class_word(&self, class: u8, word: ClassWord) -> &AtomicU32 {
        self.region.u32(self.geometry.class(self.index, class) + word as usize)
    }

    #[inline]
    fn queue_get(&self, queue: EvictionQueue, word: QueueWord) -> u32 {
        self.region.u32(self.queue_at(queue) + word as usize).load(Ordering::Relaxed) // guarded by the lock
    }

    #[inline]
    fn queue_put(&self, queue: EvictionQueue, word: QueueWord, value: u32) {
        let offset = self.queue_at(queue) + word as usize;
        let at = self.region.u32(offset);
        if queue.class == 0 {
            // As in `put`.
            if cfg!(feature = "kill-steps") {
                assert!(!self.has_no_notes(), "a queue changes before the first note of its change");
            }
        } else {
            // mutant: class-not-noted
            self.note(Note::Half { offset, old: at.load(Ordering::Relaxed) });
        }
        at.store(value, Ordering::Relaxed); // guarded by the lock
        step("queue.word");
    }

    pub(crate) fn oldest(&self, queue: EvictionQueue) -> u32 {
        self.queue_get(queue, QueueWord::Oldest)
    }

    /// Forgets the entries of a queue, for a rebuild. Returns the oldest one.
    pub(crate) fn empty_queue(&self, queue: EvictionQueue) -> u32 {
        let oldest = self.oldest(queue);
        for word in [QueueWord::Newest, QueueWord::Oldest, QueueWord::Units] {
            self.queue_put(queue, word, 0);
        }
        oldest
    }

    /// The newest entry of a queue, its oldest one, and its units, for the check of a shard.
    pub(crate) fn queue_words(&self, queue: EvictionQueue) -> (u32, u32, u32) {
        let word = |word| self.queue_get(queue, word);
        (word(QueueWord::Newest), word(QueueWord::Oldest), word(QueueWord::Units))
    }

    /// Units of the entries in the queues of a class, dead ones included. Class 0 includes the states of limiters.
    pub(crate) fn class_units(&self, class: u8) -> u32 {
        let units = |queue| self.queue_get(queue, QueueWord::Units);
        units(EvictionQueue::small(class)).saturating_add(units(EvictionQueue::main(class)))
    }

    /// Entries of a class that were evicted because its namespace had reached its maximum.
    pub(crate) fn evicted_for_size(&self, class: u8) -> &AtomicU64 {
        self.region.u64(self.geometry.class(self.index, class) + ClassWord::EvictedForSize as usize)
    }

    fn small_is_full(&self, class: u8) -> bool {
        let all = if class == 0 { self.geometry.units } else { self.class_units(class) as usize };
        self.queue_get(EvictionQueue::small(class), QueueWord::Units) as usize > all / SMALL_SHARE
    }

    /// Whether no eviction was needed since the class was new or half empty.
    fn is_filling(&self, class: u8) -> bool {
        let used = self.class_units(class);
        let (word, full) = match class {
            0 => (self.field(Field::HasEvicted), self.geometry.units as u32),
            _ => {
                let filled_to = self.class_word(class, ClassWord::FilledTo);
                (filled_to, filled_to.load(Ordering::Relaxed))
            }
        };
        if word.load(Ordering::Relaxed) != 0 && used < full / 2 {
            word.store(0, Ordering::Relaxed); // guarded by the lock
            step("queue.filling");
        }
        word.load(Ordering::Relaxed) == 0
    }

    /// Notes that room is needed in a class.
    fn note_full(&self, class: u8) {
        let (word, full) = match class {
            0 => (self.field(Field::HasEvicted), 1),
            _ => (self.class_word(class, ClassWord::FilledTo), self.class_units(class).max(1)),
        };
        if word.load(Ordering::Relaxed) != full {
            word.store(full, Ordering::Relaxed); // guarded by the lock
            step("queue.full");
        }
    }

    /// Adds `unit` to a queue as its newest entry.
    pub(crate) fn enqueue(&self, queue: EvictionQueue, unit: u32, place: Placing, units: usize) -> Result<(), Damaged> {
        let older = self.queue_get(queue, QueueWord::Newest);
        self.put_new_node(unit, Node { place, newer: 0, older, queue })?;
        if older == 0 {
            self.queue_put(queue, QueueWord::Oldest, unit);
        } else {
            self.put_newer(older, unit)?;
        }
        self.queue_put(queue, QueueWord::Newest, unit);
        let all = self.queue_get(queue, QueueWord::Units).wrapping_add(units as u32);
        self.queue_put(queue, QueueWord::Units, all);
        Ok(())
    }

    /// Takes `unit` out of its queue.
    pub(crate) fn dequeue(&self, unit: u32, units: usize) -> Result<(), Damaged> {
        let node = self.node(unit)?;
        self.link(node.queue, node.newer, node.older)?;
        let left = self.queue_get(node.queue, QueueWord::Units).saturating_sub(units as u32);
        self.queue_put(node.queue, QueueWord::Units, left);
        Ok(())
    }

    /// Makes two nodes neighbours. 0 stands for an end of the queue.
    fn link(&self, queue: EvictionQueue, newer: u32, older: u32) -> Result<(), Damaged> {
        match newer {
            0 => self.queue_put(queue, QueueWord::Newest, older),
            _ => self.put_older(newer, older)?,
        }
        match older {
            0 => self.queue_put(queue, QueueWord::Oldest, newer),
            _ => self.put_newer(older, newer)?,
        }
        Ok(())
    }

    /// Gives `new` the place of `old` in its queue: a replaced entry keeps its age.
    pub(crate) fn requeue(&self, old: u32, new: u32, old_units: usize, new_units: usize) -> Result<(), Damaged> {
        let node = self.node(old)?;
        let queue = node.queue;
        self.put_new_node(new, node)?;
        match node.newer {
            0 => self.queue_put(queue, QueueWord::Newest, new),
            newer => self.put_older(newer, new)?,
        }
        match node.older {
            0 => self.queue_put(queue, QueueWord::Oldest, new),
            older => self.put_newer(older, new)?,
        }
        if new_units != old_units {
            let units = self.queue_get(queue, QueueWord::Units);
            let units = units.saturating_sub(old_units as u32).wrapping_add(new_units as u32);
            self.queue_put(queue, QueueWord::Units, units);
        }
        Ok(())
    }

    /// The next victim of a class, other than `spared`; `None` if there is none. Entries that were read enough move on the
    /// way. When the budget is used up, the search visits at most two entries: `spared` and the victim.
    pub(crate) fn victim(
        &self,
        class: u8,
        spared: Option<Position>,
        budget: &mut SearchBudget,
    ) -> Result<Option<(Position, u32)>, Damaged> {
        let (small, main) = (EvictionQueue::small(class), EvictionQueue::main(class));
        let policy = self.policy(class);
        let has_strangers = class == 0 && last_class(self.region) != 0;
        // Each visit but the last two takes one from the budget. More visits mean that a link is wrong.
        let most = budget.passes + budget.moves + 2;
        let mut only = None;
        self.note_full(class);
        for _ in 0..most {
            visit("candidate");
            let queue = match (self.oldest(small), self.oldest(main)) {
                (0, 0) => return Ok(None),
                (_, 0) => small,
                (0, _) => main,
                _ if only.is_none() && budget.passes == 0 => small,
                _ => only.unwrap_or(if self.small_is_full(class) { small } else { main }),
            };
            let unit = self.oldest(queue);
            let node = self.node(unit)?;
            let at = self.position_of(unit, node)?;
            if has_strangers {
                let own = class_of(self.region, self.head(unit)?.namespace);
                if own != 0 {
                    if budget.moves == 0 {
                        return Ok(None);
                    }
                    budget.moves -= 1;
                    self.move_to(EvictionQueue::main(own), unit)?;
                    continue;
                }
            }
            let reads = self.use_mark(at).load(Ordering::Relaxed); // a hint; a lost count costs one spare
            let may_pass = budget.passes > 0;
            if spared == Some(at) {
                budget.passes = budget.passes.saturating_sub(1);
                if node.newer == 0 {
                    // This queue has no other entry.
                    let other = queue.other();
                    if self.oldest(other) == 0 {
                        return Ok(None);
                    }
                    only = Some(other);
                } else {
                    self.move_to(queue, unit)?;
                }
            } else if queue.kind == QueueKind::Small && reads >= READS_TO_STAY && may_pass {
                budget.passes -= 1;
                self.use_mark(at).store(0, Ordering::Relaxed);
                self.move_to(main, unit)?;
            } else if queue.kind == QueueKind::Main && reads > 0 && may_pass {
                budget.passes -= 1;
                let lowered = if policy == Eviction::Lru { 0 } else { reads.min(3) - 1 };
                self.use_mark(at).store(lowered, Ordering::Relaxed);
                self.move_to(main, unit)?;
            } else {
                if queue.kind == QueueKind::Small {
                    self.add_ghost(node.place, self.head(unit)?.units());
                }
                return Ok(Some((at, unit)));
            }
        }
        Err(Damaged)
    }

    fn move_to(&self, queue: EvictionQueue, unit: u32) -> Result<(), Damaged> {
        let node = self.node(unit)?;
        let units = self.head(unit)?.units();
        self.dequeue(unit, units)?;
        // The entry is in a queue before, and to be there after an undo.
        self.note_node(unit, LINKS)?;
        if queue.class != node.queue.class {
            // mutant: class-of-node-not-noted
            self.note_node(unit, PLACE)?;
        }
        self.enqueue(queue, unit, node.place, units)?;
        self.forget_notes();
        Ok(())
    }

    /// The position of the index word that names `unit`, somewhere on the path of its node's key.
    pub(crate) fn position_of(&self, unit: u32, node: Node) -> Result<Position, Damaged> {
        for line in node.place.path(self.geometry, self.level()) {
            let mut those_of_unit =
                Position::of_line(line).filter(|at| self.unit_of(self.word(*at).load(Ordering::Relaxed)) == unit);
            if let Some(at) = those_of_unit.next() {
                return Ok(at);
            }
            if self.overflowed(line).load(Ordering::Relaxed) == 0 {
                break;
            }
        }
        Err(Damaged)
    }

    /// Adds the positions of a namespace's pinned records to `places`. False: `places` has no room for all of them. The
    /// caller holds the lock.
    pub(crate) fn note_pinned(&self, namespace: u16, places: &mut Vec<Position>) -> Result<bool, Damaged> {
        let mut unit = self.get(Field::PinnedNewest);
        // Each record has at least two units, so a longer queue is a cycle.
        for _ in 0..self.geometry.units {
            if unit == 0 {
                return Ok(true);
            }
            let node = self.node(unit)?;
            let at = self.position_of(unit, node)?;
            if self.head(unit)?.namespace == namespace {
                if places.len() == places.capacity() {
                    return Ok(false);
                }
                places.push(at);
            }
            unit = node.older;
        }
        Err(Damaged)
    }

    fn ghost_set(&self, placing: Placing) -> (usize, u32) {
        let mixed = placing.hash.wrapping_mul(0x85EB_CA6B);
        let set = ((u64::from(mixed) * self.geometry.ghost_sets as u64) >> 32) as usize;
        (self.geometry.ghost_offset(self.index) + set * GHOST_WAYS * 4, mixed & 0xFFFF)
    }

    fn ghosts(&self, set: usize) -> impl Iterator<Item = &AtomicU32> {
        (0..GHOST_WAYS).map(move |way| self.region.u32(set + way * 4))
    }

    fn ghost_step(&self) -> u32 {
        (self.geometry.units / GHOST_STEPS).max(1) as u32
    }

    fn ghost_age(&self, ghost: u32) -> u32 {
        let now = self.get(Field::GhostClock) / self.ghost_step();
        now.wrapping_sub(ghost) & 0xFFFF
    }

    /// Steps after which a ghost is forgotten. The paper's queue of ghosts holds nine tenths of the space, and an entry
    /// that comes back makes room in it. Here the units of such an entry still count, so the window is larger.
    fn ghost_window(&self) -> u32 {
        (self.geometry.units as u32 / self.ghost_step()) * 95 / 100
    }

    /// Whether the key has a ghost inside the window. Removes the ghost.
    fn take_ghost(&self, placing: Placing) -> bool {
        if !self.geometry.has_ghosts(self.reserved() as usize) {
            return false;
        }
        let (set, print) = self.ghost_set(placing);
        let window = self.ghost_window();
        let mut slots = self.ghosts(set);
        let found = slots.find(|slot| {
            let ghost = slot.load(Ordering::Relaxed);
            ghost >> 16 == print && ghost != 0 && self.ghost_age(ghost) <= window
        });
        let Some(slot) = found else {
            return false;
        };
        slot.store(0, Ordering::Relaxed);
        step("queue.ghost");
        true
    }

    /// Remembers an evicted key. The new ghost replaces the older ghost of the key, otherwise a free place or the
    /// oldest ghost of the set.
    fn add_ghost(&self, placing: Placing, units: usize) {
        self.add(Field::GhostClock, units as u32);
        if !self.geometry.has_ghosts(self.reserved() as usize) {
            return;
        }
        let (set, print) = self.ghost_set(placing);
        let stamp = (self.get(Field::GhostClock) / self.ghost_step()) & 0xFFFF;
        let age = |slot: &&AtomicU32| match slot.load(Ordering::Relaxed) {
            ghost if ghost >> 16 == print && ghost != 0 => u32::MAX,
            0 => u32::MAX - 1,
            ghost => self.ghost_age(ghost),
        };
        if let Some(slot) = self.ghosts(set).max_by_key(age) {
            slot.store(print << 16 | stamp, Ordering::Relaxed);
            step("queue.ghost");
        }
    }
}
