//! Copies the live entries of an area into another one, which no other process reads yet.
//!
//! Each queue is copied from its oldest entry on, a few entries of each shard in turn, so that the queues of the new area
//! have about the same order. First come the pinned records, then the main queues, then the small ones. If the new area is
//! smaller, the entries that came first are evicted first, as the policy says.

use crate::attachment::attached::Attachment;
use crate::change::adopt::Adopted;
use crate::change::locked::{ChangeError, Locked};
use crate::error::CacheError;
use crate::layout::control::{EvictionQueue, Field, QueueKind};
use crate::layout::entry::{Damaged, Head, OUTDATED, TAGGED};
use crate::layout::geometry::{Eviction, UNIT};
use crate::layout::key::{self, Key};
use crate::layout::keyspaces::{is_pinned, is_record, number};
use crate::layout::namespaces::{self, in_area};
use crate::layout::quotas::{class_of, last_class};
use crate::notices::removals;
use crate::shard::fate::{Fate, fate};
use crate::shard::pieces::pieces;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;

/// Entries of a shard that are copied before those of the next one.
const IN_TURN: usize = 16;

/// What became of the entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Copied {
    /// Entries in the new area, records included.
    pub(crate) kept: u64,
    /// Entries that it had no room for.
    pub(crate) evicted: u64,
}

/// The place in one queue of one shard.
struct Walk {
    shard: usize,
    /// The next entry; 0: the end.
    unit: u32,
    /// Entries that the queue may still have. More mean a cycle.
    left: usize,
}

/// A copy under way.
pub(crate) struct Copying<'a> {
    from: &'a [Locked<'a>],
    to: Vec<Locked<'a>>,
    area: u8,
    root_epoch: u32,
    now: u64,
    body: Vec<u8>,
    taken: u64,
}

