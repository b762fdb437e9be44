//! A segment that this process has joined: its bytes, its header and its slot in the process table.

use crate::error::ShmError;
use crate::memory::mapping::{Mapping, Memory};
use crate::memory::region::Region;
use crate::os;
use crate::segment::gate;
use crate::segment::header::Header;
use crate::segment::process_table::Member;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A joined segment. Dropping it frees the process slot and leaves the segment in place.
#[derive(Debug)]
pub struct Segment {
    // Dropped in this order: the slot is freed while the memory is still mapped.
    pub(crate) member: Member,
    pub(crate) region: Arc<Region>,
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    pub(crate) memory: Arc<Memory>,
}

impl Segment {
    /// Its bytes.
    #[inline]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Its header.
    #[inline]
    pub fn header(&self) -> Header<'_> {
        Header::of(&self.region)
    }

    /// This process's place in it.
    #[inline]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves bytes, so that touching them never raises SIGBUS.
    ///
    /// # Errors
    /// `NoSpace` when the file system is full.
    pub fn reserve(&self, offset: usize, len: usize) -> Result<(), ShmError> {
        let Mapping { base, len: mapped, .. } = self.memory.mapping;
        os::reserve(&self.file, base, mapped, offset, len)
    }

    /// Reserves the whole segment and pins it in memory.
    ///
    /// # Errors
    /// `Permission` where the limit forbids it, `NoSpace`.
    pub fn lock_memory(&self) -> Result<(), ShmError> {
        let Mapping { base, len, .. } = self.memory.mapping;
        os::reserve(&self.file, base, len, 0, len)?;
        os::lock_memory(base, len)
    }

    /// Bytes that the file system has allocated for it; 0 if the system does not say.
    pub fn allocated_bytes(&self) -> u64 {
        os::allocated_bytes(&self.file)
    }

    /// Whether the file was truncated. Its bytes are then no longer shared.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.memory.guard.is_lost()
    }

    /// Its mapped bytes, for code that passes their address on without a known lifetime.
    pub fn memory(&self) -> Arc<Memory> {
        self.memory.clone()
    }

    /// Whether the name still means this segment, and the file is as long as it was.
    pub fn is_still_named(&self) -> bool {
        os::is_at(&self.path, &self.file)
            && self.file.metadata().is_ok_and(|m| m.len() == self.memory.mapping.len as u64)
    }

    pub(crate) fn leave_gate(&self) -> Result<(), ShmError> {
        gate::leave(&self.file)
    }
}
