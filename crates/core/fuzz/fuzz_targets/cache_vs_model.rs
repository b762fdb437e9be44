//! Any sequence of operations on the cache against a map with the same operations. Every result is that of the map, but
//! an entry may have been evicted. Then a miss is right as well; a wrong value never is.
//!
//! One segment serves many inputs, since a new one costs a hundred times as much as an operation. Each input begins
//! with a `clear`, so no entry of an earlier input may be found.

#![no_main]

use arbitrary::Arbitrary;
use cache_machine_core::{
    Cache, CacheError, Condition, Eviction, Increment, Invalidation, NoSink, OpenOptions, ReadMode, Write, destroy,
    kind,
};
use cache_machine_fuzz::options;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NAMESPACES: u8 = 3;
const KEYS: u8 = 24;
const TAGS: u8 = 4;
const INPUTS_PER_SEGMENT: u32 = 2000;
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

#[derive(Arbitrary, Debug)]
struct Input {
    lru: bool,
    /// One input in sixteen validates: that costs as much as a hundred operations.
    validate: u8,
    operations: Vec<(Place, Operation)>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Place {
    namespace: u8,
    key: u8,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Set { put: Put, condition: When },
    Get(Way),
    Delete { versioned: Option<bool> },
    Take,
    Touch { ttl_ms: u8 },
    Incr { by: i16, far: bool, ttl_ms: u8, min: Option<i8>, max: Option<i8> },
    Clear,
    Invalidate { tags: u8, outdate: bool },
    Advance { ms: u8 },
    RememberClock,
    DeletePrefix { digits: u8 },
    Keys,
    Rebuild,
    Reopen,
    Validate,
}

#[derive(Arbitrary, Debug)]
struct Put {
    what: What,
    len: u16,
    ttl_ms: u8,
    stale_ms: u8,
    tags: u8,
    keep_ttl: bool,
    keep_tags: bool,
    made_before: bool,
}

#[derive(Arbitrary, Debug)]
enum What {
    Bytes,
    /// A share of the maximum size of an entry. Such values make the cache evict.
    Large,
    Text,
    Number(i32),
    Absent,
}

#[derive(Arbitrary, Debug)]
enum When {
    Always,
    Absent,
    Present,
    ThisVersion,
    OtherVersion,
}

#[derive(Arbitrary, Debug)]
enum Way {
    Use,
    Peek,
    UseStale,
    PeekStale,
    PeekAbsent,
}

/// An entry of the map.
#[derive(Clone, Debug)]
struct Entry {
    kind: u8,
    value: Vec<u8>,
    version: u64,
    deadline: u64,
    stale_ms: u64,
    stamp: u64,
    tags: Vec<u64>,
    /// It may have been evicted since.
    may_be_evicted: bool,
}

#[derive(PartialEq)]
enum Fate {
    Fresh,
    Stale,
    Dead,
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<(u8, Vec<u8>), Entry>,
    /// For each tag its last removal and its last outdating, by the tag clock.
    records: BTreeMap<u64, (u64, u64)>,
}

impl Model {
    fn fate(&self, entry: &Entry) -> Fate {
        let records = entry.tags.iter().filter_map(|tag| self.records.get(tag));
        let (removed, outdated) = records.fold((0, 0), |(r, o), (r2, o2)| (r.max(*r2), o.max(*o2)));
        match entry.stamp {
            stamp if entry.tags.is_empty() || stamp >= removed.max(outdated) => Fate::Fresh,
            stamp if stamp < removed => Fate::Dead,
            _ => Fate::Stale,
        }
    }

    fn is_fresh(&self, entry: &Entry, now: u64) -> bool {
        (entry.deadline == 0 || now < entry.deadline) && self.fate(entry) == Fate::Fresh
    }

    fn is_live(&self, entry: &Entry, now: u64) -> bool {
        entry.kind != kind::ABSENT && self.is_fresh(entry, now)
    }

    fn live(&self, place: &(u8, Vec<u8>), now: u64) -> Option<&Entry> {
        self.entries.get(place).filter(|entry| self.is_live(entry, now))
    }

