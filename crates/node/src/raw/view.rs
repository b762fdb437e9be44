//! ArrayBuffers over memory that is mapped, not allocated by Node.

use cache_machine_core::Memory;
use napi::Env;
use napi::bindgen_prelude::Object;
use napi_sys as sys;
use std::ffi::c_void;
use std::panic::catch_unwind;
use std::ptr::null_mut;
use std::sync::Arc;

/// An ArrayBuffer over mapped memory. It is detached before the memory is let go of.
pub(crate) struct View {
    env: sys::napi_env,
    reference: sys::napi_ref,
    base: *mut c_void,
}

/// Frees what keeps the memory mapped, once nothing refers to its bytes.
type Finalizer = unsafe extern "C" fn(sys::napi_env, *mut c_void, *mut c_void);

impl View {
    /// A view of `len` bytes from `base` that a handle's cache keeps mapped. `None` where the host forbids such
    /// buffers.
    pub(super) fn over_segment(env: sys::napi_env, base: *mut c_void, len: usize) -> Option<Self> {
        // SAFETY: `len` bytes from `base` are mapped while a handle is open, and the last one detaches the buffer
        // before it lets go of them. Node does not free them: there is no finalizer.
        unsafe { Self::make(env, base, len, None, null_mut()) }.ok()
    }

    /// # Safety
    /// `len` bytes from `base` are mapped until the view is detached or the finalizer has run. Only JavaScript reads
    /// and writes them; any bytes are fine for it.
    unsafe fn make(
        env: sys::napi_env,
        base: *mut c_void,
        len: usize,
        finalizer: Option<Finalizer>,
        keeper: *mut c_void,
    ) -> Result<Self, sys::napi_status> {
        let (mut buffer, mut reference) = (null_mut(), null_mut());
        // SAFETY: the caller vouches for the bytes; `buffer` is valid for the write.
        let status = unsafe { sys::napi_create_external_arraybuffer(env, base, len, finalizer, keeper, &mut buffer) };
        if status != sys::Status::napi_ok {
            return Err(status);
        }
        // SAFETY: `env` is that of this call, and `buffer` a value of it.
        let status = unsafe { sys::napi_create_reference(env, buffer, 1, &mut reference) };
        if status != sys::Status::napi_ok {
            // SAFETY: as above. JavaScript has not seen the buffer and never will.
            unsafe { sys::napi_detach_arraybuffer(env, buffer) };
            return Err(status);
        }
        Ok(Self { env, reference, base })
    }

    /// Whether it is the view that this environment has of the memory that begins at `base`.
    pub(super) fn is_of(&self, env: sys::napi_env, base: *mut c_void) -> bool {
        self.env == env && self.base == base
    }

    pub(super) fn buffer(&self) -> sys::napi_value {
        let mut buffer = null_mut();
        // SAFETY: views are of one thread, that of their environment, which still exists; the reference is a strong
        // one.
        unsafe { sys::napi_get_reference_value(self.env, self.reference, &mut buffer) };
        buffer
    }

    /// Takes the memory away from JavaScript: its typed arrays have no elements from here on.
    pub(crate) fn detach(self) {
        let buffer = self.buffer();
        // SAFETY: the reference is a strong one, so the buffer is there.
        unsafe { sys::napi_detach_arraybuffer(self.env, buffer) };
        // SAFETY: as above; not used again.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

/// An ArrayBuffer over `len` bytes from `offset` of a memory, and its view. `None` where the host forbids such buffers.
/// The bytes stay mapped until the buffer's memory is freed: a program can move it to a buffer of its own (`transfer`),
/// which the view does not know, and may use that without limit.
pub(crate) fn buffer_over(env: Env, memory: Arc<Memory>, offset: usize, len: usize) -> Option<(Object<'static>, View)> {
    let env = env.raw();
    let start = memory.at(offset, len)?.as_ptr().cast();
    let keeper = Box::into_raw(Box::new(memory));
    // SAFETY: `len` bytes from `start` are mapped as long as the memory in `keeper` lives, which the finalizer drops
    // when nothing refers to the bytes any more.
    match unsafe { View::make(env, start, len, Some(drop_memory), keeper.cast()) } {
        Ok(view) => Some((Object::from_raw(env, view.buffer()), view)),
        Err(status) => {
            if status == sys::Status::napi_no_external_buffers_allowed {
                // SAFETY: made above, and refused before anything kept it. Other failures may have taken it: then it is
                // leaked.
                drop(unsafe { Box::from_raw(keeper) });
            }
            None
        }
    }
}

unsafe extern "C" fn drop_memory(_env: sys::napi_env, _data: *mut c_void, keeper: *mut c_void) {
    let dropped = catch_unwind(|| {
        // SAFETY: made by `buffer_over`, and finalized once.
        drop(unsafe { Box::from_raw(keeper.cast::<Arc<Memory>>()) });
    });
    drop(dropped);
}
