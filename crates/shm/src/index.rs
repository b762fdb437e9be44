//! How far a search in an index must go while others add keys and divide it: a level, which says in what line a key begins,
//! and for each line a count of the keys that found it full and are further along their path.
//!
//! ```text
//! writer that divides                        reader
//! copy the words, raise counts of new lines  load the level
//! store the level                            look along the path, as far as the counts say
//! empty the words, lower counts of old lines load the level: if it has grown, look again
//! ```
//!
//! Writers hold the shard's lock. A count is raised before its key is published, and lowered after the key has gone.
//!
//! The thing to get wrong: what a miss has seen. An emptied word, or a count that was lowered, by a division must make the reader
//! see the level too, or a key that was there all the time is missed; so both are stored with a release and loaded with an acquire.

use crate::atomic::{AtomicU8, Ordering};

/// A count at its limit: it cannot be counted down any more.
pub const SATURATED: u8 = u8::MAX;

/// The level. It only grows.
#[inline]
pub fn level(word: &AtomicU8) -> u8 {
    // Acquire: pairs with the Release in `divided`, so that whoever sees the level sees the lines that it adds.
    word.load(Ordering::Acquire)
}

/// Commits a division: from now on keys are looked for by this level.
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

/// Counts a key that goes past a line, before it is published. False: nothing was to be done.
#[inline]
pub fn raise(count: &AtomicU8) -> bool {
    let now = count.load(Ordering::Relaxed); // only lock holders store
    if now != SATURATED {
        count.store(now + 1, Ordering::Release); // as in `lower`
    }
    now != SATURATED
}

/// Counts a key no longer that went past a line. False: nothing was to be done.
#[inline]
pub fn lower(count: &AtomicU8) -> bool {
    let now = count.load(Ordering::Relaxed); // only lock holders store
    let is_counted = now != SATURATED && now != 0;
    if is_counted {
        // Release: pairs with the Acquire in `goes_on`. Whoever goes no further sees the level by which the key is found.
        count.store(now - 1, Ordering::Release);
    }
    is_counted
}

/// Searches by `look`, which takes a level, again for each time that the index was divided meanwhile.
#[inline(always)]
pub fn search<R>(level: impl Fn() -> u32, mut look: impl FnMut(u32) -> Option<R>) -> Option<R> {
    let mut by = level();
    loop {
        let found = look(by);
        if found.is_some() {
            return found;
        }
        // A level only grows; one that does not is somebody's scribble, and nobody is to follow it for ever.
        let now = level();
        if now <= by {
            return None;
        }
        by = now;
    }
}