    /// Whether a read of this kind finds it, and whether it is stale then.
    fn served(&self, entry: &Entry, way: &Way, now: u64) -> Option<bool> {
        if entry.kind == kind::ABSENT && !matches!(way, Way::PeekAbsent) {
            return None;
        }
        let expired = entry.deadline != 0 && now >= entry.deadline;
        let fate = self.fate(entry);
        let stale = expired || fate == Fate::Stale;
        let is_past_its_window = expired && now - entry.deadline >= entry.stale_ms;
        let accepts_stale = matches!(way, Way::UseStale | Way::PeekStale);
        (fate != Fate::Dead && !is_past_its_window && (!stale || accepts_stale)).then_some(stale)
    }
}

/// A cache with the handles of its namespaces, and the state that outlives an input.
struct World {
    handles: Vec<Cache>,
    inputs: u32,
    last_version: u64,
}

impl World {
    fn new(eviction: Eviction) -> Self {
        // Long, for a slow machine: no other process holds the lock for long.
        let options = OpenOptions { write_timeout: Duration::from_secs(20), ..options(eviction) };
        destroy(&options.name, options.directory.as_deref(), true).expect("no other process has it open");
        let root = Cache::open(&options).expect("a new segment").0;
        assert_eq!(root.geometry().shards, 1, "one sequence of versions");
        let own = ["a", "b"].map(|name| root.in_namespace(name).expect("a namespace"));
        Self { handles: [root].into_iter().chain(own).collect(), inputs: 0, last_version: 0 }
    }
}

/// The run of one input.
struct Run<'a> {
    world: &'a mut World,
    model: Model,
    remembered_clock: u64,
}

