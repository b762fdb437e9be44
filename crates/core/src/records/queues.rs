//! Queues of work: each item is taken by one caller at a time until it is acknowledged.
//!
//! The record of a queue says where each item is. The value of an item is an entry of its own, in another shard and pinned
//! like a record. An item gets its number first, then its value, and only then its place in the order. The death of its
//! pusher before that leaves a number of a dead owner: the next caller deletes the value and then the number. To acknowledge
//! is to delete the value; the number goes afterwards, and a number without a value is passed over.
//!
//! Promises: an acknowledged push is not lost. An item is handed out again only after the death of its taker, after its
//! deadline, or after a release, and then at its old place in the order. Waiting takers get items in the order of their
//! tickets, in the change that makes the item ready.

use crate::change::record::{RecordChange, Words};
use crate::change::set::Write;
use crate::error::CacheError;
use crate::layout::key::Key;
use crate::layout::keyspaces::{Keyspace, number};
use crate::reading::read::ReadMode;
use crate::records::keyspace::Records;
use crate::records::permit_table::{deadline, is_over};
use crate::records::queue_table::{DEADLINE, Moment, Part, QueueTable};
use crate::shard::values::Sink;
use cache_machine_shm::Header;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::steps::step;

/// Maximum number of items of a queue. As many fit into a record if all of them are in hand and some callers wait.
pub const MAX_ITEMS: u32 = 1000;

/// How a caller handles a queue. All callers should agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueRules {
    /// Maximum number of items, in whatever state; at most `MAX_ITEMS`.
    pub capacity: u32,
    /// Milliseconds in which a taken item must be acknowledged; 0: as long as its taker lives.
    pub visibility_ms: u64,
    /// How often an item may be taken before it is put aside; 0: without a limit.
    pub attempts: u32,
}

impl QueueRules {
    /// For a call that neither adds nor takes an item.
    pub fn of_attempts(attempts: u32) -> Self {
        Self { capacity: 0, visibility_ms: 0, attempts }
    }
}

/// An item in hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Number of the item.
    pub item: u64,
    /// Proof for `acknowledge` and `release`: it is different each time that the item is taken.
    pub token: u64,
    /// How often it was taken, this time included.
    pub times: u64,
    /// When it is taken back, in milliseconds since boot; 0: with the death of its taker.
    pub deadline: u64,
}

/// The result of a request for an item, or the state of its ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// An item.
    Taken(Taken),
    /// The request waits under this ticket.
    Waiting(u64),
    /// There is no ready item, or the ticket is over.
    Empty,
}

/// Numbers of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueCounts {
    /// Items that wait for a taker.
    pub ready: usize,
    /// Items in hand.
    pub taken: usize,
    /// Items that were taken as often as they may be.
    pub dead: usize,
    /// Callers that wait for an item.
    pub waiting: usize,
}

/// One queue.
#[derive(Clone, Copy)]
pub(crate) struct Queue<'a> {
    pub(crate) records: Records<'a>,
    /// The number of the namespace with the keyspace of the items.
    pub(crate) items: u16,
    pub(crate) key: &'a [u8],
}

impl<'a> Queue<'a> {
    /// `records`: those of `Keyspace::Queues` in a namespace.
    pub(crate) fn of(records: Records<'a>, key: &'a [u8]) -> Self {
        Self { records, items: Keyspace::QueueItems.of(number(records.namespace)), key }
    }

    /// A number for a new item; `None`: the queue is full.
    pub(crate) fn reserve(&self, rules: &QueueRules) -> Result<Option<u64>, CacheError> {
        let me = self.me();
        self.change(rules, |table, moment| {
            if table.items() >= rules.capacity.min(MAX_ITEMS) as usize {
                return Ok((false, None));
            }
            if !table.push(Part::Coming, &[moment.version, me]) {
                return Err(too_many());
            }
            Ok((true, Some(moment.version)))
        })
    }

