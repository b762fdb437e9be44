//! Objects that cross the boundary, made of their counterparts in the core.

use cache_machine_core::{
    AttachedProcess, Cache, CacheError, Eviction, Group, Location, OpenOptions, Opened, QuotaSetting, Resized,
    SegmentInfo, ShardUse, TAG_CLOCK, Tallies,
};
use napi::Either;
use napi_derive::napi;
use std::path::PathBuf;
use std::time::Duration;

/// The segment and the namespace that `open` opens.
#[napi(object)]
pub struct BindingOpenOptions {
    pub name: String,
    pub directory: Option<String>,
    /// The id or the name of the group that shares the segment. Default: the effective user.
    pub group: Option<Either<u32, String>>,
    /// The version of the application, which has values of its own. Default: none.
    pub version: Option<String>,
    /// Bytes.
    pub size: f64,
    /// Bytes.
    pub max_entry_size: Option<f64>,
    pub eviction: String,
    pub lock_memory: bool,
    /// Milliseconds.
    pub write_timeout: f64,
    /// Maximum wait for a process that opens or destroys the segment, in milliseconds. Default: 2,000.
    pub open_timeout: Option<f64>,
    /// False: neither the segment nor the namespace is created. Default: true.
    pub create: Option<bool>,
    /// Tests only: the segment is created with a clock that stands still until `advanceClock`, in every process.
    pub manual_clock: bool,
    /// The handle's namespace, made if it does not exist. Default: the root.
    pub namespace: Option<String>,
    /// Of the handle's namespace. Default: what is set.
    pub quota: Option<BindingQuota>,
}

/// Where segments are, and which group shares them.
#[napi(object)]
pub struct BindingPlace {
    pub directory: Option<String>,
    /// The id or the name of a group. Default: the effective user.
    pub group: Option<Either<u32, String>>,
}

/// The folder and the group of a `Location`, which refers to them.
pub(crate) struct OwnedPlace {
    directory: Option<PathBuf>,
    group: Option<Group>,
}

impl OwnedPlace {
    pub(crate) fn location(&self) -> Location<'_> {
        Location { directory: self.directory.as_deref(), group: self.group.as_ref() }
    }
}

impl From<BindingPlace> for OwnedPlace {
    fn from(BindingPlace { directory, group }: BindingPlace) -> Self {
        Self { directory: directory.map(Into::into), group: group_of(group) }
    }
}

pub(crate) fn group_of(group: Option<Either<u32, String>>) -> Option<Group> {
    group.map(|group| match group {
        Either::A(id) => Group::Id(id),
        Either::B(name) => Group::Name(name),
    })
}

/// A setting of a namespace's quota. Default of each: what is set.
#[napi(object)]
pub struct BindingQuota {
    /// Bytes that other namespaces cannot take.
    pub reserve: Option<f64>,
    /// Maximum bytes; Infinity: no maximum.
    pub size: Option<f64>,
    pub eviction: Option<String>,
}

impl TryFrom<&BindingQuota> for QuotaSetting {
    type Error = CacheError;

    fn try_from(quota: &BindingQuota) -> Result<Self, CacheError> {
        let eviction = quota.eviction.as_deref().map(eviction_of).transpose()?;
        Ok(Self { reserve: quota.reserve.map(|b| b as u64), size: quota.size.map(|b| b as u64), eviction })
    }
}

fn eviction_of(name: &str) -> Result<Eviction, CacheError> {
    Eviction::parse(name).ok_or_else(|| CacheError::InvalidArgument(format!("eviction is {name:?}")))
}

impl TryFrom<BindingOpenOptions> for OpenOptions {
    type Error = CacheError;

    fn try_from(options: BindingOpenOptions) -> Result<Self, CacheError> {
        let eviction = eviction_of(&options.eviction)?;
        Ok(Self {
            name: options.name,
            directory: options.directory.map(Into::into),
            group: group_of(options.group),
            version: options.version,
            size: options.size as usize,
            max_entry: options.max_entry_size.map(|size| size as usize),
            eviction,
            lock_memory: options.lock_memory,
            write_timeout: milliseconds(options.write_timeout),
            open_timeout: milliseconds(options.open_timeout.unwrap_or(2000.0)),
            create: options.create.unwrap_or(true),
            manual_clock: options.manual_clock,
        })
    }
}

fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64((ms / 1000.0).clamp(0.0, 1e6))
}

