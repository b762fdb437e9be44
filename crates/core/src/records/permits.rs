//! Permits of locks, semaphores and leaderships: holders, and a queue of waiters.
//!
//! A release grants the permit to the first waiter in the same step. So requests get their permits in order, and no
//! later request takes a released permit before a waiter that still wakes up. Each waiter notices within 25 ms that a
//! holder or a waiter before it died, and passes over the dead; see `waiting::record_watches`.
//!
//! The token of a grant is the record's version, from the shard's sequence. A rebuild never lowers the sequence. So a
//! later holder of the same key has a larger token, even after the death of a process.

use crate::change::record::{Edit, RecordChange, Words};
use crate::error::CacheError;
use crate::records::keyspace::Records;
use crate::records::permit_table::{DEADLINE, HOLDER, Holder, PermitTable, deadline};

/// A request for a permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PermitRequest {
    /// Maximum number of holders at once.
    pub permits: u32,
    /// Milliseconds until the permit ends; 0: it lasts as long as the process lives.
    pub ttl_ms: u64,
    /// Whether to enter the queue if there is no free permit.
    pub wait: bool,
}

/// A granted permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Larger than the token of every earlier holder of the key: a fencing token for writes under the lock.
    pub token: u64,
    /// The end of the permit, in milliseconds since boot; 0: never.
    pub deadline: u64,
}

/// The result of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquisition {
    /// The permit was granted.
    Granted(Grant),
    /// The request is in the queue, under this ticket.
    Waiting(u64),
    /// There is no free permit.
    Refused,
}

/// The state of a ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TicketState {
    /// Its permit was granted.
    Granted(Grant),
    /// It is in the queue.
    Waiting,
    /// It is no longer in the queue: it left, or its permit is past its deadline.
    Lost,
}

/// A lock, semaphore or leadership that living processes hold or wait for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldPermits {
    /// The bytes of its key.
    pub key: Vec<u8>,
    /// The process id of each holder, and the end of its permit in milliseconds since boot; 0: never.
    pub holders: Vec<(u32, u64)>,
    /// The process id of each waiter, in the order of the queue.
    pub waiters: Vec<u32>,
}

/// The record of one lock, semaphore or leadership.
#[derive(Clone, Copy)]
pub(crate) struct PermitRecord<'a> {
    pub(crate) records: Records<'a>,
    pub(crate) key: &'a [u8],
}

