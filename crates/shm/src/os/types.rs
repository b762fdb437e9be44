//! The types of the interface in `mod.rs`.

/// A byte range lock that belongs to an open file description: it ends with the description, or with the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    Shared,
    Exclusive,
    None,
}

/// The processes that share a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Sharing {
    /// Those of the effective user of this process.
    #[default]
    User,
    /// Those of a group, by its id.
    Group(u32),
}

/// What the system says of a process.
pub(crate) struct ProcessStatus {
    /// Stopped by a signal or by a debugger.
    pub(crate) is_suspended: bool,
    /// When it started, in units that are the same for every process of this boot.
    pub(crate) started: u64,
}

/// What an error of the system means for a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// There is no such file.
    Missing,
    /// The system refuses access, or the name does not lead to a plain file.
    Refused,
    /// No bytes, memory or descriptors are left.
    NoSpace,
    Other,
}
