//! Segments from outside: list, inspect, destroy.

use crate::cache::{Stats, stats_of};
use crate::error::CacheError;
use crate::geometry::{Eviction, Geometry, LAYOUT_VERSION};
use crate::regions;
use crate::shard::{Field, ShardView};
use cache_machine_shm::lock;
use cache_machine_shm::{BootClock, Header, Place, Segment, SegmentFile, ShmError, list_segments};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A segment as seen without joining it.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// The user's name for it.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Bytes.
    pub size: usize,
    /// Layout version of its file name.
    pub layout: u32,
    /// What is inside, if this build can read it.
    pub contents: Option<Contents>,
    /// Attached processes: slot, pid, milliseconds since they attached.
    pub processes: Vec<(u16, u32, u64)>,
}

/// What is inside a segment of this layout.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Milliseconds since it was made.
    pub age_ms: u64,
    /// How room is made.
    pub eviction: Eviction,
    /// Largest entry.
    pub max_entry: usize,
    /// Number of shards.
    pub shards: usize,
    /// Counts of the shards.
    pub stats: Stats,
}

pub(crate) fn place_of(directory: Option<&Path>) -> Place {
    directory.map_or(Place::Posix, |path| Place::Directory(path.to_owned()))
}

pub(crate) fn segment_file(name: &str, directory: Option<&Path>) -> Result<SegmentFile, CacheError> {
    file_in(directory, name, LAYOUT_VERSION)
}

pub(crate) fn file_in(directory: Option<&Path>, name: &str, layout: u32) -> Result<SegmentFile, CacheError> {
    // One directory, one path: the registry of attachments goes by it.
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

/// This user's segments of a place, of any layout, in the order of their names; regions are listed by themselves.
pub fn list(directory: Option<&Path>) -> Vec<SegmentInfo> {
    let place = place_of(directory);
    let mut found: Vec<_> = list_segments(&place)
        .into_iter()
        .filter(|(_, name)| !regions::is_region(name))
        .filter_map(|(layout, name)| look(&SegmentFile::new(place.clone(), &name, layout), layout).ok())
        .collect();
    found.sort_by(|a, b| (&a.name, a.layout).cmp(&(&b.name, b.layout)));
    found
}

/// The segment of this name and layout.
///
/// # Errors
/// `Permission`, `Corrupt` (too short for a header).
pub fn inspect(name: &str, directory: Option<&Path>) -> Result<Option<SegmentInfo>, CacheError> {
    match look(&segment_file(name, directory)?, LAYOUT_VERSION) {
        Ok(info) => Ok(Some(info)),
        Err(ShmError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn look(file: &SegmentFile, layout: u32) -> Result<SegmentInfo, ShmError> {
    let readable = file.check(Geometry::identity()).is_ok();
    file.inspect(|region, probe, _| {
        let now = BootClock::new().now_ms();
        let processes = Geometry::table()
            .living(region, probe, None)
            .into_iter()
            .map(|(slot, pid, since)| (slot, pid, now.saturating_sub(since)))
            .collect();
        let contents = readable.then(|| Geometry::load(region).ok()).flatten().map(|geometry| Contents {
            age_ms: now.saturating_sub(Header::of(region).created_ms()),
            eviction: geometry.eviction,
            max_entry: geometry.max_entry,
            shards: geometry.shards,
            stats: stats_of(region, &geometry),
        });
        SegmentInfo {
            name: file.name().to_owned(),
            path: file.path().to_owned(),
            size: region.len(),
            layout,
            contents,
            processes,
        }
    })
}

/// Destroys a segment. False if there is none. Handles that are attached notice and leave it.
///
/// # Errors
/// `InUse` while processes are attached, unless `force`; `Busy` where a stopped process holds a lock of it.
pub fn destroy(name: &str, directory: Option<&Path>, force: bool) -> Result<bool, CacheError> {
    Ok(segment_file(name, directory)?.destroy(Geometry::identity(), force, &through_locks)?)
}

/// Passes once through every lock of a destroyed segment: afterwards no writer is inside that does not know.
pub(crate) fn through_locks(segment: &Segment) -> Result<(), ShmError> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let region = segment.region();
    let Ok(geometry) = Geometry::load(region) else {
        return Ok(());
    };
    let deadline = Instant::now() + PATIENCE;
    for index in 0..geometry.shards {
        let word = ShardView { region, geometry: &geometry, index }.field(Field::Lock);
        let mut patience = || Instant::now() >= deadline;
        if lock::lock(word, segment.member(), &mut patience).is_err() {
            return Err(ShmError::Busy(format!("shard {index} is held by a process that is stopped")));
        }
        // A suspect stays one: nobody will read this shard again.
        lock::abandon(word, segment.member());
    }
    Ok(())
}
