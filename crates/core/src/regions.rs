//! Regions: segments of named raw bytes with one lock, for those who bring a layout of their own.
//!
//! ```text
//! header, with the lock word and the size · process table · the bytes, from a page on
//! ```
//!
//! Promises: the bytes are zeros at first, and reserved, so that touching them never fails; at most one living holder has the
//! lock; who gets it from one that did not finish is told; nobody waits longer than asked, and for a dead holder not at all.
//!
//! The thing to get wrong: the lock word names a process, which is the same for all its threads. So each handle knows whether
//! it holds, and gives up what it holds when it is dropped, as the handles of a thread that ends are.

use crate::cache::{Opened, check_name};
use crate::error::CacheError;
use crate::segments::{file_in, place_of};
use cache_machine_shm::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::lock::{self, Acquired};
use cache_machine_shm::{
    BootClock, HEADER_BYTES, Header, Identity, Memory, PROCESS_SLOTS, ProcessTable, Region, SLOT_BYTES, Segment,
    SegmentFile, ShmError, State, list_segments, remove_unused,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Most bytes of a region: the longest ArrayBuffer of the oldest Node.js that the package supports.
pub const MAX_REGION: usize = 4 << 30;
/// Version of the layout at the head of this file; part of a region's file name.
const LAYOUT: u32 = 1;
/// Between the cache's name and the region's in the file name. No name of a cache has it.
const MARK: char = '@';
const PAGE: usize = 4096;
const TABLE: ProcessTable = ProcessTable::at(HEADER_BYTES);
const BYTES_AT: usize = TABLE.end().next_multiple_of(PAGE);
const LOCK: usize = Header::CACHE;
const SIZE: usize = Header::CACHE + 8;
/// How long `destroy_region` waits for a holder of the lock.
const DESTROY_PATIENCE: Duration = Duration::from_secs(2);

/// How to open a region.
#[derive(Clone, Debug)]
pub struct RegionOptions {
    /// Name of the cache that it belongs to, which need not exist: 1 to 64 of `[A-Za-z0-9._-]`.
    pub cache: String,
    /// Its own name, of the same letters.
    pub name: String,
    /// Keep it as a file here; else it is POSIX shared memory.
    pub directory: Option<PathBuf>,
    /// Bytes, at least 1: exactly those that it has, or is made with.
    pub size: usize,
}

/// A handle. The last one of a process to go gives up the process's slot; the region stays. One that holds the lock when it
/// goes leaves it as one that did not finish.
pub struct SharedRegion {
    attachment: Arc<Attachment>,
    holds: AtomicBool,
}

/// The process's one attachment to a region.
struct Attachment {
    segment: Segment,
    size: usize,
    /// The thread of this process that holds the lock, 0 for none. Relaxed: only the holder writes here, and a thread asks
    /// only whether that is itself.
    holder: AtomicU64,
}

static REGISTRY: Mutex<Option<HashMap<PathBuf, Weak<Attachment>>>> = Mutex::new(None);

impl SharedRegion {
    /// Creates or attaches.
    ///
    /// # Errors
    /// `InvalidArgument`, `Mismatch` for a region of another size, `NoSpace`, `Permission`, `Version`, `Corrupt`, `Busy`.
    pub fn open(options: &RegionOptions) -> Result<(Self, Opened), CacheError> {
        let RegionOptions { cache, name, directory, size } = options;
        check_name(cache)?;
        check_name(name)?;
        if !(1..=MAX_REGION).contains(size) {
            return Err(CacheError::InvalidArgument(format!(
                "a region has 1 to {MAX_REGION} (4gb) bytes; {size} were asked for"
            )));
        }
        let file = region_file(cache, name, directory.as_deref())?;
        let mut registry = REGISTRY.lock().unwrap_or_else(|e| e.into_inner());
        let registry = registry.get_or_insert_with(HashMap::new);
        registry.retain(|_, attachment| attachment.strong_count() > 0);
        if let Some(attachment) = registry.get(file.path()).and_then(Weak::upgrade)
            && attachment.is_attached()
        {
            return Ok((Self::of(attachment, *size)?, Opened::Attached));
        }
        remove_unused(&file);
        let (segment, opened) = attach_or_create(&file, *size)?;
        let size_found = stored_size(segment.region())
            .ok_or_else(|| CacheError::Corrupt("the region's size contradicts its length".into()))?;
        let attachment = Arc::new(Attachment { segment, size: size_found, holder: AtomicU64::new(0) });
        let handle = Self::of(attachment.clone(), *size)?;
        registry.insert(file.path().to_owned(), Arc::downgrade(&attachment));
        Ok((handle, opened))
    }

    fn of(attachment: Arc<Attachment>, wanted: usize) -> Result<Self, CacheError> {
        let found = attachment.size;
        if found != wanted {
            return Err(CacheError::Mismatch(format!("the region exists with {found} bytes instead of {wanted}")));
        }
        Ok(Self { attachment, holds: AtomicBool::new(false) })
    }

    /// Number of its bytes.
    pub fn size(&self) -> usize {
        self.attachment.size
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.attachment.segment.path()
    }

    /// What keeps its bytes mapped, and where they start in it, for those who hand them on.
    pub fn memory(&self) -> (Arc<Memory>, usize) {
        (self.attachment.segment.memory(), BYTES_AT)
    }

    /// The nth 64-bit word of its bytes; `None` past the last whole one.
    pub fn word(&self, n: usize) -> Option<&AtomicU64> {
        let Attachment { segment, size, .. } = &*self.attachment;
        (n < size / 8).then(|| segment.region().u64(BYTES_AT + n * 8))
    }

    /// False once the region was destroyed, truncated or replaced: its bytes are this process's alone, or nobody's.
    pub fn is_attached(&self) -> bool {
        self.attachment.is_attached()
    }

    /// Takes the lock, waiting for a living holder at most `timeout`. `Suspect`: the last holder died, or gave it up without
    /// having finished; so it stays until somebody unlocks it.
    ///
    /// # Errors
    /// `Busy` after the timeout, and at once where this thread holds the lock itself; `Detached`.
    pub fn lock(&self, timeout: Duration) -> Result<Acquired, CacheError> {
        let Attachment { segment, holder, .. } = &*self.attachment;
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
        // Under the lock: `destroy` sets the state before it passes through it.
        if let Err(error) = self.attachment.check() {
            self.abandon().ok();
            return Err(error);
        }
        Ok(acquired)
    }

    /// Whether this thread holds the lock, by whichever handle.
    pub fn is_held_here(&self) -> bool {
        self.attachment.holder.load(Ordering::Relaxed) == this_thread()
    }

    /// Releases the lock, if this handle holds it.
    ///
    /// # Errors
    /// `Detached` if the region was lost meanwhile; it is released all the same.
    pub fn unlock(&self) -> Result<(), CacheError> {
        self.release(lock::unlock)
    }

    /// Releases the lock, if this handle holds it, as one that did not finish.
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
        let Attachment { segment, holder, .. } = &*self.attachment;
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

impl Attachment {
    fn is_attached(&self) -> bool {
        self.check().is_ok() && self.segment.is_still_named()
    }

    /// All but the name, which only system calls can tell.
    fn check(&self) -> Result<(), CacheError> {
        let fine = !self.segment.is_lost() && self.segment.header().state() == State::Ready;
        if fine { Ok(()) } else { Err(CacheError::Detached) }
    }
}

fn attach_or_create(file: &SegmentFile, size: usize) -> Result<(Segment, Opened), CacheError> {
    let mut opened = Opened::Attached;
    loop {
        match file.attach(identity(), &through_lock) {
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

/// Bytes of the segment of a region.
fn len_of(size: usize) -> usize {
    BYTES_AT + size.next_multiple_of(PAGE)
}

/// The size in the header, if the segment is as long as it says.
fn stored_size(region: &Region) -> Option<usize> {
    let size = region.u64(SIZE).load(Ordering::Relaxed);
    (1..=MAX_REGION as u64).contains(&size).then_some(size as usize).filter(|size| len_of(*size) == region.len())
}

fn identity() -> Identity {
    let sizes = [HEADER_BYTES, PROCESS_SLOTS, SLOT_BYTES, LOCK, SIZE, BYTES_AT];
    // Another start than a cache's: one renamed to the other's name is not taken for it.
    let start = cfg!(target_endian = "big") as u64 + 4;
    let fingerprint = sizes.iter().fold(start, |sum, size| sum.wrapping_mul(1_000_003) ^ *size as u64);
    Identity { layout: LAYOUT, fingerprint, table: TABLE }
}

fn region_file(cache: &str, name: &str, directory: Option<&Path>) -> Result<SegmentFile, CacheError> {
    file_in(directory, &format!("{cache}{MARK}{name}"), LAYOUT)
}

/// Whether a segment of this name is a region.
pub(crate) fn is_region(name: &str) -> bool {
    name.contains(MARK)
}

/// A region as seen without joining it.
#[derive(Clone, Debug)]
pub struct RegionInfo {
    /// Name of the cache that it belongs to.
    pub cache: String,
    /// Its own name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Version of the layout, from its file name.
    pub layout: u32,
    /// Its bytes and age in milliseconds, if this build can read it.
    pub contents: Option<(usize, u64)>,
    /// Attached processes: slot, pid, milliseconds since they attached.
    pub processes: Vec<(u16, u32, u64)>,
}

/// This user's regions of a place, of any layout, in the order of their names.
pub fn list_regions(directory: Option<&Path>) -> Vec<RegionInfo> {
    let place = place_of(directory);
    let mut found: Vec<_> = list_segments(&place)
        .into_iter()
        .filter_map(|(layout, name)| look(&SegmentFile::new(place.clone(), &name, layout), layout).ok().flatten())
        .collect();
    found.sort_by(|a, b| (&a.cache, &a.name, a.layout).cmp(&(&b.cache, &b.name, b.layout)));
    found
}

/// The region of this name.
///
/// # Errors
/// `Permission`, `Corrupt` (too short for a header).
pub fn inspect_region(cache: &str, name: &str, directory: Option<&Path>) -> Result<Option<RegionInfo>, CacheError> {
    match look(&region_file(cache, name, directory)?, LAYOUT) {
        Ok(info) => Ok(info),
        Err(ShmError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `None` for what is no region.
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
            processes: living.into_iter().map(|(slot, pid, at)| (slot, pid, since(at))).collect(),
        })
    })
}

/// Destroys a region. False if there is none. Handles that are attached keep its bytes until they go, and get its lock no more.
///
/// # Errors
/// `InUse` while processes are attached, unless `force`; `Busy` where its lock is held for longer than 2 seconds; then it is
/// lost to its handles, and the next one to open or destroy it finishes.
pub fn destroy_region(cache: &str, name: &str, directory: Option<&Path>, force: bool) -> Result<bool, CacheError> {
    Ok(region_file(cache, name, directory)?.destroy(identity(), force, &through_lock)?)
}

/// Passes once through the lock of a destroyed region: afterwards no holder is inside that does not know.
fn through_lock(segment: &Segment) -> Result<(), ShmError> {
    let deadline = Instant::now() + DESTROY_PATIENCE;
    let mut patience = || Instant::now() >= deadline;
    if lock::lock(word(segment.region()), segment.member(), &mut patience).is_err() {
        return Err(ShmError::Busy("the lock of the region is held by a living process".into()));
    }
    // Whoever comes now sees that the region is destroyed.
    lock::abandon(word(segment.region()), segment.member());
    Ok(())
}

/// A number for the calling thread, never 0.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}
