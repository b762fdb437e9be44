//! Plain objects that cross the boundary, and their core counterparts.

use cache_machine_core::{Cache, CacheError, Eviction, OpenOptions, Opened, SegmentInfo, TAG_CLOCK, Tallies};
use napi_derive::napi;
use std::time::Duration;

/// See `NativeOpenOptions` in `lib/native.ts`.
#[napi(object)]
pub struct BindingOpenOptions {
    pub name: String,
    pub directory: Option<String>,
    pub size: f64,
    pub max_entry_size: Option<f64>,
    pub eviction: String,
    pub lock_memory: bool,
    pub write_timeout: f64,
    pub manual_clock: bool,
    pub namespace: Option<String>,
}

impl TryFrom<BindingOpenOptions> for OpenOptions {
    type Error = CacheError;

    fn try_from(options: BindingOpenOptions) -> Result<Self, CacheError> {
        let eviction = Eviction::parse(&options.eviction)
            .ok_or_else(|| CacheError::InvalidArgument(format!("eviction is {:?}", options.eviction)))?;
        Ok(Self {
            name: options.name,
            directory: options.directory.map(Into::into),
            size: options.size as usize,
            max_entry: options.max_entry_size.map(|size| size as usize),
            eviction,
            lock_memory: options.lock_memory,
            write_timeout: Duration::from_secs_f64((options.write_timeout / 1000.0).clamp(0.0, 1e6)),
            manual_clock: options.manual_clock,
        })
    }
}

/// See `NativeOpened`.
#[napi(object)]
pub struct BindingOpened {
    pub id: u32,
    pub created: bool,
    pub path: String,
    pub size: f64,
    pub max_entry_size: f64,
    pub eviction: String,
    pub shards: u32,
    pub root_epoch_offset: f64,
    pub epoch_offset: f64,
    pub tag_clock_offset: f64,
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
        }
    }
}

/// See `NativeTallies`.
#[napi(object)]
pub struct BindingTallies {
    pub hits: f64,
    pub misses: f64,
    pub sets: f64,
    pub deletes: f64,
    pub evictions: f64,
    pub expirations: f64,
    pub entries: f64,
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
        }
    }
}

/// See `NativeStats`.
#[napi(object)]
pub struct BindingStats {
    pub total: BindingTallies,
    pub own: BindingTallies,
    pub used_bytes: f64,
    pub capacity_bytes: f64,
    pub reserved_bytes: f64,
    pub repairs: f64,
    pub damaged: f64,
    pub busy: f64,
    pub retries: f64,
    pub lock_waits: f64,
    pub lock_wait_times: Vec<f64>,
    pub tags_overflowed: f64,
    pub limits_evicted: f64,
    pub processes: f64,
    pub namespaces: Vec<String>,
}

impl BindingStats {
    pub(crate) fn of(cache: &Cache) -> Self {
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
            tags_overflowed: stats.tags_overflowed as f64,
            limits_evicted: stats.limits_evicted as f64,
            processes: stats.processes as f64,
            namespaces: cache.namespace_names(),
        }
    }
}

/// See `NativeProcess`.
#[napi(object)]
pub struct BindingProcess {
    pub slot: u32,
    pub pid: u32,
    pub age: f64,
}

impl From<(u16, u32, u64)> for BindingProcess {
    fn from((slot, pid, age): (u16, u32, u64)) -> Self {
        Self { slot: slot.into(), pid, age: age as f64 }
    }
}

/// See `NativeSegmentInfo`.
#[napi(object)]
pub struct BindingSegmentInfo {
    pub name: String,
    pub path: String,
    pub size: f64,
    pub reserved_bytes: f64,
    pub layout_version: u32,
    pub readable: bool,
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
