//! Who must go when room is needed: S3-FIFO by bytes, or CLOCK. All of it derived, guarded by the shard's lock.
//!
//! S3-FIFO (Yang et al., SOSP '23): new entries enter a small queue with a tenth of the space. Whoever was read more than
//! once there moves to the main queue; the others leave and are remembered as ghosts, and a ghost that comes back enters
//! the main queue. The main queue spares whoever was read since it was last asked, once per read, three times at most.
//! While a shard fills for the first time, or again from half empty, nobody has to go, and nobody has to prove himself: what the
//! small queue has no room for enters the main queue. (libCacheSim, by the same authors, does so, and the paper's ratios are its.)
//!
//! Pinned records are in a queue of their own, where nobody looks for victims.
//!
//! CLOCK is the main queue alone: what lock-free readers can have of LRU, since a read must not move anything.
//!
//! The queues are lists through the heads' derived words. The thing to get wrong: believing a link. A link out of range
//! or a node whose index word names another unit is `Damaged`, and the shard is rebuilt.

use crate::entry::{Damaged, Node};
use crate::geometry::{Eviction, GHOST_WAYS};
use crate::key::Placing;
use crate::shard::{Field, Position, ShardView};
use crate::spaces::is_pinned;
use cache_machine_shm::atomic::{AtomicU32, Ordering};
use cache_machine_shm::steps::step;

/// S3-FIFO: the small queue's share of the space, and how often an entry must have been read there to stay.
const SMALL_SHARE: usize = 10;
const READS_TO_STAY: u8 = 2;
/// A ghost stamp has 16 bits and counts in steps, so many of them for the size of the space: fine enough for the window, and
/// so coarse that a stamp comes again only after the space was evicted 128 times over.
const GHOST_STEPS: usize = 512;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Queue {
    Small,
    Main,
    Pinned,
}

impl Queue {
    pub(crate) fn newest(self) -> Field {
        match self {
            Queue::Small => Field::SmallNewest,
            Queue::Main => Field::MainNewest,
            Queue::Pinned => Field::PinnedNewest,
        }
    }

    pub(crate) fn oldest(self) -> Field {
        match self {
            Queue::Small => Field::SmallOldest,
            Queue::Main => Field::MainOldest,
            Queue::Pinned => Field::PinnedOldest,
        }
    }

    pub(crate) fn units(self) -> Field {
        match self {
            Queue::Small => Field::SmallUnits,
            Queue::Main => Field::MainUnits,
            Queue::Pinned => Field::PinnedUnits,
        }
    }

    fn other(self) -> Self {
        if self == Queue::Small { Queue::Main } else { Queue::Small }
    }
}

