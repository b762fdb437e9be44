//! Locks, semaphores, leaderships: claims, tickets and vigils of one handle. See `crates/core/src/turns.rs`.
//!
//! The thing to get wrong: what a handle holds is noted in it, so that it is given back when the handle is closed or its thread
//! ends; so each call that gets or gives a place keeps that note in step.

use crate::calls::{Code, Key, Result, handle, key_bytes, with};
use cache_machine_core::{Awaited, Cache, Claim, Claimed, Grant, Orphan, Space, Turn};
use napi::Error;
use napi_derive::napi;

/// See `NativeTurn` in `lib/native.ts`.
#[napi(object)]
pub struct BindingTurn {
    /// 0: granted, 1: waiting, 2: refused or gone.
    pub state: u32,
    /// The token, or the ticket of one who waits.
    pub number: f64,
    /// Milliseconds until it ends; Infinity: never.
    pub remaining: f64,
}

impl BindingTurn {
    fn granted(cache: &Cache, Grant { token, deadline }: Grant) -> Self {
        Self { state: 0, number: token as f64, remaining: remaining(cache, deadline) }
    }

    fn waiting(ticket: u64) -> Self {
        Self { state: 1, number: ticket as f64, remaining: f64::INFINITY }
    }

    const NONE: Self = Self { state: 2, number: 0.0, remaining: 0.0 };
}

fn remaining(cache: &Cache, deadline: u64) -> f64 {
    if deadline == 0 { f64::INFINITY } else { deadline.saturating_sub(cache.now_ms()) as f64 }
}

/// The spaces that JavaScript may name here.
fn space_of(number: u32) -> Result<Space> {
    match number {
        1 => Ok(Space::Locks),
        2 => Ok(Space::Semaphores),
        3 => Ok(Space::Elections),
        _ => Err(Error::new(Code::INVALID_ARGUMENT, format!("there is no space {number} for turns"))),
    }
}

fn place(cache: &Cache, space: Space, key: &[u8], token: u64, permits: u32) -> Orphan {
    let namespace = Orphan::namespace_of(space, cache.namespace());
    Orphan::Place { namespace, key: key.to_vec(), token, permits }
}

fn ticket_of(cache: &Cache, space: Space, key: &[u8], ticket: u64, permits: u32) -> Orphan {
    let namespace = Orphan::namespace_of(space, cache.namespace());
    Orphan::Ticket { namespace, key: key.to_vec(), ticket, permits }
}

/// Takes a place, or with `wait` enters the queue.
#[napi(catch_unwind)]
pub fn turn_acquire(id: u32, space: u32, key: Key, permits: u32, ttl: f64, wait: bool) -> Result<BindingTurn> {
    let space = space_of(space)?;
    let key = key_bytes(&key);
    let handle = handle(id)?;
    with(id, |cache| {
        Ok(match cache.acquire(space, key, &Claim { permits, ttl_ms: ttl as u64, wait })? {
            Claimed::Granted(grant) => {
                handle.hold(place(cache, space, key, grant.token, permits));
                BindingTurn::granted(cache, grant)
            }
            Claimed::Waiting(ticket) => {
                handle.hold(ticket_of(cache, space, key, ticket, permits));
                BindingTurn::waiting(ticket)
            }
            Claimed::Refused => BindingTurn::NONE,
        })
    })
}

/// How it stands with a ticket. Granted: it is no ticket any more.
#[napi(catch_unwind)]
pub fn turn_look(id: u32, space: u32, key: Key, permits: u32, ticket: f64) -> Result<BindingTurn> {
    let space = space_of(space)?;
    let key = key_bytes(&key);
    let handle = handle(id)?;
    with(id, |cache| {
        let turn = cache.turn(space, key, ticket as u64)?;
        if turn != Turn::Waiting {
            handle.no_longer_hold(&ticket_of(cache, space, key, ticket as u64, permits));
        }
        Ok(match turn {
            Turn::Granted(grant) => {
                handle.hold(place(cache, space, key, grant.token, permits));
                BindingTurn::granted(cache, grant)
            }
            Turn::Waiting => BindingTurn::waiting(ticket as u64),
            Turn::Gone => BindingTurn::NONE,
        })
    })
}

/// Leaves the queue.
#[napi(catch_unwind)]
pub fn turn_leave(id: u32, space: u32, key: Key, permits: u32, ticket: f64) -> Result<()> {
    let space = space_of(space)?;
    let key = key_bytes(&key);
    let handle = handle(id)?;
    with(id, |cache| {
        cache.leave(space, key, ticket as u64, permits)?;
        handle.no_longer_hold(&ticket_of(cache, space, key, ticket as u64, permits));
        Ok(())
    })
}

/// Gives a place back; false if it was no longer held.
#[napi(catch_unwind)]
pub fn turn_release(id: u32, space: u32, key: Key, permits: u32, token: f64) -> Result<bool> {
    let space = space_of(space)?;
    let key = key_bytes(&key);
    let handle = handle(id)?;
    with(id, |cache| {
        let held = cache.release(space, key, token as u64, permits)?;
        handle.no_longer_hold(&place(cache, space, key, token as u64, permits));
        Ok(held)
    })
}

/// Gives a held place a new time to live, 0: for ever. The milliseconds that it has now; `undefined` if it is no longer held.
#[napi(catch_unwind)]
pub fn turn_extend(id: u32, space: u32, key: Key, token: f64, ttl: f64) -> Result<Option<f64>> {
    let space = space_of(space)?;
    with(id, |cache| {
        let deadline = cache.extend(space, key_bytes(&key), token as u64, ttl as u64)?;
        Ok(deadline.map(|deadline| remaining(cache, deadline)))
    })
}

/// Whether a place is still held.
#[napi(catch_unwind)]
pub fn turn_holds(id: u32, space: u32, key: Key, token: f64) -> Result<bool> {
    let space = space_of(space)?;
    with(id, |cache| cache.holds(space, key_bytes(&key), token as u64))
}

/// How many hold it and how many wait.
#[napi(catch_unwind)]
pub fn turn_places(id: u32, space: u32, key: Key) -> Result<Vec<u32>> {
    let space = space_of(space)?;
    with(id, |cache| cache.places(space, key_bytes(&key)).map(|(held, queued)| vec![held as u32, queued as u32]))
}

/// Begins a vigil for the turn of a ticket; the notifier is told the id returned.
#[napi(catch_unwind)]
pub fn turn_await(id: u32, space: u32, key: Key, permits: u32, ticket: f64) -> Result<f64> {
    let space = space_of(space)?;
    let Some(listener) = handle(id)?.listener() else {
        return Err(Error::new(Code::INVALID_ARGUMENT, "a vigil needs a notifier".to_owned()));
    };
    let awaited = Awaited::Turn { ticket: ticket as u64, permits };
    with(id, |cache| cache.keep_vigil(space, key_bytes(&key), awaited, listener)).map(|vigil| vigil as f64)
}

/// Ends a vigil that was not told.
#[napi(catch_unwind)]
pub fn vigil_cancel(id: u32, vigil: f64) {
    if let Some(handle) = crate::env_state::find(id) {
        handle.with(|cache| cache.cancel_vigil(vigil as u64));
    }
}
