//! The open handles of one JavaScript environment, which is one thread: the main one or a worker.
//!
//! The thing to get wrong: the end of a worker. Its handles are dropped by an environment clean-up hook, so that the
//! process gives up its slot when its last environment with the segment goes.

use crate::raw::View;
use cache_machine_core::{Cache, Orphan};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// One `open` of JavaScript. Its raw functions point at it, so it stays in memory when it is closed, emptied.
#[derive(Default)]
pub(crate) struct Handle {
    cache: RefCell<Option<Cache>>,
    listener: Cell<Option<u64>>,
    view: Cell<Option<Rc<View>>>,
    /// What it holds of locks and the like, to be given back when it is closed or its thread ends.
    held: RefCell<HashSet<Orphan>>,
}

impl Handle {
    pub(crate) fn new(cache: Cache) -> Self {
        Self { cache: RefCell::new(Some(cache)), ..Self::default() }
    }

    /// Runs `f` with the cache, unless the handle is closed.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&Cache) -> R) -> Option<R> {
        self.cache.try_borrow().ok()?.as_ref().map(f)
    }

    pub(crate) fn listener(&self) -> Option<u64> {
        self.listener.get()
    }

    pub(crate) fn set_listener(&self, id: u64) {
        self.listener.set(Some(id));
    }

    /// JavaScript got to see the segment; `close` takes that back, unless another handle of this thread shows it as well.
    pub(crate) fn set_view(&self, view: Rc<View>) {
        self.view.set(Some(view));
    }

    /// Remembers something that is held.
    pub(crate) fn hold(&self, holding: Orphan) {
        self.held.borrow_mut().insert(holding);
    }

    /// It was given back.
    pub(crate) fn no_longer_hold(&self, holding: &Orphan) {
        self.held.borrow_mut().remove(holding);
    }

    pub(crate) fn close(&self) {
        // Before the cache goes, which may unmap what is seen through it.
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
        cache.give_back(self.held.take());
    }
}

#[derive(Default)]
struct State {
    last_id: u32,
    handles: HashMap<u32, Rc<Handle>>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

pub(crate) fn add(handle: Handle) -> u32 {
    STATE.with_borrow_mut(|state| {
        state.last_id += 1;
        state.handles.insert(state.last_id, Rc::new(handle));
        state.last_id
    })
}

pub(crate) fn find(id: u32) -> Option<Rc<Handle>> {
    STATE.with_borrow(|state| state.handles.get(&id).cloned())
}

pub(crate) fn close(id: u32) {
    let handle = STATE.with_borrow_mut(|state| state.handles.remove(&id));
    if let Some(handle) = handle {
        handle.close();
    }
}

/// The environment ends: nobody can use its handles any more.
pub(crate) fn close_all() {
    let handles = STATE.try_with(|state| std::mem::take(&mut state.borrow_mut().handles)).unwrap_or_default();
    for handle in handles.into_values() {
        // No JavaScript will run again that could look through a view.
        handle.let_go();
    }
}

/// Notices never wait for the event loop.
pub(crate) const NO_WAIT: ThreadsafeFunctionCallMode = ThreadsafeFunctionCallMode::NonBlocking;