impl ShardView<'_> {
    /// Where a new entry enters. One that comes back is a ghost no more.
    pub(crate) fn entry_queue(&self, namespace: u16, placing: Placing) -> Queue {
        if is_pinned(namespace) {
            return Queue::Pinned;
        }
        let is_known = self.geometry.eviction != Eviction::S3Fifo || self.take_ghost(placing);
        if is_known || self.small_is_full() && self.is_filling() { Queue::Main } else { Queue::Small }
    }

    fn small_is_full(&self) -> bool {
        self.get(Field::SmallUnits) as usize > self.geometry.units / SMALL_SHARE
    }

    /// Whether no room had to be made since the shard was new or half empty.
    fn is_filling(&self) -> bool {
        let used = self.get(Field::SmallUnits).saturating_add(self.get(Field::MainUnits)) as usize;
        if self.get(Field::HasEvicted) != 0 && used < self.geometry.units / 2 {
            self.put(Field::HasEvicted, 0);
        }
        self.get(Field::HasEvicted) == 0
    }

    /// Enters `unit` as the newest of a queue.
    pub(crate) fn enqueue(&self, queue: Queue, unit: u32, place: Placing, units: usize) -> Result<(), Damaged> {
        let older = self.get(queue.newest());
        self.put_node(unit, Node { place, newer: 0, older, queue })?;
        if older == 0 {
            self.put(queue.oldest(), unit);
        } else {
            self.put_node(older, Node { newer: unit, ..self.node(older)? })?;
        }
        self.put(queue.newest(), unit);
        self.add(queue.units(), units as u32);
        Ok(())
    }

    /// Takes `unit` out of its queue.
    pub(crate) fn dequeue(&self, unit: u32, units: usize) -> Result<(), Damaged> {
        let node = self.node(unit)?;
        self.link(node.queue, node.newer, node.older)?;
        self.subtract(node.queue.units(), units as u32);
        Ok(())
    }

    /// Makes two nodes (or ends) neighbours.
    fn link(&self, queue: Queue, newer: u32, older: u32) -> Result<(), Damaged> {
        match newer {
            0 => self.put(queue.newest(), older),
            _ => self.put_node(newer, Node { older, ..self.node(newer)? })?,
        }
        match older {
            0 => self.put(queue.oldest(), newer),
            _ => self.put_node(older, Node { newer, ..self.node(older)? })?,
        }
        Ok(())
    }

    /// Gives `new` the place of `old` in its queue: a replaced entry keeps its age.
    pub(crate) fn requeue(&self, old: u32, new: u32, old_units: usize, new_units: usize) -> Result<(), Damaged> {
        let node = self.node(old)?;
        let queue = node.queue;
        self.put_node(new, node)?;
        match node.newer {
            0 => self.put(queue.newest(), new),
            newer => self.put_node(newer, Node { older: new, ..self.node(newer)? })?,
        }
        match node.older {
            0 => self.put(queue.oldest(), new),
            older => self.put_node(older, Node { newer: new, ..self.node(older)? })?,
        }
        let units = self.get(queue.units()).saturating_sub(old_units as u32).wrapping_add(new_units as u32);
        self.put(queue.units(), units);
        Ok(())
    }

    /// The next victim, not `spared`; `None` if there is nobody else. Moves whoever has earned it on the way.
    pub(crate) fn victim(&self, spared: Option<Position>) -> Result<Option<(Position, u32)>, Damaged> {
        // Each step evicts, moves to the main queue, or uses up one of at most three spares: bounded.
        let most = self.geometry.lines() * 7 * 5 + 16;
        let mut only = None;
        if self.get(Field::HasEvicted) == 0 {
            self.put(Field::HasEvicted, 1);
        }
        for _ in 0..most {
            let queue = match (self.get(Field::SmallOldest), self.get(Field::MainOldest)) {
                (0, 0) => return Ok(None),
                (_, 0) => Queue::Small,
                (0, _) => Queue::Main,
                _ => only.unwrap_or(if self.small_is_full() { Queue::Small } else { Queue::Main }),
            };
            let unit = self.get(queue.oldest());
            let node = self.node(unit)?;
            let at = self.position_of(unit, node)?;
            let reads = self.touched(at).load(Ordering::Relaxed); // a hint; a lost count costs one spare
            if spared == Some(at) {
                if node.newer == 0 {
                    // Nobody else in this queue.
                    let other = queue.other();
                    if self.get(other.oldest()) == 0 {
                        return Ok(None);
                    }
                    only = Some(other);
                } else {
                    self.move_to(queue, unit)?;
                }
            } else if queue == Queue::Small && reads >= READS_TO_STAY {
                self.touched(at).store(0, Ordering::Relaxed);
                self.move_to(Queue::Main, unit)?;
            } else if queue == Queue::Main && reads > 0 {
                let left = if self.geometry.eviction == Eviction::Lru { 0 } else { reads.min(3) - 1 };
                self.touched(at).store(left, Ordering::Relaxed);
                self.move_to(Queue::Main, unit)?;
            } else {
                if queue == Queue::Small {
                    self.add_ghost(node.place, self.head(unit)?.units());
                }
                return Ok(Some((at, unit)));
            }
        }
        Err(Damaged)
    }

    fn move_to(&self, queue: Queue, unit: u32) -> Result<(), Damaged> {
        let node = self.node(unit)?;
        let units = self.head(unit)?.units();
        self.dequeue(unit, units)?;
        self.enqueue(queue, unit, node.place, units)
    }

    /// Where the index word is that names `unit`: somewhere on the path of its node's key.
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

    /// Steps after which a ghost is forgotten. The paper's queue of ghosts holds nine tenths of the space; but whoever comes
    /// back makes room in it, and here time goes on for him too.
    fn ghost_window(&self) -> u32 {
        (self.geometry.units as u32 / self.ghost_step()) * 95 / 100
    }

    /// Whether the key was evicted from the small queue not long ago; forgotten by that.
    fn take_ghost(&self, placing: Placing) -> bool {
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

    /// Remembers an evicted key, in place of its own older ghost or of the oldest of its set.
    fn add_ghost(&self, placing: Placing, units: usize) {
        self.add(Field::GhostClock, units as u32);
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
