//! The keys that this thread's changes evicted or expired, noted under a shard's lock and told after it.
//!
//! Nothing here allocates under the lock: the buffer is made before it is taken, and what does not fit is counted.
//!
//! The thing to get wrong: telling too early. A listener may use the cache, so it hears of it when no lock is held.

use crate::entry::{BINARY_KEY, Head, pieces};
use crate::shard::ShardView;
use std::cell::RefCell;

/// Why an entry went without the user's asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// For room.
    Evicted,
    /// Its time was up.
    Expired,
}

/// An entry that went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GoneEntry {
    /// Why.
    pub reason: Reason,
    /// Number of its namespace.
    pub namespace: u16,
    /// Its key.
    pub key: Vec<u8>,
    /// The key was given as bytes.
    pub binary_key: bool,
}

/// Keys noted under one lock.
const LOG_BYTES: usize = 64 << 10;

#[derive(Default)]
struct Log {
    /// Reason u8 · binary u8 · namespace u16 · length u16 · key, for each.
    bytes: Vec<u8>,
    lost: u64,
}

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
}

/// Makes room for notes. Before the lock is taken.
pub(crate) fn prepare() {
    LOG.with_borrow_mut(|log| log.bytes.reserve(LOG_BYTES));
}

/// Notes the key of `head`. Under the lock.
pub(crate) fn note(shard: ShardView<'_>, head: &Head, reason: Reason) {
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

/// Forgets what was noted under a lock that a panic left: the thread's next lock may be one of another segment.
pub(crate) fn forget() {
    LOG.with_borrow_mut(|log| {
        log.bytes.clear();
        log.lost = 0;
    });
}

/// What was noted since the last call, and how many did not fit.
pub(crate) fn take() -> (Vec<GoneEntry>, u64) {
    LOG.with_borrow_mut(|log| {
        let mut entries = Vec::new();
        let mut rest = log.bytes.as_slice();
        while let [reason, binary, n0, n1, l0, l1, after @ ..] = rest {
            let (key, next) = after.split_at(usize::from(u16::from_le_bytes([*l0, *l1])).min(after.len()));
            entries.push(GoneEntry {
                reason: if *reason == Reason::Evicted as u8 { Reason::Evicted } else { Reason::Expired },
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
