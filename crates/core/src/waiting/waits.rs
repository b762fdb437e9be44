//! Waits for an entry of a key.
//!
//! A wait causes no reads of its key while there are no writes. The process reads the key when the wait begins, when
//! its stripe is woken, and at each tick after a write to its shard, since a writer may die before its wake.

use crate::attachment::attached::Attachment;
use crate::layout::key::Key;
use crate::waiting::by_stripe::{Begun, ByStripe, Checked, NEVER, Ready};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use std::collections::HashSet;

/// Waits that the background thread checks at once after writes: some 0.5 ms.
const SLICE: usize = 1024;

/// The waits of one process.
#[derive(Default)]
pub(crate) struct Waits {
    table: ByStripe<Wait>,
    reads: AtomicU64,
}

struct Wait {
    namespace: u16,
    key: Vec<u8>,
    /// The upper bits of the key's hash, which select its shard in each area.
    upper: u16,
    after: u64,
}

/// A check of the waits for keys of written shards, a slice at a time.
#[derive(Default)]
pub(crate) struct Lap {
    /// The written shards; empty: nothing has to be checked.
    pub(crate) written: HashSet<usize>,
    at: u64,
}

impl Waits {
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of reads of keys on behalf of waits.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Waits for an entry of `key` newer than `after`.
    pub(crate) fn add(&self, attachment: &Attachment, key: &Key<'_>, after: u64, listener: u64) -> (u64, Begun) {
        let wait = Wait { namespace: key.namespace, key: key.bytes.to_vec(), upper: key.upper, after };
        let is_there = |wait: &Wait| self.check(attachment, wait) == Checked::Over;
        self.table.add(attachment, (key.stripe(), listener), (wait, NEVER), is_there)
    }

    fn check(&self, attachment: &Attachment, wait: &Wait) -> Checked {
        self.reads.fetch_add(1, Ordering::Relaxed); // a count for tests
        let version = attachment.version_in(wait.namespace, &wait.key);
        let is_there = version.ok().flatten().is_some_and(|version| version > wait.after);
        if is_there { Checked::Over } else { Checked::Waits(NEVER) }
    }

    pub(crate) fn remove(&self, attachment: &Attachment, id: u64) {
        self.table.remove(attachment, id);
    }

    pub(crate) fn remove_of(&self, attachment: &Attachment, listener: u64) {
        self.table.remove_of(attachment, listener);
    }

    /// Reads the keys of woken stripes, and a slice of those of written shards. It removes the waits that are over and
    /// returns their numbers per listener.
    pub(crate) fn take_ready(&self, attachment: &Attachment, is_woken: impl Fn(usize) -> bool, lap: &mut Lap) -> Ready {
        let mut ready = Ready::new();
        self.table.take_over(&mut ready);
        self.table.take_woken(attachment, is_woken, |wait| self.check(attachment, wait), &mut ready);
        if !lap.written.is_empty() {
            let Lap { written, at } = lap;
            let check = |wait: &Wait| {
                if written.contains(&attachment.geometry().shard_of(wait.upper)) {
                    self.check(attachment, wait)
                } else {
                    Checked::Waits(NEVER)
                }
            };
            match self.table.take_from(attachment, (*at, SLICE), check, &mut ready) {
                Some(next) => *at = next,
                None => *lap = Lap::default(),
            }
        }
        ready
    }
}
