//! Where segments live and how their files are named.

use crate::os::{self, Sharing};
use std::path::{Path, PathBuf};

/// Where segments live.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// POSIX shared memory.
    Posix,
    /// Files in a directory, in memory or on disk.
    Directory(PathBuf),
}

impl Place {
    pub(crate) fn directory(&self) -> &Path {
        match self {
            Place::Posix => Path::new(os::SHARED_MEMORY),
            Place::Directory(path) => path,
        }
    }
}

/// A name of a group's segment begins differently from one of a user's, whatever the numbers are.
pub(crate) fn file_name(layout: u32, sharing: Sharing, name: &str) -> String {
    format!("cache-machine.{layout}.{}.{name}", label(sharing))
}

fn label(sharing: Sharing) -> String {
    match sharing {
        Sharing::User => os::effective_uid().to_string(),
        Sharing::Group(gid) => format!("g{gid}"),
    }
}

/// A file name of this user or of a group, in its parts.
pub(crate) struct FileName {
    pub(crate) file_name: String,
    pub(crate) layout: u32,
    pub(crate) name: String,
    pub(crate) private: Option<String>,
}

pub(crate) fn entries(place: &Place, sharing: Sharing) -> Vec<FileName> {
    let Ok(directory) = std::fs::read_dir(place.directory()) else {
        return Vec::new();
    };
    let label = label(sharing);
    directory.flatten().filter_map(|e| parse(&e.file_name().into_string().ok()?, &label)).collect()
}

fn parse(file_name: &str, label: &str) -> Option<FileName> {
    let (layout, rest) = file_name.strip_prefix("cache-machine.")?.split_once('.')?;
    let (found, name) = rest.split_once('.')?;
    (found == label).then_some(())?;
    let (name, private) = match name.split_once('~') {
        Some((name, private)) => (name, Some(private.to_owned())),
        None => (name, None),
    };
    Some(FileName { file_name: file_name.to_owned(), layout: layout.parse().ok()?, name: name.to_owned(), private })
}
