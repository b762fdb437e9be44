//! Removals: the keys that this thread's changes evicted or expired. They are noted under a shard's lock and handed to
//! listeners after its release.
//!
//! A note allocates nothing: `prepare` makes the buffer before the lock is taken, and a counter counts the keys that do
//! not fit. A listener may use the cache, so it is notified when no lock is held.

use crate::layout::entry::{BINARY_KEY, Head};
use crate::shard::pieces::pieces;
use crate::shard::view::ShardView;
use std::cell::RefCell;

/// The reason for a removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemovalReason {
    /// The entry made room for another.
    Evicted,
    /// Its deadline had passed.
    Expired,
}

/// An entry that was evicted or expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removal {
    /// The reason.
    pub reason: RemovalReason,
    /// Number of its namespace.
    pub namespace: u16,
    /// Its key.
    pub key: Vec<u8>,
    /// The key was given as bytes.
    pub binary_key: bool,
}

/// Maximum bytes of the keys noted under one lock.
const LOG_BYTES: usize = 64 << 10;

#[derive(Default)]
struct Log {
    /// For each removal: reason u8 · binary u8 · namespace u16 · length u16 · key.
    bytes: Vec<u8>,
    lost: u64,
}

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
}

/// Makes room for notes. The caller does not hold the lock yet.
pub(crate) fn prepare() {
    LOG.with_borrow_mut(|log| log.bytes.reserve(LOG_BYTES));
}

/// Notes the key of `head`. The caller holds the lock.
pub(crate) fn note(shard: &ShardView<'_>, head: &Head, reason: RemovalReason) {
    LOG.with_borrow_mut(|log| {
        if log.bytes.capacity() - log.bytes.len() < 6 + head.key_len.next_multiple_of(8) + 8 {
            log.lost += 1;
            return;
        }
        let start = log.bytes.len();
        log.bytes.extend([reason as u8, u8::from(head.flags & BINARY_KEY != 0)]);
        log.bytes.extend(head.namespace.to_le_bytes());
        log.bytes.extend((head.key_len as u16).to_le_bytes());
        let key = pieces(shard, head, head.key_at(), head.key_len, |offset, len| {
            shard.region.append_to(offset, len, &mut log.bytes);
        });
        if key.is_err() {
            log.bytes.truncate(start);
        }
    });
}

/// Forgets the notes of a lock that ended by a panic: the thread's next lock may belong to another segment.
pub(crate) fn forget() {
    LOG.with_borrow_mut(|log| {
        log.bytes.clear();
        log.lost = 0;
    });
}

/// Returns the removals noted since the last call, and the number of those that did not fit.
pub(crate) fn take() -> (Vec<Removal>, u64) {
    LOG.with_borrow_mut(|log| {
        let mut entries = Vec::new();
        let mut rest = log.bytes.as_slice();
        while let [reason, binary, n0, n1, l0, l1, after @ ..] = rest {
            let (key, next) = after.split_at(usize::from(u16::from_le_bytes([*l0, *l1])).min(after.len()));
            entries.push(Removal {
                reason: if *reason == RemovalReason::Evicted as u8 {
                    RemovalReason::Evicted
                } else {
                    RemovalReason::Expired
                },
                namespace: u16::from_le_bytes([*n0, *n1]),
                key: key.to_vec(),
                binary_key: *binary != 0,
            });
            rest = next;
        }
        log.bytes.clear();
        (entries, std::mem::take(&mut log.lost))
    })
}
