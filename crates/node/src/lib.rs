//! The Node-API binding: convert, call, convert. No logic.
//!
//! Hot calls are raw Node-API functions (`raw.rs`, the only unsafe file); all else goes through `#[napi]`. The contract
//! with TypeScript is `lib/native.ts`.

#![deny(unsafe_code)]
#![allow(missing_docs, reason = "the contract is lib/native.ts; the macro adds undocumented items")]
#![allow(unreachable_pub, reason = "the macro exports functions; nothing links to this crate")]

mod calls;
mod env_state;
mod flights;
mod limits;
mod metrics;
mod options;
#[allow(unsafe_code, reason = "raw Node-API functions; each block is justified")]
mod raw;
mod regions;
mod turns;
