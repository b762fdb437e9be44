//! An open cache: the process's one attachment to a segment, shared by all its threads.
//!
//! Promises: when a write returns, every later read in any process sees it; a read waits for nobody; a write waits for a
//! living holder at most `write_timeout`, and for a dead one not at all.
//!
//! The thing to get wrong: opening twice. A second attachment of one process would be another slot with another lease;
//! so the process keeps a registry by file and hands out the one attachment.

use crate::entry::MAX_TAGS;
use crate::error::CacheError;
use crate::feed::Feeds;
use crate::geometry::{Eviction, FIRST_RESERVATION, Geometry, LOCK_WAITS};
use crate::gone;
use crate::key::Key;
use crate::locked::{Fault, Increment, Locked, Write};
use crate::namespaces::{self, ROOT, Read, registered};
use crate::orphans::Orphan;
use crate::read::{Manner, Meta, NoSink, Sink};
use crate::recover::Scratch;
use crate::segments::{segment_file, through_locks};
use crate::service::{Listener, Listeners as Notified, Notice, Service};
use crate::shard::{Count, Field, ShardView, Tally};
use crate::spaces::{Space, is_record};
use crate::tags::{self, Invalidation};
use crate::vigils::{Awaited, Vigils};
use crate::waits::{Begun, Waits};
use cache_machine_shm::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::ending::{self, SeenEpoch};
use cache_machine_shm::lock::{self, Acquired};
use cache_machine_shm::{
    BootClock, Counter, Header, Listeners, RUNG_STRIPES, Region, Segment, ShmError, State, random_u64, remove_unused,
};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// How to open a cache.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// 1 to 64 of `[A-Za-z0-9._-]`.
    pub name: String,
    /// Keep the segment as a file here; else it is POSIX shared memory.
    pub directory: Option<PathBuf>,
    /// Bytes of the whole segment, if it must be made.
    pub size: usize,
    /// Largest key and value together, if it must be made; default a quarter of a shard.
    pub max_entry: Option<usize>,
    /// How room is made, if it must be made.
    pub eviction: Eviction,
    /// Pin the segment in memory.
    pub lock_memory: bool,
    /// Longest wait for a shard whose holder lives.
    pub write_timeout: Duration,
    /// Tests only: the segment, if it must be made, has a clock that stands still until it is moved.
    pub manual_clock: bool,
}

/// What `Cache::open` found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// There was none: it was made.
    Created,
    /// It was there.
    Attached,
}

/// What is counted of a namespace, or of all of them, over all processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tallies {
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Values written.
    pub sets: u64,
    /// Entries deleted by the user.
    pub deletes: u64,
    /// Entries removed for room.
    pub evictions: u64,
    /// Entries removed for time.
    pub expirations: u64,
    /// Entries now.
    pub entries: u64,
}

/// Buckets of the histogram of lock waits: the first counts those below 1 µs, each further one those below the double,
/// the last all longer ones.
pub const LOCK_WAIT_BUCKETS: usize = 24;

/// Counts over all processes, and the state of the space.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Of the whole segment.
    pub total: Tallies,
    /// Bytes that entries occupy.
    pub used_bytes: u64,
    /// Bytes of space.
    pub capacity_bytes: u64,
    /// Bytes of space taken from the system so far.
    pub reserved_bytes: u64,
    /// Shards rebuilt.
    pub repairs: u64,
    /// Index words dropped by rebuilds because what they named was damaged.
    pub damaged: u64,
    /// Writes that ended as busy.
    pub busy: u64,
    /// Sleeps on a lock.
    pub lock_waits: u64,
    /// How long locks were waited for: `LOCK_WAIT_BUCKETS`.
    pub lock_wait_times: [u64; LOCK_WAIT_BUCKETS],
    /// Reads that began again because the entry changed under them.
    pub retries: u64,
    /// Tags that died with another, for want of room to tell them apart.
    pub tags_overflowed: u64,
    /// States of limiters that were evicted before their time.
    pub limits_evicted: u64,
    /// Attached processes.
    pub processes: u64,
}

/// A handle. The last one of a process to go gives up the process's slot; the segment stays.
#[derive(Clone)]
pub struct Cache {
    attachment: Arc<Attachment>,
    write_timeout: Duration,
    namespace: u16,
}

/// The process's attachment with its background thread, which ends with the last handle.
struct Attachment {
    core: Arc<Core>,
    service: Service,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.service.stop(&self.core);
    }
}

impl std::ops::Deref for Cache {
    type Target = Core;

    #[inline]
    fn deref(&self) -> &Core {
        &self.attachment.core
    }
}

static REGISTRY: Mutex<Option<HashMap<PathBuf, Weak<Attachment>>>> = Mutex::new(None);

