//! Bytes of a file, reserved ahead of their use.

use super::memory::page_size;
use crate::error::ShmError;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;

/// Checks that this process may create a file of this length. Beyond its limit the system would send a signal.
pub(crate) fn check_file_size(len: usize) -> Result<(), ShmError> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to be written.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    if result == 0 && limit.rlim_cur < len as libc::rlim_t {
        let limit = limit.rlim_cur;
        return Err(ShmError::NoSpace(format!("files of this process may have {limit} bytes (ulimit -f)")));
    }
    Ok(())
}

/// Reserves bytes of a file that is mapped at `base`, all of its `mapped` bytes, so that touching them later cannot fail.
///
/// It reserves whole pages, since pages are touched as a whole: where blocks are smaller, the rest of a page could fail later, by
/// a signal. On a disk each page is also faulted in: a full ext4 may need one more block for reserved bytes, and reports that by
/// a signal or, here, by an error.
pub(crate) fn reserve(
    file: &File,
    base: NonNull<u8>,
    mapped: usize,
    offset: usize,
    len: usize,
) -> Result<(), ShmError> {
    let page = page_size();
    let start = offset - offset % page;
    let end = (offset + len).next_multiple_of(page).min(mapped.max(offset + len));
    allocate(file, start, end - start)?;
    // mutant: full-disk-believed
    if is_in_memory(file) {
        return Ok(());
    }
    let pages = base.as_ptr().wrapping_add(start).cast();
    // SAFETY: the contents of a range stay as they are, whatever the range is.
    if unsafe { libc::madvise(pages, end - start, libc::MADV_POPULATE_WRITE) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // A fault would have raised SIGBUS.
        Some(libc::EFAULT) => Err(ShmError::NoSpace("the file system has no room for what it has promised".into())),
        // Unknown before Linux 5.14; or interrupted, or without memory for page tables: the fault itself may still succeed.
        _ => Ok(()),
    }
}

fn allocate(file: &File, offset: usize, len: usize) -> Result<(), ShmError> {
    loop {
        // SAFETY: the descriptor is open for as long as `file` is borrowed.
        let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, offset as i64, len as i64) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => continue,
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => {
                return Err(ShmError::Unsupported("the file system cannot reserve space (fallocate)".into()));
            }
            _ => return Err(ShmError::from_io("reserve space", error)),
        }
    }
}

/// Bytes that are given back in one call.
const RELEASED_AT_ONCE: usize = 256 << 10;

/// Gives the whole pages between two offsets of a file back to the system, in the order of their offsets.
pub(crate) fn release(file: &File, from: usize, to: usize) -> Result<(), ShmError> {
    let page = page_size();
    let (mut start, end) = (from.next_multiple_of(page), to - to % page);
    while start < end {
        let len = RELEASED_AT_ONCE.min(end - start);
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: the descriptor is open for as long as `file` is borrowed.
        if unsafe { libc::fallocate(file.as_raw_fd(), mode, start as i64, len as i64) } != 0 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => {
                    let text = "the file system cannot give space back (FALLOC_FL_PUNCH_HOLE), so it has no resize";
                    return Err(ShmError::Unsupported(text.into()));
                }
                _ => return Err(ShmError::from_io("give space back", error)),
            }
        }
        start += len;
    }
    Ok(())
}

/// Faults pages of a mapping in. They must be reserved. It is a hint: a system that does not know it does nothing.
pub(crate) fn populate_mapped(base: NonNull<u8>, mapped: usize, offset: usize, len: usize) {
    let page = page_size();
    let (start, end) = (offset - offset % page, (offset + len).next_multiple_of(page).min(mapped));
    if start < end {
        let pages = base.as_ptr().wrapping_add(start).cast();
        // SAFETY: the contents of a range stay as they are, whatever the range is.
        unsafe { libc::madvise(pages, end - start, libc::MADV_POPULATE_WRITE) };
    }
}

/// Whether the file exists in memory only, as POSIX shared memory does.
fn is_in_memory(file: &File) -> bool {
    // SAFETY: all zeros is a valid `statfs`.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `found` is valid memory to be written, and the descriptor open.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), &mut found) };
    // The type differs between systems, the number does not.
    result == 0 && found.f_type as u64 == libc::TMPFS_MAGIC as u64
}

/// Bytes that the file system has allocated for a file; 0 if the system does not say.
pub fn allocated_bytes(file: &File) -> u64 {
    const BLOCK: u64 = 512; // of `stat`, on every file system
    file.metadata().map_or(0, |meta| meta.blocks() * BLOCK)
}
