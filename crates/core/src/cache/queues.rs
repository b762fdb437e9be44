//! Queues: the calls of a cache on them. Each is a few changes, each of which finds the queue whole; see
//! `records::queues`.

use crate::cache::handle::Cache;
use crate::change::set::Write;
use crate::error::CacheError;
use crate::layout::keyspaces::Keyspace;
use crate::records::orphans::Orphan;
use crate::records::queue_table::Part;
use crate::records::queues::{Queue, QueueCounts, QueueRules, Turn};
use crate::shard::values::Sink;

impl Cache {
    /// Adds an item at the end of a queue, and returns its number. `None`: the queue is full. The item is in the queue when
    /// this returns, and is never evicted.
    ///
    /// # Errors
    /// `NoSpace`, `ValueTooLarge`, `Busy`, `Detached`, `Corrupt`, and an invalid key. None of them leaves an item.
    pub fn push(&self, key: &[u8], rules: &QueueRules, write: &Write<'_>) -> Result<Option<u64>, CacheError> {
        let mut reserved = self.in_area(|| self.queue(key).reserve(rules))?;
        if reserved.is_none() {
            self.in_area(|| self.queue(key).end_orphans(rules))?;
            reserved = self.in_area(|| self.queue(key).reserve(rules))?;
        }
        let Some(item) = reserved else { return Ok(None) };
        let published = self
            .in_area(|| self.queue(key).keep_value(item, write))
            .and_then(|()| self.in_area(|| self.queue(key).publish(item, rules)));
        match published {
            Ok(true) => Ok(Some(item)),
            // The record was damaged, and dropped.
            Ok(false) => {
                self.end_item(key, item);
                Err(CacheError::Corrupt("a queue was damaged".into()))
            }
            Err(error) => {
                self.end_item(key, item);
                Err(error)
            }
        }
    }

    /// Ends an item and forgets its number; what a suspended process prevents is done later.
    fn end_item(&self, key: &[u8], item: u64) {
        let namespace = Orphan::namespace_of(Keyspace::Queues, self.namespace());
        self.give_back([Orphan::Push { namespace, key: key.to_vec(), item }]);
    }

    /// Takes the first item of a queue. If there is none, it waits under a ticket, or not.
    ///
    /// # Errors
    /// `NoSpace` if too many wait; `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn take_item(&self, key: &[u8], rules: &QueueRules, wait: bool) -> Result<Turn, CacheError> {
        let turn = self.in_area(|| self.queue(key).take(rules, wait))?;
        if !matches!(turn, Turn::Taken(_)) {
            self.in_area(|| self.queue(key).end_orphans(rules))?;
        }
        Ok(turn)
    }

    /// The state of a ticket. Reads without a lock.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn turn(&self, key: &[u8], ticket: u64) -> Result<Turn, CacheError> {
        self.in_area(|| self.queue(key).turn(ticket))
    }

    /// Leaves with a ticket. An item that was handed to it goes to the next one.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn leave_queue(&self, key: &[u8], ticket: u64, rules: &QueueRules) -> Result<(), CacheError> {
        self.in_area(|| self.queue(key).leave(ticket, rules))
    }

    /// Reads the value of an item, and returns its kind. `None`: the item has ended.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn item<S: Sink>(&self, key: &[u8], item: u64, sink: &mut S) -> Result<Option<u8>, CacheError> {
        self.in_area(|| self.queue(key).value(item, sink))
    }

    /// Ends an item in hand: its work is done. False: it was no longer in hand, so another caller may have it.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn acknowledge(&self, key: &[u8], item: u64, token: u64, rules: &QueueRules) -> Result<bool, CacheError> {
        if !self.in_area(|| self.queue(key).has(item, token))? {
            return Ok(false);
        }
        let ended = self.in_area(|| self.queue(key).end(item))?;
        if self.in_area(|| self.queue(key).forget(item, rules)).is_err() {
            self.end_item(key, item); // the work is done, whatever becomes of the number
        }
        Ok(ended)
    }

    /// Ends an item without a value, or one that is not wanted any more, wherever it is.
    ///
    /// # Errors
    /// As for `acknowledge`.
    pub fn discard(&self, key: &[u8], item: u64, rules: &QueueRules) -> Result<bool, CacheError> {
        let ended = self.in_area(|| self.queue(key).end(item))?;
        self.in_area(|| self.queue(key).forget(item, rules))?;
        Ok(ended)
    }

    /// Puts an item in hand back to its place in the order, or aside if it was taken as often as it may be. False: it was no
    /// longer in hand.
    ///
    /// # Errors
    /// As for `acknowledge`.
    pub fn release_item(&self, key: &[u8], item: u64, token: u64, rules: &QueueRules) -> Result<bool, CacheError> {
        self.in_area(|| self.queue(key).release(item, token, rules))
    }

    /// Gives an item in hand a new time until it is taken back, and returns the deadline. `None`: it is no longer in hand.
    ///
    /// # Errors
    /// As for `acknowledge`.
    pub fn extend_item(
        &self,
        key: &[u8],
        item: u64,
        token: u64,
        rules: &QueueRules,
    ) -> Result<Option<u64>, CacheError> {
        self.in_area(|| self.queue(key).extend(item, token, rules))
    }

    /// Makes the items that were put aside ready again, and returns their number.
    ///
    /// # Errors
    /// As for `acknowledge`.
    pub fn revive_items(&self, key: &[u8], rules: &QueueRules) -> Result<usize, CacheError> {
        self.in_area(|| self.queue(key).revive(rules))
    }

    /// The numbers of the items that were put aside. Reads without a lock.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn dead_items(&self, key: &[u8]) -> Result<Vec<u64>, CacheError> {
        self.in_area(|| self.queue(key).numbers(Part::Dead))
    }

    /// The numbers of items and waiters of a queue, where what the dead have counts as taken back. Reads without a lock.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn queue_counts(&self, key: &[u8], rules: &QueueRules) -> Result<QueueCounts, CacheError> {
        self.in_area(|| self.queue(key).counts(rules))
    }

    fn queue<'a>(&'a self, key: &'a [u8]) -> Queue<'a> {
        Queue::of(self.records(Keyspace::Queues), key)
    }
}
