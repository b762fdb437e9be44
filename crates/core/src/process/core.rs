//! The process's attachment with the process memory of its features: waits, record watches, orphans, streams.

use crate::attachment::attached::Attachment;
use crate::error::CacheError;
use crate::records::orphans::Orphans;
use crate::streams::items::StreamItem;
use crate::streams::reader::Streams;
use crate::waiting::record_watches::RecordWatches;
use crate::waiting::waits::Waits;
use cache_machine_shm::Segment;
use cache_machine_shm::atomic::{AtomicBool, Ordering};

/// One process's side of a cache. `Cache` dereferences to it.
pub struct Core {
    attachment: Attachment,
    pub(crate) waits: Waits,
    pub(crate) record_watches: RecordWatches,
    pub(crate) orphans: Orphans,
    pub(crate) streams: Streams,
    /// Whether this process sweeps when it has the turn.
    sweeps: AtomicBool,
}

impl std::ops::Deref for Core {
    type Target = Attachment;

    #[inline]
    fn deref(&self) -> &Attachment {
        &self.attachment
    }
}

impl Core {
    pub(crate) fn new(segment: Segment) -> Result<Self, CacheError> {
        Ok(Self {
            attachment: Attachment::new(segment)?,
            waits: Waits::default(),
            record_watches: RecordWatches::default(),
            orphans: Orphans::default(),
            streams: Streams::default(),
            sweeps: AtomicBool::new(false),
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
