//! The Node-API binding: converts arguments, calls the core, converts results. It has no logic of its own.
//!
//! Hot calls are raw Node-API functions (`raw/`, the only unsafe code); all others use `#[napi]`, and their types and
//! docs cross into `native/index.d.ts`. `layout.rs` is the source of every number that both sides share.
//!
//! ```text
//! layout      numbers of both sides                    errors, keys, options     what crosses
//! registry    open handles by id, loads of the addon   env_state, region_handles open caches and regions
//! holdings    what a handle has to give back           raw                       the hot calls
//! calls, flights, permits, metrics, regions, transactions   the ordinary calls
//! ```

#![deny(unsafe_code)]
#![allow(missing_docs, reason = "the macro adds undocumented items")]
#![allow(unreachable_pub, reason = "the macro exports functions; nothing links to this crate")]

mod calls;
mod env_state;
mod errors;
mod flights;
mod holdings;
mod keys;
mod layout;
mod metrics;
mod options;
mod permits;
mod queues;
#[allow(unsafe_code, reason = "raw Node-API functions; each block is justified")]
mod raw;
mod region_handles;
mod regions;
mod registry;
mod snapshots;
mod transactions;
