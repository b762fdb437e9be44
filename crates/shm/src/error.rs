//! What can go wrong with a segment, from the caller's point of view.

use thiserror::Error;

/// A failure of a segment operation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShmError {
    /// There is no segment of that name.
    #[error("no such segment")]
    NotFound,
    /// The file is not ours to use: another owner or mode, a link, or not a plain file.
    #[error("not permitted: {0}")]
    Permission(String),
    /// The file system has no room for the bytes that must be reserved.
    #[error("no space: {0}")]
    NoSpace(String),
    /// The segment was made by another layout version.
    #[error("the segment has layout {found}, this version reads {expected}")]
    Version {
        /// Layout found in the header.
        found: u32,
        /// Layout of this build.
        expected: u32,
    },
    /// The header or length contradicts itself.
    #[error("damaged segment: {0}")]
    Corrupt(String),
    /// Somebody holds the gate or a lock for longer than we wait.
    #[error("busy: {0}")]
    Busy(String),
    /// Live processes are attached.
    #[error("in use by {0} processes")]
    InUse(usize),
    /// All process slots are taken.
    #[error("all {0} process slots are taken")]
    NoSlot(usize),
    /// The file system lacks something that the segment relies on.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// Any other failure of the operating system.
    #[error("{what}: {source}")]
    Os {
        /// What was attempted.
        what: &'static str,
        /// The system's own error.
        source: std::io::Error,
    },
}

impl ShmError {
    pub(crate) fn os(what: &'static str) -> Self {
        Self::from_io(what, std::io::Error::last_os_error())
    }

    pub(crate) fn from_io(what: &'static str, source: std::io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOENT) => Self::NotFound,
            // A link, a directory, a socket: what cannot be opened as a plain file.
            Some(libc::EACCES | libc::EPERM | libc::ELOOP | libc::EISDIR | libc::ENXIO) => {
                Self::Permission(format!("{what}: {source}"))
            }
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
                Self::NoSpace(format!("{what}: {source}"))
            }
            _ => Self::Os { what, source },
        }
    }
}
