//! The shard lock: a 32-bit futex word. Its owner may die, be suspended or be replaced at any time.
//!
//! ```text
//! word                     meaning                                   next
//! 0                        free                                      take it
//! slot, generation         held by that process                      held | WAITERS, 0, or a taker after its death
//! … | WAITERS              held, and a waiter may sleep on the word  0 (and one is woken), or a taker
//! slot any, generation 0   abandoned by a panic: a *suspect*         a taker, which must rebuild
//! ```
//!
//! Promises: at most one living holder; a dead holder's lock is handed out only as `Suspect`; a living holder, also a
//! suspended one, never loses its lock; a waiter waits at most as long as its patience.
//!
//! Caution: the lease says nothing about the caller's own slot. A word with that slot and another generation belongs to a dead
//! predecessor; with the same generation, another thread of this living process holds it.

use crate::atomic::{AtomicU32, Ordering, spin_loop};
use crate::steps::step;

/// Set while a waiter may sleep on the word.
pub const WAITERS: u32 = 1 << 31;
/// Generations are `1..=GENERATION_MAX`; 0 would let a held word look free.
pub const GENERATION_MAX: u32 = (1 << GENERATION_BITS) - 1;
/// Bits of the generation in a lock word; the slot stands above it.
pub const GENERATION_BITS: u32 = 20;
/// A word that no owner can have: generation 0. A guard that unwinds leaves it, so that the next taker rebuilds.
const SUSPECT: u32 = 1 << GENERATION_BITS;
/// Tries before the word is examined for a dead owner. Most critical sections are shorter than this. Under loom a spinning
/// thread waits until the others are done, which would hide every sleep.
const SPINS: u32 = if cfg!(cache_machine_loom) { 0 } else { 100 };

/// The holder of a lock: a process slot, and the generation of the process in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Process slot, below 2,048.
    pub slot: u16,
    /// `1..=GENERATION_MAX`.
    pub generation: u32,
}

impl Owner {
    /// The lock word of this owner, without waiters.
    #[inline]
    pub fn word(self) -> u32 {
        (u32::from(self.slot) << GENERATION_BITS) | self.generation
    }

    /// The owner that a lock word names.
    pub fn of(word: u32) -> Owner {
        Owner { slot: ((word & !WAITERS) >> GENERATION_BITS) as u16, generation: word & GENERATION_MAX }
    }
}

/// What the lock needs: identity, liveness, sleep and wake-up.
pub trait Parties {
    /// The calling process.
    fn me(&self) -> Owner;
    /// Whether `owner`, a process in *another* slot, is certainly dead.
    fn is_dead(&self, owner: Owner) -> bool;
    /// Sleeps while `word` holds `expected`, a few milliseconds at most; may return early.
    fn sleep(&self, word: &AtomicU32, expected: u32);
    /// Wakes one sleeper on `word`.
    fn wake_one(&self, word: &AtomicU32);
}

/// How the lock was acquired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a suspect lock must be repaired"]
pub enum Acquired {
    /// From a holder that released it: the guarded structures are whole.
    Clean,
    /// From a dead or panicked holder: rebuild the guarded structures before anything else.
    Suspect,
}

/// The holder kept the lock beyond the waiter's patience.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

/// Takes the lock. Before each sleep it calls `patience`; true means give up.
#[inline]
pub fn lock<P: Parties>(word: &AtomicU32, parties: &P, patience: &mut dyn FnMut() -> bool) -> Result<Acquired, Busy> {
    if take(word, 0, parties.me().word()) {
        step("lock.taken");
        return Ok(Acquired::Clean);
    }
    lock_contended(word, parties, patience)
}

/// Takes the lock only if it needs neither a wait nor a repair.
#[inline]
pub fn try_lock<P: Parties>(word: &AtomicU32, parties: &P) -> bool {
    take(word, 0, parties.me().word())
}

#[cold]
fn lock_contended<P: Parties>(
    word: &AtomicU32,
    parties: &P,
    patience: &mut dyn FnMut() -> bool,
) -> Result<Acquired, Busy> {
    let me = parties.me();
    for _ in 0..SPINS {
        if word.load(Ordering::Relaxed) == 0 && try_lock(word, parties) {
            step("lock.taken");
            return Ok(Acquired::Clean);
        }
        spin_loop();
    }
    // A waiter that has slept may not be the only sleeper, so it keeps the bit set when it takes the lock.
    let mut slept = 0;
    loop {
        // Acquire: pairs with the Release in `take`, so a waiter that sees an owner sees its generation, or a later one.
        let seen = word.load(Ordering::Acquire);
        let held = seen & !WAITERS;
        if held == 0 {
            if take(word, seen, me.word() | slept) {
                step("lock.taken");
                return Ok(Acquired::Clean);
            }
            continue;
        }
        if owner_is_gone(held, me, parties) {
            // A dead waiter may have consumed a wake-up, so the bit is set in any case.
            if take(word, seen, me.word() | WAITERS) {
                step("lock.stolen");
                return Ok(Acquired::Suspect);
            }
            continue;
        }
        // A waiter that gives up sets it as well: it may have consumed a wake-up, which this holder must then pass on.
        if seen & WAITERS == 0
            && word.compare_exchange(seen, seen | WAITERS, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            continue;
        }
        if patience() {
            // mutant: suspended-owner-robbed
            return Err(Busy);
        }
        step("lock.waiting");
        parties.sleep(word, held | WAITERS);
        slept = WAITERS;
    }
}

#[inline]
fn take(word: &AtomicU32, seen: u32, new: u32) -> bool {
    // Acquire: pairs with the Release swap in `release`, so the taker sees all writes of the last holder; after a death, the
    // kernel's release of the lease orders the rest. Release: pairs with the Acquire load in `lock_contended`.
    word.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

fn owner_is_gone<P: Parties>(held: u32, me: Owner, parties: &P) -> bool {
    let owner = Owner::of(held);
    if owner.generation == 0 {
        return true; // SUSPECT, or a word that no process can own
    }
    if owner.slot == me.slot {
        // mutant: thread-robs-thread
        return owner.generation != me.generation;
    }
    parties.is_dead(owner)
}

/// Releases the lock and wakes a waiter if there may be one.
#[inline]
pub fn unlock<P: Parties>(word: &AtomicU32, parties: &P) {
    release(word, 0, parties);
}

/// Releases the lock as a suspect: the next taker must rebuild. For a holder that cannot finish its change.
#[cold]
pub fn abandon<P: Parties>(word: &AtomicU32, parties: &P) {
    release(word, SUSPECT, parties);
}

#[inline]
fn release<P: Parties>(word: &AtomicU32, new: u32, parties: &P) {
    // Release: pairs with the Acquire exchanges in `lock` and `take`.
    let before = word.swap(new, Ordering::Release);
    step("lock.released");
    if before & WAITERS != 0 {
        // mutant: unlock-wakes-none
        parties.wake_one(word);
    }
}
