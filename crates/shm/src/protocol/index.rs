//! How far a search must go while writers add keys and divide the index. A level says in which line a key's path begins. Each
//! line counts the keys that found it full and lie further along their paths.
//!
//! ```text
//! writer that divides                        reader
//! copy the words, raise counts of new lines  load the level
//! store the level                            search along the path, as far as the counts say
//! empty the words, lower counts of old lines load the level: if it has grown, search again
//! ```
//!
//! Writers hold the shard's lock. A count is raised before its key is published and lowered after the key is removed.
//!
//! Caution: a reader that sees a word emptied or a count lowered by a division must also see the new level, or it misses a key
//! that was present all the time. So both are stored with a release and loaded with an acquire.

use crate::atomic::{AtomicU8, Ordering};

/// A count at its maximum. It is never lowered again.
pub const SATURATED: u8 = u8::MAX;

/// The level. It only grows.
#[inline]
pub fn level(word: &AtomicU8) -> u8 {
    // Acquire: pairs with the Release in `divided`, so that a search that sees the level sees the lines that it adds.
    word.load(Ordering::Acquire)
}

/// Commits a division: from now on, searches use this level.
pub fn divided(word: &AtomicU8, level: u8) {
    // Release: pairs with the Acquire in `level`.
    word.store(level, Ordering::Release);
}

/// Whether a search must go past a line.
#[inline]
pub fn goes_on(count: &AtomicU8) -> bool {
    // Acquire: pairs with the Release in `lower`.
    count.load(Ordering::Acquire) != 0
}

/// Counts a key that lies past a line, before it is published. False: the count did not change.
#[inline]
pub fn raise(count: &AtomicU8) -> bool {
    let now = count.load(Ordering::Relaxed); // only lock holders store
    if now != SATURATED {
        count.store(now + 1, Ordering::Release); // as in `lower`
    }
    now != SATURATED
}

/// Stops counting a key that lay past a line. False: the count did not change.
#[inline]
pub fn lower(count: &AtomicU8) -> bool {
    let now = count.load(Ordering::Relaxed); // only lock holders store
    let is_counted = now != SATURATED && now != 0;
    if is_counted {
        // Release: pairs with the Acquire in `goes_on`. A search that stops here sees the level by which the key is found.
        count.store(now - 1, Ordering::Release);
    }
    is_counted
}

/// Searches by `look`, which takes a level. Repeats the search each time that the index was divided meanwhile.
#[inline(always)]
pub fn search<R>(level: impl Fn() -> u32, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
    let mut by = level();
    loop {
        let found = look(by);
        if found.is_some() {
            return found;
        }
        // A level only grows. One that does not is damage, and must not cause an endless loop.
        let now = level();
        // mutant: miss-ignores-division
        if now <= by {
            return None;
        }
        by = now;
    }
}