impl Run<'_> {
    fn root(&self) -> &Cache {
        &self.world.handles[0]
    }

    fn step(&mut self, place: Place, operation: &Operation) {
        let namespace = place.namespace % NAMESPACES;
        let cache = self.world.handles[usize::from(namespace)].clone();
        // Keys of several lengths, some longer than a unit.
        let number = place.key % KEYS;
        let key = format!("{number}{}", "k".repeat(usize::from(number) * 7)).into_bytes();
        let at = (namespace, key);
        self.forget_if_evicted(&cache, &at);
        let evictions = self.evictions();
        self.operate(&cache, &at, operation);
        if self.evictions() != evictions {
            self.model.entries.values_mut().for_each(|entry| entry.may_be_evicted = true);
        }
    }

    fn evictions(&self) -> u64 {
        self.world.handles[1..].iter().map(|own| own.tallies().evictions).sum::<u64>() + self.root().tallies().evictions
    }

    /// Forgets an entry that may have been evicted, if the cache does not have it.
    fn forget_if_evicted(&mut self, cache: &Cache, at: &(u8, Vec<u8>)) {
        let Some(entry) = self.model.entries.get(at).filter(|entry| entry.may_be_evicted) else { return };
        let way = if entry.kind == kind::ABSENT { Way::PeekAbsent } else { Way::PeekStale };
        let served = self.model.served(entry, &way, cache.now_ms());
        let found = cache.get(&at.1, mode(&way), &mut NoSink).expect("get");
        if found.is_none() && served.is_some() {
            self.model.entries.remove(at);
        }
    }

    fn operate(&mut self, cache: &Cache, at: &(u8, Vec<u8>), operation: &Operation) {
        let now = cache.now_ms();
        let key = at.1.as_slice();
        match operation {
            Operation::Set { put, condition } => self.set(cache, at, put, condition),
            Operation::Get(way) => self.get(cache, at, way),
            Operation::Delete { versioned } => {
                let live = self.model.live(at, now);
                let is_other = versioned == &Some(false) && live.is_some();
                let version = match (versioned, live) {
                    (None, _) => 0,
                    (Some(true), live) => live.map_or(1, |entry| entry.version),
                    (Some(false), live) => live.map_or(1, |entry| entry.version + 1),
                };
                let there = live.is_some() && !is_other;
                assert_eq!(cache.delete(key, version).expect("delete"), there);
                if !is_other {
                    self.model.entries.remove(at);
                }
            }
            Operation::Take => {
                let mut out = Vec::new();
                let taken = cache.take(key, &mut out).expect("take");
                match self.model.live(at, now) {
                    Some(entry) => {
                        assert!(taken.is_some_and(|meta| meta.copied && meta.version == entry.version));
                        assert_eq!(out, entry.value);
                        self.model.entries.remove(at);
                    }
                    None => assert!(taken.is_none()),
                }
            }
            Operation::Touch { ttl_ms } => {
                let live = self.model.live(at, now).is_some();
                match cache.touch(key, u64::from(*ttl_ms)) {
                    Ok(touched) => assert_eq!(touched, live),
                    Err(CacheError::NoSpace(_)) => return,
                    Err(error) => panic!("{error}"),
                }
                if live && let Some(entry) = self.model.entries.get_mut(at) {
                    entry.deadline = deadline(*ttl_ms, now);
                }
            }
            Operation::Incr { .. } => self.incr(cache, at, operation),
            Operation::Clear => {
                cache.clear().expect("clear");
                self.model.entries.retain(|(namespace, _), _| at.0 != 0 && *namespace != at.0);
                assert_eq!(cache.len(), 0);
            }
            Operation::Invalidate { tags, outdate } => {
                let tags = tags_of(cache, *tags);
                let how = if *outdate { Invalidation::Outdate } else { Invalidation::Remove };
                let clock = cache.tag_clock() + 1;
                cache.invalidate_tags(&tags, how).expect("invalidate");
                assert_eq!(cache.tag_clock(), clock + 1);
                for tag in tags {
                    let record = self.model.records.entry(tag).or_default();
                    *(if *outdate { &mut record.1 } else { &mut record.0 }) = clock;
                }
            }
            Operation::Advance { ms } => cache.advance_clock(u64::from(*ms)).expect("a manual clock"),
            Operation::RememberClock => self.remembered_clock = cache.tag_clock(),
            Operation::DeletePrefix { digits } => {
                let prefix = format!("{}", digits % KEYS).into_bytes();
                let with_prefix = |(namespace, key): &(u8, Vec<u8>)| *namespace == at.0 && key.starts_with(&prefix);
                let doomed: Vec<_> = self.model.entries.iter().filter(|(place, _)| with_prefix(place)).collect();
                let sure =
                    doomed.iter().filter(|(_, e)| self.model.is_live(e, now) && !e.may_be_evicted).count() as u64;
                let at_most = doomed.iter().filter(|(_, e)| self.model.is_live(e, now)).count() as u64;
                let deleted = cache.delete_prefix(&prefix).expect("delete by prefix");
                assert!((sure..=at_most).contains(&deleted), "{deleted} of {sure} to {at_most}");
                self.model.entries.retain(|place, _| !with_prefix(place));
            }
            Operation::Keys => self.keys(cache, at.0),
            Operation::Rebuild => cache.rebuild_shard(0).expect("rebuild"),
            Operation::Reopen => {
                // A name has one number in every handle.
                let name = ["a", "b", "a"][usize::from(at.0)];
                let again = self.root().in_namespace(name).expect("there");
                assert_eq!(self.root().namespace_name(again.namespace()), name);
            }
            Operation::Validate => self.validate(),
        }
    }

    fn set(&mut self, cache: &Cache, at: &(u8, Vec<u8>), put: &Put, when: &When) {
        let now = cache.now_ms();
        let live = self.model.live(at, now).cloned();
        let version = live.as_ref().map_or(1, |entry| entry.version);
        let (condition, holds) = match when {
            When::Always => (Condition::Always, true),
            When::Absent => (Condition::Absent, live.is_none()),
            When::Present => (Condition::Present, live.is_some()),
            When::ThisVersion => (Condition::Version(version), live.is_some()),
            When::OtherVersion => (Condition::Version(version + 1), false),
        };
        let (kind, value) = value_of(cache, put);
        let tags = tags_of(cache, put.tags);
        let stamp = if put.made_before { self.remembered_clock } else { cache.tag_clock() };
        let write = Write {
            ttl_ms: u64::from(put.ttl_ms),
            stale_ms: u64::from(put.stale_ms),
            keep_ttl: put.keep_ttl,
            tags: &tags,
            keep_tags: put.keep_tags,
            made_at: put.made_before.then_some(stamp),
            condition,
            ..Write::new(kind, &value)
        };
        let stored = cache.set(&at.1, &write).expect("set");
        // With eviction there is always room.
        assert_eq!(stored.is_some(), holds);
        let Some(version) = stored else { return };
        assert!(version > self.world.last_version, "versions only grow");
        self.world.last_version = version;
        let mut entry = Entry {
            kind,
            value,
            version,
            deadline: deadline(put.ttl_ms, now),
            stale_ms: if put.ttl_ms == 0 { 0 } else { u64::from(put.stale_ms) },
            stamp,
            tags,
            // The eviction of such an entry is neither notified nor counted.
            may_be_evicted: kind == kind::ABSENT,
        };
        if let Some(old) = live {
            if put.keep_ttl {
                (entry.deadline, entry.stale_ms) = (old.deadline, old.stale_ms);
            }
            if put.keep_tags && !old.tags.is_empty() {
                (entry.stamp, entry.tags) = (old.stamp, old.tags);
            }
        }
        self.model.entries.insert(at.clone(), entry);
    }

    fn get(&mut self, cache: &Cache, at: &(u8, Vec<u8>), way: &Way) {
        let mut out = Vec::new();
        let found = cache.get(&at.1, mode(way), &mut out).expect("get");
        let entry = self.model.entries.get(at);
        match entry.and_then(|entry| Some((entry, self.model.served(entry, way, cache.now_ms())?))) {
            Some((entry, stale)) => {
                let meta = found.expect("no call removed it");
                assert_eq!((meta.version, meta.kind, meta.stale), (entry.version, entry.kind, stale));
                assert_eq!(meta.deadline, entry.deadline);
                assert!(out == entry.value, "another value");
            }
            None => assert!(found.is_none(), "a value that has expired, or was never set"),
        }
    }

    fn incr(&mut self, cache: &Cache, at: &(u8, Vec<u8>), operation: &Operation) {
        let Operation::Incr { by, far, ttl_ms, min, max } = operation else { return };
        let now = cache.now_ms();
        let by = if *far { f64::from(*by) * 2f64.powi(40) } else { f64::from(*by) };
        let min = min.map_or(f64::NEG_INFINITY, f64::from);
        let max = max.map_or(f64::INFINITY, f64::from);
        let options = Increment { init: 5.0, ttl_ms: u64::from(*ttl_ms), min, max, binary_key: false };
        let result = cache.incr(&at.1, by, &options);
        let live = self.model.live(at, now);
        let start = match live {
            None => 5.0,
            Some(entry) if entry.kind == kind::NUMBER => f64::from_le_bytes(entry.value.as_slice().try_into().unwrap()),
            Some(_) => return assert!(matches!(result, Err(CacheError::NotANumber))),
        };
        let mut sum = start + by;
        if sum < min {
            sum = min;
        }
        if sum > max {
            sum = max;
        }
        if sum.abs() > MAX_SAFE {
            return assert!(matches!(result, Err(CacheError::Overflow)));
        }
        assert_eq!(result.expect("a sum"), sum);
        let version = cache.version_of(&at.1).expect("get");
        let value = sum.to_le_bytes().to_vec();
        let fresh = Entry {
            kind: kind::NUMBER,
            value,
            version: 0,
            deadline: deadline(*ttl_ms, now),
            stale_ms: 0,
            stamp: 0,
            tags: Vec::new(),
            may_be_evicted: false,
        };
        let mut entry = match live {
            Some(old) => Entry { value: fresh.value, kind: kind::NUMBER, may_be_evicted: false, ..old.clone() },
            None => fresh,
        };
        entry.version = version.expect("it is there");
        assert!(entry.version > self.world.last_version);
        self.world.last_version = entry.version;
        self.model.entries.insert(at.clone(), entry);
    }

    fn keys(&self, cache: &Cache, namespace: u8) {
        let now = cache.now_ms();
        let mut found = BTreeSet::new();
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let page = cache.keys(from, b"", 1000).expect("keys");
            assert!(page.next.is_none_or(|next| next > from));
            for key in page.keys {
                assert!(found.insert(key.bytes), "a key twice");
            }
            cursor = page.next;
        }
        let own = || self.model.entries.iter().filter(|((other, _), _)| *other == namespace);
        for ((_, key), entry) in own() {
            let live = self.model.is_live(entry, now);
            assert!(
                found.remove(key) == live || (live && entry.may_be_evicted),
                "a key that is missing, or has expired"
            );
        }
        assert!(found.is_empty(), "keys that were never set");
        let sure = own().filter(|(_, e)| self.model.is_fresh(e, now) && !e.may_be_evicted).count() as u64;
        let (at_most, counted) = (own().count() as u64, cache.len());
        assert!((sure..=at_most).contains(&counted), "{counted} entries of {sure} to {at_most}");
    }

    fn validate(&self) {
        assert_eq!(self.root().stats().damaged, 0);
        assert_eq!(self.root().validate().expect("validate"), Vec::<String>::new());
    }

    /// Checks every entry once more.
    fn end(mut self, validate: bool) {
        for at in self.model.entries.keys().cloned().collect::<Vec<_>>() {
            let cache = self.world.handles[usize::from(at.0)].clone();
            self.forget_if_evicted(&cache, &at);
            self.get(&cache, &at, &Way::UseStale);
        }
        if validate {
            (0..NAMESPACES).for_each(|namespace| self.keys(&self.world.handles[usize::from(namespace)], namespace));
            self.validate();
        }
    }
}

