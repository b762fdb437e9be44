//! The ordinary calls on regions. Each throws an error with a `code` of `lib/errors.ts`, or with `ERR_DETACHED` for a
//! region that was destroyed or truncated.

use crate::errors::{Result, fail};
use crate::options::{BindingPlace, BindingProcess, OwnedPlace, group_of};
use crate::raw::view;
use crate::region_handles::{add, close, find, with};
use crate::registry::Load;
use cache_machine_core::{
    Opened, RegionInfo, RegionOptions, SharedRegion, destroy_region, inspect_region, list_regions,
};
use napi::bindgen_prelude::Object;
use napi::{Either, Env};
use napi_derive::napi;
use std::path::PathBuf;

/// The region that `regionOpen` opens.
#[napi(object)]
pub struct BindingRegionOptions {
    /// Name of the cache that the region lies beside.
    pub cache: String,
    pub name: String,
    pub directory: Option<String>,
    /// The id or the name of the group that shares the region. Default: the effective user.
    pub group: Option<Either<u32, String>>,
    /// Bytes, a whole number from 1 on.
    pub size: f64,
}

/// The region that was opened.
#[napi(object)]
pub struct BindingRegion {
    /// Identifies the handle in all other calls.
    pub id: u32,
    pub created: bool,
    pub path: String,
}

/// Creates a region or attaches to it.
#[napi(catch_unwind)]
pub fn region_open(env: Env, options: BindingRegionOptions) -> Result<BindingRegion> {
    let BindingRegionOptions { cache, name, directory, group, size } = options;
    let directory = directory.map(PathBuf::from);
    let options = RegionOptions { cache, name, directory, group: group_of(group), size: size as usize };
    let (region, opened) = SharedRegion::open(&options).map_err(fail)?;
    let path = region.path().display().to_string();
    Ok(BindingRegion { id: add(Load::of(env), region), created: opened == Opened::Created, path })
}

/// The region's bytes; null where the host forbids buffers over memory that Node did not allocate. To be called once.
/// `regionClose` takes the memory away.
#[napi(catch_unwind, ts_return_type = "ArrayBuffer | null")]
pub fn region_buffer(env: Env, id: u32) -> Result<Option<Object<'static>>> {
    let handle = find(id)?;
    let ((memory, start), size) = with(id, |region| (region.memory(), region.size()))?;
    Ok(view::buffer_over(env, memory, start, size).map(|(buffer, view)| {
        handle.set_view(view);
        buffer
    }))
}

/// False once the region was destroyed, truncated or replaced.
#[napi(catch_unwind)]
pub fn region_attached(id: u32) -> Result<bool> {
    with(id, SharedRegion::is_attached)
}

/// Closes a handle: its lock is given up, its buffer is empty from here on. A second call does nothing.
#[napi(catch_unwind)]
pub fn region_close(id: u32) {
    close(id);
}

/// A region, seen from outside.
#[napi(object)]
pub struct BindingRegionInfo {
    pub cache: String,
    pub name: String,
    pub path: String,
    pub layout_version: u32,
    /// False: the region has another layout or is damaged; then `size` and `age` are 0.
    pub readable: bool,
    pub size: f64,
    /// Milliseconds since creation.
    pub age: f64,
    pub processes: Vec<BindingProcess>,
}

impl From<RegionInfo> for BindingRegionInfo {
    fn from(info: RegionInfo) -> Self {
        let (size, age) = info.contents.unwrap_or_default();
        Self {
            cache: info.cache,
            name: info.name,
            path: info.path.display().to_string(),
            layout_version: info.layout,
            readable: info.contents.is_some(),
            size: size as f64,
            age: age as f64,
            processes: info.processes.into_iter().map(Into::into).collect(),
        }
    }
}

/// The regions in a place.
#[napi(catch_unwind)]
pub fn regions_list(place: BindingPlace) -> Result<Vec<BindingRegionInfo>> {
    let found = list_regions(OwnedPlace::from(place).location()).map_err(fail)?;
    Ok(found.into_iter().map(Into::into).collect())
}

/// One region; null if there is none.
#[napi(catch_unwind)]
pub fn regions_inspect(cache: String, name: String, place: BindingPlace) -> Result<Option<BindingRegionInfo>> {
    let info = inspect_region(&cache, &name, OwnedPlace::from(place).location()).map_err(fail)?;
    Ok(info.map(Into::into))
}

/// Destroys a region; false if there is none.
#[napi(catch_unwind)]
pub fn regions_destroy(cache: String, name: String, place: BindingPlace, force: bool) -> Result<bool> {
    destroy_region(&cache, &name, OwnedPlace::from(place).location(), force).map_err(fail)
}
