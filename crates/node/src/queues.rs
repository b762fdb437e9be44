//! The ordinary calls on queues of work.
//!
//! Tickets and items in hand are noted in their handle (`holdings.rs`), so that they are given back when the handle is closed
//! or its thread ends.

use crate::env_state::{with, with_handle, with_listener};
use crate::errors::Result;
use crate::holdings;
use crate::keys::{Key, key_bytes};
use crate::layout::PermitState;
use crate::permits::remaining;
use cache_machine_core::{Awaited, Cache, Keyspace, QueueRules, Taken, Turn, Write, kind};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// The answer to a request for an item, or the state of its ticket.
#[napi(object)]
pub struct BindingTurn {
    /// By `PermitState`; granted: an item is taken.
    pub state: u32,
    /// Taken: the number of the item. Waiting: the ticket.
    pub number: f64,
    /// Taken: the proof for acknowledge, release and extend.
    pub token: f64,
    /// Taken: how often the item was taken, this time included.
    pub times: f64,
    /// Taken: milliseconds until it is taken back; Infinity: with the end of its taker.
    pub remaining: f64,
}

impl BindingTurn {
    fn of(cache: &Cache, turn: Turn) -> Self {
        let none = Self { state: PermitState::None.number(), number: 0.0, token: 0.0, times: 0.0, remaining: 0.0 };
        match turn {
            Turn::Taken(Taken { item, token, times, deadline }) => Self {
                state: PermitState::Granted.number(),
                number: item as f64,
                token: token as f64,
                times: times as f64,
                remaining: remaining(cache, deadline),
            },
            Turn::Waiting(ticket) => Self { state: PermitState::Waiting.number(), number: ticket as f64, ..none },
            Turn::Empty => none,
        }
    }
}

fn rules(capacity: u32, visibility: f64, attempts: u32) -> QueueRules {
    QueueRules { capacity, visibility_ms: visibility as u64, attempts }
}

/// Adds an item. Returns its number; 0: the queue has `capacity` items.
#[napi(catch_unwind)]
pub fn queue_push(id: u32, key: Key, value: Uint8Array, capacity: u32, attempts: u32) -> Result<f64> {
    with(id, |cache| {
        let write = Write::new(kind::UINT8_ARRAY, &value);
        let item = cache.push(key_bytes(&key), &rules(capacity, 0.0, attempts), &write)?;
        Ok(item.unwrap_or(0) as f64)
    })
}

/// Takes the first item, for `visibility` milliseconds (0: until the end of its taker), or with `wait` enters the queue.
#[napi(catch_unwind)]
pub fn queue_take(id: u32, key: Key, visibility: f64, attempts: u32, wait: bool) -> Result<BindingTurn> {
    let key = key_bytes(&key);
    with_handle(id, |cache, handle| {
        let turn = cache.take_item(key, &rules(0, visibility, attempts), wait)?;
        match turn {
            Turn::Taken(taken) => handle.hold(holdings::item(cache, key, taken.item, taken.token, attempts)),
            Turn::Waiting(ticket) => handle.hold(holdings::turn(cache, key, ticket, attempts)),
            Turn::Empty => {}
        }
        Ok(BindingTurn::of(cache, turn))
    })
}

/// The state of a ticket. A ticket is valid until it is taken, or its state is `None`.
#[napi(catch_unwind)]
pub fn queue_turn(id: u32, key: Key, ticket: f64, attempts: u32) -> Result<BindingTurn> {
    let key = key_bytes(&key);
    with_handle(id, |cache, handle| {
        let turn = cache.turn(key, ticket as u64)?;
        if !matches!(turn, Turn::Waiting(_)) {
            handle.no_longer_hold(&holdings::turn(cache, key, ticket as u64, attempts));
        }
        if let Turn::Taken(taken) = turn {
            handle.hold(holdings::item(cache, key, taken.item, taken.token, attempts));
        }
        Ok(BindingTurn::of(cache, turn))
    })
}

/// Leaves with a ticket. An item that was handed to it meanwhile goes to the next one.
#[napi(catch_unwind)]
pub fn queue_leave(id: u32, key: Key, ticket: f64, attempts: u32) -> Result<()> {
    let key = key_bytes(&key);
    with_handle(id, |cache, handle| {
        cache.leave_queue(key, ticket as u64, &QueueRules::of_attempts(attempts))?;
        handle.no_longer_hold(&holdings::turn(cache, key, ticket as u64, attempts));
        Ok(())
    })
}

