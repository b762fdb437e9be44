//! The ownership of a process slot: each owner raises the slot's generation before it uses any lock.
//!
//! ```text
//! new owner                              process that finds a lock word of the slot
//! has the lease: the last owner is dead  load the word
//! store the next generation              load the generation: another one, and the word's owner is dead
//! take locks by words that carry it      ask for the lease: free, and the word's owner is dead
//! ```
//!
//! Caution: a process that sees a lock word must also see the generation that its owner stored before, or it would rob a living
//! process. So taking a lock also releases, and loading its word acquires.

use crate::atomic::{AtomicU32, Ordering};
use crate::protocol::lock::{GENERATION_MAX, Owner};

/// Makes the caller, which holds the lease, the slot's owner. Returns the new generation.
pub fn enter(generation: &AtomicU32) -> u32 {
    let mine = next_generation(generation.load(Ordering::Relaxed)); // only holders of the lease store
    // Release: pairs with the Acquire in `is_dead`. From here on, the last owner's locks have a dead owner. A process that sees
    // the new generation sees the last owner's writes, which the lease ordered.
    generation.store(mine, Ordering::Release);
    mine
}

/// Whether the owner that a lock word names is dead. `generation` is that of the owner's slot, which is not the caller's.
pub fn is_dead(generation: &AtomicU32, owner: Owner, is_leased: impl FnOnce() -> bool) -> bool {
    // Acquire: pairs with the Release in `enter`.
    // mutant: dead-owner-alive
    // mutant: old-generation-alive
    generation.load(Ordering::Acquire) != owner.generation || !is_leased()
}

/// The state of a slot at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotState {
    /// Generation of its last owner; 0: it never had one.
    pub generation: u32,
    /// Whether its lease is held.
    pub is_leased: bool,
}

/// Whether an owner of a slot may have died between two looks at all slots. A process that has only attached is no death.
pub fn has_death(before: &[SlotState], now: &[SlotState]) -> bool {
    now.iter().enumerate().any(|(slot, now)| {
        let before = before.get(slot).copied().unwrap_or_default();
        let has_attached = !before.is_leased && now.is_leased && now.generation == next_generation(before.generation);
        before != *now && !has_attached
    })
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
