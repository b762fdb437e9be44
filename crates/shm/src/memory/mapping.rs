//! The mapped bytes of a segment: mapped by the `shared_memory` crate or by `os::map`, and guarded against truncation.

use crate::error::ShmError;
use crate::memory::guard::Guard;
use crate::memory::region::Region;
use crate::os;
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::fs::File;
use std::path::Path;
use std::ptr::NonNull;

/// The mapped bytes of a segment, guarded against truncation. They stay mapped until the last reference is dropped, which may
/// be after the segment itself.
#[derive(Debug)]
pub struct Memory {
    // Dropped in this order: the guard ends while the range is still mapped.
    pub(crate) guard: Guard,
    region: Region,
    pub(crate) mapping: Mapping,
}

impl Memory {
    pub(crate) fn new(mapping: Mapping) -> Self {
        Self { guard: Guard::new(mapping.base, mapping.len), region: mapping.region(), mapping }
    }

    /// Its bytes.
    #[inline(always)]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Whether zeros have replaced the bytes, because the file does not have them any more.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.guard.is_lost()
    }

    /// Asks the system for the pages of these bytes, so that touching them takes no time later. They must be reserved.
    pub fn populate(&self, offset: usize, len: usize) {
        os::populate_mapped(self.mapping.base, self.mapping.len, offset, len);
    }

    /// The address of `len` bytes from `offset`; `None` unless all of them are inside. Code that uses the address keeps the
    /// memory alive and expects the bytes to change at any time.
    pub fn at(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.mapping.len);
        // SAFETY: in bounds, so the pointer arithmetic stays inside the mapping.
        fits.then(|| unsafe { self.mapping.base.add(offset) })
    }
}

#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) base: NonNull<u8>,
    pub(crate) len: usize,
    made_by: MadeBy,
}

enum MadeBy {
    /// Kept only because it unmaps on drop: all access goes through `Region`.
    Crate(#[expect(dead_code, reason = "unmaps on drop")] Shmem),
    Us,
}

impl std::fmt::Debug for MadeBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, MadeBy::Us) { "Us" } else { "Crate" })
    }
}

// SAFETY: the crate's handle is a pointer, a length and a descriptor, none bound to a thread; its only use is its drop.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method of the crate's handle is called after construction.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn create_posix(path: &Path, len: usize) -> Result<Self, ShmError> {
        Self::of_crate(ShmemConf::new().os_id(os_id(path)).size(len).create(), len)
    }

    pub(crate) fn open_posix(path: &Path, len: usize) -> Result<Self, ShmError> {
        Self::of_crate(ShmemConf::new().os_id(os_id(path)).size(len).open(), len)
    }

    fn of_crate(shmem: Result<Shmem, ShmemError>, len: usize) -> Result<Self, ShmError> {
        let mut shmem = shmem.map_err(|e| match e {
            ShmemError::MapCreateFailed(code) | ShmemError::MapOpenFailed(code) | ShmemError::UnknownOsError(code) => {
                ShmError::from_io("map the segment", std::io::Error::from_raw_os_error(code as i32))
            }
            other => ShmError::Unsupported(other.to_string()),
        })?;
        // At once: an owner unlinks the name on drop, even if the name means another file by then.
        shmem.set_owner(false);
        let base = NonNull::new(shmem.as_ptr()).ok_or_else(|| ShmError::Corrupt("mapped at address 0".into()))?;
        // A resize may have made the file longer meanwhile.
        if shmem.len() < len {
            return Err(ShmError::Corrupt(format!("{} bytes mapped, {len} expected", shmem.len())));
        }
        let len = shmem.len();
        Ok(Self { base, len, made_by: MadeBy::Crate(shmem) })
    }

    pub(crate) fn map(file: &File, len: usize) -> Result<Self, ShmError> {
        Ok(Self { base: os::map(file, len)?, len, made_by: MadeBy::Us })
    }

    pub(crate) fn region(&self) -> Region {
        // SAFETY: mapped read-write and page-aligned; every user of the region lives no longer than the mapping, which
        // `Segment` drops last; all access goes through the region's atomics.
        unsafe { Region::new(self.base, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if matches!(self.made_by, MadeBy::Us) {
            // SAFETY: `map` mapped it; no region uses it any more, since `Segment` drops it last.
            unsafe { os::unmap(self.base, self.len) };
        }
    }
}

fn os_id(path: &Path) -> String {
    format!("/{}", path.file_name().unwrap_or_default().to_string_lossy())
}