fn mode(way: &Way) -> ReadMode {
    match way {
        Way::Use => ReadMode::Use,
        Way::Peek => ReadMode::Peek,
        Way::UseStale => ReadMode::UseStale,
        Way::PeekStale => ReadMode::PeekStale,
        Way::PeekAbsent => ReadMode::PeekAbsent,
    }
}

fn deadline(ttl_ms: u8, now: u64) -> u64 {
    if ttl_ms == 0 { 0 } else { now + u64::from(ttl_ms) }
}

fn tags_of(cache: &Cache, bits: u8) -> Vec<u64> {
    (0..TAGS).filter(|tag| bits >> tag & 1 == 1).map(|tag| cache.tag(&format!("tag {tag}"))).collect()
}

/// A value with bytes that depend on their position and on the length.
fn value_of(cache: &Cache, put: &Put) -> (u8, Vec<u8>) {
    let pattern = |len: usize| (0..len).map(|i| (i * 31 + len + (i >> 8)) as u8).collect::<Vec<_>>();
    match put.what {
        What::Bytes => (kind::BUFFER, pattern(usize::from(put.len) % 5000)),
        What::Large => {
            let max = cache.geometry().max_entry - 200;
            (kind::UINT8_ARRAY, vec![put.len as u8; max / 4 + usize::from(put.len) * 3 % (max * 3 / 4)])
        }
        What::Text => (kind::STRING, "text ".repeat(usize::from(put.len) % 100).into_bytes()),
        What::Number(number) => (kind::NUMBER, f64::from(number).to_le_bytes().to_vec()),
        What::Absent => (kind::ABSENT, Vec::new()),
    }
}

thread_local! {
    /// One for each eviction policy.
    static WORLDS: RefCell<[Option<World>; 2]> = const { RefCell::new([None, None]) };
}

fuzz_target!(|input: Input| {
    WORLDS.with_borrow_mut(|worlds| {
        let world = &mut worlds[usize::from(input.lru)];
        if world.as_ref().is_none_or(|world| world.inputs >= INPUTS_PER_SEGMENT) {
            *world = None;
            *world = Some(World::new(if input.lru { Eviction::Lru } else { Eviction::S3Fifo }));
        }
        let Some(world) = world else { return };
        world.inputs += 1;
        world.handles[0].clear().expect("clear");
        let remembered_clock = world.handles[0].tag_clock();
        let mut run = Run { world, model: Model::default(), remembered_clock };
        for (place, operation) in &input.operations {
            run.step(*place, operation);
        }
        run.end(input.validate % 16 == 1);
    });
});
