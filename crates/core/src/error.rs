//! Errors of cache operations. Each variant has a stable number and code, which TypeScript shares.

use cache_machine_shm::ShmError;
use thiserror::Error;

/// A failed operation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// An argument is invalid.
    #[error("{0}")]
    InvalidArgument(String),
    /// The key is longer than 8 KiB.
    #[error("the key has {0} bytes, at most 8192 are allowed")]
    KeyTooLong(usize),
    /// Key and value together exceed the segment's largest entry.
    #[error("the entry needs {needed} bytes, the segment takes {limit} at most (maxEntrySize)")]
    ValueTooLarge {
        /// Bytes of key and value.
        needed: usize,
        /// The segment's `maxEntrySize`.
        limit: usize,
    },
    /// The message is too long for a ring.
    #[error("the message needs {needed} bytes with its channel, the segment takes {limit} at most")]
    MessageTooLarge {
        /// Bytes of the message in the ring.
        needed: usize,
        /// Maximum number of bytes.
        limit: usize,
    },
    /// An increment of a value that is not a number.
    #[error("the value is not a number")]
    NotANumber,
    /// The entry is of another kind than the call is for: a value, or another collection.
    #[error("the entry is of another kind")]
    WrongType,
    /// The result of an increment is not finite or exceeds 2^53 - 1.
    #[error("the result is not a finite number of at most 2^53 - 1")]
    Overflow,
    /// The file system has no room, and no entry could be evicted.
    #[error("no space: {0}")]
    NoSpace(String),
    /// The process may not use the file, or a limit forbids it.
    #[error("{0}")]
    Permission(String),
    /// The segment or region has other properties than the caller asked for.
    #[error("{0}")]
    Mismatch(String),
    /// Another layout version created the segment.
    #[error("the segment has layout {found}, this version reads {expected}")]
    Version {
        /// Layout found.
        found: u32,
        /// Layout of this build.
        expected: u32,
    },
    /// The segment contradicts itself.
    #[error("damaged segment: {0}")]
    Corrupt(String),
    /// There is no such segment, or no such namespace in it, and the call may create none.
    #[error("{0}")]
    NoSegment(String),
    /// Live processes are attached.
    #[error("{0} processes are attached")]
    InUse(usize),
    /// A holder is suspended (SIGSTOP), or slower than `writeTimeout`.
    #[error("{0}")]
    Busy(String),
    /// A resize has put the entries elsewhere: the call is repeated there. No call of a handle returns it.
    #[error("the segment was resized")]
    Moved,
    /// The segment was destroyed or lost under this handle: open it again.
    #[error("the segment was destroyed or replaced")]
    Detached,
}

impl CacheError {
    /// The number that `codeOfStatus` in `lib/errors.ts` maps to a code.
    pub fn status(&self) -> i32 {
        match self {
            Self::InvalidArgument(_) => 1,
            Self::KeyTooLong(_) => 3,
            Self::ValueTooLarge { .. } | Self::MessageTooLarge { .. } => 4,
            Self::NotANumber => 5,
            Self::Overflow => 6,
            Self::NoSpace(_) => 8,
            Self::Permission(_) => 9,
            Self::Mismatch(_) => 10,
            Self::Version { .. } => 11,
            Self::Corrupt(_) => 12,
            Self::InUse(_) => 13,
            Self::Busy(_) => 14,
            Self::NoSegment(_) => 21,
            Self::WrongType => 27,
            // As `Detached`, should it ever escape: the handle then opens the segment again.
            Self::Moved | Self::Detached => 100,
        }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidArgument(_) => "ERR_INVALID_ARGUMENT",
            Self::KeyTooLong(_) => "ERR_KEY_TOO_LONG",
            Self::ValueTooLarge { .. } | Self::MessageTooLarge { .. } => "ERR_VALUE_TOO_LARGE",
            Self::NotANumber => "ERR_NOT_A_NUMBER",
            Self::WrongType => "ERR_WRONG_TYPE",
            Self::Overflow => "ERR_OVERFLOW",
            Self::NoSpace(_) => "ERR_NO_SPACE",
            Self::Permission(_) => "ERR_PERMISSION",
            Self::Mismatch(_) => "ERR_SEGMENT_MISMATCH",
            Self::Version { .. } => "ERR_SEGMENT_VERSION",
            Self::Corrupt(_) => "ERR_SEGMENT_CORRUPT",
            Self::InUse(_) => "ERR_SEGMENT_IN_USE",
            Self::Busy(_) => "ERR_BUSY",
            Self::NoSegment(_) => "ERR_NO_SEGMENT",
            Self::Moved | Self::Detached => "ERR_DETACHED",
        }
    }
}

impl From<ShmError> for CacheError {
    fn from(error: ShmError) -> Self {
        let text = error.to_string();
        match error {
            ShmError::Permission(_) => Self::Permission(text),
            ShmError::NoSpace(text) => Self::NoSpace(text),
            ShmError::NoSlot(_) => Self::NoSpace(text),
            ShmError::Version { found, expected } => Self::Version { found, expected },
            ShmError::Corrupt(text) => Self::Corrupt(text),
            ShmError::Busy(_) => Self::Busy(text),
            ShmError::InUse(count) => Self::InUse(count),
            _ => Self::InvalidArgument(text),
        }
    }
}
