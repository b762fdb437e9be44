//! The tail of a ring that one writer at a time appends to and everybody copies from without a lock: how far it is reserved,
//! and how far it is published.
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
//! The thing to get wrong: which word the copy is judged by. `state` moves after the words have been overwritten; `reserved`
//! moves before.

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::steps::step;

/// Makes the words up to `end` the writer's own: whoever copied one that is written from now on will see it.
#[inline]
pub fn reserve(reserved: &AtomicU64, end: u64) {
    reserved.store(end, Ordering::Relaxed); // ordered by the fence
    step("ring.reserved");
    // Release: pairs with the Acquire fence in `reserved_after`. A reader that copied one of the words to come sees `reserved`.
    fence(Ordering::Release);
}

/// Publishes all words before where `new` says that the messages end.
#[inline]
pub fn publish(state: &AtomicU64, new: u64) {
    // Release: pairs with the Acquire in `look`, so whoever sees the state sees whole messages, and the floor of a reset.
    state.store(new, Ordering::Release);
}

/// The state, and what is reserved: the state's end, or later.
#[inline]
pub fn look(state: &AtomicU64, reserved: &AtomicU64) -> (u64, u64) {
    // Acquire: pairs with the Release in `publish`, so that the messages, `reserved` and the floor are seen as they were, or later.
    let seen = state.load(Ordering::Acquire);
    // Acquire: keeps a second load of the state behind it.
    (seen, reserved.load(Ordering::Acquire))
}

/// How far was reserved when the words copied so far were loaded, or later.
#[inline]
pub fn reserved_after(reserved: &AtomicU64) -> u64 {
    // Acquire: pairs with the Release fence in `reserve`; keeps the copy's loads above the load below.
    fence(Ordering::Acquire);
    reserved.load(Ordering::Relaxed)
}