/// The value of an item; null: it has ended.
#[napi(catch_unwind)]
pub fn queue_value(id: u32, key: Key, item: f64) -> Result<Option<Uint8Array>> {
    let mut value = Vec::new();
    let found = with(id, |cache| cache.item(key_bytes(&key), item as u64, &mut value))?;
    Ok(found.map(|_| Uint8Array::new(value)))
}

/// Ends an item in hand. False: it was no longer in hand.
#[napi(catch_unwind)]
pub fn queue_acknowledge(id: u32, key: Key, item: f64, token: f64, attempts: u32) -> Result<bool> {
    let key = key_bytes(&key);
    with_handle(id, |cache, handle| {
        let (item, token) = (item as u64, token as u64);
        let ended = cache.acknowledge(key, item, token, &QueueRules::of_attempts(attempts))?;
        handle.no_longer_hold(&holdings::item(cache, key, item, token, attempts));
        Ok(ended)
    })
}

/// Puts an item in hand back to its place in the order. False: it was no longer in hand.
#[napi(catch_unwind)]
pub fn queue_release(id: u32, key: Key, item: f64, token: f64, attempts: u32) -> Result<bool> {
    let key = key_bytes(&key);
    with_handle(id, |cache, handle| {
        let (item, token) = (item as u64, token as u64);
        let released = cache.release_item(key, item, token, &QueueRules::of_attempts(attempts))?;
        handle.no_longer_hold(&holdings::item(cache, key, item, token, attempts));
        Ok(released)
    })
}

/// Gives an item in hand `visibility` milliseconds from now (0: until the end of its taker). Returns the milliseconds that are
/// left; null: it is no longer in hand.
#[napi(catch_unwind)]
pub fn queue_extend(id: u32, key: Key, item: f64, token: f64, visibility: f64, attempts: u32) -> Result<Option<f64>> {
    with(id, |cache| {
        let rules = rules(0, visibility, attempts);
        let deadline = cache.extend_item(key_bytes(&key), item as u64, token as u64, &rules)?;
        Ok(deadline.map(|deadline| remaining(cache, deadline)))
    })
}

/// Ends an item, wherever it is. False: it had ended.
#[napi(catch_unwind)]
pub fn queue_discard(id: u32, key: Key, item: f64, attempts: u32) -> Result<bool> {
    with(id, |cache| cache.discard(key_bytes(&key), item as u64, &QueueRules::of_attempts(attempts)))
}

/// Makes the items that were put aside ready again. Returns their number.
#[napi(catch_unwind)]
pub fn queue_revive(id: u32, key: Key) -> Result<u32> {
    with(id, |cache| cache.revive_items(key_bytes(&key), &QueueRules::of_attempts(0)).map(|count| count as u32))
}

/// The numbers of the items that were put aside.
#[napi(catch_unwind)]
pub fn queue_dead(id: u32, key: Key) -> Result<Vec<f64>> {
    with(id, |cache| Ok(cache.dead_items(key_bytes(&key))?.into_iter().map(|item| item as f64).collect()))
}

/// Numbers of ready items, of items in hand, of items that were put aside, and of waiters.
#[napi(catch_unwind)]
pub fn queue_counts(id: u32, key: Key, attempts: u32) -> Result<Vec<u32>> {
    with(id, |cache| {
        let counts = cache.queue_counts(key_bytes(&key), &QueueRules::of_attempts(attempts))?;
        Ok([counts.ready, counts.taken, counts.dead, counts.waiting].map(|count| count as u32).to_vec())
    })
}

/// Begins a record watch for the moment when the ticket no longer waits. Returns its id, which the notifier gets.
#[napi(catch_unwind)]
pub fn queue_watch(id: u32, key: Key, ticket: f64, attempts: u32) -> Result<f64> {
    let awaited = Awaited::Item { ticket: ticket as u64, attempts };
    with_listener(id, |cache, listener| cache.watch_record(Keyspace::Queues, key_bytes(&key), awaited, listener))
        .map(|watch| watch as f64)
}
