//! The hot calls, as raw Node-API functions: about 10 ns a call, where the argument path of the macro costs 100 ns.
//!
//! Each function has its handle as callback data. None throws: `undefined` means a miss or an error, and the status in
//! `meta` tells which. A panic becomes a status as well. All unsafe code of the crate is here.
//!
//! Caution: JavaScript owns the memory of typed arrays. Their bytes are used only until the call returns. `meta` and
//! `scratch` are kept alive by references until the last function of their load is freed or its environment ends.
//!
//! ```text
//! memory       meta, scratch and the buffer of a load              call     arguments in, results out
//! meta         numbers in and out of meta, by `layout`             sink     values out
//! view         ArrayBuffers over mapped memory                     function entry and creation of a raw function
//! entries, near, flights, limits, metrics                          the calls of a cache
//! table        which calls there are                               region   the calls of a region
//! environment  start and end of a load
//! ```

mod call;
mod collections;
mod entries;
mod environment;
mod flights;
mod function;
mod limits;
mod memory;
mod meta;
mod metrics;
mod near;
mod region;
mod sink;
mod table;
pub(crate) mod view;
