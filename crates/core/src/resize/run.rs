//! The steps of a resize, in order.
//!
//! ```text
//! lock of the namespaces   one resize at a time
//! release                  what a resize before has left; waits for processes that still use it
//! make                     the new area, reserved and empty: writers go on
//! lock of the tags, locks of all shards: from here on writers wait
//! copy, carry              entries, counts, records of tags
//! describe, switch         one store of the root epoch: readers and writers follow
//! unlock, ring             all processes attach to the new area, then release the old one
//! ```

use crate::attachment::attached::Attachment;
use crate::attachment::locks::{HeaderLock, HeaderTable};
use crate::attachment::patience::Patience;
use crate::change::locked::Locked;
use crate::error::CacheError;
use crate::layout::geometry::{Geometry, UNIT};
use crate::layout::namespaces::ROOT;
use crate::layout::quotas::{last_class, quota};
use crate::resize::copy::{Copied, Copying};
use crate::resize::{carry, place, release};
use crate::shard::view::ShardView;
use cache_machine_shm::ending;
use cache_machine_shm::steps::step;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum wait for processes that still use the area of the resize before.
const LEAVING: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Interval in which the holder of the locks shows that it goes on. It is far below the time after which a waiter gives up.
const HOLD_ON_EVERY: Duration = Duration::from_millis(100);

/// The result of a resize.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Resized {
    /// Bytes of the segment before.
    pub from: usize,
    /// Bytes of the segment now.
    pub to: usize,
    /// Entries that it has now, records of locks, limiters and metrics included.
    pub entries: u64,
    /// Entries that had no room.
    pub evicted: u64,
    /// Time during which writers waited.
    pub paused: Duration,
}

impl Attachment {
    /// Moves all entries into an area for a segment of `size` bytes. `None`: it has that size. The caller follows.
    pub(crate) fn resize(self: &Arc<Self>, size: usize, patience: Patience) -> Result<Option<Resized>, CacheError> {
        self.check_attached()?;
        self.segment.check_ownership()?;
        if place::plan(self, size)?.is_none() {
            return Ok(None);
        }
        self.wait_for_release()?;
        let names = self.lock_header(HeaderTable::Namespaces, patience)?;
        if !release::release(self)? {
            return Err(still_used(release::user_of_others(self)));
        }
        let Some(geometry) = place::plan(self, size)? else { return Ok(None) };
        check_reserves(self, &geometry)?;
        release::begin_other(self);
        let moved = place::make(self, geometry).and_then(|area| self.move_to(&area, &names, patience));
        if moved.is_err() {
            // What was made so far: no process has seen it. If that fails, the next tick tries again.
            let _ = release::release(self);
        }
        drop(names);
        moved.map(Some)
    }

    /// Waits until no process uses the area of the resize before.
    fn wait_for_release(&self) -> Result<(), CacheError> {
        let begun = Instant::now();
        while !release::is_released(self) {
            let Some(user) = release::user_of_others(self) else { return Ok(()) };
            if begun.elapsed() >= LEAVING {
                return Err(still_used(Some(user)));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn move_to(
        self: &Arc<Self>,
        area: &Attachment,
        names: &HeaderLock<'_>,
        patience: Patience,
    ) -> Result<Resized, CacheError> {
        let begun = Instant::now();
        let tags = self.lock_header(HeaderTable::Tags, patience)?;
        step("resize.quiet");
        let shards: Vec<ShardView<'_>> = self.shards().collect();
        let locked = self.lock_all(&shards, patience)?;
        step("resize.locked");
        let mut held_on = Instant::now();
        let mut hold_on = || {
            if held_on.elapsed() >= HOLD_ON_EVERY {
                held_on = Instant::now();
                [names, &tags].into_iter().for_each(HeaderLock::hold_on);
                shards.iter().for_each(|shard| self.hold_on(shard));
            }
        };
        let new_shards: Vec<ShardView<'_>> = area.shards().collect();
        let Copied { kept, evicted } = Copying::new(&locked, area, &new_shards)?.run(&mut hold_on)?;
        carry::carry(self, area);
        self.check_attached()?;
        place::describe(self, area);
        ending::switch(self.segment.header().epoch(), area.geometry().area);
        drop(locked);
        drop(tags);
        let paused = begun.elapsed();
        self.segment.member().wake_all();
        let (from, to) = (self.geometry().len, area.geometry().len);
        Ok(Resized { from, to, entries: kept, evicted, paused })
    }

    /// Takes the locks of all shards. A transaction takes several as well, and waits for none while it holds one.
    fn lock_all<'a>(&'a self, shards: &'a [ShardView<'a>], patience: Patience) -> Result<Vec<Locked<'a>>, CacheError> {
        shards.iter().map(|shard| self.lock(shard, ROOT, patience)).collect()
    }
}

/// Checks that the reserves of all namespaces fit.
fn check_reserves(present: &Attachment, geometry: &Geometry) -> Result<(), CacheError> {
    let reserve = |class| quota(present.region(), present.geometry(), class).reserve;
    let reserves: u64 = (1..=last_class(present.region())).map(reserve).fold(0, u64::saturating_add);
    let limit = geometry.capacity() as u64 / UNIT as u64 / 4 * 3;
    if reserves <= limit {
        return Ok(());
    }
    let text = format!(
        "the new size is too small: the namespaces reserve {} bytes, and may reserve {}",
        reserves * UNIT as u64,
        limit * UNIT as u64
    );
    Err(CacheError::NoSpace(text))
}

fn still_used(user: Option<u32>) -> CacheError {
    let user = user.map_or_else(|| "a process".into(), |pid| format!("process {pid}"));
    CacheError::Busy(format!("{user} has not followed the resize before; it may be suspended (SIGSTOP)"))
}
