//! Mapped memory.

use crate::error::ShmError;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// Maps a file shared.
pub(crate) fn map(file: &File, len: usize) -> Result<NonNull<u8>, ShmError> {
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return Err(ShmError::os("map the segment"));
    }
    NonNull::new(address.cast()).ok_or_else(|| ShmError::Corrupt("mapped at address 0".into()))
}

/// # Safety
/// The range came from `map` and is no longer used.
pub(crate) unsafe fn unmap(base: NonNull<u8>, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { libc::munmap(base.as_ptr().cast(), len) };
}

/// Maps private zero pages over a range. Safe to call in a signal handler.
///
/// # Safety
/// This process mapped the range, and its users expect arbitrary bytes.
pub(crate) unsafe fn overlay_with_zeros(base: *mut u8, len: usize) -> bool {
    // SAFETY: promised by the caller.
    let address = unsafe {
        libc::mmap(
            base.cast(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            // Not reserved, so no system limit can make it fail.
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    address != libc::MAP_FAILED
}

/// Pins a range in memory.
pub(crate) fn lock_memory(base: NonNull<u8>, from: usize, to: usize) -> Result<(), ShmError> {
    let start = base.as_ptr().wrapping_add(from).cast();
    // SAFETY: mlock reads nothing and writes nothing; a wrong range is an error.
    if unsafe { libc::mlock(start, to - from) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // ENOMEM: over RLIMIT_MEMLOCK.
        Some(libc::EPERM | libc::ENOMEM | libc::EAGAIN) => Err(ShmError::Permission(format!("pin in memory: {error}"))),
        _ => Err(ShmError::from_io("pin in memory", error)),
    }
}

/// Asks the kernel for all missing pages of `bytes` in one call instead of one fault each: filling fresh memory takes half the
/// time. The contents stay. Where the kernel cannot (before Linux 5.14), the faults come one by one.
pub fn populate(bytes: &mut [u8]) {
    let page = page_size();
    let skipped = bytes.as_ptr().align_offset(page);
    let Some(len) = bytes.len().checked_sub(skipped).map(|left| left / page * page).filter(|len| *len > 0) else {
        return;
    };
    let pages = bytes[skipped..].as_mut_ptr();
    // SAFETY: whole pages inside of `bytes`; their contents do not change.
    unsafe { libc::madvise(pages.cast(), len, libc::MADV_POPULATE_WRITE) };
}

pub(super) fn page_size() -> usize {
    // SAFETY: a plain call.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // Every known system reports its page size.
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_given_its_pages_keeps_what_is_in_it() {
        let mut bytes: Vec<u8> = (0..100_000).map(|i| i as u8).collect();
        for range in [0..100_000, 1..99_999, 10..20, 4096..8192, 5000..5000] {
            populate(&mut bytes[range]);
        }
        assert!(bytes.iter().enumerate().all(|(i, byte)| *byte == i as u8));
    }
}
