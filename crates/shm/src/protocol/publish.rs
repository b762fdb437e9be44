//! How an entry becomes visible and how it is read: the index word is a sequence lock over its entry.
//!
//! Writers hold the shard's lock and never change a published entry. A word that is the same before and after a copy
//! therefore names an entry that was whole throughout. Each store raises the word's generation (its upper half).
//!
//! Caution: a reader that loaded the old word may still copy units that are being reused. So the writer puts a release fence
//! between the store that unpublished them and the first byte that it writes.

use crate::atomic::{AtomicU64, Ordering, fence};

/// Call it under the lock, before the first byte is written into reused units.
#[inline]
pub fn before_reuse() {
    // Release: pairs with the Acquire fence in `recheck`. A reader that sees one of the new bytes also sees that the old
    // word has changed, and discards its copy.
    // mutant: no-fence-before-reuse
    fence(Ordering::Release);
}

/// Keeps the stores of this thread before it in front of those after it, for a process that goes on where this one dies. A death
/// is like a signal: it comes between two instructions, so only the compiler could reorder them.
#[inline(always)]
pub fn in_program_order() {
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// Commits: `word` names the entry at `low` from now on. Returns the word as stored.
#[inline]
pub fn publish(word: &AtomicU64, low: u32) -> u64 {
    let generation = (word.load(Ordering::Relaxed) >> 32) as u32; // Relaxed: only lock holders store
    // mutant: no-word-generation
    let new = (u64::from(generation.wrapping_add(1)) << 32) | u64::from(low);
    // Release: pairs with the Acquire load in `read`, so a reader that sees the word sees the whole entry.
    word.store(new, Ordering::Release);
    new
}

/// The word changed while `copy` ran; its result may not be used.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Changed;

/// Runs `copy` on the entry that `word` names. Returns a whole result, or `Changed`.
#[inline]
pub fn read<R>(word: &AtomicU64, copy: impl FnOnce(u64) -> R) -> Result<R, Changed> {
    // Acquire: pairs with the Release store in `publish`.
    let before = word.load(Ordering::Acquire);
    let seen = copy(before);
    recheck(word, before)?;
    Ok(seen)
}

/// The second half of `read`, for callers that loaded the word (with Acquire) themselves.
#[inline]
pub fn recheck(word: &AtomicU64, before: u64) -> Result<(), Changed> {
    // Acquire: pairs with the Release fence in `before_reuse`; keeps the copy's loads before the load below.
    // mutant: no-fence-before-recheck
    fence(Ordering::Acquire);
    // mutant: no-recheck-after-copy
    if word.load(Ordering::Relaxed) == before { Ok(()) } else { Err(Changed) }
}
