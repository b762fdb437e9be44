//! Which segments there are, and the removal of what no process uses any more.

use crate::os::{self, Hold, Sharing};
use crate::segment::file::SegmentFile;
use crate::segment::gate::Pass;
use crate::segment::header::{CREATOR, Header};
use crate::segment::opened::OpenedFile;
use crate::segment::place::{Place, entries};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Names of the segments of this user or of a group in a place, with their layout version, in order.
pub fn list_segments(place: &Place, sharing: Sharing) -> Vec<(u32, String)> {
    let mut found: Vec<_> =
        entries(place, sharing).into_iter().filter(|e| e.private.is_none()).map(|e| (e.layout, e.name)).collect();
    found.sort();
    found
}

/// Whether a segment, of any layout, has items that must outlive its processes.
fn keeps_items(file: &File) -> bool {
    let mut kept = [0; 8];
    // A file that is too short for a header is no segment.
    file.read_exact_at(&mut kept, Header::KEPT as u64).is_ok() && kept != [0; 8]
}

/// Removes files that no process uses: private files of dead creators, and segments of this name with an older layout that
/// keep no items.
pub fn remove_unused(file: &SegmentFile) {
    for entry in entries(&file.place, file.sharing) {
        let older = entry.name == file.name && entry.layout < file.layout;
        if entry.private.is_none() && !older {
            continue;
        }
        let path = file.place.directory().join(&entry.file_name);
        let opened = OpenedFile::open(&path, file.sharing).or_else(|error| match entry.private {
            // Its creator died before it gave the file to the group.
            Some(_) => OpenedFile::open(&path, Sharing::User),
            None => Err(error),
        });
        let Ok(opened) = opened else {
            continue;
        };
        let is_taken = match entry.private {
            Some(_) => os::try_hold(&opened.file, Hold::Exclusive, CREATOR).unwrap_or(false),
            None => [Pass::Destroy, Pass::AloneInside].iter().all(|pass| pass.try_take(&opened.file).unwrap_or(false)),
        };
        if older && keeps_items(&opened.file) {
            continue;
        }
        let alone = is_taken && opened.attached().is_ok_and(|n| n == 0) && os::is_at(&path, &opened.file);
        if alone {
            let _ = std::fs::remove_file(&path);
        }
    }
}
