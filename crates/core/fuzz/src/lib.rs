//! Helpers of the targets: a segment in the folder that the script makes and removes, damage, and all operations.
//!
//! A panic on any thread ends the fuzzer: libfuzzer-sys aborts in the panic hook, before the panic can be caught.

#![forbid(unsafe_code)]

use arbitrary::Arbitrary;
use cache_machine_core::{
    Acquisition, Algorithm, Cache, CacheError, Demand, Eviction, Family, FlightKind, FlightOptions, FlightStart,
    Geometry, Invalidation, Keyspace, Limit, Listener, META_AT, MIN_SIZE, Measurement, MetricKind, Notice, OpenOptions,
    PermitRequest, ReadMode, Watch, Write, destroy, inspect, kind, list,
};
use cache_machine_shm::{HEADER_BYTES, ProcessTable};
use std::fs::{File, OpenOptions as FileOptions};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The folder of the segments. The script removes it, also after a crash.
pub fn directory() -> PathBuf {
    std::env::var_os("FUZZ_DIRECTORY").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// Options for the smallest segment, with a manual clock.
pub fn options(eviction: Eviction) -> OpenOptions {
    OpenOptions {
        name: format!("fuzz-{}-{}", std::process::id(), eviction.name()),
        directory: Some(directory()),
        group: None,
        version: None,
        size: MIN_SIZE,
        max_entry: None,
        eviction,
        lock_memory: false,
        write_timeout: Duration::from_millis(5),
        open_timeout: Duration::from_secs(2),
        create: true,
        manual_clock: true,
    }
}

/// A value without a deadline.
pub fn bytes(value: &[u8]) -> Write<'_> {
    Write::new(kind::BUFFER, value)
}

/// A part of a segment, each with its own structures.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Area {
    Header,
    Processes,
    Tables,
    Control,
    Metadata,
    Units,
}

impl Area {
    fn range(self, geometry: &Geometry) -> Range<usize> {
        const CONTROL_BYTES: usize = 320;
        let units = geometry.len - geometry.capacity();
        let processes = HEADER_BYTES + ProcessTable::BYTES;
        match self {
            Self::Header => 0..HEADER_BYTES,
            Self::Processes => HEADER_BYTES..processes,
            Self::Tables => processes..META_AT,
            Self::Control => META_AT..META_AT + CONTROL_BYTES,
            Self::Metadata => META_AT..units,
            Self::Units => units - 64..geometry.len - 64,
        }
    }
}

/// The change of a word: as by a bug, by failing memory, or by an attacker with knowledge of the layout.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Damage {
    Noise(u64),
    Bit(u8),
    Small(u16),
    Pair(u16, u16),
    CopyOf(u16),
    Nudge(i8),
    All,
    Zero,
}

/// A change of one word.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Patch {
    area: Area,
    at: u16,
    damage: Damage,
}

impl Patch {
    /// The offset of the word, and its new value. `read` reads a word of the segment.
    pub fn apply(&self, geometry: &Geometry, read: impl Fn(usize) -> u64) -> (usize, u64) {
        let range = self.area.range(geometry);
        let place = |at: u16| range.start + usize::from(at) % (range.len() / 8) * 8;
        let at = place(self.at);
        let old = read(at);
        let new = match self.damage {
            Damage::Noise(value) => value,
            Damage::Bit(bit) => old ^ 1 << (bit % 64),
            Damage::Small(value) => u64::from(value),
            Damage::Pair(high, low) => u64::from(high) << 32 | u64::from(low),
            Damage::CopyOf(other) => read(place(other)),
            Damage::Nudge(by) => old.wrapping_add_signed(i64::from(by)),
            Damage::All => u64::MAX,
            Damage::Zero => 0,
        };
        (at, new)
    }
}

/// Fills a cache so that each structure is in use: values of all lengths, tags, lifetimes, namespaces, records.
pub fn furnish(cache: &Cache) {
    let fine = "a sound cache accepts it";
    for i in 0..300usize {
        cache.set(format!("{i}").as_bytes(), &bytes(&vec![i as u8; i * 7 % 900])).expect(fine);
    }
    // The value below is stored in pieces, between the entries that stay.
    for i in (0..300).step_by(2) {
        cache.delete(format!("{i}").as_bytes(), 0).expect(fine);
    }
    cache.set(b"long", &bytes(&vec![1; 50_000])).expect(fine);
    for operation in 0..OPERATIONS {
        operate(cache, operation, 7);
    }
}

const PAGE: usize = 4096;

/// The bytes of a sound segment with entries. No process has it open.
pub struct Template {
    path: PathBuf,
    pub bytes: Vec<u8>,
    pub geometry: Geometry,
    /// The offsets of the pages that are not all zeros.
    used: Vec<usize>,
}