impl Cache {
    /// Creates or attaches.
    ///
    /// # Errors
    /// `InvalidArgument`, `NoSpace`, `Permission`, `Version`, `Corrupt`, `Busy`.
    pub fn open(options: &OpenOptions) -> Result<(Self, Opened), CacheError> {
        check_name(&options.name)?;
        let plan = Geometry::plan(options.size, options.max_entry, options.eviction, random_u64())?;
        let file = segment_file(&options.name, options.directory.as_deref())?;
        let mut registry = REGISTRY.lock().unwrap_or_else(|e| e.into_inner());
        let registry = registry.get_or_insert_with(HashMap::new);
        registry.retain(|_, attachment| attachment.strong_count() > 0);
        if let Some(attachment) = registry.get(file.path()).and_then(Weak::upgrade)
            && attachment.core.is_attached()
        {
            if options.lock_memory {
                attachment.core.segment.lock_memory()?;
            }
            return Ok((Self { attachment, write_timeout: options.write_timeout, namespace: ROOT }, Opened::Attached));
        }
        remove_unused(&file);
        let identity = Geometry::identity();
        let mut opened = Opened::Attached;
        let segment = loop {
            match file.attach(identity, &through_locks) {
                Ok(segment) => break segment,
                Err(ShmError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
            let init = |region: &Region| init(&plan, options.manual_clock, region);
            if file.create(identity, plan.len, &plan.first_reservations(), &init)? {
                opened = Opened::Created;
            }
        };
        if options.lock_memory {
            segment.lock_memory()?;
        }
        let core = Arc::new(Core::new(segment)?);
        let attachment = Arc::new(Attachment { service: Service::start(&core), core });
        registry.insert(file.path().to_owned(), Arc::downgrade(&attachment));
        Ok((Self { attachment, write_timeout: options.write_timeout, namespace: ROOT }, opened))
    }

    /// A handle on a namespace of the same segment, made if there is none: its keys and tags are its own.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that cannot be, `NoSpace` when there are 1,024, `Busy`, `Detached`.
    pub fn in_namespace(&self, name: &str) -> Result<Self, CacheError> {
        let namespace = self.count_busy(self.namespace_number(name, self.write_timeout))?;
        Ok(Self { namespace, ..self.clone() })
    }

    /// Counts hits that a near cache had.
    ///
    /// # Errors
    /// `Detached`: there must be no more of them. They are counted all the same.
    pub fn count_near_hits(&self, hits: u64) -> Result<(), CacheError> {
        self.segment.member().count(Counter::Hits, hits);
        if self.namespace != ROOT {
            self.count_reads(self.namespace, Read::Hit, hits);
        }
        self.check_attached()
    }

    /// Offset of the word in `index_view` whose change ends the life of this namespace's entries; for the root, as always,
    /// that of the root.
    pub fn epoch_offset(&self) -> usize {
        if self.namespace == ROOT { Header::EPOCH } else { Geometry::namespace_epoch(usize::from(self.namespace)) }
    }

    /// Offset of the root's epoch in `index_view`.
    pub fn root_epoch_offset(&self) -> usize {
        Header::EPOCH
    }

    /// Number of its namespace; 0 for the root.
    pub fn namespace(&self) -> u16 {
        self.namespace
    }

    pub(crate) fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    fn key<'k>(&self, bytes: &'k [u8]) -> Result<Key<'k>, CacheError> {
        Key::new(self.geometry(), self.namespace, bytes)
    }

    /// Reads a key into `sink`. `None` is a miss.
    ///
    /// # Errors
    /// A key that cannot be; `Detached` when the segment is gone.
    #[inline]
    pub fn get<S: Sink>(&self, key: &[u8], manner: Manner, sink: &mut S) -> Result<Option<Meta>, CacheError> {
        self.read(self.namespace, key, manner, sink)
    }

    /// `get` for those who have a `meta` already. False is a miss, and `meta` says nothing.
    ///
    /// # Errors
    /// As for `get`.
    #[inline]
    pub fn get_to<S: Sink>(
        &self,
        key: &[u8],
        manner: Manner,
        sink: &mut S,
        meta: &mut Meta,
    ) -> Result<bool, CacheError> {
        self.read_to(self.namespace, key, manner, sink, meta)
    }

    /// Whether the key has an entry; leaves no traces.
    ///
    /// # Errors
    /// As for `get`.
    pub fn has(&self, key: &[u8]) -> Result<bool, CacheError> {
        Ok(self.get(key, Manner::Peek, &mut NoSink)?.is_some())
    }

    /// The version of the key's entry.
    ///
    /// # Errors
    /// As for `get`.
    pub fn version_of(&self, key: &[u8]) -> Result<Option<u64>, CacheError> {
        self.version_in(self.namespace, key)
    }

