//! Reads the rings for the streams of this process, and notifies their listeners.
//!
//! The background thread reads the rings when a writer wakes it, and every 50 ms, since a writer may die before its
//! wake. A notice only says that a stream has items; the listener reads them later with `read_stream`.

use crate::attachment::attached::Attachment;
use crate::error::CacheError;
use crate::layout::messages::{RingKind, What};
use crate::notices::listeners::{Notice, Quiet};
use crate::streams::items::StreamItem;
use crate::streams::open_stream::OpenStream;
use crate::streams::table::{Due, Table};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The watches and subscriptions of one process.
#[derive(Default)]
pub(crate) struct Streams {
    table: Mutex<Table>,
}

/// The time of the background thread's next read of the rings without a wake.
pub(crate) struct StreamTick {
    next: Instant,
}

/// Interval of the reads without a wake: a writer may die between its publish and its wake.
// mutant: stream-without-tick
const CHECK_EVERY: Duration = Duration::from_millis(50);

impl StreamTick {
    pub(crate) fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// Maximum sleep of the thread.
    pub(crate) fn limit(&self, streams: &Streams, sleep: Duration) -> Duration {
        if streams.is_empty() { sleep } else { sleep.min(self.next.saturating_duration_since(Instant::now())) }
    }
}

impl Streams {
    fn table(&self) -> Quiet<MutexGuard<'_, Table>> {
        Quiet::new(self.table.lock().unwrap_or_else(|e| e.into_inner()))
    }

    fn is_empty(&self) -> bool {
        self.table().streams.is_empty()
    }

    /// Hands out the items of the woken rings, and every 50 ms those of all rings.
    pub(crate) fn poll(&self, attachment: &Attachment, tick: &mut StreamTick) {
        let rung = attachment.segment.member().take_changed_rings();
        let now = Instant::now();
        let everything = now >= tick.next || self.is_behind(attachment);
        if everything {
            tick.next = now + CHECK_EVERY;
        }
        if rung == 0 && !everything {
            return;
        }
        let mut table = self.table();
        if table.streams.is_empty() {
            return;
        }
        let due = table.read_rings(attachment, |shard| everything || rung >> (shard % 64) & 1 == 1);
        drop(table);
        notify(attachment, due);
    }

    /// Whether something is still to be read in an earlier area than that of the attachment.
    pub(crate) fn is_behind(&self, attachment: &Attachment) -> bool {
        self.table().is_behind(attachment)
    }

    /// Opens a stream and returns its number. It calls `register` after it has set the cursors.
    pub(crate) fn open(
        &self,
        attachment: &Attachment,
        stream: OpenStream,
        register: impl FnOnce() -> Result<(), CacheError>,
    ) -> Result<u64, CacheError> {
        let kind = stream.ring_kind();
        let mut table = self.table();
        let was_idle = table.streams.is_empty();
        // Older messages are for the streams that are open already.
        let due = table.read_rings(attachment, |_| true);
        if table.counts[kind as usize] == 0 {
            table.begin(attachment, kind);
        }
        let added = register().map(|()| table.add(attachment, stream));
        if added.is_err() && table.counts[kind as usize] == 0 {
            table.cursors[kind as usize] = Vec::new();
        }
        drop(table);
        notify(attachment, due);
        if was_idle {
            attachment.segment.member().wake_own(); // the thread sleeps longer while there is no stream
        }
        added
    }

    /// Takes up to `most` items of a stream, in order. If it returns fewer, the listener will be notified of the next
    /// item.
    pub(crate) fn read(&self, id: u64, most: usize) -> Vec<StreamItem> {
        let mut table = self.table();
        let Some(stream) = table.streams.get_mut(&id) else { return Vec::new() };
        let mut items: Vec<StreamItem> = stream.queue.drain(..most.min(stream.queue.len())).collect();
        if items.len() < most {
            if stream.lost != 0 && stream.ring_kind() == RingKind::Changes {
                let lost = std::mem::take(&mut stream.lost);
                items.push(StreamItem { lost, ..StreamItem::about_all(What::Invalidate) });
            }
            stream.notified = false;
        }
        items
    }

    /// Ends a stream.
    pub(crate) fn end(&self, attachment: &Attachment, id: u64) {
        self.table().remove(attachment, id);
    }

    /// Ends all streams of a listener.
    pub(crate) fn end_of(&self, attachment: &Attachment, listener: u64) {
        let mut table = self.table();
        for id in table.of(listener) {
            table.remove(attachment, id);
        }
    }
}

fn notify(attachment: &Attachment, due: Due) {
    for (listener, ids) in due {
        attachment.listeners.notify(listener, Notice::Streams(ids));
    }
}
