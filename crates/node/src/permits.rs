//! The ordinary calls on the permits of locks, semaphores and elections.
//!
//! What a handle holds is noted in it (`holdings.rs`), so that it is given back when the handle is closed or its thread
//! ends. Each call here that gets or gives back a permit or a ticket keeps that note in step.

use crate::env_state::{CacheHandle, find, with, with_handle, with_listener};
use crate::errors::{Result, invalid};
use crate::holdings;
use crate::keys::{Key, key_bytes, key_of};
use crate::layout::{PERMIT_KEYSPACES, PermitState};
use cache_machine_core::{
    Acquisition, Awaited, Cache, CacheError, Gate, Grant, HeldPermits, Keyspace, PermitRequest, TicketState,
};
use napi_derive::napi;

/// The answer to a request for permits, or the state of a ticket.
#[napi(object)]
pub struct BindingPermit {
    /// By `PermitState`.
    pub state: u32,
    /// Granted: the token, larger than that of every holder before. Waiting: the ticket.
    pub number: f64,
    /// Granted: milliseconds until it expires, Infinity without a deadline.
    pub remaining: f64,
}

impl BindingPermit {
    fn granted(cache: &Cache, Grant { token, deadline }: Grant) -> Self {
        Self { state: PermitState::Granted.number(), number: token as f64, remaining: remaining(cache, deadline) }
    }

    fn waiting(ticket: u64) -> Self {
        Self { state: PermitState::Waiting.number(), number: ticket as f64, remaining: f64::INFINITY }
    }

    fn none() -> Self {
        Self { state: PermitState::None.number(), number: 0.0, remaining: 0.0 }
    }
}

/// Milliseconds until a deadline; Infinity without one.
pub(crate) fn remaining(cache: &Cache, deadline: u64) -> f64 {
    if deadline == 0 { f64::INFINITY } else { deadline.saturating_sub(cache.now_ms()) as f64 }
}

/// What a call is about.
struct Subject<'a> {
    cache: &'a Cache,
    handle: &'a CacheHandle,
    keyspace: Keyspace,
    key: &'a [u8],
}

impl Subject<'_> {
    /// Notes a permit, and makes the answer.
    fn granted(&self, grant: Grant, permits: u32) -> BindingPermit {
        self.handle.hold(holdings::permit(self.cache, self.keyspace, self.key, grant.token, permits));
        BindingPermit::granted(self.cache, grant)
    }

    fn forget_ticket(&self, ticket: f64, permits: u32) {
        let ticket = holdings::ticket(self.cache, self.keyspace, self.key, ticket as u64, permits);
        self.handle.no_longer_hold(&ticket);
    }
}

fn keyspace_of(number: u32) -> Result<Keyspace> {
    let found = PERMIT_KEYSPACES.into_iter().find(|keyspace| *keyspace as u32 == number);
    found.ok_or_else(|| invalid(format!("there is no keyspace {number} of permits")))
}

