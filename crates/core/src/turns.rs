//! Who holds a lock, a semaphore or a leadership, and who waits for a turn.
//!
//! ```text
//! record   number of holders · holders · waiters
//! holder   owner u32 · token · deadline, 0: none · ticket that it waited with, 0: none
//! waiter   owner u32 · ticket · time to live in milliseconds, 0: for ever · –, so that it can become a holder
//! ```
//!
//! Whoever releases hands the place to the first waiter in the same step, so turns are in the order of asking, and nobody
//! takes what was released from under a waiter that is still waking up. A waiter that died meanwhile is passed over by
//! the next one, which looks every 25 ms whether those before it live; see `vigils`.
//!
//! The thing to get wrong: the order of a token. It is the record's version, from the shard's sequence, which a rebuild never
//! lowers: so a later holder of the same key has a larger one, whoever died in between.

use crate::cache::{Cache, Core};
use crate::error::CacheError;
use crate::orphans::Orphan;
use crate::records::{Change, Edit, Words};
use crate::spaces::Space;
use std::time::Duration;

/// What somebody asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// So many can hold it at once.
    pub permits: u32,
    /// Milliseconds after which it is no longer held; 0: as long as the process lives.
    pub ttl_ms: u64,
    /// Enter the queue where it cannot be had at once.
    pub wait: bool,
}

/// A place that was got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Larger than that of every holder of the key before: what is written under the lock can be fenced with it.
    pub token: u64,
    /// Milliseconds since boot at which it ends; 0: never.
    pub deadline: u64,
}

/// What came of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// It is held.
    Granted(Grant),
    /// It is in the queue, under this ticket.
    Waiting(u64),
    /// It is held by others.
    Refused,
}

/// How it stands with a ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Its turn has come.
    Granted(Grant),
    /// Not yet.
    Waiting,
    /// It is no longer in the queue: its place was given up or its time ran out.
    Gone,
}

const HOLDER: usize = 4;
const WAITER: usize = 4;
/// Place of the deadline among a holder's words.
const DEADLINE: usize = 2;

/// A record of places, and how it is to be changed.
#[derive(Clone, Copy)]
pub(crate) struct Queue<'k> {
    pub(crate) namespace: u16,
    pub(crate) key: &'k [u8],
    /// So many can hold it at once.
    pub(crate) permits: u32,
    pub(crate) timeout: Duration,
}

/// The record of a lock, read or while it is changed.
struct Places<'w> {
    words: &'w mut Words,
}

#[derive(Clone, Copy)]
struct Holder {
    owner: u32,
    token: u64,
    deadline: u64,
    ticket: u64,
}

#[derive(Clone, Copy)]
struct Waiter {
    owner: u32,
    ticket: u64,
    ttl_ms: u64,
}

impl<'w> Places<'w> {
    /// Of the words of a record; whatever they are.
    fn of(words: &'w mut Words) -> Self {
        let holders = words.first().map_or(0, |count| *count as usize);
        let rest = words.len().saturating_sub(1);
        if words.is_empty() || holders > rest / HOLDER || !(rest - holders * HOLDER).is_multiple_of(WAITER) {
            words.clear();
            let _ = words.push(&[0]); // one word always fits
        }
        Self { words }
    }

    fn held(&self) -> usize {
        self.words[0] as usize
    }

    fn queued(&self) -> usize {
        (self.words.len() - self.waiter_at(0)) / WAITER
    }

    fn waiter_at(&self, index: usize) -> usize {
        1 + self.held() * HOLDER + index * WAITER
    }

    fn holders(&self) -> impl Iterator<Item = Holder> {
        self.words[1..self.waiter_at(0)].chunks_exact(HOLDER).map(|w| Holder {
            owner: w[0] as u32,
            token: w[1],
            deadline: w[2],
            ticket: w[3],
        })
    }

    fn waiters(&self) -> impl Iterator<Item = Waiter> {
        self.words[self.waiter_at(0)..].chunks_exact(WAITER).map(|w| Waiter {
            owner: w[0] as u32,
            ticket: w[1],
            ttl_ms: w[2],
        })
    }

    fn owners(&self) -> impl Iterator<Item = u32> {
        self.holders().map(|holder| holder.owner).chain(self.waiters().map(|waiter| waiter.owner))
    }

