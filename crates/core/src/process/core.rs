//! The process's attachment with the process memory of its features: waits, record watches, orphans, streams.
//!
//! A resize puts the entries into another area. The first thread that meets it attaches the process there; what the
//! process waits for goes on.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::notices::listeners::{Notice, Quiet};
use crate::records::orphans::Orphans;
use crate::resize::Resized;
use crate::resize::release::release_others;
use crate::streams::items::StreamItem;
use crate::streams::reader::Streams;
use crate::waiting::record_watches::RecordWatches;
use crate::waiting::waits::Waits;
use cache_machine_shm::atomic::{AtomicBool, Ordering};
use cache_machine_shm::{Latest, Segment};
use std::sync::{Arc, Mutex};

/// One process's side of a cache. `Cache` dereferences to it.
pub struct Core {
    attachment: Latest<Attachment>,
    /// Held while a thread attaches the process to another area.
    following: Mutex<()>,
    pub(crate) waits: Waits,
    pub(crate) record_watches: RecordWatches,
    pub(crate) orphans: Orphans,
    pub(crate) streams: Streams,
    /// Whether this process sweeps when it has the turn.
    sweeps: AtomicBool,
    /// Whether this process pins the segment in memory.
    locks_memory: AtomicBool,
}

impl std::ops::Deref for Core {
    type Target = Attachment;

    #[inline]
    fn deref(&self) -> &Attachment {
        self.attachment.get()
    }
}

impl Core {
    pub(crate) fn new(segment: Segment) -> Result<Self, CacheError> {
        Ok(Self {
            attachment: Latest::new(Arc::new(Attachment::first(segment)?)),
            following: Mutex::new(()),
            waits: Waits::default(),
            record_watches: RecordWatches::default(),
            orphans: Orphans::default(),
            streams: Streams::default(),
            sweeps: AtomicBool::new(false),
            locks_memory: AtomicBool::new(false),
        })
    }

    /// Lets this process take the turn to sweep. A process that only visits leaves dead entries to those that use the segment:
    /// the process that sweeps gets the notices of what expired.
    pub(crate) fn allow_sweeps(&self) {
        self.sweeps.store(true, Ordering::Relaxed); // read again at each tick
    }

    /// For tests that sweep themselves.
    #[cfg(test)]
    pub(crate) fn forbid_sweeps(&self) {
        self.sweeps.store(false, Ordering::Relaxed);
    }

    /// Reserves the segment and pins it in memory, also the areas to which resizes will move it.
    pub(crate) fn pin(&self) -> Result<(), CacheError> {
        self.locks_memory.store(true, Ordering::Relaxed); // read again after a resize
        self.lock_memory()
    }

    /// Gives the segment another size and moves all entries. `None`: it has that size.
    pub(crate) fn resize(&self, size: usize, patience: Patience) -> Result<Option<Resized>, CacheError> {
        let resized = self.in_area(|| self.attachment.share().resize(size, patience))?;
        if resized.is_some() {
            self.follow_area()?;
        }
        Ok(resized)
    }

    /// Attaches the process to the area in which the entries are, if that is another one.
    pub(crate) fn follow_area(&self) -> Result<(), CacheError> {
        let following = Quiet::new(self.following.lock().unwrap_or_else(|e| e.into_inner()));
        if self.is_current() {
            return Ok(());
        }
        let before = self.attachment.share();
        let next = Arc::new(Attachment::next(&before)?);
        let (from, to) = (before.geometry().len, next.geometry().len);
        self.attachment.put(next);
        drop(following);
        if self.locks_memory.load(Ordering::Relaxed) {
            // A limit that is too low now was too low when the segment was opened, or the segment has grown: it stays usable.
            let _ = self.lock_memory();
        }
        self.listeners.notify_all(Notice::Resized { from, to });
        self.segment.member().wake_own();
        Ok(())
    }

    /// Leaves all areas but the present one: no handle is left, so no thread is in one. A command that resizes a segment
    /// that no other process uses gives the bytes of the old area back before it ends.
    pub(crate) fn leave_areas(&self) {
        let attachment: &Attachment = self;
        let member = attachment.segment.member();
        if attachment.is_current() && member.noted_area() != u32::from(attachment.geometry().area) {
            member.note_area(attachment.geometry().area);
            release_others(attachment);
        }
    }

    /// Runs a call in the area in which the entries are, again if a resize moves them meanwhile.
    #[inline]
    pub(crate) fn in_area<R>(&self, mut call: impl FnMut() -> Result<R, CacheError>) -> Result<R, CacheError> {
        loop {
            match call() {
                Err(CacheError::Moved) => self.follow_area()?,
                other => return other,
            }
        }
    }

    pub(crate) fn may_sweep(&self) -> bool {
        self.sweeps.load(Ordering::Relaxed)
    }

    /// Forgets a listener, and all its waits, watches and subscriptions.
    pub fn remove_listener(&self, id: u64) {
        self.listeners.remove(id);
        self.waits.remove_of(self, id);
        self.record_watches.remove_of(self, id);
        self.streams.end_of(self, id);
    }

    /// Ends a record watch before its notice.
    pub fn cancel_record_watch(&self, id: u64) {
        self.record_watches.remove(self, id);
    }

    /// Ends a wait before its notice.
    pub fn cancel_wait(&self, id: u64) {
        self.waits.remove(self, id);
    }

    /// Number of reads of keys on behalf of this process's waits.
    pub fn checks_of_waits(&self) -> u64 {
        self.waits.reads()
    }

    /// Number of probes of records on behalf of this process's record watches.
    pub fn probes_of_records(&self) -> u64 {
        self.record_watches.probes()
    }

    /// Takes up to `most` items of a stream, in order. If it returns fewer, the listener will be notified of the next
    /// item.
    pub fn read_stream(&self, id: u64, most: usize) -> Vec<StreamItem> {
        self.streams.read(id, most)
    }

    /// Ends a watch or a subscription.
    pub fn end_stream(&self, id: u64) {
        self.streams.end(self, id);
    }
}
