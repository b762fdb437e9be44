//! Segments from outside: list, inspect, destroy. None of these opens a segment for use.

use crate::attachment::locks::through_locks;
use crate::error::CacheError;
use crate::layout::geometry::{Eviction, Geometry, LAYOUT_VERSION};
use crate::names::{Location, is_region, segment_file};
use crate::stats::{Stats, stats_of};
use cache_machine_shm::{AttachedProcess, BootClock, Header, SegmentFile, ShmError, allocated_bytes, list_segments};
use std::path::PathBuf;

/// A segment, as read from outside.
#[derive(Clone, Debug)]
pub struct SegmentInfo {
    /// Name of the cache.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: usize,
    /// Layout version, from its file name.
    pub layout: u32,
    /// Its contents, if this build can read them.
    pub contents: Option<Contents>,
    /// Attached processes, and milliseconds since they attached.
    pub processes: Vec<(AttachedProcess, u64)>,
}

/// The contents of a segment of this layout.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Milliseconds since its creation.
    pub age_ms: u64,
    /// Eviction policy.
    pub eviction: Eviction,
    /// Maximum size of an entry.
    pub max_entry: usize,
    /// Number of shards.
    pub shards: usize,
    /// Counts of the shards.
    pub stats: Stats,
}

/// The segments in a place, of any layout, in order of their names. `list_regions` lists the regions.
///
/// # Errors
/// `InvalidArgument` for a group that there is not, `Permission` for one that this process is not in.
pub fn list<'a>(at: impl Into<Location<'a>>) -> Result<Vec<SegmentInfo>, CacheError> {
    let at = at.into();
    let (place, sharing) = (at.place(), at.sharing()?);
    let file = |name: &str, layout| SegmentFile::shared(place.clone(), name, layout, sharing);
    let mut found: Vec<_> = list_segments(&place, sharing)
        .into_iter()
        .filter(|(_, name)| !is_region(name))
        .filter_map(|(layout, name)| info_of(&file(&name, layout), layout).ok())
        .collect();
    found.sort_by(|a, b| (&a.name, a.layout).cmp(&(&b.name, b.layout)));
    Ok(found)
}

/// The segment of this name and layout.
///
/// # Errors
/// `Permission`, `Corrupt` (too short for a header).
pub fn inspect<'a>(name: &str, at: impl Into<Location<'a>>) -> Result<Option<SegmentInfo>, CacheError> {
    match info_of(&segment_file(name, at.into())?, LAYOUT_VERSION) {
        Ok(info) => Ok(Some(info)),
        Err(ShmError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn info_of(file: &SegmentFile, layout: u32) -> Result<SegmentInfo, ShmError> {
    let readable = file.check(Geometry::identity()).is_ok();
    file.inspect(|region, probe, _| {
        let now = BootClock::new().now_ms();
        let processes = Geometry::table()
            .living(region, probe, None)
            .into_iter()
            .map(|process| (process, now.saturating_sub(process.attached_ms)))
            .collect();
        let geometry = readable.then(|| Geometry::load(region).ok()).flatten();
        // The file is longer than the segment once it was resized.
        let size = geometry.as_ref().map_or(region.len(), |geometry| geometry.len);
        let contents = geometry.map(|geometry| Contents {
            age_ms: now.saturating_sub(Header::of(region).created_ms()),
            eviction: geometry.eviction,
            max_entry: geometry.max_entry,
            shards: geometry.shards,
            stats: stats_of(region, &geometry, allocated_bytes(probe)),
        });
        SegmentInfo { name: file.name().to_owned(), path: file.path().to_owned(), size, layout, contents, processes }
    })
}

/// Destroys a segment. False if there is none. Its name is free at once, and attached handles detect it and fail with
/// `Detached`. The call waits at most 2 seconds for changes that are under way, and not for processes that are suspended.
///
/// # Errors
/// `InUse` while processes are attached, unless `force`; `Busy` if a suspended process (SIGSTOP) is opening or destroying
/// it; `Permission` if another user of the group owns it.
pub fn destroy<'a>(name: &str, at: impl Into<Location<'a>>, force: bool) -> Result<bool, CacheError> {
    Ok(segment_file(name, at.into())?.destroy(Geometry::identity(), force, &through_locks)?)
}
