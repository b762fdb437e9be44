//! The raw calls of a region: its lock.

use super::call::{Failed, Outcome, Value, int32, number};
use super::function::{enter, set_function};
use crate::region_handles::{self, RegionHandle};
use napi::bindgen_prelude::Object;
use napi::{Env, Error, Result};
use napi_derive::napi;
use napi_sys as sys;
use std::ptr::null_mut;

/// The calls on the lock of a region, bound to its handle; to be called once. `NativeRegionCalls` of
/// `lib/native/raw-calls.ts`.
#[napi(catch_unwind)]
pub fn region_calls(env: Env, id: u32) -> Result<Object<'static>> {
    let handle = region_handles::find(id).map_err(|_| Error::from_reason("the region is closed"))?;
    let env = env.raw();
    let mut object = null_mut();
    // SAFETY: `env` is that of this call.
    unsafe { sys::napi_create_object(env, &mut object) };
    set_function(env, object, c"lock", lock, &handle);
    set_function(env, object, c"unlock", unlock, &handle);
    Ok(Object::from_raw(env, object))
}

unsafe extern "C" fn lock(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    // SAFETY: `env` and `info` are those of the call that Node makes; the data is a share of a `RegionHandle`.
    unsafe {
        enter(env, info, |region, _, [timeout]| with_number(env, timeout, |timeout| region.lock(timeout)), refuse(env))
    }
}

unsafe extern "C" fn unlock(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    // SAFETY: as above.
    unsafe {
        enter(
            env,
            info,
            |region, _, [finished]| with_number(env, finished, |finished| region.unlock(finished != 0.0)),
            refuse(env),
        )
    }
}

fn with_number(
    env: sys::napi_env,
    argument: Value,
    call: impl FnOnce(f64) -> std::result::Result<i32, i32>,
) -> Outcome {
    let result = call(number(env, argument)?).map_err(|status| Failed(status.into()))?;
    Ok(int32(env, result))
}

/// A failure is a negative number: no other result of these calls is.
fn refuse(env: sys::napi_env) -> impl FnOnce(&RegionHandle, Failed) -> Value {
    move |_, Failed(status)| int32(env, -(status as i32))
}
