//! How a raw function is entered, and how JavaScript gets one.

use super::call::{Failed, Outcome, Value, corrupt};
use napi_sys as sys;
use std::ffi::{CStr, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

pub(super) type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> Value;

/// Runs `function` with its data, the number of arguments that were passed, and the arguments; `refuse` makes the
/// result of a failure. Arguments that were not passed are `undefined`.
///
/// # Safety
/// To be called by a Node-API function with its own arguments. The data of the function is a share of a `T`.
#[inline(always)]
pub(super) unsafe fn enter<T, const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    function: impl FnOnce(&T, usize, [Value; N]) -> Outcome,
    refuse: impl FnOnce(&T, Failed) -> Value,
) -> Value {
    let mut arguments = [null_mut(); N];
    let mut count = N;
    let mut data = null_mut();
    // SAFETY: `arguments` has room for `count` values; `data` is valid for the write.
    let status = unsafe { sys::napi_get_cb_info(env, info, &mut count, arguments.as_mut_ptr(), null_mut(), &mut data) };
    if status != sys::Status::napi_ok || data.is_null() {
        return null_mut();
    }
    // SAFETY: the data is the function's share of a `T`, and it is used on its own thread only.
    let bound = unsafe { &*data.cast::<T>() };
    let outcome =
        catch_unwind(AssertUnwindSafe(|| function(bound, count, arguments))).unwrap_or_else(|_| Err(corrupt()));
    match outcome {
        Ok(value) => value,
        Err(failed) => refuse(bound, failed),
    }
}

/// Adds a function to `object`. The function owns a share of `data`.
pub(super) fn set_function<T>(env: sys::napi_env, object: Value, name: &CStr, callback: Callback, data: &Rc<T>) {
    let (mut function, share) = (null_mut(), Rc::into_raw(data.clone()).cast_mut().cast());
    // SAFETY: `env` is the current one; -1 lets Node take the name's length; the share lives as long as the function.
    unsafe { sys::napi_create_function(env, name.as_ptr(), -1, Some(callback), share, &mut function) };
    let finalizer = Some(drop_share::<T> as unsafe extern "C" fn(_, _, _));
    // SAFETY: as above. If this fails, the share is never dropped.
    unsafe { sys::napi_add_finalizer(env, function, share, finalizer, null_mut(), null_mut()) };
    // SAFETY: as above.
    unsafe { sys::napi_set_named_property(env, object, name.as_ptr(), function) };
}

unsafe extern "C" fn drop_share<T>(_: sys::napi_env, share: *mut c_void, _: *mut c_void) {
    let _ = catch_unwind(|| {
        // SAFETY: made by `set_function`, and finalized once, on the thread of its environment.
        drop(unsafe { Rc::from_raw(share.cast::<T>()) });
    });
}
