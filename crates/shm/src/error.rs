//! What can go wrong with a segment, from the caller's point of view.

use crate::os::{self, Trouble};
use thiserror::Error;

/// A failure of a segment operation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShmError {
    /// There is no segment of that name.
    #[error("no such segment")]
    NotFound,
    /// The file may not be used: another owner or mode, a link, or not a plain file.
    #[error("not permitted: {0}")]
    Permission(String),
    /// The file system has no room for the bytes that must be reserved.
    #[error("no space: {0}")]
    NoSpace(String),
    /// Another layout version made the segment.
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
    /// Another process holds the gate or a lock for longer than the maximum wait.
    #[error("busy: {0}")]
    Busy(String),
    /// Living processes are attached.
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
        match os::trouble_of(&source) {
            Trouble::Missing => Self::NotFound,
            Trouble::Refused => Self::Permission(format!("{what}: {source}")),
            Trouble::NoSpace => Self::NoSpace(format!("{what}: {source}")),
            Trouble::Other => Self::Os { what, source },
        }
    }
}
