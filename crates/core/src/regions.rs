//! Regions: named segments of raw bytes with one lock, for programs with a layout of their own.
//!
//! ```text
//! header, with the lock word and the size · process table · the bytes, from a page on
//! ```
//!
//! Promises: the bytes are zeros at first, and reserved, so an access never fails. At most one living holder has the
//! lock. If a holder did not finish, `lock` tells the next one (`Suspect`). A wait for the lock ends after the timeout
//! at the latest, and there is no wait for a dead holder.
//!
//! Caution: the lock word names a process, not a thread. So each handle notes whether it holds the lock, and gives it
//! up when it is dropped. The end of a thread drops its handles.

use crate::attachment::locks::pass_through;
use crate::error::CacheError;
use crate::names::{Group, Location, MARK, check_name, file_in};
use crate::process::options::Opened;
use crate::process::registry::Registry;
use cache_machine_shm::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::lock::{self, Acquired};
use cache_machine_shm::{
    AttachedProcess, BootClock, HEADER_BYTES, Header, Identity, MAX_GATE_PATIENCE, Memory, PROCESS_SLOTS, ProcessTable,
    Region, SLOT_BYTES, Segment, SegmentFile, ShmError, State, list_segments, remove_unused,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum size of a region in bytes: the longest ArrayBuffer of the oldest Node.js that the package supports.
pub const MAX_REGION: usize = 4 << 30;
/// Version of the layout above; part of a region's file name.
const LAYOUT: u32 = 1;
const PAGE: usize = 4096;
const TABLE: ProcessTable = ProcessTable::at(HEADER_BYTES);
pub(crate) const BYTES_AT: usize = TABLE.end().next_multiple_of(PAGE);
pub(crate) const LOCK: usize = Header::CACHE;
pub(crate) const SIZE: usize = Header::CACHE + 8;
/// Maximum wait of `destroy_region` for a holder of the lock.
const DESTROY_PATIENCE: Duration = Duration::from_secs(2);

/// Options of `SharedRegion::open`.
#[derive(Clone, Debug)]
pub struct RegionOptions {
    /// Name of the region's cache: 1 to 64 of `[A-Za-z0-9._-]`. The cache need not exist.
    pub cache: String,
    /// Name of the region: 1 to 64 of the same characters.
    pub name: String,
    /// Directory of the region's file; `None`: POSIX shared memory.
    pub directory: Option<PathBuf>,
    /// Group of the processes that share the region; `None`: those of the effective user.
    pub group: Option<Group>,
    /// Size in bytes, at least 1. An existing region must have exactly this size.
    pub size: usize,
}

/// A handle. The process gives up its slot when its last handle is dropped; the region stays. The drop of a handle that
/// holds the lock abandons the lock.
pub struct SharedRegion {
    attachment: Arc<RegionAttachment>,
    holds: AtomicBool,
}

/// The process's one attachment to a region.
struct RegionAttachment {
    segment: Segment,
    size: usize,
    /// The thread of this process that holds the lock; 0: none. Relaxed: only the holder writes it, and a thread only
    /// compares it with its own number.
    holder: AtomicU64,
}

static REGISTRY: Registry<RegionAttachment> = Registry::new();

impl SharedRegion {
    /// Creates the region, or attaches to it.
    ///
    /// # Errors
    /// `InvalidArgument`, `Mismatch` for a region of another size, `NoSpace`, `Permission`, `Version`, `Corrupt`,
    /// `Busy`.
    pub fn open(options: &RegionOptions) -> Result<(Self, Opened), CacheError> {
        let RegionOptions { cache, name, directory, group, size } = options;
        check_name(cache)?;
        check_name(name)?;
        if !(1..=MAX_REGION).contains(size) {
            return Err(CacheError::InvalidArgument(format!(
                "a region has 1 to {MAX_REGION} (4gb) bytes; {size} were asked for"
            )));
        }
        let at = Location { directory: directory.as_deref(), group: group.as_ref() };
        let file = region_file(cache, name, at)?;
        let (attachment, opened) = REGISTRY.get_or_open(
            file.path(),
            MAX_GATE_PATIENCE,
            |attachment| attachment.is_attached(),
            || {
                remove_unused(&file);
                let (segment, opened) = attach_or_create(&file, *size)?;
                let size_found = stored_size(segment.region())
                    .ok_or_else(|| CacheError::Corrupt("the region's size contradicts its length".into()))?;
                Ok((RegionAttachment { segment, size: size_found, holder: AtomicU64::new(0) }, opened))
            },
        )?;
        Ok((Self::of(attachment, *size)?, opened))
    }

    fn of(attachment: Arc<RegionAttachment>, wanted: usize) -> Result<Self, CacheError> {
        let found = attachment.size;
        if found != wanted {
            return Err(CacheError::Mismatch(format!("the region exists with {found} bytes instead of {wanted}")));
        }
        Ok(Self { attachment, holds: AtomicBool::new(false) })
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.attachment.size
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.attachment.segment.path()
    }

    /// The memory that keeps the bytes mapped, and their offset in it, for callers that pass the bytes on.
    pub fn memory(&self) -> (Arc<Memory>, usize) {
        (self.attachment.segment.memory(), BYTES_AT)
    }

    /// The nth 64-bit word of its bytes; `None` past the last whole word.
    pub fn word(&self, n: usize) -> Option<&AtomicU64> {
        let RegionAttachment { segment, size, .. } = &*self.attachment;
        (n < size / 8).then(|| segment.region().u64(BYTES_AT + n * 8))
    }

    /// False once the region is destroyed, truncated or replaced. Its bytes are then not shared with new handles any
    /// more, or are lost.
    pub fn is_attached(&self) -> bool {
        self.attachment.is_attached()
    }

    /// Takes the lock, and waits for a living holder at most `timeout`. `Suspect`: the last holder died or abandoned
    /// the lock. The lock stays suspect until a holder unlocks it.
    ///
    /// # Errors
    /// `Busy` after the timeout, or at once if this thread holds the lock itself; `Detached`.
    pub fn lock(&self, timeout: Duration) -> Result<Acquired, CacheError> {
        let RegionAttachment { segment, holder, .. } = &*self.attachment;
        self.attachment.check()?;
        if self.is_held_here() {
            return Err(CacheError::Busy(
                "this thread holds the region's lock already, and would wait for itself".into(),
            ));
        }
        let mut since = None;
        let mut patience = || since.get_or_insert_with(Instant::now).elapsed() >= timeout;
        let Ok(acquired) = lock::lock(word(segment.region()), segment.member(), &mut patience) else {
            let waited = timeout.as_millis();
            return Err(CacheError::Busy(format!("another holder had the region's lock for more than {waited} ms")));
        };
        holder.store(this_thread(), Ordering::Relaxed);
        self.holds.store(true, Ordering::Relaxed);
        // The state is checked under the lock, because `destroy` sets it before it passes through the lock.
        if let Err(error) = self.attachment.check() {
            self.abandon().ok();
            return Err(error);
        }
        Ok(acquired)
    }

    /// Whether this thread holds the lock, with any handle.
    pub fn is_held_here(&self) -> bool {
        self.attachment.holder.load(Ordering::Relaxed) == this_thread()
    }

    /// Releases the lock, if this handle holds it.
    ///
    /// # Errors
    /// `Detached` if the region was lost meanwhile. The call releases the lock all the same.
    pub fn unlock(&self) -> Result<(), CacheError> {
        self.release(lock::unlock)
    }

    /// Releases the lock as suspect, if this handle holds it: the next holder learns that this one did not finish.
    ///
    /// # Errors
    /// As for `unlock`.
    pub fn abandon(&self) -> Result<(), CacheError> {
        self.release(lock::abandon)
    }

    fn release(&self, release: impl FnOnce(&AtomicU32, &cache_machine_shm::Member)) -> Result<(), CacheError> {
        if !self.holds.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let RegionAttachment { segment, holder, .. } = &*self.attachment;
        let state = self.attachment.check();
        holder.store(0, Ordering::Relaxed);
        release(word(segment.region()), segment.member());
        state
    }
}

impl Drop for SharedRegion {
    fn drop(&mut self) {
        self.abandon().ok();
    }
}

impl RegionAttachment {
    fn is_attached(&self) -> bool {
        self.check().is_ok() && self.segment.is_still_named()
    }

    /// Checks everything but the name, since a check of the name takes system calls.
    fn check(&self) -> Result<(), CacheError> {
        let fine = !self.segment.is_lost() && self.segment.header().state() == State::Ready;
        if fine { Ok(()) } else { Err(CacheError::Detached) }
    }
}

fn attach_or_create(file: &SegmentFile, size: usize) -> Result<(Segment, Opened), CacheError> {
    let mut opened = Opened::Attached;
    loop {
        match file.attach(identity(), MAX_GATE_PATIENCE) {
            Ok(segment) => return Ok((segment, opened)),
            Err(ShmError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        let len = len_of(size);
        let init = |region: &Region| region.u64(SIZE).store(size as u64, Ordering::Relaxed);
        if file.create(identity(), len, &[(0, len)], &init)? {
            opened = Opened::Created;
        }
    }
}

fn word(region: &Region) -> &AtomicU32 {
    region.u32(LOCK)
}

/// Size of a region's segment in bytes.
fn len_of(size: usize) -> usize {
    BYTES_AT + size.next_multiple_of(PAGE)
}

/// The size in the header, if it fits the length of the segment.
fn stored_size(region: &Region) -> Option<usize> {
    let size = region.u64(SIZE).load(Ordering::Relaxed);
    (1..=MAX_REGION as u64).contains(&size).then_some(size as usize).filter(|size| len_of(*size) == region.len())
}

fn identity() -> Identity {
    let sizes = [HEADER_BYTES, PROCESS_SLOTS, SLOT_BYTES, LOCK, SIZE, BYTES_AT];
    // The start differs from a cache's, so that a cache's file under a region's name is refused, and the other way
    // round.
    let start = cfg!(target_endian = "big") as u64 + 4;
    let fingerprint = sizes.iter().fold(start, |sum, size| sum.wrapping_mul(1_000_003) ^ *size as u64);
    Identity { layout: LAYOUT, fingerprint, table: TABLE }
}

fn region_file(cache: &str, name: &str, at: Location<'_>) -> Result<SegmentFile, CacheError> {
    file_in(at, &format!("{cache}{MARK}{name}"), LAYOUT)
}

/// A region, as read from outside.
#[derive(Clone, Debug)]
pub struct RegionInfo {
    /// Name of the region's cache.
    pub cache: String,
    /// Name of the region.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Layout version, from its file name.
    pub layout: u32,
    /// Its size in bytes and its age in milliseconds, if this build can read it.
    pub contents: Option<(usize, u64)>,
    /// Attached processes, and milliseconds since they attached.
    pub processes: Vec<(AttachedProcess, u64)>,
}

/// The regions in a place, of any layout, in order of their names.
///
/// # Errors
/// `InvalidArgument` for a group that there is not, `Permission` for one that this process is not in.
pub fn list_regions<'a>(at: impl Into<Location<'a>>) -> Result<Vec<RegionInfo>, CacheError> {
    let at = at.into();
    let (place, sharing) = (at.place(), at.sharing()?);
    let file = |name: &str, layout| SegmentFile::shared(place.clone(), name, layout, sharing);
    let mut found: Vec<_> = list_segments(&place, sharing)
        .into_iter()
        .filter_map(|(layout, name)| look(&file(&name, layout), layout).ok().flatten())
        .collect();
    found.sort_by(|a, b| (&a.cache, &a.name, a.layout).cmp(&(&b.cache, &b.name, b.layout)));
    Ok(found)
}

/// The region of this name.
///
/// # Errors
/// `Permission`, `Corrupt` (too short for a header).
pub fn inspect_region<'a>(
    cache: &str,
    name: &str,
    at: impl Into<Location<'a>>,
) -> Result<Option<RegionInfo>, CacheError> {
    match look(&region_file(cache, name, at.into())?, LAYOUT) {
        Ok(info) => Ok(info),
        Err(ShmError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `None`: the file is not a region.
fn look(file: &SegmentFile, layout: u32) -> Result<Option<RegionInfo>, ShmError> {
    let Some((cache, name)) = file.name().split_once(MARK) else {
        return Ok(None);
    };
    let readable = file.check(identity()).is_ok();
    file.inspect(|region, probe, _| {
        let now = BootClock::new().now_ms();
        let since = |ms: u64| now.saturating_sub(ms);
        let living = TABLE.living(region, probe, None);
        let size = if readable { stored_size(region) } else { None };
        Some(RegionInfo {
            cache: cache.to_owned(),
            name: name.to_owned(),
            path: file.path().to_owned(),
            layout,
            contents: size.map(|size| (size, since(Header::of(region).created_ms()))),
            processes: living.into_iter().map(|process| (process, since(process.attached_ms))).collect(),
        })
    })
}

/// Destroys a region. False if there is none. Its name is free at once. Attached handles keep its bytes until they are
/// dropped, but cannot take its lock any more. The call waits at most 2 seconds for a holder of the lock, and not for one
/// that is suspended.
///
/// # Errors
/// `InUse` while processes are attached, unless `force`; `Busy` if a suspended process is opening or destroying it;
/// `Permission` if another user of the group owns it.
pub fn destroy_region<'a>(
    cache: &str,
    name: &str,
    at: impl Into<Location<'a>>,
    force: bool,
) -> Result<bool, CacheError> {
    Ok(region_file(cache, name, at.into())?.destroy(identity(), force, &through_lock)?)
}

/// Passes once through the lock of a destroyed region. Afterwards no holder that runs is left that has not seen the new
/// state.
fn through_lock(segment: &Segment) {
    pass_through(word(segment.region()), segment, Instant::now() + DESTROY_PATIENCE);
}

/// A number for the calling thread, never 0.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}
