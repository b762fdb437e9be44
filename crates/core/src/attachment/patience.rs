//! How long a caller waits for a lock, and when a living holder counts as suspended.
//!
//! Promises: a holder that is merely not scheduled, or that repairs a shard, is waited for. A write fails as busy only if
//! one and the same acquisition stayed in place for the timeout and its process is suspended, or for `MAX_IN_PLACE`.
//!
//! A lock word names the holder's process, not the acquisition. So each holder also raises a count beside the word, and a
//! waiter compares both.

use cache_machine_shm::Member;
use cache_machine_shm::atomic::{AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::lock::WAITERS;
use std::time::{Duration, Instant};

/// One acquisition in place for this time counts as suspended where the system does not say: the holder may be in another
/// PID namespace. No write waits longer for one acquisition, unless its timeout is longer.
const MAX_IN_PLACE: Duration = Duration::from_secs(2);

/// How long a caller waits for a living holder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// A call of the user. The timeout counts for one acquisition of a suspended holder.
    Write(Duration),
    /// A caller that can try again later. It gives up after this time, whatever the holder does.
    Brief(Duration),
}

impl Patience {
    /// The same time for a step that may be left out.
    pub(crate) fn brief(self) -> Self {
        match self {
            Self::Write(limit) | Self::Brief(limit) => Self::Brief(limit),
        }
    }

    /// In milliseconds, at least 1.
    pub(crate) fn as_ms(self) -> u64 {
        match self {
            Self::Write(limit) | Self::Brief(limit) => (limit.as_millis() as u64).max(1),
        }
    }
}

/// A lock word with the count of its acquisitions.
#[derive(Clone, Copy)]
pub(crate) struct CountedLock<'a> {
    pub(crate) word: &'a AtomicU32,
    acquisitions: &'a AtomicU32,
}

impl<'a> CountedLock<'a> {
    pub(crate) fn new(word: &'a AtomicU32, acquisitions: &'a AtomicU32) -> Self {
        Self { word, acquisitions }
    }

    /// Counts an acquisition. The new holder calls it.
    #[inline]
    pub(crate) fn note_acquired(&self) {
        // Relaxed: only the holder stores it, and a waiter that sees an old count only starts its wait again later.
        let count = self.acquisitions.load(Ordering::Relaxed);
        self.acquisitions.store(count.wrapping_add(1), Ordering::Relaxed);
    }

    /// The acquisition that is in place now: the holder and the count.
    fn in_place(&self) -> u64 {
        let holder = self.word.load(Ordering::Relaxed) & !WAITERS;
        u64::from(holder) << 32 | u64::from(self.acquisitions.load(Ordering::Relaxed))
    }
}

/// The last acquisition of one lock that outlasted a writer of this process, and for how many milliseconds. Later writers
/// with no longer timeout fail at once while it is in place and its process is suspended.
#[derive(Default)]
pub(crate) struct Outlasted {
    acquisition: AtomicU64,
    ms: AtomicU64,
}

impl Outlasted {
    /// Notes that a writer of this patience gave up.
    pub(crate) fn note(&self, lock: CountedLock<'_>, patience: Patience) {
        self.acquisition.store(lock.in_place(), Ordering::Relaxed); // private to this process; a hint
        self.ms.store(patience.as_ms(), Ordering::Relaxed);
    }

    /// Forgets it: the lock was acquired.
    #[inline]
    pub(crate) fn forget(&self) {
        if self.ms.load(Ordering::Relaxed) != 0 {
            self.ms.store(0, Ordering::Relaxed);
        }
    }

    #[cold]
    fn holds(&self, lock: CountedLock<'_>, patience: Patience) -> bool {
        self.ms.load(Ordering::Relaxed) >= patience.as_ms()
            && self.acquisition.load(Ordering::Relaxed) == lock.in_place()
    }
}

/// A wait for a lock that is under way.
pub(crate) struct LockWait {
    begun: Instant,
    /// The acquisition that was in place at the last check, and since when.
    in_place: u64,
    since: Instant,
    /// This acquisition outlasted a writer before.
    is_known: bool,
}

impl LockWait {
    #[cold]
    pub(crate) fn begin(lock: CountedLock<'_>, outlasted: &Outlasted, patience: Patience) -> Self {
        let now = Instant::now();
        Self { begun: now, in_place: lock.in_place(), since: now, is_known: outlasted.holds(lock, patience) }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether the caller gives up.
    pub(crate) fn is_over(&mut self, lock: CountedLock<'_>, member: &Member, patience: Patience) -> bool {
        let limit = match patience {
            Patience::Brief(limit) => return self.is_known || self.begun.elapsed() >= limit,
            Patience::Write(limit) => limit,
        };
        let in_place = lock.in_place();
        if in_place != self.in_place {
            *self = Self { in_place, since: Instant::now(), is_known: false, ..*self };
            return false;
        }
        let waited = self.since.elapsed();
        if waited < limit && !self.is_known {
            return false;
        }
        match member.is_suspended((in_place >> 32) as u32) {
            Some(true) => true,
            // It went on since another writer gave up: it is waited for like any other.
            Some(false) => {
                self.is_known = false;
                // mutant: slow-owner-suspended
                waited >= limit.max(MAX_IN_PLACE)
            }
            None => self.is_known || waited >= limit.max(MAX_IN_PLACE),
        }
    }
}
