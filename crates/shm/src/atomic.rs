//! The atomics of the project: the standard ones, or the model checker's under `cfg(cache_machine_loom)`.

#[cfg(not(cache_machine_loom))]
pub use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(cache_machine_loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// A hint that this thread spins.
#[inline]
pub fn spin_loop() {
    #[cfg(not(cache_machine_loom))]
    std::hint::spin_loop();
    #[cfg(cache_machine_loom)]
    loom::thread::yield_now();
}
