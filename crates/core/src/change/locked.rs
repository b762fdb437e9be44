//! The guard of a shard's lock, and the values that are read once when it is taken.
//!
//! Promises: the lock is released on drop, and only then are waiters woken and listeners notified. A panic leaves the
//! lock a suspect, and its next owner rebuilds the shard.

use crate::attachment::attached::Attachment;
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::entry::Damaged;
use crate::layout::namespaces;
use crate::notices::removals;
use crate::shard::view::ShardView;
use cache_machine_shm::ListeningProcesses;
use cache_machine_shm::lock;
use std::cell::Cell;

/// The reason why an operation under the lock ended early.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// A structure contradicts itself: the shard must be rebuilt.
    Damaged,
    Error(CacheError),
}

impl From<Damaged> for ChangeError {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

impl From<CacheError> for ChangeError {
    fn from(error: CacheError) -> Self {
        Self::Error(error)
    }
}

/// Room that a change needs in another shard: there the namespace has entries to evict, and here it has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomElsewhere {
    pub(crate) namespace: u16,
    pub(crate) units: u64,
}

/// The held lock of one shard. It is released on drop. A panic leaves it a suspect.
pub(crate) struct Locked<'a> {
    pub(crate) shard: &'a ShardView<'a>,
    pub(crate) attachment: &'a Attachment,
    /// Read once under the lock, like `life` and `tag_clock`: a change that checked with one value and stamped with
    /// another would acknowledge a wrong result.
    pub(crate) root_epoch: u32,
    /// The namespace of the operation.
    pub(crate) namespace: u16,
    /// The life of that namespace.
    pub(crate) life: u64,
    /// The stamp of a value that begins to be made now.
    pub(crate) tag_clock: u64,
    /// Milliseconds since boot; 0: not yet read. It is read once, since the clock takes as long as a search.
    pub(crate) now: Cell<u64>,
    /// Whether a listener of this process wants removals.
    pub(crate) notes_removals: bool,
    /// Processes that listen to the key of the change. They are woken after the unlock.
    pub(crate) listeners: ListeningProcesses,
    /// Processes that listen to a second key, if one step changes two.
    pub(crate) more_listeners: ListeningProcesses,
    /// Whether the ring of changes has new messages.
    pub(crate) has_news: bool,
    /// Room that the change needs in another shard. The change must end without an effect, and runs again.
    pub(crate) elsewhere: Option<RoomElsewhere>,
    /// False: the last run of a change, which does without such room.
    pub(crate) may_ask_elsewhere: bool,
    /// Number of index words that a rebuild under this lock dropped. Listeners are notified after the unlock.
    pub(crate) repaired: Option<u32>,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let word = self.shard.field(Field::Lock);
        let member = self.attachment.segment.member();
        if std::thread::panicking() {
            lock::abandon(word, member);
            removals::forget();
            return;
        }
        self.shard.forget_notes();
        lock::unlock(word, member);
        member.wake(self.listeners);
        member.wake(self.more_listeners);
        if self.has_news {
            member.wake_watchers(self.shard.index);
        }
        // The notes are taken before any listener runs. A listener may change another cache, and this thread's notes
        // are then of that cache.
        let removed = self.notes_removals.then(removals::take);
        if let Some(dropped) = self.repaired {
            self.attachment.notify_repaired(self.shard.index, dropped);
        }
        if let Some(removed) = removed {
            self.attachment.listeners.notify_removals(removed);
        }
    }
}

impl Locked<'_> {
    /// The current life of a namespace.
    pub(crate) fn life_of(&self, namespace: u16) -> u64 {
        if namespace == self.namespace {
            return self.life;
        }
        namespaces::life(self.shard.region, self.root_epoch, namespace)
    }

    /// The time of this change, the same for all its parts.
    pub(crate) fn now_ms(&self) -> u64 {
        if self.now.get() == 0 {
            self.now.set(self.attachment.now_ms());
        }
        self.now.get()
    }
}
