//! A segment that this process has joined: its bytes, its header and its slot in the process table.

use crate::atomic::Ordering;
use crate::error::ShmError;
use crate::memory::mapping::{Mapping, Memory};
use crate::memory::region::Region;
use crate::os;
use crate::segment::gate;
use crate::segment::header::Header;
use crate::segment::process_table::Member;
use crate::steps::step;
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
        self.reserve_in(&self.memory, offset, len)
    }

    /// As `reserve`, for bytes that `memory` maps.
    ///
    /// # Errors
    /// As `reserve`.
    pub fn reserve_in(&self, memory: &Memory, offset: usize, len: usize) -> Result<(), ShmError> {
        let Mapping { base, len: mapped, .. } = memory.mapping;
        os::reserve(&self.file, base, mapped, offset, len)
    }

    /// Reserves the whole segment and pins it in memory.
    ///
    /// # Errors
    /// `Permission` where the limit forbids it, `NoSpace`.
    pub fn lock_memory(&self) -> Result<(), ShmError> {
        self.lock_in(&self.memory, 0, self.memory.mapping.len)
    }

    /// As `lock_memory`, for a range of bytes that `memory` maps.
    ///
    /// # Errors
    /// As `lock_memory`.
    pub fn lock_in(&self, memory: &Memory, from: usize, to: usize) -> Result<(), ShmError> {
        self.reserve_in(memory, from, to - from)?;
        let from = from - from % 4096; // whole pages; a larger page makes it the caller's error
        os::lock_memory(memory.mapping.base, from, to)
    }

    /// Checks that this process may resize it: its owner may, and root.
    ///
    /// # Errors
    /// `Permission`.
    pub fn check_ownership(&self) -> Result<(), ShmError> {
        os::check_ownership(&self.file)
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

    /// Maps the file once more, with the length that it has now.
    ///
    /// # Errors
    /// `NoSpace` if the process has no room for it, `Corrupt` if the file was truncated.
    pub fn map(&self) -> Result<Memory, ShmError> {
        let len = self.file_len()?;
        if len < self.memory.mapping.len {
            return Err(ShmError::Corrupt(format!("truncated to {len} bytes")));
        }
        Ok(Memory::new(Mapping::map(&self.file, len)?))
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// The system's own.
    pub fn file_len(&self) -> Result<usize, ShmError> {
        let meta = self.file.metadata().map_err(|e| ShmError::from_io("examine the segment", e))?;
        Ok(meta.len() as usize)
    }

    /// Makes the file at least this long.
    ///
    /// # Errors
    /// `NoSpace` where a limit forbids it.
    pub fn lengthen(&self, len: usize) -> Result<(), ShmError> {
        if self.file_len()? < len {
            os::check_file_size(len)?;
            self.file.set_len(len as u64).map_err(|e| ShmError::from_io("lengthen the segment", e))?;
            step("resize.lengthened");
        }
        // The file may be longer than the header says, but not shorter.
        self.region.u64(Header::LEN).fetch_max(len as u64, Ordering::Relaxed);
        step("resize.noted");
        Ok(())
    }

    /// Gives whole pages back to the system, in the order of their offsets. They are zero afterwards. No process may
    /// depend on these bytes.
    ///
    /// # Errors
    /// `Unsupported` where the file system cannot.
    pub fn release(&self, from: usize, to: usize) -> Result<(), ShmError> {
        os::release(&self.file, from, to)
    }

    /// Whether the name still means this segment, and the file is not shorter than it was.
    pub fn is_still_named(&self) -> bool {
        os::is_at(&self.path, &self.file)
            && self.file.metadata().is_ok_and(|m| m.len() >= self.memory.mapping.len as u64)
    }

    pub(crate) fn leave_gate(&self) -> Result<(), ShmError> {
        gate::leave(&self.file)
    }
}