    fn holder_where(&self, is_it: impl FnMut(Holder) -> bool) -> Option<usize> {
        self.holders().position(is_it)
    }

    fn waiter_where(&self, is_it: impl FnMut(Waiter) -> bool) -> Option<usize> {
        self.waiters().position(is_it)
    }

    fn remove_holder(&mut self, index: usize) {
        self.words.remove(1 + index * HOLDER..1 + (index + 1) * HOLDER);
        self.words[0] -= 1;
    }

    fn remove_waiter(&mut self, index: usize) {
        let at = self.waiter_at(index);
        self.words.remove(at..at + WAITER);
    }

    /// Forgets who is dead, and holders whose time is up. Whether there was any.
    fn purge(&mut self, dead: &[u32], now: u64) -> bool {
        let before = self.words.len();
        while let Some(index) = self.holder_where(|h| dead.contains(&h.owner) || h.is_over(now)) {
            self.remove_holder(index);
        }
        while let Some(index) = self.waiter_where(|waiter| dead.contains(&waiter.owner)) {
            self.remove_waiter(index);
        }
        self.words.len() != before
    }

    fn add_holder(&mut self, holder: Holder) -> bool {
        let Holder { owner, token, deadline, ticket } = holder;
        let at = self.waiter_at(0);
        if !self.words.push(&[u64::from(owner), token, deadline, ticket]) {
            return false;
        }
        // Behind the other holders, before the waiters.
        self.words[at..].rotate_right(HOLDER);
        self.words[0] += 1;
        true
    }

    /// Whether somebody waits for a place that is free.
    fn has_a_turn(&self, permits: u32) -> bool {
        self.held() < permits as usize && self.queued() > 0
    }

    /// Gives a free place to the first who waits. One only: a record has one version, and so one new token.
    fn hand_over(&mut self, permits: u32, version: u64, now: u64) -> bool {
        let Some(Waiter { owner, ticket, ttl_ms }) = self.waiters().next().filter(|_| self.has_a_turn(permits)) else {
            return false;
        };
        self.remove_waiter(0);
        // There is room: a waiter has as many words.
        self.add_holder(Holder { owner, token: version, deadline: deadline(now, ttl_ms), ticket })
    }

    fn becomes(&self) -> Change {
        if self.held() == 0 && self.queued() == 0 { Change::Remove } else { Change::Store { ttl_ms: 0 } }
    }
}

impl Holder {
    fn is(&self, owner: u32, token: u64) -> bool {
        self.token == token && self.owner == owner
    }

    fn is_over(&self, now: u64) -> bool {
        self.deadline != 0 && now >= self.deadline
    }
}

fn deadline(now: u64, ttl_ms: u64) -> u64 {
    if ttl_ms == 0 { 0 } else { now.saturating_add(ttl_ms) }
}

impl Cache {
    /// Takes a place, or enters the queue.
    ///
    /// # Errors
    /// `NoSpace` where too many wait already; `Busy`, `Detached`, `Corrupt`, and a key that cannot be.
    pub fn acquire(&self, space: Space, key: &[u8], claim: &Claim) -> Result<Claimed, CacheError> {
        let namespace = space.of(self.namespace());
        let first = self.try_acquire(namespace, key, &Claim { wait: false, ..*claim }, &[])?;
        if first != Claimed::Refused {
            return Ok(first);
        }
        let dead = self.dead_at(namespace, key)?;
        if dead.is_empty() && !claim.wait {
            return Ok(first);
        }
        self.try_acquire(namespace, key, claim, &dead)
    }

    fn try_acquire(&self, namespace: u16, key: &[u8], claim: &Claim, dead: &[u32]) -> Result<Claimed, CacheError> {
        let Claim { permits, ttl_ms, wait } = *claim;
        let owner = self.owner_word();
        let queue = Queue { namespace, key, permits, timeout: self.write_timeout() };
        self.change_places(&queue, dead, |places, version, now| {
            // Whoever waits already comes first, also where a place is free just now.
            if places.held() < permits as usize && places.queued() == 0 {
                let grant = Grant { token: version, deadline: deadline(now, ttl_ms) };
                let holder = Holder { owner, token: grant.token, deadline: grant.deadline, ticket: 0 };
                return if places.add_holder(holder) { Ok((true, Claimed::Granted(grant))) } else { Err(too_many()) };
            }
            match wait {
                false => Ok((false, Claimed::Refused)),
                true if places.words.push(&[u64::from(owner), version, ttl_ms, 0]) => {
                    Ok((true, Claimed::Waiting(version)))
                }
                true => Err(too_many()),
            }
        })
    }