    /// The number by which a tag is known.
    pub fn tag(&self, name: &str) -> u64 {
        self.tag_number(self.namespace, name)
    }

    /// Invalidates the entries of this namespace that carry one of these tags, for every process, however many there are.
    ///
    /// # Errors
    /// `Busy`, `Detached`.
    pub fn invalidate_tags(&self, tags: &[u64], how: Invalidation) -> Result<(), CacheError> {
        self.count_busy(self.invalidate(self.namespace, tags, how, self.write_timeout))
    }

    /// Removes everything at once: entries of an earlier life are dead. On the root its namespaces too, else only its own.
    ///
    /// # Errors
    /// `Detached`.
    pub fn clear(&self) -> Result<(), CacheError> {
        self.clear_namespace(self.namespace)
    }

    /// Number of entries; expired and tag-dead ones may count until they are swept. The root's are those outside of
    /// namespaces.
    pub fn len(&self) -> u64 {
        entries_of(self.segment.region(), self.geometry(), self.namespace)
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was counted of this namespace; of the root, outside of namespaces.
    pub fn tallies(&self) -> Tallies {
        let region = self.segment.region();
        let mut own = tallies_of(region, self.geometry(), self.namespace);
        if self.namespace == ROOT {
            let outside = |all, read| {
                let inside = (1..registered(region)).map(|n| namespaces::reads(region, n, read));
                Geometry::table().sum(region, all).saturating_sub(inside.fold(0, u64::wrapping_add))
            };
            own.hits = outside(Counter::Hits, Read::Hit);
            own.misses = outside(Counter::Misses, Read::Miss);
        }
        own
    }

    /// Waits for an entry of `key` newer than `after` on behalf of a listener, which will be told the number returned.
    ///
    /// # Errors
    /// A key that cannot be; `Detached`.
    pub fn wait_for(&self, key: &[u8], after: u64, listener: u64) -> Result<u64, CacheError> {
        let key = self.key(key)?;
        self.check_attached()?;
        let (id, begun) = self.waits.add(self, &key, after, listener);
        if begun != Begun::Further {
            self.segment.member().ring_own();
        }
        Ok(id)
    }

    /// Waits on behalf of a listener for a change of a record; it will be told the number returned.
    ///
    /// # Errors
    /// A key that cannot be; `Detached`.
    pub fn keep_vigil(&self, space: Space, key: &[u8], awaited: Awaited, listener: u64) -> Result<u64, CacheError> {
        let key = Key::new(self.geometry(), space.of(self.namespace), key)?;
        self.check_attached()?;
        let id = self.vigils.add(self, &key, awaited, listener);
        // The background thread may be asleep for longer than a probe allows, or has to tell at once.
        self.segment.member().ring_own();
        Ok(id)
    }

    /// Gives back what an owner held that is gone: a handle, or the thread that had it. Later, if it cannot be done now.
    pub fn give_back(&self, orphans: impl IntoIterator<Item = Orphan>) {
        let left = orphans.into_iter().filter(|orphan| orphan.give_back(self, self.write_timeout).is_err());
        self.give_back_later(left.collect());
    }

    /// Writes a value and returns its version. `None`: the condition did not hold, or the shard is full and nothing may
    /// be evicted.
    ///
    /// # Errors
    /// `ValueTooLarge`, `NoSpace`, `Busy`, `Detached`, `Corrupt`, and a key that cannot be.
    pub fn set(&self, key: &[u8], write: &Write<'_>) -> Result<Option<u64>, CacheError> {
        let key = self.key(key)?;
        if write.tags.len() > MAX_TAGS {
            return Err(CacheError::InvalidArgument(format!("an entry has at most {MAX_TAGS} tags")));
        }
        self.check_size(&key, write.value.len() + write.tags.len() * 8)?;
        self.shard(key.shard).prefetch_line(&key);
        self.change(&key, |locked| locked.set(&key, write))
    }

    /// Deletes the key's entry, if its version is `version` (0: any). True if there was one.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and a key that cannot be.
    pub fn delete(&self, key: &[u8], version: u64) -> Result<bool, CacheError> {
        let key = self.key(key)?;
        self.change(&key, |locked| locked.delete(&key, version))
    }

    /// Reads and deletes in one step. If the sink refused the bytes (`Meta::copied`), nothing was deleted.
    ///
    /// # Errors
    /// As for `delete`.
    pub fn take<S: Sink>(&self, key: &[u8], sink: &mut S) -> Result<Option<Meta>, CacheError> {
        let key = self.key(key)?;
        // A miss needs no lock: whoever polls a queue of keys holds nobody up.
        let there = self.version_of(key.bytes)?.is_some();
        let taken = if there { self.change(&key, |locked| locked.take(&key, sink))? } else { None };
        self.count(self.namespace, taken.is_some());
        Ok(taken)
    }

    /// Gives the key's entry a new deadline (0: none). True if there is one.
    ///
    /// # Errors
    /// As for `delete`, and `NoSpace`.
    pub fn touch(&self, key: &[u8], ttl_ms: u64) -> Result<bool, CacheError> {
        let key = self.key(key)?;
        self.change(&key, |locked| locked.touch(&key, ttl_ms))
    }

    /// Adds to the number under the key and returns the sum.
    ///
    /// # Errors
    /// `NotANumber`, `Overflow`, and as for `set`.
    pub fn incr(&self, key: &[u8], by: f64, options: &Increment) -> Result<f64, CacheError> {
        let key = self.key(key)?;
        self.change(&key, |locked| locked.incr(&key, by, options))
    }

    /// Runs a change of a key; counted if it ends as busy.
    fn change<R>(
        &self,
        key: &Key<'_>,
        change: impl FnMut(&mut Locked<'_>) -> Result<R, Fault>,
    ) -> Result<R, CacheError> {
        self.change_in(key.shard, change)
    }

    /// Runs a change of this namespace in a shard; counted if it ends as busy.
    pub(crate) fn change_in<R>(
        &self,
        shard: usize,
        change: impl FnMut(&mut Locked<'_>) -> Result<R, Fault>,
    ) -> Result<R, CacheError> {
        self.count_busy(self.try_change((shard, self.namespace), self.write_timeout, change))
    }

    /// A write's result, counted if it is busy.
    fn count_busy<R>(&self, result: Result<R, CacheError>) -> Result<R, CacheError> {
        if let Err(CacheError::Busy(_)) = result {
            self.segment.member().count(Counter::Busy, 1);
        }
        result
    }

    /// What does not add up in any structure; takes each shard's lock in turn.
    ///
    /// # Errors
    /// As for a write.
    pub fn validate(&self) -> Result<Vec<String>, CacheError> {
        let mut problems = Vec::new();
        for index in 0..self.geometry().shards {
            let locked = self.lock(index, ROOT, self.write_timeout)?;
            locked.shard.validate(&mut problems);
        }
        Ok(problems)
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), CacheError> {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if (1..=64).contains(&name.len()) && name.bytes().all(fine) {
        return Ok(());
    }
    Err(CacheError::InvalidArgument(format!("name is {name:?}; it must be 1 to 64 of A-Z a-z 0-9 . _ -")))
}

/// Fills a new segment, which is all zeros.
fn init(plan: &Geometry, manual_clock: bool, region: &Region) {
    plan.store(region);
    if manual_clock {
        Header::of(region).manual_clock().store(1_000_000, Ordering::Relaxed);
    }
    for index in 0..plan.shards {
        let shard = ShardView { region, geometry: plan, index };
        let reserved = FIRST_RESERVATION.min(plan.units) as u32;
        shard.put(Field::Reserved, reserved);
        shard.put(Field::Cursor, 1);
        shard.put_tally(ROOT, Tally::Life, 1);
        shard.clear_bitmap();
        shard.put(Field::Free, reserved - 1);
    }
}

/// The process's side of an attached segment. Reached through `Cache`.
pub struct Core {
    pub(crate) segment: Segment,
    geometry: Geometry,
    clock: BootClock,
    has_manual_clock: bool,
    seen_epoch: SeenEpoch,
    /// How many milliseconds a shard's holder has outlasted a writer: the next writers who would not wait longer look, but
    /// do not wait.
    stuck: Vec<AtomicU64>,
    /// Shards in which a reader met damage.
    damaged: Vec<AtomicBool>,
    /// When (boot milliseconds) a shard's last reservation failed.
    full_since: Vec<AtomicU64>,
    scratch: Mutex<Scratch>,
    pub(crate) waits: Waits,
    pub(crate) vigils: Vigils,
    /// How many in this process listen to each stripe of keys.
    listening: Mutex<[u32; RUNG_STRIPES]>,
    pub(crate) orphans: Mutex<Vec<Orphan>>,
    pub(crate) feeds: Feeds,
    pub(crate) notified: Notified,
}

/// The sweeper does not wait for long: there is another tick.
const SWEEP_PATIENCE: Duration = Duration::from_millis(10);
/// How long a full file system is not asked again.
const RESERVE_AGAIN_MS: u64 = 1000;

impl Core {
    fn new(segment: Segment) -> Result<Self, CacheError> {
        let geometry = Geometry::load(segment.region())?;
        let header = segment.header();
        let has_manual_clock = header.manual_clock().load(Ordering::Relaxed) != 0;
        let numbers = || (0..geometry.shards).map(|_| AtomicU64::new(0)).collect();
        Ok(Self {
            stuck: numbers(),
            damaged: (0..geometry.shards).map(|_| AtomicBool::new(false)).collect(),
            full_since: numbers(),
            scratch: Mutex::new(Scratch::new(&geometry)),
            segment,
            geometry,
            clock: BootClock::new(),
            has_manual_clock,
            // The gate is open again: the segment may be destroyed by now. So the first read looks.
            seen_epoch: SeenEpoch::default(),
            waits: Waits::default(),
            vigils: Vigils::default(),
            listening: Mutex::new([0; RUNG_STRIPES]),
            orphans: Mutex::default(),
            feeds: Feeds::default(),
            notified: Notified::default(),
        })
    }

    /// The segment's shape.
    #[inline]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The segment's file.
    pub fn path(&self) -> &Path {
        self.segment.path()
    }

    /// Milliseconds since boot, or what the manual clock shows.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        if self.has_manual_clock {
            return self.segment.header().manual_clock().load(Ordering::Relaxed);
        }
        self.clock.now_ms()
    }

    /// The bytes in front of the space: header, tables, index. All that tells whether a near copy is valid is in them.
    pub fn index_view(&self) -> (std::ptr::NonNull<u8>, usize) {
        (self.segment.region().base(), self.geometry.space_at)
    }

    /// Moves the manual clock, for every process.
    ///
    /// # Errors
    /// `InvalidArgument` where the segment has a real clock.
    pub fn advance_clock(&self, by_ms: u64) -> Result<(), CacheError> {
        if !self.has_manual_clock {
            return Err(CacheError::InvalidArgument("the segment was not made with a manual clock".into()));
        }
        self.segment.header().manual_clock().fetch_add(by_ms, Ordering::Relaxed);
        Ok(())
    }

    #[inline]
    pub(crate) fn shard(&self, index: usize) -> ShardView<'_> {
        ShardView { region: self.segment.region(), geometry: &self.geometry, index }
    }

    pub(crate) fn root_epoch(&self) -> u32 {
        ending::epoch_of(self.segment.header().epoch())
    }

    /// The root epoch, for a reader; an epoch not seen before makes it look whether the segment is still in use.
    #[inline]
    pub(crate) fn epoch(&self) -> Result<u32, CacheError> {
        self.seen_epoch.epoch(self.segment.header().epoch(), || self.is_attached()).ok_or(CacheError::Detached)
    }

    /// # Errors
    /// `Detached` once the segment was destroyed, truncated or replaced.
    pub fn check_attached(&self) -> Result<(), CacheError> {
        if self.is_attached() { Ok(()) } else { Err(CacheError::Detached) }
    }

    /// # Errors
    /// `Detached` when the file was truncated under us.
    #[inline]
    pub(crate) fn check_not_lost(&self) -> Result<(), CacheError> {
        if self.segment.is_lost() { self.check_attached() } else { Ok(()) }
    }

    /// False once the segment was destroyed, truncated or replaced: open again.
    pub fn is_attached(&self) -> bool {
        let fine =
            !self.seen_epoch.is_detached() && !self.segment.is_lost() && self.segment.header().state() == State::Ready;
        if !fine {
            self.detach();
        }
        fine
    }

    /// To be called now and then: notices that the name means another file, which no epoch tells.
    pub(crate) fn look_at_name(&self) {
        if !self.segment.is_still_named() {
            self.detach();
        }
    }

    /// From here on every read and write asks again, and is told.
    fn detach(&self) {
        if self.seen_epoch.detach() {
            self.notified.tell(Notice::Detached);
        }
    }

    pub(crate) fn scratch(&self) -> MutexGuard<'_, Scratch> {
        self.scratch.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn may_reserve(&self, shard: usize) -> bool {
        let since = self.full_since[shard].load(Ordering::Relaxed);
        since == 0 || self.clock.now_ms() >= since + RESERVE_AGAIN_MS
    }

    pub(crate) fn reservation_failed(&self, shard: usize) {
        self.full_since[shard].store(self.clock.now_ms(), Ordering::Relaxed);
    }

    pub(crate) fn tell_repaired(&self, shard: usize, dropped: u32) {
        self.notified.tell(Notice::Repaired { shard, dropped });
        if dropped > 0 {
            self.notified.tell(Notice::Damage { shard, dropped });
        }
    }

    /// A reader met a contradiction in an unchanged entry: the next writer of this process rebuilds the shard.
    #[cold]
    pub(crate) fn note_damage(&self, shard: usize) {
        if !self.damaged[shard].swap(true, Ordering::Relaxed) {
            self.notified.tell(Notice::Damage { shard, dropped: 0 });
        }
    }

    /// Takes a shard's lock, waiting for a living holder at most `timeout` and rebuilding the shard if its last owner died.
    // Always inlined: as a result, which is a struct or an error, it would be copied twice, and each copy waits for the last.
    #[inline(always)]
    pub(crate) fn lock(&self, index: usize, namespace: u16, timeout: Duration) -> Result<Locked<'_>, CacheError> {
        let notes_gone = self.notified.wants_gone();
        if notes_gone {
            gone::prepare();
        }
        let is_unsound = self.take_lock(index, timeout)?;
        let mut locked = self.guard(index, namespace);
        locked.notes_gone = notes_gone;
        if is_unsound {
            locked.rebuild();
        }
        Ok(locked)
    }

