//! The open region handles of a thread, and the lock calls on them.
//!
//! When a worker ends, a clean-up hook of each load of the addon drops the handles of that load, which gives up the
//! locks that they hold. The
//! process lives on, so nothing else would give them up.

use crate::errors::{Result, closed};
use crate::layout::Status;
use crate::raw::view::View;
use crate::registry::{Load, Registry};
use cache_machine_core::{Acquired, CacheError, SharedRegion};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// One `openRegion` of JavaScript. Its raw functions refer to it, so a closed handle stays in memory, without its
/// region.
pub(crate) struct RegionHandle {
    region: RefCell<Option<SharedRegion>>,
    view: Cell<Option<View>>,
}

thread_local! {
    static HANDLES: RefCell<Registry<RegionHandle>> = RefCell::default();
}

pub(crate) fn add(load: Load, region: SharedRegion) -> u32 {
    let handle = RegionHandle { region: RefCell::new(Some(region)), view: Cell::default() };
    HANDLES.with_borrow_mut(|handles| handles.add(load, handle))
}

pub(crate) fn find(id: u32) -> Result<Rc<RegionHandle>> {
    HANDLES.with_borrow(|handles| handles.find(id)).ok_or_else(|| closed("region"))
}

pub(crate) fn with<T>(id: u32, f: impl FnOnce(&SharedRegion) -> T) -> Result<T> {
    find(id)?.with(f).ok_or_else(|| closed("region"))
}

/// Closes a handle: its lock is given up, its buffer has no bytes from here on.
pub(crate) fn close(id: u32) {
    let Some(handle) = HANDLES.with_borrow_mut(|handles| handles.remove(id)) else { return };
    if let Some(view) = handle.view.take() {
        view.detach();
    }
    handle.let_go();
}

/// The environment of a load ends: no JavaScript of it runs again, so no view is used and no lock is released.
pub(crate) fn close_all(load: Load) {
    let Ok(handles) = HANDLES.try_with(|handles| handles.borrow_mut().take_all(load)) else { return };
    for handle in handles {
        handle.let_go();
    }
}

impl RegionHandle {
    /// Takes the lock: 1 if the last holder did not finish, else 0. A failure is a status.
    pub(crate) fn lock(&self, timeout_ms: f64) -> std::result::Result<i32, i32> {
        let timeout = Duration::from_secs_f64((timeout_ms / 1000.0).clamp(0.0, 1e9));
        self.or_closed(|region| match region.lock(timeout) {
            Ok(acquired) => Ok(i32::from(acquired == Acquired::Suspect)),
            Err(CacheError::Busy(_)) if region.is_held_here() => Err(Status::HeldHere.number() as i32),
            Err(error) => Err(error.status()),
        })
    }

    /// Releases the lock, as a holder that has finished or not. Returns 0; a failure is a status.
    pub(crate) fn unlock(&self, finished: bool) -> std::result::Result<i32, i32> {
        self.or_closed(|region| {
            let released = if finished { region.unlock() } else { region.abandon() };
            released.map(|()| 0).map_err(|error| error.status())
        })
    }

    /// Notes the view of the region's buffer. An earlier one is detached.
    pub(crate) fn set_view(&self, view: View) {
        if let Some(before) = self.view.replace(Some(view)) {
            before.detach();
        }
    }

    fn with<T>(&self, f: impl FnOnce(&SharedRegion) -> T) -> Option<T> {
        self.region.borrow().as_ref().map(f)
    }

    fn or_closed(
        &self,
        f: impl FnOnce(&SharedRegion) -> std::result::Result<i32, i32>,
    ) -> std::result::Result<i32, i32> {
        self.with(f).unwrap_or(Err(Status::Closed.number() as i32))
    }

    fn let_go(&self) {
        drop(self.region.take());
    }
}
