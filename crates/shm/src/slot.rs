//! Whose a process slot is: a generation that each owner moves on before it uses any lock.
//!
//! ```text
//! new owner                              who meets a lock word of the slot
//! has the lease: the last owner is dead  load the word
//! store the next generation              load the generation: another one, and the word's owner is dead
//! take locks by words that carry it      ask for the lease: free, and the word's owner is dead
//! ```
//!
//! The thing to get wrong: which of two words is seen first. Whoever sees a lock word must see the generation that its owner
//! stored before, or it robs a living process; so taking a lock releases as well, and looking at its word acquires.

use crate::atomic::{AtomicU32, Ordering};
use crate::lock::{GENERATION_MAX, Owner};

/// Makes the slot the caller's, who holds its lease. Returns its generation.
pub fn enter(generation: &AtomicU32) -> u32 {
    let mine = next_generation(generation.load(Ordering::Relaxed)); // only holders of the lease store
    // Release: pairs with the Acquire in `is_dead`. From here on all that the last owner held has a dead owner, and whoever
    // sees that sees what it wrote: it came with the lease.
    generation.store(mine, Ordering::Release);
    mine
}

/// Whether the owner that a lock word names is dead; `generation` is that of its slot, which is not the caller's.
pub fn is_dead(generation: &AtomicU32, owner: Owner, is_leased: impl FnOnce() -> bool) -> bool {
    // Acquire: pairs with the Release in `enter`.
    generation.load(Ordering::Acquire) != owner.generation || !is_leased()
}

/// Never 0, so that no held word looks free.
fn next_generation(generation: u32) -> u32 {
    (generation % GENERATION_MAX) + 1
}

#[cfg(all(test, not(cache_machine_loom)))]
mod tests {
    use super::*;

    #[test]
    fn generations_grow_and_wrap_past_zero() {
        assert_eq!(next_generation(0), 1);
        assert_eq!(next_generation(GENERATION_MAX - 1), GENERATION_MAX);
        assert_eq!(next_generation(GENERATION_MAX), 1);
        assert_ne!(next_generation(u32::MAX), 0);
    }
}