    /// Whether the shard, whose lock is taken now, must be rebuilt before anything else.
    fn take_lock(&self, index: usize, timeout: Duration) -> Result<bool, CacheError> {
        if self.segment.is_lost() || self.seen_epoch.is_detached() {
            self.is_attached();
            return Err(CacheError::Detached);
        }
        let stuck = &self.stuck[index];
        let outlasted = stuck.load(Ordering::Relaxed);
        let patience_ms = (timeout.as_millis() as u64).max(1);
        let was_stuck = outlasted >= patience_ms;
        let mut since = None;
        let mut patience = || was_stuck || since.get_or_insert_with(Instant::now).elapsed() >= timeout;
        let member = self.segment.member();
        let acquired = lock::lock(self.shard(index).field(Field::Lock), member, &mut patience);
        if let Some(since) = since {
            self.note_lock_wait(since.elapsed());
        }
        let Ok(acquired) = acquired else {
            stuck.fetch_max(patience_ms, Ordering::Relaxed);
            return Err(CacheError::Busy(format!(
                "shard {index} is held by a live process that is stopped or slower than writeTimeout"
            )));
        };
        if outlasted != 0 {
            stuck.store(0, Ordering::Relaxed);
        }
        // Under the lock: `destroy` sets the state before it passes through this lock. It leaves a suspect, as this does: what
        // nobody will use again needs no repair.
        if self.segment.header().state() != State::Ready {
            lock::abandon(self.shard(index).field(Field::Lock), member);
            self.is_attached();
            return Err(CacheError::Detached);
        }
        // Looked at first: an exchange costs as much as the lock.
        let damaged = &self.damaged[index];
        Ok(acquired == Acquired::Suspect || (damaged.load(Ordering::Relaxed) && damaged.swap(false, Ordering::Relaxed)))
    }

