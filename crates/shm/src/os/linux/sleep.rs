//! Waiting for a word of shared memory to change.

use crate::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` holds `expected`, at most `limit`. It may return early; the caller checks again.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let timeout = libc::timespec {
        tv_sec: limit.as_secs().min(i64::MAX as u64 / 2) as _, // `libc::time_t` is deprecated on musl
        tv_nsec: limit.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the word is valid memory; not FUTEX_PRIVATE, since the word is shared between processes.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            std::ptr::from_ref(&timeout),
            std::ptr::null::<u32>(),
            0,
        )
    };
}

/// Wakes up to `count` sleepers on `word`, in any process.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: as for `futex_wait`.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count, 0, 0, 0) };
}
