//! The tail of a ring buffer. One writer at a time appends; any number of readers copy without a lock. The tail says how far
//! the ring is reserved, and how far it is published.
//!
//! ```text
//! writer                                     reader
//! move `reserved` past the message           load `state`
//! release fence                              copy up to where it ends
//! write the message's words                  acquire fence
//! store `state`                              load `reserved`: what is a ring's length behind it is void
//! ```
//!
//! Writers hold the shard's lock. `state` says in one word where the messages end and how many there were.
//!
//! Caution: only `reserved` tells whether a copy is valid. It moves before words are overwritten; `state` moves afterwards.

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::steps::step;

/// Reserves the words up to `end` for the writer. A reader that copied one of them afterwards will notice.
#[inline]
pub fn reserve(reserved: &AtomicU64, end: u64) {
    reserved.store(end, Ordering::Relaxed); // ordered by the fence
    step("ring.reserved");
    // Release: pairs with the Acquire fence in `reserved_after`. A reader that copied a word written later sees `reserved`.
    fence(Ordering::Release);
}

/// Publishes all words before the end of the messages that `new` states.
#[inline]
pub fn publish(state: &AtomicU64, new: u64) {
    // Release: pairs with the Acquire in `look`, so a reader that sees the state sees whole messages, and the floor of a reset.
    state.store(new, Ordering::Release);
}

/// The state, and the reserved end, which is at or behind the state's end.
#[inline]
pub fn look(state: &AtomicU64, reserved: &AtomicU64) -> (u64, u64) {
    // Acquire: pairs with the Release in `publish`, so that the messages, `reserved` and the floor are at least as new.
    let seen = state.load(Ordering::Acquire);
    // Acquire: keeps a second load of the state behind it.
    (seen, reserved.load(Ordering::Acquire))
}

/// The reserved end at the time when the copied words were loaded, or later.
#[inline]
pub fn reserved_after(reserved: &AtomicU64) -> u64 {
    // Acquire: pairs with the Release fence in `reserve`; keeps the copy's loads before the load below.
    fence(Ordering::Acquire);
    reserved.load(Ordering::Relaxed)
}