/// What was opened: the properties of the segment, which may differ from what was asked for.
#[napi(object)]
pub struct BindingOpened {
    /// Identifies the handle in all other calls.
    pub id: u32,
    pub created: bool,
    pub path: String,
    pub size: f64,
    pub max_entry_size: f64,
    pub eviction: String,
    pub shards: u32,
    /// Offset in `view` of the root's epoch.
    pub root_epoch_offset: f64,
    /// Offset in `view` of the epoch of the handle's namespace; of the root, its own.
    pub epoch_offset: f64,
    /// Offset in `view` of the tag clock.
    pub tag_clock_offset: f64,
    /// The number of the version, if the handle has one.
    pub version_number: Option<u32>,
}

impl BindingOpened {
    pub(crate) fn new(id: u32, cache: &Cache, opened: Opened) -> Self {
        let geometry = cache.geometry();
        Self {
            id,
            created: opened == Opened::Created,
            path: cache.path().display().to_string(),
            size: geometry.len as f64,
            max_entry_size: geometry.max_entry as f64,
            eviction: geometry.eviction.name().into(),
            shards: geometry.shards as u32,
            root_epoch_offset: cache.root_epoch_offset() as f64,
            epoch_offset: cache.epoch_offset() as f64,
            tag_clock_offset: TAG_CLOCK as f64,
            version_number: cache.version_number().map(u32::from),
        }
    }
}

/// What a resize changes, in bytes.
#[napi(object)]
pub struct BindingDimensions {
    pub size: f64,
    pub max_entry_size: f64,
}

/// The result of a resize.
#[napi(object)]
pub struct BindingResized {
    /// Bytes before.
    pub from: f64,
    /// Bytes now.
    pub to: f64,
    /// Entries now, records included.
    pub entries: f64,
    /// Entries that had no room.
    pub evicted: f64,
    /// Milliseconds during which writers waited.
    pub paused_ms: f64,
}

impl From<Resized> for BindingResized {
    fn from(resized: Resized) -> Self {
        Self {
            from: resized.from as f64,
            to: resized.to as f64,
            entries: resized.entries as f64,
            evicted: resized.evicted as f64,
            paused_ms: resized.paused.as_secs_f64() * 1e3,
        }
    }
}

/// Counts of a namespace.
#[napi(object)]
pub struct BindingTallies {
    pub hits: f64,
    pub misses: f64,
    pub sets: f64,
    pub deletes: f64,
    pub evictions: f64,
    pub expirations: f64,
    pub entries: f64,
    /// Bytes of these entries.
    pub bytes: f64,
    /// Bytes that other namespaces cannot take.
    pub guaranteed_bytes: f64,
    pub maximum_bytes: f64,
    /// Entries evicted because their namespace had reached its maximum.
    pub evicted_for_size: f64,
    /// Entries evicted to make room for another namespace.
    pub evicted_for_others: f64,
}

impl From<Tallies> for BindingTallies {
    fn from(tallies: Tallies) -> Self {
        Self {
            hits: tallies.hits as f64,
            misses: tallies.misses as f64,
            sets: tallies.sets as f64,
            deletes: tallies.deletes as f64,
            evictions: tallies.evictions as f64,
            expirations: tallies.expirations as f64,
            entries: tallies.entries as f64,
            bytes: tallies.bytes as f64,
            guaranteed_bytes: tallies.guaranteed_bytes as f64,
            maximum_bytes: tallies.maximum_bytes as f64,
            evicted_for_size: tallies.evicted_for_size as f64,
            evicted_for_others: tallies.evicted_for_others as f64,
        }
    }
}

/// Counts over all processes.
#[napi(object)]
pub struct BindingStats {
    /// Of the whole segment.
    pub total: BindingTallies,
    /// Of the handle's namespace.
    pub own: BindingTallies,
    /// Bytes that entries occupy.
    pub used_bytes: f64,
    /// Bytes for entries.
    pub capacity_bytes: f64,
    /// Bytes of the segment taken from the system so far.
    pub reserved_bytes: f64,
    /// Shards repaired after a death.
    pub repairs: f64,
    /// Index words dropped because their entry was damaged.
    pub damaged: f64,
    /// Writes that ended in `ERR_BUSY`.
    pub busy: f64,
    /// Reads repeated because their entry changed meanwhile.
    pub retries: f64,
    pub lock_waits: f64,
    /// Waits below 1 µs, below 2 µs, below 4 µs …; the last number counts all longer ones.
    pub lock_wait_times: Vec<f64>,
    /// Milliseconds.
    pub lock_wait_total: f64,
    /// Tagged entries that ended because the record of an invalidation was gone.
    pub tags_unjudged: f64,
    /// States of limiters that were evicted for room.
    pub limits_evicted: f64,
    pub processes: f64,
    pub namespaces: Vec<String>,
    /// The versions of the application that have users or entries.
    pub versions: Vec<BindingVersion>,
}

/// A version of the application.
#[napi(object)]
pub struct BindingVersion {
    pub name: String,
    /// Number of processes that have it open.
    pub processes: u32,
}