    /// Stores the value of a new item.
    pub(crate) fn keep_value(&self, item: u64, write: &Write<'_>) -> Result<(), CacheError> {
        let bytes = self.key_of(item);
        let (attachment, patience) = (self.records.attachment, self.records.patience);
        let key = Key::for_entry(attachment.geometry(), self.items, &bytes, write.value.len(), 0)?;
        // Before the item is there, so that a death leaves the count too high.
        // Relaxed: a newer layout reads the count when no process uses the segment.
        self.kept().fetch_add(1, Ordering::Relaxed);
        step("queue.kept");
        let stored = attachment.change_key(&key, patience, |locked| locked.set(&key, write));
        if !matches!(stored, Ok(Some(_))) {
            self.kept().fetch_sub(1, Ordering::Relaxed); // as above
            step("queue.refused");
        }
        stored?.map(drop).ok_or_else(|| CacheError::NoSpace("the shard is full and eviction is 'none'".into()))
    }

    /// The count of items in the header.
    fn kept(&self) -> &AtomicU64 {
        Header::of(self.records.attachment.region()).kept()
    }

    /// Gives a new item its place in the order, or to the first waiter.
    pub(crate) fn publish(&self, item: u64, rules: &QueueRules) -> Result<bool, CacheError> {
        self.change(rules, |table, _| {
            let Some(index) = table.find(Part::Coming, |coming| coming[0] == item) else {
                return Ok((false, false));
            };
            table.remove(Part::Coming, index);
            // An item that comes has as many words as a ready one.
            Ok((true, table.push(Part::Ready, &[item, 0])))
        })
    }

    /// Takes the first ready item; otherwise waits under a ticket.
    pub(crate) fn take(&self, rules: &QueueRules, wait: bool) -> Result<Turn, CacheError> {
        let me = self.me();
        self.change(rules, |table, moment| {
            // Waiters were served before: a ready item is there only without them.
            if table.count(Part::Ready) > 0 && table.count(Part::Waiters) == 0 {
                let [item, times, ..] = table.remove(Part::Ready, 0);
                let deadline = deadline(moment.now, rules.visibility_ms);
                let taken = Taken { item, token: moment.version, times: times + 1, deadline };
                if !table.push(Part::Hand, &[item, taken.times, me, taken.token, deadline, 0]) {
                    return Err(too_many());
                }
                return Ok((true, Turn::Taken(taken)));
            }
            if !wait {
                return Ok((false, Turn::Empty));
            }
            if !table.push(Part::Waiters, &[me, moment.version, rules.visibility_ms]) {
                return Err(too_many());
            }
            Ok((true, Turn::Waiting(moment.version)))
        })
    }

    /// The state of a ticket; reads without a lock.
    pub(crate) fn turn(&self, ticket: u64) -> Result<Turn, CacheError> {
        let now = self.records.now_ms();
        self.read(|table| {
            let handed = table.each(Part::Hand).find(|hand| hand[5] == ticket && !is_over(hand[DEADLINE], now));
            if let Some(hand) = handed {
                return Turn::Taken(Taken { item: hand[0], times: hand[1], token: hand[3], deadline: hand[DEADLINE] });
            }
            let waits = table.each(Part::Waiters).any(|waiter| waiter[1] == ticket);
            if waits { Turn::Waiting(ticket) } else { Turn::Empty }
        })
        .map(|turn| turn.unwrap_or(Turn::Empty))
    }

    /// The first deadline of an item in hand, 0 without one, while a ticket waits; `None`: it waits no more. Reads without a
    /// lock.
    pub(crate) fn waits_until(&self, ticket: u64) -> Result<Option<u64>, CacheError> {
        let until = self.read(|table| {
            let first = table.each(Part::Hand).map(|hand| hand[DEADLINE]).filter(|deadline| *deadline != 0).min();
            table.each(Part::Waiters).any(|waiter| waiter[1] == ticket).then_some(first.unwrap_or(0))
        })?;
        Ok(until.flatten())
    }

