//! Names of caches and regions, the processes that share them, and their files.

use crate::error::CacheError;
use crate::layout::geometry::LAYOUT_VERSION;
use cache_machine_shm::{Place, SegmentFile, Sharing, group_id, is_in_group};
use std::path::Path;

/// Separates the cache's name and the region's name in the file name. No name of a cache contains it.
pub(crate) const MARK: char = '@';

/// A group of users.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Group {
    /// By its id.
    Id(u32),
    /// By its name in the database of the system.
    Name(String),
}

/// Where segments are, and which processes share them. A folder alone stands for those of this user in it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Location<'a> {
    /// The folder of the files; `None`: POSIX shared memory.
    pub directory: Option<&'a Path>,
    /// The group of the processes; `None`: those of the effective user.
    pub group: Option<&'a Group>,
}

impl<'a> From<Option<&'a Path>> for Location<'a> {
    fn from(directory: Option<&'a Path>) -> Self {
        Self { directory, group: None }
    }
}

impl Location<'_> {
    /// The processes that share. Only a process of the group may ask for it.
    pub(crate) fn sharing(&self) -> Result<Sharing, CacheError> {
        let gid = match self.group {
            None => return Ok(Sharing::User),
            Some(Group::Id(gid)) => *gid,
            Some(Group::Name(name)) => group_id(name)
                .map_err(|e| CacheError::InvalidArgument(format!("the group {name:?} cannot be looked up: {e}")))?
                .ok_or_else(|| CacheError::InvalidArgument(format!("there is no group {name:?}")))?,
        };
        // mutant: foreign-groups-join
        if is_in_group(gid) {
            return Ok(Sharing::Group(gid));
        }
        let named = if let Some(Group::Name(name)) = self.group { format!(" ({name})") } else { String::new() };
        Err(CacheError::Permission(format!("this process is not in the group {gid}{named}")))
    }

    /// The place, without a check of the directory.
    pub(crate) fn place(&self) -> Place {
        self.directory.map_or(Place::Posix, |path| Place::Directory(path.to_owned()))
    }
}

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

pub(crate) fn segment_file(name: &str, at: Location<'_>) -> Result<SegmentFile, CacheError> {
    file_in(at, name, LAYOUT_VERSION)
}

pub(crate) fn file_in(at: Location<'_>, name: &str, layout: u32) -> Result<SegmentFile, CacheError> {
    let sharing = at.sharing()?;
    // The registry of attachments needs one path per directory.
    let resolved = at.directory.map(|path| {
        path.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::PermissionDenied => {
                CacheError::Permission(format!("directory {}: {e}", path.display()))
            }
            _ => CacheError::InvalidArgument(format!("directory {}: {e}", path.display())),
        })
    });
    let resolved = resolved.transpose()?;
    let place = Location { directory: resolved.as_deref(), ..at }.place();
    Ok(SegmentFile::shared(place, name, layout, sharing))
}