impl Template {
    pub fn new() -> Self {
        let options = options(Eviction::S3Fifo);
        let _ = destroy(&options.name, options.directory.as_deref(), true);
        let cache = Cache::open(&options).expect("a new segment").0;
        furnish(&cache);
        let (path, geometry) = (cache.path().to_owned(), cache.geometry().clone());
        drop(cache);
        let bytes = std::fs::read(&path).expect("its bytes");
        let pages = bytes.chunks(PAGE).zip((0..).step_by(PAGE));
        let used = pages.filter(|(page, _)| *page != [0; PAGE]).map(|(_, at)| at).collect();
        Self { path, bytes, geometry, used }
    }

    /// The file of the segment, created if it does not exist.
    pub fn file(&self) -> File {
        let mode = |options: &mut FileOptions| options.read(true).write(true).create(true).mode(0o600).open(&self.path);
        mode(&mut FileOptions::new()).expect("our own file")
    }

    /// Writes the sound segment to the file. Most of its pages are all zeros, and become holes.
    pub fn write(&self) -> File {
        let file = self.file();
        file.set_len(0).and_then(|()| file.set_len(self.bytes.len() as u64)).expect("a length");
        for at in &self.used {
            file.write_all_at(&self.bytes[*at..*at + PAGE], *at as u64).expect("room");
        }
        file
    }
}

/// Makes the start of a file equal to `image` again. Only the few pages that differ are written.
pub fn restore(file: &File, image: &[u8]) {
    const AT_ONCE: usize = 16 * PAGE;
    let mut found = [0; AT_ONCE];
    for (wanted, at) in image.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
        let found = &mut found[..wanted.len()];
        file.read_exact_at(found, at).expect("its bytes");
        for ((wanted, found), page) in wanted.chunks(PAGE).zip(found.chunks(PAGE)).zip(0..) {
            if wanted != found {
                file.write_all_at(wanted, at + page * PAGE as u64).expect("its bytes");
            }
        }
    }
}

/// The number of operations of `operate`.
pub const OPERATIONS: u8 = 32;

struct Deaf;

impl Listener for Deaf {
    fn notify(&self, _: Notice) {}
}

/// A listener that ignores its notices.
pub fn deaf() -> Box<dyn Listener> {
    Box::new(Deaf)
}

