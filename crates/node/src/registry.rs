//! Open handles by their id. A thread has one registry for caches and one for regions.
//!
//! A thread may load the addon any number of times: two bundles, a test runner with a module registry of its own,
//! `process.dlopen`. Node makes an environment for each load, and each handle belongs to the load that opened it.

use napi::Env;
use std::collections::HashMap;
use std::rc::Rc;

/// One load of the addon: the address of its environment, which no other load has while this one exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load(usize);

impl Load {
    pub(crate) fn of(env: Env) -> Self {
        Self(env.raw().addr())
    }
}

/// Handles of one thread. An id is never used again, not even by another load.
pub(crate) struct Registry<T> {
    last_id: u32,
    open: HashMap<u32, (Load, Rc<T>)>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { last_id: 0, open: HashMap::new() }
    }
}

impl<T> Registry<T> {
    pub(crate) fn add(&mut self, load: Load, handle: T) -> u32 {
        self.last_id += 1;
        self.open.insert(self.last_id, (load, Rc::new(handle)));
        self.last_id
    }

    pub(crate) fn find(&self, id: u32) -> Option<Rc<T>> {
        self.open.get(&id).map(|(_, handle)| handle.clone())
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<Rc<T>> {
        self.open.remove(&id).map(|(_, handle)| handle)
    }

    /// Takes the handles of a load that ends.
    pub(crate) fn take_all(&mut self, load: Load) -> Vec<Rc<T>> {
        self.open.extract_if(|_, (owner, _)| *owner == load).map(|(_, (_, handle))| handle).collect()
    }
}
