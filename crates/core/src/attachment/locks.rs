//! Takes the locks of the shards and of the tables in the header.
//!
//! Promises: `patience` says how long a caller waits for a living holder, and there is no wait for a dead holder. The
//! histogram of lock waits counts every wait.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::{CountedLock, LockWait, Outlasted, Patience};
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::geometry::{
    Geometry, LOCK_WAIT_BUCKETS, LOCK_WAITED, LOCK_WAITS, NAMES_LOCK, SUBSCRIPTIONS_AT, TAGS_LOCK,
};
use crate::notices::listeners::NoticeHold;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::{AtomicU32, Ordering};
use cache_machine_shm::lock::{self, Acquired, Busy};
use cache_machine_shm::{Segment, State};
use std::time::{Duration, Instant};

/// The state of a shard when its lock was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shard {
    Sound,
    /// The last owner died or panicked in a change: repair the shard first.
    Interrupted,
    /// A reader met a contradiction: rebuild the shard first.
    Damaged,
}

/// The tables in the header that have a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderTable {
    Namespaces,
    Tags,
    Subscriptions,
}

impl HeaderTable {
    /// Offsets of the lock word and of the count of its acquisitions.
    pub(crate) const fn offsets(self) -> (usize, usize) {
        match self {
            Self::Namespaces => (NAMES_LOCK, NAMES_LOCK + 8),
            Self::Tags => (TAGS_LOCK, TAGS_LOCK + 4),
            Self::Subscriptions => (SUBSCRIPTIONS_AT, SUBSCRIPTIONS_AT + 4),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "the table of namespaces",
            Self::Tags => "the table of tags",
            Self::Subscriptions => "the table of subscriptions",
        }
    }
}

#[inline]
fn lock_of<'a>(shard: &ShardView<'a>) -> CountedLock<'a> {
    CountedLock::new(shard.field(Field::Lock), shard.field(Field::Acquisitions))
}

impl Attachment {
    /// Takes a lock. Notes an acquisition that outlasted the caller, and forgets it once the lock is free.
    #[inline]
    fn acquire(&self, lock: CountedLock<'_>, outlasted: &Outlasted, patience: Patience) -> Result<Acquired, Busy> {
        let member = self.segment.member();
        let mut wait = None;
        let mut gives_up =
            || wait.get_or_insert_with(|| LockWait::begin(lock, outlasted, patience)).is_over(lock, member, patience);
        let acquired = lock::lock(lock.word, member, &mut gives_up);
        if let Some(wait) = wait {
            self.note_lock_wait(wait.elapsed());
        }
        match acquired {
            Ok(_) => {
                lock.note_acquired();
                outlasted.forget();
            }
            // A brief caller did not find out whether the holder is suspended.
            Err(_) if matches!(patience, Patience::Write(_)) => outlasted.note(lock, patience),
            Err(_) => {}
        }
        acquired
    }

    /// The lock of a shard, if that needs neither a wait nor a repair.
    pub(crate) fn try_take_lock(&self, shard: &ShardView<'_>) -> bool {
        let lock = lock_of(shard);
        let is_taken = lock::try_lock(lock.word, self.segment.member());
        if is_taken {
            lock.note_acquired();
        }
        is_taken
    }

    /// Takes a shard's lock. The caller must repair or rebuild the shard first if it is not sound.
    pub(crate) fn take_lock(&self, shard: &ShardView<'_>, patience: Patience) -> Result<Shard, CacheError> {
        if self.is_known_lost() {
            self.is_attached();
            return Err(CacheError::Detached);
        }
        let Ok(acquired) = self.acquire(lock_of(shard), &self.flags.outlasted[shard.index], patience) else {
            return Err(busy(&format!("shard {}", shard.index)));
        };
        // The state is read under the lock, because `destroy` sets it before it passes through this lock. Both leave a
        // suspect: a shard that is never used again needs no repair.
        // mutant: destroyed-takes-writes
        if self.segment.header().state() != State::Ready {
            lock::abandon(shard.field(Field::Lock), self.segment.member());
            self.is_attached();
            return Err(CacheError::Detached);
        }
        // The same holds for a resize, which holds all locks until it has switched to another area.
        if !self.is_current() {
            return Err(self.refuse_lock(shard.field(Field::Lock)));
        }
        // The load comes first because an exchange takes as long as the lock.
        let damaged = &self.flags.damaged[shard.index];
        if damaged.load(Ordering::Relaxed) && damaged.swap(false, Ordering::Relaxed) {
            return Ok(Shard::Damaged);
        }
        // mutant: no-rebuild-after-death
        Ok(if acquired == Acquired::Suspect { Shard::Interrupted } else { Shard::Sound })
    }

