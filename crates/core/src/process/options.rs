//! Options of an open, and its result.

use crate::layout::geometry::Eviction;
use crate::names::{Group, Location};
use std::path::PathBuf;
use std::time::Duration;

/// Options of `Cache::open`.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Name of the cache: 1 to 64 of `[A-Za-z0-9._-]`.
    pub name: String,
    /// Directory of the segment's file; `None`: POSIX shared memory.
    pub directory: Option<PathBuf>,
    /// Group of the processes that share the segment; `None`: those of the effective user.
    pub group: Option<Group>,
    /// Version of the application, which has values of its own: 1 to 32 of `[A-Za-z0-9._-]`; `None`: the values without a
    /// version.
    pub version: Option<String>,
    /// Size of the whole segment in bytes, if the call creates it.
    pub size: usize,
    /// Maximum size of key and value together in bytes, if the call creates the segment; default a quarter of a shard.
    pub max_entry: Option<usize>,
    /// Eviction policy, if the call creates the segment.
    pub eviction: Eviction,
    /// Whether to pin the segment in memory.
    pub lock_memory: bool,
    /// Maximum wait for a shard that a living process holds.
    pub write_timeout: Duration,
    /// Maximum wait for another process or thread that opens or destroys the segment, at most 2 seconds; 0: none.
    pub open_timeout: Duration,
    /// Whether the call may create the segment. If not, it also removes no file, creates no namespace, and starts no sweeper:
    /// a process sweeps as soon as one of its opens may create.
    pub create: bool,
    /// Tests only: gives a new segment a clock that stands still until `advance_clock` moves it.
    pub manual_clock: bool,
}

impl OpenOptions {
    /// For unit tests: a segment of 2 MiB with a clock that stands still.
    #[cfg(test)]
    pub(crate) fn of_test(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            directory: None,
            group: None,
            version: None,
            size: 2 << 20,
            max_entry: None,
            eviction: Eviction::S3Fifo,
            lock_memory: false,
            write_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(2),
            create: true,
            manual_clock: true,
        }
    }

    pub(crate) fn location(&self) -> Location<'_> {
        Location { directory: self.directory.as_deref(), group: self.group.as_ref() }
    }
}

/// The result of an open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// The call created it.
    Created,
    /// It existed.
    Attached,
}
