//! Record watches: the waits of this process for a permit, or for the end of a flight.
//!
//! The background thread reads a record when its stripe is woken. Every 25 ms it probes records, since an awaited owner
//! may have died: all of them, or a slice if there are many. What a slice would find late is found in another way: the
//! death of a process by the process table, which causes a probe of all records, and the end of a lease or of a `ttl`
//! by its time.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::key::Key;
use crate::records::flights;
use crate::records::keyspace::Records;
use crate::records::permits::PermitRecord;
use crate::records::queues::{Queue, QueueRules};
use crate::waiting::by_stripe::{Begun, ByStripe, Checked, NEVER, Ready};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::slot::{SlotState, has_death};
use std::collections::HashSet;
use std::time::Duration;

/// The awaited change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awaited {
    /// The permit of this ticket.
    Permit {
        /// Ticket of the waiter.
        ticket: u64,
        /// Maximum number of holders at once.
        permits: u32,
    },
    /// The item of a queue for this ticket.
    Item {
        /// Ticket of the waiter.
        ticket: u64,
        /// How often an item may be taken; 0: without a limit.
        attempts: u32,
    },
    /// The end of the flight of this token, or the death of its owner.
    Flight {
        /// Token of the flight.
        token: u64,
    },
}

/// The record watches of one process.
#[derive(Default)]
pub(crate) struct RecordWatches {
    table: ByStripe<RecordWatch>,
    probes: AtomicU64,
}

struct RecordWatch {
    namespace: u16,
    key: Vec<u8>,
    /// The upper bits of the key's hash, which select its shard in each area.
    upper: u16,
    awaited: Awaited,
}

/// Maximum wait for a shard's lock. It is short because there is another tick.
const PATIENCE: Patience = Patience::Brief(Duration::from_millis(10));

/// Records that are probed at one tick while no process dies: about a millisecond.
const SLICE: usize = 512;

/// The progress of the probes.
#[derive(Default)]
pub(crate) struct Probes {
    /// Number of the record watch at which the next slice begins.
    at: u64,
    /// The processes at the last tick; not kept for few record watches.
    processes: Vec<SlotState>,
}

impl Probes {
    /// Whether a process died since the last tick. It may also be true without a death.
    fn note_deaths(&mut self, attachment: &Attachment) -> bool {
        let processes = attachment.segment.member().presence();
        let before = std::mem::replace(&mut self.processes, processes);
        before.is_empty() || has_death(&before, &self.processes)
    }
}

impl RecordWatches {
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of probes of records.
    pub(crate) fn probes(&self) -> u64 {
        self.probes.load(Ordering::Relaxed)
    }

    /// Watches the record of `key`.
    pub(crate) fn add(&self, attachment: &Attachment, key: &Key<'_>, awaited: Awaited, listener: u64) -> (u64, Begun) {
        let watch = RecordWatch { namespace: key.namespace, key: key.bytes.to_vec(), upper: key.upper, awaited };
        let is_over = |watch: &RecordWatch| watch.check(attachment, true) == Checked::Over;
        // Its time has come at the next tick: a death before that may be in no later comparison of the processes.
        self.table.add(attachment, (key.stripe(), listener), (watch, 0), is_over)
    }

    pub(crate) fn remove(&self, attachment: &Attachment, id: u64) {
        self.table.remove(attachment, id);
    }

    pub(crate) fn remove_of(&self, attachment: &Attachment, listener: u64) {
        self.table.remove_of(attachment, listener);
    }

    /// Reads the records of the woken stripes. It removes the watches that are over and returns their numbers per
    /// listener.
    pub(crate) fn take_woken(&self, attachment: &Attachment, is_woken: impl Fn(usize) -> bool) -> Ready {
        let mut ready = Ready::new();
        self.table.take_over(&mut ready);
        self.table.take_woken(attachment, is_woken, |watch| watch.check(attachment, false), &mut ready);
        ready
    }

    /// Probes the records that are due, and a slice of the others, or all after a death: it passes over dead
    /// owners and reads the record. It removes the watches that are over and adds them to `ready`.
    pub(crate) fn probe(&self, attachment: &Attachment, probes: &mut Probes, ready: &mut Ready) {
        if self.table.len() <= SLICE {
            probes.processes = Vec::new();
        } else if probes.note_deaths(attachment) {
            *probes = Probes { at: 0, processes: std::mem::take(&mut probes.processes) };
            self.table.take_from(attachment, (0, usize::MAX), self.prober(attachment), ready);
            return;
        }
        let mut probe = self.prober(attachment);
        // mutant: records-without-times
        self.table.take_due(attachment, attachment.now_ms(), &mut probe, ready);
        probes.at = self.table.take_from(attachment, (probes.at, SLICE), &mut probe, ready).unwrap_or(0);
    }

