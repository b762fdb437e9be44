//! The one way an entry becomes visible and the one way it is read: an index word as a sequence lock over its entry.
//!
//! Writers hold the shard's lock and never touch a published entry, so a word that is the same before and after a copy
//! names an entry that was whole throughout. A word's generation (its upper half) grows with every store.
//!
//! The thing to get wrong: bytes of *reused* units. They may still be in the hands of a reader that loaded the old word,
//! so the writer puts a release fence between the store that unpublished them and the first byte that it writes.

use crate::atomic::{AtomicU64, Ordering, fence};

/// To be called under the lock, before the first byte is written into units taken from the free ones.
#[inline]
pub fn before_reuse() {
    // Release: pairs with the Acquire fence in `read`. A reader that sees one of the new bytes also sees that the old
    // word is gone, and throws its copy away.
    fence(Ordering::Release);
}

/// Commits: makes `low` the entry named by `word`. Returns the word as stored.
#[inline]
pub fn publish(word: &AtomicU64, low: u32) -> u64 {
    let generation = (word.load(Ordering::Relaxed) >> 32) as u32; // Relaxed: only lock holders store
    let new = (u64::from(generation.wrapping_add(1)) << 32) | u64::from(low);
    // Release: pairs with the Acquire load in `read`, so whoever sees the word sees the whole entry.
    word.store(new, Ordering::Release);
    new
}

/// The word changed while `copy` ran; nothing that it saw may be used.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Changed;

/// Runs `copy` on the entry that `word` names. Its result is whole, or it is `Changed`.
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
    // Acquire: pairs with the Release fence in `before_reuse`; keeps the copy's loads above the load below.
    fence(Ordering::Acquire);
    if word.load(Ordering::Relaxed) == before { Ok(()) } else { Err(Changed) }
}