    /// The guard of a lock that was just taken, for an operation of a namespace.
    #[inline(always)]
    fn guard(&self, index: usize, namespace: u16) -> Locked<'_> {
        let region = self.segment.region();
        let root_epoch = self.root_epoch();
        Locked {
            shard: self.shard(index),
            core: self,
            root_epoch,
            namespace,
            life: namespaces::life(region, root_epoch, namespace),
            tag_clock: tags::clock(region),
            now: Cell::new(0),
            notes_gone: false,
            listeners: Listeners::NONE,
            more_listeners: Listeners::NONE,
            told: false,
            repaired: None,
        }
    }

    /// The lock, if that needs neither a wait nor a rebuild.
    pub(crate) fn try_locked(&self, index: usize) -> Option<Locked<'_>> {
        lock::try_lock(self.shard(index).field(Field::Lock), self.segment.member()).then(|| self.guard(index, ROOT))
    }

    /// Runs a change under its shard's lock. Where the shard contradicts itself it is rebuilt, and the change runs again.
    pub(crate) fn try_change<R>(
        &self,
        (index, namespace): (usize, u16),
        timeout: Duration,
        mut change: impl FnMut(&mut Locked<'_>) -> Result<R, Fault>,
    ) -> Result<R, CacheError> {
        let mut locked = self.lock(index, namespace, timeout)?;
        locked.divide_if_crowded();
        let mut result = change(&mut locked);
        if let Err(Fault::Damaged) = result {
            locked.rebuild();
            result = change(&mut locked);
        }
        if let Err(Fault::Damaged) = result {
            locked.rebuild();
        }
        if self.segment.is_lost() {
            // All this may have happened in zeros that no other process sees.
            drop(locked);
            self.detach();
            return Err(CacheError::Detached);
        }
        result.map_err(|fault| match fault {
            Fault::Error(error) => error,
            Fault::Damaged => CacheError::Corrupt(format!("shard {index} contradicts itself again after a rebuild")),
        })
    }

    pub(crate) fn check_size(&self, key: &Key<'_>, value: usize) -> Result<(), CacheError> {
        let needed = key.bytes.len() + value;
        if needed > self.geometry.max_entry {
            return Err(CacheError::ValueTooLarge { needed, limit: self.geometry.max_entry });
        }
        Ok(())
    }

    /// Takes a lock in the header, with the same promises as a shard's. What it guards needs no repair after a death.
    pub(crate) fn lock_header(&self, at: usize, what: &str, timeout: Duration) -> Result<HeaderLock<'_>, CacheError> {
        let word = self.segment.region().u32(at);
        let mut since = None;
        let mut patience = || since.get_or_insert_with(Instant::now).elapsed() >= timeout;
        let acquired = lock::lock(word, self.segment.member(), &mut patience);
        if let Some(since) = since {
            self.note_lock_wait(since.elapsed());
        }
        if acquired.is_err() {
            return Err(CacheError::Busy(format!("{what} is held by a live process that is stopped")));
        }
        Ok(HeaderLock { word, core: self })
    }

    /// Whether a clear or an invalidation came since a shard last looked.
    pub(crate) fn is_behind(&self, shard: &ShardView<'_>) -> bool {
        let region = self.segment.region();
        let root = self.root_epoch();
        shard.get(Field::TagsSeen) != self.tag_clock() as u32
            || (0..registered(region)).any(|n| {
                let seen = shard.tally(n, Tally::Life).load(Ordering::Relaxed);
                let entries = shard.tally(n, Tally::Entries).load(Ordering::Relaxed);
                entries != 0 && seen != namespaces::life(region, root, n)
            })
    }

    /// A listener wants to know what this process evicts and expires, or no longer.
    pub fn want_gone(&self, listener: u64, wanted: bool) {
        self.notified.want_gone(listener, wanted);
    }

    /// The name of a namespace's number; empty for the root.
    pub fn namespace_name(&self, namespace: u16) -> String {
        namespaces::name_of(self.segment.region(), namespace)
    }

    /// The names of all namespaces, in the order in which they were made.
    pub fn namespace_names(&self) -> Vec<String> {
        (1..registered(self.segment.region())).map(|n| self.namespace_name(n)).collect()
    }

    /// Counts a read.
    #[inline]
    pub(crate) fn count(&self, namespace: u16, hit: bool) {
        if is_record(namespace) {
            return;
        }
        self.segment.member().count(if hit { Counter::Hits } else { Counter::Misses }, 1);
        if namespace != ROOT {
            self.count_reads(namespace, if hit { Read::Hit } else { Read::Miss }, 1);
        }
    }

    #[cold]
    fn note_lock_wait(&self, waited: Duration) {
        let bucket = (u64::BITS - (waited.as_nanos() as u64 / 1000).leading_zeros()) as usize;
        let at = LOCK_WAITS + bucket.min(LOCK_WAIT_BUCKETS - 1) * 8;
        self.segment.region().u64(at).fetch_add(1, Ordering::Relaxed); // statistics
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardView<'_>> {
        (0..self.geometry.shards).map(|index| self.shard(index))
    }

    /// Changes whenever anything is written to a shard; `None` while its lock is held, also by a dead or stopped owner: then
    /// its last write may still become visible.
    pub(crate) fn writes_so_far(&self, shard: &ShardView<'_>) -> Option<u64> {
        // Acquire: the sequence is read before the lock. A lock seen free after its sequence was counted means that the
        // write was published before it was released.
        let writes = shard.count(Count::Sequence).load(Ordering::Acquire);
        (shard.field(Field::Lock).load(Ordering::Acquire) == 0).then_some(writes)
    }

    /// How often keys were looked at because somebody in this process waits for them.
    pub fn looks_of_waits(&self) -> u64 {
        self.waits.looks()
    }

    /// Counts over all processes since the segment was made.
    pub fn stats(&self) -> Stats {
        let region = self.segment.region();
        let sum = |counter| Geometry::table().sum(region, counter);
        let mut stats = stats_of(region, &self.geometry);
        stats.total.hits = sum(Counter::Hits);
        stats.total.misses = sum(Counter::Misses);
        stats.busy = sum(Counter::Busy);
        stats.lock_waits = sum(Counter::LockWaits);
        stats.lock_wait_times =
            std::array::from_fn(|bucket| region.u64(LOCK_WAITS + bucket * 8).load(Ordering::Relaxed));
        stats.retries = sum(Counter::Retries);
        stats.tags_overflowed = self.tags_overflowed();
        stats.processes = self.segment.member().living().len() as u64;
        stats
    }

    /// Removes dead entries in the next `lines` index lines of a shard, for the background thread.
    pub(crate) fn sweep(&self, index: usize, lines: usize) -> Result<usize, CacheError> {
        self.try_change((index, ROOT), SWEEP_PATIENCE, |locked| Ok(locked.sweep_all(lines)?))
    }

    /// Registers somebody to be told of repairs, damage, detachment and waits; returns its number.
    pub fn add_listener(&self, listener: Box<dyn Listener>) -> u64 {
        self.notified.add(listener)
    }

    /// Forgets a listener, and all its waits, watches and subscriptions.
    pub fn remove_listener(&self, id: u64) {
        self.notified.remove(id);
        self.waits.remove_of(self, id);
        self.vigils.remove_of(self, id);
        self.end_feeds_of(id);
    }

    /// Listens to the keys of a stripe; as often as that, `ignore` ends it.
    pub(crate) fn listen(&self, stripe: usize) {
        let mut listening = self.listening.lock().unwrap_or_else(|e| e.into_inner());
        listening[stripe] += 1;
        if listening[stripe] == 1 {
            self.segment.member().listen(stripe);
        }
    }

    pub(crate) fn ignore(&self, stripe: usize) {
        let mut listening = self.listening.lock().unwrap_or_else(|e| e.into_inner());
        listening[stripe] -= 1;
        if listening[stripe] == 0 {
            self.segment.member().ignore(stripe);
        }
    }

    /// Ends a vigil that nobody was told about.
    pub fn cancel_vigil(&self, id: u64) {
        self.vigils.remove(self, id);
    }

    /// Ends a wait that nobody was told about.
    pub fn cancel_wait(&self, id: u64) {
        self.waits.remove(self, id);
    }
}

