//! Regions: their handles in this JavaScript environment, and the calls on them. Each throws an error whose `code` is one of
//! `lib/errors.ts`, or `ERR_DETACHED` for a region that was destroyed or truncated.
//!
//! The thing to get wrong: the end of a worker thread. Its handles are dropped by the environment's clean-up hook, which
//! gives up the locks that they hold; the process lives on, so nobody else would.

use crate::calls::{Code, Result, fail};
use crate::options::BindingProcess;
use crate::raw::{self, View};
use cache_machine_core::{
    Acquired, CacheError, Opened, RegionInfo, RegionOptions, SharedRegion, destroy_region, inspect_region, list_regions,
};
use napi::bindgen_prelude::Object;
use napi::{Env, Error};
use napi_derive::napi;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// One `openRegion` of JavaScript. Its raw functions point at it, so it stays in memory when it is closed, emptied.
pub(crate) struct Handle {
    region: RefCell<Option<SharedRegion>>,
    /// What JavaScript sees of it.
    view: Cell<Option<View>>,
}

#[derive(Default)]
struct Handles {
    last_id: u32,
    open: HashMap<u32, Rc<Handle>>,
}

thread_local! {
    static HANDLES: RefCell<Handles> = RefCell::default();
}

/// The environment ends: no JavaScript will run again that could look through a view, or release a lock.
pub(crate) fn close_all() {
    let handles = HANDLES.try_with(|handles| std::mem::take(&mut handles.borrow_mut().open)).unwrap_or_default();
    for handle in handles.into_values() {
        handle.let_go();
    }
}

impl Handle {
    /// Takes the lock: 1 if the last holder did not finish, else 0; or less, see `NativeRegionCalls` in `lib/native.ts`.
    pub(crate) fn lock(&self, timeout: f64) -> i32 {
        let timeout = Duration::from_secs_f64((timeout / 1000.0).clamp(0.0, 1e9));
        self.with(|region| match region.lock(timeout) {
            Ok(acquired) => i32::from(acquired == Acquired::Suspect),
            Err(CacheError::Busy(_)) if region.is_held_here() => -HELD_HERE,
            Err(error) => -error.status(),
        })
    }

    /// Releases the lock, as one that has finished or not: 0, or less.
    pub(crate) fn unlock(&self, finished: bool) -> i32 {
        self.with(|region| {
            let released = if finished { region.unlock() } else { region.abandon() };
            released.map_or_else(|error| -error.status(), |()| 0)
        })
    }

    fn with(&self, f: impl FnOnce(&SharedRegion) -> i32) -> i32 {
        self.region.borrow().as_ref().map_or(-CLOSED, f)
    }

    fn let_go(&self) {
        drop(self.region.take());
    }
}

/// The status of a call on a closed handle.
const CLOSED: i32 = 7;
/// The status of a lock that would wait for its own thread.
const HELD_HERE: i32 = 103;

pub(crate) fn find(id: u32) -> Result<Rc<Handle>> {
    let handle = HANDLES.with_borrow(|handles| handles.open.get(&id).cloned());
    handle.ok_or_else(|| Error::new(Code::closed(), "the region is closed".to_owned()))
}

fn with<T>(id: u32, f: impl FnOnce(&SharedRegion) -> T) -> Result<T> {
    let handle = find(id)?;
    let region = handle.region.borrow();
    region.as_ref().map(f).ok_or_else(|| Error::new(Code::closed(), "the region is closed".to_owned()))
}

fn folder(directory: Option<&String>) -> Option<&Path> {
    directory.map(Path::new)
}

/// See `NativeRegionOptions` in `lib/native.ts`.
#[napi(object)]
pub struct BindingRegionOptions {
    pub cache: String,
    pub name: String,
    pub directory: Option<String>,
    pub size: f64,
}

/// See `NativeRegion`.
#[napi(object)]
pub struct BindingRegion {
    pub id: u32,
    pub created: bool,
    pub path: String,
}

/// Creates or attaches; the id stands for the handle in all other calls.
#[napi(catch_unwind)]
pub fn region_open(options: BindingRegionOptions) -> Result<BindingRegion> {
    let BindingRegionOptions { cache, name, directory, size } = options;
    let directory = directory.map(PathBuf::from);
    let options = RegionOptions { cache, name, directory, size: size as usize };
    let (region, opened) = SharedRegion::open(&options).map_err(fail)?;
    let path = region.path().display().to_string();
    let id = HANDLES.with_borrow_mut(|handles| {
        handles.last_id += 1;
        let handle = Handle { region: RefCell::new(Some(region)), view: Cell::default() };
        handles.open.insert(handles.last_id, Rc::new(handle));
        handles.last_id
    });
    Ok(BindingRegion { id, created: opened == Opened::Created, path })
}

/// The region's bytes; null where the host forbids buffers over memory that is not its own. To be called once.
#[napi(catch_unwind, ts_return_type = "ArrayBuffer | null")]
pub fn region_buffer(env: Env, id: u32) -> Result<Option<Object<'static>>> {
    let ((memory, start), size) = with(id, |region| (region.memory(), region.size()))?;
    Ok(raw::buffer_over(env, memory, start, size).map(|(buffer, view)| {
        if let Some(before) = find(id).ok().and_then(|handle| handle.view.replace(Some(view))) {
            before.detach();
        }
        buffer
    }))
}

/// False once the region was destroyed, truncated or replaced.
#[napi(catch_unwind)]
pub fn region_attached(id: u32) -> Result<bool> {
    with(id, SharedRegion::is_attached)
}

/// Closes a handle: its lock is given up, its buffer is empty from here on. Closing twice is fine.
#[napi(catch_unwind)]
pub fn region_close(id: u32) {
    let handle = HANDLES.with_borrow_mut(|handles| handles.open.remove(&id));
    if let Some(handle) = handle {
        if let Some(view) = handle.view.take() {
            view.detach();
        }
        handle.let_go();
    }
}

/// See `NativeRegionInfo`.
#[napi(object)]
pub struct BindingRegionInfo {
    pub cache: String,
    pub name: String,
    pub path: String,
    pub layout_version: u32,
    pub readable: bool,
    pub size: f64,
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

/// This user's regions of a place.
#[napi(catch_unwind)]
pub fn regions_list(directory: Option<String>) -> Vec<BindingRegionInfo> {
    list_regions(folder(directory.as_ref())).into_iter().map(Into::into).collect()
}

/// One region, from outside.
#[napi(catch_unwind)]
pub fn regions_inspect(cache: String, name: String, directory: Option<String>) -> Result<Option<BindingRegionInfo>> {
    let info = inspect_region(&cache, &name, folder(directory.as_ref())).map_err(fail)?;
    Ok(info.map(Into::into))
}

/// Destroys a region; false if there is none.
#[napi(catch_unwind)]
pub fn regions_destroy(cache: String, name: String, directory: Option<String>, force: bool) -> Result<bool> {
    destroy_region(&cache, &name, folder(directory.as_ref()), force).map_err(fail)
}