    /// Gives a place back, to the first who waits. False if it was no longer held. Where a stopped process is in the way, the
    /// background thread does it as soon as it can: whoever gives back cannot be asked to try again. For room it need not wait:
    /// a record that does not grow has it.
    ///
    /// # Errors
    /// `Detached`, `Corrupt`, and a key that cannot be.
    pub fn release(&self, space: Space, key: &[u8], token: u64, permits: u32) -> Result<bool, CacheError> {
        let namespace = space.of(self.namespace());
        match self.release_turn(&Queue { namespace, key, permits, timeout: self.write_timeout() }, token) {
            Err(CacheError::Busy(_)) => {
                let held = self.holds(space, key, token)?;
                self.give_back_later(vec![Orphan::Place { namespace, key: key.to_vec(), token, permits }]);
                Ok(held)
            }
            other => other,
        }
    }

    /// Gives a held place a new time to live (0: for ever) and returns its deadline. `None` if it is no longer held.
    ///
    /// # Errors
    /// As for `acquire`.
    pub fn extend(&self, space: Space, key: &[u8], token: u64, ttl_ms: u64) -> Result<Option<u64>, CacheError> {
        let me = self.owner_word();
        self.change_record(space.of(self.namespace()), key, self.write_timeout(), |edit| {
            let Edit { words, now, .. } = edit;
            let places = Places::of(words);
            let Some(index) = places.holder_where(|h| h.is(me, token) && !h.is_over(*now)) else {
                return Ok((Change::Keep, None));
            };
            let until = deadline(*now, ttl_ms);
            places.words[1 + index * HOLDER + DEADLINE] = until;
            Ok((places.becomes(), Some(until)))
        })
    }

    /// Whether a place is still held, without a lock.
    ///
    /// # Errors
    /// `Detached`.
    pub fn holds(&self, space: Space, key: &[u8], token: u64) -> Result<bool, CacheError> {
        let mut words = Words::default();
        let me = self.owner_word();
        let now = self.now_ms();
        let found = self.read_record(space.of(self.namespace()), key, &mut words)?;
        Ok(found.is_some() && Places::of(&mut words).holders().any(|h| h.is(me, token) && !h.is_over(now)))
    }

    /// How it stands with a ticket, without a lock.
    ///
    /// # Errors
    /// `Detached`.
    pub fn turn(&self, space: Space, key: &[u8], ticket: u64) -> Result<Turn, CacheError> {
        self.turn_of(space.of(self.namespace()), key, ticket)
    }

    /// Leaves the queue; if the turn has come meanwhile, gives it to the next. Later, where that cannot be done at once.
    ///
    /// # Errors
    /// As for `release`.
    pub fn leave(&self, space: Space, key: &[u8], ticket: u64, permits: u32) -> Result<(), CacheError> {
        let namespace = space.of(self.namespace());
        match self.leave_queue(&Queue { namespace, key, permits, timeout: self.write_timeout() }, ticket) {
            Err(CacheError::Busy(_)) => {
                self.give_back_later(vec![Orphan::Ticket { namespace, key: key.to_vec(), ticket, permits }]);
                Ok(())
            }
            other => other,
        }
    }

    /// How many hold it, and how many wait; the dead may count until somebody asks for it.
    ///
    /// # Errors
    /// `Detached`.
    pub fn places(&self, space: Space, key: &[u8]) -> Result<(usize, usize), CacheError> {
        let mut words = Words::default();
        let now = self.now_ms();
        if self.read_record(space.of(self.namespace()), key, &mut words)?.is_none() {
            return Ok((0, 0));
        }
        let mut places = Places::of(&mut words);
        places.purge(&[], now);
        Ok((places.held(), places.queued()))
    }
}

