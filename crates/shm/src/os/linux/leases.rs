//! Byte range locks of an open file description.

use crate::os::types::Hold;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Tries to take (or drop) a lock on `len` bytes; false if another description holds one of them.
pub(crate) fn try_hold_range(file: &File, hold: Hold, offset: i64, len: i64) -> io::Result<bool> {
    match ofd_lock(file, libc::F_OFD_SETLK, hold, offset, len) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Start and length of a lock of another description that is in the way of this one. Length 0: to the end of all files.
pub(crate) fn lock_in_the_way(file: &File, hold: Hold, offset: i64, len: i64) -> io::Result<Option<(i64, i64)>> {
    let found = ofd_lock(file, libc::F_OFD_GETLK, hold, offset, len)?;
    Ok((found.l_type != libc::F_UNLCK as libc::c_short).then_some((found.l_start, found.l_len)))
}

fn ofd_lock(file: &File, command: libc::c_int, hold: Hold, offset: i64, len: i64) -> io::Result<libc::flock> {
    // SAFETY: all zeros is a valid `flock`.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = match hold {
        Hold::Shared => libc::F_RDLCK,
        Hold::Exclusive => libc::F_WRLCK,
        Hold::None => libc::F_UNLCK,
    } as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_start = offset;
    request.l_len = len;
    // SAFETY: the descriptor is open for as long as `file` is borrowed; `request` is a valid flock.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(request) }
}