    /// Takes a lock in the header, with the same promises as a shard's. Its table needs no repair after a death.
    pub(crate) fn lock_header(&self, table: HeaderTable, patience: Patience) -> Result<HeaderLock<'_>, CacheError> {
        let (word, acquisitions) = table.offsets();
        let lock = CountedLock::new(self.region().u32(word), self.region().u32(acquisitions));
        match self.acquire(lock, &self.flags.header[table as usize], patience) {
            // The table of subscriptions depends on no area.
            Ok(_) if table == HeaderTable::Subscriptions || self.is_current() => {
                Ok(HeaderLock { lock, attachment: self, _hold: NoticeHold::begin() })
            }
            Ok(_) => Err(self.refuse_lock(lock.word)),
            Err(Busy) => Err(busy(table.name())),
        }
    }

    /// Gives back a lock of an area that is not in use any more. What it guards is never used again.
    #[cold]
    fn refuse_lock(&self, word: &AtomicU32) -> CacheError {
        lock::unlock(word, self.segment.member());
        self.departure()
    }

    /// Counts one more acquisition of a shard's lock that this thread holds: a waiter then begins its wait again.
    pub(crate) fn hold_on(&self, shard: &ShardView<'_>) {
        lock_of(shard).note_acquired();
    }

    #[cold]
    fn note_lock_wait(&self, waited: Duration) {
        let nanoseconds = waited.as_nanos() as u64;
        let bucket = (u64::BITS - (nanoseconds / 1000).leading_zeros()) as usize;
        let at = LOCK_WAITS + bucket.min(LOCK_WAIT_BUCKETS - 1) * 8;
        self.region().u64(at).fetch_add(1, Ordering::Relaxed); // a count for stats
        self.region().u64(LOCK_WAITED).fetch_add(nanoseconds, Ordering::Relaxed); // a sum for stats
    }
}

#[cold]
fn busy(what: &str) -> CacheError {
    CacheError::Busy(format!("{what} is held by a living process that is suspended (SIGSTOP), or that kept it for 2 s"))
}

/// A held lock in the header. A drop releases it; a panic leaves it a suspect.
pub(crate) struct HeaderLock<'a> {
    lock: CountedLock<'a>,
    attachment: &'a Attachment,
    /// Ends after the release.
    _hold: NoticeHold,
}

impl HeaderLock<'_> {
    /// Counts one more acquisition: a waiter then begins its wait again.
    pub(crate) fn hold_on(&self) {
        self.lock.note_acquired();
    }
}

impl Drop for HeaderLock<'_> {
    fn drop(&mut self) {
        let member = self.attachment.segment.member();
        if std::thread::panicking() {
            lock::abandon(self.lock.word, member);
        } else {
            lock::unlock(self.lock.word, member);
        }
    }
}

/// Maximum time in which a destroyer passes through all locks.
const PASS_PATIENCE: Duration = Duration::from_secs(2);

/// Passes once through the locks of a destroyed segment. Afterwards no writer that runs is left inside. A holder that is
/// suspended keeps its lock: it detects the new state before it acknowledges its change.
pub(crate) fn through_locks(segment: &Segment) {
    let region = segment.region();
    let Ok(geometry) = Geometry::load(region) else { return };
    let deadline = Instant::now() + PASS_PATIENCE;
    for index in 0..geometry.shards {
        let word = ShardView::new(region, &geometry, index).field(Field::Lock);
        pass_through(word, segment, deadline);
    }
}

/// Takes the lock of a destroyed segment, and leaves it a suspect: what it guards is never used again. Waits until the
/// deadline, and not for a holder that is suspended.
pub(crate) fn pass_through(word: &AtomicU32, segment: &Segment, deadline: Instant) {
    let member = segment.member();
    let is_suspended = || member.is_suspended(word.load(Ordering::Relaxed) & !lock::WAITERS) == Some(true);
    // mutant: destroy-waits-for-suspended
    let mut patience = || Instant::now() >= deadline || is_suspended();
    if lock::lock(word, member, &mut patience).is_ok() {
        lock::abandon(word, member);
    }
}
