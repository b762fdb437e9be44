//! The process's attachment to an area of a segment: the mapping, its geometry, its clock, and the gate that tells whether
//! the segment and the area are still in use.
//!
//! Promises: once the segment is destroyed, truncated or replaced, every read and write detects it. The listeners are
//! notified once. Once a resize has switched to another area, every read and write ends as `Moved`, without an effect.

use crate::attachment::flags::LockFlags;
use crate::attachment::reservations::Reservations;
use crate::attachment::stripes::ListenedStripes;
use crate::error::CacheError;
use crate::layout::geometry::{Geometry, META_AT};
use crate::layout::keyspaces::{is_record, number};
use crate::layout::namespaces::{self, ROOT, Read, count_reads, registered};
use crate::layout::tags;
use crate::notices::listeners::{Listener, Notice, NoticeListeners};
use crate::shard::scratch::Scratch;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::AtomicU32;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::ending::{self, SeenEpoch};
use cache_machine_shm::{BootClock, Header, ProcessCounter, Segment, ShmError, State};
use cache_machine_shm::{Memory, Region};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// The process's side of an attached segment. `Cache` dereferences to it.
pub struct Attachment {
    geometry: Geometry,
    /// The whole file, in a mapping of its own: it is lost if the area is released under a late reader.
    memory: Memory,
    pub(crate) segment: Arc<Segment>,
    /// The attachment to the area before this one, in which streams may still have something to read.
    pub(crate) before: Option<Arc<Attachment>>,
    clock: BootClock,
    has_manual_clock: bool,
    seen_epoch: SeenEpoch,
    pub(crate) flags: LockFlags,
    pub(crate) reservations: Reservations,
    scratch: Mutex<Scratch>,
    pub(crate) stripes: Arc<ListenedStripes>,
    pub(crate) listeners: Arc<NoticeListeners>,
}

/// How often another area may be put in place while a process attaches to one.
const ATTEMPTS: usize = 64;

/// The number of the area in which the entries of a segment are, by its root epoch.
#[inline]
fn area_of(epoch: &AtomicU32) -> u8 {
    ending::area_of(ending::epoch_of(epoch))
}

impl Attachment {
    /// Attaches this process to the present area.
    pub(crate) fn first(segment: Segment) -> Result<Self, CacheError> {
        let segment = Arc::new(segment);
        Self::to_present(&segment, |area| {
            segment.member().note_area(area);
            None
        })
    }

    /// Attaches this process to the present area, for the same listeners.
    pub(crate) fn next(before: &Arc<Self>) -> Result<Self, CacheError> {
        Self::to_present(&before.segment, |_| Some(before.clone()))
    }

    fn to_present(segment: &Arc<Segment>, mut begin: impl FnMut(u8) -> Option<Arc<Self>>) -> Result<Self, CacheError> {
        for _ in 0..ATTEMPTS {
            let area = area_of(segment.header().epoch());
            let before = begin(area);
            // The file had the length of the area before the area was put in place.
            let memory = segment.map()?;
            let geometry = Geometry::load(memory.region());
            if area_of(segment.header().epoch()) == area {
                return Ok(Self::over(segment.clone(), memory, geometry?, before));
            }
        }
        Err(CacheError::Busy("the segment is resized all the time".into()))
    }

    /// The attachment to an area with this geometry, which `memory` maps.
    pub(crate) fn over(segment: Arc<Segment>, memory: Memory, geometry: Geometry, before: Option<Arc<Self>>) -> Self {
        let clock = BootClock::new();
        let has_manual_clock = segment.header().manual_clock().load(Ordering::Relaxed) != 0;
        let (stripes, listeners) = match &before {
            Some(before) => (before.stripes.clone(), before.listeners.clone()),
            None => Default::default(),
        };
        Self {
            flags: LockFlags::new(geometry.shards),
            reservations: Reservations::new(geometry.shards, clock),
            scratch: Mutex::new(Scratch::new(&geometry)),
            segment,
            memory,
            geometry,
            before,
            clock,
            has_manual_clock,
            // The segment may be destroyed by now, so the first read checks it.
            seen_epoch: SeenEpoch::default(),
            stripes,
            listeners,
        }
    }