/// Runs the operation with this number on the key with this number. Asserts that it ends soon, and with an expected
/// result.
pub fn operate(root: &Cache, operation: u8, number: u8) {
    let begun = Instant::now();
    let cache = if number < 200 { root.clone() } else { root.in_namespace("own").unwrap_or_else(|_| root.clone()) };
    if let Err(error) = attempt(&cache, operation, number) {
        assert!(is_expected(&error), "operation {operation} of {number}: {error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "operation {operation} of {number} took {:?}", begun.elapsed());
}

/// Whether damage may cause this error. Other errors would mean a mistake of the caller.
pub fn is_expected(error: &CacheError) -> bool {
    matches!(
        error,
        CacheError::Corrupt(_)
            | CacheError::Busy(_)
            | CacheError::NoSpace(_)
            | CacheError::Detached
            | CacheError::NotANumber
            | CacheError::Overflow
            // The family of a metric may be damaged.
            | CacheError::Mismatch(_)
    )
}

fn attempt(cache: &Cache, operation: u8, number: u8) -> Result<(), CacheError> {
    let mut out = Vec::new();
    let text = format!("{number}");
    let key = text.as_bytes();
    let tags = [cache.tag("red"), cache.tag(&text)];
    let value = [number; 700];
    let value = &value[..usize::from(number) * 2];
    let rate = Limit { algorithm: Algorithm::Gcra, tokens: 10, window_ms: 1000 };
    match operation % OPERATIONS {
        0 => cache.get(key, ReadMode::Use, &mut out).map(|_| ()),
        1 => cache.get(key, ReadMode::PeekStale, &mut out).map(|_| ()),
        2 | 3 => cache.set(key, &bytes(value)).map(|_| ()),
        4 => cache.set(key, &Write { ttl_ms: 5, stale_ms: 5, ..bytes(value) }).map(|_| ()),
        5 => cache.set(key, &Write { tags: &tags, keep_ttl: true, ..bytes(value) }).map(|_| ()),
        6 => cache.set(key, &Write { keep_tags: true, ..bytes(value) }).map(|_| ()),
        7 => cache.delete(key, 0).map(|_| ()),
        8 => cache.take(key, &mut out).map(|_| ()),
        9 => cache.touch(key, u64::from(number)).map(|_| ()),
        10 => {
            let by = cache_machine_core::Increment { init: 0.0, ttl_ms: 0, min: -1e9, max: 1e9, binary_key: false };
            cache.incr(key, 1.0, &by).map(|_| ())
        }
        11 => cache.invalidate_tags(&tags, Invalidation::Remove),
        12 => cache.invalidate_tags(&tags, Invalidation::Outdate),
        13 => cache.keys(0, &key[..1], 100).map(|_| ()),
        14 => cache.delete_prefix(key).map(|_| ()),
        15 if number.is_multiple_of(8) => cache.clear(),
        16 => cache.validate().map(|_| ()),
        17 => {
            let _ = (cache.stats(), cache.len(), cache.tallies(), cache.namespace_names(), cache.namespace_name(3));
            Ok(())
        }
        18 => cache.in_namespace(if number < 128 { "own" } else { "other" }).map(|_| ()),
        19 => cache.limit(key, &rate, Demand::Consume(1)).map(|_| ()),
        20 => cache.peek_limit(key, &Limit { algorithm: Algorithm::SlidingWindow, ..rate }, 1).map(|_| ()),
        21 => cache.limit(key, &Limit { algorithm: Algorithm::SlidingWindow, ..rate }, Demand::Consume(1)).map(|_| ()),
        22 => {
            let family = Family { kind: MetricKind::Histogram, bounds: &[1.0, 2.0], help: "h" };
            cache.declare_metric("m", &family, "m{}")
        }
        23 => cache.measure(b"m{}", Measurement::Observe(1.5)).map(|_| ()),
        24 => cache.metrics().map(|_| ()),
        25 => take_a_lock(cache, key),
        26 => load(cache, key, value),
        27 => listen(cache, key, number),
        28 => cache.publish(key, kind::BUFFER, value).map(|_| ()),
        29 => cache.advance_clock(u64::from(number)),
        30 => cache.version_of(key).map(|_| ()),
        31 => {
            let _ = cache.set(b"long", &bytes(&vec![number; usize::from(number) * 300]));
            cache.get(b"long", ReadMode::Use, &mut out).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Takes a lock, and releases it or leaves the queue.
fn take_a_lock(cache: &Cache, key: &[u8]) -> Result<(), CacheError> {
    let request = PermitRequest { permits: 1, ttl_ms: 50, wait: true };
    match cache.acquire(Keyspace::Locks, key, &request)? {
        Acquisition::Granted(grant) => {
            cache.extend(Keyspace::Locks, key, grant.token, 10)?;
            cache.permit_counts(Keyspace::Locks, key)?;
            cache.release(Keyspace::Locks, key, grant.token, 1).map(|_| ())
        }
        Acquisition::Waiting(ticket) => {
            cache.ticket_state(Keyspace::Locks, key, ticket)?;
            cache.leave(Keyspace::Locks, key, ticket, 1)
        }
        Acquisition::Refused => Ok(()),
    }
}

/// Begins to load the value of a key, and ends the load in one of several ways.
fn load(cache: &Cache, key: &[u8], value: &[u8]) -> Result<(), CacheError> {
    let options = FlightOptions { lease_ms: 100, newer_than: 0, background: false };
    match cache.begin_flight(FlightKind::Values, key, &options)? {
        FlightStart::Begun(token) if value.len().is_multiple_of(4) => {
            cache.finish_flight(FlightKind::Values, key, token, &bytes(value)).map(|_| ())
        }
        FlightStart::Begun(token) => cache.fail_flight(FlightKind::Values, key, token, b"no", true).map(|_| ()),
        FlightStart::Joined(token) => {
            cache.flight_outcome(FlightKind::Values, key, token)?;
            cache.is_flight_on(FlightKind::Values, key, token).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Watches and subscribes for a moment.
fn listen(cache: &Cache, key: &[u8], number: u8) -> Result<(), CacheError> {
    let listener = cache.add_listener(deaf());
    cache.want_removals(listener, number.is_multiple_of(2));
    let watch = Watch { key: None, prefix: b"", tags: &[] };
    let result = cache.watch(&watch, 10, listener).and_then(|watched| {
        let subscribed = cache.subscribe(key, number.is_multiple_of(2), 10, listener)?;
        let result = cache.set(key, &bytes(b"1")).and_then(|_| cache.publish(key, kind::BUFFER, b"2"));
        for stream in [watched, subscribed] {
            let _ = cache.read_stream(stream, 10);
            cache.end_stream(stream);
        }
        result.map(|_| ())
    });
    cache.remove_listener(listener);
    result
}

/// Lists and inspects segments, in any state of this one.
pub fn list_and_inspect(options: &OpenOptions) {
    let folder: Option<&Path> = options.directory.as_deref();
    let _ = (list(folder), inspect(&options.name, folder));
}
