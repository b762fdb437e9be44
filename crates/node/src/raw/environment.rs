//! The start and the end of a load of the addon, each of which has a Node-API environment of its own.

use super::memory;
use crate::registry::Load;
use crate::{env_state, region_handles};
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;
use napi_sys as sys;
use std::ffi::c_void;
use std::panic::catch_unwind;

/// Registers the clean-up of a load. A thread has one environment for each load, and all of them end with the thread.
#[napi(module_exports)]
pub fn register(_exports: Object<'_>, env: Env) -> Result<()> {
    let env = env.raw();
    // Node ends the process if the same hook is registered twice with the same argument in a thread, whatever the
    // environment. So the argument is the environment itself.
    // SAFETY: the hook runs on this thread, before Node frees the environment.
    unsafe { sys::napi_add_env_cleanup_hook(env, Some(on_environment_end), env.cast()) };
    Ok(())
}

unsafe extern "C" fn on_environment_end(env: *mut c_void) {
    let _ = catch_unwind(|| {
        let env = Env::from_raw(env.cast());
        let load = Load::of(env);
        env_state::close_all(load);
        region_handles::close_all(load);
        memory::release(load);
    });
}