    /// The bytes of the segment, as this attachment maps them.
    #[inline(always)]
    pub(crate) fn region(&self) -> &Region {
        self.memory.region()
    }

    /// Reserves bytes, so that touching them never raises SIGBUS.
    pub(crate) fn reserve(&self, offset: usize, len: usize) -> Result<(), ShmError> {
        self.segment.reserve_in(&self.memory, offset, len)
    }

    /// Reserves the segment and pins it in memory, but for areas that are not in use.
    pub(crate) fn lock_memory(&self) -> Result<(), CacheError> {
        self.segment.lock_in(&self.memory, 0, META_AT)?;
        Ok(self.segment.lock_in(&self.memory, self.geometry.base, self.geometry.end())?)
    }

    /// The segment's geometry.
    #[inline]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The segment's file.
    pub fn path(&self) -> &Path {
        self.segment.path()
    }

    /// Milliseconds since boot, or the time of the manual clock.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        if self.has_manual_clock {
            return self.segment.header().manual_clock().load(Ordering::Relaxed);
        }
        self.clock.now_ms()
    }

    /// The bytes in front of the entry space: header, tables, index. They hold everything that validates a near copy.
    pub fn index_view(&self) -> (std::ptr::NonNull<u8>, usize) {
        (self.memory.region().base(), self.geometry.space_at)
    }

    /// Moves the manual clock, for every process.
    ///
    /// # Errors
    /// `InvalidArgument` if the segment has a real clock.
    pub fn advance_clock(&self, by_ms: u64) -> Result<(), CacheError> {
        if !self.has_manual_clock {
            return Err(CacheError::InvalidArgument("the segment was not made with a manual clock".into()));
        }
        self.segment.header().manual_clock().fetch_add(by_ms, Ordering::Relaxed);
        Ok(())
    }

    #[inline]
    pub(crate) fn shard(&self, index: usize) -> ShardView<'_> {
        ShardView::new(self.memory.region(), &self.geometry, index)
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardView<'_>> {
        (0..self.geometry.shards).map(|index| self.shard(index))
    }

    pub(crate) fn root_epoch(&self) -> u32 {
        ending::epoch_of(Header::of(self.region()).epoch())
    }

    /// The root epoch, for a reader. At a new epoch it checks whether the segment and the area are still in use.
    #[inline]
    pub(crate) fn epoch(&self) -> Result<u32, CacheError> {
        let epoch = Header::of(self.region()).epoch();
        self.seen_epoch.epoch(epoch, || self.is_current() && self.is_attached()).ok_or_else(|| self.departure())
    }

    /// Whether the entries of the segment are in the area of this attachment.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        area_of(self.segment.header().epoch()) == self.geometry.area
    }

    /// Why this attachment cannot be used any more.
    #[cold]
    pub(crate) fn departure(&self) -> CacheError {
        let has_moved = !self.is_current() && self.segment.header().state() == State::Ready && !self.segment.is_lost();
        if has_moved && !self.seen_epoch.is_detached() {
            return CacheError::Moved;
        }
        self.is_attached();
        CacheError::Detached
    }

    /// # Errors
    /// `Moved` once the entries are in another area. For a reader that has found nothing: the area may be released.
    #[inline]
    pub(crate) fn check_current(&self) -> Result<(), CacheError> {
        if self.is_current() && !self.is_lost() { Ok(()) } else { Err(self.departure()) }
    }

    /// The life of a namespace's entries, for a reader. It checks the segment as `epoch` does.
    #[inline]
    pub(crate) fn life(&self, namespace: u16) -> Result<u64, CacheError> {
        Ok(namespaces::life(self.region(), self.epoch()?, namespace))
    }

    /// The life of a namespace's entries at this moment, unchecked.
    pub(crate) fn life_now(&self, namespace: u16) -> u64 {
        namespaces::life(self.region(), self.root_epoch(), namespace)
    }

    /// The tag clock. A load reads it when it begins.
    pub fn tag_clock(&self) -> u64 {
        tags::clock(self.region())
    }

    /// # Errors
    /// `Detached` once the segment is destroyed, truncated or replaced.
    pub fn check_attached(&self) -> Result<(), CacheError> {
        if self.is_current() && self.is_attached() { Ok(()) } else { Err(self.departure()) }
    }

    /// # Errors
    /// `Detached` if the file was truncated.
    #[inline]
    pub(crate) fn check_not_lost(&self) -> Result<(), CacheError> {
        if self.is_lost() { self.check_attached() } else { Ok(()) }
    }

    /// False once the segment is destroyed, truncated or replaced. The caller must open it again.
    pub fn is_attached(&self) -> bool {
        let fine = !self.seen_epoch.is_detached() && !self.is_lost() && self.segment.header().state() == State::Ready;
        if !fine {
            self.detach();
        }
        fine
    }

    /// Whether a thread of this process has already detected the detachment.
    #[inline]
    pub(crate) fn is_known_lost(&self) -> bool {
        self.is_lost() || self.seen_epoch.is_detached()
    }

    /// Whether the file does not have the bytes of this attachment any more.
    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        self.memory.is_lost() || self.segment.is_lost()
    }

    /// Detaches if the name belongs to another file by now. No epoch shows that, so the background thread calls this
    /// every second.
    pub(crate) fn check_name(&self) {
        if !self.segment.is_still_named() {
            self.detach();
        }
    }

    /// Makes every later read and write check the segment, and fail.
    pub(crate) fn detach(&self) {
        if self.seen_epoch.detach() {
            self.listeners.notify_all(Notice::Detached);
        }
    }

    pub(crate) fn scratch(&self) -> MutexGuard<'_, Scratch> {
        self.scratch.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn notify_repaired(&self, shard: usize, dropped: u32) {
        self.listeners.notify_all(Notice::Repaired { shard, dropped });
        if dropped > 0 {
            self.listeners.notify_all(Notice::Damage { shard, dropped });
        }
    }

    /// Notes that a reader met a contradiction in an unchanged entry. The next writer of this process rebuilds the
    /// shard.
    #[cold]
    pub(crate) fn note_damage(&self, shard: usize) {
        if !self.flags.damaged[shard].swap(true, Ordering::Relaxed) {
            self.listeners.notify_all(Notice::Damage { shard, dropped: 0 });
        }
    }

    /// Sets whether a listener receives removal notices: the entries that this process evicted or expired.
    pub fn want_removals(&self, listener: u64, wanted: bool) {
        self.listeners.want_removals(listener, wanted);
    }

    /// Registers a listener and returns its number. It is notified of repairs, damage, detachment and waits.
    pub fn add_listener(&self, listener: Box<dyn Listener>) -> u64 {
        self.listeners.add(listener)
    }

    /// The name of a namespace, by its number. The root's name is empty.
    pub fn namespace_name(&self, namespace: u16) -> String {
        namespaces::name_of(self.region(), namespace)
    }

    /// The names of all namespaces, in order of creation.
    pub fn namespace_names(&self) -> Vec<String> {
        (1..registered(self.region())).map(|n| self.namespace_name(n)).collect()
    }

    /// Counts a read.
    #[inline]
    pub(crate) fn count_read(&self, namespace: u16, hit: bool) {
        if is_record(namespace) {
            return;
        }
        self.segment.member().count(if hit { ProcessCounter::Hits } else { ProcessCounter::Misses }, 1);
        let namespace = number(namespace);
        if namespace != ROOT {
            self.count_reads(namespace, if hit { Read::Hit } else { Read::Miss }, 1);
        }
    }

    /// Counts reads of a namespace that is not the root.
    #[inline]
    pub(crate) fn count_reads(&self, namespace: u16, read: Read, count: u64) {
        count_reads(self.region(), self.segment.member().slot().into(), namespace, read, count);
    }
}