impl<'a> Copying<'a> {
    /// `from` are the locked shards of the present area. `shards` are those of the new one.
    pub(crate) fn new(
        from: &'a [Locked<'a>],
        new: &'a Attachment,
        shards: &'a [ShardView<'a>],
    ) -> Result<Self, CacheError> {
        let root_epoch = new.root_epoch();
        let area = new.geometry().area;
        // What has no room is evicted. Its notices wait for the end of the lock that `run` holds in the header.
        let notes_removals = new.listeners.wants_removals();
        if notes_removals {
            removals::prepare();
        }
        let own = |shard| {
            let mut locked = new.try_locked(shard)?;
            locked.notes_removals = notes_removals;
            // No process repairs an area that no process reads, so the copy needs no notes of what it does.
            locked.shard.note_unsound();
            locked.root_epoch = cache_machine_shm::ending::in_area(root_epoch, area);
            locked.life = locked.root_epoch.into();
            locked.may_ask_elsewhere = false;
            Some(locked)
        };
        let to: Option<Vec<_>> = shards.iter().map(own).collect();
        let to = to.ok_or_else(|| CacheError::Corrupt("a lock of a new area is held".into()))?;
        Ok(Self { from, to, area, root_epoch, now: new.now_ms(), body: Vec::new(), taken: 0 })
    }

    /// Copies all entries. `between` is called now and then.
    pub(crate) fn run(&mut self, between: &mut dyn FnMut()) -> Result<Copied, CacheError> {
        let classes = self.from.first().map_or(0, |locked| last_class(locked.shard.region));
        self.copy_queues(EvictionQueue::PINNED, between)?;
        for class in 0..=classes {
            self.copy_queues(EvictionQueue::main(class), between)?;
            self.copy_queues(EvictionQueue::small(class), between)?;
        }
        let kept = self.to.iter().map(|locked| u64::from(locked.shard.get(Field::Words))).sum();
        Ok(Copied { kept, evicted: self.taken.saturating_sub(kept) })
    }

    fn copy_queues(&mut self, queue: EvictionQueue, between: &mut dyn FnMut()) -> Result<(), CacheError> {
        let walk = |(shard, locked): (usize, &Locked<'_>)| Walk {
            shard,
            unit: locked.shard.oldest(queue),
            left: locked.shard.geometry.units,
        };
        let mut walks: Vec<Walk> = self.from.iter().enumerate().map(walk).collect();
        while !walks.is_empty() {
            for walk in &mut walks {
                for _ in 0..IN_TURN {
                    if walk.unit == 0 {
                        break;
                    }
                    self.step(walk, queue.kind)?;
                }
                between();
            }
            walks.retain(|walk| walk.unit != 0);
        }
        Ok(())
    }

    /// Copies the next entry of a queue.
    fn step(&mut self, walk: &mut Walk, kind: QueueKind) -> Result<(), CacheError> {
        let locked = &self.from[walk.shard];
        let (shard, unit) = (locked.shard, walk.unit);
        let next = (|| {
            walk.left = walk.left.checked_sub(1).ok_or(Damaged)?;
            let node = shard.node(unit)?;
            shard.prefetch_neighbours(unit);
            let at = shard.position_of(unit, node)?;
            let head = shard.head(unit)?;
            let mark = shard.use_mark(at).load(Ordering::Relaxed); // a hint
            Ok((node.newer, self.lively(shard, &head)?, mark))
        })();
        let (newer, head, mark) = next.map_err(|Damaged| self.damaged(walk.shard))?;
        walk.unit = newer;
        let Some(head) = head else { return Ok(()) };
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let whole =
            pieces(shard, &head, 0, head.body_len(), |offset, len| shard.region.append_to(offset, len, &mut body));
        whole.map_err(|Damaged| self.damaged(walk.shard))?;
        let result = self.adopt(&head, &body, kind, mark);
        self.body = body;
        result
    }

    /// The head of an entry in the new area. `None`: it has ended.
    fn lively(&self, shard: &ShardView<'_>, head: &Head) -> Result<Option<Head>, Damaged> {
        if !key::is_possible_len(head.key_len) || head.value_len > shard.geometry.units * UNIT {
            return Err(Damaged);
        }
        let mut moved = *head;
        if !is_record(head.namespace) {
            let life = namespaces::life(shard.region, self.root_epoch, number(head.namespace));
            if head.life != life {
                return Ok(None);
            }
            moved.life = in_area(life, self.area);
        }
        if head.is_over(shard, self.now)? {
            return Ok(None);
        }
        if head.flags & TAGGED != 0 {
            // The new shards count as judged up to now, so each entry must be.
            match fate(shard, head)? {
                Fate::Fresh => {}
                Fate::Stale => moved.flags |= OUTDATED,
                Fate::Dead | Fate::Unjudged => return Ok(None),
            }
        }
        Ok(Some(moved))
    }

    fn adopt(&mut self, head: &Head, body: &[u8], kind: QueueKind, mark: u8) -> Result<(), CacheError> {
        let bytes = &body[head.key_at()..head.key_at() + head.key_len];
        let geometry = self.to[0].shard.geometry;
        let key = Key::new(geometry, head.namespace, bytes)?;
        let locked = &mut self.to[key.shard];
        let queue = EvictionQueue { class: class_of(locked.shard.region, head.namespace), kind };
        let queue = if kind == QueueKind::Pinned { EvictionQueue::PINNED } else { queue };
        locked.namespace = head.namespace;
        locked.life = if is_record(head.namespace) { head.life } else { locked.life_in(head.namespace) };
        locked.divide_if_crowded();
        self.taken += 1;
        match locked.adopt(&key, &Adopted { head, body, queue, mark }) {
            Ok(true) => Ok(()),
            // Its namespace has reached its maximum, or nothing else may go.
            Ok(false) if may_drop(locked, head, queue) => Ok(()),
            Ok(false) => Err(no_room("entries that may not be evicted do not fit")),
            Err(ChangeError::Error(CacheError::NoSpace(_))) if is_pinned(head.namespace) => {
                Err(no_room("locks, flights and metrics may take a quarter of a shard"))
            }
            Err(ChangeError::Error(error)) => Err(error),
            Err(ChangeError::Damaged) => Err(CacheError::Corrupt("a new area contradicts itself".into())),
        }
    }

    fn damaged(&self, shard: usize) -> CacheError {
        self.from[shard].attachment.note_damage(shard);
        CacheError::Corrupt(format!("shard {shard} contradicts itself; its next writer rebuilds it, then try again"))
    }
}

/// Whether an entry that finds no room may be left out.
fn may_drop(locked: &Locked<'_>, head: &Head, queue: EvictionQueue) -> bool {
    !is_pinned(head.namespace) && locked.shard.policy(queue.class) != Eviction::None
}

fn no_room(why: &str) -> CacheError {
    CacheError::NoSpace(format!("the new size is too small: {why}"))
}
