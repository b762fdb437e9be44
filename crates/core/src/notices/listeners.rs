//! Notices, and the listeners of one process that take them.
//!
//! A call of a listener comes on any thread, and no lock is held. So a listener may use the cache, and may add or
//! remove listeners. Code that holds a lock of the process or of the header also has a `NoticeHold`: notices of this
//! thread are delivered when the last one ends.

use crate::notices::removals::Removal;
use cache_machine_shm::atomic::{AtomicU32, Ordering};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

/// A notice to a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// These waits are over: their keys have the awaited entries.
    Waits(Vec<u64>),
    /// This process rebuilt a shard after a death.
    Repaired {
        /// Number of the shard.
        shard: usize,
        /// Number of index words dropped.
        dropped: u32,
    },
    /// A shard contradicts itself, or a rebuild dropped damaged index words.
    Damage {
        /// Number of the shard.
        shard: usize,
        /// Number of index words dropped; 0: a reader met the damage.
        dropped: u32,
    },
    /// Entries that this process evicted or expired.
    Removed {
        /// The entries, in order of removal.
        entries: Arc<[Removal]>,
        /// Number of further removals, which did not fit into the notice.
        lost: u64,
    },
    /// These record watches are over: the awaited change has happened.
    RecordWatches(Vec<u64>),
    /// These watches and subscriptions have items to read.
    Streams(Vec<u64>),
    /// The segment was resized. This process has followed; everything goes on.
    Resized {
        /// Bytes of the segment before.
        from: usize,
        /// Bytes of the segment now.
        to: usize,
    },
    /// The segment was destroyed, truncated or replaced.
    Detached,
}

/// Takes notices. A call comes on any thread, and no lock is held. The listener must not block.
pub trait Listener: Send + Sync {
    /// Takes a notice.
    fn notify(&self, notice: Notice);
}

/// The listeners of one process.
#[derive(Default)]
pub(crate) struct NoticeListeners {
    all: Mutex<Registered>,
    /// Number of listeners that want removals. Every change reads it before it takes a lock.
    want_removals: AtomicU32,
}

#[derive(Default)]
struct Registered {
    last_id: u64,
    listeners: Vec<(u64, Arc<dyn Listener>)>,
    /// Numbers of the listeners that want removals.
    want_removals: Vec<u64>,
}

impl NoticeListeners {
    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.all.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn add(&self, listener: Box<dyn Listener>) -> u64 {
        let mut registered = self.registered();
        registered.last_id += 1;
        let id = registered.last_id;
        registered.listeners.push((id, Arc::from(listener)));
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        self.registered().listeners.retain(|(other, _)| *other != id);
        self.want_removals(id, false);
    }

    pub(crate) fn want_removals(&self, id: u64, wanted: bool) {
        let mut registered = self.registered();
        registered.want_removals.retain(|other| *other != id);
        if wanted {
            registered.want_removals.push(id);
        }
        // Relaxed: a hint. A late listener gets later removals.
        self.want_removals.store(registered.want_removals.len() as u32, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn wants_removals(&self) -> bool {
        self.want_removals.load(Ordering::Relaxed) != 0
    }

    #[cold]
    pub(crate) fn notify_removals(&self, (entries, lost): (Vec<Removal>, u64)) {
        if entries.is_empty() && lost == 0 {
            return;
        }
        let wanting = self.registered().want_removals.clone();
        let entries: Arc<[Removal]> = entries.into();
        for (_, listener) in self.snapshot().into_iter().filter(|(id, _)| wanting.contains(id)) {
            deliver(listener, Notice::Removed { entries: entries.clone(), lost });
        }
    }

    /// A copy of the table: a call of a listener comes without the table's lock, since it may add or remove listeners.
    fn snapshot(&self) -> Vec<(u64, Arc<dyn Listener>)> {
        self.registered().listeners.clone()
    }

    pub(crate) fn notify_all(&self, notice: Notice) {
        for (_, listener) in self.snapshot() {
            deliver(listener, notice.clone());
        }
    }

    pub(crate) fn notify(&self, id: u64, notice: Notice) {
        if let Some((_, listener)) = self.snapshot().into_iter().find(|(other, _)| *other == id) {
            deliver(listener, notice);
        }
    }
}

thread_local! {
    /// Number of holds of this thread.
    static HOLDS: Cell<u32> = const { Cell::new(0) };
    static HELD_BACK: RefCell<Vec<(Arc<dyn Listener>, Notice)>> = RefCell::default();
}

fn deliver(listener: Arc<dyn Listener>, notice: Notice) {
    // mutant: notices-under-locks
    if HOLDS.get() > 0 {
        HELD_BACK.with_borrow_mut(|held| held.push((listener, notice)));
    } else {
        listener.notify(notice);
    }
}

/// Holds back the notices of this thread until its last hold ends. Declare it before the lock, so that it ends after it.
pub(crate) struct NoticeHold(PhantomData<*const ()>);

impl NoticeHold {
    pub(crate) fn begin() -> Self {
        HOLDS.set(HOLDS.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for NoticeHold {
    fn drop(&mut self) {
        HOLDS.set(HOLDS.get() - 1);
        // A listener that panics while this thread unwinds would end the process. The next hold delivers.
        if HOLDS.get() > 0 || std::thread::panicking() {
            return;
        }
        for (listener, notice) in HELD_BACK.take() {
            listener.notify(notice);
        }
    }
}

/// The guard of a process mutex with a hold of the notices. The mutex is released first.
pub(crate) struct Quiet<G> {
    guard: G,
    _hold: NoticeHold,
}

impl<G> Quiet<G> {
    pub(crate) fn new(guard: G) -> Self {
        Self { guard, _hold: NoticeHold::begin() }
    }
}

impl<G: Deref> Deref for Quiet<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Quiet<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}
