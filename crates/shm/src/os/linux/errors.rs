//! Errors of the system.

use crate::os::types::Trouble;
use std::io;

/// What an error means for a segment.
pub(crate) fn trouble_of(error: &io::Error) -> Trouble {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Trouble::Missing,
        // A link, a directory or a socket cannot be opened as a plain file.
        Some(libc::EACCES | libc::EPERM | libc::ELOOP | libc::EISDIR | libc::ENXIO) => Trouble::Refused,
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
            Trouble::NoSpace
        }
        _ => Trouble::Other,
    }
}
