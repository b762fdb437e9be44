//! Loads of one handle: who begins, who waits, how it ended. See `crates/core/src/flights.rs`.
//!
//! The thing to get wrong: what a handle loads is noted in it, so that the flight ends when the handle is closed or its
//! thread ends; so each call that begins or ends a flight keeps that note in step.

use crate::calls::{Code, Key, Result, handle, key_bytes, with};
use crate::env_state::Handle;
use cache_machine_core::{Awaited, Boarding, Cache, CacheError, Departure, Landing, Loads, Orphan, Space, Write, kind};
use napi::Error;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// See `NativeFlight` in `lib/native.ts`.
#[napi(object)]
pub struct BindingFlight {
    pub state: u32,
    pub number: f64,
}

impl From<Boarding> for BindingFlight {
    fn from(boarding: Boarding) -> Self {
        let (state, number) = match boarding {
            Boarding::Fresh(version) => (0, version),
            Boarding::Absent => (1, 0),
            Boarding::Joined(token) => (2, token),
            Boarding::Begun(token) => (3, token),
            Boarding::Resting => (4, 0),
        };
        Self { state, number: number as f64 }
    }
}

fn loads(once: bool) -> Loads {
    if once { Loads::Once } else { Loads::Values }
}

/// The note of a flight that a handle has begun.
pub(crate) fn flight_of(cache: &Cache, loads: Loads, key: &[u8], token: u64) -> Orphan {
    Orphan::Flight { namespace: loads.flights_of(cache.namespace()), key: key.to_vec(), token }
}

/// The number by which TypeScript knows a landing.
pub(crate) fn landed(landing: Landing) -> u32 {
    match landing {
        Landing::Refused => 0,
        Landing::Dropped => 1,
        Landing::Kept(_) => 2,
    }
}

/// A flight that cannot be ended just now, since a stopped process is in the way, is left to the background thread.
fn ended(
    handle: &Handle,
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

/// Begins to load, unless there is a value or somebody else loads it.
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
    let handle = handle(id)?;
    // Infinity becomes the largest number.
    let departure = Departure { lease_ms: lease as u64, newer_than: newer_than as u64, background };
    with(id, |cache| {
        let boarding = cache.begin_flight(loads(once), key, &departure)?;
        if let Boarding::Begun(token) = boarding {
            handle.hold(flight_of(cache, loads(once), key, token));
        }
        Ok(boarding.into())
    })
}

/// Ends a flight with a word to those who waited for it; false if another has it.
#[napi(catch_unwind)]
pub fn flight_fail(id: u32, once: bool, key: Key, token: f64, outcome: Uint8Array, failed: bool) -> Result<bool> {
    let key = key_bytes(&key);
    let handle = handle(id)?;
    with(id, |cache| {
        let result = cache.fail_flight(loads(once), key, token as u64, &outcome, failed);
        ended(&handle, cache, flight_of(cache, loads(once), key, token as u64), result)
    })
}

/// Ends a flight without a word; false if another has it.
#[napi(catch_unwind)]
pub fn flight_abandon(id: u32, once: bool, key: Key, token: f64) -> Result<bool> {
    let key = key_bytes(&key);
    let handle = handle(id)?;
    with(id, |cache| {
        let result = cache.abandon_flight(loads(once), key, token as u64);
        ended(&handle, cache, flight_of(cache, loads(once), key, token as u64), result)
    })
}

/// The word with which a flight ended.
#[napi(catch_unwind)]
pub fn flight_outcome(id: u32, once: bool, key: Key, token: f64) -> Result<Option<Uint8Array>> {
    let outcome = with(id, |cache| cache.flight_outcome(loads(once), key_bytes(&key), token as u64))?;
    Ok(outcome.map(Uint8Array::new))
}

/// Whether those who ask now are to wait for this flight.
#[napi(catch_unwind)]
pub fn flight_is_on(id: u32, once: bool, key: Key, token: f64) -> Result<bool> {
    with(id, |cache| cache.is_flying(loads(once), key_bytes(&key), token as u64))
}

/// Begins a vigil for the end of a flight, or of its owner; the notifier is told the id returned.
#[napi(catch_unwind)]
pub fn flight_await(id: u32, once: bool, key: Key, token: f64) -> Result<f64> {
    let Some(listener) = handle(id)?.listener() else {
        return Err(Error::new(Code::INVALID_ARGUMENT, "a vigil needs a notifier".to_owned()));
    };
    let space = if once { Space::OnceFlights } else { Space::Flights };
    let awaited = Awaited::Flight { token: token as u64 };
    with(id, |cache| cache.keep_vigil(space, key_bytes(&key), awaited, listener)).map(|vigil| vigil as f64)
}

/// Remembers what was done once, and ends its flight.
#[napi(catch_unwind)]
pub fn once_finish(id: u32, name: Key, token: f64, value: Uint8Array, ttl: f64) -> Result<u32> {
    let name = key_bytes(&name);
    let handle = handle(id)?;
    with(id, |cache| {
        let write = Write { ttl_ms: ttl as u64, ..Write::new(kind::UINT8_ARRAY, &value) };
        let landing = cache.finish_flight(Loads::Once, name, token as u64, &write)?;
        handle.no_longer_hold(&flight_of(cache, Loads::Once, name, token as u64));
        Ok(landed(landing))
    })
}

/// What was done once.
#[napi(catch_unwind)]
pub fn once_look(id: u32, name: Key) -> Result<Option<Uint8Array>> {
    let mut value = Vec::new();
    let found = with(id, |cache| cache.done_once(key_bytes(&name), &mut value))?;
    Ok(found.then(|| Uint8Array::new(value)))
}