impl Core {
    /// The dead among those who hold a place or wait for one.
    fn dead_at(&self, namespace: u16, key: &[u8]) -> Result<Vec<u32>, CacheError> {
        let mut words = Words::default();
        if self.read_record(namespace, key, &mut words)?.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.dead_of(Places::of(&mut words).owners()))
    }

    /// Changes a record; forgets the dead before, and gives free places to those who wait afterwards.
    fn change_places<R>(
        &self,
        queue: &Queue<'_>,
        dead: &[u32],
        mut change: impl FnMut(&mut Places<'_>, u64, u64) -> Result<(bool, R), CacheError>,
    ) -> Result<R, CacheError> {
        let Queue { namespace, key, permits, timeout } = *queue;
        let (result, mut more) = self.change_record(namespace, key, timeout, |edit| {
            let mut places = Places::of(edit.words);
            let purged = places.purge(dead, edit.now);
            let (changed, result) = change(&mut places, edit.version, edit.now)?;
            let becomes = if purged || changed { places.becomes() } else { Change::Keep };
            Ok((becomes, (result, places.has_a_turn(permits))))
        })?;
        while more {
            let handing_over = self.change_record(namespace, key, timeout, |edit| {
                let mut places = Places::of(edit.words);
                let handed = places.hand_over(permits, edit.version, edit.now);
                let becomes = if handed { places.becomes() } else { Change::Keep };
                Ok((becomes, handed && places.has_a_turn(permits)))
            });
            // What was asked for is done all the same, and must be told. Those who wait look for their turn themselves.
            more = handing_over.unwrap_or(false);
        }
        Ok(result)
    }

    pub(crate) fn release_turn(&self, queue: &Queue<'_>, token: u64) -> Result<bool, CacheError> {
        let me = self.owner_word();
        self.change_places(queue, &[], |places, version, now| {
            let Some(index) = places.holder_where(|holder| holder.is(me, token)) else {
                return Ok((false, false));
            };
            places.remove_holder(index);
            // In the same step, so that it is at no time free for somebody who did not wait.
            places.hand_over(queue.permits, version, now);
            Ok((true, true))
        })
    }

    pub(crate) fn turn_of(&self, namespace: u16, key: &[u8], ticket: u64) -> Result<Turn, CacheError> {
        let mut words = Words::default();
        if self.read_record(namespace, key, &mut words)?.is_none() {
            return Ok(Turn::Gone);
        }
        let places = Places::of(&mut words);
        let now = self.now_ms();
        let granted = places.holders().find(|holder| holder.ticket == ticket && !holder.is_over(now));
        if let Some(Holder { token, deadline, .. }) = granted {
            return Ok(Turn::Granted(Grant { token, deadline }));
        }
        let waits = places.waiters().any(|waiter| waiter.ticket == ticket);
        Ok(if waits { Turn::Waiting } else { Turn::Gone })
    }

    pub(crate) fn leave_queue(&self, queue: &Queue<'_>, ticket: u64) -> Result<(), CacheError> {
        self.change_places(queue, &[], |places, version, now| {
            if let Some(index) = places.holder_where(|holder| holder.ticket == ticket) {
                places.remove_holder(index);
                places.hand_over(queue.permits, version, now);
            } else if let Some(index) = places.waiter_where(|waiter| waiter.ticket == ticket) {
                places.remove_waiter(index);
            } else {
                return Ok((false, ()));
            }
            Ok((true, ()))
        })
    }

    /// Passes over the dead and those whose time is up, on behalf of somebody who waits behind them.
    pub(crate) fn advance_queue(&self, queue: &Queue<'_>) -> Result<(), CacheError> {
        let mut words = Words::default();
        if self.read_record(queue.namespace, queue.key, &mut words)?.is_none() {
            return Ok(());
        }
        let mut places = Places::of(&mut words);
        let dead = self.dead_of(places.owners());
        if !places.purge(&dead, self.now_ms()) && !places.has_a_turn(queue.permits) {
            return Ok(());
        }
        self.change_places(queue, &dead, |_, _, _| Ok((false, ())))
    }
}

fn too_many() -> CacheError {
    CacheError::NoSpace("too many hold it or wait for it at once".into())
}
