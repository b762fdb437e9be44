//! The raw calls of a cache: which there are, and the object in which JavaScript gets them.

use super::call::{BoundCalls, Call, Failed, Value};
use super::function::{Callback, enter, set_function};
use super::{collections, entries, flights, limits, memory, metrics, near};
use crate::env_state;
use crate::layout::MetaInt;
use napi::bindgen_prelude::Object;
use napi::{Env, Error, Result};
use napi_derive::napi;
use napi_sys as sys;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::rc::Rc;

/// Makes a Node-API function of a Rust one.
macro_rules! raw_function {
    ($name:literal, $function:path, $count:literal) => {{
        unsafe extern "C" fn entry(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
            // SAFETY: `env` and `info` are those of the call that Node makes; the data is a share of a `BoundCalls`.
            unsafe {
                enter::<BoundCalls, $count>(
                    env,
                    info,
                    |bound, count, arguments| $function(&Call { env, bound, count }, arguments),
                    |bound, Failed(status)| {
                        Call { env, bound, count: 0 }.put_int(MetaInt::Status, status as i32);
                        null_mut() // undefined
                    },
                )
            }
        }
        ($name, entry as Callback)
    }};
}

const FUNCTIONS: [(&CStr, Callback); 24] = [
    raw_function!(c"get", entries::get, 2),
    raw_function!(c"getInto", entries::get_into, 3),
    raw_function!(c"getNear", near::get_near, 1),
    raw_function!(c"now", near::now, 0),
    raw_function!(c"tagClock", near::tag_clock, 2),
    raw_function!(c"countHits", near::count_hits, 1),
    raw_function!(c"view", near::view, 0),
    raw_function!(c"has", entries::has, 1),
    raw_function!(c"set", entries::set, 6),
    raw_function!(c"setWith", entries::set_with, 8),
    raw_function!(c"flightFinish", flights::flight_finish, 7),
    raw_function!(c"getMany", entries::get_many, 2),
    raw_function!(c"setMany", entries::set_many, 4),
    raw_function!(c"hasMany", entries::has_many, 1),
    raw_function!(c"deleteMany", entries::delete_many, 1),
    raw_function!(c"delete", entries::delete, 2),
    raw_function!(c"take", entries::take, 1),
    raw_function!(c"takeInto", entries::take_into, 2),
    raw_function!(c"incr", entries::incr, 6),
    raw_function!(c"touch", entries::touch, 2),
    raw_function!(c"ttl", entries::ttl, 1),
    raw_function!(c"collect", collections::collect, 6),
    raw_function!(c"limit", limits::limit, 1),
    raw_function!(c"measure", metrics::measure, 3),
];

/// The raw calls of an open handle; to be called once per handle. `RawCalls` of `lib/native/raw-calls.ts`.
#[napi(catch_unwind)]
pub fn raw_calls(env: Env, id: u32) -> Result<Object<'static>> {
    let handle = env_state::find(id).ok_or_else(|| Error::from_reason("the cache is closed"))?;
    let shared = memory::shared(env);
    let env = env.raw();
    let [meta, scratch] = shared.values().ok_or_else(|| Error::from_reason("the environment is ending"))?;
    let bound = Rc::new(BoundCalls { handle, shared });
    let mut object = null_mut();
    // SAFETY: `env` is that of this call, and so for the calls below; names are C strings that live for ever.
    unsafe { sys::napi_create_object(env, &mut object) };
    for (name, callback) in FUNCTIONS {
        set_function(env, object, name, callback, &bound);
    }
    for (name, value) in [(c"meta", meta), (c"scratch", scratch)] {
        // SAFETY: as above.
        unsafe { sys::napi_set_named_property(env, object, name.as_ptr(), value) };
    }
    Ok(Object::from_raw(env, object))
}
