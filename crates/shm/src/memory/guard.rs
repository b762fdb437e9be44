//! Survives the truncation of a mapped segment.
//!
//! An access to a page past the end of its file is a fault. `repair` then maps private zero pages over the segment's range and
//! marks the segment lost.
//!
//! Caution: `repair` runs in a signal handler, which may neither lock nor allocate. It uses atomics and mmap only.

use crate::os;
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Ranges of one block.
const RANGES: usize = 256;

struct Guarded {
    /// 0: the slot is free. Written last when taken, first when freed.
    base: AtomicUsize,
    len: AtomicUsize,
    lost: AtomicBool,
    taken: AtomicBool,
}

/// Ranges, and the next block. The list only grows, since the handler may be anywhere in it.
struct Block {
    ranges: [Guarded; RANGES],
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Self {
        let free = [const {
            Guarded {
                base: AtomicUsize::new(0),
                len: AtomicUsize::new(0),
                lost: AtomicBool::new(false),
                taken: AtomicBool::new(false),
            }
        }; RANGES];
        Self { ranges: free, next: AtomicPtr::new(std::ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Block> {
        // Acquire: pairs with the AcqRel in `grow`.
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: null, or a leaked block, which is never freed.
        unsafe { next.as_ref() }
    }

    #[cold]
    fn grow(&self) -> &'static Block {
        let new = Box::into_raw(Box::new(Self::new()));
        // AcqRel: pairs with the Acquire in `next`; a thread that sees the block sees its ranges free.
        match self.next.compare_exchange(std::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: made above, and never freed from here on.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: made above, and no other thread has seen it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: another thread was quicker; its block is never freed.
                unsafe { &*other }
            }
        }
    }
}

static FIRST: Block = Block::new();

fn blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::successors(Some(&FIRST), |block| block.next())
}

fn take_free() -> &'static Guarded {
    let mut block = &FIRST;
    loop {
        // AcqRel: pairs with the Release in `drop`, so each range has one owner.
        if let Some(guarded) = block.ranges.iter().find(|g| !g.taken.swap(true, Ordering::AcqRel)) {
            return guarded;
        }
        block = block.next().unwrap_or_else(|| block.grow());
    }
}

static INSTALL: Once = Once::new();

/// A guarded range. Dropping it ends the guard.
pub(crate) struct Guard {
    range: &'static Guarded,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("lost", &self.is_lost()).finish()
    }
}

impl Guard {
    /// Guards a mapping of this process.
    pub(crate) fn new(base: NonNull<u8>, len: usize) -> Self {
        // mutant: no-sigbus-handler
        INSTALL.call_once(|| os::on_lost_memory(repair));
        let range = take_free();
        range.lost.store(false, Ordering::Relaxed);
        range.len.store(len, Ordering::Relaxed);
        // Release: pairs with the Acquire in `repair`, which then sees this length.
        range.base.store(base.as_ptr() as usize, Ordering::Release);
        Self { range }
    }

    /// Whether zeros have replaced the range.
    pub(crate) fn is_lost(&self) -> bool {
        self.range.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.range.base.store(0, Ordering::Relaxed);
        // Release: pairs with the swap in `take_free`.
        self.range.taken.store(false, Ordering::Release);
    }
}

/// Whether the address is in a guarded range, which then has zeros.
fn repair(address: usize) -> bool {
    for guarded in blocks().flat_map(|block| &block.ranges) {
        // Acquire: pairs with the Release in `Guard::new`.
        let base = guarded.base.load(Ordering::Acquire);
        // Acquire: keeps the second load of the base behind it. Another base means another guard's length.
        let len = guarded.len.load(Ordering::Acquire);
        if base != 0 && base == guarded.base.load(Ordering::Relaxed) && (base..base + len).contains(&address) {
            // Before the overlay: another thread may write into the zeros at once and must not take them for the segment.
            guarded.lost.store(true, Ordering::SeqCst);
            // SAFETY: this process mapped the range and uses it only as atomics, which may have any value.
            if unsafe { os::overlay_with_zeros(base as *mut u8, len) } {
                return true;
            }
        }
    }
    false
}