    /// Leaves with a ticket. An item that was handed to it goes back, and counts as not taken.
    pub(crate) fn leave(&self, ticket: u64, rules: &QueueRules) -> Result<(), CacheError> {
        self.change(rules, |table, moment| {
            if let Some(index) = table.find(Part::Waiters, |waiter| waiter[1] == ticket) {
                table.remove(Part::Waiters, index);
            } else if let Some(index) = table.find(Part::Hand, |hand| hand[5] == ticket) {
                table.take_back_unseen(index, moment);
            } else {
                return Ok((false, ()));
            }
            Ok((true, ()))
        })
    }

    /// Whether this process still has the item in hand; reads without a lock.
    pub(crate) fn has(&self, item: u64, token: u64) -> Result<bool, CacheError> {
        let (me, now) = (self.me(), self.records.now_ms());
        let held = self.read(|table| {
            let is_it = |hand: &[u64]| hand[..4] == [item, hand[1], me, token] && !is_over(hand[DEADLINE], now);
            table.each(Part::Hand).any(is_it)
        })?;
        Ok(held.unwrap_or(false))
    }

    /// Deletes the value of an item, which ends it. False: it had none.
    pub(crate) fn end(&self, item: u64) -> Result<bool, CacheError> {
        let bytes = self.key_of(item);
        let (attachment, patience) = (self.records.attachment, self.records.patience);
        let key = Key::new(attachment.geometry(), self.items, &bytes)?;
        let ended = attachment.change_key(&key, patience, |locked| locked.delete_any(&key))?;
        if ended {
            self.kept().fetch_sub(1, Ordering::Relaxed); // as in `keep_value`
            step("queue.ended");
        }
        Ok(ended)
    }

    /// Forgets the number of an item that has ended, wherever it is.
    pub(crate) fn forget(&self, item: u64, rules: &QueueRules) -> Result<(), CacheError> {
        self.change(rules, |table, _| {
            for part in [Part::Hand, Part::Ready, Part::Coming, Part::Dead] {
                if let Some(index) = table.find(part, |words| words[0] == item) {
                    table.remove(part, index);
                    return Ok((true, ()));
                }
            }
            Ok((false, ()))
        })
    }

    /// Puts an item back to its place in the order, or to the dead ones if it was taken as often as it may be. False: it is
    /// no longer in hand.
    pub(crate) fn release(&self, item: u64, token: u64, rules: &QueueRules) -> Result<bool, CacheError> {
        let me = self.me();
        self.change(rules, |table, moment| {
            let Some(index) = table.find(Part::Hand, |hand| hand[..4] == [item, hand[1], me, token]) else {
                return Ok((false, false));
            };
            table.take_back(index, moment);
            Ok((true, true))
        })
    }

    /// Gives an item in hand another deadline, and returns it. `None`: it is no longer in hand.
    pub(crate) fn extend(&self, item: u64, token: u64, rules: &QueueRules) -> Result<Option<u64>, CacheError> {
        let me = self.me();
        self.change(rules, |table, moment| {
            let Some(index) = table.find(Part::Hand, |hand| hand[..4] == [item, hand[1], me, token]) else {
                return Ok((false, None));
            };
            let until = deadline(moment.now, rules.visibility_ms);
            table.set_deadline(index, until);
            Ok((true, Some(until)))
        })
    }

    /// Makes the dead items ready again, with as many attempts as new ones. Returns their number.
    pub(crate) fn revive(&self, rules: &QueueRules) -> Result<usize, CacheError> {
        self.change(rules, |table, _| {
            let mut revived = 0;
            while table.count(Part::Dead) > 0 {
                let [item, ..] = table.remove(Part::Dead, 0);
                let _ = table.push(Part::Ready, &[item, 0]); // as many words as before
                revived += 1;
            }
            Ok((revived > 0, revived))
        })
    }

    /// The numbers of the items in a part, in its order; reads without a lock.
    pub(crate) fn numbers(&self, part: Part) -> Result<Vec<u64>, CacheError> {
        let numbers = self.read(|table| table.each(part).map(|words| words[0]).collect())?;
        Ok(numbers.unwrap_or_default())
    }

