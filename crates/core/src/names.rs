//! Names of caches and regions, and their files.

use crate::error::CacheError;
use crate::layout::geometry::LAYOUT_VERSION;
use cache_machine_shm::{Place, SegmentFile};
use std::path::Path;

/// Separates the cache's name and the region's name in the file name. No name of a cache contains it.
pub(crate) const MARK: char = '@';

pub(crate) fn check_name(name: &str) -> Result<(), CacheError> {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if (1..=64).contains(&name.len()) && name.bytes().all(fine) {
        return Ok(());
    }
    Err(CacheError::InvalidArgument(format!("name is {name:?}; it must be 1 to 64 of A-Z a-z 0-9 . _ -")))
}

/// Whether a segment of this name is a region.
pub(crate) fn is_region(name: &str) -> bool {
    name.contains(MARK)
}

pub(crate) fn place_of(directory: Option<&Path>) -> Place {
    directory.map_or(Place::Posix, |path| Place::Directory(path.to_owned()))
}

pub(crate) fn segment_file(name: &str, directory: Option<&Path>) -> Result<SegmentFile, CacheError> {
    file_in(directory, name, LAYOUT_VERSION)
}

pub(crate) fn file_in(directory: Option<&Path>, name: &str, layout: u32) -> Result<SegmentFile, CacheError> {
    // The registry of attachments needs one path per directory.
    let resolved = directory.map(|path| {
        path.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::PermissionDenied => {
                CacheError::Permission(format!("directory {}: {e}", path.display()))
            }
            _ => CacheError::InvalidArgument(format!("directory {}: {e}", path.display())),
        })
    });
    let resolved = resolved.transpose()?;
    Ok(SegmentFile::new(place_of(resolved.as_deref()), name, layout))
}
