//! The memory that the raw calls of one load of the addon share with JavaScript: `meta` and `scratch`.
//!
//! Calls are synchronous, so one of each is enough for all handles of a load. They are made for the first handle, and
//! freed once no function of a handle is left: a test runner loads the addon for each of thousands of files.

use crate::layout::{META_BYTES, SCRATCH_BYTES};
use crate::registry::Load;
use napi::Env;
use napi_sys as sys;
use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::rc::{Rc, Weak};

/// One per load.
pub(super) struct Shared {
    env: Env,
    pub(super) meta: *mut u8,
    pub(super) scratch: *mut u8,
    /// Keep `meta` and `scratch` alive. `None` once the environment is ending.
    references: Cell<Option<[sys::napi_ref; 2]>>,
    /// Text on its way in or out, reused.
    pub(super) buffer: RefCell<Vec<u8>>,
}

thread_local! {
    static SHARED: RefCell<Vec<Weak<Shared>>> = const { RefCell::new(Vec::new()) };
}

/// The memory of a load. Its functions own it.
pub(super) fn shared(env: Env) -> Rc<Shared> {
    SHARED.with_borrow_mut(|all| {
        all.retain(|shared| shared.strong_count() > 0);
        if let Some(shared) = all.iter().filter_map(Weak::upgrade).find(|shared| shared.is_of(Load::of(env))) {
            return shared;
        }
        let (meta, meta_ref) = array_buffer(env.raw(), META_BYTES);
        let (scratch, scratch_ref) = array_buffer(env.raw(), SCRATCH_BYTES);
        let references = Cell::new(Some([meta_ref, scratch_ref]));
        let shared = Rc::new(Shared { env, meta, scratch, references, buffer: RefCell::default() });
        all.push(Rc::downgrade(&shared));
        shared
    })
}

/// Gives the memory of a load back when its environment ends. Its functions may never be finalized: then only a small
/// rest stays allocated.
pub(super) fn release(load: Load) {
    let found = SHARED.try_with(|all| all.borrow().iter().filter_map(Weak::upgrade).find(|shared| shared.is_of(load)));
    let Ok(Some(shared)) = found else { return };
    shared.let_go();
    shared.buffer.take();
}

impl Shared {
    fn is_of(&self, load: Load) -> bool {
        Load::of(self.env) == load
    }

    /// The ArrayBuffers `meta` and `scratch`.
    pub(super) fn values(&self) -> Option<[sys::napi_value; 2]> {
        let references = self.references.get()?;
        Some(references.map(|reference| {
            let mut value = null_mut();
            // SAFETY: made in this environment, and not deleted yet.
            unsafe { sys::napi_get_reference_value(self.env.raw(), reference, &mut value) };
            value
        }))
    }

    fn let_go(&self) {
        for reference in self.references.take().into_iter().flatten() {
            // SAFETY: made in this environment, which still exists in its clean-up hooks and in finalizers before them.
            unsafe { sys::napi_delete_reference(self.env.raw(), reference) };
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Memory that JavaScript sees as an ArrayBuffer, kept alive by a reference.
fn array_buffer(env: sys::napi_env, len: usize) -> (*mut u8, sys::napi_ref) {
    let (mut data, mut value, mut reference) = (null_mut(), null_mut(), null_mut());
    // SAFETY: `env` is that of the current call; both results are valid for the write.
    unsafe { sys::napi_create_arraybuffer(env, len, &mut data, &mut value) };
    // SAFETY: as above.
    unsafe { sys::napi_create_reference(env, value, 1, &mut reference) };
    (data.cast(), reference)
}