impl PermitRecord<'_> {
    /// Takes a permit; otherwise enters the queue if the request waits.
    pub(crate) fn acquire(&self, request: &PermitRequest) -> Result<Acquisition, CacheError> {
        let first = self.try_acquire(&PermitRequest { wait: false, ..*request }, &[])?;
        if first != Acquisition::Refused {
            return Ok(first);
        }
        let dead = self.dead_owners()?;
        if dead.is_empty() && !request.wait {
            return Ok(first);
        }
        self.try_acquire(request, &dead)
    }

    fn try_acquire(&self, request: &PermitRequest, dead: &[u32]) -> Result<Acquisition, CacheError> {
        let PermitRequest { permits, ttl_ms, wait } = *request;
        let owner = self.me();
        self.change_table(permits, dead, |table, version, now| {
            // Earlier waiters come first, even if a permit is free.
            if table.held() < permits as usize && table.queued() == 0 {
                let grant = Grant { token: version, deadline: deadline(now, ttl_ms) };
                let holder = Holder { owner, token: grant.token, deadline: grant.deadline, ticket: 0 };
                return if table.add_holder(holder) {
                    Ok((true, Acquisition::Granted(grant)))
                } else {
                    Err(too_many())
                };
            }
            match wait {
                false => Ok((false, Acquisition::Refused)),
                true if table.words.push(&[u64::from(owner), version, ttl_ms, 0]) => {
                    Ok((true, Acquisition::Waiting(version)))
                }
                true => Err(too_many()),
            }
        })
    }

    /// Releases a permit and grants it to the first waiter. False if it was not held any more.
    pub(crate) fn release(&self, token: u64, permits: u32) -> Result<bool, CacheError> {
        let me = self.me();
        self.change_table(permits, &[], |table, version, now| {
            let Some(index) = table.holder_where(|holder| holder.is(me, token)) else {
                return Ok((false, false));
            };
            table.remove_holder(index);
            // The grant is in the same step, so that no request without a ticket can take the permit.
            table.grant_first(permits, version, now);
            Ok((true, true))
        })
    }

    /// Gives a permit a new time to live in milliseconds (0: for ever) and returns its deadline. `None` if it is not
    /// held any more.
    pub(crate) fn extend(&self, token: u64, ttl_ms: u64) -> Result<Option<u64>, CacheError> {
        let me = self.me();
        self.records.change(self.key, |edit| {
            let Edit { words, now, .. } = edit;
            let table = PermitTable::of(words);
            let Some(index) = table.holder_where(|h| h.is(me, token) && !h.is_over(*now)) else {
                return Ok((RecordChange::Keep, None));
            };
            let until = deadline(*now, ttl_ms);
            table.words[1 + index * HOLDER + DEADLINE] = until;
            Ok((table.becomes(), Some(until)))
        })
    }

    /// Whether a permit is still held; reads without a lock.
    pub(crate) fn holds(&self, token: u64) -> Result<bool, CacheError> {
        let mut words = Words::default();
        let me = self.me();
        let now = self.records.now_ms();
        let found = self.records.read(self.key, &mut words)?;
        Ok(found.is_some() && PermitTable::of(&mut words).holders().any(|h| h.is(me, token) && !h.is_over(now)))
    }

    /// The state of a ticket; reads without a lock.
    pub(crate) fn ticket_state(&self, ticket: u64) -> Result<TicketState, CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok(TicketState::Lost);
        }
        let table = PermitTable::of(&mut words);
        let now = self.records.now_ms();
        let granted = table.holders().find(|holder| holder.ticket == ticket && !holder.is_over(now));
        if let Some(Holder { token, deadline, .. }) = granted {
            return Ok(TicketState::Granted(Grant { token, deadline }));
        }
        let waits = table.waiters().any(|waiter| waiter.ticket == ticket);
        Ok(if waits { TicketState::Waiting } else { TicketState::Lost })
    }

    /// The first deadline of a holder, 0 without one, while the ticket is in the queue; reads without a lock. `None`: it
    /// is not in the queue any more.
    pub(crate) fn waits_until(&self, ticket: u64) -> Result<Option<u64>, CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok(None);
        }
        let table = PermitTable::of(&mut words);
        let first = table.holders().map(|holder| holder.deadline).filter(|deadline| *deadline != 0).min();
        Ok(table.waiters().any(|waiter| waiter.ticket == ticket).then_some(first.unwrap_or(0)))
    }

    /// Leaves the queue. If the permit was granted meanwhile, the next waiter gets it.
    pub(crate) fn cancel_ticket(&self, ticket: u64, permits: u32) -> Result<(), CacheError> {
        self.change_table(permits, &[], |table, version, now| {
            if let Some(index) = table.holder_where(|holder| holder.ticket == ticket) {
                table.remove_holder(index);
                table.grant_first(permits, version, now);
                self.pass_on(table, 1);
            } else if let Some(index) = table.waiter_where(|waiter| waiter.ticket == ticket) {
                table.remove_waiter(index);
            } else {
                return Ok((false, ()));
            }
            Ok((true, ()))
        })
    }

    /// The numbers of holders and waiters; reads without a lock. Dead ones may count until the next request.
    pub(crate) fn counts(&self) -> Result<(usize, usize), CacheError> {
        let mut words = Words::default();
        let now = self.records.now_ms();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok((0, 0));
        }
        let mut table = PermitTable::of(&mut words);
        table.purge(&[], now);
        Ok((table.held(), table.queued()))
    }

    /// The living holders, and the owners of the living waiters; reads without a lock.
    pub(crate) fn parties(&self) -> Result<(Vec<Holder>, Vec<u32>), CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut table = PermitTable::of(&mut words);
        let dead = self.records.attachment.dead_of(table.owners());
        table.purge(&dead, self.records.now_ms());
        Ok((table.holders().collect(), table.waiters().map(|waiter| waiter.owner).collect()))
    }

    /// Removes dead owners and holders past their deadline, on behalf of a waiter behind them, and grants free permits.
    pub(crate) fn grant_next(&self, permits: u32) -> Result<(), CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok(());
        }
        let mut table = PermitTable::of(&mut words);
        let dead = self.records.attachment.dead_of(table.owners());
        if !table.purge(&dead, self.records.now_ms()) && !table.can_grant(permits) {
            return Ok(());
        }
        self.change_table(permits, &dead, |_, _, _| Ok((false, ())))
    }

    pub(crate) fn me(&self) -> u32 {
        self.records.attachment.owner_word()
    }

    /// The dead owners among holders and waiters.
    pub(crate) fn dead_owners(&self) -> Result<Vec<u32>, CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.records.attachment.dead_of(PermitTable::of(&mut words).owners()))
    }

    /// Changes the record. It removes the dead owners first, and grants free permits to waiters at the end.
    pub(crate) fn change_table<R>(
        &self,
        permits: u32,
        dead: &[u32],
        mut change: impl FnMut(&mut PermitTable<'_>, u64, u64) -> Result<(bool, R), CacheError>,
    ) -> Result<R, CacheError> {
        let (result, mut more) = self.records.change(self.key, |edit| {
            let mut table = PermitTable::of(edit.words);
            let held = table.held();
            let purged = table.purge(dead, edit.now);
            let gone = held - table.held();
            self.pass_on(&mut table, gone);
            let (changed, result) = change(&mut table, edit.version, edit.now)?;
            let becomes = if purged || changed { table.becomes() } else { RecordChange::Keep };
            Ok((becomes, (result, table.can_grant(permits))))
        })?;
        while more {
            let handing_over = self.records.change(self.key, |edit| {
                let mut table = PermitTable::of(edit.words);
                let granted = table.grant_first(permits, edit.version, edit.now);
                let becomes = if granted { table.becomes() } else { RecordChange::Keep };
                Ok((becomes, granted && table.can_grant(permits)))
            });
            // An error here is not the caller's: the requested change is done. Waiters probe for their permit
            // themselves.
            // mutant: busy-but-queued
            more = handing_over.unwrap_or(false);
        }
        Ok(result)
    }
}

fn too_many() -> CacheError {
    CacheError::NoSpace("too many hold it or wait for it at once".into())
}