    /// As after the next change: what the dead have counts as taken back. Reads without a lock.
    pub(crate) fn counts(&self, rules: &QueueRules) -> Result<QueueCounts, CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok(QueueCounts::default());
        }
        let mut table = QueueTable::of(&mut words);
        let dead = self.records.attachment.dead_of(table.owners());
        let attempts = u64::from(rules.attempts);
        table.settle(&Moment { dead: &dead, version: 0, now: self.records.now_ms(), attempts });
        Ok(QueueCounts {
            ready: table.count(Part::Ready),
            taken: table.count(Part::Hand),
            dead: table.count(Part::Dead),
            waiting: table.count(Part::Waiters),
        })
    }

    /// Reads the value of an item.
    pub(crate) fn value<S: Sink>(&self, item: u64, sink: &mut S) -> Result<Option<u8>, CacheError> {
        let found = self.records.attachment.read(self.items, &self.key_of(item), ReadMode::Peek, sink)?;
        Ok(found.map(|meta| meta.kind))
    }

    /// On behalf of a waiter: takes back what the dead have and what is past its deadline.
    pub(crate) fn settle(&self, rules: &QueueRules) -> Result<(), CacheError> {
        let now = self.records.now_ms();
        let is_due = self.read(|table| table.each(Part::Hand).any(|hand| is_over(hand[DEADLINE], now)))?;
        if is_due == Some(true) || !self.dead_owners()?.is_empty() {
            self.change(rules, |_, _| Ok((false, ())))?;
        }
        Ok(())
    }

    /// Ends the items of pushers that died before these were in the order.
    pub(crate) fn end_orphans(&self, rules: &QueueRules) -> Result<(), CacheError> {
        let dead = self.dead_owners()?;
        if dead.is_empty() {
            return Ok(());
        }
        let left = |table: &QueueTable<'_>| {
            table
                .each(Part::Coming)
                .filter(|coming| dead.contains(&(coming[1] as u32)))
                .map(|coming| coming[0])
                .collect()
        };
        let left: Vec<u64> = self.read(left)?.unwrap_or_default();
        for item in left {
            self.end(item)?;
            self.forget(item, rules)?;
        }
        Ok(())
    }

    fn key_of(&self, item: u64) -> Vec<u8> {
        [self.key, &item.to_le_bytes()].concat()
    }

    fn me(&self) -> u64 {
        u64::from(self.records.attachment.owner_word())
    }

    fn read<R>(&self, read: impl FnOnce(&QueueTable<'_>) -> R) -> Result<Option<R>, CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok(None);
        }
        Ok(Some(read(&QueueTable::of(&mut words))))
    }

    fn dead_owners(&self) -> Result<Vec<u32>, CacheError> {
        let attachment = self.records.attachment;
        Ok(self.read(|table| attachment.dead_of(table.owners()))?.unwrap_or_default())
    }

    /// Changes the record. What the dead have is taken back before, and waiters are served afterwards.
    fn change<R>(
        &self,
        rules: &QueueRules,
        mut change: impl FnMut(&mut QueueTable<'_>, &Moment<'_>) -> Result<(bool, R), CacheError>,
    ) -> Result<R, CacheError> {
        let dead = self.dead_owners()?;
        self.records.change(self.key, |edit| {
            let (version, now) = (edit.version, edit.now);
            let moment = Moment { dead: &dead, version, now, attempts: u64::from(rules.attempts) };
            let mut table = QueueTable::of(edit.words);
            let settled = table.settle(&moment);
            let (changed, result) = change(&mut table, &moment)?;
            let served = table.settle(&moment);
            let becomes = if settled || changed || served { table.becomes() } else { RecordChange::Keep };
            Ok((becomes, result))
        })
    }
}

fn too_many() -> CacheError {
    CacheError::NoSpace("too many have an item of the queue or wait for one at once".into())
}