/// The point in time at which `ttl_ms` from now is over; 0 for never.
pub(crate) fn deadline_of(ttl_ms: u64, now: impl FnOnce() -> u64) -> u64 {
    const LATEST: u64 = (1 << 48) - 1;
    if ttl_ms == 0 { 0 } else { now().saturating_add(ttl_ms).min(LATEST) }
}

/// A lock in the header, held. Released on drop; a panic leaves it a suspect.
pub(crate) struct HeaderLock<'a> {
    word: &'a AtomicU32,
    core: &'a Core,
}

impl Drop for HeaderLock<'_> {
    fn drop(&mut self) {
        let member = self.core.segment.member();
        if std::thread::panicking() {
            lock::abandon(self.word, member);
        } else {
            lock::unlock(self.word, member);
        }
    }
}

fn views<'a>(region: &'a Region, geometry: &'a Geometry) -> impl Iterator<Item = ShardView<'a>> {
    (0..geometry.shards).map(move |index| ShardView { region, geometry, index })
}

/// Number of a namespace's entries.
fn entries_of(region: &Region, geometry: &Geometry, namespace: u16) -> u64 {
    let life = namespaces::life(region, Header::of(region).epoch().load(Ordering::Acquire), namespace);
    views(region, geometry).map(|shard| shard.entries(namespace, life)).fold(0, u64::wrapping_add)
}

