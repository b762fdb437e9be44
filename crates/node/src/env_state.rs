//! The open cache handles of a thread: the main one or a worker.
//!
//! When a thread ends, a clean-up hook of each load of the addon drops the handles of that load. The process gives up its slot in a segment when
//! its last thread with that segment ends.

use crate::errors::{Result, closed, fail, invalid};
use crate::raw::view::View;
use crate::registry::{Load, Registry};
use cache_machine_core::{Cache, CacheError, Orphan};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// One `open` of JavaScript. Its raw functions refer to it, so a closed handle stays in memory, without its cache.
#[derive(Default)]
pub(crate) struct CacheHandle {
    cache: RefCell<Option<Cache>>,
    listener: Cell<Option<u64>>,
    view: Cell<Option<Rc<View>>>,
    /// The permits, tickets and flights of the handle. They are given back when it is closed or its thread ends.
    held: RefCell<HashSet<Orphan>>,
}

impl CacheHandle {
    pub(crate) fn new(cache: Cache) -> Self {
        Self { cache: RefCell::new(Some(cache)), ..Self::default() }
    }

    /// Runs `f` with the cache, unless the handle is closed.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&Cache) -> R) -> Option<R> {
        self.cache.try_borrow().ok()?.as_ref().map(f)
    }

    pub(crate) fn set_listener(&self, id: u64) {
        self.listener.set(Some(id));
    }

    pub(crate) fn listener(&self) -> Option<u64> {
        self.listener.get()
    }

    /// Notes that JavaScript has a view of the segment. `close` detaches it, unless another handle of this thread has
    /// it as well.
    pub(crate) fn set_view(&self, view: Rc<View>) {
        // The view of an area that a resize has left.
        if let Some(before) = self.view.replace(Some(view)).and_then(Rc::into_inner) {
            before.detach();
        }
    }

    /// Notes something that the handle holds.
    pub(crate) fn hold(&self, holding: Orphan) {
        self.held.borrow_mut().insert(holding);
    }

    /// Deletes the note of `hold`.
    pub(crate) fn no_longer_hold(&self, holding: &Orphan) {
        self.held.borrow_mut().remove(holding);
    }

    fn close(&self) {
        // Before the cache is dropped, which may unmap the memory of the view.
        if let Some(view) = self.view.take().and_then(Rc::into_inner) {
            view.detach();
        }
        self.let_go();
    }

    fn let_go(&self) {
        let cache = self.cache.try_borrow_mut().ok().and_then(|mut cache| cache.take());
        let Some(cache) = cache else { return };
        if let Some(listener) = self.listener.take() {
            cache.remove_listener(listener);
        }
        // mutant: thread-end-keeps-locks
        cache.give_back(self.held.take());
    }
}

thread_local! {
    static HANDLES: RefCell<Registry<CacheHandle>> = RefCell::default();
}

pub(crate) fn add(load: Load, handle: CacheHandle) -> u32 {
    HANDLES.with_borrow_mut(|handles| handles.add(load, handle))
}

pub(crate) fn find(id: u32) -> Option<Rc<CacheHandle>> {
    HANDLES.with_borrow(|handles| handles.find(id))
}

/// Runs `f` with the cache of an open handle.
pub(crate) fn with<T>(id: u32, f: impl FnOnce(&Cache) -> std::result::Result<T, CacheError>) -> Result<T> {
    with_handle(id, |cache, _| f(cache))
}

/// Runs `f` with the cache of an open handle and the handle itself.
pub(crate) fn with_handle<T>(
    id: u32,
    f: impl FnOnce(&Cache, &CacheHandle) -> std::result::Result<T, CacheError>,
) -> Result<T> {
    let handle = find(id).ok_or_else(|| closed("cache"))?;
    handle.with(|cache| f(cache, &handle)).ok_or_else(|| closed("cache"))?.map_err(fail)
}

/// Runs `f` with the cache of an open handle and its listener.
pub(crate) fn with_listener<T>(
    id: u32,
    f: impl FnOnce(&Cache, u64) -> std::result::Result<T, CacheError>,
) -> Result<T> {
    let handle = find(id).ok_or_else(|| closed("cache"))?;
    let listener = handle.listener().ok_or_else(|| invalid("the handle has no notifier"))?;
    with(id, |cache| f(cache, listener))
}

pub(crate) fn close(id: u32) {
    let handle = HANDLES.with_borrow_mut(|handles| handles.remove(id));
    if let Some(handle) = handle {
        handle.close();
    }
}

/// The environment of a load ends: no JavaScript runs in it again.
pub(crate) fn close_all(load: Load) {
    let Ok(handles) = HANDLES.try_with(|handles| handles.borrow_mut().take_all(load)) else { return };
    for handle in handles {
        // Its view needs no detaching: no JavaScript will use it.
        handle.let_go();
    }
}