    fn prober<'a>(&'a self, attachment: &'a Attachment) -> impl FnMut(&RecordWatch) -> Checked + 'a {
        // A suspended process may hold a shard: one wait for it is enough.
        let mut busy = HashSet::new();
        move |watch| {
            let shard = attachment.geometry().shard_of(watch.upper);
            self.probes.fetch_add(1, Ordering::Relaxed); // the count of probes, for tests
            if !busy.contains(&shard) && matches!(watch.probe(attachment), Err(CacheError::Busy(_))) {
                busy.insert(shard);
            }
            watch.check(attachment, true)
        }
    }
}

impl RecordWatch {
    fn records<'a>(&self, attachment: &'a Attachment) -> Records<'a> {
        Records { attachment, namespace: self.namespace, patience: PATIENCE }
    }

    fn queue<'a>(&'a self, attachment: &'a Attachment) -> Queue<'a> {
        Queue::of(self.records(attachment), &self.key)
    }

    /// Reads the record. `probe`: also asks whether the owner of a flight lives.
    fn check(&self, attachment: &Attachment, probe: bool) -> Checked {
        let records = self.records(attachment);
        let until = match self.awaited {
            Awaited::Permit { ticket, .. } => PermitRecord { records, key: &self.key }.waits_until(ticket),
            Awaited::Item { ticket, .. } => self.queue(attachment).waits_until(ticket),
            Awaited::Flight { token } => flights::lasts_until(&records, &self.key, token, probe),
        };
        match until {
            Ok(None) => Checked::Over,
            Ok(Some(0)) => Checked::Waits(NEVER),
            Ok(Some(time)) => Checked::Waits(time),
            // Detached: the next call on the handle fails.
            Err(_) => Checked::Waits(NEVER),
        }
    }

    fn probe(&self, attachment: &Attachment) -> Result<(), CacheError> {
        match self.awaited {
            Awaited::Permit { permits, .. } => {
                PermitRecord { records: self.records(attachment), key: &self.key }.grant_next(permits)
            }
            Awaited::Item { attempts, .. } => self.queue(attachment).settle(&QueueRules::of_attempts(attempts)),
            // The waiter begins a flight of its own, which replaces that of a dead owner.
            Awaited::Flight { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

    use super::*;
    use crate::cache::handle::Cache;
    use crate::layout::keyspaces::Keyspace;
    use crate::process::options::OpenOptions;
    use crate::records::permits::{Acquisition, PermitRequest};

    struct Scene(Cache, String);

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = crate::segments::destroy(&self.1, None, true);
        }
    }

    /// Waits for a lock that is held for `ttl_ms` milliseconds. Returns the ticket.
    fn wait(cache: &Cache, key: &[u8], ttl_ms: u64) -> u64 {
        let request = PermitRequest { permits: 1, ttl_ms, wait: true };
        assert!(matches!(cache.acquire(Keyspace::Locks, key, &request).unwrap(), Acquisition::Granted(_)));
        match cache.acquire(Keyspace::Locks, key, &PermitRequest { ttl_ms: 0, ..request }).unwrap() {
            Acquisition::Waiting(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// With more watches than one slice has, the end of a lease is found at the next tick, not when its slice comes.
    #[test]
    fn the_end_of_a_lease_is_probed_at_its_time_among_any_number_of_watches() {
        const LISTENER: u64 = 7;
        let name = format!("record-watches-{}", std::process::id());
        let scene = Scene(Cache::open(&OpenOptions::of_test(&name)).unwrap().0, name);
        let cache = &scene.0;
        let watches = RecordWatches::default();
        let watch = |key: &[u8], ticket: u64| {
            let key = Key::new(cache.geometry(), Keyspace::Locks.of(cache.namespace_of_values()), key).unwrap();
            watches.add(cache, &key, Awaited::Permit { ticket, permits: 1 }, LISTENER).0
        };
        let held = wait(cache, b"held for ever", 0);
        (0..3 * SLICE).for_each(|_| _ = watch(b"held for ever", held));
        let leased = watch(b"leased", wait(cache, b"leased", 100));
        let (mut probes, mut ready) = (Probes::default(), Ready::new());
        // The first tick probes all, and from then on each watch has its time.
        (0..2).for_each(|_| watches.probe(cache, &mut probes, &mut ready));
        assert!(ready.is_empty());
        cache.advance_clock(100).unwrap();
        watches.probe(cache, &mut probes, &mut ready);
        assert_eq!(ready.remove(&LISTENER), Some(vec![leased]));
    }
}
