//! The words of a record of permits: holders and waiters.
//!
//! ```text
//! record   number of holders, with `SET` for an event that is set · holders · waiters
//! holder   owner u32 · token · deadline, 0: none · ticket that it waited with, 0: none
//! waiter   owner u32 · ticket · time to live in milliseconds, 0: for ever · –, so that it can become a holder
//! ```
//!
//! Inconsistent words count as an empty record.

use crate::change::record::{RecordChange, Words};

pub(crate) const HOLDER: usize = 4;

pub(crate) const WAITER: usize = 4;
/// In the word of the number of holders: the event is set. Below it is the number.
const SET: u64 = 1 << 32;
/// Index of the deadline among a holder's words.
pub(crate) const DEADLINE: usize = 2;

/// A record of permits, for a read or a change.
pub(crate) struct PermitTable<'w> {
    pub(crate) words: &'w mut Words,
}

#[derive(Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) owner: u32,
    pub(crate) token: u64,
    pub(crate) deadline: u64,
    pub(crate) ticket: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) owner: u32,
    pub(crate) ticket: u64,
    pub(crate) ttl_ms: u64,
}

impl<'w> PermitTable<'w> {
    /// Interprets the words of a record. Inconsistent words become an empty record.
    pub(crate) fn of(words: &'w mut Words) -> Self {
        let holders = words.first().map_or(0, |count| *count as u32 as usize);
        let rest = words.len().saturating_sub(1);
        if words.is_empty() || holders > rest / HOLDER || !(rest - holders * HOLDER).is_multiple_of(WAITER) {
            words.clear();
            let _ = words.push(&[0]); // one word always fits
        }
        Self { words }
    }

    pub(crate) fn held(&self) -> usize {
        self.words[0] as u32 as usize
    }

    pub(crate) fn is_set(&self) -> bool {
        self.words[0] & SET != 0
    }

    pub(crate) fn set(&mut self, is_set: bool) {
        self.words[0] = self.words[0] & !SET | if is_set { SET } else { 0 };
    }

    pub(crate) fn queued(&self) -> usize {
        (self.words.len() - self.waiter_at(0)) / WAITER
    }

    fn waiter_at(&self, index: usize) -> usize {
        1 + self.held() * HOLDER + index * WAITER
    }

    pub(crate) fn holders(&self) -> impl Iterator<Item = Holder> {
        self.words[1..self.waiter_at(0)].chunks_exact(HOLDER).map(|w| Holder {
            owner: w[0] as u32,
            token: w[1],
            deadline: w[2],
            ticket: w[3],
        })
    }

    pub(crate) fn waiters(&self) -> impl Iterator<Item = Waiter> {
        self.words[self.waiter_at(0)..].chunks_exact(WAITER).map(|w| Waiter {
            owner: w[0] as u32,
            ticket: w[1],
            ttl_ms: w[2],
        })
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = u32> {
        self.holders().map(|holder| holder.owner).chain(self.waiters().map(|waiter| waiter.owner))
    }

    pub(crate) fn holder_where(&self, is_it: impl FnMut(Holder) -> bool) -> Option<usize> {
        self.holders().position(is_it)
    }

    pub(crate) fn waiter_where(&self, is_it: impl FnMut(Waiter) -> bool) -> Option<usize> {
        self.waiters().position(is_it)
    }

    pub(crate) fn remove_holder(&mut self, index: usize) {
        self.words.remove(1 + index * HOLDER..1 + (index + 1) * HOLDER);
        self.words[0] -= 1;
    }

    pub(crate) fn remove_waiter(&mut self, index: usize) {
        let at = self.waiter_at(index);
        self.words.remove(at..at + WAITER);
    }

    /// Removes dead holders and waiters, and holders past their deadline. Returns whether it removed any.
    pub(crate) fn purge(&mut self, dead: &[u32], now: u64) -> bool {
        let before = self.words.len();
        // mutant: dead-stay-queued
        while let Some(index) = self.holder_where(|h| dead.contains(&h.owner) || h.is_over(now)) {
            self.remove_holder(index);
        }
        while let Some(index) = self.waiter_where(|waiter| dead.contains(&waiter.owner)) {
            self.remove_waiter(index);
        }
        self.words.len() != before
    }

    pub(crate) fn add_holder(&mut self, holder: Holder) -> bool {
        let Holder { owner, token, deadline, ticket } = holder;
        let at = self.waiter_at(0);
        if !self.words.push(&[u64::from(owner), token, deadline, ticket]) {
            return false;
        }
        // The new holder goes behind the other holders, before the waiters.
        self.words[at..].rotate_right(HOLDER);
        self.words[0] += 1;
        true
    }

    /// Whether there is a waiter and a free permit.
    pub(crate) fn can_grant(&self, permits: u32) -> bool {
        self.held() < permits as usize && self.queued() > 0
    }

    /// Grants a free permit to the first waiter. It grants only one: a change gives a record one version, and so one
    /// new token.
    pub(crate) fn grant_first(&mut self, permits: u32, version: u64, now: u64) -> bool {
        // mutant: last-waiter-first
        let Some(Waiter { owner, ticket, ttl_ms }) = self.waiters().next().filter(|_| self.can_grant(permits)) else {
            return false;
        };
        self.remove_waiter(0);
        // There is room: a waiter takes as many words as a holder.
        self.add_holder(Holder { owner, token: version, deadline: deadline(now, ttl_ms), ticket })
    }

    /// Lets the first waiters pass, up to `count`. Each becomes a holder until it has noticed; its token is its ticket, and
    /// so its own. Returns their number.
    pub(crate) fn let_pass(&mut self, count: usize) -> usize {
        let passing = count.min(self.queued());
        // mutant: passes-one-fewer
        for _ in 0..passing {
            let at = self.waiter_at(0);
            let ticket = self.words[at + 1];
            // A waiter's words, now a holder's: owner, token, no deadline, ticket.
            self.words[at + 2] = 0;
            self.words[at + 3] = ticket;
            self.words[0] += 1;
        }
        passing
    }

    pub(crate) fn becomes(&self) -> RecordChange {
        if self.words[0] == 0 && self.queued() == 0 { RecordChange::Remove } else { RecordChange::Store { ttl_ms: 0 } }
    }
}

impl Holder {
    pub(crate) fn is(&self, owner: u32, token: u64) -> bool {
        self.token == token && self.owner == owner
    }

    pub(crate) fn is_over(&self, now: u64) -> bool {
        is_over(self.deadline, now)
    }
}

pub(crate) fn is_over(deadline: u64, now: u64) -> bool {
    deadline != 0 && now >= deadline
}

pub(crate) fn deadline(now: u64, ttl_ms: u64) -> u64 {
    if ttl_ms == 0 { 0 } else { now.saturating_add(ttl_ms) }
}
