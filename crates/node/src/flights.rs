//! The ordinary calls on flights: begin, fail, abandon, watch. `raw/flights.rs` has the one that stores a value.
//!
//! A flight is one load of one key, or one execution of something that is done once. What a handle loads is noted in it
//! (`holdings.rs`), so that its flights end when it is closed or its thread ends.

use crate::env_state::{CacheHandle, with, with_handle, with_listener};
use crate::errors::Result;
use crate::holdings;
use crate::keys::{Key, key_bytes};
use crate::layout::{FinishResult, FlightState};
use cache_machine_core::{
    Awaited, Cache, CacheError, FlightKind, FlightOptions, FlightStart, Keyspace, Orphan, Write, kind,
};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// The answer to a caller that asks for a value to be loaded.
#[napi(object)]
pub struct BindingFlight {
    /// By `FlightState`.
    pub state: u32,
    /// Fresh: the version. Joined, begun: the token.
    pub number: f64,
}

impl From<FlightStart> for BindingFlight {
    fn from(start: FlightStart) -> Self {
        let (state, number) = match start {
            FlightStart::Fresh(version) => (FlightState::Fresh, version),
            FlightStart::Absent => (FlightState::Absent, 0),
            FlightStart::Joined(token) => (FlightState::Joined, token),
            FlightStart::Begun(token) => (FlightState::Begun, token),
            FlightStart::Resting => (FlightState::Resting, 0),
        };
        Self { state: state.number(), number: number as f64 }
    }
}

fn kind_of(once: bool) -> FlightKind {
    if once { FlightKind::Once } else { FlightKind::Values }
}

/// Deletes the note of a flight that has ended. Where a suspended process prevents the end, the background thread ends
/// the flight later.
fn ended(
    handle: &CacheHandle,
    cache: &Cache,
    flight: Orphan,
    result: std::result::Result<bool, CacheError>,
) -> std::result::Result<bool, CacheError> {
    handle.no_longer_hold(&flight);
    if let Err(CacheError::Busy(_)) = result {
        cache.give_back([flight]);
        return Ok(true);
    }
    result
}

/// Begins to load a key's value, or with `once` what is done once, unless there is one or another caller loads it.
/// `lease`: milliseconds, 0: as long as the process lives. `newerThan`: only a later version counts as fresh; Infinity:
/// none does.
#[napi(catch_unwind)]
pub fn flight_begin(
    id: u32,
    once: bool,
    key: Key,
    lease: f64,
    newer_than: f64,
    background: bool,
) -> Result<BindingFlight> {
    let key = key_bytes(&key);
    // Infinity becomes the maximum of the type.
    let options = FlightOptions { lease_ms: lease as u64, newer_than: newer_than as u64, background };
    with_handle(id, |cache, handle| {
        let start = cache.begin_flight(kind_of(once), key, &options)?;
        if let FlightStart::Begun(token) = start {
            handle.hold(holdings::flight(cache, kind_of(once), key, token));
        }
        Ok(start.into())
    })
}

/// Ends a flight with an outcome for its waiters, at most `MAX_OUTCOME` bytes; `failed`: and lets background loads
/// rest. False: the flight was over.
#[napi(catch_unwind)]
pub fn flight_fail(id: u32, once: bool, key: Key, token: f64, outcome: Uint8Array, failed: bool) -> Result<bool> {
    let key = key_bytes(&key);
    with_handle(id, |cache, handle| {
        let result = cache.fail_flight(kind_of(once), key, token as u64, &outcome, failed);
        ended(handle, cache, holdings::flight(cache, kind_of(once), key, token as u64), result)
    })
}

/// Ends a flight as if it had not begun. False: the flight was over.
#[napi(catch_unwind)]
pub fn flight_abandon(id: u32, once: bool, key: Key, token: f64) -> Result<bool> {
    let key = key_bytes(&key);
    with_handle(id, |cache, handle| {
        let result = cache.abandon_flight(kind_of(once), key, token as u64);
        ended(handle, cache, holdings::flight(cache, kind_of(once), key, token as u64), result)
    })
}

/// The outcome with which a flight ended; it is kept for some seconds.
#[napi(catch_unwind)]
pub fn flight_outcome(id: u32, once: bool, key: Key, token: f64) -> Result<Option<Uint8Array>> {
    let outcome = with(id, |cache| cache.flight_outcome(kind_of(once), key_bytes(&key), token as u64))?;
    Ok(outcome.map(Uint8Array::new))
}

/// Whether a caller that asks now has to wait for this flight; false once its owner is dead.
#[napi(catch_unwind)]
pub fn flight_is_on(id: u32, once: bool, key: Key, token: f64) -> Result<bool> {
    with(id, |cache| cache.is_flight_on(kind_of(once), key_bytes(&key), token as u64))
}

/// Begins a record watch for the end of a flight, of its lease or of its owner. Returns its id, which the notifier
/// gets.
#[napi(catch_unwind)]
pub fn flight_watch(id: u32, once: bool, key: Key, token: f64) -> Result<f64> {
    let keyspace = if once { Keyspace::OnceFlights } else { Keyspace::Flights };
    let awaited = Awaited::Flight { token: token as u64 };
    with_listener(id, |cache, listener| cache.watch_record(keyspace, key_bytes(&key), awaited, listener))
        .map(|watch| watch as f64)
}

/// Stores the result of what is done once, and ends its flight; returns a `FinishResult`.
#[napi(catch_unwind)]
pub fn once_finish(id: u32, name: Key, token: f64, value: Uint8Array, ttl: f64) -> Result<u32> {
    let name = key_bytes(&name);
    with_handle(id, |cache, handle| {
        let write = Write { ttl_ms: ttl as u64, ..Write::new(kind::UINT8_ARRAY, &value) };
        let result = cache.finish_flight(FlightKind::Once, name, token as u64, &write)?;
        handle.no_longer_hold(&holdings::flight(cache, FlightKind::Once, name, token as u64));
        Ok(FinishResult::from(result).number())
    })
}

/// The result of what was done once; null if there is none.
#[napi(catch_unwind)]
pub fn once_result(id: u32, name: Key) -> Result<Option<Uint8Array>> {
    let mut value = Vec::new();
    let found = with(id, |cache| cache.done_once(key_bytes(&name), &mut value))?;
    Ok(found.then(|| Uint8Array::new(value)))
}