/// What the shards count of a namespace, and its reads, which for the root are nowhere by themselves.
fn tallies_of(region: &Region, geometry: &Geometry, namespace: u16) -> Tallies {
    let sum = |tally| {
        views(region, geometry)
            .map(|shard| shard.tally(namespace, tally).load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    };
    Tallies {
        hits: namespaces::reads(region, namespace, Read::Hit),
        misses: namespaces::reads(region, namespace, Read::Miss),
        sets: sum(Tally::Sets),
        deletes: sum(Tally::Deletes),
        evictions: sum(Tally::Evictions),
        expirations: sum(Tally::Expirations),
        entries: entries_of(region, geometry, namespace),
    }
}

/// What the shards themselves count.
pub(crate) fn stats_of(region: &Region, geometry: &Geometry) -> Stats {
    let mut stats = Stats { capacity_bytes: geometry.capacity() as u64, ..Stats::default() };
    for namespace in 0..registered(region) {
        let own = tallies_of(region, geometry, namespace);
        let total = &mut stats.total;
        for (sum, count) in [
            (&mut total.sets, own.sets),
            (&mut total.deletes, own.deletes),
            (&mut total.evictions, own.evictions),
            (&mut total.expirations, own.expirations),
            (&mut total.entries, own.entries),
        ] {
            *sum = sum.wrapping_add(count);
        }
    }
    for shard in views(region, geometry) {
        let unit = crate::geometry::UNIT as u64;
        let reserved = u64::from(shard.get(Field::Reserved)).min(geometry.units as u64);
        stats.repairs = stats.repairs.wrapping_add(shard.count(Count::Repairs).load(Ordering::Relaxed));
        stats.damaged = stats.damaged.wrapping_add(shard.count(Count::Damaged).load(Ordering::Relaxed));
        let limits_evicted = shard.count(Count::LimitsEvicted).load(Ordering::Relaxed);
        stats.limits_evicted = stats.limits_evicted.wrapping_add(limits_evicted);
        stats.reserved_bytes += reserved * unit;
        stats.used_bytes += reserved.saturating_sub(1).saturating_sub(u64::from(shard.get(Field::Free))) * unit;
    }
    stats
}