impl BindingStats {
    pub(crate) fn of(cache: &Cache, versions: Vec<(u16, String, u32)>) -> Self {
        let stats = cache.stats();
        Self {
            total: stats.total.into(),
            own: cache.tallies().into(),
            used_bytes: stats.used_bytes as f64,
            capacity_bytes: stats.capacity_bytes as f64,
            reserved_bytes: stats.reserved_bytes as f64,
            repairs: stats.repairs as f64,
            damaged: stats.damaged as f64,
            busy: stats.busy as f64,
            retries: stats.retries as f64,
            lock_waits: stats.lock_waits as f64,
            lock_wait_times: stats.lock_wait_times.iter().map(|count| *count as f64).collect(),
            lock_wait_total: stats.lock_waited_ns as f64 / 1e6,
            tags_unjudged: stats.tags_unjudged as f64,
            limits_evicted: stats.limits_evicted as f64,
            processes: stats.processes as f64,
            namespaces: cache.namespace_names(),
            versions: versions.into_iter().map(|(_, name, processes)| BindingVersion { name, processes }).collect(),
        }
    }
}

/// How the space of one shard is used.
#[napi(object)]
pub struct BindingShard {
    /// Bytes for entries.
    pub capacity_bytes: f64,
    /// Those of them that were taken from the system so far.
    pub reserved_bytes: f64,
    /// Those of them that entries and records occupy.
    pub used_bytes: f64,
    /// Bytes of the small queue, without namespaces that have a quota.
    pub small_bytes: f64,
    /// Bytes of the main queue, without namespaces that have a quota.
    pub main_bytes: f64,
    /// Bytes of records that are not evicted.
    pub pinned_bytes: f64,
    /// Entries and records.
    pub words: f64,
    /// Rebuilds after a death.
    pub repairs: f64,
}

impl From<ShardUse> for BindingShard {
    fn from(shard: ShardUse) -> Self {
        Self {
            capacity_bytes: shard.capacity_bytes as f64,
            reserved_bytes: shard.reserved_bytes as f64,
            used_bytes: shard.used_bytes as f64,
            small_bytes: shard.small_bytes as f64,
            main_bytes: shard.main_bytes as f64,
            pinned_bytes: shard.pinned_bytes as f64,
            words: shard.words as f64,
            repairs: shard.repairs as f64,
        }
    }
}

/// A process that is attached.
#[napi(object)]
pub struct BindingProcess {
    pub slot: u32,
    pub pid: u32,
    /// Milliseconds since it attached.
    pub age: f64,
    /// The version of the package that it runs; empty: not known.
    pub package_version: String,
}

impl From<(AttachedProcess, u64)> for BindingProcess {
    fn from((AttachedProcess { slot, pid, version, .. }, age): (AttachedProcess, u64)) -> Self {
        let [major, minor, patch] = version;
        let package_version = if version == [0; 3] { String::new() } else { format!("{major}.{minor}.{patch}") };
        Self { slot: slot.into(), pid, age: age as f64, package_version }
    }
}

/// A segment, seen from outside.
#[napi(object)]
pub struct BindingSegmentInfo {
    pub name: String,
    pub path: String,
    pub size: f64,
    pub reserved_bytes: f64,
    pub layout_version: u32,
    /// False: the segment has another layout or is damaged. Then only `name`, `path`, `size`, `layoutVersion` and
    /// `processes` are meaningful.
    pub readable: bool,
    /// Milliseconds since creation.
    pub age: f64,
    pub eviction: String,
    pub max_entry_size: f64,
    pub shards: u32,
    pub entries: f64,
    pub used_bytes: f64,
    pub capacity_bytes: f64,
    pub processes: Vec<BindingProcess>,
}

impl From<SegmentInfo> for BindingSegmentInfo {
    fn from(info: SegmentInfo) -> Self {
        let stats = info.contents.as_ref().map(|contents| contents.stats).unwrap_or_default();
        let contents = info.contents.as_ref();
        Self {
            name: info.name,
            path: info.path.display().to_string(),
            size: info.size as f64,
            reserved_bytes: stats.reserved_bytes as f64,
            layout_version: info.layout,
            readable: contents.is_some(),
            age: contents.map_or(0.0, |c| c.age_ms as f64),
            eviction: contents.map_or("", |c| c.eviction.name()).into(),
            max_entry_size: contents.map_or(0.0, |c| c.max_entry as f64),
            shards: contents.map_or(0, |c| c.shards as u32),
            entries: stats.total.entries as f64,
            used_bytes: stats.used_bytes as f64,
            capacity_bytes: stats.capacity_bytes as f64,
            processes: info.processes.into_iter().map(Into::into).collect(),
        }
    }
}