fn on<T>(
    id: u32,
    keyspace: u32,
    key: &Key,
    call: impl FnOnce(&Subject<'_>) -> std::result::Result<T, CacheError>,
) -> Result<T> {
    let keyspace = keyspace_of(keyspace)?;
    with_handle(id, |cache, handle| call(&Subject { cache, handle, keyspace, key: key_bytes(key) }))
}

/// Acquires `permits` for `ttl` milliseconds (0: without a deadline), or with `wait` enters the queue.
#[napi(catch_unwind)]
pub fn permit_acquire(id: u32, keyspace: u32, key: Key, permits: u32, ttl: f64, wait: bool) -> Result<BindingPermit> {
    on(id, keyspace, &key, |subject| {
        let &Subject { cache, handle, keyspace, key } = subject;
        Ok(match cache.acquire(keyspace, key, &PermitRequest { permits, ttl_ms: ttl as u64, wait })? {
            Acquisition::Granted(grant) => subject.granted(grant, permits),
            Acquisition::Waiting(ticket) => {
                handle.hold(holdings::ticket(cache, keyspace, key, ticket, permits));
                BindingPermit::waiting(ticket)
            }
            Acquisition::Refused => BindingPermit::none(),
        })
    })
}

/// The state of a ticket. A ticket is valid until it is granted, or its state is `None`.
#[napi(catch_unwind)]
pub fn ticket_state(id: u32, keyspace: u32, key: Key, permits: u32, ticket: f64) -> Result<BindingPermit> {
    on(id, keyspace, &key, |subject| {
        let state = subject.cache.ticket_state(subject.keyspace, subject.key, ticket as u64)?;
        if state != TicketState::Waiting {
            subject.forget_ticket(ticket, permits);
        }
        Ok(match state {
            TicketState::Granted(grant) => subject.granted(grant, permits),
            TicketState::Waiting => BindingPermit::waiting(ticket as u64),
            TicketState::Lost => BindingPermit::none(),
        })
    })
}

/// Leaves the queue. A ticket that was granted meanwhile gives its permits to the next ticket.
#[napi(catch_unwind)]
pub fn ticket_cancel(id: u32, keyspace: u32, key: Key, permits: u32, ticket: f64) -> Result<()> {
    on(id, keyspace, &key, |subject| {
        subject.cache.leave(subject.keyspace, subject.key, ticket as u64, permits)?;
        subject.forget_ticket(ticket, permits);
        Ok(())
    })
}

/// Releases permits. False: they were no longer held.
#[napi(catch_unwind)]
pub fn permit_release(id: u32, keyspace: u32, key: Key, permits: u32, token: f64) -> Result<bool> {
    on(id, keyspace, &key, |&Subject { cache, handle, keyspace, key }| {
        let held = cache.release(keyspace, key, token as u64, permits)?;
        handle.no_longer_hold(&holdings::permit(cache, keyspace, key, token as u64, permits));
        Ok(held)
    })
}

/// Gives held permits a new lifetime of `ttl` milliseconds (0: without a deadline). Returns the milliseconds that are
/// left now; null if they are no longer held.
#[napi(catch_unwind)]
pub fn permit_extend(id: u32, keyspace: u32, key: Key, token: f64, ttl: f64) -> Result<Option<f64>> {
    on(id, keyspace, &key, |&Subject { cache, keyspace, key, .. }| {
        let deadline = cache.extend(keyspace, key, token as u64, ttl as u64)?;
        Ok(deadline.map(|deadline| remaining(cache, deadline)))
    })
}

/// Whether permits are still held.
#[napi(catch_unwind)]
pub fn permit_is_held(id: u32, keyspace: u32, key: Key, token: f64) -> Result<bool> {
    on(id, keyspace, &key, |&Subject { cache, keyspace, key, .. }| cache.holds(keyspace, key, token as u64))
}

/// Numbers of permits held and of tickets waiting.
#[napi(catch_unwind)]
pub fn permit_counts(id: u32, keyspace: u32, key: Key) -> Result<Vec<u32>> {
    on(id, keyspace, &key, |&Subject { cache, keyspace, key, .. }| {
        cache.permit_counts(keyspace, key).map(|(held, queued)| vec![held as u32, queued as u32])
    })
}

/// Passes an event, a barrier for `parties` or a condition, or enters its queue. `Granted`: it passes, and holds nothing.
#[napi(catch_unwind)]
pub fn gate_enter(id: u32, keyspace: u32, key: Key, parties: u32) -> Result<BindingPermit> {
    let gate = match keyspace_of(keyspace)? {
        Keyspace::Events => Gate::Event,
        Keyspace::Barriers => Gate::Barrier(parties),
        Keyspace::Conditions => Gate::Condition,
        _ => return Err(invalid(format!("there is no keyspace {keyspace} of gates"))),
    };
    on(id, keyspace, &key, |&Subject { cache, handle, keyspace, key }| {
        Ok(match cache.enter_gate(key, gate)? {
            Acquisition::Granted(grant) => BindingPermit::granted(cache, grant),
            Acquisition::Waiting(ticket) => {
                handle.hold(holdings::ticket(cache, keyspace, key, ticket, 0));
                BindingPermit::waiting(ticket)
            }
            Acquisition::Refused => BindingPermit::none(),
        })
    })
}

/// Lets the first waiters of a condition pass, up to `count`. Returns their number.
#[napi(catch_unwind)]
pub fn condition_notify(id: u32, key: Key, count: u32) -> Result<u32> {
    with(id, |cache| cache.notify(key_bytes(&key), count))
}

/// Sets an event, which lets all its waiters pass, or clears it. Returns whether that changed it.
#[napi(catch_unwind)]
pub fn event_set(id: u32, key: Key, is_set: bool) -> Result<bool> {
    with(id, |cache| cache.set_event(key_bytes(&key), is_set))
}

/// 1 if an event is set, otherwise 0; and the number of the living waiters of a gate.
#[napi(catch_unwind)]
pub fn gate_state(id: u32, keyspace: u32, key: Key) -> Result<Vec<u32>> {
    on(id, keyspace, &key, |&Subject { cache, keyspace, key, .. }| {
        cache.gate_state(keyspace, key).map(|(is_set, waiting)| vec![u32::from(is_set), waiting as u32])
    })
}

/// A lock, semaphore or leadership that living processes hold or wait for.
#[napi(object)]
pub struct BindingHeldPermits {
    pub key: Key,
    pub holders: Vec<BindingHolder>,
    /// The process ids of the waiters, in the order of the queue.
    pub waiters: Vec<u32>,
}

/// A holder of a permit.
#[napi(object)]
pub struct BindingHolder {
    pub pid: u32,
    /// Milliseconds until the permit expires, Infinity without a deadline.
    pub remaining: f64,
}

/// All permits of a keyspace of the namespace that are held or waited for.
#[napi(catch_unwind)]
pub fn permits_held(id: u32, keyspace: u32) -> Result<Vec<BindingHeldPermits>> {
    let keyspace = keyspace_of(keyspace)?;
    with(id, |cache| {
        let held = cache.held_permits(keyspace)?;
        let binding = |held: HeldPermits| BindingHeldPermits {
            key: key_of(&held.key, std::str::from_utf8(&held.key).is_err()),
            holders: held
                .holders
                .into_iter()
                .map(|(pid, deadline)| BindingHolder { pid, remaining: remaining(cache, deadline) })
                .collect(),
            waiters: held.waiters,
        };
        Ok(held.into_iter().map(binding).collect())
    })
}

/// Begins a record watch for the moment when the ticket no longer waits. Returns its id, which the notifier gets.
#[napi(catch_unwind)]
pub fn ticket_watch(id: u32, keyspace: u32, key: Key, permits: u32, ticket: f64) -> Result<f64> {
    let keyspace = keyspace_of(keyspace)?;
    let awaited = Awaited::Permit { ticket: ticket as u64, permits };
    with_listener(id, |cache, listener| cache.watch_record(keyspace, key_bytes(&key), awaited, listener))
        .map(|watch| watch as f64)
}

/// Ends a record watch that the notifier has not got yet.
#[napi(catch_unwind)]
pub fn record_watch_cancel(id: u32, record_watch: f64) {
    if let Some(handle) = find(id) {
        handle.with(|cache| cache.cancel_record_watch(record_watch as u64));
    }
}
